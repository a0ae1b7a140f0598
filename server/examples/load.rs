//! A raw client that measures the node: pre-encoded frames, nothing else.
//!
//! ```text
//! cargo run --release -p shardwire-server --example load -- \
//!     [--seconds 5] [--concurrency 128] [--keys 10000] [--lz4] [--stored [--long]] [--read]
//! ```
//!
//! It starts the node as a process of its own (the `shardwire-server` program beside this one),
//! pins it to CPU 0 and itself to CPU 1 with `taskset` if there is one, and prints requests per
//! second and the node's CPU time per request for W1: `INSERT` of (bigint, int, 64-byte blob), or
//! R1: `SELECT` of such a row by its key. With `--stored` rows are stored and read, else replies
//! are canned. Each key is inserted once beforehand; then what a row takes of the node's memory is
//! shown.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a tool for developers")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SELECT: &str = "SELECT v, b FROM ks.w1 WHERE k = ?";
const INSERT: &str = "INSERT INTO ks.w1 (k, v, b) VALUES (?, ?, ?)";

struct Options {
    seconds: u64,
    concurrency: usize,
    keys: i64,
    lz4: bool,
    stored: bool,
    read: bool,
    long: bool,
}

fn options() -> Options {
    let mut options = Options {
        seconds: 5,
        concurrency: 128,
        keys: 10_000,
        lz4: false,
        stored: false,
        read: false,
        long: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().unwrap().parse::<u64>().unwrap();
        match argument.as_str() {
            "--seconds" => options.seconds = number(),
            "--concurrency" => options.concurrency = usize::try_from(number()).unwrap(),
            "--keys" => options.keys = i64::try_from(number()).unwrap(),
            "--read" => options.read = true,
            "--long" => options.long = true,
            "--lz4" => options.lz4 = true,
            "--stored" => options.stored = true,
            other => panic!("unknown option {other}"),
        }
    }
    options
}

