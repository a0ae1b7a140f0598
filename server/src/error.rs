//! What a request can fail with: the ERROR message before it is encoded.
//!
//! Codes and the fields after the message are those of the specification, section 9 (8 in v5).

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::rate::{Operation, Rejecter};
use crate::replicas::{Consistency, Shortage};
use crate::wire::version::Version;
use crate::wire::write::Writer;

/// Codes of the ERROR message that this node sends.
pub(crate) mod code {
    /// The server cannot do what should be possible.
    pub(crate) const SERVER: i32 = 0x0000;
    /// The client sent something that is not CQL, or not in this state.
    pub(crate) const PROTOCOL: i32 = 0x000A;
    /// The name or the password is wrong.
    pub(crate) const BAD_CREDENTIALS: i32 = 0x0100;
    /// Too few replicas are alive.
    pub(crate) const UNAVAILABLE: i32 = 0x1000;
    /// The node has as many connections as it may.
    pub(crate) const OVERLOADED: i32 = 0x1001;
    /// TRUNCATE takes all nodes, and one did not answer.
    pub(crate) const TRUNCATE: i32 = 0x1003;
    /// Too few replicas answered in time.
    pub(crate) const WRITE_TIMEOUT: i32 = 0x1100;
    pub(crate) const READ_TIMEOUT: i32 = 0x1200;
    /// Replicas answered that they can't.
    pub(crate) const READ_FAILURE: i32 = 0x1300;
    pub(crate) const WRITE_FAILURE: i32 = 0x1500;
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
    /// A partition is read or written too often: ScyllaDB's, for clients that have asked for it.
    pub(crate) const RATE_LIMIT: i32 = 0xF000;
}

/// What was written when a write went wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WriteType {
    Simple,
    Batch,
    UnloggedBatch,
    Counter,
    BatchLog,
    Cas,
}

impl WriteType {
    fn name(self) -> &'static str {
        match self {
            Self::Simple => "SIMPLE",
            Self::Batch => "BATCH",
            Self::UnloggedBatch => "UNLOGGED_BATCH",
            Self::Counter => "COUNTER",
            Self::BatchLog => "BATCH_LOG",
            Self::Cas => "CAS",
        }
    }
}

/// Why a replica failed; the numbers are those of the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    Unknown = 0,
    TooManyTombstones = 1,
}

/// Replicas that failed, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failures {
    pub(crate) nodes: Vec<Ipv4Addr>,
    pub(crate) reason: Reason,
}

impl Failures {
    fn message(&self, received: usize) -> String {
        let reason = match self.reason {
            Reason::Unknown => "UNKNOWN",
            Reason::TooManyTombstones => "READ_TOO_MANY_TOMBSTONES",
        };
        let nodes: Vec<_> = self.nodes.iter().map(|node| format!("/{node}:7000")).collect();
        format!(
            "Operation failed - received {received} responses and {} failures: {reason} from {}",
            nodes.len(),
            nodes.join(", ")
        )
    }
}

/// How many replicas were asked and how many answered.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Counts {
    consistency: Consistency,
    received: usize,
    required: usize,
    failures: Option<Failures>,
}

/// What follows the message.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Fields {
    /// What clients insist on, for codes that only a fault rule sends.
    Default,
    Encoded(Vec<u8>),
    /// Of a read.
    Read(Counts),
    /// Of a write.
    Write(Counts, WriteType),
}

/// An ERROR reply: code, message and the fields that follow the message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CqlError {
    pub(crate) code: i32,
    pub(crate) message: String,
    fields: Fields,
    /// The client's bytes can no longer be trusted: the connection is closed after the reply.
    pub(crate) is_fatal: bool,
    /// The reply comes so much later: the node has waited for others.
    pub(crate) delay: Option<Duration>,
}

