//! Dates and times of the crate `time`.
//!
//! A `timestamp` has milliseconds and no offset: of an `OffsetDateTime` the rest is left out,
//! towards the past, and what is read is in UTC.

use time::{Date, OffsetDateTime, Time};

use super::by_way_of;
use crate::value::time::{DAY_NS, EPOCH_DATE};
use crate::value::{CqlDate, CqlTime, CqlTimestamp, ValueOverflow};

by_way_of! {
    Date, CqlDate, "a date out of the range of date", "date out of the range of time's Date";
    Time, CqlTime, "a time that is none of a day", "time out of the range of time's Time";
    OffsetDateTime, CqlTimestamp, "a time out of the range of timestamp",
        "timestamp out of the range of time's OffsetDateTime";
}

/// 1970-01-01 as a Julian day.
const EPOCH_JULIAN: i64 = 2_440_588;

impl From<Date> for CqlDate {
    fn from(date: Date) -> Self {
        let days = i64::from(date.to_julian_day()) - EPOCH_JULIAN + i64::from(EPOCH_DATE.0);
        // `time` ends in the year 999,999 at most, a `date` in 5,881,580; and so before 1970.
        Self(u32::try_from(days.clamp(0, i64::from(u32::MAX))).unwrap_or(u32::MAX))
    }
}

impl TryFrom<CqlDate> for Date {
    type Error = ValueOverflow;

    fn try_from(date: CqlDate) -> Result<Self, ValueOverflow> {
        let day = i64::from(date.0) - i64::from(EPOCH_DATE.0) + EPOCH_JULIAN;
        let day = i32::try_from(day).map_err(|_| ValueOverflow)?;
        Self::from_julian_day(day).map_err(|_| ValueOverflow)
    }
}

impl From<Time> for CqlTime {
    fn from(time: Time) -> Self {
        let (hours, minutes, seconds, nanoseconds) = time.as_hms_nano();
        let seconds = (i64::from(hours) * 60 + i64::from(minutes)) * 60 + i64::from(seconds);
        Self(seconds * 1_000_000_000 + i64::from(nanoseconds))
    }
}

impl TryFrom<CqlTime> for Time {
    type Error = ValueOverflow;

    fn try_from(time: CqlTime) -> Result<Self, ValueOverflow> {
        if !(0..DAY_NS).contains(&time.0) {
            return Err(ValueOverflow);
        }
        let (seconds, nanoseconds) = (time.0 / 1_000_000_000, time.0 % 1_000_000_000);
        let part = |number: i64| u8::try_from(number).map_err(|_| ValueOverflow);
        let nanoseconds = u32::try_from(nanoseconds).map_err(|_| ValueOverflow)?;
        Self::from_hms_nano(
            part(seconds / 3600)?,
            part(seconds / 60 % 60)?,
            part(seconds % 60)?,
            nanoseconds,
        )
        .map_err(|_| ValueOverflow)
    }
}

/// To the millisecond before.
impl From<OffsetDateTime> for CqlTimestamp {
    fn from(time: OffsetDateTime) -> Self {
        // The seconds are those before, too; a thousand times the year 999,999 is no overflow.
        let ms = i64::from(time.millisecond());
        Self(time.unix_timestamp().saturating_mul(1000).saturating_add(ms))
    }
}

impl TryFrom<CqlTimestamp> for OffsetDateTime {
    type Error = ValueOverflow;

    fn try_from(time: CqlTimestamp) -> Result<Self, ValueOverflow> {
        Self::from_unix_timestamp_nanos(i128::from(time.0) * 1_000_000).map_err(|_| ValueOverflow)
    }
}
