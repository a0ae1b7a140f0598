//! EVENT: something happened to the cluster or the schema.
//!
//! An event, or a kind of change, that is not known is [`EventBody::Other`] and no error: it would
//! cost the connection, and not knowing is all that it asks of us. Next: `rows.rs`.

use std::net::SocketAddr;

use crate::error::Malformed;
use crate::wire::{Reader, StringList};

/// Something happened.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum EventBody<'a> {
    /// Addresses of nodes changed for clients of certain connections (ScyllaDB).
    ClientRoutesChange(ClientRoutesChange<'a>),
    /// The schema changed.
    SchemaChange(SchemaChange<'a>),
    /// A node went up or down.
    StatusChange {
        /// Which of the two.
        change: StatusChange,
        /// Where clients reach the node.
        address: SocketAddr,
    },
    /// A node came or left.
    TopologyChange {
        /// Which of the two.
        change: TopologyChange,
        /// Where clients reach, or reached, the node.
        address: SocketAddr,
    },
    /// Something that is not known.
    Other {
        /// The event's type.
        event_type: &'a str,
    },
}

/// What became of a node's state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum StatusChange {
    Down,
    Up,
}

/// What became of a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum TopologyChange {
    MovedNode,
    NewNode,
    RemovedNode,
}

/// Addresses of nodes changed: what to look up again. The two lists are paired by position.
#[derive(Clone, Copy, Debug)]
pub struct ClientRoutesChange<'a> {
    /// Connections concerned.
    pub connection_ids: StringList<'a>,
    /// Nodes concerned.
    pub host_ids: StringList<'a>,
}

/// A change of the schema: in an event, and as the result of the request that made it.
#[derive(Clone, Copy, Debug)]
pub struct SchemaChange<'a> {
    /// Whether something came, changed or went.
    pub kind: SchemaChangeKind<'a>,
    /// The keyspace in which, or to which, it happened. Empty where the target is not known.
    pub keyspace: &'a str,
    /// What it happened to.
    pub target: SchemaTarget<'a>,
}

/// Whether something came, changed or went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum SchemaChangeKind<'a> {
    Created,
    Dropped,
    Updated,
    /// One that is not known.
    Other(&'a str),
}

/// What a change of the schema happened to.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum SchemaTarget<'a> {
    /// A user's aggregate.
    Aggregate {
        /// Its name.
        name: &'a str,
        /// Types of its arguments.
        argument_types: StringList<'a>,
    },
    /// A user's function.
    Function {
        /// Its name.
        name: &'a str,
        /// Types of its arguments.
        argument_types: StringList<'a>,
    },
    /// The keyspace itself.
    Keyspace,
    /// A table, one of its indexes, or a materialised view.
    Table {
        /// Its name.
        name: &'a str,
    },
    /// A user-defined type.
    Type {
        /// Its name.
        name: &'a str,
    },
    /// Something that is not known.
    Other {
        /// What the server calls it.
        target: &'a str,
    },
}

impl<'a> EventBody<'a> {
    /// Reads an event.
    ///
    /// # Errors
    /// Where the bytes are not CQL.
    pub fn parse(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let event_type = reader.string("event type")?;
        match event_type {
            "TOPOLOGY_CHANGE" => {
                let change = reader.string("topology change")?;
                let address = reader.inet("node address")?;
                let change = match change {
                    "MOVED_NODE" => TopologyChange::MovedNode,
                    "NEW_NODE" => TopologyChange::NewNode,
                    "REMOVED_NODE" => TopologyChange::RemovedNode,
                    _ => return Ok(Self::Other { event_type }),
                };
                Ok(Self::TopologyChange { change, address })
            }
            "STATUS_CHANGE" => {
                let change = reader.string("status change")?;
                let address = reader.inet("node address")?;
                let change = match change {
                    "DOWN" => StatusChange::Down,
                    "UP" => StatusChange::Up,
                    _ => return Ok(Self::Other { event_type }),
                };
                Ok(Self::StatusChange { change, address })
            }
            "SCHEMA_CHANGE" => SchemaChange::parse(reader).map(Self::SchemaChange),
            "CLIENT_ROUTES_CHANGE" => match reader.string("client routes change")? {
                "UPDATE_NODES" => Ok(Self::ClientRoutesChange(ClientRoutesChange {
                    connection_ids: reader.string_list("connection ids")?,
                    host_ids: reader.string_list("host ids")?,
                })),
                _ => Ok(Self::Other { event_type }),
            },
            _ => Ok(Self::Other { event_type }),
        }
    }
}

impl<'a> SchemaChange<'a> {
    /// Reads the three parts of a schema change.
    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let kind = match reader.string("schema change")? {
            "CREATED" => SchemaChangeKind::Created,
            "DROPPED" => SchemaChangeKind::Dropped,
            "UPDATED" => SchemaChangeKind::Updated,
            other => SchemaChangeKind::Other(other),
        };
        let target = reader.string("schema change target")?;
        if !matches!(target, "AGGREGATE" | "FUNCTION" | "KEYSPACE" | "TABLE" | "TYPE") {
            // What follows is not known either.
            return Ok(Self { kind, keyspace: "", target: SchemaTarget::Other { target } });
        }
        let keyspace = reader.string("keyspace")?;
        let target = match target {
            "AGGREGATE" => SchemaTarget::Aggregate {
                name: reader.string("aggregate")?,
                argument_types: reader.string_list("argument types")?,
            },
            "FUNCTION" => SchemaTarget::Function {
                name: reader.string("function")?,
                argument_types: reader.string_list("argument types")?,
            },
            "TABLE" => SchemaTarget::Table { name: reader.string("table")? },
            "TYPE" => SchemaTarget::Type { name: reader.string("type")? },
            _ => SchemaTarget::Keyspace,
        };
        Ok(Self { kind, keyspace, target })
    }
}
