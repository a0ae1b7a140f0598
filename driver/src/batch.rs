//! Batches: several writes as one request (CQL v4 section 4.1.7).
//!
//! A batch goes where its first statement's partition is. Values are encoded one row after the
//! other straight into the outgoing buffer, like those of a single statement. The usual batch runs
//! one prepared statement with rows of one type; it has a shorter way, [`Alike`], that writes the
//! same bytes.

mod values;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use shardwire_protocol::consistency::{Consistency, SerialConsistency};
use shardwire_protocol::error::SerializeError;
use shardwire_protocol::header::{ResponseHeader, Version};
use shardwire_protocol::request::{
    self, Batch as Message, BatchItemHead, BatchItems, BatchRows, BatchStatement as Item,
};
use shardwire_protocol::row::SerializeRow;
use shardwire_protocol::types::ColumnSpec;
use shardwire_protocol::wire::Writer;
use shardwire_sync::Lease;

pub use shardwire_protocol::request::BatchKind as BatchType;
pub use values::{BatchValues, RowVisitor, RowsVisitor};

use crate::clock;
use crate::error::Error;
use crate::execute::request_future;
use crate::payload::Payload;
use crate::policy::plan::Routing;
use crate::policy::retry::RetryPolicy;
use crate::query::{encode, frame_len, tracing_flag};
use crate::request::{Operation, Request, Target};
use crate::rows::QueryResult;
use crate::session::Session;
use crate::statement::{Config, PreparedStatement, Shared, Statement, config_methods};
use crate::topology::Topology;
use crate::topology::tablets::Tablets;

/// A statement of a batch.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// use shardwire::{Batch, BatchStatement, BatchType};
///
/// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
/// let statements = vec![
///     BatchStatement::from(insert),
///     BatchStatement::from("DELETE FROM shop.items WHERE id = 2"),
/// ];
/// let batch = Batch::new_with_statements(BatchType::Logged, statements);
/// session.batch(&batch, ((1_i64, "lamp"), ())).await?; // text takes no values
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub enum BatchStatement {
    /// Text; takes no values. Its own settings do not count.
    Query(Statement),
    /// A prepared statement. Its own settings do not count.
    PreparedStatement(PreparedStatement),
}

impl BatchStatement {
    /// Whether it is known to have no condition.
    fn is_plain(&self) -> bool {
        matches!(self, BatchStatement::PreparedStatement(prepared) if prepared.shared.plain)
    }

    /// Whether it is known to have one.
    fn is_lwt(&self) -> bool {
        matches!(self, BatchStatement::PreparedStatement(prepared) if prepared.is_confirmed_lwt())
    }

    /// What stands before each row of values if all statements are like this one.
    fn head(&self) -> Option<BatchItemHead> {
        match self {
            BatchStatement::PreparedStatement(prepared) => {
                let shared = &prepared.shared;
                BatchItemHead::new(&shared.id, shared.bind.columns.len())
            }
            BatchStatement::Query(_) => None,
        }
    }

    /// Whether both are clones of one prepared statement.
    fn is_clone_of(&self, other: &BatchStatement) -> bool {
        match (self, other) {
            (BatchStatement::PreparedStatement(a), BatchStatement::PreparedStatement(b)) => {
                Arc::ptr_eq(&a.shared, &b.shared)
            }
            _ => false,
        }
    }
}

impl From<&str> for BatchStatement {
    fn from(text: &str) -> Self {
        BatchStatement::Query(text.into())
    }
}

impl From<Statement> for BatchStatement {
    fn from(statement: Statement) -> Self {
        BatchStatement::Query(statement)
    }
}

impl From<PreparedStatement> for BatchStatement {
    fn from(statement: PreparedStatement) -> Self {
        BatchStatement::PreparedStatement(statement)
    }
}

