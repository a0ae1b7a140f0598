//! The nodes: embedded ones in processes of their own, or a cluster that exists already.
//!
//! Next: `server.rs`.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    rc::Rc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{
    options::{Options, Place},
    server::{self, Launched, Processes, Server},
    setup,
};
use crate::drivers::Failure;

/// Which CPUs the node and the clients get.
#[derive(Clone, Debug, Default)]
pub(super) struct Cpus {
    /// Empty: any.
    pub(super) node: Vec<usize>,
    /// Empty: any.
    pub(super) clients: Vec<usize>,
    /// Of the floor client, which has one thread whatever the options. Empty: any.
    pub(super) floor: Vec<usize>,
    /// Of a real server that is started: all that the clients leave. Empty: any.
    pub(super) server: Vec<usize>,
}

impl Cpus {
    /// The first CPU for the node, as many of the others as the client has threads for the
    /// client; nothing is pinned where there are not enough.
    pub(super) fn choose(threads: u32) -> Self {
        let allowed = shardwire_meter::allowed_cpus().unwrap_or_default();
        match allowed.split_first() {
            Some((&first, rest)) if !rest.is_empty() => {
                let threads = threads as usize;
                let clients =
                    if rest.len() >= threads { rest[..threads].to_vec() } else { allowed.clone() };
                let mut server: Vec<_> =
                    allowed.iter().copied().filter(|cpu| !clients.contains(cpu)).collect();
                if server.is_empty() {
                    server.clone_from(&allowed);
                }
                Self { node: vec![first], clients, floor: rest[..1].to_vec(), server }
            }
            _ => Self::default(),
        }
    }
}

/// Starts a process on some CPUs.
pub(super) fn spawn_on(cpus: &[usize], mut command: Command) -> std::io::Result<Child> {
    on_cpus(cpus, || command.spawn())
}

/// Runs `start` on some CPUs: a child process inherits those of the thread that starts it.
pub(super) fn on_cpus<T: Send>(cpus: &[usize], start: impl FnOnce() -> T + Send) -> T {
    if cpus.is_empty() {
        return start();
    }
    thread::scope(|scope| {
        let pinned = || {
            // Where it cannot be pinned it runs unpinned; the report tells the CPUs asked for.
            let _ = shardwire_meter::pin_to_cpus(cpus);
            start()
        };
        scope.spawn(pinned).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Where clients connect to.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// `address:port`.
    pub(super) contact_points: Vec<String>,
    admin: Option<String>,
    processes: Option<Processes>,
}

/// What a node counted since its counters were set to zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct NodeCounters {
    /// CPU time of the node's process since its start.
    pub(super) cpu_seconds: f64,
    /// Requests that arrived where their partition is not; only the embedded node counts them.
    pub(super) wrong_shard: Option<u64>,
    /// Requests with a partition that arrived where it is.
    pub(super) right: u64,
}

impl Node {
    /// What the embedded node counted, or what the system knows of processes that were started;
    /// `None` of a cluster that is not ours.
    pub(super) fn counters(&self) -> Option<NodeCounters> {
        if let Some(processes) = &self.processes {
            let cpu_seconds = processes.cpu_seconds()?;
            return Some(NodeCounters { cpu_seconds, ..NodeCounters::default() });
        }
        parse_counters(&self.ask("counters")?)
    }

    /// Sets the counters to zero.
    pub(super) fn reset(&self) {
        self.ask("reset");
    }

    fn ask(&self, command: &str) -> Option<Value> {
        let mut socket = TcpStream::connect(self.admin.as_ref()?).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        writeln!(socket, "{{\"cmd\":\"{command}\"}}").ok()?;
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}

fn parse_counters(reply: &Value) -> Option<NodeCounters> {
    let mut counters =
        NodeCounters { cpu_seconds: reply.get("cpu_seconds")?.as_f64()?, ..Default::default() };
    let mut wrong_shard = 0;
    for node in reply.get("nodes")?.as_array()? {
        for shard in node.get("shards")?.as_array()? {
            let of = |name: &str| shard.get(name).and_then(Value::as_u64).unwrap_or_default();
            counters.right += of("right");
            wrong_shard += of("wrong_shard") + of("wrong_node");
        }
    }
    counters.wrong_shard = Some(wrong_shard);
    Some(counters)
}

/// What a node answers from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NodeKind {
    /// Rows it holds.
    Stored,
    /// A reply encoded once per statement.
    Canned,
}

/// The nodes of a comparison, each started when first needed.
pub(super) struct Nodes<'run> {
    options: &'run Options,
    cpus: Cpus,
    started: Vec<Started>,
    launched: Option<Launched>,
    /// What it says it is, once it was needed.
    server: Option<Server>,
}

struct Started {
    kind: NodeKind,
    shards: u16,
    node: Rc<Node>,
    process: Option<Child>,
}

impl<'run> Nodes<'run> {
    /// No node yet.
    pub(super) fn new(options: &'run Options, cpus: &Cpus) -> Self {
        Self { options, cpus: cpus.clone(), started: Vec::new(), launched: None, server: None }
    }

    /// The node on which time is measured.
    pub(super) fn measured(&mut self, shards: u16) -> Result<Rc<Node>, Failure> {
        let stored = self.options.measures_stored_rows();
        self.node(if stored { NodeKind::Stored } else { NodeKind::Canned }, shards)
    }

    /// A node that holds rows.
    pub(super) fn stored(&mut self, shards: u16) -> Result<Rc<Node>, Failure> {
        self.node(NodeKind::Stored, shards)
    }

