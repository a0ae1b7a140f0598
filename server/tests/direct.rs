//! Rows that are written and read the short way are as they are the long way: two clusters get the
//! same requests, one of them with a custom payload, which no short way takes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::{Client, EXECUTE, Prepared, RESULT};
use fastrand::Rng;
use shardwire_server::{Cluster, Persona};

/// Requests with each version of the protocol.
const REQUESTS: usize = 6_000;
/// So many requests after which a node goes or comes back.
const OUTAGE: usize = 500;

const CUSTOM_PAYLOAD: u8 = 4;

const SKIP_METADATA: u32 = 0x02;
const PAGE_SIZE: u32 = 0x04;
const SERIAL_CONSISTENCY: u32 = 0x10;
const TIMESTAMP: u32 = 0x20;

/// What a marker is bound to.
#[derive(Clone, Copy)]
enum Kind {
    Int,
    Bigint,
    Text,
    Blob,
    Map,
}

use Kind::{Bigint, Blob, Int, Map, Text};

/// Statements, those that can go the short way and others between them.
const STATEMENTS: [(&str, &[Kind]); 20] = [
    ("INSERT INTO ks.one (k, v, b) VALUES (?, ?, ?)", &[Bigint, Int, Blob]),
    ("INSERT INTO ks.one (b, k) VALUES (?, ?)", &[Blob, Bigint]),
    ("UPDATE ks.one SET v = ? WHERE k = ?", &[Int, Bigint]),
    ("SELECT * FROM ks.one WHERE k = ?", &[Bigint]),
    ("SELECT v, b FROM ks.one WHERE k = ?", &[Bigint]),
    ("SELECT v, writetime(v) FROM ks.one WHERE k = ?", &[Bigint]),
    ("INSERT INTO ks.one (k) VALUES (?)", &[Bigint]),
    ("DELETE v FROM ks.one WHERE k = ?", &[Bigint]),
    ("DELETE v, b FROM ks.one WHERE k = ?", &[Bigint]),
    ("DELETE FROM ks.one WHERE k = ?", &[Bigint]),
    ("INSERT INTO ks.two (p, q, c, d, v) VALUES (?, ?, ?, ?, ?)", &[Int, Text, Text, Int, Blob]),
    (
        "UPDATE ks.two SET v = ? WHERE p = ? AND q = ? AND c = ? AND d = ?",
        &[Blob, Int, Text, Text, Int],
    ),
    ("INSERT INTO ks.two (p, q, s) VALUES (?, ?, ?)", &[Int, Text, Int]),
    (
        "SELECT d, c, v FROM ks.two WHERE p = ? AND q = ? AND c = ? AND d = ?",
        &[Int, Text, Text, Int],
    ),
    ("SELECT * FROM ks.two WHERE p = ? AND q = ? AND c = ? AND d = ?", &[Int, Text, Text, Int]),
    ("SELECT * FROM ks.two WHERE p = ? AND q = ?", &[Int, Text]),
    ("DELETE FROM ks.two WHERE p = ? AND q = ? AND c > ?", &[Int, Text, Text]),
    ("INSERT INTO ks.ttl (k, v, m) VALUES (?, ?, ?)", &[Bigint, Int, Map]),
    ("UPDATE ks.ttl SET v = ? WHERE k = ?", &[Int, Bigint]),
    ("SELECT k, v, m FROM ks.ttl WHERE k = ?", &[Bigint]),
];

/// What is in the tables in the end.
const ALL: [&str; 3] = [
    "SELECT k, v, writetime(v), b, writetime(b) FROM ks.one",
    "SELECT p, q, c, d, s, v, writetime(v) FROM ks.two",
    "SELECT k, v, writetime(v), m FROM ks.ttl",
];

/// `[value]`: of few values, so that rows meet, and now and then a wrong one.
fn value(random: &mut Rng, kind: Kind) -> Vec<u8> {
    match random.u8(..40) {
        0 => return (-1_i32).to_be_bytes().to_vec(),
        1 => return (-2_i32).to_be_bytes().to_vec(),
        2 => return common::value(&[]),
        3 => return common::value(&[0xFF; 3]),
        _ => {}
    }
    let number = random.u8(..5);
    common::value(&match kind {
        Int => i32::from(number).to_be_bytes().to_vec(),
        Bigint => i64::from(number).to_be_bytes().to_vec(),
        Text => vec![b'a' + number; 2],
        Blob => vec![number; random.usize(..40)],
        Map => [&1_i32.to_be_bytes()[..], &common::value(&[0, 0, 0, number]), &common::value(b"x")]
            .concat(),
    })
}

