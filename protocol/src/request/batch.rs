//! BATCH: several writes as one request.
//!
//! Statements and values may be of any number and of any types; the batch asks for them by index
//! and never collects them. Next: `request/payload.rs`.

use super::parameters::{
    FLAG_KEYSPACE, FLAG_NOW_IN_SECONDS, FLAG_SERIAL_CONSISTENCY, FLAG_TIMESTAMP, fields_of_v5_len,
    write_fields_of_v5,
};
use super::{Request, Statement, long_len, refuse_unset, short_count, short_len};
use crate::consistency::{Consistency, SerialConsistency};
use crate::error::SerializeError;
use crate::header::{Opcode, Version};
use crate::row::SerializeRow;
use crate::types::ColumnSpec;
use crate::wire::Writer;

/// What a batch guarantees.
///
/// ```
/// use shardwire_protocol::request::BatchKind;
///
/// assert_eq!(BatchKind::default(), BatchKind::Logged);
/// ```
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
///
/// ```
/// use shardwire_protocol::request::{BatchItemHead, BatchItems, BatchRows, BatchStatement};
///
/// let head = BatchItemHead::new(&[0x1D; 16], 1).expect("ids have 16 bytes");
/// let items = BatchRows { head: &head, rows: &[(1,), (2,)], columns: &[] };
/// assert_eq!(items.statement(1), BatchStatement::Prepared(&[0x1D; 16]));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BatchStatement<'a> {
    /// A prepared one, by its id.
    Prepared(&'a [u8]),
    /// Its text.
    Text(&'a str),
}

/// The statements of a batch and their values.
///
/// ```
/// use shardwire_protocol::error::SerializeError;
/// use shardwire_protocol::request::{BatchItems, BatchStatement};
/// use shardwire_protocol::wire::Writer;
///
/// /// Statements as text, without values.
/// struct Texts<'a>(&'a [&'a str]);
///
/// impl BatchItems for Texts<'_> {
///     fn count(&self) -> usize {
///         self.0.len()
///     }
///
///     fn statement(&self, index: usize) -> BatchStatement<'_> {
///         BatchStatement::Text(self.0[index])
///     }
///
///     fn value_count(&self, _: usize) -> usize {
///         0
///     }
///
///     fn values_len(&self, _: usize) -> Result<usize, SerializeError> {
///         Ok(0)
///     }
///
///     fn write_values(&self, _: usize, _: &mut Writer<'_>) {}
/// }
///
/// let mut items = [0; 8];
/// let mut writer = Writer::new(&mut items);
/// Texts(&["a"]).write_items(&mut writer);
/// writer.finish()?;
/// assert_eq!(items, *b"\0\0\0\0\x01a\0\0");
/// # Ok::<(), shardwire_protocol::error::LengthMismatch>(())
/// ```
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

    /// Exact length of all statements with their values, in bytes.
    ///
    /// # Errors
    /// The first part that the protocol cannot express.
    #[inline]
    fn items_len(&self) -> Result<usize, SerializeError> {
        let mut len = 0_usize;
        for index in 0..self.count() {
            let statement_len = match self.statement(index) {
                BatchStatement::Prepared(id) => short_len("statement id", id.len())?,
                BatchStatement::Text(text) => long_len("statement", text.len())?,
            };
            short_count("values", self.value_count(index))?;
            len = len.saturating_add(1 + 2 + statement_len);
            len = len.saturating_add(self.values_len(index)?);
        }
        Ok(len)
    }

    /// Writes all statements with their values, as many bytes as [`Self::items_len`] tells.
    #[inline]
    fn write_items(&self, out: &mut Writer<'_>) {
        for index in 0..self.count() {
            let value_count = self.value_count(index);
            match self.statement(index) {
                BatchStatement::Prepared(id) => match BatchItemHead::new(id, value_count) {
                    Some(head) => out.put_array(head.bytes),
                    None => {
                        out.put_u8(ITEM_PREPARED);
                        out.put_short_bytes(id);
                        put_count(value_count, out);
                    }
                },
                BatchStatement::Text(text) => {
                    out.put_u8(ITEM_TEXT);
                    out.put_long_string(text);
                    put_count(value_count, out);
                }
            }
            self.write_values(index, out);
        }
    }
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

    #[inline]
    fn items_len(&self) -> Result<usize, SerializeError> {
        (**self).items_len()
    }

    #[inline]
    fn write_items(&self, out: &mut Writer<'_>) {
        (**self).write_items(out);
    }
}

