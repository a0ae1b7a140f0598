//! Bytes that compare as the values do.
//!
//! A clustering key is stored as the concatenation of its columns' ordered bytes, so that a plain
//! byte comparison sorts rows, a prefix is a range, and DESC is the complement of every byte.

use super::number::varint_to_decimal;
use super::types::{CqlType, Native};
use super::validate::{elements, parts, vector_elements};

/// Appends the ordered form of a valid value; `desc` reverses it.
pub(crate) fn write_ordered(typ: &CqlType, bytes: &[u8], desc: bool, out: &mut Vec<u8>) {
    let start = out.len();
    // Empty values of fixed-length types sort before all others.
    if bytes.is_empty() {
        out.push(0);
    } else {
        out.push(1);
        write_value(typ, bytes, out);
    }
    if desc {
        for byte in out.iter_mut().skip(start) {
            *byte = !*byte;
        }
    }
}

/// Ordered form of one value, ascending.
pub(crate) fn ordered(typ: &CqlType, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 3);
    write_ordered(typ, bytes, false, &mut out);
    out
}

fn write_value(typ: &CqlType, bytes: &[u8], out: &mut Vec<u8>) {
    match typ {
        CqlType::Frozen(inner) => write_value(inner, bytes, out),
        CqlType::Native(native) => write_native(*native, bytes, out),
        CqlType::List(element) | CqlType::Set(element) => {
            for part in elements(bytes, 1).unwrap_or_default() {
                out.push(1);
                write_ordered(element, part, false, out);
            }
            out.push(0);
        }
        CqlType::Map(pair) => {
            for (i, part) in elements(bytes, 2).unwrap_or_default().into_iter().enumerate() {
                out.push(1);
                write_ordered(if i % 2 == 0 { &pair.0 } else { &pair.1 }, part, false, out);
            }
            out.push(0);
        }
        CqlType::Tuple(types) => write_parts(types.iter(), bytes, out),
        CqlType::Udt(udt) => write_parts(udt.fields.iter().map(|(_, typ)| typ), bytes, out),
        CqlType::Vector(element, len) => {
            for part in vector_elements(element, *len, bytes).unwrap_or_default() {
                write_ordered(element, part, false, out);
            }
        }
        CqlType::Named(..) => write_escaped(bytes, out),
    }
}

/// Parts in order, null before all others; a part that is left out is less than one that is null.
fn write_parts<'t>(types: impl Iterator<Item = &'t CqlType>, bytes: &[u8], out: &mut Vec<u8>) {
    for (typ, part) in types.zip(parts(bytes).unwrap_or_default()) {
        match part {
            None => out.push(1),
            Some(part) => {
                out.push(2);
                write_ordered(typ, part, false, out);
            }
        }
    }
    out.push(0);
}

fn write_native(native: Native, bytes: &[u8], out: &mut Vec<u8>) {
    match native {
        Native::Ascii | Native::Text | Native::Blob | Native::Inet => write_escaped(bytes, out),
        Native::Date | Native::Boolean => out.extend_from_slice(bytes),
        Native::Tinyint
        | Native::Smallint
        | Native::Int
        | Native::Bigint
        | Native::Counter
        | Native::Timestamp
        | Native::Time => {
            let start = out.len();
            out.extend_from_slice(bytes);
            flip_sign(out, start);
        }
        Native::Float | Native::Double => write_float(bytes, out),
        Native::Uuid => write_uuid(bytes, out),
        Native::Timeuuid => write_timeuuid(bytes, out),
        Native::Varint => {
            let (negative, digits) = varint_to_decimal(bytes);
            write_scaled(negative, &digits, 0, out);
        }
        Native::Decimal => {
            let Some((scale, unscaled)) = bytes.split_first_chunk::<4>() else { return };
            let (negative, digits) = varint_to_decimal(unscaled);
            write_scaled(negative, &digits, i64::from(i32::from_be_bytes(*scale)), out);
        }
        // Durations have no order; equality is all that is asked of them.
        Native::Duration => write_escaped(bytes, out),
    }
}

