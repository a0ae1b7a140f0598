//! Which cluster, and how it is spoken to.

use std::fmt;

use shardwire::{Compression, SessionBuilder};
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
        }
    }
}

/// A way to speak the protocol.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// As it stands in names of tests.
    pub name: &'static str,
    apply: fn(SessionBuilder) -> SessionBuilder,
}

impl Variant {
    /// All that the driver has.
    pub const ALL: &'static [Self] = &[
        Self { name: "v4 plain", apply: |builder| builder.compression(None) },
        Self { name: "v4 lz4", apply: |builder| builder.compression(Some(Compression::Lz4)) },
    ];

    /// A builder that speaks like this.
    pub fn apply(&self, builder: SessionBuilder) -> SessionBuilder {
        (self.apply)(builder)
    }
}
