//! Values of other crates' types, each behind a feature named after the crate.
//!
//! Dates and times are written and read by way of the `Cql…` type that keeps what the protocol has;
//! numbers without one. What one side cannot hold is an error, never the nearest value.
//!
//! Next: `value/json.rs`.

#[cfg(feature = "bigdecimal-04")]
mod bigdecimal_04;
#[cfg(feature = "chrono-04")]
mod chrono_04;
#[cfg(any(feature = "bigdecimal-04", feature = "num-bigint-04"))]
mod num_bigint_04;
#[cfg(feature = "secrecy-10")]
mod secrecy_10;
#[cfg(feature = "time-03")]
mod time_03;

/// Closed table: a `Copy` type, the one it is written and read as, and what to say of a value that
/// the second cannot hold, and of one that the first cannot.
#[cfg(any(feature = "chrono-04", feature = "time-03"))]
macro_rules! by_way_of {
    ($($rust:ty, $cql:ty, $not_bound:literal, $not_read:literal;)*) => {$(
        impl $crate::value::SerializeValue for $rust {
            #[inline]
            fn type_check(
                typ: &$crate::types::ColumnType,
            ) -> Result<(), $crate::error::TypeMismatch> {
                <$cql as $crate::value::SerializeValue>::type_check(typ)
                    .map_err(|_| $crate::error::TypeMismatch::of::<Self>(typ))
            }

            #[inline]
            fn value_len(
                &self,
                typ: &$crate::types::ColumnType,
            ) -> Result<$crate::value::ValueLen, $crate::error::SerializeError> {
                match <$cql>::try_from(*self) {
                    Ok(value) => value.value_len(typ),
                    Err(_) => Err($crate::error::SerializeError::bad_value($not_bound)),
                }
            }

            #[inline]
            fn write(
                &self,
                typ: &$crate::types::ColumnType,
                out: &mut $crate::wire::Writer<'_>,
            ) {
                match <$cql>::try_from(*self) {
                    Ok(value) => value.write(typ, out),
                    Err(_) => out.set_fault(), // measuring it gave an error
                }
            }
        }

        impl<'frame> $crate::value::DeserializeValue<'frame> for $rust {
            const CELL_LEN_MIN: usize =
                <$cql as $crate::value::DeserializeValue<'frame>>::CELL_LEN_MIN;

            #[inline]
            fn type_check(
                typ: &$crate::types::ColumnType,
            ) -> Result<(), $crate::error::TypeMismatch> {
                <$cql as $crate::value::DeserializeValue>::type_check(typ)
                    .map_err(|_| $crate::error::TypeMismatch::of::<Self>(typ))
            }

            #[inline]
            fn deserialize(
                typ: &'frame $crate::types::ColumnType,
                cell: Option<&'frame [u8]>,
            ) -> Result<Self, $crate::error::DeserializeError> {
                if cell.is_none() {
                    return Err($crate::error::DeserializeError::unexpected_null::<Self>());
                }
                let value = <$cql as $crate::value::DeserializeValue>::deserialize(typ, cell)?;
                Self::try_from(value)
                    .map_err(|_| $crate::error::DeserializeError::bad_value($not_read))
            }
        }

        impl $crate::value::Emptiable for $rust {}
    )*};
}

#[cfg(any(feature = "chrono-04", feature = "time-03"))]
use by_way_of;

#[cfg(test)]
mod tests;
