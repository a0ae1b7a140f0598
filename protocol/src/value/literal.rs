//! Values as CQL literals: what `Display` shows and what a statement could hold.
//!
//! For people and tools; requests bind values instead. Whatever a value holds, its text is bounded:
//! a number of very many digits is shown as its bytes, and a time beyond the calendar's four-digit
//! years as its number, both of which CQL understands too. Nothing here allocates.
//!
//! Next: `value/convert.rs`.

use core::fmt::{self, Display, Formatter, Write};

use super::{
    Counter, CqlDate, CqlDecimal, CqlDecimalBorrowed, CqlDuration, CqlTime, CqlTimestamp,
    CqlTimeuuid, CqlVarint, CqlVarintBorrowed,
};

/// Longest number, in bytes, that is shown by its digits. Making them takes time that grows with
/// the square of the length.
pub const DIGITS_LEN_MAX: usize = 128;

/// Digits of the largest such number, rounded up.
const DIGIT_COUNT_MAX: usize = DIGITS_LEN_MAX * 5 / 2; // 8 · log10(2) = 2.41 per byte

const LIMB_COUNT: usize = DIGITS_LEN_MAX / 4;

/// A blob literal.
pub(super) struct BlobLiteral<'v>(pub(super) &'v [u8]);

impl Display for BlobLiteral<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The decimal digits of a number, the first one first.
struct Digits {
    bytes: [u8; DIGIT_COUNT_MAX],
    len: usize,
}

impl Digits {
    /// Those of the magnitude of a number; `None` if it is too long.
    fn of(number: &[u8]) -> Option<Self> {
        if number.len() > DIGITS_LEN_MAX {
            return None;
        }
        let is_negative = is_negative(number);
        // The magnitude as base 2^32, the lowest limb first. Of a negative number that is the
        // inverse of its bits, and one more.
        let mut limbs = [0_u32; LIMB_COUNT];
        let mut carry = is_negative;
        for (limb, bytes) in limbs.iter_mut().zip(number.rchunks(4)) {
            let mut value = 0_u32;
            for byte in bytes {
                value = (value << 8) | u32::from(if is_negative { !byte } else { *byte });
            }
            // Only a full limb overflows, and only then is there a next one to carry to: a
            // shorter one is the last, and its inverse leaves room.
            (*limb, carry) = value.overflowing_add(u32::from(carry));
        }
        let mut digits = Self { bytes: [b'0'; DIGIT_COUNT_MAX], len: 0 };
        // Nine digits at a time, the lowest first, from the end of the buffer.
        let mut free = digits.bytes.as_mut_slice();
        let mut limb_count = LIMB_COUNT;
        while limb_count > 0 {
            let mut rest = 0_u64;
            for limb in limbs.iter_mut().take(limb_count).rev() {
                let value = (rest << 32) | u64::from(*limb);
                *limb = u32::try_from(value / 1_000_000_000).unwrap_or(0);
                rest = value % 1_000_000_000;
            }
            while limb_count > 0 && limbs.get(limb_count - 1) == Some(&0) {
                limb_count -= 1;
            }
            for _ in 0..9 {
                let Some((digit, head)) = core::mem::take(&mut free).split_last_mut() else {
                    break; // only zeros are left
                };
                *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
                rest /= 10;
                free = head;
            }
        }
        let zeros = digits.bytes.iter().take_while(|digit| **digit == b'0').count();
        digits.len = DIGIT_COUNT_MAX.saturating_sub(zeros).max(1);
        Some(digits)
    }

    fn as_str(&self) -> &str {
        let digits = self.bytes.get(DIGIT_COUNT_MAX.saturating_sub(self.len)..).unwrap_or(b"0");
        core::str::from_utf8(digits).unwrap_or("0")
    }
}

fn is_negative(number: &[u8]) -> bool {
    number.first().is_some_and(|first| *first > 0x7F)
}

fn show_varint(number: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    match Digits::of(number) {
        Some(digits) => f.pad_integral(!is_negative(number), "", digits.as_str()),
        None => write!(f, "blobAsVarint({})", BlobLiteral(number)),
    }
}

