//! One node's listeners: accepting connections, giving each its shard, refusing what is too many.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use crate::address::{Listeners, bind};
use crate::connection::guests::{Complaints, Guest, Verdict};
use crate::connection::{CLOSE_WAIT, Connection, drain};
use crate::error::CqlError;
use crate::replicas::Health;
use crate::routing::NodeIndex;
use crate::state::{NodeState, Shared};
use crate::tls;
use crate::wire::frame::{HEADER_LEN, Header, begin, end, opcode};
use crate::wire::version::{Negotiated, negotiate};

/// How long nothing is accepted after the system could not: files may be free again by then.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// How a node does, and the tasks that have to know.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    health: Cell<Health>,
    /// When that was set.
    since: Cell<Option<Instant>>,
    /// Its clients are being sent away.
    closes: Cell<bool>,
    /// Its tasks, by the order in which they began.
    tasks: RefCell<BTreeMap<u64, Waker>>,
    task_count: Cell<u64>,
}

impl Pulse {
    pub(crate) fn health(&self) -> Health {
        self.health.get()
    }

    /// What is not paused any more goes on.
    pub(crate) fn set(&self, health: Health) {
        self.health.set(health);
        self.since.set(Some(Instant::now()));
        self.wake_all();
    }

    fn close(&self, closes: bool) {
        self.closes.set(closes);
        self.wake_all();
    }

    fn wake_all(&self) {
        self.tasks.borrow().values().for_each(Waker::wake_by_ref);
    }

    /// Runs a task but while the node is paused, and to its end unless the node closes: `None`
    /// then.
    ///
    /// A task that is paused is as a process that is stopped: its sockets stay open and take what
    /// fits into them. Wakers are kept from the first time on, which is right as long as this is
    /// not polled by something that has wakers of its own; so running costs two comparisons.
    async fn run<F: Future>(&self, mut task: Pin<Box<F>>) -> Option<F::Output> {
        let mut place = None;
        poll_fn(|context| {
            place.get_or_insert_with(|| Place::new(self, context.waker().clone()));
            match (self.closes.get(), self.health.get()) {
                (true, _) => Poll::Ready(None),
                (false, Health::Paused) => Poll::Pending,
                (false, _) => task.as_mut().poll(context).map(Some),
            }
        })
        .await
    }
}

/// A task's place among those of its node.
struct Place<'a> {
    pulse: &'a Pulse,
    number: u64,
}

impl<'a> Place<'a> {
    fn new(pulse: &'a Pulse, waker: Waker) -> Self {
        let number = pulse.task_count.get();
        pulse.task_count.set(number + 1);
        pulse.tasks.borrow_mut().insert(number, waker);
        Self { pulse, number }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pulse.tasks.borrow_mut().remove(&self.number);
    }
}

/// How a node ends its connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// At once.
    Crash,
    /// Clients are given time to close them too.
    Farewell,
}

/// A node that is up. Dropping it leaves its task running; [`RunningNode::stop`] ends it.
#[derive(Debug)]
pub(crate) struct RunningNode {
    stop: oneshot::Sender<Ending>,
    task: JoinHandle<()>,
}

impl RunningNode {
    /// Starts to accept connections.
    pub(crate) fn start(
        shared: &Rc<Shared>,
        node: NodeIndex,
        listeners: Listeners,
    ) -> io::Result<Self> {
        let plain = TcpListener::from_std(listeners.plain)?;
        let shard_aware = listeners.shard_aware.map(TcpListener::from_std).transpose()?;
        let (stop, stopped) = oneshot::channel();
        let shared = Rc::clone(shared);
        let task = spawn_local(async move {
            let mut connections = JoinSet::new();
            let accept = accept_all(&shared, node, &plain, shard_aware.as_ref(), &mut connections);
            let Some(state) = shared.node_states.get(node) else { return };
            let watch = state.guests.watch(&shared.limits, || state.pulse.since.get());
            let ending = tokio::select! {
                _ = state.pulse.run(Box::pin(accept)) => Ending::Crash,
                _ = state.pulse.run(Box::pin(watch)) => Ending::Crash,
                ending = stopped => ending.unwrap_or(Ending::Crash),
            };
            drop((plain, shard_aware));
            if ending == Ending::Farewell {
                state.pulse.close(true);
                while connections.join_next().await.is_some() {}
                state.pulse.close(false);
            }
            connections.shutdown().await;
        });
        Ok(Self { stop, task })
    }

    /// Binds the node's ports again and starts to accept.
    pub(crate) fn restart(shared: &Rc<Shared>, node: NodeIndex) -> io::Result<Self> {
        let info = shared.nodes.get(node).ok_or(io::ErrorKind::NotFound)?;
        let shard_aware = shared.shard_aware_port.map(|port| bind(info.address, port));
        let listeners = Listeners {
            address: info.address,
            plain: bind(info.address, shared.port)?,
            shard_aware: shard_aware.transpose()?,
        };
        Self::start(shared, node, listeners)
    }

    /// Closes listeners and connections; all are closed when this returns.
    pub(crate) async fn stop(self, ending: Ending) {
        let _ = self.stop.send(ending);
        let _ = self.task.await;
    }
}

