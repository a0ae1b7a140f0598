//! What can go wrong on this layer, and whose fault it is.
//!
//! Everything here is small and `Copy`: an error costs no allocation. The driver adds the names
//! (column, statement, node) that a person wants to read; this layer knows indexes and offsets.
//! Offsets are in bytes from the start of the frame's body.
//!
//! Incomplete input is no error, see [`crate::deframer::Step`]. Next: `header.rs`.

use core::error::Error;
use core::fmt;

use crate::header::{Opcode, Version};

/// The peer sent bytes that are not CQL. Never our fault; always closes the connection.
///
/// ```
/// use shardwire_protocol::error::Malformed;
/// use shardwire_protocol::wire::Reader;
///
/// let error = Reader::new(&[0]).u16("row count").unwrap_err();
/// assert_eq!(error, Malformed::Truncated { what: "row count", offset: 0 });
/// assert_eq!(error.to_string(), "body ends within row count, which begins at byte 0");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Malformed {
    /// A field that is well-formed and makes no sense.
    BadValue {
        /// The field, and what is wrong with it.
        what: &'static str,
        /// Where the field's successor begins.
        offset: u32,
    },
    /// A checksum that is not that of the bytes: they were damaged on the way.
    Checksum {
        /// What it is the sum of.
        what: &'static str,
        /// The sum that the peer sent.
        announced: u32,
        /// The sum of what arrived.
        computed: u32,
    },
    /// A compressed body did not decompress to the length it announced.
    Compression {
        /// The length the body announced, in bytes.
        announced: u32,
    },
    /// A count that cannot be true, or that exceeds what we agree to read.
    Count {
        /// The field.
        what: &'static str,
        /// What the peer sent.
        count: u32,
        /// The most that was possible here.
        max: u32,
        /// Where the field's successor begins.
        offset: u32,
    },
    /// Types nested deeper than [`crate::types::TYPE_DEPTH_MAX`].
    Depth {
        /// Where the type that was too deep begins.
        offset: u32,
    },
    /// A field has another length than its type.
    Length {
        /// The field.
        what: &'static str,
        /// The length that the peer sent, or what there is; negative for null.
        len: i32,
        /// The length that the type has.
        expected: u32,
        /// Where the field's content begins.
        offset: u32,
    },
    /// A length that must not be negative is.
    NegativeLength {
        /// The field.
        what: &'static str,
        /// Where the field's content would begin.
        offset: u32,
    },
    /// Text that is not UTF-8.
    Text {
        /// The field.
        what: &'static str,
        /// Where the text ends.
        offset: u32,
    },
    /// The body ends before the field does.
    Truncated {
        /// The field.
        what: &'static str,
        /// Where the field begins.
        offset: u32,
    },
    /// A code the protocol does not define.
    UnknownCode {
        /// The field.
        what: &'static str,
        /// What the peer sent.
        code: u32,
        /// Where the field's successor begins.
        offset: u32,
    },
    /// An opcode the protocol does not define.
    UnknownOpcode(u8),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadValue { what, offset } => write!(f, "{what}, at byte {offset}"),
            Self::Checksum { what, announced, computed } => {
                write!(f, "checksum of {what} is {computed:#x}, not {announced:#x} as announced")
            }
            Self::Compression { announced } => {
                write!(f, "compressed body does not decompress to its {announced} bytes")
            }
            Self::Count { what, count, max, offset } => {
                write!(f, "{what} is {count}, at most {max} possible, at byte {offset}")
            }
            Self::Depth { offset } => write!(f, "type nested too deeply at byte {offset}"),
            Self::Length { what, len, expected, offset } => {
                write!(f, "{what} of {len} bytes instead of {expected}, at byte {offset}")
            }
            Self::NegativeLength { what, offset } => {
                write!(f, "negative length of {what} at byte {offset}")
            }
            Self::Text { what, offset } => {
                write!(f, "{what} is not UTF-8, ending at byte {offset}")
            }
            Self::Truncated { what, offset } => {
                write!(f, "body ends within {what}, which begins at byte {offset}")
            }
            Self::UnknownCode { what, code, offset } => {
                write!(f, "unknown {what} {code:#x} at byte {offset}")
            }
            Self::UnknownOpcode(opcode) => write!(f, "unknown opcode {opcode:#04x}"),
        }
    }
}

