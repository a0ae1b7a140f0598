//! What a session makes of nodes that go, come, fall and rise, and what it tells of it.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{builder, keyspace, start};
use shardwire::{Event, Events, SchemaChangeKind, SchemaTarget, Session, SessionBuilder};
use shardwire_server::{Cluster, FaultAction, FaultRule, Persona};

/// Generous: the machine may be busy.
const TOOK_MAX: Duration = Duration::from_secs(20);

/// Waits for an event of which `pick` makes something.
async fn until<T>(events: &mut Events, pick: impl Fn(&Event) -> Option<T>) -> T {
    let search = async {
        loop {
            let event = events.next().await.expect("the session goes on");
            if let Some(found) = pick(&event) {
                return found;
            }
        }
    };
    tokio::time::timeout(TOOK_MAX, search).await.expect("it is told")
}

async fn connected(events: &mut Events, address: SocketAddr) {
    until(events, |event| match event {
        Event::Connected(node) => (node.address == address.ip()).then_some(()),
        _ => None,
    })
    .await;
}

async fn disconnected(events: &mut Events, address: SocketAddr) {
    until(events, |event| match event {
        Event::Disconnected(node) => (node.address == address.ip()).then_some(()),
        _ => None,
    })
    .await;
}

fn is_down(session: &Session, address: SocketAddr) -> bool {
    let nodes = session.nodes();
    nodes.iter().find(|node| node.address == address.ip()).unwrap().is_down()
}

/// Inserts rows; the nodes count those that arrive at the wrong place.
async fn insert_rows(cluster: &Cluster, session: &Session) {
    let insert = session.prepare("INSERT INTO k.t (id) VALUES (?)").await.unwrap();
    cluster.reset_counters();
    for id in 0..200_i64 {
        session.execute_unpaged(&insert, (id,)).await.unwrap();
    }
    let total = cluster.counters().total();
    assert_eq!((total.wrong_node, total.right), (0, 200));
}

async fn table(session: &Session) {
    keyspace(session, 1).await;
    session.query_unpaged("CREATE TABLE k.t (id bigint PRIMARY KEY)", ()).await.unwrap();
}

#[tokio::test]
async fn the_control_connection_goes_on_with_another_node() {
    let cluster = Cluster::builder().nodes(3).start().await.unwrap();
    let first = cluster.contact_points()[0];
    let session = SessionBuilder::new().known_node(first.to_string()).build().await.unwrap();
    let other_session = builder(&cluster).build().await.unwrap();
    table(&session).await;
    let mut events = session.events();

    cluster.stop_node(0).await.unwrap();
    disconnected(&mut events, first).await;
    session.refresh_metadata().await.unwrap(); // over another node
    assert_eq!(session.nodes().len(), 3);

    // What is announced now arrives as it did before.
    let text = "CREATE TABLE k.other (id bigint PRIMARY KEY)";
    other_session.query_unpaged(text, ()).await.unwrap();
    let change = until(&mut events, |event| match event {
        Event::SchemaChanged(change) if change.kind == SchemaChangeKind::Created => {
            Some(change.clone())
        }
        _ => None,
    })
    .await;
    assert_eq!(
        (&*change.keyspace, change.target),
        ("k", SchemaTarget::Table { name: "other".into() })
    );
    cluster.start_node(0).await.unwrap();
    let is_up = |event: &Event| matches!(event, Event::NodeUp(up) if *up == first).then_some(());
    until(&mut events, is_up).await;
    connected(&mut events, first).await;
    insert_rows(&cluster, &session).await;
}

#[tokio::test]
async fn each_node_may_go_while_another_is_there() {
    let (cluster, session) = start(Cluster::builder().nodes(3).shards(2)).await;
    let points = cluster.contact_points();
    let mut events = session.events();
    for round in 0..6 {
        let node = round % 3;
        cluster.stop_node(node).await.unwrap();
        disconnected(&mut events, points[node]).await;
        session.refresh_metadata().await.unwrap();
        cluster.start_node(node).await.unwrap();
        connected(&mut events, points[node]).await;
        assert!(!is_down(&session, points[node]));
    }
}

#[tokio::test]
async fn a_node_falls_and_rises() {
    let (cluster, session) = start(Cluster::builder().nodes(2)).await;
    let second = cluster.contact_points()[1];
    table(&session).await;
    let mut events = session.events();
    cluster.stop_node(1).await.unwrap();
    until(&mut events, |event| matches!(event, Event::NodeDown(at) if *at == second).then_some(()))
        .await;
    assert!(is_down(&session, second));
    assert_eq!(session.nodes().len(), 2); // it is still one of them
    cluster.start_node(1).await.unwrap();
    connected(&mut events, second).await;
    assert!(!is_down(&session, second));
    insert_rows(&cluster, &session).await;
}

#[tokio::test]
async fn a_node_leaves_and_joins() {
    let (cluster, session) = start(Cluster::builder().nodes(3)).await;
    let third = cluster.contact_points()[2];
    table(&session).await;
    let mut events = session.events();
    cluster.remove_node(2).await.unwrap();
    let removed = until(&mut events, |event| match event {
        Event::NodeRemoved(node) => Some(node.clone()),
        _ => None,
    })
    .await;
    assert_eq!(removed.address, third.ip());
    assert_eq!(session.nodes().len(), 2);
    insert_rows(&cluster, &session).await; // the others have its ranges

    cluster.add_node(2).await.unwrap();
    let added = until(&mut events, |event| match event {
        Event::NodeAdded(node) => Some(node.clone()),
        _ => None,
    })
    .await;
    assert_eq!((added.address, added.host_id), (third.ip(), removed.host_id));
    connected(&mut events, third).await;
    assert_eq!(session.nodes().len(), 3);
    insert_rows(&cluster, &session).await;
}

#[tokio::test]
async fn there_are_no_events_after_the_end() {
    let (_cluster, session) = start(Cluster::builder()).await;
    let mut events = session.events();
    drop(session);
    let end = async { while events.next().await.is_some() {} };
    tokio::time::timeout(TOOK_MAX, end).await.expect("there is an end");
}

#[tokio::test]
async fn nobody_answers_who_asks() {
    let (cluster, session) = start(Cluster::builder()).await;
    let mut events = session.events();
    let address = cluster.contact_points()[0];
    cluster.stop_node(0).await.unwrap();
    disconnected(&mut events, address).await;
    let error = session.refresh_metadata().await.unwrap_err();
    assert_eq!(error.kind(), shardwire::ErrorKind::Connect);
    cluster.start_node(0).await.unwrap();
    session.refresh_metadata().await.unwrap();
}

#[tokio::test]
async fn peers_are_found_where_there_is_no_second_version_of_the_table() {
    let cluster = Cluster::builder().persona(Persona::Cassandra).nodes(3).start().await.unwrap();
    let ports =
        |session: &Session| session.nodes().iter().map(|node| node.port).collect::<Vec<_>>();
    let port = cluster.contact_points()[0].port();
    let session = builder(&cluster).build().await.unwrap();
    assert_eq!(ports(&session), [port; 3]);

    let (code, message) = (0x2200, "unconfigured table peers_v2".to_owned());
    let rule = FaultRule::new(FaultAction::Error { code, message });
    cluster.add_fault(rule.statement("peers_v2").limit(1));
    cluster.add_fault(FaultRule::new(FaultAction::Close).statement("peers_v2"));
    let session = builder(&cluster).build().await.unwrap();
    assert_eq!(ports(&session), [port; 3]);
    session.refresh_metadata().await.unwrap(); // it is not asked for again
    cluster.clear_faults();
}
