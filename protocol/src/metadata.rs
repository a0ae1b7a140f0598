//! Metadata of results and prepared statements, and how to know it again.
//!
//! Parsed once per statement and kept. When a reply repeats metadata, it is compared as bytes with
//! what was kept ([`ResultMetadata::matches`]): equal bytes mean equal columns, so that nothing is
//! parsed and nothing allocated. Flags and paging state, which differ from reply to reply, are not
//! part of it; see `rows.rs`.
//!
//! Next: `value/mod.rs`.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{DeserializeError, Malformed};
use crate::response::Agreed;
use crate::row::DeserializeRow;
use crate::types::{COLUMN_COUNT_MAX, ColumnSpec, GlobalTable};
use crate::wire::Reader;

/// Bits of the flags of result metadata (CQL v4 §4.2.5.2).
pub mod result_flags {
    /// Keyspace and table stand once, before the columns.
    pub const GLOBAL_TABLE: u32 = 0x0001;
    /// The result has more pages: a paging state follows.
    pub const MORE_PAGES: u32 = 0x0002;
    /// No columns follow, only their count.
    pub const NO_METADATA: u32 = 0x0004;
    /// The metadata is not what the request's metadata id says: a new id follows.
    pub const METADATA_CHANGED: u32 = 0x0008;
}

/// What result metadata begins with, before the columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResultHead<'a> {
    pub(crate) flags: u32,
    pub(crate) column_count: u32,
    pub(crate) paging_state: Option<&'a [u8]>,
    pub(crate) new_metadata_id: Option<&'a [u8]>,
}

impl<'a> ResultHead<'a> {
    #[inline]
    pub(crate) fn read(reader: &mut Reader<'a>, agreed: &Agreed) -> Result<Self, Malformed> {
        let flags = reader.u32("result metadata flags")?;
        let column_count = reader.u32("column count")?;
        if column_count > COLUMN_COUNT_MAX {
            let (count, max, offset) = (column_count, COLUMN_COUNT_MAX, reader.offset_u32());
            return Err(Malformed::Count { what: "column count", count, max, offset });
        }
        let (mut paging_state, mut new_metadata_id) = (None, None);
        if flags & result_flags::MORE_PAGES != 0 {
            paging_state = reader.bytes("paging state")?;
        }
        // Where it was not agreed the bit has no meaning, and bits without one are passed over.
        if flags & result_flags::METADATA_CHANGED != 0 && agreed.has_metadata_ids() {
            new_metadata_id = Some(reader.short_bytes("new metadata id")?);
            if flags & result_flags::NO_METADATA != 0 {
                // A new id for columns that are not there: what to decode with is not known.
                return Err(reader.unknown_code("result metadata flags", flags));
            }
        }
        Ok(Self { flags, column_count, paging_state, new_metadata_id })
    }
}

/// Column specifications as they lie in a frame, checked but not parsed.
///
/// ```
/// use shardwire_protocol::response::Agreed;
/// use shardwire_protocol::rows::{RowsBody, RowsMetadata};
/// use shardwire_protocol::wire::Reader;
///
/// // One bigint named id, and no rows.
/// let body = b"\0\0\0\x01\0\0\0\x01\0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\0";
/// let rows = RowsBody::parse(Reader::new(body), &Agreed::default(), None)?;
/// let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
/// assert_eq!(raw.to_columns()?[0].name, "id");
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RawColumns<'a> {
    global_table: GlobalTable,
    count: u32,
    offset: usize, // in the body, for errors
    bytes: &'a [u8],
}

impl<'a> RawColumns<'a> {
    /// No columns at all.
    pub(crate) const EMPTY: Self =
        Self { global_table: GlobalTable::PerColumn, count: 0, offset: 0, bytes: &[] };

    /// Walks over the specifications of `count` columns.
    ///
    /// Where `known` is what the peer repeats, comparing takes the place of walking: equal bytes
    /// with equal count and layout end where the known ones do, because where specifications end
    /// depends on nothing else.
    #[inline]
    pub(crate) fn read(
        reader: &mut Reader<'a>,
        global_table: GlobalTable,
        count: u32,
        known: Option<&ResultMetadata>,
    ) -> Result<Self, Malformed> {
        let (start, offset) = (reader.remaining(), reader.offset());
        let known_len = known
            .filter(|known| known.global_table == global_table && known.count() == count)
            .filter(|known| start.starts_with(&known.bytes))
            .map(|known| known.bytes.len());
        let bytes = match known_len {
            Some(len) => reader.take(len, "columns")?,
            None => {
                // A copy walks, so that the caller's reader can live in registers.
                let mut walker = *reader;
                ColumnSpec::skip_list(&mut walker, global_table, count)?;
                reader.take(walker.offset().saturating_sub(offset), "columns")?
            }
        };
        Ok(Self { global_table, count, offset, bytes })
    }

