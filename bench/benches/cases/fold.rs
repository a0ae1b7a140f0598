//! One number from all values of all rows: what a program that reads rows does at the least.
//!
//! Both codecs' types are folded by the same steps, so that what differs is the decoding, and equal
//! numbers mean equal values. Nothing is optimised away: each value has a part in the number, and
//! what is owned is held in memory.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::hash::BuildHasher;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use scylla_cql::deserialize::{DeserializationError, value as official_de};
use scylla_cql::value as official;
use shardwire_protocol::error::DeserializeError;
use shardwire_protocol::value as ours;
use uuid::Uuid;

pub(crate) trait Fold {
    fn fold(self, sum: u64) -> u64;
}

/// Of the values in the order in which they came.
#[inline(always)]
fn mix(sum: u64, value: u64) -> u64 {
    sum.rotate_left(5).wrapping_add(value)
}

/// Of all rows, or all elements of a collection.
#[inline(always)]
pub(crate) fn fold_all<T: Fold, E: Debug>(
    items: impl Iterator<Item = Result<T, E>>,
    sum: u64,
) -> u64 {
    items.fold(sum, |sum, item| item.expect("the sample is whole").fold(sum))
}

/// Closed table: one line per kind of value, `value` as a `u64`.
macro_rules! folds {
    ($($($rust:ty),+: |$value:ident| $number:expr;)*) => {$($(
        impl Fold for $rust {
            #[inline(always)]
            fn fold(self, sum: u64) -> u64 {
                let $value = self;
                mix(sum, $number)
            }
        }
    )+)*};
}

folds! {
    bool: |value| u64::from(value);
    i8, i16, i32, i64: |value| value as u64;
    f32: |value| u64::from(value.to_bits());
    f64: |value| value.to_bits();
    ours::Counter, official::Counter, ours::CqlTimestamp, official::CqlTimestamp, ours::CqlTime,
    official::CqlTime: |value| value.0 as u64;
    ours::CqlDate, official::CqlDate: |value| u64::from(value.0);
    ours::CqlTimeuuid, official::CqlTimeuuid:
        |value| halves(u128::from_be_bytes(*value.as_bytes()));
    Uuid: |value| halves(value.as_u128());
    &str: |value| ends(value.as_bytes());
    &[u8]: |value| ends(value);
    Cow<'_, str>: |value| ends(black_box(&value).as_bytes());
    Cow<'_, [u8]>, Vec<u8>, Bytes: |value| ends(black_box(&value));
    String, Box<str>, Arc<str>: |value| ends(black_box(&value).as_bytes());
    ours::CqlVarintBorrowed<'_>, official::CqlVarintBorrowed<'_>:
        |value| ends(value.as_signed_bytes_be_slice());
    ours::CqlVarint, official::CqlVarint:
        |value| ends(black_box(&value).as_signed_bytes_be_slice());
    ours::CqlDecimalBorrowed<'_>, official::CqlDecimalBorrowed<'_>: |value| {
        let (digits, scale) = value.as_signed_be_bytes_slice_and_exponent();
        ends(digits) ^ scale as u64
    };
    ours::CqlDecimal, official::CqlDecimal: |value| {
        let (digits, scale) = black_box(&value).as_signed_be_bytes_slice_and_exponent();
        ends(digits) ^ scale as u64
    };
    ours::CqlDuration, official::CqlDuration: |value| {
        (value.months as u64).rotate_left(32) ^ value.days as u64 ^ value.nanoseconds as u64
    };
    IpAddr: |value| match value {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => halves(address.to_bits()),
    };
}

/// Length, first and last byte.
#[inline(always)]
fn ends(content: &[u8]) -> u64 {
    match content {
        [first, .., last] => {
            content.len() as u64 ^ u64::from(*first) << 32 ^ u64::from(*last) << 48
        }
        short => short.len() as u64,
    }
}

#[inline(always)]
fn halves(number: u128) -> u64 {
    (number >> 64) as u64 ^ number as u64
}

