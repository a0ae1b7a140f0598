//! Values as text, as Cassandra writes them: for JSON and for casts.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::number::{read_vint, varint_to_decimal};
use super::types::Native;

/// A valid value of a scalar type as text; nothing for an empty one.
pub(crate) fn scalar_text(native: Native, bytes: &[u8]) -> String {
    if bytes.is_empty() && native != Native::Blob {
        return String::new();
    }
    match native {
        Native::Ascii | Native::Text => String::from_utf8_lossy(bytes).into_owned(),
        Native::Blob => format!("0x{}", hex(bytes)),
        Native::Boolean => (bytes != [0]).to_string(),
        Native::Tinyint | Native::Smallint | Native::Int | Native::Bigint | Native::Counter => {
            integer(bytes).to_string()
        }
        Native::Varint => signed_digits(bytes),
        Native::Decimal => decimal_text(bytes),
        Native::Float => {
            let value = bytes.first_chunk().map_or(0.0, |bytes| f32::from_be_bytes(*bytes));
            java_float(f64::from(value), &format!("{value:e}"))
        }
        Native::Double => {
            let value = bytes.first_chunk().map_or(0.0, |bytes| f64::from_be_bytes(*bytes));
            java_float(value, &format!("{value:e}"))
        }
        Native::Date => {
            let day = bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            date_text(i64::from(day) - (1 << 31))
        }
        Native::Time => time_text(integer(bytes)),
        Native::Timestamp => timestamp_text(integer(bytes)),
        Native::Duration => duration_text(bytes),
        Native::Inet => match bytes {
            [a, b, c, d] => IpAddr::from([*a, *b, *c, *d]).to_string(),
            // Java shortens nothing.
            _ => bytes
                .chunks(2)
                .map(|group| format!("{:x}", integer(&[&[0], group].concat())))
                .collect::<Vec<_>>()
                .join(":"),
        },
        Native::Uuid | Native::Timeuuid => {
            let uuid = <[u8; 16]>::try_from(bytes).map(uuid::Uuid::from_bytes);
            uuid.map_or_else(|_| hex(bytes), |uuid| uuid.to_string())
        }
    }
}

/// Digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String does not fail
        text
    })
}

/// A big-endian integer of at most eight bytes.
pub(crate) fn integer(bytes: &[u8]) -> i64 {
    let start = if bytes.first().is_some_and(|&b| b >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(start, |value: i64, byte| value << 8 | i64::from(*byte))
}

fn signed_digits(bytes: &[u8]) -> String {
    let (negative, digits) = varint_to_decimal(bytes);
    let digits = digits.trim_start_matches('0');
    match (negative, digits) {
        (_, "") => "0".to_owned(),
        (true, digits) => format!("-{digits}"),
        (false, digits) => digits.to_owned(),
    }
}

/// As Java's `BigDecimal.toString`: with an exponent where the scale is negative or the number
/// small.
fn decimal_text(bytes: &[u8]) -> String {
    let Some((scale, unscaled)) = bytes.split_first_chunk::<4>() else { return String::new() };
    let scale = i64::from(i32::from_be_bytes(*scale));
    let text = signed_digits(unscaled);
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let adjusted = count - 1 - scale;
    if scale == 0 {
        return text;
    }
    if scale > 0 && adjusted >= -6 {
        let scale = usize::try_from(scale).unwrap_or(0);
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at_checked(digits.len() - scale).unwrap_or_default();
        return format!("{sign}{whole}.{fraction}");
    }
    let (first, rest) = digits.split_at_checked(1).unwrap_or_default();
    let point = if rest.is_empty() { "" } else { "." };
    let plus = if adjusted >= 0 { "+" } else { "" };
    let exponent = if adjusted == 0 { String::new() } else { format!("E{plus}{adjusted}") };
    format!("{sign}{first}{point}{rest}{exponent}")
}

/// As Java writes floating-point numbers; `scientific` is Rust's `{:e}` of it.
fn java_float(value: f64, scientific: &str) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0.0" } else { "0.0" }.to_owned();
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let with_point =
        |text: &str| if text.contains('.') { text.to_owned() } else { format!("{text}.0") };
    if !(-3..7).contains(&exponent) {
        return format!("{}E{exponent}", with_point(mantissa));
    }
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let digits = mantissa.replace('.', "");
    if exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = usize::try_from(exponent).unwrap_or(0) + 1;
    let digits = format!("{digits:0<whole$}");
    let (whole, fraction) = digits.split_at_checked(whole).unwrap_or_default();
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    format!("{sign}{whole}.{fraction}")
}

