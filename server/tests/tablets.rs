//! Tablets: what CQL says of them, what replies tell, and how the official driver follows them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::{Client, Cursor, EXECUTE, QUERY, RESULT, Reply, rows, short_bytes, value};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::prepared::PreparedStatement;
use shardwire_protocol::routing::{Partitioner, Token, token_of_key};
use shardwire_protocol::tablets::Tablet;
use shardwire_server::{Cluster, NewNode, Persona, TabletHome};

const SYNTAX: i32 = 0x2000;
const INVALID: i32 = 0x2200;
const CONFIGURATION: i32 = 0x2300;

/// A keyspace with so many replicas and tablets per table.
fn keyspace(factor: usize, initial: usize) -> String {
    format!(
        "CREATE KEYSPACE ks WITH replication = {{'class': 'NetworkTopologyStrategy', \
         'replication_factor': {factor}}} AND tablets = {{'enabled': true, 'initial': {initial}}}"
    )
}

async fn three_nodes() -> Cluster {
    Cluster::builder().nodes(3).shards(2).seed(3).start().await.unwrap()
}

async fn refused(client: &mut Client, text: &str) -> (i32, String) {
    client.call(QUERY, &client.query(text, 0, &[])).await.error()
}

fn int(cell: &Option<Vec<u8>>) -> i32 {
    i32::from_be_bytes(cell.as_deref().unwrap().try_into().unwrap())
}

/// The cells of a query's result.
async fn cells(client: &mut Client, text: &str) -> Vec<Option<Vec<u8>>> {
    let reply = client.run(text).await;
    // Types of several words: names are skipped by asking for known columns only.
    rows(&reply).cells
}

#[tokio::test]
async fn keyspaces_say_whether_their_tables_have_tablets() {
    let cluster = three_nodes().await;
    let mut client = Client::started(&cluster, 4).await;
    client.run(&keyspace(2, 3)).await;
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY, v int)").await;
    let initial = "SELECT initial_tablets FROM system_schema.scylla_keyspaces \
                   WHERE keyspace_name = 'ks'";
    assert_eq!(int(&cells(&mut client, initial).await[0]), 3);
    let described = client.run("DESCRIBE KEYSPACE ks").await;
    let text = String::from_utf8_lossy(&described.body).into_owned();
    assert!(text.contains("AND tablets = {'enabled': true, 'initial': 3}"), "{text}");
    // Powers of two, the same whoever is asked.
    let all = "SELECT last_token, tablet_count FROM system.tablets";
    let lasts = cells(&mut client, all).await;
    let last =
        |row: usize| i64::from_be_bytes(lasts[2 * row].as_deref().unwrap().try_into().unwrap());
    assert_eq!(
        [last(0), last(1), last(2), last(3)],
        [i64::MIN / 2 - 1, -1, i64::MAX / 2, i64::MAX]
    );
    assert_eq!((int(&lasts[1]), lasts.len()), (4, 8));
    // A view has its own, and a table keeps those that it has when it is altered.
    client
        .run(
            "CREATE MATERIALIZED VIEW ks.by_v AS SELECT * FROM ks.t WHERE v IS NOT NULL AND \
             k IS NOT NULL PRIMARY KEY (v, k)",
        )
        .await;
    cluster.split_tablets("ks", "t").await.unwrap();
    client.run("ALTER TABLE ks.t ADD w int").await;
    client.run("INSERT INTO ks.t (k, v) VALUES (1, 2)").await;
    assert_eq!(cells(&mut client, "SELECT k FROM ks.by_v WHERE v = 2").await.len(), 1);
    assert_eq!(cells(&mut client, all).await.len(), 2 * (8 + 4));
    client.run("DROP MATERIALIZED VIEW ks.by_v").await;
    // Other keyspaces have none, and no tablet of a dropped table is left.
    client
        .run(
            "CREATE KEYSPACE vnodes WITH replication = {'class': 'NetworkTopologyStrategy', \
             'datacenter1': 1} AND tablets = {'enabled': false}",
        )
        .await;
    client.run("CREATE TABLE vnodes.t (k int PRIMARY KEY, v int)").await;
    client.run("DROP TABLE ks.t").await;
    assert_eq!(cells(&mut client, all).await, []);
    let initial = initial.replace("'ks'", "'vnodes'");
    assert_eq!(cells(&mut client, &initial).await, [None]);
}

