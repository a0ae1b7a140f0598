//! The error that a node answered with: its code, its text and its fields, owned.
//!
//! Errors are rare, so they are copied out of the reply, which they would pin otherwise. Nothing
//! of the request is in them. Names are those of the official driver where it has one.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use shardwire_protocol::consistency::Consistency;
use shardwire_protocol::response::{
    ErrorBody, ErrorCode, ErrorDetail, Failures, RateLimitedOperation, WriteType as Kind,
};
use uuid::Uuid;

/// Reasons of failed replicas that an error keeps; the rest is only counted.
const FAILURE_REASONS_MAX: usize = 1_024;

/// An ERROR message of a node (CQL v4 section 9); see [`crate::Error::database`].
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// use shardwire::DbError;
///
/// let create = "CREATE TABLE shop.items (id int PRIMARY KEY)";
/// let error = session.query_unpaged(create, ()).await.unwrap_err();
/// let answer = error.database().expect("a node has answered");
/// assert_eq!(answer.code(), 0x2400);
/// let DbError::AlreadyExists { keyspace, table } = answer.db_error() else { panic!("{error}") };
/// assert_eq!((&**keyspace, &**table), ("shop", "items"));
/// println!("{} says: {}", answer.peer().expect("it came from a node"), answer.message());
/// # Ok(()) });
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DatabaseError {
    code: ErrorCode,
    message: Box<str>,
    error: DbError,
    peer: Option<SocketAddr>,
}

impl DatabaseError {
    /// Copies the message. Allocates: once per error.
    pub(super) fn of(body: &ErrorBody<'_>, peer: Option<SocketAddr>) -> DatabaseError {
        let (code, message) = (body.code, body.message.into());
        DatabaseError { code, message, error: DbError::of(body), peer }
    }

    /// The number of what went wrong.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.code.0
    }

    /// The node's text, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What went wrong, with its fields.
    #[must_use]
    pub fn db_error(&self) -> &DbError {
        &self.error
    }

    /// The node that answered.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DatabaseError { code, message, error, peer } = self;
        write!(f, "the node answered \"{code}\" (0x{:04x}): {message}", code.0)?;
        if error.has_fields() {
            write!(f, " ({error:?})")?;
        }
        match peer {
            Some(peer) => write!(f, " from {peer}"),
            None => Ok(()),
        }
    }
}

/// What went wrong on a node, with the fields of its ERROR message.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::faulty(|cluster, session| async move {
/// # use shardwire_server::{FaultAction, FaultRule};
/// # let (code, message) = (0x1000, "no quorum".to_owned());
/// # cluster.add_fault(FaultRule::new(FaultAction::Error { code, message }).statement("SELECT"));
/// use shardwire::{Consistency, DbError};
///
/// let error = session.query_unpaged("SELECT id FROM shop.items", ()).await.unwrap_err();
/// match error.database().map(|answer| answer.db_error()) {
///     Some(DbError::Unavailable { consistency, required, alive }) => {
///         assert_eq!(*consistency, Consistency::LocalQuorum);
///         println!("{alive} of {required} replicas are alive");
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(()) });
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DbError {
    /// What should be created is there already.
    AlreadyExists {
        /// The keyspace.
        keyspace: Box<str>,
        /// The table; empty if it is the keyspace that exists.
        table: Box<str>,
    },
    /// The credentials are wrong.
    AuthenticationError,
    /// A conditional write met another one: it was carried out in part, and whether it will be as
    /// a whole is not known.
    CasWriteUnknown {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas that it takes.
        required: i32,
    },
    /// The log of changes could not be written.
    CdcWriteFailure,
    /// A command of the cluster's own failed.
    CommandFailed {
        /// The command's id, where it is sent.
        id: Option<Uuid>,
    },
    /// The statement is well-formed, but the configuration does not allow it.
    ConfigError,
    /// A user's function failed.
    FunctionFailure {
        /// The function's keyspace.
        keyspace: Box<str>,
        /// Its name.
        function: Box<str>,
        /// Types of its arguments.
        arg_types: Box<[Box<str>]>,
    },
    /// The statement is well-formed, but makes no sense here.
    Invalid,
    /// The node is starting and takes no requests.
    IsBootstrapping,
    /// The node has too much to do. Nothing was done.
    Overloaded,
    /// The request was not CQL, to the node.
    ProtocolError,
    /// The partition is asked for too often (ScyllaDB).
    RateLimitReached {
        /// What is asked too often.
        op_type: OperationType,
        /// Whether the coordinator refused, without a replica's being asked.
        rejected_by_coordinator: bool,
    },
    /// A replica could not carry out the read.
    ReadFailure {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas that it takes.
        required: i32,
        /// Replicas that failed.
        failures: ReplicaFailures,
        /// Whether the replica asked for the data itself answered.
        data_present: bool,
    },
    /// Not enough replicas answered the read in time.
    ReadTimeout {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas that it takes.
        required: i32,
        /// Whether the replica asked for the data itself answered.
        data_present: bool,
    },
    /// Something went wrong in the node.
    ServerError,
    /// The text is not CQL.
    SyntaxError,
    /// The table could not be emptied.
    TruncateError,
    /// The user may not do that.
    Unauthorized,
    /// Not enough replicas are alive. Nothing was done.
    Unavailable {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas that it takes.
        required: i32,
        /// Replicas known to be alive.
        alive: i32,
    },
    /// The node does not know the statement, and preparing it again did not help.
    Unprepared {
        /// The statement's id.
        statement_id: Box<[u8]>,
    },
    /// A replica could not carry out the write.
    WriteFailure {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas that it takes.
        required: i32,
        /// Replicas that failed.
        failures: ReplicaFailures,
        /// What was written.
        write_type: WriteType,
    },
    /// Not enough replicas confirmed the write in time.
    WriteTimeout {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas that it takes.
        required: i32,
        /// What was written.
        write_type: WriteType,
        /// How often a conditional write met another one; in version 5 alone, where it is sent.
        contentions: Option<u16>,
    },
    /// An error that the specification does not have, with its code.
    Other(i32),
}