impl Error for Malformed {}

/// The peer sent valid CQL that it had no right to send at this point.
///
/// ```
/// use shardwire_protocol::error::PeerMisbehaved;
///
/// let error = PeerMisbehaved::UnknownStream(7);
/// assert_eq!(error.to_string(), "nothing in flight on stream 7");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerMisbehaved {
    /// A compressed body although no compression was agreed.
    CompressionNotAgreed,
    /// Segments that do not add up to whole envelopes: a self-contained one that cuts an envelope,
    /// or comes between the parts of one, or a part that is longer than what was missing.
    SegmentsOutOfStep,
    /// A message that does not answer the request.
    UnexpectedOpcode(Opcode),
    /// A reply on a stream that has no request in flight.
    UnknownStream(i16),
    /// The frame's direction bit says that it is for the other side.
    WrongDirection,
}

impl fmt::Display for PeerMisbehaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CompressionNotAgreed => f.write_str("compressed body, none was agreed"),
            Self::SegmentsOutOfStep => f.write_str("segments do not add up to whole envelopes"),
            Self::UnexpectedOpcode(opcode) => write!(f, "unexpected {opcode} message"),
            Self::UnknownStream(stream) => write!(f, "nothing in flight on stream {stream}"),
            Self::WrongDirection => f.write_str("frame is for the other direction"),
        }
    }
}

impl Error for PeerMisbehaved {}

/// Valid CQL that this crate does not speak.
///
/// ```
/// use shardwire_protocol::error::Unsupported;
/// use shardwire_protocol::header::Version;
///
/// assert_eq!(Version::from_u8(6), Err(Unsupported::Version(6)));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unsupported {
    /// A protocol version (without the direction bit) other than 3, 4 and 5.
    Version(u8),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Version(version) => write!(f, "unsupported protocol version {version}"),
        }
    }
}

impl Error for Unsupported {}

/// Larger than a limit that was agreed on this side; the limits are in `docs/LIMITS.md`.
///
/// ```
/// use shardwire_protocol::error::TooLarge;
///
/// let error = TooLarge { what: "frame body", len: 2048, max: 1024 };
/// assert_eq!(error.to_string(), "frame body of 2048 bytes, at most 1024 accepted");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooLarge {
    /// What is too large.
    pub what: &'static str,
    /// Its length in bytes.
    pub len: u64,
    /// The most that is accepted, in bytes.
    pub max: u64,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes, at most {} accepted", self.what, self.len, self.max)
    }
}

impl Error for TooLarge {}

/// Why a received frame cannot be used. All but [`FrameError::TooLarge`] are the peer's doing.
///
/// ```
/// use shardwire_protocol::error::{FrameError, Malformed};
/// use shardwire_protocol::header::ResponseHeader;
///
/// let error = ResponseHeader::decode(&[0x84, 0, 0, 0, 0x77, 0, 0, 0, 0]).unwrap_err();
/// assert_eq!(error, FrameError::Malformed(Malformed::UnknownOpcode(0x77)));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FrameError {
    /// Not CQL.
    Malformed(Malformed),
    /// CQL, but not now.
    PeerMisbehaved(PeerMisbehaved),
    /// Over one of our limits.
    TooLarge(TooLarge),
    /// CQL that we do not speak.
    Unsupported(Unsupported),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::PeerMisbehaved(error) => error.fmt(f),
            Self::TooLarge(error) => error.fmt(f),
            Self::Unsupported(error) => error.fmt(f),
        }
    }
}

impl Error for FrameError {}

/// The CQL name of a type, without its parameters: `"list"`, `"bigint"`.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
///
/// assert_eq!(ColumnType::Bigint.type_name().to_string(), "bigint");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CqlTypeName(&'static &'static str); // one word: results are returned with room for errors

