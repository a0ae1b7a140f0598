//! What the integration tests share: a cluster, a session on it, a table.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use shardwire::{Session, SessionBuilder};
use shardwire_server::{Cluster, ClusterBuilder};

/// What a busy machine may take from a time-out: the coarse clock stood still meanwhile.
pub(crate) const EARLY_MAX: Duration = Duration::from_millis(100);
/// What it may add to one.
pub(crate) const LATE_MAX: Duration = Duration::from_millis(250);

/// A builder with the cluster's contact points.
pub(crate) fn builder(cluster: &Cluster) -> SessionBuilder {
    SessionBuilder::new().known_nodes(cluster.contact_points().iter().map(ToString::to_string))
}

/// Starts a cluster and connects to it.
pub(crate) async fn start(cluster: ClusterBuilder) -> (Cluster, Session) {
    let cluster = cluster.start().await.expect("the cluster starts");
    let session = builder(&cluster).build().await.expect("the session connects");
    (cluster, session)
}

/// Creates keyspace `k`, replicated so often.
pub(crate) async fn keyspace(session: &Session, replication_factor: usize) {
    let text = format!(
        "CREATE KEYSPACE k WITH replication = \
         {{'class': 'NetworkTopologyStrategy', 'replication_factor': {replication_factor}}}"
    );
    session.query_unpaged(text, ()).await.expect("the keyspace is created");
}

/// Runs all at once; what became of each, in the order in which they ended.
pub(crate) async fn at_once<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut results = Vec::new();
    poll_fn(|cx| {
        futures.retain_mut(|future| match future.as_mut().poll(cx) {
            Poll::Ready(result) => {
                results.push(result);
                false
            }
            Poll::Pending => true,
        });
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results
}
