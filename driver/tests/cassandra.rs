//! A session with the embedded node as Cassandra: nodes without shards, answers to conditional
//! statements whose columns depend on what is stored.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the right answer")]

mod common;

use common::{builder, keyspace};
use shardwire::{Compression, ProtocolVersion, Row};
use shardwire_server::{Cluster, Persona};

#[tokio::test]
async fn works_with_nodes_without_shards() {
    let cluster = Cluster::builder().persona(Persona::Cassandra).nodes(3).start().await.unwrap();
    let variants = [ProtocolVersion::V4, ProtocolVersion::V5]
        .into_iter()
        .flat_map(|version| [(version, None), (version, Some(Compression::Lz4))]);
    for (version, compression) in variants {
        let builder = builder(&cluster).protocol_version(version).compression(compression);
        let session = builder.build().await.unwrap();
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
    assert_eq!((total.wrong_node, total.wrong_shard, total.right), (0, 0, 800));
}

/// Rows and requests shorter than a segment, as long as one, and cut into several.
#[tokio::test]
async fn values_of_any_length_fit_segments() {
    let cluster = Cluster::builder().persona(Persona::Cassandra).start().await.unwrap();
    for compression in [None, Some(Compression::Lz4)] {
        let builder = builder(&cluster).protocol_version(ProtocolVersion::V5);
        let session = builder.compression(compression).build().await.unwrap();
        session.query_unpaged("DROP KEYSPACE IF EXISTS k", ()).await.unwrap();
        keyspace(&session, 1).await;
        session.query_unpaged("CREATE TABLE k.t (id int PRIMARY KEY, v blob)", ()).await.unwrap();
        let insert = session.prepare("INSERT INTO k.t (id, v) VALUES (?, ?)").await.unwrap();
        let select = session.prepare("SELECT v FROM k.t WHERE id = ?").await.unwrap();
        let around = |len: usize| len - 80..=len + 1;
        let lens = [0, 1, 70_000, 1_000_000, 3_000_000].into_iter().chain(around(131_071));
        let mut random = fastrand::Rng::with_seed(7);
        for len in lens {
            let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(len).collect();
            let alike = vec![7; len];
            for value in [noise, alike] {
                session.execute_unpaged(&insert, (1, &value[..])).await.unwrap();
                let rows = session.execute_unpaged(&select, (1,)).await.unwrap();
                let rows = rows.into_rows_result().unwrap();
                assert!(rows.single_row::<(&[u8],)>().unwrap() == (&value[..],), "{len} bytes");
            }
        }
        // Many at once: several envelopes in a segment, and segments in one read.
        let many = (0..500_i32).map(|id| {
            let (session, insert, select) = (session.clone(), insert.clone(), select.clone());
            tokio::spawn(async move {
                let value = vec![0xA5; usize::try_from(id).unwrap() * 7];
                session.execute_unpaged(&insert, (id, &value[..])).await.unwrap();
                let rows = session.execute_unpaged(&select, (id,)).await.unwrap();
                let rows = rows.into_rows_result().unwrap();
                assert_eq!(rows.single_row::<(&[u8],)>().unwrap(), (&value[..],));
            })
        });
        for task in many.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
}

#[tokio::test]
async fn columns_that_change_are_told_in_version_5() {
    let cluster = Cluster::builder().persona(Persona::Cassandra).start().await.unwrap();
    let session = builder(&cluster).protocol_version(ProtocolVersion::V5).build().await.unwrap();
    keyspace(&session, 1).await;
    session.query_unpaged("CREATE TABLE k.t (id int PRIMARY KEY, n int)", ()).await.unwrap();
    session.query_unpaged("INSERT INTO k.t (id, n) VALUES (1, 2)", ()).await.unwrap();
    let select = session.prepare("SELECT * FROM k.t").await.unwrap();
    assert!(select.get_use_cached_result_metadata());
    let names = async || {
        let rows = session.execute_unpaged(&select, ()).await.unwrap().into_rows_result().unwrap();
        let (page, _) = session.execute_single_page(&select, (), None).await.unwrap();
        let page = page.into_rows_result().unwrap();
        let row = rows.single_row::<Row>().unwrap();
        assert_eq!(row, page.single_row::<Row>().unwrap());
        let specs = rows.column_specs();
        specs.iter().map(|spec| spec.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["id", "n"]);
    for (alter, expect) in [
        ("ALTER TABLE k.t ADD a text", &["id", "a", "n"][..]),
        ("ALTER TABLE k.t DROP n", &["id", "a"]),
        ("ALTER TABLE k.t ADD b int", &["id", "a", "b"]),
    ] {
        session.query_unpaged(alter, ()).await.unwrap();
        for _ in 0..3 {
            assert_eq!(names().await, expect, "after {alter}");
        }
    }
}

#[tokio::test]
async fn the_newest_version_is_chosen_that_the_node_offers() {
    let cassandra = Cluster::builder().persona(Persona::Cassandra).start().await.unwrap();
    let session = builder(&cassandra).build().await.unwrap();
    keyspace(&session, 1).await;
    let select = session.prepare("SELECT * FROM system.local").await.unwrap();
    assert!(select.get_use_cached_result_metadata(), "it speaks version 5");

    let scylla = Cluster::builder().start().await.unwrap();
    let session = builder(&scylla).build().await.unwrap();
    let select = session.prepare("SELECT * FROM system.local").await.unwrap();
    assert!(!select.get_use_cached_result_metadata(), "it speaks version 4");
    let error = builder(&scylla).protocol_version(ProtocolVersion::V5).build().await.unwrap_err();
    assert!(error.to_string().contains("does not speak version 5 of the protocol"), "{error}");
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
