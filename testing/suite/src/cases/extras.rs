//! What comes with a reply besides the result: traces and warnings.

use anyhow::{Context as _, Result, ensure};
use shardwire::{Batch, BatchStatement, BatchType, Statement};

use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[case!(extras::traces), case!(extras::warnings)];

/// Each kind of request can be traced, and the server has written down what it did.
async fn traces(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int)").await?;
    let text = context.text("INSERT INTO {ks}.t (id, v) VALUES (?, ?)");
    let mut insert = session.prepare(text.as_str()).await?;
    let plain = session.execute_unpaged(&insert, (1, 1)).await?;
    ensure!(plain.tracing_id().is_none(), "a trace that nobody asked for");
    insert.set_tracing(true);
    let mut select = Statement::new(context.text("SELECT v FROM {ks}.t WHERE id = 1"));
    select.set_tracing(true);
    let mut batch =
        Batch::new_with_statements(BatchType::Unlogged, vec![BatchStatement::from(insert.clone())]);
    batch.set_tracing(true);
    let results = [
        session.execute_unpaged(&insert, (1, 1)).await?,
        session.query_unpaged(select, ()).await?,
        session.batch(&batch, ((2, 2),)).await?,
    ];
    let [_, selected, _] = &results;
    let rows = selected.rows_result()?;
    ensure!(rows.single_row::<(i32,)>()? == (1,), "the rows behind the trace's id");
    let points: Vec<_> = context.target().contact_points().iter().map(|point| point.ip()).collect();
    for result in results {
        let id = result.tracing_id().context("no trace")?;
        let info = session.get_tracing_info(&id).await?;
        let coordinator = info.coordinator.context("no coordinator")?;
        ensure!(points.contains(&coordinator), "{info:?}");
        ensure!(info.request.is_some() && !info.events.is_empty(), "{info:?}");
    }
    Ok(())
}

/// A batch that is larger than it should be.
async fn warnings(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v text)").await?;
    let text = context.text("INSERT INTO {ks}.t (id, v) VALUES (?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let result = session.execute_unpaged(&insert, (1, "x")).await?;
    ensure!(result.warnings().next().is_none(), "a warning: {result:?}");
    let rows: Vec<(i32, String)> = (0..20).map(|id| (id, "x".repeat(1000))).collect();
    let statements = vec![BatchStatement::from(insert); rows.len()];
    let batch = Batch::new_with_statements(BatchType::Logged, statements);
    let result = session.batch(&batch, &rows).await?;
    let warnings: Vec<_> = result.warnings().collect();
    ensure!(warnings.iter().any(|text| text.contains("exceeding specified")), "{warnings:?}");
    Ok(())
}
