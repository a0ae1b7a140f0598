//! Closing a session: what is under way may finish until the deadline, nothing is left behind.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{at_once, builder, keyspace};
use shardwire::{Error, ErrorKind, Lost, PreparedStatement, Session, SessionBuilder};
use shardwire_server::{Cluster, FaultAction, FaultRule};

/// Long: nobody should have to wait for it.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(30);

struct Bench {
    cluster: Cluster,
    session: Session,
    insert: PreparedStatement,
}

impl Bench {
    async fn new(nodes: usize) -> Bench {
        Bench::with(nodes, |builder| builder).await
    }

    async fn with(nodes: usize, set: impl FnOnce(SessionBuilder) -> SessionBuilder) -> Bench {
        let cluster = Cluster::builder().nodes(nodes).start().await.unwrap();
        let session = set(builder(&cluster)).build().await.unwrap();
        keyspace(&session, 1).await;
        session.query_unpaged("CREATE TABLE k.t (id bigint PRIMARY KEY)", ()).await.unwrap();
        let insert = session.prepare("INSERT INTO k.t (id) VALUES (?)").await.unwrap();
        Bench { cluster, session, insert }
    }

    fn fault(&self, action: FaultAction) {
        self.cluster.add_fault(FaultRule::new(action).opcode("EXECUTE"));
    }

    async fn run(&self, id: i64) -> Result<(), Error> {
        self.session.execute_unpaged(&self.insert, (id,)).await.map(drop)
    }

    /// So many requests at once.
    async fn run_all(&self, count: i64) -> Vec<Result<(), Error>> {
        at_once((0..count).map(|id| self.run(id))).await
    }

    /// The nodes see that all sockets are closed.
    async fn is_disconnected(&self) {
        let closed = async {
            while self.cluster.counters().total().connections > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, closed).await.unwrap();
    }
}

/// Polls once.
async fn begin(future: &mut (impl Future + Unpin)) {
    std::future::poll_fn(|cx| {
        assert!(std::pin::Pin::new(&mut *future).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn an_idle_session_closes_at_once_and_leaves_nothing_behind() {
    let before = alive_tasks();
    let bench = Bench::new(3).await;
    bench.run(1).await.unwrap();
    assert!(alive_tasks() > before && bench.cluster.counters().total().connections > 3);
    let begin = Instant::now();
    assert_eq!(bench.session.close(LONG).await.cut, 0);
    assert!(begin.elapsed() < LONG / 2);
    assert_eq!(alive_tasks(), before);
    bench.is_disconnected().await;

    // For all clones, and for whatever one may ask of them.
    let clone = bench.session.clone();
    let refused = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shutdown, "{error}");
        assert!(!error.was_sent());
    };
    refused(bench.run(1).await);
    refused(clone.query_unpaged("SELECT id FROM k.t", ()).await.map(drop));
    refused(clone.prepare("SELECT id FROM k.t").await.map(drop));
    refused(clone.execute_iter(&bench.insert, (1_i64,)).next_page().await.map(drop));
    refused(clone.refresh_metadata().await);
    refused(clone.await_schema_agreement().await.map(drop));
    assert_eq!(clone.close(Duration::ZERO).await.cut, 0);
    assert_eq!(bench.session.close(LONG).await.cut, 0);
}

#[tokio::test]
async fn what_is_in_flight_or_in_line_is_finished() {
    for in_flight_max in [1, 1_024] {
        let max = in_flight_max.try_into().unwrap();
        let bench = Bench::with(1, |builder| builder.in_flight_max(max)).await;
        bench.fault(FaultAction::Delay { ms: 5 });
        let close = async {
            let report = bench.session.close(LONG).await;
            (report.cut, bench.run(1).await.unwrap_err().kind())
        };
        let (results, report) = tokio::join!(bench.run_all(10), close);
        assert_eq!(report, (0, ErrorKind::Shutdown));
        assert_eq!(results.len(), 10);
        results.into_iter().for_each(|result| result.unwrap());
        bench.is_disconnected().await;
    }
}

#[tokio::test]
async fn new_requests_are_refused_while_others_finish() {
    let bench = Bench::new(1).await;
    bench.fault(FaultAction::Delay { ms: 50 });
    let mut run = Box::pin(bench.run(1));
    begin(&mut run).await;
    let mut close = Box::pin(bench.session.close(LONG));
    begin(&mut close).await;
    assert_eq!(bench.run(2).await.unwrap_err().kind(), ErrorKind::Shutdown);
    let (result, report) = tokio::join!(run, close);
    result.unwrap();
    assert_eq!(report.cut, 0);
}

#[tokio::test]
async fn attempts_go_on_while_the_session_closes() {
    let bench = Bench::new(1).await;
    bench.cluster.add_fault(FaultRule::new(FaultAction::Unprepared).opcode("EXECUTE").limit(1));
    bench.cluster.add_fault(FaultRule::new(FaultAction::Delay { ms: 20 }).opcode("PREPARE"));
    let (result, report) = tokio::join!(bench.run(1), bench.session.close(LONG));
    result.unwrap();
    assert_eq!(report.cut, 0);
}

#[tokio::test]
async fn the_rest_is_cut_off_at_the_deadline_and_counted() {
    let bench = Bench::new(2).await;
    bench.fault(FaultAction::Drop);
    let began = Instant::now();
    let (results, report) = tokio::join!(bench.run_all(7), bench.session.close(SHORT));
    assert!(began.elapsed() >= SHORT);
    assert_eq!((report.cut, results.len()), (7, 7));
    for result in results {
        let error = result.unwrap_err();
        assert_eq!(error.lost(), Some(Lost::ClosedByDriver), "{error}");
        assert!(error.was_sent());
    }
    bench.is_disconnected().await;
}

#[tokio::test]
async fn what_waits_for_a_connection_waits_until_the_deadline() {
    let bench = Bench::new(1).await;
    bench.cluster.stop_node(0).await.unwrap();
    let mut brief = bench.insert.clone();
    brief.set_request_timeout(Some(Duration::from_millis(5)));
    // Until the session has noticed.
    while bench.session.execute_unpaged(&brief, (1_i64,)).await.unwrap_err().was_sent() {}
    let mut run = Box::pin(bench.run(2));
    begin(&mut run).await;
    let (result, report) = tokio::join!(run, bench.session.close(SHORT));
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shutdown, "{error}");
    assert!(!error.was_sent());
    assert_eq!(report.cut, 1);
}

#[tokio::test]
async fn closing_can_be_dropped_and_begun_again() {
    let bench = Bench::new(1).await;
    bench.fault(FaultAction::Delay { ms: 30 });
    let mut run = Box::pin(bench.run(1));
    begin(&mut run).await;
    {
        let mut close = pin!(bench.session.close(LONG));
        begin(&mut close).await;
    }
    run.await.unwrap();
    assert_eq!(bench.run(2).await.unwrap_err().kind(), ErrorKind::Shutdown);
    let (first, second) = tokio::join!(bench.session.close(LONG), bench.session.close(LONG));
    assert_eq!((first.cut, second.cut), (0, 0));
    bench.is_disconnected().await;
}
