//! The rows of a reply, in place.
//!
//! [`RowsBody`] knows where the parts of a Rows result lie; making one is a handful of comparisons.
//! [`TypedRows`] walks the rows and decodes each as a Rust type. Neither allocates and neither
//! owns: both point into the frame's body, which somebody else keeps.
//!
//! Step 13 of 14 in `docs/REQUEST.md`. Next: `driver/src/rows.rs`.

use std::iter::FusedIterator;
use std::marker::PhantomData;

use crate::error::{DeserializeError, Malformed};
use crate::metadata::{RawColumns, ResultHead, ResultMetadata, result_flags};
use crate::response::Agreed;
use crate::row::{Cells, DeserializeRow};
use crate::types::{ColumnSpec, GlobalTable};
use crate::wire::Reader;

/// A Rows result (CQL v4 §4.2.5.2), not yet decoded.
///
/// ```
/// use shardwire_protocol::response::Agreed;
/// use shardwire_protocol::rows::{RowsBody, RowsMetadata};
/// use shardwire_protocol::wire::Reader;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Columns sent along: one int named id. Then one row.
/// let body = b"\0\0\0\x01\0\0\0\x01\0\x04shop\0\x05items\0\x02id\0\x09\
///     \0\0\0\x01\0\0\0\x04\0\0\0\x07";
/// let rows = RowsBody::parse(Reader::new(body), &Agreed::default(), None)?;
/// let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
/// let columns = raw.to_columns()?;
/// for row in rows.rows::<(i32,)>(&columns)? {
///     assert_eq!(row?, (7,));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RowsBody<'a> {
    /// See [`result_flags`].
    pub flags: u32,
    /// How many cells each row has; at least one where there are rows.
    pub column_count: u32,
    /// What to ask the next page with; `None` on the last page.
    pub paging_state: Option<&'a [u8]>,
    /// The id of the metadata, if it is not the one that the request named.
    pub new_metadata_id: Option<&'a [u8]>,
    /// The columns, unless the request asked to leave them out.
    pub metadata: RowsMetadata<'a>,
    /// How many rows there are. Each takes four bytes per column at least, so it is bounded by
    /// the length of the body.
    pub rows_count: u32,
    cells: Reader<'a>,
}

/// The columns of a Rows result.
///
/// ```
/// use shardwire_protocol::response::Agreed;
/// use shardwire_protocol::rows::{RowsBody, RowsMetadata};
/// use shardwire_protocol::wire::Reader;
///
/// // The flag 4 says that the columns are left out; there is one, and no row.
/// let body = [0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0];
/// let rows = RowsBody::parse(Reader::new(&body), &Agreed::default(), None)?;
/// assert_eq!(rows.metadata, RowsMetadata::Skipped);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RowsMetadata<'a> {
    /// Left out: they are those of the prepared statement.
    Skipped,
    /// Sent along.
    Present {
        /// As they were sent, see [`ResultMetadata::matches`].
        raw: RawColumns<'a>,
    },
}

