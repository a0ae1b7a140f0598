//! A request that is dropped, times out or panics at any point harms nobody else.
//!
//! Each test brings a request into one state - in flight, waiting for room, waiting for any
//! connection, telling the node about its statement again - and drops it after exactly k polls, for
//! every k until it completes by itself. The sessions have so few slots that one slot lost, or one
//! call to a waiter, would stop all who come later; every row says which key it is of.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{EARLY_MAX, LATE_MAX, builder, keyspace};
use shardwire::implement::{SerializeError, TypeMismatch, ValueLen, Writer};
use shardwire::{
    Batch, BatchType, ColumnType, Error, ErrorKind, PreparedStatement, SerializeValue, Session,
    SessionBuilder,
};
use shardwire_server::{Cluster, FaultAction, FaultRule};

const KEYS: i64 = 32;
/// Times each number of polls is tried: more than there are slots.
const ROUNDS: i64 = 6;
/// No request takes so many polls.
const POLLS_MAX: u32 = 32;
/// Longer than a busy machine may make it shorter.
const TIMEOUT: Duration = Duration::from_millis(150);

struct Bench {
    cluster: Cluster,
    session: Session,
    insert: PreparedStatement,
    select: PreparedStatement,
}

impl Bench {
    /// One node with one shard, so that there is one connection, and so many slots on it.
    async fn new(in_flight_max: usize) -> Bench {
        Bench::with(in_flight_max, |builder| builder).await
    }

    async fn with(
        in_flight_max: usize,
        set: impl FnOnce(SessionBuilder) -> SessionBuilder,
    ) -> Bench {
        let cluster = Cluster::builder().nodes(1).shards(1).start().await.unwrap();
        let builder = builder(&cluster)
            .in_flight_max(in_flight_max.try_into().unwrap())
            .reconnect_backoff(Duration::from_millis(1), Duration::from_millis(4));
        let session = set(builder).build().await.unwrap();
        keyspace(&session, 1).await;
        let text = "CREATE TABLE k.t (id bigint PRIMARY KEY, same bigint, name text)";
        session.query_unpaged(text, ()).await.unwrap();
        let insert = "INSERT INTO k.t (id, same, name) VALUES (?, ?, ?)";
        let insert = session.prepare(insert).await.unwrap();
        for id in 0..KEYS {
            session.execute_unpaged(&insert, (id, id, "a name")).await.unwrap();
        }
        let select = session.prepare("SELECT id, same FROM k.t WHERE id = ?").await.unwrap();
        Bench { cluster, session, insert, select }
    }

    async fn read(&self, id: i64) -> Result<(), Error> {
        let id = id % KEYS;
        let result = self.session.execute_unpaged(&self.select, (id,)).await?;
        let rows = result.into_rows_result()?;
        assert_eq!(rows.single_row::<(i64, i64)>()?, (id, id), "another request's reply");
        Ok(())
    }

    /// Several at once, more than there are slots.
    async fn works(&self) {
        let (a, b, c, d, e) =
            tokio::join!(self.read(1), self.read(2), self.read(3), self.read(4), self.read(5));
        for result in [a, b, c, d, e] {
            result.unwrap();
        }
    }

    fn fault(&self, opcode: &str, action: FaultAction) {
        self.cluster.add_fault(FaultRule::new(action).opcode(opcode));
    }

    fn fault_once(&self, opcode: &str, action: FaultAction) {
        self.cluster.add_fault(FaultRule::new(action).opcode(opcode).limit(1));
    }

    fn select_within(&self, timeout: Duration) -> PreparedStatement {
        let mut select = self.select.clone();
        select.set_request_timeout(Some(timeout));
        select
    }

    /// The select must time out, when its time is up.
    async fn times_out(&self, was_sent: bool) {
        let select = self.select_within(TIMEOUT);
        let begin = Instant::now();
        let error = self.session.execute_unpaged(&select, (1_i64,)).await.unwrap_err();
        let took = begin.elapsed();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert_eq!((error.was_sent(), error.is_safe_to_retry()), (was_sent, !was_sent));
        assert!(took + EARLY_MAX >= TIMEOUT && took <= TIMEOUT + LATE_MAX, "{took:?}");
    }

