//! Which replicas failed, and why: a number up to version 4, a map from version 5 on.
//!
//! Next: `response/result.rs`.

use core::fmt;
use core::iter::FusedIterator;
use core::net::IpAddr;

use crate::error::Malformed;
use crate::header::Version;
use crate::wire::Reader;

/// The replicas that failed.
///
/// ```
/// use shardwire_protocol::response::{Agreed, ErrorBody, ErrorDetail, Failures};
/// use shardwire_protocol::wire::Reader;
///
/// let body = b"\0\0\x13\0\0\0\0\x04\0\0\0\x01\0\0\0\x02\0\0\0\x01\0"; // of version 4
/// let error = ErrorBody::parse(Reader::new(body), &Agreed::default())?;
/// let ErrorDetail::ReadFailure { failures, .. } = error.detail else { panic!("{error:?}") };
/// assert!(matches!(failures, Failures::Count(1)));
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Failures<'a> {
    /// How many, up to version 4.
    Count(i32),
    /// Which, and why, from version 5 on.
    Reasons(FailureReasons<'a>),
}

impl<'a> Failures<'a> {
    /// How many replicas failed.
    ///
    /// ```
    /// use shardwire_protocol::response::Failures;
    ///
    /// assert_eq!(Failures::Count(2).count(), 2);
    /// ```
    #[must_use]
    pub fn count(&self) -> i32 {
        match self {
            Self::Count(count) => *count,
            Self::Reasons(reasons) => i32::try_from(reasons.len()).unwrap_or(i32::MAX),
        }
    }

    pub(super) fn read(version: Version, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        match version {
            Version::V3 | Version::V4 => Ok(Self::Count(reader.i32("replicas failed")?)),
            Version::V5 => Ok(Self::Reasons(FailureReasons::read(reader)?)),
        }
    }
}

/// Replicas that failed and the code of the reason, in the order sent.
///
/// 0 is an unknown reason, 1 too many tombstones read; what others mean depends on the server and
/// its release, so they have no names here.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::response::{Agreed, ErrorBody, ErrorDetail, Failures};
/// use shardwire_protocol::wire::Reader;
///
/// let body = b"\0\0\x13\0\0\0\0\x04\0\0\0\x01\0\0\0\x02\
///     \0\0\0\x01\x04\x7F\0\0\x01\0\x01\0"; // one replica: its address and the reason
/// let error = ErrorBody::parse(Reader::new(body), &Agreed::on(Version::V5))?;
/// let ErrorDetail::ReadFailure { failures, .. } = error.detail else { panic!("{error:?}") };
/// let Failures::Reasons(mut reasons) = failures else { panic!("{failures:?}") };
/// assert_eq!(reasons.next(), Some(([127, 0, 0, 1].into(), 1)));
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy)]
#[must_use = "iterators are lazy"]
pub struct FailureReasons<'a> {
    reader: Reader<'a>,
    left: u32,
}

/// Shortest entry: an address of four bytes, its length and a code.
const ENTRY_LEN_MIN: usize = 1 + 4 + 2;

impl<'a> FailureReasons<'a> {
    /// Reads the map and checks all of it.
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = reader.count("replicas failed", ENTRY_LEN_MIN)?;
        let reasons = Self { reader: *reader, left: count };
        for _ in 0..count {
            reader.ip_addr("address of a replica")?;
            reader.u16("reason of a failure")?;
        }
        Ok(reasons)
    }
}

impl Iterator for FailureReasons<'_> {
    type Item = (IpAddr, u16);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // Checked when it was made, hence no `Result`.
        let address = self.reader.ip_addr("").ok()?;
        Some((address, self.reader.u16("").ok()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

impl ExactSizeIterator for FailureReasons<'_> {}

impl FusedIterator for FailureReasons<'_> {}

/// As a map: it becomes part of messages for people.
impl fmt::Debug for FailureReasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(*self).finish()
    }
}
