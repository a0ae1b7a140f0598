//! Arithmetic on CQL's numbers, and casts between types.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::num_traits::{Signed as _, ToPrimitive as _, Zero as _};
use bigdecimal::{BigDecimal, FromPrimitive as _, RoundingMode};

use super::literal::scalar_from;
use super::number::read_vint;
use super::text::{integer, scalar_text};
use super::types::Native;
use crate::cql::ast::{Arithmetic, Term};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// Greatest scale, either way, of a decimal that is reckoned with.
const SCALE_MAX: u32 = 10_000;
/// Bytes of the digits of a number that is reckoned with.
const DIGITS_LEN_MAX: usize = 4096;
/// Digits behind the point that a division of decimals has at most.
const QUOTIENT_SCALE: i64 = 32;

/// A number of any type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Number {
    Integer(i64),
    Float(f64),
    Decimal(BigDecimal),
}

/// Whether values of the type are numbers.
pub(crate) fn is_number(native: Native) -> bool {
    is_integer(native)
        || matches!(native, Native::Float | Native::Double | Native::Varint | Native::Decimal)
}

fn is_integer(native: Native) -> bool {
    matches!(
        native,
        Native::Tinyint | Native::Smallint | Native::Int | Native::Bigint | Native::Counter
    )
}

impl Number {
    /// The number that a valid, non-empty value of a numeric type is.
    pub(crate) fn read(native: Native, bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        Some(match native {
            Native::Float => Self::Float(f32::from_be_bytes(*bytes.first_chunk()?).into()),
            Native::Double => Self::Float(f64::from_be_bytes(*bytes.first_chunk()?)),
            Native::Varint if bytes.len() > DIGITS_LEN_MAX => return None,
            Native::Varint => Self::Decimal(BigInt::from_signed_bytes_be(bytes).into()),
            Native::Decimal => {
                let (scale, unscaled) = bytes.split_first_chunk::<4>()?;
                let scale_abs = i32::from_be_bytes(*scale).unsigned_abs();
                if scale_abs > SCALE_MAX || unscaled.len() > DIGITS_LEN_MAX {
                    return None; // to write it out would take that many digits
                }
                let unscaled = BigInt::from_signed_bytes_be(unscaled);
                Self::Decimal(BigDecimal::new(unscaled, i32::from_be_bytes(*scale).into()))
            }
            _ if is_integer(native) => Self::Integer(integer(bytes)),
            _ => return None,
        })
    }

    /// The number as a value of the type: cut off where it does not fit, as Java does.
    pub(crate) fn write(&self, native: Native) -> Vec<u8> {
        let low = |len: usize| {
            let bytes = self.wrapped().to_be_bytes();
            bytes.get(8 - len..).unwrap_or_default().to_vec()
        };
        match native {
            Native::Tinyint => low(1),
            Native::Smallint => low(2),
            Native::Int => low(4),
            #[expect(clippy::cast_possible_truncation, reason = "a float is less exact")]
            Native::Float => (self.float() as f32).to_be_bytes().to_vec(),
            Native::Double => self.float().to_be_bytes().to_vec(),
            Native::Varint => {
                let whole = self.decimal().with_scale_round(0, RoundingMode::Down);
                whole.into_bigint_and_exponent().0.to_signed_bytes_be()
            }
            Native::Decimal => {
                let (unscaled, scale) = self.decimal().into_bigint_and_exponent();
                let scale = i32::try_from(scale).unwrap_or(i32::MAX);
                [&scale.to_be_bytes()[..], &unscaled.to_signed_bytes_be()].concat()
            }
            _ => low(8),
        }
    }

