//! Consistency levels while nodes are down, paused or closed to clients.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::{Client, EVENT, OPTIONS, QUERY, READY, REGISTER, RESULT, Reply, SUPPORTED};
use common::{long_string, string};
use shardwire_server::{Cluster, ClusterBuilder, Persona};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_millis(60);

const QUORUM: u8 = 4;
const ALL: u8 = 5;
const LOCAL_QUORUM: u8 = 6;
const EACH_QUORUM: u8 = 7;

const UNAVAILABLE: i32 = 0x1000;
const TRUNCATE_ERROR: i32 = 0x1003;
const WRITE_TIMEOUT: i32 = 0x1100;
const READ_TIMEOUT: i32 = 0x1200;
const INVALID: i32 = 0x2200;

fn three_nodes() -> ClusterBuilder {
    Cluster::builder()
        .persona(Persona::Cassandra)
        .nodes(3)
        .read_request_timeout(TIMEOUT)
        .write_request_timeout(TIMEOUT)
        .truncate_request_timeout(TIMEOUT)
}

async fn client(cluster: &Cluster, node: usize) -> Client {
    let socket = TcpStream::connect(cluster.contact_points()[node]).await.unwrap();
    let mut client = Client::over(Box::new(socket), 4);
    assert_eq!(client.startup(&[]).await.opcode, READY);
    client
}

/// A client of the first node, and tables with three replicas in each datacenter.
async fn with_tables(cluster: &Cluster, datacenters: &[&str]) -> Client {
    let mut client = client(cluster, 0).await;
    let factors: String = datacenters.iter().map(|name| format!(", '{name}': 3")).collect();
    let keyspace = format!(
        "CREATE KEYSPACE ks WITH replication = {{'class': 'NetworkTopologyStrategy'{factors}}}"
    );
    client.run(&keyspace).await;
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY, v int)").await;
    client.run("CREATE TABLE ks.c (k int PRIMARY KEY, n counter)").await;
    client
}

/// Runs a statement at a level, the serial one if it has a flag for that.
async fn ask(client: &mut Client, text: &str, level: u8, rest: &[u8]) -> Reply {
    let flags = if rest.is_empty() { 0 } else { 0x10 };
    let body = [&long_string(text), &[0, level, flags][..], rest].concat();
    client.call(QUERY, &body).await
}

/// Code, level, and the two counts of an error.
fn told(reply: &Reply) -> (i32, u8, u8, u8) {
    let fields = reply.error_fields();
    (reply.error().0, fields[1], fields[5], fields[9])
}

#[tokio::test]
async fn what_takes_nodes_that_are_down_is_unavailable() {
    let cluster = three_nodes().start().await.unwrap();
    let mut client = with_tables(&cluster, &["datacenter1"]).await;
    cluster.stop_node(2).await.unwrap();
    for text in [
        "INSERT INTO ks.t (k, v) VALUES (1, 1)",
        "SELECT * FROM ks.t WHERE k = 1",
        "SELECT * FROM ks.t",
        "UPDATE ks.c SET n = n + 1 WHERE k = 1",
        "BEGIN BATCH INSERT INTO ks.t (k, v) VALUES (2, 2); DELETE FROM ks.t WHERE k = 3; \
         APPLY BATCH",
    ] {
        let reply = ask(&mut client, text, ALL, &[]).await;
        assert_eq!(told(&reply), (UNAVAILABLE, ALL, 3, 2), "{text}");
        assert_eq!(ask(&mut client, text, QUORUM, &[]).await.opcode, RESULT, "{text}");
    }
    let reply = ask(&mut client, "TRUNCATE ks.t", QUORUM, &[]).await;
    assert_eq!(reply.error().0, TRUNCATE_ERROR);
    // The deciding part and the writing part of a condition have a level each.
    let condition = "INSERT INTO ks.t (k) VALUES (9) IF NOT EXISTS";
    let reply = ask(&mut client, condition, ALL, &[0, 8]).await;
    assert_eq!(told(&reply), (UNAVAILABLE, ALL, 3, 2));
    assert_eq!(ask(&mut client, condition, QUORUM, &[0, 9]).await.opcode, RESULT);
    cluster.stop_node(1).await.unwrap();
    let reply = ask(&mut client, "DELETE FROM ks.t WHERE k = 9 IF EXISTS", 1, &[0, 9]).await;
    assert_eq!(told(&reply), (UNAVAILABLE, 9, 2, 1));
    let reply = ask(&mut client, "SELECT * FROM ks.t WHERE k = 9", 8, &[]).await;
    assert_eq!(told(&reply), (UNAVAILABLE, 8, 2, 1));
    // What is every node's own takes no other.
    assert_eq!(ask(&mut client, "SELECT * FROM system.local", ALL, &[]).await.opcode, RESULT);
    for node in [1, 2] {
        cluster.start_node(node).await.unwrap();
    }
    let text = "SELECT * FROM ks.t";
    assert_eq!(ask(&mut client, text, ALL, &[]).await.opcode, RESULT);
}

