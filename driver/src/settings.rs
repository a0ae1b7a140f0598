//! Limits and settings of a session, each with its default.
//!
//! The table of all limits is `docs/LIMITS.md`.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use shardwire_protocol::consistency::Consistency;

use crate::auth::Authenticator;
use crate::connection::Framing;
use crate::policy::retry::{DefaultRetryPolicy, RetryPolicy};
use crate::topology::rank::Preference;

/// What a session may use; see `docs/LIMITS.md`.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Requests in flight on one connection; the protocol allows 32,768.
    pub(crate) in_flight_max: usize,
    /// Bytes of each of a connection's two outgoing buffers. Memory is touched only as far as used.
    pub(crate) outbox_len: usize,
    /// Requests that may wait for room on one connection, or for any connection at all.
    pub(crate) waiting_max: usize,
    /// Bytes of one receive chunk.
    pub(crate) chunk_len: usize,
    /// Bytes of receive chunks that one I/O task keeps for reuse; allocated at once, but touched
    /// only as far as replies are held at a time.
    pub(crate) chunks_retained: usize,
    /// Bytes that held replies may pin on one I/O task.
    pub(crate) pinned_len_max: usize,
    /// The longest request.
    pub(crate) request_len_max: usize,
    /// The longest reply.
    pub(crate) response_len_max: u32,
    /// Connections that one I/O task drives, 64 at most.
    pub(crate) group_len: usize,
    /// Replies outstanding to abandoned requests before a connection is replaced.
    pub(crate) orphans_max: u32,
    /// Time in which a connection brings nothing, while requests wait, before others are preferred;
    /// `None` for ever.
    pub(crate) silence_max: Option<Duration>,
}

impl Limits {
    /// With chunks that a whole segment fits, where such are received.
    pub(crate) fn on(&self, framing: Framing) -> Limits {
        let chunk_len = match framing {
            Framing::Frames { .. } => self.chunk_len,
            Framing::Segments(format) => self.chunk_len.max(2 * format.segment_len_max()),
        };
        Limits { chunk_len, ..self.clone() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            in_flight_max: 32_768,
            outbox_len: 1024 * 1024,
            waiting_max: 16_384,
            chunk_len: 64 * 1024,
            // A thousand replies of 13 KB, twice. And more than glibc ever takes from its heap,
            // where zeroed memory may have to be written: it comes from the system each time.
            chunks_retained: 32 * 1024 * 1024,
            pinned_len_max: 256 * 1024 * 1024,
            request_len_max: 256 * 1024 * 1024,
            response_len_max: 256 * 1024 * 1024,
            group_len: 64,
            orphans_max: 4_096,
            silence_max: Some(Duration::from_millis(200)),
        }
    }
}

/// How requests and replies are compressed.
///
/// ```
/// use shardwire::{Compression, SessionBuilder};
///
/// let builder = SessionBuilder::new().compression(Some(Compression::Lz4));
/// assert_eq!(Compression::default(), Compression::None);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compression {
    /// LZ4 blocks (CQL v4 section 5).
    Lz4,
    /// Not at all.
    #[default]
    None,
}

/// Which version of the protocol is spoken.
///
/// All nodes of a cluster are spoken to in the same one.
///
/// ```
/// use shardwire::{ProtocolVersion, SessionBuilder};
///
/// let builder = SessionBuilder::new().protocol_version(ProtocolVersion::V4);
/// assert_eq!(ProtocolVersion::default(), ProtocolVersion::Newest);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ProtocolVersion {
    /// Version 5 if the first node that answers offers it, as Apache Cassandra does from 4.0 on;
    /// else version 4.
    #[default]
    Newest,
    /// Version 4, with ScyllaDB's extensions where a node has them.
    V4,
    /// Version 5; nodes that do not offer it are not connected to.
    V5,
}

/// How a node's pool is sized.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// use shardwire::{PoolSize, SessionBuilder};
///
/// let few = PoolSize::PerHost(NonZeroUsize::MIN);
/// let builder = SessionBuilder::new().pool_size(few);
/// assert_eq!(PoolSize::default(), PoolSize::PerShard(NonZeroUsize::MIN));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PoolSize {
    /// So many connections to each node, whatever its shards.
    PerHost(std::num::NonZeroUsize),
    /// So many connections to each shard of each node.
    PerShard(std::num::NonZeroUsize),
}

