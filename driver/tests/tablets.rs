//! Requests learn where tablets are, and go there: to the node and the shard.
//!
//! The nodes count what arrives at a wrong place; each tablet may be met there once.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::collections::BTreeSet;

use common::{at_once, builder, start};
use shardwire::{Batch, BatchType, PreparedStatement, Session, Token};
use shardwire_server::{Cluster, ClusterBuilder, TabletHome};

/// Partitions of a pass: enough to meet all tablets.
const PARTITIONS: i64 = 400;

fn three_nodes() -> ClusterBuilder {
    Cluster::builder().nodes(3).shards(4)
}

async fn keyspace(session: &Session, name: &str, factor: usize, tablets: usize) {
    let text = format!(
        "CREATE KEYSPACE {name} WITH replication = {{'class': 'NetworkTopologyStrategy', \
         'replication_factor': {factor}}} AND tablets = {{'enabled': {}, 'initial': {tablets}}}",
        tablets > 0
    );
    let text = if tablets > 0 { text } else { text.replace(", 'initial': 0", "") };
    session.query_unpaged(text, ()).await.unwrap();
    let table = format!("CREATE TABLE {name}.t (id bigint PRIMARY KEY, n int)");
    session.query_unpaged(table, ()).await.unwrap();
}

async fn insert(session: &Session, keyspace: &str) -> PreparedStatement {
    session.prepare(format!("INSERT INTO {keyspace}.t (n, id) VALUES (?, ?)")).await.unwrap()
}

/// Requests one after the other until it is known where each partition is; how many did not arrive
/// there. Where a request arrives by chance nothing is learned, so some take several, and those
/// that can't but arrive where they belong are given up.
async fn learn(cluster: &Cluster, session: &Session, insert: &PreparedStatement) -> u64 {
    cluster.reset_counters();
    for id in 0..PARTITIONS {
        for _ in 0..64 {
            if !homes(session, insert, id).is_empty() {
                break;
            }
            session.execute_unpaged(insert, (1_i32, id)).await.unwrap();
        }
    }
    let total = cluster.counters().total();
    total.wrong_node + total.wrong_shard
}

/// Requests for each partition, one after the other; how many did not arrive where they belong.
async fn pass(cluster: &Cluster, session: &Session, insert: &PreparedStatement) -> u64 {
    cluster.reset_counters();
    for id in 0..PARTITIONS {
        session.execute_unpaged(insert, (1_i32, id)).await.unwrap();
    }
    wrong(cluster)
}

fn wrong(cluster: &Cluster) -> u64 {
    let total = cluster.counters().total();
    let wrong = total.wrong_node + total.wrong_shard;
    assert_eq!((total.right + wrong, total.unrouted), (PARTITIONS.cast_unsigned(), 0), "{total:?}");
    wrong
}

fn token_of(insert: &PreparedStatement, id: i64) -> Token {
    insert.calculate_token(&(1_i32, id)).unwrap().unwrap()
}

/// Nodes, by their index, and shards that a partition is known to be at.
fn homes(session: &Session, insert: &PreparedStatement, id: i64) -> Vec<(usize, u16)> {
    let replicas = session.replicas_of(insert, &(1_i32, id)).unwrap();
    let index = |address: std::net::IpAddr| match address {
        std::net::IpAddr::V4(address) => usize::from(address.octets()[3]) - 1,
        std::net::IpAddr::V6(_) => unreachable!("nodes have IPv4 addresses"),
    };
    replicas.iter().map(|replica| (index(replica.node.address), replica.shard.unwrap())).collect()
}

#[tokio::test]
async fn each_tablet_is_learned_once() {
    for (factor, tablets) in [(1, 1), (2, 16), (3, 64)] {
        let (cluster, session) = start(three_nodes()).await;
        keyspace(&session, "k", factor, tablets).await;
        let insert = insert(&session, "k").await;
        assert_eq!(homes(&session, &insert, 1), [], "nobody has told yet");
        let missed = learn(&cluster, &session, &insert).await;
        assert!(missed > 0 && missed <= tablets as u64, "{missed} of {tablets}");
        assert_eq!(pass(&cluster, &session, &insert).await, 0);
        // Another statement knows what the first one has learned, a session of its own does not.
        let text = "SELECT n FROM k.t WHERE id = ?";
        let select = session.prepare(text).await.unwrap();
        let stranger = builder(&cluster).build().await.unwrap();
        let by_stranger = stranger.prepare(text).await.unwrap();
        assert_eq!(stranger.replicas_of(&by_stranger, &(1_i64,)).unwrap().len(), 0);
        cluster.reset_counters();
        for id in 0..PARTITIONS {
            let rows = session.execute_unpaged(&select, (id,)).await.unwrap();
            assert_eq!(rows.into_rows_result().unwrap().rows_num(), 1);
        }
        assert_eq!(wrong(&cluster), 0);
        assert_eq!(homes(&session, &insert, 1).len(), factor);
    }
}

