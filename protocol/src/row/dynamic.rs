//! Rows of any columns.
//!
//! For columns that are known only at run time; where they are known when compiling, tuples and
//! derived types are the fast way.
//!
//! Next: `rows.rs`.

use bytes::Bytes;

use super::{Cells, DeserializeRow};
use crate::error::DeserializeError;
use crate::types::ColumnSpec;
use crate::value::{COLLECTION_RESERVE_MAX, CqlValue, RawValue};

/// A row of whatever columns the result has, in their order.
///
/// ```
/// use shardwire_protocol::row::Row;
/// use shardwire_protocol::rows::TypedRows;
/// use shardwire_protocol::types::{ColumnSpec, ColumnType};
/// use shardwire_protocol::value::CqlValue;
///
/// # let column = |name: &str, typ| {
/// #     let (keyspace, table) = ("shop".into(), "items".into());
/// #     ColumnSpec { keyspace, table, name: name.into(), typ }
/// # };
/// let columns = [column("id", ColumnType::Int), column("name", ColumnType::Text)];
/// let cells = b"\0\0\0\x04\0\0\0\x07\xFF\xFF\xFF\xFF";
/// let mut rows = TypedRows::<Row>::over(&columns, cells, 1)?;
/// let row = rows.next().expect("there is one")?;
/// assert_eq!(row.columns, [Some(CqlValue::Int(7)), None]);
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
///
/// # Allocation
/// One for the columns, and what each value owns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The row's values; `None` for null.
    pub columns: Vec<Option<CqlValue>>,
}

impl Row {
    /// Reads the next row from `cells`, which lie in `body`: blobs are slices of the body, and keep
    /// it in memory. See [`CqlValue::from_shared`].
    ///
    /// ```
    /// use bytes::Bytes;
    /// use shardwire_protocol::row::{Cells, Row};
    /// use shardwire_protocol::types::{ColumnSpec, ColumnType};
    /// use shardwire_protocol::wire::Reader;
    ///
    /// # let (keyspace, table, name) = ("shop".into(), "items".into(), "photo".into());
    /// let columns = [ColumnSpec { keyspace, table, name, typ: ColumnType::Blob }];
    /// let body = Bytes::from_static(&[0, 0, 0, 2, 7, 8]);
    /// let mut cells = Cells::new(Reader::new(&body), &columns);
    /// let row = Row::from_shared(&mut cells, &body)?;
    /// let photo = row.columns[0].as_ref().and_then(|value| value.as_blob());
    /// assert_eq!(photo.map(|blob| blob.as_ptr()), Some(body[4..].as_ptr()));
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    ///
    /// # Errors
    /// As [`DeserializeRow::deserialize`].
    pub fn from_shared(cells: &mut Cells<'_, '_>, body: &Bytes) -> Result<Self, DeserializeError> {
        Self::read(cells, |RawValue { typ, content }| {
            content.map(|content| CqlValue::from_shared(typ, Some(content), body)).transpose()
        })
    }

    fn read<'frame>(
        cells: &mut Cells<'frame, '_>,
        mut read: impl FnMut(RawValue<'frame>) -> Result<Option<CqlValue>, DeserializeError>,
    ) -> Result<Self, DeserializeError> {
        let left = cells.columns().len().saturating_sub(cells.index());
        let mut columns = Vec::with_capacity(left.min(COLLECTION_RESERVE_MAX));
        for _ in 0..left {
            let index = cells.index();
            columns.push(read(cells.value()?).map_err(|error| error.at_column(index))?);
        }
        Ok(Self { columns })
    }
}

impl<'frame> DeserializeRow<'frame> for Row {
    fn type_check(_: &[ColumnSpec]) -> Result<(), DeserializeError> {
        Ok(())
    }

    fn deserialize(cells: &mut Cells<'frame, '_>) -> Result<Self, DeserializeError> {
        Self::read(cells, RawValue::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ColumnType;
    use crate::wire::Reader;

    fn columns() -> [ColumnSpec; 3] {
        [ColumnType::Int, ColumnType::Text, ColumnType::Blob].map(|typ| ColumnSpec {
            keyspace: "k".into(),
            table: "t".into(),
            name: "c".into(),
            typ,
        })
    }

    const ROW: &[u8] = b"\0\0\0\x04\0\0\0\x07\xFF\xFF\xFF\xFF\0\0\0\x02xy";

    #[test]
    fn cut_at_every_byte() {
        let columns = columns();
        let expected = [Some(CqlValue::Int(7)), None, Some(b"xy"[..].into())];
        let mut cells = Cells::new(Reader::new(ROW), &columns);
        assert_eq!(Row::deserialize(&mut cells).unwrap().columns, expected);
        assert!(cells.finish().unwrap().remaining().is_empty());
        for len in 0..ROW.len() {
            let mut cells = Cells::new(Reader::new(&ROW[..len]), &columns);
            let error = Row::deserialize(&mut cells).unwrap_err();
            assert!(matches!(error, DeserializeError::Malformed(_)), "{len}: {error}");
        }
        let body = Bytes::from_static(ROW);
        let mut cells = Cells::new(Reader::new(&body), &columns);
        cells.skip().unwrap();
        let row = Row::from_shared(&mut cells, &body).unwrap();
        assert_eq!(row.columns, expected[1..], "those that are left");
    }

    #[test]
    fn errors_name_the_column() {
        let columns = columns();
        let row = b"\0\0\0\x04\0\0\0\x07\0\0\0\x01\xFF\0\0\0\x00";
        for row in [&row[..], &b"\0\0\0\x04\0\0\0\x07\0\0\0\x02\xFF\xFF"[..]] {
            let mut cells = Cells::new(Reader::new(row), &columns);
            let error = Row::deserialize(&mut cells).unwrap_err();
            assert_eq!(error.column(), Some(1));
            let mut cells = Cells::new(Reader::new(row), &columns);
            let shared = Row::from_shared(&mut cells, &Bytes::copy_from_slice(row));
            assert_eq!(shared, Err(error));
        }
    }
}
