//! User-defined types, also within each other and after they have got more fields.

use anyhow::{Result, ensure};
use shardwire::value::CqlValue;
use shardwire::{DeserializeValue, SerializeValue};

use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] =
    &[case!(udts::structs), case!(udts::nested), case!(udts::more_fields)];

#[derive(Clone, Debug, PartialEq, SerializeValue, DeserializeValue)]
struct Address {
    // Not in the type's order.
    zip: i32,
    street: Option<String>,
    phones: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, SerializeValue, DeserializeValue)]
struct Person {
    name: String,
    home: Option<Address>,
    others: Vec<Address>,
}

async fn types(context: &Context, session: &shardwire::Session) -> Result<()> {
    let text = "CREATE TYPE {ks}.address (street text, zip int, phones frozen<set<text>>)";
    context.alter(session, text).await?;
    let text = "CREATE TYPE {ks}.person (name text, home frozen<address>, \
                others frozen<list<frozen<address>>>)";
    context.alter(session, text).await
}

async fn structs(context: &Context) -> Result<()> {
    let session = context.session().await?;
    types(context, &session).await?;
    let text = "CREATE TABLE {ks}.t (id int PRIMARY KEY, frozen frozen<address>, loose address)";
    context.alter(&session, text).await?;
    let text = context.text("INSERT INTO {ks}.t (id, frozen, loose) VALUES (?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let address = Address { zip: 12345, street: None, phones: vec!["1".into(), "2".into()] };
    session.execute_unpaged(&insert, (0, &address, &address)).await?;
    let text = "INSERT INTO {ks}.t (id, frozen, loose) VALUES (1, \
                {zip: 12345, phones: {'2', '1'}}, {street: null, zip: 12345, phones: {'1', '2'}})";
    context.query(&session, text).await?;
    let text = context.text("SELECT frozen, loose FROM {ks}.t WHERE id = ?");
    let select = session.prepare(text.as_str()).await?;
    let result = session.execute_unpaged(&select, (1,)).await?.into_rows_result()?;
    let (frozen, loose) = result.single_row::<(CqlValue, CqlValue)>()?;
    ensure!(frozen.udt_field("zip") == Some(&CqlValue::Int(12345)), "{frozen:?}");
    ensure!(frozen.udt_field("street").is_none(), "{frozen:?}");
    session.execute_unpaged(&insert, (2, frozen, loose)).await?;
    for id in 0..3 {
        let result = session.execute_unpaged(&select, (id,)).await?.into_rows_result()?;
        let row = result.single_row::<(Address, Address)>()?;
        ensure!(row == (address.clone(), address.clone()), "{id}: {row:?}");
    }
    // A field of one that is not frozen.
    context.query(&session, "UPDATE {ks}.t SET loose.zip = 7 WHERE id = 0").await?;
    let result = context.rows(&session, "SELECT loose.zip FROM {ks}.t WHERE id = 0").await?;
    ensure!(result.single_row::<(i32,)>()? == (7,), "the field has not changed");
    Ok(())
}

async fn nested(context: &Context) -> Result<()> {
    let session = context.session().await?;
    types(context, &session).await?;
    let text = "CREATE TABLE {ks}.t (id int PRIMARY KEY, p frozen<person>, \
                m map<text, frozen<list<frozen<person>>>>, u frozen<tuple<int, frozen<address>>>)";
    context.alter(&session, text).await?;
    let address = Address { zip: -1, street: Some("Main".into()), phones: vec![] };
    let person = Person {
        name: "é".into(),
        home: Some(address.clone()),
        others: vec![address.clone(), address.clone()],
    };
    let poor = Person { name: String::new(), home: None, others: vec![] };
    let map: std::collections::HashMap<String, Vec<Person>> =
        [("both".to_owned(), vec![person.clone(), poor.clone()])].into();
    let text = context.text("INSERT INTO {ks}.t (id, p, m, u) VALUES (?, ?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    session.execute_unpaged(&insert, (0, &person, &map, (Some(1), Some(&address)))).await?;
    let text = "SELECT p, m, u FROM {ks}.t WHERE id = 0";
    let result = context.rows(&session, text).await?;
    type Columns =
        (Person, std::collections::HashMap<String, Vec<Person>>, (Option<i32>, Option<Address>));
    let row = result.single_row::<Columns>()?;
    ensure!(row == (person, map, (Some(1), Some(address))), "{row:?}");
    let (json,) = {
        let result = context.rows(&session, "SELECT toJson(p) FROM {ks}.t WHERE id = 0").await?;
        result.single_row::<(String,)>()?
    };
    let address = r#"{"street": "Main", "zip": -1, "phones": []}"#;
    let expected =
        format!(r#"{{"name": "é", "home": {address}, "others": [{address}, {address}]}}"#);
    ensure!(json == expected, "{json}");
    Ok(())
}

/// A value that was written before the type had this field has none.
async fn more_fields(context: &Context) -> Result<()> {
    #[derive(Debug, PartialEq, SerializeValue, DeserializeValue)]
    struct More {
        street: Option<String>,
        zip: Option<i32>,
        phones: Option<Vec<String>>,
        country: Option<String>,
    }

    let session = context.session().await?;
    types(context, &session).await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, a frozen<address>)").await?;
    let text = context.text("INSERT INTO {ks}.t (id, a) VALUES (?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let address = Address { zip: 1, street: None, phones: vec![] };
    session.execute_unpaged(&insert, (0, &address)).await?;
    context.alter(&session, "ALTER TYPE {ks}.address ADD country text").await?;
    let result = context.rows(&session, "SELECT a FROM {ks}.t WHERE id = 0").await?;
    let (old,) = result.single_row::<(More,)>()?;
    let expected = More { street: None, zip: Some(1), phones: Some(vec![]), country: None };
    ensure!(old == expected, "{old:?}");
    let insert = session.prepare(text.as_str()).await?;
    let new = More { country: Some("NZ".into()), ..expected };
    session.execute_unpaged(&insert, (1, &new)).await?;
    let result = context.rows(&session, "SELECT a FROM {ks}.t WHERE id = 1").await?;
    let (found,) = result.single_row::<(More,)>()?;
    ensure!(found == new, "{found:?}");
    Ok(())
}
