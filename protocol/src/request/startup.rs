//! STARTUP: begins a connection and agrees on compression and extensions.
//!
//! Which extensions to ask for is told by `supported/extensions.rs`.
//! Next: `request/auth_response.rs`.

use super::{Request, short_len, too_long};
use crate::error::{SerializeError, saturating_u32};
use crate::header::{Opcode, Version};
use crate::wire::Writer;

/// The first request of a connection, OPTIONS aside. Never compressed.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::request::{Startup, frame_len};
///
/// let startup = Startup { options: &[Startup::CQL_VERSION, (Startup::COMPRESSION, "lz4")] };
/// assert!(frame_len(&startup, Version::V4).is_ok());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Startup<'a> {
    /// Names and values, in the order in which they are sent. [`Self::CQL_VERSION`] is mandatory.
    pub options: &'a [(&'a str, &'a str)],
}

impl Startup<'_> {
    /// Name of the mandatory option and a value that all servers accept.
    pub const CQL_VERSION: (&'static str, &'static str) = ("CQL_VERSION", "4.0.0");
    /// Name of the option that chooses a compression: `lz4` or `snappy`. Version 5 knows `lz4`
    /// alone, and compresses segments instead of bodies.
    pub const COMPRESSION: &'static str = "COMPRESSION";
    /// Name of the option that shows compact tables as they are stored, if `true`. Gone from the
    /// text of version 5, whose servers may know it still.
    pub const NO_COMPACT: &'static str = "NO_COMPACT";
    /// Name of the option that has an overloaded server answer so, if `1`, instead of not reading.
    pub const THROW_ON_OVERLOAD: &'static str = "THROW_ON_OVERLOAD";
    /// Name of the option that tells the driver's name.
    pub const DRIVER_NAME: &'static str = "DRIVER_NAME";
    /// Name of the option that tells the driver's version.
    pub const DRIVER_VERSION: &'static str = "DRIVER_VERSION";
    /// Name of the option that tells the application's name.
    pub const APPLICATION_NAME: &'static str = "APPLICATION_NAME";
    /// Name of the option that tells the application's version.
    pub const APPLICATION_VERSION: &'static str = "APPLICATION_VERSION";
    /// Name of the option that tells which client this is: a uuid.
    pub const CLIENT_ID: &'static str = "CLIENT_ID";
    /// Name of the option that tells which of the client's sessions this is.
    pub const SESSION_ID: &'static str = "SESSION_ID";
    /// Name of the option that tells how the driver is configured: JSON of at most
    /// [`DRIVER_CONFIG_LEN_MAX`](Self::DRIVER_CONFIG_LEN_MAX) bytes.
    pub const DRIVER_CONFIG: &'static str = "DRIVER_CONFIG";
    /// Longest value of [`DRIVER_CONFIG`](Self::DRIVER_CONFIG), in bytes.
    pub const DRIVER_CONFIG_LEN_MAX: usize = 32 << 10;
    /// Name of the option that tells whatever the application wants operators to see: JSON.
    pub const DRIVER_BAGGAGE: &'static str = "DRIVER_BAGGAGE";

    /// Segments, which version 5 has, are compressed with LZ4 or not at all.
    fn check_version(&self, version: Version) -> Result<(), SerializeError> {
        let is_snappy = |(name, value): &(&str, &str)| {
            *name == Self::COMPRESSION && value.eq_ignore_ascii_case("snappy")
        };
        if version == Version::V5 && self.options.iter().any(is_snappy) {
            let opcode = Opcode::Startup;
            return Err(SerializeError::NotInMessage { what: "Snappy", opcode, version });
        }
        Ok(())
    }
}

impl Request for Startup<'_> {
    const OPCODE: Opcode = Opcode::Startup;

    fn body_len(&self, version: Version) -> Result<usize, SerializeError> {
        super::short_count("startup options", self.options.len())?;
        self.check_version(version)?;
        let mut len = 2_usize;
        for (name, value) in self.options {
            len = len.saturating_add(short_len("name of a startup option", name.len())?);
            if *name == Self::DRIVER_CONFIG && value.len() > Self::DRIVER_CONFIG_LEN_MAX {
                let max = Self::DRIVER_CONFIG_LEN_MAX as u64;
                return Err(too_long("driver configuration", value.len(), max));
            }
            len = len.saturating_add(short_len("value of a startup option", value.len())?);
        }
        Ok(len)
    }

    fn write_body(&self, version: Version, out: &mut Writer<'_>) {
        if self.check_version(version).is_err() {
            out.set_fault(); // measuring has refused it
        }
        // Checked by `body_len`; a wrong count would not pass unseen, being too short.
        out.put_u16(u16::try_from(saturating_u32(self.options.len())).unwrap_or(u16::MAX));
        for (name, value) in self.options {
            out.put_string(name);
            out.put_string(value);
        }
    }
}
