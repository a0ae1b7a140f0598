//! One node's listeners: accepting connections, giving each its shard.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet, spawn_local};

use crate::address::{Listeners, bind};
use crate::connection::{CLOSE_WAIT, Connection, drain};
use crate::replicas::Health;
use crate::routing::NodeIndex;
use crate::state::{NodeState, Shared};
use crate::tls;

/// How a node does, and the tasks that have to know.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    health: Cell<Health>,
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
            let ending = tokio::select! {
                _ = state.pulse.run(Box::pin(accept)) => Ending::Crash,
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
    loop {
        tokio::select! {
            Ok((stream, _)) = plain.accept() => {
                let shard = next_shard(shared, node);
                serve(shared, node, shard, stream, connections);
            }
            Ok((stream, peer)) = accept_some(shard_aware) => {
                let shards = shared.sharding.nr_shards;
                let shard = shared.faults.shard_for(node, peer.port() % shards, shards);
                serve(shared, node, shard, stream, connections);
            }
            Some(_) = connections.join_next() => {}
            else => {}
        }
    }
}

async fn accept_some(
    listener: Option<&TcpListener>,
) -> io::Result<(TcpStream, std::net::SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Shards of the plain port go round, so that a client that opens enough connections has them all.
fn next_shard(shared: &Shared, node: NodeIndex) -> u16 {
    let Some(state) = shared.node_states.get(node) else { return 0 };
    let shard = state.next_shard.get();
    state.next_shard.set((shard + 1) % shared.sharding.nr_shards);
    shard
}

fn serve(
    shared: &Rc<Shared>,
    node: NodeIndex,
    shard: u16,
    stream: TcpStream,
    connections: &mut JoinSet<()>,
) {
    let (Ok(()), Ok(peer)) = (stream.set_nodelay(true), stream.peer_addr()) else { return };
    let shared = Rc::clone(shared);
    connections.spawn_local(async move {
        let Some(NodeState { pulse, .. }) = shared.node_states.get(node) else { return };
        let connection = || Connection::new(Rc::clone(&shared), node, shard, peer.ip());
        match shared.tls.clone() {
            None => converse(pulse, connection(), stream).await,
            Some(acceptor) => {
                let accepted = pulse.run(Box::pin(tls::accept(&acceptor, stream))).await;
                if let Some(Some(stream)) = accepted {
                    converse(pulse, connection(), stream).await;
                }
            }
        }
    });
}

async fn converse<S>(pulse: &Pulse, connection: Connection, mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A client that goes away in the middle of something is nothing to report.
    if pulse.run(Box::pin(connection.run(&mut stream))).await.is_none() {
        let _ = stream.shutdown().await;
        let _ = tokio::time::timeout(CLOSE_WAIT, drain(&mut stream)).await;
    }
}
