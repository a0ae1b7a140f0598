//! Keeps a node's connections open: one task per node.
//!
//! The first connection is a plain one and tells how many shards the node has; the others go
//! through the shard-aware port, each from a source port that leads to its shard. Where there is
//! no such port, or something between rewrites source ports, plain connections are opened until
//! each shard has one; what comes in excess is closed. Failures are retried with exponential
//! backoff and jitter; a connection on which nothing came back for a while is asked whether it
//! still lives.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use shardwire_protocol::header::ResponseHeader;
use shardwire_protocol::request::Options;
use shardwire_protocol::routing::Sharder;
use shardwire_protocol::supported::Supported;
use shardwire_sync::Lease;

use crate::clock;
use crate::connection::handshake::{Established, Wanted, establish};
use crate::error::{Error, Lost};
use crate::events::Event;
use crate::pool::{EventSink, NodePool};
use crate::runtime::{self, Instant, Notify};
use crate::session::Inner;
use crate::settings::{PoolSize, Settings};
use crate::topology::Node;

/// Plain connections opened for each that is missing, before the rest is put off.
const PLAIN_TRIES_PER_SHARD: usize = 10;
/// Rounds in which the shard-aware port may fail before plain connections are tried instead.
const ROUNDS_BEFORE_PLAIN: u32 = 2;
/// How long the shard-aware port is not used after it led to the wrong shard.
const WRONG_SHARD_PAUSE: Duration = Duration::from_secs(300);

/// What the session and the I/O tasks share with a node's keeper.
pub(crate) struct Keeper {
    node: Arc<Node>,
    inner: Weak<Inner>,
    /// A connection closed, a node came up: look again.
    refill: Notify,
    /// A node came up, the keeper is to stop: do not wait for the end of a pause.
    hurry: Notify,
    /// The node is said to be down: ask it.
    probe: AtomicBool,
    /// Something opened.
    opened: Notify,
    /// The first round is over, well or badly.
    settled: AtomicBool,
    stop: AtomicBool,
    /// Which places have a socket, or are about to.
    filled: Mutex<Vec<bool>>,
    /// Requests can reach the node, as listeners were told.
    reachable: Mutex<bool>,
}

impl Keeper {
    /// Starts a node's keeper.
    pub(crate) fn start(inner: &Arc<Inner>, node: Arc<Node>) -> Arc<Keeper> {
        let keeper = Arc::new(Keeper {
            node,
            inner: Arc::downgrade(inner),
            refill: Notify::new(),
            hurry: Notify::new(),
            probe: AtomicBool::new(false),
            opened: Notify::new(),
            settled: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            filled: Mutex::new(Vec::new()),
            reachable: Mutex::new(false),
        });
        let task = Task {
            keeper: Arc::clone(&keeper),
            inner: Arc::clone(inner),
            peer: keeper.node.socket_address(),
            pool: None,
            shard_aware_port: None,
            plain_only_until: None,
            failed_rounds: 0,
            backoff: Backoff::new(&inner.settings),
            replies: Vec::new(),
        };
        inner.keep(runtime::spawn(task.run()));
        keeper
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The node has left, or the session ends.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.hurry();
    }