fn start_node(options: &Options) -> (Child, serde_json::Value) {
    let program = std::env::current_exe().unwrap();
    let program = program.parent().unwrap().parent().unwrap().join("shardwire-server");
    let has_taskset = Command::new("taskset").arg("--version").output().is_ok();
    let mut command = if has_taskset {
        let own = std::process::id().to_string();
        let pinned = Command::new("taskset").args(["-cp", "1", &own]).output();
        println!("pinned: {}", pinned.is_ok_and(|output| output.status.success()));
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(["--nodes", "1", "--shards", "1", "--address", "auto", "--port", "0"]);
    command.args(["--admin", "127.0.0.1:0", "--exit-with-stdin"]);
    if !options.stored {
        command.arg("--canned");
    }
    let mut node = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(node.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (node, serde_json::from_str(&line).unwrap())
}

struct Client {
    stream: TcpStream,
}

impl Client {
    fn frame(stream: u16, opcode: u8, body: &[u8]) -> Vec<u8> {
        let mut frame = vec![4, 0];
        frame.extend(stream.to_be_bytes());
        frame.push(opcode);
        frame.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        frame.extend(body);
        frame
    }

    /// Sends one request and waits for its reply's body.
    fn call(&mut self, opcode: u8, body: &[u8]) -> Vec<u8> {
        self.exchange(&Self::frame(0, opcode, body))
    }

    fn exchange(&mut self, frame: &[u8]) -> Vec<u8> {
        self.stream.write_all(frame).unwrap();
        let mut header = [0; 9];
        self.stream.read_exact(&mut header).unwrap();
        let len = u32::from_be_bytes(header[5..9].try_into().unwrap());
        let mut body = vec![0; usize::try_from(len).unwrap()];
        self.stream.read_exact(&mut body).unwrap();
        if header[1] & 1 == 1 {
            let len = usize::try_from(u32::from_be_bytes(body[..4].try_into().unwrap())).unwrap();
            body = lz4_flex::block::decompress(&body[4..], len).unwrap();
        }
        assert_ne!(header[4], 0, "{}", String::from_utf8_lossy(&body));
        body
    }

    fn query(&mut self, text: &str) {
        let mut body = long_string(text);
        body.extend([0, 1, 0]);
        self.call(7, &body);
    }

    fn connect(address: &str, lz4: bool) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { stream };
        let mut body = vec![0, if lz4 { 2 } else { 1 }];
        body.extend([string("CQL_VERSION"), string("4.0.0")].concat());
        if lz4 {
            body.extend([string("COMPRESSION"), string("lz4")].concat());
        }
        client.call(1, &body);
        client
    }
}

fn string(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn long_string(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// An EXECUTE: consistency LOCAL_QUORUM, values, no metadata wanted, no more.
fn execute(id: &[u8], key: i64, is_read: bool, options: &Options) -> Vec<u8> {
    let (flags, mut body) = if options.long { (4, vec![0, 0]) } else { (0, Vec::new()) };
    body.extend(u16::try_from(id.len()).unwrap().to_be_bytes());
    body.extend(id);
    body.extend([0, 6, 0x03, 0, if is_read { 1 } else { 3 }]);
    body.extend([&[0, 0, 0, 8][..], &key.to_be_bytes()].concat());
    if !is_read {
        body.extend([0, 0, 0, 4, 0, 0, 0, 1]);
        body.extend([0, 0, 0, 64]);
        body.extend([0xAB; 64]);
    }
    if options.lz4 {
        let mut compressed = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        compressed.extend(lz4_flex::block::compress(&body));
        body = compressed;
    }
    let mut frame = Client::frame(0, 10, &body);
    frame[1] = flags | u8::from(options.lz4);
    frame
}

/// Keeps `concurrency` requests in flight: for each batch of replies read, as many are sent.
fn run(client: &mut Client, frames: &[Vec<u8>], options: &Options) -> (u64, Duration) {
    let mut next = 0;
    let mut send = |stream: &mut TcpStream, count: usize, out: &mut Vec<u8>| {
        out.clear();
        for _ in 0..count {
            let frame = &frames[next % frames.len()];
            let at = out.len();
            out.extend_from_slice(frame);
            let id = u16::try_from(next % 32_768).unwrap();
            out[at + 2..at + 4].copy_from_slice(&id.to_be_bytes());
            next += 1;
        }
        stream.write_all(out).unwrap();
    };
    let (mut out, mut input, mut filled) = (Vec::new(), vec![0; 1 << 20], 0);
    let start = Instant::now();
    let mut done = 0;
    send(&mut client.stream, options.concurrency, &mut out);
    while start.elapsed() < Duration::from_secs(options.seconds) {
        filled += client.stream.read(&mut input[filled..]).unwrap();
        let (mut at, mut count) = (0, 0);
        while filled - at >= 9 {
            let len = u32::from_be_bytes(input[at + 5..at + 9].try_into().unwrap());
            let total = 9 + usize::try_from(len).unwrap();
            if filled - at < total {
                break;
            }
            assert_eq!(input[at + 4], 8, "a RESULT");
            at += total;
            count += 1;
        }
        input.copy_within(at..filled, 0);
        filled -= at;
        done += count as u64;
        send(&mut client.stream, count, &mut out);
    }
    (done, start.elapsed())
}

/// What a process has of the machine's memory.
fn resident_kib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn counters(address: &str) -> serde_json::Value {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"{\"cmd\":\"counters\"}\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

fn main() {
    let options = options();
    let (mut node, ready) = start_node(&options);
    let mut client = Client::connect(ready["contact_points"][0].as_str().unwrap(), options.lz4);
    client.query(
        "CREATE KEYSPACE ks WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 1}",
    );
    client.query("CREATE TABLE ks.w1 (k bigint PRIMARY KEY, v int, b blob)");
    let frames = |client: &mut Client, text: &str, is_read: bool| -> Vec<Vec<u8>> {
        let prepared = client.call(9, &long_string(text));
        let id = &prepared[6..6 + usize::from(u16::from_be_bytes([prepared[4], prepared[5]]))];
        (0..options.keys).map(|key| execute(id, key, is_read, &options)).collect()
    };
    let mut requests = frames(&mut client, INSERT, false);
    let empty = resident_kib(node.id());
    for frame in &requests {
        client.exchange(frame);
    }
    if options.stored {
        let row = (resident_kib(node.id()) - empty) * 1024.0 / requests.len() as f64;
        println!("{row:.0} bytes of memory per row");
    }
    if options.read {
        requests = frames(&mut client, SELECT, true);
        client.exchange(&requests[0]);
    }
    let frames = requests;
    let admin = ready["admin"].as_str().unwrap();
    let before = counters(admin)["cpu_seconds"].as_f64().unwrap();
    let (requests, elapsed) = run(&mut client, &frames, &options);
    let after = counters(admin);
    let cpu = after["cpu_seconds"].as_f64().unwrap() - before;
    let per_second = requests as f64 / elapsed.as_secs_f64();
    println!(
        "{per_second:.0} requests/s, node {:.3} us CPU per request, node busy {:.0} %",
        cpu * 1e6 / requests as f64,
        100.0 * cpu / elapsed.as_secs_f64(),
    );
    println!("{}", after["nodes"][0]["shards"][0]);
    drop(node.stdin.take());
    node.wait().unwrap();
}
