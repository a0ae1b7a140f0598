//! Whole requests and whole lookups, against embedded nodes on a thread of their own.

mod sample;

use std::future::Future;
use std::hint::black_box;
use std::sync::mpsc;
use std::thread::JoinHandle;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::future::join_all;
use tokio::runtime::Runtime;

const TABLE: &str = "CREATE TABLE bench.point (k bigint, c int, v blob, PRIMARY KEY (k, c))";
const INSERT: &str = "INSERT INTO bench.point (k, c, v) VALUES (?, ?, ?)";

/// Requests that are in flight together.
const TOGETHER: i64 = 128;

/// Both drivers on one cluster, with the statement prepared.
struct Rivals {
    runtime: Runtime,
    shardwire: (shardwire::Session, shardwire::PreparedStatement),
    scylla: (scylla::client::session::Session, scylla::statement::prepared::PreparedStatement),
    _cluster: Cluster,
}

impl Rivals {
    fn new(nodes: usize, shards: u16) -> Self {
        let cluster = Cluster::start(nodes, shards);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime starts");
        let address = cluster.address.clone();
        let (shardwire, scylla) = runtime.block_on(async {
            let scylla = scylla::client::session_builder::SessionBuilder::new();
            let scylla = scylla.known_node(&address).build().await.expect("scylla connects");
            let keyspace = format!(
                "CREATE KEYSPACE bench WITH replication = \
                 {{'class': 'NetworkTopologyStrategy', 'replication_factor': {nodes}}}"
            );
            scylla.query_unpaged(keyspace, ()).await.expect("the keyspace is new");
            scylla.query_unpaged(TABLE, ()).await.expect("the table is new");
            let insert = scylla.prepare(INSERT).await.expect("the statement is right");
            scylla.refresh_metadata().await.expect("the cluster answers");
            let shardwire = shardwire::SessionBuilder::new().known_node(address);
            let shardwire = shardwire.build().await.expect("shardwire connects");
            let ours = shardwire.prepare(INSERT).await.expect("the statement is right");
            ((shardwire, ours), (scylla, insert))
        });
        Self { runtime, shardwire, scylla, _cluster: cluster }
    }
}

/// An embedded cluster on a thread of its own, so that its work is not the client's.
struct Cluster {
    address: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Cluster {
    fn start(nodes: usize, shards: u16) -> Self {
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                let builder = shardwire_server::Cluster::builder().nodes(nodes).shards(shards);
                let cluster = builder.canned(true).start().await.expect("the cluster starts");
                let address = cluster.contact_points()[0].to_string();
                tell.send(address).expect("somebody waits for it");
                let _ = stopped.await;
            });
        });
        let address = told.recv().expect("the cluster starts");
        Self { address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Bound values to the replicas and shards of their partition: 3 nodes, 8 shards each.
fn replicas(c: &mut Criterion) {
    let rivals = Rivals::new(3, 8);
    let _guard = rivals.runtime.enter();
    let mut group = c.benchmark_group("replicas and shards of bound values");
    let blob = sample::blob();
    let (session, insert) = &rivals.shardwire;
    group.bench_function("shardwire", |b| {
        b.iter(|| {
            let values = (black_box(sample::KEY), 7, blob.as_slice());
            session.replicas_of(insert, &values).expect("the values fit")
        });
    });
    let (session, insert) = &rivals.scylla;
    let state = session.get_cluster_state();
    group.bench_function("scylla", |b| {
        b.iter(|| {
            let values = (black_box(sample::KEY), 7, blob.as_slice());
            let token = insert.calculate_token(&values).expect("the values fit");
            state.get_token_endpoints("bench", "point", token.expect("there is a key"))
        });
    });
    group.finish();
}

/// Inserts, answered from replies that were encoded once: one alone, and many together.
fn round_trip(c: &mut Criterion) {
    let rivals = Rivals::new(1, 1);
    let blob = sample::blob();
    let (session, insert) = &rivals.shardwire;
    let shardwire = async |key: i64| {
        let values = (key, 7, blob.as_slice());
        session.execute_unpaged(insert, values).await.expect("the node answers");
    };
    let (session, insert) = &rivals.scylla;
    let scylla = async |key: i64| {
        let values = (key, 7, blob.as_slice());
        session.execute_unpaged(insert, values).await.expect("the node answers");
    };

    let mut group = c.benchmark_group("round trip of an insert");
    group.bench_function("shardwire", |b| {
        b.iter(|| rivals.runtime.block_on(shardwire(black_box(7))));
    });
    group.bench_function("scylla", |b| b.iter(|| rivals.runtime.block_on(scylla(black_box(7)))));
    group.finish();

    let mut group = c.benchmark_group("round trips of 128 inserts together");
    group.throughput(Throughput::Elements(TOGETHER.unsigned_abs()));
    group.bench_function("shardwire", |b| {
        b.iter(|| rivals.runtime.block_on(together(&shardwire)));
    });
    group.bench_function("scylla", |b| b.iter(|| rivals.runtime.block_on(together(&scylla))));
    group.finish();
}

async fn together<F: Future<Output = ()>>(request: impl Fn(i64) -> F) {
    join_all((0..TOGETHER).map(request)).await;
}

criterion_group!(benches, replicas, round_trip);
criterion_main!(benches);
