//! What single replicas have while some miss writes, and how they get it: hints, reads that repair,
//! Paxos, repair.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use common::{Client, QUERY, READY, RESULT, Reply, long_string, rows};
use shardwire_server::{Cluster, ClusterBuilder, FaultAction, FaultRule, Persona};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_millis(20);

const ANY: u8 = 0;
const ONE: u8 = 1;
const TWO: u8 = 2;
const QUORUM: u8 = 4;
const ALL: u8 = 5;
const SERIAL: u8 = 8;

const UNAVAILABLE: i32 = 0x1000;
const WRITE_TIMEOUT: i32 = 0x1100;
const INVALID: i32 = 0x2200;

fn nodes(count: usize) -> ClusterBuilder {
    Cluster::builder()
        .persona(Persona::Cassandra)
        .nodes(count)
        .read_request_timeout(TIMEOUT)
        .write_request_timeout(TIMEOUT)
        .truncate_request_timeout(TIMEOUT)
}

fn without_hints() -> ClusterBuilder {
    nodes(3).hinted_handoff_enabled(false)
}

async fn client(cluster: &Cluster, node: usize) -> Client {
    let socket = TcpStream::connect(cluster.contact_points()[node]).await.unwrap();
    let mut client = Client::over(Box::new(socket), 4);
    assert_eq!(client.startup(&[]).await.opcode, READY);
    client
}

/// A client of the first node, and tables with three replicas.
async fn with_tables(cluster: &Cluster) -> Client {
    let mut client = client(cluster, 0).await;
    for text in [
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
        "CREATE TABLE ks.t (k int, c int, s int STATIC, v int, PRIMARY KEY (k, c))",
        "CREATE TABLE ks.u (k int PRIMARY KEY, v int) WITH read_repair = 'NONE'",
        "CREATE TABLE ks.n (k int PRIMARY KEY, n counter)",
        "CREATE TABLE ks.l (k int PRIMARY KEY, l list<int>)",
    ] {
        client.run(text).await;
    }
    client
}

async fn ask(client: &mut Client, text: &str, level: u8) -> Reply {
    client.call(QUERY, &[&long_string(text), &[0, level, 0][..]].concat()).await
}

/// Runs a statement that has to go through.
async fn run(client: &mut Client, text: &str, level: u8) {
    let reply = ask(client, text, level).await;
    assert_eq!(reply.opcode, RESULT, "{text}: {}", String::from_utf8_lossy(&reply.body));
}

fn number(bytes: &[u8]) -> i64 {
    match bytes.len() {
        4 => i32::from_be_bytes(bytes.try_into().unwrap()).into(),
        _ => i64::from_be_bytes(bytes.try_into().unwrap()),
    }
}

/// The numbers that a SELECT finds, column by column, row by row.
async fn read(client: &mut Client, text: &str, level: u8) -> Vec<Option<i64>> {
    let reply = ask(client, text, level).await;
    let cells = rows(&reply).cells;
    cells.iter().map(|cell| cell.as_deref().map(number)).collect()
}

fn some(numbers: &[i64]) -> Vec<Option<i64>> {
    numbers.iter().copied().map(Some).collect()
}

/// A cluster without hints whose last node has missed what was written after the first row, and a
/// client of the first node and one of the last.
async fn with_a_stale_node(text: &str) -> (Cluster, Client, Client) {
    let cluster = without_hints().start().await.unwrap();
    let mut first = with_tables(&cluster).await;
    for table in ["t (k, c, s, v) VALUES (1, 1, 1, 1)", "u (k, v) VALUES (1, 1)"] {
        run(&mut first, &format!("INSERT INTO ks.{table}"), ALL).await;
    }
    run(&mut first, "UPDATE ks.n SET n = n + 1 WHERE k = 1", ALL).await;
    run(&mut first, "INSERT INTO ks.l (k, l) VALUES (1, [1, 2, 3])", ALL).await;
    cluster.stop_node(2).await.unwrap();
    run(&mut first, text, QUORUM).await;
    cluster.start_node(2).await.unwrap();
    let last = client(&cluster, 2).await;
    (cluster, first, last)
}

