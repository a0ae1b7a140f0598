//! The node among clients that mean it no good, as a program of its own, with an honest client
//! beside them: none of its requests is late, none costs much more, memory stays within a figure.
//!
//! ```sh
//! cargo test -p shardwire-server --test abuse
//! cargo build --release -p shardwire-server
//! export SHARDWIRE_ABUSE_NODE=$PWD/target/release/shardwire-server
//! SHARDWIRE_ABUSE=full cargo test -p shardwire-server --test abuse honest -- --nocapture
//! SHARDWIRE_ABUSE=fuzz SHARDWIRE_ABUSE_SECONDS=180 cargo test …
//! ```
//!
//! `full` prints the table that stands in `README.md`, `fuzz` does nothing but send nonsense for
//! long; both want a node that was built as it is used. What the abusers do is told by seeds; CPU
//! time is counted, not time on the wall.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

const STARTUP: u8 = 1;
const OPTIONS: u8 = 5;
const QUERY: u8 = 7;
const PREPARE: u8 = 9;
const EXECUTE: u8 = 10;
const REGISTER: u8 = 11;
const BATCH: u8 = 13;

/// How long an honest request may take, with the connection that some of them have to open.
const DEADLINE: Duration = Duration::from_secs(15);
/// Bytes that may be held for all clients, as the node is told.
const HELD_BYTES_MAX: u64 = 64 << 20;
/// What the node may take beside twice that, as `README.md` says: for itself, and per connection.
const OWN_BYTES_MAX: u64 = 96 << 20;
const CONNECTION_BYTES_MAX: u64 = 8 << 10;

const SELECT: &str = "SELECT v FROM ks.t WHERE k = 1";

/// How much is done.
struct Scale {
    idle: usize,
    strangers: usize,
    fuzz_streams: usize,
    non_readers: usize,
    /// Requests of a round in which CPU time is counted, and rounds.
    requests: usize,
    rounds: usize,
    pace: Pace,
    /// How many times the CPU time that a request costs without abuse it may cost with it.
    cost_factor_max: f64,
}

/// What a second is to those who send a byte in each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pace {
    /// As long as the honest requests took beforehand that fill it: right on a quiet machine.
    Wall,
    /// A second of the node's CPU time, as if it had no time left: right on any machine.
    Cpu,
}

const QUICK: Scale = Scale {
    idle: 2000,
    strangers: 10_000,
    fuzz_streams: 60,
    non_readers: 300,
    requests: 1000,
    rounds: 4,
    pace: Pace::Cpu,
    // Caches are others' on a machine that builds and tests beside.
    cost_factor_max: 2.5,
};

const FULL: Scale = Scale {
    idle: 5000,
    strangers: 10_000,
    fuzz_streams: 2000,
    non_readers: 1000,
    requests: 20_000,
    rounds: 4,
    pace: Pace::Wall,
    cost_factor_max: 1.5,
};

/// Raises the limit of open files, which the node inherits.
fn raise_file_limit() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    maximum.map_or(usize::MAX, |maximum| usize::try_from(maximum).unwrap())
}

/// The node, and what it has said of panics.
struct Node {
    child: Child,
    plain: SocketAddr,
    shard_aware: SocketAddr,
    admin: SocketAddr,
    log: Option<JoinHandle<()>>,
    panics: Arc<Mutex<Vec<String>>>,
}

impl Node {
    fn start(options: &[&str]) -> Self {
        let program = std::env::var("SHARDWIRE_ABUSE_NODE");
        let program = program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_shardwire-server").to_owned());
        let mut command = Command::new(program);
        command.args(["--nodes", "1", "--shards", "2", "--address", "auto", "--port", "0"]);
        command.args(["--admin", "127.0.0.1:0", "--exit-with-stdin"]).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let panics = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let found = Arc::clone(&panics);
        let log = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.contains("panicked") {
                    found.lock().unwrap().push(line);
                }
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let plain: SocketAddr = ready["contact_points"][0].as_str().unwrap().parse().unwrap();
        let port = u16::try_from(ready["shard_aware_port"].as_u64().unwrap()).unwrap();
        Self {
            child,
            plain,
            shard_aware: SocketAddr::new(plain.ip(), port),
            admin: ready["admin"].as_str().unwrap().parse().unwrap(),
            log: Some(log),
            panics,
        }
    }