impl<'a> RowsBody<'a> {
    /// Reads what follows the kind of a RESULT. Columns equal to the `known` ones are not parsed
    /// to find where they end.
    ///
    /// ```
    /// # use shardwire_protocol::response::Agreed;
    /// # use shardwire_protocol::rows::RowsBody;
    /// # use shardwire_protocol::wire::Reader;
    /// // Columns left out. One column; one row, of an int.
    /// let body = [0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7];
    /// let rows = RowsBody::parse(Reader::new(&body), &Agreed::default(), None)?;
    /// assert_eq!((rows.column_count, rows.rows_count), (1, 1));
    ///
    /// let short = Reader::new(&body[..12]);
    /// let error = RowsBody::parse(short, &Agreed::default(), None).unwrap_err();
    /// assert_eq!(error.to_string(), "row count is 1, at most 0 possible, at byte 12");
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// Where the bytes are not CQL, or announce more columns or rows than they can hold.
    #[inline]
    pub fn parse(
        mut reader: Reader<'a>,
        agreed: &Agreed,
        known: Option<&ResultMetadata>,
    ) -> Result<Self, Malformed> {
        let ResultHead { flags, column_count, paging_state, new_metadata_id } =
            ResultHead::read(&mut reader, agreed)?;
        let metadata = if flags & result_flags::NO_METADATA != 0 {
            RowsMetadata::Skipped
        } else {
            let global_table = GlobalTable::from_flags(flags);
            let raw = RawColumns::read(&mut reader, global_table, column_count, known)?;
            RowsMetadata::Present { raw }
        };
        let rows_count = reader.u32("row count")?;
        // At most 2^32 rows of 2^16 columns of 2^2 bytes: no overflow. A row of no cells would
        // take no bytes, so that the body would not bound the count.
        let len_min = u64::from(rows_count) * u64::from(column_count) * 4;
        let cells_len = reader.remaining().len() as u64;
        if len_min > cells_len || (column_count == 0 && rows_count != 0) {
            let max = cells_len / (u64::from(column_count) * 4).max(1);
            let max = if column_count == 0 { 0 } else { max };
            let max = u32::try_from(max).unwrap_or(u32::MAX);
            return Err(count_error("row count", rows_count, max, &reader));
        }
        Ok(Self {
            flags,
            column_count,
            paging_state,
            new_metadata_id,
            metadata,
            rows_count,
            cells: reader,
        })
    }

    /// All cells of all rows: one `[bytes]` after the other.
    ///
    /// ```
    /// # use shardwire_protocol::response::Agreed;
    /// # use shardwire_protocol::rows::RowsBody;
    /// # use shardwire_protocol::wire::Reader;
    /// let body = [0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7];
    /// let rows = RowsBody::parse(Reader::new(&body), &Agreed::default(), None)?;
    /// assert_eq!(rows.cells(), [0, 0, 0, 4, 0, 0, 0, 7]);
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    #[must_use]
    pub fn cells(&self) -> &'a [u8] {
        self.cells.remaining()
    }

    /// Whether a next page can be asked for. Not the flag: without a paging state, asking again
    /// would begin at the first page, and never end.
    ///
    /// ```
    /// # use shardwire_protocol::response::Agreed;
    /// # use shardwire_protocol::rows::RowsBody;
    /// # use shardwire_protocol::wire::Reader;
    /// let body = [0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 8, 9, 0, 0, 0, 0];
    /// let rows = RowsBody::parse(Reader::new(&body), &Agreed::default(), None)?;
    /// assert!(rows.has_more_pages());
    /// assert_eq!(rows.paging_state, Some(&[8, 9][..]));
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    #[must_use]
    pub fn has_more_pages(&self) -> bool {
        self.paging_state.is_some()
    }

    /// Walks the rows as `R`. `columns` are those of the statement, or of [`Self::metadata`].
    ///
    /// ```
    /// # use shardwire_protocol::response::Agreed;
    /// # use shardwire_protocol::rows::RowsBody;
    /// use shardwire_protocol::types::{ColumnSpec, ColumnType};
    /// # use shardwire_protocol::wire::Reader;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let typ = ColumnType::Int;
    /// # let id = ColumnSpec { keyspace: "k".into(), table: "t".into(), name: "id".into(), typ };
    /// # let columns = [id];
    /// let body = [0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7];
    /// let rows = RowsBody::parse(Reader::new(&body), &Agreed::default(), None)?;
    /// assert_eq!(rows.rows::<(i32,)>(&columns)?.next(), Some(Ok((7,))));
    /// let error = rows.rows::<(&str,)>(&columns).unwrap_err();
    /// assert_eq!(error.to_string(), "column 0: &str does not fit int");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a row has not as many cells as there are `columns`, and the errors of
    /// [`DeserializeRow::type_check`].
    #[inline]
    pub fn rows<'meta: 'a, R: DeserializeRow<'a>>(
        &self,
        columns: &'meta [ColumnSpec],
    ) -> Result<TypedRows<'a, 'meta, R>, DeserializeError> {
        R::type_check(columns)?;
        self.rows_of_checked_type(columns)
    }

    /// As [`Self::rows`], where `R::type_check(columns)` is known to succeed. If it would not,
    /// rows are errors or wrong.
    ///
    /// ```
    /// # use shardwire_protocol::response::Agreed;
    /// use shardwire_protocol::row::DeserializeRow;
    /// # use shardwire_protocol::rows::RowsBody;
    /// # use shardwire_protocol::types::{ColumnSpec, ColumnType};
    /// # use shardwire_protocol::wire::Reader;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let typ = ColumnType::Int;
    /// # let id = ColumnSpec { keyspace: "k".into(), table: "t".into(), name: "id".into(), typ };
    /// # let columns = [id];
    /// <(i32,)>::type_check(&columns)?; // once per statement
    /// let body = [0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7];
    /// let rows = RowsBody::parse(Reader::new(&body), &Agreed::default(), None)?;
    /// assert_eq!(rows.rows_of_checked_type(&columns)?.next(), Some(Ok((7_i32,))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a row has not as many cells as there are `columns`.
    #[inline]
    pub fn rows_of_checked_type<'meta: 'a, R: DeserializeRow<'a>>(
        &self,
        columns: &'meta [ColumnSpec],
    ) -> Result<TypedRows<'a, 'meta, R>, DeserializeError> {
        let column_count = usize::try_from(self.column_count).unwrap_or(usize::MAX);
        if columns.len() != column_count {
            return Err(DeserializeError::wrong_column_count(columns.len(), column_count));
        }
        Ok(TypedRows {
            end: self.cells.offset() + self.cells.remaining().len(),
            cells: self.cells.remaining(),
            columns,
            left: self.rows_count,
            are_in_order: R::is_in_order(columns),
            row: PhantomData,
        })
    }
}