impl CqlTypeName {
    pub(crate) const fn new(name: &'static &'static str) -> Self {
        Self(name)
    }

    /// The name.
    ///
    /// ```
    /// # use shardwire_protocol::types::ColumnType;
    /// assert_eq!(ColumnType::Bigint.type_name().as_str(), "bigint");
    /// ```
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.0
    }
}

impl fmt::Display for CqlTypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A Rust type was bound to, or read from, a column whose type it does not fit.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::SerializeValue;
///
/// let mismatch = i64::type_check(&ColumnType::Int).unwrap_err();
/// assert_eq!(mismatch.to_string(), "column 0: i64 does not fit int");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TypeMismatch {
    /// Index of the column or bind marker; filled in by the row.
    pub column: u16,
    /// The field of a user-defined type, where it is about one: the innermost.
    pub field: Option<&'static str>,
    /// The column's type; of a nested type the part that did not fit.
    pub cql: CqlTypeName,
    /// The Rust type.
    pub rust: &'static str,
    /// What does not fit.
    pub reason: MismatchReason,
}

/// In what way types do not fit each other.
///
/// ```
/// use shardwire_protocol::error::{MismatchReason, TypeMismatch};
/// use shardwire_protocol::types::ColumnType;
///
/// let mismatch = TypeMismatch::of::<i64>(&ColumnType::Int);
/// assert_eq!(mismatch.reason, MismatchReason::Type);
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MismatchReason {
    /// They are different kinds of things.
    Type,
    /// The user-defined type has not the field that the Rust type has.
    NoSuchField,
    /// The user-defined type has at this index a field that the Rust type has not.
    ExcessField(u16),
    /// The user-defined type has another field in this one's place.
    FieldOrder,
}

impl TypeMismatch {
    /// The mismatch of `cql` with the Rust type `T`, in column 0 until a row says otherwise.
    ///
    /// ```
    /// # use shardwire_protocol::error::TypeMismatch;
    /// # use shardwire_protocol::types::ColumnType;
    /// let mismatch = TypeMismatch::of::<u64>(&ColumnType::Bigint);
    /// assert_eq!((mismatch.rust, mismatch.cql.as_str()), ("u64", "bigint"));
    /// ```
    #[cold]
    pub fn of<T: ?Sized>(cql: &crate::types::ColumnType) -> Self {
        Self {
            column: 0,
            field: None,
            cql: cql.type_name(),
            rust: core::any::type_name::<T>(),
            reason: MismatchReason::Type,
        }
    }

    /// The same mismatch, for another reason.
    ///
    /// ```
    /// # use shardwire_protocol::error::{MismatchReason, TypeMismatch};
    /// # use shardwire_protocol::types::ColumnType;
    /// let mismatch = TypeMismatch::of::<u64>(&ColumnType::Bigint);
    /// let mismatch = mismatch.because(MismatchReason::NoSuchField).at_field("street");
    /// assert_eq!(mismatch.to_string(), "column 0: bigint has no field street of u64");
    /// ```
    #[must_use]
    pub fn because(self, reason: MismatchReason) -> Self {
        Self { reason, ..self }
    }

    /// The same mismatch, in a field of a user-defined type. One that names a field already, of a
    /// type within this one, keeps it.
    ///
    /// ```
    /// # use shardwire_protocol::error::TypeMismatch;
    /// # use shardwire_protocol::types::ColumnType;
    /// let mismatch = TypeMismatch::of::<u64>(&ColumnType::Bigint);
    /// let mismatch = mismatch.at_field("number").at_field("address");
    /// assert_eq!(mismatch.to_string(), "column 0, field number: u64 does not fit bigint");
    /// ```
    #[must_use]
    pub fn at_field(self, name: &'static str) -> Self {
        Self { field: self.field.or(Some(name)), ..self }
    }

    /// The same mismatch, in another column. Columns past 65,535 are reported as that.
    ///
    /// ```
    /// # use shardwire_protocol::error::TypeMismatch;
    /// # use shardwire_protocol::types::ColumnType;
    /// let mismatch = TypeMismatch::of::<u64>(&ColumnType::Bigint);
    /// assert_eq!(mismatch.at_column(3).column, 3);
    /// ```
    #[must_use]
    pub fn at_column(self, column: usize) -> Self {
        Self { column: column_index(column), ..self }
    }
}

