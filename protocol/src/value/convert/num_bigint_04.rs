//! `num-bigint`'s numbers, and the bytes that `bigdecimal` shares with them.
//!
//! Digits go straight into the request: nothing is allocated to write a number. Reading allocates.

use core::iter;

use num_bigint::{BigInt, Sign};

use crate::wire::Writer;

/// Length of the shortest two's complement of a number, in bytes.
pub(super) fn digits_len(number: &BigInt) -> usize {
    let magnitude = number.magnitude();
    // The bits but for the sign's. Of negative numbers a power of two takes one less.
    let bits = match number.sign() {
        Sign::Minus if magnitude.trailing_zeros() == Some(magnitude.bits() - 1) => {
            magnitude.bits() - 1
        }
        _ => magnitude.bits(),
    };
    usize::try_from(bits / 8 + 1).unwrap_or(usize::MAX)
}

/// Writes it, big-endian.
pub(super) fn write_digits(number: &BigInt, out: &mut Writer<'_>) {
    let is_negative = number.sign() == Sign::Minus;
    // Of a negative number each bit is inverted, and one added: a carry that ends at the first
    // limb, from below, that is not zero.
    let mut carry = is_negative;
    let limbs = number.magnitude().iter_u32_digits().chain(iter::repeat(0)).map(|limb| {
        let limb = if is_negative { !limb } else { limb };
        let (limb, overflows) = limb.overflowing_add(u32::from(carry));
        carry = overflows;
        limb
    });
    let room = out.take_room(digits_len(number));
    for (place, limb) in room.rchunks_mut(4).zip(limbs) {
        for (byte, digit) in place.iter_mut().rev().zip(limb.to_le_bytes()) {
            *byte = digit;
        }
    }
}

#[cfg(feature = "num-bigint-04")]
mod varint {
    use super::{BigInt, digits_len, write_digits};
    use crate::error::{DeserializeError, SerializeError, TypeMismatch};
    use crate::types::ColumnType;
    use crate::value::{
        CqlVarint, CqlVarintBorrowed, DeserializeValue, Emptiable, SerializeValue, ValueLen,
    };
    use crate::wire::Writer;

    /// Allocates.
    impl From<BigInt> for CqlVarint {
        fn from(number: BigInt) -> Self {
            Self::from_signed_bytes_be(number.to_signed_bytes_be())
        }
    }

    /// Allocates.
    impl From<CqlVarint> for BigInt {
        fn from(number: CqlVarint) -> Self {
            Self::from_signed_bytes_be(number.as_signed_bytes_be_slice())
        }
    }

    /// Allocates.
    impl From<CqlVarintBorrowed<'_>> for BigInt {
        fn from(number: CqlVarintBorrowed<'_>) -> Self {
            Self::from_signed_bytes_be(number.as_signed_bytes_be_slice())
        }
    }

    impl SerializeValue for BigInt {
        fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
            match typ {
                ColumnType::Varint => Ok(()),
                _ => Err(TypeMismatch::of::<Self>(typ)),
            }
        }

        fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
            ValueLen::bytes(digits_len(self))
        }

        fn write(&self, _: &ColumnType, out: &mut Writer<'_>) {
            write_digits(self, out);
        }
    }

    /// Allocates.
    impl<'frame> DeserializeValue<'frame> for BigInt {
        fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
            match typ {
                ColumnType::Varint => Ok(()),
                _ => Err(TypeMismatch::of::<Self>(typ)),
            }
        }

        fn deserialize(
            _: &'frame ColumnType,
            cell: Option<&'frame [u8]>,
        ) -> Result<Self, DeserializeError> {
            let digits = cell.ok_or_else(DeserializeError::unexpected_null::<Self>)?;
            Ok(Self::from_signed_bytes_be(digits))
        }
    }

    impl Emptiable for BigInt {}
}
