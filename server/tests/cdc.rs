//! Change data capture: consumers of logs find their streams, read them, and make of them the
//! table that they are of.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{
    Client, Cursor, EVENT, QUERY, READY, REGISTER, RESULT, Reply, all_shards_connected,
    long_string, rows as cells_of, string,
};
use futures::TryStreamExt as _;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::routing::Token;
use scylla::serialize::row::SerializeRow;
use scylla::statement::Consistency;
use scylla::value::{CqlTimestamp, CqlTimeuuid, CqlValue, Row};
use scylla_cdc::consumer::{CDCRow, Consumer, ConsumerFactory, OperationType};
use scylla_cdc::log_reader::CDCLogReaderBuilder;
use shardwire_server::{Cluster, Persona};

const ONE: u8 = 1;
const QUORUM: u8 = 4;

const UNAVAILABLE: i32 = 0x1000;
const WRITE_TIMEOUT: i32 = 0x1100;
const READ_TIMEOUT: i32 = 0x1200;
const READ_FAILURE: i32 = 0x1300;

/// Random operations of a run.
const OPERATIONS: usize = 500;

async fn cluster() -> Cluster {
    Cluster::builder().nodes(3).shards(4).seed(7).start().await.unwrap()
}

/// A client with a keyspace whose rows have two replicas.
async fn client(cluster: &Cluster) -> Client {
    let mut client = Client::started(cluster, 4).await;
    let keyspace = "CREATE KEYSPACE ks WITH replication = \
                    {'class': 'SimpleStrategy', 'replication_factor': 2}";
    client.run(keyspace).await;
    client
}