    fn ports(&self) -> [SocketAddr; 2] {
        [self.plain, self.shard_aware]
    }

    fn admin(&self) -> Admin {
        let stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Admin(BufReader::new(stream))
    }

    /// A line of the node's status, in bytes.
    fn memory(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    /// Ends the node, which must not have panicked.
    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
        self.log.take().unwrap().join().unwrap();
        let panics = self.panics.lock().unwrap();
        assert!(panics.is_empty(), "{panics:#?}");
    }
}

struct Admin(BufReader<TcpStream>);

impl Admin {
    fn counters(&mut self) -> Value {
        writeln!(self.0.get_mut(), "{}", json!({ "cmd": "counters" })).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn cpu_seconds(&mut self) -> f64 {
        self.counters()["cpu_seconds"].as_f64().unwrap()
    }

    fn connections(&mut self) -> usize {
        let counters = self.counters();
        let shards = counters["nodes"][0]["shards"].as_array().unwrap();
        let count = |shard: &Value| shard["connections"].as_u64().unwrap();
        usize::try_from(shards.iter().map(count).sum::<u64>()).unwrap()
    }

    /// Asks until the number of connections is as it is to be.
    fn wait_for(&mut self, what: &str, is_so: impl Fn(usize) -> bool) -> usize {
        let begun = Instant::now();
        loop {
            let count = self.connections();
            if is_so(count) {
                return count;
            }
            assert!(begun.elapsed() < 4 * DEADLINE, "{what}: {count} connections");
        }
    }
}

fn frame(opcode: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[4, 0, 0, 1, opcode][..], &len, body].concat()
}

fn string(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn long_string(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn startup() -> Vec<u8> {
    frame(STARTUP, &[vec![0, 1], string("CQL_VERSION"), string("4.0.0")].concat())
}

fn query(text: &str) -> Vec<u8> {
    frame(QUERY, &[long_string(text), vec![0, 1, 0]].concat())
}

/// A client with a deadline.
struct Client(TcpStream);

impl Client {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self(stream)
    }

    fn started(address: SocketAddr) -> Self {
        let mut client = Self::open(address);
        assert_eq!(client.call(&startup()).0, 2);
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Opcode and body of the next reply.
    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 9];
        self.0.read_exact(&mut header).unwrap();
        let len = u32::from_be_bytes(header[5..].try_into().unwrap());
        let mut body = vec![0; usize::try_from(len).unwrap()];
        self.0.read_exact(&mut body).unwrap();
        (header[4], body)
    }

    fn call(&mut self, request: &[u8]) -> (u8, Vec<u8>) {
        self.send(request);
        self.receive()
    }

    fn run(&mut self, text: &str) {
        let (opcode, body) = self.call(&query(text));
        assert_eq!(opcode, 8, "{text}: {}", String::from_utf8_lossy(&body));
    }
}

/// An honest client that goes on until it is told to stop.
struct Honest {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    requests: usize,
    connections: usize,
    slowest: Duration,
}

impl Honest {
    /// Every tenth request takes a connection of its own, to each port in turn.
    fn start(ports: [SocketAddr; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let task = std::thread::spawn(move || {
            let mut tally = Tally::default();
            let mut client = Client::started(ports[0]);
            while !is_over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                if tally.requests.is_multiple_of(10) {
                    client = Client::started(ports[tally.connections % 2]);
                    tally.connections += 1;
                }
                let (opcode, body) = client.call(&query(SELECT));
                assert_eq!(opcode, 8);
                assert!(body.ends_with(&7_i32.to_be_bytes()));
                let elapsed = begun.elapsed();
                assert!(elapsed < DEADLINE, "a request took {elapsed:?}");
                tally.requests += 1;
                tally.slowest = tally.slowest.max(elapsed);
            }
            tally
        });
        Self { stop, task }
    }