/// What stands before the values of a prepared statement whose id has 16 bytes, encoded.
///
/// ```text
/// kind | [short bytes] id | [short] value count
///  1     2 + 16             2
/// ```
///
/// All servers' ids are MD5 sums. With the length known the head is copied by two vector
/// registers, and a batch that runs one statement many times encodes it once.
///
/// ```
/// use shardwire_protocol::request::BatchItemHead;
///
/// assert!(BatchItemHead::new(&[0x1D; 16], 2).is_some());
/// assert!(BatchItemHead::new(&[0x1D; 8], 2).is_none());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BatchItemHead {
    bytes: [u8; ITEM_HEAD_LEN],
    value_count: u16,
}

impl BatchItemHead {
    /// Encodes it; `None` for an id of another length, or for more values than can be counted.
    #[inline]
    #[must_use]
    pub fn new(id: &[u8], value_count: usize) -> Option<Self> {
        let id = <&[u8; 16]>::try_from(id).ok()?;
        let value_count = u16::try_from(value_count).ok()?;
        let mut bytes = [0; ITEM_HEAD_LEN];
        let (kind, rest) = bytes.split_first_chunk_mut()?;
        let (id_len, rest) = rest.split_first_chunk_mut()?;
        let (id_place, count) = rest.split_first_chunk_mut()?;
        *kind = [ITEM_PREPARED];
        *id_len = 16_u16.to_be_bytes();
        *id_place = *id;
        *count.first_chunk_mut()? = value_count.to_be_bytes();
        Some(Self { bytes, value_count })
    }
}

/// One prepared statement, run once for each of several rows of one type.
///
/// ```
/// use shardwire_protocol::error::SerializeError;
/// use shardwire_protocol::request::{BatchItemHead, BatchItems, BatchRows};
///
/// let head = BatchItemHead::new(&[0x1D; 16], 2).expect("ids have 16 bytes");
/// let items = BatchRows { head: &head, rows: &[(1, "one"), (2, "two")], columns: &[] };
/// assert_eq!(items.items_len(), Ok(2 * (21 + 8 + 7)));
/// let items = BatchRows { head: &head, rows: &[(1,)], columns: &[] };
/// assert_eq!(items.items_len(), Err(SerializeError::wrong_value_count(2, 1)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BatchRows<'a, R> {
    /// What stands before each row.
    pub head: &'a BatchItemHead,
    /// The values; types were checked.
    pub rows: &'a [R],
    /// The statement's markers.
    pub columns: &'a [ColumnSpec],
}

impl<R: SerializeRow> BatchItems for BatchRows<'_, R> {
    #[inline]
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn statement(&self, _: usize) -> BatchStatement<'_> {
        BatchStatement::Prepared(self.head.bytes.get(3..19).unwrap_or_default())
    }

    fn value_count(&self, _: usize) -> usize {
        usize::from(self.head.value_count)
    }

    fn values_len(&self, index: usize) -> Result<usize, SerializeError> {
        self.rows.get(index).map_or(Ok(0), |row| row.values_len(self.columns))
    }

    fn write_values(&self, index: usize, out: &mut Writer<'_>) {
        if let Some(row) = self.rows.get(index) {
            row.write_values(self.columns, out);
        }
    }

    /// # Errors
    /// `WrongValueCount` besides the usual: the count is written before it is asked for.
    #[inline]
    fn items_len(&self) -> Result<usize, SerializeError> {
        let expected = usize::from(self.head.value_count);
        let mut len = ITEM_HEAD_LEN.saturating_mul(self.rows.len());
        for row in self.rows {
            // A number known when compiling, for tuples: then one comparison for all rows.
            let count = row.value_count();
            if count != expected {
                return Err(SerializeError::wrong_value_count(expected, count));
            }
            len = len.saturating_add(row.values_len(self.columns)?);
        }
        Ok(len)
    }

    #[inline]
    fn write_items(&self, out: &mut Writer<'_>) {
        for row in self.rows {
            out.put_slice(&self.head.bytes);
            row.write_values(self.columns, out);
        }
    }
}

