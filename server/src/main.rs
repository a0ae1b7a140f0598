//! `shardwire-server`: the embedded node as a program. `README.md` says how it is used.

#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::json;
use shardwire_server::{Addresses, Cluster, ClusterBuilder, FaultRule, Persona, Tls};

/// An in-memory CQL cluster on loopback addresses, for tests, benchmarks and demos.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Database to pass for.
    #[arg(long, value_enum, default_value_t = Database::Scylla)]
    persona: Database,
    /// Number of nodes; node 2 listens on the address after node 1's.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Shards of each node [default: 4, and 1 as Cassandra, which has no shards].
    #[arg(long)]
    shards: Option<u16>,
    /// Address of the first node, or `auto` for a free loopback net.
    #[arg(long, default_value = "127.0.0.1", value_parser = parse_addresses)]
    address: Addresses,
    /// Plain port of all nodes; 0 takes a free one.
    #[arg(long, default_value_t = 9042)]
    port: u16,
    /// Shard-aware port of all nodes; 0 takes a free one [default: port + 10000].
    #[arg(long)]
    shard_aware_port: Option<u16>,
    /// Have no shard-aware port.
    #[arg(long, conflicts_with = "shard_aware_port")]
    no_shard_aware_port: bool,
    /// Answer EXECUTE with replies encoded once per statement; rows are not stored.
    #[arg(long)]
    canned: bool,
    /// Listen for admin commands (JSON lines) on this address.
    #[arg(long)]
    admin: Option<SocketAddr>,
    /// Make requests go wrong by the rules in this file, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Compression that clients may ask for.
    #[arg(long, value_enum, default_value_t = Compression::All)]
    compression: Compression,
    /// Name of the datacenter, or names of several, between commas, that the nodes are dealt to.
    #[arg(long, default_value = "datacenter1")]
    datacenter: String,
    /// Number of racks that each datacenter's nodes are dealt to in turn.
    #[arg(long, default_value_t = 1)]
    racks: usize,
    /// Superuser who may log in, with a password; may be given several times. Without it everybody
    /// may.
    #[arg(long, value_name = "NAME:PASSWORD")]
    user: Vec<Login>,
    /// Speak TLS on all ports, with this certificate (PEM, with those that have signed it).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let in only clients with a certificate that one of these (PEM) has signed.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Give tablets to keyspaces that don't say whether they have any.
    #[arg(long)]
    tablets: bool,
    #[command(flatten)]
    limits: Limits,
    /// Seed of tokens and faults.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Exit when standard input ends, so that no server outlives its parent.
    #[arg(long)]
    exit_with_stdin: bool,
}

/// What a node puts up with, and for how long it waits for others.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Limits {
    /// Milliseconds that a node waits for replicas that are to read.
    #[arg(long, value_name = "MS", default_value_t = 5000)]
    read_request_timeout: u64,
    /// Milliseconds that a node waits for replicas that are to write.
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    write_request_timeout: u64,
    /// Milliseconds that TRUNCATE waits for all nodes.
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    truncate_request_timeout: u64,
    /// Tombstones that a read may meet without a warning.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    tombstone_warn_threshold: usize,
    /// Tombstones that a read may meet at all.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    tombstone_failure_threshold: usize,
    /// Bytes that a batch may write without a warning.
    #[arg(long, value_name = "BYTES", default_value_t = 5 << 10)]
    batch_size_warn_threshold: usize,
    /// Bytes that may be written to a partition at a time, and of a request in protocol v5.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    max_mutation_size: usize,
    /// Let writes to tables `WITH cdc = true` fail.
    #[arg(long)]
    cdc_has_no_room: bool,
    /// Whether nodes keep writes for nodes that are down.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    hinted_handoff_enabled: bool,
    /// Milliseconds after which they keep no more for one that is down.
    #[arg(long, value_name = "MS", default_value_t = 3 * 60 * 60 * 1000)]
    max_hint_window: u64,
    /// Connections that a node takes at a time [default: as many as the system allows].
    #[arg(long, value_name = "COUNT")]
    max_concurrent_connections: Option<usize>,
    /// Connections that a node takes from one address at a time [default: as many as at all].
    #[arg(long, value_name = "COUNT")]
    max_concurrent_connections_per_ip: Option<usize>,
    /// Milliseconds that a client has to log in, or to send STARTUP if it need not.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    login_timeout: u64,
    /// Bytes that may be held for all clients that keep the nodes waiting.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    held_bytes_max: usize,
}