    fn end(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.task.join().unwrap()
    }
}

/// The node's CPU seconds per request, and those on the wall: the least of some rounds, for what
/// else runs on a machine only ever adds to it. After each request `beside` is called.
fn cost(node: &Node, scale: &Scale, mut beside: impl FnMut()) -> (f64, f64) {
    let (mut admin, mut client) = (node.admin(), Client::started(node.plain));
    let request = query(SELECT);
    let count = f64::from(u32::try_from(scale.requests).unwrap());
    let (mut least, mut fastest) = (f64::MAX, f64::MAX);
    for _ in 0..scale.rounds {
        let (before, begun) = (admin.cpu_seconds(), Instant::now());
        for _ in 0..scale.requests {
            assert_eq!(client.call(&request).0, 8);
            beside();
        }
        fastest = fastest.min(begun.elapsed().as_secs_f64() / count);
        least = least.min((admin.cpu_seconds() - before) / count);
    }
    (least, fastest)
}

/// Logged in, and silent.
fn open_idle(node: &Node, count: usize) -> Vec<Client> {
    let mut all = Vec::new();
    while all.len() < count {
        let at = all.len();
        for index in at..count.min(at + 500) {
            let mut client = Client::open(node.ports()[index % 2]);
            client.send(&startup());
            all.push(client);
        }
        for client in &mut all[at..] {
            assert_eq!(client.receive().0, 2);
        }
    }
    all
}

/// Not logged in: half of them have said nothing, half of them have sent half of a header.
struct Strangers {
    half_open: Vec<TcpStream>,
    slow: Vec<TcpStream>,
    /// Bytes that those have sent.
    sent: usize,
}

impl Strangers {
    /// What each of the slow ones sends, a byte at a time: a frame that is never whole.
    fn byte(position: usize) -> u8 {
        let header = [4, 0, 0, 1, STARTUP, 0, 1, 0, 0];
        header.get(position).copied().unwrap_or(0)
    }

    fn open(node: &Node, count: usize) -> Self {
        let mut strangers = Self { half_open: Vec::new(), slow: Vec::new(), sent: 0 };
        for index in 0..count {
            let stream = TcpStream::connect(node.ports()[index / 2 % 2]).unwrap();
            if index % 2 == 0 {
                strangers.half_open.push(stream);
            } else {
                (&stream).write_all(&[4, 0, 0, 1]).unwrap();
                strangers.slow.push(stream);
            }
        }
        strangers
    }

    /// The next ones of the slow send a byte each, until all have sent `bytes` together.
    fn drip_until(&mut self, bytes: usize) {
        while self.sent < bytes {
            let (round, index) = (self.sent / self.slow.len(), self.sent % self.slow.len());
            self.slow[index].write_all(&[Self::byte(4 + round)]).unwrap();
            self.sent += 1;
        }
    }
}

/// Clients that ask for 256 KiB, forty times, and read nothing.
fn open_non_readers(node: &Node, count: usize) -> Vec<TcpStream> {
    let request = [startup(), query("SELECT b FROM ks.big").repeat(40)].concat();
    let open = |index: usize| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&node.ports()[index % 2].into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.write_all(&request).unwrap();
        stream
    };
    (0..count).map(open).collect()
}

