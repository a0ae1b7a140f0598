//! The control connection: reads the topology and listens to what the cluster announces.
//!
//! One task per session does all the reading, so that an older reading never overtakes a newer one;
//! who needs a fresh one asks for it and waits. It has a pool of its own with a single place; when
//! the socket there breaks, it goes on with the next node that answers, and reads everything anew:
//! what was announced meanwhile was announced to nobody.
//!
//! Announcements only say that something changed: what, is read from the system tables, once for as
//! many announcements as come together. Only what concerns the connections to one node is acted
//! upon at once: one that is up again is connected to, one that is down is asked whether it is.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use shardwire_protocol::error::FrameError;
use shardwire_protocol::header::ResponseHeader;
use shardwire_protocol::request::{EventKind, Options, Register};
use shardwire_protocol::response::{Agreed, Body, EventBody, Response, StatusChange};
use shardwire_sync::Lease;

use crate::clock;
use crate::connection::Conn;
use crate::connection::handshake::establish;
use crate::error::{Error, Lost};
use crate::events::{Event, SchemaChange};
use crate::pool::{EventSink, NodePool};
use crate::runtime::{self, Instant, Notify, watch};
use crate::session::Inner;
use crate::settings::Limits;
use crate::topology::fetch::{self, Source};
use crate::topology::schema::{self, Scope};

/// Announcements that follow each other within this time are answered by one reading ...
const QUIET: Duration = Duration::from_millis(50);
/// ... but no announcement waits longer than this for it, however many follow.
const GATHER_MAX: Duration = Duration::from_secs(1);
/// Changes of the schema that are kept until it is read; of further ones only their number is.
const CHANGES_MAX: usize = 256;
/// An event that is longer is not looked at. There is none: names have 48 characters.
const EVENT_LEN_MAX: usize = 64 * 1024;
/// Who asks for a reading waits for so many times the time that connecting may take.
const PATIENCE: u32 = 6;

/// What the control task shares with its I/O task and with the session.
pub(crate) struct Control {
    pool: Arc<NodePool>,
    signals: Arc<Signals>,
    /// The node that the connection leads to.
    peer: Mutex<Option<SocketAddr>>,
    /// Whether that node may have `system.peers_v2`.
    peers_v2: AtomicBool,
    /// Whether that node may have keyspaces with tablets.
    tablets: AtomicBool,
    progress: watch::Sender<Progress>,
}

/// How far the reading has come, for those who wait for it.
#[derive(Clone, Default)]
struct Progress {
    /// The greatest number of [`Signals::ask`] that has been answered.
    read: u64,
    /// Rounds through all nodes in which none answered.
    failed_rounds: u64,
    error: Option<Error>,
}

/// What the I/O task reports.
struct Signals {
    inner: Weak<Inner>,
    /// A socket was taken over; it may have been lost again since.
    installed: AtomicBool,
    opened: Notify,
    changed: Notify,
    /// Somebody waits for a reading.
    asked: Notify,
    news: Mutex<News>,
}

/// What has come up since the last reading began.
#[derive(Default)]
struct News {
    /// Somebody waits for a reading: no time to wait for more.
    is_urgent: bool,
    /// How often a reading was asked for.
    asked: u64,
    /// What of the schema has changed.
    scope: Scope,
    /// What listeners are told when it has been read.
    changes: Vec<SchemaChange>,
    /// Changes that there was no place for.
    missed: u64,
}

