//! How a session is set up.

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use shardwire_protocol::consistency::Consistency;

use crate::auth::{Authenticator, AuthenticatorProvider, PlainTextAuthenticator};
use crate::clock;
use crate::error::Error;
use crate::policy::retry::RetryPolicy;
use crate::runtime;
use crate::session::Session;
use crate::settings::{Compression, PoolSize, ProtocolVersion, Settings};

/// Collects settings and connects.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::node(|address| async move {
/// use std::time::Duration;
///
/// let session = shardwire::SessionBuilder::new()
///     .known_node(address)
///     .request_timeout(Some(Duration::from_secs(2)))
///     .cluster_metadata_refresh_interval(Duration::from_secs(30))
///     .tcp_nodelay(true)
///     .build()
///     .await?;
/// assert_eq!(session.nodes().len(), 1);
/// # Ok(()) });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct SessionBuilder {
    settings: Settings,
}

impl SessionBuilder {
    /// Default settings, no contact point.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::node(|_| async move {
    /// use shardwire::{ErrorKind, SessionBuilder};
    ///
    /// let error = SessionBuilder::new().build().await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// assert_eq!(error.to_string(), "no contact point was given");
    /// # Ok(()) });
    /// ```
    pub fn new() -> SessionBuilder {
        SessionBuilder::default()
    }

    /// Adds a contact point: a name or an address, with or without a port (9042).
    ///
    /// ```
    /// let builder = shardwire::SessionBuilder::new()
    ///     .known_node("db.example.com")
    ///     .known_node("10.0.0.2:19042");
    /// ```
    pub fn known_node(mut self, node: impl Into<String>) -> Self {
        self.settings.known_nodes.push(node.into());
        self
    }

    /// Adds contact points.
    ///
    /// ```
    /// let builder = shardwire::SessionBuilder::new().known_nodes(["10.0.0.1", "10.0.0.2"]);
    /// ```
    pub fn known_nodes<N: Into<String>>(mut self, nodes: impl IntoIterator<Item = N>) -> Self {
        self.settings.known_nodes.extend(nodes.into_iter().map(Into::into));
        self
    }

    /// Sets the keyspace that unqualified table names refer to, as it is spelled.
    ///
    /// Every connection is told. Statements are better off naming their keyspace: a node's ids of
    /// prepared statements depend on this one.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::node(|address| async move {
    /// # let session = shardwire::SessionBuilder::new().known_node(&address).build().await?;
    /// # support::schema(&session).await?;
    /// let builder = shardwire::SessionBuilder::new().known_node(address);
    /// let session = builder.use_keyspace("shop").build().await?;
    /// session.query_unpaged("SELECT name FROM items", ()).await?; // of shop.items
    /// # Ok(()) });
    /// ```
    pub fn use_keyspace(mut self, keyspace: impl Into<String>) -> Self {
        self.settings.keyspace = Some(keyspace.into().into());
        self
    }

