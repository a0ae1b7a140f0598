//! Derive macros of Shardwire: structs as rows and as user-defined types.
//!
//! They are found beside the traits of the same names, which tell what each does; this crate is
//! not used alone. What they write is short: the list of a struct's fields, for
//! `shardwire_protocol::fields` to do the rest.
//!
//! # Attributes
//!
//! All stand in `#[shardwire(...)]`. `#[scylla(...)]` is read too, but for its `crate`, so that
//! structs of the official driver need no change; where both stand, the first counts.
//!
//! Of a struct:
//!
//! | attribute | means |
//! |---|---|
//! | `flavor = "match_by_name"` | fields find their columns by name: the default |
//! | `flavor = "enforce_order"` | columns stand in the order of the fields; names must agree |
//! | `skip_name_checks` | with `enforce_order`: whatever the names are |
//! | `forbid_excess_udt_fields` | each field of the user-defined type must have one here |
//! | `transparent` | of values: the struct is its only field, not a user-defined type |
//! | `crate = path` | where `shardwire`, or `shardwire_protocol`, is found |
//!
//! Of a field:
//!
//! | attribute | means |
//! |---|---|
//! | `rename = "name"` | its column is called so |
//! | `skip` | it is not bound; read structs take the default |
//! | `flatten` | of rows: its fields stand in for it; it is a derived row itself |
//! | `json` | text in the database, by serde; the feature `serde_json-1` |
//! | `default_when_null` | reading a null takes the default |
//! | `allow_missing` | reading without such a column takes the default |
//!
//! Structs without names for their fields are rows by position; they have no user-defined type.
//!
//! Reading order: `input.rs`, `ser.rs`, `de.rs`.

#![forbid(unsafe_code)]

use proc_macro::TokenStream;

mod de;
mod input;
mod ser;

use input::{Input, Shape};

/// Binds a struct as the values of a statement.
///
/// By name unless told otherwise: each bind marker needs a field, and each field a marker, which is
/// checked once per statement. Where markers stand in the order of the fields, they are bound by
/// position after a comparison of hashes. The attributes are listed at the top of this crate.
///
/// ```
/// use shardwire_protocol::row::SerializeRow;
/// use shardwire_protocol::types::{ColumnSpec, ColumnType};
/// use shardwire_protocol::value::MaybeUnset;
///
/// #[derive(SerializeRow)]
/// #[shardwire(crate = shardwire_protocol)] // not needed beside `shardwire`
/// struct Item<'a> {
///     #[shardwire(rename = "item_id")]
///     id: i64,
///     name: &'a str,
///     price: MaybeUnset<f64>,
///     #[shardwire(skip)]
///     is_new: bool,
/// }
///
/// # let column = |name: &str, typ| {
/// #     let (keyspace, table) = ("shop".into(), "items".into());
/// #     ColumnSpec { keyspace, table, name: name.into(), typ }
/// # };
/// // Of INSERT INTO items (name, item_id, price) VALUES (?, ?, ?).
/// let mut markers = vec![
///     column("name", ColumnType::Text),
///     column("item_id", ColumnType::Bigint),
///     column("price", ColumnType::Double),
/// ];
/// let item = Item { id: 7, name: "lamp", price: MaybeUnset::Unset, is_new: true };
/// assert!(item.is_new);
/// assert_eq!(item.type_check(&markers), Ok(()));
/// assert_eq!(item.values_len(&markers), Ok((4 + 4) + (4 + 8) + 4));
///
/// markers.push(column("colour", ColumnType::Text));
/// let error = item.type_check(&markers).unwrap_err();
/// assert_eq!(error.to_string(), "column 3: the row has no value of that name there");
/// ```
#[proc_macro_derive(SerializeRow, attributes(shardwire, scylla))]
pub fn serialize_row(input: TokenStream) -> TokenStream {
    derive(input, Shape::Row, ser::row)
}

/// Binds a struct as a value of a user-defined type, or, `transparent`, as its only field.
///
/// By name unless told otherwise. Fields that the type has and the struct has not are null; those
/// behind the struct's last one are left out. The attributes are listed at the top of this crate.
///
/// ```
/// use shardwire_protocol::types::{ColumnType, UdtType};
/// use shardwire_protocol::value::{SerializeValue, ValueLen};
///
/// #[derive(SerializeValue)]
/// #[shardwire(crate = shardwire_protocol)]
/// struct Address {
///     street: String,
///     number: Option<i32>,
/// }
///
/// #[derive(SerializeValue)]
/// #[shardwire(crate = shardwire_protocol, transparent)]
/// struct ItemId(i64);
///
/// let fields = [("number".into(), ColumnType::Int), ("street".into(), ColumnType::Text)];
/// let typ = UdtType { keyspace: "shop".into(), name: "address".into(), fields: fields.into() };
/// let typ = ColumnType::Udt(Box::new(typ));
/// assert_eq!(Address::type_check(&typ), Ok(()));
/// let address = Address { street: "Elm".into(), number: None };
/// assert_eq!(address.value_len(&typ), Ok(ValueLen::Bytes(4 + (4 + 3))));
///
/// assert_eq!(ItemId::type_check(&ColumnType::Bigint), Ok(()));
/// assert_eq!(ItemId(7).value_len(&ColumnType::Bigint), Ok(ValueLen::Bytes(8)));
/// ```
#[proc_macro_derive(SerializeValue, attributes(shardwire, scylla))]
pub fn serialize_value(input: TokenStream) -> TokenStream {
    derive(input, Shape::Value, ser::value)
}

