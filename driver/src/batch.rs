//! Batches: several writes as one request (CQL v4 section 4.1.7).
//!
//! A batch goes where its first statement's partition is. Values are encoded one row after the
//! other straight into the outgoing buffer, like those of a single statement.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use shardwire_protocol::consistency::{Consistency, SerialConsistency};
use shardwire_protocol::error::SerializeError;
use shardwire_protocol::header::ResponseHeader;
use shardwire_protocol::request::{
    Batch as Message, BatchItems, BatchStatement as Item, frame_len,
};
use shardwire_protocol::row::SerializeRow;
use shardwire_protocol::types::ColumnSpec;
use shardwire_protocol::wire::Writer;
use shardwire_sync::Lease;

pub use shardwire_protocol::request::BatchKind as BatchType;

use crate::clock;
use crate::error::Error;
use crate::execute::request_future;
use crate::policy::plan::Routing;
use crate::query::encode;
use crate::request::{Operation, Request, Target};
use crate::rows::QueryResult;
use crate::session::Session;
use crate::statement::{Config, PreparedStatement, Shared, Statement, config_methods};
use crate::topology::Topology;

/// A statement of a batch.
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
#[derive(Clone, Debug)]
pub struct Batch {
    statements: Vec<BatchStatement>,
    kind: BatchType,
    pub(crate) config: Config,
    /// All statements are known to have no condition: no consistency is needed for a Paxos phase.
    is_plain: bool,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new(kind: BatchType) -> Batch {
        Batch::new_with_statements(kind, Vec::new())
    }

    /// A batch of these statements.
    #[must_use]
    pub fn new_with_statements(kind: BatchType, statements: Vec<BatchStatement>) -> Batch {
        let is_plain = statements.iter().all(BatchStatement::is_plain);
        Batch { statements, kind, config: Config::default(), is_plain }
    }

    /// Adds a statement; its values come with [`Session::batch`].
    pub fn append_statement(&mut self, statement: impl Into<BatchStatement>) {
        let statement = statement.into();
        self.is_plain &= statement.is_plain();
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

    fn prepared(&self, index: usize) -> Option<&PreparedStatement> {
        match self.statements.get(index) {
            Some(BatchStatement::PreparedStatement(prepared)) => Some(prepared),
            _ => None,
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Batch::new(BatchType::Logged)
    }
}

/// The values of a batch: one row per statement.
///
/// Implemented for slices, arrays and vectors of rows, and for tuples of rows of different types.
pub trait BatchValues {
    /// How many rows there are.
    fn len(&self) -> usize;

    /// Calls `visit` with the row at `index`; `None` if there is none.
    fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output>;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Something to be done with a row of any type; see [`BatchValues::with_row`].
pub trait RowVisitor {
    /// What it comes to.
    type Output;

    /// Does it.
    fn visit<R: SerializeRow + ?Sized>(self, row: &R) -> Self::Output;
}

impl<R: SerializeRow> BatchValues for [R] {
    #[inline]
    fn len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output> {
        self.get(index).map(|row| visit.visit(row))
    }
}

impl<R: SerializeRow> BatchValues for Vec<R> {
    #[inline]
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    #[inline]
    fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output> {
        self.as_slice().with_row(index, visit)
    }
}

impl<R: SerializeRow, const N: usize> BatchValues for [R; N] {
    #[inline]
    fn len(&self) -> usize {
        N
    }

    #[inline]
    fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output> {
        self.as_slice().with_row(index, visit)
    }
}

impl<B: BatchValues + ?Sized> BatchValues for &B {
    #[inline]
    fn len(&self) -> usize {
        (**self).len()
    }

    #[inline]
    fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output> {
        (**self).with_row(index, visit)
    }
}

macro_rules! tuple_batch_values {
    ($count:literal: $($row:ident $index:tt),+) => {
        impl<$($row: SerializeRow),+> BatchValues for ($($row,)+) {
            fn len(&self) -> usize {
                $count
            }

            fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output> {
                match index {
                    $($index => Some(visit.visit(&self.$index)),)+
                    _ => None,
                }
            }
        }
    };
}

tuple_batch_values!(1: A 0);
tuple_batch_values!(2: A 0, B 1);
tuple_batch_values!(3: A 0, B 1, C 2);
tuple_batch_values!(4: A 0, B 1, C 2, D 3);
tuple_batch_values!(5: A 0, B 1, C 2, D 3, E 4);
tuple_batch_values!(6: A 0, B 1, C 2, D 3, E 4, F 5);
tuple_batch_values!(7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_batch_values!(8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple_batch_values!(9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple_batch_values!(10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple_batch_values!(11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple_batch_values!(12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

impl Session {
    /// Runs a batch; `values` has one row per statement, an empty one (`()`) for text.
    ///
    /// It goes to a replica and shard of the first statement's partition.
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
        RunBatch(Request::new(&self.inner, Run { batch, values }, Target::Plan))
    }
}

/// BATCH.
pub(crate) struct Run<'a, B> {
    batch: &'a Batch,
    values: B,
}

impl<'a, B: BatchValues> Run<'a, B> {
    fn message(&self) -> Message<&Self> {
        let config = &self.batch.config;
        Message {
            kind: self.batch.kind,
            items: self,
            consistency: config.consistency,
            serial_consistency: config.serial_consistency.filter(|_| !self.batch.is_plain),
            timestamp: config.timestamp,
        }
    }

    /// Checks that there is a row for each statement, of the right types.
    fn check(&self) -> Result<(), Error> {
        if self.values.len() != self.batch.statements.len() {
            return Err(Error::config(format!(
                "the batch has {} statements, but there are {} rows of values",
                self.batch.statements.len(),
                self.values.len()
            )));
        }
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

struct Check<'s>(&'s PreparedStatement);

impl RowVisitor for Check<'_> {
    type Output = Result<(), Error>;

    #[inline]
    fn visit<R: SerializeRow + ?Sized>(self, row: &R) -> Self::Output {
        self.0.check(row)
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
        self.values.with_row(index, Count).unwrap_or(0)
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
        self.values.with_row(0, Route(prepared, topology)).unwrap_or(Ok(Routing::default()))
    }

    fn frame_len(&self) -> Result<usize, Error> {
        self.check()?;
        frame_len(&self.message()).map_err(|e| self.serialize_error(e))
    }

    fn encode(&self, stream: i16, frame: &mut [u8]) -> Result<(), SerializeError> {
        encode(&self.message(), &self.batch.config, stream, frame)
    }

    fn serialize_error(&self, error: SerializeError) -> Error {
        // Which statement the column belongs to is not known here; the index says enough.
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
    RunBatch<'a, B: BatchValues>(Run<'a, B>) -> QueryResult
}
