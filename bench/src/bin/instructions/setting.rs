//! What the client talks to: how many nodes, how many replicas, which version of the protocol.

use std::fmt;

use clap::ValueEnum;

/// One of the settings in which requests are counted; only like is compared with like.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Setting {
    /// One node, protocol version 4: the path that every client has.
    OneNode,
    /// The same in version 5: checksummed segments, and an id of the result's columns.
    OneNodeV5,
    /// Three nodes that are replicas of every row: a replica is chosen for each request.
    ThreeNodes,
    /// The same with tables that have tablets, which clients learn of from replies.
    Tablets,
}

impl Setting {
    /// The name in options, in reports and in the committed counts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneNode => "one-node",
            Self::OneNodeV5 => "one-node-v5",
            Self::ThreeNodes => "three-nodes",
            Self::Tablets => "tablets",
        }
    }

    /// The setting of this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|setting| setting.name() == name)
    }

    /// Nodes, each of them a replica of every row.
    pub(crate) fn nodes(self) -> usize {
        match self {
            Self::OneNode | Self::OneNodeV5 => 1,
            Self::ThreeNodes | Self::Tablets => 3,
        }
    }

    /// Shards of each node. With one each, no request would miss its tablet, nor learn of it.
    pub(crate) fn shards(self) -> usize {
        if self == Self::Tablets { 2 } else { 1 }
    }

    /// Version of the protocol that the client has to speak.
    pub(crate) fn protocol_version(self) -> u8 {
        match self {
            Self::OneNodeV5 => 5,
            _ => 4,
        }
    }

    /// The database that the nodes pass for; ScyllaDB does not speak version 5.
    pub(crate) fn persona(self) -> &'static str {
        match self {
            Self::OneNodeV5 => "cassandra",
            _ => "scylla",
        }
    }

    /// Whether `driver` can take part.
    pub(crate) fn suits(self, driver: &str) -> bool {
        match (driver, self) {
            ("floor", _) => self == Self::OneNode, // it knows no other node and no other version
            ("scylla", _) => self.protocol_version() == 4,
            _ => true,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_options() {
        for setting in Setting::value_variants() {
            assert_eq!(Setting::of_name(setting.name()), Some(*setting));
            assert_eq!(Setting::from_str(setting.name(), false), Ok(*setting));
        }
        assert_eq!(Setting::of_name("four-nodes"), None);
    }

    #[test]
    fn drivers_are_counted_where_they_can_be() {
        let of = |driver| Setting::value_variants().iter().filter(|s| s.suits(driver)).count();
        assert_eq!((of("floor"), of("scylla"), of("shardwire")), (1, 3, 4));
    }
}
