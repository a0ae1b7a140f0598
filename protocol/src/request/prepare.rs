//! PREPARE: has the server parse a statement once.
//!
//! Next: `request/batch.rs`.

use super::parameters::in_v5;
use super::{Request, Statement, long_len, short_len};
use crate::error::SerializeError;
use crate::header::{Opcode, Version};
use crate::wire::Writer;

/// Asks for a prepared statement's id and metadata.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::request::{Prepare, frame_len};
///
/// let prepare = Prepare { statement: "SELECT a FROM t", keyspace: Some("ks") };
/// assert!(frame_len(&prepare, Version::V5).is_ok());
/// assert!(frame_len(&prepare, Version::V4).is_err(), "it has no place for a keyspace");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Prepare<'a> {
    /// The statement.
    pub statement: &'a str,
    /// The keyspace of tables without one, instead of the connection's. From version 5 on.
    pub keyspace: Option<&'a str>,
}

/// In version 5: a keyspace follows. Not the bit that the other messages have for it.
const FLAG_KEYSPACE: u32 = 0x01;

impl Request for Prepare<'_> {
    const OPCODE: Opcode = Opcode::Prepare;

    fn body_len(&self, version: Version) -> Result<usize, SerializeError> {
        let mut len = long_len("statement", self.statement.len())?;
        if version == Version::V5 {
            len += 4;
        }
        if let Some(keyspace) = self.keyspace {
            in_v5("keyspace", Opcode::Prepare, version)?;
            len += short_len("keyspace", keyspace.len())?;
        }
        Ok(len)
    }

    fn write_body(&self, version: Version, out: &mut Writer<'_>) {
        out.put_long_string(self.statement);
        match (version, self.keyspace) {
            (Version::V5, Some(keyspace)) => {
                out.put_u32(FLAG_KEYSPACE);
                out.put_string(keyspace);
            }
            (Version::V5, None) => out.put_u32(0),
            (Version::V3 | Version::V4, None) => {}
            (Version::V3 | Version::V4, Some(_)) => out.set_fault(), // measuring has refused it
        }
    }
}

impl Statement for Prepare<'_> {}
