//! Steady state touches the heap zero times: not one allocation, reallocation or free in the whole
//! process, over every workload, plain and LZ4, on both runtimes, with 1 and 8 shards, in version 5
//! of the protocol, with three nodes that hold three replicas, by the ring and by tablets, and with
//! TLS in a build that has it.
//!
//! The nodes run in a process of their own (this program again, started with `--node`), so that all
//! that is counted is the client. A last case puts one allocation into the path and must be seen.
//! A case that fails prints where the first calls of the allocator came from.
//!
//! Two things are kept out of the counted stretch, for they are no requests, happen at their own
//! time, and may allocate: keepalives of connections that bring nothing, and the control
//! connection's reading of the topology. The first are switched off, the second is put off; and
//! the schema is made by another session, so that nothing is announced to the one that is counted.
//!
//! `SHARDWIRE_ALLOC_REQUESTS` sets the number of requests per case.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

use std::io::{BufRead, BufReader};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use shardwire::{Batch, BatchType, Compression, PreparedStatement, Session, SessionBuilder};
use shardwire_meter::CountingAllocator;
use shardwire_server::{Cluster, Persona, Tls};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// Requests in flight. With the driver's own tasks they fit the 64 places that the runtime's queue
/// of ready tasks begins with: when it grows is the runtime's affair and happens at random.
const CONCURRENCY: usize = 48;
const PARTITIONS: i64 = 1_000;
/// Enough to come to each of 8 shards.
const LONG_REQUESTS: i64 = 200;
/// Requests of each task before counting begins: enough to come to every shard. What is allocated
/// the first time that it is needed is allocated then; nothing is there that grows with time.
const WARM_UP: u64 = 100;
/// How long the session may go without reading the topology: for longer than any test.
const REFRESH_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Workload {
    Insert,
    Select1,
    Select10,
    Select100,
    Batch10,
    Mixed,
    Scan,
    /// As `Insert`, with one allocation per request: must be counted.
    Leaky,
}

/// What requests go to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Servers {
    persona: Persona,
    nodes: u16,
    shards: u16,
    tls: bool,
    tablets: bool,
}

/// Nodes that speak version 4, to which LZ4 compresses bodies, and 5, where it does segments.
const SERVERS: &[Servers] = &[
    Servers { persona: Persona::Scylla, nodes: 1, shards: 1, tls: false, tablets: false },
    Servers { persona: Persona::Scylla, nodes: 1, shards: 8, tls: false, tablets: false },
    Servers { persona: Persona::Scylla, nodes: 3, shards: 2, tls: false, tablets: false },
    Servers { persona: Persona::Scylla, nodes: 3, shards: 2, tls: false, tablets: true },
    Servers { persona: Persona::Cassandra, nodes: 1, shards: 1, tls: false, tablets: false },
    Servers { persona: Persona::Cassandra, nodes: 3, shards: 1, tls: false, tablets: false },
    #[cfg(feature = "rustls-023")]
    Servers { persona: Persona::Scylla, nodes: 1, shards: 2, tls: true, tablets: false },
    #[cfg(feature = "rustls-023")]
    Servers { persona: Persona::Cassandra, nodes: 1, shards: 1, tls: true, tablets: false },
];

#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "the servers are printed with the rest")]
struct Case {
    workload: Workload,
    compression: Compression,
    threads: usize,
    servers: Servers,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, index] = arguments.as_slice()
        && flag == "--node"
    {
        return node(SERVERS[index.parse::<usize>().expect("a number")]);
    }
    let default = if cfg!(debug_assertions) { 1_000 } else { 30_000 };
    let requests = match std::env::var("SHARDWIRE_ALLOC_REQUESTS") {
        Ok(text) => text.parse().expect("SHARDWIRE_ALLOC_REQUESTS is a number"),
        Err(_) => default,
    };
    const ALL: &[Compression] = &[Compression::None, Compression::Lz4];
    let mut cases = 0;
    for (index, &servers) in SERVERS.iter().enumerate() {
        let node = Node::start(index);
        on_current_thread(schema(&node, servers.nodes));
        // A debug build is slow: of most servers it looks at a part.
        let is_brief = cfg!(debug_assertions) && index != 0;
        for &threads in if is_brief { &[2][..] } else { &[1, 2] } {
            for &compression in if is_brief { &ALL[1..] } else { ALL } {
                use Workload::{Batch10, Insert, Leaky, Mixed, Scan, Select1, Select10, Select100};
                let all = &[Insert, Select1, Select10, Select100, Batch10, Mixed, Scan, Leaky][..];
                for &workload in if is_brief { &[Insert, Select10, Batch10, Leaky] } else { all } {
                    let case = Case { workload, compression, threads, servers };
                    run(case, &node, requests);
                    cases += 1;
                }
            }
        }
    }
    println!("test result: ok. {cases} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

/// Runs one case and checks what it counted.
fn run(case: Case, node: &Node, requests: u64) {
    // Each task makes as many.
    let requests = match case.workload {
        Workload::Leaky => CONCURRENCY as u64 * 10,
        // Ten pages, each a request.
        Workload::Scan => (requests / 10).next_multiple_of(CONCURRENCY as u64),
        _ => requests.next_multiple_of(CONCURRENCY as u64),
    };
    let begin = Instant::now();
    let work = measure(case, node, requests);
    let counts = match case.threads {
        1 => on_current_thread(work),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(threads).enable_all().build();
            runtime.expect("the runtime starts").block_on(work)
        }
    };
    let calls = shardwire_meter::watched_calls();
    let touched = counts.allocations + counts.reallocations + counts.frees;
    let pages = if case.workload == Workload::Scan { 10 } else { 1 };
    println!("{case:?}: {} requests, {counts:?}, {:?}", requests * pages, begin.elapsed());
    if case.workload == Workload::Leaky {
        assert!(counts.allocations >= requests, "an allocation per request was not seen");
        assert!(format!("{calls:?}").contains("tests/alloc.rs"), "nor where it was");
    } else {
        assert_eq!(touched, 0, "{case:?} touched the heap, first of all with {calls:#?}");
    }
}

