//! Reading what nodes have written down about a request that was traced.
//!
//! A statement asks for it with `set_tracing`; the result then names the trace. Nodes write it
//! while and after they answer, so it is asked for until it is complete.

use std::collections::HashMap;
use std::net::IpAddr;

use shardwire_protocol::value::{CqlTimestamp, CqlTimeuuid};
use uuid::Uuid;

use crate::error::Error;
use crate::rows::QueryRowsResult;
use crate::runtime;
use crate::session::Session;
use crate::statement::Statement;

/// Events of one trace that are read.
const TRACING_EVENTS_MAX: u32 = 10_000;

/// How a request was carried out, as the nodes tell it.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let mut select = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
/// select.set_tracing(true);
/// let result = session.execute_unpaged(&select, (7_i64,)).await?;
/// let id = result.tracing_id().expect("tracing was asked for");
///
/// let trace = session.get_tracing_info(&id).await?;
/// println!("{:?} took {:?} us", trace.request, trace.duration);
/// for event in &trace.events {
///     println!("{:?} us {:?} {:?}", event.source_elapsed, event.source, event.activity);
/// }
/// # assert!(trace.duration.is_some() && !trace.events.is_empty());
/// # Ok(()) });
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TracingInfo {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// What kind of request it was.
    pub command: Option<String>,
    /// The node that was asked.
    pub coordinator: Option<IpAddr>,
    /// How long it took, in microseconds.
    pub duration: Option<i32>,
    /// What the request said, such as `query` and `consistency_level`.
    pub parameters: Option<HashMap<String, String>>,
    /// What was done.
    pub request: Option<String>,
    /// When it began.
    pub started_at: Option<CqlTimestamp>,
    /// What happened on the nodes, in order.
    pub events: Vec<TracingEvent>,
}

/// Something that happened while a node carried out a request; see [`TracingInfo`].
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let mut select = shardwire::Statement::new("SELECT name FROM shop.items");
/// select.set_tracing(true);
/// let result = session.query_unpaged(select, ()).await?;
/// let trace = session.get_tracing_info(&result.tracing_id().expect("it was traced")).await?;
/// let last = trace.events.iter().max_by_key(|event| event.source_elapsed).expect("an event");
/// println!("{:?} by {:?}", last.activity, last.thread);
/// # assert!(last.source.is_some());
/// # Ok(()) });
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TracingEvent {
    /// Its id, which tells the time.
    pub event_id: CqlTimeuuid,
    /// What the node did.
    pub activity: Option<String>,
    /// The node.
    pub source: Option<IpAddr>,
    /// Microseconds since the node began with the request.
    pub source_elapsed: Option<i32>,
    /// The thread or shard that did it.
    pub thread: Option<String>,
}

/// The columns of a session: client, command, coordinator, duration, parameters, request, start.
type SessionRow = (
    Option<IpAddr>,
    Option<String>,
    Option<IpAddr>,
    Option<i32>,
    Option<HashMap<String, String>>,
    Option<String>,
    Option<CqlTimestamp>,
);

type EventRow = (CqlTimeuuid, Option<String>, Option<IpAddr>, Option<i32>, Option<String>);

impl Session {
    /// Reads a trace, which [`QueryResult::tracing_id`](crate::QueryResult::tracing_id) names.
    ///
    /// Nodes write traces a little later than they answer: it is asked for until the duration of
    /// the request is known, as often as [`SessionBuilder::tracing_info_fetch_attempts`] says.
    ///
    /// [`SessionBuilder::tracing_info_fetch_attempts`]:
    ///     crate::SessionBuilder::tracing_info_fetch_attempts
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Result`] if there is no complete trace of this id by then; otherwise as
    /// [`query_unpaged`](Self::query_unpaged).
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    // Allocates: the trace.
    pub async fn get_tracing_info(&self, tracing_id: &Uuid) -> Result<TracingInfo, Error> {
        let settings = &self.inner.settings.tracing;
        for attempt in 0..settings.attempts.get() {
            if attempt > 0 {
                runtime::sleep(settings.interval).await;
            }
            if let Some(info) = self.tracing_info(tracing_id).await? {
                return Ok(info);
            }
        }
        Err(Error::result("there is no complete trace of this id"))
    }

    /// The trace, if it is complete.
    async fn tracing_info(&self, id: &Uuid) -> Result<Option<TracingInfo>, Error> {
        let session = self
            .read_trace(format!(
                "SELECT client, command, coordinator, duration, parameters, request, started_at \
                 FROM system_traces.sessions WHERE session_id = {id}"
            ))
            .await?;
        let Some(session) = session.maybe_first_row::<SessionRow>()? else { return Ok(None) };
        let (client, command, coordinator, duration, parameters, request, started_at) = session;
        if duration.is_none() {
            return Ok(None); // it is written when the request has ended
        }
        let events = self
            .read_trace(format!(
                "SELECT event_id, activity, source, source_elapsed, thread \
                 FROM system_traces.events WHERE session_id = {id} LIMIT {TRACING_EVENTS_MAX}"
            ))
            .await?;
        let mut info = TracingInfo {
            client,
            command,
            coordinator,
            duration,
            parameters,
            request,
            started_at,
            events: Vec::with_capacity(events.rows_num()),
        };
        for row in events.rows::<EventRow>()? {
            let (event_id, activity, source, source_elapsed, thread) = row?;
            info.events.push(TracingEvent { event_id, activity, source, source_elapsed, thread });
        }
        Ok(Some(info))
    }

    async fn read_trace(&self, text: String) -> Result<QueryRowsResult, Error> {
        let mut statement = Statement::new(text);
        statement.set_consistency(self.inner.settings.tracing.consistency);
        statement.set_is_idempotent(true);
        self.query_unpaged(statement, ()).await?.into_rows_result()
    }
}
