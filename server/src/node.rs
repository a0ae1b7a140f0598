//! One node's listeners: accepting connections, giving each its shard.

use std::io;
use std::rc::Rc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet, spawn_local};

use crate::address::{Listeners, bind};
use crate::connection::Connection;
use crate::routing::NodeIndex;
use crate::state::Shared;
use crate::tls;

/// A node that is up. Dropping it leaves its task running; [`RunningNode::stop`] ends it.
#[derive(Debug)]
pub(crate) struct RunningNode {
    stop: oneshot::Sender<()>,
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
            tokio::select! {
                () = accept_all(&shared, node, &plain, shard_aware.as_ref(), &mut connections) => {}
                _ = stopped => {}
            }
            drop((plain, shard_aware));
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
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
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
                let shard = peer.port() % shared.sharding.nr_shards;
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
        // A client that goes away in the middle of something is nothing to report.
        let _ = match shared.tls.clone() {
            None => Connection::new(shared, node, shard, peer.ip()).run(stream).await,
            Some(acceptor) => match tls::accept(&acceptor, stream).await {
                Some(stream) => Connection::new(shared, node, shard, peer.ip()).run(stream).await,
                None => return,
            },
        };
    });
}
