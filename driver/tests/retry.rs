//! What is tried again, where, how often and for how long.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::{EARLY_MAX, LATE_MAX, builder, keyspace};
use shardwire::{
    Batch, BatchType, Consistency, Error, ErrorKind, FallthroughRetryPolicy, Lost,
    PreparedStatement, RequestInfo, RetryDecision, RetryPolicy, Session, Statement,
};
use shardwire_server::{Cluster, FaultAction, FaultRule};

const NODES: usize = 3;
const UNAVAILABLE: i32 = 0x1000;
const OVERLOADED: i32 = 0x1001;
const BOOTSTRAPPING: i32 = 0x1002;
const WRITE_TIMEOUT: i32 = 0x1100;

struct Bench {
    cluster: Cluster,
    session: Session,
    insert: PreparedStatement,
    /// The same, but idempotent.
    again: PreparedStatement,
}

impl Bench {
    /// Each node has each partition, and one connection.
    async fn new() -> Bench {
        Bench::with(None).await
    }

    async fn with(policy: Option<Arc<dyn RetryPolicy>>) -> Bench {
        let cluster = Cluster::builder().nodes(NODES).start().await.unwrap();
        let mut builder = builder(&cluster);
        if let Some(policy) = policy {
            builder = builder.retry_policy(policy);
        }
        let session = builder.build().await.unwrap();
        keyspace(&session, NODES).await;
        let create = "CREATE TABLE k.t (id bigint PRIMARY KEY, name text)";
        session.query_unpaged(create, ()).await.unwrap();
        let insert = session.prepare("INSERT INTO k.t (id, name) VALUES (?, ?)").await.unwrap();
        let mut again = insert.clone();
        again.set_is_idempotent(true);
        Bench { cluster, session, insert, again }
    }

    /// The next so many executions fail like this.
    fn fail(&self, times: u64, action: FaultAction) {
        self.cluster.add_fault(FaultRule::new(action).opcode("EXECUTE").limit(times));
    }

    fn answer(&self, times: u64, code: i32) {
        self.fail(times, FaultAction::Error { code, message: "as asked".to_owned() });
    }

    async fn run(&self, statement: &PreparedStatement) -> Result<(), Error> {
        self.session.execute_unpaged(statement, (7_i64, "lamp")).await.map(drop)
    }

    /// Whether a run comes through so many faults in a row; the rest of them is forgotten.
    async fn survives(
        &self,
        statement: &PreparedStatement,
        times: u64,
        action: FaultAction,
    ) -> Result<(), Error> {
        self.fail(times, action);
        let result = self.run(statement).await;
        self.cluster.clear_faults();
        result
    }
}

fn error(code: i32) -> FaultAction {
    FaultAction::Error { code, message: "as asked".to_owned() }
}

// Connections that broke are opened again at some time or other: hence a session of its own for
// each case that counts nodes.

#[tokio::test]
async fn a_lost_connection_sends_what_is_idempotent_to_the_next_replica() {
    for action in [FaultAction::Close, FaultAction::Corrupt, FaultAction::CutMidFrame] {
        let bench = Bench::new().await;
        bench.survives(&bench.again, NODES as u64 - 1, action.clone()).await.unwrap();
        let bench = Bench::new().await;
        let error = bench.survives(&bench.insert, 1, action).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::Protocol));
        assert!(error.was_sent() && !error.is_safe_to_retry());
    }
}

#[tokio::test]
async fn no_node_is_asked_again_after_it_broke() {
    let bench = Bench::new().await;
    let error = bench.survives(&bench.again, NODES as u64, FaultAction::Close).await.unwrap_err();
    assert_eq!(error.lost(), Some(Lost::ClosedByPeer), "{error}");
}

#[tokio::test]
async fn batches_and_text_are_sent_again_as_well() {
    let bench = Bench::new().await;
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.append_statement(bench.insert.clone());
    let mut text = Statement::new("UPDATE k.t SET name = 'lamp' WHERE id = 7");
    let close = |opcode| {
        bench.cluster.add_fault(FaultRule::new(FaultAction::Close).opcode(opcode).limit(1));
    };
    batch.set_is_idempotent(true);
    close("BATCH");
    bench.session.batch(&batch, [(7_i64, "lamp")]).await.unwrap();
    text.set_is_idempotent(true);
    close("QUERY");
    bench.session.query_unpaged(text, ()).await.unwrap();
}

#[tokio::test]
async fn what_was_never_sent_goes_elsewhere_whatever_the_policy() {
    let bench = Bench::with(Some(Arc::new(FallthroughRetryPolicy))).await;
    bench.cluster.stop_node(1).await.unwrap();
    // The session finds out by one request at most that has gone there already.
    let mut lost = 0;
    for _ in 0..100 {
        match bench.run(&bench.insert).await {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
                lost += 1;
            }
        }
    }
    assert!(lost <= 1, "{lost} requests were sent to a node that is down");
}

