//! Integers of any size, as CQL's `varint` and `decimal` carry them.

/// Minimal two's complement of a decimal integer such as `-129`.
pub(crate) fn varint_from_decimal(text: &str) -> Option<Vec<u8>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    // Little-endian magnitude in base 256.
    let mut magnitude: Vec<u8> = Vec::new();
    for digit in digits.bytes() {
        let mut carry = char::from(digit).to_digit(10)?;
        for byte in &mut magnitude {
            let value = u32::from(*byte) * 10 + carry;
            *byte = low_byte(value);
            carry = value >> 8;
        }
        if carry > 0 {
            magnitude.push(low_byte(carry));
        }
    }
    Some(twos_complement(magnitude, negative))
}

fn low_byte(value: u32) -> u8 {
    value.to_le_bytes()[0]
}

fn twos_complement(mut magnitude: Vec<u8>, negative: bool) -> Vec<u8> {
    if negative {
        negate(&mut magnitude);
        // Sign extension is needed unless the top bit already says negative.
        if magnitude.iter().any(|&b| b != 0) && magnitude.last().is_none_or(|&b| b < 0x80) {
            magnitude.push(0xFF);
        }
    } else if magnitude.last().is_none_or(|&b| b >= 0x80) {
        magnitude.push(0);
    }
    if magnitude.is_empty() {
        magnitude.push(0);
    }
    magnitude.reverse();
    magnitude
}

/// Two's complement negation of little-endian bytes.
fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes {
        let (value, overflow) = (!*byte).overflowing_add(u8::from(carry));
        *byte = value;
        carry = overflow;
    }
}

/// Whether the varint is negative, and the decimal digits of its magnitude without leading zeros.
pub(crate) fn varint_to_decimal(bytes: &[u8]) -> (bool, String) {
    let negative = bytes.first().is_some_and(|&b| b >= 0x80);
    let mut magnitude: Vec<u8> = bytes.iter().rev().copied().collect();
    if negative {
        magnitude.push(0xFF);
        negate(&mut magnitude);
    }
    // Little-endian decimal digits.
    let mut digits: Vec<u8> = Vec::new();
    for byte in magnitude.iter().rev() {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            let value = u32::from(*digit) * 256 + carry;
            *digit = low_byte(value % 10);
            carry = value / 10;
        }
        while carry > 0 {
            digits.push(low_byte(carry % 10));
            carry /= 10;
        }
    }
    (negative, digits.iter().rev().map(|d| char::from(b'0' + d)).collect())
}

/// Scale and unscaled value of a decimal literal such as `123.45` or `1e3`.
pub(crate) fn decimal(text: &str) -> Option<(i32, Vec<u8>)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let unscaled = varint_from_decimal(&format!("{whole}{fraction}"))?;
    let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    Some((scale, unscaled))
}

/// Appends a zig-zag `[vint]`.
pub(crate) fn write_vint(value: i64, out: &mut Vec<u8>) {
    write_uvint(((value >> 63) ^ (value << 1)).cast_unsigned(), out);
}

/// Appends an `[unsigned vint]`.
pub(crate) fn write_uvint(unsigned: u64, out: &mut Vec<u8>) {
    let significant = 64 - (unsigned | 1).leading_zeros() as usize;
    // Each extra byte brings seven more bits, until the ninth byte brings the last eight.
    let extra = ((significant - 1) / 7).min(8);
    let bytes = unsigned.to_be_bytes();
    let start = out.len();
    if extra == 8 {
        out.push(0xFF);
        out.extend_from_slice(&bytes);
        return;
    }
    out.extend_from_slice(bytes.get(7 - extra..).unwrap_or_default());
    if let Some(first) = out.get_mut(start) {
        *first |= !(0xFF_u8 >> extra);
    }
}

/// Reads a zig-zag `[vint]` off the front.
pub(crate) fn read_vint(bytes: &mut &[u8]) -> Option<i64> {
    let value = read_uvint(bytes)?;
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

/// Reads an `[unsigned vint]` off the front.
pub(crate) fn read_uvint(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    let extra = first.leading_ones() as usize;
    let (tail, rest) = rest.split_at_checked(extra)?;
    *bytes = rest;
    let mut value = if extra >= 7 { 0 } else { u64::from(first & (0xFF >> extra)) };
    for byte in tail {
        value = value << 8 | u64::from(*byte);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints() {
        for (text, bytes) in [
            ("0", &[0][..]),
            ("-0", &[0]),
            ("127", &[0x7F]),
            ("128", &[0, 0x80]),
            ("255", &[0, 0xFF]),
            ("-1", &[0xFF]),
            ("-128", &[0x80]),
            ("-129", &[0xFF, 0x7F]),
            ("-256", &[0xFF, 0]),
            ("9223372036854775808", &[0, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(varint_from_decimal(text).unwrap(), bytes, "{text}");
            let (negative, digits) = varint_to_decimal(bytes);
            let back = format!("{}{digits}", if negative { "-" } else { "" });
            if !text.ends_with('0') || text.len() > 2 {
                assert_eq!(back, text);
            }
        }
        assert_eq!(varint_from_decimal("x"), None);
    }

    #[test]
    fn decimals() {
        assert_eq!(decimal("123.45").unwrap(), (2, vec![0x30, 0x39]));
        assert_eq!(decimal("-0.01").unwrap(), (2, vec![0xFF]));
        assert_eq!(decimal("1e3").unwrap(), (-3, vec![1]));
    }

    #[test]
    fn vints() {
        let mut out = Vec::new();
        for value in [1, 2, 3, -1, -2, -1_000_000_000, i64::MAX, i64::MIN, 0, 63, 64, 8191, 8192] {
            out.clear();
            write_vint(value, &mut out);
            assert_eq!(read_vint(&mut &out[..]), Some(value), "{out:02x?}");
        }
        out.clear();
        write_vint(-1_000_000_000, &mut out);
        assert_eq!(out, [0xF0, 0x77, 0x35, 0x93, 0xFF]);
    }
}
