//! ERROR: why a request was refused.
//!
//! A code that is not known is kept with its message and without details: servers of tomorrow have
//! more. What an error means for retries is the driver's business.
//! Next: `response/error/failures.rs`.

use std::fmt;

use uuid::Uuid;

use crate::consistency::Consistency;
use crate::error::Malformed;
use crate::header::Version;
use crate::response::Agreed;
use crate::wire::{Reader, StringList};

mod failures;

pub use failures::{FailureReasons, Failures};

/// Code of an error (CQL v5 §9).
///
/// ```
/// use shardwire_protocol::response::ErrorCode;
///
/// assert_eq!(ErrorCode(0x2500), ErrorCode::UNPREPARED);
/// assert_eq!(ErrorCode::UNPREPARED.name(), Some("unprepared"));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ErrorCode(pub i32);

/// Closed table of the specification's codes.
macro_rules! error_codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        #[expect(missing_docs, reason = "the names are the specification's")]
        impl ErrorCode {
            $(pub const $name: Self = Self($code);)*

            /// What the specification calls it; `None` for a code of an extension.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

error_codes! {
    SERVER_ERROR = 0x0000, "server error";
    PROTOCOL_ERROR = 0x000A, "protocol error";
    BAD_CREDENTIALS = 0x0100, "bad credentials";
    UNAVAILABLE = 0x1000, "unavailable";
    OVERLOADED = 0x1001, "overloaded";
    IS_BOOTSTRAPPING = 0x1002, "is bootstrapping";
    TRUNCATE_ERROR = 0x1003, "truncate error";
    WRITE_TIMEOUT = 0x1100, "write timeout";
    READ_TIMEOUT = 0x1200, "read timeout";
    READ_FAILURE = 0x1300, "read failure";
    FUNCTION_FAILURE = 0x1400, "function failure";
    WRITE_FAILURE = 0x1500, "write failure";
    CDC_WRITE_FAILURE = 0x1600, "CDC write failure";
    CAS_WRITE_UNKNOWN = 0x1700, "CAS write unknown";
    COMMAND_FAILED = 0x1800, "command failed";
    SYNTAX_ERROR = 0x2000, "syntax error";
    UNAUTHORIZED = 0x2100, "unauthorized";
    INVALID = 0x2200, "invalid";
    CONFIG_ERROR = 0x2300, "config error";
    ALREADY_EXISTS = 0x2400, "already exists";
    UNPREPARED = 0x2500, "unprepared";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error {:#06x}", self.0),
        }
    }
}

/// Why a request was refused.
///
/// ```
/// use shardwire_protocol::response::{Agreed, ErrorBody, ErrorCode};
/// use shardwire_protocol::wire::Reader;
///
/// let error = ErrorBody::parse(Reader::new(b"\0\0\x20\0\0\x02no"), &Agreed::default())?;
/// assert_eq!((error.code, error.message), (ErrorCode::SYNTAX_ERROR, "no"));
/// assert_eq!(error.code.to_string(), "syntax error");
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct ErrorBody<'a> {
    /// What kind of error.
    pub code: ErrorCode,
    /// For people.
    pub message: &'a str,
    /// For programs.
    pub detail: ErrorDetail<'a>,
}