#[tokio::test]
async fn what_tablets_cannot_do_is_refused_in_scylladbs_words() {
    let cluster = three_nodes().await;
    let mut client = Client::started(&cluster, 4).await;
    let with = |class: &str, tablets: &str| {
        format!("CREATE KEYSPACE x WITH replication = {class} AND tablets = {tablets}")
    };
    let simple = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
    let network = "{'class': 'NetworkTopologyStrategy', 'datacenter1': 1}";
    for (class, tablets, code, text) in [
        (simple, "{'enabled': true}", CONFIGURATION, "SimpleStrategy doesn't support tablet"),
        (network, "{'enabled': maybe}", SYNTAX, ""),
        (network, "{'enabled': 'maybe'}", CONFIGURATION, "must be true or false; found: maybe"),
        (network, "{'initial': 'few'}", CONFIGURATION, "should be numeric; found few"),
        (network, "{'initial': 9000}", CONFIGURATION, "value 9000 is above 8192"),
        (network, "{'final': 3}", CONFIGURATION, "Unrecognized tablets option final"),
        (network, "true", SYNTAX, "Invalid value for property 'tablets'"),
    ] {
        let (got, message) = refused(&mut client, &with(class, tablets)).await;
        assert!(got == code && message.contains(text), "{tablets}: {got:x} {message}");
    }
    client.run(&keyspace(2, 1)).await;
    for (statement, code, text) in [
        (
            "CREATE TABLE ks.c (k int PRIMARY KEY, n counter)",
            INVALID,
            "Cannot use the 'counter' type for table ks.c: Counters are not yet supported with \
             tablets",
        ),
        (
            "CREATE TABLE ks.c (k int PRIMARY KEY) WITH cdc = {'enabled': true}",
            INVALID,
            "Cannot create CDC log for a table ks.c, because keyspace uses tablets.",
        ),
        (
            "ALTER KEYSPACE ks WITH tablets = {'enabled': false}",
            INVALID,
            "Cannot alter replication strategy vnode/tablets flavor",
        ),
        (
            "ALTER KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', \
             'replication_factor': 1}",
            CONFIGURATION,
            "SimpleStrategy doesn't support tablet replication",
        ),
    ] {
        let (got, message) = refused(&mut client, statement).await;
        assert!(got == code && message.contains(text), "{statement}: {got:x} {message}");
    }
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY)").await;
    let alter = |factor: usize| {
        format!(
            "ALTER KEYSPACE ks WITH replication = {{'class': 'NetworkTopologyStrategy', \
             'datacenter1': {factor}}}"
        )
    };
    client.run(&alter(3)).await;
    let (code, message) = refused(&mut client, &alter(1)).await;
    assert!(code == INVALID && message.contains("not by more than 1"), "{message}");
    let enough = "Datacenter datacenter1 doesn't have enough token-owning nodes for \
                  replication_factor=4";
    assert_eq!(refused(&mut client, &alter(4)).await, (CONFIGURATION, enough.to_owned()));
    client
        .run(
            "CREATE KEYSPACE wide WITH replication = {'class': 'NetworkTopologyStrategy', \
             'datacenter1': 4} AND tablets = {'enabled': true}",
        )
        .await;
    let create = "CREATE TABLE wide.t (k int PRIMARY KEY)";
    assert_eq!(refused(&mut client, create).await, (CONFIGURATION, enough.to_owned()));
    // Who has them is still told.
    let error = cluster.remove_node(2).await.unwrap_err();
    assert!(error.to_string().contains("replication_factor=3"), "{error}");
    client.run(&alter(2)).await;
    cluster.remove_node(2).await.unwrap();
}

