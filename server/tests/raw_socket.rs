//! Bytes on a socket: what no well-behaved driver would send, and what faults do to replies.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use shardwire_server::{Cluster, ClusterBuilder, FaultAction, FaultRule, ShardCounters};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const STARTUP: u8 = 1;
const OPTIONS: u8 = 5;
const QUERY: u8 = 7;
const PREPARE: u8 = 9;
const EXECUTE: u8 = 10;
const REGISTER: u8 = 11;
const BATCH: u8 = 13;
const AUTH_RESPONSE: u8 = 15;

const PROTOCOL_ERROR: i32 = 0x000A;
const OVERLOADED: i32 = 0x1001;

#[derive(Debug)]
struct Reply {
    stream: i16,
    opcode: u8,
    body: Vec<u8>,
}

impl Reply {
    /// Code and message of an ERROR.
    #[track_caller]
    fn error(&self) -> (i32, String) {
        assert_eq!(self.opcode, 0, "{self:?}");
        let len = usize::from(u16::from_be_bytes([self.body[4], self.body[5]]));
        let code = i32::from_be_bytes(self.body[..4].try_into().unwrap());
        (code, String::from_utf8(self.body[6..6 + len].to_vec()).unwrap())
    }
}

struct Client {
    socket: TcpStream,
}

fn frame(stream: i16, opcode: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[4, 0][..], &stream.to_be_bytes(), &[opcode], &len, body].concat()
}

