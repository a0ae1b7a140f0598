//! Row by row through many pages: each row once, whatever is dropped, fails or does not fit.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the right answer")]

mod common;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use common::{keyspace, start};
use shardwire::implement::{DeserializeError, TypeMismatch};
use shardwire::{ColumnType, DeserializeValue, ErrorKind, Session, Statement};
use shardwire_server::{Cluster, FaultAction, FaultRule};

const ROWS: i64 = 500;

/// Every fifth row has no `n`.
async fn table(session: &Session) {
    keyspace(session, 1).await;
    session.query_unpaged("CREATE TABLE k.t (id bigint PRIMARY KEY, n bigint)", ()).await.unwrap();
    let insert = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
    for id in 0..ROWS {
        let n = (id % 5 != 0).then_some(id);
        session.execute_unpaged(&insert, (id, n)).await.unwrap();
    }
}

fn select(page_size: i32) -> Statement {
    let mut statement = Statement::new("SELECT id, n FROM k.t");
    statement.set_page_size(page_size);
    statement
}

/// A number that counts how often one is read.
struct Counted(i64);

static READ: AtomicUsize = AtomicUsize::new(0);

impl<'frame> DeserializeValue<'frame> for Counted {
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        i64::type_check(typ)
    }

    fn deserialize(
        typ: &ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Counted, DeserializeError> {
        READ.fetch_add(1, Ordering::SeqCst);
        i64::deserialize(typ, cell).map(Counted)
    }
}

#[tokio::test]
async fn reads_each_row_once() {
    let (_cluster, session) = start(Cluster::builder()).await;
    table(&session).await;
    for page_size in [1, 7, 499, 500, 5000] {
        READ.store(0, Ordering::SeqCst);
        let mut seen = BTreeSet::new();
        let mut pager = session.query_iter(select(page_size), ()).await.unwrap();
        while let Some((id, _)) = pager.next_row::<(Counted, Option<i64>)>().await.unwrap() {
            assert!(seen.insert(id.0));
        }
        assert_eq!(seen, (0..ROWS).collect());
        assert_eq!(READ.load(Ordering::SeqCst), seen.len(), "rows are decoded again and again");
    }
}

#[tokio::test]
async fn a_row_that_does_not_fit_hides_no_other() {
    let (_cluster, session) = start(Cluster::builder()).await;
    table(&session).await;
    for page_size in [1, 7, 5000] {
        let mut pager = session.query_iter(select(page_size), ()).await.unwrap();
        let (mut seen, mut failed) = (BTreeSet::new(), 0);
        loop {
            match pager.next_row::<(i64, i64)>().await {
                Ok(Some((id, n))) => assert!(seen.insert(id) && id == n),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Deserialize);
                    assert!(error.to_string().contains("\"n\""), "{error}");
                    failed += 1;
                }
            }
        }
        assert_eq!((seen.len(), failed), (400, 100));
    }
}

#[tokio::test]
async fn a_dropped_or_failed_page_is_asked_for_again() {
    let (cluster, session) = start(Cluster::builder()).await;
    table(&session).await;
    let mut pager = session.query_iter(select(7), ()).await.unwrap();
    cluster.add_fault(FaultRule::new(FaultAction::Delay { ms: 1 }).opcode("EXECUTE"));
    let (mut seen, mut polls) = (BTreeSet::new(), 0);
    loop {
        polls = (polls + 1) % 4;
        if polls == 3 {
            let error = FaultAction::Error { code: 0, message: "not today".into() };
            cluster.clear_faults();
            cluster.add_fault(FaultRule::new(error).opcode("EXECUTE").probability(0.3));
        }
        match poll_at_most(pager.next_row::<(i64, Option<i64>)>(), polls).await {
            Some(Ok(Some((id, _)))) => assert!(seen.insert(id)),
            Some(Ok(None)) => break,
            Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::Database, "{error}"),
            None => {}
        }
    }
    assert_eq!(seen, (0..ROWS).collect());
}

/// Polls a future at most `polls` times and then drops it.
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