impl fmt::Display for TypeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, field, cql, rust, reason } = *self;
        // Other reasons are about the whole type, which the field is one of.
        let place = Place { column, field: field.filter(|_| reason == MismatchReason::Type) };
        place.fmt(f)?;
        match (reason, field) {
            (MismatchReason::Type, _) => write!(f, ": {rust} does not fit {cql}"),
            (MismatchReason::NoSuchField, Some(field)) => {
                write!(f, ": {cql} has no field {field} of {rust}")
            }
            (MismatchReason::NoSuchField, None) => {
                write!(f, ": {cql} has fewer fields than {rust}")
            }
            (MismatchReason::ExcessField(index), _) => {
                write!(f, ": {rust} has no field for the {cql}'s field {index}")
            }
            (MismatchReason::FieldOrder, field) => {
                let field = field.unwrap_or("another");
                write!(f, ": {cql} has another field where {rust} has {field}")
            }
        }
    }
}

impl Error for TypeMismatch {}

/// Something was written with another length than it announced.
///
/// ```
/// use shardwire_protocol::error::LengthMismatch;
/// use shardwire_protocol::wire::Writer;
///
/// let error = Writer::new(&mut [0; 3]).finish().unwrap_err();
/// assert_eq!(error, LengthMismatch { announced: 3, written: 0 });
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LengthMismatch {
    /// What was announced, in bytes.
    pub announced: usize,
    /// What was, or would at least have been, written, in bytes.
    pub written: usize,
}

impl fmt::Display for LengthMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes were announced, {} written", self.announced, self.written)
    }
}

impl Error for LengthMismatch {}

/// A request could not be encoded. The caller's fault; nothing was sent.
///
/// Messages begin with the column's index where there is one; the alternate form, `{:#}`, leaves
/// that out for those who know its name.
///
/// ```
/// use shardwire_protocol::error::SerializeError;
/// use shardwire_protocol::routing::{Partitioner, token_of_row};
///
/// let token = token_of_row(&(7, None::<i32>), &[1], &[], Partitioner::Murmur3);
/// assert_eq!(token, Err(SerializeError::KeyColumnNull { column: 1 }));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SerializeError {
    /// A value that its column's type cannot hold.
    BadValue {
        /// Index of the bind marker.
        column: u16,
        /// The field of a user-defined type, where it is about one: the innermost.
        field: Option<&'static str>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A part of the partition key is null or not set.
    KeyColumnNull {
        /// Index of the bind marker.
        column: u16,
    },
    /// A part of a composite partition key is longer than 65,535 bytes.
    KeyTooLong {
        /// Index of the bind marker.
        column: u16,
        /// Its length in bytes.
        len: u32,
    },
    /// A row type that binds by name has a field that none of the bind markers is named like.
    NoMarkerForField {
        /// What the field is bound as.
        field: &'static str,
    },
    /// A row that is bound by name, or in an order that it insists on, has no value for a marker.
    NoValueForMarker {
        /// Index of the bind marker.
        column: u16,
    },
    /// The message has no place for a field in this version of the protocol.
    NotInMessage {
        /// The field.
        what: &'static str,
        /// The message.
        opcode: Opcode,
        /// The connection's version.
        version: Version,
    },
    /// A part of the request cannot be as long as it is (statement text, id, names, the whole).
    PartTooLong {
        /// The part.
        what: &'static str,
        /// Its length in bytes, or how many there are of it.
        len: u64,
        /// The most the protocol can express.
        max: u64,
    },
    /// A serializer did not keep its word: a bug in an implementation of
    /// [`SerializeValue`](crate::value::SerializeValue) or
    /// [`SerializeRow`](crate::row::SerializeRow).
    Length(LengthMismatch),
    /// A Rust type does not fit its column.
    Type(TypeMismatch),
    /// A value's content is longer than 2 GiB - 1.
    ValueTooLong {
        /// Index of the bind marker.
        column: u16,
        /// Its length in bytes.
        len: u64,
    },
    /// Not as many values as the statement has bind markers.
    WrongValueCount {
        /// Bind markers of the statement.
        expected: u32,
        /// Values given.
        got: u32,
    },
}

