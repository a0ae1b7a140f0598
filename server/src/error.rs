//! What a request can fail with: the ERROR message before it is encoded.
//!
//! Codes and the fields after the message are those of the specification, section 9 (8 in v5).

use crate::wire::version::Version;
use crate::wire::write::Writer;

/// Codes of the ERROR message that this node sends.
pub(crate) mod code {
    /// The client sent something that is not CQL, or not in this state.
    pub(crate) const PROTOCOL: i32 = 0x000A;
    /// The name or the password is wrong.
    pub(crate) const BAD_CREDENTIALS: i32 = 0x0100;
    /// A function, or an operation, could not be carried out.
    pub(crate) const FUNCTION_FAILURE: i32 = 0x1400;
    /// The statement does not parse.
    pub(crate) const SYNTAX: i32 = 0x2000;
    /// The user may not do that, or nobody may.
    pub(crate) const UNAUTHORIZED: i32 = 0x2100;
    /// The statement parses but makes no sense here.
    pub(crate) const INVALID: i32 = 0x2200;
    /// The statement makes sense, its options do not.
    pub(crate) const CONFIGURATION: i32 = 0x2300;
    /// CREATE of something that exists.
    pub(crate) const ALREADY_EXISTS: i32 = 0x2400;
    /// EXECUTE of an id this node has not prepared.
    pub(crate) const UNPREPARED: i32 = 0x2500;
}

/// An ERROR reply: code, message and the already encoded fields that follow the message, if they
/// are not the default ones.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CqlError {
    pub(crate) code: i32,
    pub(crate) message: String,
    extra: Vec<u8>,
    /// The client's bytes can no longer be trusted: the connection is closed after the reply.
    pub(crate) is_fatal: bool,
}

impl CqlError {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), extra: Vec::new(), is_fatal: false }
    }

    pub(crate) fn syntax(message: impl Into<String>) -> Self {
        Self::new(code::SYNTAX, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(code::INVALID, message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(code::UNAUTHORIZED, message)
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(code::CONFIGURATION, message)
    }

    /// A function of these argument types failed.
    pub(crate) fn function_failure(
        keyspace: &str,
        function: &str,
        arguments: &[&str],
        message: impl Into<String>,
    ) -> Self {
        let mut extra = Vec::new();
        let mut out = Writer::new(&mut extra);
        out.string(keyspace);
        out.string(function);
        out.short_len(arguments.len());
        arguments.iter().for_each(|argument| out.string(argument));
        let message = message.into();
        Self { code: code::FUNCTION_FAILURE, message, extra, is_fatal: false }
    }

    /// Bytes that are not what they should be.
    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self { is_fatal: true, ..Self::new(code::PROTOCOL, message) }
    }

    pub(crate) fn already_exists(keyspace: &str, table: &str) -> Self {
        let message = if table.is_empty() {
            format!("Cannot add existing keyspace \"{keyspace}\"")
        } else {
            format!("Cannot add already existing table \"{table}\" to keyspace \"{keyspace}\"")
        };
        let mut extra = Vec::new();
        let mut out = Writer::new(&mut extra);
        out.string(keyspace);
        out.string(table);
        Self { code: code::ALREADY_EXISTS, message, extra, is_fatal: false }
    }

    pub(crate) fn unprepared(id: &[u8]) -> Self {
        let mut extra = Vec::new();
        Writer::new(&mut extra).short_bytes(id);
        let message = "No prepared statement with this id; prepare it again".to_owned();
        Self { code: code::UNPREPARED, message, extra, is_fatal: false }
    }

    /// Appends the body of the ERROR.
    pub(crate) fn write(&self, version: Version, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out);
        writer.int(self.code);
        writer.string(&self.message);
        if self.extra.is_empty() {
            default_fields(self.code, version, &mut writer);
        } else {
            writer.raw(&self.extra);
        }
    }
}

/// Fields that clients insist on, for codes that only a fault rule sends.
///
/// Consistency LOCAL_QUORUM, one of two replicas answered, one failed for a reason unknown.
fn default_fields(code: i32, version: Version, out: &mut Writer<'_>) {
    let failures = |out: &mut Writer<'_>| {
        out.int(1);
        if version.is_5() {
            // Who failed, and why.
            out.raw(&[4, 127, 0, 0, 1]);
            out.short(0);
        }
    };
    if matches!(code, 0x1000 | 0x1100 | 0x1200 | 0x1300 | 0x1500 | 0x1700) {
        out.short(6);
        out.int(if code == 0x1000 { 2 } else { 1 });
        out.int(if code == 0x1000 { 1 } else { 2 });
    }
    match code {
        0x1100 => out.string("SIMPLE"),
        0x1200 => out.byte(0),
        0x1300 => {
            failures(out);
            out.byte(0);
        }
        0x1400 => {
            out.string("ks");
            out.string("f");
            out.short(0);
        }
        0x1500 => {
            failures(out);
            out.string("SIMPLE");
        }
        code::ALREADY_EXISTS => {
            out.string("");
            out.string("");
        }
        code::UNPREPARED => out.short_bytes(&[]),
        0xF000 => {
            out.byte(1);
            out.byte(1);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows an empty message.
    fn fields(code: i32, version: Version) -> Vec<u8> {
        let mut out = Vec::new();
        CqlError::new(code, "").write(version, &mut out);
        out.split_off(6)
    }

    #[test]
    fn version_5_says_who_failed_and_why() {
        let head = [0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1];
        let reason = [4, 127, 0, 0, 1, 0, 0];
        for (code, tail) in
            [(0x1300, &[0][..]), (0x1500, &[0, 6, b'S', b'I', b'M', b'P', b'L', b'E'])]
        {
            assert_eq!(fields(code, Version::V4), [&head, tail].concat());
            assert_eq!(fields(code, Version::V5), [&head, &reason[..], tail].concat());
        }
        assert_eq!(fields(0x1700, Version::V5), head[..10]);
    }

    #[test]
    fn an_errors_own_fields_come_first() {
        let mut out = Vec::new();
        CqlError::unprepared(&[7, 8]).write(Version::V4, &mut out);
        assert!(out.ends_with(&[0, 2, 7, 8]));
    }
}
