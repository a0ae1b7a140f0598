//! A session with the embedded node as Cassandra: nodes without shards, answers to conditional
//! statements whose columns depend on what is stored.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the right answer")]

mod common;

use common::{builder, keyspace};
use shardwire::Compression;
use shardwire_server::{Cluster, Persona};

#[tokio::test]
async fn works_with_nodes_without_shards() {
    let cluster = Cluster::builder().persona(Persona::Cassandra).nodes(3).start().await.unwrap();
    for compression in [None, Some(Compression::Lz4)] {
        let session = builder(&cluster).compression(compression).build().await.unwrap();
        session.query_unpaged("DROP KEYSPACE IF EXISTS k", ()).await.unwrap();
        keyspace(&session, 3).await;
        let text = "CREATE TABLE k.t (id bigint PRIMARY KEY, n int, d duration)";
        session.query_unpaged(text, ()).await.unwrap();
        let insert = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
        let select = session.prepare("SELECT n FROM k.t WHERE id = ?").await.unwrap();
        for id in 0..100_i64 {
            session.execute_unpaged(&insert, (id, 7_i32)).await.unwrap();
            let rows = session.execute_unpaged(&select, (id,)).await.unwrap();
            assert_eq!(rows.rows_result().unwrap().single_row::<(i32,)>().unwrap(), (7,));
        }
    }
    let total = cluster.counters().total();
    assert_eq!((total.wrong_node, total.wrong_shard, total.right), (0, 0, 400));
}

#[tokio::test]
async fn answers_to_conditions_bring_their_columns() {
    let cluster = Cluster::builder().persona(Persona::Cassandra).start().await.unwrap();
    let session = builder(&cluster).build().await.unwrap();
    keyspace(&session, 1).await;
    session.query_unpaged("CREATE TABLE k.t (id bigint PRIMARY KEY, n int)", ()).await.unwrap();
    let text = "INSERT INTO k.t (id, n) VALUES (?, ?) IF NOT EXISTS";
    let insert = session.prepare(text).await.unwrap();
    let applied = session.execute_unpaged(&insert, (1_i64, 5_i32)).await.unwrap();
    assert_eq!(applied.rows_result().unwrap().single_row::<(bool,)>().unwrap(), (true,));
    let refused = session.execute_unpaged(&insert, (1_i64, 6_i32)).await.unwrap();
    let rows = refused.rows_result().unwrap();
    assert_eq!(rows.single_row::<(bool, i64, i32)>().unwrap(), (false, 1, 5));
}
