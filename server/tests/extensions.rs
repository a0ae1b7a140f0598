//! ScyllaDB's extensions of the protocol that STARTUP asks for, beside that of tablets.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::time::Instant;

use common::{Client, Cursor, EXECUTE, PREPARE, QUERY, RESULT};
use common::{long_string, rows, short_bytes};
use scylla::client::session_builder::SessionBuilder;
use shardwire_server::{Cluster, Persona};

const RATE_LIMIT: i32 = 0xF000;
const CONFIGURATION: i32 = 0x2300;
const SKIP_METADATA: u32 = 2;

async fn with_keyspace(cluster: &Cluster, options: &[(&str, &str)]) -> Client {
    let mut client = Client::open(cluster, 4).await;
    client.startup(options).await;
    client
        .run(
            "CREATE KEYSPACE IF NOT EXISTS ks WITH replication = {'class': 'SimpleStrategy', \
             'replication_factor': 1}",
        )
        .await;
    client
}

#[tokio::test]
async fn scylladb_offers_them_and_cassandra_does_not() {
    for (persona, is_offered) in [(Persona::Scylla, true), (Persona::Cassandra, false)] {
        let cluster = Cluster::builder().persona(persona).start().await.unwrap();
        let mut client = Client::open(&cluster, 4).await;
        let supported = client.call(common::OPTIONS, &[]).await.supported();
        for (key, value) in [
            ("SCYLLA_RATE_LIMIT_ERROR", "ERROR_CODE=61440"),
            ("SCYLLA_USE_METADATA_ID", ""),
            ("TABLETS_ROUTING_V1", ""),
        ] {
            let offer = (key.to_owned(), vec![value.to_owned()]);
            assert_eq!(supported.contains(&offer), is_offered, "{supported:?}");
        }
    }
}

#[tokio::test]
async fn a_partition_has_so_many_requests_a_second_and_others_have_their_own() {
    let cluster = Cluster::builder().start().await.unwrap();
    let asks = [("SCYLLA_RATE_LIMIT_ERROR", "")];
    let mut client = with_keyspace(&cluster, &asks).await;
    client
        .run(
            "CREATE TABLE ks.t (k int PRIMARY KEY, v int) WITH per_partition_rate_limit = \
             {'max_writes_per_second': 1, 'max_reads_per_second': 2}",
        )
        .await;
    let mut plain = with_keyspace(&cluster, &[]).await;
    let begun = Instant::now();
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..50 {
        let text = "UPDATE ks.t SET v = 1 WHERE k = 1";
        let reply = client.call(QUERY, &client.query(text, 0, &[])).await;
        if reply.opcode == RESULT {
            passed += 1;
            continue;
        }
        let expect =
            "Per-partition rate limit reached for write in table ks.t, rejected by coordinator";
        assert_eq!(reply.error(), (RATE_LIMIT, expect.to_owned()));
        assert_eq!(reply.error_fields(), [1, 1]);
        // Who has not asked for the code gets one that it knows; both may be of the next second.
        let reply = plain.call(QUERY, &plain.query(text, 0, &[])).await;
        if reply.opcode != RESULT {
            assert_eq!(reply.error(), (CONFIGURATION, expect.to_owned()));
            assert!(reply.error_fields().is_empty());
        }
        refused += 1;
    }
    assert!(passed <= begun.elapsed().as_secs() + 2, "{passed} in {:?}", begun.elapsed());
    assert!(passed > 0 && refused > 0, "{passed} and {refused}");
    // Reads, other partitions, scans and conditions are something else.
    client.run("SELECT * FROM ks.t WHERE k = 1").await;
    for key in 2..20 {
        client.run(&format!("UPDATE ks.t SET v = 1 WHERE k = {key}")).await;
        client.run("SELECT * FROM ks.t").await;
        client.run("UPDATE ks.t SET v = 1 WHERE k = 1 IF v = 2").await;
    }
    let text = "ALTER TABLE ks.t WITH per_partition_rate_limit = {'max_reads': 1}";
    let reply = client.call(QUERY, &client.query(text, 0, &[])).await;
    assert_eq!(reply.error().0, CONFIGURATION);
}

#[tokio::test]
async fn version_4_has_ids_of_metadata_if_asked() {
    let cluster = Cluster::builder().start().await.unwrap();
    let mut client = with_keyspace(&cluster, &[("SCYLLA_USE_METADATA_ID", "")]).await;
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY, v int)").await;
    client.run("INSERT INTO ks.t (k, v) VALUES (1, 2)").await;
    let reply = client.call(PREPARE, &long_string("SELECT * FROM ks.t")).await;
    let mut cursor = Cursor(&reply.body);
    assert_eq!(cursor.int(), 4);
    let (id, metadata_id) = (cursor.short_bytes(), cursor.short_bytes());
    assert_eq!(metadata_id.len(), 16);
    let execute = |client: &Client, metadata_id: &[u8]| {
        let parameters = client.parameters(SKIP_METADATA, &[]);
        [short_bytes(&id), short_bytes(metadata_id), parameters].concat()
    };
    let known = rows(&client.call(EXECUTE, &execute(&client, &metadata_id)).await);
    assert_eq!((known.flags & 4, known.metadata_id), (4, None));
    client.run("ALTER TABLE ks.t ADD w int").await;
    let told = rows(&client.call(EXECUTE, &execute(&client, &metadata_id)).await);
    assert_eq!(told.names, ["k", "v", "w"]);
    let new_id = told.metadata_id.unwrap();
    let known = rows(&client.call(EXECUTE, &execute(&client, &new_id)).await);
    assert_eq!((known.flags & 4, known.cells.len()), (4, 3));
    // One that has not asked has no ids.
    let mut plain = with_keyspace(&cluster, &[]).await;
    let prepared = plain.prepare("SELECT * FROM ks.t").await;
    let all = plain.call(EXECUTE, &plain.execute(&prepared, 0, &[])).await;
    assert_eq!(rows(&all).names, ["k", "v", "w"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_driver_learns_of_new_columns_by_the_id() {
    let cluster = Cluster::builder().start().await.unwrap();
    let points = cluster.contact_points();
    let session = SessionBuilder::new().known_node_addr(points[0]).build().await.unwrap();
    for text in [
        "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', \
         'replication_factor': 1}",
        "CREATE TABLE ks.t (k int PRIMARY KEY, v int)",
        "INSERT INTO ks.t (k, v) VALUES (1, 2)",
    ] {
        session.query_unpaged(text, &[]).await.unwrap();
    }
    let select = session.prepare("SELECT * FROM ks.t WHERE k = ?").await.unwrap();
    for columns in 2..4 {
        for _ in 0..3 {
            let rows = session.execute_unpaged(&select, (1,)).await.unwrap();
            let rows = rows.into_rows_result().unwrap();
            assert_eq!(rows.column_specs().len(), columns);
        }
        let alter = format!("ALTER TABLE ks.t ADD c{columns} int");
        session.query_unpaged(alter, &[]).await.unwrap();
    }
}
