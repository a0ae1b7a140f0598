//! A node's connections: one place per shard, and which of them a token belongs to.
//!
//! Pools are entered in the session's `PoolTable` once and stay until the session ends, so a
//! request in flight borrows its connection instead of holding a reference count.
//! Opening sockets and keeping them open is `keeper.rs`.
//!
//! Step 5 of 14 in `docs/REQUEST.md`. Next: `driver/src/connection/submit.rs`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use shardwire_protocol::header::ResponseHeader;
use shardwire_protocol::routing::{Sharder, Token};
use shardwire_sync::Lease;

use crate::clock::Clock;
use crate::connection::Conn;
use crate::connection::group::{Command, GROUP_LEN_MAX, Group};
use crate::connection::handshake::Established;
use crate::connection::io::IoTask;
use crate::error::Lost;
use crate::runtime::{self, Task};
use crate::settings::Limits;

/// What the I/O task tells the rest of the session.
pub(crate) trait EventSink: Send + Sync {
    /// Connection `index` of the pool can be used.
    fn opened(&self, pool: &NodePool, index: usize);
    /// Connection `index` of the pool has lost its socket.
    fn closed(&self, pool: &NodePool, index: usize, lost: Lost);
    /// The server pushed a message.
    fn event(&self, header: &ResponseHeader, body: &Lease);
}

/// Which of a node's connections a request belongs on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Aim {
    Any,
    /// To the shard that has this token.
    ShardOf(Token),
    Shard(u16),
}

impl Aim {
    /// To the shard that has the token, if there is one.
    #[inline]
    pub(crate) fn by_token(token: Option<Token>) -> Aim {
        token.map_or(Aim::Any, Aim::ShardOf)
    }
}

/// All connections to one node.
pub(crate) struct NodePool {
    /// Shard 0's connections first, then shard 1's ...
    pub(crate) conns: Box<[Conn]>,
    pub(crate) sharder: Option<Sharder>,
    /// Connections per shard; per node when it has no shards.
    pub(crate) per_shard: usize,
    groups: Box<[Arc<Group>]>,
    /// The I/O tasks.
    tasks: OnceLock<Box<[Task]>>,
}

impl NodePool {
    /// Makes the places and starts their I/O tasks; opens nothing.
    pub(crate) fn start(
        peer: SocketAddr,
        sharder: Option<Sharder>,
        per_shard: usize,
        clock: &Arc<Clock>,
        limits: &Limits,
        events: &Arc<dyn EventSink>,
    ) -> Arc<NodePool> {
        let per_shard = per_shard.max(1);
        let shards = sharder.map_or(1, |sharder| usize::from(sharder.nr_shards.get()));
        let len = shards * per_shard;
        let group_len = limits.group_len.clamp(1, GROUP_LEN_MAX);
        let groups: Box<[Arc<Group>]> =
            (0..len.div_ceil(group_len)).map(|_| Arc::new(Group::new(Arc::clone(clock)))).collect();
        let mut conns = Vec::with_capacity(len);
        for group in &groups {
            let rest = len - conns.len();
            for index in (0..).take(rest.min(group_len)) {
                conns.push(Conn::new(Arc::clone(group), index, peer, limits));
            }
        }
        let (conns, tasks) = (conns.into(), OnceLock::new());
        let pool = Arc::new(NodePool { conns, sharder, per_shard, groups, tasks });
        let tasks = pool.groups.iter().enumerate().map(|(number, group)| {
            let first = number * group_len;
            let len = group_len.min(pool.conns.len() - first);
            runtime::spawn(IoTask::new(
                Arc::clone(group),
                Arc::clone(&pool),
                first,
                len,
                limits,
                Arc::clone(events),
            ))
        });
        pool.tasks.get_or_init(|| tasks.collect());
        pool
    }

    /// The shard that connection `index` is for, if the node has shards.
    pub(crate) fn shard_of_index(&self, index: usize) -> Option<u16> {
        self.sharder.and_then(|_| u16::try_from(index / self.per_shard).ok())
    }

    /// The connection that a request belongs on: to the right shard if it is known and connected,
    /// else any that answers. None if the shard is silent: to ask it by way of another one helps
    /// nobody.
    #[inline]
    pub(crate) fn pick(&self, aim: Aim) -> Option<&Conn> {
        let first = match self.first_of(aim) {
            Some(first) => first,
            None if self.conns.len() == 1 => 0,
            None => return self.pick_any(),
        };
        let index = if self.per_shard == 1 { first } else { self.less_used(first) };
        match self.conns.get(index) {
            Some(conn) if conn.answers() => Some(conn),
            Some(conn) if conn.is_silent() => None,
            _ => self.pick_any(),
        }
    }