#[cold]
fn count_error(what: &'static str, count: u32, max: u32, reader: &Reader<'_>) -> Malformed {
    Malformed::Count { what, count, max, offset: reader.offset_u32() }
}

/// Rows decoded one after the other.
///
/// After an error it ends: whatever was wrong, where the next row begins is not certain.
///
/// ```
/// use shardwire_protocol::rows::TypedRows;
/// use shardwire_protocol::types::{ColumnSpec, ColumnType};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let typ = ColumnType::Text;
/// # let id = ColumnSpec { keyspace: "k".into(), table: "t".into(), name: "id".into(), typ };
/// # let columns = [id];
/// let cells = b"\0\0\0\x04lamp\0\0\0\x05table";
/// let mut rows = TypedRows::<(&str,)>::over(&columns, cells, 2)?;
/// assert_eq!(rows.len(), 2);
/// assert_eq!(rows.next(), Some(Ok(("lamp",))));
/// assert_eq!(rows.next(), Some(Ok(("table",))));
/// assert_eq!(rows.next(), None);
/// # Ok(())
/// # }
/// ```
// The order of fields is fixed with `end`, of use to errors only, in front. The compiler takes the
// `Result` this is wrapped in apart along the error's fields, which are two bytes long there: a
// pointer in that place is put together from pieces again for each row, at ten instructions.
#[derive(Clone, Debug)]
#[must_use = "iterators are lazy"]
#[repr(C)]
pub struct TypedRows<'frame, 'meta, R> {
    end: usize, // offset in the body of the end of `cells`
    cells: &'frame [u8],
    columns: &'meta [ColumnSpec],
    left: u32,
    are_in_order: bool,
    row: PhantomData<fn() -> R>,
}

