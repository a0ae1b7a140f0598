//! Which cluster, and how it is spoken to.

use std::fmt;

use shardwire::{Compression, ProtocolVersion, SessionBuilder};
use shardwire_server::Persona;
use shardwire_testing_cassandra::Version;

/// A server that the suite runs against.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Server {
    /// Embedded nodes.
    Embedded(Persona),
    /// Apache Cassandra.
    Cassandra(Version),
}

/// How a cluster lets clients in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Anyone.
    Open,
    /// With a password.
    Password,
    /// Over TLS.
    Tls,
    /// Over TLS, with a certificate.
    ClientCertificates,
}

/// A cluster to start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Configuration {
    /// What its nodes are.
    pub server: Server,
    /// How many.
    pub node_count: usize,
    /// How they let clients in.
    pub access: Access,
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.server {
            Server::Embedded(persona) => {
                let persona = format!("{persona:?}").to_lowercase();
                write!(f, "embedded {} as {persona}", env!("CARGO_PKG_VERSION"))?;
            }
            Server::Cassandra(version) => write!(f, "cassandra {}", version.release())?,
        }
        match self.node_count {
            1 => f.write_str(", 1 node")?,
            count => write!(f, ", {count} nodes")?,
        }
        match self.access {
            Access::Open => Ok(()),
            Access::Password => f.write_str(", auth"),
            Access::Tls => f.write_str(", tls"),
            Access::ClientCertificates => f.write_str(", client certificates"),
        }
    }
}

/// A way to speak the protocol.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// As it stands in names of tests.
    pub name: &'static str,
    pub(crate) version: ProtocolVersion,
    compression: Option<Compression>,
}

impl Variant {
    const V4_PLAIN: Self = Self::new("v4 plain", ProtocolVersion::V4, None);
    const V4_LZ4: Self = Self::new("v4 lz4", ProtocolVersion::V4, Some(Compression::Lz4));
    const V5_PLAIN: Self = Self::new("v5 plain", ProtocolVersion::V5, None);
    const V5_LZ4: Self = Self::new("v5 lz4", ProtocolVersion::V5, Some(Compression::Lz4));

    const fn new(
        name: &'static str,
        version: ProtocolVersion,
        compression: Option<Compression>,
    ) -> Self {
        Self { name, version, compression }
    }

    /// All that the driver and this server have. ScyllaDB has no version 5.
    pub const fn all(server: Server) -> &'static [Self] {
        match server {
            Server::Embedded(Persona::Scylla) => &[Self::V4_PLAIN, Self::V4_LZ4],
            _ => &[Self::V4_PLAIN, Self::V4_LZ4, Self::V5_PLAIN, Self::V5_LZ4],
        }
    }

    /// A builder that speaks like this.
    pub fn apply(&self, builder: SessionBuilder) -> SessionBuilder {
        builder.protocol_version(self.version).compression(self.compression)
    }
}