fn on_current_thread<F: Future>(work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("the runtime starts").block_on(work)
}

async fn measure(case: Case, node: &Node, requests: u64) -> shardwire_meter::AllocationCounts {
    let session = node
        .builder()
        .compression(Some(case.compression))
        .keepalive_interval(None)
        .cluster_metadata_refresh_interval(REFRESH_INTERVAL)
        .build()
        .await
        .expect("the session connects");
    let work = Arc::new(Work::new(case.workload, session).await);
    work.fill_outboxes().await;
    reach_each_thread(&work, case.threads).await;
    let total = CONCURRENCY as u64;
    // All tasks exist before counting begins and end after it is over: what is counted is requests.
    let (warm, done) = (Arc::new(Gate::new(total)), Arc::new(Gate::new(total)));
    let (count, over) = (Arc::new(Gate::new(1)), Arc::new(Gate::new(1)));
    let tasks: Vec<_> = (0..total)
        .map(|number| {
            let work = Arc::clone(&work);
            let [warm, count, done, over] = [&warm, &count, &done, &over].map(Arc::clone);
            tokio::spawn(async move {
                for round in 0..WARM_UP {
                    work.request(number + round * total).await;
                }
                warm.arrive();
                count.wait().await;
                for round in 0..requests / total {
                    work.request(number + round * total).await;
                }
                done.arrive();
                over.wait().await;
            })
        })
        .collect();
    warm.wait().await;
    shardwire_meter::watch();
    let before = shardwire_meter::counts();
    count.arrive();
    done.wait().await;
    let after = shardwire_meter::counts();
    over.arrive();
    for task in tasks {
        task.await.expect("the task ends well");
    }
    after.since(before)
}

