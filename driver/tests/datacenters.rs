//! A session that prefers a datacenter, against nodes that count what arrives.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::time::Duration;

use common::{builder, keyspace};
use shardwire::{ErrorKind, Event, Session};
use shardwire_server::Cluster;

/// Nodes 0, 2 and 4 are in the east, the others in the west; four rows of nodes make two racks.
async fn cluster() -> Cluster {
    Cluster::builder().nodes(8).datacenters(["east", "west"]).racks(2).start().await.unwrap()
}

/// Requests that arrived at each node.
fn arrived(cluster: &Cluster) -> Vec<u64> {
    let of_node = |node: &shardwire_server::NodeCounters| {
        node.shards.iter().map(|s| s.right + s.wrong_shard + s.wrong_node + s.unrouted).sum()
    };
    cluster.counters().nodes.iter().map(of_node).collect()
}

async fn insert_rows(cluster: &Cluster, session: &Session) -> Vec<u64> {
    let insert = session.prepare("INSERT INTO k.t (id) VALUES (?)").await.unwrap();
    cluster.reset_counters();
    for id in 0..400_i64 {
        session.execute_unpaged(&insert, (id,)).await.unwrap();
    }
    assert_eq!(cluster.counters().total().wrong_node, 0);
    arrived(cluster)
}

#[tokio::test]
async fn requests_stay_in_the_preferred_datacenter() {
    let cluster = cluster().await;
    let session = builder(&cluster).prefer_datacenter("west").build().await.unwrap();
    keyspace(&session, 2).await;
    session.query_unpaged("CREATE TABLE k.t (id bigint PRIMARY KEY)", ()).await.unwrap();
    let arrived = insert_rows(&cluster, &session).await;
    for (node, count) in arrived.iter().enumerate() {
        assert_eq!(*count > 0, node % 2 == 1, "{arrived:?}");
    }

    // One replica of each rack: all in rack2, which has every other node of the datacenter.
    let builder = builder(&cluster).prefer_datacenter_and_rack("west", "rack2");
    let session = builder.build().await.unwrap();
    let arrived = insert_rows(&cluster, &session).await;
    for (node, count) in arrived.iter().enumerate() {
        assert_eq!(*count > 0, [3, 7].contains(&node), "{arrived:?}");
    }
}

#[tokio::test]
async fn another_datacenter_is_used_only_where_it_is_permitted() {
    let cluster = Cluster::builder().nodes(2).datacenters(["east", "west"]).start().await.unwrap();
    let prefer_west = builder(&cluster).prefer_datacenter("west");
    let timeout = Some(Duration::from_millis(300));
    let strict = prefer_west.clone().request_timeout(timeout).build().await.unwrap();
    let lenient = prefer_west.permit_dc_failover(true).build().await.unwrap();
    keyspace(&lenient, 1).await;
    lenient.query_unpaged("CREATE TABLE k.t (id bigint PRIMARY KEY)", ()).await.unwrap();
    assert_eq!(insert_rows(&cluster, &lenient).await, [0, 400]);
    let insert = strict.prepare("INSERT INTO k.t (id) VALUES (?)").await.unwrap();
    strict.execute_unpaged(&insert, (1_i64,)).await.unwrap();

    let mut events = strict.events();
    cluster.stop_node(1).await.unwrap();
    while !matches!(events.next().await, Some(Event::Disconnected(_))) {}
    assert_eq!(insert_rows(&cluster, &lenient).await, [400, 0]);
    let error = strict.execute_unpaged(&insert, (1_i64,)).await.unwrap_err();
    assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Timeout, false));

    cluster.start_node(1).await.unwrap();
    while !matches!(events.next().await, Some(Event::Connected(_))) {}
    strict.execute_unpaged(&insert, (1_i64,)).await.unwrap();
}
