//! What precedes the message of a reply: the id of a trace, warnings, a custom payload.
//!
//! Requests with the tracing flag are traced: before their reply is written, the trace stands in
//! `system_traces`, complete. So clients find it at once, other than those of a real database.

use std::net::IpAddr;
use std::time::Instant;

use super::Connection;
use super::handle::skip_payload;
use crate::cql::ast::TableName;
use crate::error::CqlError;
use crate::replicas::{Consistency, Levels};
use crate::state::Bindings;
use crate::users::showable;
use crate::value::literal::map;
use crate::value::time::{now_us, timeuuid};
use crate::wire::frame::{FLAG_CUSTOM_PAYLOAD, FLAG_TRACING, FLAG_WARNING, Header, opcode};
use crate::wire::read::{Reader, Value};
use crate::wire::version::Version;
use crate::wire::write::Writer;

/// Parts of the next reply's body that precede its message, and the header's flags for them.
#[derive(Debug, Default)]
pub(super) struct Extras {
    pub(super) flags: u8,
    trace: Option<[u8; 16]>,
    warnings: Vec<String>,
    /// Entries of the custom payload: key and content of each.
    payload: Vec<u8>,
    payload_count: u16,
}

impl Extras {
    /// Appends them in the order of the specification.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut out = Writer::new(out);
        if let Some(trace) = &self.trace {
            out.raw(trace);
        }
        if self.flags & FLAG_WARNING != 0 {
            out.short_len(self.warnings.len());
            self.warnings.iter().for_each(|warning| out.string(warning));
        }
        if self.flags & FLAG_CUSTOM_PAYLOAD != 0 {
            out.short(self.payload_count);
            out.raw(&self.payload);
        }
    }
}

/// A trace that has begun.
#[derive(Debug)]
pub(super) struct Trace {
    id: [u8; 16],
    started_us: i64,
    started: Instant,
}

/// Traces that a cluster keeps; at one more it forgets all.
const TRACES_MAX: u32 = 10_000;
/// Bytes of a statement that its trace shows.
const TRACE_TEXT_LEN_MAX: usize = 4 * 1024;

const INSERT_SESSION: &str = "INSERT INTO system_traces.sessions (session_id, client, command, \
     coordinator, duration, parameters, request, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
     USING TTL 86400";
const INSERT_EVENT: &str = "INSERT INTO system_traces.events (session_id, event_id, activity, \
     source, source_elapsed, thread) VALUES (?, ?, ?, ?, ?, ?) USING TTL 86400";

impl Connection {
    /// Begins a trace if the request asks for one and is of a kind that is traced.
    pub(super) fn begin_trace(&mut self, header: Header) -> Option<Trace> {
        let traced = [opcode::QUERY, opcode::PREPARE, opcode::EXECUTE, opcode::BATCH];
        if header.flags & FLAG_TRACING == 0 || !self.is_ready() || !traced.contains(&header.opcode)
        {
            return None;
        }
        let started_us = now_us();
        let id = timeuuid(started_us, fastrand::u64(..));
        self.extras.flags |= FLAG_TRACING;
        self.extras.trace = Some(id);
        Some(Trace { id, started_us, started: Instant::now() })
    }

