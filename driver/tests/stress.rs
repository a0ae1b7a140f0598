//! A seeded stress: requests dropped at random polls, delayed, timed out, their connections cut -
//! and every answer that does come belongs to the request that asked.
//!
//! Each row says which key it is of, so that a reply that reached another request is seen at once.
//! At the end nothing is in flight, and the session works as if nothing had been.
//!
//! `SHARDWIRE_STRESS_REQUESTS` sets the number of requests, `SHARDWIRE_STRESS_SEED` the seed.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use common::{builder, keyspace};
use shardwire::{Compression, ErrorKind, PreparedStatement, Session};
use shardwire_server::{Cluster, FaultAction, FaultRule};

const KEYS: i64 = 500;
const TASKS: u64 = 64;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn requests() -> u64 {
    setting("SHARDWIRE_STRESS_REQUESTS", if cfg!(debug_assertions) { 1_000_000 } else { 4_000_000 })
}

#[test]
fn current_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(stress(Compression::None, requests() / 2));
}

#[test]
fn multi_thread_with_lz4() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(stress(Compression::Lz4, requests() / 2));
}

#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

async fn stress(compression: Compression, requests: u64) {
    let seed = setting("SHARDWIRE_STRESS_SEED", 1);
    let cluster = Cluster::builder().nodes(2).shards(2).seed(seed).start().await.unwrap();
    let session = builder(&cluster)
        .compression(Some(compression))
        .in_flight_max(24.try_into().unwrap()) // so that requests also wait for a slot
        .reconnect_backoff(Duration::from_millis(1), Duration::from_millis(20))
        .build()
        .await
        .unwrap();
    keyspace(&session, 1).await;
    let text = "CREATE TABLE k.t (id bigint PRIMARY KEY, same bigint, data blob)";
    session.query_unpaged(text, ()).await.unwrap();
    let insert =
        session.prepare("INSERT INTO k.t (id, same, data) VALUES (?, ?, ?)").await.unwrap();
    for id in 0..KEYS {
        let len = usize::try_from(id).unwrap() % 97 * 13;
        session.execute_unpaged(&insert, (id, id, vec![data_byte(id); len])).await.unwrap();
    }
    let mut select = session.prepare("SELECT id, same, data FROM k.t WHERE id = ?").await.unwrap();
    select.set_request_timeout(Some(Duration::from_millis(400)));
    for (action, probability) in [
        (FaultAction::Delay { ms: 1 }, 0.02),
        (FaultAction::Delay { ms: 30 }, 0.002),
        (FaultAction::Unprepared, 0.002),
        (FaultAction::Error { code: 0x1001, message: "busy".into() }, 0.002),
        (FaultAction::Drop, 0.000_05),
        (FaultAction::CutMidFrame, 0.000_2),
        (FaultAction::Close, 0.000_2),
        (FaultAction::Corrupt, 0.000_1),
    ] {
        cluster.add_fault(FaultRule::new(action).opcode("EXECUTE").probability(probability));
    }
    let tally = Arc::new(Tally::default());
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (session, select, tally) = (session.clone(), select.clone(), Arc::clone(&tally));
            let random = fastrand::Rng::with_seed(seed * 1000 + task);
            tokio::spawn(worker(session, select, tally, random, requests / TASKS))
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let [answered, dropped, failed] =
        [&tally.answered, &tally.dropped, &tally.failed].map(|n| n.load(Ordering::Relaxed));
    println!("seed {seed}: {answered} answered, {dropped} dropped, {failed} failed");
    assert!(answered > requests / 3 && dropped > requests / 10, "the mix is off");

    // No slot has leaked: with nobody else about, as many requests as there are slots fit at once.
    cluster.clear_faults();
    select.set_request_timeout(Some(Duration::from_secs(30)));
    let mut late: Vec<_> = Vec::new();
    for id in 0..KEYS {
        let (session, select) = (session.clone(), select.clone());
        late.push(tokio::spawn(async move {
            let result = session.execute_unpaged(&select, (id,)).await.unwrap();
            check(&result.into_rows_result().unwrap(), id);
        }));
    }
    for task in late {
        task.await.unwrap();
    }
}

/// Asks again and again; about one request in four is dropped after a few polls.
async fn worker(
    session: Session,
    select: PreparedStatement,
    tally: Arc<Tally>,
    mut random: fastrand::Rng,
    requests: u64,
) {
    for _ in 0..requests {
        let id = random.i64(0..KEYS);
        let polls = if random.u8(..) < 64 { random.u32(..3) } else { u32::MAX };
        let request = session.execute_unpaged(&select, (id,));
        let Some(result) = poll_at_most(request, polls).await else {
            tally.dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        match result {
            Ok(result) => {
                check(&result.into_rows_result().unwrap(), id);
                tally.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                let kind = error.kind();
                assert!(
                    matches!(
                        kind,
                        ErrorKind::ConnectionLost
                            | ErrorKind::Database
                            | ErrorKind::Protocol
                            | ErrorKind::Timeout
                    ),
                    "{error}"
                );
                tally.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[track_caller]
fn check(rows: &shardwire::QueryRowsResult, id: i64) {
    assert_eq!(rows.rows_num(), 1, "id {id}");
    let (key, same, data) = rows.single_row::<(i64, i64, &[u8])>().unwrap();
    assert_eq!((key, same), (id, id), "another request's reply");
    assert!(data.iter().all(|byte| *byte == data_byte(id)), "another request's data");
    assert_eq!(data.len(), usize::try_from(id).unwrap() % 97 * 13);
}

fn data_byte(id: i64) -> u8 {
    u8::try_from(id % 251).unwrap()
}

/// Drives a future through `polls` polls and then drops it; `None` if it was dropped.
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