/// Year, month and day of a number of days since 1970-01-01.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// `yyyy-mm-dd` of days since 1970-01-01.
pub(crate) fn date_text(days: i64) -> String {
    let (year, month, day) = civil(days);
    let sign = if year < 0 { "-" } else { "" };
    format!("{sign}{:04}-{month:02}-{day:02}", year.abs())
}

fn time_text(nanos: i64) -> String {
    let seconds = nanos / 1_000_000_000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:09}", nanos % 1_000_000_000)
}

fn timestamp_text(millis: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    let of_day = millis.rem_euclid(DAY_MS);
    let date = date_text(millis.div_euclid(DAY_MS));
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, millis) = (of_day / 1000 % 60, of_day % 1000);
    format!("{date} {hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

fn duration_text(mut bytes: &[u8]) -> String {
    let mut part = || read_vint(&mut bytes).unwrap_or(0);
    let (months, days, nanos) = (part(), part(), part());
    let is_negative = months < 0 || days < 0 || nanos < 0;
    let mut text = if is_negative { "-".to_owned() } else { String::new() };
    let mut rest = |rest: u64, units: &[(&str, u64)]| {
        let mut rest = rest;
        for (unit, len) in units {
            if rest / len > 0 {
                let _ = write!(text, "{}{unit}", rest / len); // to a String does not fail
                rest %= len;
            }
        }
    };
    rest(months.unsigned_abs(), &[("y", 12), ("mo", 1)]);
    rest(days.unsigned_abs(), &[("d", 1)]);
    let units = [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1000),
        ("ns", 1),
    ];
    rest(nanos.unsigned_abs(), &units);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::number::decimal;
    use crate::value::time::{parse_date, parse_duration, parse_timestamp};

    #[track_caller]
    fn check(native: Native, bytes: &[u8], expect: &str) {
        assert_eq!(scalar_text(native, bytes), expect);
    }

    #[test]
    fn numbers_as_java_writes_them() {
        for (value, expect) in [
            (1.5, "1.5"),
            (-0.0, "-0.0"),
            (100.0, "100.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (1_234_567.0, "1234567.0"),
            (12_345_678.0, "1.2345678E7"),
            (f64::MAX, "1.7976931348623157E308"),
        ] {
            check(Native::Double, &f64::to_be_bytes(value), expect);
        }
        check(Native::Float, &0.1_f32.to_be_bytes(), "0.1");
        for text in ["0", "-1.5", "0.00", "123.456", "1.5E+10", "1E-40", "0.000001"] {
            let (scale, unscaled) = decimal(&text.replace("E+", "e")).unwrap();
            check(Native::Decimal, &[&scale.to_be_bytes()[..], &unscaled].concat(), text);
        }
    }

    #[test]
    fn times_as_cassandra_writes_them() {
        for text in ["1970-01-01", "2000-02-29", "1969-12-31", "9999-12-31", "-0001-03-01"] {
            assert_eq!(date_text(parse_date(text).unwrap()), text);
        }
        let at = parse_timestamp("2020-09-13 12:26:40.5+0000").unwrap();
        check(Native::Timestamp, &at.to_be_bytes(), "2020-09-13 12:26:40.500Z");
        check(Native::Time, &1_i64.to_be_bytes(), "00:00:00.000000001");
        for text in ["1y2mo3d4h5m6s7ms8us9ns", "-1mo", "5d"] {
            check(Native::Duration, &parse_duration(text).unwrap(), text);
        }
    }
}