/// Several statements to be run as one.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// use shardwire::{Batch, BatchType, Consistency};
///
/// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
/// let mut batch = Batch::new(BatchType::Unlogged);
/// batch.append_statement(insert.clone());
/// batch.append_statement(insert);
/// batch.set_consistency(Consistency::Quorum);
/// batch.set_is_idempotent(true);
/// batch.set_tracing(false);
/// session.batch(&batch, [(1_i64, "lamp"), (2, "table")]).await?;
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    statements: Vec<BatchStatement>,
    kind: BatchType,
    pub(crate) config: Config,
    /// All statements are known to have no condition: no consistency is needed for a Paxos phase.
    is_plain: bool,
    /// A statement is known to be conditional: replicas are tried in order.
    is_lwt: bool,
    /// What stands before each row of values if all statements are clones of one prepared one.
    head: Option<BatchItemHead>,
}

impl Batch {
    /// An empty batch.
    ///
    /// ```
    /// use shardwire::{Batch, BatchType};
    ///
    /// let batch = Batch::new(BatchType::Logged);
    /// assert_eq!(batch.get_type(), BatchType::Logged);
    /// assert!(batch.statements().is_empty());
    /// ```
    #[must_use]
    pub fn new(kind: BatchType) -> Batch {
        Batch::new_with_statements(kind, Vec::new())
    }

    /// A batch of these statements.
    ///
    /// ```
    /// use shardwire::{Batch, BatchType};
    ///
    /// let deletes = [1, 2].map(|id| format!("DELETE FROM shop.items WHERE id = {id}"));
    /// let statements = deletes.iter().map(|text| text.as_str().into()).collect();
    /// let batch = Batch::new_with_statements(BatchType::Unlogged, statements);
    /// assert_eq!(batch.statements().len(), 2);
    /// ```
    #[must_use]
    pub fn new_with_statements(kind: BatchType, statements: Vec<BatchStatement>) -> Batch {
        let is_plain = statements.iter().all(BatchStatement::is_plain);
        let is_lwt = statements.iter().any(BatchStatement::is_lwt);
        let head = statements
            .first()
            .filter(|first| statements.iter().all(|statement| statement.is_clone_of(first)))
            .and_then(BatchStatement::head);
        Batch { statements, kind, config: Config::default(), is_plain, is_lwt, head }
    }

    /// Adds a statement; its values come with [`Session::batch`].
    ///
    /// ```
    /// let mut batch = shardwire::Batch::default();
    /// batch.append_statement("DELETE FROM shop.items WHERE id = 1");
    /// assert_eq!(batch.statements().len(), 1);
    /// ```
    pub fn append_statement(&mut self, statement: impl Into<BatchStatement>) {
        let statement = statement.into();
        self.is_plain &= statement.is_plain();
        self.is_lwt |= statement.is_lwt();
        self.head = match self.statements.first() {
            Some(first) => self.head.filter(|_| statement.is_clone_of(first)),
            None => statement.head(),
        };
        self.statements.push(statement);
    }

    /// The statements.
    #[must_use]
    pub fn statements(&self) -> &[BatchStatement] {
        &self.statements
    }

    /// What the batch guarantees.
    #[must_use]
    pub fn get_type(&self) -> BatchType {
        self.kind
    }

    config_methods!();

    /// Asks the nodes to trace it; [`QueryResult::tracing_id`] names the trace.
    pub fn set_tracing(&mut self, tracing: bool) {
        self.config.tracing = tracing;
    }

    fn config_changed(&mut self) {}

    #[inline]
    fn prepared(&self, index: usize) -> Option<&PreparedStatement> {
        match self.statements.get(index) {
            Some(BatchStatement::PreparedStatement(prepared)) => Some(prepared),
            _ => None,
        }
    }

    #[inline]
    fn alike(&self) -> Option<Alike<'_>> {
        let head = self.head.as_ref()?;
        Some(Alike { batch: self, prepared: self.prepared(0)?, head })
    }

    #[inline]
    fn message<I: BatchItems>(&self, items: I) -> Message<'static, I> {
        Message {
            kind: self.kind,
            items,
            consistency: self.config.consistency,
            serial_consistency: self.config.serial_consistency.filter(|_| !self.is_plain),
            timestamp: self.config.timestamp,
            keyspace: None,
            now_in_seconds: None,
        }
    }

    #[inline]
    fn check_row_count(&self, row_count: usize) -> Result<(), Error> {
        if row_count == self.statements.len() {
            return Ok(());
        }
        Err(self.wrong_row_count(row_count))
    }

    #[cold]
    fn wrong_row_count(&self, row_count: usize) -> Error {
        Error::config(format!(
            "the batch has {} statements, but there are {row_count} rows of values",
            self.statements.len(),
        ))
    }
}

