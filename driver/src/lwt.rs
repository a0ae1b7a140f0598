//! What a conditional statement (a lightweight transaction) came to.
//!
//! Nodes answer with rows whose first column says whether the statement was applied. What follows
//! differs: ScyllaDB always sends all columns, null where there was no row; Cassandra sends columns
//! only where something stood in the way. Here both look alike, and borrow from the reply.

use std::iter::FusedIterator;

use shardwire_protocol::row::DeserializeRow;
use shardwire_protocol::rows::TypedRows;
use shardwire_protocol::types::{ColumnSpec, ColumnType};
use shardwire_protocol::wire::Reader;

use crate::error::Error;
use crate::rows::{QueryResult, QueryRowsResult};

/// Name of the first column.
const APPLIED: &str = "[applied]";

impl QueryResult {
    /// What a conditional statement came to.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let insert = "INSERT INTO shop.items (id, name) VALUES (1, 'lamp') IF NOT EXISTS";
    /// let result = session.query_unpaged(insert, ()).await?;
    /// assert!(result.lwt_result()?.is_applied());
    ///
    /// let result = session.query_unpaged(insert, ()).await?;
    /// let outcome = result.lwt_result()?;
    /// assert!(!outcome.is_applied());
    /// assert_eq!(outcome.existing()?, Some((1_i64, "lamp"))); // the row that was there
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Result`] if the statement had no condition.
    pub fn lwt_result(&self) -> Result<LwtResult<'_>, Error> {
        match self.rows_result() {
            Ok(rows) => rows.lwt_result(),
            Err(_) => Err(not_conditional()),
        }
    }
}

impl QueryRowsResult {
    /// What a conditional statement came to; see [`QueryResult::lwt_result`].
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Result`] if the statement had no condition.
    pub fn lwt_result(&self) -> Result<LwtResult<'_>, Error> {
        match self.column_specs().split_first() {
            Some((first, columns)) if first.name == APPLIED && first.typ == ColumnType::Boolean => {
                let cells = Reader::new(self.cells());
                let mut rows = LwtRows { columns, cells, left: self.rows_num() };
                let first = rows.next().unwrap_or_else(|| Err(not_conditional()))?;
                Ok(LwtResult { first, result: self })
            }
            _ => Err(not_conditional()),
        }
    }
}

#[cold]
fn not_conditional() -> Error {
    Error::result("the statement had no condition")
}

/// What a conditional statement, or a batch with conditions, came to.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// # session.query_unpaged("INSERT INTO shop.items (id, name) VALUES (1, 'lamp')", ()).await?;
/// let rename = "UPDATE shop.items SET name = ? WHERE id = ? IF name = ?";
/// let rename = session.prepare(rename).await?;
/// let result = session.execute_unpaged(&rename, ("table", 1_i64, "chair")).await?;
/// let outcome = result.lwt_result()?;
/// if !outcome.is_applied() {
///     match outcome.existing::<(&str,)>()? {
///         Some((name,)) => assert_eq!(name, "lamp"), // it is no chair
///         None => println!("there is no such item"),
///     }
/// }
/// # Ok(()) });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LwtResult<'r> {
    first: LwtRow<'r>,
    result: &'r QueryRowsResult,
}

impl<'r> LwtResult<'r> {
    /// Whether it was applied: the statement, or the whole batch.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        self.first.is_applied()
    }

    /// The row that the condition was compared with, as far as the node tells; see
    /// [`LwtRow::existing`]. Of a batch, that of its first row.
    ///
    /// # Errors
    ///
    /// As [`LwtRow::existing`].
    pub fn existing<R: DeserializeRow<'r>>(&self) -> Result<Option<R>, Error> {
        self.first.existing()
    }

    /// All rows: several for a batch.
    ///
    /// ScyllaDB sends one for each statement, in their order; Cassandra sends one for each row that
    /// stood in the way, or one for all if none did.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// # session.query_unpaged("INSERT INTO shop.items (id, name) VALUES (1, 'lamp')", ()).await?;
    /// let delete = "DELETE FROM shop.items WHERE id = 1 IF name = 'chair'";
    /// let result = session.query_unpaged(delete, ()).await?;
    /// for row in result.lwt_result()?.rows() {
    ///     let row = row?;
    ///     assert_eq!((row.is_applied(), row.existing()?), (false, Some(("lamp",))));
    /// }
    /// # Ok(()) });
    /// ```
    #[must_use = "iterators are lazy"]
    pub fn rows(&self) -> LwtRows<'r> {
        let cells = Reader::new(self.result.cells());
        LwtRows { columns: self.first.columns, cells, left: self.result.rows_num() }
    }
}

