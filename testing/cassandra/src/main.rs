//! `shardwire-testing-cassandra`: Apache Cassandra by hand, until Ctrl-C.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use shardwire_testing_cassandra::{Cassandra, PASSWORD, USER, Version};
use tokio::signal::unix::{SignalKind, signal};

/// Starts Apache Cassandra on loopback addresses.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a cluster, prints its contact points, and ends it on Ctrl-C or SIGTERM.
    Up(Up),
}

#[derive(Debug, Args)]
struct Up {
    /// Number of nodes; node 0 is on 127.0.0.1, node 1 on 127.0.0.2.
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// 4.1 or 5.0.
    #[arg(long, default_value_t = Version::default())]
    version: Version,
    /// Clients have to log in.
    #[arg(long)]
    auth: bool,
    /// Clients have to speak TLS.
    #[arg(long)]
    tls: bool,
    /// Clients have to speak TLS and to show a certificate.
    #[arg(long)]
    client_certificates: bool,
    /// A new folder for data and logs, which is kept [default: on a RAM disk, removed].
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Command::Up(up) = Options::parse().command;
    // Returned from here the error would come with a backtrace, which hides what to install.
    match run(&up) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(up: &Up) -> Result<()> {
    let mut builder = Cassandra::builder().version(up.version).nodes(up.nodes);
    if up.auth {
        builder = builder.auth();
    }
    if up.tls {
        builder = builder.tls();
    }
    if up.client_certificates {
        builder = builder.client_certificates();
    }
    if let Some(folder) = &up.folder {
        builder = builder.folder(folder);
    }
    // A signal before the start is over ends this process; the watcher then ends the nodes.
    let cluster = builder.start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).context("no handler of Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("no handler of SIGTERM")?;
        // Only now, so that whoever waits for the lines can send the signal.
        print(&cluster, up)?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        anyhow::Ok(())
    })?;
    cluster.shutdown()
}

/// What a client needs, a line each, on the standard output.
fn print(cluster: &Cassandra, up: &Up) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let release = cluster.version().release();
    let seconds = cluster.start_time().as_secs_f64();
    writeln!(out, "Apache Cassandra {release}, ready after {seconds:.1} s")?;
    let points: Vec<_> = cluster.contact_points().iter().map(SocketAddr::to_string).collect();
    writeln!(out, "contact points: {}", points.join(","))?;
    if up.auth {
        writeln!(out, "user: {USER}\npassword: {PASSWORD}")?;
    }
    if let Some(files) = cluster.tls() {
        writeln!(out, "authority: {}", files.authority.display())?;
        writeln!(out, "client certificate: {}", files.client_certificate.display())?;
        writeln!(out, "client key: {}", files.client_key.display())?;
    }
    writeln!(out, "folder: {}", cluster.folder().display())?;
    writeln!(out, "Ctrl-C ends it")?;
    out.flush()
}