impl Limits {
    fn apply(self, builder: ClusterBuilder) -> ClusterBuilder {
        builder
            .read_request_timeout(Duration::from_millis(self.read_request_timeout))
            .write_request_timeout(Duration::from_millis(self.write_request_timeout))
            .truncate_request_timeout(Duration::from_millis(self.truncate_request_timeout))
            .tombstone_warn_threshold(self.tombstone_warn_threshold)
            .tombstone_failure_threshold(self.tombstone_failure_threshold)
            .batch_size_warn_threshold(self.batch_size_warn_threshold)
            .max_mutation_size(self.max_mutation_size)
            .cdc_has_no_room(self.cdc_has_no_room)
            .hinted_handoff_enabled(self.hinted_handoff_enabled)
            .max_hint_window(Duration::from_millis(self.max_hint_window))
            .max_concurrent_connections(self.max_concurrent_connections.unwrap_or(usize::MAX))
            .max_concurrent_connections_per_ip(
                self.max_concurrent_connections_per_ip.unwrap_or(usize::MAX),
            )
            .login_timeout(Duration::from_millis(self.login_timeout))
            .held_bytes_max(self.held_bytes_max)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Database {
    Scylla,
    Cassandra,
}

impl Database {
    fn persona(self) -> Persona {
        match self {
            Self::Scylla => Persona::Scylla,
            Self::Cassandra => Persona::Cassandra,
        }
    }

    fn default_shards(self) -> u16 {
        match self {
            Self::Scylla => 4,
            Self::Cassandra => 1,
        }
    }
}

/// Name and password, which are not shown: not in `Debug`, and not in an error either.
#[derive(Clone)]
struct Login(String);

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl From<&str> for Login {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Compression {
    None,
    /// LZ4 and Snappy.
    All,
}

fn parse_addresses(text: &str) -> Result<Addresses, String> {
    if text == "auto" {
        return Ok(Addresses::Auto);
    }
    let address = text.parse::<Ipv4Addr>().map_err(|error| error.to_string())?;
    Ok(Addresses::From(address))
}

fn main() -> ExitCode {
    let options = Options::parse();
    // What goes wrong with a client. Standard output has the one line that programs read.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    raise_file_limit();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Raises the limit of open files as far as the system lets: each connection is one.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where that is not allowed, the limit is as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

fn fail(error: &std::io::Error) -> ExitCode {
    eprintln!("shardwire-server: {error}");
    ExitCode::FAILURE
}

async fn run(options: Options) -> std::io::Result<()> {
    let shards = options.shards.unwrap_or(options.persona.default_shards());
    let mut builder = Cluster::builder()
        .persona(options.persona.persona())
        .nodes(options.nodes)
        .shards(shards)
        .address(options.address)
        .port(options.port)
        .canned(options.canned)
        .compression(options.compression == Compression::All)
        .datacenters(options.datacenter.split(','))
        .racks(options.racks)
        .tablets(options.tablets)
        .seed(options.seed);
    builder = options.limits.apply(builder);
    for Login(login) in &options.user {
        let (name, password) = login
            .split_once(':')
            .ok_or_else(|| std::io::Error::other("--user is NAME:PASSWORD"))?;
        builder = builder.user(name, password);
    }
    if let (Some(certificate), Some(key)) = (&options.tls_cert, &options.tls_key) {
        let mut tls = Tls::from_pem(&read(certificate)?, &read(key)?)?;
        if let Some(authority) = &options.tls_client_ca {
            tls = tls.client_ca(&read(authority)?)?;
        }
        builder = builder.tls(tls);
    }
    if let Some(port) = options.shard_aware_port {
        builder = builder.shard_aware_port_number(port);
    }
    if options.no_shard_aware_port {
        builder = builder.shard_aware_port(false);
    }
    if let Some(address) = options.admin {
        builder = builder.admin(address);
    }
    let faults = options.faults.as_deref().map(read_faults).transpose()?;
    let cluster = builder.start().await?;
    faults.into_iter().flatten().for_each(|rule| cluster.add_fault(rule));
    announce(&cluster, &options, shards)?;
    if options.exit_with_stdin {
        std::thread::spawn(|| {
            let mut rest = Vec::new();
            // Whether it ended or failed, nobody holds the other end any more.
            let _ = std::io::stdin().take(u64::MAX).read_to_end(&mut rest);
            std::process::exit(0);
        });
    }
    wait_for_end(&cluster).await
}

fn read_faults(path: &Path) -> std::io::Result<Vec<FaultRule>> {
    let text = String::from_utf8(read(path)?).map_err(|error| error.to_string());
    text.and_then(|text| FaultRule::from_json_lines(&text))
        .map_err(|what| std::io::Error::other(format!("{}: {what}", path.display())))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn announce(cluster: &Cluster, options: &Options, shards: u16) -> std::io::Result<()> {
    let points: Vec<_> = cluster.contact_points().iter().map(ToString::to_string).collect();
    let line = json!({
        "event": "ready",
        "contact_points": points,
        "shard_aware_port": cluster.shard_aware_port(),
        "admin": cluster.admin().map(|address| address.to_string()),
        "nodes": options.nodes,
        "persona": match options.persona {
            Database::Scylla => "scylla",
            Database::Cassandra => "cassandra",
        },
        "shards": shards,
        "canned": options.canned,
        "tls": options.tls_cert.is_some(),
    });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Waits for SIGTERM, SIGINT or an admin client's `quit`.
async fn wait_for_end(cluster: &Cluster) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = cluster.stopped() => {}
    }
    Ok(())
}