impl Signals {
    fn with_news<T>(&self, f: impl FnOnce(&mut News) -> T) -> T {
        f(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for a reading; the number by which it is known.
    fn ask(&self, keyspace: Option<&str>) -> u64 {
        let number = self.with_news(|news| {
            if let Some(keyspace) = keyspace {
                news.scope.add(keyspace);
            }
            news.is_urgent = true;
            news.asked += 1;
            news.asked
        });
        self.changed.notify_one();
        self.asked.notify_one();
        number
    }

    /// Acts upon what was announced.
    fn announced(&self, event: Result<EventBody<'_>, FrameError>) {
        match event {
            Ok(EventBody::StatusChange { change, address }) => {
                if let Some(inner) = self.inner.upgrade() {
                    status_changed(&inner, change, address);
                }
            }
            Ok(EventBody::SchemaChange(change)) => self.with_news(|news| {
                news.scope.add(change.keyspace);
                if news.changes.len() < CHANGES_MAX {
                    news.changes.push(SchemaChange::to_owned(&change));
                } else {
                    news.missed += 1;
                }
            }),
            Ok(_) => {}
            // Something has changed, whatever it is.
            Err(error) => tracing::warn!(%error, "an event that cannot be read"),
        }
        self.changed.notify_one();
    }
}

impl EventSink for Signals {
    fn opened(&self, _: &NodePool, _: usize) {
        self.installed.store(true, Ordering::SeqCst);
        self.opened.notify_one();
    }

    fn closed(&self, _: &NodePool, _: usize, _: Lost) {
        self.opened.notify_one();
        self.changed.notify_one();
    }

    fn event(&self, header: &ResponseHeader, body: &Lease) {
        if body.len() > EVENT_LEN_MAX {
            tracing::warn!(len = body.len(), "an event that is too long");
            self.changed.notify_one();
            return;
        }
        self.announced(event_of(header, body));
    }
}

fn event_of<'b>(header: &ResponseHeader, body: &'b [u8]) -> Result<EventBody<'b>, FrameError> {
    match Body::parse(header, body)?.response(&Agreed::on(header.version), None)? {
        Response::Event(event) => Ok(event),
        _ => Ok(EventBody::Other { event_type: "" }), // the stream of events has nothing else
    }
}

/// A node that is said to be up is connected to at once. One that is said to be down is asked: what
/// its peers cannot reach may still answer us, and as long as it does it is used.
fn status_changed(inner: &Inner, change: StatusChange, address: SocketAddr) {
    inner.listeners.tell(|| match change {
        StatusChange::Down => Event::NodeDown(address),
        StatusChange::Up => Event::NodeUp(address),
    });
    let topology = inner.topology.load_full();
    let Some(node) = topology.node_at(address) else { return };
    let keeper = inner.with_keepers(|keepers| keepers.get(&node.host_id).map(Arc::clone));
    node.set_down(change == StatusChange::Down);
    tracing::debug!(%address, ?change, "a node's status changes");
    match (change, keeper) {
        (StatusChange::Up, Some(keeper)) => keeper.hurry(),
        (StatusChange::Down, Some(keeper)) => keeper.probe(),
        (_, None) => {}
    }
}

/// Waits until no announcement has come for a while.
async fn gather(changed: &Notify, cannot_wait: impl Fn() -> bool) {
    let end = Instant::now() + GATHER_MAX;
    while !cannot_wait() {
        let rest = end.saturating_duration_since(Instant::now());
        if rest.is_zero() || runtime::within(QUIET.min(rest), changed.notified()).await.is_none() {
            return;
        }
    }
}

/// What the control task waits for.
enum Due {
    Keepalive,
    Reading,
}

impl Control {
    /// Makes the place for the control connection; `contact` is only what errors name at first.
    pub(crate) fn new(inner: &Arc<Inner>, contact: SocketAddr) -> Result<Control, Error> {
        let signals = Arc::new(Signals {
            inner: Arc::downgrade(inner),
            installed: AtomicBool::new(false),
            opened: Notify::new(),
            changed: Notify::new(),
            asked: Notify::new(),
            news: Mutex::default(),
        });
        let sink: Arc<dyn EventSink> = Arc::clone(&signals) as Arc<dyn EventSink>;
        let limits = Limits { outbox_len: 16 * 1024, ..inner.settings.limits.clone() };
        let pool = NodePool::start(contact, None, 1, &inner.clock, &limits, &sink);
        // So that it ends with the session.
        if inner.pools.add(Arc::clone(&pool)).is_none() {
            return Err(Error::config("the pool table is full"));
        }
        let progress = watch::Sender::new(Progress::default());
        Ok(Control {
            pool,
            signals,
            peer: Mutex::new(None),
            peers_v2: AtomicBool::new(true),
            tablets: AtomicBool::new(false),
            progress,
        })
    }

    /// The connection, open or not.
    ///
    /// # Errors
    ///
    /// None, for a pool has at least one place.
    pub(crate) fn conn(&self) -> Result<&Conn, Error> {
        self.pool.conns.first().ok_or_else(|| Error::lost_on(Lost::ClosedByDriver))
    }