impl CqlError {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        let (message, fields) = (message.into(), Fields::Default);
        Self { code, message, fields, is_fatal: false, delay: None }
    }

    /// The same, told so much later.
    pub(crate) fn late(self, delay: Duration) -> Self {
        Self { delay: Some(delay), ..self }
    }

    /// The same, told no later and no sooner than so much, if it waits at all.
    pub(crate) fn within(self, timeout: Duration) -> Self {
        Self { delay: self.delay.map(|_| timeout), ..self }
    }

    fn with(code: i32, message: impl Into<String>, fields: Fields) -> Self {
        Self { fields, ..Self::new(code, message) }
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
        Self::with(code::FUNCTION_FAILURE, message, Fields::Encoded(extra))
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
        Self::with(code::ALREADY_EXISTS, message, Fields::Encoded(extra))
    }

    pub(crate) fn unprepared(id: &[u8]) -> Self {
        let mut extra = Vec::new();
        Writer::new(&mut extra).short_bytes(id);
        let message = "No prepared statement with this id; prepare it again";
        Self::with(code::UNPREPARED, message, Fields::Encoded(extra))
    }

    /// A partition of a table has had enough; `what` is what it has had enough of.
    pub(crate) fn rate_limit(what: Operation, table: &str, by: Rejecter) -> Self {
        let (by_coordinator, name) = match by {
            Rejecter::Coordinator => (1, "coordinator"),
            Rejecter::Replicas => (0, "replicas"),
        };
        let message = format!(
            "Per-partition rate limit reached for {what} in table {table}, rejected by {name}"
        );
        Self::with(code::RATE_LIMIT, message, Fields::Encoded(vec![what as u8, by_coordinator]))
    }

    /// The same for a client that does not know ScyllaDB's code.
    pub(crate) fn without_extensions(self) -> Self {
        match self.code {
            code::RATE_LIMIT => Self::configuration(self.message),
            _ => self,
        }
    }

    /// Too few replicas for a read, which waits for `timeout`.
    pub(crate) fn read_shortage(shortage: Shortage, timeout: Duration) -> Self {
        Self::shortage(shortage, code::READ_TIMEOUT, timeout, Fields::Read)
    }

    /// Too few replicas for a write.
    pub(crate) fn write_shortage(shortage: Shortage, typ: WriteType, timeout: Duration) -> Self {
        Self::shortage(shortage, code::WRITE_TIMEOUT, timeout, |counts| Fields::Write(counts, typ))
    }

    fn shortage(
        shortage: Shortage,
        timeout_code: i32,
        timeout: Duration,
        fields: impl FnOnce(Counts) -> Fields,
    ) -> Self {
        match shortage {
            Shortage::Alive { consistency, required, alive, datacenter } => {
                let place = datacenter.map(|name| format!(" in DC {name}")).unwrap_or_default();
                let message = format!("Cannot achieve consistency level {consistency}{place}");
                let mut encoded = Vec::new();
                let mut out = Writer::new(&mut encoded);
                out.short(consistency.code());
                out.len(required);
                out.len(alive);
                Self::with(code::UNAVAILABLE, message, Fields::Encoded(encoded))
            }
            Shortage::Answers { consistency, required, received } => {
                let message = format!("Operation timed out - received only {received} responses.");
                let counts = Counts { consistency, received, required, failures: None };
                Self::with(timeout_code, message, fields(counts)).late(timeout)
            }
        }
    }

    /// Replicas could not read.
    pub(crate) fn read_failure(
        consistency: Consistency,
        required: usize,
        failures: Failures,
    ) -> Self {
        let message = failures.message(0);
        let counts = Counts { consistency, received: 0, required, failures: Some(failures) };
        Self::with(code::READ_FAILURE, message, Fields::Read(counts))
    }

    /// Too few replicas are up to tell a CDC log what was there before a write: ScyllaDB's answer
    /// is a failure that none of them has reported.
    pub(crate) fn image_failure(
        consistency: Consistency,
        received: usize,
        required: usize,
    ) -> Self {
        let failures = Failures { nodes: Vec::new(), reason: Reason::Unknown };
        let counts = Counts { consistency, received, required, failures: Some(failures) };
        let message = "CDC preimage query could not achieve the CL.";
        Self::with(code::READ_FAILURE, message, Fields::Read(counts))
    }

    /// Replicas could not write.
    pub(crate) fn write_failure(
        consistency: Consistency,
        required: usize,
        typ: WriteType,
        failures: Failures,
    ) -> Self {
        let message = failures.message(0);
        let counts = Counts { consistency, received: 0, required, failures: Some(failures) };
        Self::with(code::WRITE_FAILURE, message, Fields::Write(counts, typ))
    }

    /// Appends the body of the ERROR.
    pub(crate) fn write(&self, version: Version, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out);
        writer.int(self.code_in(version));
        writer.string(&self.message);
        match &self.fields {
            Fields::Default => default_fields(self.code, version, &mut writer),
            Fields::Encoded(fields) => writer.raw(fields),
            Fields::Read(counts) => {
                counts.write(version, &mut writer);
                // Whether the replica that was asked for the rows themselves is among them.
                writer.byte(u8::from(counts.received > 0));
            }
            Fields::Write(counts, typ) => {
                counts.write(version, &mut writer);
                writer.string(typ.name());
                if *typ == WriteType::Cas && version.is_5() && counts.failures.is_none() {
                    writer.short(0); // no contention
                }
            }
        }
    }

    /// Version 3 knows no failures: there they are time-outs.
    fn code_in(&self, version: Version) -> i32 {
        match (version, &self.fields) {
            (Version::V3, Fields::Read(_)) => code::READ_TIMEOUT,
            (Version::V3, Fields::Write(..)) => code::WRITE_TIMEOUT,
            _ => self.code,
        }
    }
}

