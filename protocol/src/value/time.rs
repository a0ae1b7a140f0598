//! `timestamp`, `date`, `time`, `duration` and `timeuuid`.
//!
//! As the protocol has them: no calendar, no clock.
//!
//! Next: `value/literal.rs`.

use core::cmp::Ordering;
use core::str::FromStr;
use core::time::Duration;

use uuid::Uuid;

use super::ValueOverflow;

/// Nanoseconds in a day: one more than the largest `time`.
pub(super) const DAY_NS: i64 = 24 * 60 * 60 * 1_000_000_000;

/// 1970-01-01.
#[cfg(any(feature = "chrono-04", feature = "time-03"))]
pub(super) const EPOCH_DATE: CqlDate = CqlDate(1 << 31);

/// 1970-01-01 in the units of a `timeuuid`: 100 ns since 1582-10-15.
const EPOCH_TICKS: i64 = 0x01B2_1DD2_1381_4000;

/// Such units in a millisecond.
const MS_TICKS: i64 = 10_000;

/// A `timestamp`: milliseconds since 1970-01-01 00:00 UTC.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{CqlTimestamp, DeserializeValue};
///
/// let cell = 1_600_000_000_000_i64.to_be_bytes();
/// let time = CqlTimestamp::deserialize(&ColumnType::Timestamp, Some(&cell))?;
/// assert_eq!(time, CqlTimestamp(1_600_000_000_000)); // in September 2020
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CqlTimestamp(pub i64);

impl CqlTimestamp {
    /// The earliest.
    pub const MIN: Self = Self(i64::MIN);

    /// The latest.
    pub const MAX: Self = Self(i64::MAX);

    /// The time from `earlier` to this one; `None` if `earlier` is later.
    ///
    /// ```
    /// use core::time::Duration;
    /// use shardwire_protocol::value::CqlTimestamp;
    ///
    /// let (a, b) = (CqlTimestamp(-1), CqlTimestamp(4));
    /// assert_eq!(b.checked_duration_since(a), Some(Duration::from_millis(5)));
    /// assert_eq!(a.checked_duration_since(b), None);
    /// ```
    #[must_use]
    pub fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        (self >= earlier).then(|| Duration::from_millis(self.0.abs_diff(earlier.0)))
    }

    /// So much later, in whole milliseconds; `None` past [`Self::MAX`].
    ///
    /// ```
    /// use core::time::Duration;
    /// use shardwire_protocol::value::CqlTimestamp;
    ///
    /// let second = Duration::from_secs(1);
    /// assert_eq!(CqlTimestamp(0).checked_add(second), Some(CqlTimestamp(1000)));
    /// assert_eq!(CqlTimestamp::MAX.checked_add(second), None);
    /// ```
    #[must_use]
    pub fn checked_add(self, time: Duration) -> Option<Self> {
        self.0.checked_add_unsigned(u64::try_from(time.as_millis()).ok()?).map(Self)
    }

    /// So much earlier, in whole milliseconds; `None` before [`Self::MIN`].
    ///
    /// ```
    /// use core::time::Duration;
    /// use shardwire_protocol::value::CqlTimestamp;
    ///
    /// let second = Duration::from_secs(1);
    /// assert_eq!(CqlTimestamp(0).checked_sub(second), Some(CqlTimestamp(-1000)));
    /// ```
    #[must_use]
    pub fn checked_sub(self, time: Duration) -> Option<Self> {
        self.0.checked_sub_unsigned(u64::try_from(time.as_millis()).ok()?).map(Self)
    }
}

/// A `date`: days, 2^31 of them at 1970-01-01.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{CqlDate, DeserializeValue};
///
/// let epoch = CqlDate(1 << 31);
/// let cell = [0x80, 0, 0, 1];
/// let date = CqlDate::deserialize(&ColumnType::Date, Some(&cell))?;
/// assert_eq!(date.0 - epoch.0, 1); // 1970-01-02
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CqlDate(pub u32);