    /// Logs in with this name and password (PLAIN) on nodes that ask for it.
    ///
    /// Both travel as they are, for whoever can listen to read. For other mechanisms there is
    /// [`authenticator_provider`](Self::authenticator_provider), whose place this takes. How long
    /// the password stays in memory is told at [`PlainTextAuthenticator`].
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::guarded(|address| async move {
    /// use shardwire::{ErrorKind, SessionBuilder};
    ///
    /// let builder = SessionBuilder::new().known_node(address);
    /// let session = builder.clone().user("app", "secret").build().await?;
    ///
    /// let error = builder.user("app", "guess").build().await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Authentication);
    /// # Ok(()) });
    /// ```
    pub fn user(self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.authenticator_provider(Arc::new(PlainTextAuthenticator::new(name, password)))
    }

    /// Logs in by a mechanism of the program's own on nodes that ask for it; takes the place of
    /// [`user`](Self::user).
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::guarded(|address| async move {
    /// use std::sync::Arc;
    ///
    /// use shardwire::{PlainTextAuthenticator, SessionBuilder};
    ///
    /// // `AuthenticatorProvider` has an example of a provider that is not the driver's.
    /// let plain = Arc::new(PlainTextAuthenticator::new("app", "secret"));
    /// let builder = SessionBuilder::new().known_node(address);
    /// let session = builder.authenticator_provider(plain).build().await?;
    /// # assert_eq!(session.nodes().len(), 1);
    /// # Ok(()) });
    /// ```
    pub fn authenticator_provider(mut self, provider: Arc<dyn AuthenticatorProvider>) -> Self {
        self.settings.authenticator = Some(Authenticator(provider));
        self
    }

    /// Sets the version of the protocol; the newest that the first node offers by default.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::node(|address| async move {
    /// use shardwire::{ProtocolVersion, SessionBuilder};
    ///
    /// // For a cluster that is about to be upgraded node by node: no node may be left out.
    /// let builder = SessionBuilder::new().known_node(address);
    /// let session = builder.protocol_version(ProtocolVersion::V4).build().await?;
    /// # Ok(()) });
    /// ```
    pub fn protocol_version(mut self, version: ProtocolVersion) -> Self {
        self.settings.protocol_version = version;
        self
    }

    /// Sets how bodies are compressed; not at all by default.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::node(|address| async move {
    /// use shardwire::{Compression, SessionBuilder};
    ///
    /// let builder = SessionBuilder::new().known_node(address);
    /// let session = builder.compression(Some(Compression::Lz4)).build().await?;
    /// # Ok(()) });
    /// ```
    pub fn compression(mut self, compression: Option<Compression>) -> Self {
        self.settings.compression = compression.unwrap_or(Compression::None);
        self
    }

    /// Encrypts all connections; `None`, which is the default, speaks in plain text.
    ///
    /// Takes a [`TlsContext`](crate::TlsContext), which says what is verified, or what it is made
    /// from.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use rustls::{ClientConfig, RootCertStore};
    /// use shardwire::SessionBuilder;
    ///
    /// let mut roots = RootCertStore::empty();
    /// # let key = rcgen::KeyPair::generate()?;
    /// # let authority = rcgen::CertificateParams::new(Vec::new())?.self_signed(&key)?;
    /// # let authority = authority.der().clone();
    /// roots.add(authority)?;
    /// let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    /// let builder = SessionBuilder::new()
    ///     .known_node("db.example.com:9142")
    ///     .tls_context(Some(Arc::new(config)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "rustls-023")]
    pub fn tls_context(mut self, context: Option<impl Into<crate::TlsContext>>) -> Self {
        self.settings.tls = context.map(|context| crate::tls::Tls::new(context.into()));
        self
    }

    /// Sets the number of connections to each node; one per shard by default.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    ///
    /// use shardwire::{PoolSize, SessionBuilder};
    ///
    /// let two = NonZeroUsize::new(2).unwrap();
    /// let builder = SessionBuilder::new().pool_size(PoolSize::PerShard(two));
    /// ```
    pub fn pool_size(mut self, pool_size: PoolSize) -> Self {
        self.settings.pool_size = pool_size;
        self
    }

    /// Sets the time-out of requests whose statement has none of its own; 30 s by default, `None`
    /// for no limit.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::node(|address| async move {
    /// use std::time::Duration;
    ///
    /// let builder = shardwire::SessionBuilder::new().known_node(address);
    /// let session = builder.request_timeout(Some(Duration::from_secs(2))).build().await?;
    /// # Ok(()) });
    /// ```
    pub fn request_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.request_timeout = timeout.unwrap_or(Duration::ZERO);
        self
    }

    /// Sets what is tried again when an attempt fails, for statements that have no policy of their
    /// own; [`DefaultRetryPolicy`](crate::DefaultRetryPolicy) by default.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::node(|address| async move {
    /// use std::sync::Arc;
    ///
    /// use shardwire::{FallthroughRetryPolicy, SessionBuilder};
    ///
    /// let builder = SessionBuilder::new().known_node(address);
    /// let session = builder.retry_policy(Arc::new(FallthroughRetryPolicy)).build().await?;
    /// # Ok(()) });
    /// ```
    pub fn retry_policy(mut self, policy: Arc<dyn RetryPolicy>) -> Self {
        self.settings.retry_policy = policy;
        self
    }

    /// Sets how long opening one connection may take; 5 s by default.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let builder = shardwire::SessionBuilder::new().connection_timeout(Duration::from_secs(1));
    /// ```
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// Sets how often quiet connections are asked whether they live; 30 s by default.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let builder = shardwire::SessionBuilder::new()
    ///     .keepalive_interval(Some(Duration::from_secs(10)))
    ///     .keepalive_timeout(Duration::from_secs(5));
    /// ```
    pub fn keepalive_interval(mut self, interval: Option<Duration>) -> Self {
        self.settings.keepalive_interval = interval;
        self
    }

    /// Sets how long the answer to that may take; 30 s by default.
    pub fn keepalive_timeout(mut self, timeout: Duration) -> Self {
        self.settings.keepalive_timeout = timeout;
        self
    }

    /// Sets after how long other nodes are preferred to one that brings nothing; 200 ms by default,
    /// `None` for never.
    ///
    /// A node that was stopped or hangs keeps its connections open, and requests given to it wait
    /// for their deadline. While requests wait on a connection on which nothing at all comes, the
    /// node is asked OPTIONS after half of this time, which it answers however long its queries
    /// take. If it does not, the connection comes after those of all other nodes in each plan,
    /// until anything comes on it. What waits there for room goes elsewhere; what is in flight is
    /// left alone: a retry is not safe for each request, and a reply may still come.
    ///
    /// Silence is looked for together with deadlines: not while no request has a time-out.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let builder = shardwire::SessionBuilder::new()
    ///     .slow_replica_avoidance(Some(Duration::from_millis(500)));
    /// ```
    pub fn slow_replica_avoidance(mut self, silence_max: Option<Duration>) -> Self {
        self.settings.limits.silence_max = silence_max;
        self
    }

    /// Sets the shortest and the longest pause between attempts to reconnect; 50 ms and 10 s by
    /// default, doubling, with jitter.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let (min, max) = (Duration::from_millis(100), Duration::from_secs(60));
    /// let builder = shardwire::SessionBuilder::new().reconnect_backoff(min, max);
    /// ```
    pub fn reconnect_backoff(mut self, min: Duration, max: Duration) -> Self {
        self.settings.reconnect_min = min;
        self.settings.reconnect_max = max;
        self
    }

    /// Whether the nodes' shard-aware port is used where there is one; it is by default.
    ///
    /// ```
    /// // Behind a translation of addresses, source ports do not reach the node.
    /// let builder = shardwire::SessionBuilder::new().disallow_shard_aware_port(true);
    /// ```
    pub fn disallow_shard_aware_port(mut self, disallow: bool) -> Self {
        self.settings.shard_aware_port = !disallow;
        self
    }

    /// Sets the source ports to choose from on the shard-aware port; 49152 to 65535 by default.
    ///
    /// ```
    /// // For hosts with several clients, and firewalls.
    /// let builder = shardwire::SessionBuilder::new()
    ///     .shard_aware_local_port_range(50_000..=59_999);
    /// ```
    pub fn shard_aware_local_port_range(mut self, ports: RangeInclusive<u16>) -> Self {
        self.settings.source_ports = ports;
        self
    }

    /// Sets how often the topology is read even if nothing was announced; 60 s by default.
    pub fn cluster_metadata_refresh_interval(mut self, interval: Duration) -> Self {
        self.settings.refresh_interval = interval;
        self
    }

    /// Whether tables, columns and user-defined types are read, for
    /// [`Session::metadata`](crate::Session::metadata); they are by default. Keyspaces are in any
    /// case, for without their replication requests cannot be routed.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::node(|address| async move {
    /// let builder = shardwire::SessionBuilder::new().known_node(address);
    /// let session = builder.fetch_schema_metadata(false).build().await?;
    /// assert!(session.metadata().table("system", "local").is_none());
    /// # Ok(()) });
    /// ```
    pub fn fetch_schema_metadata(mut self, fetch: bool) -> Self {
        self.settings.schema.fetch = fetch;
        self
    }

    /// Sets the keyspaces whose tables, columns and user-defined types are read; an empty list
    /// stands for all, which is the default.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::node(|address| async move {
    /// let builder = shardwire::SessionBuilder::new().known_node(address);
    /// let session = builder.keyspaces_to_fetch(["system"]).build().await?;
    /// assert!(session.metadata().table("system", "local").is_some());
    /// assert!(session.metadata().table("system_schema", "tables").is_none());
    /// # Ok(()) });
    /// ```
    pub fn keyspaces_to_fetch<N: Into<String>>(
        mut self,
        keyspaces: impl IntoIterator<Item = N>,
    ) -> Self {
        let names = keyspaces.into_iter().map(|name| name.into().into());
        self.settings.schema.keyspaces = names.collect();
        self
    }

    /// Sets how long a change of the schema may take to reach all nodes; 60 s by default.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::node(|address| async move {
    /// use std::time::Duration;
    ///
    /// let session = shardwire::SessionBuilder::new()
    ///     .known_node(address)
    ///     .schema_agreement_timeout(Duration::from_secs(10))
    ///     .schema_agreement_interval(Duration::from_millis(200))
    ///     .auto_await_schema_agreement(false)
    ///     .build()
    ///     .await?;
    /// # support::schema(&session).await?;
    /// session.query_unpaged("ALTER TABLE shop.items ADD price int", ()).await?; // does not wait
    /// session.await_schema_agreement().await?;
    /// # Ok(()) });
    /// ```
    pub fn schema_agreement_timeout(mut self, timeout: Duration) -> Self {
        self.settings.schema.agreement_timeout = timeout;
        self
    }

    /// Sets how often nodes are asked meanwhile; each 100 ms by default.
    pub fn schema_agreement_interval(mut self, interval: Duration) -> Self {
        self.settings.schema.agreement_interval = interval;
        self
    }

    /// Whether statements that change the schema end only when all reachable nodes have the same;
    /// they do by default.
    pub fn auto_await_schema_agreement(mut self, wait: bool) -> Self {
        self.settings.schema.auto_await_agreement = wait;
        self
    }

    /// Sends requests to nodes of this datacenter: to replicas first, then to any other node there.
    /// To nodes of other datacenters only if [`permit_dc_failover`](Self::permit_dc_failover) says
    /// so. Unless set, all nodes are alike.
    ///
    /// The session connects to all nodes in any case. A request for which no node may be used
    /// waits for one until its deadline.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::node(|address| async move {
    /// let builder = shardwire::SessionBuilder::new().known_node(address);
    /// let session = builder.prefer_datacenter("datacenter1").build().await?;
    /// # support::schema(&session).await?;
    /// session.query_unpaged("SELECT name FROM shop.items", ()).await?;
    /// # Ok(()) });
    /// ```
    pub fn prefer_datacenter(mut self, datacenter: impl Into<String>) -> Self {
        self.settings.preference.datacenter = Some(datacenter.into().into());
        self.settings.preference.rack = None;
        self
    }

    /// The same; of the replicas in this datacenter those of the rack come first, and so do they of
    /// the other nodes. Conditional statements go to the first replica of the datacenter, whatever
    /// its rack, for there they meet no rivals.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::node(|address| async move {
    /// let session = shardwire::SessionBuilder::new()
    ///     .known_node(address)
    ///     .prefer_datacenter_and_rack("datacenter1", "rack2")
    ///     .permit_dc_failover(true)
    ///     .build()
    ///     .await?;
    /// # support::schema(&session).await?;
    /// session.query_unpaged("SELECT name FROM shop.items", ()).await?;
    /// # Ok(()) });
    /// ```
    pub fn prefer_datacenter_and_rack(
        self,
        datacenter: impl Into<String>,
        rack: impl Into<String>,
    ) -> Self {
        let mut this = self.prefer_datacenter(datacenter);
        this.settings.preference.rack = Some(rack.into().into());
        this
    }

    /// Whether nodes of other datacenters than the preferred one are used when none there has an
    /// open connection; they are not by default.
    pub fn permit_dc_failover(mut self, permit: bool) -> Self {
        self.settings.preference.permit_dc_failover = permit;
        self
    }

    /// Disables Nagle's algorithm; it is by default.
    pub fn tcp_nodelay(mut self, nodelay: bool) -> Self {
        self.settings.tcp_nodelay = nodelay;
        self
    }

    /// Sets how often a trace is asked for until it is complete; 10 times by default.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use std::time::Duration;
    ///
    /// use shardwire::{Consistency, SessionBuilder};
    ///
    /// let builder = SessionBuilder::new()
    ///     .tracing_info_fetch_attempts(NonZeroU32::new(100).unwrap())
    ///     .tracing_info_fetch_interval(Duration::from_millis(20))
    ///     .tracing_info_fetch_consistency(Consistency::LocalOne);
    /// ```
    pub fn tracing_info_fetch_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.settings.tracing.attempts = attempts;
        self
    }

    /// Sets the pause between two of these; 3 ms by default.
    pub fn tracing_info_fetch_interval(mut self, interval: Duration) -> Self {
        self.settings.tracing.interval = interval;
        self
    }

    /// Sets the consistency at which traces are read; ONE by default.
    pub fn tracing_info_fetch_consistency(mut self, consistency: Consistency) -> Self {
        self.settings.tracing.consistency = consistency;
        self
    }

    /// Sets how many requests may be in flight on one connection, 1 to 32,768 (the default).
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    ///
    /// let builder = shardwire::SessionBuilder::new()
    ///     .in_flight_max(NonZeroUsize::new(1_024).unwrap())
    ///     .waiting_max(10_000);
    /// ```
    pub fn in_flight_max(mut self, requests: NonZeroUsize) -> Self {
        self.settings.limits.in_flight_max = requests.get().min(32_768);
        self
    }

    /// Sets how many requests may wait for room on one connection; 16,384 by default. Further
    /// ones fail with [`crate::ErrorKind::Overloaded`].
    pub fn waiting_max(mut self, requests: usize) -> Self {
        self.settings.limits.waiting_max = requests;
        self
    }

    /// Sets the size of each of a connection's two outgoing buffers in bytes; 1 MiB by default.
    /// They take it when more is queued at once than fits the 4 KiB that they begin with.
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// let builder = shardwire::SessionBuilder::new()
    ///     .outbox_len(NonZeroUsize::new(256 * 1024).unwrap());
    /// ```
    pub fn outbox_len(mut self, bytes: NonZeroUsize) -> Self {
        self.settings.limits.outbox_len = bytes.get();
        self
    }

    /// Sets how many connections one I/O task drives, 1 to 64 (the default).
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// // One I/O task per connection.
    /// let builder = shardwire::SessionBuilder::new().io_group_len(NonZeroUsize::MIN);
    /// ```
    pub fn io_group_len(mut self, connections: NonZeroUsize) -> Self {
        self.settings.limits.group_len = connections.get().min(64);
        self
    }

    /// Sets the longest reply in bytes; a longer one ends its connection. 256 MiB by default.
    ///
    /// ```
    /// let builder = shardwire::SessionBuilder::new()
    ///     .response_len_max(16 * 1024 * 1024)
    ///     .held_replies_len_max(64 * 1024 * 1024);
    /// ```
    pub fn response_len_max(mut self, bytes: u32) -> Self {
        self.settings.limits.response_len_max = bytes;
        self
    }

    /// Sets how many bytes of replies may be held per I/O task; further ones are dropped and their
    /// requests fail with [`crate::ErrorKind::TooLarge`]. 256 MiB by default.
    pub fn held_replies_len_max(mut self, bytes: usize) -> Self {
        self.settings.limits.pinned_len_max = bytes;
        self
    }

    /// Connects: finds the nodes, and opens their connections.
    ///
    /// Returns when each node has had its first round of connecting; a node that cannot be
    /// reached is tried again in the background.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::node(|address| async move {
    /// use shardwire::{ErrorKind, SessionBuilder};
    ///
    /// let session = SessionBuilder::new().known_node(address).build().await?;
    ///
    /// let error = SessionBuilder::new().known_node("127.0.0.1:1").build().await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Connect);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Config`] for settings that cannot be; [`crate::ErrorKind::Connect`] if
    /// no contact point answers, with the reason of the last;
    /// [`crate::ErrorKind::Authentication`] as soon as one does not let us in. Once there is a
    /// session, nodes that do not are tried again as those that cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// Safe: whatever was opened is closed.
    pub async fn build(self) -> Result<Session, Error> {
        let ports = &self.settings.source_ports;
        if ports.is_empty() || *ports.start() < 1024 {
            return Err(Error::config(format!(
                "source ports {ports:?}: must be within 1024-65535"
            )));
        }
        if self.settings.known_nodes.is_empty() {
            return Err(Error::config("no contact point was given"));
        }
        let mut contact_points = Vec::new();
        let mut failed = None;
        for node in &self.settings.known_nodes {
            match runtime::resolve(node).await {
                Ok(addresses) => {
                    self.settings.add_contact_point(node, &addresses);
                    contact_points.extend(addresses);
                }
                Err(error) => failed = Some(format!("{node}: {error}")),
            }
        }
        if let (Some(reason), true) = (failed, contact_points.is_empty()) {
            return Err(Error::connect(None, reason));
        }
        let timeout = match self.settings.request_timeout {
            Duration::ZERO => 0,
            timeout => clock::ticks(timeout),
        };
        Session::connect(self.settings, contact_points, timeout).await
    }
}