    /// Stops the node and waits until the session has noticed.
    async fn stop_node(&self) {
        self.cluster.stop_node(0).await.unwrap();
        let select = self.select_within(Duration::from_millis(5));
        while self.session.execute_unpaged(&select, (1_i64,)).await.unwrap_err().was_sent() {}
    }
}

/// Polls a future at most `polls` times and then drops it; whether it completed.
async fn poll_at_most<F: Future>(future: F, polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The future's result, or `None` if a poll panicked, upon which it is dropped.
async fn unwinding<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(move |cx| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

#[tokio::test]
async fn dropped_in_flight() {
    for in_flight_max in [1, 3] {
        let bench = Bench::new(in_flight_max).await;
        bench.fault("EXECUTE", FaultAction::Delay { ms: 1 });
        for polls in 0.. {
            assert!(polls < POLLS_MAX);
            let mut completed = 0;
            for round in 0..ROUNDS {
                completed += usize::from(poll_at_most(bench.read(round), polls).await.is_some());
                bench.read(round + 7).await.unwrap();
            }
            bench.works().await;
            if completed == ROUNDS as usize {
                break;
            }
        }
    }
}

#[tokio::test]
async fn dropped_while_waiting_for_room() {
    let bench = Bench::new(1).await;
    bench.fault("EXECUTE", FaultAction::Delay { ms: 1 });
    for polls in 0.. {
        assert!(polls < POLLS_MAX);
        let mut completed = 0;
        for round in 0..ROUNDS {
            // One has the slot, the next is dropped, those behind it must be called all the same.
            let (first, victim, second, third) = tokio::join!(
                bench.read(round),
                poll_at_most(bench.read(round + 1), polls),
                bench.read(round + 2),
                bench.read(round + 3),
            );
            first.and(second).and(third).unwrap();
            completed += usize::from(victim.is_some());
        }
        bench.works().await;
        if completed == ROUNDS as usize {
            break;
        }
    }
}

#[tokio::test]
async fn dropped_while_no_node_is_reachable() {
    let bench = Bench::new(1).await;
    for polls in 0.. {
        assert!(polls < POLLS_MAX);
        bench.stop_node().await;
        let (victim, other, started) = tokio::join!(
            poll_at_most(bench.read(1), polls),
            bench.read(2),
            bench.cluster.start_node(0)
        );
        started.unwrap();
        other.unwrap();
        bench.works().await;
        if let Some(result) = victim {
            result.unwrap();
            break;
        }
    }
}

#[tokio::test]
async fn dropped_while_preparing_again() {
    for in_flight_max in [1, 3] {
        let bench = Bench::new(in_flight_max).await;
        for polls in 0.. {
            assert!(polls < POLLS_MAX);
            let mut completed = 0;
            for round in 0..ROUNDS {
                bench.cluster.clear_faults();
                bench.fault_once("EXECUTE", FaultAction::Unprepared);
                bench.fault("PREPARE", FaultAction::Delay { ms: 1 });
                completed += usize::from(poll_at_most(bench.read(round), polls).await.is_some());
                bench.read(round + 7).await.unwrap();
            }
            bench.works().await;
            if completed == ROUNDS as usize {
                break;
            }
        }
    }
}

#[tokio::test]
async fn deadline_in_flight() {
    let bench = Bench::new(2).await;
    bench.fault_once("EXECUTE", FaultAction::Delay { ms: 300 });
    bench.times_out(true).await;
    bench.works().await;
}

#[tokio::test]
async fn deadline_while_waiting_for_room() {
    let bench = Bench::new(1).await;
    bench.fault_once("EXECUTE", FaultAction::Delay { ms: 500 });
    let (first, ()) = tokio::join!(bench.read(1), bench.times_out(false));
    first.unwrap();
    // Also when the slot is taken by a reply that nobody waits for any more.
    bench.cluster.clear_faults();
    bench.fault_once("EXECUTE", FaultAction::Delay { ms: 500 });
    assert!(poll_at_most(bench.read(1), 1).await.is_none());
    bench.times_out(false).await;
    bench.works().await;
}

#[tokio::test]
async fn deadline_while_no_node_is_reachable() {
    let bench = Bench::new(1).await;
    bench.stop_node().await;
    bench.times_out(false).await;
    bench.cluster.start_node(0).await.unwrap();
    bench.works().await;
}

/// The control connection is no use to requests; nor may they look at it without end.
#[tokio::test]
async fn deadline_while_only_the_control_connection_is_open() {
    let bench = Bench::new(1).await;
    bench.fault_once("EXECUTE", FaultAction::Close);
    bench.fault("STARTUP", FaultAction::Close);
    assert_eq!(bench.read(1).await.unwrap_err().kind(), ErrorKind::ConnectionLost);
    bench.times_out(false).await;
    bench.cluster.clear_faults();
    bench.works().await;
}

#[tokio::test]
async fn deadline_while_preparing_again() {
    let bench = Bench::new(3).await;
    bench.fault_once("EXECUTE", FaultAction::Unprepared);
    bench.fault_once("PREPARE", FaultAction::Delay { ms: 500 });
    bench.times_out(false).await; // sent, but refused: nothing was executed
    bench.works().await;
}

#[tokio::test]
async fn goes_on_when_the_connection_ends_while_preparing_again() {
    let bench = Bench::new(3).await;
    bench.fault_once("EXECUTE", FaultAction::Unprepared);
    bench.fault_once("PREPARE", FaultAction::Close);
    let error = bench.read(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    bench.works().await;
}

/// A value of the user's, text of length 5, that breaks its word.
struct Rude {
    /// What it announces, call by call; the last one from then on.
    announced: [u32; 2],
    written: usize,
    /// Which call of `value_len` or `write` panics, from 0.
    panics_at: usize,
    calls: Cell<usize>,
}

impl Rude {
    fn new(announced: [u32; 2], written: usize) -> Rude {
        Rude { announced, written, panics_at: usize::MAX, calls: Cell::new(0) }
    }

    fn panicking_at(call: usize) -> Rude {
        Rude { panics_at: call, ..Rude::new([5, 5], 5) }
    }

    fn call(&self) -> usize {
        let call = self.calls.get();
        self.calls.set(call + 1);
        assert!(call != self.panics_at, "the user's own bug");
        call
    }
}

impl SerializeValue for Rude {
    fn type_check(_: &ColumnType) -> Result<(), TypeMismatch> {
        Ok(())
    }

    fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
        Ok(ValueLen::Bytes(self.announced[self.call().min(1)]))
    }

    fn write(&self, _: &ColumnType, out: &mut Writer<'_>) {
        self.call();
        for _ in 0..self.written {
            out.put_u8(b'x');
        }
    }
}

#[tokio::test]
async fn a_value_that_panics_harms_only_its_request() {
    let bench = Bench::new(1).await;
    for call in 0.. {
        assert!(call < 10);
        let row = (1_i64, 1_i64, Rude::panicking_at(call));
        let result = unwinding(bench.session.execute_unpaged(&bench.insert, row)).await;
        bench.works().await;
        if let Some(result) = result {
            result.unwrap();
            assert!(call >= 3, "measured, measured again, written");
            break;
        }
    }
}

/// The one that is called next panics; those behind it must not wait for it.
#[tokio::test]
async fn a_value_that_panics_in_its_turn_calls_the_next() {
    let bench = Bench::new(1).await;
    bench.fault("EXECUTE", FaultAction::Delay { ms: 1 });
    for call in 0.. {
        assert!(call < 10);
        let row = (1_i64, 1_i64, Rude::panicking_at(call));
        let (first, rude, second, third) = tokio::join!(
            bench.read(1),
            unwinding(bench.session.execute_unpaged(&bench.insert, row)),
            bench.read(2),
            bench.read(3),
        );
        first.and(second).and(third).unwrap();
        if let Some(result) = rude {
            result.unwrap();
            assert!(call >= 4, "measured on coming, measured on being called, written");
            break;
        }
    }
}

#[tokio::test]
async fn a_value_of_another_length_than_announced_is_not_sent() {
    let bench = Bench::new(1).await;
    for (announced, written) in [
        ([5, 5], 4),
        ([5, 5], 6),
        ([5, 5], 0),
        ([0, 0], 5),
        ([5, 5], 100_000),
        ([100_000, 100_000], 5),
        ([5, 6], 5),
        ([5, 6], 6),
        ([6, 5], 5),
        ([5, 0], 0),
        ([5, 1_000_000], 5),
    ] {
        let row = (1_i64, 1_i64, Rude::new(announced, written));
        let error = bench.session.execute_unpaged(&bench.insert, row).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Serialize, "{announced:?} {written}: {error}");
        assert!(!error.was_sent());
        bench.works().await;
    }
    let row = (1_i64, 1_i64, Rude::new([5, 5], 5));
    bench.session.execute_unpaged(&bench.insert, row).await.unwrap();
}

#[tokio::test]
async fn build_dropped_at_any_point_leaves_nothing_open() {
    let cluster = Cluster::builder().nodes(2).shards(2).start().await.unwrap();
    let mut polls = 0;
    loop {
        let built = poll_at_most(builder(&cluster).build(), polls).await;
        if let Some(session) = built {
            session.unwrap().query_unpaged("SELECT key FROM system.local", ()).await.unwrap();
            break;
        }
        let begin = Instant::now();
        while cluster.counters().total().connections > 0 {
            assert!(begin.elapsed() < Duration::from_secs(10), "after {polls} polls");
            tokio::task::yield_now().await;
        }
        polls += 1;
        assert!(polls < 200);
    }
    assert!(polls > 3, "connecting takes a few turns");
}

#[tokio::test]
async fn other_requests_dropped_at_any_point() {
    let bench = Bench::new(1).await;
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.append_statement(bench.insert.clone());
    batch.append_statement(bench.insert.clone());
    for opcode in ["PREPARE", "QUERY", "BATCH", "EXECUTE"] {
        bench.fault(opcode, FaultAction::Delay { ms: 1 });
    }
    let rows = [(1_i64, 1_i64, "a"), (2_i64, 2_i64, "b")];
    for polls in 0.. {
        assert!(polls < POLLS_MAX);
        let mut completed = 0;
        for _ in 0..ROUNDS {
            let prepared = poll_at_most(bench.session.prepare("SELECT id FROM k.t"), polls).await;
            let batch = poll_at_most(bench.session.batch(&batch, rows), polls).await;
            let query = bench.session.query_unpaged("SELECT id, same FROM k.t", ());
            let query = poll_at_most(query, polls).await;
            let done = [prepared.is_some(), batch.is_some(), query.is_some()];
            completed += done.into_iter().filter(|done| *done).count();
            bench.read(1).await.unwrap();
        }
        bench.works().await;
        if completed == 3 * ROUNDS as usize {
            break;
        }
    }
}

/// Many at once on two threads, dropped while their replies are on their way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_on_many_threads() {
    let bench = Arc::new(Bench::new(2).await);
    bench
        .cluster
        .add_fault(FaultRule::new(FaultAction::Delay { ms: 1 }).opcode("EXECUTE").probability(0.2));
    let tasks: Vec<_> = (0..8_i64)
        .map(|task| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                for round in 0..200_i64 {
                    let polls = u32::try_from((task + round) % 5).unwrap();
                    if let Some(result) = poll_at_most(bench.read(task + round), polls).await {
                        result.unwrap();
                    }
                }
                bench.read(task).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    bench.works().await;
}