/// A `time`: nanoseconds since midnight, 0 to 86,399,999,999,999.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{CqlTime, DeserializeValue};
///
/// let read = |nanoseconds: i64| {
///     CqlTime::deserialize(&ColumnType::Time, Some(&nanoseconds.to_be_bytes())).ok()
/// };
/// assert_eq!(read(1_000_000_000), Some(CqlTime(1_000_000_000))); // 00:00:01
/// assert_eq!(read(-1), None);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CqlTime(pub i64);

impl CqlTime {
    #[inline]
    pub(super) const fn is_valid(self) -> bool {
        0 <= self.0 && self.0 < DAY_NS
    }
}

/// A `duration`. Its parts are not negative, or not positive, all three.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{CqlDuration, DeserializeValue};
///
/// let cell = [2, 4, 6]; // variable integers
/// let duration = CqlDuration::deserialize(&ColumnType::Duration, Some(&cell))?;
/// assert_eq!(duration, CqlDuration { months: 1, days: 2, nanoseconds: 3 });
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct CqlDuration {
    /// Months, which have no fixed number of days.
    pub months: i32,
    /// Days, which have no fixed number of hours.
    pub days: i32,
    /// Nanoseconds.
    pub nanoseconds: i64,
}

/// A `timeuuid`, ordered as CQL orders it: by time, then by its last eight bytes as signed ones.
///
/// ```
/// use shardwire_protocol::value::{CqlTimestamp, CqlTimeuuid};
///
/// let a = CqlTimeuuid::min_at(CqlTimestamp(1_600_000_000_000))?;
/// let b = CqlTimeuuid::min_at(CqlTimestamp(1_600_000_000_001))?;
/// assert!(a < b);
/// # Ok::<(), shardwire_protocol::value::ValueOverflow>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CqlTimeuuid(Uuid);

impl CqlTimeuuid {
    /// Its sixteen bytes.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlTimeuuid;
    /// assert_eq!(CqlTimeuuid::from_u128(7).as_bytes(), &7_u128.to_be_bytes());
    /// ```
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// From its sixteen bytes.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlTimeuuid;
    /// assert_eq!(CqlTimeuuid::from_bytes([0; 16]), CqlTimeuuid::nil());
    /// ```
    #[inline]
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Sixteen zeros, which are no time.
    ///
    /// ```
    /// use shardwire_protocol::value::CqlTimeuuid;
    ///
    /// assert_eq!(CqlTimeuuid::nil().as_u128(), 0);
    /// ```
    #[must_use]
    pub const fn nil() -> Self {
        Self(Uuid::nil())
    }

    /// The least `timeuuid` of this millisecond, as CQL's `minTimeuuid` tells: a bound to compare
    /// with, not an identifier.
    ///
    /// # Errors
    /// A time that the 60 bits from 1582-10-15 on, to the year 5236, do not reach.
    ///
    /// ```
    /// use shardwire_protocol::value::{CqlTimestamp, CqlTimeuuid, ValueOverflow};
    ///
    /// let least = CqlTimeuuid::min_at(CqlTimestamp(1_600_000_000_000))?;
    /// assert_eq!(least.to_string(), "5fe94000-f5bc-11ea-8080-808080808080");
    /// # Ok::<(), ValueOverflow>(())
    /// ```
    pub fn min_at(time: CqlTimestamp) -> Result<Self, ValueOverflow> {
        Self::bound(time, 0, 0x8080_8080_8080_8080)
    }

    /// The greatest `timeuuid` of this millisecond, as CQL's `maxTimeuuid` tells.
    ///
    /// # Errors
    /// As [`Self::min_at`].
    ///
    /// ```
    /// use shardwire_protocol::value::{CqlTimestamp, CqlTimeuuid, ValueOverflow};
    ///
    /// let time = CqlTimestamp(1_600_000_000_000);
    /// assert!(CqlTimeuuid::max_at(time)? > CqlTimeuuid::min_at(time)?);
    /// # Ok::<(), ValueOverflow>(())
    /// ```
    pub fn max_at(time: CqlTimestamp) -> Result<Self, ValueOverflow> {
        Self::bound(time, MS_TICKS - 1, 0x7F7F_7F7F_7F7F_7F7F)
    }