fn string(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn long_string(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn value(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn query(text: &str) -> Vec<u8> {
    [long_string(text), vec![0, 1, 0]].concat()
}

impl Client {
    async fn open(cluster: &Cluster) -> Self {
        Self::open_at(cluster.contact_points()[0]).await
    }

    async fn open_at(address: SocketAddr) -> Self {
        Self { socket: TcpStream::connect(address).await.unwrap() }
    }

    async fn started(cluster: &Cluster) -> Self {
        Self::started_at(cluster.contact_points()[0]).await
    }

    async fn started_at(address: SocketAddr) -> Self {
        let mut client = Self::open_at(address).await;
        let body = [vec![0, 1], string("CQL_VERSION"), string("4.0.0")].concat();
        assert_eq!(client.call(STARTUP, &body).await.opcode, 2);
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// The next reply, or `None` at the end of the connection.
    async fn receive(&mut self) -> Option<Reply> {
        let mut header = [0; 9];
        self.socket.read_exact(&mut header).await.ok()?;
        assert_eq!(header[0], 0x84);
        let len = u32::from_be_bytes(header[5..].try_into().unwrap());
        let mut body = vec![0; usize::try_from(len).unwrap()];
        self.socket.read_exact(&mut body).await.ok()?;
        let stream = i16::from_be_bytes([header[2], header[3]]);
        Some(Reply { stream, opcode: header[4], body })
    }

    async fn call(&mut self, opcode: u8, body: &[u8]) -> Reply {
        self.send(&frame(5, opcode, body)).await;
        let reply = self.receive().await.expect("a reply");
        assert_eq!(reply.stream, 5);
        reply
    }

    /// Runs a statement that must not fail.
    async fn run(&mut self, text: &str) -> Reply {
        let reply = self.call(QUERY, &query(text)).await;
        assert_eq!(reply.opcode, 8, "{text}: {}", String::from_utf8_lossy(&reply.body));
        reply
    }

    /// A table `ks.t (k bigint, v int)`, and the id of an INSERT into it.
    async fn prepared(&mut self) -> Vec<u8> {
        self.run(
            "CREATE KEYSPACE ks WITH replication = \
             {'class': 'SimpleStrategy', 'replication_factor': 1}",
        )
        .await;
        self.run("CREATE TABLE ks.t (k bigint PRIMARY KEY, v int)").await;
        self.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)").await
    }

    async fn prepare(&mut self, text: &str) -> Vec<u8> {
        let reply = self.call(PREPARE, &long_string(text)).await;
        assert_eq!(reply.body[..4], [0, 0, 0, 4]);
        reply.body[6..22].to_vec()
    }
}

fn insert_values(k: i64, v: i32) -> Vec<u8> {
    [vec![0, 2], value(&k.to_be_bytes()), value(&v.to_be_bytes())].concat()
}

/// EXECUTE with consistency ONE.
fn execute(id: &[u8], flags: u8, rest: &[u8]) -> Vec<u8> {
    [&[0, 16], id, &[0, 1, flags], rest].concat()
}

async fn one_node() -> Cluster {
    start(Cluster::builder()).await
}

async fn start(builder: ClusterBuilder) -> Cluster {
    builder.start().await.unwrap()
}

#[tokio::test]
async fn other_versions_are_told_which_to_use() {
    let cluster = one_node().await;
    for version in [2, 5, 65, 66] {
        let mut client = Client::open(&cluster).await;
        let mut bytes = frame(9, OPTIONS, &[]);
        bytes[0] = version;
        client.send(&bytes).await;
        let reply = client.receive().await.unwrap();
        let (code, message) = reply.error();
        assert_eq!((reply.stream, code), (0, PROTOCOL_ERROR));
        assert_eq!(message, format!("Invalid or unsupported protocol version: {version}"));
        assert!(client.receive().await.is_none(), "the connection ends");
    }
}

#[tokio::test]
async fn garbage_and_oversize_end_the_connection_with_an_error() {
    let cluster = start(Cluster::builder().body_len_max(1000)).await;
    let oversize = [4, 0, 0, 1, QUERY, 0x7F, 0xFF, 0xFF, 0xFF];
    let above_limit = frame(1, QUERY, &[0; 1001]);
    let unknown_opcode = frame(1, 0x77, &[]);
    let short_body = frame(1, QUERY, &[0, 0, 0, 99, b'S']);
    let negative_stream = frame(-7, OPTIONS, &[]);
    let compressed = [&[4, 1][..], &frame(1, QUERY, &query("USE x"))[2..]].concat();
    let cases = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        oversize.to_vec(),
        above_limit,
        unknown_opcode,
        short_body,
        negative_stream,
        compressed,
    ];
    for bytes in cases {
        let mut client = Client::started(&cluster).await;
        client.send(&bytes).await;
        let reply = client.receive().await.unwrap_or_else(|| panic!("no reply to {bytes:?}"));
        assert_eq!(reply.error().0, PROTOCOL_ERROR, "{bytes:?}");
        assert!(client.receive().await.is_none(), "the connection ends");
    }
}

#[tokio::test]
async fn only_options_before_startup() {
    let cluster = one_node().await;
    let mut client = Client::open(&cluster).await;
    assert_eq!(client.call(OPTIONS, &[]).await.opcode, 6);
    let (code, message) = client.call(QUERY, &query("SELECT * FROM system.local")).await.error();
    assert_eq!(code, PROTOCOL_ERROR);
    assert!(message.contains("expecting STARTUP"), "{message}");
    let body = [vec![0, 1], string("CQL_VERSION"), string("3.0.0")].concat();
    assert_eq!(client.call(STARTUP, &body).await.opcode, 2);
    client.run("SELECT * FROM system.local").await;
}

#[tokio::test]
async fn frames_may_be_cut_anywhere() {
    let cluster = one_node().await;
    let mut client = Client::started(&cluster).await;
    client.socket.set_nodelay(true).unwrap();
    let bytes = [frame(1, OPTIONS, &[]), frame(2, QUERY, &query("USE system"))].concat();
    for cut in 1..bytes.len() {
        client.send(&bytes[..cut]).await;
        tokio::task::yield_now().await;
        client.send(&bytes[cut..]).await;
        assert_eq!(client.receive().await.unwrap().stream, 1);
        assert_eq!(client.receive().await.unwrap().stream, 2);
    }
}

#[tokio::test]
async fn error_codes_by_kind_of_mistake() {
    let cluster = one_node().await;
    let mut client = Client::started(&cluster).await;
    let id = client.prepared().await;
    for (text, code) in [
        ("SELEC", 0x2000),
        ("DESCRIBE", 0x2000),
        ("DESCRIBE TABLE ks.nothing", 0x2200),
        ("SELECT * FROM ks.nothing", 0x2200),
        ("SELECT nothing FROM ks.t", 0x2200),
        ("SELECT * FROM nothing.t", 0x2200),
        ("SELECT * FROM t", 0x2200),
        ("SELECT * FROM ks.t WHERE v = 1", 0x2200),
        ("INSERT INTO ks.t (v) VALUES (1)", 0x2200),
        ("INSERT INTO ks.t (k) VALUES ('text')", 0x2200),
        ("INSERT INTO ks.t (k, v) VALUES (?, ?)", 0x2200),
        ("INSERT INTO system.local (key) VALUES ('x')", 0x2100),
        ("CREATE TABLE ks.t (a int PRIMARY KEY)", 0x2400),
        ("SELECT * FROM system.peers_v2", 0x2200),
    ] {
        assert_eq!(client.call(QUERY, &query(text)).await.error().0, code, "{text}");
    }
    let unknown = client.call(EXECUTE, &execute(&[7; 16], 0, &[])).await;
    assert_eq!(unknown.error().0, 0x2500);
    assert!(unknown.body.ends_with(&[7; 16]));
    let bad_int = [vec![0, 2], value(&1_i64.to_be_bytes()), value(&[1, 2, 3])].concat();
    assert_eq!(client.call(EXECUTE, &execute(&id, 1, &bad_int)).await.error().0, 0x2200);
    let too_few = [vec![0, 1], value(&1_i64.to_be_bytes())].concat();
    assert_eq!(client.call(EXECUTE, &execute(&id, 1, &too_few)).await.error().0, 0x2200);
}

#[tokio::test]
async fn paging_states_are_checked() {
    let cluster = one_node().await;
    let mut client = Client::started(&cluster).await;
    let id = client.prepared().await;
    for k in 0..10 {
        client.call(EXECUTE, &execute(&id, 1, &insert_values(k, 1))).await;
    }
    let page = |text: &str, state: Option<&[u8]>| {
        let mut body = [long_string(text), vec![0, 1, 4 | state.map_or(0, |_| 8)]].concat();
        body.extend(4_u32.to_be_bytes());
        body.extend(state.map(value).unwrap_or_default());
        body
    };
    let first = client.call(QUERY, &page("SELECT k FROM ks.t", None)).await;
    // kind, flags (global spec, more pages), column count, state
    assert_eq!(first.body[..12], [0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1]);
    let len = usize::from(u16::from_be_bytes([first.body[14], first.body[15]]));
    let state = &first.body[16..16 + len];
    let second = client.call(QUERY, &page("SELECT k FROM ks.t", Some(state))).await;
    assert_eq!(second.opcode, 8);
    let other = client.call(QUERY, &page("SELECT v FROM ks.t", Some(state))).await;
    assert_eq!(other.error().0, PROTOCOL_ERROR);
}

#[tokio::test]
async fn canned_replies_are_counted_and_not_stored() {
    let cluster = start(Cluster::builder().canned(true)).await;
    let mut client = Client::started(&cluster).await;
    let insert = client.prepared().await;
    let select = client.prepare("SELECT v FROM ks.t WHERE k = ?").await;
    for k in 0..5 {
        let reply = client.call(EXECUTE, &execute(&insert, 1, &insert_values(k, 7))).await;
        assert_eq!(reply.body, [0, 0, 0, 1]);
    }
    let key = |k: i64| [vec![0, 1], value(&k.to_be_bytes())].concat();
    let row = [&[0, 0, 0, 1][..], &value(&7_i32.to_be_bytes())].concat();
    // The first insert was stored, the others were not; then its reply answers all.
    for (k, is_found) in [(4, false), (0, true), (4, true)] {
        let reply = client.call(EXECUTE, &execute(&select, 1, &key(k))).await;
        assert_eq!(reply.body.ends_with(&row), is_found, "{k}");
    }
    // With metadata skipped the reply is another one.
    let reply = client.call(EXECUTE, &execute(&select, 3, &key(4))).await;
    assert_eq!(reply.body[..12], [0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 1]);
    let item = [&[1, 0, 16][..], &insert, &insert_values(3, 7)].concat();
    let batch = [vec![1, 0, 2], item.clone(), item, vec![0, 1, 0]].concat();
    assert_eq!(client.call(BATCH, &batch).await.body, [0, 0, 0, 1]);
    // Five inserts, four selects, one batch.
    let expect = ShardCounters { right: 10, connections: 1, ..Default::default() };
    assert_eq!(cluster.counters().total(), expect);
}

#[tokio::test]
async fn canned_replies_are_those_of_all_nodes() {
    let cluster = start(Cluster::builder().nodes(3).canned(true)).await;
    let mut client = Client::started(&cluster).await;
    client
        .run(
            "CREATE KEYSPACE ks WITH replication = \
         {'class': 'NetworkTopologyStrategy', 'replication_factor': 3}",
        )
        .await;
    client.run("CREATE TABLE ks.t (k bigint PRIMARY KEY, v int)").await;
    client.run("INSERT INTO ks.t (k, v) VALUES (0, 7)").await;
    // The first node is asked for the key that has a row, the others for keys that have none.
    for (k, point) in (0_i64..).zip(cluster.contact_points()) {
        let mut client = Client::started_at(point).await;
        let select = client.prepare("SELECT v FROM ks.t WHERE k = ?").await;
        let key = [vec![0, 1], value(&k.to_be_bytes())].concat();
        let reply = client.call(EXECUTE, &execute(&select, 1, &key)).await;
        assert!(reply.body.ends_with(&7_i32.to_be_bytes()), "{k}");
    }
    // Each of them is a replica of every key.
    let counters = cluster.counters();
    assert!(counters.nodes.iter().all(|node| node.shards[0].right == 1), "{counters:?}");
}

#[tokio::test]
async fn canned_replies_are_compressed_as_each_client_asked() {
    let cluster = start(Cluster::builder().canned(true)).await;
    let mut client = Client::started(&cluster).await;
    client.prepared().await;
    client.run("INSERT INTO ks.t (k, v) VALUES (1, 7)").await;
    let key = [vec![0, 1], value(&1_i64.to_be_bytes())].concat();
    for _ in 0..2 {
        for algorithm in ["none", "lz4", "snappy"] {
            let mut client = Client::open(&cluster).await;
            let options = match algorithm {
                "none" => vec![("CQL_VERSION", "4.0.0")],
                name => vec![("CQL_VERSION", "4.0.0"), ("COMPRESSION", name)],
            };
            let count = u16::try_from(options.len()).unwrap().to_be_bytes();
            let mut body = count.to_vec();
            for (name, text) in options {
                body.extend([string(name), string(text)].concat());
            }
            assert_eq!(client.call(STARTUP, &body).await.opcode, 2);
            let plain = |body: &[u8]| match algorithm {
                "lz4" => lz4_flex::block::decompress(&body[4..], 4096).unwrap(),
                "snappy" => snap::raw::Decoder::new().decompress_vec(body).unwrap(),
                _ => body.to_vec(),
            };
            // Requests need not be compressed.
            let reply = client.call(PREPARE, &long_string("SELECT v FROM ks.t WHERE k = ?")).await;
            let id = plain(&reply.body)[6..22].to_vec();
            let reply = client.call(EXECUTE, &execute(&id, 1, &key)).await;
            assert!(plain(&reply.body).ends_with(&[0, 0, 0, 7]), "{algorithm}");
        }
    }
}

#[tokio::test]
async fn counters_tell_right_from_wrong() {
    let cluster = start(Cluster::builder().nodes(2).shards(2)).await;
    let mut client = Client::started(&cluster).await;
    let id = client.prepared().await;
    for k in 0..400 {
        client.call(EXECUTE, &execute(&id, 1, &insert_values(k, 1))).await;
    }
    let scan = client.prepare("SELECT * FROM ks.t").await;
    client.call(EXECUTE, &execute(&scan, 0, &[])).await;
    let shard = cluster.counters().nodes[0].shards[0];
    assert_eq!(shard.unrouted, 1);
    assert_eq!(shard.right + shard.wrong_shard + shard.wrong_node, 400);
    for count in [shard.right, shard.wrong_shard, shard.wrong_node] {
        assert!(count > 30, "{shard:?}");
    }
    assert_eq!(cluster.counters().nodes[1].shards[0].connections, 0);
}

#[tokio::test]
async fn a_delayed_reply_holds_up_no_other() {
    let cluster = one_node().await;
    let mut client = Client::started(&cluster).await;
    let rule = FaultRule::new(FaultAction::Delay { ms: 100 }).opcode("QUERY").limit(1);
    cluster.add_fault(rule);
    let start = Instant::now();
    client.send(&frame(1, QUERY, &query("USE system"))).await;
    client.send(&frame(2, QUERY, &query("USE system"))).await;
    assert_eq!(client.receive().await.unwrap().stream, 2);
    assert_eq!(client.receive().await.unwrap().stream, 1);
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn faults_drop_cut_close_corrupt_and_refuse() {
    let cluster = one_node().await;
    let mut client = Client::started(&cluster).await;
    let id = client.prepared().await;
    let request = execute(&id, 1, &insert_values(1, 1));
    let fault = async |action: FaultAction| {
        cluster.clear_faults();
        cluster.add_fault(FaultRule::new(action).statement("INSERT INTO ks.t").limit(1));
        let mut client = Client::started(&cluster).await;
        client.send(&frame(3, EXECUTE, &request)).await;
        client
    };
    let mut dropped = fault(FaultAction::Drop).await;
    dropped.send(&frame(4, OPTIONS, &[])).await;
    assert_eq!(dropped.receive().await.unwrap().stream, 4);

    let mut bytes = Vec::new();
    fault(FaultAction::CutMidFrame).await.socket.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes.len(), (9 + 4) / 2);

    bytes.clear();
    fault(FaultAction::Close).await.socket.read_to_end(&mut bytes).await.unwrap();
    assert!(bytes.is_empty(), "{bytes:?}");

    let mut corrupt = fault(FaultAction::Corrupt).await;
    assert_ne!(corrupt.socket.read_u8().await.unwrap(), 0x84);

    let error = FaultAction::Error { code: 0x1100, message: "late".into() };
    let reply = fault(error).await.receive().await.unwrap();
    assert_eq!(reply.error(), (0x1100, "late".into()));
    assert!(reply.body.ends_with(b"SIMPLE"));

    let reply = fault(FaultAction::Unprepared).await.receive().await.unwrap();
    assert_eq!(reply.error().0, 0x2500);
    assert!(reply.body.ends_with(&id));
}

#[tokio::test]
async fn a_stopped_node_is_gone_and_the_others_hear_of_it() {
    let cluster = start(Cluster::builder().nodes(2)).await;
    let mut client = Client::started(&cluster).await;
    let kinds = [vec![0, 2], string("STATUS_CHANGE"), string("SCHEMA_CHANGE")].concat();
    assert_eq!(client.call(REGISTER, &kinds).await.opcode, 2);
    let second = cluster.contact_points()[1];
    let mut other = TcpStream::connect(second).await.unwrap();
    cluster.stop_node(1).await.unwrap();
    assert_eq!(other.read(&mut [0; 10]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(second).await.is_err());
    let event = client.receive().await.unwrap();
    let body = [string("STATUS_CHANGE"), string("DOWN"), vec![4]].concat();
    assert_eq!((event.stream, event.opcode), (-1, 12));
    assert!(event.body.starts_with(&body));
    assert!(event.body.ends_with(&u32::from(second.port()).to_be_bytes()));
    cluster.start_node(1).await.unwrap();
    assert!(TcpStream::connect(second).await.is_ok());
    let body = [string("STATUS_CHANGE"), string("UP")].concat();
    assert!(client.receive().await.unwrap().body.starts_with(&body));
}

#[tokio::test]
async fn a_removed_node_is_listed_no_longer_and_its_ranges_change_hands() {
    let cluster = start(Cluster::builder().nodes(2).datacenters(["east", "west"])).await;
    let mut client = Client::started(&cluster).await;
    let kinds = [vec![0, 1], string("TOPOLOGY_CHANGE")].concat();
    assert_eq!(client.call(REGISTER, &kinds).await.opcode, 2);
    let peers = "SELECT data_center FROM system.peers";
    assert!(client.run(peers).await.body.ends_with(b"west"));
    cluster.remove_node(1).await.unwrap();
    let event = client.receive().await.unwrap();
    assert!(event.body.starts_with(&[string("TOPOLOGY_CHANGE"), string("REMOVED_NODE")].concat()));
    assert!(client.run(peers).await.body.ends_with(&[0; 4])); // no row
    assert!(cluster.start_node(1).await.is_err());
    assert!(cluster.remove_node(0).await.is_err());

    // The only node left holds everything.
    let id = client.prepared().await;
    for key in 0..16 {
        let reply = client.call(EXECUTE, &execute(&id, 1, &insert_values(key, 1))).await;
        assert_eq!(reply.opcode, 8);
    }
    assert_eq!(cluster.counters().total().wrong_node, 0);

    cluster.add_node(1).await.unwrap();
    let event = client.receive().await.unwrap();
    assert!(event.body.starts_with(&[string("TOPOLOGY_CHANGE"), string("NEW_NODE")].concat()));
    assert!(client.run(peers).await.body.ends_with(b"west"));
    assert!(TcpStream::connect(cluster.contact_points()[1]).await.is_ok());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_from() {
    let cluster = one_node().await;
    let mut client = Client::started(&cluster).await;
    let id = client.prepared().await;
    client.run("CREATE TABLE ks.big (k int PRIMARY KEY, b text)").await;
    let text = "x".repeat(100_000);
    client.run(&format!("INSERT INTO ks.big (k, b) VALUES (1, '{text}')")).await;
    let select = frame(1, QUERY, &query("SELECT b FROM ks.big WHERE k = 1"));
    // Requests for 400 MB of replies, none of which is read yet.
    let total = 4000;
    client.send(&select.repeat(total)).await;
    let mut other = Client::started(&cluster).await;
    other.call(EXECUTE, &execute(&id, 1, &insert_values(1, 1))).await;
    assert!(resident_mb().is_none_or(|mb| mb < 200), "{:?} MB", resident_mb());
    for _ in 0..total {
        assert_eq!(client.receive().await.unwrap().opcode, 8);
    }
}

#[tokio::test]
async fn who_does_not_log_in_has_to_leave_and_nobody_else() {
    let builder = Cluster::builder().login_timeout(Duration::from_secs(2)).user("u", "p");
    let cluster = start(builder).await;
    let mut friend = Client::open(&cluster).await;
    let body = [vec![0, 1], string("CQL_VERSION"), string("4.0.0")].concat();
    assert_eq!(friend.call(STARTUP, &body).await.opcode, 3);
    assert_eq!(friend.call(AUTH_RESPONSE, &value(b"\0u\0p")).await.opcode, 16);
    let mut silent = Client::open(&cluster).await;
    let mut half = Client::open(&cluster).await;
    half.send(&[4, 0, 0, 1]).await;
    let mut waiting = Client::open(&cluster).await;
    assert_eq!(waiting.call(STARTUP, &body).await.opcode, 3);
    for client in [&mut silent, &mut half, &mut waiting] {
        assert!(client.receive().await.is_none());
    }
    friend.run("SELECT * FROM system.local").await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let builder = Cluster::builder().max_concurrent_connections(3);
    let cluster = start(builder.max_concurrent_connections_per_ip(2)).await;
    let mut first = Client::started(&cluster).await;
    let second = Client::started(&cluster).await;
    let mut third = Client::open(&cluster).await;
    let (code, message) = third.call(OPTIONS, &[]).await.error();
    assert_eq!(code, OVERLOADED);
    assert_eq!(message, "127.0.0.1 has 2 connections, no more");
    assert!(third.receive().await.is_none());
    let from_elsewhere = async |last: u8| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
        Client { socket: socket.connect(cluster.contact_points()[0]).await.unwrap() }
    };
    let mut fourth = from_elsewhere(2).await;
    assert_eq!(fourth.call(OPTIONS, &[]).await.opcode, 6);
    let mut fifth = from_elsewhere(3).await;
    let (code, message) = fifth.call(OPTIONS, &[]).await.error();
    assert_eq!((code, message.as_str()), (OVERLOADED, "the node has 3 connections, no more"));
    // At the end of the second the node has closed it, and has a place again.
    let mut second = second.socket;
    second.shutdown().await.unwrap();
    assert_eq!(second.read(&mut [0; 10]).await.unwrap(), 0);
    Client::started(&cluster).await.run("SELECT * FROM system.local").await;
    first.run("SELECT * FROM system.local").await;
}

#[tokio::test]
async fn who_keeps_the_node_waiting_for_longest_leaves_when_too_much_is_held() {
    let cluster = start(Cluster::builder().held_bytes_max(2_000_000)).await;
    let request = frame(5, QUERY, &query(&format!("USE {}", "x".repeat(1_500_000))));
    let (sent, rest) = request.split_at(1_000_000);
    let mut first = Client::started(&cluster).await;
    first.send(sent).await;
    let mut second = Client::started(&cluster).await;
    second.send(sent).await;
    assert!(first.receive().await.is_none(), "it has waited for longer");
    second.send(rest).await;
    assert_eq!(second.receive().await.unwrap().error().0, 0x2200);
    let mut third = Client::started(&cluster).await;
    third.send(sent).await;
    third.send(rest).await;
    assert_eq!(third.receive().await.unwrap().error().0, 0x2200);
}

#[tokio::test]
async fn a_client_with_much_to_do_lets_others_have_their_turn() {
    let cluster = one_node().await;
    let mut client = Client::started(&cluster).await;
    let id = client.prepared().await;
    let requests: Vec<u8> =
        (0..300).flat_map(|k| frame(1, EXECUTE, &execute(&id, 1, &insert_values(k, 1)))).collect();
    client.send(&requests).await;
    for _ in 0..300 {
        assert_eq!(client.receive().await.unwrap().opcode, 8);
    }
    cluster.reset_counters();
    let scan = client.prepare("SELECT k FROM ks.t WHERE v = 2 ALLOW FILTERING").await;
    let request = frame(1, EXECUTE, &execute(&scan, 0, &[]));
    let mut other = Client::started(&cluster).await;
    // All of them fit into one reading of the node; they take it seconds.
    let total = 2000;
    client.send(&request.repeat(total)).await;
    other.call(OPTIONS, &[]).await;
    let done = usize::try_from(cluster.counters().total().unrouted).unwrap();
    assert!(done < total, "all were executed first");
    for _ in 0..total {
        assert_eq!(client.receive().await.unwrap().opcode, 8);
    }
}

#[tokio::test]
async fn more_delayed_replies_than_are_kept_wait_for_each_other() {
    let cluster = one_node().await;
    let mut client = Client::started(&cluster).await;
    cluster.add_fault(FaultRule::new(FaultAction::Delay { ms: 1 }).opcode("OPTIONS"));
    let total = 40_000;
    let requests = frame(1, OPTIONS, &[]).repeat(total);
    let (mut read, mut write) = client.socket.split();
    let receive = async {
        let mut reply = vec![0; 64 * 1024];
        let mut header = [0; 9];
        for _ in 0..total {
            read.read_exact(&mut header).await.unwrap();
            let len = usize::from(u16::from_be_bytes([header[7], header[8]]));
            read.read_exact(&mut reply[..len]).await.unwrap();
        }
    };
    let (sent, ()) = tokio::join!(write.write_all(&requests), receive);
    sent.unwrap();
}

#[tokio::test]
async fn statements_too_long_or_too_many_are_not_kept() {
    let cluster = one_node().await;
    let mut client = Client::started(&cluster).await;
    client.prepared().await;
    let long = |number: usize| {
        let blank = " ".repeat(1 << 19);
        format!("INSERT INTO ks.t (k, v) VALUES ({number}, ?){blank}")
    };
    let id = client.prepare(&long(0)).await;
    let values = [vec![0, 1], value(&1_i32.to_be_bytes())].concat();
    let request = execute(&id, 1, &values);
    assert_eq!(client.call(EXECUTE, &request).await.opcode, 8);
    for number in 1..32 {
        client.prepare(&long(number)).await;
    }
    assert_eq!(client.call(EXECUTE, &request).await.error().0, 0x2500, "it was forgotten");
    let (code, message) = client.call(PREPARE, &long_string(&long(0).repeat(2))).await.error();
    assert_eq!(code, 0x2200);
    assert!(message.contains("1048576"), "{message}");
    let list = format!("INSERT INTO ks.t (k, v) VALUES (1, {}1)", "1+".repeat(300_000));
    let (code, message) = client.call(QUERY, &query(&list)).await.error();
    assert_eq!(code, 0x2000);
    assert!(message.contains("500000 words and symbols"), "{message}");
}

#[tokio::test]
async fn what_nests_too_deeply_is_an_error_and_no_more() {
    let cluster = one_node().await;
    let mut client = Client::started(&cluster).await;
    client.prepared().await;
    let deep = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(20_000), close.repeat(20_000))
    };
    for text in [
        format!("INSERT INTO ks.t (k, v) VALUES (1, {})", deep("[", "1", "]")),
        format!("INSERT INTO ks.t (k, v) VALUES (1, {})", deep("(", "1", ")")),
        format!("INSERT INTO ks.t (k, v) VALUES (1, {})", deep("{1: ", "1", "}")),
        format!("INSERT INTO ks.t (k, v) VALUES (1, {})", deep("abs(", "1", ")")),
        format!("INSERT INTO ks.t (k, v) VALUES (1, {})", deep("-", "1", "")),
        format!("SELECT (int) {} FROM ks.t", deep("(int) ", "1", "")),
        format!("CREATE TABLE ks.d (k int PRIMARY KEY, v {})", deep("frozen<list<", "int", ">>")),
        format!("CREATE TABLE ks.d (k int PRIMARY KEY, v {})", deep("tuple<", "int", ">")),
        format!("INSERT INTO ks.t JSON '{}'", deep("[", "1", "]")),
        format!("INSERT INTO ks.t JSON '{}'", deep("{\"k\": ", "1", "}")),
    ] {
        let (code, message) = client.call(QUERY, &query(&text)).await.error();
        assert!([0x2000, 0x2200].contains(&code), "{code:#x} {message}: {}", &text[..70]);
    }
    client.run("SELECT * FROM ks.t").await;
}

#[tokio::test]
async fn announced_lengths_take_no_memory() {
    let cluster = one_node().await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        // 200 MiB each, in a header alone.
        let mut client = Client::started(&cluster).await;
        client.send(&[4, 0, 0, 1, QUERY, 0x0C, 0x80, 0, 0]).await;
        clients.push(client);
    }
    for (algorithm, body) in [
        ("lz4", [&[0x0F, 0xFF, 0xFF, 0xFF][..], &[0xFF; 40]].concat()),
        ("snappy", [&[0xFF, 0xFF, 0xFF, 0x7F][..], &[0xFF; 40]].concat()),
    ] {
        let mut client = Client::open(&cluster).await;
        let options = [string("CQL_VERSION"), string("4.0.0")].concat();
        let compression = [string("COMPRESSION"), string(algorithm)].concat();
        let body_of_startup = [&[0, 2][..], &options, &compression].concat();
        assert_eq!(client.call(STARTUP, &body_of_startup).await.opcode, 2);
        let mut bomb = frame(5, QUERY, &body);
        bomb[1] = 1;
        client.send(&bomb).await;
        let mut header = [0; 9];
        client.socket.read_exact(&mut header).await.unwrap();
        assert_eq!(header[4], 0, "{algorithm}");
        client.socket.read_to_end(&mut Vec::new()).await.unwrap();
    }
    Client::started(&cluster).await.run("SELECT * FROM system.local").await;
    assert!(resident_mb().is_none_or(|mb| mb < 200), "{:?} MB", resident_mb());
}

