//! What a program does with a session, against the embedded node.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{EARLY_MAX, builder, keyspace, start};
use shardwire::value::MaybeUnset;
use shardwire::{
    Batch, BatchType, Compression, Consistency, DeserializeRow, DeserializeValue, ErrorKind,
    PoolSize, SerializeRow, SerializeValue, Session, SessionBuilder, Statement,
};
use shardwire_server::{Cluster, FaultAction, FaultRule};

async fn table(session: &Session) {
    keyspace(session, 1).await;
    let text = "CREATE TABLE k.t (id bigint PRIMARY KEY, n int, name text, data blob)";
    session.query_unpaged(text, ()).await.unwrap();
}

#[tokio::test]
async fn writes_and_reads_rows() {
    let (_cluster, session) = start(Cluster::builder().nodes(3).shards(4)).await;
    table(&session).await;
    let insert =
        session.prepare("INSERT INTO k.t (id, n, name, data) VALUES (?, ?, ?, ?)").await.unwrap();
    for id in 0..100_i64 {
        let n = i32::try_from(id).unwrap() * 3;
        let row = (id, n, format!("name {id}"), vec![7_u8; 64]);
        let result = session.execute_unpaged(&insert, row).await.unwrap();
        assert!(!result.is_rows());
        result.result_not_rows().unwrap();
    }
    let select = session.prepare("SELECT n, name, data FROM k.t WHERE id = ?").await.unwrap();
    for id in 0..100_i64 {
        let result = session.execute_unpaged(&select, (id,)).await.unwrap();
        let rows = result.into_rows_result().unwrap();
        let (n, name, data) = rows.single_row::<(i32, &str, &[u8])>().unwrap();
        assert_eq!((i64::from(n), name), (id * 3, format!("name {id}").as_str()));
        assert_eq!(data, [7; 64]);
    }
    let none = session.execute_unpaged(&select, (1000_i64,)).await.unwrap();
    assert_eq!(none.rows_result().unwrap().rows_num(), 0);
    assert_eq!(none.rows_result().unwrap().maybe_first_row::<(i32, &str, &[u8])>().unwrap(), None);
}

#[derive(Clone, Copy, Debug, PartialEq, SerializeValue, DeserializeValue)]
#[shardwire(transparent)]
struct Id(i64);

#[derive(SerializeRow)]
struct NewItem<'a> {
    name: &'a str,
    #[shardwire(flatten)]
    more: More,
    id: Id,
}

#[derive(SerializeRow)]
struct More {
    n: MaybeUnset<i32>,
}

#[derive(Debug, PartialEq, DeserializeRow)]
struct Item<'a> {
    id: Id,
    #[shardwire(default_when_null)]
    n: i32,
    #[shardwire(rename = "name")]
    title: &'a str,
    #[shardwire(allow_missing)]
    data: Option<&'a [u8]>,
}

