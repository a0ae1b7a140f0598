//! Structs of the same columns and fields, derived by both codecs.
//!
//! Next: `fold.rs`.

use std::net::IpAddr;

use uuid::Uuid;

use super::fold::Fold;

/// The structs, by the derive macros and values of one codec.
macro_rules! structs {
    ($attribute:ident($($krate:tt)*), $row:path, $udt:path, $values:ident) => {
        #[derive($row)]
        #[$attribute($($krate)*)]
        pub(crate) struct Ten<'a> {
            c0: Uuid,
            c1: $values::CqlTimestamp,
            c2: &'a str,
            c3: i32,
            c4: f64,
            c5: bool,
            c6: IpAddr,
            c7: &'a [u8],
            c8: $values::CqlDate,
            c9: i64,
        }

        #[derive($row)]
        #[$attribute($($krate)*)]
        pub(crate) struct TenTurned<'a> {
            c9: i64,
            c8: $values::CqlDate,
            c7: &'a [u8],
            c6: IpAddr,
            c5: bool,
            c4: f64,
            c3: i32,
            c2: &'a str,
            c1: $values::CqlTimestamp,
            c0: Uuid,
        }

        #[derive($row)]
        #[$attribute($($krate)*, flavor = "enforce_order")]
        pub(crate) struct TenOrdered<'a> {
            c0: Uuid,
            c1: $values::CqlTimestamp,
            c2: &'a str,
            c3: i32,
            c4: f64,
            c5: bool,
            c6: IpAddr,
            c7: &'a [u8],
            c8: $values::CqlDate,
            c9: i64,
        }

        #[derive($udt)]
        #[$attribute($($krate)*)]
        pub(crate) struct Three<'a> {
            c0: i32,
            c1: &'a str,
            c2: i64,
        }

        #[derive($udt)]
        #[$attribute($($krate)*)]
        pub(crate) struct ThreeTurned<'a> {
            c2: i64,
            c1: &'a str,
            c0: i32,
        }

        folds! {
            Ten, [c0 c1 c2 c3 c4 c5 c6 c7 c8 c9];
            TenTurned, [c0 c1 c2 c3 c4 c5 c6 c7 c8 c9];
            TenOrdered, [c0 c1 c2 c3 c4 c5 c6 c7 c8 c9];
            Three, [c0 c1 c2];
            ThreeTurned, [c0 c1 c2];
        }
    };
}

macro_rules! folds {
    ($($name:ident, [$($field:ident)+];)*) => {$(
        impl Fold for $name<'_> {
            #[inline(always)]
            fn fold(self, sum: u64) -> u64 {
                $(let sum = self.$field.fold(sum);)+
                sum
            }
        }
    )*};
}

mod ours {
    use super::*;
    use shardwire_protocol::value;

    structs! {
        shardwire(crate = shardwire_protocol),
        shardwire_protocol::row::DeserializeRow,
        shardwire_protocol::value::DeserializeValue,
        value
    }
}

pub(crate) use ours::*;

pub(crate) mod official {
    use super::*;
    use scylla::value;

    structs! {
        scylla(crate = "::scylla"),
        scylla::DeserializeRow,
        scylla::DeserializeValue,
        value
    }
}
