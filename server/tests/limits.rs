//! Limits: what is warned of, and what fails.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::{BATCH, Client, Cursor, EXECUTE, QUERY, RESULT, Reply, long_string, string, value};
use shardwire_server::{Cluster, ClusterBuilder, FaultAction, FaultRule, Persona};

const TRACING: u8 = 2;
const WARNING: u8 = 8;

const READ_TIMEOUT: i32 = 0x1200;
const READ_FAILURE: i32 = 0x1300;
const WRITE_FAILURE: i32 = 0x1500;
const INVALID: i32 = 0x2200;

const TABLE: &str = "CREATE TABLE ks.t (p int, c int, b blob, PRIMARY KEY (p, c))";

async fn with_table(builder: ClusterBuilder, version: u8, table: &str) -> (Cluster, Client) {
    let cluster = builder.persona(Persona::Cassandra).start().await.unwrap();
    let mut client = Client::started(&cluster, version).await;
    let factor = cluster.contact_points().len();
    let keyspace = format!(
        "CREATE KEYSPACE ks WITH replication = \
         {{'class': 'SimpleStrategy', 'replication_factor': {factor}}}"
    );
    client.run(&keyspace).await;
    client.run(table).await;
    (cluster, client)
}

/// The warnings that a reply begins with, behind the id of a trace.
fn warnings(reply: &Reply) -> Vec<String> {
    let mut cursor = Cursor(&reply.body);
    if reply.flags & TRACING != 0 {
        cursor.take(16);
    }
    let count = if reply.flags & WARNING == 0 { 0 } else { cursor.short() };
    (0..count).map(|_| cursor.string()).collect()
}

async fn ask(client: &mut Client, text: &str) -> Reply {
    let body = client.query(text, 0, &[]);
    client.call(QUERY, &body).await
}

/// A partition with 10 tombstones among its rows, and one with 30.
async fn with_tombstones(version: u8) -> (Cluster, Client) {
    let builder =
        Cluster::builder().nodes(2).tombstone_warn_threshold(5).tombstone_failure_threshold(20);
    let (cluster, mut client) = with_table(builder, version, TABLE).await;
    for (p, count) in [(1, 10), (2, 30)] {
        for c in 0..count {
            client.run(&format!("INSERT INTO ks.t (p, c) VALUES ({p}, {})", 2 * c)).await;
            client.run(&format!("DELETE FROM ks.t WHERE p = {p} AND c = {}", 2 * c + 1)).await;
        }
    }
    (cluster, client)
}