/// Frames that make sense, one after the other.
fn sensible_frames() -> Vec<Vec<u8>> {
    let values = [&[0, 1, 1, 0, 1][..], &[0, 0, 0, 4, 0, 0, 0, 1]].concat();
    vec![
        frame(OPTIONS, &[]),
        query(SELECT),
        query("INSERT INTO ks.nonsense (k, v) VALUES (2, 3) USING TTL 60"),
        query("SELECT * FROM system_schema.columns WHERE keyspace_name = 'ks'"),
        query("SELECT (map<text, frozen<list<int>>>) {'a': [1, 2, 3]} FROM ks.t LIMIT 3"),
        query("BEGIN BATCH UPDATE ks.nonsense SET v = 1 WHERE k = 9; APPLY BATCH"),
        frame(PREPARE, &long_string("SELECT v FROM ks.t WHERE k = ? AND v > ? ALLOW FILTERING")),
        frame(EXECUTE, &[&[0, 16][..], &[7; 16], &values].concat()),
        frame(REGISTER, &[vec![0, 2], string("STATUS_CHANGE"), string("SCHEMA_CHANGE")].concat()),
        frame(
            BATCH,
            &[
                &[0, 0, 1, 0][..],
                &long_string("INSERT INTO ks.nonsense (k, v) VALUES (8, 8)"),
                &[0, 0, 0, 1, 0],
            ]
            .concat(),
        ),
    ]
}

/// Changes some bytes, lengths among them, cuts, and doubles.
fn mutate(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..bytes.len().max(1));
        match random.u8(..6) {
            0 => bytes.truncate(at),
            1 => {
                let piece = bytes[at..].to_vec();
                bytes.extend(piece.iter().take(64));
            }
            2 => bytes.insert(at, random.u8(..)),
            3 if at < bytes.len() => bytes[at] = *random.choice(&[0, 1, 0x7F, 0x80, 0xFF]).unwrap(),
            _ if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            _ => {}
        }
        if bytes.is_empty() {
            return;
        }
    }
}

/// What one fuzzed client of CQL sends: noise, or frames some of which were changed.
fn cql_nonsense(random: &mut fastrand::Rng) -> Vec<u8> {
    if random.u8(..4) == 0 {
        return (0..random.usize(1..5000)).map(|_| random.u8(..)).collect();
    }
    let frames = sensible_frames();
    let mut bytes = match random.u8(..3) {
        0 => Vec::new(),
        1 => startup(),
        _ => {
            let compression = *random.choice(&["lz4", "snappy"]).unwrap();
            let options = [string("COMPRESSION"), string(compression)].concat();
            let version = [string("CQL_VERSION"), string("4.0.0")].concat();
            frame(STARTUP, &[&[0, 2][..], &version, &options].concat())
        }
    };
    for _ in 0..random.usize(1..20) {
        let mut one = frames[random.usize(..frames.len())].clone();
        if random.bool() {
            mutate(&mut one, random);
        }
        bytes.extend(one);
    }
    bytes
}

/// What one fuzzed client of the admin port sends. No rule for faults is whole: it would hurt
/// others, as it should.
fn admin_nonsense(random: &mut fastrand::Rng) -> Vec<u8> {
    if random.u8(..4) == 0 {
        return (0..random.usize(1..100_000)).map(|_| random.u8(..)).collect();
    }
    let commands = [
        r#"{"cmd":"counters"}"#.to_owned(),
        r#"{"cmd":"clear_faults"}"#.to_owned(),
        r#"{"cmd":"fault","rule":{"opcode":"EXECUTE"}}"#.to_owned(),
        r#"{"cmd":"start_node","node":77}"#.to_owned(),
        format!("{}1{}", "[".repeat(500), "]".repeat(500)),
        format!(r#"{{"cmd":{}"x"{}}}"#, r#"{"cmd":"#.repeat(200), "}".repeat(200)),
    ];
    let mut bytes = Vec::new();
    for _ in 0..random.usize(1..10) {
        let mut one = random.choice(&commands).unwrap().clone().into_bytes();
        if random.bool() {
            mutate(&mut one, random);
        }
        bytes.extend(one);
        bytes.push(b'\n');
    }
    bytes
}

/// Sends nonsense to a port and reads until the node closes the connection.
fn send_nonsense(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    // A node that has closed the connection already is right to.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut replies = [0; 64 * 1024];
    loop {
        match stream.read(&mut replies) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                use std::io::ErrorKind::{TimedOut, WouldBlock};
                let is_stuck = matches!(error.kind(), TimedOut | WouldBlock);
                assert!(!is_stuck, "the connection goes on after {bytes:?}");
                return;
            }
        }
    }
}