/// What a rate limit is about.
///
/// ```
/// use shardwire::{DbError, OperationType};
///
/// let (op_type, rejected_by_coordinator) = (OperationType::Write, true);
/// let error = DbError::RateLimitReached { op_type, rejected_by_coordinator };
/// assert!(matches!(error, DbError::RateLimitReached { op_type: OperationType::Write, .. }));
/// ```
pub type OperationType = RateLimitedOperation;

/// What kind of write timed out or failed.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::faulty(|cluster, session| async move {
/// # use shardwire_server::{FaultAction, FaultRule};
/// # let (code, message) = (0x1100, "slow".to_owned());
/// # cluster.add_fault(FaultRule::new(FaultAction::Error { code, message }).statement("UPDATE"));
/// use shardwire::{DbError, WriteType};
///
/// let update = "UPDATE shop.items SET name = 'lamp' WHERE id = 7";
/// let error = session.query_unpaged(update, ()).await.unwrap_err();
/// let Some(answer) = error.database() else { panic!("{error}") };
/// let DbError::WriteTimeout { write_type, .. } = answer.db_error() else { panic!("{error}") };
/// assert_eq!(*write_type, WriteType::Simple); // neither a batch nor conditional
/// # Ok(()) });
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WriteType {
    /// A logged batch whose log was written.
    Batch,
    /// The log of a batch.
    BatchLog,
    /// A conditional write.
    Cas,
    /// The log of changes.
    Cdc,
    /// A counter.
    Counter,
    /// A write of one partition.
    Simple,
    /// A batch without a log.
    UnloggedBatch,
    /// A materialised view.
    View,
    /// One that the specification does not have.
    Other(Box<str>),
}

/// The replicas that failed.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::faulty(|cluster, session| async move {
/// # use shardwire_server::{FaultAction, FaultRule};
/// # let (code, message) = (0x1300, "disk".to_owned());
/// # cluster.add_fault(FaultRule::new(FaultAction::Error { code, message }).statement("SELECT"));
/// use shardwire::DbError;
///
/// let error = session.query_unpaged("SELECT id FROM shop.items", ()).await.unwrap_err();
/// let Some(answer) = error.database() else { panic!("{error}") };
/// let DbError::ReadFailure { failures, .. } = answer.db_error() else { panic!("{error}") };
/// assert_eq!(failures.count(), 1);
/// for (replica, reason) in failures.reasons() {
///     println!("{replica}: {reason}"); // with version 5 of the protocol
/// }
/// # Ok(()) });
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReplicaFailures {
    count: i32,
    reasons: Box<[(IpAddr, u16)]>,
}