    /// As 64 bits; a float is cut to their range, an integer of more bits loses the high ones.
    fn wrapped(&self) -> i64 {
        match self {
            Self::Integer(value) => *value,
            #[expect(clippy::cast_possible_truncation, reason = "cut to the range")]
            Self::Float(value) => *value as i64,
            Self::Decimal(value) => {
                let whole = value.with_scale_round(0, RoundingMode::Down);
                let mut bytes = whole.into_bigint_and_exponent().0.to_signed_bytes_be();
                bytes.reverse();
                let fill = if bytes.last().is_some_and(|&b| b >= 0x80) { 0xFF } else { 0 };
                bytes.resize(8.max(bytes.len()), fill);
                bytes.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "that is what a float is")]
    pub(crate) fn float(&self) -> f64 {
        match self {
            Self::Integer(value) => *value as f64,
            Self::Float(value) => *value,
            Self::Decimal(value) => value.to_f64().unwrap_or(f64::NAN),
        }
    }

    fn decimal(&self) -> BigDecimal {
        match self {
            Self::Integer(value) => BigDecimal::from(*value),
            Self::Float(value) => BigDecimal::from_f64(*value).unwrap_or_default(),
            Self::Decimal(value) => value.clone(),
        }
    }

    pub(crate) fn abs(&self) -> Self {
        match self {
            Self::Integer(value) => Self::Integer(value.wrapping_abs()),
            Self::Float(value) => Self::Float(value.abs()),
            Self::Decimal(value) => Self::Decimal(value.abs()),
        }
    }

    /// The nearest whole number; one half is rounded away from zero as Java's `BigDecimal` and up
    /// as its `Math.round`.
    pub(crate) fn round(&self) -> Self {
        match self {
            Self::Integer(value) => Self::Integer(*value),
            Self::Float(value) => Self::Float((value + 0.5).floor()),
            Self::Decimal(value) => Self::Decimal(value.with_scale_round(0, RoundingMode::HalfUp)),
        }
    }
}

/// The type of a sum, difference, product or quotient.
pub(crate) fn result_type(left: Native, right: Native) -> Option<Native> {
    let is_time = |native| matches!(native, Native::Timestamp | Native::Date);
    if is_time(left) && right == Native::Duration {
        return Some(left);
    }
    if !is_number(left) || !is_number(right) {
        return None;
    }
    let has = |native| left == native || right == native;
    let is_float = has(Native::Float) || has(Native::Double);
    let is_long = has(Native::Bigint) || has(Native::Counter);
    Some(match () {
        () if has(Native::Decimal) || (has(Native::Varint) && is_float) => Native::Decimal,
        () if has(Native::Varint) => Native::Varint,
        () if has(Native::Double) || (is_float && is_long) => Native::Double,
        () if is_float => Native::Float,
        () if is_long => Native::Bigint,
        () if has(Native::Int) => Native::Int,
        () if has(Native::Smallint) => Native::Smallint,
        () => Native::Tinyint,
    })
}

/// Two values and what is done with them. The error says what can't be.
pub(crate) fn apply(
    operator: Arithmetic,
    (left_type, left): (Native, &[u8]),
    (right_type, right): (Native, &[u8]),
) -> Result<Vec<u8>, &'static str> {
    let typ = result_type(left_type, right_type).ok_or("these types do not go together")?;
    if right_type == Native::Duration {
        return shifted(operator, left_type, left, right).ok_or("the time is out of range");
    }
    let read =
        |native, bytes| Number::read(native, bytes).ok_or("a value that is empty or out of range");
    let (left, right) = (read(left_type, left)?, read(right_type, right)?);
    let number = match typ {
        Native::Decimal | Native::Varint => {
            Number::Decimal(decimals(operator, &left.decimal(), &right.decimal(), typ)?)
        }
        Native::Double | Native::Float => {
            let (left, right) = (left.float(), right.float());
            Number::Float(match operator {
                Arithmetic::Add => left + right,
                Arithmetic::Subtract => left - right,
                Arithmetic::Multiply => left * right,
                Arithmetic::Divide => left / right,
                Arithmetic::Remainder => left % right,
            })
        }
        _ => {
            let (left, right) = (left.wrapped(), right.wrapped());
            Number::Integer(match operator {
                Arithmetic::Add => left.wrapping_add(right),
                Arithmetic::Subtract => left.wrapping_sub(right),
                Arithmetic::Multiply => left.wrapping_mul(right),
                Arithmetic::Divide | Arithmetic::Remainder if right == 0 => {
                    return Err("/ by zero");
                }
                Arithmetic::Divide => left.wrapping_div(right),
                Arithmetic::Remainder => left.wrapping_rem(right),
            })
        }
    };
    Ok(number.write(typ))
}

fn decimals(
    operator: Arithmetic,
    left: &BigDecimal,
    right: &BigDecimal,
    typ: Native,
) -> Result<BigDecimal, &'static str> {
    Ok(match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        _ if right.is_zero() => return Err("BigInteger divide by zero"),
        Arithmetic::Divide if typ == Native::Varint => {
            (left / right).with_scale_round(0, RoundingMode::Down)
        }
        Arithmetic::Divide => {
            let quotient = left / right;
            let scale = quotient.fractional_digit_count().min(QUOTIENT_SCALE);
            quotient.with_scale_round(scale, RoundingMode::HalfUp).normalized()
        }
        Arithmetic::Remainder => left % right,
    })
}

/// A timestamp or date, so much later or earlier. Only whole days go with a date.
fn shifted(operator: Arithmetic, typ: Native, time: &[u8], duration: &[u8]) -> Option<Vec<u8>> {
    let sign = match operator {
        Arithmetic::Add => 1,
        Arithmetic::Subtract => -1,
        _ => return None,
    };
    let mut rest = duration;
    let mut part = || read_vint(&mut rest)?.checked_mul(sign);
    let (months, days, nanos) = (part()?, part()?, part()?);
    if typ == Native::Date {
        let day = i64::from(u32::from_be_bytes(*time.first_chunk()?)) - (1 << 31);
        if nanos != 0 {
            return None;
        }
        let day = super::time::add_months(day, months)?.checked_add(days)?;
        return Some(u32::try_from(day.checked_add(1 << 31)?).ok()?.to_be_bytes().to_vec());
    }
    let at = i64::from_be_bytes(*time.first_chunk()?);
    let day = super::time::add_months(at.div_euclid(DAY_MS), months)?.checked_add(days)?;
    let of_day = at.rem_euclid(DAY_MS) + nanos / 1_000_000;
    Some(day.checked_mul(DAY_MS)?.checked_add(of_day)?.to_be_bytes().to_vec())
}

