//! The Cassandra persona: what it advertises, its system tables, its answers to conditions.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::{Client, OPTIONS, QUERY, rows};
use shardwire_server::{Cluster, ClusterBuilder, Persona};

const KEYSPACE: &str =
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";

fn cassandra() -> ClusterBuilder {
    Cluster::builder().persona(Persona::Cassandra)
}

#[tokio::test]
async fn advertises_what_cassandra_does_and_nothing_of_scylla() {
    let cluster = cassandra().start().await.unwrap();
    assert_eq!(cluster.shard_aware_port(), None);
    let mut client = Client::open(&cluster, 4).await;
    let supported = client.call(OPTIONS, &[]).await.supported();
    let keys: Vec<_> = supported.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["COMPRESSION", "CQL_VERSION", "PROTOCOL_VERSIONS"]);
    assert_eq!(supported[0].1, ["snappy", "lz4"]);
    assert_eq!(supported[1].1, ["3.4.7"]);
    assert_eq!(supported[2].1, ["3/v3", "4/v4", "5/v5", "6/v6-beta"]);
}

#[tokio::test]
async fn shards_are_refused() {
    assert!(cassandra().shards(2).start().await.is_err());
    assert!(cassandra().shard_aware_port_number(0).start().await.is_err());
}

#[tokio::test]
async fn system_tables_have_cassandras_shape() {
    let cluster = cassandra().nodes(2).start().await.unwrap();
    let points = cluster.contact_points();
    let mut client = Client::started(&cluster, 4).await;
    let reply = client
        .run("SELECT release_version, cql_version, rpc_port, broadcast_port FROM system.local")
        .await;
    let cells = rows(&reply).cells;
    assert_eq!(cells[0].as_deref(), Some(&b"5.0.9"[..]));
    assert_eq!(cells[1].as_deref(), Some(&b"3.4.7"[..]));
    assert_eq!(cells[2].as_deref(), Some(&u32::from(points[0].port()).to_be_bytes()[..]));
    let reply = client.run("SELECT native_address, native_port FROM system.peers_v2").await;
    let std::net::IpAddr::V4(second) = points[1].ip() else { panic!() };
    let port = u32::from(points[1].port()).to_be_bytes().to_vec();
    assert_eq!(rows(&reply).cells, [Some(second.octets().to_vec()), Some(port)]);
    let reply = client.run("SELECT rpc_address FROM system.peers").await;
    assert_eq!(rows(&reply).cells, [Some(second.octets().to_vec())]);
    let reply = client.run("SELECT * FROM system.local").await;
    assert!(!rows(&reply).names.contains(&"supported_features".to_owned()));
    for table in ["scylla_tables", "scylla_keyspaces"] {
        let text = format!("SELECT * FROM system_schema.{table}");
        let body = client.query(&text, 0, &[]);
        assert_eq!(client.call(QUERY, &body).await.error().0, 0x2200, "{table}");
    }
}

#[tokio::test]
async fn tables_are_described_as_cassandra_describes_them() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = Client::started(&cluster, 4).await;
    client.run(KEYSPACE).await;
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY, v int)").await;
    let reply = client
        .run(
            "SELECT additional_write_policy, read_repair, speculative_retry, memtable, cdc \
             FROM system_schema.tables WHERE keyspace_name = 'ks' AND table_name = 't'",
        )
        .await;
    let some = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!(rows(&reply).cells, [some("99p"), some("BLOCKING"), some("99p"), None, None]);
    let reply = client.run("SELECT keyspace_name FROM system_virtual_schema.keyspaces").await;
    assert_eq!(rows(&reply).cells, [some("system_virtual_schema")]);
    let reply = client.run("SELECT keyspace_name FROM system_schema.keyspaces").await;
    assert_eq!(rows(&reply).cells.len(), 5, "the virtual keyspace is not among them");
}

#[tokio::test]
async fn conditional_statements_are_answered_as_cassandra_does() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = Client::started(&cluster, 4).await;
    client.run(KEYSPACE).await;
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY, a int, b int)").await;
    let int = |value: i32| Some(value.to_be_bytes().to_vec());
    let (yes, no) = (Some(vec![1]), Some(vec![0]));
    let cases = [
        ("INSERT INTO ks.t (k, a) VALUES (1, 2) IF NOT EXISTS", vec![], vec![yes.clone()]),
        (
            "INSERT INTO ks.t (k, a) VALUES (1, 3) IF NOT EXISTS",
            vec!["k", "a", "b"],
            vec![no.clone(), int(1), int(2), None],
        ),
        ("UPDATE ks.t SET b = 1 WHERE k = 1 IF EXISTS", vec![], vec![yes.clone()]),
        ("UPDATE ks.t SET b = 1 WHERE k = 9 IF EXISTS", vec![], vec![no.clone()]),
        ("UPDATE ks.t SET b = 2 WHERE k = 1 IF b = 1 AND a = 2", vec![], vec![yes]),
        (
            "UPDATE ks.t SET b = 2 WHERE k = 1 IF b > 5 AND a = 2 AND b < 9",
            vec!["b", "a"],
            vec![no.clone(), int(2), int(2)],
        ),
        ("UPDATE ks.t SET b = 2 WHERE k = 9 IF b = 5", vec![], vec![no]),
    ];
    for (text, names, cells) in cases {
        let reply = client.run(text).await;
        let names: Vec<_> = std::iter::once("[applied]").chain(names).map(str::to_owned).collect();
        let rows = rows(&reply);
        assert_eq!((rows.names, rows.cells), (names, cells), "{text}");
    }
    // PREPARED has neither ScyllaDB's mark nor columns.
    let text = "INSERT INTO ks.t (k, a) VALUES (1, 2) IF NOT EXISTS";
    let prepared = client.prepare(text).await;
    assert_eq!(prepared.rest[..4], [0, 0, 0, 1]);
    assert!(prepared.rest.ends_with(&[0, 0, 0, 4, 0, 0, 0, 0]), "{prepared:?}");
}