    /// Where the node is that the connection leads to.
    fn peer(&self) -> Option<SocketAddr> {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to `peer`, subscribes to its events and reads the topology.
    pub(crate) async fn connect(&self, inner: &Arc<Inner>, peer: SocketAddr) -> Result<(), Error> {
        let socket = establish(peer, None, &inner.settings, inner.agreed_version()).await?;
        inner.agree(socket.version);
        inner.learn(&socket.supported);
        // Nodes with shards do not have it.
        self.peers_v2.store(socket.supported.shard_info.is_none(), Ordering::Relaxed);
        self.tablets.store(socket.supported.tablets_v1, Ordering::Relaxed);
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = Some(peer);
        self.signals.installed.store(false, Ordering::SeqCst);
        self.pool.install(0, socket);
        while !self.signals.installed.load(Ordering::SeqCst) {
            self.signals.opened.notified().await;
        }
        let result = self.begin(inner).await;
        if result.is_err() {
            self.close().await;
        }
        result
    }

    /// Subscribes first, so that nothing changes unseen between the reading and the events.
    async fn begin(&self, inner: &Arc<Inner>) -> Result<(), Error> {
        let timeout = clock::ticks(inner.settings.connect_timeout);
        let events = &[EventKind::TopologyChange, EventKind::StatusChange, EventKind::SchemaChange];
        inner.message(self.conn()?, Register { events }, timeout).await?;
        // Whoever was announced as down may have come up unheard.
        for node in &inner.topology.load_full().nodes {
            node.set_down(false);
        }
        self.read(inner).await?;
        for keeper in inner.all_keepers() {
            keeper.hurry();
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.pool.is_open()
    }

    async fn close(&self) {
        self.pool.close(0, Lost::ClosedByDriver);
        while self.is_open() {
            self.signals.opened.notified().await;
        }
    }

    /// Something that the next reading has to take into account.
    pub(crate) fn changed(&self) {
        self.signals.changed.notify_one();
    }

    /// Has the topology read anew, and the schema of what has changed, among it of `keyspace`;
    /// waits until it is.
    pub(crate) async fn refresh(&self, inner: &Inner, keyspace: Option<&str>) -> Result<(), Error> {
        let mut progress = self.progress.subscribe();
        let failed_rounds = progress.borrow().failed_rounds;
        let number = self.signals.ask(keyspace);
        let mut result = Err(Error::shutdown());
        let wait = async {
            let done = progress.wait_for(|progress| {
                progress.read >= number || progress.failed_rounds > failed_rounds
            });
            let patience = inner.settings.connect_timeout.saturating_mul(PATIENCE);
            result = match runtime::within(patience, done).await {
                Some(Ok(progress)) if progress.read >= number => Ok(()),
                Some(Ok(progress)) => Err(progress.error.clone().unwrap_or_else(no_answer)),
                Some(Err(_)) => Err(Error::shutdown()),
                None => Err(no_answer()),
            };
        };
        runtime::race(wait, inner.stopped()).await;
        result
    }

    /// Reads the topology. For the control task only, and before there is one.
    async fn read(&self, inner: &Arc<Inner>) -> Result<(), Error> {
        let (asked, scope, change_count, missed) = self.signals.with_news(|news| {
            news.is_urgent = false;
            let scope = std::mem::take(&mut news.scope);
            (news.asked, scope, news.changes.len(), std::mem::take(&mut news.missed))
        });
        let Some(peer) = self.peer() else { return Err(no_answer()) };
        let conn = self.conn()?;
        let tablets = self.tablets.load(Ordering::Relaxed);
        let source = Source { conn, peer, peers_v2: &self.peers_v2, tablets };
        let seen = fetch::fetch(inner, &source).await?;
        inner.apply(&seen);
        // What is lost of the scope when this fails is found by the version of the schema.
        let previous = inner.metadata.load_full();
        let metadata = schema::fetch(inner, conn, &previous, &seen, scope).await?;
        inner.metadata.store(Arc::new(metadata));
        self.tell_changes(inner, change_count, missed);
        self.progress.send_modify(|progress| progress.read = asked);
        Ok(())
    }

    /// Tells listeners of the changes that have been read. Those that came during the reading may
    /// not be part of it, and wait for the next.
    fn tell_changes(&self, inner: &Inner, count: usize, missed: u64) {
        let changes: Vec<SchemaChange> =
            self.signals.with_news(|news| news.changes.drain(..count).collect());
        for change in changes {
            inner.listeners.tell(|| Event::SchemaChanged(change));
        }
        if missed > 0 {
            inner.listeners.tell(|| Event::Missed(missed));
        }
    }

    /// The task: keeps the topology fresh until the session ends.
    pub(crate) async fn run(inner: Arc<Inner>) {
        let stopped = inner.stopped();
        runtime::race(Self::work(&inner), stopped).await;
        if let Some(control) = inner.control() {
            control.pool.shut_down();
        }
    }

    async fn work(inner: &Arc<Inner>) {
        let Some(control) = inner.control() else { return };
        let (min, max) = (inner.settings.reconnect_min, inner.settings.reconnect_max);
        let every = inner.settings.refresh_interval;
        let mut pause = min;
        let mut refresh_at = Instant::now() + every;
        loop {
            if !control.is_open() {
                if let Err(error) = control.reconnect(inner).await {
                    tracing::warn!(%error, "no control connection");
                    control.progress.send_modify(|progress| {
                        progress.failed_rounds += 1;
                        progress.error = Some(error);
                    });
                    let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
                    // Who asks for a reading does not wait for the end of the pause.
                    runtime::within(jittered, control.signals.asked.notified()).await;
                    pause = (pause * 2).min(max);
                    continue;
                }
                pause = min;
                refresh_at = Instant::now() + every;
            }
            let result = match control.due(inner, refresh_at).await {
                Due::Keepalive => control.keepalive(inner).await,
                Due::Reading if control.is_open() => {
                    refresh_at = Instant::now() + every;
                    control.read(inner).await
                }
                Due::Reading => continue,
            };
            if let Err(error) = result {
                tracing::warn!(%error, "the control connection does not serve");
                control.close().await;
            }
        }
    }

    /// Waits for something to do.
    async fn due(&self, inner: &Inner, refresh_at: Instant) -> Due {
        let rest = refresh_at.saturating_duration_since(Instant::now());
        let wait = inner.settings.keepalive_interval.map_or(rest, |interval| interval.min(rest));
        match runtime::within(wait, self.signals.changed.notified()).await {
            None if Instant::now() < refresh_at => Due::Keepalive,
            None => Due::Reading,
            Some(()) => {
                gather(&self.signals.changed, || {
                    !self.is_open() || self.signals.with_news(|news| news.is_urgent)
                })
                .await;
                Due::Reading
            }
        }
    }

    /// A node that is gone without a word announces nothing, which looks like peace.
    async fn keepalive(&self, inner: &Inner) -> Result<(), Error> {
        let timeout = clock::ticks(inner.settings.keepalive_timeout);
        inner.message(self.conn()?, Options, timeout).await.map(drop)
    }

    /// Tries every node that is known, those that requests reach first; then the contact points.
    async fn reconnect(&self, inner: &Arc<Inner>) -> Result<(), Error> {
        let mut nodes = inner.topology.load_full().nodes.to_vec();
        fastrand::shuffle(&mut nodes);
        nodes.sort_by_key(|node| (!inner.is_connected(node.host_id), node.is_down()));
        let mut last = Error::connect(None, "no node is known");
        for node in nodes {
            match self.connect(inner, node.socket_address()).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        let port = inner.port();
        for peer in contact_points(inner).await {
            inner.set_port(peer.port());
            match self.connect(inner, peer).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        inner.set_port(port);
        Err(last)
    }
}

/// The contact points, resolved anew: behind a name there may be other addresses by now. Those that
/// it had in the beginning if it cannot be resolved.
async fn contact_points(inner: &Inner) -> Vec<SocketAddr> {
    let mut peers = Vec::new();
    for node in &inner.settings.known_nodes {
        match runtime::within(inner.settings.connect_timeout, runtime::resolve(node)).await {
            Some(Ok(addresses)) => {
                inner.settings.add_contact_point(node, &addresses);
                peers.extend(addresses);
            }
            Some(Err(error)) => tracing::warn!(%node, %error, "a contact point is not resolved"),
            None => tracing::warn!(%node, "resolving a contact point takes too long"),
        }
    }
    let before = inner.contact_points.iter().filter(|peer| !peers.contains(peer));
    let before: Vec<SocketAddr> = before.copied().collect();
    peers.extend(before);
    peers
}

fn no_answer() -> Error {
    Error::connect(None, "no node answers")
}

#[cfg(test)]
mod tests;