impl Default for Batch {
    fn default() -> Self {
        Batch::new(BatchType::Logged)
    }
}

impl Session {
    /// Runs a batch; `values` has one row per statement, an empty one (`()`) for text.
    ///
    /// It goes to a replica and shard of the first statement's partition.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// use shardwire::{Batch, BatchStatement, BatchType};
    ///
    /// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
    /// let rows: Vec<(i64, String)> = (1..=10).map(|id| (id, format!("item {id}"))).collect();
    /// let statements = vec![BatchStatement::from(insert); rows.len()];
    /// let batch = Batch::new_with_statements(BatchType::Unlogged, statements);
    /// session.batch(&batch, &rows).await?;
    /// # let select = session.query_unpaged("SELECT id FROM shop.items", ()).await?;
    /// # assert_eq!(select.into_rows_result()?.rows_num(), 10);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Config`] if there are not as many rows as statements; otherwise as
    /// [`execute_unpaged`](Self::execute_unpaged).
    ///
    /// # Cancel safety
    ///
    /// Safe; the batch may still be executed if it was already sent.
    ///
    /// # Allocation
    ///
    /// None in steady state.
    #[inline]
    pub fn batch<'a, B: BatchValues>(&'a self, batch: &'a Batch, values: B) -> RunBatch<'a, B> {
        let op = Run { batch, values, version: self.inner.version() };
        RunBatch(Request::new(&self.inner, op, Target::Plan))
    }
}

/// BATCH.
pub(crate) struct Run<'a, B> {
    pub(crate) batch: &'a Batch,
    pub(crate) values: B,
    pub(crate) version: Version,
}