#[tokio::test]
async fn a_node_that_has_missed_a_write_is_stale_until_a_read_repairs() {
    let (_cluster, mut first, mut last) =
        with_a_stale_node("UPDATE ks.t SET v = 2, s = 2 WHERE k = 1 AND c = 1").await;
    let text = "SELECT v, s FROM ks.t WHERE k = 1";
    assert_eq!(read(&mut first, text, ONE).await, some(&[2, 2]));
    assert_eq!(read(&mut last, text, ONE).await, some(&[1, 1]));
    assert_eq!(read(&mut last, text, ONE).await, some(&[1, 1]));
    assert_eq!(read(&mut last, text, QUORUM).await, some(&[2, 2]));
    assert_eq!(read(&mut last, text, ONE).await, some(&[2, 2]));
}

#[tokio::test]
async fn reads_that_do_not_repair_are_right_all_the_same() {
    let (cluster, _, mut last) = with_a_stale_node("INSERT INTO ks.u (k, v) VALUES (1, 2)").await;
    let text = "SELECT v FROM ks.u WHERE k = 1";
    for (level, expect) in [(ONE, 1), (QUORUM, 2), (ONE, 1), (ALL, 2), (ONE, 1)] {
        assert_eq!(read(&mut last, text, level).await, some(&[expect]), "{level}");
    }
    assert_eq!(read(&mut last, "SELECT sum(v) FROM ks.u", QUORUM).await, some(&[2]));
    assert_eq!(read(&mut last, "SELECT sum(v) FROM ks.u", ONE).await, some(&[1]));
    cluster.repair("ks").await.unwrap();
    assert_eq!(read(&mut last, text, ONE).await, some(&[2]));
}

#[tokio::test]
async fn what_is_deleted_stays_deleted() {
    for text in [
        "DELETE FROM ks.t WHERE k = 1",
        "DELETE FROM ks.t WHERE k = 1 AND c = 1",
        "DELETE FROM ks.t WHERE k = 1 AND c > 0 AND c < 5",
    ] {
        let (cluster, mut first, mut last) = with_a_stale_node(text).await;
        let select = "SELECT v FROM ks.t WHERE k = 1 AND c = 1";
        assert_eq!(read(&mut last, select, ONE).await, some(&[1]), "{text}");
        for level in [QUORUM, ONE] {
            assert_eq!(read(&mut last, select, level).await, [], "{text}");
        }
        cluster.repair("ks").await.unwrap();
        for client in [&mut first, &mut last] {
            assert_eq!(read(client, select, ONE).await, [], "{text}");
        }
    }
}

#[tokio::test]
async fn a_read_repairs_what_it_reads_and_no_more() {
    let (cluster, mut first, _) =
        with_a_stale_node("UPDATE ks.t SET v = 2 WHERE k = 1 AND c = 1").await;
    cluster.stop_node(2).await.unwrap();
    for row in 2..6 {
        let text = format!("INSERT INTO ks.t (k, c, v) VALUES (1, {row}, {row})");
        run(&mut first, &text, QUORUM).await;
    }
    cluster.start_node(2).await.unwrap();
    let mut last = client(&cluster, 2).await;
    let slice = "SELECT v FROM ks.t WHERE k = 1 AND c >= 2 AND c < 4";
    assert_eq!(read(&mut last, slice, QUORUM).await, some(&[2, 3]));
    let all = "SELECT v FROM ks.t WHERE k = 1";
    assert_eq!(read(&mut last, all, ONE).await, some(&[1, 2, 3]));
    assert_eq!(read(&mut last, all, TWO).await, some(&[2, 2, 3, 4, 5]));
    assert_eq!(read(&mut last, all, ONE).await, some(&[2, 2, 3, 4, 5]));
}