async fn accept_all(
    shared: &Rc<Shared>,
    node: NodeIndex,
    plain: &TcpListener,
    shard_aware: Option<&TcpListener>,
    connections: &mut JoinSet<()>,
) {
    let Some(NodeState { guests, .. }) = shared.node_states.get(node) else { return };
    let make_room = || {
        guests.make_room();
    };
    loop {
        tokio::select! {
            (stream, peer) = accept(plain, &shared.complaints, make_room) => {
                let shard = next_shard(shared, node);
                serve(shared, node, shard, (stream, peer), connections);
            }
            (stream, peer) = accept_some(shard_aware, &shared.complaints, make_room) => {
                let shards = shared.sharding.nr_shards;
                let shard = shared.faults.shard_for(node, peer.port() % shards, shards);
                serve(shared, node, shard, (stream, peer), connections);
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept_some(
    listener: Option<&TcpListener>,
    complaints: &Complaints,
    make_room: impl Fn(),
) -> (TcpStream, SocketAddr) {
    match listener {
        Some(listener) => accept(listener, complaints, make_room).await,
        None => std::future::pending().await,
    }
}

/// The next connection, whatever goes wrong before: no error of the system ends a listener, and
/// none is met again and again without a pause.
pub(crate) async fn accept(
    listener: &TcpListener,
    complaints: &Complaints,
    make_room: impl Fn(),
) -> (TcpStream, SocketAddr) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset};
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client has gone away again.
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionReset) => {}
            Err(error) => {
                complaints.tell_all(format_args!("cannot accept connections: {error}"));
                make_room();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Shards of the plain port go round, so that a client that opens enough connections has them all.
fn next_shard(shared: &Shared, node: NodeIndex) -> u16 {
    let Some(state) = shared.node_states.get(node) else { return 0 };
    let shard = state.next_shard.get();
    state.next_shard.set((shard + 1) % shared.sharding.nr_shards);
    shard
}

/// A guest's place at the node. It is given up when the connection's task ends or is aborted.
struct Seat {
    shared: Rc<Shared>,
    node: NodeIndex,
    guest: Rc<Guest>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.release(&self.guest);
        if let Some(state) = self.shared.node_states.get(self.node) {
            state.guests.left(&self.guest);
        }
    }
}

fn serve(
    shared: &Rc<Shared>,
    node: NodeIndex,
    shard: u16,
    (stream, peer): (TcpStream, SocketAddr),
    connections: &mut JoinSet<()>,
) {
    let Some(state) = shared.node_states.get(node) else { return };
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let shared = Rc::clone(shared);
    match state.guests.admit(peer, &shared.limits) {
        Ok(guest) => {
            let seat = Seat { shared, node, guest };
            connections.spawn_local(async move { seat.serve(shard, stream).await });
        }
        Err(error) => {
            shared.complaints.tell(peer, format_args!("refused: {}", error.message));
            connections.spawn_local(async move { refuse(&shared, node, stream, &error).await });
        }
    }
}

impl Seat {
    async fn serve(&self, shard: u16, stream: TcpStream) {
        let Self { shared, node, guest } = self;
        let Some(NodeState { pulse, .. }) = shared.node_states.get(*node) else { return };
        let connection = || Connection::new(Rc::clone(shared), *node, shard, Rc::clone(guest));
        let verdict = match shared.tls.clone() {
            None => converse(pulse, connection(), guest, stream).await,
            Some(acceptor) => {
                let accepted = Box::pin(tls::accept(&acceptor, stream, &shared.complaints));
                match pulse.run(Box::pin(guest.stay(accepted))).await {
                    Some(Ok(Some(stream))) => converse(pulse, connection(), guest, stream).await,
                    Some(Err(verdict)) => Some(verdict),
                    Some(Ok(None)) | None => None,
                }
            }
        };
        if let Some(verdict) = verdict {
            shared.complaints.tell(guest.peer, format_args!("closed: {verdict}"));
        }
    }
}

/// Tells a client that it is one too many, in its version and on its stream, and closes the
/// connection. Who speaks TLS is not told: a handshake costs more than a connection.
async fn refuse(shared: &Shared, node: NodeIndex, mut stream: TcpStream, error: &CqlError) {
    let Some(NodeState { guests, .. }) = shared.node_states.get(node) else { return };
    let (Some(_place), None) = (guests.refuse(), &shared.tls) else { return };
    let tell = async {
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).await?;
        let Header { version, flags, stream: id, .. } = Header::decode(&header);
        let version = match negotiate(shared.persona, version, Some(flags)) {
            Negotiated::Version(version) | Negotiated::Refused(version, _) => version,
            Negotiated::Partial => return Ok(()),
        };
        let mut reply = Vec::new();
        let at = begin(&mut reply, version, id, opcode::ERROR);
        error.write(version, &mut reply);
        end(&mut reply, at);
        stream.write_all(&reply).await?;
        stream.shutdown().await?;
        drain(&mut stream).await;
        io::Result::Ok(())
    };
    // Whoever does not listen in time is not told.
    let _ = timeout(CLOSE_WAIT, tell).await;
}

/// Serves a client; says why if it has to leave.
async fn converse<S>(
    pulse: &Pulse,
    connection: Connection,
    guest: &Guest,
    mut stream: S,
) -> Option<Verdict>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let run = Box::pin(connection.run(&mut stream));
    match pulse.run(Box::pin(guest.stay(run))).await {
        // A client that goes away in the middle of something is nothing to report.
        Some(Ok(_)) => None,
        Some(Err(verdict)) => Some(verdict),
        None => {
            let _ = stream.shutdown().await;
            let _ = timeout(CLOSE_WAIT, drain(&mut stream)).await;
            None
        }
    }
}
