//! Nodes and networks that are not as one would wish: source ports rewritten on the way, nodes
//! without shards, shards out of reach, nodes that go, come and change.
//!
//! A forwarder stands between the session and the node where the network is what is wrong; it can
//! also change what the node says of itself.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{builder, keyspace};
use shardwire::{Consistency, ErrorKind, PoolSize, PreparedStatement, Session, SessionBuilder};
use shardwire_server::{Cluster, FaultAction, FaultRule, ShardCounters};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How long anything may take to come right.
const PATIENCE: Duration = Duration::from_secs(20);

/// Passes connections on to another address - from source ports of its own, as a NAT does.
struct Forwarder {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    replacing: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Forwarder {
    /// Listens on any port of `ip`. In the first thing that the node says, each text is replaced
    /// by another of its length.
    async fn start(ip: IpAddr, target: SocketAddr, replace: &[(&str, &str)]) -> Forwarder {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let replace: Vec<(Vec<u8>, Vec<u8>)> = replace
            .iter()
            .map(|(from, to)| (from.as_bytes().into(), to.as_bytes().into()))
            .collect();
        assert!(replace.iter().all(|(from, to)| from.len() == to.len()), "{replace:?}");
        let replacing = Arc::new(AtomicBool::new(true));
        let is_replacing = Arc::clone(&replacing);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let replace = match is_replacing.load(Ordering::SeqCst) {
                    true => replace.clone(),
                    false => Vec::new(),
                };
                connections.spawn(forward(client, target, replace));
            }
        });
        Forwarder { address, accepted, replacing, task }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Until either side closes.
async fn forward(mut client: TcpStream, target: SocketAddr, replace: Vec<(Vec<u8>, Vec<u8>)>) {
    let mut node = connect(target).await;
    let (mut client_read, mut client_write) = client.split();
    let (mut node_read, mut node_write) = node.split();
    let up = tokio::io::copy(&mut client_read, &mut node_write);
    let down = async {
        let mut bytes = vec![0; 64 * 1024];
        let len = node_read.read(&mut bytes).await?;
        bytes.truncate(len);
        for (from, to) in &replace {
            let found = bytes.windows(from.len()).position(|window| window == from);
            if let Some(at) = found {
                bytes[at..at + to.len()].copy_from_slice(to);
            }
        }
        client_write.write_all(&bytes).await?;
        tokio::io::copy(&mut node_read, &mut client_write).await
    };
    tokio::select! {
        _ = up => {}
        _ = down => {}
    }
}

/// From a source port that a shard-aware port takes for shard 1 of 2 or of 4.
async fn connect(target: SocketAddr) -> TcpStream {
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        let port = fastrand::u16(5_000..8_000) * 4 + 1;
        if socket.bind((Ipv4Addr::UNSPECIFIED, port).into()).is_ok()
            && let Ok(stream) = socket.connect(target).await
        {
            return stream;
        }
    }
}

async fn table(session: &Session, replication_factor: usize) -> PreparedStatement {
    keyspace(session, replication_factor).await;
    let text = "CREATE TABLE k.t (id bigint PRIMARY KEY, n int)";
    session.query_unpaged(text, ()).await.unwrap();
    let mut insert = session.prepare("INSERT INTO k.t (id, n) VALUES (?, ?)").await.unwrap();
    insert.set_is_idempotent(true);
    // Whichever node is down, the others take it.
    insert.set_consistency(Consistency::Any);
    insert.set_request_timeout(Some(PATIENCE));
    insert
}

/// Where a hundred requests arrive, of which none may fail.
async fn arrivals(
    cluster: &Cluster,
    session: &Session,
    insert: &PreparedStatement,
) -> ShardCounters {
    cluster.reset_counters();
    for id in 0..100_i64 {
        session.execute_unpaged(insert, (id, 1_i32)).await.unwrap();
    }
    cluster.counters().total()
}

fn is_right(total: ShardCounters) -> bool {
    (total.wrong_node, total.wrong_shard, total.unrouted) == (0, 0, 0)
}