/// The long way, statement by statement. Not inlined, so that the short one need not keep its
/// registers out of the way of this one's.
impl<B: BatchValues> Run<'_, B> {
    #[inline(never)]
    fn measure_each(&self) -> Result<usize, Error> {
        self.check()?;
        // Which statement the column belongs to is not known here; the index says enough.
        frame_len(&self.batch.message(self), &self.batch.config, self.version)
            .map_err(|e| Error::serialize(e, None))
    }

    #[inline(never)]
    fn encode_each(&self, stream: i16, frame: &mut [u8]) -> Result<(), SerializeError> {
        encode(&self.batch.message(self), &self.batch.config, self.version, stream, frame)
    }

    /// Checks that there is a row for each statement, of the right type.
    fn check(&self) -> Result<(), Error> {
        self.batch.check_row_count(self.values.len())?;
        for (index, statement) in self.batch.statements.iter().enumerate() {
            match statement {
                BatchStatement::PreparedStatement(prepared) => {
                    self.values.with_row(index, Check(prepared)).transpose()?;
                }
                BatchStatement::Query(_) if self.value_count(index) == 0 => {}
                BatchStatement::Query(_) => {
                    return Err(Error::config(
                        "a statement of the batch has values but is not prepared",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// A batch whose statements are all clones of one prepared statement.
#[derive(Clone, Copy)]
struct Alike<'b> {
    batch: &'b Batch,
    prepared: &'b PreparedStatement,
    head: &'b BatchItemHead,
}

impl<'b> Alike<'b> {
    #[inline]
    fn message<'r, R: SerializeRow>(self, rows: &'r [R]) -> Message<'static, BatchRows<'r, R>>
    where
        'b: 'r,
    {
        let columns = &self.prepared.shared.bind.columns;
        self.batch.message(BatchRows { head: self.head, rows, columns })
    }

    /// Version 4 and no payload: as a constant, the version folds away where it is encoded.
    #[inline]
    fn is_usual(self) -> bool {
        self.prepared.shared.version == Version::V4 && self.batch.config.payload.is_none()
    }

    // These two make the message themselves, so that it need not lie in memory where they are not
    // called.
    #[inline(never)]
    fn measure_unusual<R: SerializeRow>(self, rows: &[R]) -> Result<usize, SerializeError> {
        frame_len(&self.message(rows), &self.batch.config, self.prepared.shared.version)
    }

    #[inline(never)]
    fn encode_unusual<R: SerializeRow>(
        self,
        rows: &[R],
        stream: i16,
        frame: &mut [u8],
    ) -> Result<(), SerializeError> {
        let version = self.prepared.shared.version;
        encode(&self.message(rows), &self.batch.config, version, stream, frame)
    }

    #[inline]
    fn check<R: SerializeRow>(self, rows: &[R]) -> Result<(), Error> {
        self.batch.check_row_count(rows.len())?;
        let Some((first, others)) = rows.split_first() else { return Ok(()) };
        self.prepared.check(first)?;
        let key = first.type_key();
        for row in others {
            // Only rows like `dyn SerializeRow` have keys that are not known when compiling; for
            // all others nothing is left of this loop.
            if key.is_none() || row.type_key() != key {
                self.prepared.check(row)?;
            }
        }
        Ok(())
    }
}

struct MeasureAll<'b>(Alike<'b>);

impl RowsVisitor for MeasureAll<'_> {
    type Output = Result<usize, Error>;

    #[inline]
    fn visit<R: SerializeRow>(self, rows: &[R]) -> Self::Output {
        let alike = self.0;
        alike.check(rows)?;
        let len = if alike.is_usual() {
            request::frame_len(&alike.message(rows), Version::V4)
        } else {
            alike.measure_unusual(rows)
        };
        len.map_err(|e| alike.prepared.shared.error(e))
    }
}

struct EncodeAll<'b, 'o>(Alike<'b>, i16, &'o mut [u8]);

impl RowsVisitor for EncodeAll<'_, '_> {
    type Output = Result<(), SerializeError>;

    #[inline]
    fn visit<R: SerializeRow>(self, rows: &[R]) -> Self::Output {
        let EncodeAll(alike, stream, frame) = self;
        if !alike.is_usual() {
            return alike.encode_unusual(rows, stream, frame);
        }
        let flags = tracing_flag(&alike.batch.config);
        request::encode_request(&alike.message(rows), Version::V4, flags, stream, frame)
    }
}

struct Check<'s>(&'s PreparedStatement);

impl RowVisitor for Check<'_> {
    type Output = Result<(), Error>;

    #[inline]
    fn visit<R: SerializeRow + ?Sized>(self, row: &R) -> Self::Output {
        self.0.check(row)?;
        let expected = self.0.shared.bind.columns.len();
        match row.value_count() {
            count if count == expected => Ok(()),
            count => {
                let error = SerializeError::wrong_value_count(expected, count);
                Err(self.0.shared.error(error))
            }
        }
    }
}

struct Count;

impl RowVisitor for Count {
    type Output = usize;

    #[inline]
    fn visit<R: SerializeRow + ?Sized>(self, row: &R) -> usize {
        row.value_count()
    }
}

struct Measure<'c>(&'c [ColumnSpec]);

impl RowVisitor for Measure<'_> {
    type Output = Result<usize, SerializeError>;

    #[inline]
    fn visit<R: SerializeRow + ?Sized>(self, row: &R) -> Self::Output {
        row.values_len(self.0)
    }
}

struct Write<'c, 'o, 'w>(&'c [ColumnSpec], &'o mut Writer<'w>);

impl RowVisitor for Write<'_, '_, '_> {
    type Output = ();

    #[inline]
    fn visit<R: SerializeRow + ?Sized>(self, row: &R) {
        row.write_values(self.0, self.1);
    }
}

struct Route<'s, 't>(&'s PreparedStatement, &'t Topology);

impl<'t> RowVisitor for Route<'_, 't> {
    type Output = Result<Routing<'t>, Error>;

    #[inline]
    fn visit<R: SerializeRow + ?Sized>(self, row: &R) -> Self::Output {
        self.0.route(self.1, row)
    }
}

