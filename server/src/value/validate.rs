//! Whether bytes are a value of a type: what a client binds is not trusted.

use super::number::{read_uvint, read_vint};
use super::types::{CqlType, Native};

/// Says what is wrong with `bytes` as a value of `typ`.
pub(crate) fn validate(typ: &CqlType, bytes: &[u8]) -> Result<(), String> {
    match typ {
        CqlType::Native(native) => validate_native(*native, bytes),
        CqlType::Frozen(inner) => validate(inner, bytes),
        CqlType::List(element) | CqlType::Set(element) => {
            elements(bytes, 1)?.into_iter().try_for_each(|part| validate(element, part))
        }
        CqlType::Map(pair) => {
            let parts = elements(bytes, 2)?;
            parts.into_iter().enumerate().try_for_each(|(i, part)| {
                validate(if i % 2 == 0 { &pair.0 } else { &pair.1 }, part)
            })
        }
        CqlType::Tuple(parts) => validate_parts(parts.iter(), bytes),
        CqlType::Udt(udt) => validate_parts(udt.fields.iter().map(|(_, typ)| typ), bytes),
        CqlType::Vector(element, len) => {
            let parts = vector_elements(element, *len, bytes)?;
            parts.into_iter().try_for_each(|part| validate(element, part))
        }
        CqlType::Named(_, name) => Err(format!("a value of {name}, which is no type")),
    }
}

fn validate_native(native: Native, bytes: &[u8]) -> Result<(), String> {
    let lengths: &[usize] = match native {
        Native::Ascii => {
            return if bytes.is_ascii() { Ok(()) } else { Err("not ASCII".to_owned()) };
        }
        Native::Text => {
            return std::str::from_utf8(bytes).map(|_| ()).map_err(|_| "not UTF-8".to_owned());
        }
        Native::Blob => return Ok(()),
        Native::Varint => {
            return if bytes.is_empty() { Err("an empty varint".to_owned()) } else { Ok(()) };
        }
        Native::Decimal => {
            return if bytes.is_empty() || bytes.len() > 4 {
                Ok(())
            } else {
                Err("a decimal without digits".to_owned())
            };
        }
        Native::Duration => return validate_duration(bytes),
        Native::Boolean | Native::Tinyint => &[0, 1],
        Native::Smallint => &[0, 2],
        Native::Int | Native::Float | Native::Date => &[0, 4],
        Native::Bigint | Native::Counter | Native::Double | Native::Timestamp | Native::Time => {
            &[0, 8]
        }
        Native::Uuid | Native::Timeuuid => &[0, 16],
        Native::Inet => &[0, 4, 16],
    };
    if !lengths.contains(&bytes.len()) {
        return Err(format!("{} bytes, expected {lengths:?}", bytes.len()));
    }
    if native == Native::Timeuuid && bytes.get(6).is_some_and(|b| b >> 4 != 1) {
        return Err("a UUID that is not version 1".to_owned());
    }
    if native == Native::Time
        && bytes
            .first_chunk()
            .is_some_and(|b| !(0..86_400_000_000_000).contains(&i64::from_be_bytes(*b)))
    {
        return Err("a time outside a day".to_owned());
    }
    Ok(())
}

fn validate_duration(mut bytes: &[u8]) -> Result<(), String> {
    let parts: Option<Vec<i64>> = (0..3).map(|_| read_vint(&mut bytes)).collect();
    match parts {
        Some(parts) if bytes.is_empty() => {
            let mixed = parts.iter().any(|&p| p < 0) && parts.iter().any(|&p| p > 0);
            if mixed { Err("a duration of mixed signs".to_owned()) } else { Ok(()) }
        }
        _ => Err("not a duration".to_owned()),
    }
}

/// Splits `[int] n` and `n * per_item` times `[bytes]`.
pub(crate) fn elements(bytes: &[u8], per_item: usize) -> Result<Vec<&[u8]>, String> {
    let mut rest = bytes;
    let count = take_int(&mut rest).ok_or("a collection without a count")?;
    let count = usize::try_from(count).map_err(|_| "a negative count")?;
    let mut parts = Vec::new();
    for _ in 0..count.checked_mul(per_item).ok_or("too many elements")? {
        parts.push(take_bytes(&mut rest)?.ok_or("null inside a collection")?);
    }
    if rest.is_empty() { Ok(parts) } else { Err("bytes after a collection".to_owned()) }
}

fn validate_parts<'t>(
    types: impl Iterator<Item = &'t CqlType>,
    bytes: &[u8],
) -> Result<(), String> {
    let mut rest = bytes;
    for typ in types {
        if rest.is_empty() {
            return Ok(());
        }
        if let Some(part) = take_bytes(&mut rest)? {
            validate(typ, part)?;
        }
    }
    if rest.is_empty() { Ok(()) } else { Err("a tuple with too many parts".to_owned()) }
}

/// Splits a tuple or a value of a user-defined type; parts that are left out are null.
pub(crate) fn parts(bytes: &[u8]) -> Result<Vec<Option<&[u8]>>, String> {
    let mut rest = bytes;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        parts.push(take_bytes(&mut rest)?);
    }
    Ok(parts)
}

/// Splits a vector.
pub(crate) fn vector_elements<'b>(
    element: &CqlType,
    len: usize,
    bytes: &'b [u8],
) -> Result<Vec<&'b [u8]>, String> {
    let mut rest = bytes;
    let mut parts = Vec::new();
    for _ in 0..len {
        let part_len = match element.fixed_len() {
            Some(len) => len,
            None => read_uvint(&mut rest)
                .and_then(|len| usize::try_from(len).ok())
                .ok_or("an element of a vector without a length")?,
        };
        let (part, after) = rest
            .split_at_checked(part_len)
            .ok_or_else(|| format!("a vector with fewer than {len} elements"))?;
        parts.push(part);
        rest = after;
    }
    if rest.is_empty() { Ok(parts) } else { Err(format!("a vector with more than {len} elements")) }
}

fn take_int(rest: &mut &[u8]) -> Option<i32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(i32::from_be_bytes(*head))
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, String> {
    let len = take_int(rest).ok_or("an element without a length")?;
    let Ok(len) = usize::try_from(len) else { return Ok(None) };
    let (head, tail) = rest.split_at_checked(len).ok_or("an element that is cut off")?;
    *rest = tail;
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections() {
        let list = CqlType::List(Box::new(CqlType::INT));
        assert!(validate(&list, &[0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9]).is_ok());
        assert!(validate(&list, &[0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 9]).is_err());
        assert!(validate(&list, &[0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
        assert!(validate(&list, &[0x7F, 0xFF, 0xFF, 0xFF]).is_err());
        assert!(validate(&list, &[0, 0, 0, 0, 1]).is_err());
    }

    #[test]
    fn scalars() {
        assert!(validate(&CqlType::INT, &[0, 0, 1]).is_err());
        assert!(validate(&CqlType::TEXT, &[0xFF]).is_err());
        assert!(validate(&CqlType::Native(Native::Inet), &[127, 0, 0, 1]).is_ok());
        assert!(validate(&CqlType::Native(Native::Duration), &[2, 4, 6]).is_ok());
        assert!(validate(&CqlType::Native(Native::Duration), &[2, 3, 6]).is_err());
    }
}
