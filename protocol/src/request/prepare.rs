//! PREPARE: has the server parse a statement once.

use super::{Request, long_len};
use crate::error::SerializeError;
use crate::header::Opcode;
use crate::wire::Writer;

/// Asks for a prepared statement's id and metadata.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Prepare<'a> {
    /// The statement.
    pub statement: &'a str,
}

impl Request for Prepare<'_> {
    const OPCODE: Opcode = Opcode::Prepare;

    fn body_len(&self) -> Result<usize, SerializeError> {
        long_len("statement", self.statement.len())
    }

    fn write_body(&self, out: &mut Writer<'_>) {
        out.put_long_string(self.statement);
    }
}