async fn session(cluster: &Cluster) -> Session {
    SessionBuilder::new().known_node_addr(cluster.contact_points()[0]).build().await.unwrap()
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

fn millis(time: Duration) -> CqlTimestamp {
    CqlTimestamp(i64::try_from(time.as_millis()).unwrap())
}

/// Times of the generations, the oldest first.
async fn generations(session: &Session) -> Vec<CqlTimestamp> {
    let text = "SELECT time FROM system_distributed.cdc_generation_timestamps \
                WHERE key = 'timestamps'";
    let rows = session.query_unpaged(text, &[]).await.unwrap().into_rows_result().unwrap();
    let mut times: Vec<_> =
        rows.rows::<(CqlTimestamp,)>().unwrap().map(|row| row.unwrap().0).collect();
    times.reverse();
    assert!(times.is_sorted_by(|a, b| a.0 < b.0), "{times:?}");
    times
}

/// The streams of a generation, by ranges of the ring.
async fn streams(session: &Session, generation: CqlTimestamp) -> Vec<Vec<Vec<u8>>> {
    let text = "SELECT streams FROM system_distributed.cdc_streams_descriptions_v2 WHERE time = ?";
    let rows = session.query_unpaged(text, (generation,)).await.unwrap();
    let rows = rows.into_rows_result().unwrap();
    rows.rows::<(Vec<Vec<u8>>,)>().unwrap().map(|row| row.unwrap().0).collect()
}

/// A row by its columns' names.
struct Named(BTreeMap<String, CqlValue>);

impl Named {
    fn get(&self, name: &str) -> Option<&CqlValue> {
        self.0.get(name)
    }

    fn int(&self, name: &str) -> Option<i32> {
        self.get(name)?.as_int()
    }

    fn is_deleted(&self, name: &str) -> bool {
        self.get(&format!("cdc$deleted_{name}")).is_some()
    }

    fn pairs(&self, name: &str) -> Vec<(CqlValue, CqlValue)> {
        self.get(name).map_or_else(Vec::new, |map| map.as_map().unwrap().clone())
    }

    fn set(&self, name: &str) -> Vec<CqlValue> {
        self.get(name).map_or_else(Vec::new, |set| set.as_set().unwrap().clone())
    }
}

async fn rows(session: &Session, text: &str, values: impl SerializeRow) -> Vec<Named> {
    let mut statement = session.prepare(text).await.unwrap();
    statement.set_page_size(50);
    let pager = session.execute_iter(statement, values).await.unwrap();
    let stream = pager.rows_stream::<Row>().unwrap();
    let names: Vec<_> = stream.column_specs().iter().map(|spec| spec.name().to_owned()).collect();
    let rows: Vec<Row> = stream.try_collect().await.unwrap();
    let named = |row: Row| {
        let cells = names.iter().cloned().zip(row.columns);
        Named(cells.filter_map(|(name, cell)| Some((name, cell?))).collect())
    };
    rows.into_iter().map(named).collect()
}

/// What the base table is known to have.
#[derive(Debug, Default)]
struct Table(BTreeMap<i32, Partition>);

#[derive(Debug, Default)]
struct Partition {
    s: Option<i32>,
    rows: BTreeMap<i32, Cells>,
    /// Where the deletion of a range begins, until its end is read.
    range: Option<(Option<i32>, bool)>,
}

#[derive(Debug, Default)]
struct Cells {
    is_inserted: bool,
    v: Option<i32>,
    w: Option<String>,
    l: BTreeMap<CqlTimeuuid, i32>,
    e: BTreeMap<i32, String>,
    t: BTreeSet<i32>,
}

impl Cells {
    fn exists(&self) -> bool {
        let has_elements = !self.l.is_empty() || !self.e.is_empty() || !self.t.is_empty();
        self.is_inserted || self.v.is_some() || self.w.is_some() || has_elements
    }

    fn change(&mut self, row: &Named) {
        if row.is_deleted("v") || row.get("v").is_some() {
            self.v = row.int("v");
        }
        if row.is_deleted("w") || row.get("w").is_some() {
            self.w = row.get("w").map(|w| w.as_text().unwrap().clone());
        }
        for (name, clear) in [("l", 0), ("e", 1), ("t", 2)] {
            match clear {
                _ if !row.is_deleted(name) => {}
                0 => self.l.clear(),
                1 => self.e.clear(),
                _ => self.t.clear(),
            }
        }
        for key in row.set("cdc$deleted_elements_l") {
            self.l.remove(&key.as_timeuuid().unwrap());
        }
        for (key, value) in row.pairs("l") {
            self.l.insert(key.as_timeuuid().unwrap(), value.as_int().unwrap());
        }
        for key in row.set("cdc$deleted_elements_e") {
            self.e.remove(&key.as_int().unwrap());
        }
        for (key, value) in row.pairs("e") {
            self.e.insert(key.as_int().unwrap(), value.as_text().unwrap().clone());
        }
        for key in row.set("cdc$deleted_elements_t") {
            self.t.remove(&key.as_int().unwrap());
        }
        self.t.extend(row.set("t").iter().map(|key| key.as_int().unwrap()));
    }
}

impl Table {
    /// Does what a row of the log tells.
    fn replay(&mut self, row: &Named) {
        let partition = self.0.entry(row.int("p").unwrap()).or_default();
        let c = row.int("c");
        match row.get("cdc$operation").unwrap().as_tinyint().unwrap() {
            1 if c.is_none() => partition.s = row.int("s"),
            operation @ (1 | 2) => {
                let cells = partition.rows.entry(c.unwrap()).or_default();
                cells.is_inserted |= operation == 2;
                cells.change(row);
            }
            3 => {
                partition.rows.remove(&c.unwrap());
            }
            4 => *partition = Partition::default(),
            start @ (5 | 6) => partition.range = Some((c, start == 5)),
            end @ (7 | 8) => {
                let (from, is_inclusive) = partition.range.take().unwrap();
                partition.rows.retain(|row, _| {
                    let begins = from.is_none_or(|c| *row > c || (is_inclusive && *row == c));
                    let ends = c.is_none_or(|c| *row < c || (end == 7 && *row == c));
                    !(begins && ends)
                });
            }
            other => panic!("operation {other}"),
        }
    }

    /// Its rows, as the base table would be shown.
    fn rows(&self) -> Vec<String> {
        let mut shown = Vec::new();
        for (p, partition) in &self.0 {
            let rows: Vec<_> = partition.rows.iter().filter(|(_, cells)| cells.exists()).collect();
            if rows.is_empty() && partition.s.is_some() {
                shown.push(format!("{p} None {:?}", partition.s));
            }
            for (c, Cells { v, w, l, e, t, .. }) in rows {
                let l: Vec<_> = l.values().collect();
                let s = partition.s;
                shown.push(format!("{p} {:?} {s:?} {v:?} {w:?} {l:?} {e:?} {t:?}", Some(c)));
            }
        }
        shown.sort();
        shown
    }
}

/// The rows of the base table.
async fn base_rows(session: &Session) -> Vec<String> {
    let mut shown = Vec::new();
    for row in rows(session, "SELECT * FROM ks.t", ()).await {
        let (p, c, s) = (row.int("p").unwrap(), row.int("c"), row.int("s"));
        if c.is_none() {
            shown.push(format!("{p} None {s:?}"));
            continue;
        }
        let (v, w) = (row.int("v"), row.get("w").map(|w| w.as_text().unwrap().clone()));
        let list = row.get("l").map_or(&[][..], |list| list.as_list().unwrap());
        let l: Vec<_> = list.iter().map(|item| item.as_int().unwrap()).collect();
        let entry = |(key, value): (CqlValue, CqlValue)| {
            (key.as_int().unwrap(), value.as_text().unwrap().clone())
        };
        let e: BTreeMap<_, _> = row.pairs("e").into_iter().map(entry).collect();
        let t: BTreeSet<_> = row.set("t").iter().map(|key| key.as_int().unwrap()).collect();
        shown.push(format!("{p} {c:?} {s:?} {v:?} {w:?} {l:?} {e:?} {t:?}"));
    }
    shown.sort();
    shown
}

/// A random statement that changes rows of one partition.
fn operation(random: &mut fastrand::Rng) -> String {
    let (p, c, n) = (random.i32(0..20), random.i32(0..4), random.i32(0..5));
    let row = format!("p = {p} AND c = {c}");
    let value = if random.u8(0..4) == 0 { "null".to_owned() } else { n.to_string() };
    match random.u8(0..22) {
        0..2 => format!("INSERT INTO ks.t (p, c, v, w) VALUES ({p}, {c}, {value}, 'w{n}')"),
        2 => format!("INSERT INTO ks.t (p, c, s, v) VALUES ({p}, {c}, {n}, {value})"),
        3..5 => format!("UPDATE ks.t SET v = {value}, w = null WHERE {row}"),
        5 => format!("UPDATE ks.t SET s = {value} WHERE p = {p}"),
        6..8 => format!(
            "INSERT INTO ks.t (p, c, l, e, t) VALUES ({p}, {c}, [{n}, 7, {n}], \
             {{{n}: 'a', 9: 'b'}}, {{{n}, 8}})"
        ),
        8 => format!("UPDATE ks.t SET l = l + [{n}, 6] WHERE {row}"),
        9 => format!("UPDATE ks.t SET l = [{n}, 5] + l, t = t + {{{n}}} WHERE {row}"),
        10 => format!("UPDATE ks.t SET l = l - [{n}, 7], t = t - {{{n}, 8}} WHERE {row}"),
        11 => format!("UPDATE ks.t SET e[{n}] = 'c', e[9] = null WHERE {row}"),
        12 => format!("UPDATE ks.t SET e = e - {{{n}}}, l = null WHERE {row}"),
        13 => format!("DELETE v, t, e[{n}] FROM ks.t WHERE {row}"),
        14 => format!("DELETE s FROM ks.t WHERE p = {p}"),
        15 => format!("DELETE FROM ks.t WHERE {row}"),
        16 => {
            let from = random.choice([">", ">="]).unwrap();
            let to = random.choice(["<", "<="]).unwrap();
            format!("DELETE FROM ks.t WHERE p = {p} AND c {from} {c} AND c {to} {}", c + 2)
        }
        17 => {
            let operator = random.choice(["<", "<=", ">", ">="]).unwrap();
            format!("DELETE FROM ks.t WHERE p = {p} AND c {operator} {c}")
        }
        18 if random.bool() => format!("DELETE FROM ks.t WHERE p = {p}"),
        18 | 19 => format!("UPDATE ks.t SET v = {n} WHERE {row} IF v = {}", random.i32(0..5)),
        _ => format!(
            "BEGIN BATCH UPDATE ks.t SET v = {value}, e[1] = 'd' WHERE {row}; \
             INSERT INTO ks.t (p, c, l) VALUES ({p}, {}, [{n}]); UPDATE ks.t SET s = {n} WHERE p = \
             {p}; DELETE FROM ks.t WHERE p = {p} AND c = {}; UPDATE ks.t SET w = 'x' WHERE p = {} \
             AND c = 0; APPLY BATCH",
            (c + 1) % 4,
            (c + 2) % 4,
            (p + 1) % 20
        ),
    }
}

const CREATE: &str = "CREATE TABLE ks.t (p int, c int, s int STATIC, v int, w text, l list<int>, \
                      e map<int, text>, t set<int>, PRIMARY KEY (p, c)) \
                      WITH cdc = {'enabled': true}";

#[tokio::test]
async fn a_consumer_makes_the_table_of_its_log() {
    for seed in 0..4 {
        replay(seed).await;
    }
}

/// Changes a table at random, and makes it again of its log.
async fn replay(seed: u64) {
    let cluster = cluster().await;
    let mut client = client(&cluster).await;
    client.run(CREATE).await;
    let mut random = fastrand::Rng::with_seed(seed);
    for number in 0..OPERATIONS {
        client.run(&operation(&mut random)).await;
        if number == OPERATIONS / 3 {
            cluster.remove_node(2).await.unwrap();
        }
        if number == 2 * OPERATIONS / 3 {
            cluster.add_node(2).await.unwrap();
        }
    }
    let session = session(&cluster).await;
    let generations = generations(&session).await;
    assert_eq!(generations.len(), 2, "one for the node that has joined");
    let (mut table, mut count, mut used) = (Table::default(), 0, Vec::new());
    for (index, generation) in generations.iter().enumerate() {
        let end =
            generations.get(index + 1).map_or(millis(now() + Duration::from_secs(1)).0, |t| t.0);
        // In three windows, none of which needs to have anything.
        let step = (end - generation.0) / 3 + 1;
        let streams = streams(&session, *generation).await;
        assert_eq!(streams.len(), 3 * 16, "a set for each range");
        assert!(streams.iter().all(|set| set.len() == 4), "a stream for each shard");
        let mut of_generation = 0;
        for set in streams {
            for from in [0, 1, 2].map(|window| generation.0 + window * step) {
                let window = (&set, CqlTimestamp(from), CqlTimestamp((from + step).min(end)));
                let text = "SELECT * FROM ks.t_scylla_cdc_log WHERE \"cdc$stream_id\" IN ? AND \
                            \"cdc$time\" >= minTimeuuid(?) AND \"cdc$time\" < minTimeuuid(?) \
                            BYPASS CACHE";
                let rows = rows(&session, text, window).await;
                rows.iter().for_each(|row| table.replay(row));
                of_generation += rows.len();
            }
        }
        used.push(of_generation);
        count += of_generation;
    }
    assert!(used.iter().all(|count| *count > 100), "{used:?}");
    let log = rows(&session, "SELECT p FROM ks.t_scylla_cdc_log", ()).await;
    assert_eq!(count, log.len(), "all rows are in the streams");
    let base = base_rows(&session).await;
    assert!(base.len() > 10, "{base:?}");
    assert_eq!(table.rows(), base, "seed {seed}");
}

async fn ask(client: &mut Client, text: &str, level: u8) -> Reply {
    client.call(QUERY, &[&long_string(text)[..], &[0, level, 0]].concat()).await
}

/// The rows that a session finds in all streams of a cluster with one generation.
async fn log_rows(session: &Session) -> Vec<Named> {
    let generation = generations(session).await[0];
    let mut found = Vec::new();
    for set in streams(session, generation).await {
        let text = "SELECT * FROM ks.t_scylla_cdc_log WHERE \"cdc$stream_id\" IN ?";
        found.extend(rows(session, text, (set,)).await);
    }
    found
}

/// Another node than the first is stopped for a while, and read at ONE after that.
#[tokio::test]
async fn a_node_that_was_stopped_gets_the_log_by_hints() {
    for has_hints in [true, false] {
        let builder = Cluster::builder().nodes(3).shards(2).seed(7);
        let cluster = builder.hinted_handoff_enabled(has_hints).start().await.unwrap();
        let mut client = Client::started(&cluster, 4).await;
        let keyspace = "CREATE KEYSPACE ks WITH replication = \
                        {'class': 'SimpleStrategy', 'replication_factor': 3}";
        client.run(keyspace).await;
        client.run(CREATE).await;
        let mut random = fastrand::Rng::with_seed(5);
        let mut write = async |count: usize| {
            for _ in 0..count {
                let reply = ask(&mut client, &operation(&mut random), QUORUM).await;
                assert_eq!(reply.opcode, RESULT, "{reply:?}");
            }
        };
        write(50).await;
        let whole = log_rows(&session(&cluster).await).await.len();
        cluster.stop_node(2).await.unwrap();
        write(100).await;
        cluster.start_node(2).await.unwrap();

        let target = NodeIdentifier::NodeAddress(cluster.contact_points()[2]);
        let profile = ExecutionProfile::builder()
            .consistency(Consistency::One)
            .load_balancing_policy(SingleTargetLoadBalancingPolicy::new(target, None))
            .build();
        let consumer = SessionBuilder::new()
            .known_node_addr(cluster.contact_points()[2])
            .default_execution_profile_handle(profile.into_handle())
            .build()
            .await
            .unwrap();
        let found = log_rows(&consumer).await;
        let stale = base_rows(&consumer).await;
        let base = base_rows(&session(&cluster).await).await; // after that, as it repairs
        if !has_hints {
            assert!(found.len() == whole && stale != base, "{} of {whole}", found.len());
            continue;
        }
        assert_eq!(stale, base);
        let mut table = Table::default();
        found.iter().for_each(|row| table.replay(row));
        assert_eq!(table.rows(), base);
    }
}

#[tokio::test]
async fn what_was_there_is_read_or_nothing_is_written() {
    let timeout = Duration::from_millis(20);
    let builder = Cluster::builder().nodes(3).read_request_timeout(timeout);
    let cluster = builder.write_request_timeout(timeout).start().await.unwrap();
    let mut client = Client::started(&cluster, 4).await;
    let keyspace = "CREATE KEYSPACE ks WITH replication = \
                    {'class': 'SimpleStrategy', 'replication_factor': 3}";
    client.run(keyspace).await;
    for (table, images) in [("imaged", "true"), ("plain", "false")] {
        let options = format!("cdc = {{'enabled': true, 'preimage': {images}}}");
        client.run(&format!("CREATE TABLE ks.{table} (p int PRIMARY KEY) WITH {options}")).await;
    }
    for node in [1, 2] {
        cluster.pause_node(node).await.unwrap();
    }
    for (table, p, code) in [("imaged", 1, READ_TIMEOUT), ("plain", 1, WRITE_TIMEOUT)] {
        let text = format!("INSERT INTO ks.{table} (p) VALUES ({p})");
        assert_eq!(ask(&mut client, &text, QUORUM).await.error().0, code, "{table}");
    }
    for node in [1, 2] {
        cluster.stop_node(node).await.unwrap();
    }
    for (table, p, code) in [("imaged", 2, READ_FAILURE), ("plain", 2, UNAVAILABLE)] {
        let text = format!("INSERT INTO ks.{table} (p) VALUES ({p})");
        assert_eq!(ask(&mut client, &text, QUORUM).await.error().0, code, "{table}");
        let text = format!("INSERT INTO ks.{table} (p) VALUES (3)");
        assert_eq!(ask(&mut client, &text, ONE).await.opcode, RESULT, "{table}");
    }
    // A write that too few have answered in time is there.
    for (table, expect) in [("imaged", &[3][..]), ("plain", &[1, 3])] {
        for table in [table.to_owned(), format!("{table}_scylla_cdc_log")] {
            let text = format!("SELECT p FROM ks.{table}");
            let found = cells_of(&ask(&mut client, &text, ONE).await).cells;
            let int = |cell: Option<Vec<u8>>| i32::from_be_bytes(cell.unwrap().try_into().unwrap());
            let mut found: Vec<_> = found.into_iter().map(int).collect();
            found.sort();
            assert_eq!(found, expect, "{table}");
        }
    }
}

#[tokio::test]
async fn rows_of_the_log_lie_where_their_rows_do() {
    let cluster = cluster().await;
    let mut client = client(&cluster).await;
    client.run("CREATE TABLE ks.t (p int PRIMARY KEY, v int) WITH cdc = {'enabled': true}").await;
    for p in 0..100 {
        client.run(&format!("INSERT INTO ks.t (p, v) VALUES ({p}, 1)")).await;
    }
    let session = session(&cluster).await;
    let state = session.get_cluster_state();
    let log = rows(&session, "SELECT \"cdc$stream_id\", p FROM ks.t_scylla_cdc_log", ()).await;
    assert_eq!(log.len(), 100);
    for row in log {
        let stream = row.get("cdc$stream_id").unwrap().as_blob().unwrap().clone();
        let token = Token::new(i64::from_be_bytes(stream[..8].try_into().unwrap()));
        let of_log = state.get_token_endpoints("ks", "t_scylla_cdc_log", token);
        let of_row = state.get_endpoints("ks", "t", &(row.int("p").unwrap(),)).unwrap();
        let places = |endpoints: &[(Arc<scylla::cluster::Node>, u32)]| {
            endpoints.iter().map(|(node, shard)| (node.host_id, *shard)).collect::<Vec<_>>()
        };
        assert_eq!(places(&of_log), places(&of_row), "{:?}", row.0);
    }
}

#[tokio::test]
async fn streams_are_read_at_the_right_shard() {
    let cluster = cluster().await;
    client(&cluster).await.run(CREATE).await;
    let session = session(&cluster).await;
    let generation = generations(&session).await[0];
    let text = "SELECT * FROM ks.t_scylla_cdc_log WHERE \"cdc$stream_id\" = ?";
    let select = session.prepare(text).await.unwrap();
    all_shards_connected(&cluster).await;
    let streams: Vec<_> = streams(&session, generation).await.concat();
    // Until the driver has noticed its last connection it may still use another.
    for stream in &streams {
        session.execute_unpaged(&select, (stream,)).await.unwrap();
    }
    cluster.reset_counters();
    for stream in &streams {
        session.execute_unpaged(&select, (stream,)).await.unwrap();
    }
    let total = cluster.counters().total();
    let expected = (u64::try_from(streams.len()).unwrap(), 0, 0);
    assert_eq!((total.right, total.wrong_shard, total.wrong_node), expected, "{total:?}");
}

/// What the consumer of a library has been given.
type Consumed = Arc<Mutex<Vec<(OperationType, Option<i32>, Option<i32>, bool)>>>;

struct Collector(Consumed);

impl Consumer for Collector {
    // What the macro of the trait makes of `async fn`.
    fn consume_cdc<'s, 'r, 'f>(
        &'s mut self,
        row: CDCRow<'r>,
    ) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'f>>
    where
        's: 'f,
        'r: 'f,
        Self: 'f,
    {
        let int = |name: &str| row.get_value(name).as_ref().and_then(CqlValue::as_int);
        let (p, v) = (int("p"), int("v"));
        let (operation, is_deleted) = (row.operation.clone(), row.is_value_deleted("v"));
        self.0.lock().unwrap().push((operation, p, v, is_deleted));
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Collectors(Consumed);

impl ConsumerFactory for Collectors {
    fn new_consumer<'s, 'f>(
        &'s self,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Consumer>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(std::future::ready(Box::new(Collector(Arc::clone(&self.0))) as Box<dyn Consumer>))
    }
}

#[tokio::test]
async fn the_library_for_consumers_reads_a_log() {
    let cluster = cluster().await;
    let mut client = client(&cluster).await;
    let start = now();
    client.run("CREATE TABLE ks.t (p int PRIMARY KEY, v int) WITH cdc = {'enabled': true}").await;
    for p in 0..50 {
        client.run(&format!("INSERT INTO ks.t (p, v) VALUES ({p}, {})", p * p)).await;
    }
    cluster.remove_node(1).await.unwrap();
    cluster.add_node(1).await.unwrap();
    for p in 0..50 {
        client.run(&format!("UPDATE ks.t SET v = null WHERE p = {p}")).await;
    }
    client.run("DELETE FROM ks.t WHERE p = 3").await;
    let consumed = Consumed::default();
    let (_reader, done) = CDCLogReaderBuilder::new()
        .session(Arc::new(session(&cluster).await))
        .keyspace("ks")
        .table_name("t")
        .start_timestamp(start.saturating_sub(Duration::from_secs(1)))
        .end_timestamp(now() + Duration::from_millis(50))
        .window_size(Duration::from_secs(10))
        .safety_interval(Duration::ZERO)
        .sleep_interval(Duration::from_millis(20))
        .consumer_factory(Arc::new(Collectors(Arc::clone(&consumed))))
        .build()
        .await
        .unwrap();
    done.await.unwrap();
    let consumed = consumed.lock().unwrap();
    let of_kind = |kind| {
        let rows = consumed.iter().filter(|row| row.0 == kind);
        rows.map(|(_, p, v, is_deleted)| (*p, *v, *is_deleted)).collect::<BTreeSet<_>>()
    };
    let expected: BTreeSet<_> = (0..50).map(|p| (Some(p), Some(p * p), false)).collect();
    assert_eq!(of_kind(OperationType::RowInsert), expected);
    let expected: BTreeSet<_> = (0..50).map(|p| (Some(p), None, true)).collect();
    assert_eq!(of_kind(OperationType::RowUpdate), expected);
    assert_eq!(of_kind(OperationType::PartitionDelete), BTreeSet::from([(Some(3), None, false)]));
    assert_eq!(consumed.len(), 101);
}

/// Statements that the consumers in Go and in Java send.
#[tokio::test]
async fn statements_of_other_consumers_are_answered() {
    let cluster = cluster().await;
    let mut client = client(&cluster).await;
    client
        .run(
            "CREATE TABLE ks.t (p int PRIMARY KEY, v tuple<int, int>) WITH cdc = {'enabled': true}",
        )
        .await;
    client.run("INSERT INTO ks.t (p, v) VALUES (1, (2, null))").await;
    let session = session(&cluster).await;
    let one = |rows: Vec<Named>| {
        assert_eq!(rows.len(), 1);
        rows.into_iter().next().unwrap()
    };
    let text = "SELECT * FROM system_schema.scylla_keyspaces WHERE keyspace_name = ?";
    assert!(one(rows(&session, text, ("ks",)).await).get("initial_tablets").is_none());
    let peers = one(rows(&session, "SELECT COUNT(*) FROM system.peers", ()).await);
    assert_eq!(peers.get("count").unwrap().as_bigint(), Some(2));
    let text = "SELECT streams_timestamp FROM system.cdc_local WHERE key = 'rewritten'";
    let local = one(rows(&session, text, ()).await);
    let generation = generations(&session).await[0];
    assert_eq!(local.get("streams_timestamp").unwrap().as_cql_timestamp(), Some(generation));
    for function in ["min", "max"] {
        let text = format!(
            "SELECT {function}(time) AS t FROM system_distributed.cdc_generation_timestamps WHERE \
             key = 'timestamps'"
        );
        let row = one(rows(&session, &text, ()).await);
        assert_eq!(row.get("t").unwrap().as_cql_timestamp(), Some(generation), "{function}");
    }
    let at_most = "SELECT time FROM system_distributed.cdc_generation_timestamps WHERE key = \
                   'timestamps' AND time <= ? ORDER BY time DESC LIMIT 1";
    assert_eq!(rows(&session, at_most, (millis(now()),)).await.len(), 1);
    let after = "SELECT time FROM system_distributed.cdc_generation_timestamps WHERE key = \
                 'timestamps' AND time > ? ORDER BY time ASC LIMIT 1";
    assert!(rows(&session, after, (generation,)).await.is_empty());
    let log = one(rows(&session, "SELECT * FROM ks.t_scylla_cdc_log", ()).await);
    let stream = log.get("cdc$stream_id").unwrap().as_blob().unwrap().clone();
    let time = log.get("cdc$time").unwrap().as_timeuuid().unwrap();
    let before = CqlTimeuuid::from_bytes([0, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    let text = "SELECT writetime(v), \"cdc$batch_seq_no\", \"cdc$deleted_v\", \"cdc$end_of_batch\", \
                \"cdc$operation\", \"cdc$stream_id\", \"cdc$time\", \"cdc$ttl\", p, v FROM \
                ks.t_scylla_cdc_log WHERE \"cdc$stream_id\" IN (?, ?) AND \"cdc$time\" > ? AND \
                \"cdc$time\" <= ? BYPASS CACHE";
    let row = one(rows(&session, text, (&stream, vec![0_u8; 16], before, time)).await);
    assert!(row.get("writetime(v)").is_some() && row.get("cdc$end_of_batch").is_some());
    let text = "SELECT \"cdc$stream_id\", \"cdc$time\" FROM ks.t_scylla_cdc_log WHERE \
                \"cdc$stream_id\" = ? AND \"cdc$time\" > ? AND \"cdc$time\" <= ? \
                PER PARTITION LIMIT 1 BYPASS CACHE";
    assert_eq!(rows(&session, text, (&stream, before, time)).await.len(), 1);
}

#[tokio::test]
async fn both_tables_are_announced() {
    let cluster = cluster().await;
    let mut client = client(&cluster).await;
    let mut listener = Client::started(&cluster, 4).await;
    let kinds = [vec![0, 1], string("SCHEMA_CHANGE")].concat();
    assert_eq!(listener.call(REGISTER, &kinds).await.opcode, READY);
    for (text, what) in [
        ("CREATE TABLE ks.t (p int PRIMARY KEY) WITH cdc = {'enabled': true}", "CREATED"),
        ("ALTER TABLE ks.t ADD v int", "UPDATED"),
        ("DROP TABLE ks.t", "DROPPED"),
    ] {
        client.run(text).await;
        for table in ["t", "t_scylla_cdc_log"] {
            let event = listener.receive().await.unwrap();
            assert_eq!(event.opcode, EVENT);
            let mut cursor = Cursor(&event.body);
            let strings: Vec<_> = (0..5).map(|_| cursor.string()).collect();
            assert_eq!(strings, ["SCHEMA_CHANGE", what, "TABLE", "ks", table]);
        }
    }
}

#[tokio::test]
async fn cassandra_has_none_of_it() {
    let cluster = Cluster::builder().persona(Persona::Cassandra).start().await.unwrap();
    let session = session(&cluster).await;
    let text = "SELECT time FROM system_distributed.cdc_generation_timestamps";
    assert!(session.query_unpaged(text, &[]).await.is_err());
}
