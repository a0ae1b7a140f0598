//! Preparing statements.
//!
//! A statement is prepared on one connection of every node that is reachable, so that no node is
//! met unprepared; the first answer is enough to go on. A node that forgot it is told again by the
//! request that finds out (`request.rs`).

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use shardwire_protocol::error::SerializeError;
use shardwire_protocol::header::{ResponseHeader, Version};
use shardwire_protocol::metadata::ResultMetadata;
use shardwire_protocol::request::{Prepare as Message, frame_len};
use shardwire_protocol::response::{Agreed, Body, Response, ResultBody};
use shardwire_protocol::routing::Partitioner;
use shardwire_protocol::types::ColumnSpec;
use shardwire_sync::Lease;

use crate::connection::Conn;
use crate::error::Error;
use crate::policy::plan::Routing;
use crate::query::encode;
use crate::request::{Operation, Request, Target};
use crate::session::Session;
use crate::statement::{Config, Ids, PreparedStatement, Shared, Statement};
use crate::topology::Topology;

impl Session {
    /// Prepares a statement on the cluster.
    ///
    /// The settings of `statement` carry over to what is returned.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// // Once, when the program starts; then it is kept, and cloned for other tasks.
    /// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
    /// for (id, name) in [(1_i64, "lamp"), (2, "table")] {
    ///     session.execute_unpaged(&insert, (id, name)).await?;
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Database`] if the text is wrong, and any other kind.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn prepare(
        &self,
        statement: impl Into<Statement>,
    ) -> Result<PreparedStatement, Error> {
        let statement = statement.into();
        let op = Prepare::new(&statement.contents, &statement.config, self.inner.version());
        let answer = Request::new(&self.inner, op, Target::Plan).await?;
        let mut prepared = answer.into_statement(&statement, self.inner.lwt_mark())?;
        if let Some(column) = prepared.shared.bind.columns.first() {
            let tablets = self.inner.tables.get(&column.keyspace, &column.table);
            prepared.set_table(self.partitioner_of(column), tablets);
        }
        self.prepare_elsewhere(&prepared).await;
        Ok(prepared)
    }

    /// What makes the tokens of a column's table. Of one that is not known yet it is the usual
    /// one: if that is wrong, requests reach other nodes than they should, which answer as well.
    fn partitioner_of(&self, column: &ColumnSpec) -> Partitioner {
        let metadata = self.inner.metadata.load();
        let table = metadata.table(&column.keyspace, &column.table);
        let class = table.and_then(|table| table.partitioner.as_deref());
        class.and_then(Partitioner::from_class_name).unwrap_or(Partitioner::Murmur3)
    }

    /// Tells every node; whoever does not answer now is told when it matters.
    async fn prepare_elsewhere(&self, prepared: &PreparedStatement) {
        let mut requests: Vec<_> = self
            .inner
            .one_conn_per_node()
            .map(|conn| self.prepare_on(conn, &prepared.shared))
            .collect();
        // All at once: each is polled until all are done.
        std::future::poll_fn(|cx| {
            requests.retain_mut(|request| Pin::new(request).poll(cx).is_pending());
            if requests.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn prepare_on<'a>(&'a self, conn: &'a Conn, statement: &'a Shared) -> Request<'a, Prepare<'a>> {
        let prepare = Prepare::again(statement);
        Request::new(&self.inner, prepare, Target::Connection(conn))
    }
}

/// PREPARE.
pub(crate) struct Prepare<'a> {
    text: &'a str,
    config: Config,
    version: Version,
    /// The id it must come back with.
    expect: Option<&'a [u8]>,
}

impl<'a> Prepare<'a> {
    fn new(text: &'a str, config: &Config, version: Version) -> Prepare<'a> {
        let config = Config { idempotent: true, tracing: false, payload: None, ..config.clone() };
        Prepare { text, config, version, expect: None }
    }

    /// Of a statement that was prepared before.
    pub(crate) fn again(statement: &'a Shared) -> Prepare<'a> {
        let config = Config { idempotent: true, ..Config::default() };
        let (text, version) = (&statement.text, statement.version);
        Prepare { text, config, version, expect: Some(&statement.id) }
    }

    fn message(&self) -> Message<'a> {
        Message { statement: self.text, keyspace: None }
    }
}

impl<'a> Operation<'a> for Prepare<'a> {
    type Output = Answer;

    fn config(&self) -> &Config {
        &self.config
    }

    fn route<'t>(&self, _: &'t Topology) -> Result<Routing<'t>, Error> {
        Ok(Routing::default())
    }

    fn frame_len(&self) -> Result<usize, Error> {
        frame_len(&self.message(), self.version).map_err(|e| Error::serialize(e, None))
    }

    fn encode(&self, stream: i16, frame: &mut [u8]) -> Result<(), SerializeError> {
        encode(&self.message(), &self.config, self.version, stream, frame)
    }

    fn serialize_error(&self, error: SerializeError) -> Error {
        Error::serialize(error, None)
    }

    fn void(&self) -> Result<Answer, Error> {
        Err(Error::unexpected("the answer to PREPARE is not a prepared statement"))
    }

    fn result(&self, header: ResponseHeader, body: Lease) -> Result<Answer, Error> {
        let answer = Answer { header, body };
        match (answer.id()?, self.expect) {
            (id, Some(expect)) if id != expect => {
                Err(Error::unexpected("the node prepared the statement under another id"))
            }
            _ => Ok(answer),
        }
    }

    fn prepared_with_id(&self, _: &[u8]) -> Option<&'a Shared> {
        None
    }
}

/// The answer to a PREPARE.
#[derive(Debug)]
pub(crate) struct Answer {
    header: ResponseHeader,
    body: Lease,
}

impl Answer {
    fn id(&self) -> Result<&[u8], Error> {
        match self.parse()? {
            Response::Result(ResultBody::Prepared(prepared)) => Ok(prepared.id),
            _ => Err(Error::unexpected("the answer to PREPARE is not a prepared statement")),
        }
    }

    fn parse(&self) -> Result<Response<'_>, Error> {
        Body::parse(&self.header, &self.body)
            .and_then(|body| body.response(&Agreed::on(self.header.version), None))
            .map_err(Error::protocol)
    }

    fn into_statement(
        self,
        statement: &Statement,
        lwt_mark: Option<u32>,
    ) -> Result<PreparedStatement, Error> {
        let Response::Result(ResultBody::Prepared(prepared)) = self.parse()? else {
            return Err(Error::unexpected("the answer to PREPARE is not a prepared statement"));
        };
        let bind = prepared.bind.to_metadata(lwt_mark).map_err(Error::protocol)?;
        let result = ResultMetadata::parse(&prepared.result).map_err(Error::protocol)?;
        let config = statement.config.clone();
        let text = &statement.contents;
        let ids = Ids { id: prepared.id, result_metadata: prepared.result_metadata_id };
        let version = self.header.version;
        PreparedStatement::new(version, ids, text, bind, result, config, lwt_mark.is_some())
    }
}
