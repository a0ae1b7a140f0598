//! Running a statement as text, without preparing it.
//!
//! Text with values is prepared first, behind the caller's back: only then are the values' types
//! known. Whoever runs the same text often prepares it once and keeps it.

use shardwire_protocol::consistency::Consistency;
use shardwire_protocol::error::SerializeError;
use shardwire_protocol::header::{ResponseHeader, Version, flags};
use shardwire_protocol::request::{
    Parameters, Query as Message, Request as Encode, ValueNames, encode_request,
};
use shardwire_protocol::response::{Agreed, Body, Response, ResultBody};
use shardwire_protocol::row::SerializeRow;
use shardwire_sync::Lease;

use crate::error::Error;
use crate::policy::plan::Routing;
use crate::request::{Operation, Request, Target};
use crate::rows::{PagingState, PagingStateResponse, QueryResult};
use crate::session::Session;
use crate::statement::{Config, Shared, Statement};
use crate::topology::Topology;

impl Session {
    /// Runs a statement given as text and returns all of its rows in one reply.
    ///
    /// With values it is prepared first, which costs a round trip of its own each time.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// session.query_unpaged("CREATE TABLE shop.carts (id uuid PRIMARY KEY)", ()).await?;
    /// let result = session.query_unpaged("SELECT id FROM shop.carts", ()).await?;
    /// assert_eq!(result.into_rows_result()?.rows_num(), 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Any [`crate::ErrorKind`].
    ///
    /// # Cancel safety
    ///
    /// Safe; the statement may still be executed if it was already sent.
    pub async fn query_unpaged(
        &self,
        statement: impl Into<Statement>,
        values: impl SerializeRow,
    ) -> Result<QueryResult, Error> {
        let statement = statement.into();
        if values.value_count() > 0 {
            let prepared = self.prepare(statement).await?;
            return self.execute_unpaged(&prepared, values).await;
        }
        let (result, _) = self.query_text(&statement, None, Paging::None).await?;
        Ok(result)
    }

    /// Runs a statement given as text and returns one page of its rows.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let select = "SELECT id FROM shop.items";
    /// let (page, paging) = session.query_single_page(select, (), None).await?;
    /// println!("{} rows", page.into_rows_result()?.rows_num());
    /// assert!(paging.finished());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As [`query_unpaged`](Self::query_unpaged).
    ///
    /// # Cancel safety
    ///
    /// As [`query_unpaged`](Self::query_unpaged).
    pub async fn query_single_page(
        &self,
        statement: impl Into<Statement>,
        values: impl SerializeRow,
        paging_state: Option<PagingState>,
    ) -> Result<(QueryResult, PagingStateResponse), Error> {
        let statement = statement.into();
        if values.value_count() > 0 {
            let prepared = self.prepare(statement).await?;
            return self.execute_single_page(&prepared, values, paging_state).await;
        }
        self.query_text(&statement, paging_state, Paging::Page).await
    }

    /// Runs text without values, and waits for schema agreement where it changed the schema.
    async fn query_text(
        &self,
        statement: &Statement,
        paging_state: Option<PagingState>,
        paging: Paging,
    ) -> Result<(QueryResult, PagingStateResponse), Error> {
        let (result, change) = self.query_once(statement, paging_state, paging).await?;
        if let Some(keyspace) = change {
            self.inner.refresh(&keyspace).await?;
        }
        let page = result.paging();
        Ok((result, page))
    }

    fn query_once<'a>(
        &'a self,
        statement: &'a Statement,
        paging_state: Option<PagingState>,
        paging: Paging,
    ) -> Request<'a, Query<'a>> {
        let op = Query { statement, paging_state, paging, version: self.inner.version() };
        Request::new(&self.inner, op, Target::Plan)
    }
}

/// Whether a page size goes with the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Paging {
    None,
    Page,
}

/// QUERY without values.
pub(crate) struct Query<'a> {
    pub(crate) statement: &'a Statement,
    pub(crate) paging_state: Option<PagingState>,
    pub(crate) paging: Paging,
    pub(crate) version: Version,
}

impl Query<'_> {
    fn message(&self) -> Message<'_, ()> {
        let config = &self.statement.config;
        Message {
            statement: &self.statement.contents,
            parameters: Parameters {
                consistency: config.consistency,
                serial_consistency: config.serial_consistency,
                timestamp: config.timestamp,
                page_size: (self.paging == Paging::Page).then_some(config.page_size),
                paging_state: self.paging_state.as_ref().map(PagingState::as_bytes),
                ..Parameters::default()
            },
            values: &(),
            columns: &[],
            names: ValueNames::None,
        }
    }
}

impl<'a> Operation<'a> for Query<'a> {
    /// The result, and the keyspace whose schema it changed.
    type Output = (QueryResult, Option<Box<str>>);

    fn config(&self) -> &Config {
        &self.statement.config
    }

    fn route<'t>(&self, _: &'t Topology) -> Result<Routing<'t>, Error> {
        Ok(Routing::default())
    }

    fn frame_len(&self) -> Result<usize, Error> {
        frame_len(&self.message(), &self.statement.config, self.version)
            .map_err(|e| Error::serialize(e, None))
    }

    fn encode(&self, stream: i16, frame: &mut [u8]) -> Result<(), SerializeError> {
        encode(&self.message(), &self.statement.config, self.version, stream, frame)
    }

    fn encode_with(
        &self,
        consistency: Consistency,
        stream: i16,
        frame: &mut [u8],
    ) -> Result<(), SerializeError> {
        let mut message = self.message();
        message.parameters.consistency = consistency;
        encode(&message, &self.statement.config, self.version, stream, frame)
    }

    fn serialize_error(&self, error: SerializeError) -> Error {
        Error::serialize(error, None)
    }

    fn void(&self) -> Result<Self::Output, Error> {
        Ok((QueryResult::void(), None))
    }

    fn result(&self, header: ResponseHeader, body: Lease) -> Result<Self::Output, Error> {
        let change = changed_keyspace(&header, &body);
        Ok((QueryResult::parse(header, body, None)?, change))
    }

    fn prepared_with_id(&self, _: &[u8]) -> Option<&'a Shared> {
        None
    }
}

/// The keyspace whose schema was changed, if that is what the reply says.
fn changed_keyspace(header: &ResponseHeader, body: &[u8]) -> Option<Box<str>> {
    let message =
        Body::parse(header, body).and_then(|body| body.response(&Agreed::on(header.version), None));
    match message {
        Ok(Response::Result(ResultBody::SchemaChange(change))) => Some(change.keyspace.into()),
        _ => None,
    }
}

/// Length of the whole frame.
#[inline]
pub(crate) fn frame_len<R: Encode>(
    message: &R,
    config: &Config,
    version: Version,
) -> Result<usize, SerializeError> {
    let len = shardwire_protocol::request::frame_len(message, version)?;
    Ok(len.saturating_add(config.payload_len()))
}

/// Fills the whole frame.
pub(crate) fn encode<R: Encode>(
    message: &R,
    config: &Config,
    version: Version,
    stream: i16,
    frame: &mut [u8],
) -> Result<(), SerializeError> {
    let flags = tracing_flag(config);
    match &config.payload {
        None => encode_request(message, version, flags, stream, frame),
        Some(payload) => encode_request(&payload.with(message), version, flags, stream, frame),
    }
}

/// The flag of a header that asks for a trace, if the statement does.
#[inline]
pub(crate) fn tracing_flag(config: &Config) -> u8 {
    if config.tracing { flags::TRACING } else { 0 }
}
