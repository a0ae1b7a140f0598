//! Results: what came back, and its rows as typed values that borrow from the reply.
//!
//! A [`QueryResult`] holds the reply where it arrived, in the connection's receive chunk; the
//! chunk is free again when the last result in it is dropped. Whoever keeps results for long
//! copies what it needs out of them ([`QueryRowsResult::to_owned_result`]).
//!
//! Step 14 of 14 in `docs/REQUEST.md`.

use std::ops::Range;
use std::sync::Arc;

use shardwire_protocol::error::DeserializeError;
use shardwire_protocol::header::{Opcode, ResponseHeader, flags};
use shardwire_protocol::metadata::ResultMetadata;
use shardwire_protocol::response::{
    Agreed, Body, PLAIN_ROWS_LEN, Response, ResultBody, plain_rows_count,
};
use shardwire_protocol::row::DeserializeRow;
use shardwire_protocol::rows::{RowsBody, RowsMetadata, TypedRows};
use shardwire_protocol::tablets::payload;
use shardwire_protocol::types::ColumnSpec;
use shardwire_protocol::wire::Reader;
use shardwire_sync::Lease;
use uuid::Uuid;

use crate::error::Error;
use crate::topology::tablets::Tablets;

/// What a request came back with.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
/// let result = session.execute_unpaged(&insert, (1_i64, "lamp")).await?;
/// assert!(!result.is_rows());
///
/// let select = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
/// let rows = session.execute_unpaged(&select, (1_i64,)).await?.into_rows_result()?;
/// assert_eq!(rows.single_row::<(&str,)>()?, ("lamp",));
/// # Ok(()) });
/// ```
#[derive(Debug)]
pub struct QueryResult {
    rows: Option<QueryRowsResult>,
    /// Allocates: only for replies that have a tracing id, warnings or a payload.
    extras: Option<Box<Extras>>,
}

/// What is known of a statement whose result is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'s> {
    /// The columns that it was prepared with.
    pub(crate) metadata: &'s Arc<ResultMetadata>,
    /// Of its table: replies tell of them.
    pub(crate) tablets: &'s Tablets,
}

/// What few replies have besides the result.
#[derive(Debug)]
struct Extras {
    header: ResponseHeader,
    body: Lease,
    tracing_id: Option<Uuid>,
}

/// The rows of a result.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// # session.query_unpaged("INSERT INTO shop.items (id, name) VALUES (1, 'lamp')", ()).await?;
/// let result = session.query_unpaged("SELECT id, name FROM shop.items", ()).await?;
/// let rows = result.into_rows_result()?;
/// assert_eq!(rows.rows_num(), 1);
/// for row in rows.rows::<(i64, Option<&str>)>()? {
///     let (id, name) = row?;
///     println!("{id}: {}", name.unwrap_or("no name"));
/// }
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct QueryRowsResult {
    metadata: Arc<ResultMetadata>,
    cells: Lease,
    row_count: u32,
    paging_state: Option<PagingState>,
}

/// Where the next page begins; opaque, as the node sent it.
///
/// A view of the reply it came with: keep [`to_vec`](Self::to_vec) instead if it is to be kept for
/// long.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// # let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
/// # for id in 0..3_i64 {
/// #     session.execute_unpaged(&insert, (id, "lamp")).await?;
/// # }
/// use shardwire::PagingState;
///
/// let mut select = session.prepare("SELECT id FROM shop.items").await?;
/// select.set_page_size(2);
/// let (_, paging) = session.execute_single_page(&select, (), None).await?;
/// let link = paging.into_paging_state().map(|state| state.to_vec());
///
/// // Later, for whoever comes back with the link:
/// let state = link.map(|bytes| PagingState::from_bytes(&bytes));
/// let (page, paging) = session.execute_single_page(&select, (), state).await?;
/// assert_eq!(page.rows_result()?.rows_num(), 1);
/// assert!(paging.finished());
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct PagingState(Lease);

