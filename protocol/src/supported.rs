//! What a node says about itself in SUPPORTED: shards, ports, compression, extensions.
//!
//! The answer is a multimap of strings, [`SupportedBody`]; [`Supported`] is what a driver makes of
//! it. A key that is missing or makes no sense switches its feature off, it is never an error: the
//! next version of a server may say more, or less.
//!
//! Next: `supported/extensions.rs`.

use std::fmt;
use std::num::NonZeroU16;

use uuid::Uuid;

use crate::header::Version;
use crate::response::SupportedBody;
use crate::wire::StringList;

mod extensions;

pub use extensions::{Extensions, StartupOptions, TabletsRouting};

/// Names of the keys, as servers spell them.
pub mod key {
    /// `lz4` and `snappy`, where the server has them.
    pub const COMPRESSION: &str = "COMPRESSION";
    /// Versions of CQL that the server speaks.
    pub const CQL_VERSION: &str = "CQL_VERSION";
    /// PREPARED marks conditional statements with a bit of the bind metadata's flags.
    pub const LWT_ADD_METADATA_MARK: &str = "SCYLLA_LWT_ADD_METADATA_MARK";
    /// The error code of a rate limit, once asked for.
    pub const RATE_LIMIT_ERROR: &str = "SCYLLA_RATE_LIMIT_ERROR";
    /// Name of the Java class that makes tokens of partition keys.
    pub const PARTITIONER: &str = "SCYLLA_PARTITIONER";
    /// Versions of the protocol, as `4/v4`; of Apache Cassandra alone.
    pub const PROTOCOL_VERSIONS: &str = "PROTOCOL_VERSIONS";
    /// The node's host id.
    pub const HOST_ID: &str = "SCYLLA_HOST_ID";
    /// How many shards the node has.
    pub const NR_SHARDS: &str = "SCYLLA_NR_SHARDS";
    /// The shard that serves this connection.
    pub const SHARD: &str = "SCYLLA_SHARD";
    /// The port on which the client's source port chooses the shard.
    pub const SHARD_AWARE_PORT: &str = "SCYLLA_SHARD_AWARE_PORT";
    /// The same with TLS.
    pub const SHARD_AWARE_PORT_SSL: &str = "SCYLLA_SHARD_AWARE_PORT_SSL";
    /// How tokens are spread over shards.
    pub const SHARDING_ALGORITHM: &str = "SCYLLA_SHARDING_ALGORITHM";
    /// How many of a token's most significant bits the sharding drops.
    pub const SHARDING_IGNORE_MSB: &str = "SCYLLA_SHARDING_IGNORE_MSB";
    /// Replies tell of tablets that the client did not know.
    pub const TABLETS_ROUTING_V1: &str = "TABLETS_ROUTING_V1";
    /// The same, and EXECUTE tells what the client knows: the name that clients know so far.
    pub const TABLETS_ROUTING_V2_EXPERIMENTAL: &str = "TABLETS_ROUTING_V2_EXPERIMENTAL";
    /// The same, by the name that servers have given it since.
    pub const TABLETS_ROUTING_V2_EXPERIMENTAL_V2: &str = "TABLETS_ROUTING_V2_EXPERIMENTAL_V2";
    /// Result metadata has an id, as in version 5 of the protocol.
    pub const USE_METADATA_ID: &str = "SCYLLA_USE_METADATA_ID";
}

/// How a node spreads tokens over its shards, and which of them a connection landed on.
///
/// ```
/// use std::num::NonZeroU16;
///
/// use shardwire_protocol::routing::{Sharder, Token};
/// use shardwire_protocol::supported::ShardInfo;
///
/// let nr_shards = NonZeroU16::new(4).unwrap();
/// let info = ShardInfo { shard: 1, nr_shards, ignore_msb: 12 };
/// let sharder = Sharder::new(info.nr_shards, info.ignore_msb);
/// let is_here = sharder.shard_of(Token(-1)) == info.shard;
/// assert!(!is_here);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ShardInfo {
    /// The shard that serves this connection; less than `nr_shards`.
    pub shard: u16,
    /// How many shards the node has.
    pub nr_shards: NonZeroU16,
    /// How many of a token's most significant bits are dropped first; less than 64.
    pub ignore_msb: u8,
}

