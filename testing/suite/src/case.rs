//! A case: a name, what it needs, and a function.

use std::fmt;
use std::pin::Pin;

use anyhow::Result;
use shardwire_server::Persona;
use shardwire_testing_cassandra::Version;

use crate::configuration::{Access, Configuration, Server};
use crate::context::Context;

/// The future of a case; it stays on the thread of its test.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// One test, whatever the server.
pub struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: for<'a> fn(&'a Context) -> Running<'a>,
    pub(crate) manner: Manner,
    nodes_min: usize,
    /// Of servers with processes: one of Cassandra that starts alone waits long for the others.
    nodes_max: usize,
    since: Version,
    access: Access,
    only: Option<Only>,
}

/// How a case gets on with others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    /// Beside others, once per variant.
    Shared,
    /// Alone and last, as it hurts nodes; once, with a session per variant.
    Alone,
}

/// A server that has what the others are not meant to have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Only {
    /// Embedded nodes, which count what arrives where.
    Embedded,
    /// Servers with shards.
    Shards,
    /// Apache Cassandra 5.0, and embedded nodes that pass for it.
    Cassandra,
}

impl Case {
    pub(crate) const fn new(
        name: &'static str,
        run: for<'a> fn(&'a Context) -> Running<'a>,
    ) -> Self {
        Self {
            name,
            run,
            manner: Manner::Shared,
            nodes_min: 1,
            nodes_max: usize::MAX,
            since: Version::V4_1,
            access: Access::Open,
            only: None,
        }
    }

    /// It hurts nodes.
    pub(crate) const fn alone(mut self) -> Self {
        self.manner = Manner::Alone;
        self
    }

    /// It needs three nodes.
    pub(crate) const fn three_nodes(mut self) -> Self {
        self.nodes_min = 3;
        self
    }

    /// It ends all nodes of a cluster, and starts one after the other.
    pub(crate) const fn one_node(mut self) -> Self {
        self.nodes_max = 1;
        self
    }

    /// It needs what Cassandra has since 5.0.
    pub(crate) const fn since_5_0(mut self) -> Self {
        self.since = Version::V5_0;
        self
    }

    /// It needs a cluster that is reached like this.
    pub(crate) const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// It looks at what embedded nodes count.
    pub(crate) const fn embedded(mut self) -> Self {
        self.only = Some(Only::Embedded);
        self
    }

    /// It compares with what Apache Cassandra 5.0 does.
    pub(crate) const fn cassandra(mut self) -> Self {
        self.only = Some(Only::Cassandra);
        self.since = Version::V5_0;
        self
    }

    /// It needs shards.
    pub(crate) const fn shards(mut self) -> Self {
        self.only = Some(Only::Shards);
        self
    }

    /// Whether this is a case for such a cluster.
    pub(crate) fn suits(&self, configuration: &Configuration) -> bool {
        let has_server = match (configuration.server, self.only) {
            (_, None) | (Server::Embedded(_), Some(Only::Embedded)) => true,
            (Server::Embedded(persona), Some(Only::Shards)) => persona == Persona::Scylla,
            (Server::Embedded(persona), Some(Only::Cassandra)) => persona == Persona::Cassandra,
            (Server::Cassandra(_), Some(only)) => only == Only::Cassandra,
        };
        let is_embedded = matches!(configuration.server, Server::Embedded(_));
        let has_features = match configuration.server {
            Server::Cassandra(Version::V4_1) => self.since == Version::V4_1,
            _ => true,
        };
        has_server
            && has_features
            && configuration.node_count >= self.nodes_min
            && (configuration.node_count <= self.nodes_max || is_embedded)
            && configuration.access == self.access
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `case!(module::function)`: the case that is this function of this module of `cases`.
macro_rules! case {
    ($module:ident::$function:ident) => {
        $crate::case::Case::new(
            concat!(stringify!($module), "::", stringify!($function)),
            |context| Box::pin($function(context)),
        )
    };
}
pub(crate) use case;