    /// How many columns there are.
    ///
    /// ```
    /// # use shardwire_protocol::response::Agreed;
    /// # use shardwire_protocol::rows::{RowsBody, RowsMetadata};
    /// # use shardwire_protocol::wire::Reader;
    /// # let body = b"\0\0\0\x01\0\0\0\x01\0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\0";
    /// # let rows = RowsBody::parse(Reader::new(body), &Agreed::default(), None)?;
    /// let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
    /// assert_eq!(raw.count(), 1);
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The specifications as the peer sent them.
    ///
    /// ```
    /// # use shardwire_protocol::response::Agreed;
    /// # use shardwire_protocol::rows::{RowsBody, RowsMetadata};
    /// # use shardwire_protocol::wire::Reader;
    /// # let body = b"\0\0\0\x01\0\0\0\x01\0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\0";
    /// # let rows = RowsBody::parse(Reader::new(body), &Agreed::default(), None)?;
    /// let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
    /// assert_eq!(raw.bytes(), b"\0\x04shop\0\x05items\0\x02id\0\x02");
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Parses the specifications.
    ///
    /// ```
    /// # use shardwire_protocol::response::Agreed;
    /// # use shardwire_protocol::rows::{RowsBody, RowsMetadata};
    /// use shardwire_protocol::types::ColumnType;
    /// # use shardwire_protocol::wire::Reader;
    ///
    /// # let body = b"\0\0\0\x01\0\0\0\x01\0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\0";
    /// # let rows = RowsBody::parse(Reader::new(body), &Agreed::default(), None)?;
    /// let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
    /// assert_eq!(raw.to_columns()?[0].typ, ColumnType::Bigint);
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`ColumnSpec::parse_list`]; none where walking over them met none.
    ///
    /// # Allocation
    /// A few per column.
    pub fn to_columns(&self) -> Result<Box<[ColumnSpec]>, Malformed> {
        let mut reader = Reader::with_offset(self.bytes, self.offset);
        ColumnSpec::parse_list(&mut reader, self.global_table, self.count)
    }
}

/// The columns of a result.
///
/// ```
/// # use shardwire_protocol::response::Agreed;
/// use shardwire_protocol::metadata::ResultMetadata;
/// # use shardwire_protocol::rows::{RowsBody, RowsMetadata};
/// # use shardwire_protocol::wire::Reader;
///
/// # let body = b"\0\0\0\x01\0\0\0\x01\0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\0";
/// let rows = RowsBody::parse(Reader::new(body), &Agreed::default(), None)?;
/// let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
/// let known = ResultMetadata::parse(&raw)?;
///
/// // The next reply has the same columns: they need not be parsed again.
/// let rows = RowsBody::parse(Reader::new(body), &Agreed::default(), Some(&known))?;
/// let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
/// assert!(known.matches(&raw));
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResultMetadata {
    /// The columns, in the order of the cells.
    pub columns: Box<[ColumnSpec]>,
    global_table: GlobalTable,
    bytes: Box<[u8]>,
    checked: Checked,
}

/// The row type that was last found to fit: its [`DeserializeRow::type_key`], 0 for none.
///
/// What is known of columns is no part of them: all of these are equal.
#[derive(Debug, Default)]
struct Checked(AtomicUsize);

impl Clone for Checked {
    fn clone(&self) -> Self {
        Self(AtomicUsize::new(self.0.load(Ordering::Relaxed)))
    }
}