/// What an error says beyond its code.
///
/// ```
/// use shardwire_protocol::response::{Agreed, ErrorBody, ErrorDetail};
/// use shardwire_protocol::wire::Reader;
///
/// let body = b"\0\0\x10\0\0\0\0\x04\0\0\0\x02\0\0\0\x01"; // QUORUM needs two, one is alive
/// let error = ErrorBody::parse(Reader::new(body), &Agreed::default())?;
/// assert!(matches!(error.detail, ErrorDetail::Unavailable { required: 2, alive: 1, .. }));
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum ErrorDetail<'a> {
    /// Nothing, or nothing that is known.
    None,
    /// Not enough replicas are alive.
    Unavailable {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas that it takes.
        required: i32,
        /// Replicas known to be alive.
        alive: i32,
    },
    /// Not enough replicas confirmed the write in time.
    WriteTimeout {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas that it takes.
        block_for: i32,
        /// What was written.
        write_type: WriteType<'a>,
        /// How often a conditional write met another one; in version 5 alone, where it is sent.
        contentions: Option<u16>,
    },
    /// Not enough replicas answered the read in time.
    ReadTimeout {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas that it takes.
        block_for: i32,
        /// Whether the replica asked for the data itself answered.
        data_present: bool,
    },
    /// A replica could not carry out the read.
    ReadFailure {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas that it takes.
        block_for: i32,
        /// Replicas that failed.
        failures: Failures<'a>,
        /// Whether the replica asked for the data itself answered.
        data_present: bool,
    },
    /// A user's function failed.
    FunctionFailure {
        /// The function's keyspace.
        keyspace: &'a str,
        /// Its name.
        function: &'a str,
        /// Types of its arguments.
        argument_types: StringList<'a>,
    },
    /// A replica could not carry out the write.
    WriteFailure {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas that it takes.
        block_for: i32,
        /// Replicas that failed.
        failures: Failures<'a>,
        /// What was written.
        write_type: WriteType<'a>,
    },
    /// A conditional write met another one: it was carried out in part, and whether it will be as a
    /// whole is not known.
    CasWriteUnknown {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas that it takes.
        block_for: i32,
    },
    /// A command of the cluster's own failed.
    CommandFailed {
        /// The command's id, where it is sent.
        id: Option<Uuid>,
    },
    /// What should be created is there.
    AlreadyExists {
        /// The keyspace.
        keyspace: &'a str,
        /// The table; empty if it is the keyspace that exists.
        table: &'a str,
    },
    /// The node does not know the statement: prepare it again.
    Unprepared {
        /// Its id.
        id: &'a [u8],
    },
    /// The partition is asked for too often (ScyllaDB).
    RateLimited {
        /// What is asked too often.
        operation: RateLimitedOperation,
        /// Whether the coordinator refused, without a replica's being asked.
        rejected_by_coordinator: bool,
    },
}

/// What kind of write timed out or failed.
///
/// ```
/// use shardwire_protocol::response::{Agreed, ErrorBody, ErrorDetail, WriteType};
/// use shardwire_protocol::wire::Reader;
///
/// let body = b"\0\0\x11\0\0\0\0\x04\0\0\0\x01\0\0\0\x02\0\x06SIMPLE";
/// let error = ErrorBody::parse(Reader::new(body), &Agreed::default())?;
/// let ErrorDetail::WriteTimeout { write_type, .. } = error.detail else { panic!("{error:?}") };
/// assert_eq!(write_type, WriteType::Simple);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum WriteType<'a> {
    Batch,
    BatchLog,
    Cas,
    Cdc,
    Counter,
    Simple,
    UnloggedBatch,
    View,
    /// One that the specification does not have.
    Other(&'a str),
}

/// What a rate limit is about.
///
/// ```
/// use shardwire_protocol::response::{Agreed, ErrorBody, ErrorDetail, RateLimitedOperation};
/// use shardwire_protocol::wire::Reader;
///
/// let mut agreed = Agreed::default();
/// agreed.rate_limit_error = Some(0x4321);
/// let error = ErrorBody::parse(Reader::new(b"\0\0\x43\x21\0\0\x01\x01"), &agreed)?;
/// let ErrorDetail::RateLimited { operation, .. } = error.detail else { panic!("{error:?}") };
/// assert_eq!(operation, RateLimitedOperation::Write);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum RateLimitedOperation {
    Read,
    Write,
    /// One that is not known.
    Other(u8),
}

impl<'a> ErrorBody<'a> {
    /// Reads an error. The code of a rate limit is what the server announced; what failed is told
    /// in the form of the version agreed on.
    ///
    /// ```
    /// use shardwire_protocol::response::{Agreed, ErrorBody, ErrorCode, ErrorDetail};
    /// use shardwire_protocol::wire::Reader;
    ///
    /// let body = [0, 0, 0x25, 0, 0, 1, b'?', 0, 2, 7, 7];
    /// let error = ErrorBody::parse(Reader::new(&body), &Agreed::default())?;
    /// assert_eq!((error.code, error.message), (ErrorCode::UNPREPARED, "?"));
    /// assert!(matches!(error.detail, ErrorDetail::Unprepared { id: &[7, 7] }));
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// If the message, or the details that its code asks for, are not there.
    pub fn parse(mut reader: Reader<'a>, agreed: &Agreed) -> Result<Self, Malformed> {
        let code = ErrorCode(reader.i32("error code")?);
        let message = reader.string("error message")?;
        let detail = if agreed.rate_limit_error == Some(code.0) {
            rate_limited(&mut reader)?
        } else {
            detail(code, agreed.version, &mut reader)?
        };
        Ok(Self { code, message, detail })
    }
}

