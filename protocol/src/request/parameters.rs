//! What QUERY and EXECUTE say besides statement and values.
//!
//! A field that the connection's version of the protocol cannot express is an error when the
//! request is measured; nothing is left out silently. Next: `request/query.rs`.

use crate::consistency::{Consistency, SerialConsistency};
use crate::error::{LengthMismatch, SerializeError};
use crate::header::{Opcode, Version};
use crate::wire::Writer;

use super::{long_len, short_len};

/// How a statement is to be run.
///
/// ```
/// use shardwire_protocol::consistency::Consistency;
/// use shardwire_protocol::request::Parameters;
///
/// let parameters = Parameters { page_size: Some(5000), ..Parameters::default() };
/// assert_eq!(parameters.consistency, Consistency::LocalQuorum);
/// ```
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
    /// The keyspace of tables without one, instead of the connection's. From version 5 on.
    pub keyspace: Option<&'a str>,
    /// The time that expiry is judged by, in seconds since 1970. `None`: the server's clock. From
    /// version 5 on.
    pub now_in_seconds: Option<i32>,
    /// What the client knows of the tablet, see [`tablet_block`](crate::tablets::tablet_block).
    /// Of EXECUTE alone, and always there where `TABLETS_ROUTING_V2` was agreed.
    pub tablet_block: Option<u8>,
}

pub(super) const FLAG_VALUES: u8 = 0x01;
const FLAG_SKIP_METADATA: u8 = 0x02;
const FLAG_PAGE_SIZE: u8 = 0x04;
const FLAG_PAGING_STATE: u8 = 0x08;
pub(super) const FLAG_SERIAL_CONSISTENCY: u8 = 0x10;
pub(super) const FLAG_TIMESTAMP: u8 = 0x20;
pub(super) const FLAG_NAMES: u8 = 0x40;
pub(super) const FLAG_KEYSPACE: u32 = 0x80;
pub(super) const FLAG_NOW_IN_SECONDS: u32 = 0x100;

impl Parameters<'_> {
    /// The flags that say which parts follow, those of the values and those that only version 5
    /// has aside.
    #[inline]
    pub(super) fn flags(&self) -> u8 {
        if self.has_tail() { self.tail_flags() } else { self.skip_flag() }
    }

    /// The flags as version 5 writes them; `values` are those of the values.
    pub(super) fn wide_flags(&self, values: u8) -> u32 {
        let flag = |present: bool, bit: u32| if present { bit } else { 0 };
        u32::from(self.flags() | values)
            | flag(self.keyspace.is_some(), FLAG_KEYSPACE)
            | flag(self.now_in_seconds.is_some(), FLAG_NOW_IN_SECONDS)
    }

    /// Writes the flags; `values` are those of the values.
    #[inline]
    pub(super) fn write_flags(&self, version: Version, values: u8, out: &mut Writer<'_>) {
        match version {
            Version::V5 => out.put_u32(self.wide_flags(values)),
            Version::V3 | Version::V4 => out.put_u8(self.flags() | values),
        }
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
            || self.keyspace.is_some()
            || self.now_in_seconds.is_some()
            || self.tablet_block.is_some()
    }

    /// Length of what [`Self::write_tail`] writes.
    #[inline]
    pub(super) fn tail_len(
        &self,
        opcode: Opcode,
        version: Version,
    ) -> Result<usize, SerializeError> {
        if self.has_tail() { self.some_tail_len(opcode, version) } else { Ok(0) }
    }

    fn some_tail_len(&self, opcode: Opcode, version: Version) -> Result<usize, SerializeError> {
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
        len += fields_of_v5_len(self.keyspace, self.now_in_seconds, opcode, version)?;
        if self.tablet_block.is_some() {
            if opcode != Opcode::Execute {
                return Err(SerializeError::NotInMessage { what: "tablet block", opcode, version });
            }
            len += 1;
        }
        Ok(len)
    }

    /// Writes what follows the values.
    #[inline]
    pub(super) fn write_tail(&self, opcode: Opcode, version: Version, out: &mut Writer<'_>) {
        if self.has_tail() {
            self.write_some_tail(opcode, version, out);
        }
    }

    /// Writes what follows the values of an EXECUTE, and ends.
    ///
    /// The writer comes by value: one whose address is never taken stays in registers.
    #[inline]
    pub(super) fn finish(&self, version: Version, out: Writer<'_>) -> Result<(), LengthMismatch> {
        if self.has_tail() { self.finish_with_tail(version, out) } else { out.finish() }
    }

    fn finish_with_tail(
        &self,
        version: Version,
        mut out: Writer<'_>,
    ) -> Result<(), LengthMismatch> {
        self.write_some_tail(Opcode::Execute, version, &mut out);
        out.finish()
    }

    fn write_some_tail(&self, opcode: Opcode, version: Version, out: &mut Writer<'_>) {
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
        write_fields_of_v5(self.keyspace, self.now_in_seconds, version, out);
        if let Some(block) = self.tablet_block {
            match opcode {
                Opcode::Execute => out.put_u8(block),
                _ => out.set_fault(), // measuring has refused it
            }
        }
    }
}

/// Length of the two fields that version 5 added to QUERY, EXECUTE and BATCH.
#[inline]
pub(super) fn fields_of_v5_len(
    keyspace: Option<&str>,
    now_in_seconds: Option<i32>,
    opcode: Opcode,
    version: Version,
) -> Result<usize, SerializeError> {
    let mut len = 0;
    if let Some(keyspace) = keyspace {
        in_v5("keyspace", opcode, version)?;
        len += short_len("keyspace", keyspace.len())?;
    }
    if now_in_seconds.is_some() {
        in_v5("time in seconds", opcode, version)?;
        len += 4;
    }
    Ok(len)
}

/// Writes the two fields that version 5 added. Where they can't be, measuring has refused them.
#[inline]
pub(super) fn write_fields_of_v5(
    keyspace: Option<&str>,
    now_in_seconds: Option<i32>,
    version: Version,
    out: &mut Writer<'_>,
) {
    if (keyspace.is_some() || now_in_seconds.is_some()) && version < Version::V5 {
        out.set_fault();
    }
    if let Some(keyspace) = keyspace {
        out.put_string(keyspace);
    }
    if let Some(now) = now_in_seconds {
        out.put_i32(now);
    }
}

/// Refuses `what` before version 5.
#[inline]
pub(super) fn in_v5(
    what: &'static str,
    opcode: Opcode,
    version: Version,
) -> Result<(), SerializeError> {
    match version {
        Version::V5 => Ok(()),
        Version::V3 | Version::V4 => Err(SerializeError::NotInMessage { what, opcode, version }),
    }
}