#[tokio::test]
async fn levels_know_datacenters() {
    let names = ["east", "west"];
    let cluster = three_nodes().nodes(6).datacenters(names).start().await.unwrap();
    let mut client = with_tables(&cluster, &names).await;
    for node in [1, 3] {
        cluster.stop_node(node).await.unwrap(); // of west
    }
    let text = "INSERT INTO ks.t (k, v) VALUES (1, 1)";
    assert_eq!(ask(&mut client, text, LOCAL_QUORUM, &[]).await.opcode, RESULT);
    assert_eq!(ask(&mut client, text, QUORUM, &[]).await.opcode, RESULT);
    let reply = ask(&mut client, text, EACH_QUORUM, &[]).await;
    assert_eq!(told(&reply), (UNAVAILABLE, EACH_QUORUM, 2, 1));
    assert!(reply.error().1.ends_with("EACH_QUORUM in DC west"), "{reply:?}");
    let mut other = self::client(&cluster, 5).await;
    let reply = ask(&mut other, text, LOCAL_QUORUM, &[]).await;
    assert_eq!(told(&reply), (UNAVAILABLE, LOCAL_QUORUM, 2, 1));
}

#[tokio::test]
async fn levels_that_make_no_sense_are_refused() {
    let cluster = three_nodes().start().await.unwrap();
    let mut client = with_tables(&cluster, &["datacenter1"]).await;
    for (text, level) in [
        ("SELECT * FROM ks.t WHERE k = 1", 0),
        ("SELECT * FROM ks.t WHERE k IN (1, 2)", 8),
        ("INSERT INTO ks.t (k) VALUES (1)", 8),
        ("INSERT INTO ks.t (k) VALUES (1) IF NOT EXISTS", 9),
        ("UPDATE ks.c SET n = n + 1 WHERE k = 1", 0),
    ] {
        let reply = ask(&mut client, text, level, &[]).await;
        assert_eq!(reply.error().0, INVALID, "{text}");
    }
}

#[tokio::test]
async fn a_paused_replica_is_waited_for() {
    let cluster = three_nodes().start().await.unwrap();
    let mut client = with_tables(&cluster, &["datacenter1"]).await;
    cluster.pause_node(2).await.unwrap();
    for (text, code) in [
        ("INSERT INTO ks.t (k, v) VALUES (1, 1)", WRITE_TIMEOUT),
        ("SELECT * FROM ks.t WHERE k = 1", READ_TIMEOUT),
    ] {
        let started = Instant::now();
        let reply = ask(&mut client, text, ALL, &[]).await;
        assert_eq!(told(&reply), (code, ALL, 2, 3), "{text}");
        assert!(started.elapsed() >= TIMEOUT);
        assert_eq!(ask(&mut client, text, QUORUM, &[]).await.opcode, RESULT, "{text}");
    }
    // The log goes to the two others, and a batch of one partition has none.
    let batch = |key| {
        format!(
            "BEGIN BATCH INSERT INTO ks.t (k, v) VALUES (1, 1); INSERT INTO ks.t (k, v) VALUES \
             ({key}, 1); APPLY BATCH"
        )
    };
    let reply = ask(&mut client, &batch(2), 1, &[]).await;
    assert_eq!(told(&reply), (WRITE_TIMEOUT, 2, 1, 2));
    assert!(reply.body.ends_with(&string("BATCH_LOG")), "{reply:?}");
    assert_eq!(ask(&mut client, &batch(1), 1, &[]).await.opcode, RESULT);
    let truncate = ask(&mut client, "TRUNCATE ks.t", 1, &[]).await;
    assert_eq!(truncate.error().0, TRUNCATE_ERROR);
    // Paxos has two of three; the third is missing when it comes to writing.
    let reply = ask(&mut client, "INSERT INTO ks.t (k) VALUES (5) IF NOT EXISTS", ALL, &[]).await;
    assert_eq!(told(&reply), (WRITE_TIMEOUT, ALL, 2, 3));
    assert!(reply.body.ends_with(&string("SIMPLE")), "{reply:?}");
    cluster.pause_node(1).await.unwrap();
    let reply = ask(&mut client, "INSERT INTO ks.t (k) VALUES (6) IF NOT EXISTS", 1, &[]).await;
    assert_eq!(told(&reply), (WRITE_TIMEOUT, 8, 1, 2));
    assert!(reply.body.ends_with(&string("CAS")), "{reply:?}");
    for node in [1, 2] {
        cluster.resume_node(node).await.unwrap();
    }
    let reply = ask(&mut client, "SELECT k FROM ks.t", ALL, &[]).await;
    // 5 was written, 6 was not.
    assert!(reply.body.ends_with(&[0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 5]), "{reply:?}");
}

