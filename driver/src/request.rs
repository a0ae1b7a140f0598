//! One request from its first poll to its result, over as many attempts as it may take.
//!
//! The future owns nothing on the heap and borrows the session: while it waits it remembers its
//! connection, which lives as long as the session, and a slot id. What differs between EXECUTE,
//! QUERY, BATCH and PREPARE is an [`Operation`]; the way there is the same for all.
//!
//! Step 2 of 14 in `docs/REQUEST.md`. Next: `protocol/src/routing/mod.rs`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use shardwire_protocol::consistency::Consistency;
use shardwire_protocol::error::SerializeError;
use shardwire_protocol::header::{Opcode, ResponseHeader};
use shardwire_protocol::response::{Agreed, Body, ErrorDetail, Response};
use shardwire_sync::{Lease, Outcome, SlotId, Ticket, Waited};

use crate::connection::submit::{Refusal, Turn};
use crate::connection::{Conn, Reply};
use crate::error::{Error, ErrorKind, Lost};
use crate::policy::plan::{Plan, Routing};
use crate::policy::retry::{RequestInfo, RetryDecision, RetryPolicy};
use crate::pool::Aim;
use crate::prepare::Prepare;
use crate::session::Inner;
use crate::statement::{Config, Shared};
use crate::topology::tablets::Tablets;
use crate::topology::{Node, Topology};

#[cfg(test)]
mod tests;
mod with_consistency;

use with_consistency::WithConsistency;

/// Added to the place in the plan in its second pass, over the nodes that are silent.
const SILENT_PASS: u16 = 1 << 15;
/// How often one node may be asked once more.
const SAME_TARGET_RETRIES_MAX: u8 = 1;

/// What differs from one kind of request to another.
pub(crate) trait Operation<'a> {
    type Output;

    fn config(&self) -> &Config;
    /// Where it belongs.
    fn route<'t>(&self, topology: &'t Topology) -> Result<Routing<'t>, Error>;
    /// What is known of the tablets of its table, if it has one.
    fn tablets(&self) -> Option<&Tablets> {
        None
    }
    /// Length of the whole frame in bytes.
    fn frame_len(&self) -> Result<usize, Error>;
    /// Fills exactly `frame_len` bytes.
    fn encode(&self, stream: i16, frame: &mut [u8]) -> Result<(), SerializeError>;
    /// The same for frames longer than the outbox: apart, so that `encode` has one caller.
    #[cold]
    #[inline(never)]
    fn encode_large(&self, stream: i16, frame: &mut [u8]) -> Result<(), SerializeError> {
        self.encode(stream, frame)
    }
    /// The same at another consistency, for what has one; it is as long.
    #[cold]
    #[inline(never)]
    fn encode_with(
        &self,
        consistency: Consistency,
        stream: i16,
        frame: &mut [u8],
    ) -> Result<(), SerializeError> {
        let _ = consistency;
        self.encode_large(stream, frame)
    }
    fn serialize_error(&self, error: SerializeError) -> Error;
    /// The result of a reply that says nothing but "done".
    fn void(&self) -> Result<Self::Output, Error>;
    /// The result of any other reply that is not an error.
    fn result(&self, header: ResponseHeader, body: Lease) -> Result<Self::Output, Error>;
    /// The statement that the node does not know, so that it can be told.
    fn prepared_with_id(&self, id: &[u8]) -> Option<&'a Shared>;
}

/// Where the requests of a [`Request`] may go.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// Wherever the plan says.
    Plan,
    /// To this connection and no other.
    Connection(&'a Conn),
}

/// A request in progress.
///
/// # Cancel safety
///
/// Dropping it at any point is safe: what was not sent yet is withdrawn, what was sent is left to
/// its late reply, which reaches nobody.
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Request<'a, O: Operation<'a>> {
    session: &'a Inner,
    op: O,
    target: Target<'a>,
    state: State<'a>,
    /// Absolute, in ticks; 0 for none. Set with the first attempt.
    deadline: u32,
    started: bool,
    /// Which node of the plan is next; from [`SILENT_PASS`] on, in the second pass.
    attempt: u16,
    /// Re-prepared already; a node that still does not know the statement is not asked again.
    reprepared: bool,
    seed: u32,
    /// Allocates: once per request whose first attempt fails.
    later: Option<Box<Later<'a>>>,
}

