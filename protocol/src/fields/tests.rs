//! Derived structs, and the fields they are made of.

use std::collections::BTreeMap;

use super::*;
use crate::error::{DeserializeError, SerializeError};
use crate::routing::{Partitioner, token_of_row};
use crate::row::{DeserializeRow, SerializeRow};
use crate::rows::TypedRows;
use crate::types::{ColumnSpec, UdtType};
use crate::value::{DeserializeValue, MaybeUnset, SerializeValue, ValueLen};
use crate::wire::Writer;

// ---- what the tests are made of ----

fn columns(named: &[(&str, ColumnType)]) -> Vec<ColumnSpec> {
    let column = |(name, typ): &(&str, ColumnType)| ColumnSpec {
        keyspace: "k".into(),
        table: "t".into(),
        name: (*name).into(),
        typ: typ.clone(),
    };
    named.iter().map(column).collect()
}

fn udt(named: &[(&str, ColumnType)]) -> ColumnType {
    let fields = named.iter().map(|(name, typ)| ((*name).into(), typ.clone())).collect();
    ColumnType::Udt(Box::new(UdtType { keyspace: "k".into(), name: "u".into(), fields }))
}

fn cells(contents: &[Option<&[u8]>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for content in contents {
        match content {
            Some(content) => {
                bytes.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
                bytes.extend(*content);
            }
            None => bytes.extend([0xFF; 4]),
        }
    }
    bytes
}

fn bind(row: &impl SerializeRow, columns: &[ColumnSpec]) -> Result<Vec<u8>, SerializeError> {
    row.type_check(columns)?;
    let mut bytes = vec![0; row.values_len(columns)?];
    let mut writer = Writer::new(&mut bytes);
    row.write_values(columns, &mut writer);
    writer.finish()?;
    Ok(bytes)
}

fn bind_value(value: &impl SerializeValue, typ: &ColumnType) -> Result<Vec<u8>, SerializeError> {
    fn check<V: SerializeValue>(_: &V, typ: &ColumnType) -> Result<(), SerializeError> {
        Ok(V::type_check(typ)?)
    }
    check(value, typ)?;
    let ValueLen::Bytes(len) = value.value_len(typ)? else { panic!("no content") };
    let mut bytes = vec![0; usize::try_from(len).unwrap()];
    let mut writer = Writer::new(&mut bytes);
    value.write(typ, &mut writer);
    writer.finish()?;
    Ok(bytes)
}

fn read<'f, R: DeserializeRow<'f>>(
    columns: &'f [ColumnSpec],
    cells: &'f [u8],
) -> Result<R, DeserializeError> {
    let mut rows = TypedRows::over(columns, cells, 1)?;
    rows.next().expect("one row")
}

fn read_value<'f, V: DeserializeValue<'f>>(
    typ: &'f ColumnType,
    content: Option<&'f [u8]>,
) -> Result<V, DeserializeError> {
    V::type_check(typ)?;
    V::deserialize(typ, content)
}

const ONE: &[u8] = &[0, 0, 0, 1];
const TWO: &[u8] = &[0, 0, 0, 2];

fn id_name() -> Vec<ColumnSpec> {
    columns(&[("id", ColumnType::Int), ("name", ColumnType::Text)])
}

fn name_id() -> Vec<ColumnSpec> {
    columns(&[("name", ColumnType::Text), ("id", ColumnType::Int)])
}

/// Columns or fields by name, and a row of them.
type Case<'c> = (&'c [(&'c str, ColumnType)], &'c [Option<&'c [u8]>]);

// ---- rows by name ----

#[derive(Debug, PartialEq, SerializeRow, DeserializeRow)]
#[shardwire(crate = crate)]
struct Item<'a> {
    id: i32,
    name: &'a str,
}

const LAMP: Item<'_> = Item { id: 1, name: "lamp" };

#[test]
fn rows_find_their_columns_by_name() {
    for (columns, bytes) in [
        (id_name(), cells(&[Some(ONE), Some(b"lamp")])),
        (name_id(), cells(&[Some(b"lamp"), Some(ONE)])),
    ] {
        assert_eq!(bind(&LAMP, &columns), Ok(bytes.clone()));
        assert_eq!(read::<Item<'_>>(&columns, &bytes), Ok(LAMP));
    }
    assert_eq!(LAMP.value_count(), 2);
}

#[test]
fn whether_columns_are_in_order_is_known() {
    assert!(<Item<'_> as DeserializeRow>::is_in_order(&id_name()));
    assert!(!<Item<'_> as DeserializeRow>::is_in_order(&name_id()));
}

#[test]
fn without_columns_values_go_by_position() {
    assert_eq!(LAMP.values_len(&[]), Ok(16));
    let mut bytes = [0; 16];
    LAMP.write_values(&[], &mut Writer::new(&mut bytes));
    assert_eq!(bytes[..], cells(&[Some(ONE), Some(b"lamp")]));
}

#[test]
fn what_does_not_fit_by_name() {
    let check = |columns: &[ColumnSpec], bound: &str, read: &str| {
        assert_eq!(LAMP.type_check(columns).unwrap_err().to_string(), bound);
        let error = <Item<'_> as DeserializeRow>::type_check(columns).unwrap_err();
        assert_eq!(error.to_string(), read);
    };
    check(
        &columns(&[("id", ColumnType::Int)]),
        "the statement has no bind marker for field name",
        "the result has no column for field name",
    );
    check(
        &columns(&[("id", ColumnType::Int), ("name", ColumnType::Blob)]),
        "column 1: str does not fit blob",
        "column 1: &str does not fit blob",
    );
    let no_value = "column 2: the row has no value of that name there";
    let no_field = "column 2: the row type has no field of that name there";
    let [id, name] = [("id", ColumnType::Int), ("name", ColumnType::Text)];
    check(&columns(&[id.clone(), name.clone(), ("more", ColumnType::Int)]), no_value, no_field);
    check(&columns(&[id.clone(), name, id]), no_value, no_field);
}

/// No two names with one FNV-1a hash are known to us, but a peer may know some: their types are
/// checked as text.
#[test]
fn names_are_compared_as_text_once() {
    struct Column(Name);
    impl Named for Column {
        fn name(&self) -> &Name {
            &self.0
        }
        fn typ(&self) -> &ColumnType {
            &ColumnType::Int
        }
    }
    let id = FieldName::new("id");
    let fake = FieldName { text: "no id", hash: id.hash() };
    let field = FieldType { name: fake, type_check: i32_check, may_be_missing: true };
    for (matching, fault) in
        [(Matching::ByName, Fault::Excess(0)), (Matching::InOrder, Fault::Order(fake, 0))]
    {
        let checked = check(matching, true, &[Column("id".into())], |visit| visit(field));
        assert_eq!(checked, Err(fault));
    }
}

fn i32_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
    <i32 as SerializeValue>::type_check(typ)
}

#[test]
fn cells_of_rows_by_name_that_are_wrong() {
    for columns in [id_name(), name_id()] {
        let is_id = |column: &ColumnSpec| column.name == "id";
        let id = columns.iter().position(is_id).unwrap();
        let mut contents = [Some(&b"lamp"[..]); 2];
        contents[id] = None;
        let error = read::<Item<'_>>(&columns, &cells(&contents)).unwrap_err();
        assert_eq!(error.to_string(), format!("column {id} is null, which i32 cannot be"));
        contents[id] = Some(ONE);
        let bytes = cells(&contents);
        for len in 0..bytes.len() {
            assert!(read::<Item<'_>>(&columns, &bytes[..len]).is_err(), "{len}");
        }
    }
}

#[test]
fn keys_are_hashed_by_name() {
    let in_order = token_of_row(&LAMP, &[0, 1], &id_name(), Partitioner::Murmur3);
    let turned = token_of_row(&LAMP, &[1, 0], &name_id(), Partitioner::Murmur3);
    let tuple = token_of_row(&(1, "lamp"), &[0, 1], &id_name(), Partitioner::Murmur3);
    assert_eq!((&in_order, &turned), (&tuple, &tuple));
    assert_eq!(token_of_row(&LAMP, &[0, 1], &[], Partitioner::Murmur3), tuple);
    let error = token_of_row(&LAMP, &[2], &id_name(), Partitioner::Murmur3).unwrap_err();
    assert_eq!(error, SerializeError::NoValueForMarker { column: 2 });

    let null = Sparse { id: None, name: MaybeUnset::Unset };
    let error = token_of_row(&null, &[1], &id_name(), Partitioner::Murmur3).unwrap_err();
    assert_eq!(error, SerializeError::KeyColumnNull { column: 1 });
}

#[derive(SerializeRow)]
#[shardwire(crate = crate)]
struct Sparse {
    id: Option<i32>,
    name: MaybeUnset<String>,
}

#[test]
fn values_may_be_null_or_unset() {
    let row = Sparse { id: None, name: MaybeUnset::Unset };
    let bytes = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE];
    assert_eq!(bind(&row, &id_name()), Ok(bytes.to_vec()));
}

#[test]
fn each_type_has_its_check() {
    let sparse = Sparse { id: None, name: MaybeUnset::Unset };
    assert_eq!(LAMP.type_key(), Item { id: 2, name: "" }.type_key());
    assert_ne!(LAMP.type_key(), sparse.type_key());
    assert!(LAMP.type_key().is_some_and(|key| key != 0));
}

// ---- attributes of rows ----

#[derive(Debug, Default, PartialEq, SerializeRow, DeserializeRow)]
#[shardwire(crate = "crate")]
struct Attributed {
    #[shardwire(rename = "Title")]
    title: String,
    #[shardwire(skip)]
    cached: Option<u64>,
    #[shardwire(default_when_null)]
    count: i32,
    r#type: i32,
}

#[test]
fn renamed_skipped_and_defaulted() {
    let named =
        [("Title", ColumnType::Text), ("count", ColumnType::Int), ("type", ColumnType::Int)];
    for turn in 0..3 {
        let (mut named, mut contents) = (named.clone(), [Some(&b"x"[..]), None, Some(TWO)]);
        named.rotate_left(turn);
        contents.rotate_left(turn);
        let row = read::<Attributed>(&columns(&named), &cells(&contents));
        let expected = Attributed { title: "x".into(), cached: None, count: 0, r#type: 2 };
        assert_eq!(row, Ok(expected));
    }
    let row = Attributed { title: "x".into(), cached: Some(7), count: 1, r#type: 2 };
    let bytes = cells(&[Some(b"x"), Some(ONE), Some(TWO)]);
    assert_eq!(bind(&row, &columns(&named)), Ok(bytes));
}

#[derive(Debug, PartialEq, DeserializeRow)]
#[shardwire(crate = crate)]
struct Missing {
    #[shardwire(allow_missing)]
    first: i32,
    second: i32,
    #[shardwire(allow_missing, default_when_null)]
    third: i32,
}

#[derive(Debug, PartialEq, DeserializeRow)]
#[shardwire(crate = crate, flavor = "enforce_order")]
struct MissingInOrder {
    #[shardwire(allow_missing)]
    first: i32,
    second: i32,
    #[shardwire(allow_missing, default_when_null)]
    third: i32,
}

#[test]
fn missing_columns_take_the_default() {
    let int = ColumnType::Int;
    let cases = [
        (vec!["second"], vec![Some(TWO)], [0, 2, 0]),
        (vec!["first", "second"], vec![Some(ONE), Some(TWO)], [1, 2, 0]),
        (vec!["second", "third"], vec![Some(TWO), None], [0, 2, 0]),
        (vec!["first", "second", "third"], vec![Some(ONE), Some(TWO), Some(ONE)], [1, 2, 1]),
        (vec!["third", "second"], vec![Some(ONE), Some(TWO)], [0, 2, 1]),
    ];
    for (names, contents, [first, second, third]) in cases {
        let columns: Vec<_> = names.iter().map(|name| (*name, int.clone())).collect();
        let (columns, bytes) = (self::columns(&columns), cells(&contents));
        assert_eq!(read(&columns, &bytes), Ok(Missing { first, second, third }));
        let in_order = read::<MissingInOrder>(&columns, &bytes);
        if names[0] == "third" {
            let error = DeserializeError::NoFieldForColumn { column: 0 };
            assert_eq!(in_order, Err(error));
        } else {
            assert_eq!(in_order, Ok(MissingInOrder { first, second, third }));
        }
    }
    let error = <Missing as DeserializeRow>::type_check(&columns(&[("first", int)])).unwrap_err();
    assert_eq!(error, DeserializeError::NoColumnForField { field: "second" });
}

#[derive(Debug, PartialEq, SerializeRow, DeserializeRow)]
#[shardwire(crate = crate)]
struct Whole<'a> {
    id: i32,
    #[shardwire(flatten)]
    part: Part<'a>,
    last: i32,
}

#[derive(Debug, PartialEq, SerializeRow, DeserializeRow)]
#[shardwire(crate = crate)]
struct Part<'a> {
    name: &'a str,
    note: Option<&'a str>,
}

#[test]
fn flattened_structs_lie_between_the_other_fields() {
    let named = [
        ("id", ColumnType::Int),
        ("name", ColumnType::Text),
        ("note", ColumnType::Text),
        ("last", ColumnType::Int),
    ];
    let contents = [Some(ONE), Some(&b"lamp"[..]), None, Some(TWO)];
    let whole = Whole { id: 1, part: Part { name: "lamp", note: None }, last: 2 };
    for turn in 0..4 {
        let (mut named, mut contents) = (named.clone(), contents);
        named.rotate_left(turn);
        contents.rotate_left(turn);
        let (columns, bytes) = (columns(&named), cells(&contents));
        assert_eq!(bind(&whole, &columns), Ok(bytes.clone()));
        assert_eq!(read::<Whole<'_>>(&columns, &bytes), Ok(whole.copied()));
        assert_eq!(<Whole<'_> as DeserializeRow>::is_in_order(&columns), turn == 0);
    }
    assert_eq!(whole.value_count(), 4);
    let (with, without) = named.split_at(2);
    let error = whole.type_check(&columns(&[with, &without[1..]].concat())).unwrap_err();
    assert_eq!(error, SerializeError::NoMarkerForField { field: "note" });
}

impl Whole<'_> {
    fn copied(&self) -> Self {
        Self { id: self.id, part: Part { ..self.part }, last: self.last }
    }
}

// ---- rows in order ----

#[derive(Debug, PartialEq, SerializeRow, DeserializeRow)]
#[scylla(crate = nowhere, flavor = "enforce_order")]
#[shardwire(crate = crate, flavor = "enforce_order")]
struct Ordered<'a> {
    id: i32,
    name: &'a str,
}

#[derive(Debug, PartialEq, SerializeRow, DeserializeRow)]
#[shardwire(crate = crate, flavor = "enforce_order", skip_name_checks)]
struct Unnamed<'a> {
    a: i32,
    b: &'a str,
}

#[derive(Debug, PartialEq, SerializeRow, DeserializeRow)]
#[shardwire(crate = crate)]
struct Pair<'a>(i32, &'a str);

#[derive(Debug, PartialEq, SerializeRow, DeserializeRow)]
#[shardwire(crate = crate)]
struct Nothing;

#[test]
fn rows_in_order() {
    let bytes = cells(&[Some(ONE), Some(b"lamp")]);
    let columns = id_name();
    assert_eq!(bind(&Ordered { id: 1, name: "lamp" }, &columns), Ok(bytes.clone()));
    assert_eq!(bind(&Unnamed { a: 1, b: "lamp" }, &columns), Ok(bytes.clone()));
    assert_eq!(bind(&Pair(1, "lamp"), &columns), Ok(bytes.clone()));
    assert_eq!(read::<Ordered<'_>>(&columns, &bytes), Ok(Ordered { id: 1, name: "lamp" }));
    assert_eq!(read::<Unnamed<'_>>(&columns, &bytes), Ok(Unnamed { a: 1, b: "lamp" }));
    assert_eq!(read::<Pair<'_>>(&columns, &bytes), Ok(Pair(1, "lamp")));
    assert_eq!(bind(&Nothing, &[]), Ok(vec![]));
    assert_eq!(read::<Nothing>(&[], &[]), Ok(Nothing));
    assert!(Nothing.type_check(&columns).is_err());

    let token = token_of_row(&Pair(1, "lamp"), &[1], &columns, Partitioner::Murmur3);
    assert_eq!(token, token_of_row(&(1, "lamp"), &[1], &columns, Partitioner::Murmur3));
}

#[test]
fn what_does_not_fit_in_order() {
    let ordered = Ordered { id: 1, name: "lamp" };
    let turned = ordered.type_check(&name_id()).unwrap_err();
    assert_eq!(turned, SerializeError::NoValueForMarker { column: 0 });
    let turned = <Ordered<'_> as DeserializeRow>::type_check(&name_id()).unwrap_err();
    assert_eq!(turned, DeserializeError::NoFieldForColumn { column: 0 });
    let short = <Ordered<'_> as DeserializeRow>::type_check(&id_name()[..1]).unwrap_err();
    assert_eq!(short, DeserializeError::NoColumnForField { field: "name" });
    let mut long = id_name();
    long.extend(columns(&[("more", ColumnType::Int)]));
    let excess = ordered.type_check(&long).unwrap_err();
    assert_eq!(excess, SerializeError::NoValueForMarker { column: 2 });

    let count = Pair(1, "lamp").type_check(&long).unwrap_err();
    assert_eq!(count, SerializeError::WrongValueCount { expected: 3, got: 2 });
    let count = <Unnamed<'_> as DeserializeRow>::type_check(&id_name()[..1]).unwrap_err();
    assert_eq!(count, DeserializeError::WrongColumnCount { expected: 2, got: 1 });
    let typ = <Pair<'_> as DeserializeRow>::type_check(&name_id()).unwrap_err();
    assert_eq!(typ.to_string(), "column 0: i32 does not fit text");
}

// ---- user-defined types ----

#[derive(Debug, Default, PartialEq, SerializeValue, DeserializeValue)]
#[shardwire(crate = crate)]
struct Address {
    street: String,
    number: Option<i32>,
}

fn address() -> Address {
    Address { street: "Elm".into(), number: Some(1) }
}

fn street_number() -> [(&'static str, ColumnType); 2] {
    [("street", ColumnType::Text), ("number", ColumnType::Int)]
}

#[test]
fn user_defined_types_by_name() {
    let [street, number] = street_number();
    let more = ("more", ColumnType::Blob);
    let elm = Some(&b"Elm"[..]);
    let cases: [Case<'_>; 5] = [
        (&[street.clone(), number.clone()], &[elm, Some(ONE)]),
        (&[number.clone(), street.clone()], &[Some(ONE), elm]),
        (&[street.clone(), number.clone(), more.clone()], &[elm, Some(ONE)]),
        (&[street.clone(), more.clone(), number.clone()], &[elm, None, Some(ONE)]),
        (&[more, number, street], &[None, Some(ONE), elm]),
    ];
    for (fields, contents) in cases {
        let (typ, bytes) = (udt(fields), cells(contents));
        assert_eq!(bind_value(&address(), &typ), Ok(bytes.clone()));
        assert_eq!(read_value(&typ, Some(&bytes)), Ok(address()));
        assert!(read_value::<Address>(&typ, None).is_err());
        assert_eq!(read_value::<Option<Address>>(&typ, None), Ok(None));
    }
}

#[test]
fn user_defined_types_that_end_early() {
    let typ = udt(&street_number());
    let bytes = cells(&[Some(b"Elm")]);
    let read = read_value(&typ, Some(&bytes));
    assert_eq!(read, Ok(Address { street: "Elm".into(), number: None }));
    let error = read_value::<Address>(&typ, Some(&[])).unwrap_err();
    let expected = "column 0, field street is null, which alloc::string::String cannot be";
    assert_eq!(error.to_string(), expected);
    let bytes = cells(&[Some(b"Elm"), Some(ONE)]);
    for len in (0..bytes.len()).filter(|len| *len != 7) {
        assert!(read_value::<Address>(&typ, Some(&bytes[..len])).is_err(), "{len}");
    }
}

#[test]
fn what_does_not_fit_a_user_defined_type() {
    let [street, number] = street_number();
    let check = |typ: &ColumnType, message: &str| {
        let error = <Address as SerializeValue>::type_check(typ).unwrap_err();
        assert_eq!(error.to_string().replace("shardwire_protocol::fields::tests::", ""), message);
        let error = <Address as DeserializeValue>::type_check(typ).unwrap_err();
        assert_eq!(error.to_string().replace("shardwire_protocol::fields::tests::", ""), message);
    };
    check(&ColumnType::Int, "column 0: Address does not fit int");
    check(&udt(std::slice::from_ref(&street)), "column 0: udt has no field number of Address");
    check(
        &udt(&[street, ("number", ColumnType::Blob)]),
        "column 0, field number: i32 does not fit blob",
    );
    check(&udt(&[number]), "column 0: udt has no field street of Address");
    // Within a row, the column is told too.
    #[derive(SerializeRow)]
    #[shardwire(crate = crate)]
    struct Person {
        id: i32,
        home: Address,
    }
    let home = udt(&[("street", ColumnType::Text), ("number", ColumnType::Text)]);
    let columns = columns(&[("id", ColumnType::Int), ("home", home)]);
    let error = Person { id: 1, home: address() }.type_check(&columns).unwrap_err();
    assert_eq!(error.to_string(), "column 1, field number: i32 does not fit text");
}

#[derive(Debug, PartialEq, SerializeValue, DeserializeValue)]
#[shardwire(crate = crate, flavor = "enforce_order", forbid_excess_udt_fields)]
struct Strict {
    street: String,
    #[shardwire(skip)]
    cached: u8,
    number: i32,
}

#[derive(Debug, PartialEq, SerializeValue, DeserializeValue)]
#[shardwire(crate = crate, flavor = "enforce_order", skip_name_checks)]
struct UnnamedUdt {
    a: String,
    b: i32,
}

#[derive(Debug, PartialEq, DeserializeValue)]
#[scylla(crate = crate)] // not ours
#[shardwire(crate = crate)]
struct Lenient {
    #[scylla(allow_missing)]
    street: String,
    #[scylla(default_when_null, allow_missing)]
    number: i32,
}

#[test]
fn attributes_of_user_defined_types() {
    let [street, number] = street_number();
    let (typ, bytes) = (udt(&[street.clone(), number.clone()]), cells(&[Some(b"Elm"), Some(ONE)]));
    let strict = Strict { street: "Elm".into(), cached: 0, number: 1 };
    assert_eq!(bind_value(&strict, &typ), Ok(bytes.clone()));
    assert_eq!(read_value(&typ, Some(&bytes)), Ok(strict));
    let check = |typ: &ColumnType| <Strict as DeserializeValue>::type_check(typ).unwrap_err();
    let turned = check(&udt(&[number.clone(), street.clone()]));
    assert_eq!(turned.reason, crate::error::MismatchReason::FieldOrder);
    let excess = check(&udt(&[street.clone(), number.clone(), ("more", ColumnType::Int)]));
    assert_eq!(excess.reason, crate::error::MismatchReason::ExcessField(2));

    let unnamed = UnnamedUdt { a: "Elm".into(), b: 1 };
    assert_eq!(bind_value(&unnamed, &typ), Ok(bytes.clone()));
    assert_eq!(read_value(&typ, Some(&bytes)), Ok(unnamed));
    let short = <UnnamedUdt as SerializeValue>::type_check(&udt(std::slice::from_ref(&street)))
        .unwrap_err();
    assert!(short.to_string().contains("udt has fewer fields than"), "{short}");

    let lenient = |typ: &ColumnType, bytes: &[u8]| {
        read_value::<Lenient>(typ, Some(bytes)).map(|it| (it.street, it.number))
    };
    assert_eq!(lenient(&udt(&[]), &[]), Ok((String::new(), 0)));
    assert_eq!(lenient(&udt(&[number]), &cells(&[None])), Ok((String::new(), 0)));
    assert_eq!(lenient(&udt(&[street]), &cells(&[Some(b"Elm")])), Ok(("Elm".into(), 0)));
}

#[test]
fn user_defined_types_nest_and_are_never_unset() {
    #[derive(Debug, PartialEq, SerializeValue, DeserializeValue)]
    #[shardwire(crate = crate)]
    struct Person<'a> {
        name: &'a str,
        homes: Vec<Address>,
        by_year: BTreeMap<i32, Address>,
    }
    let home = udt(&street_number());
    let typ = udt(&[
        ("name", ColumnType::Text),
        ("homes", ColumnType::List(Box::new(home.clone()))),
        ("by_year", ColumnType::Map(Box::new((ColumnType::Int, home.clone())))),
    ]);
    let person = Person {
        name: "Ann",
        homes: vec![address(), Address::default()],
        by_year: BTreeMap::from([(1999, address())]),
    };
    let bytes = bind_value(&person, &typ).unwrap();
    assert_eq!(read_value(&typ, Some(&bytes)), Ok(person));

    #[derive(SerializeValue)]
    #[shardwire(crate = crate)]
    struct Sparse {
        street: MaybeUnset<String>,
    }
    let error = Sparse { street: MaybeUnset::Unset }.value_len(&home).unwrap_err();
    let expected = "column 0, field street: a part of a user-defined type cannot be unset";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn values_of_unchecked_types_are_errors() {
    for typ in [ColumnType::Int, udt(&[]), udt(&[("x", ColumnType::Int)])] {
        assert!(Address::deserialize(&typ, Some(&[])).is_err());
        let mut bytes = [0; 64];
        address().write(&typ, &mut Writer::new(&mut bytes));
    }
    assert!(address().value_len(&ColumnType::Int).is_err());
}

// ---- values that are their only field, and parameters ----

#[derive(Debug, PartialEq, SerializeValue, DeserializeValue)]
#[shardwire(crate = crate, transparent)]
struct ItemId(i32);

#[derive(Debug, PartialEq, SerializeRow, DeserializeRow)]
#[shardwire(crate = crate)]
struct Generic<'a, 'b: 'a, T, U: Default, const N: usize> {
    id: T,
    name: Option<&'a U>,
    #[shardwire(skip)]
    other: Option<[&'b str; N]>,
    #[shardwire(skip)]
    more: U,
}

#[derive(Debug, PartialEq, SerializeRow, DeserializeRow)]
#[shardwire(crate = crate)]
struct Outer<R> {
    #[shardwire(flatten)]
    inner: R,
}

#[test]
fn transparent_structs_are_their_field() {
    assert_eq!(bind_value(&ItemId(1), &ColumnType::Int), Ok(ONE.to_vec()));
    assert_eq!(read_value(&ColumnType::Int, Some(ONE)), Ok(ItemId(1)));
    assert_eq!(bind(&(ItemId(1),), &id_name()[..1]), Ok(cells(&[Some(ONE)])));
    assert_eq!(read(&id_name()[..1], &cells(&[Some(ONE)])), Ok((ItemId(1),)));
    let error = <ItemId as SerializeValue>::type_check(&ColumnType::Text).unwrap_err();
    assert_eq!(error.to_string(), "column 0: i32 does not fit text");
}

macro_rules! defined_by_a_macro {
    ($name:ident, $field:ident, $typ:ty) => {
        #[derive(Debug, PartialEq, SerializeRow, DeserializeRow)]
        #[shardwire(crate = crate)]
        struct $name {
            id: i32,
            $field: $typ,
        }
    };
}

defined_by_a_macro!(OfMacro, name, String);

#[test]
fn structs_of_macros() {
    let row = OfMacro { id: 1, name: "lamp".into() };
    let bytes = cells(&[Some(ONE), Some(b"lamp")]);
    assert_eq!(bind(&row, &id_name()), Ok(bytes.clone()));
    assert_eq!(read(&id_name(), &bytes), Ok(row));
}

#[test]
fn parameters_are_bound() {
    let row = Outer { inner: Item { id: 1, name: "lamp" } };
    let bytes = cells(&[Some(ONE), Some(b"lamp")]);
    assert_eq!(bind(&row, &id_name()), Ok(bytes.clone()));
    assert_eq!(read(&id_name(), &bytes), Ok(row));
    let name = String::from("lamp");
    let row: Generic<'_, '_, i32, String, 0> =
        Generic { id: 1, name: Some(&name), other: None, more: String::new() };
    assert_eq!(bind(&row, &name_id()), Ok(cells(&[Some(b"lamp"), Some(ONE)])));
}

#[cfg(feature = "serde_json-1")]
mod json {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
    struct Boxed([u8; 1]);

    const fn boxed(number: u8) -> Boxed {
        Boxed([number])
    }

    #[derive(Clone, Debug, PartialEq, SerializeRow, DeserializeRow)]
    #[shardwire(crate = crate)]
    struct Documents {
        #[shardwire(json)]
        always: Boxed,
        #[shardwire(json)]
        sometimes: Option<Boxed>,
        #[shardwire(json, default_when_null)]
        defaulted: Boxed,
    }

    #[derive(Clone, Debug, PartialEq, SerializeValue, DeserializeValue)]
    #[shardwire(crate = crate, transparent)]
    struct Document(#[shardwire(json)] Boxed);

    #[test]
    fn fields_of_json() {
        let text = ColumnType::Text;
        let named = ["always", "sometimes", "defaulted"].map(|name| (name, text.clone()));
        for turn in 0..3 {
            let mut named = named.clone();
            named.rotate_left(turn);
            let columns = columns(&named);
            let row = Documents { always: boxed(1), sometimes: None, defaulted: boxed(2) };
            let mut contents = [Some(&b"[1]"[..]), None, Some(b"[2]")];
            contents.rotate_left(turn);
            assert_eq!(bind(&row, &columns), Ok(cells(&contents)));
            assert_eq!(read(&columns, &cells(&contents)), Ok(row.clone()));

            let mut contents = [Some(&b"[1]"[..]), Some(b"[3]"), None];
            contents.rotate_left(turn);
            let expected = Documents { sometimes: Some(boxed(3)), defaulted: boxed(0), ..row };
            assert_eq!(read(&columns, &cells(&contents)), Ok(expected));
            contents.fill(Some(b"[]"));
            let error = read::<Documents>(&columns, &cells(&contents)).unwrap_err();
            assert!(matches!(error, DeserializeError::BadValue { column: 0, .. }), "{error}");
        }
        assert_eq!(bind_value(&Document(boxed(1)), &text), Ok(b"[1]".to_vec()));
        assert_eq!(read_value(&text, Some(b"[1]")), Ok(Document(boxed(1))));
    }
}
