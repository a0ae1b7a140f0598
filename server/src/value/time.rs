//! Clocks, dates, durations and time-based UUIDs.

use std::time::{SystemTime, UNIX_EPOCH};

use super::number::write_vint;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Microseconds since 1970-01-01.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year.abs() > 5_000_000 {
        return None;
    }
    // Years begin in March, so that the leap day is the last of its year.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Days since 1970-01-01 of `yyyy-mm-dd`.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    days_of(if negative { -year } else { year }, month, day)
}

/// Nanoseconds since midnight of `hh:mm[:ss[.fraction]]`.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let (seconds, fraction) = match parts.next() {
        None => (0, 0),
        Some(part) => {
            let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
            let digits = format!("{fraction:0<9}");
            (whole.parse().ok()?, digits.get(..9)?.parse::<i64>().ok()?)
        }
    };
    let in_range = parts.next().is_none()
        && (0..24).contains(&hours)
        && (0..60).contains(&minutes)
        && (0..60).contains(&seconds);
    in_range.then_some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000_000 + fraction)
}

/// Milliseconds since 1970-01-01 of `yyyy-mm-dd[( |T)hh:mm[:ss[.mmm]]][Z|+hhmm]`.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    let Some((date, clock)) = text.split_once(['T', ' ']) else {
        return parse_date(text)?.checked_mul(DAY_MS);
    };
    let (clock, offset_min) = match clock.find(['+', '-', 'Z', 'z']) {
        None => (clock, 0),
        Some(at) => (clock.get(..at)?, parse_offset(clock.get(at..)?)?),
    };
    let of_day = parse_time(clock.trim())? / 1_000_000;
    Some(parse_date(date)? * DAY_MS + of_day - offset_min * 60_000)
}

/// Minutes of `Z`, `+hh`, `+hhmm` or `+hh:mm`.
fn parse_offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let hours: i64 = digits.get(..2)?.parse().ok()?;
    let minutes: i64 = if digits.len() >= 4 { digits.get(2..4)?.parse().ok()? } else { 0 };
    Some(sign * (hours * 60 + minutes))
}

/// The three vints of a duration literal such as `1mo2d3h` or `89h4m48s`.
pub(crate) fn parse_duration(text: &str) -> Option<Vec<u8>> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mut months, mut days, mut nanos) = (0_i64, 0_i64, 0_i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = rest.get(..letters)?;
        rest = rest.get(letters..)?;
        let (field, factor) = match unit {
            "y" => (&mut months, 12),
            "mo" => (&mut months, 1),
            "w" => (&mut days, 7),
            "d" => (&mut days, 1),
            "h" => (&mut nanos, 3_600_000_000_000),
            "m" => (&mut nanos, 60_000_000_000),
            "s" => (&mut nanos, 1_000_000_000),
            "ms" => (&mut nanos, 1_000_000),
            "us" => (&mut nanos, 1_000),
            "ns" => (&mut nanos, 1),
            _ => return None,
        };
        *field = field.checked_add(count.checked_mul(factor)?)?;
    }
    let sign = if negative { -1 } else { 1 };
    let mut bytes = Vec::new();
    for part in [months, days, nanos] {
        write_vint(part * sign, &mut bytes);
    }
    Some(bytes)
}

/// A version 1 UUID of this instant (microseconds since 1970).
pub(crate) fn timeuuid(at_us: i64, random: u64) -> [u8; 16] {
    let ticks = (at_us.cast_unsigned()).wrapping_mul(10).wrapping_add(0x01B2_1DD2_1381_4000);
    let low = ticks & 0xFFFF_FFFF;
    let mid = (ticks >> 32) & 0xFFFF;
    let high = (ticks >> 48) & 0x0FFF | 0x1000;
    let most = low << 32 | mid << 16 | high;
    let least = random & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000;
    (u128::from(most) << 64 | u128::from(least)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times() {
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(parse_date("2000-03-01"), Some(11_017));
        assert_eq!(parse_date("1969-12-31"), Some(-1));
        assert_eq!(parse_date("2026-11-21"), Some(0x512A));
        assert_eq!(parse_time("23:59:59.999999"), Some(0x4E94_914E_FC18));
        assert_eq!(parse_timestamp("2020-09-13 12:26:40+0000"), Some(1_600_000_000_000));
        assert_eq!(parse_timestamp("2020-09-13T14:26:40.5+02:00"), Some(1_600_000_000_500));
        assert_eq!(parse_timestamp("x"), None);
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("1mo2d3ns"), Some(vec![2, 4, 6]));
        assert_eq!(
            parse_duration("89h4m48s"),
            Some(vec![0, 0, 0xFE, 0x02, 0x47, 0x53, 0xFC, 0xA5, 0xC0, 0x00])
        );
        assert_eq!(parse_duration("5x"), None);
    }

    #[test]
    fn timeuuids_are_version_one() {
        let uuid = timeuuid(1_600_000_000_000_000, 7);
        assert_eq!(uuid[..8], [0x5F, 0xE9, 0x40, 0x00, 0xF5, 0xBC, 0x11, 0xEA]);
        assert_eq!(uuid[8] >> 6, 2);
    }
}