#[tokio::test]
async fn traces_are_forgotten_before_they_are_too_many() {
    let cluster = one_node().await;
    let mut client = Client::started(&cluster).await;
    let mut traced = frame(1, QUERY, &query("USE system"));
    traced[1] = 2;
    for _ in 0..101 {
        client.send(&traced.repeat(100)).await;
        for _ in 0..100 {
            assert_eq!(client.receive().await.unwrap().opcode, 8);
        }
    }
    let reply = client.run("SELECT count(*) FROM system_traces.sessions").await;
    assert!(reply.body.ends_with(&100_i64.to_be_bytes()), "{reply:?}");
    let events = client.run("SELECT count(*) FROM system_traces.events").await;
    assert!(events.body.ends_with(&200_i64.to_be_bytes()), "{events:?}");
}

async fn admin(cluster: &Cluster) -> BufReader<TcpStream> {
    BufReader::new(TcpStream::connect(cluster.admin().unwrap()).await.unwrap())
}

/// Asks for something; `None` if the connection has ended.
async fn ask(admin: &mut BufReader<TcpStream>, line: &[u8]) -> Option<String> {
    admin.get_mut().write_all(line).await.ok()?;
    let mut answer = String::new();
    admin.read_line(&mut answer).await.ok().filter(|len| *len > 0)?;
    Some(answer)
}

