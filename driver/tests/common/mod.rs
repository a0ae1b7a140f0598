//! What the integration tests share: a cluster, a session on it, a table.
#![allow(dead_code, reason = "each test binary uses a part")]

use shardwire::{Session, SessionBuilder};
use shardwire_server::{Cluster, ClusterBuilder};

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