/// As other clients show it: plain digits, or an exponent where these would be mostly zeros.
fn show_decimal(number: &[u8], scale: i32, f: &mut Formatter<'_>) -> fmt::Result {
    let Some(digits) = Digits::of(number) else {
        f.write_str("blobAsDecimal(0x")?;
        write!(f, "{scale:08x}")?;
        number.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        return f.write_char(')');
    };
    let digits = digits.as_str();
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    if is_negative(number) {
        f.write_char('-')?;
    }
    let exponent = count - 1 - i64::from(scale); // of the first digit
    if scale < 0 || exponent < -6 {
        let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
        f.write_str(first)?;
        if !rest.is_empty() {
            write!(f, ".{rest}")?;
        }
        return write!(f, "E{exponent:+}");
    }
    let whole = usize::try_from(exponent + 1).unwrap_or(0);
    match digits.split_at_checked(whole) {
        Some((whole, "")) => f.write_str(whole),
        Some(("", part)) => {
            write!(f, "0.{:0>width$}", part, width = usize::try_from(scale).unwrap_or(0))
        }
        Some((whole, part)) => write!(f, "{whole}.{part}"),
        None => f.write_str(digits),
    }
}

impl Display for Counter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// In decimal; of more than [`DIGITS_LEN_MAX`] bytes as `blobAsVarint(0x…)`.
impl Display for CqlVarint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        show_varint(self.as_signed_bytes_be_slice(), f)
    }
}

/// As [`CqlVarint`].
impl Display for CqlVarintBorrowed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        show_varint(self.as_signed_bytes_be_slice(), f)
    }
}

/// In decimal; of more than [`DIGITS_LEN_MAX`] bytes as `blobAsDecimal(0x…)`.
impl Display for CqlDecimal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (number, scale) = self.as_signed_be_bytes_slice_and_exponent();
        show_decimal(number, scale, f)
    }
}

/// As [`CqlDecimal`].
impl Display for CqlDecimalBorrowed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (number, scale) = self.as_signed_be_bytes_slice_and_exponent();
        show_decimal(number, scale, f)
    }
}

/// Year, month and day of a day counted from 1970-01-01, by the calendar that goes on in both
/// directions; `None` where the year has not four digits, because a literal must.
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    // Counted from 0000-03-01, so that the day that leap years add is the last of a year, in eras
    // of 400 years, which all have as many days.
    let days = days.checked_add(719_468)?;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (0..=9999).contains(&year).then_some((year, month, day))
}

/// `'1970-01-01'`, or the number where the year has not four digits.
impl Display for CqlDate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match civil(i64::from(self.0) - (1 << 31)) {
            Some((year, month, day)) => write!(f, "'{year:04}-{month:02}-{day:02}'"),
            None => self.0.fmt(f),
        }
    }
}

/// `'08:30:00.000000000'`, or the number where that is no time of a day.
impl Display for CqlTime {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.is_valid() {
            return self.0.fmt(f);
        }
        let (seconds, nanoseconds) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "'{hours:02}:{minutes:02}:{:02}.{nanoseconds:09}'", seconds % 60)
    }
}

/// `'1970-01-01 00:00:00.000+0000'`, or the number where the year has not four digits.
impl Display for CqlTimestamp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const DAY_MS: i64 = 86_400_000;
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        let Some((year, month, day)) = civil(days) else {
            return self.0.fmt(f);
        };
        let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "'{year:04}-{month:02}-{day:02} ")?;
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}.{:03}+0000'", ms % 1000)
    }
}