impl PartialEq for Checked {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Checked {}

impl ResultMetadata {
    /// Parses the columns and keeps their bytes, to know them again.
    ///
    /// ```
    /// # use shardwire_protocol::response::Agreed;
    /// # use shardwire_protocol::metadata::ResultMetadata;
    /// # use shardwire_protocol::rows::{RowsBody, RowsMetadata};
    /// # use shardwire_protocol::wire::Reader;
    /// # let body = b"\0\0\0\x01\0\0\0\x01\0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\0";
    /// # let rows = RowsBody::parse(Reader::new(body), &Agreed::default(), None)?;
    /// let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
    /// assert_eq!(ResultMetadata::parse(&raw)?.columns[0].name, "id");
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`RawColumns::to_columns`].
    ///
    /// # Allocation
    /// A few per column: once per statement and version of its metadata.
    pub fn parse(raw: &RawColumns<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            columns: raw.to_columns()?,
            global_table: raw.global_table,
            bytes: raw.bytes.into(),
            checked: Checked::default(),
        })
    }

    /// Whether rows of these columns can be read as `R`: checked once, and again only after rows of
    /// another type were read.
    ///
    /// ```
    /// # use shardwire_protocol::response::Agreed;
    /// # use shardwire_protocol::metadata::ResultMetadata;
    /// # use shardwire_protocol::rows::{RowsBody, RowsMetadata};
    /// # use shardwire_protocol::wire::Reader;
    /// # let body = b"\0\0\0\x01\0\0\0\x01\0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\0";
    /// # let rows = RowsBody::parse(Reader::new(body), &Agreed::default(), None)?;
    /// # let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
    /// let metadata = ResultMetadata::parse(&raw)?; // one bigint
    /// assert!(metadata.check_row::<(i64,)>().is_ok());
    /// let error = metadata.check_row::<(i32,)>().unwrap_err();
    /// assert_eq!(error.to_string(), "column 0: i32 does not fit bigint");
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`DeserializeRow::type_check`].
    #[inline]
    pub fn check_row<'frame, R: DeserializeRow<'frame>>(&self) -> Result<(), DeserializeError> {
        let key = R::type_key();
        if self.checked.0.load(Ordering::Relaxed) == key {
            return Ok(());
        }
        R::type_check(&self.columns)?;
        self.checked.0.store(key, Ordering::Relaxed);
        Ok(())
    }

    /// Whether these are the columns of `raw`: a comparison of bytes, nothing is parsed.
    ///
    /// Equal columns that were written differently do not match; no server changes its mind.
    ///
    /// ```
    /// # use shardwire_protocol::response::Agreed;
    /// # use shardwire_protocol::metadata::ResultMetadata;
    /// # use shardwire_protocol::rows::{RowsBody, RowsMetadata};
    /// # use shardwire_protocol::wire::Reader;
    /// # let body = b"\0\0\0\x01\0\0\0\x01\0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\0";
    /// # let rows = RowsBody::parse(Reader::new(body), &Agreed::default(), None)?;
    /// let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
    /// assert!(ResultMetadata::parse(&raw)?.matches(&raw));
    /// assert!(!ResultMetadata::default().matches(&raw));
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn matches(&self, raw: &RawColumns<'_>) -> bool {
        self.global_table == raw.global_table
            && self.count() == raw.count
            && *self.bytes == *raw.bytes
    }

    /// How many columns there are.
    ///
    /// ```
    /// # use shardwire_protocol::metadata::ResultMetadata;
    /// assert_eq!(ResultMetadata::default().count(), 0);
    /// ```
    #[inline]
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.columns.len()).unwrap_or(u32::MAX) // parsing limits it
    }
}

impl Default for ResultMetadata {
    /// No columns: of statements that return none, and of those whose columns are not known.
    fn default() -> Self {
        Self {
            columns: Box::default(),
            global_table: GlobalTable::PerColumn,
            bytes: Box::default(),
            checked: Checked::default(),
        }
    }
}

/// What a prepared statement binds.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::response::{Agreed, PreparedBody};
/// use shardwire_protocol::wire::Reader;
///
/// // The id P; one marker, which is the partition key: a bigint named id; no result.
/// let body = b"\0\x01P\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\
///     \0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\x04\0\0\0\0";
/// let prepared = PreparedBody::parse(Reader::new(body), &Agreed::on(Version::V4))?;
/// let metadata = prepared.bind.to_metadata(None)?;
/// assert_eq!(metadata.columns[0].name, "id");
/// assert_eq!(*metadata.partition_key_indexes, [0]);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PreparedMetadata {
    /// The bind markers, in their order.
    pub columns: Box<[ColumnSpec]>,
    /// Which bind marker holds each column of the partition key, in the key's order. Empty where
    /// the key cannot be told from bound values.
    pub partition_key_indexes: Box<[u16]>,
    /// Whether the statement is conditional, where the server marks those.
    pub is_lwt: bool,
}

