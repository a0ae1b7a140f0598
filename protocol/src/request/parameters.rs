//! What QUERY and EXECUTE say besides statement and values.

use crate::consistency::{Consistency, SerialConsistency};
use crate::error::{LengthMismatch, SerializeError};
use crate::wire::Writer;

use super::long_len;

/// How a statement is to be run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Parameters<'a> {
    /// How many replicas must answer.
    pub consistency: Consistency,
    /// The same for the Paxos phase of a conditional write. `None`: the server's default.
    pub serial_consistency: Option<SerialConsistency>,
    /// Write time in microseconds since 1970. `None`: the server's clock.
    pub timestamp: Option<i64>,
    /// How many rows a page may have. `None`: all rows at once.
    pub page_size: Option<i32>,
    /// Where the page before ended. `None`: from the beginning.
    pub paging_state: Option<&'a [u8]>,
    /// Whether the reply may leave out its metadata, because the client has it.
    pub skip_metadata: bool,
}

pub(super) const FLAG_VALUES: u8 = 0x01;
const FLAG_SKIP_METADATA: u8 = 0x02;
const FLAG_PAGE_SIZE: u8 = 0x04;
const FLAG_PAGING_STATE: u8 = 0x08;
pub(super) const FLAG_SERIAL_CONSISTENCY: u8 = 0x10;
pub(super) const FLAG_TIMESTAMP: u8 = 0x20;
const FLAGS_TAIL: u8 =
    FLAG_PAGE_SIZE | FLAG_PAGING_STATE | FLAG_SERIAL_CONSISTENCY | FLAG_TIMESTAMP;

impl Parameters<'_> {
    /// The flags that say which parts follow, [`FLAG_VALUES`] aside.
    #[inline]
    pub(super) fn flags(&self) -> u8 {
        if self.has_tail() { self.tail_flags() } else { self.skip_flag() }
    }

    #[inline]
    fn skip_flag(&self) -> u8 {
        if self.skip_metadata { FLAG_SKIP_METADATA } else { 0 }
    }

    fn tail_flags(&self) -> u8 {
        let flag = |present: bool, bit: u8| if present { bit } else { 0 };
        self.skip_flag()
            | flag(self.page_size.is_some(), FLAG_PAGE_SIZE)
            | flag(self.paging_state.is_some(), FLAG_PAGING_STATE)
            | flag(self.serial_consistency.is_some(), FLAG_SERIAL_CONSISTENCY)
            | flag(self.timestamp.is_some(), FLAG_TIMESTAMP)
    }

    /// Whether anything follows the values; nothing does in most writes and unpaged reads.
    #[inline]
    pub(super) fn has_tail(&self) -> bool {
        self.page_size.is_some()
            || self.paging_state.is_some()
            || self.serial_consistency.is_some()
            || self.timestamp.is_some()
    }

    /// Length of what [`Self::write_tail`] writes.
    #[inline]
    pub(super) fn tail_len(&self) -> Result<usize, SerializeError> {
        if self.has_tail() { self.some_tail_len() } else { Ok(0) }
    }

    fn some_tail_len(&self) -> Result<usize, SerializeError> {
        let mut len = 0;
        if self.page_size.is_some() {
            len += 4;
        }
        if let Some(state) = self.paging_state {
            len += long_len("paging state", state.len())?;
        }
        if self.serial_consistency.is_some() {
            len += 2;
        }
        if self.timestamp.is_some() {
            len += 8;
        }
        Ok(len)
    }

    /// Writes what follows the values.
    #[inline]
    pub(super) fn write_tail(&self, out: &mut Writer<'_>) {
        if self.has_tail() {
            self.write_some_tail(out);
        }
    }

    /// Writes what follows the values, and ends; `flags` are [`Self::flags`].
    ///
    /// The writer comes by value: one whose address is never taken stays in registers.
    #[inline]
    pub(super) fn finish(&self, out: Writer<'_>, flags: u8) -> Result<(), LengthMismatch> {
        if flags & FLAGS_TAIL != 0 { self.finish_with_tail(out) } else { out.finish() }
    }

    fn finish_with_tail(&self, mut out: Writer<'_>) -> Result<(), LengthMismatch> {
        self.write_some_tail(&mut out);
        out.finish()
    }

    fn write_some_tail(&self, out: &mut Writer<'_>) {
        if let Some(page_size) = self.page_size {
            out.put_i32(page_size);
        }
        if let Some(state) = self.paging_state {
            out.put_bytes(state);
        }
        if let Some(serial) = self.serial_consistency {
            out.put_u16(serial.as_u16());
        }
        if let Some(timestamp) = self.timestamp {
            out.put_i64(timestamp);
        }
    }
}