/// Sends requests, all of which succeed, until all of them arrive where they belong.
async fn until_right(cluster: &Cluster, session: &Session, insert: &PreparedStatement) {
    let begin = Instant::now();
    loop {
        let total = arrivals(cluster, session, insert).await;
        if is_right(total) {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{total:?}");
    }
}

/// Breaks a connection to this shard under a request, the only one that fails.
async fn break_shard(cluster: &Cluster, session: &Session, insert: &PreparedStatement, shard: u16) {
    cluster.add_fault(FaultRule::new(FaultAction::Close).opcode("EXECUTE").shard(shard).limit(1));
    let mut failed = 0;
    for id in 0..100_i64 {
        if let Err(error) = session.execute_unpaged(insert, (id, 1_i32)).await {
            assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
            failed += 1;
        }
    }
    assert_eq!(failed, 1);
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}

fn connections(cluster: &Cluster) -> Vec<Vec<u64>> {
    let nodes = cluster.counters().nodes;
    nodes.iter().map(|node| node.shards.iter().map(|shard| shard.connections).collect()).collect()
}

#[tokio::test]
async fn source_ports_rewritten_on_the_way() {
    let cluster = Cluster::builder().nodes(1).shards(4).start().await.unwrap();
    let plain = cluster.contact_points()[0];
    let shard_aware = cluster.shard_aware_port().unwrap();
    let nat = Forwarder::start(plain.ip(), (plain.ip(), shard_aware).into(), &[]).await;
    let (from, to) = (shard_aware.to_string(), nat.address.port().to_string());
    let front = Forwarder::start(plain.ip(), plain, &[(&from, &to)]).await;
    let session = SessionBuilder::new()
        .known_node(front.address.to_string())
        .reconnect_backoff(Duration::from_millis(1), Duration::from_millis(10))
        .build()
        .await
        .unwrap();
    let insert = table(&session, 1).await;
    until_right(&cluster, &session, &insert).await;
    // One per shard and the control connection; what came in excess is closed.
    until("excess connections stay", || {
        let connections = connections(&cluster);
        connections[0].iter().all(|count| *count >= 1) && connections[0].iter().sum::<u64>() == 5
    })
    .await;
    // It was tried, and is left alone from now on, also when a connection has to be replaced.
    let tried = nat.accepted();
    assert_eq!(tried, 3, "one for each shard that was missing");
    break_shard(&cluster, &session, &insert, 0).await;
    break_shard(&cluster, &session, &insert, 3).await;
    until_right(&cluster, &session, &insert).await;
    assert_eq!(nat.accepted(), tried, "it is known to mislead");
}

#[tokio::test]
async fn shard_aware_port_closed_to_us() {
    let cluster = Cluster::builder().nodes(1).shards(4).start().await.unwrap();
    let plain = cluster.contact_points()[0];
    let shard_aware = cluster.shard_aware_port().unwrap();
    let nat = Forwarder::start(plain.ip(), plain, &[]).await;
    let (from, to) = (shard_aware.to_string(), nat.address.port().to_string());
    drop(nat); // nobody listens there any more
    let front = Forwarder::start(plain.ip(), plain, &[(&from, &to)]).await;
    let session =
        SessionBuilder::new().known_node(front.address.to_string()).build().await.unwrap();
    let insert = table(&session, 1).await;
    // A port that does not answer gets a second chance before it is given up.
    until_right(&cluster, &session, &insert).await;
}

#[tokio::test]
async fn node_without_shards() {
    let cluster = Cluster::builder().nodes(1).shards(4).start().await.unwrap();
    let plain = cluster.contact_points()[0];
    let hide = &[("SCYLLA_NR_SHARDS", "ANOTHER_NR_SHARD")];
    let front = Forwarder::start(plain.ip(), plain, hide).await;
    for (size, expect) in [
        (PoolSize::PerShard(1.try_into().unwrap()), 2),
        (PoolSize::PerShard(2.try_into().unwrap()), 3),
        (PoolSize::PerHost(3.try_into().unwrap()), 4),
    ] {
        let session = SessionBuilder::new()
            .known_node(front.address.to_string())
            .pool_size(size)
            .build()
            .await
            .unwrap();
        session.query_unpaged("DROP KEYSPACE IF EXISTS k", ()).await.unwrap();
        let insert = table(&session, 1).await;
        let total = arrivals(&cluster, &session, &insert).await;
        assert_eq!((total.right + total.wrong_shard, total.wrong_node), (100, 0));
        let replicas = session.replicas_of(&insert, &(1_i64, 1_i32)).unwrap();
        assert_eq!((replicas.len(), replicas[0].shard), (1, None));
        let open = || connections(&cluster)[0].iter().sum::<u64>();
        assert_eq!(open(), expect, "{size:?}");
        drop(session);
        until("connections stay", || open() == 0).await;
    }
}

/// A shard that takes no connections: its requests go to the node's other shards meanwhile, which
/// notice nothing else, and it is tried again less and less often.
#[tokio::test]
async fn more_shards_than_connections() {
    let cluster = Cluster::builder().nodes(1).shards(4).start().await.unwrap();
    let closed = || FaultRule::new(FaultAction::Close).opcode("STARTUP").shard(2);
    cluster.add_fault(closed());
    let session = builder(&cluster)
        .reconnect_backoff(Duration::from_millis(20), Duration::from_millis(100))
        .build()
        .await
        .unwrap();
    let insert = table(&session, 1).await;
    let total = arrivals(&cluster, &session, &insert).await;
    assert!(total.wrong_shard > 0 && total.right > 0, "{total:?}");
    assert_eq!(total.wrong_node, 0);
    cluster.clear_faults();
    until_right(&cluster, &session, &insert).await;

    // Once more with all of them open: only the broken one is replaced.
    let before = connections(&cluster);
    cluster.add_fault(closed());
    break_shard(&cluster, &session, &insert, 2).await;
    let begin = Instant::now();
    let mut wrong = 0;
    while begin.elapsed() < Duration::from_millis(300) {
        wrong += arrivals(&cluster, &session, &insert).await.wrong_shard;
    }
    assert!(wrong > 0);
    cluster.clear_faults();
    until_right(&cluster, &session, &insert).await;
    until("other connections were replaced", || connections(&cluster) == before).await;
}

#[tokio::test]
async fn reconnects_with_backoff() {
    let cluster = Cluster::builder().nodes(1).shards(2).start().await.unwrap();
    let plain = cluster.contact_points()[0];
    let shard_aware = cluster.shard_aware_port().unwrap();
    let by_shard = Forwarder::start(plain.ip(), (plain.ip(), shard_aware).into(), &[]).await;
    let (from, to) = (shard_aware.to_string(), by_shard.address.port().to_string());
    let front = Forwarder::start(plain.ip(), plain, &[(&from, &to)]).await;
    let session = SessionBuilder::new()
        .known_node(front.address.to_string())
        .reconnect_backoff(Duration::from_millis(40), Duration::from_millis(80))
        .build()
        .await
        .unwrap();
    let insert = table(&session, 1).await;
    until_right(&cluster, &session, &insert).await;
    // Shard 1 is gone; requests go on by shard 0, without one that fails.
    cluster.add_fault(FaultRule::new(FaultAction::Close).opcode("STARTUP"));
    break_shard(&cluster, &session, &insert, 1).await;
    let before = front.accepted() + by_shard.accepted();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(500) {
        arrivals(&cluster, &session, &insert).await;
    }
    let took = begin.elapsed();
    let tried = front.accepted() + by_shard.accepted() - before;
    // Rounds come 20 ms apart at least, then 40 ms; each tries both ports once.
    let rounds = took.as_millis() as usize / 40 + 2;
    assert!((2..=2 * rounds).contains(&tried), "{tried} in {took:?}");
    cluster.clear_faults();
    until_right(&cluster, &session, &insert).await;
}

/// A peer that accepts, shakes hands and then closes at once must not be dialled without a pause.
#[tokio::test]
async fn a_connection_that_never_lasts_is_not_opened_without_end() {
    let cluster = Cluster::builder().nodes(1).shards(1).start().await.unwrap();
    let plain = cluster.contact_points()[0];
    let front = Forwarder::start(plain.ip(), plain, &[]).await;
    let session = SessionBuilder::new()
        .known_node(front.address.to_string())
        .disallow_shard_aware_port(true)
        .reconnect_backoff(Duration::from_millis(40), Duration::from_millis(80))
        .build()
        .await
        .unwrap();
    let mut insert = table(&session, 1).await;
    insert.set_request_timeout(Some(Duration::from_millis(500)));
    cluster.add_fault(FaultRule::new(FaultAction::Close).opcode("EXECUTE"));
    let before = front.accepted();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(500) {
        let error = session.execute_unpaged(&insert, (1_i64, 1_i32)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::Timeout), "{error}");
    }
    let rounds = begin.elapsed().as_millis() as usize / 20 + 2;
    let tried = front.accepted() - before;
    assert!(tried <= rounds, "{tried} connections for {rounds}");
    cluster.clear_faults();
    insert.set_request_timeout(Some(PATIENCE));
    until_right(&cluster, &session, &insert).await;
}