    /// Writes the trace down.
    pub(super) fn end_trace(
        &self,
        trace: &Trace,
        header: Header,
        body: &[u8],
    ) -> Result<(), CqlError> {
        let elapsed = i32::try_from(trace.started.elapsed().as_micros()).unwrap_or(i32::MAX);
        let request = match header.opcode {
            opcode::QUERY => "Execute CQL3 query",
            opcode::PREPARE => "Preparing CQL3 query",
            opcode::BATCH => "Execute batch of CQL3 queries",
            _ => "Execute CQL3 prepared query",
        };
        self.make_room_for_trace()?;
        let mut text = showable(&self.statement_text(header, body).unwrap_or_default());
        let cut = (0..=TRACE_TEXT_LEN_MAX.min(text.len())).rfind(|at| text.is_char_boundary(*at));
        text.truncate(cut.unwrap_or_default());
        let parameters = map(&[(b"query".to_vec(), text.into_bytes())]);
        let node = self.shared.nodes.get(self.node).map(|node| node.address.octets());
        let node = node.unwrap_or_default();
        let client = match self.guest.peer.ip() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let started_ms = (trace.started_us / 1000).to_be_bytes();
        self.insert(
            INSERT_SESSION,
            &[
                &trace.id,
                &client,
                b"QUERY",
                &node,
                &elapsed.max(1).to_be_bytes(),
                &parameters,
                request.as_bytes(),
                &started_ms,
            ],
        )?;
        let thread = format!("shard {}", self.shard);
        for (number, activity) in (0..).zip(["Parsing a statement", "Done processing"]) {
            let event_id = timeuuid(trace.started_us + number, fastrand::u64(..));
            let elapsed = if number == 0 { 0 } else { elapsed };
            self.insert(
                INSERT_EVENT,
                &[
                    &trace.id,
                    &event_id,
                    activity.as_bytes(),
                    &node,
                    &elapsed.to_be_bytes(),
                    thread.as_bytes(),
                ],
            )?;
        }
        Ok(())
    }

    /// A client may ask for traces as long as it likes, and they live for a day.
    fn make_room_for_trace(&self) -> Result<(), CqlError> {
        let count = self.shared.trace_count.get();
        if count < TRACES_MAX {
            self.shared.trace_count.set(count + 1);
            return Ok(());
        }
        self.shared.trace_count.set(1);
        let schema = self.shared.schema.borrow();
        for name in ["sessions", "events"] {
            let keyspace = Some("system_traces".to_owned());
            let table = TableName { keyspace, name: name.to_owned() };
            let (keyspace, table) = schema.table(&table, None)?;
            let placement = keyspace.placement(&table.name);
            table.data.borrow_mut().truncate(&[], |token| placement.replicas(token));
        }
        Ok(())
    }

    fn insert(&self, text: &str, values: &[&[u8]]) -> Result<(), CqlError> {
        let plan = self.shared.plan(text, None)?;
        let values: Vec<Value<'_>> = values.iter().copied().map(Value::Bytes).collect();
        // Whoever is down: a trace is written at ANY.
        let levels = Levels { consistency: Consistency::Any, ..Levels::default() };
        let bindings = Bindings { levels, values: &values, ..Bindings::default() };
        self.shared.run(self.node, &plan, None, bindings).map(drop)
    }

    /// Lets the next reply carry these warnings and the request's own custom payload.
    pub(super) fn annotate(&mut self, warnings: &[String], header: Header, body: &[u8]) {
        self.warn(warnings.to_vec());
        let mut reader = Reader::new(body);
        if header.flags & FLAG_CUSTOM_PAYLOAD != 0 && skip_payload(&mut reader).is_ok() {
            let len = body.len() - reader.rest().len();
            if let Some((count, entries)) = body.get(..len).and_then(<[u8]>::split_first_chunk) {
                self.extras.flags |= FLAG_CUSTOM_PAYLOAD;
                self.extras.payload_count += u16::from_be_bytes(*count);
                self.extras.payload.extend_from_slice(entries);
            }
        }
    }

    /// Adds an entry to the custom payload of the next reply.
    pub(super) fn add_payload(&mut self, key: &str, content: &[u8]) {
        self.extras.flags |= FLAG_CUSTOM_PAYLOAD;
        self.extras.payload_count = self.extras.payload_count.saturating_add(1);
        let mut out = Writer::new(&mut self.extras.payload);
        out.string(key);
        out.bytes(Some(content));
    }

    /// Lets the next reply carry these warnings too. Version 3 has none.
    pub(super) fn warn(&mut self, warnings: Vec<String>) {
        if !warnings.is_empty() && self.version != Version::V3 {
            self.extras.flags |= FLAG_WARNING;
            self.extras.warnings.extend(warnings);
        }
    }
}
