//! Rows: the values of a statement, the columns of a result.
//!
//! Next: `row/ser.rs`.

mod de;
mod dynamic;
mod map;
mod ser;

pub use de::{Cells, DeserializeRow};
pub use dynamic::Row;
pub use ser::{SerializeRow, type_at};
pub use shardwire_protocol_derive::{DeserializeRow, SerializeRow};
