//! The process of an embedded node: `shardwire-compare node NODES SHARDS canned|stored`.
//!
//! Not for users: `shardwire-server` is the program with options. Next: `setup.rs`.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use anyhow::Context as _;
use serde_json::json;
use shardwire_server::{Addresses, Cluster};

use crate::drivers::Failure;

/// Runs nodes on free loopback addresses until standard input ends.
pub fn run_node(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let arguments: Vec<_> =
        arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let [nodes, shards, rows] = arguments.as_slice() else {
        anyhow::bail!("usage: shardwire-compare node NODES SHARDS canned|stored");
    };
    let builder = Cluster::builder()
        .nodes(nodes.parse().context("NODES is no number")?)
        .shards(shards.parse().context("SHARDS is no number")?)
        .canned(rows == "canned")
        .address(Addresses::Auto)
        .port(0)
        .shard_aware_port_number(0)
        .admin(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cluster = runtime.block_on(builder.start()).context("cannot start")?;
    let points: Vec<_> = cluster.contact_points().iter().map(ToString::to_string).collect();
    let admin = cluster.admin().map(|address| address.to_string());
    let ready = json!({ "event": "ready", "contact_points": points, "admin": admin });
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    // The node has a thread of its own; this one only waits for the orchestrator's end.
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