    fn bound(time: CqlTimestamp, more: i64, low: u64) -> Result<Self, ValueOverflow> {
        let ticks = time
            .0
            .checked_mul(MS_TICKS)
            .and_then(|ticks| ticks.checked_add(EPOCH_TICKS))
            .and_then(|ticks| ticks.checked_add(more))
            .and_then(|ticks| u64::try_from(ticks).ok())
            .filter(|ticks| *ticks < 1 << 60)
            .ok_or(ValueOverflow)?;
        // Low 32 bits, middle 16, high 12: each further up than the one before.
        let time_low_and_mid = (ticks << 32) | ((ticks >> 16) & 0xFFFF_0000);
        let version_and_high = 0x1000 | (ticks >> 48);
        Ok(Self(Uuid::from_u64_pair(time_low_and_mid | version_and_high, low)))
    }

    /// Its time, to the millisecond.
    ///
    /// ```
    /// use shardwire_protocol::value::{CqlTimestamp, CqlTimeuuid};
    ///
    /// let id: CqlTimeuuid = "5fe94000-f5bc-11ea-8080-808080808080".parse()?;
    /// assert_eq!(id.timestamp(), CqlTimestamp(1_600_000_000_000));
    /// # Ok::<(), uuid::Error>(())
    /// ```
    #[must_use]
    pub fn timestamp(&self) -> CqlTimestamp {
        CqlTimestamp((self.ticks().cast_signed() - EPOCH_TICKS).div_euclid(MS_TICKS))
    }

    /// From sixteen bytes.
    ///
    /// # Errors
    /// Another number of bytes.
    ///
    /// ```
    /// use shardwire_protocol::value::CqlTimeuuid;
    ///
    /// assert_eq!(CqlTimeuuid::from_slice(&[0; 16]), Ok(CqlTimeuuid::nil()));
    /// assert!(CqlTimeuuid::from_slice(&[0; 15]).is_err());
    /// ```
    pub fn from_slice(bytes: &[u8]) -> Result<Self, uuid::Error> {
        Uuid::from_slice(bytes).map(Self)
    }

    /// From its bytes as one big-endian number.
    ///
    /// ```
    /// use shardwire_protocol::value::CqlTimeuuid;
    ///
    /// assert_eq!(CqlTimeuuid::from_u128(7).as_bytes()[15], 7);
    /// ```
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }

    /// Its bytes as one big-endian number.
    ///
    /// ```
    /// use shardwire_protocol::value::CqlTimeuuid;
    ///
    /// assert_eq!(CqlTimeuuid::from_u128(7).as_u128(), 7);
    /// ```
    #[must_use]
    pub const fn as_u128(&self) -> u128 {
        self.0.as_u128()
    }

    /// From its bytes as two big-endian numbers.
    ///
    /// ```
    /// use shardwire_protocol::value::CqlTimeuuid;
    ///
    /// assert_eq!(CqlTimeuuid::from_u64_pair(0, 7), CqlTimeuuid::from_u128(7));
    /// ```
    #[must_use]
    pub const fn from_u64_pair(high: u64, low: u64) -> Self {
        Self(Uuid::from_u64_pair(high, low))
    }

    /// Its bytes as two big-endian numbers.
    ///
    /// ```
    /// use shardwire_protocol::value::CqlTimeuuid;
    ///
    /// assert_eq!(CqlTimeuuid::from_u128(7).as_u64_pair(), (0, 7));
    /// ```
    #[must_use]
    pub const fn as_u64_pair(&self) -> (u64, u64) {
        self.0.as_u64_pair()
    }

    /// Its time, in units of 100 ns since 1582-10-15.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlTimeuuid;
    /// let id: CqlTimeuuid = "00000001-0000-1000-8080-808080808080".parse()?;
    /// assert_eq!(id.ticks(), 1);
    /// # Ok::<(), uuid::Error>(())
    /// ```
    #[must_use]
    pub fn ticks(&self) -> u64 {
        let (time_low, time_mid, time_hi, _) = self.0.as_fields();
        (u64::from(time_hi & 0x0FFF) << 48) | (u64::from(time_mid) << 32) | u64::from(time_low)
    }

    /// Clock sequence and node, each byte's sign flipped so that comparing them compares signed.
    fn rank(&self) -> u64 {
        let (_, low) = self.0.as_u64_pair();
        low ^ 0x8080_8080_8080_8080
    }
}

