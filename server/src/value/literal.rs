//! Terms of a statement to bytes: literals by the type they are used as, markers from the bound
//! values.

use std::borrow::Cow;
use std::net::IpAddr;

use super::functions;
use super::json::{self, Json, vector};
use super::multi_cell::tuple;
use super::number::{decimal, varint_from_decimal};
use super::order::ordered;
use super::time::{parse_date, parse_duration, parse_time, parse_timestamp};
use super::types::{CqlType, Native, Udt};
use super::validate::validate;
use crate::cql::ast::{JsonField, Term};
use crate::error::CqlError;
use crate::wire::read::Value;
use crate::wire::write::Writer;

/// A term's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Bound<'a> {
    Null,
    Unset,
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Bound<'a> {
    /// The bytes, or `None` for null and for what is not set.
    pub(crate) fn into_bytes(self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Evaluates `term` as a value of `typ`; `values` are what the request bound to the markers.
pub(crate) fn evaluate<'a>(
    term: &Term,
    typ: &CqlType,
    values: &[Value<'a>],
) -> Result<Bound<'a>, CqlError> {
    let index = match term {
        Term::Marker(index) => index,
        Term::Null => return Ok(Bound::Null),
        Term::Call(name, arguments) => {
            let value = functions::evaluate_call(name, arguments, typ, values)?;
            return Ok(value.map_or(Bound::Null, |bytes| Bound::Bytes(Cow::Owned(bytes))));
        }
        Term::Hint(hint, inner) => {
            if hint.thawed() != typ.thawed() {
                let message = format!("Cannot assign value of type {hint} to a {typ}");
                return Err(CqlError::invalid(message));
            }
            return evaluate(inner, typ, values);
        }
        Term::Arithmetic(operator, left, right) => {
            let value = functions::evaluate_arithmetic(*operator, (left, right), typ, values)?;
            return Ok(value.map_or(Bound::Null, |bytes| Bound::Bytes(Cow::Owned(bytes))));
        }
        Term::JsonField(field) => return json_field(field, typ, values),
        _ => return literal(term, typ, values).map(|bytes| Bound::Bytes(Cow::Owned(bytes))),
    };
    match values.get(*index) {
        None => Err(CqlError::invalid("Invalid amount of bind variables")),
        Some(Value::Null) => Ok(Bound::Null),
        Some(Value::Unset) => Ok(Bound::Unset),
        Some(Value::Bytes(bytes)) => {
            validate(typ, bytes).map_err(|what| {
                CqlError::invalid(format!("marker {index} of type {typ} was bound to {what}"))
            })?;
            Ok(Bound::Bytes(Cow::Borrowed(bytes)))
        }
    }
}