impl<T: Fold> Fold for Option<T> {
    #[inline(always)]
    fn fold(self, sum: u64) -> u64 {
        match self {
            Some(value) => value.fold(sum),
            None => mix(sum, 1),
        }
    }
}

// ---- collections in place ----

/// Closed table: one line per view and iterator, with the items that it gives.
macro_rules! views {
    ($($rust:ty, <$($generic:tt),+> $item:ty, $error:ty;)*) => {$(
        impl<$($generic),+> Fold for $rust
        where
            Self: IntoIterator<Item = Result<$item, $error>>,
            $item: Fold,
        {
            #[inline(always)]
            fn fold(self, sum: u64) -> u64 {
                fold_all(self.into_iter(), sum)
            }
        }
    )*};
}

views! {
    ours::ListView<'a, T>, <'a, T> T, DeserializeError;
    ours::MapView<'a, K, V>, <'a, K, V> (K, V), DeserializeError;
    official_de::ListlikeIterator<'a, 'm, T>, <'a, 'm, T> T, DeserializationError;
    official_de::VectorIterator<'a, 'm, T>, <'a, 'm, T> T, DeserializationError;
    official_de::MapIterator<'a, 'm, K, V>, <'a, 'm, K, V> (K, V), DeserializationError;
}

impl Fold for ours::UdtView<'_> {
    #[inline(always)]
    fn fold(self, sum: u64) -> u64 {
        self.into_iter().fold(sum, |sum, field| {
            let content = field.expect("the sample is whole").cell.content;
            ends(content.expect("no field is null")).rotate_left(1) ^ sum
        })
    }
}

impl Fold for official_de::UdtIterator<'_, '_> {
    #[inline(always)]
    fn fold(self, sum: u64) -> u64 {
        Iterator::fold(self, sum, |sum, (_, content)| {
            let content = content.expect("the sample is whole").flatten();
            ends(content.expect("no field is null").as_slice()).rotate_left(1) ^ sum
        })
    }
}

impl Fold for [f32; 16] {
    #[inline(always)]
    fn fold(self, sum: u64) -> u64 {
        self.into_iter().fold(sum, |sum, element| element.fold(sum))
    }
}

// ---- owned collections ----

// Of anything but bytes, which are not folded one by one.
impl<T: Fold> Fold for Vec<T> {
    #[inline(always)]
    fn fold(self, sum: u64) -> u64 {
        black_box(self).into_iter().fold(sum, |sum, element| element.fold(sum))
    }
}

impl<T: Fold> Fold for BTreeSet<T> {
    #[inline(always)]
    fn fold(self, sum: u64) -> u64 {
        black_box(self).into_iter().fold(sum, |sum, element| element.fold(sum))
    }
}

impl<K: Fold, V: Fold> Fold for BTreeMap<K, V> {
    #[inline(always)]
    fn fold(self, sum: u64) -> u64 {
        black_box(self).into_iter().fold(sum, |sum, entry| entry.fold(sum))
    }
}

// In whichever order they come.
impl<T: Fold, S: BuildHasher> Fold for HashSet<T, S> {
    #[inline(always)]
    fn fold(self, sum: u64) -> u64 {
        black_box(self).into_iter().fold(sum, |sum, element| sum ^ element.fold(0))
    }
}

impl<K: Fold, V: Fold, S: BuildHasher> Fold for HashMap<K, V, S> {
    #[inline(always)]
    fn fold(self, sum: u64) -> u64 {
        black_box(self).into_iter().fold(sum, |sum, entry| sum ^ entry.fold(0))
    }
}

/// Closed table: one line per number of fields or columns.
macro_rules! tuples {
    ($($($value:ident)+;)*) => {$(
        #[expect(non_snake_case, reason = "a value is named as its type")]
        impl<$($value: Fold),+> Fold for ($($value,)+) {
            #[inline(always)]
            fn fold(self, sum: u64) -> u64 {
                let ($($value,)+) = self;
                $(let sum = $value.fold(sum);)+
                sum
            }
        }
    )*};
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E F G H I J;
    A B C D E F G H I J K L M N O P;
}