/// The pause between attempts is so long that only an event of the cluster can be what shortens it.
const NEVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn node_down_at_the_start_is_picked_up() {
    let cluster = Cluster::builder().nodes(3).shards(2).start().await.unwrap();
    cluster.stop_node(2).await.unwrap();
    let session = builder(&cluster).reconnect_backoff(NEVER, NEVER).build().await.unwrap();
    assert_eq!(session.nodes().len(), 3);
    let insert = table(&session, 1).await;
    let total = arrivals(&cluster, &session, &insert).await;
    assert!(total.wrong_node > 0 && total.right > 0, "{total:?}");
    cluster.start_node(2).await.unwrap();
    until_right(&cluster, &session, &insert).await;
}

#[tokio::test]
async fn first_contact_point_down_at_the_start() {
    let cluster = Cluster::builder().nodes(3).shards(2).start().await.unwrap();
    cluster.stop_node(0).await.unwrap();
    let session = builder(&cluster).reconnect_backoff(NEVER, NEVER).build().await.unwrap();
    let insert = table(&session, 1).await;
    cluster.start_node(0).await.unwrap();
    until_right(&cluster, &session, &insert).await;
}

/// Each node in turn goes and comes back, among them the one with the control connection.
#[tokio::test]
async fn nodes_that_go_and_come_back() {
    let cluster = Cluster::builder().nodes(3).shards(2).start().await.unwrap();
    let session = builder(&cluster)
        .reconnect_backoff(Duration::from_millis(5), Duration::from_secs(1))
        .build()
        .await
        .unwrap();
    let insert = table(&session, 1).await;
    for node in 0..3 {
        cluster.stop_node(node).await.unwrap();
        let total = arrivals(&cluster, &session, &insert).await;
        assert!(total.wrong_node > 0, "{total:?}");
        cluster.start_node(node).await.unwrap();
        until_right(&cluster, &session, &insert).await;
    }
    // Up to six and the control connection, none twice.
    until("connections are open twice", || {
        connections(&cluster).iter().flatten().sum::<u64>() == 7
    })
    .await;
}

