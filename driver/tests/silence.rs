//! Nodes that keep their connections open and say nothing on them.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use common::{at_once, builder, keyspace};
use shardwire::{Error, ErrorKind, PreparedStatement, Session, SessionBuilder};
use shardwire_server::{Cluster, ClusterBuilder, FaultAction, FaultRule};

/// From when on other nodes are preferred.
const SILENCE_MAX: Duration = Duration::from_millis(100);
/// Of a request that meets the silence; long enough that it is noticed meanwhile.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long anything may take to come right.
const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    cluster: Cluster,
    session: Session,
    insert: PreparedStatement,
}

impl Bench {
    /// Each node has each partition.
    async fn new(cluster: ClusterBuilder, nodes: usize) -> Bench {
        let cluster = cluster.nodes(nodes).start().await.unwrap();
        let builder = builder(&cluster).slow_replica_avoidance(Some(SILENCE_MAX));
        Bench::on(cluster, builder, nodes).await
    }

    async fn on(cluster: Cluster, builder: SessionBuilder, nodes: usize) -> Bench {
        let session = builder.build().await.unwrap();
        keyspace(&session, nodes).await;
        let create = "CREATE TABLE k.t (id bigint PRIMARY KEY, name text)";
        session.query_unpaged(create, ()).await.unwrap();
        let insert = session.prepare("INSERT INTO k.t (id, name) VALUES (?, ?)").await.unwrap();
        Bench { cluster, session, insert }
    }

    /// The next connection of this node on which a row is written says nothing for so long.
    fn stall(&self, node: usize, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap();
        let rule = FaultRule::new(FaultAction::Stall { ms });
        self.cluster.add_fault(rule.opcode("EXECUTE").node(node).limit(1));
    }

    async fn write(&self, id: i64, timeout: Duration) -> Result<(), Error> {
        let mut insert = self.insert.clone();
        insert.set_request_timeout(Some(timeout));
        self.session.execute_unpaged(&insert, (id, "lamp")).await.map(drop)
    }

    /// Writes rows until one does not come back: which one.
    async fn meet_silence(&self) -> i64 {
        let begin = Instant::now();
        for id in 0.. {
            match self.write(id, TIMEOUT).await {
                Ok(()) => assert!(begin.elapsed() < PATIENCE, "no request was stalled"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
                    return id;
                }
            }
        }
        unreachable!("ids do not end")
    }

    /// Writes of this node that came to it.
    fn arrived(&self, node: usize) -> u64 {
        self.cluster.counters().nodes[node].shards.iter().map(|shard| shard.right).sum()
    }
}

#[tokio::test]
async fn other_nodes_are_preferred() {
    let bench = Bench::new(Cluster::builder(), 3).await;
    bench.stall(1, PATIENCE * 10);
    bench.meet_silence().await;
    // Each would wait in vain if it went there.
    for id in 0..200 {
        bench.write(id, TIMEOUT).await.unwrap();
    }
}

#[tokio::test]
async fn what_waits_for_room_goes_elsewhere() {
    const IN_FLIGHT_MAX: usize = 4;
    let cluster = Cluster::builder().nodes(3).start().await.unwrap();
    let builder = builder(&cluster)
        .slow_replica_avoidance(Some(SILENCE_MAX))
        .in_flight_max(NonZeroUsize::new(IN_FLIGHT_MAX).unwrap());
    let bench = Bench::on(cluster, builder, 3).await;
    bench.cluster.pause_node(1).await.unwrap();
    // A third of them begins in line for the silent node, behind those that are lost on it.
    let results = at_once((0..120).map(|id| bench.write(id, TIMEOUT))).await;
    let failed = results.iter().filter(|result| result.is_err()).count();
    assert!((1..=IN_FLIGHT_MAX).contains(&failed), "{failed} failed");
}

#[tokio::test]
async fn one_request_learns_it_for_all_shards() {
    let bench = Bench::new(Cluster::builder().shards(4), 3).await;
    bench.cluster.pause_node(1).await.unwrap();
    bench.meet_silence().await;
    for id in 0..200 {
        bench.write(id, TIMEOUT).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_answers_again_is_used_again() {
    let bench = Bench::new(Cluster::builder(), 3).await;
    bench.stall(1, TIMEOUT * 2);
    bench.meet_silence().await;
    let (begin, before) = (Instant::now(), bench.arrived(1));
    // What is stalled counts when it is read.
    while bench.arrived(1) < before + 10 {
        bench.write(7, TIMEOUT).await.unwrap();
        assert!(begin.elapsed() < PATIENCE, "it is not used again");
    }
}

#[tokio::test]
async fn what_is_silent_is_the_last_resort() {
    let bench = Bench::new(Cluster::builder(), 1).await;
    bench.stall(0, TIMEOUT * 2);
    bench.meet_silence().await;
    bench.write(7, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn other_shards_of_the_node_are_used() {
    const SHARDS: u16 = 4;
    let bench = Bench::new(Cluster::builder().shards(SHARDS), 1).await;
    bench.stall(0, TIMEOUT * 2);
    let id = bench.meet_silence().await;
    // The stalled shard's own rows wait for it; the others take their way as before.
    bench.cluster.reset_counters();
    for id in 0..200 {
        bench.write(id, PATIENCE).await.unwrap();
    }
    bench.write(id, PATIENCE).await.unwrap();
    let counters = bench.cluster.counters();
    let shards = &counters.nodes[0].shards;
    assert_eq!(shards.len(), usize::from(SHARDS));
    for shard in shards {
        assert!(shard.right > 0, "{counters:?}");
        assert_eq!((shard.wrong_shard, shard.wrong_node, shard.unrouted), (0, 0, 0));
    }
}

#[tokio::test]
async fn a_slow_request_is_no_silence() {
    let bench = Bench::new(Cluster::builder(), 3).await;
    let delay = FaultRule::new(FaultAction::Delay { ms: 2_000 });
    bench.cluster.add_fault(delay.opcode("EXECUTE").limit(1));
    bench.meet_silence().await;
    // All nodes are asked as before: none of so many requests in turn misses one of three.
    bench.cluster.reset_counters();
    for id in 0..200 {
        bench.write(id, TIMEOUT).await.unwrap();
    }
    for node in 0..3 {
        assert!(bench.arrived(node) > 0, "{:?}", bench.cluster.counters());
    }
}