/// How a node makes tokens of partition keys, where nothing else is said of a table.
///
/// ```
/// # use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
/// # use shardwire_protocol::response::{Agreed, Body, Response};
/// use shardwire_protocol::supported::{PartitionerClass, Supported};
///
/// # let (version, opcode) = (Version::V4, Opcode::Supported);
/// # let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len: 0 };
/// let body = b"\0\x01\0\x12SCYLLA_PARTITIONER\0\x01\
///     \0\x2Borg.apache.cassandra.dht.Murmur3Partitioner";
/// let body = Body::parse(&header, body)?.response(&Agreed::default(), None)?;
/// let Response::Supported(body) = body else { panic!("it is a SUPPORTED") };
/// assert_eq!(Supported::from_body(&body).partitioner, Some(PartitionerClass::Murmur3));
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PartitionerClass {
    /// Cassandra's variant of Murmur3, the default everywhere.
    Murmur3,
    /// Another one: tokens cannot be told here.
    Other,
}

/// How a node spreads tokens over its shards.
///
/// ```
/// # use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
/// # use shardwire_protocol::response::{Agreed, Body, Response};
/// use shardwire_protocol::supported::{ShardingAlgorithm, Supported};
///
/// # let (version, opcode) = (Version::V4, Opcode::Supported);
/// # let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len: 0 };
/// let body = b"\0\x01\0\x19SCYLLA_SHARDING_ALGORITHM\0\x01\0\x06random";
/// let body = Body::parse(&header, body)?.response(&Agreed::default(), None)?;
/// let Response::Supported(body) = body else { panic!("it is a SUPPORTED") };
/// let algorithm = Supported::from_body(&body).sharding_algorithm;
/// assert_eq!(algorithm, Some(ShardingAlgorithm::Other));
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ShardingAlgorithm {
    /// The only one there is.
    BiasedTokenRoundRobin,
    /// Another one: shards cannot be told here.
    Other,
}

