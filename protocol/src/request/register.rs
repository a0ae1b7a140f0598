//! REGISTER: asks for events on this connection.

use super::Request;
use crate::error::SerializeError;
use crate::header::Opcode;
use crate::wire::Writer;

/// Kinds of events.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EventKind {
    /// A keyspace, table, type, function or aggregate changed.
    SchemaChange,
    /// A node came up or went down.
    StatusChange,
    /// A node was added, removed or moved.
    TopologyChange,
}

impl EventKind {
    /// As the protocol spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SchemaChange => "SCHEMA_CHANGE",
            Self::StatusChange => "STATUS_CHANGE",
            Self::TopologyChange => "TOPOLOGY_CHANGE",
        }
    }
}

/// Asks for events of these kinds. For the control connection only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Register<'a> {
    /// The kinds, in the order in which they are sent.
    pub events: &'a [EventKind],
}

impl Request for Register<'_> {
    const OPCODE: Opcode = Opcode::Register;

    fn body_len(&self) -> Result<usize, SerializeError> {
        super::short_count("event kinds", self.events.len())?;
        Ok(self.events.iter().fold(2, |len, kind| len + 2 + kind.as_str().len()))
    }

    fn write_body(&self, out: &mut Writer<'_>) {
        out.put_u16(u16::try_from(self.events.len()).unwrap_or(u16::MAX));
        for kind in self.events {
            out.put_string(kind.as_str());
        }
    }
}
