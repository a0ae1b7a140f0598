//! EVENT: something happened to the cluster or the schema.
//!
//! An event, or a kind of change, that is not known is [`EventBody::Other`] and no error: it would
//! cost the connection, and not knowing is all that it asks of us. Next: `rows.rs`.

use std::net::SocketAddr;

use crate::error::Malformed;
use crate::wire::{Reader, StringList};

/// Something happened.
///
/// ```
/// use shardwire_protocol::response::EventBody;
/// use shardwire_protocol::wire::Reader;
///
/// let event = EventBody::parse(Reader::new(b"\0\x0ASOME_EVENT"))?;
/// assert!(matches!(event, EventBody::Other { event_type: "SOME_EVENT" }));
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
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
///
/// ```
/// use shardwire_protocol::response::{EventBody, StatusChange};
/// use shardwire_protocol::wire::Reader;
///
/// let body = b"\0\x0DSTATUS_CHANGE\0\x02UP\x04\x7F\0\0\x01\0\0\x23\x52";
/// let EventBody::StatusChange { change, address } = EventBody::parse(Reader::new(body))? else {
///     panic!("a node went up");
/// };
/// assert_eq!((change, address.to_string()), (StatusChange::Up, "127.0.0.1:9042".into()));
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum StatusChange {
    Down,
    Up,
}

/// What became of a node.
///
/// ```
/// use shardwire_protocol::response::{EventBody, TopologyChange};
/// use shardwire_protocol::wire::Reader;
///
/// let body = b"\0\x0FTOPOLOGY_CHANGE\0\x08NEW_NODE\x04\x7F\0\0\x01\0\0\x23\x52";
/// let EventBody::TopologyChange { change, .. } = EventBody::parse(Reader::new(body))? else {
///     panic!("a node came");
/// };
/// assert_eq!(change, TopologyChange::NewNode);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum TopologyChange {
    MovedNode,
    NewNode,
    RemovedNode,
}

/// Addresses of nodes changed: what to look up again. The two lists are paired by position.
///
/// ```
/// use shardwire_protocol::response::EventBody;
/// use shardwire_protocol::wire::Reader;
///
/// let body = b"\0\x14CLIENT_ROUTES_CHANGE\0\x0CUPDATE_NODES\0\x01\0\x01c\0\x01\0\x01h";
/// let EventBody::ClientRoutesChange(change) = EventBody::parse(Reader::new(body))? else {
///     panic!("routes have changed");
/// };
/// let pairs = change.connection_ids.zip(change.host_ids);
/// assert_eq!(pairs.collect::<Vec<_>>(), [("c", "h")]);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ClientRoutesChange<'a> {
    /// Connections concerned.
    pub connection_ids: StringList<'a>,
    /// Nodes concerned.
    pub host_ids: StringList<'a>,
}

/// A change of the schema: in an event, and as the result of the request that made it.
///
/// ```
/// use shardwire_protocol::response::{EventBody, SchemaChangeKind, SchemaTarget};
/// use shardwire_protocol::wire::Reader;
///
/// let body = b"\0\x0DSCHEMA_CHANGE\0\x07CREATED\0\x05TABLE\0\x04shop\0\x05items";
/// let EventBody::SchemaChange(change) = EventBody::parse(Reader::new(body))? else {
///     panic!("the schema has changed");
/// };
/// assert_eq!((change.kind, change.keyspace), (SchemaChangeKind::Created, "shop"));
/// assert!(matches!(change.target, SchemaTarget::Table { name: "items" }));
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
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
///
/// ```
/// use shardwire_protocol::response::{EventBody, SchemaChangeKind};
/// use shardwire_protocol::wire::Reader;
///
/// let body = b"\0\x0DSCHEMA_CHANGE\0\x05MOVED\0\x08KEYSPACE\0\x04shop";
/// let EventBody::SchemaChange(change) = EventBody::parse(Reader::new(body))? else {
///     panic!("the schema has changed");
/// };
/// assert_eq!(change.kind, SchemaChangeKind::Other("MOVED"));
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
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
///
/// ```
/// use shardwire_protocol::response::{EventBody, SchemaTarget};
/// use shardwire_protocol::wire::Reader;
///
/// let body = b"\0\x0DSCHEMA_CHANGE\0\x07DROPPED\0\x08KEYSPACE\0\x04shop";
/// let EventBody::SchemaChange(change) = EventBody::parse(Reader::new(body))? else {
///     panic!("the schema has changed");
/// };
/// assert!(matches!(change.target, SchemaTarget::Keyspace));
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
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
    /// ```
    /// # use shardwire_protocol::response::EventBody;
    /// # use shardwire_protocol::wire::Reader;
    /// let error = EventBody::parse(Reader::new(b"\0\x0DSTATUS_CHANGE")).unwrap_err();
    /// assert_eq!(error.to_string(), "body ends within status change, which begins at byte 15");
    /// ```
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