/// Nonsense on each port, streams `from` on.
fn fuzz(node: &Node, from: usize, count: usize) {
    for seed in from..from + count {
        let mut random = fastrand::Rng::with_seed(u64::try_from(seed).unwrap());
        send_nonsense(node.plain, &cql_nonsense(&mut random));
        send_nonsense(node.shard_aware, &cql_nonsense(&mut random));
        send_nonsense(node.admin, &admin_nonsense(&mut random));
    }
}

fn prepare_tables(node: &Node) {
    let mut client = Client::started(node.plain);
    client.run(
        "CREATE KEYSPACE ks WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 1}",
    );
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY, v int)");
    client.run("INSERT INTO ks.t (k, v) VALUES (1, 7)");
    client.run("CREATE TABLE ks.nonsense (k int PRIMARY KEY, v int)");
    client.run("CREATE TABLE ks.big (k int PRIMARY KEY, b text)");
    let text = "x".repeat(64 << 10);
    for k in 0..4 {
        client.run(&format!("INSERT INTO ks.big (k, b) VALUES ({k}, '{text}')"));
    }
}

fn mib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap()) / 1024.0
}

#[test]
fn honest_clients_do_not_suffer_from_others() {
    let files_max = raise_file_limit();
    let held = HELD_BYTES_MAX.to_string();
    // Strangers are to stay until all is measured; that they leave is another test's.
    let options = ["--login-timeout", "3600000", "--held-bytes-max", &held];
    let node = Node::start(&options);
    prepare_tables(&node);
    let scale = match std::env::var("SHARDWIRE_ABUSE").as_deref() {
        Ok("full") => FULL,
        Ok("fuzz") => return fuzz_for_long(node),
        _ => QUICK,
    };
    // Some files are the node's and the test's own.
    let room = files_max.saturating_sub(scale.idle + scale.non_readers + 200);
    let stranger_count = scale.strangers.min(room);
    let own_memory = node.memory("VmRSS");
    let (before, elapsed) = cost(&node, &scale, || {});

    let honest = Honest::start(node.ports());
    let mut idle = open_idle(&node, scale.idle);
    let mut strangers = Strangers::open(&node, stranger_count);
    let mut admin = node.admin();
    let open = scale.idle + stranger_count;
    admin.wait_for("all are let in", |count| count >= open);
    let with_all = node.memory("VmRSS");
    let per_connection = with_all.saturating_sub(own_memory) / u64::try_from(open).unwrap();
    fuzz(&node, 0, scale.fuzz_streams);
    let non_readers = open_non_readers(&node, scale.non_readers);
    let tally = honest.end();

    let second = match scale.pace {
        Pace::Wall => elapsed,
        Pace::Cpu => before,
    };
    let per_request = second * f64::from(u32::try_from(strangers.slow.len()).unwrap());
    let (mut count, mut bytes) = (0_u32, 0_u32);
    let (during, _) = cost(&node, &scale, || {
        count += 1;
        while f64::from(bytes) < f64::from(count) * per_request {
            bytes += 1;
        }
        strangers.drip_until(usize::try_from(bytes).unwrap());
    });
    let reached = admin.connections();
    let (resident, peak) = (node.memory("VmRSS"), node.memory("VmHWM"));
    let bound = OWN_BYTES_MAX
        + 2 * HELD_BYTES_MAX
        + CONNECTION_BYTES_MAX * u64::try_from(reached + scale.non_readers).unwrap();
    let factor = during / before;
    println!(
        "| limit of open files | {files_max} |\n\
         | idle, logged in | {} |\n\
         | half-open, and slow | {}, {} |\n\
         | fuzzed streams on each port | {} |\n\
         | clients that read nothing | {} |\n\
         | connections at a time, as the node counts them | {reached} |\n\
         | memory per idle or strange connection | {per_connection} bytes |\n\
         | memory at first, in the end, at most; bound | {:.1}, {:.1}, {:.1}; {:.0} MiB |\n\
         | honest requests, on connections of their own | {}, {} |\n\
         | the slowest of them | {:.1} ms |\n\
         | bytes of the slow per request | {per_request:.2} |\n\
         | CPU per request without and with abusers | {:.2}, {:.2} us: {factor:.2} times |",
        scale.idle,
        strangers.half_open.len(),
        strangers.slow.len(),
        scale.fuzz_streams,
        scale.non_readers,
        mib(own_memory),
        mib(resident),
        mib(peak),
        mib(bound),
        tally.requests,
        tally.connections,
        tally.slowest.as_secs_f64() * 1e3,
        before * 1e6,
        during * 1e6,
    );
    assert!(peak <= bound, "{:.1} MiB at most, {:.1} are the bound", mib(peak), mib(bound));
    assert!(factor <= scale.cost_factor_max, "a request costs {factor:.2} times as much");
    assert!(reached >= open, "{reached} connections");
    // Those who were idle all the time are served as ever.
    idle.iter_mut().for_each(|client| client.send(&frame(OPTIONS, &[])));
    assert!(idle.iter_mut().all(|client| client.receive().0 == 6));
    drop((idle, strangers, non_readers));
    admin.wait_for("all have left", |count| count == 0);
    node.end();
}