/// Reads a row as a struct, whose fields may borrow from the reply.
///
/// By name unless told otherwise: each column needs a field, and each field a column, which is
/// checked once per metadata. Where columns stand in the order of the fields, rows are read by
/// position. The attributes are listed at the top of this crate.
///
/// ```
/// use shardwire_protocol::row::DeserializeRow;
/// use shardwire_protocol::rows::TypedRows;
/// use shardwire_protocol::types::{ColumnSpec, ColumnType};
///
/// #[derive(Debug, DeserializeRow, PartialEq)]
/// #[shardwire(crate = shardwire_protocol)] // not needed beside `shardwire`
/// struct Item<'a> {
///     id: i64,
///     name: &'a str,
///     #[shardwire(flatten)]
///     stock: Stock,
/// }
///
/// #[derive(Debug, DeserializeRow, PartialEq)]
/// #[shardwire(crate = shardwire_protocol)]
/// struct Stock {
///     #[shardwire(default_when_null)]
///     count: i16,
///     #[shardwire(allow_missing)]
///     reserved: i16,
/// }
///
/// # let column = |name: &str, typ| {
/// #     let (keyspace, table) = ("shop".into(), "items".into());
/// #     ColumnSpec { keyspace, table, name: name.into(), typ }
/// # };
/// // Of SELECT name, id, count FROM items.
/// let columns = [
///     column("name", ColumnType::Text),
///     column("id", ColumnType::Bigint),
///     column("count", ColumnType::Smallint),
/// ];
/// let cells = b"\0\0\0\x04lamp\0\0\0\x08\0\0\0\0\0\0\0\x07\xFF\xFF\xFF\xFF";
/// let mut rows = TypedRows::<Item>::over(&columns, cells, 1)?;
/// let stock = Stock { count: 0, reserved: 0 };
/// assert_eq!(rows.next(), Some(Ok(Item { id: 7, name: "lamp", stock })));
///
/// let error = TypedRows::<Item>::over(&columns[..2], cells, 1).unwrap_err();
/// assert_eq!(error.to_string(), "the result has no column for field count");
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[proc_macro_derive(DeserializeRow, attributes(shardwire, scylla))]
pub fn deserialize_row(input: TokenStream) -> TokenStream {
    derive(input, Shape::Row, de::row)
}

/// Reads a value of a user-defined type as a struct, whose fields may borrow from the reply; or,
/// `transparent`, whatever its only field is read from.
///
/// By name unless told otherwise: each field needs one of the type's, and those that the struct has
/// not are passed over. Values may end early, what is missing is null. The attributes are listed
/// at the top of this crate.
///
/// ```
/// use shardwire_protocol::types::{ColumnType, UdtType};
/// use shardwire_protocol::value::DeserializeValue;
///
/// #[derive(Debug, DeserializeValue, PartialEq)]
/// #[shardwire(crate = shardwire_protocol)]
/// struct Address<'a> {
///     street: &'a str,
///     number: Option<i32>,
/// }
///
/// let fields = [
///     ("city".into(), ColumnType::Text),
///     ("street".into(), ColumnType::Text),
///     ("number".into(), ColumnType::Int),
/// ];
/// let typ = UdtType { keyspace: "shop".into(), name: "address".into(), fields: fields.into() };
/// let typ = ColumnType::Udt(Box::new(typ));
/// Address::type_check(&typ)?;
/// let address = Address::deserialize(&typ, Some(b"\0\0\0\x04Bonn\0\0\0\x03Elm"))?;
/// assert_eq!(address, Address { street: "Elm", number: None });
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[proc_macro_derive(DeserializeValue, attributes(shardwire, scylla))]
pub fn deserialize_value(input: TokenStream) -> TokenStream {
    derive(input, Shape::Value, de::value)
}

fn derive(
    input: TokenStream,
    shape: Shape,
    write: impl FnOnce(&Input) -> proc_macro2::TokenStream,
) -> TokenStream {
    let input = syn::parse(input).and_then(|input| Input::new(input, shape));
    match input {
        Ok(input) => write(&input).into(),
        Err(error) => error.into_compile_error().into(),
    }
}