#[tokio::test]
async fn tablets_may_be_the_default_and_cassandra_has_none() {
    let cluster = Cluster::builder().tablets(true).start().await.unwrap();
    let mut client = Client::started(&cluster, 4).await;
    for (name, class) in [("a", "NetworkTopologyStrategy"), ("b", "SimpleStrategy")] {
        let text = format!(
            "CREATE KEYSPACE {name} WITH replication = {{'class': '{class}', \
             'replication_factor': 1}}"
        );
        client.run(&text).await;
    }
    let text = "SELECT initial_tablets FROM system_schema.scylla_keyspaces WHERE keyspace_name = ";
    assert_eq!(int(&cells(&mut client, &format!("{text}'a'")).await[0]), 0);
    assert_eq!(cells(&mut client, &format!("{text}'b'")).await, [None]);
    let cassandra = Cluster::builder().persona(Persona::Cassandra);
    assert!(cassandra.clone().tablets(true).start().await.is_err());
    let cluster = cassandra.start().await.unwrap();
    let mut client = Client::started(&cluster, 4).await;
    assert_eq!(refused(&mut client, &keyspace(1, 1)).await.0, SYNTAX);
}

/// A reply's `tablets-routing-v1`, and what follows the payload.
fn told(reply: &Reply) -> Option<(Vec<u8>, Vec<u8>)> {
    if reply.flags & 4 == 0 {
        return None;
    }
    let mut cursor = Cursor(&reply.body);
    assert_eq!((cursor.short(), cursor.string().as_str()), (1, "tablets-routing-v1"));
    let len = usize::try_from(cursor.int()).unwrap();
    Some((cursor.take(len), cursor.0.to_vec()))
}

#[tokio::test]
async fn replies_from_the_wrong_shard_tell_of_the_tablet_to_who_asked() {
    let cluster = three_nodes().await;
    let mut client = Client::open(&cluster, 4).await;
    client.startup(&[("TABLETS_ROUTING_V1", "")]).await;
    let mut other = Client::started(&cluster, 4).await;
    client.run(&keyspace(2, 16)).await;
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY, v int)").await;
    let id: [u8; 16] = {
        let local = cells(&mut client, "SELECT host_id FROM system.local").await;
        local[0].as_deref().unwrap().try_into().unwrap()
    };
    let text = "UPDATE ks.t SET v = 1 WHERE k = ?";
    let (prepared, same) = (client.prepare(text).await, other.prepare(text).await);
    cluster.reset_counters();
    let (mut elsewhere, mut right) = (0, 0);
    for key in 0..64_i32 {
        let body = [&[0, 1][..], &value(&key.to_be_bytes())].concat();
        let reply = client.call(EXECUTE, &client.execute(&prepared, 1, &body)).await;
        assert_eq!(reply.opcode, RESULT);
        let Some((content, rest)) = told(&reply) else {
            right += 1;
            continue;
        };
        assert_eq!(rest, [0, 0, 0, 1]); // VOID
        let tablet = Tablet::parse(&content).unwrap();
        let token = token_of_key(&key.to_be_bytes(), Partitioner::Murmur3);
        assert!(tablet.contains(token), "{tablet:?} {token:?}");
        assert_eq!(tablet.replicas().len(), 2);
        // The first connection to the plain port is one of shard 0.
        let is_here =
            tablet.replicas().any(|home| (*home.host_id.as_bytes(), home.shard) == (id, 0));
        assert!(!is_here, "{tablet:?}");
        elsewhere += 1;
        // Who has not asked is not told, and a QUERY tells nobody.
        let reply = other.call(EXECUTE, &other.execute(&same, 1, &body)).await;
        assert_eq!(told(&reply), None);
        let literal = format!("UPDATE ks.t SET v = 1 WHERE k = {key}");
        assert_eq!(told(&client.run(&literal).await), None);
    }
    assert!(right > 5 && elsewhere > 30, "{right} right, {elsewhere} elsewhere");
    let shard = cluster.counters().nodes[0].shards[0];
    assert_eq!((shard.right, shard.wrong_shard + shard.wrong_node), (right, elsewhere));
}

