//! A cluster that grows and shrinks for good, and keyspaces whose replicas the ring does not tell.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::time::Duration;

use common::{keyspace, start};
use shardwire::{Event, Events, Session};
use shardwire_server::{Cluster, NewNode};

/// Generous: the machine may be busy.
const TOOK_MAX: Duration = Duration::from_secs(20);

/// Waits until an event is told.
async fn told(events: &mut Events, is_it: impl Fn(&Event) -> bool) {
    let search = async { while !is_it(&events.next().await.expect("the session goes on")) {} };
    tokio::time::timeout(TOOK_MAX, search).await.expect("it is told");
}

async fn insert_rows(session: &Session, table: &str) {
    let insert = session.prepare(format!("INSERT INTO {table} (id) VALUES (?)")).await.unwrap();
    for id in 0..200_i64 {
        session.execute_unpaged(&insert, (id,)).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_there_was_not_before_is_found_and_used() {
    let (cluster, session) = start(Cluster::builder().nodes(2)).await;
    keyspace(&session, 1).await;
    session.query_unpaged("CREATE TABLE k.t (id bigint PRIMARY KEY)", ()).await.unwrap();
    let mut events = session.events();
    let node = cluster.add_new_node(NewNode::default().rack("other")).await.unwrap();
    let address = cluster.contact_points()[node].ip();
    told(&mut events, |event| matches!(event, Event::NodeAdded(new) if new.address == address))
        .await;
    told(&mut events, |event| matches!(event, Event::Connected(new) if new.address == address))
        .await;
    assert_eq!(session.nodes().len(), 3);
    cluster.reset_counters();
    insert_rows(&session, "k.t").await;
    let counters = cluster.counters();
    assert_eq!((counters.total().wrong_node, counters.total().right), (0, 200));
    assert!(counters.nodes[node].shards[0].right > 0, "{counters:?}");

    let first = cluster.contact_points()[0].ip();
    cluster.decommission_node(0).await.unwrap();
    told(&mut events, |event| matches!(event, Event::NodeRemoved(old) if old.address == first))
        .await;
    cluster.reset_counters();
    insert_rows(&session, "k.t").await;
    let total = cluster.counters().total();
    assert_eq!((total.wrong_node, total.right), (0, 200));
}

#[tokio::test]
async fn tablets_are_served_by_whoever_is_asked() {
    let (cluster, session) = start(Cluster::builder().nodes(3).shards(2)).await;
    session
        .query_unpaged(
            "CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', \
             'replication_factor': 2} AND tablets = {'enabled': true, 'initial': 8}",
            (),
        )
        .await
        .unwrap();
    session.query_unpaged("CREATE TABLE k.t (id bigint PRIMARY KEY)", ()).await.unwrap();
    insert_rows(&session, "k.t").await;
    cluster.split_tablets("k", "t").await.unwrap();
    insert_rows(&session, "k.t").await;
    let rows = session.query_unpaged("SELECT id FROM k.t", ()).await.unwrap();
    assert_eq!(rows.into_rows_result().unwrap().rows_num(), 200);
}
