//! Batches: logged, unlogged, of counters; prepared statements and text mixed.

use anyhow::{Result, ensure};
use shardwire::value::Counter;
use shardwire::{Batch, BatchStatement, BatchType, Session};

use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(batches::logged),
    case!(batches::unlogged),
    case!(batches::of_counters),
    case!(batches::mixed),
    case!(batches::with_a_timestamp),
    case!(batches::conditional),
    case!(batches::refused),
];

async fn table(context: &Context) -> Result<Session> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (id int, c int, v text, PRIMARY KEY (id, c))";
    context.alter(&session, text).await?;
    Ok(session)
}

async fn count(context: &Context, session: &Session) -> Result<i64> {
    let result = context.rows(session, "SELECT COUNT(*) FROM {ks}.t").await?;
    Ok(result.single_row::<(i64,)>()?.0)
}

async fn logged(context: &Context) -> Result<()> {
    many(context, BatchType::Logged).await
}

async fn unlogged(context: &Context) -> Result<()> {
    many(context, BatchType::Unlogged).await
}

async fn many(context: &Context, kind: BatchType) -> Result<()> {
    let session = table(context).await?;
    let text = context.text("INSERT INTO {ks}.t (id, c, v) VALUES (?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let rows: Vec<(i32, i32, String)> = (0..30).map(|n| (n % 3, n, format!("row {n}"))).collect();
    let batch = Batch::new_with_statements(kind, vec![BatchStatement::from(insert); rows.len()]);
    let result = session.batch(&batch, &rows).await?;
    ensure!(!result.is_rows(), "{result:?}");
    let result = context.rows(&session, "SELECT id, c, v FROM {ks}.t").await?;
    let mut found: Vec<(i32, i32, String)> = result.rows()?.collect::<Result<_, _>>()?;
    found.sort_by_key(|row| row.1);
    ensure!(found == rows, "{found:?}");
    Ok(())
}

async fn of_counters(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, n counter)").await?;
    let update = session.prepare(context.text("UPDATE {ks}.t SET n = n + ? WHERE id = ?")).await?;
    let mut batch = Batch::new(BatchType::Counter);
    for _ in 0..3 {
        batch.append_statement(update.clone());
    }
    session.batch(&batch, [(Counter(1), 1), (Counter(10), 2), (Counter(100), 1)]).await?;
    for (id, expected) in [(1, 101), (2, 10)] {
        let text = format!("SELECT n FROM {{ks}}.t WHERE id = {id}");
        let result = context.rows(&session, &text).await?;
        let (found,) = result.single_row::<(Counter,)>()?;
        ensure!(found == Counter(expected), "{id}: {found:?}");
    }
    Ok(())
}

async fn mixed(context: &Context) -> Result<()> {
    let session = table(context).await?;
    let insert = session.prepare(context.text("INSERT INTO {ks}.t (id, c, v) VALUES (?, ?, ?)"));
    let insert = insert.await?;
    let delete = session.prepare(context.text("DELETE FROM {ks}.t WHERE id = ? AND c = ?")).await?;
    context.query(&session, "INSERT INTO {ks}.t (id, c, v) VALUES (1, 1, 'old')").await?;
    let mut batch = Batch::new(BatchType::Logged);
    batch.append_statement(insert);
    batch.append_statement(
        context.text("INSERT INTO {ks}.t (id, c, v) VALUES (3, 3, 'x')").as_str(),
    );
    batch.append_statement(delete);
    session.batch(&batch, ((2, 2, "two"), (), (1, 1))).await?;
    let result = context.rows(&session, "SELECT id, v FROM {ks}.t").await?;
    let mut found: Vec<(i32, &str)> = result.rows()?.collect::<Result<_, _>>()?;
    found.sort_unstable();
    ensure!(found == [(2, "two"), (3, "x")], "{found:?}");
    Ok(())
}

/// Later is what has the later time, not what comes later.
async fn with_a_timestamp(context: &Context) -> Result<()> {
    let session = table(context).await?;
    for (value, timestamp) in [("late", 2000), ("early", 1000)] {
        let mut batch = Batch::new(BatchType::Unlogged);
        let text = format!("INSERT INTO {{ks}}.t (id, c, v) VALUES (1, 1, '{value}')");
        batch.append_statement(context.text(&text).as_str());
        batch.set_timestamp(Some(timestamp));
        session.batch(&batch, ((),)).await?;
    }
    let result = context.rows(&session, "SELECT v, writetime(v) FROM {ks}.t").await?;
    let row = result.single_row::<(&str, i64)>()?;
    ensure!(row == ("late", 2000), "{row:?}");
    Ok(())
}

/// All or nothing, and a row that says which.
async fn conditional(context: &Context) -> Result<()> {
    let session = table(context).await?;
    let text = context.text("INSERT INTO {ks}.t (id, c, v) VALUES (1, ?, ?) IF NOT EXISTS");
    let insert = session.prepare(text.as_str()).await?;
    let mut batch = Batch::new(BatchType::Logged);
    batch.append_statement(insert.clone());
    batch.append_statement(insert);
    for (rows, expected) in [([(1, "a"), (2, "b")], true), ([(2, "c"), (3, "d")], false)] {
        let result = session.batch(&batch, rows).await?.into_rows_result()?;
        let applied = super::lwt::applied(&result)?;
        ensure!(applied == expected, "{rows:?}: {applied}");
    }
    ensure!(count(context, &session).await? == 2, "half a batch was applied");
    Ok(())
}

async fn refused(context: &Context) -> Result<()> {
    let session = table(context).await?;
    // A SELECT can't be part of it; the driver can't know, the server says so.
    let mut batch = Batch::new(BatchType::Logged);
    batch.append_statement(context.text("SELECT * FROM {ks}.t").as_str());
    let error = session.batch(&batch, ((),)).await.err();
    let code = error.as_ref().and_then(|error| error.database_code());
    ensure!(matches!(code, Some(0x2000 | 0x2200)), "{error:?}");
    // As many rows as statements.
    let error = session.batch(&batch, ((), ())).await.err();
    ensure!(error.as_ref().is_some_and(|error| !error.was_sent()), "{error:?}");
    ensure!(count(context, &session).await? == 0, "something was applied");
    Ok(())
}