#[tokio::test]
async fn tombstones_are_warned_of_until_a_read_fails() {
    for version in [3, 4, 5] {
        let (_cluster, mut client) = with_tombstones(version).await;
        let reply = ask(&mut client, "SELECT c FROM ks.t WHERE p = 1").await;
        assert_eq!(reply.opcode, RESULT);
        let told = warnings(&reply);
        if version == 3 {
            assert_eq!(told, [""; 0], "version 3 has none");
        } else {
            let expect = "Read 10 live rows and 10 tombstone cells for query SELECT * FROM ks.t \
                          (see tombstone_warn_threshold)";
            assert_eq!(told, [expect]);
        }
        let reply = ask(&mut client, "SELECT c FROM ks.t WHERE p = 1 AND c < 8").await;
        assert_eq!(warnings(&reply), [""; 0]);
        // Partitions are read one by one, a whole table is not.
        for (text, fails) in [
            ("SELECT c FROM ks.t WHERE p = 2", true),
            ("SELECT c FROM ks.t WHERE p = 2 AND c < 24", false),
            ("SELECT c FROM ks.t WHERE p IN (1, 2)", true),
            ("SELECT c FROM ks.t", true),
            ("SELECT c FROM ks.t LIMIT 3", false),
        ] {
            let reply = ask(&mut client, text).await;
            assert_eq!(reply.opcode == 0, fails, "{text}: {reply:?}");
            if !fails {
                continue;
            }
            let counts = [0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
            let one = [4, 127, 0, 0, 0, 0, 1];
            let (code, expect) = match version {
                3 => (READ_TIMEOUT, [&counts[..], &[0]].concat()),
                4 => (READ_FAILURE, [&counts[..], &[0, 0, 0, 1], &[0]].concat()),
                _ => (READ_FAILURE, [&counts[..], &[0, 0, 0, 1], &one, &[0]].concat()),
            };
            assert_eq!(reply.error().0, code, "{text}");
            let mut fields = reply.error_fields().to_vec();
            if version == 5 {
                fields[16..19].fill(0); // the node's address
            }
            assert_eq!(fields, expect, "{text}");
        }
    }
}

#[tokio::test]
async fn large_batches_are_warned_of_behind_a_trace_and_with_other_warnings() {
    let builder = Cluster::builder().batch_size_warn_threshold(1000);
    let (cluster, mut client) = with_table(builder, 4, TABLE).await;
    let insert = client.prepare("INSERT INTO ks.t (p, c, b) VALUES (?, 0, ?)").await;
    let batch = |keys: [u8; 2], len: usize| {
        let item = |key: u8| {
            let values = [&[0, 2][..], &value(&[0, 0, 0, key]), &value(&vec![7; len])].concat();
            [&[1][..], &common::short_bytes(&insert.id), &values].concat()
        };
        [vec![0, 0, 2], item(keys[0]), item(keys[1]), vec![0, 1, 0]].concat()
    };
    let small = client.call(BATCH, &batch([1, 2], 400)).await;
    assert_eq!(warnings(&small), [""; 0]);
    let one_partition = client.call(BATCH, &batch([1, 1], 1000)).await;
    assert_eq!(warnings(&one_partition), [""; 0]);
    cluster.add_fault(FaultRule::new(FaultAction::Annotate { warnings: vec!["more".to_owned()] }));
    client.flags = TRACING;
    let large = client.call(BATCH, &batch([1, 2], 1000)).await;
    assert_eq!(large.flags, TRACING | WARNING);
    let expect = "Batch for [ks.t] is of size 1.984KiB, exceeding specified threshold of \
                  0.977KiB by 1.008KiB.";
    assert_eq!(warnings(&large), ["more", expect]);
}

#[tokio::test]
async fn nothing_too_large_is_written_and_the_connection_goes_on() {
    for version in [4, 5] {
        let builder = Cluster::builder().max_mutation_size(200_000);
        let (_cluster, mut client) = with_table(builder, version, TABLE).await;
        let insert = client.prepare("INSERT INTO ks.t (p, c, b) VALUES (1, 1, ?)").await;
        let body = |client: &Client, len: usize| {
            let values = [&[0, 1][..], &value(&vec![7; len])].concat();
            client.execute(&insert, 1, &values)
        };
        let large = body(&client, 200_000);
        let reply = client.call(EXECUTE, &large).await;
        let (code, message) = reply.error();
        assert_eq!(code, INVALID);
        let expect = match version {
            4 => "Rejected an oversized mutation (200016/200000) for keyspace: ks.".to_owned(),
            _ => format!(
                "CQL Message of size {} bytes exceeds allowed maximum of 200000 bytes",
                large.len()
            ),
        };
        assert!(message.starts_with(&expect), "{message}");
        let small = body(&client, 150_000);
        assert_eq!(client.call(EXECUTE, &small).await.opcode, RESULT);
    }
}

#[tokio::test]
async fn without_room_for_changes_their_tables_take_no_writes() {
    for version in [4, 5] {
        let builder = Cluster::builder().cdc_has_no_room(true);
        let table = "CREATE TABLE ks.t (p int PRIMARY KEY, v int) WITH cdc = true";
        let (_cluster, mut client) = with_table(builder, version, table).await;
        client.run("CREATE TABLE ks.other (p int PRIMARY KEY, v int)").await;
        client.run("INSERT INTO ks.other (p) VALUES (1)").await;
        let reply = ask(&mut client, "INSERT INTO ks.t (p, v) VALUES (1, 1)").await;
        assert_eq!(reply.error().0, WRITE_FAILURE);
        let fields = reply.error_fields();
        assert_eq!(fields[..14], [0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
        assert_eq!(fields.len(), 14 + if version == 5 { 7 } else { 0 } + 8);
        assert!(fields.ends_with(&string("SIMPLE")));
        let reply = client.run("SELECT p FROM ks.t").await;
        assert!(reply.body.ends_with(&[0; 4]), "a row: {reply:?}");
        client.run("ALTER TABLE ks.t WITH cdc = false").await;
        client.run("INSERT INTO ks.t (p, v) VALUES (1, 1)").await;
    }
}

/// Nobody is warned before a thousand.
#[tokio::test]
async fn the_defaults_are_those_of_a_real_node() {
    let (_cluster, mut client) = with_table(Cluster::builder(), 4, TABLE).await;
    for c in 0..1001 {
        client.run(&format!("DELETE FROM ks.t WHERE p = 1 AND c = {c}")).await;
        if c == 999 {
            let reply = ask(&mut client, "SELECT * FROM ks.t WHERE p = 1").await;
            assert_eq!(warnings(&reply), [""; 0]);
        }
    }
    let body = [&long_string("SELECT * FROM ks.t WHERE p = 1")[..], &[0, 1, 0]].concat();
    let reply = client.call(QUERY, &body).await;
    assert_eq!(warnings(&reply).len(), 1);
}