/// What only a request has whose first attempt failed.
#[derive(Default)]
struct Later<'a> {
    last_error: Option<Error>,
    /// Telling a node about the statement.
    prepare: Option<Request<'a, Prepare<'a>>>,
    /// The consistency that the retry policy wants instead of the statement's.
    consistency: Option<Consistency>,
    /// Retries upon a node's ERROR.
    retry_count: u32,
    /// The node of the plan that was asked once more, and how often.
    retried_at: u16,
    retried_there: u8,
}

#[derive(Clone, Copy)]
enum State<'a> {
    /// The next attempt is to be made.
    Start,
    /// On a connection that has no room.
    WaitingForRoom {
        conn: &'a Conn,
        ticket: Ticket,
    },
    /// No connection at all.
    WaitingForAny {
        ticket: Ticket,
    },
    InFlight {
        conn: &'a Conn,
        slot: SlotId,
    },
    /// Telling the node about the statement; then it is sent again, to the same place.
    Preparing {
        conn: &'a Conn,
    },
    Done,
}

/// What one step of the state machine came to, results apart: small enough for two registers.
enum Step {
    Again,
    Pending,
    Fail(Error),
    /// It failed, but is to be taken for done.
    Ignore,
}

// Nothing in it is ever pinned: the operation is only borrowed.
impl<'a, O: Operation<'a>> Unpin for Request<'a, O> {}