/// A version of CQL, such as 3.4.7.
///
/// ```
/// use shardwire_protocol::supported::CqlVersion;
///
/// let version = CqlVersion { major: 3, minor: 4, patch: 7 };
/// assert_eq!(version.to_string(), "3.4.7");
/// assert!(version < CqlVersion { major: 3, minor: 10, patch: 0 });
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CqlVersion {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl fmt::Display for CqlVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Versions of the protocol that a node speaks, beta versions aside.
///
/// ```text
/// 7 6 5  4  3  2 1 0
///    v5 v4 v3
/// ```
///
/// ```
/// # use shardwire_protocol::header::{Opcode, ResponseHeader};
/// use shardwire_protocol::header::Version;
/// # use shardwire_protocol::response::{Agreed, Body, Response};
/// use shardwire_protocol::supported::Supported;
///
/// # let (version, opcode) = (Version::V4, Opcode::Supported);
/// # let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len: 0 };
/// let body = b"\0\x01\0\x11PROTOCOL_VERSIONS\0\x02\0\x043/v3\0\x044/v4";
/// let body = Body::parse(&header, body)?.response(&Agreed::default(), None)?;
/// let Response::Supported(body) = body else { panic!("it is a SUPPORTED") };
/// let versions = Supported::from_body(&body).protocol_versions.unwrap_or_default();
/// assert_eq!(versions.newest(), Some(Version::V4));
/// assert!(versions.contains(Version::V3) && !versions.contains(Version::V5));
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ProtocolVersions(u8);

impl ProtocolVersions {
    /// Whether the node speaks this version.
    ///
    /// ```
    /// # use shardwire_protocol::header::Version;
    /// # use shardwire_protocol::supported::ProtocolVersions;
    /// assert!(!ProtocolVersions::default().contains(Version::V4));
    /// ```
    #[must_use]
    pub const fn contains(self, version: Version) -> bool {
        self.0 & (1 << version.as_u8()) != 0
    }

    /// The newest version that the node and this crate speak.
    ///
    /// ```
    /// use shardwire_protocol::supported::ProtocolVersions;
    ///
    /// assert_eq!(ProtocolVersions::default().newest(), None);
    /// ```
    #[must_use]
    pub fn newest(self) -> Option<Version> {
        let known = [Version::V5, Version::V4, Version::V3];
        known.into_iter().find(|version| self.contains(*version))
    }

    /// Reads values such as `4/v4` and `6/v6-beta`.
    fn from_values(values: StringList<'_>) -> Self {
        let mut versions = Self::default();
        for value in values.filter(|value| !value.ends_with("-beta")) {
            let number = value.split('/').next().and_then(|number| number.parse().ok());
            if let Some(version) = number.and_then(|number| Version::from_u8(number).ok()) {
                versions.0 |= 1 << version.as_u8();
            }
        }
        versions
    }
}

/// What a node offers. Options of a server that offers nothing are `Default`.
///
/// Whatever is not known here is in the [`SupportedBody`] as it was sent.
///
/// ```
/// use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
/// use shardwire_protocol::response::{Agreed, Body, Response};
/// use shardwire_protocol::supported::Supported;
///
/// let body = *b"\0\x01\0\x0BCOMPRESSION\0\x01\0\x03lz4";
/// let (version, opcode) = (Version::V4, Opcode::Supported);
/// let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len: 22 };
/// let body = Body::parse(&header, &body)?;
/// if let Response::Supported(body) = body.response(&Agreed::default(), None)? {
///     assert!(Supported::from_body(&body).lz4);
/// }
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Supported {
    /// How the node makes tokens; `None` where it does not say.
    pub partitioner: Option<PartitionerClass>,
    /// How the node spreads tokens over shards; `None` where it does not say.
    pub sharding_algorithm: Option<ShardingAlgorithm>,
    /// Versions of the protocol; `None` where the node does not say, as ScyllaDB.
    pub protocol_versions: Option<ProtocolVersions>,
    /// The version of CQL; where there are several, the first.
    pub cql_version: Option<CqlVersion>,
    /// The node's shards: `None` unless all three keys are there and agree.
    pub shard_info: Option<ShardInfo>,
    /// The port on which the client's source port chooses the shard.
    pub shard_aware_port: Option<u16>,
    /// The same with TLS.
    pub shard_aware_port_tls: Option<u16>,
    /// Whether bodies may be compressed with LZ4.
    pub lz4: bool,
    /// Whether bodies may be compressed with Snappy.
    pub snappy: bool,
    /// Bit of the bind metadata's flags that marks a conditional statement.
    pub lwt_mark: Option<u32>,
    /// Error code of a rate limit.
    pub rate_limit_error: Option<i32>,
    /// Whether replies can tell of tablets.
    pub tablets_v1: bool,
    /// Whether they can by version 2, and by which of its names it is asked for.
    pub tablets_v2: Option<TabletsRouting>,
    /// Whether result metadata can have an id.
    pub metadata_id: bool,
    /// The node's host id.
    pub host_id: Option<Uuid>,
}

impl Supported {
    /// Reads what is known from a SUPPORTED body.
    ///
    /// ```
    /// # use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
    /// # use shardwire_protocol::response::{Agreed, Body, Response};
    /// # use shardwire_protocol::supported::Supported;
    /// # let (version, opcode) = (Version::V4, Opcode::Supported);
    /// # let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len: 0 };
    /// let body = b"\0\x01\0\x17SCYLLA_SHARD_AWARE_PORT\0\x01\0\x0519042";
    /// let body = Body::parse(&header, body)?.response(&Agreed::default(), None)?;
    /// let Response::Supported(body) = body else { panic!("it is a SUPPORTED") };
    /// assert_eq!(Supported::from_body(&body).shard_aware_port, Some(19042));
    /// # Ok::<(), shardwire_protocol::error::FrameError>(())
    /// ```
    #[must_use]
    pub fn from_body(body: &SupportedBody<'_>) -> Self {
        let mut supported = Self::default();
        let (mut shard, mut nr_shards, mut ignore_msb) = (None, None, None);
        for (key, values) in body.iter() {
            let first = values.clone().next();
            match key {
                key::COMPRESSION => {
                    supported.lz4 = values.clone().any(|name| name.eq_ignore_ascii_case("lz4"));
                    supported.snappy =
                        values.clone().any(|name| name.eq_ignore_ascii_case("snappy"));
                }
                key::CQL_VERSION => supported.cql_version = first.and_then(cql_version),
                key::PARTITIONER => supported.partitioner = first.map(partitioner),
                key::PROTOCOL_VERSIONS => {
                    supported.protocol_versions = Some(ProtocolVersions::from_values(values));
                }
                key::SHARDING_ALGORITHM => supported.sharding_algorithm = first.map(algorithm),
                key::HOST_ID => supported.host_id = first.and_then(|id| id.parse().ok()),
                key::LWT_ADD_METADATA_MARK => {
                    supported.lwt_mark =
                        first.and_then(|value| after(extensions::MARK_NAME, value).parse().ok());
                }
                key::RATE_LIMIT_ERROR => {
                    supported.rate_limit_error =
                        first.and_then(|value| after("ERROR_CODE=", value).parse().ok());
                }
                key::SHARD => shard = first.and_then(|value| value.parse::<u16>().ok()),
                key::NR_SHARDS => nr_shards = first.and_then(|value| value.parse().ok()),
                key::SHARDING_IGNORE_MSB => {
                    ignore_msb = first.and_then(|value| value.parse::<u8>().ok());
                }
                key::SHARD_AWARE_PORT => supported.shard_aware_port = first.and_then(port),
                key::SHARD_AWARE_PORT_SSL => supported.shard_aware_port_tls = first.and_then(port),
                key::TABLETS_ROUTING_V1 => supported.tablets_v1 = true,
                key::TABLETS_ROUTING_V2_EXPERIMENTAL => {
                    supported.tablets_v2.get_or_insert(TabletsRouting::V2Experimental);
                }
                key::TABLETS_ROUTING_V2_EXPERIMENTAL_V2 => {
                    supported.tablets_v2 = Some(TabletsRouting::V2ExperimentalV2);
                }
                key::USE_METADATA_ID => supported.metadata_id = true,
                _ => {}
            }
        }
        supported.shard_info = shard_info(shard, nr_shards, ignore_msb);
        supported
    }

    /// Whether this is ScyllaDB, judged as the official driver does: by any of its extensions.
    ///
    /// ```
    /// # use shardwire_protocol::supported::Supported;
    /// let mut supported = Supported::default();
    /// assert!(!supported.is_scylla());
    /// supported.shard_aware_port = Some(19042);
    /// assert!(supported.is_scylla());
    /// ```
    #[must_use]
    pub fn is_scylla(&self) -> bool {
        self.shard_info.is_some()
            || self.shard_aware_port.is_some()
            || self.lwt_mark.is_some()
            || self.rate_limit_error.is_some()
            || self.tablets_v1
            || self.tablets_v2.is_some()
            || self.metadata_id
    }
}

fn shard_info(
    shard: Option<u16>,
    nr_shards: Option<NonZeroU16>,
    ignore_msb: Option<u8>,
) -> Option<ShardInfo> {
    let info = ShardInfo { shard: shard?, nr_shards: nr_shards?, ignore_msb: ignore_msb? };
    (info.shard < info.nr_shards.get() && info.ignore_msb < 64).then_some(info)
}

/// `value` without `name=` in front: some servers write it, some don't.
fn after<'a>(name: &str, value: &'a str) -> &'a str {
    value.strip_prefix(name).unwrap_or(value)
}

fn partitioner(class: &str) -> PartitionerClass {
    match class {
        "org.apache.cassandra.dht.Murmur3Partitioner" => PartitionerClass::Murmur3,
        _ => PartitionerClass::Other,
    }
}

fn algorithm(name: &str) -> ShardingAlgorithm {
    match name {
        "biased-token-round-robin" => ShardingAlgorithm::BiasedTokenRoundRobin,
        _ => ShardingAlgorithm::Other,
    }
}

fn cql_version(value: &str) -> Option<CqlVersion> {
    let mut numbers = value.split('.').map(|number| number.parse().ok());
    let (major, minor) = (numbers.next()??, numbers.next().unwrap_or(Some(0))?);
    Some(CqlVersion { major, minor, patch: numbers.next().unwrap_or(Some(0))? })
}

fn port(value: &str) -> Option<u16> {
    value.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests;