    /// The silent connection that a request is given to when no node answers that it could be
    /// given to instead: the shard's own before others.
    #[cold]
    pub(crate) fn pick_silent(&self, aim: Aim) -> Option<&Conn> {
        let first = self.first_of(aim).filter(|first| *first < self.conns.len());
        let (before, after) = self.conns.split_at_checked(first.unwrap_or(0))?;
        after.iter().chain(before).find(|conn| conn.is_silent())
    }

    /// The first of the connections to a shard; there may be none to that one.
    #[inline]
    fn first_of(&self, aim: Aim) -> Option<usize> {
        let shard = match (self.sharder?, aim) {
            (_, Aim::Any) => return None,
            (sharder, Aim::ShardOf(token)) => sharder.shard_of(token),
            (_, Aim::Shard(shard)) => shard,
        };
        Some(usize::from(shard) * self.per_shard)
    }

    /// Of the connections to one shard, the less used of two neighbours picked at random.
    fn less_used(&self, first: usize) -> usize {
        let a = first + fastrand::usize(..self.per_shard);
        let b = if a + 1 < first + self.per_shard { a + 1 } else { first };
        let load = |index: usize| match self.conns.get(index) {
            Some(conn) if conn.answers() => conn.slots.in_use(),
            _ => u32::MAX,
        };
        if load(b) < load(a) { b } else { a }
    }

    /// Any connection that answers, from a random one on.
    #[cold]
    fn pick_any(&self) -> Option<&Conn> {
        let start = fastrand::usize(..self.conns.len().max(1));
        let (before, after) = self.conns.split_at_checked(start)?;
        after.iter().chain(before).find(|conn| conn.answers())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.conns.iter().any(Conn::is_open)
    }

    /// Gives a socket to the I/O task that drives connection `index`.
    pub(crate) fn install(&self, index: usize, socket: Established) {
        if let Some(conn) = self.conns.get(index) {
            conn.group.command(Command::Install { index: conn.index, socket: Box::new(socket) });
        }
    }

    pub(crate) fn close(&self, index: usize, lost: Lost) {
        if let Some(conn) = self.conns.get(index) {
            conn.group.command(Command::Close { index: conn.index, lost });
        }
    }

    /// Lets the I/O tasks free receive memory that nobody needs.
    pub(crate) fn want_trim(&self) {
        for group in &self.groups {
            group.want_trim();
        }
    }

    /// Requests that somebody waits for: in flight, or in line for room.
    pub(crate) fn in_flight(&self) -> usize {
        let count = |conn: &Conn| {
            let in_flight = conn.slots.in_use().saturating_sub(conn.slots.orphans());
            (in_flight as usize).saturating_add(conn.waiting.len())
        };
        self.conns.iter().map(count).sum()
    }

    /// Whether the I/O tasks have ended, and with them the sockets are closed.
    pub(crate) fn has_ended(&self) -> bool {
        self.tasks.get().is_some_and(|tasks| tasks.iter().all(Task::has_ended))
    }

    /// Ends the I/O tasks; everything on the sockets is answered and they close.
    pub(crate) fn shut_down(&self) {
        for group in &self.groups {
            group.shut_down();
        }
    }
}

/// Pools of one session; an index once given stays good until the session ends.
pub(crate) struct PoolTable {
    segments: [OnceLock<Segment>; POOLS_MAX / SEGMENT_LEN],
    len: Mutex<u32>,
}

/// An array, so that an index below its length needs no check.
type Segment = Box<[OnceLock<Arc<NodePool>>; SEGMENT_LEN]>;

/// Pools per segment of the table.
const SEGMENT_LEN: usize = 64;
/// Pools that one session can make in its life: one per node, and one more each time a node
/// changes its address or its number of shards.
pub(crate) const POOLS_MAX: usize = 4096;

impl PoolTable {
    pub(crate) fn new() -> PoolTable {
        PoolTable { segments: std::array::from_fn(|_| OnceLock::new()), len: Mutex::new(0) }
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&Arc<NodePool>> {
        let index = index as usize;
        self.segments.get(index / SEGMENT_LEN)?.get()?.get(index % SEGMENT_LEN)?.get()
    }

    /// Enters a pool; `None` when the table is full.
    // Allocates: once per 64 pools.
    pub(crate) fn add(&self, pool: Arc<NodePool>) -> Option<u32> {
        let mut len = self.len.lock().unwrap_or_else(PoisonError::into_inner);
        let index = *len as usize;
        let segment = self
            .segments
            .get(index / SEGMENT_LEN)?
            .get_or_init(|| Box::new(std::array::from_fn(|_| OnceLock::new())));
        segment.get(index % SEGMENT_LEN)?.set(pool).ok()?;
        *len += 1;
        Some(*len - 1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<NodePool>> {
        (0..).map_while(|index| self.get(index))
    }
}
