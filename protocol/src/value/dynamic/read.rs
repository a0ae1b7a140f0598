//! Cells as [`CqlValue`], by the column's type.
//!
//! Memory is bounded by the cell: each element, entry or field that is kept takes bytes of it. So
//! is the depth by the type's. What a type has beyond the cell's end is left out.
//!
//! Next: `value/dynamic/write.rs`.

use bytes::Bytes;
use uuid::Uuid;

use super::CqlValue;
use crate::error::{DeserializeError, TypeMismatch};
use crate::types::ColumnType;
use crate::value::{
    COLLECTION_RESERVE_MAX, CqlTimeuuid, DeserializeValue, ListView, MapView, RawValue,
};
use crate::wire::Reader;

impl CqlValue {
    /// Reads a cell of a body that is shared: blobs in it are slices of the body, not copies.
    ///
    /// A slice keeps the whole body in memory for as long as it lives. Where the cell does not lie
    /// in the body, blobs are copied.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use shardwire_protocol::types::ColumnType;
    /// use shardwire_protocol::value::CqlValue;
    ///
    /// let body = Bytes::from_static(b"\0\0\0\x04lamp");
    /// let value = CqlValue::from_shared(&ColumnType::Blob, Some(&body[4..]), &body)?;
    /// let blob = value.into_blob().expect("it is one");
    /// assert_eq!(blob.as_ptr(), body[4..].as_ptr());
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    ///
    /// # Errors
    /// As [`CqlValue::deserialize`](DeserializeValue::deserialize): a null, or bytes that are no
    /// value of the type.
    pub fn from_shared(
        typ: &ColumnType,
        cell: Option<&[u8]>,
        body: &Bytes,
    ) -> Result<Self, DeserializeError> {
        read(typ, cell, Some(body))
    }
}

/// Allocates, copying what is not of fixed length.
impl<'frame> DeserializeValue<'frame> for CqlValue {
    fn type_check(_: &ColumnType) -> Result<(), TypeMismatch> {
        Ok(())
    }

    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        read(typ, cell, None)
    }
}

fn read(
    typ: &ColumnType,
    cell: Option<&[u8]>,
    body: Option<&Bytes>,
) -> Result<CqlValue, DeserializeError> {
    let content = cell.ok_or_else(DeserializeError::unexpected_null::<CqlValue>)?;
    if content.is_empty() || has_no_content(typ) {
        return Ok(match typ {
            ColumnType::Ascii => CqlValue::Ascii(String::new()),
            ColumnType::Text => CqlValue::Text(String::new()),
            ColumnType::Blob | ColumnType::Custom(_) => CqlValue::Blob(Bytes::new()),
            _ => CqlValue::Empty,
        });
    }
    Ok(match typ {
        ColumnType::Ascii => CqlValue::Ascii(of(typ, cell)?),
        ColumnType::Bigint => CqlValue::BigInt(of(typ, cell)?),
        ColumnType::Blob | ColumnType::Custom(_) => CqlValue::Blob(blob(content, body)),
        ColumnType::Boolean => CqlValue::Boolean(of(typ, cell)?),
        ColumnType::Counter => CqlValue::Counter(of(typ, cell)?),
        ColumnType::Date => CqlValue::Date(of(typ, cell)?),
        ColumnType::Decimal => CqlValue::Decimal(of(typ, cell)?),
        ColumnType::Double => CqlValue::Double(of(typ, cell)?),
        ColumnType::Duration => CqlValue::Duration(of(typ, cell)?),
        ColumnType::Float => CqlValue::Float(of(typ, cell)?),
        ColumnType::Inet => CqlValue::Inet(of(typ, cell)?),
        ColumnType::Int => CqlValue::Int(of(typ, cell)?),
        ColumnType::Smallint => CqlValue::SmallInt(of(typ, cell)?),
        ColumnType::Text => CqlValue::Text(of(typ, cell)?),
        ColumnType::Time => CqlValue::Time(of(typ, cell)?),
        ColumnType::Timestamp => CqlValue::Timestamp(of(typ, cell)?),
        ColumnType::Timeuuid => CqlValue::Timeuuid(of(typ, cell)?),
        ColumnType::Tinyint => CqlValue::TinyInt(of(typ, cell)?),
        // As a timeuuid, since a `Uuid` is read only with its feature.
        ColumnType::Uuid => {
            CqlValue::Uuid(Uuid::from_bytes(*of::<CqlTimeuuid>(typ, cell)?.as_bytes()))
        }
        ColumnType::Varint => CqlValue::Varint(of(typ, cell)?),
        ColumnType::List(_) => CqlValue::List(elements(typ, cell, body)?),
        ColumnType::Set(_) => CqlValue::Set(elements(typ, cell, body)?),
        ColumnType::Vector(..) => CqlValue::Vector(elements(typ, cell, body)?),
        ColumnType::Map(_) => CqlValue::Map(entries(typ, cell, body)?),
        ColumnType::Tuple(types) => {
            let mut fields = Vec::new();
            let mut reader = Reader::new(content);
            for typ in types.iter() {
                if reader.remaining().is_empty() {
                    break;
                }
                fields.push(field(typ, &mut reader, body)?);
            }
            CqlValue::Tuple(fields)
        }
        ColumnType::Udt(udt) => {
            let mut fields = Vec::new();
            let mut reader = Reader::new(content);
            for (name, typ) in &udt.fields {
                if reader.remaining().is_empty() {
                    break;
                }
                fields.push((name.clone(), field(typ, &mut reader, body)?));
            }
            let (keyspace, name) = (udt.keyspace.clone(), udt.name.clone());
            CqlValue::UserDefinedType { keyspace, name, fields }
        }
    })
}