impl PagingState {
    /// From bytes that were kept, for example in a link to the next page.
    ///
    /// ```
    /// let state = shardwire::PagingState::from_bytes(&[1, 2, 3]);
    /// assert_eq!(state.as_bytes(), [1, 2, 3]);
    /// assert_eq!(state.to_vec(), [1, 2, 3]);
    /// ```
    // Allocates: copies the bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> PagingState {
        PagingState(Lease::copy_of(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A copy that pins no reply.
    // Allocates: copies the bytes.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.0.to_vec()
    }
}

/// Whether a page was the last.
///
/// ```
/// use shardwire::{PagingState, PagingStateResponse};
///
/// let more = PagingStateResponse::HasMorePages { state: PagingState::from_bytes(&[7]) };
/// assert!(!more.finished());
/// assert_eq!(more.into_paging_state().map(|state| state.to_vec()), Some(vec![7]));
/// assert!(PagingStateResponse::NoMorePages.finished());
/// ```
#[derive(Clone, Debug)]
pub enum PagingStateResponse {
    /// There may be more rows from here on.
    HasMorePages {
        /// Where they begin.
        state: PagingState,
    },
    /// That was all.
    NoMorePages,
}

impl PagingStateResponse {
    /// Where the next page begins, if there may be one.
    #[must_use]
    pub fn into_paging_state(self) -> Option<PagingState> {
        match self {
            PagingStateResponse::HasMorePages { state } => Some(state),
            PagingStateResponse::NoMorePages => None,
        }
    }

    /// Whether that was all.
    #[must_use]
    pub fn finished(&self) -> bool {
        matches!(self, PagingStateResponse::NoMorePages)
    }
}

impl QueryResult {
    /// A result that says nothing but "done".
    #[inline]
    pub(crate) fn void() -> QueryResult {
        QueryResult { rows: None, extras: None }
    }

    /// Reads a RESULT.
    #[inline]
    pub(crate) fn parse(
        header: ResponseHeader,
        body: Lease,
        known: Option<Known<'_>>,
    ) -> Result<QueryResult, Error> {
        // Nearly all replies to prepared SELECTs are alike but for their rows.
        if header.flags == 0
            && header.opcode == Opcode::Result
            && let Some(known) = known
            && let Some(row_count) = plain_rows_count(&body, known.metadata.count())
        {
            let metadata = Arc::clone(known.metadata);
            let cells = body.slice(PLAIN_ROWS_LEN..);
            let rows = QueryRowsResult { metadata, cells, row_count, paging_state: None };
            return Ok(QueryResult { rows: Some(rows), extras: None });
        }
        QueryResult::parse_any(header, body, known)
    }

    /// The same, for all kinds of results.
    #[inline(never)]
    fn parse_any(
        header: ResponseHeader,
        body: Lease,
        known: Option<Known<'_>>,
    ) -> Result<QueryResult, Error> {
        const EXTRAS: u8 = flags::TRACING | flags::WARNING | flags::CUSTOM_PAYLOAD;
        if header.flags & EXTRAS != 0 || header.opcode != Opcode::Result {
            return QueryResult::parse_with_extras(header, body, known);
        }
        let reader = Reader::new(&body);
        let rows = match ResultBody::parse(
            reader,
            &Agreed::on(header.version),
            known.map(|known| &**known.metadata),
        ) {
            Ok(ResultBody::Rows(rows)) => Found::of(&body, &rows, known)?,
            Ok(_) => return Ok(QueryResult::void()),
            Err(error) => return Err(Error::protocol(error)),
        };
        Ok(QueryResult { rows: Some(rows.in_body(body)), extras: None })
    }

    /// The same, for the few replies that have more than the result.
    #[cold]
    fn parse_with_extras(
        header: ResponseHeader,
        body: Lease,
        known: Option<Known<'_>>,
    ) -> Result<QueryResult, Error> {
        let parsed = Body::parse(&header, &body).map_err(Error::protocol)?;
        let metadata = known.map(|known| &**known.metadata);
        let message = parsed.response(&Agreed::on(header.version), metadata);
        let rows = match message.map_err(Error::protocol)? {
            Response::Result(ResultBody::Rows(rows)) => Some(Found::of(&body, &rows, known)?),
            Response::Result(_) => None,
            _ => return Err(Error::unexpected("the reply is not a RESULT")),
        };
        if let (Some(known), Some(tablet)) = (known, parsed.payload(payload::V1)) {
            known.tablets.told(tablet);
        }
        let tracing_id = parsed.tracing_id;
        let extras = Some(Box::new(Extras { header, body: body.clone(), tracing_id }));
        Ok(QueryResult { rows: rows.map(|rows| rows.in_body(body)), extras })
    }