impl ReplicaFailures {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Which they are, and the code of why each failed: with version 5 of the protocol alone.
    ///
    /// 0 is an unknown reason, 1 too many tombstones read; what others mean depends on the server.
    #[must_use]
    pub fn reasons(&self) -> &[(IpAddr, u16)] {
        &self.reasons
    }
}

impl From<Failures<'_>> for ReplicaFailures {
    fn from(failures: Failures<'_>) -> Self {
        let count = failures.count();
        let reasons = match failures {
            Failures::Count(_) => Box::default(),
            Failures::Reasons(reasons) => reasons.take(FAILURE_REASONS_MAX).collect(),
        };
        ReplicaFailures { count, reasons }
    }
}

impl From<Kind<'_>> for WriteType {
    fn from(kind: Kind<'_>) -> Self {
        match kind {
            Kind::Batch => WriteType::Batch,
            Kind::BatchLog => WriteType::BatchLog,
            Kind::Cas => WriteType::Cas,
            Kind::Cdc => WriteType::Cdc,
            Kind::Counter => WriteType::Counter,
            Kind::Simple => WriteType::Simple,
            Kind::UnloggedBatch => WriteType::UnloggedBatch,
            Kind::View => WriteType::View,
            Kind::Other(name) => WriteType::Other(name.into()),
            kind => WriteType::Other(format!("{kind:?}").into()),
        }
    }
}

impl DbError {
    fn of(body: &ErrorBody<'_>) -> DbError {
        match body.detail {
            ErrorDetail::Unavailable { consistency, required, alive } => {
                DbError::Unavailable { consistency, required, alive }
            }
            ErrorDetail::WriteTimeout {
                consistency,
                received,
                block_for: required,
                write_type,
                contentions,
            } => {
                let write_type = write_type.into();
                DbError::WriteTimeout { consistency, received, required, write_type, contentions }
            }
            ErrorDetail::ReadTimeout {
                consistency,
                received,
                block_for: required,
                data_present,
            } => DbError::ReadTimeout { consistency, received, required, data_present },
            ErrorDetail::ReadFailure {
                consistency,
                received,
                block_for: required,
                failures,
                data_present,
            } => {
                let failures = failures.into();
                DbError::ReadFailure { consistency, received, required, failures, data_present }
            }
            ErrorDetail::WriteFailure {
                consistency,
                received,
                block_for: required,
                failures,
                write_type,
            } => {
                let (failures, write_type) = (failures.into(), write_type.into());
                DbError::WriteFailure { consistency, received, required, failures, write_type }
            }
            ErrorDetail::FunctionFailure { keyspace, function, argument_types } => {
                DbError::FunctionFailure {
                    keyspace: keyspace.into(),
                    function: function.into(),
                    arg_types: argument_types.map(Into::into).collect(),
                }
            }
            ErrorDetail::CasWriteUnknown { consistency, received, block_for: required } => {
                DbError::CasWriteUnknown { consistency, received, required }
            }
            ErrorDetail::CommandFailed { id } => DbError::CommandFailed { id },
            ErrorDetail::AlreadyExists { keyspace, table } => {
                DbError::AlreadyExists { keyspace: keyspace.into(), table: table.into() }
            }
            ErrorDetail::Unprepared { id } => DbError::Unprepared { statement_id: id.into() },
            ErrorDetail::RateLimited { operation: op_type, rejected_by_coordinator } => {
                DbError::RateLimitReached { op_type, rejected_by_coordinator }
            }
            _ => DbError::without_fields(body.code),
        }
    }

    fn without_fields(code: ErrorCode) -> DbError {
        match code {
            ErrorCode::SERVER_ERROR => DbError::ServerError,
            ErrorCode::PROTOCOL_ERROR => DbError::ProtocolError,
            ErrorCode::BAD_CREDENTIALS => DbError::AuthenticationError,
            ErrorCode::OVERLOADED => DbError::Overloaded,
            ErrorCode::IS_BOOTSTRAPPING => DbError::IsBootstrapping,
            ErrorCode::TRUNCATE_ERROR => DbError::TruncateError,
            ErrorCode::CDC_WRITE_FAILURE => DbError::CdcWriteFailure,
            ErrorCode::SYNTAX_ERROR => DbError::SyntaxError,
            ErrorCode::UNAUTHORIZED => DbError::Unauthorized,
            ErrorCode::INVALID => DbError::Invalid,
            ErrorCode::CONFIG_ERROR => DbError::ConfigError,
            ErrorCode(code) => DbError::Other(code),
        }
    }

