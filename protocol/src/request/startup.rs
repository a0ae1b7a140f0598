//! STARTUP: begins a connection and agrees on compression and extensions.

use super::{Request, short_len};
use crate::error::{SerializeError, saturating_u32};
use crate::header::Opcode;
use crate::wire::Writer;

/// The first request of a connection, OPTIONS aside. Never compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Startup<'a> {
    /// Names and values, in the order in which they are sent. [`Self::CQL_VERSION`] is mandatory.
    pub options: &'a [(&'a str, &'a str)],
}

impl Startup<'_> {
    /// Name of the mandatory option and a value that all servers accept.
    pub const CQL_VERSION: (&'static str, &'static str) = ("CQL_VERSION", "4.0.0");
    /// Name of the option that chooses a compression: `lz4` or `snappy`.
    pub const COMPRESSION: &'static str = "COMPRESSION";
    /// Name of the option that tells the driver's name.
    pub const DRIVER_NAME: &'static str = "DRIVER_NAME";
    /// Name of the option that tells the driver's version.
    pub const DRIVER_VERSION: &'static str = "DRIVER_VERSION";
}

impl Request for Startup<'_> {
    const OPCODE: Opcode = Opcode::Startup;

    fn body_len(&self) -> Result<usize, SerializeError> {
        super::short_count("startup options", self.options.len())?;
        let mut len = 2_usize;
        for (name, value) in self.options {
            len = len.saturating_add(short_len("name of a startup option", name.len())?);
            len = len.saturating_add(short_len("value of a startup option", value.len())?);
        }
        Ok(len)
    }

    fn write_body(&self, out: &mut Writer<'_>) {
        // Checked by `body_len`; a wrong count would not pass unseen, being too short.
        out.put_u16(u16::try_from(saturating_u32(self.options.len())).unwrap_or(u16::MAX));
        for (name, value) in self.options {
            out.put_string(name);
            out.put_string(value);
        }
    }
}