fn rate_limited<'a>(reader: &mut Reader<'a>) -> Result<ErrorDetail<'a>, Malformed> {
    let operation = match reader.u8("rate limited operation")? {
        0 => RateLimitedOperation::Read,
        1 => RateLimitedOperation::Write,
        other => RateLimitedOperation::Other(other),
    };
    let rejected_by_coordinator = reader.u8("rejected by coordinator")? != 0;
    Ok(ErrorDetail::RateLimited { operation, rejected_by_coordinator })
}

/// Fields are read in the order in which they are written here: that of the specification.
fn detail<'a>(
    code: ErrorCode,
    version: Version,
    reader: &mut Reader<'a>,
) -> Result<ErrorDetail<'a>, Malformed> {
    Ok(match code {
        ErrorCode::UNAVAILABLE => ErrorDetail::Unavailable {
            consistency: reader.consistency("consistency")?,
            required: reader.i32("replicas required")?,
            alive: reader.i32("replicas alive")?,
        },
        ErrorCode::WRITE_TIMEOUT => write_timeout(version, reader)?,
        ErrorCode::READ_TIMEOUT => ErrorDetail::ReadTimeout {
            consistency: reader.consistency("consistency")?,
            received: reader.i32("replicas received")?,
            block_for: reader.i32("replicas required")?,
            data_present: reader.u8("data present")? != 0,
        },
        ErrorCode::READ_FAILURE => ErrorDetail::ReadFailure {
            consistency: reader.consistency("consistency")?,
            received: reader.i32("replicas received")?,
            block_for: reader.i32("replicas required")?,
            failures: Failures::read(version, reader)?,
            data_present: reader.u8("data present")? != 0,
        },
        ErrorCode::FUNCTION_FAILURE => ErrorDetail::FunctionFailure {
            keyspace: reader.string("function's keyspace")?,
            function: reader.string("function")?,
            argument_types: reader.string_list("argument types")?,
        },
        ErrorCode::WRITE_FAILURE => ErrorDetail::WriteFailure {
            consistency: reader.consistency("consistency")?,
            received: reader.i32("replicas received")?,
            block_for: reader.i32("replicas required")?,
            failures: Failures::read(version, reader)?,
            write_type: write_type(reader)?,
        },
        ErrorCode::CAS_WRITE_UNKNOWN => ErrorDetail::CasWriteUnknown {
            consistency: reader.consistency("consistency")?,
            received: reader.i32("replicas received")?,
            block_for: reader.i32("replicas required")?,
        },
        ErrorCode::COMMAND_FAILED => ErrorDetail::CommandFailed {
            id: match reader.remaining() {
                [] => None,
                _ => Some(reader.uuid("command id")?),
            },
        },
        ErrorCode::ALREADY_EXISTS => ErrorDetail::AlreadyExists {
            keyspace: reader.string("keyspace")?,
            table: reader.string("table")?,
        },
        ErrorCode::UNPREPARED => {
            ErrorDetail::Unprepared { id: reader.short_bytes("statement id")? }
        }
        _ => ErrorDetail::None,
    })
}

fn write_timeout<'a>(
    version: Version,
    reader: &mut Reader<'a>,
) -> Result<ErrorDetail<'a>, Malformed> {
    let consistency = reader.consistency("consistency")?;
    let received = reader.i32("replicas received")?;
    let block_for = reader.i32("replicas required")?;
    let write_type = write_type(reader)?;
    // Cassandra sends them for time-outs of Paxos itself; a time-out of type CAS that has another
    // cause ends here.
    let contentions = match reader.remaining() {
        [_, ..] if version == Version::V5 && write_type == WriteType::Cas => {
            Some(reader.u16("contentions")?)
        }
        _ => None,
    };
    Ok(ErrorDetail::WriteTimeout { consistency, received, block_for, write_type, contentions })
}

fn write_type<'a>(reader: &mut Reader<'a>) -> Result<WriteType<'a>, Malformed> {
    Ok(match reader.string("write type")? {
        "BATCH" => WriteType::Batch,
        "BATCH_LOG" => WriteType::BatchLog,
        "CAS" => WriteType::Cas,
        "CDC" => WriteType::Cdc,
        "COUNTER" => WriteType::Counter,
        "SIMPLE" => WriteType::Simple,
        "UNLOGGED_BATCH" => WriteType::UnloggedBatch,
        "VIEW" => WriteType::View,
        other => WriteType::Other(other),
    })
}