#[tokio::test]
async fn the_admin_port_withstands_nonsense_and_many_clients() {
    let cluster = start(Cluster::builder().admin(([127, 0, 0, 1], 0).into())).await;
    let counters = b"{\"cmd\":\"counters\"}\n";
    let mut first = admin(&cluster).await;
    assert!(ask(&mut first, b"\xFF\xFE\n").await.unwrap().contains("error"));
    assert!(
        ask(&mut first, &[&b"[".repeat(1000)[..], b"\n"].concat()).await.unwrap().contains("error")
    );
    assert!(ask(&mut first, counters).await.unwrap().contains("cpu_seconds"));
    let mut long = admin(&cluster).await;
    let answer = ask(&mut long, &b"x".repeat(100_000)).await.unwrap();
    assert!(answer.contains("at most 65536 bytes"), "{answer}");
    assert_eq!(long.read(&mut [0; 10]).await.unwrap(), 0);
    // Who comes gets in; of those who are idle the first has to leave.
    let mut others = Vec::new();
    for index in 0..300 {
        let mut other = admin(&cluster).await;
        assert!(ask(&mut other, counters).await.is_some(), "{index}");
        assert!(ask(&mut first, counters).await.is_some(), "{index}");
        others.push(other);
    }
    assert_eq!(others[0].read(&mut [0; 10]).await.unwrap_or(0), 0);
    assert!(ask(&mut others[299], counters).await.is_some());
}

/// Memory of this process, the node included, where the system tells.
fn resident_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kb: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kb / 1024)
}