/// `1mo2d3ns`, with one sign before it all.
impl Display for CqlDuration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { months, days, nanoseconds } = *self;
        if months < 0 || days < 0 || nanoseconds < 0 {
            f.write_char('-')?;
        }
        let parts = [
            (u64::from(months.unsigned_abs()), "mo"),
            (u64::from(days.unsigned_abs()), "d"),
            (nanoseconds.unsigned_abs(), "ns"),
        ];
        let is_zero = parts.iter().all(|(count, _)| *count == 0);
        for (count, unit) in parts {
            if count != 0 || (is_zero && unit == "ns") {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Display for CqlTimeuuid {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        AsRef::<uuid::Uuid>::as_ref(self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(unscaled: i64, scale: i32) -> String {
        CqlDecimal::new(unscaled.into(), scale).to_string()
    }

    #[test]
    fn numbers() {
        assert_eq!(CqlVarint::from(1_i128 << 100).to_string(), (1_i128 << 100).to_string());
        assert_eq!(CqlVarint::from(0_i64).to_string(), "0");
        let longest = [&[0x7F][..], &[0xFF; DIGITS_LEN_MAX - 1]].concat();
        let shown = CqlVarint::from_signed_bytes_be(longest).to_string();
        assert_eq!(shown.len(), 308, "2^1023 - 1");
        assert!(shown.starts_with("898846567431") && shown.ends_with("068607"), "{shown}");
        let lowest = [&[0x80][..], &[0; DIGITS_LEN_MAX - 1]].concat();
        let shown = CqlVarint::from_signed_bytes_be(lowest).to_string();
        assert!(shown.starts_with("-898846567431") && shown.ends_with("068608"), "{shown}");
        let longer = [&[1][..], &[0; DIGITS_LEN_MAX]].concat();
        let shown = CqlVarint::from_signed_bytes_be(longer).to_string();
        assert_eq!(shown.len(), "blobAsVarint(0x)".len() + 2 * (DIGITS_LEN_MAX + 1));

        assert_eq!(decimal(12345, 2), "123.45");
        assert_eq!(decimal(-1, 2), "-0.01");
        assert_eq!(decimal(1, -3), "1E+3");
        assert_eq!(decimal(-1234, -3), "-1.234E+6");
        assert_eq!(decimal(123, 3), "0.123");
        assert_eq!(decimal(5, 0), "5");
        assert_eq!(decimal(0, 2), "0.00");
        assert_eq!(decimal(1, 6), "0.000001");
        assert_eq!(decimal(1, 7), "1E-7");
        assert_eq!(decimal(1, i32::MAX), "1E-2147483647");
        assert_eq!(decimal(1, i32::MIN), "1E+2147483648");
        let long = CqlDecimal::from_signed_be_bytes_and_exponent(vec![1; DIGITS_LEN_MAX + 1], -1);
        assert!(long.to_string().starts_with("blobAsDecimal(0xffffffff0101"));
    }

    #[test]
    fn dates_and_times() {
        let date = |days: i64| CqlDate(u32::try_from((1_i64 << 31) + days).unwrap()).to_string();
        assert_eq!(date(0), "'1970-01-01'");
        assert_eq!(date(-1), "'1969-12-31'");
        assert_eq!(date(11_016), "'2000-02-29'");
        assert_eq!(date(20_778), "'2026-11-21'");
        assert_eq!(date(-719_528), "'0000-01-01'");
        assert_eq!(date(2_932_896), "'9999-12-31'");
        assert_eq!(date(2_932_897), "2150416545");
        assert_eq!(CqlDate(0).to_string(), "0");
        assert_eq!(CqlTime(21_904_000_000_123).to_string(), "'06:05:04.000000123'");
        assert_eq!(CqlTime(-1).to_string(), "-1");
        let timestamp = |ms| CqlTimestamp(ms).to_string();
        assert_eq!(timestamp(1_112_470_662_000), "'2005-04-02 19:37:42.000+0000'");
        assert_eq!(timestamp(-1), "'1969-12-31 23:59:59.999+0000'");
        assert_eq!(timestamp(i64::MAX), "9223372036854775807");
        assert_eq!(timestamp(i64::MIN), "-9223372036854775808");
    }

    #[test]
    fn durations() {
        let duration =
            |months, days, nanoseconds| CqlDuration { months, days, nanoseconds }.to_string();
        assert_eq!(duration(1, 2, 3), "1mo2d3ns");
        assert_eq!(duration(-1, 0, -3), "-1mo3ns");
        assert_eq!(duration(0, 0, 0), "0ns");
        assert_eq!(duration(i32::MIN, 0, 0), "-2147483648mo");
    }

    #[test]
    fn blobs() {
        assert_eq!(BlobLiteral(&[1, 0xAB]).to_string(), "0x01ab");
    }

    proptest! {
        #[test]
        fn varints_are_their_digits(number: i128) {
            prop_assert_eq!(CqlVarint::from(number).to_string(), number.to_string());
        }

        /// Shown digits and exponent give the number back.
        #[test]
        fn decimals_are_their_digits(unscaled: i64, scale in -30_i32..30) {
            let shown = decimal(unscaled, scale);
            let (mantissa, exponent) = shown.split_once('E').unwrap_or((&shown, "0"));
            let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
            let digits: i128 = format!("{whole}{part}").parse().unwrap();
            prop_assert_eq!(digits, i128::from(unscaled));
            let exponent: i32 = exponent.parse().unwrap();
            prop_assert_eq!(i32::try_from(part.len()).unwrap() - exponent, scale);
        }
    }
}