/// The rows of a [`LwtResult`].
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let delete = "DELETE FROM shop.items WHERE id = 1 IF EXISTS";
/// let result = session.query_unpaged(delete, ()).await?;
/// assert_eq!(result.lwt_result()?.rows().len(), 1);
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct LwtRows<'r> {
    columns: &'r [ColumnSpec],
    cells: Reader<'r>,
    left: usize,
}

impl<'r> Iterator for LwtRows<'r> {
    type Item = Result<LwtRow<'r>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let row = read_row(&mut self.cells, self.columns);
        if row.is_err() {
            self.left = 0;
        }
        Some(row)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for LwtRows<'_> {}

impl FusedIterator for LwtRows<'_> {}

fn read_row<'r>(cells: &mut Reader<'r>, columns: &'r [ColumnSpec]) -> Result<LwtRow<'r>, Error> {
    let applied = match cells.bytes(APPLIED).map_err(Error::protocol)? {
        Some([byte]) => *byte != 0,
        _ => return Err(Error::unexpected("the column [applied] is not a boolean")),
    };
    let start = cells.remaining();
    let mut exists = false;
    for _ in columns {
        exists |= cells.bytes("cell").map_err(Error::protocol)?.is_some();
    }
    let len = start.len().saturating_sub(cells.remaining().len());
    let cells = start.get(..len).unwrap_or_default();
    Ok(LwtRow { applied, exists, columns, cells })
}

/// One row of a [`LwtResult`].
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let insert = "INSERT INTO shop.items (id, name) VALUES (1, 'lamp') IF NOT EXISTS";
/// let result = session.query_unpaged(insert, ()).await?;
/// let row = result.lwt_result()?.rows().next().expect("there is one")?;
/// assert!(row.is_applied());
/// assert_eq!(row.existing::<(i64, &str)>()?, None); // nothing was there before
/// # Ok(()) });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LwtRow<'r> {
    applied: bool,
    /// Any of the columns has a value.
    exists: bool,
    columns: &'r [ColumnSpec],
    /// Without the first cell.
    cells: &'r [u8],
}

impl<'r> LwtRow<'r> {
    /// Whether the statement was applied.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        self.applied
    }

    /// The columns that follow `[applied]`; none where the node sent no more.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// # session.query_unpaged("INSERT INTO shop.items (id, name) VALUES (1, 'lamp')", ()).await?;
    /// let delete = "DELETE FROM shop.items WHERE id = 1 IF name = 'chair'";
    /// let result = session.query_unpaged(delete, ()).await?;
    /// let row = result.lwt_result()?.rows().next().expect("there is one")?;
    /// assert_eq!(row.column_specs()[0].name, "name");
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn column_specs(&self) -> &'r [ColumnSpec] {
        self.columns
    }

    /// The row that the condition was compared with, as far as the node tells.
    ///
    /// `None` if it sent no values: there was no row, all columns that were asked about are null,
    /// or (Cassandra) the statement was applied. ScyllaDB tells the values from before even then.
    /// `R` has the columns that the condition names, or all of the table's for `IF EXISTS` and
    /// `IF NOT EXISTS`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Deserialize`] if there is one and it is not an `R`.
    pub fn existing<R: DeserializeRow<'r>>(&self) -> Result<Option<R>, Error> {
        if !self.exists {
            return Ok(None);
        }
        let row = TypedRows::over(self.columns, self.cells, 1)
            .and_then(|mut rows| rows.next().transpose());
        row.map_err(|error| {
            let column = error.column().and_then(|index| self.columns.get(usize::from(index)));
            Error::deserialize(error, column.map(|column| &*column.name))
        })
    }
}

#[cfg(test)]
mod tests {
    use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
    use shardwire_sync::Lease;

    use super::*;
    use crate::error::ErrorKind;

    fn bytes(name: &[u8]) -> Vec<u8> {
        [&u16::try_from(name.len()).unwrap().to_be_bytes(), name].concat()
    }

    fn cell(value: Option<&[u8]>) -> Vec<u8> {
        match value {
            None => vec![0xFF; 4],
            Some(value) => [&u32::try_from(value.len()).unwrap().to_be_bytes(), value].concat(),
        }
    }