impl<'a, O: Operation<'a>> Request<'a, O> {
    #[inline]
    pub(crate) fn new(session: &'a Inner, op: O, target: Target<'a>) -> Self {
        Request {
            session,
            op,
            target,
            state: State::Start,
            deadline: 0,
            started: false,
            attempt: 0,
            reprepared: false,
            seed: 0,
            later: None,
        }
    }

    /// Makes the next attempt.
    fn start(&mut self, cx: &mut Context<'_>) -> Step {
        let len = match self.op.frame_len() {
            Ok(len) => len,
            Err(error) => return self.fail(error),
        };
        let max = self.session.settings.limits.request_len_max;
        if len > max {
            return self.fail(Error::request_too_large(len, max));
        }
        if let Target::Connection(conn) = self.target {
            return match self.submit(conn, len, Turn::New, cx) {
                Step::Again => self.fail_closed(),
                other => other,
            };
        }
        let session = self.session;
        if session.is_closing() && !self.started {
            return self.fail(Error::shutdown());
        }
        let tried = session.topology.with(|topology| self.try_plan(topology, len, cx));
        if !matches!(tried, Step::Again) {
            return tried;
        }
        match self.later.as_mut().and_then(|later| later.last_error.take()) {
            Some(error) => self.fail(error),
            None => self.wait_for_any(cx),
        }
    }

    /// Goes through the nodes of the plan, first those that answer; `Step::Again` if none of them
    /// has an open connection.
    #[inline]
    fn try_plan(&mut self, topology: &Topology, len: usize, cx: &mut Context<'_>) -> Step {
        let routing = match self.op.route(topology) {
            Ok(routing) => routing,
            Err(error) => return self.fail(error),
        };
        if routing.replicas.is_empty() {
            return self.try_tablet(topology, routing, len, cx);
        }
        self.try_nodes(topology, routing, |_| Aim::by_token(routing.token), len, cx)
    }

    /// The same where the ring says nothing: what is known of the tablets may.
    #[inline(never)]
    fn try_tablet(
        &mut self,
        topology: &Topology,
        routing: Routing<'_>,
        len: usize,
        cx: &mut Context<'_>,
    ) -> Step {
        let found = self.op.tablets().zip(routing.token);
        let homes = found.map(|(tablets, token)| tablets.find(topology, token)).unwrap_or_default();
        let routing = Routing { replicas: homes.nodes(), ..routing };
        let aim = |node: &Arc<Node>| match homes.nodes() {
            [] => Aim::by_token(routing.token),
            _ => homes.aim(topology, node),
        };
        self.try_nodes(topology, routing, aim, len, cx)
    }

    #[inline(always)]
    fn try_nodes(
        &mut self,
        topology: &Topology,
        routing: Routing<'_>,
        aim: impl Fn(&Arc<Node>) -> Aim,
        len: usize,
        cx: &mut Context<'_>,
    ) -> Step {
        let plan = Plan::new(topology, routing, &mut self.seed);
        while let Some(node) = plan.nth(usize::from(self.attempt)) {
            let pool = node.pool().and_then(|index| self.session.pools.get(index));
            if let Some(conn) = pool.and_then(|pool| pool.pick(aim(node))) {
                match self.submit(conn, len, Turn::New, cx) {
                    Step::Again => {} // closed just now
                    other => return other,
                }
            }
            self.attempt = self.attempt.saturating_add(1);
        }
        self.try_silent(&plan, aim, len, cx)
    }

    /// Goes through the nodes of the plan that are silent. Nobody else is left to be asked.
    #[cold]
    #[inline(never)]
    fn try_silent(
        &mut self,
        plan: &Plan<'_>,
        aim: impl Fn(&Arc<Node>) -> Aim,
        len: usize,
        cx: &mut Context<'_>,
    ) -> Step {
        self.attempt = self.attempt.max(SILENT_PASS);
        while let Some(node) = plan.nth(usize::from(self.attempt - SILENT_PASS)) {
            let pool = node.pool().and_then(|index| self.session.pools.get(index));
            if let Some(conn) = pool.and_then(|pool| pool.pick_silent(aim(node))) {
                match self.submit(conn, len, Turn::New, cx) {
                    Step::Again => {} // closed just now
                    other => return other,
                }
            }
            self.attempt = self.attempt.saturating_add(1);
        }
        Step::Again
    }

    /// Tries to put the request on this connection, or to wait for room there; `Step::Again` if it
    /// is closed.
    ///
    /// The only caller of [`Conn::submit`] for first attempts, so that all of it is compiled into
    /// one function.
    #[inline(never)]
    fn submit(&mut self, conn: &'a Conn, len: usize, turn: Turn, cx: &mut Context<'_>) -> Step {
        let want_ticks = self.set_deadline(conn);
        let submitted = match &self.later {
            None => conn.submit(&self.op, len, self.deadline, turn, cx.waker()),
            Some(_) => self.submit_later(conn, len, turn, cx),
        };
        if want_ticks && self.deadline != 0 {
            conn.group.want_ticks();
        }
        match submitted {
            Ok(slot) => {
                self.state = State::InFlight { conn, slot };
                if let Turn::Called(ticket) = turn {
                    conn.waiting.cancel(ticket);
                    conn.released(); // perhaps there is room for one more
                }
                Step::Pending
            }
            Err(refusal) => self.refused(refusal, conn, turn, cx),
        }
    }

    /// [`Conn::submit`] after an attempt that failed.
    #[cold]
    #[inline(never)]
    fn submit_later(
        &self,
        conn: &Conn,
        len: usize,
        turn: Turn,
        cx: &mut Context<'_>,
    ) -> Result<SlotId, Refusal> {
        let consistency = self.consistency();
        let op = WithConsistency { op: &self.op, consistency };
        conn.submit(&op, len, self.deadline, turn, cx.waker())
    }

    /// The consistency of the present attempt.
    fn consistency(&self) -> Consistency {
        let wanted = self.later.as_ref().and_then(|later| later.consistency);
        wanted.unwrap_or(self.op.config().consistency)
    }

    /// The same, measured again: apart, so that `frame_len` is compiled into the first attempt.
    #[cold]
    #[inline(never)]
    fn submit_again(&mut self, conn: &'a Conn, turn: Turn, cx: &mut Context<'_>) -> Step {
        match self.op.frame_len() {
            Ok(len) => self.submit(conn, len, turn, cx),
            Err(error) => self.fail(error),
        }
    }

    #[cold]
    fn refused(
        &mut self,
        refusal: Refusal,
        conn: &'a Conn,
        turn: Turn,
        cx: &mut Context<'_>,
    ) -> Step {
        match (refusal, turn) {
            (Refusal::Serialize(error), _) => {
                let error = self.op.serialize_error(error);
                self.fail(error)
            }
            (Refusal::Closed, Turn::New) => Step::Again,
            (Refusal::Closed, Turn::Called(ticket)) => {
                conn.waiting.cancel(ticket);
                conn.released();
                self.state = State::Start;
                Step::Again
            }
            (Refusal::Full, Turn::New) => self.wait_for_room(conn, cx),
            // Somebody was faster; keep the place in the queue.
            (Refusal::Full, Turn::Called(ticket)) => {
                match conn.waiting.requeue(ticket, cx.waker()) {
                    Waited::Expired => self.expired_unsent(),
                    _ => Step::Pending,
                }
            }
        }
    }

    /// Works out the deadline with the first attempt; whether the I/O task must be asked to tick.
    #[inline]
    fn set_deadline(&mut self, conn: &Conn) -> bool {
        let (now, want_ticks) = conn.group.now();
        if !self.started {
            self.started = true;
            let timeout = self.op.config().timeout.unwrap_or(self.session.timeout);
            self.deadline = deadline(now, timeout);
        }
        want_ticks
    }

    /// Queues for room on this connection, unless there is some by now.
    #[cold]
    fn wait_for_room(&mut self, conn: &'a Conn, cx: &mut Context<'_>) -> Step {
        let Ok(ticket) = conn.waiting.enqueue(self.deadline) else {
            return self.fail(Error::overloaded());
        };
        self.state = State::WaitingForRoom { conn, ticket };
        if self.deadline != 0 {
            conn.group.want_ticks();
        }
        // Room that was made before the ticket was drawn calls nobody: call oneself.
        if conn.waiting.len() == 1 {
            conn.waiting.notify(1);
        }
        self.poll_room(conn, ticket, cx)
    }

    #[cold]
    fn poll_room(&mut self, conn: &'a Conn, ticket: Ticket, cx: &mut Context<'_>) -> Step {
        let waited = conn.waiting.poll(ticket, cx.waker());
        if waited == Waited::Expired {
            return self.expired_unsent();
        }
        // It became so meanwhile, and called those who wait: other nodes first.
        if conn.is_silent() && self.attempt < SILENT_PASS && matches!(self.target, Target::Plan) {
            conn.waiting.cancel(ticket);
            self.state = State::Start;
            return Step::Again;
        }
        if waited == Waited::Waiting {
            return Step::Pending;
        }
        self.submit_again(conn, Turn::Called(ticket), cx)
    }

    /// The deadline passed while the request was queued; its ticket is gone.
    fn expired_unsent(&mut self) -> Step {
        self.state = State::Done;
        Step::Fail(Error::timeout(false))
    }

    /// No node of the plan has an open connection: wait until any connection opens.
    #[cold]
    fn wait_for_any(&mut self, cx: &mut Context<'_>) -> Step {
        if self.session.is_shut_down() {
            return self.fail(Error::shutdown());
        }
        if !self.started {
            self.started = true;
            let timeout = self.op.config().timeout.unwrap_or(self.session.timeout);
            self.deadline = deadline(self.session.clock.read(), timeout);
        }
        let Ok(ticket) = self.session.waiting.enqueue(self.deadline) else {
            return self.fail(Error::overloaded());
        };
        self.state = State::WaitingForAny { ticket };
        self.session.sweep.notify_one();
        // A connection that opened before the ticket was drawn calls nobody.
        if self.session.is_reachable() {
            self.session.waiting.notify(1);
        }
        self.poll_any(ticket, cx)
    }

    fn poll_any(&mut self, ticket: Ticket, cx: &mut Context<'_>) -> Step {
        match self.session.waiting.poll(ticket, cx.waker()) {
            Waited::Waiting => Step::Pending,
            Waited::Expired => self.expired_unsent(),
            Waited::Notified => {
                self.session.waiting.cancel(ticket);
                self.session.waiting.notify(1); // one after the other, as long as it goes well
                self.state = State::Start;
                self.attempt = 0;
                Step::Again
            }
        }
    }

    /// What became of the request; only what is neither pending nor a result goes on as a `Step`.
    #[inline]
    fn poll_flight(
        &mut self,
        conn: &'a Conn,
        slot: SlotId,
        cx: &mut Context<'_>,
    ) -> Result<Poll<Result<O::Output, Error>>, Step> {
        let outcome = match conn.slots.poll(slot, cx.waker()) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(outcome) => outcome,
        };
        self.state = State::Done;
        match outcome {
            Outcome::Reply(reply) => {
                conn.released();
                match reply {
                    Reply::Void => Ok(Poll::Ready(self.op.void())),
                    Reply::Frame { head, body } if head.opcode != Opcode::Error => {
                        let header = head.header(&body);
                        Ok(Poll::Ready(self.op.result(header, body)))
                    }
                    other => Err(self.failed_attempt(other, conn)),
                }
            }
            Outcome::Expired => {
                conn.outbox.mark_withdrawn();
                Ok(Poll::Ready(Err(Error::timeout(true))))
            }
        }
    }

    /// Decides whether the attempt's failure is the request's.
    #[cold]
    fn failed_attempt(&mut self, reply: Reply, conn: &'a Conn) -> Step {
        let (header, body) = match reply {
            Reply::Frame { head, body } => (head.header(&body), body),
            Reply::TooLarge => {
                return Step::Fail(Error::too_large(
                    "the reply was dropped: replies that are held take too much memory",
                ));
            }
            Reply::Lost(lost) => return self.lost(*lost),
            Reply::Unsent(lost) => return self.unsent(*lost),
            Reply::Void => return Step::Fail(Error::unexpected("the reply is not an error")),
        };
        let error = match Body::parse(&header, &body)
            .and_then(|body| body.response(&Agreed::on(header.version), None))
        {
            Ok(Response::Error(error)) => error,
            Ok(_) => return Step::Fail(Error::unexpected("the reply is not an error")),
            Err(error) => return Step::Fail(Error::protocol(error)),
        };
        if let ErrorDetail::Unprepared { id } = error.detail
            && !self.reprepared
            && let Some(statement) = self.op.prepared_with_id(id)
        {
            return self.reprepare(statement, conn);
        }
        self.decide(Error::answered(&error, Some(conn.peer)))
    }

    /// Asks the retry policy about an attempt that ended with `error`.
    fn decide(&mut self, error: Error) -> Step {
        if matches!(self.target, Target::Connection(_)) {
            return Step::Fail(error);
        }
        let config = self.op.config();
        let policy: &dyn RetryPolicy = match &config.retry_policy {
            Some(policy) => &**policy,
            None => &*self.session.settings.retry_policy,
        };
        let decision = policy.decide_should_retry(RequestInfo {
            error: &error,
            is_idempotent: config.idempotent,
            consistency: self.consistency(),
            retry_count: self.later.as_ref().map_or(0, |later| later.retry_count),
        });
        let consistency = match decision {
            RetryDecision::DontRetry => return Step::Fail(error),
            RetryDecision::IgnoreWriteError => return Step::Ignore,
            RetryDecision::RetrySameTarget(consistency) => {
                if !self.may_ask_again() {
                    return Step::Fail(error);
                }
                consistency
            }
            RetryDecision::RetryNextTarget(consistency) => {
                self.attempt = self.attempt.saturating_add(1);
                consistency
            }
        };
        let later = self.later.get_or_insert_default();
        later.consistency = consistency.or(later.consistency);
        if error.kind() == ErrorKind::Database {
            later.retry_count = later.retry_count.saturating_add(1);
        }
        self.try_again(error)
    }

    /// Whether the present node may be asked once more.
    fn may_ask_again(&mut self) -> bool {
        let later = self.later.get_or_insert_default();
        if later.retried_at != self.attempt {
            (later.retried_at, later.retried_there) = (self.attempt, 0);
        }
        later.retried_there += 1;
        later.retried_there <= SAME_TARGET_RETRIES_MAX
    }

    /// Another attempt after one that ended with `error`.
    fn try_again(&mut self, error: Error) -> Step {
        self.later.get_or_insert_default().last_error = Some(error);
        self.state = State::Start;
        Step::Again
    }

    /// The connection ended under the request.
    fn lost(&mut self, lost: Lost) -> Step {
        let error = Error::lost_on(lost);
        if self.session.is_shut_down() {
            return Step::Fail(error);
        }
        self.decide(error)
    }

    /// The connection ended before the request was sent, which is safe to send elsewhere.
    fn unsent(&mut self, lost: Lost) -> Step {
        let error = Error::lost_unsent(lost);
        if self.session.is_shut_down() || matches!(self.target, Target::Connection(_)) {
            return Step::Fail(error);
        }
        self.attempt = self.attempt.saturating_add(1);
        self.try_again(error)
    }

    /// Tells the node about the statement; it answers with the same id, or has changed its mind.
    fn reprepare(&mut self, statement: &'a Shared, conn: &'a Conn) -> Step {
        self.reprepared = true;
        let prepare = Prepare::again(statement);
        let mut request = Request::new(self.session, prepare, Target::Connection(conn));
        // It is part of this request, and has no more time than what is left.
        request.started = true;
        request.deadline = self.deadline;
        self.later.get_or_insert_default().prepare = Some(request);
        self.state = State::Preparing { conn };
        Step::Again
    }

    #[cold]
    fn poll_prepare(&mut self, conn: &'a Conn, cx: &mut Context<'_>) -> Step {
        let prepare = self.later.as_mut().and_then(|later| later.prepare.as_mut());
        let Some(prepare) = prepare else { return self.fail_closed() }; // there is one in this state
        let polled = Pin::new(prepare).poll(cx);
        if let (Poll::Ready(_), Some(later)) = (&polled, &mut self.later) {
            later.prepare = None;
        }
        match polled {
            Poll::Pending => Step::Pending,
            // The node had refused the request itself: nothing was executed.
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::Timeout => {
                self.fail(Error::timeout(false))
            }
            Poll::Ready(Err(error))
                if error.kind() == ErrorKind::ConnectionLost
                    && matches!(self.target, Target::Plan) =>
            {
                self.attempt = self.attempt.saturating_add(1);
                self.reprepared = false; // the next node may have forgotten it, too
                self.try_again(error)
            }
            Poll::Ready(Err(error)) => self.fail(error),
            Poll::Ready(Ok(_)) => {
                self.state = State::Start;
                self.submit_again(conn, Turn::New, cx)
            }
        }
    }

    fn fail_closed(&mut self) -> Step {
        self.fail(Error::lost_on(Lost::ClosedByDriver))
    }

    #[cold]
    fn fail(&mut self, error: Error) -> Step {
        self.release();
        Step::Fail(error)
    }

    /// Gives back whatever the present state holds.
    fn release(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Done);
        self.later = None;
        match state {
            State::InFlight { conn, slot } => {
                conn.slots.abandon(slot);
                conn.outbox.mark_withdrawn();
                conn.released();
            }
            State::WaitingForRoom { conn, ticket } => {
                conn.waiting.cancel(ticket);
                conn.released(); // what it was called for is for the next
            }
            State::WaitingForAny { ticket } => self.session.waiting.cancel(ticket),
            State::Start | State::Preparing { .. } | State::Done => {}
        }
    }
}

