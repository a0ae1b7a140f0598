//! `chrono`'s dates and times.
//!
//! A `timestamp` has milliseconds: of a `DateTime<Utc>` the rest is left out, towards the past. A
//! leap second is no `time`.

use chrono::Datelike;
use chrono::{DateTime, NaiveDate, NaiveTime, Timelike, Utc};

use super::by_way_of;
use crate::value::time::{DAY_NS, EPOCH_DATE};
use crate::value::{CqlDate, CqlTime, CqlTimestamp, ValueOverflow};

by_way_of! {
    NaiveDate, CqlDate, "a date out of the range of date",
        "date out of the range of chrono's NaiveDate";
    NaiveTime, CqlTime, "a leap second is no time", "time out of the range of chrono's NaiveTime";
    DateTime<Utc>, CqlTimestamp, "a time out of the range of timestamp",
        "timestamp out of the range of chrono's DateTime";
}

/// Days from 0000-12-31, chrono's day 0, to 1970-01-01.
const EPOCH_DAYS: i64 = 719_163;

impl From<NaiveDate> for CqlDate {
    fn from(date: NaiveDate) -> Self {
        let days = i64::from(date.num_days_from_ce()) - EPOCH_DAYS + i64::from(EPOCH_DATE.0);
        // chrono ends in the year 262,142, a `date` in the year 5,881,580; and so before 1970.
        Self(u32::try_from(days.clamp(0, i64::from(u32::MAX))).unwrap_or(u32::MAX))
    }
}

impl TryFrom<CqlDate> for NaiveDate {
    type Error = ValueOverflow;

    fn try_from(date: CqlDate) -> Result<Self, ValueOverflow> {
        let days = i64::from(date.0) - i64::from(EPOCH_DATE.0) + EPOCH_DAYS;
        let days = i32::try_from(days).map_err(|_| ValueOverflow)?;
        Self::from_num_days_from_ce_opt(days).ok_or(ValueOverflow)
    }
}

/// # Errors
/// A leap second.
impl TryFrom<NaiveTime> for CqlTime {
    type Error = ValueOverflow;

    fn try_from(time: NaiveTime) -> Result<Self, ValueOverflow> {
        let seconds = i64::from(time.num_seconds_from_midnight());
        let nanoseconds = i64::from(time.nanosecond());
        // chrono has a leap second as more than a second's nanoseconds.
        if nanoseconds >= 1_000_000_000 {
            return Err(ValueOverflow);
        }
        Ok(Self(seconds * 1_000_000_000 + nanoseconds))
    }
}

impl TryFrom<CqlTime> for NaiveTime {
    type Error = ValueOverflow;

    fn try_from(time: CqlTime) -> Result<Self, ValueOverflow> {
        if !(0..DAY_NS).contains(&time.0) {
            return Err(ValueOverflow);
        }
        let seconds = u32::try_from(time.0 / 1_000_000_000).map_err(|_| ValueOverflow)?;
        let nanoseconds = u32::try_from(time.0 % 1_000_000_000).map_err(|_| ValueOverflow)?;
        Self::from_num_seconds_from_midnight_opt(seconds, nanoseconds).ok_or(ValueOverflow)
    }
}

/// To the millisecond before.
impl From<DateTime<Utc>> for CqlTimestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_millis())
    }
}

impl TryFrom<CqlTimestamp> for DateTime<Utc> {
    type Error = ValueOverflow;

    fn try_from(time: CqlTimestamp) -> Result<Self, ValueOverflow> {
        Self::from_timestamp_millis(time.0).ok_or(ValueOverflow)
    }
}
