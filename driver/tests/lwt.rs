//! Conditional statements: what they come to, where they go, and how consistent they are.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::collections::BTreeSet;

use common::{keyspace, start};
use shardwire::{ErrorKind, Session};
use shardwire_server::{Cluster, ClusterBuilder, FaultAction, FaultRule, Persona};

async fn table(cluster: ClusterBuilder, replication_factor: usize) -> (Cluster, Session) {
    let (cluster, session) = start(cluster).await;
    keyspace(&session, replication_factor).await;
    let create = "CREATE TABLE k.t (id bigint PRIMARY KEY, n int, name text)";
    session.query_unpaged(create, ()).await.unwrap();
    (cluster, session)
}

#[tokio::test]
async fn both_databases_answers_are_read() {
    for persona in [Persona::Scylla, Persona::Cassandra] {
        let (_cluster, session) = table(Cluster::builder().persona(persona), 1).await;
        let insert = "INSERT INTO k.t (id, n, name) VALUES (?, ?, ?) IF NOT EXISTS";
        let insert = session.prepare(insert).await.unwrap();
        for (n, applied) in [(7_i32, true), (8, false), (9, false)] {
            let row = (1_i64, n, "lamp");
            let result = session.execute_unpaged(&insert, row).await.unwrap();
            let outcome = result.lwt_result().unwrap();
            assert_eq!(outcome.is_applied(), applied, "{persona:?}");
            let existing = (!applied).then_some((1_i64, 7_i32, "lamp"));
            assert_eq!(outcome.existing().unwrap(), existing, "{persona:?}");
        }
        let update = session.prepare("UPDATE k.t SET n = ? WHERE id = ? IF n = ?").await.unwrap();
        let run = async |n: i32, id: i64, expected: i32| {
            let result = session.execute_unpaged(&update, (n, id, expected)).await.unwrap();
            let outcome = result.lwt_result().unwrap();
            (outcome.is_applied(), outcome.existing::<(Option<i32>,)>().unwrap())
        };
        assert_eq!(run(20, 1, 10).await, (false, Some((Some(7),))));
        let before = (persona == Persona::Scylla).then_some((Some(7),));
        assert_eq!(run(20, 1, 7).await, (true, before));
        assert_eq!(run(20, 2, 7).await, (false, None), "there is no such row");

        let delete = "DELETE FROM k.t WHERE id = 2 IF EXISTS";
        let result = session.query_unpaged(delete, ()).await.unwrap();
        let outcome = result.lwt_result().unwrap();
        assert!(!outcome.is_applied() && outcome.rows().len() == 1);

        for plain in ["DELETE FROM k.t WHERE id = 2", "SELECT id FROM k.t"] {
            let result = session.query_unpaged(plain, ()).await.unwrap();
            assert_eq!(result.lwt_result().unwrap_err().kind(), ErrorKind::Result);
        }
    }
}

/// The primary takes them all, whatever is in flight; if it is bootstrapping, the second replica.
#[tokio::test]
async fn conditional_statements_go_to_the_primary_replica() {
    let (cluster, session) = table(Cluster::builder().nodes(3), 3).await;
    let insert = "INSERT INTO k.t (id, n) VALUES (?, ?) IF NOT EXISTS";
    let insert = session.prepare(insert).await.unwrap();
    let plain = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
    let receivers = || {
        let nodes = cluster.counters().nodes;
        let took: BTreeSet<String> = nodes
            .into_iter()
            .filter(|node| node.shards.iter().any(|shard| shard.right > 0))
            .map(|node| node.address)
            .collect();
        cluster.reset_counters();
        took
    };
    for id in 0..10_i64 {
        let replicas = session.replicas_of(&insert, &(id, 0)).unwrap();
        let address = |index: usize| replicas[index].node.address.to_string();
        cluster.reset_counters();
        for n in 0..20 {
            session.execute_unpaged(&insert, (id, n)).await.unwrap();
        }
        assert_eq!(receivers(), BTreeSet::from([address(0)]));

        let points = cluster.contact_points();
        let primary = points.iter().position(|p| p.ip() == replicas[0].node.address).unwrap();
        let (code, message) = (0x1002, String::new());
        let fault = FaultAction::Error { code, message };
        cluster.add_fault(FaultRule::new(fault).opcode("EXECUTE").node(primary));
        for n in 0..20 {
            session.execute_unpaged(&insert, (id, n)).await.unwrap();
        }
        assert_eq!(receivers(), BTreeSet::from([address(1)]));
        cluster.clear_faults();

        for n in 0..200 {
            session.execute_unpaged(&plain, (id, n)).await.unwrap();
        }
        assert_eq!(receivers().len(), 3, "what has no condition is spread");
    }
}
