//! The control connection: reads the topology and listens to what the cluster announces.
//!
//! One task per session. It has a pool of its own with a single place; when the socket there
//! breaks, it goes on with the next node that answers. Announcements only say that something
//! changed: what, is read from the system tables, once for as many announcements as come together.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shardwire_protocol::header::ResponseHeader;
use shardwire_protocol::request::{EventKind, Register};
use shardwire_sync::Lease;

use crate::clock;
use crate::connection::Conn;
use crate::connection::handshake::establish;
use crate::error::{Error, Lost};
use crate::pool::{EventSink, NodePool};
use crate::runtime::{self, Notify};
use crate::session::Inner;
use crate::settings::Limits;
use crate::topology::fetch;

/// Announcements that come within this time are answered by one reading.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// What the control task shares with its I/O task and with the session.
pub(crate) struct Control {
    pool: Arc<NodePool>,
    events: Arc<Events>,
    /// The node that the connection leads to.
    address: Mutex<Option<IpAddr>>,
}

/// What the I/O task reports.
struct Events {
    /// A socket was taken over; it may have been lost again since.
    installed: AtomicBool,
    opened: Notify,
    changed: Notify,
}

impl EventSink for Events {
    fn opened(&self, _: &NodePool, _: usize) {
        self.installed.store(true, Ordering::SeqCst);
        self.opened.notify_one();
    }

    fn closed(&self, _: &NodePool, _: usize, _: Lost) {
        self.opened.notify_one();
        self.changed.notify_one();
    }

    fn event(&self, _: &ResponseHeader, _: &Lease) {
        self.changed.notify_one();
    }
}

impl Control {
    /// Makes the place for the control connection; `contact` is only what errors name at first.
    pub(crate) fn new(inner: &Inner, contact: SocketAddr) -> Result<Control, Error> {
        let events = Arc::new(Events {
            installed: AtomicBool::new(false),
            opened: Notify::new(),
            changed: Notify::new(),
        });
        let sink: Arc<dyn EventSink> = Arc::clone(&events) as Arc<dyn EventSink>;
        let limits = Limits { outbox_len: 16 * 1024, ..inner.settings.limits.clone() };
        let pool = NodePool::start(contact, None, 1, &inner.clock, &limits, &sink);
        // So that it ends with the session.
        if inner.pools.add(Arc::clone(&pool)).is_none() {
            return Err(Error::config("the pool table is full"));
        }
        Ok(Control { pool, events, address: Mutex::new(None) })
    }

    /// The connection, open or not.
    ///
    /// # Errors
    ///
    /// None, for a pool has at least one place.
    pub(crate) fn conn(&self) -> Result<&Conn, Error> {
        self.pool.conns.first().ok_or_else(|| Error::lost_on(Lost::ClosedByDriver))
    }

    /// Address of the node that the connection leads to.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to `peer`, subscribes to its events and reads the topology.
    pub(crate) async fn connect(&self, inner: &Arc<Inner>, peer: SocketAddr) -> Result<(), Error> {
        let socket = establish(peer, None, &inner.settings, inner.agreed_version()).await?;
        inner.agree(socket.version);
        inner.learn(&socket.supported);
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(peer.ip());
        self.events.installed.store(false, Ordering::SeqCst);
        self.pool.install(0, socket);
        while !self.events.installed.load(Ordering::SeqCst) {
            self.events.opened.notified().await;
        }
        let timeout = clock::ticks(inner.settings.connect_timeout);
        let events = &[EventKind::TopologyChange, EventKind::StatusChange, EventKind::SchemaChange];
        inner.message(self.conn()?, Register { events }, timeout).await?;
        self.refresh(inner).await
    }

    pub(crate) fn is_open(&self) -> bool {
        self.pool.is_open()
    }

    /// Reads the topology anew.
    pub(crate) async fn refresh(&self, inner: &Arc<Inner>) -> Result<(), Error> {
        let Some(address) = self.address() else {
            return Err(Error::connect(None, "there is no control connection"));
        };
        let seen = fetch::fetch(inner, self.conn()?, address).await?;
        inner.apply(&seen);
        Ok(())
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
        let mut pause = inner.settings.reconnect_min;
        loop {
            if !control.is_open() {
                match control.reconnect(inner).await {
                    Ok(()) => pause = inner.settings.reconnect_min,
                    Err(error) => {
                        tracing::warn!(%error, "no control connection");
                        runtime::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                        pause = (pause * 2).min(inner.settings.reconnect_max);
                        continue;
                    }
                }
            }
            let every = inner.settings.refresh_interval;
            if runtime::within(every, control.events.changed.notified()).await.is_some() {
                runtime::sleep(DEBOUNCE).await;
            }
            if let Err(error) = control.refresh(inner).await {
                tracing::warn!(%error, "could not read the topology");
                control.pool.close(0, Lost::ClosedByDriver);
                while control.is_open() {
                    control.events.opened.notified().await;
                }
            }
        }
    }

    /// Tries every node that is known, then the contact points, from a random one on.
    async fn reconnect(&self, inner: &Arc<Inner>) -> Result<(), Error> {
        let mut peers: Vec<SocketAddr> = {
            let topology = inner.topology.load_full();
            topology.nodes.iter().map(|node| SocketAddr::new(node.address, inner.port())).collect()
        };
        fastrand::shuffle(&mut peers);
        peers.extend(inner.contact_points.iter().copied());
        let mut last = Error::connect(None, "no node is known");
        for peer in peers {
            match self.connect(inner, peer).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