    /// Tries again now instead of when the backoff is over.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
        self.refill.notify_one();
    }

    /// Asks the node on all of its connections whether it lives.
    pub(crate) fn probe(&self) {
        self.probe.store(true, Ordering::SeqCst);
        self.refill.notify_one();
    }

    /// The node has answered, whatever is said about it.
    fn lives(&self, inner: &Inner) {
        if self.node.set_down(false)
            && let Some(control) = inner.control()
        {
            control.changed();
        }
    }

    /// Tells listeners when the node's first connection opens and when the last one closes. Under a
    /// lock, so that whoever looks last tells what is.
    fn tell(&self, pool: &NodePool, inner: &Inner) {
        let mut reachable = self.reachable.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = pool.is_open();
        if *reachable != is_open {
            *reachable = is_open;
            let node = Arc::clone(&self.node);
            inner.listeners.tell(|| match is_open {
                true => Event::Connected(node),
                false => Event::Disconnected(node),
            });
        }
    }

    /// Waits until the first round is over.
    pub(crate) async fn settled(&self) {
        loop {
            let opened = self.opened.notified();
            if self.settled.load(Ordering::SeqCst) {
                return;
            }
            opened.await;
        }
    }

    fn with_filled<T>(&self, f: impl FnOnce(&mut Vec<bool>) -> T) -> T {
        f(&mut self.filled.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EventSink for Keeper {
    fn opened(&self, pool: &NodePool, _: usize) {
        self.opened.notify_waiters();
        if let Some(inner) = self.inner.upgrade() {
            self.lives(&inner);
            self.tell(pool, &inner);
            inner.waiting.notify(usize::MAX);
        }
    }

    fn closed(&self, pool: &NodePool, index: usize, _: Lost) {
        let Some(inner) = self.inner.upgrade() else { return };
        let present = self.node.pool().and_then(|index| inner.pools.get(index));
        if !present.is_some_and(|present| std::ptr::eq(&**present, pool)) {
            return; // of the pool before this one; the places are another's now
        }
        self.with_filled(|filled| {
            if let Some(filled) = filled.get_mut(index) {
                *filled = false;
            }
        });
        self.tell(pool, &inner);
        self.refill.notify_one();
    }

    fn event(&self, _: &ResponseHeader, _: &Lease) {
        // Only the control connection registers for events; one that comes here is not asked for.
    }
}

/// Exponential backoff with jitter.
struct Backoff {
    next: Duration,
    min: Duration,
    max: Duration,
}

impl Backoff {
    fn new(settings: &Settings) -> Backoff {
        let min = settings.reconnect_min.max(Duration::from_millis(1));
        Backoff { next: min, min, max: settings.reconnect_max.max(min) }
    }

    fn reset(&mut self) {
        self.next = self.min;
    }

    /// Whether more time than the next pause has gone by.
    fn has_passed(&self, since: Instant) -> bool {
        since.elapsed() > self.next
    }

    /// Between half the present step and all of it; the step doubles up to the maximum.
    fn next(&mut self) -> Duration {
        let wait = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(self.max);
        wait
    }
}

struct Task {
    keeper: Arc<Keeper>,
    inner: Arc<Inner>,
    peer: SocketAddr,
    pool: Option<(u32, Arc<NodePool>)>,
    shard_aware_port: Option<u16>,
    plain_only_until: Option<Instant>,
    /// Rounds in a row in which the shard-aware port failed.
    failed_rounds: u32,
    backoff: Backoff,
    /// Each connection's count of replies when the keepalive last looked.
    replies: Vec<u32>,
}

impl Task {
    async fn run(mut self) {
        let inner = Arc::clone(&self.inner);
        let work = async {
            // A connection was lost soon after the pool was complete.
            let mut brief = false;
            while !self.is_stopped() {
                if self.keeper.probe.swap(false, Ordering::SeqCst) {
                    self.probe().await;
                }
                let round = self.fill().await;
                if round.is_ok() {
                    self.wait_for_install().await;
                }
                self.keeper.settled.store(true, Ordering::SeqCst);
                self.keeper.opened.notify_waiters();
                match round {
                    Ok(()) => {
                        let complete = Instant::now();
                        self.watch().await;
                        if self.backoff.has_passed(complete) {
                            self.backoff.reset();
                            brief = false;
                        } else if !self.missing().is_empty() {
                            // What does not last, time after time, is as bad as what fails.
                            if brief {
                                self.pause().await;
                            }
                            brief = true;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(peer = %self.peer, %error, "pool is not complete");
                        self.pause().await;
                    }
                }
            }
        };
        runtime::race(work, inner.stopped()).await;
        if let Some((_, pool)) = &self.pool {
            pool.shut_down();
        }
    }

    fn is_stopped(&self) -> bool {
        self.keeper.stop.load(Ordering::SeqCst)
    }

    /// Waits before the next attempt, whatever else breaks meanwhile.
    async fn pause(&mut self) {
        let pause = self.backoff.next();
        if runtime::within(pause, self.keeper.hurry.notified()).await.is_some() {
            self.backoff.reset(); // the reason that there was for long pauses is gone
        }
    }

    /// Waits for something to do, and asks quiet connections whether they live.
    async fn watch(&mut self) {
        let Some(interval) = self.inner.settings.keepalive_interval else {
            self.keeper.refill.notified().await;
            return;
        };
        while runtime::within(interval, self.keeper.refill.notified()).await.is_none() {
            self.keepalive().await;
        }
    }

    /// The I/O task installs sockets in its own time; it does so at once unless it is busy.
    async fn wait_for_install(&self) {
        let Some((_, pool)) = &self.pool else { return };
        let all_open = async {
            loop {
                let opened = self.keeper.opened.notified();
                let filled = self.keeper.with_filled(|filled| filled.clone());
                let missing = pool.conns.iter().zip(filled).any(|(conn, f)| f && !conn.is_open());
                if !missing {
                    return;
                }
                opened.await;
            }
        };
        runtime::within(self.inner.settings.connect_timeout, all_open).await;
    }

    async fn establish(
        &self,
        peer: SocketAddr,
        wanted: Option<Wanted>,
    ) -> Result<Established, Error> {
        establish(peer, wanted, &self.inner.settings, self.inner.agreed_version()).await
    }

    /// Opens what is missing.
    async fn fill(&mut self) -> Result<(), Error> {
        if self.pool.is_none() {
            let first = self.establish(self.peer, None).await?;
            self.start_pool(first)?;
        }
        let missing = self.missing();
        if missing.is_empty() {
            return Ok(());
        }
        let sharder = self.pool.as_ref().and_then(|(_, pool)| pool.sharder);
        match (sharder, self.usable_shard_aware_port()) {
            (Some(sharder), Some(port)) => self.fill_by_shard(missing, sharder, port).await,
            (Some(_), None) => self.fill_by_chance(missing).await,
            (None, _) => self.fill_plainly(missing).await,
        }
    }

    fn missing(&self) -> Vec<usize> {
        self.keeper.with_filled(|filled| {
            filled.iter().enumerate().filter(|(_, filled)| !**filled).map(|(i, _)| i).collect()
        })
    }

    fn usable_shard_aware_port(&mut self) -> Option<u16> {
        match self.plain_only_until {
            Some(until) if Instant::now() < until => None,
            _ => {
                self.plain_only_until = None;
                self.shard_aware_port.filter(|_| self.inner.settings.shard_aware_port)
            }
        }
    }

    /// Makes the pool that fits what the node says of itself.
    fn start_pool(&mut self, first: Established) -> Result<(), Error> {
        let sharder = sharder_of(&first.supported);
        self.shard_aware_port = match self.inner.settings.speaks_tls() {
            true => first.supported.shard_aware_port_tls,
            false => first.supported.shard_aware_port,
        };
        let (sharder, per_shard) = match self.inner.settings.pool_size {
            PoolSize::PerShard(n) => (sharder, n.get()),
            PoolSize::PerHost(n) => match sharder {
                Some(s) => (Some(s), n.get().div_ceil(usize::from(s.nr_shards.get()))),
                None => (None, n.get()),
            },
        };
        let events: Arc<dyn EventSink> = Arc::clone(&self.keeper) as Arc<dyn EventSink>;
        let inner = &self.inner;
        let limits = &inner.settings.limits.on(first.framing);
        let pool = NodePool::start(self.peer, sharder, per_shard, &inner.clock, limits, &events);
        let Some(index) = inner.pools.add(Arc::clone(&pool)) else {
            pool.shut_down();
            return Err(Error::config("the session has known too many nodes"));
        };
        self.keeper.node.set_pool(index); // before the old one ends, so that `closed` can tell
        self.keeper.with_filled(|filled| {
            filled.clear();
            filled.resize(pool.conns.len(), false);
        });
        self.inner.learn(&first.supported);
        if let Some((_, old)) = self.pool.replace((index, pool)) {
            old.shut_down();
        }
        self.place(first);
        Ok(())
    }

    /// Installs a socket at a free place of its shard; gives it back when there is none.
    fn place(&self, socket: Established) -> Option<Established> {
        let (_, pool) = self.pool.as_ref()?;
        let shard = socket.supported.shard_info.map(|info| info.shard);
        let free = self.keeper.with_filled(|filled| {
            let index = filled.iter().enumerate().position(|(index, filled)| {
                !*filled && (pool.sharder.is_none() || pool.shard_of_index(index) == shard)
            })?;
            *filled.get_mut(index)? = true;
            Some(index)
        });
        match free {
            Some(index) => {
                pool.install(index, socket);
                None
            }
            None => Some(socket),
        }
    }

    /// Gives the socket back if the node has as many shards as the pool; makes a new pool if not.
    fn reshard(&mut self, socket: Established) -> Result<Option<Established>, Error> {
        let known = self.pool.as_ref().and_then(|(_, pool)| pool.sharder);
        if sharder_of(&socket.supported) == known {
            return Ok(Some(socket));
        }
        tracing::info!(peer = %self.peer, "the node's shards have changed");
        self.start_pool(socket)?;
        self.backoff.reset();
        self.keeper.refill.notify_one();
        Ok(None)
    }

    async fn fill_by_shard(
        &mut self,
        missing: Vec<usize>,
        sharder: Sharder,
        port: u16,
    ) -> Result<(), Error> {
        let Some((_, pool)) = self.pool.clone() else { return Ok(()) };
        let peer = SocketAddr::new(self.peer.ip(), port);
        let this = &*self;
        let attempts = missing.into_iter().filter_map(|index| {
            let shard = pool.shard_of_index(index)?;
            Some(async move {
                let wanted = Some(Wanted { sharder, shard });
                let socket = this.establish(peer, wanted).await?;
                // At once: one that takes long does not hold up the others.
                let fits = sharder_of(&socket.supported) == Some(sharder);
                Ok(if fits { this.place(socket) } else { Some(socket) })
            })
        });
        let results: Vec<Result<Option<Established>, Error>> = runtime::join_all(attempts).await;
        let mut failed = None;
        for result in results {
            match result {
                Ok(None) => {}
                Ok(Some(socket)) => {
                    if self.reshard(socket)?.is_none() {
                        return Ok(());
                    }
                    // Something between rewrites source ports; count on chance for a while.
                    self.plain_only_until = Some(Instant::now() + WRONG_SHARD_PAUSE);
                    failed = Some(Error::connect(Some(peer), "led to another shard"));
                }
                Err(error) => failed = Some(error),
            }
        }
        let Some(error) = failed else {
            self.failed_rounds = 0;
            return Ok(());
        };
        // The port may be closed to us while the plain one is open. But a node that is just coming
        // up opens one before the other: then it is worth another try, after a pause.
        self.failed_rounds += 1;
        if self.plain_only_until.is_none() && self.failed_rounds <= ROUNDS_BEFORE_PLAIN {
            return Err(error);
        }
        let missing = self.missing();
        self.fill_by_chance(missing).await
    }

    async fn fill_by_chance(&mut self, missing: Vec<usize>) -> Result<(), Error> {
        let mut excess = Vec::new();
        for _ in 0..missing.len() * PLAIN_TRIES_PER_SHARD {
            if self.missing().is_empty() {
                return Ok(());
            }
            let socket = self.establish(self.peer, None).await?;
            let Some(socket) = self.reshard(socket)? else { return Ok(()) };
            excess.extend(self.place(socket)); // kept for now, so that the node picks other shards
        }
        if self.missing().is_empty() {
            return Ok(());
        }
        Err(Error::connect(Some(self.peer), "plain connections did not reach every shard"))
    }

    async fn fill_plainly(&mut self, missing: Vec<usize>) -> Result<(), Error> {
        for _ in missing {
            let socket = self.establish(self.peer, None).await?;
            let Some(socket) = self.reshard(socket)? else { return Ok(()) };
            self.place(socket);
        }
        Ok(())
    }

    /// Asks each connection that brought nothing since last time.
    async fn keepalive(&mut self) {
        let Some((_, pool)) = self.pool.clone() else { return };
        self.replies.resize(pool.conns.len(), 0);
        let mut quiet = Vec::new();
        for ((index, conn), seen) in pool.conns.iter().enumerate().zip(&mut self.replies) {
            let replies = conn.replies.load(Ordering::Relaxed);
            if conn.is_open() && replies == *seen {
                quiet.push(index);
            }
            *seen = replies;
        }
        if quiet.len() == pool.conns.len() {
            pool.want_trim();
        }
        self.ask(&pool, &quiet, self.inner.settings.keepalive_timeout).await;
        // The answers count as replies; they must not count as life of its own next time.
        for (conn, seen) in pool.conns.iter().zip(&mut self.replies) {
            *seen = conn.replies.load(Ordering::Relaxed);
        }
    }

    /// Asks each connection of a node that is said to be down. It has no longer to answer than to
    /// connect: keepalives are patient because they have no reason for doubt.
    async fn probe(&mut self) {
        let Some((_, pool)) = self.pool.clone() else { return };
        let open = pool.conns.iter().enumerate().filter(|(_, conn)| conn.is_open());
        let open: Vec<usize> = open.map(|(index, _)| index).collect();
        if self.ask(&pool, &open, self.inner.settings.connect_timeout).await > 0 {
            self.keeper.lives(&self.inner);
        }
    }

    /// Asks these connections whether they live, and closes those that do not answer. How many do.
    async fn ask(&self, pool: &NodePool, indexes: &[usize], timeout: Duration) -> usize {
        let timeout = clock::ticks(timeout);
        let questions = indexes.iter().filter_map(|index| {
            Some(self.inner.message(pool.conns.get(*index)?, Options, timeout))
        });
        let answers = runtime::join_all(questions).await;
        let mut count = 0;
        for (index, answer) in indexes.iter().zip(answers) {
            match answer {
                Ok(_) => count += 1,
                Err(_) => pool.close(*index, Lost::KeepaliveTimeout),
            }
        }
        count
    }
}

fn sharder_of(supported: &Supported) -> Option<Sharder> {
    let info = supported.shard_info?;
    Some(Sharder::new(info.nr_shards, info.ignore_msb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_with_jitter_up_to_the_maximum() {
        let mut backoff = Backoff::new(&Settings::default());
        let mut step = Duration::from_millis(50);
        for _ in 0..20 {
            let wait = backoff.next();
            assert!(wait <= step && wait * 2 >= step, "{wait:?} for a step of {step:?}");
            step = (step * 2).min(Duration::from_secs(10));
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(50));
    }
}
