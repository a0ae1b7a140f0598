//! Reading a large result page by page.
//!
//! A pager asks for the next page when it is wanted, and holds one page at a time. Rows borrow
//! from their page; whoever wants owned rows across pages uses [`QueryPager::next_row`].

use shardwire_protocol::row::{DeserializeRow, SerializeRow};

use crate::error::Error;
use crate::rows::{PagingState, PagingStateResponse, QueryRowsResult};
use crate::session::Session;
use crate::statement::{PreparedStatement, Statement};

impl Session {
    /// Runs a prepared statement and reads its rows page by page.
    ///
    /// Nothing is sent before the first page is asked for.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let select = session.prepare("SELECT id, name FROM shop.items").await?;
    /// let mut pager = session.execute_iter(&select, ());
    /// while let Some(page) = pager.next_page().await? {
    ///     for row in page.rows::<(i64, &str)>()? {
    ///         let (_id, _name) = row?;
    ///     }
    /// }
    /// # Ok(()) });
    /// ```
    pub fn execute_iter<'a, V: SerializeRow>(
        &'a self,
        prepared: &'a PreparedStatement,
        values: V,
    ) -> QueryPager<'a, V> {
        let statement = Which::Borrowed(prepared);
        QueryPager::new(self, statement, values)
    }

    /// Prepares a statement given as text and reads its rows page by page.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let mut pager = session.query_iter("SELECT id, name FROM shop.items", ()).await?;
    /// while let Some((id, name)) = pager.next_row::<(i64, String)>().await? {
    ///     println!("{id}: {name}");
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn query_iter<V: SerializeRow>(
        &self,
        statement: impl Into<Statement>,
        values: V,
    ) -> Result<QueryPager<'_, V>, Error> {
        let statement = Which::Owned(Box::new(self.prepare(statement).await?));
        Ok(QueryPager::new(self, statement, values))
    }
}

enum Which<'a> {
    Borrowed(&'a PreparedStatement),
    Owned(Box<PreparedStatement>),
}

/// Where the next page begins.
enum At {
    Start,
    More(PagingState),
    End,
}

/// A result that is read page by page.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// # let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
/// # for id in 0..5_i64 {
/// #     session.execute_unpaged(&insert, (id, "lamp")).await?;
/// # }
/// let mut select = session.prepare("SELECT id FROM shop.items").await?;
/// select.set_page_size(2);
/// let mut pager = session.execute_iter(&select, ());
/// let mut ids = Vec::new();
/// while let Some((id,)) = pager.next_row::<(i64,)>().await? {
///     ids.push(id);
/// }
/// assert_eq!(ids.len(), 5); // from three pages
/// # Ok(()) });
/// ```
#[must_use = "nothing is sent before a page is asked for"]
pub struct QueryPager<'a, V> {
    session: &'a Session,
    statement: Which<'a>,
    values: V,
    place: At,
    /// The page that `next_row` is in.
    page: Option<QueryRowsResult>,
    /// Rows of the page that were given out, and where their cells end.
    row: usize,
    offset: usize,
}

impl<'a, V> QueryPager<'a, V> {
    fn new(session: &'a Session, statement: Which<'a>, values: V) -> QueryPager<'a, V> {
        QueryPager { session, statement, values, place: At::Start, page: None, row: 0, offset: 0 }
    }
}

impl<V: SerializeRow> QueryPager<'_, V> {
    /// The next page; `None` after the last. Pages may be empty.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let select = session.prepare("SELECT name FROM shop.items").await?;
    /// let mut pager = session.execute_iter(&select, ());
    /// let mut longest = 0;
    /// while let Some(page) = pager.next_page().await? {
    ///     for row in page.rows::<(&str,)>()? {
    ///         longest = longest.max(row?.0.len()); // the name borrows from the page
    ///     }
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Session::execute_single_page`]. After an error the same page may be asked for again.
    ///
    /// # Cancel safety
    ///
    /// Safe: a page that was not received is asked for again.
    ///
    /// # Allocation
    ///
    /// None in steady state.
    pub async fn next_page(&mut self) -> Result<Option<QueryRowsResult>, Error> {
        let state = match &self.place {
            At::Start => None,
            At::More(state) => Some(state.clone()),
            At::End => return Ok(None),
        };
        let statement = match &self.statement {
            Which::Borrowed(statement) => statement,
            Which::Owned(statement) => &**statement,
        };
        let request = self.session.execute_single_page(statement, &self.values, state);
        let (result, paging) = request.await?;
        self.place = match paging {
            PagingStateResponse::HasMorePages { state } => At::More(state),
            PagingStateResponse::NoMorePages => At::End,
        };
        result.into_rows_result().map(Some)
    }

    /// The next row of all pages, as an `R` that owns its data.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// # session.query_unpaged("INSERT INTO shop.items (id, name) VALUES (1, 'lamp')", ()).await?;
    /// let select = session.prepare("SELECT id, name FROM shop.items").await?;
    /// let mut pager = session.execute_iter(&select, ());
    /// assert_eq!(pager.next_row().await?, Some((1_i64, "lamp".to_owned())));
    /// assert_eq!(pager.next_row::<(i64, String)>().await?, None);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As [`next_page`](Self::next_page), and [`crate::ErrorKind::Deserialize`] if the row is not
    /// an `R`; the row is passed over then.
    ///
    /// # Cancel safety
    ///
    /// Safe: no row is lost.
    pub async fn next_row<R: for<'r> DeserializeRow<'r>>(&mut self) -> Result<Option<R>, Error> {
        loop {
            if let Some(page) = &self.page
                && self.row < page.rows_num()
            {
                let start = self.offset;
                // Found without decoding, so that a row that is not an `R` hides none behind it.
                self.row += 1;
                let len = page.row_len(start).inspect_err(|_| self.row = page.rows_num())?;
                self.offset += len;
                return page.row_at(start, len).map(Some);
            }
            self.page = None;
            match self.next_page().await? {
                Some(page) => self.page = Some(page),
                None => return Ok(None),
            }
            (self.row, self.offset) = (0, 0);
        }
    }
}

impl<V> std::fmt::Debug for QueryPager<'_, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryPager").finish_non_exhaustive()
    }
}
