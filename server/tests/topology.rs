//! Nodes that come and go at run time: who is told, who has what, and what clients notice.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Client, EVENT, READY, REGISTER, Reply, rows, string};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::prepared::PreparedStatement;
use serde_json::{Value, json};
use shardwire_server::{Cluster, NewNode};
use tokio::net::TcpStream;

async fn client_of(cluster: &Cluster, node: usize) -> Client {
    let socket = TcpStream::connect(cluster.contact_points()[node]).await.unwrap();
    let mut client = Client::over(Box::new(socket), 4);
    assert_eq!(client.startup(&[]).await.opcode, READY);
    client
}

/// What of an event precedes the address, and the address.
fn event(reply: &Reply) -> (String, String, [u8; 4]) {
    assert_eq!(reply.opcode, EVENT);
    let mut cursor = common::Cursor(&reply.body);
    let (kind, change) = (cursor.string(), cursor.string());
    assert_eq!(cursor.take(1), [4]);
    (kind, change, cursor.take(4).try_into().unwrap())
}

async fn cells(client: &mut Client, text: &str) -> Vec<Option<Vec<u8>>> {
    rows(&client.run(text).await).cells
}

#[tokio::test]
async fn a_new_node_is_announced_listed_and_given_ranges() {
    let builder = Cluster::builder().nodes(2).datacenters(["east", "west"]).racks(2);
    let cluster = builder.start().await.unwrap();
    let mut client = client_of(&cluster, 0).await;
    client
        .run(
            "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', \
             'east': 1}",
        )
        .await;
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY, v int)").await;
    client.run("INSERT INTO ks.t (k, v) VALUES (1, 2)").await;
    let kinds = [vec![0, 2], string("TOPOLOGY_CHANGE"), string("STATUS_CHANGE")].concat();
    client.call(REGISTER, &kinds).await;
    // As it would have been dealt: the third of two datacenters.
    let node = cluster.add_new_node(NewNode::default()).await.unwrap();
    assert_eq!((node, cluster.contact_points().len()), (2, 3));
    let point = cluster.contact_points()[2];
    let std::net::IpAddr::V4(address) = point.ip() else { panic!("{point}") };
    for expect in [("TOPOLOGY_CHANGE", "NEW_NODE"), ("STATUS_CHANGE", "UP")] {
        let (kind, change, of) = event(&client.receive().await.unwrap());
        assert_eq!((kind.as_str(), change.as_str(), of), (expect.0, expect.1, address.octets()));
    }
    let peer = format!("SELECT data_center, rack FROM system.peers WHERE peer = '{address}'");
    let expect = [Some(b"east".to_vec()), Some(b"rack2".to_vec())];
    assert_eq!(cells(&mut client, &peer).await, expect);
    // It knows the others, the schema and the rows, and has ranges of its own.
    let mut new = client_of(&cluster, 2).await;
    assert_eq!(cells(&mut new, "SELECT peer FROM system.peers").await.len(), 2);
    let version = "SELECT schema_version FROM system.local";
    assert_eq!(cells(&mut new, version).await, cells(&mut client, version).await);
    let v = cells(&mut new, "SELECT v FROM ks.t WHERE k = 1").await;
    assert_eq!(v, [Some(2_i32.to_be_bytes().to_vec())]);
    let mut holders = Vec::new();
    for key in 0..40 {
        holders.extend(cluster.endpoints("ks", "t", &key.to_string()).await.unwrap());
    }
    let of_new = holders.iter().filter(|holder| **holder == point.ip()).count();
    assert!(holders.len() == 40 && (5..35).contains(&of_new), "{of_new}");
    assert_eq!(cluster.counters().nodes[2].shards[0].connections, 1);
    // One elsewhere, which can be stopped, removed and taken in again like any other.
    let elsewhere = NewNode::default().datacenter("north").rack("r9");
    assert_eq!(cluster.add_new_node(elsewhere).await.unwrap(), 3);
    let mut north = client_of(&cluster, 3).await;
    let local = cells(&mut north, "SELECT data_center, rack FROM system.local");
    assert_eq!(local.await, [Some(b"north".to_vec()), Some(b"r9".to_vec())]);
    cluster.stop_node(3).await.unwrap();
    cluster.start_node(3).await.unwrap();
    cluster.remove_node(3).await.unwrap();
    cluster.add_node(3).await.unwrap();
    client_of(&cluster, 3).await;
    let nameless = NewNode::default().rack("");
    assert!(cluster.add_new_node(nameless).await.is_err());
    assert_eq!(cluster.contact_points().len(), 4);
}

#[tokio::test]
async fn a_node_that_is_decommissioned_leaves_in_order() {
    let cluster = Cluster::builder().nodes(2).start().await.unwrap();
    let mut client = client_of(&cluster, 0).await;
    let kinds = [vec![0, 2], string("TOPOLOGY_CHANGE"), string("STATUS_CHANGE")].concat();
    client.call(REGISTER, &kinds).await;
    cluster.pause_node(1).await.unwrap();
    assert!(cluster.decommission_node(1).await.is_err());
    cluster.resume_node(1).await.unwrap();
    cluster.decommission_node(1).await.unwrap();
    for expect in ["DOWN", "REMOVED_NODE"] {
        assert_eq!(event(&client.receive().await.unwrap()).1, expect);
    }
    assert_eq!(cells(&mut client, "SELECT peer FROM system.peers").await, []);
    assert!(TcpStream::connect(cluster.contact_points()[1]).await.is_err());
    assert!(cluster.decommission_node(0).await.is_err());
    assert!(cluster.decommission_node(5).await.is_err());
    assert!(cluster.start_node(1).await.is_err());
    cluster.add_node(1).await.unwrap();
    assert_eq!(event(&client.receive().await.unwrap()).1, "NEW_NODE");
}

