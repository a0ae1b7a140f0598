//! Opens one socket per shard of the first contact point.
//!
//! Shards are reached through the plain port: the node spreads connections over its shards, and
//! connections to a shard that is taken are closed again. Next: `frames.rs`.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    num::NonZeroU16,
};

use anyhow::{Context as _, bail, ensure};
use scylla::routing::{
    Sharder,
    partitioner::{Murmur3Partitioner, Partitioner as _},
};

use super::{PROTOCOL_VERSION, frames::Parser};
use crate::{drivers::Failure, job::Job, traffic::key_of};

/// The sockets of a node, by shard.
pub(super) struct Node {
    pub(super) sockets: Vec<TcpStream>,
    /// By the index of a key: the socket of the shard that owns it. Empty if there is one shard.
    pub(super) routes: Vec<u16>,
}

pub(super) fn connect(job: &Job) -> Result<Node, Failure> {
    let address = job.contact_points.first().context("there is no contact point")?;
    let open = || open(address).with_context(|| format!("cannot connect to {address}"));
    let (socket, sharding) = open()?;
    let Some(sharding) = sharding.filter(|sharding| sharding.count.get() > 1) else {
        return Ok(Node { sockets: vec![socket], routes: Vec::new() });
    };
    let count = usize::from(sharding.count.get());
    let mut sockets: Vec<Option<TcpStream>> = (0..count).map(|_| None).collect();
    let mut excess = Vec::new();
    let mut place = |socket, shard: u16| match sockets.get_mut(usize::from(shard)) {
        Some(free @ None) => *free = Some(socket),
        // Kept open meanwhile, or the node might give its shard to the next one again.
        _ => excess.push(socket),
    };
    place(socket, sharding.shard);
    for _ in 0..count * 10 {
        let (socket, sharding) = open()?;
        place(socket, sharding.context("the node has shards now and then")?.shard);
    }
    let sockets: Option<Vec<_>> = sockets.into_iter().collect();
    let sockets = sockets.context("some shard never took a connection on the plain port")?;
    let sharder = Sharder::new(sharding.count, sharding.ignore_msb);
    let routes = (0..job.keys)
        .map(|unit| {
            let token = Murmur3Partitioner.hash_one(&key_of(job, unit).to_be_bytes());
            u16::try_from(sharder.shard_of(token)).context("a node has fewer shards")
        })
        .collect::<Result<_, _>>()?;
    Ok(Node { sockets, routes })
}

struct Sharding {
    shard: u16,
    count: NonZeroU16,
    ignore_msb: u8,
}

fn open(address: &str) -> Result<(TcpStream, Option<Sharding>), Failure> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let supported = ask(&mut socket, OPTIONS, &[], SUPPORTED)?;
    let sharding = sharding(&supported).context("cannot read SUPPORTED")?;
    let mut startup = 1_u16.to_be_bytes().to_vec();
    for text in ["CQL_VERSION", "3.0.0"] {
        startup.extend(u16::try_from(text.len())?.to_be_bytes());
        startup.extend(text.as_bytes());
    }
    ask(&mut socket, STARTUP, &startup, READY)?;
    Ok((socket, sharding))
}

/// Sends one request and waits for its reply, which must have the opcode `expect`.
pub(super) fn ask(
    socket: &mut TcpStream,
    opcode: u8,
    body: &[u8],
    expect: u8,
) -> Result<Vec<u8>, Failure> {
    let mut frame = vec![PROTOCOL_VERSION, 0, 0, 0, opcode];
    frame.extend(u32::try_from(body.len())?.to_be_bytes());
    frame.extend(body);
    socket.write_all(&frame)?;
    let mut header = [0; 9];
    socket.read_exact(&mut header)?;
    let len = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
    ensure!(len <= BODY_LEN_MAX, "a reply of {len} bytes");
    let mut body = vec![0; usize::try_from(len)?];
    socket.read_exact(&mut body)?;
    if header[4] != expect {
        let text = String::from_utf8_lossy(body.get(6..).unwrap_or_default());
        bail!("request {opcode:#04x} was answered with {:#04x}: {text}", header[4]);
    }
    Ok(body)
}

/// The sharding a node tells in SUPPORTED, a [string multimap]; `None` if it has no shards.
fn sharding(supported: &[u8]) -> Option<Option<Sharding>> {
    let mut parser = Parser(supported);
    let (mut shard, mut count, mut ignore_msb) = (None, None, None);
    for _ in 0..parser.short()? {
        let name = parser.short_bytes()?;
        for _ in 0..parser.short()? {
            let value = str::from_utf8(parser.short_bytes()?).ok()?;
            match name {
                b"SCYLLA_SHARD" => shard = value.parse().ok(),
                b"SCYLLA_NR_SHARDS" => count = value.parse().ok(),
                b"SCYLLA_SHARDING_IGNORE_MSB" => ignore_msb = value.parse().ok(),
                _ => {}
            }
        }
    }
    Some(match (shard, count, ignore_msb) {
        (Some(shard), Some(count), Some(ignore_msb)) => Some(Sharding { shard, count, ignore_msb }),
        _ => None,
    })
}

const STARTUP: u8 = 0x01;
const READY: u8 = 0x02;
const OPTIONS: u8 = 0x05;
const SUPPORTED: u8 = 0x06;
/// What the protocol allows.
const BODY_LEN_MAX: u32 = 256 << 20;