    /// Whether there are rows (perhaps none of them), as opposed to no result set.
    #[must_use]
    pub fn is_rows(&self) -> bool {
        self.rows.is_some()
    }

    /// The rows.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// use shardwire::ErrorKind;
    ///
    /// let select = session.query_unpaged("SELECT id FROM shop.items", ()).await?;
    /// assert_eq!(select.into_rows_result()?.rows_num(), 0);
    /// let delete = session.query_unpaged("DELETE FROM shop.items WHERE id = 1", ()).await?;
    /// assert_eq!(delete.into_rows_result().unwrap_err().kind(), ErrorKind::Result);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Result`] if the statement has no result set.
    #[inline]
    pub fn into_rows_result(self) -> Result<QueryRowsResult, Error> {
        self.rows.ok_or_else(|| Error::result("the statement returned no rows"))
    }

    /// The rows, without giving up the result.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let result = session.query_unpaged("SELECT id FROM shop.items", ()).await?;
    /// println!("{} rows", result.rows_result()?.rows_num());
    /// for warning in result.warnings() {
    ///     println!("{warning}");
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Result`] if the statement has no result set.
    pub fn rows_result(&self) -> Result<&QueryRowsResult, Error> {
        self.rows.as_ref().ok_or_else(|| Error::result("the statement returned no rows"))
    }

    /// Checks that there is no result set.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let delete = "DELETE FROM shop.items WHERE id = 1";
    /// session.query_unpaged(delete, ()).await?.result_not_rows()?;
    /// // A condition has its outcome in a row.
    /// let delete = format!("{delete} IF EXISTS");
    /// assert!(session.query_unpaged(delete, ()).await?.result_not_rows().is_err());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Result`] if there is one.
    pub fn result_not_rows(&self) -> Result<(), Error> {
        match self.rows {
            None => Ok(()),
            Some(_) => Err(Error::result("the statement returned rows")),
        }
    }

    /// Id of the trace, if the statement asked for tracing.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let result = session.query_unpaged("SELECT id FROM shop.items", ()).await?;
    /// assert_eq!(result.tracing_id(), None);
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn tracing_id(&self) -> Option<Uuid> {
        self.extras.as_ref()?.tracing_id
    }

    /// What the node warned about.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let result = session.query_unpaged("SELECT id FROM shop.items", ()).await?;
    /// assert_eq!(result.warnings().count(), 0);
    /// # Ok(()) });
    /// ```
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        let extras = self.extras.as_ref();
        let body = extras.and_then(|extras| Body::parse(&extras.header, &extras.body).ok());
        body.and_then(|body| body.warnings).into_iter().flatten()
    }

    /// What extensions of the server sent along: keys and contents, which may be null.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::faulty(|cluster, session| async move {
    /// # use shardwire_server::{FaultAction, FaultRule};
    /// # let echo = FaultAction::Annotate { warnings: Vec::new() };
    /// # cluster.add_fault(FaultRule::new(echo).statement("SELECT"));
    /// let mut select = shardwire::Statement::new("SELECT name FROM shop.items");
    /// select.set_custom_payload([("tenant", "garden")])?;
    /// let result = session.query_unpaged(select, ()).await?; // by a node that sends it back
    /// let payload: Vec<_> = result.custom_payload().collect();
    /// assert_eq!(payload, [("tenant", Some(b"garden".as_slice()))]);
    /// # Ok(()) });
    /// ```
    pub fn custom_payload(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let extras = self.extras.as_ref();
        let body = extras.and_then(|extras| Body::parse(&extras.header, &extras.body).ok());
        body.and_then(|body| body.custom_payload).into_iter().flatten()
    }

    pub(crate) fn paging(&self) -> PagingStateResponse {
        match self.rows.as_ref().and_then(|rows| rows.paging_state.clone()) {
            Some(state) => PagingStateResponse::HasMorePages { state },
            None => PagingStateResponse::NoMorePages,
        }
    }
}

