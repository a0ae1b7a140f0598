//! What implementing [`SerializeValue`], [`DeserializeRow`] and the like takes, in one place.
//!
//! Derived types name what they need through this module, or through that of `shardwire` with the
//! same items: `#[shardwire(crate = shardwire_protocol)]` tells which.
//!
//! ```
//! use shardwire_protocol::implement::{CellSource, Cells, FieldName, Reader};
//!
//! let mut cells = Cells::new(Reader::new(&[]), &[]);
//! assert!(cells.field::<i32>(FieldName::new("id")).is_err()); // there are no columns
//! ```

pub use crate::error::{DeserializeError, MismatchReason, SerializeError, TypeMismatch};
pub use crate::fields::{
    AsRow, AsUdt, CellSource, DeserializeFields, DeserializeRowFields, DeserializeUdtFields,
    FieldName, FieldType, FieldVisitor, Matching, SerializeFields, SerializeRowFields,
    SerializeUdtFields,
};
pub use crate::routing::KeySink;
pub use crate::row::{Cells, DeserializeRow, SerializeRow, type_at};
pub use crate::types::{ColumnSpec, ColumnType, UdtType};
#[cfg(feature = "serde_json-1")]
pub use crate::value::Json;
pub use crate::value::{DeserializeValue, SerializeValue, ValueLen};
pub use crate::wire::{Reader, Writer};