/// USING TIMEOUT, ScyllaDB's own, stands above what the node was told: else this takes hours.
#[tokio::test]
async fn a_statement_says_how_long_its_coordinator_waits() {
    const HOURS: Duration = Duration::from_secs(6 * 3600);
    let builder = Cluster::builder().nodes(3);
    let cluster = builder.read_request_timeout(HOURS).write_request_timeout(HOURS);
    let cluster = cluster.start().await.unwrap();
    let mut client = with_tables(&cluster, &["datacenter1"]).await;
    cluster.pause_node(2).await.unwrap();
    for (text, code) in [
        ("INSERT INTO ks.t (k, v) VALUES (1, 1) USING TIMEOUT 20ms", WRITE_TIMEOUT),
        ("DELETE FROM ks.t USING TIMEOUT 20ms WHERE k = 1", WRITE_TIMEOUT),
        ("SELECT * FROM ks.t WHERE k = 1 USING TIMEOUT 20ms", READ_TIMEOUT),
    ] {
        let asked = ask(&mut client, text, ALL, &[]);
        let reply = tokio::time::timeout(Duration::from_secs(30), asked).await;
        assert_eq!(told(&reply.expect(text)), (code, ALL, 2, 3), "{text}");
    }
    let text = "SELECT * FROM ks.t WHERE k = 1 USING TIMEOUT 1us";
    assert_eq!(ask(&mut client, text, ALL, &[]).await.error().0, INVALID);
}

#[tokio::test]
async fn a_paused_node_answers_when_it_goes_on() {
    let cluster = three_nodes().start().await.unwrap();
    let mut old = client(&cluster, 2).await;
    cluster.pause_node(2).await.unwrap();
    let request = old.frame(7, OPTIONS, &[]);
    old.send(&request).await;
    let socket = TcpStream::connect(cluster.contact_points()[2]).await.unwrap();
    let mut new = Client::over(Box::new(socket), 4);
    let request = new.frame(8, OPTIONS, &[]);
    new.send(&request).await;
    let silence = async { tokio::join!(old.receive(), new.receive()) };
    assert!(tokio::time::timeout(TIMEOUT, silence).await.is_err(), "it has answered");
    // The others know nothing of it.
    let mut other = client(&cluster, 0).await;
    assert_eq!(other.call(OPTIONS, &[]).await.opcode, SUPPORTED);
    cluster.resume_node(2).await.unwrap();
    let replies = [old.receive().await.unwrap(), new.receive().await.unwrap()];
    assert_eq!(replies.map(|reply| (reply.stream, reply.opcode)), [(7, 6), (8, 6)]);
}

#[tokio::test]
async fn a_node_without_clients_goes_on_as_a_replica() {
    let cluster = three_nodes().start().await.unwrap();
    let mut client = with_tables(&cluster, &["datacenter1"]).await;
    let types = [&[0, 1][..], &string("STATUS_CHANGE")].concat();
    assert_eq!(client.call(REGISTER, &types).await.opcode, READY);
    let mut theirs = self::client(&cluster, 2).await;
    cluster.disable_binary(2).await.unwrap();
    assert_eq!(theirs.receive().await, None);
    assert!(TcpStream::connect(cluster.contact_points()[2]).await.is_err());
    assert_eq!(client.receive().await.unwrap().opcode, EVENT);
    let text = "INSERT INTO ks.t (k, v) VALUES (1, 1)";
    assert_eq!(ask(&mut client, text, ALL, &[]).await.opcode, RESULT);
    cluster.pause_node(2).await.unwrap();
    assert!(cluster.disable_binary(2).await.is_err(), "it can't be told anything");
    assert_eq!(told(&ask(&mut client, text, ALL, &[]).await), (WRITE_TIMEOUT, ALL, 2, 3));
    cluster.resume_node(2).await.unwrap();
    cluster.enable_binary(2).await.unwrap();
    assert_eq!(client.receive().await.unwrap().opcode, EVENT);
    self::client(&cluster, 2).await;
    cluster.stop_node(2).await.unwrap();
    for refused in [cluster.pause_node(2).await, cluster.enable_binary(2).await] {
        assert!(refused.is_err(), "the node is stopped");
    }
}
