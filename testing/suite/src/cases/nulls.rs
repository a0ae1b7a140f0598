//! Null and unset: what is taken away, and what is left alone.

use anyhow::{Result, ensure};
use shardwire::ErrorKind;
use shardwire::value::{CqlValue, MaybeUnset, Unset};

use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(nulls::null_and_unset),
    case!(nulls::in_keys),
    case!(nulls::in_collections),
    case!(nulls::bound_by_name),
];

async fn null_and_unset(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, a int, b text)").await?;
    let text = context.text("INSERT INTO {ks}.t (id, a, b) VALUES (?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let text = context.text("SELECT a, b FROM {ks}.t WHERE id = 1");
    let select = session.prepare(text.as_str()).await?;
    let row = async || -> Result<(Option<i32>, Option<String>)> {
        let result = session.execute_unpaged(&select, ()).await?.into_rows_result()?;
        Ok(result.single_row()?)
    };
    session.execute_unpaged(&insert, (1, 7, "seven")).await?;
    // Unset leaves what there is.
    session.execute_unpaged(&insert, (1, Unset, MaybeUnset::<&str>::Unset)).await?;
    let found = row().await?;
    ensure!(found == (Some(7), Some("seven".into())), "{found:?}");
    // Null takes it away.
    session.execute_unpaged(&insert, (1, None::<i32>, MaybeUnset::Set("new"))).await?;
    let found = row().await?;
    ensure!(found == (None, Some("new".into())), "{found:?}");
    let result = session.execute_unpaged(&select, ()).await?.into_rows_result()?;
    let dynamic = result.single_row::<(Option<CqlValue>, Option<CqlValue>)>()?;
    ensure!(dynamic == (None, Some(CqlValue::Text("new".into()))), "{dynamic:?}");
    // Who does not expect null is told.
    let error = result.single_row::<(i32, &str)>().err().map(|error| error.kind());
    ensure!(error == Some(ErrorKind::Deserialize), "{error:?}");
    Ok(())
}

/// The driver refuses what has no partition; the server what has no row.
async fn in_keys(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (id int, c int, v int, PRIMARY KEY (id, c))";
    context.alter(&session, text).await?;
    let text = context.text("INSERT INTO {ks}.t (id, c, v) VALUES (?, ?, 1)");
    let insert = session.prepare(text.as_str()).await?;
    let error = session.execute_unpaged(&insert, (None::<i32>, 1)).await.err();
    ensure!(error.as_ref().is_some_and(|error| !error.was_sent()), "{error:?}");
    for error in [
        session.execute_unpaged(&insert, (1, None::<i32>)).await.err(),
        session.execute_unpaged(&insert, (1, Unset)).await.err(),
    ] {
        let code = error.as_ref().and_then(|error| error.database_code());
        ensure!(code == Some(0x2200), "{error:?}");
    }
    Ok(())
}

/// Null is no element of a collection. Cassandra takes it for a fault of its own, which is the one
/// way to a server error (0000) that is open to clients.
async fn in_collections(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, l list<int>)").await?;
    let text = context.text("INSERT INTO {ks}.t (id, l) VALUES (?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let error = session.execute_unpaged(&insert, (1, vec![Some(1), None])).await.err();
    let code = error.as_ref().and_then(|error| error.database_code());
    ensure!(matches!(code, Some(0x0000 | 0x2200)), "{error:?}");
    // The connection goes on.
    session.execute_unpaged(&insert, (1, vec![Some(1)])).await?;
    Ok(())
}

async fn bound_by_name(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, a int, b text)").await?;
    let text = context.text("INSERT INTO {ks}.t (id, a, b) VALUES (:id, :a, :b)");
    let insert = session.prepare(text.as_str()).await?;
    let values: std::collections::BTreeMap<&str, Option<CqlValue>> =
        [("b", Some(CqlValue::Text("x".into()))), ("id", Some(CqlValue::Int(1))), ("a", None)]
            .into();
    session.execute_unpaged(&insert, &values).await?;
    let result = context.rows(&session, "SELECT * FROM {ks}.t").await?;
    let row = result.single_row::<(i32, Option<i32>, &str)>()?;
    ensure!(row == (1, None, "x"), "{row:?}");
    Ok(())
}