fn flip_sign(out: &mut [u8], at: usize) {
    if let Some(first) = out.get_mut(at) {
        *first ^= 0x80;
    }
}

/// Bytes of any length: 00 becomes 00 FF, and 00 00 ends them, so that a prefix sorts first.
fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0 {
            out.push(0xFF);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

fn write_float(bytes: &[u8], out: &mut Vec<u8>) {
    let negative = bytes.first().is_some_and(|&b| b >= 0x80);
    let start = out.len();
    out.extend_from_slice(bytes);
    if negative {
        out.iter_mut().skip(start).for_each(|b| *b = !*b);
    } else {
        flip_sign(out, start);
    }
}

/// Sixty bits of time, then the low half compared as signed bytes.
fn write_timeuuid(bytes: &[u8], out: &mut Vec<u8>) {
    let Ok(uuid) = <[u8; 16]>::try_from(bytes) else { return };
    let [l0, l1, l2, l3, m0, m1, h0, h1, low @ ..] = uuid;
    out.extend_from_slice(&[h0 & 0x0F, h1, m0, m1, l0, l1, l2, l3]);
    out.extend(low.iter().map(|b| b ^ 0x80));
}

/// By version first; version 1 by time, the others by bytes.
fn write_uuid(bytes: &[u8], out: &mut Vec<u8>) {
    let version = bytes.get(6).map_or(0, |b| b >> 4);
    out.push(version);
    if version == 1 {
        write_timeuuid(bytes, out);
    } else {
        out.extend_from_slice(bytes);
    }
}

/// A decimal number: sign, exponent of its first digit, digits without trailing zeros.
fn write_scaled(negative: bool, digits: &str, scale: i64, out: &mut Vec<u8>) {
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        out.push(1);
        return;
    }
    out.push(if negative { 0 } else { 2 });
    let exponent = i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_sub(scale);
    let start = out.len();
    out.extend_from_slice(&exponent.to_be_bytes());
    flip_sign(out, start);
    out.extend_from_slice(significant.as_bytes());
    out.push(0);
    if negative {
        out.iter_mut().skip(start).for_each(|b| *b = !*b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::number::{decimal, varint_from_decimal};

    #[track_caller]
    fn check(typ: Native, ascending: &[Vec<u8>]) {
        let typ = CqlType::Native(typ);
        for desc in [false, true] {
            let mut keys: Vec<Vec<u8>> = ascending
                .iter()
                .map(|value| {
                    let mut out = Vec::new();
                    write_ordered(&typ, value, desc, &mut out);
                    out
                })
                .collect();
            if desc {
                keys.reverse();
            }
            assert!(keys.is_sorted(), "{typ} desc={desc} {keys:02x?}");
        }
    }

    #[test]
    fn every_kind_sorts_as_its_values_do() {
        check(Native::Int, &[i32::MIN, -1, 0, 1, i32::MAX].map(|v| v.to_be_bytes().to_vec()));
        check(
            Native::Double,
            &[f64::NEG_INFINITY, -1.5, -0.1, 0.0, 0.1, 2.0, f64::INFINITY]
                .map(|v| v.to_be_bytes().to_vec()),
        );
        check(Native::Text, &["", "a", "a\0", "a\0b", "ab", "b"].map(|v| v.as_bytes().to_vec()));
        let integers = ["-1000", "-999", "-129", "-1", "0", "1", "2", "10", "255", "70000"];
        check(Native::Varint, &integers.map(|v| varint_from_decimal(v).unwrap()));
        let decimals = ["-10.5", "-1.25", "-1.2", "0", "0.01", "0.1", "1", "1.0001", "9", "12"];
        check(
            Native::Decimal,
            &decimals.map(|v| {
                let (scale, unscaled) = decimal(v).unwrap();
                [&scale.to_be_bytes()[..], &unscaled].concat()
            }),
        );
    }

    #[test]
    fn timeuuids_sort_by_time() {
        let uuids =
            [1_i64, 2, 1 << 20, 1 << 40].map(|us| crate::value::time::timeuuid(us, 5).to_vec());
        check(Native::Timeuuid, &uuids);
    }
}
