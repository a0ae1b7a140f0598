//! What fault rules do to a request.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

use super::handle::skip_payload;
use super::params::batch_head;
use super::{Connection, Flow};
use crate::error::CqlError;
use crate::faults::{FaultAction, Subject};
use crate::routing::NodeSet;
use crate::wire::frame::{FLAG_CUSTOM_PAYLOAD, Header, opcode};
use crate::wire::read::Reader;

/// Delayed replies that one connection may have; beyond it nothing more is read.
const DELAYED_MAX: usize = 32_768;
/// Bytes of delayed replies that one connection may have.
const DELAYED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Replies that wait for their time, the next one first.
#[derive(Debug, Default)]
pub(super) struct Delayed {
    replies: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    /// Keeps replies of one time in order.
    count: u64,
    bytes: usize,
}

impl Delayed {
    pub(super) fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }

    /// Bytes of all of them.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Whether the connection may go on.
    pub(super) fn flow(&self) -> Flow {
        if self.is_full() { Flow::Full } else { Flow::Continue }
    }

    pub(super) fn is_full(&self) -> bool {
        self.replies.len() >= DELAYED_MAX || self.bytes >= DELAYED_BYTES_MAX
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.replies.peek().map(|Reverse((due, ..))| *due)
    }

    pub(super) fn push(&mut self, due: Instant, reply: Vec<u8>) {
        self.count += 1;
        self.bytes += reply.len();
        self.replies.push(Reverse((due, self.count, reply)));
    }

    /// Moves the replies that are due to the output.
    pub(super) fn take_due(&mut self, now: Instant, out: &mut Vec<u8>) {
        while self.next_due().is_some_and(|due| due <= now) {
            if let Some(Reverse((_, _, reply))) = self.replies.pop() {
                self.bytes -= reply.len();
                out.extend_from_slice(&reply);
            }
        }
    }
}

/// A reply that waits, and the connection with it.
#[derive(Debug)]
pub(super) struct Stall {
    pub(super) until: Instant,
    pub(super) reply: Vec<u8>,
    /// How the request was to be followed.
    pub(super) then: Flow,
}

/// When a delay from now on is over; one that no clock reaches is a year.
pub(super) fn due_in(delay: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(delay).unwrap_or(now + Duration::from_secs(365 * 86_400))
}

impl Connection {
    /// Handles a request while there are fault rules.
    pub(super) fn handle_with_faults(&mut self, header: Header, body: &[u8]) -> Flow {
        let fault = {
            let statement = self.statement_text(header, body);
            self.shared.faults.pick(Subject {
                opcode: opcode::name(header.opcode).unwrap_or_default(),
                statement: statement.as_deref(),
                node: self.node,
                shard: self.shard,
            })
        };
        let Some(fault) = fault else { return self.handle_normally(header, body) };
        let at = self.out.len();
        match fault.clone() {
            FaultAction::Close => return Flow::Close,
            FaultAction::Error { code, message } => {
                self.reply_error(header.stream, &CqlError::new(code, message));
                return Flow::Continue;
            }
            FaultAction::Unprepared => {
                let reader = message(header, body);
                let id = reader.and_then(|mut reader| reader.short_bytes("an id").ok());
                let id = id.unwrap_or_default();
                self.reply_error(header.stream, &CqlError::unprepared(id));
                return Flow::Continue;
            }
            FaultAction::MissWrites { nodes } => {
                self.shared.misses.set(NodeSet::of(nodes));
                let flow = self.handle_normally(header, body);
                self.shared.misses.set(NodeSet::default());
                return flow;
            }
            FaultAction::ForgetPrepared => {
                if let Some(state) = self.shared.node_states.get(self.node) {
                    state.prepared.borrow_mut().clear();
                }
            }
            FaultAction::Annotate { warnings } => {
                self.annotate(&warnings, header, body);
                return self.handle(header, body);
            }
            _ => {}
        }
        let flow = self.handle_normally(header, body);
        match fault {
            FaultAction::Delay { ms } => {
                let reply = self.out.split_off(at);
                self.delayed.push(due_in(Duration::from_millis(ms)), reply);
                if flow == Flow::Continue {
                    return self.delayed.flow();
                }
            }
            FaultAction::Stall { ms } => {
                let reply = self.out.split_off(at);
                let until = due_in(Duration::from_millis(ms));
                self.stall = Some(Box::new(Stall { until, reply, then: flow }));
                return Flow::Stall;
            }
            FaultAction::Drop => self.out.truncate(at),
            FaultAction::CutMidFrame => {
                let reply_len = self.out.len() - at;
                self.out.truncate(at + reply_len / 2);
                return Flow::Close;
            }
            FaultAction::Corrupt => {
                for byte in self.out.iter_mut().skip(at).take(5) {
                    *byte = !*byte;
                }
            }
            _ => {}
        }
        flow
    }

    fn handle_normally(&mut self, header: Header, body: &[u8]) -> Flow {
        if self.try_canned(header, body) { Flow::Continue } else { self.handle(header, body) }
    }

    /// The text that rules compare with: the statement's, or that of a batch's first.
    pub(super) fn statement_text(&self, header: Header, body: &[u8]) -> Option<String> {
        let mut reader = message(header, body)?;
        let text_of = |id: &[u8]| self.statement(id).map(|statement| statement.text.clone());
        match header.opcode {
            opcode::QUERY | opcode::PREPARE => reader.long_string("").ok().map(str::to_owned),
            opcode::EXECUTE => text_of(reader.short_bytes("").ok()?),
            opcode::BATCH => {
                batch_head(&mut reader).ok()?;
                match reader.byte("").ok()? {
                    0 => reader.long_string("").ok().map(str::to_owned),
                    _ => text_of(reader.short_bytes("").ok()?),
                }
            }
            _ => None,
        }
    }
}

/// The request's message, which a custom payload may precede.
fn message(header: Header, body: &[u8]) -> Option<Reader<'_>> {
    let mut reader = Reader::new(body);
    if header.flags & FLAG_CUSTOM_PAYLOAD != 0 {
        skip_payload(&mut reader).ok()?;
    }
    Some(reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delayed_replies_come_out_by_time_then_order() {
        let mut delayed = Delayed::default();
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        delayed.push(at(5), vec![3]);
        delayed.push(at(1), vec![1]);
        delayed.push(at(1), vec![2]);
        let mut out = Vec::new();
        delayed.take_due(at(1), &mut out);
        assert_eq!(out, [1, 2]);
        assert_eq!(delayed.next_due(), Some(at(5)));
    }
}