/// Whether no value of the type has content, whatever bytes there are: such types can be announced,
/// but CQL has none.
fn has_no_content(typ: &ColumnType) -> bool {
    match typ {
        ColumnType::Tuple(types) => types.is_empty(),
        ColumnType::Udt(udt) => udt.fields.is_empty(),
        ColumnType::Vector(element, dimensions) => {
            *dimensions == 0 || element.vector_element_len() == Some(0)
        }
        _ => false,
    }
}

fn of<'frame, T: DeserializeValue<'frame>>(
    typ: &'frame ColumnType,
    cell: Option<&'frame [u8]>,
) -> Result<T, DeserializeError> {
    T::deserialize(typ, cell)
}

/// A slice of the body where the content lies in it.
fn blob(content: &[u8], body: Option<&Bytes>) -> Bytes {
    match body {
        // `slice_ref` panics where it does not.
        Some(body)
            if body.as_ptr_range().start <= content.as_ptr_range().start
                && content.as_ptr_range().end <= body.as_ptr_range().end =>
        {
            body.slice_ref(content)
        }
        _ => Bytes::copy_from_slice(content),
    }
}

fn elements(
    typ: &ColumnType,
    cell: Option<&[u8]>,
    body: Option<&Bytes>,
) -> Result<Vec<CqlValue>, DeserializeError> {
    let view = ListView::<RawValue<'_>>::deserialize(typ, cell)?;
    let mut elements = Vec::with_capacity(view.len().min(COLLECTION_RESERVE_MAX));
    for element in view {
        let RawValue { typ, content } = element?;
        elements.push(read(typ, content, body)?);
    }
    Ok(elements)
}

fn entries(
    typ: &ColumnType,
    cell: Option<&[u8]>,
    body: Option<&Bytes>,
) -> Result<Vec<(CqlValue, CqlValue)>, DeserializeError> {
    let view = MapView::<RawValue<'_>, RawValue<'_>>::deserialize(typ, cell)?;
    let mut entries = Vec::with_capacity(view.len().min(COLLECTION_RESERVE_MAX));
    for entry in view {
        let (key, value) = entry?;
        let key = read(key.typ, key.content, body)?;
        entries.push((key, read(value.typ, value.content, body)?));
    }
    Ok(entries)
}

fn field(
    typ: &ColumnType,
    reader: &mut Reader<'_>,
    body: Option<&Bytes>,
) -> Result<Option<CqlValue>, DeserializeError> {
    let content =
        reader.bytes("field").map_err(|_| DeserializeError::bad_value("fields cut short"))?;
    content.map(|content| read(typ, Some(content), body)).transpose()
}
