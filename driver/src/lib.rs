//! An allocation-minimal, shard-aware CQL driver for ScyllaDB and Apache Cassandra.
//!
//! A prepared statement in steady state touches the heap zero times, from `execute_unpaged` to the
//! last typed column: values are encoded in the connection's outgoing buffer, a request in flight
//! is one slot of a table, and rows borrow from the buffer the reply arrived in.
//!
//! ```
//! # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
//! # support::node(|address| async move {
//! use shardwire::SessionBuilder;
//!
//! let session = SessionBuilder::new().known_node(address).build().await?;
//! # support::schema(&session).await?;
//! let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
//! session.execute_unpaged(&insert, (1_i64, "lamp")).await?;
//!
//! let select = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
//! let result = session.execute_unpaged(&select, (1_i64,)).await?.into_rows_result()?;
//! let (name,) = result.single_row::<(&str,)>()?; // borrows from the reply
//! assert_eq!(name, "lamp");
//! # Ok(()) });
//! ```
//!
//! Structs are rows as well, by the names of their fields, and user-defined types: see
//! [`SerializeRow`](macro@SerializeRow), [`DeserializeRow`](macro@DeserializeRow),
//! [`SerializeValue`](macro@SerializeValue) and [`DeserializeValue`](macro@DeserializeValue).
//!
//! ```
//! # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
//! # support::run(|session| async move {
//! use shardwire::{DeserializeRow, SerializeRow};
//!
//! #[derive(Debug, PartialEq, SerializeRow, DeserializeRow)]
//! struct Item<'a> {
//!     name: &'a str,
//!     id: i64,
//! }
//!
//! let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
//! session.execute_unpaged(&insert, Item { id: 1, name: "lamp" }).await?;
//!
//! let result = session.query_unpaged("SELECT id, name FROM shop.items", ()).await?;
//! let rows = result.into_rows_result()?;
//! assert_eq!(rows.single_row::<Item<'_>>()?, Item { id: 1, name: "lamp" });
//! # Ok(()) });
//! ```
//!
//! Where columns are known at run time only, a [`Row`] holds a [`CqlValue`](value::CqlValue) for
//! each, and maps from names to values are bound.
//!
//! Names and argument orders are those of the `scylla` crate where the same thing is meant. How a
//! request travels is told file by file in `docs/REQUEST.md`.

#![forbid(unsafe_code)]

mod execute;

mod request;

mod policy;
mod pool;

mod connection;

mod rows;

mod lwt;

mod batch;
mod learned;
mod message;
mod pager;
mod payload;
mod prepare;
mod query;
mod statement;
mod trace;

mod auth;
mod builder;
mod close;
mod session;
mod settings;

#[cfg(feature = "rustls-023")]
mod tls;
#[cfg(not(feature = "rustls-023"))]
#[path = "no_tls.rs"]
mod tls;

mod control;
mod events;
mod keeper;
mod metadata;
mod topology;

mod clock;
mod error;
mod runtime;

pub use auth::{
    AuthError, AuthFuture, AuthStart, AuthenticatorProvider, AuthenticatorSession,
    PlainTextAuthenticator,
};
pub use batch::{Batch, BatchStatement, BatchType, BatchValues, RowVisitor, RowsVisitor, RunBatch};
pub use builder::SessionBuilder;
pub use close::CloseReport;
pub use error::{
    DatabaseError, DbError, Error, ErrorKind, Lost, OperationType, ReplicaFailures, WriteType,
};
pub use events::{Event, Events, SchemaChange, SchemaChangeKind, SchemaTarget};
pub use execute::{ExecuteSinglePage, ExecuteUnpaged};
pub use lwt::{LwtResult, LwtRow, LwtRows};
pub use metadata::{
    ColumnKind, ColumnMetadata, KeyspaceMetadata, Metadata, Strategy, TableMetadata,
    UserDefinedTypeMetadata,
};
pub use pager::QueryPager;
pub use policy::retry::{
    DefaultRetryPolicy, FallthroughRetryPolicy, RequestInfo, RetryDecision, RetryPolicy,
};
pub use rows::{PagingState, PagingStateResponse, QueryResult, QueryRowsResult, TypedRowIter};
pub use session::{Replica, Session};
pub use settings::{Compression, PoolSize, ProtocolVersion};
pub use statement::{PreparedStatement, Statement};
#[cfg(feature = "rustls-023")]
pub use tls::{TlsContext, TlsContextBuilder};
pub use topology::Node;
pub use trace::{TracingEvent, TracingInfo};

pub use shardwire_protocol::consistency::{Consistency, SerialConsistency};
pub use shardwire_protocol::routing::Token;
pub use shardwire_protocol::row::{DeserializeRow, Row, SerializeRow};
pub use shardwire_protocol::types::{ColumnSpec, ColumnType};
pub use shardwire_protocol::value;
pub use shardwire_protocol::value::{DeserializeValue, SerializeValue};

/// The example on the repository's first page compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// What implementing [`SerializeValue`], [`DeserializeRow`] and the like takes.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// use shardwire::implement::{DeserializeError, SerializeError, TypeMismatch, ValueLen, Writer};
/// use shardwire::{ColumnType, DeserializeValue, SerializeValue};
///
/// /// A `bigint` of the database.
/// #[derive(Debug, PartialEq)]
/// struct ItemId(i64);
///
/// impl SerializeValue for ItemId {
///     fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
///         <i64 as SerializeValue>::type_check(typ)
///     }
///
///     fn value_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError> {
///         self.0.value_len(typ)
///     }
///
///     fn write(&self, typ: &ColumnType, out: &mut Writer<'_>) {
///         self.0.write(typ, out);
///     }
/// }
///
/// impl<'frame> DeserializeValue<'frame> for ItemId {
///     fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
///         <i64 as DeserializeValue>::type_check(typ)
///     }
///
///     fn deserialize(
///         typ: &ColumnType,
///         cell: Option<&'frame [u8]>,
///     ) -> Result<Self, DeserializeError> {
///         i64::deserialize(typ, cell).map(ItemId)
///     }
/// }
///
/// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
/// session.execute_unpaged(&insert, (ItemId(7), "lamp")).await?;
/// let result = session.query_unpaged("SELECT id FROM shop.items", ()).await?;
/// assert_eq!(result.into_rows_result()?.single_row::<(ItemId,)>()?, (ItemId(7),));
/// # Ok(()) });
/// ```
pub mod implement {
    pub use shardwire_protocol::implement::*;
}