/// The node comes back with another number of shards.
#[tokio::test]
async fn node_with_other_shards_than_before() {
    let cluster = Cluster::builder().nodes(1).shards(2).start().await.unwrap();
    let address = cluster.contact_points()[0];
    let IpAddr::V4(ip) = address.ip() else { panic!("the cluster has IPv4 addresses") };
    let again = |shards| {
        Cluster::builder().nodes(1).address(ip).port(address.port()).shards(shards).start()
    };
    let session = builder(&cluster)
        .reconnect_backoff(Duration::from_millis(1), Duration::from_millis(10))
        .build()
        .await
        .unwrap();
    let _ = table(&session, 1).await;
    cluster.shutdown();
    for shards in [5, 1, 3] {
        let cluster = again(shards).await.unwrap();
        // Both the control connection and the pool have to be back.
        let begin = Instant::now();
        while session.refresh_metadata().await.is_err() {
            assert!(begin.elapsed() < PATIENCE);
            tokio::task::yield_now().await;
        }
        let insert = table(&session, 1).await;
        until_right(&cluster, &session, &insert).await;
        let replicas = session.replicas_of(&insert, &(1_i64, 1_i32)).unwrap();
        assert!(replicas[0].shard.unwrap() < shards);
        until("connections stay", || {
            connections(&cluster)[0].iter().sum::<u64>() == u64::from(shards) + 1
        })
        .await;
    }
}