#[tokio::test]
async fn scans_see_what_their_level_says() {
    let cluster = without_hints().start().await.unwrap();
    let mut first = with_tables(&cluster).await;
    for k in 0..40 {
        run(&mut first, &format!("INSERT INTO ks.u (k, v) VALUES ({k}, {k})"), ALL).await;
    }
    cluster.stop_node(2).await.unwrap();
    for k in 0..20 {
        run(&mut first, &format!("DELETE FROM ks.u WHERE k = {k}"), QUORUM).await;
        run(&mut first, &format!("INSERT INTO ks.u (k, v) VALUES ({}, 1)", 100 + k), TWO).await;
    }
    cluster.start_node(2).await.unwrap();
    let mut last = client(&cluster, 2).await;
    for (level, expect) in [(ONE, 0..40), (QUORUM, 20..40)] {
        let mut found = Vec::new();
        let mut state: Option<Vec<u8>> = None;
        loop {
            let text = long_string("SELECT k FROM ks.u");
            let flags = if state.is_some() { 0x0C } else { 0x04 };
            let mut body = [&text[..], &[0, level, flags], &7_i32.to_be_bytes()].concat();
            body.extend(state.iter().flat_map(|state| common::value(state)));
            let reply = last.call(QUERY, &body).await;
            found.extend(rows(&reply).cells.into_iter().map(|cell| number(&cell.unwrap())));
            let mut cursor = common::Cursor(&reply.body);
            let (_, flags, _) = (cursor.int(), cursor.int(), cursor.int());
            state = (flags & 2 != 0).then(|| {
                let len = usize::try_from(cursor.int()).unwrap();
                cursor.take(len)
            });
            if state.is_none() {
                break;
            }
        }
        found.sort_unstable();
        let mut expect: Vec<i64> = expect.collect();
        if level == QUORUM {
            expect.extend(100..120);
        }
        assert_eq!(found, expect, "{level}");
    }
    let count = "SELECT count(*) FROM ks.u";
    assert_eq!(read(&mut last, count, ONE).await, some(&[40]));
    assert_eq!(read(&mut last, count, QUORUM).await, some(&[40]));
    let few = "SELECT k FROM ks.u WHERE k IN (3, 25, 103) AND v > 0 ALLOW FILTERING";
    assert_eq!(read(&mut last, few, ONE).await, some(&[3, 25]));
    assert_eq!(read(&mut last, few, QUORUM).await, some(&[25, 103]));
}

#[tokio::test]
async fn hints_bring_what_was_missed() {
    let cluster = nodes(3).start().await.unwrap();
    let mut first = with_tables(&cluster).await;
    let mut second = client(&cluster, 1).await;
    run(&mut first, "INSERT INTO ks.t (k, c, v) VALUES (1, 1, 1)", ALL).await;
    cluster.stop_node(2).await.unwrap();
    run(&mut first, "DELETE FROM ks.t WHERE k = 1 AND c = 1", QUORUM).await;
    run(&mut first, "INSERT INTO ks.t (k, c, v) VALUES (1, 2, 2)", QUORUM).await;
    run(&mut second, "INSERT INTO ks.t (k, c, v) VALUES (1, 3, 3)", QUORUM).await;
    // What the second node keeps comes when both are up.
    cluster.stop_node(1).await.unwrap();
    cluster.start_node(2).await.unwrap();
    let mut last = client(&cluster, 2).await;
    let text = "SELECT v FROM ks.t WHERE k = 1";
    assert_eq!(read(&mut last, text, ONE).await, some(&[2]));
    cluster.start_node(1).await.unwrap();
    assert_eq!(read(&mut last, text, ONE).await, some(&[2, 3]));
}

#[tokio::test]
async fn hints_are_kept_for_a_while() {
    let cluster = nodes(3).max_hint_window(Duration::ZERO).start().await.unwrap();
    let mut first = with_tables(&cluster).await;
    cluster.stop_node(2).await.unwrap();
    run(&mut first, "INSERT INTO ks.u (k, v) VALUES (1, 1)", QUORUM).await;
    cluster.start_node(2).await.unwrap();
    let mut last = client(&cluster, 2).await;
    assert_eq!(read(&mut last, "SELECT v FROM ks.u WHERE k = 1", ONE).await, []);
}

#[tokio::test]
async fn any_is_a_hint_at_least() {
    let text = "INSERT INTO ks.u (k, v) VALUES (1, 1)";
    for has_hints in [true, false] {
        let cluster = nodes(4).hinted_handoff_enabled(has_hints).start().await.unwrap();
        with_tables(&cluster).await;
        let holders = cluster.endpoints("ks", "u", "1").await.unwrap();
        let points = cluster.contact_points();
        let other = points.iter().position(|point| !holders.contains(&point.ip())).unwrap();
        let mut coordinator = client(&cluster, other).await;
        let others: Vec<usize> = (0..4).filter(|node| *node != other).collect();
        for node in &others {
            cluster.stop_node(*node).await.unwrap();
        }
        let reply = ask(&mut coordinator, text, ANY).await;
        for node in others {
            cluster.start_node(node).await.unwrap();
        }
        let mut first = client(&cluster, 0).await;
        let found = read(&mut first, "SELECT v FROM ks.u WHERE k = 1", ALL).await;
        if has_hints {
            assert_eq!((reply.opcode, found), (RESULT, some(&[1])));
        } else {
            assert_eq!((reply.error().0, found), (WRITE_TIMEOUT, vec![]));
        }
    }
}

