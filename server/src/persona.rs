//! Which database the node passes for.

/// Which database a cluster passes for: what it advertises, its system tables, and how it answers
/// conditional statements.
///
/// ```
/// use shardwire_server::Persona;
///
/// assert_eq!(Persona::default(), Persona::Scylla);
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Persona {
    /// ScyllaDB: shards and the protocol extensions for them.
    #[default]
    Scylla,
    /// Apache Cassandra 5.0: no shards, `system.peers_v2`, Cassandra's answers to conditional
    /// statements.
    Cassandra,
}

impl Persona {
    /// The version in `system.local`: clients take protocol versions and schema tables from it.
    pub(crate) fn release_version(self) -> &'static str {
        match self {
            Self::Scylla => "3.0.8",
            Self::Cassandra => "5.0.9",
        }
    }

    /// The version of CQL that clients are told.
    pub(crate) fn cql_version(self) -> &'static str {
        match self {
            Self::Scylla => "3.3.1",
            Self::Cassandra => "3.4.7",
        }
    }

    /// The greatest protocol version that is no beta, as `system.local` names it.
    pub(crate) fn native_protocol_version(self) -> &'static str {
        match self {
            Self::Scylla => "4",
            Self::Cassandra => "5",
        }
    }
}