impl<'frame, 'meta: 'frame, R: DeserializeRow<'frame>> TypedRows<'frame, 'meta, R> {
    /// Walks rows of which the cells are known already, as [`RowsBody::cells`] tells them.
    ///
    /// ```
    /// # use shardwire_protocol::rows::TypedRows;
    /// # use shardwire_protocol::types::{ColumnSpec, ColumnType};
    /// # let typ = ColumnType::Text;
    /// # let id = ColumnSpec { keyspace: "k".into(), table: "t".into(), name: "id".into(), typ };
    /// # let columns = [id];
    /// let mut rows = TypedRows::<(&str,)>::over(&columns, b"\0\0\0\x04la", 1)?;
    /// let error = rows.next().unwrap().unwrap_err();
    /// assert_eq!(error.to_string(), "body ends within cell, which begins at byte 4");
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`DeserializeRow::type_check`]. Too few cells are an error of the iterator.
    #[inline]
    pub fn over(
        columns: &'meta [ColumnSpec],
        cells: &'frame [u8],
        rows_count: u32,
    ) -> Result<Self, DeserializeError> {
        R::type_check(columns)?;
        Ok(Self::over_checked_type(columns, cells, rows_count))
    }

    /// As [`Self::over`], where `R::type_check(columns)` is known to succeed. If it would not, rows
    /// are errors or wrong.
    ///
    /// ```
    /// use shardwire_protocol::row::DeserializeRow;
    /// # use shardwire_protocol::rows::TypedRows;
    /// # use shardwire_protocol::types::{ColumnSpec, ColumnType};
    ///
    /// # let typ = ColumnType::Text;
    /// # let id = ColumnSpec { keyspace: "k".into(), table: "t".into(), name: "id".into(), typ };
    /// # let columns = [id];
    /// <(&str,)>::type_check(&columns)?; // once per statement
    /// let mut rows = TypedRows::<(&str,)>::over_checked_type(&columns, b"\0\0\0\x04lamp", 1);
    /// assert_eq!(rows.next(), Some(Ok(("lamp",))));
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    #[inline]
    pub fn over_checked_type(
        columns: &'meta [ColumnSpec],
        cells: &'frame [u8],
        rows_count: u32,
    ) -> Self {
        let are_in_order = R::is_in_order(columns);
        Self { end: cells.len(), cells, columns, left: rows_count, are_in_order, row: PhantomData }
    }
}

impl<'frame, 'meta: 'frame, R: DeserializeRow<'frame>> Iterator for TypedRows<'frame, 'meta, R> {
    type Item = Result<R, DeserializeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let cells = Cells::new(Reader::new(self.cells), self.columns);
        let mut cells = cells.with_order(self.are_in_order);
        if let Some(row) = R::deserialize_sound(&mut cells)
            && let Ok(rest) = cells.finish()
        {
            self.cells = rest.remaining();
            return Some(Ok(row));
        }
        self.left = 0;
        Some(Err(fault::<R>(self.cells, self.end, self.columns)))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

impl<'frame, 'meta: 'frame, R: DeserializeRow<'frame>> ExactSizeIterator
    for TypedRows<'frame, 'meta, R>
{
}

impl<'frame, 'meta: 'frame, R: DeserializeRow<'frame>> FusedIterator
    for TypedRows<'frame, 'meta, R>
{
}

/// What is wrong with the row at the beginning of `cells`: reads it again to see.
#[cold]
#[inline(never)]
fn fault<'frame, 'meta: 'frame, R: DeserializeRow<'frame>>(
    cells: &'frame [u8],
    end: usize,
    columns: &'meta [ColumnSpec],
) -> DeserializeError {
    let reader = Reader::with_offset(cells, end.saturating_sub(cells.len()));
    let mut cells = Cells::new(reader, columns);
    match R::deserialize(&mut cells).and_then(|_| cells.finish()) {
        Err(error) => error,
        Ok(_) => DeserializeError::bad_value("row that could not be read the first time"),
    }
}

#[cfg(test)]
mod tests;