#[tokio::test]
async fn the_default_policy_goes_by_the_error() {
    let bench = Bench::new().await;
    let code = |result: Result<(), Error>| result.err().and_then(|error| error.database_code());
    for (failing, refused, times) in
        [(BOOTSTRAPPING, BOOTSTRAPPING, NODES as u64 - 1), (UNAVAILABLE, UNAVAILABLE, 1)]
    {
        bench.survives(&bench.insert, times, error(failing)).await.unwrap();
        let result = bench.survives(&bench.insert, times + 1, error(failing)).await;
        assert_eq!(code(result), Some(refused));
    }
    let result = bench.survives(&bench.insert, 1, error(OVERLOADED)).await;
    assert_eq!(code(result), Some(OVERLOADED));
    bench.survives(&bench.again, 2, error(OVERLOADED)).await.unwrap();
    let result = bench.survives(&bench.again, 1, error(WRITE_TIMEOUT)).await;
    assert_eq!(code(result), Some(WRITE_TIMEOUT));
    // A lost connection is no answer: it does not use up the one retry of "unavailable".
    bench.fail(1, FaultAction::Close);
    bench.answer(1, UNAVAILABLE);
    bench.run(&bench.again).await.unwrap();
}

#[tokio::test]
async fn nothing_is_tried_again_with_fallthrough() {
    let bench = Bench::new().await;
    let mut again = bench.again.clone();
    again.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy)));
    for code in [UNAVAILABLE, OVERLOADED, BOOTSTRAPPING] {
        let result = bench.survives(&again, 1, error(code)).await;
        assert_eq!(result.unwrap_err().database_code(), Some(code));
    }
    // A statement that a node has forgotten is told again all the same.
    bench.survives(&again, 1, FaultAction::Unprepared).await.unwrap();
    let result = bench.survives(&again, 1, FaultAction::Close).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionLost);
    // The session's policy is that of statements without their own.
    let bench = Bench::with(Some(Arc::new(FallthroughRetryPolicy))).await;
    let result = bench.survives(&bench.again, 1, error(OVERLOADED)).await;
    assert_eq!(result.unwrap_err().database_code(), Some(OVERLOADED));
}

/// Decides always the same, and counts how often.
#[derive(Debug)]
struct Stubborn(RetryDecision, AtomicU32);

impl RetryPolicy for Stubborn {
    fn decide_should_retry(&self, request: RequestInfo<'_>) -> RetryDecision {
        assert!(!request.is_idempotent && request.error.was_sent());
        let count = self.1.fetch_add(1, Ordering::Relaxed);
        assert_eq!(request.retry_count, count);
        if let (1.., RetryDecision::RetrySameTarget(Some(consistency)))
        | (1.., RetryDecision::RetryNextTarget(Some(consistency))) = (count, self.0)
        {
            assert_eq!(request.consistency, consistency);
        }
        self.0
    }
}

#[tokio::test]
async fn attempts_are_bounded_whatever_the_policy_says() {
    let bench = Bench::new().await;
    bench.answer(u64::MAX, OVERLOADED);
    let one = Some(Consistency::One);
    for (decision, asked) in [
        (RetryDecision::DontRetry, 1),
        (RetryDecision::RetrySameTarget(None), 2),
        (RetryDecision::RetrySameTarget(one), 2),
        (RetryDecision::RetryNextTarget(one), NODES as u32),
    ] {
        let policy = Arc::new(Stubborn(decision, AtomicU32::new(0)));
        let mut insert = bench.insert.clone();
        insert.set_retry_policy(Some(Arc::clone(&policy) as Arc<dyn RetryPolicy>));
        insert.set_request_timeout(None);
        let error = bench.run(&insert).await.unwrap_err();
        assert_eq!(error.database_code(), Some(OVERLOADED));
        assert_eq!(policy.1.load(Ordering::Relaxed), asked, "{decision:?}");
    }
    let ignore = Arc::new(Stubborn(RetryDecision::IgnoreWriteError, AtomicU32::new(0)));
    let mut insert = bench.insert.clone();
    insert.set_retry_policy(Some(ignore));
    bench.run(&insert).await.unwrap();
}

#[tokio::test]
async fn all_attempts_together_keep_the_time_out() {
    let bench = Bench::new().await;
    let mut again = bench.again.clone();
    let timeout = Duration::from_millis(200);
    again.set_request_timeout(Some(timeout));
    bench.fail(1, FaultAction::Close);
    bench.fail(1, FaultAction::Drop);
    let begin = Instant::now();
    let error = bench.run(&again).await.unwrap_err();
    let took = begin.elapsed();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.was_sent());
    assert!(took + EARLY_MAX >= timeout && took < timeout + LATE_MAX, "{took:?}");
}