impl SerializeError {
    /// Index of the bind marker that the error is about, where it is about one.
    ///
    /// ```
    /// # use shardwire_protocol::error::SerializeError;
    /// assert_eq!(SerializeError::KeyColumnNull { column: 2 }.column(), Some(2));
    /// assert_eq!(SerializeError::wrong_value_count(2, 3).column(), None);
    /// ```
    #[must_use]
    pub fn column(&self) -> Option<u16> {
        match self {
            Self::BadValue { column, .. }
            | Self::KeyColumnNull { column }
            | Self::KeyTooLong { column, .. }
            | Self::NoValueForMarker { column }
            | Self::ValueTooLong { column, .. } => Some(*column),
            Self::Type(mismatch) => Some(mismatch.column),
            Self::Length(_)
            | Self::NoMarkerForField { .. }
            | Self::NotInMessage { .. }
            | Self::PartTooLong { .. }
            | Self::WrongValueCount { .. } => None,
        }
    }

    /// The same error, in another column. Columns past 65,535 are reported as that.
    ///
    /// ```
    /// # use shardwire_protocol::error::SerializeError;
    /// let error = SerializeError::bad_value("year");
    /// assert_eq!(error.at_column(2).column(), Some(2));
    /// ```
    #[cold]
    #[must_use]
    pub fn at_column(self, index: usize) -> Self {
        let column = column_index(index);
        match self {
            Self::BadValue { field, what, .. } => Self::BadValue { column, field, what },
            Self::KeyColumnNull { .. } => Self::KeyColumnNull { column },
            Self::KeyTooLong { len, .. } => Self::KeyTooLong { column, len },
            Self::Type(mismatch) => Self::Type(mismatch.at_column(index)),
            Self::ValueTooLong { len, .. } => Self::ValueTooLong { column, len },
            Self::NoValueForMarker { .. } => Self::NoValueForMarker { column },
            Self::PartTooLong { .. }
            | Self::Length(_)
            | Self::NoMarkerForField { .. }
            | Self::NotInMessage { .. }
            | Self::WrongValueCount { .. } => self,
        }
    }

    /// The same error, in a field of a user-defined type, where it can name one. One that does
    /// already, of a type within this one, keeps it.
    ///
    /// ```
    /// # use shardwire_protocol::error::SerializeError;
    /// let error = SerializeError::bad_value("year after 9999").at_field("built");
    /// assert_eq!(error.to_string(), "column 0, field built: year after 9999");
    /// ```
    #[cold]
    #[must_use]
    pub fn at_field(self, name: &'static str) -> Self {
        match self {
            Self::BadValue { column, field, what } => {
                Self::BadValue { column, field: field.or(Some(name)), what }
            }
            Self::Type(mismatch) => Self::Type(mismatch.at_field(name)),
            other => other,
        }
    }

    /// A value that its column's type cannot hold, in column 0 until a row says otherwise.
    ///
    /// ```
    /// # use shardwire_protocol::error::SerializeError;
    /// assert_eq!(SerializeError::bad_value("odd").to_string(), "column 0: odd");
    /// ```
    #[cold]
    #[must_use]
    pub fn bad_value(what: &'static str) -> Self {
        Self::BadValue { column: 0, field: None, what }
    }

    /// The error for `got` values bound to `expected` markers.
    ///
    /// ```
    /// # use shardwire_protocol::error::SerializeError;
    /// let error = SerializeError::wrong_value_count(2, 3);
    /// assert_eq!(error, SerializeError::WrongValueCount { expected: 2, got: 3 });
    /// ```
    #[cold]
    #[must_use]
    pub fn wrong_value_count(expected: usize, got: usize) -> Self {
        Self::WrongValueCount { expected: saturating_u32(expected), got: saturating_u32(got) }
    }
}