#[tokio::test]
async fn binds_and_reads_structs() {
    let (_cluster, session) = start(Cluster::builder().nodes(3).shards(4)).await;
    table(&session).await;
    let insert = session.prepare("INSERT INTO k.t (id, n, name) VALUES (?, ?, ?)").await.unwrap();
    for id in 0..100_i64 {
        let n = if id % 2 == 0 { MaybeUnset::Unset } else { MaybeUnset::Set(3) };
        let name = format!("name {id}");
        let row = NewItem { name: &name, more: More { n }, id: Id(id) };
        session.execute_unpaged(&insert, row).await.unwrap();
    }
    // In the order of the fields, and in another.
    for columns in ["id, n, name", "name, id, n", "data, name, id, n"] {
        let text = format!("SELECT {columns} FROM k.t WHERE id = ?");
        let select = session.prepare(text).await.unwrap();
        for id in 0..100_i64 {
            let result = session.execute_unpaged(&select, (Id(id),)).await.unwrap();
            let rows = result.into_rows_result().unwrap();
            let n = if id % 2 == 0 { 0 } else { 3 };
            let title = format!("name {id}");
            let expected = Item { id: Id(id), n, title: &title, data: None };
            assert_eq!(rows.single_row::<Item<'_>>().unwrap(), expected);
        }
    }
    let other = session.prepare("INSERT INTO k.t (id, name, data) VALUES (?, ?, ?)").await.unwrap();
    let row = NewItem { name: "", more: More { n: MaybeUnset::Unset }, id: Id(1) };
    let error = session.execute_unpaged(&other, row).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Serialize);
    assert_eq!(error.to_string(), "the statement has no bind marker for field n");
    let result = session.query_unpaged("SELECT id, name, n AS m FROM k.t", ()).await.unwrap();
    let rows = result.into_rows_result().unwrap();
    let error = rows.rows::<Item<'_>>().unwrap_err();
    assert_eq!(error.to_string(), "the result has no column for field n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_on_many_threads_with_lz4() {
    let cluster = Cluster::builder().nodes(2).shards(2).start().await.unwrap();
    let session = builder(&cluster).compression(Some(Compression::Lz4)).build().await.unwrap();
    table(&session).await;
    let insert = session.prepare("INSERT INTO k.t (id, name) VALUES (?, ?)").await.unwrap();
    let select = session.prepare("SELECT name FROM k.t WHERE id = ?").await.unwrap();
    let tasks: Vec<_> = (0..16_i64)
        .map(|task| {
            let (session, insert, select) = (session.clone(), insert.clone(), select.clone());
            tokio::spawn(async move {
                for round in 0..50_i64 {
                    let id = task * 1000 + round;
                    let text = format!("{id} ").repeat(usize::try_from(round).unwrap() * 40);
                    session.execute_unpaged(&insert, (id, text.as_str())).await.unwrap();
                    let result = session.execute_unpaged(&select, (id,)).await.unwrap();
                    let rows = result.into_rows_result().unwrap();
                    assert_eq!(rows.single_row::<(&str,)>().unwrap().0, text);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn pages_through_a_table() {
    let (_cluster, session) = start(Cluster::builder().nodes(2).shards(2)).await;
    table(&session).await;
    let insert = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
    for id in 0..250_i64 {
        session.execute_unpaged(&insert, (id, 1_i32)).await.unwrap();
    }
    let mut select = session.prepare("SELECT id FROM k.t").await.unwrap();
    select.set_page_size(30);
    let (mut seen, mut pages) = (BTreeSet::new(), 0);
    let mut pager = session.execute_iter(&select, ());
    while let Some(page) = pager.next_page().await.unwrap() {
        pages += 1;
        assert!(page.rows_num() <= 30);
        for row in page.rows::<(i64,)>().unwrap() {
            assert!(seen.insert(row.unwrap().0));
        }
    }
    assert_eq!(seen.len(), 250);
    assert!(pages >= 9, "{pages}");
    assert!(pager.next_page().await.unwrap().is_none(), "the end stays the end");

    // By text, row by row, with a state that was kept as bytes in between.
    let mut statement = Statement::new("SELECT id FROM k.t");
    statement.set_page_size(7);
    let mut rows = session.query_iter(statement.clone(), ()).await.unwrap();
    let mut count = 0;
    while let Some((id,)) = rows.next_row::<(i64,)>().await.unwrap() {
        assert!(seen.contains(&id));
        count += 1;
    }
    assert_eq!(count, 250);
    let (first, more) = session.query_single_page(statement.clone(), (), None).await.unwrap();
    assert_eq!(first.rows_result().unwrap().rows_num(), 7);
    let kept = more.into_paging_state().unwrap().to_vec();
    let state = shardwire::PagingState::from_bytes(&kept);
    let (second, _) = session.query_single_page(statement, (), Some(state)).await.unwrap();
    let first_ids: Vec<(i64,)> = ids(&first);
    assert!(ids(&second).iter().all(|id| !first_ids.contains(id)));
}

fn ids(result: &shardwire::QueryResult) -> Vec<(i64,)> {
    result.rows_result().unwrap().rows().unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn runs_batches() {
    let (_cluster, session) = start(Cluster::builder()).await;
    table(&session).await;
    let insert = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
    let mut batch = Batch::new(BatchType::Unlogged);
    for _ in 0..3 {
        batch.append_statement(insert.clone());
    }
    session.batch(&batch, [(1_i64, 1_i32), (2, 2), (3, 3)]).await.unwrap();
    batch.append_statement("INSERT INTO k.t (id, n) VALUES (4, 4)");
    session
        .batch(&batch, ((5_i64, 5_i32), (6_i64, Some(6_i32)), (7_i64, 7_i32), ()))
        .await
        .unwrap();
    let result = session.query_unpaged("SELECT id FROM k.t", ()).await.unwrap();
    assert_eq!(result.rows_result().unwrap().rows_num(), 7);

    let error = session.batch(&batch, [(1_i64, 1_i32)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = session.batch(&batch, [(1_i64, "one"); 4]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Serialize, "{error}");
}

#[tokio::test]
async fn names_what_is_wrong() {
    let (_cluster, session) = start(Cluster::builder()).await;
    table(&session).await;
    let insert = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
    let error = session.execute_unpaged(&insert, (1_i64, "text")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Serialize);
    assert!(!error.was_sent());
    assert!(error.to_string().contains("\"n\""), "{error}");
    let error = session.execute_unpaged(&insert, (1_i64,)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Serialize, "{error}");
    let error = session.execute_unpaged(&insert, (None::<i64>, 1_i32)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Serialize, "{error}");
    let error = session.prepare("SELEC nothing").await.unwrap_err();
    assert_eq!(error.database_code(), Some(0x2000), "{error}");
    let error = session.query_unpaged("SELECT a FROM k.missing", ()).await.unwrap_err();
    assert_eq!(error.database_code(), Some(0x2200), "{error}");
    session.execute_unpaged(&insert, (1_i64, 5_i32)).await.unwrap();
    let result = session.query_unpaged("SELECT id, n, name FROM k.t", ()).await.unwrap();
    let rows = result.into_rows_result().unwrap();
    let error = rows.rows::<(i64, &str, &str)>().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Deserialize);
    assert!(error.to_string().contains("\"n\""), "{error}");
    let error = rows.single_row::<(i64, i32, &str)>().unwrap_err();
    assert!(error.to_string().contains("\"name\""), "{error}");
    let error = SessionBuilder::new().build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = SessionBuilder::new().known_node("127.0.0.1:1").build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn prepares_again_what_a_node_forgot() {
    let (cluster, session) = start(Cluster::builder()).await;
    table(&session).await;
    let insert = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
    cluster.add_fault(FaultRule::new(FaultAction::Unprepared).opcode("EXECUTE").limit(1));
    session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap();
    // One that never learns is not asked for ever.
    cluster.add_fault(FaultRule::new(FaultAction::Unprepared).opcode("EXECUTE"));
    let error = session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap_err();
    assert_eq!(error.database_code(), Some(0x2500), "{error}");
    cluster.clear_faults();
    session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap();
}

#[tokio::test]
async fn keeps_deadlines() {
    let (cluster, session) = start(Cluster::builder()).await;
    table(&session).await;
    let mut insert = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
    let timeout = Duration::from_millis(200);
    insert.set_request_timeout(Some(timeout));
    cluster.add_fault(FaultRule::new(FaultAction::Drop).opcode("EXECUTE").limit(1));
    let begin = std::time::Instant::now();
    let error = session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.was_sent() && !error.is_safe_to_retry());
    assert!(begin.elapsed() + EARLY_MAX >= timeout);
    session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap();
}

#[tokio::test]
async fn retries_only_what_may_be_sent_again() {
    let (cluster, session) = start(Cluster::builder().nodes(3)).await;
    keyspace(&session, 3).await;
    session.query_unpaged("CREATE TABLE k.t (id bigint PRIMARY KEY, n int)", ()).await.unwrap();
    let mut insert = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
    let cut = || FaultRule::new(FaultAction::Close).opcode("EXECUTE").limit(1);
    cluster.add_fault(cut());
    let error = session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    assert!(error.was_sent());
    cluster.add_fault(cut());
    insert.set_is_idempotent(true);
    session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap();
    // What was cut comes back in its own time; then every node gets requests.
    cluster.reset_counters();
    while cluster.counters().nodes.iter().any(|node| node.shards[0].right == 0) {
        session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap();
    }
    let overloaded = FaultAction::Error { code: 0x1001, message: "busy".into() };
    cluster.add_fault(FaultRule::new(overloaded).opcode("EXECUTE").limit(2));
    session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap();
}

#[tokio::test]
async fn comes_back_after_a_node_was_away() {
    let cluster = Cluster::builder().nodes(1).shards(2).start().await.unwrap();
    let session = builder(&cluster)
        .reconnect_backoff(Duration::from_millis(5), Duration::from_millis(20))
        .build()
        .await
        .unwrap();
    table(&session).await;
    let mut insert = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
    cluster.stop_node(0).await.unwrap();
    insert.set_request_timeout(Some(Duration::from_millis(100)));
    // The first may find the sockets just closing; then there is no connection to wait for.
    let mut error = session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap_err();
    while error.kind() == ErrorKind::ConnectionLost {
        error = session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap_err();
    }
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(!error.was_sent() && error.is_safe_to_retry());
    insert.set_request_timeout(Some(Duration::from_secs(20)));
    let waiting = session.execute_unpaged(&insert, (2_i64, 2_i32));
    let (result, started) = tokio::join!(waiting, cluster.start_node(0));
    started.unwrap();
    result.unwrap();
}

#[tokio::test]
async fn ends_with_its_last_clone() {
    let cluster = Cluster::builder().nodes(2).shards(3).start().await.unwrap();
    let session = builder(&cluster).build().await.unwrap();
    let clone = session.clone();
    drop(session);
    clone.query_unpaged("SELECT key FROM system.local", ()).await.unwrap();
    assert!(
        cluster.counters().total().connections >= 7,
        "one per shard and the control connection"
    );
    drop(clone);
    while cluster.counters().total().connections > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn several_connections_per_shard_and_per_host() {
    let cluster = Cluster::builder().nodes(1).shards(2).start().await.unwrap();
    for (size, connections) in [
        (PoolSize::PerShard(3.try_into().unwrap()), 7),
        (PoolSize::PerHost(3.try_into().unwrap()), 5),
        (PoolSize::PerHost(1.try_into().unwrap()), 3),
    ] {
        let session = builder(&cluster).pool_size(size).build().await.unwrap();
        assert_eq!(cluster.counters().total().connections, connections, "{size:?}");
        for _ in 0..20 {
            session.query_unpaged("SELECT key FROM system.local", ()).await.unwrap();
        }
        drop(session);
        while cluster.counters().total().connections > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn queues_fairly_when_the_connection_is_full_and_refuses_when_the_queue_is() {
    let cluster = Cluster::builder().start().await.unwrap();
    let session = builder(&cluster)
        .in_flight_max(4.try_into().unwrap())
        .waiting_max(8)
        .build()
        .await
        .unwrap();
    table(&session).await;
    let insert = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
    let tasks: Vec<_> = (0..16_i64)
        .map(|id| {
            let (session, insert) = (session.clone(), insert.clone());
            tokio::spawn(async move { session.execute_unpaged(&insert, (id, 1_i32)).await })
        })
        .collect();
    let mut refused = 0;
    for task in tasks {
        if let Err(error) = task.await.unwrap() {
            assert_eq!(error.kind(), ErrorKind::Overloaded, "{error}");
            assert!(error.is_safe_to_retry());
            refused += 1;
        }
    }
    assert_eq!(refused, 4, "4 in flight, 8 in the queue, 4 too many");
}

#[tokio::test]
async fn sends_requests_larger_than_the_outbox() {
    let cluster = Cluster::builder().start().await.unwrap();
    let session = builder(&cluster).outbox_len(4096.try_into().unwrap()).build().await.unwrap();
    table(&session).await;
    let insert = session.prepare("INSERT INTO k.t (id, data) VALUES (?, ?)").await.unwrap();
    let select = session.prepare("SELECT data FROM k.t WHERE id = ?").await.unwrap();
    for (id, len) in [(1_i64, 4000), (2, 4096), (3, 5000), (4, 300_000), (5, 3_000_000)] {
        let data: Vec<u8> = (0..len).map(|n: u32| (n % 253) as u8).collect();
        session.execute_unpaged(&insert, (id, data.as_slice())).await.unwrap();
        let rows = session.execute_unpaged(&select, (id,)).await.unwrap().into_rows_result();
        assert_eq!(rows.unwrap().single_row::<(&[u8],)>().unwrap().0, data);
    }
}

#[tokio::test]
async fn carries_the_statements_settings() {
    let (_cluster, session) = start(Cluster::builder()).await;
    table(&session).await;
    let mut insert = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
    insert.set_consistency(Consistency::One);
    insert.set_timestamp(Some(1_000));
    session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap();
    insert.set_timestamp(Some(900));
    session.execute_unpaged(&insert, (1_i64, 2_i32)).await.unwrap();
    let mut select = session.prepare("SELECT n FROM k.t WHERE id = ?").await.unwrap();
    for cached in [false, true] {
        select.set_use_cached_result_metadata(cached);
        let rows = session.execute_unpaged(&select, (1_i64,)).await.unwrap();
        let rows = rows.into_rows_result().unwrap();
        assert_eq!(rows.single_row::<(i32,)>().unwrap(), (1,), "the later timestamp wins");
        assert_eq!(&*rows.column_specs()[0].name, "n");
    }
}