#[tokio::test]
async fn a_paused_node_takes_what_has_waited() {
    let cluster = without_hints().start().await.unwrap();
    let mut first = with_tables(&cluster).await;
    let mut last = client(&cluster, 2).await;
    let select = "SELECT v FROM ks.u";
    cluster.pause_node(2).await.unwrap();
    let reply = ask(&mut first, "INSERT INTO ks.u (k, v) VALUES (1, 1)", ALL).await;
    assert_eq!(reply.error().0, WRITE_TIMEOUT);
    assert_eq!(read(&mut first, select, QUORUM).await, some(&[1]));
    cluster.resume_node(2).await.unwrap();
    assert_eq!(read(&mut last, select, ONE).await, some(&[1]));
    // Emptied while it is paused, it has its rows until it goes on; or for good, if it never does.
    for dies in [false, true] {
        cluster.pause_node(2).await.unwrap();
        assert_eq!(ask(&mut first, "TRUNCATE ks.u", ALL).await.error().0, 0x1003);
        let number = if dies { 4 } else { 2 };
        let text = format!("INSERT INTO ks.u (k, v) VALUES ({number}, {number})");
        run(&mut first, &text, QUORUM).await;
        if dies {
            cluster.stop_node(2).await.unwrap();
            cluster.start_node(2).await.unwrap();
            last = client(&cluster, 2).await;
            run(&mut first, "INSERT INTO ks.u (k, v) VALUES (3, 3)", ALL).await;
            let sum = "SELECT sum(v) FROM ks.u";
            assert_eq!(read(&mut first, sum, ONE).await, some(&[4 + 3]));
            assert_eq!(read(&mut last, sum, ONE).await, some(&[2 + 3]));
            continue;
        }
        cluster.resume_node(2).await.unwrap();
        assert_eq!(read(&mut last, select, ONE).await, some(&[2]));
    }
    run(&mut first, "TRUNCATE ks.u", ALL).await;
    assert_eq!(read(&mut last, select, ONE).await, []);
}

#[tokio::test]
async fn what_is_unavailable_is_written_nowhere() {
    let cluster = nodes(3).start().await.unwrap();
    let mut first = with_tables(&cluster).await;
    cluster.stop_node(1).await.unwrap();
    cluster.stop_node(2).await.unwrap();
    let reply = ask(&mut first, "INSERT INTO ks.u (k, v) VALUES (1, 1)", QUORUM).await;
    assert_eq!(reply.error().0, UNAVAILABLE);
    run(&mut first, "INSERT INTO ks.u (k, v) VALUES (2, 2)", ONE).await;
    for node in [1, 2] {
        cluster.start_node(node).await.unwrap();
    }
    assert_eq!(read(&mut first, "SELECT v FROM ks.u", ALL).await, some(&[2]));
}

#[tokio::test]
async fn counters_count_once_whoever_was_down() {
    let cluster = without_hints().start().await.unwrap();
    let mut total = 0;
    with_tables(&cluster).await;
    let mut step = 1;
    for (down, level) in [(2, QUORUM), (0, ONE), (1, QUORUM), (2, ONE), (0, TWO)] {
        cluster.stop_node(down).await.unwrap();
        for coordinator in (0..3).filter(|node| *node != down) {
            let mut client = client(&cluster, coordinator).await;
            step = -2 * step + 1;
            total += step;
            run(&mut client, &format!("UPDATE ks.n SET n = n + {step} WHERE k = 1"), level).await;
        }
        cluster.start_node(down).await.unwrap();
    }
    let mut stale = client(&cluster, 0).await;
    let text = "SELECT n FROM ks.n WHERE k = 1";
    assert_ne!(read(&mut stale, text, ONE).await, some(&[total]));
    assert_eq!(read(&mut stale, text, ALL).await, some(&[total]));
    for node in 0..3 {
        let mut client = client(&cluster, node).await;
        assert_eq!(read(&mut client, text, ONE).await, some(&[total]));
    }
    run(&mut stale, "UPDATE ks.n SET n = n - 1 WHERE k = 1", ONE).await;
    assert_eq!(read(&mut stale, text, ONE).await, some(&[total - 1]));
}