impl QueryRowsResult {
    /// Number of rows.
    #[must_use]
    pub fn rows_num(&self) -> usize {
        self.row_count as usize
    }

    /// The columns.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let result = session.query_unpaged("SELECT * FROM shop.items", ()).await?;
    /// let rows = result.into_rows_result()?;
    /// let names = rows.column_specs().iter().map(|column| column.name.as_str());
    /// assert_eq!(names.collect::<Vec<_>>(), ["id", "name"]);
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn column_specs(&self) -> &[ColumnSpec] {
        &self.metadata.columns
    }

    /// Bytes of all cells, with their lengths.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// # session.query_unpaged("INSERT INTO shop.items (id, name) VALUES (1, 'lamp')", ()).await?;
    /// let result = session.query_unpaged("SELECT name FROM shop.items", ()).await?;
    /// let rows = result.into_rows_result()?;
    /// assert_eq!((rows.rows_num(), rows.rows_bytes_size()), (1, 4 + "lamp".len()));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn rows_bytes_size(&self) -> usize {
        self.cells.len()
    }

    /// The cells of all rows, one after the other.
    pub(crate) fn cells(&self) -> &[u8] {
        &self.cells
    }

    /// The rows as `R`, read one by one as the iterator goes.
    ///
    /// `R` may borrow: `rows::<(i64, &str, &[u8])>()`.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// # session.query_unpaged("INSERT INTO shop.items (id, name) VALUES (1, 'lamp')", ()).await?;
    /// use shardwire::ErrorKind;
    ///
    /// let result = session.query_unpaged("SELECT id, name FROM shop.items", ()).await?;
    /// let rows = result.into_rows_result()?;
    /// for row in rows.rows::<(i64, &str)>()? {
    ///     assert_eq!(row?, (1, "lamp"));
    /// }
    /// let error = rows.rows::<(i32, &str)>().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Deserialize);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Deserialize`] if the columns are not what `R` wants; the iterator's
    /// items have errors of their own.
    #[inline]
    pub fn rows<'r, R: DeserializeRow<'r>>(&'r self) -> Result<TypedRowIter<'r, R>, Error> {
        match self.typed_rows(&self.cells, self.row_count) {
            Ok(rows) => Ok(TypedRowIter { rows, result: self }),
            Err(error) => Err(self.error(error)),
        }
    }

    #[inline]
    fn typed_rows<'r, R: DeserializeRow<'r>>(
        &'r self,
        cells: &'r [u8],
        row_count: u32,
    ) -> Result<TypedRows<'r, 'r, R>, DeserializeError> {
        self.metadata.check_row::<R>()?;
        Ok(TypedRows::over_checked_type(&self.metadata.columns, cells, row_count))
    }

    /// Length in bytes of the row whose cells begin at `start`.
    pub(crate) fn row_len(&self, start: usize) -> Result<usize, Error> {
        let mut cells = Reader::new(self.cells.get(start..).unwrap_or_default());
        for _ in &self.metadata.columns {
            cells.bytes("cell").map_err(|error| self.error(error.into()))?;
        }
        Ok(cells.offset())
    }

    /// The row of `len` bytes that begins at `start`.
    pub(crate) fn row_at<'r, R: DeserializeRow<'r>>(
        &'r self,
        start: usize,
        len: usize,
    ) -> Result<R, Error> {
        let cells = self.cells.get(start..start.saturating_add(len)).unwrap_or_default();
        match self.typed_rows(cells, 1).and_then(|mut rows| rows.next().transpose()) {
            Ok(row) => row.ok_or_else(|| Error::result("there is no row")),
            Err(error) => Err(self.error(error)),
        }
    }

    /// The first row, if there is one.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let result = session.query_unpaged("SELECT name FROM shop.items WHERE id = 7", ()).await?;
    /// let rows = result.into_rows_result()?;
    /// assert_eq!(rows.maybe_first_row::<(&str,)>()?, None);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Deserialize`] if it is not an `R`.
    pub fn maybe_first_row<'r, R: DeserializeRow<'r>>(&'r self) -> Result<Option<R>, Error> {
        self.rows::<R>()?.next().transpose()
    }

    /// The first row.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// # session.query_unpaged("INSERT INTO shop.items (id, name) VALUES (1, 'lamp')", ()).await?;
    /// let result = session.query_unpaged("SELECT name FROM shop.items", ()).await?;
    /// let rows = result.into_rows_result()?;
    /// assert_eq!(rows.first_row::<(&str,)>()?, ("lamp",));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As [`maybe_first_row`](Self::maybe_first_row), and [`crate::ErrorKind::Result`] if there is
    /// none.
    pub fn first_row<'r, R: DeserializeRow<'r>>(&'r self) -> Result<R, Error> {
        self.maybe_first_row()?.ok_or_else(|| Error::result("there is no row"))
    }

    /// The only row.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// use shardwire::ErrorKind;
    ///
    /// let result = session.query_unpaged("SELECT count(*) FROM shop.items", ()).await?;
    /// assert_eq!(result.into_rows_result()?.single_row::<(i64,)>()?, (0,));
    /// let result = session.query_unpaged("SELECT id FROM shop.items", ()).await?;
    /// let error = result.rows_result()?.single_row::<(i64,)>().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Result); // there is none
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As [`first_row`](Self::first_row), and [`crate::ErrorKind::Result`] if there are more.
    pub fn single_row<'r, R: DeserializeRow<'r>>(&'r self) -> Result<R, Error> {
        if self.row_count > 1 {
            return Err(Error::result("there is more than one row"));
        }
        self.first_row()
    }

    /// A copy that pins no receive chunk.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let result = session.query_unpaged("SELECT id, name FROM shop.items", ()).await?;
    /// let cache = result.rows_result()?.to_owned_result(); // may be kept as long as one likes
    /// # assert_eq!(cache.rows_num(), 0);
    /// # Ok(()) });
    /// ```
    // Allocates: copies the cells.
    #[must_use]
    pub fn to_owned_result(&self) -> QueryRowsResult {
        QueryRowsResult {
            metadata: Arc::clone(&self.metadata),
            cells: Lease::copy_of(&self.cells),
            row_count: self.row_count,
            paging_state: self
                .paging_state
                .as_ref()
                .map(|state| PagingState::from_bytes(state.as_bytes())),
        }
    }

    /// Where the next page begins, if there may be one.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let result = session.query_unpaged("SELECT id FROM shop.items", ()).await?;
    /// assert!(result.rows_result()?.paging_state().is_none()); // all rows are here
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn paging_state(&self) -> Option<&PagingState> {
        self.paging_state.as_ref()
    }

    #[cold]
    fn error(&self, error: DeserializeError) -> Error {
        let column = error.column().and_then(|index| self.metadata.columns.get(usize::from(index)));
        Error::deserialize(error, column.map(|column| &*column.name))
    }
}