/// The node says other things about its shards while connections from before are still open.
#[tokio::test]
async fn shards_that_change_under_open_connections() {
    let cluster = Cluster::builder().nodes(1).shards(4).start().await.unwrap();
    let plain = cluster.contact_points()[0];
    let more = &[("SCYLLA_NR_SHARDS\0\u{1}\0\u{1}4", "SCYLLA_NR_SHARDS\0\u{1}\0\u{1}8")];
    let front = Forwarder::start(plain.ip(), plain, more).await;
    let session = SessionBuilder::new()
        .known_node(front.address.to_string())
        .disallow_shard_aware_port(true)
        .reconnect_backoff(Duration::from_millis(1), Duration::from_millis(20))
        .build()
        .await
        .unwrap();
    let insert = table(&session, 1).await;
    assert!(!is_right(arrivals(&cluster, &session, &insert).await));
    front.replacing.store(false, Ordering::SeqCst);
    let mut insert = insert;
    insert.set_request_timeout(Some(Duration::from_secs(1)));
    let begin = Instant::now();
    // The old connections are closed under requests; then all is well, and stays so.
    let mut right = 0;
    while right < 10 {
        assert!(begin.elapsed() < PATIENCE);
        cluster.reset_counters();
        let mut failed = 0;
        for id in 0..100_i64 {
            failed += usize::from(session.execute_unpaged(&insert, (id, 1_i32)).await.is_err());
        }
        let settled = failed == 0 && is_right(cluster.counters().total());
        right = if settled { right + 1 } else { 0 };
    }
    let opened = front.accepted();
    for _ in 0..10 {
        assert!(is_right(arrivals(&cluster, &session, &insert).await));
    }
    assert_eq!(front.accepted(), opened, "connections are opened without end");
    assert_eq!(connections(&cluster)[0].iter().sum::<u64>(), 5);
}

/// The other shards do not wait until it is clear that one does not answer.
#[tokio::test]
async fn a_shard_that_never_answers_holds_up_no_other() {
    let timeout = Duration::from_secs(40);
    let cluster = Cluster::builder().nodes(1).shards(4).start().await.unwrap();
    let session = builder(&cluster)
        .connection_timeout(timeout)
        // Long enough that the node is back, with all its ports, before the second attempt.
        .reconnect_backoff(Duration::from_millis(300), Duration::from_millis(300))
        .build()
        .await
        .unwrap();
    let insert = table(&session, 1).await;
    cluster.stop_node(0).await.unwrap();
    cluster.add_fault(FaultRule::new(FaultAction::Drop).opcode("STARTUP").shard(2));
    cluster.start_node(0).await.unwrap();
    let begin = Instant::now();
    loop {
        cluster.reset_counters();
        let mut failed = 0;
        for id in 0..100_i64 {
            failed += usize::from(session.execute_unpaged(&insert, (id, 1_i32)).await.is_err());
        }
        let counters = cluster.counters();
        let open = counters.nodes[0].shards.iter().filter(|shard| shard.right > 0).count();
        assert!(begin.elapsed() < timeout / 2, "{:?}", counters.nodes);
        if failed == 0 && open == 3 {
            break;
        }
    }
}
