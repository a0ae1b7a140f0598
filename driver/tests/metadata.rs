//! The schema as the session knows it: what is read, when it is read again, and what is not read.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use common::{builder, keyspace, start};
use shardwire::{ColumnKind, ErrorKind, Event, Events, SchemaChangeKind, Session, Strategy};
use shardwire_server::{Cluster, FaultAction, FaultRule, Persona};

/// Generous: the machine may be busy.
const TOOK_MAX: Duration = Duration::from_secs(20);

/// Waits until so many changes of the schema have been read.
async fn changes(events: &mut Events, count: usize) -> Vec<SchemaChangeKind> {
    let mut kinds = Vec::new();
    let wait = async {
        while kinds.len() < count {
            match events.next().await.expect("the session goes on") {
                Event::SchemaChanged(change) => kinds.push(change.kind),
                Event::Missed(count) => panic!("{count} events were missed"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(TOOK_MAX, wait).await.expect("they are told");
    kinds
}

/// Waits until the session has lost the last connection to a node.
async fn disconnected(mut events: Events, address: IpAddr) {
    let wait = async {
        loop {
            match events.next().await.expect("the session goes on") {
                Event::Disconnected(node) if node.address == address => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(TOOK_MAX, wait).await.expect("it is told");
}

async fn run(session: &Session, text: &str) {
    session.query_unpaged(text, ()).await.unwrap();
}

/// `name kind type` of each column.
fn columns(session: &Session, table: &str) -> Vec<String> {
    let metadata = session.metadata();
    let table = metadata.table("k", table).expect("it is there");
    let column = |column: &shardwire::ColumnMetadata| {
        format!("{} {:?} {}", column.name, column.kind, column.cql_type)
    };
    table.columns.iter().map(column).collect()
}

const TABLE: &str = "CREATE TABLE k.t (b text, a bigint, z int, y timestamp, \
                     v map<text, frozen<list<int>>>, PRIMARY KEY ((b, a), z, y)) \
                     WITH CLUSTERING ORDER BY (z DESC, y ASC)";

#[tokio::test]
async fn tables_are_described() {
    for persona in [Persona::Scylla, Persona::Cassandra] {
        let (_cluster, session) = start(Cluster::builder().persona(persona).nodes(2)).await;
        keyspace(&session, 2).await;
        run(&session, TABLE).await;
        let metadata = session.metadata();
        let k = metadata.keyspace("k").unwrap();
        let factors = vec![("datacenter1".into(), 2)];
        let strategy = Strategy::NetworkTopologyStrategy { datacenter_repfactors: factors };
        assert_eq!((&*k.name, &k.strategy, k.durable_writes), ("k", &strategy, true));
        let t = metadata.table("k", "t").unwrap();
        assert_eq!(t.partition_key, ["b".into(), "a".into()]);
        assert_eq!(t.clustering_key, ["z".into(), "y".into()]);
        assert_eq!(
            columns(&session, "t"),
            [
                "a PartitionKey bigint",
                "b PartitionKey text",
                "v Regular map<text, frozen<list<int>>>",
                "y Clustering timestamp",
                "z Clustering int",
            ]
        );
        assert_eq!(t.column("z").unwrap().kind, ColumnKind::Clustering);
        assert!(t.column("x").is_none() && metadata.table("k", "u").is_none());
        // Tables that the server itself has.
        assert!(metadata.table("system", "local").is_some());
        let local = Strategy::Other { name: "LocalStrategy".into() };
        assert_eq!(metadata.keyspace("system").unwrap().strategy, local);
    }
}

#[tokio::test]
async fn what_others_change_is_read_and_the_rest_is_kept() {
    let (cluster, session) = start(Cluster::builder().nodes(2)).await;
    let other = builder(&cluster).build().await.unwrap();
    let mut events = session.events();
    keyspace(&other, 1).await;
    run(&other, "CREATE TABLE k.t (id int PRIMARY KEY)").await;
    run(&other, "ALTER TABLE k.t ADD n int").await;
    use SchemaChangeKind::{Created, Dropped, Updated};
    assert_eq!(changes(&mut events, 3).await, [Created, Created, Updated]);
    assert_eq!(columns(&session, "t"), ["id PartitionKey int", "n Regular int"]);

    let before = session.metadata();
    let text = "CREATE KEYSPACE l WITH replication = \
                {'class': 'SimpleStrategy', 'replication_factor': 1} AND durable_writes = false";
    run(&other, text).await;
    changes(&mut events, 1).await;
    let after = session.metadata();
    assert_ne!(before.schema_version, after.schema_version);
    assert!(Arc::ptr_eq(&before.keyspaces["k"], &after.keyspaces["k"]));
    let l = after.keyspace("l").unwrap();
    assert_eq!(l.strategy, Strategy::SimpleStrategy { replication_factor: 1 });
    assert!(!l.durable_writes && l.tables.is_empty());

    run(&other, "DROP TABLE k.t").await;
    run(&other, "DROP KEYSPACE l").await;
    assert_eq!(changes(&mut events, 2).await, [Dropped, Dropped]);
    let metadata = session.metadata();
    assert!(metadata.table("k", "t").is_none() && metadata.keyspace("l").is_none());
    assert!(metadata.keyspace("k").is_some());
}

#[tokio::test]
async fn a_burst_of_changes_is_read_as_one() {
    let (cluster, session) = start(Cluster::builder()).await;
    let other = builder(&cluster).fetch_schema_metadata(false).build().await.unwrap();
    let mut events = session.events();
    for n in 0..20 {
        let replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
        run(&other, &format!("CREATE KEYSPACE k{n} WITH replication = {replication}")).await;
        run(&other, &format!("CREATE TABLE k{n}.t (id int PRIMARY KEY)")).await;
    }
    changes(&mut events, 40).await;
    let metadata = session.metadata();
    for n in 0..20 {
        assert!(metadata.table(&format!("k{n}"), "t").is_some(), "{n}");
    }
}

#[tokio::test]
async fn what_is_not_wanted_is_not_read() {
    let (cluster, session) = start(Cluster::builder()).await;
    keyspace(&session, 1).await;
    run(&session, "CREATE TABLE k.t (id int PRIMARY KEY)").await;
    // Whoever asked for it would lose the connection.
    for table in ["tables", "columns", "types"] {
        let rule = FaultRule::new(FaultAction::Close);
        cluster.add_fault(rule.statement(format!("system_schema.{table}")));
    }
    let session = builder(&cluster).fetch_schema_metadata(false).build().await.unwrap();
    assert!(session.metadata().table("k", "t").is_none());
    run(&session, "CREATE TABLE k.u (id int PRIMARY KEY)").await;
    assert!(session.metadata().keyspace("k").is_some_and(|k| k.tables.is_empty()));

    cluster.clear_faults();
    let session = builder(&cluster).keyspaces_to_fetch(["k", "it's"]).build().await.unwrap();
    let metadata = session.metadata();
    assert!(metadata.table("k", "t").is_some() && metadata.table("system", "local").is_none());
    run(&session, "CREATE TABLE k.v (id int PRIMARY KEY)").await;
    assert!(session.metadata().table("k", "v").is_some());
}

#[tokio::test]
async fn a_node_that_refuses_costs_the_schema_and_nothing_else() {
    let cluster = Cluster::builder().start().await.unwrap();
    let (code, message) = (0x2100, "no permission".to_owned());
    let rule = FaultRule::new(FaultAction::Error { code, message });
    cluster.add_fault(rule.statement("system_schema.columns"));
    let session = builder(&cluster).build().await.unwrap();
    keyspace(&session, 1).await;
    run(&session, "CREATE TABLE k.t (id int PRIMARY KEY)").await;
    assert!(session.metadata().table("k", "t").is_none());
    cluster.clear_faults();
    session.refresh_metadata().await.unwrap();
    assert!(session.metadata().table("k", "t").is_some());
}

#[tokio::test]
async fn it_is_read_anew_after_the_control_connection_has_failed() {
    let (cluster, session) = start(Cluster::builder().nodes(2)).await;
    let other = builder(&cluster).build().await.unwrap();
    keyspace(&session, 2).await;
    let control = cluster.contact_points()[0]; // the first that was tried
    let (events, others) = (session.events(), other.events());
    cluster.stop_node(0).await.unwrap();
    disconnected(events, control.ip()).await;
    disconnected(others, control.ip()).await; // or it would still ask the node that is gone
    run(&other, "CREATE TABLE k.t (id int PRIMARY KEY)").await;
    session.refresh_metadata().await.unwrap();
    assert!(session.metadata().table("k", "t").is_some());
}

#[tokio::test]
async fn another_node_is_asked_for_agreement_when_the_first_is_lost() {
    let (cluster, session) = start(Cluster::builder().nodes(3)).await;
    let version = session.check_schema_agreement().await.unwrap();
    assert!(version.is_some());
    cluster
        .add_fault(FaultRule::new(FaultAction::Close).statement("SELECT schema_version").limit(1));
    assert_eq!(session.check_schema_agreement().await.unwrap(), version);
    cluster
        .add_fault(FaultRule::new(FaultAction::Close).statement("SELECT schema_version").limit(2));
    keyspace(&session, 3).await;
    let agreed = session.await_schema_agreement().await.unwrap();
    assert_ne!(Some(agreed), version);
}

#[tokio::test]
async fn agreement_is_awaited_as_long_as_is_set_and_only_where_it_is() {
    let cluster = Cluster::builder().start().await.unwrap();
    let (code, message) = (0x1001, "busy".to_owned());
    let rule = FaultRule::new(FaultAction::Error { code, message });
    cluster.add_fault(rule.statement("SELECT schema_version"));
    let builder = builder(&cluster).schema_agreement_timeout(Duration::from_millis(100));
    let builder = builder.schema_agreement_interval(Duration::from_millis(10));
    let session = builder.clone().build().await.unwrap();
    let text = "CREATE KEYSPACE k WITH replication = \
                {'class': 'SimpleStrategy', 'replication_factor': 1}";
    let error = session.query_unpaged(text, ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.was_sent() && !error.is_safe_to_retry()); // the keyspace is there
    let session = builder.auto_await_schema_agreement(false).build().await.unwrap();
    assert!(session.metadata().keyspace("k").is_some());
    run(&session, "CREATE TABLE k.t (id int PRIMARY KEY)").await;
    assert!(session.metadata().table("k", "t").is_some());
}
