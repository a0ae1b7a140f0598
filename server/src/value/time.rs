//! Clocks, dates, durations and time-based UUIDs.

use std::time::{SystemTime, UNIX_EPOCH};

use super::number::write_vint;
use super::text::civil;
use super::types::Native;

/// 100 ns from the epoch of UUIDs, 1582-10-15, to 1970-01-01.
const UUID_EPOCH_TICKS: i64 = 0x01B2_1DD2_1381_4000;

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
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(is_leap),
        _ => 31,
    };
    if day > last {
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

/// A day, so many months later; the last of the month where it has no such day.
pub(crate) fn add_months(day: i64, months: i64) -> Option<i64> {
    if months == 0 {
        return Some(day);
    }
    let (year, month, of_month) = civil(day);
    let count = year.checked_mul(12)?.checked_add(month - 1)?.checked_add(months)?;
    let (year, month) = (count.div_euclid(12), count.rem_euclid(12) + 1);
    let first = days_of(year, month, 1)?;
    let next = if month == 12 { days_of(year + 1, 1, 1)? } else { days_of(year, month + 1, 1)? };
    Some(first + (of_month - 1).min(next - first - 1))
}

/// Milliseconds since 1970-01-01 of a valid timestamp, date or time-based UUID.
pub(crate) fn millis_of(native: Native, bytes: &[u8]) -> Option<i64> {
    match native {
        Native::Timestamp => Some(i64::from_be_bytes(*bytes.first_chunk()?)),
        Native::Date => {
            let day = i64::from(u32::from_be_bytes(*bytes.first_chunk()?)) - (1 << 31);
            day.checked_mul(DAY_MS)
        }
        Native::Timeuuid => {
            let uuid = uuid::Uuid::from_slice(bytes).ok()?;
            let (ticks, _) = uuid.get_timestamp()?.to_gregorian();
            let since = i64::try_from(ticks).ok()? - UUID_EPOCH_TICKS;
            Some(since.div_euclid(10_000))
        }
        _ => None,
    }
}

/// The least and the greatest time-based UUID of a millisecond, as Cassandra orders them.
pub(crate) fn timeuuid_bounds(millis: i64) -> [[u8; 16]; 2] {
    let start = millis.wrapping_mul(10_000).wrapping_add(UUID_EPOCH_TICKS).cast_unsigned();
    let uuid = |ticks: u64, least: u64| {
        let least = u128::from(least);
        (u128::from(most_of(ticks)) << 64 | least).to_be_bytes()
    };
    [uuid(start, 0x8080_8080_8080_8080), uuid(start.wrapping_add(9_999), 0x7F7F_7F7F_7F7F_7F7F)]
}

/// The high half of a version 1 UUID.
fn most_of(ticks: u64) -> u64 {
    let low = ticks & 0xFFFF_FFFF;
    let mid = (ticks >> 32) & 0xFFFF;
    let high = (ticks >> 48) & 0x0FFF | 0x1000;
    low << 32 | mid << 16 | high
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
    if text.eq_ignore_ascii_case("now") {
        return Some(now_us() / 1000);
    }
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

/// The three vints of a duration literal such as `1mo2d3h`, `89h4m48s` or, as ISO 8601 has it,
/// `p1y2m3dt4h`; in lower case.
pub(crate) fn parse_duration(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in signed_duration_parts(text)? {
        write_vint(part, &mut bytes);
    }
    Some(bytes)
}

/// Months, days and nanoseconds of such a literal.
fn signed_duration_parts(text: &str) -> Option<[i64; 3]> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let parts = match rest.strip_prefix('p') {
        Some(rest) => iso_duration_parts(rest)?,
        None => duration_parts(rest)?,
    };
    Some(parts.map(|part| part * sign))
}

/// The milliseconds of such a literal, if it has nothing smaller and neither days nor months.
pub(crate) fn whole_ms(text: &str) -> Option<u64> {
    match signed_duration_parts(text)? {
        [0, 0, nanos] if nanos % 1_000_000 == 0 => u64::try_from(nanos / 1_000_000).ok(),
        _ => None,
    }
}

/// Months, days and nanoseconds of what follows the `p`.
fn iso_duration_parts(text: &str) -> Option<[i64; 3]> {
    if text.get(4..5) == Some("-") {
        let (date, clock) = text.split_once('t')?;
        let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
        let (years, months, days) = (date.next()??, date.next()??, date.next()??);
        let months = years.checked_mul(12)?.checked_add(months)?;
        return Some([months, days, parse_time(clock)?]);
    }
    let (date, clock) = match text.split_once('t') {
        Some((_, "")) => return None,
        Some((date, clock)) => (date, clock),
        None => (text, ""),
    };
    // An `m` is a month before the `t` and a minute behind it; both have units of their own.
    let date = date.replace('m', "mo");
    let units = |text: &str, known: &str| {
        text.chars().all(|c| c.is_ascii_digit() || known.contains(c)).then_some(())
    };
    units(&date, "ymowd")?;
    units(clock, "hms")?;
    let [months, days, _] = if date.is_empty() { [0; 3] } else { duration_parts(&date)? };
    let [_, _, nanos] = if clock.is_empty() { [0; 3] } else { duration_parts(clock)? };
    (!date.is_empty() || !clock.is_empty()).then_some([months, days, nanos])
}

/// Months, days and nanoseconds of numbers with units.
fn duration_parts(mut rest: &str) -> Option<[i64; 3]> {
    if rest.is_empty() {
        return None;
    }
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
    Some([months, days, nanos])
}

/// A version 1 UUID of this instant (microseconds since 1970).
pub(crate) fn timeuuid(at_us: i64, random: u64) -> [u8; 16] {
    let ticks = at_us.wrapping_mul(10).wrapping_add(UUID_EPOCH_TICKS).cast_unsigned();
    let most = most_of(ticks);
    let least = random & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000;
    (u128::from(most) << 64 | u128::from(least)).to_be_bytes()
}

/// A version 1 UUID of a time (100 ns since 1970). Of two of one time, that with the greater
/// `order`, of which 56 bits count, is the later one: bytes are compared as signed numbers.
pub(crate) fn timeuuid_in_order(ticks: i64, order: u64) -> [u8; 16] {
    let most = most_of(ticks.wrapping_add(UUID_EPOCH_TICKS).cast_unsigned());
    let least = 0x80 << 56 | (order & 0x00FF_FFFF_FFFF_FFFF) ^ 0x0080_8080_8080_8080;
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
        assert_eq!(parse_duration("p0000-01-02t00:00:00"), Some(vec![2, 4, 0]));
        assert_eq!(parse_duration("-p1m2d"), Some(vec![1, 3, 0]));
        assert_eq!(parse_duration("pt1h30m"), parse_duration("90m"));
        assert_eq!(parse_duration("p5w"), parse_duration("35d"));
        for text in ["p", "pt", "p1", "p1h", "pt1d", "", "-"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn bounds_of_timeuuids() {
        let [least, greatest] = timeuuid_bounds(1_600_000_000_000);
        let text = |uuid| uuid::Uuid::from_bytes(uuid).to_string();
        assert_eq!(text(least), "5fe94000-f5bc-11ea-8080-808080808080");
        assert_eq!(&text(greatest)[8..], "-f5bc-11ea-7f7f-7f7f7f7f7f7f");
        for uuid in [least, greatest, timeuuid(1_600_000_000_000_999, 1)] {
            assert_eq!(millis_of(Native::Timeuuid, &uuid), Some(1_600_000_000_000));
        }
    }

    #[test]
    fn months_end_where_they_do() {
        let day = |text| parse_date(text).unwrap();
        assert_eq!(add_months(day("2020-01-31"), 1), Some(day("2020-02-29")));
        assert_eq!(add_months(day("2020-01-31"), -2), Some(day("2019-11-30")));
        assert_eq!(add_months(day("2019-12-05"), 13), Some(day("2021-01-05")));
    }

    #[test]
    fn timeuuids_are_version_one() {
        let uuid = timeuuid(1_600_000_000_000_000, 7);
        assert_eq!(uuid[..8], [0x5F, 0xE9, 0x40, 0x00, 0xF5, 0xBC, 0x11, 0xEA]);
        assert_eq!(uuid[8] >> 6, 2);
    }
}
