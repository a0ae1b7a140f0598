//! The CQL native protocol: frames, messages, values and routing, without I/O.
//!
//! Everything here works on bytes that the caller owns: nothing opens a socket, reads a clock or
//! starts a thread, and nothing on the request path allocates. Modules stand in reading order:
//! what all messages share, then values and rows, then requests, then responses.
//!
//! ```
//! use shardwire_protocol::error::SerializeError;
//! use shardwire_protocol::header::Version;
//! use shardwire_protocol::request::{ExecuteTemplate, Parameters};
//! use shardwire_protocol::routing::{Partitioner, Token, token_of_row};
//!
//! # fn main() -> Result<(), SerializeError> {
//! // Once per prepared statement: its id, and that it has two markers.
//! let template = ExecuteTemplate::new(Version::V4, 0, &[0x1D; 16], None, 2)?;
//!
//! // Per request: where it goes, how long it is, and its bytes in a buffer of that length.
//! let row = (1_i64, "one");
//! let token = token_of_row(&row, &[0], &[], Partitioner::Murmur3)?;
//! assert_eq!(token, Some(Token(6292367497774912474)));
//! let parameters = Parameters::default();
//! let mut buffer = [0; 256];
//! let len = template.frame_len(&row, &[], &parameters)?;
//! template.write(7, &row, &[], &parameters, &mut buffer[..len])?;
//! assert_eq!(buffer[..5], [4, 0, 0, 7, 0x0A]);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! Values may be of other crates' types, each behind a feature that is named after the crate and
//! its major version, as the official driver names them. They are off unless noted.
//!
//! | feature | types | CQL |
//! |---|---|---|
//! | `bigdecimal-04` | `BigDecimal` | `decimal` |
//! | `chrono-04` | `NaiveDate`, `NaiveTime`, `DateTime<Utc>` | `date`, `time`, `timestamp` |
//! | `num-bigint-04` | `BigInt` | `varint` |
//! | `secrecy-10` | `SecretBox<T>`, `SecretString` | what `T` fits |
//! | `serde_json-1` | `value::Json<T>` | `text`, `ascii` |
//! | `time-03` | `Date`, `Time`, `OffsetDateTime` | `date`, `time`, `timestamp` |
//! | `uuid-1`, on | `Uuid` | `uuid`, `timeuuid` |

#![forbid(unsafe_code)]

// What all messages share.
pub mod error;

pub mod header;

pub mod deframer;

pub mod consistency;

pub mod wire;

pub mod types;

pub mod metadata;

// Values, and the rows they make up.
pub mod value;

pub mod row;

pub mod fields;

pub mod implement;

// From a row to the shard that owns it.
pub mod routing;

// From client to server.
pub mod request;

// From server to client.
pub mod response;

pub mod rows;

pub mod supported;

pub mod compression;

pub mod segment;

pub mod tablets;
