//! [`CqlValue`] as a CQL literal: what `Display` shows and what a statement could hold.
//!
//! For people and tools; requests bind values instead. What scalars look like is the business of
//! `value/literal.rs`.
//!
//! Next: `value/ser.rs`.

use core::fmt::{self, Display, Formatter, Write};

use super::CqlValue;
use crate::types::Name;
use crate::value::literal::BlobLiteral;

/// As CQL spells it; null as `null`, [`CqlValue::Empty`] as an empty blob. A custom type's value is
/// shown as its bytes.
impl Display for CqlValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ascii(text) | Self::Text(text) => show_text(text, f),
            Self::BigInt(number) => number.fmt(f),
            Self::Blob(blob) => BlobLiteral(blob).fmt(f),
            Self::Boolean(value) => value.fmt(f),
            Self::Counter(number) => number.fmt(f),
            Self::Date(date) => date.fmt(f),
            Self::Decimal(number) => number.fmt(f),
            Self::Double(number) => show_float(*number, number, f),
            Self::Duration(duration) => duration.fmt(f),
            Self::Empty => f.write_str("0x"),
            Self::Float(number) => show_float(f64::from(*number), number, f),
            Self::Inet(ip) => write!(f, "'{ip}'"),
            Self::Int(number) => number.fmt(f),
            Self::List(elements) | Self::Vector(elements) => show(f, "[", elements, "]", shown),
            Self::Map(entries) => {
                show(f, "{", entries, "}", |(key, value), f| write!(f, "{key}: {value}"))
            }
            Self::Set(elements) => show(f, "{", elements, "}", shown),
            Self::SmallInt(number) => number.fmt(f),
            Self::Time(time) => time.fmt(f),
            Self::Timestamp(time) => time.fmt(f),
            Self::Timeuuid(id) => id.fmt(f),
            Self::TinyInt(number) => number.fmt(f),
            Self::Tuple(fields) => show(f, "(", fields, ")", show_field),
            Self::UserDefinedType { fields, .. } => {
                show(f, "{", fields, "}", |(name, field), f| {
                    show_name(name, f)?;
                    f.write_str(": ")?;
                    show_field(field, f)
                })
            }
            Self::Uuid(id) => id.fmt(f),
            Self::Varint(number) => number.fmt(f),
        }
    }
}

fn show<T>(
    f: &mut Formatter<'_>,
    open: &str,
    parts: &[T],
    close: &str,
    show_part: impl Fn(&T, &mut Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    f.write_str(open)?;
    for (index, part) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { ", " })?;
        show_part(part, f)?;
    }
    f.write_str(close)
}

fn shown(value: &CqlValue, f: &mut Formatter<'_>) -> fmt::Result {
    value.fmt(f)
}

fn show_field(field: &Option<CqlValue>, f: &mut Formatter<'_>) -> fmt::Result {
    match field {
        Some(value) => value.fmt(f),
        None => f.write_str("null"),
    }
}

/// What is no number has a name in CQL, and an exponent is kept: `1e300`.
fn show_float(number: f64, debug: &impl fmt::Debug, f: &mut Formatter<'_>) -> fmt::Result {
    if number.is_nan() {
        f.write_str("NaN")
    } else if number.is_infinite() {
        f.write_str(if number > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        write!(f, "{debug:?}")
    }
}

fn show_text(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    show_quoted(text, '\'', f)
}

/// Names of other than small letters, digits and underscores stand in quotes.
fn show_name(name: &Name, f: &mut Formatter<'_>) -> fmt::Result {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_plain) {
        f.write_str(name)
    } else {
        show_quoted(name, '"', f)
    }
}

/// A quote within stands twice.
fn show_quoted(text: &str, quote: char, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char(quote)?;
    for (index, part) in text.split(quote).enumerate() {
        if index > 0 {
            f.write_char(quote)?;
            f.write_char(quote)?;
        }
        f.write_str(part)?;
    }
    f.write_char(quote)
}
