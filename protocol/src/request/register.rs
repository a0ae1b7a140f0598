//! REGISTER: asks for events on this connection.
//!
//! Next: `response/mod.rs`.

use super::Request;
use crate::error::SerializeError;
use crate::header::{Opcode, Version};
use crate::wire::Writer;

/// Kinds of events.
///
/// ```
/// use shardwire_protocol::request::{EventKind, Register};
///
/// let register = Register { events: &[EventKind::StatusChange, EventKind::TopologyChange] };
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EventKind {
    /// Addresses of nodes changed for clients of certain connections (ScyllaDB).
    ClientRoutesChange,
    /// A keyspace, table, type, function or aggregate changed.
    SchemaChange,
    /// A node came up or went down.
    StatusChange,
    /// A node was added, removed or moved.
    TopologyChange,
}

impl EventKind {
    /// As the protocol spells it.
    ///
    /// ```
    /// # use shardwire_protocol::request::EventKind;
    /// assert_eq!(EventKind::SchemaChange.as_str(), "SCHEMA_CHANGE");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientRoutesChange => "CLIENT_ROUTES_CHANGE",
            Self::SchemaChange => "SCHEMA_CHANGE",
            Self::StatusChange => "STATUS_CHANGE",
            Self::TopologyChange => "TOPOLOGY_CHANGE",
        }
    }
}

/// Asks for events of these kinds. For the control connection only.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::request::{EventKind, Register, frame_len};
///
/// let register = Register { events: &[EventKind::StatusChange] };
/// assert_eq!(frame_len(&register, Version::V4), Ok(9 + 2 + 2 + "STATUS_CHANGE".len()));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Register<'a> {
    /// The kinds, in the order in which they are sent.
    pub events: &'a [EventKind],
}

impl Request for Register<'_> {
    const OPCODE: Opcode = Opcode::Register;

    fn body_len(&self, _: Version) -> Result<usize, SerializeError> {
        super::short_count("event kinds", self.events.len())?;
        Ok(self.events.iter().fold(2, |len, kind| len + 2 + kind.as_str().len()))
    }

    fn write_body(&self, _: Version, out: &mut Writer<'_>) {
        out.put_u16(u16::try_from(self.events.len()).unwrap_or(u16::MAX));
        for kind in self.events {
            out.put_string(kind.as_str());
        }
    }
}
