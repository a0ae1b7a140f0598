//! `bigdecimal`'s numbers.
//!
//! Its scale has 64 bits, a `decimal`'s 32. Writing allocates nothing, reading does.

use bigdecimal::BigDecimal;
use num_bigint::BigInt;

use super::num_bigint_04::{digits_len, write_digits};
use crate::error::{DeserializeError, SerializeError, TypeMismatch};
use crate::types::ColumnType;
use crate::value::{
    CqlDecimal, CqlDecimalBorrowed, DeserializeValue, Emptiable, SerializeValue, ValueLen,
    ValueOverflow,
};
use crate::wire::Writer;

/// Allocates.
///
/// # Errors
/// A scale of more than 32 bits.
impl TryFrom<BigDecimal> for CqlDecimal {
    type Error = ValueOverflow;

    fn try_from(number: BigDecimal) -> Result<Self, ValueOverflow> {
        let (unscaled, scale) = number.into_bigint_and_scale();
        let scale = i32::try_from(scale).map_err(|_| ValueOverflow)?;
        Ok(Self::from_signed_be_bytes_and_exponent(unscaled.to_signed_bytes_be(), scale))
    }
}

/// Allocates.
impl From<CqlDecimal> for BigDecimal {
    fn from(number: CqlDecimal) -> Self {
        number.as_borrowed().into()
    }
}

/// Allocates.
impl From<CqlDecimalBorrowed<'_>> for BigDecimal {
    fn from(number: CqlDecimalBorrowed<'_>) -> Self {
        let (unscaled, scale) = number.as_signed_be_bytes_slice_and_exponent();
        Self::from_bigint(BigInt::from_signed_bytes_be(unscaled), i64::from(scale))
    }
}

impl SerializeValue for BigDecimal {
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Decimal => Ok(()),
            _ => Err(TypeMismatch::of::<Self>(typ)),
        }
    }

    fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
        let (unscaled, scale) = self.as_bigint_and_scale();
        if i32::try_from(scale).is_err() {
            let what = "a scale of more than the 32 bits that decimal has";
            return Err(SerializeError::bad_value(what));
        }
        ValueLen::bytes(digits_len(&unscaled).saturating_add(4))
    }

    fn write(&self, _: &ColumnType, out: &mut Writer<'_>) {
        let (unscaled, scale) = self.as_bigint_and_scale();
        match i32::try_from(scale) {
            Ok(scale) => {
                out.put_i32(scale);
                write_digits(&unscaled, out);
            }
            Err(_) => out.set_fault(), // measuring it gave an error
        }
    }
}

/// Allocates.
impl<'frame> DeserializeValue<'frame> for BigDecimal {
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Decimal => Ok(()),
            _ => Err(TypeMismatch::of::<Self>(typ)),
        }
    }

    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        if cell.is_none() {
            return Err(DeserializeError::unexpected_null::<Self>());
        }
        CqlDecimalBorrowed::deserialize(typ, cell).map(Self::from)
    }
}

impl Emptiable for BigDecimal {}