impl fmt::Display for SerializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadValue { column, field, what } => {
                Place { column: *column, field: *field }.fmt(f)?;
                write!(f, ": {what}")
            }
            Self::KeyColumnNull { column } => {
                Place { column: *column, field: None }.fmt(f)?;
                write!(f, " is part of the partition key and has no value")
            }
            Self::KeyTooLong { column, len } => {
                Place { column: *column, field: None }.fmt(f)?;
                write!(f, ": {len} bytes are too many in a composite partition key")
            }
            Self::PartTooLong { what, len, max } => {
                write!(f, "{what}: {len} given, at most {max} possible")
            }
            Self::Length(mismatch) => write!(f, "serializer: {mismatch}"),
            Self::NoMarkerForField { field } => {
                write!(f, "the statement has no bind marker for field {field}")
            }
            Self::NoValueForMarker { column } => {
                Place { column: *column, field: None }.fmt(f)?;
                write!(f, ": the row has no value of that name there")
            }
            Self::Type(mismatch) => mismatch.fmt(f),
            Self::NotInMessage { what, opcode, version } => {
                write!(f, "{what}: {opcode} of protocol version {} has none", version.as_u8())
            }
            Self::ValueTooLong { column, len } => {
                Place { column: *column, field: None }.fmt(f)?;
                write!(f, ": {len} bytes are too many for a value")
            }
            Self::WrongValueCount { expected, got } => {
                write!(f, "{got} values given for {expected} bind markers")
            }
        }
    }
}

impl Error for SerializeError {}

/// A cell or row could not be read as the type that was asked for.
///
/// Messages begin with the column's index where there is one; the alternate form, `{:#}`, leaves
/// that out for those who know its name.
///
/// ```
/// use shardwire_protocol::error::DeserializeError;
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::DeserializeValue;
///
/// let error = i32::deserialize(&ColumnType::Int, None).unwrap_err();
/// assert_eq!(error, DeserializeError::unexpected_null::<i32>());
/// assert_eq!(error.to_string(), "column 0 is null, which i32 cannot be");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeserializeError {
    /// Bytes that are no value of the column's type.
    BadValue {
        /// Index of the column.
        column: u16,
        /// The field of a user-defined type, where it is about one: the innermost.
        field: Option<&'static str>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The rows' bytes are not CQL.
    Malformed(Malformed),
    /// A row type that reads by name has a field that none of the columns is named like.
    NoColumnForField {
        /// What the field's column is called.
        field: &'static str,
    },
    /// A row type that reads by name, or in an order that it insists on, has no field for a column.
    NoFieldForColumn {
        /// Index of the column.
        column: u16,
    },
    /// A Rust type does not fit its column.
    Type(TypeMismatch),
    /// The cell is null and the Rust type has no place for that; `Option` has.
    UnexpectedNull {
        /// Index of the column.
        column: u16,
        /// The field of a user-defined type, where it is about one: the innermost.
        field: Option<&'static str>,
        /// The Rust type.
        rust: &'static str,
    },
    /// The row has not as many columns as the Rust type.
    WrongColumnCount {
        /// Columns of the Rust type.
        expected: u32,
        /// Columns of the result.
        got: u32,
    },
}

impl DeserializeError {
    /// Index of the column that the error is about, where it is about one.
    ///
    /// ```
    /// # use shardwire_protocol::error::DeserializeError;
    /// assert_eq!(DeserializeError::bad_value("year").column(), Some(0));
    /// assert_eq!(DeserializeError::wrong_column_count(2, 3).column(), None);
    /// ```
    #[must_use]
    pub fn column(&self) -> Option<u16> {
        match self {
            Self::BadValue { column, .. }
            | Self::NoFieldForColumn { column }
            | Self::UnexpectedNull { column, .. } => Some(*column),
            Self::Type(mismatch) => Some(mismatch.column),
            Self::Malformed(_) | Self::NoColumnForField { .. } | Self::WrongColumnCount { .. } => {
                None
            }
        }
    }