impl Counts {
    fn write(&self, version: Version, out: &mut Writer<'_>) {
        out.short(self.consistency.code());
        out.len(self.received);
        out.len(self.required);
        let Some(failures) = self.failures.as_ref().filter(|_| version != Version::V3) else {
            return;
        };
        out.len(failures.nodes.len());
        if version.is_5() {
            for node in &failures.nodes {
                out.byte(4);
                out.raw(&node.octets());
                out.short(failures.reason as u16);
            }
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
        code::RATE_LIMIT => {
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
    fn shortages_say_what_is_missing() {
        let fields = |error: &CqlError, version| {
            let mut out = Vec::new();
            error.write(version, &mut out);
            let code = i32::from_be_bytes(*out.first_chunk().unwrap());
            (code, out.split_off(6 + error.message.len()))
        };
        let (consistency, timeout) = (Consistency::EachQuorum, Duration::from_secs(2));
        let datacenter = Some("dc2".to_owned());
        let alive = Shortage::Alive { consistency, required: 2, alive: 1, datacenter };
        let error = CqlError::read_shortage(alive, timeout);
        assert_eq!(error.message, "Cannot achieve consistency level EACH_QUORUM in DC dc2");
        assert_eq!(fields(&error, Version::V4), (0x1000, vec![0, 7, 0, 0, 0, 2, 0, 0, 0, 1]));
        assert_eq!(error.delay, None);
        let answers = Shortage::Answers { consistency, required: 3, received: 2 };
        let head = [0, 7, 0, 0, 0, 2, 0, 0, 0, 3];
        let error = CqlError::read_shortage(answers.clone(), timeout);
        assert_eq!(fields(&error, Version::V5), (0x1200, [&head[..], &[1]].concat()));
        assert_eq!(error.delay, Some(timeout));
        let error = CqlError::write_shortage(answers, WriteType::Cas, timeout);
        let cas = [&head[..], &[0, 3, b'C', b'A', b'S']].concat();
        assert_eq!(fields(&error, Version::V4), (0x1100, cas.clone()));
        assert_eq!(fields(&error, Version::V5), (0x1100, [&cas[..], &[0, 0]].concat()));
    }

    #[test]
    fn failures_are_time_outs_in_version_3() {
        let failures =
            Failures { nodes: vec![[127, 0, 0, 3].into()], reason: Reason::TooManyTombstones };
        let error = CqlError::read_failure(Consistency::One, 1, failures);
        let written = |version| {
            let mut out = Vec::new();
            error.write(version, &mut out);
            (out[2..4].to_vec(), out.split_off(6 + error.message.len()))
        };
        let head = [0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(written(Version::V3), (vec![0x12, 0], [&head[..], &[0]].concat()));
        let told = [&head[..], &[0, 0, 0, 1], &[0]].concat();
        assert_eq!(written(Version::V4), (vec![0x13, 0], told));
        let told = [&head[..], &[0, 0, 0, 1], &[4, 127, 0, 0, 3, 0, 1], &[0]].concat();
        assert_eq!(written(Version::V5), (vec![0x13, 0], told));
    }

    #[test]
    fn an_errors_own_fields_come_first() {
        let mut out = Vec::new();
        CqlError::unprepared(&[7, 8]).write(Version::V4, &mut out);
        assert!(out.ends_with(&[0, 2, 7, 8]));
    }
}