/// Where all nodes have a replica, all have their part of the requests.
#[tokio::test]
async fn replicas_share_the_load() {
    let (cluster, session) = start(three_nodes()).await;
    keyspace(&session, "k", 3, 8).await;
    let insert = insert(&session, "k").await;
    learn(&cluster, &session, &insert).await;
    assert_eq!(pass(&cluster, &session, &insert).await, 0);
    for node in &cluster.counters().nodes {
        let right: u64 = node.shards.iter().map(|shard| shard.right).sum();
        assert!(right > PARTITIONS.cast_unsigned() / 6, "{:?}", cluster.counters());
    }
}

/// Of many requests at once for tablets that nobody knows some learn and none waits.
#[tokio::test]
async fn many_learn_at_once() {
    let (cluster, session) = start(three_nodes()).await;
    keyspace(&session, "k", 2, 32).await;
    let insert = insert(&session, "k").await;
    for _ in 0..2 {
        let requests = (0..PARTITIONS).map(|id| session.execute_unpaged(&insert, (1_i32, id)));
        assert!(at_once(requests).await.iter().all(Result::is_ok));
    }
    // What two have learned in the same moment may be known of one alone.
    learn(&cluster, &session, &insert).await;
    assert_eq!(pass(&cluster, &session, &insert).await, 0);
}

#[tokio::test]
async fn a_tablet_that_moves_is_learned_anew() {
    let (cluster, session) = start(three_nodes()).await;
    keyspace(&session, "k", 1, 8).await;
    let insert = insert(&session, "k").await;
    learn(&cluster, &session, &insert).await;
    let [(node, shard)] = homes(&session, &insert, 7)[..] else { panic!("one replica") };
    for to in
        [TabletHome { node, shard: (shard + 1) % 4 }, TabletHome { node: (node + 1) % 3, shard: 2 }]
    {
        let [(node, shard)] = homes(&session, &insert, 7)[..] else { panic!("one replica") };
        let token = token_of(&insert, 7).0;
        cluster.move_tablet("k", "t", token, TabletHome { node, shard }, to).await.unwrap();
        assert_eq!(pass(&cluster, &session, &insert).await, 1);
        assert_eq!(homes(&session, &insert, 7), [(to.node, to.shard)]);
        assert_eq!(pass(&cluster, &session, &insert).await, 0);
    }
}

#[tokio::test]
async fn tablets_are_cut_and_put_together() {
    let (cluster, session) = start(three_nodes()).await;
    keyspace(&session, "k", 1, 4).await;
    let insert = insert(&session, "k").await;
    learn(&cluster, &session, &insert).await;
    // The halves are where the whole was.
    cluster.split_tablets("k", "t").await.unwrap();
    assert_eq!(pass(&cluster, &session, &insert).await, 0);
    for _ in 0..3 {
        cluster.merge_tablets("k", "t").await.unwrap();
    }
    assert!(pass(&cluster, &session, &insert).await > 0);
    assert_eq!(pass(&cluster, &session, &insert).await, 0);
    let all: BTreeSet<_> = (0..PARTITIONS).map(|id| homes(&session, &insert, id)).collect();
    assert_eq!(all.len(), 1, "there is one tablet");
}

/// A request that reaches one of the replicas is not told of a new one: the change of the keyspace
/// tells it.
#[tokio::test]
async fn new_replicas_get_their_share() {
    let (cluster, session) = start(three_nodes()).await;
    keyspace(&session, "k", 1, 8).await;
    let insert = insert(&session, "k").await;
    learn(&cluster, &session, &insert).await;
    for factor in [2, 3] {
        let text = format!(
            "ALTER KEYSPACE k WITH replication = \
             {{'class': 'NetworkTopologyStrategy', 'datacenter1': {factor}}}"
        );
        session.query_unpaged(text, ()).await.unwrap();
        session.refresh_metadata().await.unwrap();
        assert_eq!(homes(&session, &insert, 1), [], "what was known is forgotten");
        learn(&cluster, &session, &insert).await;
        assert_eq!(pass(&cluster, &session, &insert).await, 0);
        let known: Vec<_> = (0..PARTITIONS).map(|id| homes(&session, &insert, id).len()).collect();
        assert!(known.iter().all(|len| [0, factor].contains(len)), "{known:?}");
        assert!(known.contains(&factor));
    }
}