    /// A null that `T` cannot hold, in column 0 until a row says otherwise.
    ///
    /// ```
    /// # use shardwire_protocol::error::DeserializeError;
    /// let error = DeserializeError::unexpected_null::<u8>();
    /// assert_eq!(error.to_string(), "column 0 is null, which u8 cannot be");
    /// ```
    #[cold]
    #[must_use]
    pub fn unexpected_null<T: ?Sized>() -> Self {
        Self::UnexpectedNull { column: 0, field: None, rust: core::any::type_name::<T>() }
    }

    /// Content that is no value of its type, in column 0 until a row says otherwise.
    ///
    /// ```
    /// # use shardwire_protocol::error::DeserializeError;
    /// let error = DeserializeError::bad_value("year after 9999");
    /// assert_eq!(error.to_string(), "column 0: year after 9999");
    /// ```
    #[cold]
    #[must_use]
    pub fn bad_value(what: &'static str) -> Self {
        Self::BadValue { column: 0, field: None, what }
    }

    /// The error for a row type of `expected` columns and a result of `got`.
    ///
    /// ```
    /// # use shardwire_protocol::error::DeserializeError;
    /// let error = DeserializeError::wrong_column_count(2, 3);
    /// assert_eq!(error.to_string(), "row type has 2 columns, the result 3");
    /// ```
    #[cold]
    #[must_use]
    pub fn wrong_column_count(expected: usize, got: usize) -> Self {
        Self::WrongColumnCount { expected: saturating_u32(expected), got: saturating_u32(got) }
    }

    /// The same error, in another column. Columns past 65,535 are reported as that.
    ///
    /// ```
    /// # use shardwire_protocol::error::DeserializeError;
    /// assert_eq!(DeserializeError::bad_value("year").at_column(2).column(), Some(2));
    /// ```
    #[cold]
    #[must_use]
    pub fn at_column(self, index: usize) -> Self {
        let column = column_index(index);
        match self {
            Self::BadValue { field, what, .. } => Self::BadValue { column, field, what },
            Self::NoFieldForColumn { .. } => Self::NoFieldForColumn { column },
            Self::Type(mismatch) => Self::Type(mismatch.at_column(index)),
            Self::UnexpectedNull { field, rust, .. } => {
                Self::UnexpectedNull { column, field, rust }
            }
            Self::Malformed(_) | Self::NoColumnForField { .. } | Self::WrongColumnCount { .. } => {
                self
            }
        }
    }

    /// The same error, in a field of a user-defined type, where it can name one. One that does
    /// already, of a type within this one, keeps it.
    ///
    /// ```
    /// # use shardwire_protocol::error::DeserializeError;
    /// let error = DeserializeError::unexpected_null::<u8>().at_field("number");
    /// assert_eq!(error.to_string(), "column 0, field number is null, which u8 cannot be");
    /// ```
    #[cold]
    #[must_use]
    pub fn at_field(self, name: &'static str) -> Self {
        let or_name = |field: Option<&'static str>| field.or(Some(name));
        match self {
            Self::BadValue { column, field, what } => {
                Self::BadValue { column, field: or_name(field), what }
            }
            Self::Type(mismatch) => Self::Type(mismatch.at_field(name)),
            Self::UnexpectedNull { column, field, rust } => {
                Self::UnexpectedNull { column, field: or_name(field), rust }
            }
            other => other,
        }
    }
}

impl fmt::Display for DeserializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadValue { column, field, what } => {
                Place { column: *column, field: *field }.fmt(f)?;
                write!(f, ": {what}")
            }
            Self::Malformed(error) => error.fmt(f),
            Self::NoColumnForField { field } => {
                write!(f, "the result has no column for field {field}")
            }
            Self::NoFieldForColumn { column } => {
                Place { column: *column, field: None }.fmt(f)?;
                write!(f, ": the row type has no field of that name there")
            }
            Self::Type(mismatch) => mismatch.fmt(f),
            Self::UnexpectedNull { column, field, rust } => {
                Place { column: *column, field: *field }.fmt(f)?;
                write!(f, " is null, which {rust} cannot be")
            }
            Self::WrongColumnCount { expected, got } => {
                write!(f, "row type has {expected} columns, the result {got}")
            }
        }
    }
}