#[tokio::test]
async fn levels_count_the_replicas_of_the_tablet() {
    let cluster = three_nodes().await;
    let mut client = Client::started(&cluster, 4).await;
    client.run(&keyspace(1, 1)).await;
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY, v int)").await;
    client.run("INSERT INTO ks.t (k, v) VALUES (1, 1)").await;
    let nodes = cluster.endpoints("ks", "t", "1").await.unwrap();
    let points = cluster.contact_points();
    let holder = points.iter().position(|point| point.ip() == nodes[0]).unwrap();
    assert_eq!(nodes.len(), 1);
    // All partitions are in the one tablet: its only replica decides on everything.
    let to = (holder + 1) % 3;
    let home = |node| TabletHome { node, shard: 0 };
    let moved = cluster.move_tablet("ks", "t", 0, home(holder), home(to)).await;
    let moved = match moved {
        Err(_) => {
            let from = TabletHome { node: holder, shard: 1 };
            cluster.move_tablet("ks", "t", 0, from, home(to)).await
        }
        moved => moved,
    };
    moved.unwrap();
    let asked = (0..3).find(|node| *node != to).unwrap();
    let mut client = {
        let socket = tokio::net::TcpStream::connect(points[asked]).await.unwrap();
        let mut client = Client::over(Box::new(socket), 4);
        client.startup(&[]).await;
        client
    };
    cluster.stop_node(to).await.unwrap();
    let unavailable = 0x1000;
    for text in ["SELECT * FROM ks.t WHERE k = 1", "INSERT INTO ks.t (k) VALUES (2)"] {
        assert_eq!(refused(&mut client, text).await.0, unavailable, "{text}");
    }
    cluster.start_node(to).await.unwrap();
    client.run("SELECT * FROM ks.t WHERE k = 1").await;
    let error = cluster.move_tablet("ks", "t", 0, home(to), home(9)).await.unwrap_err();
    assert_eq!(error.to_string(), "to: there is no node 9");
    let away = TabletHome { node: to, shard: 7 };
    let error = cluster.move_tablet("ks", "t", 0, home(to), away).await.unwrap_err();
    assert_eq!(error.to_string(), "to: shard 7 of nodes with 2 shards");
    let error = cluster.move_tablet("ks", "t", 0, home(asked), home(to)).await.unwrap_err();
    assert!(error.to_string().starts_with("to: node"), "{error}");
    assert!(cluster.merge_tablets("ks", "t").await.is_err());
    assert!(cluster.split_tablets("ks", "u").await.is_err());
}

#[tokio::test]
async fn scans_and_token_ranges_see_every_row_once() {
    let cluster = three_nodes().await;
    let mut client = Client::started(&cluster, 4).await;
    client.run(&keyspace(2, 8)).await;
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY, v int)").await;
    for key in 0..50 {
        client.run(&format!("INSERT INTO ks.t (k, v) VALUES ({key}, 1) IF NOT EXISTS")).await;
    }
    cluster.split_tablets("ks", "t").await.unwrap();
    let halves = ["token(k) <= -1", "token(k) > -1"];
    let mut found = 0;
    for half in halves {
        found += cells(&mut client, &format!("SELECT k FROM ks.t WHERE {half}")).await.len();
    }
    assert_eq!(found, 50);
    assert_eq!(cells(&mut client, "SELECT k FROM ks.t").await.len(), 50);
}

#[tokio::test]
async fn a_canned_node_tells_of_tablets_too() {
    let cluster = Cluster::builder().nodes(2).shards(2).canned(true).start().await.unwrap();
    let mut client = Client::open(&cluster, 4).await;
    client.startup(&[("TABLETS_ROUTING_V1", "")]).await;
    client.run(&keyspace(1, 8)).await;
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY, v int)").await;
    let prepared = client.prepare("UPDATE ks.t SET v = 1 WHERE k = ?").await;
    cluster.reset_counters();
    let mut elsewhere = 0;
    for key in (0..32_i32).chain(0..32) {
        let body = [&[0, 1][..], &value(&key.to_be_bytes())].concat();
        let body = [short_bytes(&prepared.id), client.parameters(1, &body)].concat();
        elsewhere += u64::from(told(&client.call(EXECUTE, &body).await).is_some());
    }
    let total = cluster.counters().total();
    assert_eq!(total.wrong_node + total.wrong_shard, elsewhere, "{total:?}");
    assert!(total.right > 0 && elsewhere > 0, "{total:?}");
}