#[tokio::test]
async fn conditions_see_what_was_decided() {
    let (_cluster, mut first, mut last) =
        with_a_stale_node("UPDATE ks.u SET v = 5 WHERE k = 1 IF v = 1").await;
    let text = "SELECT v FROM ks.u WHERE k = 1";
    assert_eq!(read(&mut last, text, ONE).await, some(&[1]));
    let reply = ask(&mut last, "UPDATE ks.u SET v = 6 WHERE k = 1 IF v = 1", ONE).await;
    let found = rows(&reply).cells;
    assert_eq!(found, [Some(vec![0]), Some(vec![0, 0, 0, 5])]);
    // The round has brought it, though reads of this table do not repair.
    assert_eq!(read(&mut last, text, ONE).await, some(&[5]));
    run(&mut last, "UPDATE ks.u SET v = 6 WHERE k = 1 IF v = 5", ALL).await;
    assert_eq!(read(&mut first, text, ONE).await, some(&[6]));
    let (_cluster, _, mut last) =
        with_a_stale_node("INSERT INTO ks.u (k, v) VALUES (2, 2) IF NOT EXISTS").await;
    let text = "SELECT v FROM ks.u WHERE k = 2";
    for (level, expect) in [(ONE, vec![]), (SERIAL, some(&[2])), (ONE, some(&[2]))] {
        assert_eq!(read(&mut last, text, level).await, expect);
    }
    let batch = "BEGIN BATCH INSERT INTO ks.u (k, v) VALUES (2, 3) IF NOT EXISTS; APPLY BATCH";
    let reply = ask(&mut last, batch, ONE).await;
    assert_eq!(rows(&reply).cells[0], Some(vec![0]));
}

#[tokio::test]
async fn places_of_lists_are_those_that_are_read() {
    let (_cluster, _, mut last) = with_a_stale_node("DELETE l[0] FROM ks.l WHERE k = 1").await;
    let text = "UPDATE ks.l SET l[2] = 9 WHERE k = 1";
    assert_eq!(ask(&mut last, text, QUORUM).await.error().0, INVALID);
    run(&mut last, "UPDATE ks.l SET l[1] = 9 WHERE k = 1", QUORUM).await;
    run(&mut last, "UPDATE ks.l SET l = l - [2] WHERE k = 1", QUORUM).await;
    let reply = ask(&mut last, "SELECT l FROM ks.l WHERE k = 1", ALL).await;
    let nine = [0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9];
    assert_eq!(rows(&reply).cells, [Some(nine.to_vec())]);
}

#[tokio::test]
async fn views_are_made_of_what_is_read() {
    let cluster = without_hints().start().await.unwrap();
    let mut first = with_tables(&cluster).await;
    run(
        &mut first,
        "CREATE MATERIALIZED VIEW ks.m AS SELECT k, v FROM ks.u WHERE v IS NOT NULL AND k IS NOT \
         NULL PRIMARY KEY (v, k)",
        ONE,
    )
    .await;
    run(&mut first, "INSERT INTO ks.u (k, v) VALUES (1, 1)", ALL).await;
    cluster.stop_node(2).await.unwrap();
    run(&mut first, "INSERT INTO ks.u (k, v) VALUES (1, 2)", QUORUM).await;
    cluster.start_node(2).await.unwrap();
    let mut last = client(&cluster, 2).await;
    assert_eq!(read(&mut last, "SELECT v FROM ks.m", ONE).await, some(&[1]));
    assert_eq!(read(&mut last, "SELECT v FROM ks.m", QUORUM).await, some(&[2]));
}

#[tokio::test]
async fn a_rule_lets_nodes_miss_writes() {
    let cluster = nodes(3).start().await.unwrap();
    let mut first = with_tables(&cluster).await;
    let mut last = client(&cluster, 2).await;
    let miss = FaultAction::MissWrites { nodes: vec![1, 2] };
    cluster.add_fault(FaultRule::new(miss).statement("INSERT").limit(2));
    let insert = "INSERT INTO ks.u (k, v) VALUES (1, 1)";
    let reply = ask(&mut first, insert, QUORUM).await;
    assert_eq!(reply.error().0, WRITE_TIMEOUT);
    run(&mut first, insert, ONE).await;
    let select = "SELECT v FROM ks.u";
    assert_eq!(read(&mut last, select, ONE).await, []);
    assert_eq!(read(&mut first, select, QUORUM).await, some(&[1]));
    run(&mut first, insert, ALL).await;
    assert_eq!(read(&mut last, select, ONE).await, some(&[1]));
    let rule = r#"{"action":{"miss_writes":{"nodes":[1]}}}"#;
    let rule: FaultRule = serde_json::from_str(rule).unwrap();
    assert_eq!(rule.action, FaultAction::MissWrites { nodes: vec![1] });
}

