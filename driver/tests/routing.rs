//! Requests go straight to a replica of their partition and to the shard that owns it there.
//!
//! `SHARDWIRE_ROUTING_REQUESTS` sets the number of requests per combination of shards, replication
//! factor and port; the nodes count where they arrive.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::sync::Arc;

use common::{builder, keyspace};
use shardwire::{Batch, BatchType, PreparedStatement, Session};
use shardwire_server::Cluster;

/// Requests in flight.
const TASKS: u64 = 16;
/// Partitions that have a hundred rows.
const WIDE: u64 = 8;

#[tokio::test]
async fn every_request_reaches_a_replica_and_its_shard() {
    let requests = std::env::var("SHARDWIRE_ROUTING_REQUESTS")
        .map_or(6_000, |text| text.parse().expect("SHARDWIRE_ROUTING_REQUESTS is a number"));
    for shards in [1, 4, 8] {
        for replication_factor in [1, 3] {
            for by_shard_aware_port in [true, false] {
                check(shards, replication_factor, by_shard_aware_port, requests).await;
            }
        }
    }
}

#[tokio::test]
async fn streams_of_change_logs_are_read_where_they_lie() {
    let cluster = Cluster::builder().nodes(3).shards(4).start().await.unwrap();
    let session = builder(&cluster).build().await.unwrap();
    keyspace(&session, 2).await;
    let table = "CREATE TABLE k.t (id bigint PRIMARY KEY) WITH cdc = {'enabled': true}";
    session.query_unpaged(table, ()).await.unwrap();
    let text = "SELECT * FROM k.t_scylla_cdc_log WHERE \"cdc$stream_id\" = ?";
    let select = session.prepare(text).await.unwrap();
    cluster.reset_counters();
    for number in 0..500_u64 {
        // The token is the head of the stream's id, spread over the ring here.
        let token = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let id = [token.to_be_bytes(), [1; 8]].concat();
        session.execute_unpaged(&select, (id,)).await.unwrap();
    }
    let total = cluster.counters().total();
    assert_eq!((total.right, total.wrong_node, total.wrong_shard), (500, 0, 0), "{total:?}");
}

async fn check(shards: u16, replication_factor: usize, by_shard_aware_port: bool, requests: u64) {
    let cluster = Cluster::builder()
        .nodes(3)
        .shards(shards)
        .shard_aware_port(by_shard_aware_port)
        .start()
        .await
        .unwrap();
    let session = builder(&cluster).build().await.unwrap();
    keyspace(&session, replication_factor).await;
    let work = Arc::new(Work::new(session).await);
    cluster.reset_counters();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let work = Arc::clone(&work);
            tokio::spawn(async move {
                for number in (task..requests).step_by(TASKS as usize) {
                    work.request(number).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let counters = cluster.counters();
    let total = counters.total();
    let what = format!("{shards} shards, factor {replication_factor}, {by_shard_aware_port}");
    println!("{what}: {total:?}");
    assert_eq!(total.right, requests, "{what}: {total:?}");
    assert_eq!((total.wrong_shard, total.wrong_node), (0, 0), "{what}");
    // Where every node is a replica, all of them share the load.
    if replication_factor == 3 {
        for node in &counters.nodes {
            let right: u64 = node.shards.iter().map(|shard| shard.right).sum();
            assert!(right > requests / 6, "{what}: {counters:?}");
        }
    }

    // What the public API tells is where they went.
    let replicas = work.session.replicas_of(&work.insert, &(1_i32, 77_i64)).unwrap();
    assert_eq!(replicas.len(), replication_factor);
    assert!(replicas.iter().all(|replica| replica.shard.is_some_and(|shard| shard < shards)));
    let token = work.insert.calculate_token(&(1_i32, 77_i64)).unwrap().unwrap();
    assert_eq!(token, work.session.token_of_key(&77_i64.to_be_bytes()));
}

/// Requests of every kind that has one routable partition, and batches over many, which go where
/// their first statement belongs.
struct Work {
    session: Session,
    insert: PreparedStatement,
    /// By a composite key whose columns are bound in another order.
    select_1: PreparedStatement,
    select_10: PreparedStatement,
    select_100: PreparedStatement,
    batch: Batch,
}

impl Work {
    async fn new(session: Session) -> Work {
        for table in [
            "CREATE TABLE k.s (id bigint PRIMARY KEY, n int)",
            "CREATE TABLE k.t (a bigint, b text, n int, PRIMARY KEY ((a, b)))",
            "CREATE TABLE k.w (id bigint, n int, PRIMARY KEY (id, n))",
        ] {
            session.query_unpaged(table, ()).await.unwrap();
        }
        let prepare = async |text: &str| session.prepare(text).await.unwrap();
        let fill = prepare("INSERT INTO k.w (id, n) VALUES (?, ?)").await;
        for row in 0..WIDE * 100 {
            let (id, n) = ((row / 100).cast_signed(), (row % 100) as i32);
            session.execute_unpaged(&fill, (id, n)).await.unwrap();
        }
        let insert = prepare("INSERT INTO k.s (n, id) VALUES (?, ?)").await;
        let statements = vec![insert.clone().into(), insert.clone().into()];
        Work {
            select_1: prepare("SELECT n FROM k.t WHERE b = ? AND a = ?").await,
            select_10: prepare("SELECT id, n FROM k.w WHERE id = ? LIMIT 10").await,
            select_100: prepare("SELECT id, n FROM k.w WHERE id = ?").await,
            batch: Batch::new_with_statements(BatchType::Unlogged, statements),
            insert,
            session,
        }
    }

    async fn request(&self, number: u64) {
        let (id, wide) = (number.cast_signed(), (number % WIDE).cast_signed());
        let rows = match number % 6 {
            0 => self.session.execute_unpaged(&self.insert, (1_i32, id)).await,
            1 => self.session.execute_unpaged(&self.select_1, (format!("b{id}"), id)).await,
            2 => self.session.execute_unpaged(&self.select_10, (wide,)).await,
            3 => self.session.execute_unpaged(&self.select_100, (wide,)).await,
            4 => self.session.batch(&self.batch, [(1_i32, id), (2, id)]).await,
            _ => self.session.batch(&self.batch, [(1_i32, id), (2, id + 1)]).await,
        };
        let rows = rows.unwrap().into_rows_result().map_or(0, |rows| rows.rows_num());
        assert_eq!(rows, [0, 0, 10, 100, 0, 0][(number % 6) as usize]);
    }
}
