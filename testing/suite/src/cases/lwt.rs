//! Conditional statements, applied and not.

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use shardwire::value::CqlValue;
use shardwire::{
    Consistency, DbError, QueryRowsResult, Row, SerialConsistency, Session, Statement, WriteType,
};

use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(lwt::insert),
    case!(lwt::update),
    case!(lwt::delete),
    case!(lwt::one_of_many_wins),
    case!(lwt::serial_reads),
];

/// Whether it was, as the driver says and by the column that every server sends.
pub(super) fn applied(rows: &QueryRowsResult) -> Result<bool> {
    let column = column(rows, "[applied]")?;
    let applied = column.and_then(|value| value.as_boolean()).context("null")?;
    ensure!(rows.lwt_result()?.is_applied() == applied, "{rows:?}");
    Ok(applied)
}

/// A column of the first row. Servers send different columns: Cassandra those that stood in the
/// way, ScyllaDB all.
fn column(rows: &QueryRowsResult, name: &str) -> Result<Option<CqlValue>> {
    let index = rows.column_specs().iter().position(|column| column.name.as_str() == name);
    let index = index.with_context(|| format!("no column {name}"))?;
    let row = rows.first_row::<Row>()?;
    row.columns.into_iter().nth(index).context("a row without this column")
}

async fn table(context: &Context) -> Result<Session> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int, w text)").await?;
    Ok(session)
}

async fn insert(context: &Context) -> Result<()> {
    let session = table(context).await?;
    let text = context.text("INSERT INTO {ks}.t (id, v) VALUES (?, ?) IF NOT EXISTS");
    let insert = session.prepare(text.as_str()).await?;
    let rows = session.execute_unpaged(&insert, (1, 10)).await?.into_rows_result()?;
    ensure!(applied(&rows)?, "not applied");
    // The row that stands in the way comes back.
    for _ in 0..2 {
        let rows = session.execute_unpaged(&insert, (1, 20)).await?.into_rows_result()?;
        ensure!(!applied(&rows)?, "applied");
        let found = column(&rows, "v")?;
        ensure!(found == Some(CqlValue::Int(10)), "{found:?}");
        ensure!(column(&rows, "w")?.is_none(), "a value from nowhere");
    }
    // And again for one that is applied: the columns of replies differ.
    let rows = session.execute_unpaged(&insert, (2, 20)).await?.into_rows_result()?;
    ensure!(applied(&rows)?, "not applied");
    Ok(())
}

async fn update(context: &Context) -> Result<()> {
    let session = table(context).await?;
    context.query(&session, "INSERT INTO {ks}.t (id, v) VALUES (1, 10)").await?;
    let text = context.text("UPDATE {ks}.t SET v = ? WHERE id = ? IF v = ?");
    let update = session.prepare(text.as_str()).await?;
    let rows = session.execute_unpaged(&update, (11, 1, 10)).await?.into_rows_result()?;
    ensure!(applied(&rows)?, "not applied");
    let rows = session.execute_unpaged(&update, (12, 1, 10)).await?.into_rows_result()?;
    ensure!(!applied(&rows)?, "applied");
    let found = column(&rows, "v")?;
    ensure!(found == Some(CqlValue::Int(11)), "{found:?}");
    // Of a row that is not there, compared with null.
    let rows = session.execute_unpaged(&update, (12, 2, None::<i32>)).await?.into_rows_result()?;
    ensure!(applied(&rows)?, "not applied");
    // As text.
    let text = "UPDATE {ks}.t SET v = 1 WHERE id = 1 IF v = 99";
    ensure!(!applied(&context.rows(&session, text).await?)?, "applied");
    Ok(())
}

async fn delete(context: &Context) -> Result<()> {
    let session = table(context).await?;
    context.query(&session, "INSERT INTO {ks}.t (id, v) VALUES (1, 10)").await?;
    let text = context.text("DELETE FROM {ks}.t WHERE id = ? IF EXISTS");
    let delete = session.prepare(text.as_str()).await?;
    for expected in [true, false] {
        let rows = session.execute_unpaged(&delete, (1,)).await?.into_rows_result()?;
        ensure!(applied(&rows)? == expected, "not {expected}");
    }
    Ok(())
}

/// Of several that want the same row, at most one is told that it got it; others may be told that
/// they were in each other's way, and do not know.
async fn one_of_many_wins(context: &Context) -> Result<()> {
    let session = table(context).await?;
    let text = context.text("INSERT INTO {ks}.t (id, v) VALUES (1, ?) IF NOT EXISTS");
    let insert = session.prepare(text.as_str()).await?;
    let requests = (0..4).map(|v| session.execute_unpaged(&insert, (v,)));
    let mut winners = Vec::new();
    let mut unknown = Vec::new();
    for (v, result) in (0..4).zip(join_all(requests).await) {
        match result {
            Ok(result) if applied(result.rows_result()?)? => winners.push(v),
            Ok(_) => {}
            Err(error) => {
                let told = error.database().map(|error| error.db_error());
                let is_unknown = matches!(
                    told,
                    Some(
                        DbError::WriteTimeout { write_type: WriteType::Cas, .. }
                            | DbError::CasWriteUnknown { .. }
                    )
                );
                ensure!(is_unknown, "{error:?}");
                unknown.push(v);
            }
        }
    }
    // At a serial level, which ends what was left undone.
    let mut select = Statement::new(context.text("SELECT v FROM {ks}.t WHERE id = 1"));
    select.set_consistency(Consistency::LocalSerial);
    let rows = session.query_unpaged(select, ()).await?.into_rows_result()?;
    let found = rows.maybe_first_row::<(i32,)>()?.map(|(v,)| v);
    ensure!(
        match (winners.as_slice(), found) {
            ([winner], Some(found)) => *winner == found,
            ([], Some(found)) => unknown.contains(&found),
            ([], None) => unknown.len() == 4,
            _ => false,
        },
        "{winners:?} won, {unknown:?} don't know, {found:?} is there"
    );
    Ok(())
}

async fn serial_reads(context: &Context) -> Result<()> {
    let session = table(context).await?;
    let mut insert =
        Statement::new(context.text("INSERT INTO {ks}.t (id, v) VALUES (1, 1) IF NOT EXISTS"));
    insert.set_serial_consistency(Some(SerialConsistency::Serial));
    ensure!(applied(&session.query_unpaged(insert, ()).await?.into_rows_result()?)?, "not applied");
    for consistency in [Consistency::Serial, Consistency::LocalSerial] {
        let mut select = Statement::new(context.text("SELECT v FROM {ks}.t WHERE id = 1"));
        select.set_consistency(consistency);
        let rows = session.query_unpaged(select, ()).await?.into_rows_result()?;
        ensure!(rows.single_row::<(i32,)>()? == (1,), "{consistency:?}");
    }
    Ok(())
}