/// Bind metadata as it lies in a PREPARED body, checked but not parsed.
///
/// ```
/// # use shardwire_protocol::header::Version;
/// # use shardwire_protocol::response::{Agreed, PreparedBody};
/// # use shardwire_protocol::wire::Reader;
/// # let body = b"\0\x01P\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\
/// #     \0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\x04\0\0\0\0";
/// let prepared = PreparedBody::parse(Reader::new(body), &Agreed::on(Version::V4))?;
/// assert_eq!(prepared.bind.flags, 1);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RawBindMetadata<'a> {
    /// The flags: bit 0 and, where the server marks them, that of conditional statements.
    pub flags: u32,
    key_indexes: &'a [u8], // two bytes each
    columns: RawColumns<'a>,
}

impl<'a> RawBindMetadata<'a> {
    /// Walks over bind metadata.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let flags = reader.u32("bind metadata flags")?;
        // A bind marker takes four bytes at least, an empty name and a type.
        let count = reader.count("bind marker count", 4)?;
        let key_count = reader.count("partition key column count", 2)?;
        if key_count > count {
            // Each is another bind marker.
            return Err(Malformed::Count {
                what: "partition key column count",
                count: key_count,
                max: count,
                offset: reader.offset_u32(),
            });
        }
        let key_len = usize::try_from(key_count).unwrap_or(usize::MAX).saturating_mul(2);
        let key_indexes = reader.take(key_len, "partition key indexes")?;
        for index in indexes(key_indexes) {
            if u32::from(index) >= count {
                return Err(reader.unknown_code("partition key index", u32::from(index)));
            }
        }
        let global_table = GlobalTable::from_flags(flags);
        let columns = RawColumns::read(reader, global_table, count, None)?;
        Ok(Self { flags, key_indexes, columns })
    }

    /// The bind markers.
    ///
    /// ```
    /// # use shardwire_protocol::header::Version;
    /// # use shardwire_protocol::response::{Agreed, PreparedBody};
    /// # use shardwire_protocol::wire::Reader;
    /// # let body = b"\0\x01P\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\
    /// #     \0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\x04\0\0\0\0";
    /// let prepared = PreparedBody::parse(Reader::new(body), &Agreed::on(Version::V4))?;
    /// assert_eq!(prepared.bind.columns().count(), 1);
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    #[must_use]
    pub fn columns(&self) -> RawColumns<'a> {
        self.columns
    }

    /// Parses the metadata. `lwt_mark` is the bit that the server marks conditional statements
    /// with, [`Supported::lwt_mark`](crate::supported::Supported::lwt_mark) if it was agreed.
    ///
    /// ```
    /// # use shardwire_protocol::header::Version;
    /// # use shardwire_protocol::response::{Agreed, PreparedBody};
    /// # use shardwire_protocol::wire::Reader;
    /// # let body = b"\0\x01P\x80\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\
    /// #     \0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\x04\0\0\0\0";
    /// let prepared = PreparedBody::parse(Reader::new(body), &Agreed::on(Version::V4))?;
    /// assert_eq!(prepared.bind.flags, 0x8000_0001);
    /// assert!(prepared.bind.to_metadata(Some(0x8000_0000))?.is_lwt);
    /// assert!(!prepared.bind.to_metadata(None)?.is_lwt);
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`RawColumns::to_columns`].
    ///
    /// # Allocation
    /// A few per bind marker: once per PREPARE.
    pub fn to_metadata(&self, lwt_mark: Option<u32>) -> Result<PreparedMetadata, Malformed> {
        Ok(PreparedMetadata {
            columns: self.columns.to_columns()?,
            partition_key_indexes: indexes(self.key_indexes).collect(),
            is_lwt: lwt_mark.is_some_and(|mark| self.flags & mark != 0),
        })
    }
}

fn indexes(bytes: &[u8]) -> impl Iterator<Item = u16> {
    let (indexes, _) = bytes.as_chunks::<2>();
    indexes.iter().map(|index| u16::from_be_bytes(*index))
}

#[cfg(test)]
mod tests;