/// `now + timeout`, never 0, which stands for "none".
fn deadline(now: u32, timeout: u32) -> u32 {
    if timeout == 0 { 0 } else { now.wrapping_add(timeout).max(1) }
}

impl<'a, O: Operation<'a>> Future for Request<'a, O> {
    type Output = Result<O::Output, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            let step = match this.state {
                State::InFlight { conn, slot } => match this.poll_flight(conn, slot, cx) {
                    Ok(polled) => return polled,
                    Err(step) => step,
                },
                State::Start => this.start(cx),
                State::WaitingForRoom { conn, ticket } => this.poll_room(conn, ticket, cx),
                State::WaitingForAny { ticket } => this.poll_any(ticket, cx),
                State::Preparing { conn } => this.poll_prepare(conn, cx),
                State::Done => return Poll::Ready(Err(finished_twice())),
            };
            match step {
                Step::Again => {}
                Step::Pending => return Poll::Pending,
                Step::Fail(error) => return Poll::Ready(Err(error)),
                Step::Ignore => return Poll::Ready(this.op.void()),
            }
        }
    }
}

#[cold]
fn finished_twice() -> Error {
    debug_assert!(false, "a request was polled after it had finished");
    Error::config("the request's future was polled after it had finished")
}

impl<'a, O: Operation<'a>> Drop for Request<'a, O> {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.state, State::Done) {
            self.release();
        }
    }
}

impl<'a, O: Operation<'a>> std::fmt::Debug for Request<'a, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}