impl Ord for CqlTimeuuid {
    fn cmp(&self, other: &Self) -> Ordering {
        // Bits that neither looks at (the version) decide last, to agree with `Eq`.
        (self.ticks(), self.rank(), self.0).cmp(&(other.ticks(), other.rank(), other.0))
    }
}

impl PartialOrd for CqlTimeuuid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<Uuid> for CqlTimeuuid {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl From<CqlTimeuuid> for Uuid {
    fn from(timeuuid: CqlTimeuuid) -> Self {
        timeuuid.0
    }
}

impl AsRef<Uuid> for CqlTimeuuid {
    fn as_ref(&self) -> &Uuid {
        &self.0
    }
}

impl FromStr for CqlTimeuuid {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::from_str(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_a_millisecond() {
        let time = CqlTimestamp(1_600_000_000_000);
        let (min, max) = (CqlTimeuuid::min_at(time).unwrap(), CqlTimeuuid::max_at(time).unwrap());
        assert_eq!(min.to_string(), "5fe94000-f5bc-11ea-8080-808080808080");
        assert_eq!(max.to_string(), "5fe9670f-f5bc-11ea-7f7f-7f7f7f7f7f7f");
        assert_eq!((min.timestamp(), max.timestamp()), (time, time));
        let next = CqlTimeuuid::min_at(CqlTimestamp(time.0 + 1)).unwrap();
        assert!(min < max && max < next);
        // 1582-10-15 and 5236-03-31.
        for (first, last) in [(-12_219_292_800_000, 103_072_857_660_684)] {
            for time in [CqlTimestamp(first), CqlTimestamp(last)] {
                assert_eq!(CqlTimeuuid::min_at(time).unwrap().timestamp(), time);
                assert_eq!(CqlTimeuuid::min_at(time).unwrap().0.get_version_num(), 1);
            }
            assert_eq!(CqlTimeuuid::min_at(CqlTimestamp(first - 1)), Err(ValueOverflow));
            assert_eq!(CqlTimeuuid::min_at(CqlTimestamp(last + 1)), Err(ValueOverflow));
        }
        for time in [CqlTimestamp::MIN, CqlTimestamp::MAX] {
            assert_eq!(CqlTimeuuid::max_at(time), Err(ValueOverflow));
        }
        assert!("5fe94000".parse::<CqlTimeuuid>().is_err());
    }

    #[test]
    fn timestamps_add_without_overflow() {
        let most = Duration::from_millis(u64::MAX);
        assert_eq!(CqlTimestamp::MIN.checked_add(most), Some(CqlTimestamp::MAX));
        assert_eq!(CqlTimestamp::MAX.checked_sub(most), Some(CqlTimestamp::MIN));
        assert_eq!(CqlTimestamp::MAX.checked_duration_since(CqlTimestamp::MIN), Some(most));
        assert_eq!(CqlTimestamp(0).checked_add(Duration::MAX), None);
    }

    fn timeuuid(text: &str) -> CqlTimeuuid {
        Uuid::parse_str(text).unwrap().into()
    }

    #[test]
    fn timeuuids_order_by_time_then_signed_bytes() {
        let min = timeuuid("5fe94000-f5bc-11ea-8080-808080808080");
        let max = timeuuid("5fe94000-f5bc-11ea-7f7f-7f7f7f7f7f7f");
        let later = timeuuid("00000000-f5bd-11ea-8080-808080808080");
        assert_eq!(min.ticks(), 1_600_000_000_000 * 10_000 + 0x01B2_1DD2_1381_4000);
        assert!(min < max && max < later);
    }
}
