//! What a session costs while there is nothing to do: memory that was touched, and wake-ups.
//!
//! The nodes run in a process of their own (this program again, started with `--node`), so that
//! what is measured is the client. Real time passes here, for that is what is measured.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use shardwire::{Session, SessionBuilder};
use shardwire_meter::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const NODES: usize = 3;
const SHARDS: u16 = 8;
/// One per shard, and the control connection.
const CONNECTIONS: u64 = NODES as u64 * SHARDS as u64 + 1;
/// Touched memory per idle connection, at most.
const CONNECTION_LEN_MAX: u64 = 64 * 1024;
/// How long the session idles.
const IDLE: Duration = Duration::from_millis(1_200);

fn main() {
    if std::env::args().nth(1).as_deref() == Some("--node") {
        return nodes();
    }
    let nodes = Nodes::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the runtime starts");
    runtime.block_on(async {
        // The first session has the program's own pages loaded; the second one is measured.
        let first = session(&nodes).await;
        touches_little(&nodes).await;
        sleeps(&first).await;
    });
    println!("test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

async fn session(nodes: &Nodes) -> Session {
    SessionBuilder::new()
        .known_nodes(nodes.contact_points.iter().cloned())
        .keepalive_interval(None)
        .build()
        .await
        .expect("the session connects")
}

async fn touches_little(nodes: &Nodes) {
    let (resident, asked, open) = (resident(), shardwire_meter::counts(), sockets());
    let session = session(nodes).await;
    tokio::time::sleep(Duration::from_millis(100)).await; // the last of the handshakes
    let asked = shardwire_meter::counts().since(asked).bytes;
    let touched = self::resident().saturating_sub(resident);
    println!(
        "memory per connection: {} bytes touched (VmRSS), {} bytes asked for",
        touched / CONNECTIONS,
        asked / CONNECTIONS
    );
    assert!(touched / CONNECTIONS <= CONNECTION_LEN_MAX, "{touched} bytes are touched");
    assert_eq!(sockets() - open, CONNECTIONS, "not all connections are open");
    drop(session);
}

/// `_session` does nothing, which is what is measured.
async fn sleeps(_session: &Session) {
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (begin, before) = (Instant::now(), switches());
    let counts = shardwire_meter::counts();
    tokio::time::sleep(IDLE).await;
    let took = begin.elapsed();
    let spent = shardwire_meter::counts().since(counts);
    let woken = switches() - before;
    println!("{CONNECTIONS} connections idle for {took:?}: {woken} wake-ups, {spent:?}");
    // The one of this test's own timer is among them.
    assert!(woken as u128 * 1_000 < u128::from(CONNECTIONS) * took.as_millis(), "{woken}");
    assert!(spent.is_zero(), "{spent:?}");
}

/// Resident memory in bytes.
fn resident() -> u64 {
    shardwire_meter::current_rss_bytes().expect("the system tells")
}

/// Sockets that this process has open.
fn sockets() -> u64 {
    let files = std::fs::read_dir("/proc/self/fd").expect("the system tells");
    let is_socket = |file: std::io::Result<std::fs::DirEntry>| {
        let target = std::fs::read_link(file.ok()?.path()).ok()?;
        target.to_str()?.starts_with("socket:").then_some(1)
    };
    files.filter_map(is_socket).sum()
}

/// Times that any thread of this process has gone to sleep.
fn switches() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the system tells");
    let of_task = |task: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    tasks.filter_map(of_task).sum()
}

/// The nodes' process; killed when dropped.
struct Nodes {
    child: Child,
    contact_points: Vec<String>,
}

impl Nodes {
    fn start() -> Nodes {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .arg("--node")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the nodes' process starts");
        let stdout = child.stdout.take().expect("it has a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("it tells its addresses");
        Nodes { child, contact_points: line.split_whitespace().map(str::to_owned).collect() }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The other process: serves until its standard input closes, as it does when the test dies.
fn nodes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the runtime starts");
    let cluster = shardwire_server::Cluster::builder().nodes(NODES).shards(SHARDS).start();
    let cluster = runtime.block_on(cluster).expect("the cluster starts");
    let contact_points: Vec<_> = cluster.contact_points().iter().map(ToString::to_string).collect();
    println!("{}", contact_points.join(" "));
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).is_ok_and(|len| len > 0) {
        line.clear();
    }
}