/// The official driver under load: idempotent writes, one after the other.
async fn load(
    session: Arc<Session>,
    insert: PreparedStatement,
    ends: Arc<AtomicBool>,
) -> Result<i64, String> {
    let mut k = 0;
    while !ends.load(Ordering::Relaxed) {
        session.execute_unpaged(&insert, (k,)).await.map_err(|error| format!("{k}: {error}"))?;
        k += 1;
    }
    Ok(k)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_driver_uses_a_new_node_and_misses_none_that_leaves() {
    let cluster = Cluster::builder().nodes(3).shards(2).start().await.unwrap();
    let points = cluster.contact_points();
    let session = SessionBuilder::new().known_node_addr(points[0]).build().await.unwrap();
    let create = "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', \
                  'replication_factor': 2}";
    session.query_unpaged(create, &[]).await.unwrap();
    session.query_unpaged("CREATE TABLE ks.t (k bigint PRIMARY KEY)", &[]).await.unwrap();
    let mut insert = session.prepare("INSERT INTO ks.t (k) VALUES (?)").await.unwrap();
    insert.set_is_idempotent(true);
    let (session, ends) = (Arc::new(session), Arc::new(AtomicBool::new(false)));
    let load = tokio::spawn(load(Arc::clone(&session), insert.clone(), Arc::clone(&ends)));
    let node = cluster.add_new_node(NewNode::default()).await.unwrap();
    let is_right = async |what: &str| {
        cluster.reset_counters();
        let mut total = cluster.counters().total();
        for _ in 0..4000 {
            total = cluster.counters().total();
            if total.wrong_node + total.wrong_shard > 0 {
                cluster.reset_counters();
            } else if total.right > 100 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("{what}: {total:?}");
    };
    is_right("with a fourth node").await;
    let of_new = &cluster.counters().nodes[node];
    assert!(of_new.shards.iter().all(|shard| shard.right > 0), "{of_new:?}");
    cluster.decommission_node(1).await.unwrap();
    is_right("without the second").await;
    ends.store(true, Ordering::Relaxed);
    let written = load.await.unwrap().unwrap();
    let rows = session.query_unpaged("SELECT k FROM ks.t", &[]).await.unwrap();
    let count = rows.into_rows_result().unwrap().rows_num();
    assert_eq!(i64::try_from(count).unwrap(), written);
}

#[tokio::test]
async fn the_admin_port_adds_nodes_and_changes_tablets() {
    let admin = ([127, 0, 0, 1], 0).into();
    let cluster = Cluster::builder().nodes(2).tablets(true).admin(admin).start().await.unwrap();
    let mut client = client_of(&cluster, 0).await;
    client
        .run(
            "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', \
             'replication_factor': 1} AND tablets = {'initial': 1}",
        )
        .await;
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY)").await;
    let mut stream =
        BufReader::new(std::net::TcpStream::connect(cluster.admin().unwrap()).unwrap());
    let mut ask = |request: Value| -> Value {
        writeln!(stream.get_mut(), "{request}").unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    let ok = json!({ "ok": true });
    let added = ask(json!({ "cmd": "add_node", "rack": "rack7" }));
    let address = cluster.contact_points()[2].ip().to_string();
    assert_eq!(added, json!({ "ok": true, "node": 2, "address": address }));
    let table = |cmd: &str| json!({ "cmd": cmd, "keyspace": "ks", "table": "t" });
    assert_eq!(ask(table("split_tablets")), ok);
    assert_eq!(ask(table("merge_tablets")), ok);
    assert!(ask(table("merge_tablets"))["error"].as_str().unwrap().contains("one tablet alone"));
    let mut move_it = |from: usize, to: usize| {
        let [from, to] = [from, to].map(|node| json!({ "node": node, "shard": 0 }));
        ask(json!({
            "cmd": "move_tablet", "keyspace": "ks", "table": "t", "token": 5, "from": from, "to": to
        }))
    };
    let moved: Vec<Value> = (0..3).map(|from| move_it(from, (from + 1) % 3)).collect();
    assert!(moved.contains(&ok), "{moved:?}");
    let both = ask(json!({ "cmd": "add_node", "node": 1, "rack": "r" }));
    assert!(both["error"].as_str().unwrap().starts_with("datacenter, rack:"), "{both}");
    let typo = ask(json!({ "cmd": "add_node", "nod": 1 }));
    assert!(typo["error"].as_str().unwrap().contains("unknown field `nod`"), "{typo}");
    assert_eq!(ask(json!({ "cmd": "decommission_node", "node": 2 })), ok);
    let rule = json!({ "opcode": "QUREY", "action": "drop" });
    let wrong = ask(json!({ "cmd": "fault", "rule": rule }));
    assert!(wrong["error"].as_str().unwrap().starts_with("opcode:"), "{wrong}");
    let rule = json!({ "action": "wrong_shard" });
    assert_eq!(ask(json!({ "cmd": "fault", "rule": rule })), ok);
}