/// The official driver with a statement on a table that has tablets.
async fn session(cluster: &Cluster) -> (Session, PreparedStatement) {
    let points = cluster.contact_points();
    let session = SessionBuilder::new().known_node_addr(points[0]).build().await.unwrap();
    session.query_unpaged(keyspace(2, 8), &[]).await.unwrap();
    session.query_unpaged("CREATE TABLE ks.t (k bigint PRIMARY KEY, v int)", &[]).await.unwrap();
    let mut insert = session.prepare("INSERT INTO ks.t (k, v) VALUES (?, 1)").await.unwrap();
    insert.set_is_idempotent(true);
    (session, insert)
}

/// Writes until all of a pass arrives at the right shards; no request may fail meanwhile.
async fn converges(cluster: &Cluster, session: &Session, insert: &PreparedStatement, what: &str) {
    let mut last = None;
    for _ in 0..200 {
        cluster.reset_counters();
        for k in 0..128_i64 {
            session.execute_unpaged(insert, (k,)).await.unwrap();
        }
        let total = cluster.counters().total();
        if total.right == 128 {
            return;
        }
        last = Some(total);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{what}: {last:?}");
}

/// Moves the tablet of a token to a node that does not have it.
async fn move_somewhere(cluster: &Cluster, client: &mut Client, key: i64) {
    let holders = cluster.endpoints("ks", "t", &key.to_string()).await.unwrap();
    let points = cluster.contact_points();
    let at = |holds: bool| {
        points.iter().position(|point| holders.contains(&point.ip()) == holds).unwrap()
    };
    let (from, to) = (at(true), at(false));
    let Token(token) = token_of_key(&key.to_be_bytes(), Partitioner::Murmur3);
    let mut results = Vec::new();
    for shard in 0..2 {
        let [from, to] = [TabletHome { node: from, shard }, TabletHome { node: to, shard: 1 }];
        results.push(cluster.move_tablet("ks", "t", token, from, to).await.is_ok());
    }
    assert!(results.contains(&true), "{results:?}");
    client.run("SELECT * FROM system.local").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_driver_follows_tablets_that_split_merge_and_move() {
    let cluster = three_nodes().await;
    let (session, insert) = session(&cluster).await;
    converges(&cluster, &session, &insert, "at first").await;
    cluster.split_tablets("ks", "t").await.unwrap();
    converges(&cluster, &session, &insert, "after a split").await;
    let mut client = Client::started(&cluster, 4).await;
    for key in 0..5 {
        move_somewhere(&cluster, &mut client, key).await;
    }
    converges(&cluster, &session, &insert, "after moves").await;
    cluster.merge_tablets("ks", "t").await.unwrap();
    converges(&cluster, &session, &insert, "after a merge").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_driver_follows_tablets_as_nodes_come_and_go() {
    let cluster = three_nodes().await;
    let (session, insert) = session(&cluster).await;
    converges(&cluster, &session, &insert, "at first").await;
    let node = cluster.add_new_node(NewNode::default()).await.unwrap();
    converges(&cluster, &session, &insert, "with a fourth node").await;
    let of_new = &cluster.counters().nodes[node];
    assert!(of_new.shards.iter().any(|shard| shard.right > 0), "{of_new:?}");
    cluster.decommission_node(1).await.unwrap();
    converges(&cluster, &session, &insert, "after a node has left").await;
    cluster.remove_node(2).await.unwrap();
    converges(&cluster, &session, &insert, "after a node was removed").await;
    cluster.add_node(2).await.unwrap();
    converges(&cluster, &session, &insert, "with the node back").await;
    let rows = session.query_unpaged("SELECT k FROM ks.t", &[]).await.unwrap();
    assert_eq!(rows.into_rows_result().unwrap().rows_num(), 128);
}