impl Default for PoolSize {
    fn default() -> Self {
        PoolSize::PerShard(std::num::NonZeroUsize::MIN)
    }
}

/// What of the schema is read.
#[derive(Clone, Debug)]
pub(crate) struct SchemaSettings {
    /// Tables, columns and types.
    pub(crate) fetch: bool,
    /// Of these keyspaces; of all if it is empty.
    pub(crate) keyspaces: Vec<Box<str>>,
    /// How long a change may take to reach every node.
    pub(crate) agreement_timeout: Duration,
    /// How often nodes are asked meanwhile.
    pub(crate) agreement_interval: Duration,
    /// After each statement of the session that changes it.
    pub(crate) auto_await_agreement: bool,
}

impl Default for SchemaSettings {
    fn default() -> Self {
        SchemaSettings {
            fetch: true,
            keyspaces: Vec::new(),
            agreement_timeout: Duration::from_secs(60),
            agreement_interval: Duration::from_millis(100),
            auto_await_agreement: true,
        }
    }
}

impl SchemaSettings {
    pub(crate) fn wants(&self, keyspace: &str) -> bool {
        self.keyspaces.is_empty() || self.keyspaces.iter().any(|name| **name == *keyspace)
    }
}

/// How traces are read.
#[derive(Clone, Debug)]
pub(crate) struct Tracing {
    pub(crate) attempts: NonZeroU32,
    pub(crate) interval: Duration,
    pub(crate) consistency: Consistency,
}

impl Default for Tracing {
    fn default() -> Self {
        Tracing {
            attempts: NonZeroU32::MIN.saturating_add(9),
            interval: Duration::from_millis(3),
            consistency: Consistency::One,
        }
    }
}

/// Everything that connecting needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The contact points as they were given, to be resolved again when all nodes are lost.
    pub(crate) known_nodes: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) protocol_version: ProtocolVersion,
    pub(crate) compression: Compression,
    pub(crate) pool_size: PoolSize,
    pub(crate) shard_aware_port: bool,
    pub(crate) source_ports: std::ops::RangeInclusive<u16>,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) keepalive_interval: Option<Duration>,
    pub(crate) keepalive_timeout: Duration,
    pub(crate) reconnect_min: Duration,
    pub(crate) reconnect_max: Duration,
    pub(crate) refresh_interval: Duration,
    pub(crate) schema: SchemaSettings,
    pub(crate) preference: Preference,
    pub(crate) keyspace: Option<Box<str>>,
    pub(crate) authenticator: Option<Authenticator>,
    pub(crate) tcp_nodelay: bool,
    pub(crate) retry_policy: Arc<dyn RetryPolicy>,
    /// `None` for plain text.
    #[cfg(feature = "rustls-023")]
    pub(crate) tls: Option<crate::tls::Tls>,
    pub(crate) tracing: Tracing,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            known_nodes: Vec::new(),
            limits: Limits::default(),
            protocol_version: ProtocolVersion::default(),
            compression: Compression::None,
            pool_size: PoolSize::default(),
            shard_aware_port: true,
            source_ports: 49_152..=65_535,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            keepalive_interval: Some(Duration::from_secs(30)),
            keepalive_timeout: Duration::from_secs(30),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_secs(10),
            refresh_interval: Duration::from_secs(60),
            schema: SchemaSettings::default(),
            preference: Preference::default(),
            keyspace: None,
            authenticator: None,
            tcp_nodelay: true,
            retry_policy: Arc::new(DefaultRetryPolicy),
            #[cfg(feature = "rustls-023")]
            tls: None,
            tracing: Tracing::default(),
        }
    }
}

impl Settings {
    /// Whether connections are encrypted.
    pub(crate) fn speaks_tls(&self) -> bool {
        #[cfg(feature = "rustls-023")]
        return self.tls.is_some();
        #[cfg(not(feature = "rustls-023"))]
        false
    }

    /// Notes what the contact point `node` resolved to: the name that certificates are to have.
    pub(crate) fn add_contact_point(&self, node: &str, addresses: &[SocketAddr]) {
        #[cfg(feature = "rustls-023")]
        if let Some(tls) = &self.tls {
            addresses.iter().for_each(|address| tls.add_contact_point(node, address.ip()));
        }
        #[cfg(not(feature = "rustls-023"))]
        let _ = (node, addresses);
    }
}
