//! `timestamp`, `date`, `time`, `duration` and `timeuuid`.

use core::cmp::Ordering;

use uuid::Uuid;

/// A `timestamp`: milliseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CqlTimestamp(pub i64);

/// A `date`: days, 2^31 of them at 1970-01-01.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CqlDate(pub u32);

/// A `time`: nanoseconds since midnight, 0 to 86,399,999,999,999.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CqlTime(pub i64);

/// A `duration`. Its parts are not negative, or not positive, all three.
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
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CqlTimeuuid(Uuid);

impl CqlTimeuuid {
    /// Its sixteen bytes.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// From its sixteen bytes.
    #[inline]
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Its time, in units of 100 ns since 1582-10-15.
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

#[cfg(test)]
mod tests {
    use super::*;

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