impl Error for DeserializeError {}

/// `From` for each leaf, so that `?` works from the inside out.
macro_rules! from_leaf {
    ($($leaf:ident => $whole:ident :: $variant:ident,)*) => {$(
        impl From<$leaf> for $whole {
            #[inline]
            fn from(error: $leaf) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from_leaf! {
    Malformed => FrameError::Malformed,
    PeerMisbehaved => FrameError::PeerMisbehaved,
    TooLarge => FrameError::TooLarge,
    Unsupported => FrameError::Unsupported,
    LengthMismatch => SerializeError::Length,
    TypeMismatch => SerializeError::Type,
    Malformed => DeserializeError::Malformed,
    TypeMismatch => DeserializeError::Type,
}

/// Where in a row a value stands. The alternate form leaves out the column, which then stands
/// before it by its name.
struct Place {
    column: u16,
    field: Option<&'static str>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            write!(f, "column {}", self.column)?;
        }
        match self.field {
            Some(field) => write!(f, ", field {field}"),
            None => Ok(()),
        }
    }
}

pub(crate) fn column_index(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

pub(crate) fn saturating_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

const _: () = assert!(size_of::<Malformed>() <= 32);
const _: () = assert!(size_of::<FrameError>() <= 40);
const _: () = assert!(size_of::<SerializeError>() <= 48);
const _: () = assert!(size_of::<DeserializeError>() <= 48);

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn messages_are_lower_case_and_name_the_place() {
        let lines = [
            FrameError::from(Malformed::Truncated { what: "paging state", offset: 12 }).to_string(),
            Malformed::Checksum { what: "payload", announced: 1, computed: 255 }.to_string(),
            Malformed::Length { what: "token", len: -1, expected: 8, offset: 4 }.to_string(),
            FrameError::from(PeerMisbehaved::UnknownStream(7)).to_string(),
            FrameError::from(Unsupported::Version(66)).to_string(),
            FrameError::from(TooLarge { what: "body", len: 1 << 31, max: 1 << 28 }).to_string(),
            SerializeError::from(LengthMismatch { announced: 4, written: 5 }).to_string(),
            SerializeError::bad_value("odd").at_column(3).to_string(),
            SerializeError::NotInMessage {
                what: "keyspace",
                opcode: Opcode::Query,
                version: Version::V4,
            }
            .to_string(),
            SerializeError::wrong_value_count(3, 2).to_string(),
            DeserializeError::unexpected_null::<i32>().at_column(70_000).to_string(),
        ];
        expect![[r#"
            body ends within paging state, which begins at byte 12
            checksum of payload is 0xff, not 0x1 as announced
            token of -1 bytes instead of 8, at byte 4
            nothing in flight on stream 7
            unsupported protocol version 66
            body of 2147483648 bytes, at most 268435456 accepted
            serializer: 4 bytes were announced, 5 written
            column 3: odd
            keyspace: QUERY of protocol version 4 has none
            2 values given for 3 bind markers
            column 65535 is null, which i32 cannot be"#]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn the_alternate_form_leaves_the_column_to_others() {
        let lines = [
            format!("\"id\"{:#}", SerializeError::bad_value("odd").at_column(3)),
            format!("\"id\"{:#}", SerializeError::bad_value("odd").at_field("x")),
            format!("\"id\"{:#}", SerializeError::KeyColumnNull { column: 3 }),
            format!("\"id\"{:#}", DeserializeError::unexpected_null::<i32>()),
            format!(
                "\"id\"{:#}",
                DeserializeError::from(TypeMismatch::of::<i32>(&crate::types::ColumnType::Text))
            ),
        ];
        expect![[r#"
            "id": odd
            "id", field x: odd
            "id" is part of the partition key and has no value
            "id" is null, which i32 cannot be
            "id": i32 does not fit text"#]]
        .assert_eq(&lines.join("\n"));
    }
}