    /// The server, as it says itself; of embedded nodes as they were started.
    pub(super) fn server(&self) -> Server {
        let embedded = || Server {
            product: "embedded node of shardwire-server".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            remark: "in one process, on one CPU".to_owned(),
            nodes: usize::from(self.options.nodes),
            replication_factor: 1,
            cpus: Some(1),
            ..Server::default()
        };
        self.server.clone().unwrap_or_else(embedded)
    }

    /// Starts or finds the real server and fills its tables; nothing of embedded nodes, which are
    /// started when they are needed.
    pub(super) fn prepare_server(&mut self) -> Result<(), Failure> {
        let (contact_points, processes) = match self.options.place() {
            Place::Embedded => return Ok(()),
            Place::Existing => (self.options.contact_points.clone(), None),
            Place::Cassandra => {
                let launched = server::launch(self.options, &self.cpus.server)
                    .context("cannot start Apache Cassandra")?;
                let points = launched.cluster.contact_points();
                let processes = launched.processes.clone();
                self.launched = Some(launched);
                (points.iter().map(ToString::to_string).collect(), Some(processes))
            }
        };
        eprintln!("Writing the rows that are read ...");
        let mut server =
            setup::prepare_server(&contact_points).context("cannot create and fill the tables")?;
        (server.remark, server.cpus) = match (self.options.place(), self.cpus.server.len()) {
            (Place::Cassandra, count) => {
                let allowed = std::thread::available_parallelism().map_or(1, usize::from);
                let remark = "started for the comparison with a small heap and the settings of \
                              tests, so no measure of what it can do";
                (remark.to_owned(), Some(if count == 0 { allowed } else { count }))
            }
            _ => ("a cluster that runs anyway".to_owned(), None),
        };
        self.server = Some(server);
        let node = Rc::new(Node { contact_points, admin: None, processes });
        self.started.push(Started { kind: NodeKind::Stored, shards: 1, node, process: None });
        Ok(())
    }

    fn node(&mut self, kind: NodeKind, shards: u16) -> Result<Rc<Node>, Failure> {
        let is_real = self.server.is_some();
        let known = self
            .started
            .iter()
            .find(|started| is_real || (started.kind == kind && started.shards == shards));
        if let Some(started) = known {
            return Ok(Rc::clone(&started.node));
        }
        let (node, process) = self.start(kind, shards).context("cannot start the node")?;
        let node = Rc::new(node);
        self.started.push(Started { kind, shards, node: Rc::clone(&node), process: Some(process) });
        let rows = match kind {
            NodeKind::Canned => setup::Rows::Few,
            NodeKind::Stored if self.options.measures_stored_rows() => setup::Rows::All,
            NodeKind::Stored => setup::Rows::Checked,
        };
        setup::prepare(&node.contact_points, rows).context("cannot create and fill the tables")?;
        Ok(node)
    }

    fn start(&self, kind: NodeKind, shards: u16) -> Result<(Node, Child), Failure> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("node").arg(self.options.nodes.to_string()).arg(shards.to_string());
        command.arg(if kind == NodeKind::Canned { "canned" } else { "stored" });
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = spawn_on(&self.cpus.node, command)?;
        let stdout = process.stdout.take().context("the node has an output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        match parse_ready(&line) {
            Some(node) => Ok((node, process)),
            None => {
                let _ = process.kill();
                let _ = process.wait();
                bail!("it did not say that it is ready, but {line:?}");
            }
        }
    }
}

fn parse_ready(line: &str) -> Option<Node> {
    let ready: Value = serde_json::from_str(line).ok()?;
    let contact_points = ready.get("contact_points")?.as_array()?;
    Some(Node {
        contact_points: contact_points
            .iter()
            .map(|point| point.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
        admin: ready.get("admin").and_then(Value::as_str).map(str::to_owned),
        processes: None,
    })
}

impl Drop for Nodes<'_> {
    fn drop(&mut self) {
        for process in self.started.iter_mut().filter_map(|started| started.process.as_mut()) {
            // Closing its input asks it to end; killing makes sure.
            drop(process.stdin.take());
            let _ = process.kill();
            let _ = process.wait();
        }
        // Nodes that were started for the comparison take their keyspace with them.
        if self.server.is_some()
            && self.launched.is_none()
            && let Err(error) = setup::drop_keyspace(&self.options.contact_points)
        {
            eprintln!("error: the keyspace of the comparison was not dropped: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_and_the_counters_are_understood() {
        let line = r#"{"event":"ready","contact_points":["127.0.0.1:9042"],"shard_aware_port":1,
            "admin":"127.0.0.1:7","nodes":1,"shards":2,"canned":false}"#;
        let node = parse_ready(line).unwrap();
        assert_eq!(node.contact_points, ["127.0.0.1:9042"]);
        assert_eq!(node.admin.as_deref(), Some("127.0.0.1:7"));
        assert!(parse_ready("panicked").is_none());
        let reply = serde_json::json!({
            "nodes": [{ "address": "127.0.0.1", "shards": [
                { "right": 5, "wrong_shard": 1, "wrong_node": 0, "unrouted": 9, "connections": 1 },
                { "right": 6, "wrong_shard": 0, "wrong_node": 2, "unrouted": 9, "connections": 1 },
            ]}],
            "cpu_seconds": 1.5,
        });
        let expect = NodeCounters { cpu_seconds: 1.5, wrong_shard: Some(3), right: 11 };
        assert_eq!(parse_counters(&reply), Some(expect));
        assert_eq!(parse_counters(&serde_json::json!({})), None);
    }
}