    /// A reply with these columns (name and type) and rows.
    fn reply(columns: &[(&str, u16)], rows: &[&[Option<&[u8]>]]) -> QueryResult {
        let count = |len: usize| u32::try_from(len).unwrap().to_be_bytes();
        let mut body = [[0, 0, 0, 2], [0, 0, 0, 1], count(columns.len())].concat();
        body.extend([bytes(b"k"), bytes(b"t")].concat());
        for (name, typ) in columns {
            body.extend([bytes(name.as_bytes()), typ.to_be_bytes().to_vec()].concat());
        }
        body.extend(count(rows.len()));
        rows.iter().copied().flatten().for_each(|value| body.extend(cell(*value)));
        let (version, opcode) = (Version::V4, Opcode::Result);
        let body_len = u32::try_from(body.len()).unwrap();
        let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len };
        QueryResult::parse(header, Lease::copy_of(&body), None).unwrap()
    }

    const APPLIED_COLUMN: (&str, u16) = (APPLIED, 0x04);
    const ID: (&str, u16) = ("id", 0x09);
    const NAME: (&str, u16) = ("name", 0x0D);
    const TRUE: Option<&[u8]> = Some(&[1]);
    const FALSE: Option<&[u8]> = Some(&[0]);

    type Existing = Vec<(bool, Option<(Option<i32>, Option<String>)>)>;

    #[track_caller]
    fn check(result: &QueryResult, expect: &Existing) {
        let outcome = result.lwt_result().unwrap();
        let rows: Existing = outcome
            .rows()
            .map(|row| {
                let row = row.unwrap();
                (row.is_applied(), row.existing().unwrap())
            })
            .collect();
        assert_eq!(rows, *expect);
        assert_eq!(outcome.rows().len(), expect.len());
        assert_eq!((outcome.is_applied(), outcome.existing().unwrap()), expect[0]);
    }

    #[test]
    fn cassandra_shows_what_stands_in_the_way() {
        for (applied, byte) in [(true, TRUE), (false, FALSE)] {
            check(&reply(&[APPLIED_COLUMN], &[&[byte]]), &vec![(applied, None)]);
        }
        let row: &[Option<&[u8]>] = &[FALSE, Some(&[0, 0, 0, 7]), Some(b"lamp")];
        let existing = || Some((Some(7), Some("lamp".to_owned())));
        check(&reply(&[APPLIED_COLUMN, ID, NAME], &[row]), &vec![(false, existing())]);
        // A batch: each row that stands in the way.
        let rows = vec![(false, existing()), (false, existing())];
        check(&reply(&[APPLIED_COLUMN, ID, NAME], &[row, row]), &rows);
    }

    #[test]
    fn scylladb_always_sends_all_columns() {
        let columns = [APPLIED_COLUMN, ID, NAME];
        let nothing: &[Option<&[u8]>] = &[TRUE, None, None];
        check(&reply(&columns, &[nothing]), &vec![(true, None)]);
        let before: &[Option<&[u8]>] = &[TRUE, Some(&[0, 0, 0, 7]), None];
        let existing = || Some((Some(7), None));
        check(&reply(&columns, &[before]), &vec![(true, existing())]);
        // A batch: each statement.
        let rows = vec![(true, None), (true, existing()), (true, None)];
        check(&reply(&columns, &[nothing, before, nothing]), &rows);
    }

    #[test]
    fn what_is_not_conditional_is_an_error() {
        let rows: &[&[Option<&[u8]>]] = &[&[TRUE]];
        for result in [
            QueryResult::void(),
            reply(&[ID], &[]),
            reply(&[(APPLIED, ID.1)], &[&[Some(&[0, 0, 0, 1])]]),
            reply(&[("applied", APPLIED_COLUMN.1)], rows),
            reply(&[APPLIED_COLUMN], &[]),
        ] {
            assert_eq!(result.lwt_result().unwrap_err().kind(), ErrorKind::Result);
        }
        for value in [None, Some(&[][..]), Some(&[1, 1])] {
            let result = reply(&[APPLIED_COLUMN], &[&[value]]);
            assert_eq!(result.lwt_result().unwrap_err().kind(), ErrorKind::Protocol);
        }
    }

    #[test]
    fn cells_that_are_missing_are_an_error_and_the_end() {
        let columns = [APPLIED_COLUMN, ID, NAME];
        let row: &[Option<&[u8]>] = &[FALSE, Some(&[0, 0, 0, 7]), Some(b"lamp")];
        let result = reply(&columns, &[row, &[FALSE]]);
        let mut rows = result.lwt_result().unwrap().rows();
        assert!(rows.next().is_some_and(|row| row.is_ok()));
        assert_eq!(rows.next().unwrap().unwrap_err().kind(), ErrorKind::Protocol);
        assert!(rows.next().is_none());
    }

    #[test]
    fn another_type_of_row_is_an_error_that_names_the_column() {
        let row: &[Option<&[u8]>] = &[FALSE, Some(&[0, 0, 0, 7]), Some(b"lamp")];
        let result = reply(&[APPLIED_COLUMN, ID, NAME], &[row]);
        let outcome = result.lwt_result().unwrap();
        let error = outcome.existing::<(i32, i32)>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deserialize);
        assert!(error.to_string().contains("\"name\""), "{error}");
        assert!(outcome.existing::<(i32,)>().is_err());
    }
}