fn literal(term: &Term, typ: &CqlType, values: &[Value<'_>]) -> Result<Vec<u8>, CqlError> {
    let wrong = || CqlError::invalid(format!("Invalid constant ({term:?}) for type {typ}"));
    let bytes = match (typ.thawed(), term) {
        (CqlType::Native(native), _) => scalar_from(term, *native),
        (CqlType::List(element), Term::List(items)) => {
            Some(collection(&parts(items, element, values)?))
        }
        (CqlType::Vector(element, len), Term::List(items)) if items.len() == *len => {
            Some(vector(element, &parts(items, element, values)?))
        }
        (CqlType::Set(element), Term::Set(items)) => {
            let mut items = parts(items, element, values)?;
            items.sort_by_cached_key(|item| ordered(element, item));
            items.dedup();
            Some(collection(&items))
        }
        (CqlType::Map(_), Term::Set(items)) if items.is_empty() => Some(0_i32.to_be_bytes().into()),
        (CqlType::Map(pair), Term::Map(items)) => {
            let mut entries = Vec::new();
            for (key, value) in items {
                entries.push((part(key, &pair.0, values)?, part(value, &pair.1, values)?));
            }
            // Of a key that is written twice the last value counts.
            entries.reverse();
            entries.sort_by_cached_key(|(key, _)| ordered(&pair.0, key));
            entries.dedup_by(|later, first| later.0 == first.0);
            Some(map(&entries))
        }
        (CqlType::Tuple(types), Term::Tuple(items)) if items.len() <= types.len() => {
            let mut bytes = Vec::new();
            for (item, typ) in items.iter().zip(types) {
                let value = evaluate(item, typ, values)?.into_bytes();
                Writer::new(&mut bytes).bytes(value.as_deref());
            }
            Some(bytes)
        }
        (CqlType::Udt(udt), Term::Udt(fields)) => Some(udt_literal(udt, fields, values)?),
        _ => None,
    };
    bytes.ok_or_else(wrong)
}

/// The names that a text of JSON has values for, and the values.
pub(crate) fn json_fields(
    text: &Term,
    values: &[Value<'_>],
) -> Result<Vec<(String, Json)>, CqlError> {
    let Bound::Bytes(bytes) = evaluate(text, &CqlType::TEXT, values)? else {
        return Err(CqlError::invalid("Got null for INSERT JSON values"));
    };
    match json::parse(&String::from_utf8_lossy(&bytes)).map_err(CqlError::invalid)? {
        Json::Object(fields) => {
            let name = |(key, value): (String, Json)| (json::column_name(&key), value);
            Ok(fields.into_iter().map(name).collect())
        }
        _ => Err(CqlError::invalid("Could not decode JSON string as a map")),
    }
}

fn json_field<'a>(
    field: &JsonField,
    typ: &CqlType,
    values: &[Value<'_>],
) -> Result<Bound<'a>, CqlError> {
    let fields = json_fields(&field.text, values)?;
    let Some((_, json)) = fields.iter().rev().find(|(name, _)| *name == field.column) else {
        return Ok(if field.keeps_others { Bound::Unset } else { Bound::Null });
    };
    let value = json::from_json(typ, json).map_err(|what| {
        CqlError::invalid(format!("Error decoding JSON value for {}: {what}", field.column))
    })?;
    Ok(value.map_or(Bound::Null, |bytes| Bound::Bytes(Cow::Owned(bytes))))
}

fn udt_literal(
    udt: &Udt,
    fields: &[(String, Term)],
    values: &[Value<'_>],
) -> Result<Vec<u8>, CqlError> {
    if let Some((name, _)) = fields.iter().find(|(name, _)| udt.field(name).is_none()) {
        let message = format!("Unknown field '{name}' in value of user defined type {}", udt.name);
        return Err(CqlError::invalid(message));
    }
    let part = |(name, typ): &(String, CqlType)| {
        let given = fields.iter().find(|(field, _)| field == name);
        let value = given.map(|(_, term)| evaluate(term, typ, values)).transpose()?;
        Ok(value.and_then(Bound::into_bytes).map(Cow::into_owned))
    };
    Ok(tuple(&udt.fields.iter().map(part).collect::<Result<Vec<_>, CqlError>>()?))
}

fn parts(items: &[Term], typ: &CqlType, values: &[Value<'_>]) -> Result<Vec<Vec<u8>>, CqlError> {
    items.iter().map(|item| part(item, typ, values)).collect()
}

fn part(item: &Term, typ: &CqlType, values: &[Value<'_>]) -> Result<Vec<u8>, CqlError> {
    evaluate(item, typ, values)?
        .into_bytes()
        .map(Cow::into_owned)
        .ok_or_else(|| CqlError::invalid("null is not supported inside collections"))
}

/// `[int] n` and n times `[bytes]`.
pub(crate) fn collection(items: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Writer::new(&mut bytes);
    out.len(items.len());
    for item in items {
        out.bytes(Some(item));
    }
    bytes
}

/// `[int] n` and n times key and value.
pub(crate) fn map(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Writer::new(&mut bytes);
    out.len(entries.len());
    for (key, value) in entries {
        out.bytes(Some(key));
        out.bytes(Some(value));
    }
    bytes
}

/// The bytes of a literal of a scalar type; `None` if it is none.
pub(crate) fn scalar_from(term: &Term, native: Native) -> Option<Vec<u8>> {
    match term {
        Term::Integer(digits) => integer(digits, native),
        Term::Float(digits) => match native {
            Native::Double => Some(digits.parse::<f64>().ok()?.to_be_bytes().to_vec()),
            Native::Float => Some(digits.parse::<f32>().ok()?.to_be_bytes().to_vec()),
            Native::Decimal => decimal_bytes(digits),
            _ => None,
        },
        Term::Boolean(value) if native == Native::Boolean => Some(vec![u8::from(*value)]),
        Term::Blob(bytes) if native == Native::Blob => Some(bytes.clone()),
        Term::Uuid(bytes) if native == Native::Uuid => Some(bytes.to_vec()),
        Term::Uuid(bytes) if native == Native::Timeuuid && bytes[6] >> 4 == 1 => {
            Some(bytes.to_vec())
        }
        Term::Duration(text) if native == Native::Duration => parse_duration(text),
        Term::Text(text) => from_text(text, native),
        _ => None,
    }
}

fn decimal_bytes(digits: &str) -> Option<Vec<u8>> {
    let (scale, unscaled) = decimal(digits)?;
    Some([&scale.to_be_bytes()[..], &unscaled].concat())
}

fn integer(digits: &str, native: Native) -> Option<Vec<u8>> {
    Some(match native {
        Native::Tinyint => digits.parse::<i8>().ok()?.to_be_bytes().to_vec(),
        Native::Smallint => digits.parse::<i16>().ok()?.to_be_bytes().to_vec(),
        Native::Int => digits.parse::<i32>().ok()?.to_be_bytes().to_vec(),
        Native::Bigint | Native::Counter | Native::Timestamp | Native::Time => {
            digits.parse::<i64>().ok()?.to_be_bytes().to_vec()
        }
        // A bare number is the encoded day, whose centre 2^31 is 1970-01-01.
        Native::Date => digits.parse::<u32>().ok()?.to_be_bytes().to_vec(),
        Native::Double => digits.parse::<f64>().ok()?.to_be_bytes().to_vec(),
        Native::Float => digits.parse::<f32>().ok()?.to_be_bytes().to_vec(),
        Native::Varint => varint_from_decimal(digits)?,
        Native::Decimal => decimal_bytes(digits)?,
        _ => return None,
    })
}

fn from_text(text: &str, native: Native) -> Option<Vec<u8>> {
    Some(match native {
        Native::Ascii if !text.is_ascii() => return None,
        Native::Ascii | Native::Text => text.as_bytes().to_vec(),
        Native::Inet => match text.parse::<IpAddr>().ok()? {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        },
        Native::Timestamp => parse_timestamp(text)?.to_be_bytes().to_vec(),
        Native::Date => {
            u32::try_from(parse_date(text)?.checked_add(1 << 31)?).ok()?.to_be_bytes().to_vec()
        }
        Native::Time => parse_time(text)?.to_be_bytes().to_vec(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(term: &Term, typ: &CqlType, expect: Option<&[u8]>) {
        let bytes = evaluate(term, typ, &[]).ok().and_then(Bound::into_bytes);
        assert_eq!(bytes.as_deref(), expect, "{term:?} as {typ}");
    }

    #[test]
    fn literals_by_type() {
        let one = Term::Integer("1".into());
        check(&one, &CqlType::INT, Some(&[0, 0, 0, 1]));
        check(&one, &CqlType::Native(Native::Tinyint), Some(&[1]));
        check(&one, &CqlType::TEXT, None);
        check(&Term::Text("a".into()), &CqlType::INT, None);
        check(&Term::Integer("300".into()), &CqlType::Native(Native::Tinyint), None);
        let set = CqlType::Set(Box::new(CqlType::Native(Native::Tinyint)));
        let items = Term::Set(vec![Term::Integer("2".into()), one.clone(), one.clone()]);
        check(&items, &set, Some(&[0, 0, 0, 2, 0, 0, 0, 1, 1, 0, 0, 0, 1, 2]));
        check(
            &Term::Text("::1".into()),
            &CqlType::Native(Native::Inet),
            Some(&{
                let mut bytes = [0; 16];
                bytes[15] = 1;
                bytes
            }),
        );
    }

    #[test]
    fn bound_values_are_validated() {
        let value = [Value::Bytes(&[1, 2])];
        assert!(evaluate(&Term::Marker(0), &CqlType::INT, &value).is_err());
        assert!(evaluate(&Term::Marker(1), &CqlType::INT, &value).is_err());
        assert_eq!(evaluate(&Term::Marker(0), &CqlType::INT, &[Value::Unset]), Ok(Bound::Unset));
    }
}