impl<B: BatchValues> BatchItems for Run<'_, B> {
    fn count(&self) -> usize {
        self.batch.statements.len()
    }

    #[inline]
    fn statement(&self, index: usize) -> Item<'_> {
        match self.batch.statements.get(index) {
            Some(BatchStatement::PreparedStatement(prepared)) => {
                Item::Prepared(&prepared.shared.id)
            }
            Some(BatchStatement::Query(statement)) => Item::Text(&statement.contents),
            None => Item::Text(""),
        }
    }

    #[inline]
    fn value_count(&self, index: usize) -> usize {
        match self.batch.prepared(index) {
            Some(prepared) => prepared.shared.bind.columns.len(), // `check` has seen to it
            None => self.values.with_row(index, Count).unwrap_or(0),
        }
    }

    #[inline]
    fn values_len(&self, index: usize) -> Result<usize, SerializeError> {
        let Some(prepared) = self.batch.prepared(index) else { return Ok(0) };
        self.values.with_row(index, Measure(&prepared.shared.bind.columns)).unwrap_or(Ok(0))
    }

    #[inline]
    fn write_values(&self, index: usize, out: &mut Writer<'_>) {
        if let Some(prepared) = self.batch.prepared(index) {
            self.values.with_row(index, Write(&prepared.shared.bind.columns, out));
        }
    }
}

impl<'a, B: BatchValues> Operation<'a> for Run<'a, B> {
    type Output = QueryResult;

    fn config(&self) -> &Config {
        &self.batch.config
    }

    fn route<'t>(&self, topology: &'t Topology) -> Result<Routing<'t>, Error> {
        let Some(prepared) = self.batch.prepared(0) else { return Ok(Routing::default()) };
        let routing = self.values.with_row(0, Route(prepared, topology));
        let routing = routing.unwrap_or(Ok(Routing::default()))?;
        Ok(Routing { in_order: self.batch.is_lwt, ..routing })
    }

    fn tablets(&self) -> Option<&Tablets> {
        self.batch.prepared(0).map(|prepared| &*prepared.shared.tablets)
    }

    fn frame_len(&self) -> Result<usize, Error> {
        if let Some(alike) = self.batch.alike()
            && let Some(len) = self.values.with_rows(MeasureAll(alike))
        {
            return len;
        }
        self.measure_each()
    }

    fn encode(&self, stream: i16, frame: &mut [u8]) -> Result<(), SerializeError> {
        if let Some(alike) = self.batch.alike()
            && let Some(encoded) = self.values.with_rows(EncodeAll(alike, stream, frame))
        {
            return encoded;
        }
        self.encode_each(stream, frame)
    }

    fn encode_with(
        &self,
        consistency: Consistency,
        stream: i16,
        frame: &mut [u8],
    ) -> Result<(), SerializeError> {
        let message = Message { consistency, ..self.batch.message(self) };
        encode(&message, &self.batch.config, self.version, stream, frame)
    }

    fn serialize_error(&self, error: SerializeError) -> Error {
        Error::serialize(error, None)
    }

    fn void(&self) -> Result<QueryResult, Error> {
        Ok(QueryResult::void())
    }

    fn result(&self, header: ResponseHeader, body: Lease) -> Result<QueryResult, Error> {
        QueryResult::parse(header, body, None)
    }

    fn prepared_with_id(&self, id: &[u8]) -> Option<&'a Shared> {
        let batch: &'a Batch = self.batch;
        (0..batch.statements.len())
            .filter_map(|index| batch.prepared(index))
            .find(|prepared| *prepared.shared.id == *id)
            .map(|prepared| &*prepared.shared)
    }
}

request_future! {
    /// The future of [`Session::batch`].
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
    /// let mut batch = shardwire::Batch::default();
    /// batch.append_statement(insert);
    /// let (a, b) = tokio::join!(
    ///     session.batch(&batch, [(1_i64, "lamp")]),
    ///     session.batch(&batch, [(2_i64, "table")]),
    /// );
    /// a?.result_not_rows()?;
    /// b?.result_not_rows()?;
    /// # Ok(()) });
    /// ```
    RunBatch<'a, B: BatchValues>(Run<'a, B>) -> QueryResult
}

#[cfg(test)]
pub(crate) mod tests;