#[tokio::test]
async fn new_replicas_have_nothing_before_a_repair() {
    let cluster = nodes(3).start().await.unwrap();
    let mut first = with_tables(&cluster).await;
    let replication = |factor| {
        format!(
            "ALTER KEYSPACE ks WITH replication = {{'class': 'SimpleStrategy', \
             'replication_factor': {factor}}}"
        )
    };
    run(&mut first, &replication(1), ONE).await;
    for k in 0..9 {
        run(&mut first, &format!("INSERT INTO ks.u (k, v) VALUES ({k}, {k})"), ONE).await;
    }
    run(&mut first, &replication(3), ONE).await;
    let count = "SELECT count(*) FROM ks.u";
    let mut own = 0;
    for node in 0..3 {
        let mut client = client(&cluster, node).await;
        own += read(&mut client, count, ONE).await[0].unwrap();
        assert_eq!(read(&mut client, count, ALL).await, some(&[9]));
    }
    assert_eq!(own, 9, "each row is at one of them");
    cluster.stop_node(1).await.unwrap();
    let refused = cluster.repair("ks").await.unwrap_err().to_string();
    assert!(refused.contains("is dead"), "{refused}");
    assert!(cluster.repair("none").await.is_err());
    cluster.start_node(1).await.unwrap();
    cluster.repair("ks").await.unwrap();
    for node in 0..3 {
        let mut client = client(&cluster, node).await;
        assert_eq!(read(&mut client, count, ONE).await, some(&[9]));
    }
}