/// The parameters of an EXECUTE: most are those of a driver, some are not.
fn parameters(random: &mut Rng, (text, kinds): (&str, &[Kind]), version: u8) -> Vec<u8> {
    let level = match random.u8(..8) {
        0 => random.u16(..12),
        of => [1, 4, 6, 5][usize::from(of % 4)],
    };
    // Without a timestamp each cluster would take its own clock's.
    let mut flags = 1 | TIMESTAMP;
    let mut bit = |flag: u32, is_set: bool| flags |= if is_set { flag } else { 0 };
    bit(SKIP_METADATA, random.bool());
    bit(PAGE_SIZE, random.bool());
    bit(SERIAL_CONSISTENCY, random.u8(..8) == 0);
    let mut rest = Vec::new();
    let missing = usize::from(random.u8(..50) == 0);
    let kinds = &kinds[missing..];
    rest.extend(u16::try_from(kinds.len()).unwrap().to_be_bytes());
    kinds.iter().for_each(|kind| rest.extend(value(random, *kind)));
    if flags & PAGE_SIZE != 0 {
        // A page of several begins with an id of the table, which each cluster makes up.
        let least = if text.ends_with("AND q = ?") { 100 } else { 1 };
        rest.extend([-1_i32, 0, least, 5_000][random.usize(..4)].to_be_bytes());
    }
    if flags & SERIAL_CONSISTENCY != 0 {
        rest.extend([7_u16, 8, 9][random.usize(..3)].to_be_bytes());
    }
    let timestamp = if random.u8(..50) == 0 { i64::MIN } else { random.i64(1..20) };
    rest.extend(timestamp.to_be_bytes());
    if random.u8(..100) == 0 {
        rest.truncate(random.usize(..rest.len()));
    }
    let flags = flags.to_be_bytes();
    let flags = if version >= 5 { &flags[..] } else { &flags[3..] };
    [&u16::to_be_bytes(level), flags, &rest].concat()
}

struct Side {
    cluster: Cluster,
    client: Client,
    statements: Vec<Prepared>,
    /// In front of each request's body.
    payload: &'static [u8],
}

impl Side {
    async fn new(version: u8, is_long: bool) -> Self {
        let persona = if version >= 5 { Persona::Cassandra } else { Persona::Scylla };
        let builder = Cluster::builder().nodes(3).persona(persona).seed(7);
        let cluster = builder.start().await.unwrap();
        let mut client = Client::started(&cluster, version).await;
        for text in [
            "CREATE KEYSPACE ks WITH replication = \
             {'class': 'NetworkTopologyStrategy', 'datacenter1': 3}",
            "CREATE TABLE ks.one (k bigint PRIMARY KEY, v int, b blob)",
            "CREATE TABLE ks.two (p int, q text, c text, d int, s int static, v blob, \
             PRIMARY KEY ((p, q), c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC)",
            "CREATE TABLE ks.ttl (k bigint PRIMARY KEY, v int, m map<int, text>) \
             WITH default_time_to_live = 100000",
        ] {
            client.run(text).await;
        }
        let mut side = Self { cluster, client, statements: Vec::new(), payload: &[] };
        side.prepare().await;
        if is_long {
            (side.client.flags, side.payload) = (CUSTOM_PAYLOAD, &[0, 0]);
        }
        side
    }

    async fn prepare(&mut self) {
        self.statements.clear();
        for (text, _) in STATEMENTS {
            self.statements.push(self.client.prepare(text).await);
        }
    }

    async fn execute(&mut self, statement: usize, parameters: &[u8]) -> (u8, Vec<u8>) {
        let prepared = &self.statements[statement];
        let mut body = self.payload.to_vec();
        body.extend(common::short_bytes(&prepared.id));
        if self.client.version >= 5 {
            body.extend(common::short_bytes(&prepared.metadata_id));
        }
        body.extend(parameters);
        let request = self.client.frame(5, EXECUTE, &body);
        let request = self.client.wrapped(&request);
        self.client.send(&request).await;
        let Some(reply) = self.client.receive().await else { return (0xFF, Vec::new()) };
        (reply.opcode, reply.body)
    }

    async fn run(&mut self, text: &str) -> Vec<u8> {
        let flags = std::mem::take(&mut self.client.flags);
        let reply = self.client.run(text).await;
        self.client.flags = flags;
        reply.body
    }

    async fn change(&mut self, is_down: bool) {
        match is_down {
            true => self.cluster.stop_node(2).await.unwrap(),
            false => self.cluster.start_node(2).await.unwrap(),
        }
    }
}

async fn the_same_both_ways(version: u8) {
    let (mut short, mut long) = (Side::new(version, false).await, Side::new(version, true).await);
    let mut random = Rng::with_seed(version.into());
    let (mut done, mut refused) = (0, 0);
    for number in 1..=REQUESTS {
        let statement = random.usize(..STATEMENTS.len());
        let text = STATEMENTS[statement].0;
        let parameters = parameters(&mut random, STATEMENTS[statement], version);
        let replies = (
            short.execute(statement, &parameters).await,
            long.execute(statement, &parameters).await,
        );
        assert_eq!(replies.0, replies.1, "request {number}: {text} {parameters:?}");
        if replies.0.0 == RESULT {
            done += 1
        } else {
            refused += 1
        }
        // What cannot be read at all ends the connection.
        let is_closed = replies.0.1.starts_with(&[0, 0, 0, 0x0A]);
        if is_closed {
            for side in [&mut short, &mut long] {
                let flags = side.client.flags;
                side.client = Client::started(&side.cluster, version).await;
                side.client.flags = flags;
            }
        }
        if number % OUTAGE == 0 {
            let is_down = number / OUTAGE % 2 == 1;
            short.change(is_down).await;
            long.change(is_down).await;
        }
    }
    assert!(done > REQUESTS / 2 && refused > REQUESTS / 20, "{done} done, {refused} refused");
    for text in ALL {
        assert_eq!(short.run(text).await, long.run(text).await, "{text}");
    }
}

#[tokio::test]
async fn of_version_4() {
    the_same_both_ways(4).await;
}

#[tokio::test]
async fn of_version_5() {
    the_same_both_ways(5).await;
}