    /// Whether it says more than its code.
    fn has_fields(&self) -> bool {
        matches!(
            self,
            DbError::AlreadyExists { .. }
                | DbError::CasWriteUnknown { .. }
                | DbError::CommandFailed { .. }
                | DbError::FunctionFailure { .. }
                | DbError::RateLimitReached { .. }
                | DbError::ReadFailure { .. }
                | DbError::ReadTimeout { .. }
                | DbError::Unavailable { .. }
                | DbError::Unprepared { .. }
                | DbError::WriteFailure { .. }
                | DbError::WriteTimeout { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use shardwire_protocol::header::Version;
    use shardwire_protocol::response::Agreed;
    use shardwire_protocol::wire::Reader;

    use super::*;

    fn read(code: i32, fields: &[u8], agreed: &Agreed) -> DatabaseError {
        let body = [&code.to_be_bytes()[..], b"\0\x02no", fields].concat();
        let body = ErrorBody::parse(Reader::new(&body), agreed).unwrap();
        let read = DatabaseError::of(&body, Some(([127, 0, 0, 1], 9042).into()));
        assert_eq!((read.code(), read.message()), (code, "no"));
        assert!(read.to_string().ends_with(" from 127.0.0.1:9042"), "{read}");
        read
    }

    #[track_caller]
    fn check_on(version: Version, code: i32, fields: &[u8], expect: &DbError) {
        assert_eq!(read(code, fields, &Agreed::on(version)).db_error(), expect);
    }

    #[track_caller]
    fn check(code: i32, fields: &[u8], expect: &DbError) {
        check_on(Version::V4, code, fields, expect);
        check_on(Version::V5, code, fields, expect);
    }

    /// Consistency TWO, and two numbers.
    const HEAD: &[u8] = &[0, 2, 0, 0, 0, 1, 0, 0, 0, 3];

    fn head_and(tail: &[u8]) -> Vec<u8> {
        [HEAD, tail].concat()
    }

    #[test]
    fn codes_without_fields() {
        let codes = [
            (0x0000, DbError::ServerError),
            (0x000A, DbError::ProtocolError),
            (0x0100, DbError::AuthenticationError),
            (0x1001, DbError::Overloaded),
            (0x1002, DbError::IsBootstrapping),
            (0x1003, DbError::TruncateError),
            (0x1600, DbError::CdcWriteFailure),
            (0x2000, DbError::SyntaxError),
            (0x2100, DbError::Unauthorized),
            (0x2200, DbError::Invalid),
            (0x2300, DbError::ConfigError),
            (0x7777, DbError::Other(0x7777)),
        ];
        for (code, expect) in codes {
            check(code, &[], &expect);
            assert!(!expect.has_fields());
        }
    }

    #[test]
    fn replicas_that_did_not_answer() {
        let (consistency, received, required) = (Consistency::Two, 1, 3);
        let expect = DbError::Unavailable { consistency, required: 1, alive: 3 };
        check(0x1000, HEAD, &expect);
        let (write_type, contentions) = (WriteType::BatchLog, None);
        let expect =
            DbError::WriteTimeout { consistency, received, required, write_type, contentions };
        check(0x1100, &head_and(b"\0\x09BATCH_LOG"), &expect);
        for (present, data_present) in [(0, false), (1, true)] {
            let expect = DbError::ReadTimeout { consistency, received, required, data_present };
            check(0x1200, &head_and(&[present]), &expect);
        }
        let expect = DbError::CasWriteUnknown { consistency, received, required };
        check(0x1700, HEAD, &expect);
    }

    #[test]
    fn contentions_are_of_version_5() {
        for (version, contentions) in [(Version::V4, None), (Version::V5, Some(7))] {
            let (consistency, received, required) = (Consistency::Two, 1, 3);
            let write_type = WriteType::Cas;
            let expect =
                DbError::WriteTimeout { consistency, received, required, write_type, contentions };
            check_on(version, 0x1100, &head_and(b"\0\x03CAS\0\x07"), &expect);
        }
    }

    #[test]
    fn replicas_that_failed() {
        let (consistency, received, required) = (Consistency::Two, 1, 3);
        let count = || ReplicaFailures { count: 2, reasons: Box::default() };
        let reasons = || ReplicaFailures {
            count: 2,
            reasons: [([127, 0, 0, 1].into(), 0), ([127, 0, 0, 2].into(), 1)].into(),
        };
        let counted = [0, 0, 0, 2].as_slice();
        let told = b"\0\0\0\x02\x04\x7F\0\0\x01\0\0\x04\x7F\0\0\x02\0\x01".as_slice();
        for (version, bytes, failures) in
            [(Version::V4, counted, count()), (Version::V5, told, reasons())]
        {
            let write_type = WriteType::UnloggedBatch;
            let write =
                DbError::WriteFailure { consistency, received, required, failures, write_type };
            let fields = [HEAD, bytes, b"\0\x0EUNLOGGED_BATCH"].concat();
            check_on(version, 0x1500, &fields, &write);
            let DbError::WriteFailure { failures, .. } = write else { unreachable!() };
            let data_present = true;
            let read =
                DbError::ReadFailure { consistency, received, required, failures, data_present };
            check_on(version, 0x1300, &[HEAD, bytes, &[1]].concat(), &read);
        }
    }

    #[test]
    fn no_more_reasons_are_kept_than_the_limit() {
        let count = u32::try_from(FAILURE_REASONS_MAX).unwrap() + 1;
        let one = [4, 127, 0, 0, 1, 0, 0].as_slice();
        let reasons = one.repeat(FAILURE_REASONS_MAX + 1);
        let fields = [HEAD, &count.to_be_bytes(), &reasons, &[0]].concat();
        let read = read(0x1300, &fields, &Agreed::on(Version::V5));
        let DbError::ReadFailure { failures, .. } = read.db_error() else { panic!("{read}") };
        assert_eq!(failures.count(), i32::try_from(count).unwrap());
        assert_eq!(failures.reasons().len(), FAILURE_REASONS_MAX);
    }

    #[test]
    fn names_and_ids() {
        let arg_types = [Box::from("int"), Box::from("text")].into();
        let (keyspace, function) = ("ks".into(), "f".into());
        let expect = DbError::FunctionFailure { keyspace, function, arg_types };
        check(0x1400, b"\0\x02ks\0\x01f\0\x02\0\x03int\0\x04text", &expect);
        let expect = DbError::AlreadyExists { keyspace: "ks".into(), table: "".into() };
        check(0x2400, b"\0\x02ks\0\0", &expect);
        let expect = DbError::Unprepared { statement_id: [7, 8].into() };
        check(0x2500, &[0, 2, 7, 8], &expect);
        check(0x1800, &[], &DbError::CommandFailed { id: None });
        check(0x1800, &[7; 16], &DbError::CommandFailed { id: Some(Uuid::from_bytes([7; 16])) });
    }

    #[test]
    fn a_rate_limit_has_the_code_that_was_agreed_on() {
        let mut agreed = Agreed::on(Version::V4);
        assert_eq!(read(0xF000, &[1, 0], &agreed).db_error(), &DbError::Other(0xF000));
        agreed.rate_limit_error = Some(0xF000);
        for (byte, op_type) in
            [(0, OperationType::Read), (1, OperationType::Write), (9, OperationType::Other(9))]
        {
            let expect = DbError::RateLimitReached { op_type, rejected_by_coordinator: true };
            assert_eq!(read(0xF000, &[byte, 1], &agreed).db_error(), &expect);
        }
    }

    #[test]
    fn kinds_of_writes() {
        let names: [(&str, WriteType); 9] = [
            ("SIMPLE", WriteType::Simple),
            ("BATCH", WriteType::Batch),
            ("UNLOGGED_BATCH", WriteType::UnloggedBatch),
            ("COUNTER", WriteType::Counter),
            ("BATCH_LOG", WriteType::BatchLog),
            ("CAS", WriteType::Cas),
            ("VIEW", WriteType::View),
            ("CDC", WriteType::Cdc),
            ("NEWER", WriteType::Other("NEWER".into())),
        ];
        for (name, expect) in names {
            let len = u16::try_from(name.len()).unwrap().to_be_bytes();
            let fields = [HEAD, &len, name.as_bytes()].concat();
            let read = read(0x1100, &fields, &Agreed::default());
            let DbError::WriteTimeout { write_type, .. } = read.db_error() else {
                panic!("{read}")
            };
            assert_eq!(*write_type, expect);
        }
    }

    #[test]
    fn what_people_read() {
        let read = read(0x1000, HEAD, &Agreed::default());
        let fields = "Unavailable { consistency: Two, required: 1, alive: 3 }";
        assert_eq!(
            read.to_string(),
            format!(
                "the node answered \"unavailable\" (0x1000): no ({fields}) from 127.0.0.1:9042"
            )
        );
    }
}