#[tokio::test]
async fn the_admin_port_repairs() {
    let admin = SocketAddr::from(([127, 0, 0, 1], 0));
    let cluster = without_hints().admin(admin).start().await.unwrap();
    let mut first = with_tables(&cluster).await;
    let text = "CREATE TABLE ks.x (k int PRIMARY KEY) WITH read_repair = 'SOMETIMES'";
    let told = ask(&mut first, text, ONE).await.error();
    assert_eq!(
        told,
        (0x2300, "Invalid value SOMETIMES for 'read_repair': BLOCKING or NONE".to_owned())
    );
    cluster.stop_node(2).await.unwrap();
    run(&mut first, "INSERT INTO ks.u (k, v) VALUES (1, 1)", QUORUM).await;
    let mut socket = BufReader::new(TcpStream::connect(cluster.admin().unwrap()).await.unwrap());
    for (keyspace, expect) in [("ks", "is dead"), ("none", "does not exist"), ("ks", "true")] {
        let command = format!("{{\"cmd\":\"repair\",\"keyspace\":\"{keyspace}\"}}\n");
        socket.write_all(command.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_line(&mut answer).await.unwrap();
        assert!(answer.contains(expect), "{answer}");
        cluster.start_node(2).await.unwrap();
    }
    let mut last = client(&cluster, 2).await;
    assert_eq!(read(&mut last, "SELECT v FROM ks.u", ONE).await, some(&[1]));
}

#[tokio::test]
async fn nodes_that_come_and_go_are_sent_rows() {
    let cluster = nodes(4).hinted_handoff_enabled(false).start().await.unwrap();
    let mut first = with_tables(&cluster).await;
    cluster.stop_node(3).await.unwrap();
    for k in 0..20 {
        run(&mut first, &format!("INSERT INTO ks.u (k, v) VALUES ({k}, {k})"), QUORUM).await;
    }
    let count = "SELECT count(*) FROM ks.u";
    cluster.remove_node(3).await.unwrap();
    assert_eq!(read(&mut first, count, ONE).await, some(&[20]));
    cluster.add_node(3).await.unwrap();
    let mut last = client(&cluster, 3).await;
    assert_eq!(read(&mut last, count, ONE).await, some(&[20]));
}

const KEYS: i32 = 5;
const ROWS: i32 = 4;

/// A write to a row that may be read: none is a deletion.
#[derive(Clone, Copy, Debug)]
struct Written {
    at: usize,
    value: Option<i64>,
    /// How many replicas are known to have it.
    copies: usize,
}

/// What has been written to each row, in the order of the timestamps.
#[derive(Default)]
struct Model(BTreeMap<(i32, i32), Vec<Written>>);

impl Model {
    fn write(&mut self, place: (i32, i32), written: Written) {
        self.0.entry(place).or_default().push(written);
    }

    /// Whether a row may be read as this from so many replicas; of three, those that were written
    /// and those that are read have one in common if they are more than three together.
    fn check(&mut self, place: (i32, i32), found: Option<i64>, asked: usize) -> Result<(), String> {
        let all = self.0.entry(place).or_default();
        let is_known = |written: &&Written| written.copies + asked > 3;
        let floor = all.iter().rev().find(is_known).map_or(0, |written| written.at);
        let may_be_none = floor == 0 && found.is_none();
        let of_value = |written: &&mut Written| written.at >= floor && written.value == found;
        match all.iter_mut().rev().find(of_value) {
            Some(written) => {
                // Reads of several repair before they answer; values are written once.
                if found.is_some() && asked > 1 {
                    written.copies = written.copies.max(asked);
                }
                Ok(())
            }
            None if may_be_none => Ok(()),
            None => Err(format!("{place:?} is {found:?} for {asked}, after {all:?}")),
        }
    }
}

/// A cluster whose nodes come and go.
struct Unsteady {
    cluster: Cluster,
    clients: Vec<Option<Client>>,
    paused: Vec<bool>,
    random: fastrand::Rng,
    model: Model,
    clock: usize,
}

impl Unsteady {
    async fn start(builder: ClusterBuilder, count: usize, seed: u64) -> Self {
        let cluster = builder.seed(seed).start().await.unwrap();
        with_tables(&cluster).await;
        let mut clients = Vec::new();
        for node in 0..count {
            clients.push(Some(client(&cluster, node).await));
        }
        let random = fastrand::Rng::with_seed(seed);
        let (paused, model) = (vec![false; count], Model::default());
        Self { cluster, clients, paused, random, model, clock: 0 }
    }

    /// A node that can be asked.
    fn coordinator(&mut self) -> usize {
        let all = self.clients.iter().zip(&self.paused).enumerate();
        let able = all.filter(|(_, (client, paused))| client.is_some() && !**paused);
        let able: Vec<_> = able.map(|(node, _)| node).collect();
        self.random.choice(able).unwrap()
    }

    /// Levels with what they take of three replicas.
    fn level(&mut self) -> (u8, usize) {
        self.random.choice([(ONE, 1), (TWO, 2), (3, 3), (QUORUM, 2), (ALL, 3), (6, 2)]).unwrap()
    }

    async fn ask(&mut self, node: usize, text: &str, level: u8) -> Reply {
        ask(self.clients[node].as_mut().unwrap(), text, level).await
    }

    async fn write(&mut self) {
        let (k, c) = (self.random.i32(0..KEYS), self.random.i32(0..ROWS));
        let (level, copies) = match self.random.u8(0..10) {
            0 => (ANY, 0),
            _ => self.level(),
        };
        self.clock += 1;
        let (at, coordinator) = (self.clock, self.coordinator());
        let value = i64::try_from(at).unwrap();
        let set = format!("USING TIMESTAMP {at} SET v = {at} WHERE k = {k} AND c = {c}");
        let (text, value, places) = match self.random.u8(0..10) {
            0..5 => {
                let rest = format!("VALUES ({k}, {c}, {at}) USING TIMESTAMP {at}");
                (format!("INSERT INTO ks.t (k, c, v) {rest}"), Some(value), vec![c])
            }
            5..7 => (format!("UPDATE ks.t {set}"), Some(value), vec![c]),
            7 => {
                let text = format!("USING TIMESTAMP {at} WHERE k = {k} AND c = {c}");
                (format!("DELETE FROM ks.t {text}"), None, vec![c])
            }
            8 => {
                let text = format!("USING TIMESTAMP {at} WHERE k = {k} AND c < {c}");
                (format!("DELETE FROM ks.t {text}"), None, (0..c).collect())
            }
            _ => {
                let text = format!("USING TIMESTAMP {at} WHERE k = {k}");
                (format!("DELETE FROM ks.t {text}"), None, (0..ROWS).collect())
            }
        };
        let reply = self.ask(coordinator, &text, level).await;
        let copies = match reply.opcode {
            RESULT => copies,
            _ if reply.error().0 == WRITE_TIMEOUT => 0,
            _ => {
                assert_eq!(reply.error().0, UNAVAILABLE, "{text}");
                return;
            }
        };
        for c in places {
            self.model.write((k, c), Written { at, value, copies });
        }
    }

    async fn read(&mut self, node: usize, (level, asked): (u8, usize)) {
        let key = self.random.i32(0..KEYS);
        let is_scan = self.random.u8(0..3) == 0;
        let rest = if is_scan { String::new() } else { format!(" WHERE k = {key}") };
        let reply = self.ask(node, &format!("SELECT k, c, v FROM ks.t{rest}"), level).await;
        if reply.opcode != RESULT {
            return;
        }
        let mut found = BTreeMap::new();
        let cells = rows(&reply).cells;
        for row in cells.chunks(3) {
            let [k, c, v] = [0, 1, 2].map(|at| row[at].as_deref().map(number));
            let place = [k, c].map(|part| i32::try_from(part.unwrap()).unwrap());
            found.insert((place[0], place[1]), v.unwrap());
        }
        for k in (0..KEYS).filter(|k| is_scan || *k == key) {
            for c in 0..ROWS {
                let found = found.get(&(k, c)).copied();
                self.model.check((k, c), found, asked).unwrap();
            }
        }
    }

    /// Lets a node go or come; half of the nodes stay.
    async fn shake(&mut self) {
        let node = self.random.usize(0..self.clients.len());
        let is_gone = |(client, paused): (&Option<Client>, &bool)| client.is_none() || *paused;
        let gone = self.clients.iter().zip(&self.paused).filter(|pair| is_gone(*pair)).count();
        let may_go = gone <= self.clients.len() / 3;
        if self.clients[node].is_none() {
            self.cluster.start_node(node).await.unwrap();
            self.clients[node] = Some(client(&self.cluster, node).await);
        } else if self.paused[node] && self.random.bool() {
            self.cluster.resume_node(node).await.unwrap();
            self.paused[node] = false;
        } else if self.paused[node] || may_go && self.random.bool() {
            self.cluster.stop_node(node).await.unwrap();
            (self.clients[node], self.paused[node]) = (None, false);
        } else if may_go {
            self.cluster.pause_node(node).await.unwrap();
            self.paused[node] = true;
        }
    }

    async fn calm(&mut self) {
        for node in 0..self.clients.len() {
            if self.paused[node] {
                self.cluster.resume_node(node).await.unwrap();
                self.paused[node] = false;
            }
            if self.clients[node].is_none() {
                self.cluster.start_node(node).await.unwrap();
                self.clients[node] = Some(client(&self.cluster, node).await);
            }
        }
    }

    /// All that was written is everywhere, or else all that was ever acknowledged or read.
    async fn check_calm(&mut self, is_complete: bool) {
        for written in self.model.0.values_mut().flatten() {
            if is_complete || written.copies > 0 {
                written.copies = 3;
            }
        }
        for node in 0..self.clients.len() {
            for _ in 0..KEYS {
                self.read(node, (ONE, 1)).await;
            }
        }
    }

    async fn run(&mut self, operations: usize, repairs: bool) {
        for number in 1..=operations {
            match self.random.u8(0..20) {
                0 => self.shake().await,
                1..9 => {
                    let (node, level) = (self.coordinator(), self.level());
                    self.read(node, level).await;
                }
                _ => self.write().await,
            }
            if number % 250 == 0 {
                self.calm().await;
                if repairs {
                    self.cluster.repair("ks").await.unwrap();
                }
                self.check_calm(!repairs).await;
            }
        }
    }
}

#[tokio::test]
async fn reads_and_writes_that_overlap_agree() {
    for (count, seed) in [(3, 1), (5, 2), (3, 3), (5, 4)] {
        let builder = nodes(count)
            .read_request_timeout(Duration::from_millis(1))
            .write_request_timeout(Duration::from_millis(1));
        let repairs = seed > 2;
        let builder = builder.hinted_handoff_enabled(!repairs);
        let mut unsteady = Unsteady::start(builder, count, seed).await;
        if repairs {
            for node in 0..count {
                let miss = FaultAction::MissWrites { nodes: vec![node] };
                unsteady.cluster.add_fault(FaultRule::new(miss).probability(0.05));
            }
        }
        unsteady.run(2000, repairs).await;
    }
}