/// Makes a request on each of the runtime's threads, so that they have what is theirs alone.
async fn reach_each_thread(work: &Arc<Work>, threads: usize) {
    let all_there = Arc::new(Barrier::new(threads));
    let tasks: Vec<_> = (0..threads)
        .map(|_| {
            let (work, all_there) = (Arc::clone(work), Arc::clone(&all_there));
            tokio::spawn(async move {
                all_there.wait(); // blocks the thread, hence there is a task on each
                work.request(0).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task ends well");
    }
}

/// Opens when so many have arrived.
struct Gate {
    missing: AtomicU64,
    opened: tokio::sync::Notify,
}

impl Gate {
    fn new(count: u64) -> Gate {
        Gate { missing: AtomicU64::new(count), opened: tokio::sync::Notify::new() }
    }

    fn arrive(&self) {
        if self.missing.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.opened.notify_waiters();
        }
    }

    async fn wait(&self) {
        let mut opened = pin!(self.opened.notified());
        opened.as_mut().enable(); // who arrives from here on is noticed
        if self.missing.load(Ordering::SeqCst) > 0 {
            opened.await;
        }
    }
}

struct Work {
    workload: Workload,
    session: Session,
    insert: PreparedStatement,
    select: PreparedStatement,
    scan: PreparedStatement,
    batch: Batch,
    blob: [u8; 64],
}

impl Work {
    async fn new(workload: Workload, session: Session) -> Work {
        let rows = match workload {
            Workload::Select10 => 10,
            Workload::Select100 => 100,
            _ => 1,
        };
        let insert = "INSERT INTO alloc.w (id, n, data) VALUES (?, ?, ?)";
        let insert = session.prepare(insert).await.expect("prepares");
        let select = format!("SELECT id, n, name, data FROM alloc.r WHERE id = ? LIMIT {rows}");
        let mut select = session.prepare(select).await.expect("prepares");
        select.set_use_cached_result_metadata(true);
        let mut scan = session.prepare("SELECT id, n, name, data FROM alloc.r").await.expect("");
        scan.set_page_size(10);
        let mut batch = Batch::new(BatchType::Unlogged);
        for _ in 0..10 {
            batch.append_statement(insert.clone());
        }
        Work { workload, session, insert, select, scan, batch, blob: [7; 64] }
    }

    async fn request(&self, number: u64) {
        let id = i64::try_from(number).expect("small") % PARTITIONS;
        match self.workload {
            Workload::Insert => self.insert(id).await,
            Workload::Leaky => {
                self.insert(id).await;
                drop(std::hint::black_box(Box::new(id)));
            }
            Workload::Mixed if number.is_multiple_of(5) => self.insert(id).await,
            Workload::Select1 | Workload::Select10 | Workload::Select100 | Workload::Mixed => {
                let result = self.session.execute_unpaged(&self.select, (1_i64,)).await;
                let rows = result.expect("reads").into_rows_result().expect("has rows");
                for row in rows.rows::<(i64, i32, &str, &[u8])>().expect("fits") {
                    std::hint::black_box(row.expect("is whole"));
                }
            }
            Workload::Batch10 => {
                let rows: [(i64, i32, &[u8]); 10] = [(id, 1, &self.blob); 10];
                self.session.batch(&self.batch, rows).await.expect("writes");
            }
            Workload::Scan => {
                let mut pager = pin!(self.session.execute_iter(&self.scan, ()));
                while let Some(page) = pager.next_page().await.expect("reads") {
                    for row in page.rows::<(i64, i32, &str, &[u8])>().expect("fits") {
                        std::hint::black_box(row.expect("is whole"));
                    }
                }
            }
        }
    }

    /// An outbox takes its full length when more is queued than fits a part of it; whether that
    /// ever happens in a case is chance. One long request to each shard does it now.
    async fn fill_outboxes(&self) {
        let long = vec![7_u8; 8 * 1024];
        for id in 0..LONG_REQUESTS {
            let row: (i64, i32, &[u8]) = (id, 1, &long);
            self.session.execute_unpaged(&self.insert, row).await.expect("writes");
        }
    }

    async fn insert(&self, id: i64) {
        let row: (i64, i32, &[u8]) = (id, 1, &self.blob);
        self.session.execute_unpaged(&self.insert, row).await.expect("writes");
    }
}

/// Makes the tables, and the partition that is read.
async fn schema(node: &Node, replication_factor: u16) {
    let session = node.builder().build().await;
    let session = session.expect("the session connects");
    let keyspace = format!(
        "CREATE KEYSPACE IF NOT EXISTS alloc WITH replication = \
         {{'class': 'NetworkTopologyStrategy', 'replication_factor': {replication_factor}}}"
    );
    for text in [
        &keyspace,
        "CREATE TABLE IF NOT EXISTS alloc.w (id bigint PRIMARY KEY, n int, data blob)",
        "CREATE TABLE IF NOT EXISTS alloc.r \
         (id bigint, n int, name text, data blob, PRIMARY KEY (id, n))",
    ] {
        session.query_unpaged(text, ()).await.expect("the schema is made");
    }
    let fill = "INSERT INTO alloc.r (id, n, name, data) VALUES (?, ?, ?, ?)";
    let fill = session.prepare(fill).await.expect("prepares");
    let name = "thirty-two bytes of plain ASCII!";
    for n in 0..100 {
        session.execute_unpaged(&fill, (1_i64, n, name, [7_u8; 64])).await.expect("writes");
    }
}

/// The node's process; killed when dropped.
struct Node {
    child: Child,
    contact_point: String,
    /// The certificate of a node that speaks TLS, as PEM.
    #[cfg_attr(not(feature = "rustls-023"), expect(dead_code, reason = "there is no TLS"))]
    certificate: String,
}

impl Node {
    fn start(index: usize) -> Node {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .args(["--node", &index.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the node's process starts");
        let stdout = child.stdout.take().expect("it has a pipe");
        let mut lines = BufReader::new(stdout).lines();
        let mut line = || lines.next().expect("a line").expect("it tells its address and name");
        Node { child, contact_point: line(), certificate: line().replace('|', "\n") }
    }

    fn builder(&self) -> SessionBuilder {
        let builder = SessionBuilder::new().known_node(&self.contact_point);
        #[cfg(feature = "rustls-023")]
        if !self.certificate.is_empty() {
            let context = shardwire::TlsContext::builder().ca_pem(self.certificate.as_bytes());
            let context = context.server_name("node");
            return builder.tls_context(Some(context.build().expect("a certificate")));
        }
        builder
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The other process: serves until its standard input closes, as it does when the test dies.
fn node(servers: Servers) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the runtime starts");
    let cluster = Cluster::builder().persona(servers.persona).nodes(servers.nodes.into());
    let mut cluster = cluster.shards(servers.shards).tablets(servers.tablets);
    let mut certificate = String::new();
    if servers.tls {
        let names = ["node".to_owned()];
        let identity = rcgen::generate_simple_self_signed(names).expect("a certificate");
        certificate = identity.cert.pem();
        let key = identity.signing_key.serialize_pem();
        let tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes()).expect("fits");
        cluster = cluster.tls(tls);
    }
    let cluster = cluster.start();
    let cluster = runtime.block_on(cluster).expect("the cluster starts");
    println!("{}\n{}", cluster.contact_points()[0], certificate.replace('\n', "|"));
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).is_ok_and(|len| len > 0) {
        line.clear();
    }
}
