//! Requests go straight to a replica of their partition and to the shard that owns it there.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use common::{builder, keyspace};
use shardwire::{Batch, BatchType};
use shardwire_server::Cluster;

/// Requests per combination; the nodes count where they arrive.
const REQUESTS: i64 = 2_000;

#[tokio::test]
async fn every_request_reaches_a_replica_and_its_shard() {
    for shards in [1, 4, 8] {
        for replication_factor in [1, 3] {
            for by_shard_aware_port in [true, false] {
                check(shards, replication_factor, by_shard_aware_port).await;
            }
        }
    }
}

async fn check(shards: u16, replication_factor: usize, by_shard_aware_port: bool) {
    let cluster = Cluster::builder()
        .nodes(3)
        .shards(shards)
        .shard_aware_port(by_shard_aware_port)
        .start()
        .await
        .unwrap();
    let session = builder(&cluster).build().await.unwrap();
    keyspace(&session, replication_factor).await;
    let text = "CREATE TABLE k.t (a bigint, b text, n int, PRIMARY KEY ((a, b)))";
    session.query_unpaged(text, ()).await.unwrap();
    session.query_unpaged("CREATE TABLE k.s (id bigint PRIMARY KEY, n int)", ()).await.unwrap();
    let simple = session.prepare("INSERT INTO k.s (n, id) VALUES (?, ?)").await.unwrap();
    let composite = session.prepare("SELECT n FROM k.t WHERE b = ? AND a = ?").await.unwrap();
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.append_statement(simple.clone());
    batch.append_statement(simple.clone());
    cluster.reset_counters();
    for id in 0..REQUESTS {
        session.execute_unpaged(&simple, (1_i32, id)).await.unwrap();
        session.execute_unpaged(&composite, (format!("b{id}"), id)).await.unwrap();
        session.batch(&batch, [(1_i32, id), (2_i32, id)]).await.unwrap();
    }
    let total = cluster.counters().total();
    let what = format!("{shards} shards, factor {replication_factor}, {by_shard_aware_port}");
    assert_eq!(total.right, 3 * u64::try_from(REQUESTS).unwrap(), "{what}: {total:?}");
    assert_eq!((total.wrong_shard, total.wrong_node), (0, 0), "{what}");

    // What the public API tells is where they went.
    let replicas = session.replicas_of(&simple, &(1_i32, 77_i64)).unwrap();
    assert_eq!(replicas.len(), replication_factor);
    assert!(replicas.iter().all(|replica| replica.shard.is_some_and(|shard| shard < shards)));
    let token = simple.calculate_token(&(1_i32, 77_i64)).unwrap().unwrap();
    assert_eq!(token, session.token_of_key(&77_i64.to_be_bytes()));
    // Where every node is a replica, all of them share the load.
    if replication_factor == 3 {
        let counters = cluster.counters();
        for node in &counters.nodes {
            let right: u64 = node.shards.iter().map(|shard| shard.right).sum();
            assert!(right > u64::try_from(REQUESTS).unwrap() / 2, "{what}: {counters:?}");
        }
    }
}