/// Rows of one result as `R`s.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// # session.query_unpaged("INSERT INTO shop.items (id, name) VALUES (1, 'lamp')", ()).await?;
/// let result = session.query_unpaged("SELECT id, name FROM shop.items", ()).await?;
/// let rows = result.into_rows_result()?;
/// let rows = rows.rows::<(i64, String)>()?.collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(rows, [(1, "lamp".to_owned())]);
/// # Ok(()) });
/// ```
#[derive(Debug)]
pub struct TypedRowIter<'r, R> {
    rows: TypedRows<'r, 'r, R>,
    result: &'r QueryRowsResult,
}

impl<'r, R: DeserializeRow<'r>> Iterator for TypedRowIter<'r, R> {
    type Item = Result<R, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.rows.next()? {
            Ok(row) => Some(Ok(row)),
            Err(error) => Some(Err(self.result.error(error))),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl<'r, R: DeserializeRow<'r>> ExactSizeIterator for TypedRowIter<'r, R> {}

/// Rows that were found in a reply: what does not borrow from it.
struct Found {
    metadata: Arc<ResultMetadata>,
    cells: Range<usize>,
    row_count: u32,
    paging_state: Option<Range<usize>>,
}

impl Found {
    #[inline]
    fn of(body: &[u8], rows: &RowsBody<'_>, known: Option<Known<'_>>) -> Result<Found, Error> {
        let metadata = match (&rows.metadata, known.map(|known| known.metadata)) {
            (RowsMetadata::Skipped, Some(known)) if known.count() == rows.column_count => known,
            (RowsMetadata::Present { raw }, Some(known)) if known.matches(raw) => known,
            // Allocates: a reply whose columns are not those that were prepared.
            (RowsMetadata::Present { raw }, _) => {
                &Arc::new(ResultMetadata::parse(raw).map_err(Error::protocol)?)
            }
            (RowsMetadata::Skipped, _) => {
                return Err(Error::unexpected("rows without metadata, which is not known"));
            }
        };
        Ok(Found {
            metadata: Arc::clone(metadata),
            cells: range_in(body, rows.cells()).unwrap_or_default(),
            row_count: rows.rows_count,
            paging_state: rows.paging_state.and_then(|state| range_in(body, state)),
        })
    }

    #[inline]
    fn in_body(self, body: Lease) -> QueryRowsResult {
        let paging_state = self.paging_state.map(|range| PagingState(body.clone().slice(range)));
        QueryRowsResult {
            metadata: self.metadata,
            cells: body.slice(self.cells),
            row_count: self.row_count,
            paging_state,
        }
    }
}

/// Where in `body` the bytes of `part` lie, given that they are some of its bytes.
fn range_in(body: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let range = start..start.checked_add(part.len())?;
    body.get(range.clone()).map(|_| range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardwire_protocol::header::Version;

    fn header(flags: u8) -> ResponseHeader {
        let (version, opcode) = (Version::V4, Opcode::Result);
        ResponseHeader { version, flags, stream: 0, opcode, body_len: 0 }
    }

    /// Two columns: an int and a blob.
    fn metadata() -> Arc<ResultMetadata> {
        const BODY: &[u8] = b"\0\0\0\x01\0\0\0\x02\0\x01k\0\x01t\
            \0\x01a\0\x09\0\x01b\0\x03\0\0\0\0";
        let rows = RowsBody::parse(Reader::new(BODY), &Agreed::default(), None).unwrap();
        let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
        Arc::new(ResultMetadata::parse(&raw).unwrap())
    }

    /// The short way and the long one come to the same, whatever byte is cut or changed.
    #[test]
    fn plain_rows_are_read_as_any() {
        const BODY: &[u8] = b"\0\0\0\x02\0\0\0\x04\0\0\0\x02\0\0\0\x01\
            \0\0\0\x04\0\0\0\x07\0\0\0\x02hi";
        let (metadata, tablets) = (&metadata(), &Tablets::default());
        let known = Some(Known { metadata, tablets });
        let check = |body: &[u8]| {
            let show = |result: Result<QueryResult, Error>| match result {
                Ok(QueryResult { rows: Some(rows), .. }) => {
                    format!("{rows:?} {:?}", &*rows.cells)
                }
                other => format!("{other:?}"),
            };
            let body = || Lease::copy_of(body);
            assert_eq!(
                show(QueryResult::parse(header(0), body(), known)),
                show(QueryResult::parse_any(header(0), body(), known)),
            );
        };
        for index in 0..BODY.len() {
            check(&BODY[..index]);
            for byte in [0, 1, 2, 3, 4, 6, 0x7F, 0x80, 0xFF] {
                let mut body = BODY.to_vec();
                body[index] = byte;
                check(&body);
            }
        }
        let result = QueryResult::parse(header(0), Lease::copy_of(BODY), known).unwrap();
        let rows = result.into_rows_result().unwrap();
        assert_eq!(rows.single_row::<(i32, &[u8])>().unwrap(), (7, &b"hi"[..]));
        assert!(rows.paging_state().is_none());
        // Without known columns those left out are missing.
        assert!(QueryResult::parse(header(0), Lease::copy_of(BODY), None).is_err());
    }
}