/// What a node had that has left is elsewhere; those that stay do not tell of it.
#[tokio::test]
async fn a_node_that_leaves_is_forgotten() {
    let (cluster, session) = start(three_nodes()).await;
    keyspace(&session, "k", 2, 16).await;
    let insert = insert(&session, "k").await;
    learn(&cluster, &session, &insert).await;
    cluster.decommission_node(2).await.unwrap();
    session.refresh_metadata().await.unwrap();
    assert_eq!(session.nodes().len(), 2);
    let known = (0..PARTITIONS).map(|id| homes(&session, &insert, id));
    assert!(known.clone().flatten().all(|(node, _)| node != 2));
    assert!(known.clone().all(|homes| homes.is_empty() || homes.len() == 2));
    learn(&cluster, &session, &insert).await;
    assert_eq!(pass(&cluster, &session, &insert).await, 0);
}

/// What goes by the ring and what goes by tablets is told by the keyspace, also when it is made
/// anew under a statement.
#[tokio::test]
async fn keyspaces_with_and_without_tablets() {
    let (cluster, session) = start(three_nodes().tablets(true)).await;
    keyspace(&session, "k", 2, 0).await;
    keyspace(&session, "l", 2, 8).await;
    let (by_ring, by_tablets) = (insert(&session, "k").await, insert(&session, "l").await);
    assert_eq!(session.replicas("k", Token(7)).len(), 2);
    assert_eq!(session.replicas("l", Token(7)).len(), 0);
    assert_eq!(pass(&cluster, &session, &by_ring).await, 0);
    learn(&cluster, &session, &by_tablets).await;
    assert_eq!(pass(&cluster, &session, &by_tablets).await, 0);
    for (name, tablets) in [("k", 8), ("l", 0)] {
        session.query_unpaged(format!("DROP KEYSPACE {name}"), ()).await.unwrap();
        keyspace(&session, name, 2, tablets).await;
    }
    let (by_tablets, by_ring) = (by_ring, by_tablets);
    assert_eq!(pass(&cluster, &session, &by_ring).await, 0);
    learn(&cluster, &session, &by_tablets).await;
    assert_eq!(pass(&cluster, &session, &by_tablets).await, 0);
}

/// A batch goes where its first statement belongs, a condition to the first of the replicas.
#[tokio::test]
async fn batches_and_conditions_go_by_tablets() {
    let (cluster, session) = start(three_nodes()).await;
    keyspace(&session, "k", 3, 8).await;
    let insert = insert(&session, "k").await;
    learn(&cluster, &session, &insert).await;
    let batch = Batch::new_with_statements(BatchType::Unlogged, vec![insert.clone().into()]);
    cluster.reset_counters();
    for id in 0..PARTITIONS {
        session.batch(&batch, [(1_i32, id)]).await.unwrap();
    }
    assert_eq!(wrong(&cluster), 0);
    let text = "UPDATE k.t SET n = ? WHERE id = ? IF n = 1";
    let update = session.prepare(text).await.unwrap();
    cluster.reset_counters();
    for _ in 0..PARTITIONS {
        session.execute_unpaged(&update, (1_i32, 7_i64)).await.unwrap();
    }
    assert_eq!(wrong(&cluster), 0);
    let (node, shard) = homes(&session, &update, 7)[0];
    let there = cluster.counters().nodes[node].shards[usize::from(shard)].right;
    assert_eq!(there, PARTITIONS.cast_unsigned());
}

/// Pages of a partition come from where its tablet is.
#[tokio::test]
async fn pages_learn_too() {
    let (cluster, session) = start(three_nodes()).await;
    keyspace(&session, "k", 1, 8).await;
    let table = "CREATE TABLE k.w (id bigint, n int, PRIMARY KEY (id, n))";
    session.query_unpaged(table, ()).await.unwrap();
    let fill = session.prepare("INSERT INTO k.w (id, n) VALUES (?, ?)").await.unwrap();
    for n in 0..10_i32 {
        session.execute_unpaged(&fill, (1_i64, n)).await.unwrap();
    }
    let fresh = builder(&cluster).build().await.unwrap();
    let mut select = fresh.prepare("SELECT n FROM k.w WHERE id = ?").await.unwrap();
    select.set_page_size(1);
    cluster.reset_counters();
    let (mut state, mut rows) = (None, 0);
    loop {
        let (page, paging) = fresh.execute_single_page(&select, (1_i64,), state).await.unwrap();
        rows += page.rows_result().unwrap().rows_num();
        state = paging.into_paging_state();
        if state.is_none() {
            break;
        }
    }
    let total = cluster.counters().total();
    assert_eq!(rows, 10);
    assert!(total.wrong_node + total.wrong_shard <= 1, "{total:?}");
    assert_eq!(fresh.replicas_of(&select, &(1_i64,)).unwrap().len(), 1);
}