/// Whether CAST knows a way.
pub(crate) fn can_cast(from: Native, to: Native) -> bool {
    from == to
        || (is_number(from) && is_number(to) && to != Native::Counter)
        || (matches!(to, Native::Text | Native::Ascii)
            && !matches!(from, Native::Blob | Native::Duration))
        || matches!(
            (from, to),
            (Native::Timeuuid, Native::Timestamp | Native::Date)
                | (Native::Timestamp, Native::Date)
                | (Native::Date, Native::Timestamp)
        )
}

/// A valid value as one of another type, where [`can_cast`] says so.
pub(crate) fn cast(from: Native, to: Native, bytes: &[u8]) -> Option<Vec<u8>> {
    if from == to || bytes.is_empty() {
        return Some(bytes.to_vec());
    }
    if is_number(from) && is_number(to) {
        return Some(Number::read(from, bytes)?.write(to));
    }
    match (from, to) {
        (_, Native::Text | Native::Ascii) => scalar_from(&Term::Text(scalar_text(from, bytes)), to),
        (_, Native::Timestamp) => Some(super::time::millis_of(from, bytes)?.to_be_bytes().into()),
        (_, Native::Date) => {
            let day = super::time::millis_of(from, bytes)?.div_euclid(DAY_MS);
            Some(u32::try_from(day.checked_add(1 << 31)?).ok()?.to_be_bytes().to_vec())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::time::{parse_duration, parse_timestamp};

    fn value(native: Native, text: &str) -> Vec<u8> {
        let term = if text.contains(['.', 'e']) {
            Term::Float(text.to_owned())
        } else {
            Term::Integer(text.to_owned())
        };
        scalar_from(&term, native).unwrap()
    }

    #[track_caller]
    fn check(left: (Native, &str), operator: Arithmetic, right: (Native, &str), expect: &str) {
        let (l, r) = (value(left.0, left.1), value(right.0, right.1));
        let typ = result_type(left.0, right.0).unwrap();
        let result = apply(operator, (left.0, &l), (right.0, &r)).unwrap();
        assert_eq!(scalar_text(typ, &result), expect);
    }

    #[test]
    fn numbers_of_all_types() {
        use Arithmetic::{Add, Divide, Multiply, Remainder, Subtract};
        check((Native::Int, "7"), Divide, (Native::Int, "-2"), "-3");
        check((Native::Int, "2147483647"), Add, (Native::Int, "1"), "-2147483648");
        check((Native::Int, "7"), Add, (Native::Bigint, "1"), "8");
        check((Native::Int, "7"), Multiply, (Native::Double, "0.5"), "3.5");
        check((Native::Tinyint, "7"), Remainder, (Native::Smallint, "4"), "3");
        check((Native::Varint, "1"), Subtract, (Native::Varint, "300"), "-299");
        check((Native::Decimal, "1.50"), Add, (Native::Int, "1"), "2.50");
        check((Native::Decimal, "1.0"), Divide, (Native::Decimal, "8.0"), "0.125");
        let zero = value(Native::Int, "0");
        assert!(apply(Divide, (Native::Int, &zero), (Native::Int, &zero)).is_err());
        assert!(result_type(Native::Int, Native::Text).is_none());
    }

    #[test]
    fn times_and_durations() {
        let at = parse_timestamp("2020-01-31 10:00:00Z").unwrap().to_be_bytes();
        let later = parse_duration("1mo1d2h").unwrap();
        let operands = ((Native::Timestamp, &at[..]), (Native::Duration, &later[..]));
        let result = apply(Arithmetic::Add, operands.0, operands.1).unwrap();
        assert_eq!(scalar_text(Native::Timestamp, &result), "2020-03-01 12:00:00.000Z");
    }

    #[test]
    fn casts() {
        let cast = |from, to, text| scalar_text(to, &cast(from, to, &value(from, text)).unwrap());
        assert_eq!(cast(Native::Double, Native::Int, "-1.9"), "-1");
        assert_eq!(cast(Native::Int, Native::Tinyint, "300"), "44");
        assert_eq!(cast(Native::Decimal, Native::Text, "1.50"), "1.50");
        assert_eq!(cast(Native::Bigint, Native::Varint, "-129"), "-129");
        assert!(!can_cast(Native::Text, Native::Int));
    }
}
