//! BATCH: several writes as one request.
//!
//! Statements and values may be of any number and of any types; the batch asks for them by index
//! and never collects them.

use super::parameters::{FLAG_SERIAL_CONSISTENCY, FLAG_TIMESTAMP};
use super::{Request, long_len, short_count, short_len};
use crate::consistency::{Consistency, SerialConsistency};
use crate::error::SerializeError;
use crate::header::Opcode;
use crate::wire::Writer;

/// What a batch guarantees.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum BatchKind {
    /// All or nothing, by a log of batches on other nodes.
    #[default]
    Logged = 0,
    /// All or nothing within each partition only.
    Unlogged = 1,
    /// Of counters.
    Counter = 2,
}

/// A statement of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BatchStatement<'a> {
    /// A prepared one, by its id.
    Prepared(&'a [u8]),
    /// Its text.
    Text(&'a str),
}

/// The statements of a batch and their values.
pub trait BatchItems {
    /// How many there are.
    fn count(&self) -> usize;

    /// The statement at `index`, which is below [`Self::count`], as in all methods.
    fn statement(&self, index: usize) -> BatchStatement<'_>;

    /// How many values the statement has.
    fn value_count(&self, index: usize) -> usize;

    /// Exact length of the statement's values as [`Self::write_values`] writes them, in bytes.
    ///
    /// # Errors
    /// The first value that does not fit.
    fn values_len(&self, index: usize) -> Result<usize, SerializeError>;

    /// Writes the statement's values, each with its length.
    fn write_values(&self, index: usize, out: &mut Writer<'_>);
}

impl<B: BatchItems + ?Sized> BatchItems for &B {
    #[inline]
    fn count(&self) -> usize {
        (**self).count()
    }

    #[inline]
    fn statement(&self, index: usize) -> BatchStatement<'_> {
        (**self).statement(index)
    }

    #[inline]
    fn value_count(&self, index: usize) -> usize {
        (**self).value_count(index)
    }

    #[inline]
    fn values_len(&self, index: usize) -> Result<usize, SerializeError> {
        (**self).values_len(index)
    }

    #[inline]
    fn write_values(&self, index: usize, out: &mut Writer<'_>) {
        (**self).write_values(index, out);
    }
}

/// Runs several statements.
#[derive(Clone, Copy, Debug)]
pub struct Batch<B> {
    /// What is guaranteed.
    pub kind: BatchKind,
    /// The statements and their values.
    pub items: B,
    /// How many replicas must answer.
    pub consistency: Consistency,
    /// The same for the Paxos phase of conditional writes. `None`: the server's default.
    pub serial_consistency: Option<SerialConsistency>,
    /// Write time in microseconds since 1970. `None`: the server's clock.
    pub timestamp: Option<i64>,
}

impl<B: BatchItems> Request for Batch<B> {
    const OPCODE: Opcode = Opcode::Batch;

    #[inline]
    fn body_len(&self) -> Result<usize, SerializeError> {
        let count = self.items.count();
        short_count("statements of a batch", count)?;
        // Kind, count, consistency and flags.
        let mut len = 1 + 2 + 2 + 1_usize;
        for index in 0..count {
            let statement_len = match self.items.statement(index) {
                BatchStatement::Prepared(id) => short_len("statement id", id.len())?,
                BatchStatement::Text(text) => long_len("statement", text.len())?,
            };
            short_count("values", self.items.value_count(index))?;
            len = len.saturating_add(1 + 2 + statement_len);
            len = len.saturating_add(self.items.values_len(index)?);
        }
        if self.serial_consistency.is_some() {
            len = len.saturating_add(2);
        }
        if self.timestamp.is_some() {
            len = len.saturating_add(8);
        }
        Ok(len)
    }

    #[inline]
    fn write_body(&self, out: &mut Writer<'_>) {
        let count = u16::try_from(self.items.count()).unwrap_or(u16::MAX);
        out.put_u8(self.kind as u8);
        out.put_u16(count);
        for index in 0..usize::from(count) {
            match self.items.statement(index) {
                BatchStatement::Prepared(id) => match <&[u8; 16]>::try_from(id) {
                    // All servers' ids are MD5 sums; with the length known it is one store.
                    Ok(id) => {
                        let mut head = [0; 19];
                        let [kind, len @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
                            &mut head;
                        *kind = 1;
                        *len = 16_u16.to_be_bytes();
                        if let Some(place) = head.last_chunk_mut() {
                            *place = *id;
                        }
                        out.put_array(head);
                    }
                    Err(_) => {
                        out.put_u8(1);
                        out.put_short_bytes(id);
                    }
                },
                BatchStatement::Text(text) => {
                    out.put_u8(0);
                    out.put_long_string(text);
                }
            }
            let value_count = self.items.value_count(index);
            out.put_u16(u16::try_from(value_count).unwrap_or(u16::MAX));
            self.items.write_values(index, out);
        }
        out.put_consistency(self.consistency);
        let mut flags = 0;
        if self.serial_consistency.is_some() {
            flags |= FLAG_SERIAL_CONSISTENCY;
        }
        if self.timestamp.is_some() {
            flags |= FLAG_TIMESTAMP;
        }
        out.put_u8(flags);
        if let Some(serial) = self.serial_consistency {
            out.put_u16(serial.as_u16());
        }
        if let Some(timestamp) = self.timestamp {
            out.put_i64(timestamp);
        }
    }
}