/// Runs several statements.
///
/// ```
/// use shardwire_protocol::consistency::Consistency;
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::request::{Batch, BatchItemHead, BatchKind, BatchRows, frame_len};
///
/// let head = BatchItemHead::new(&[0x1D; 16], 2).expect("ids have 16 bytes");
/// let batch = Batch {
///     kind: BatchKind::Unlogged,
///     items: BatchRows { head: &head, rows: &[(1, "one"), (2, "two")], columns: &[] },
///     consistency: Consistency::LocalQuorum,
///     serial_consistency: None,
///     timestamp: None,
///     keyspace: None,
///     now_in_seconds: None,
/// };
/// assert!(frame_len(&batch, Version::V4).is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, B> {
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
    /// The keyspace of tables without one, instead of the connection's. From version 5 on.
    pub keyspace: Option<&'a str>,
    /// The time that expiry is judged by, in seconds since 1970. `None`: the server's clock. From
    /// version 5 on.
    pub now_in_seconds: Option<i32>,
}

impl<B: BatchItems> Request for Batch<'_, B> {
    const OPCODE: Opcode = Opcode::Batch;

    #[inline]
    fn body_len(&self, version: Version) -> Result<usize, SerializeError> {
        short_count("statements of a batch", self.items.count())?;
        let flags_len = if version == Version::V5 { 4 } else { 1 };
        // Kind, count, consistency and flags.
        let mut len = self.items.items_len()?.saturating_add(1 + 2 + 2 + flags_len);
        if version == Version::V3 {
            self.refuse_unset()?;
        }
        if self.serial_consistency.is_some() {
            len = len.saturating_add(2);
        }
        if self.timestamp.is_some() {
            len = len.saturating_add(8);
        }
        let fields_of_v5_len =
            fields_of_v5_len(self.keyspace, self.now_in_seconds, Opcode::Batch, version)?;
        Ok(len.saturating_add(fields_of_v5_len))
    }

    // Always: the driver gives the version as a constant, which leaves little of this.
    #[inline(always)]
    fn write_body(&self, version: Version, out: &mut Writer<'_>) {
        out.put_u8(self.kind as u8);
        put_count(self.items.count(), out);
        self.items.write_items(out);
        if version == Version::V3 && self.refuse_unset().is_err() {
            out.set_fault(); // measuring has refused it
        }
        out.put_consistency(self.consistency);
        let mut flags = 0;
        if self.serial_consistency.is_some() {
            flags |= FLAG_SERIAL_CONSISTENCY;
        }
        if self.timestamp.is_some() {
            flags |= FLAG_TIMESTAMP;
        }
        match version {
            Version::V5 => out.put_u32(u32::from(flags) | self.flags_of_v5()),
            Version::V3 | Version::V4 => out.put_u8(flags),
        }
        if let Some(serial) = self.serial_consistency {
            out.put_u16(serial.as_u16());
        }
        if let Some(timestamp) = self.timestamp {
            out.put_i64(timestamp);
        }
        write_fields_of_v5(self.keyspace, self.now_in_seconds, version, out);
    }
}

impl<B> Batch<'_, B> {
    fn flags_of_v5(&self) -> u32 {
        let flag = |present: bool, bit: u32| if present { bit } else { 0 };
        flag(self.keyspace.is_some(), FLAG_KEYSPACE)
            | flag(self.now_in_seconds.is_some(), FLAG_NOW_IN_SECONDS)
    }
}

impl<B: BatchItems> Batch<'_, B> {
    fn refuse_unset(&self) -> Result<(), SerializeError> {
        for index in 0..self.items.count() {
            let values_len = self.items.values_len(index)?;
            let write = |out: &mut Writer<'_>| self.items.write_values(index, out);
            refuse_unset(Opcode::Batch, values_len, write)?;
        }
        Ok(())
    }
}

impl<B: BatchItems> Statement for Batch<'_, B> {}

/// A count that was measured before: one that does not fit is a fault.
#[inline]
fn put_count(count: usize, out: &mut Writer<'_>) {
    match u16::try_from(count) {
        Ok(count) => out.put_u16(count),
        Err(_) => out.set_fault(),
    }
}

const ITEM_TEXT: u8 = 0;
const ITEM_PREPARED: u8 = 1;

/// Length of a [`BatchItemHead`] in bytes.
const ITEM_HEAD_LEN: usize = 1 + 2 + 16 + 2;