/// Without a file left for it nobody gets in; but strangers leave, and the node does not spin.
#[test]
fn without_files_left_strangers_make_room() {
    raise_file_limit();
    let node = Node::start(&["--login-timeout", "3600000"]);
    prepare_tables(&node);
    let mut admin = node.admin();
    let pid = rustix::process::Pid::from_child(&node.child);
    let files = Rlimit { current: Some(64), maximum: Some(64) };
    rustix::process::prlimit(Some(pid), Resource::Nofile, files).unwrap();
    let strangers = Strangers::open(&node, 100);
    let (cpu, begun) = (admin.cpu_seconds(), Instant::now());
    for port in node.ports() {
        let (opcode, _) = Client::started(port).call(&query(SELECT));
        assert_eq!(opcode, 8);
    }
    let (cpu, elapsed) = (admin.cpu_seconds() - cpu, begun.elapsed());
    assert!(cpu < elapsed.as_secs_f64() / 2.0, "{cpu} s of CPU time in {elapsed:?}");
    drop(strangers);
    node.end();
}

/// Nonsense from two threads until the time is over; memory at the end is that of the middle.
fn fuzz_for_long(node: Node) {
    let seconds = std::env::var("SHARDWIRE_ABUSE_SECONDS").map_or(60, |text| text.parse().unwrap());
    let (begun, streams) = (Instant::now(), AtomicUsize::new(0));
    let half = Duration::from_secs(seconds) / 2;
    let honest = Honest::start(node.ports());
    let run_until = |end: Duration| {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while begun.elapsed() < end {
                        fuzz(&node, streams.fetch_add(100, Ordering::Relaxed), 100);
                    }
                });
            }
        });
        node.memory("VmRSS")
    };
    let (middle, end) = (run_until(half), run_until(2 * half));
    let tally = honest.end();
    println!(
        "{} streams on each port in {:?}; {:.1} MiB in the middle, {:.1} at the end; {} honest \
         requests, the slowest {:?}",
        streams.load(Ordering::Relaxed),
        begun.elapsed(),
        mib(middle),
        mib(end),
        tally.requests,
        tally.slowest,
    );
    assert!(end < middle + (32 << 20), "memory grows");
    node.end();
}
