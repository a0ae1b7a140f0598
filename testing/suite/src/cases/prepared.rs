//! Prepared statements: what is known of them, and what happens when tables change under them.

use anyhow::{Result, ensure};
use shardwire::{ColumnType, Consistency, Row};

use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(prepared::metadata),
    case!(prepared::after_a_column_is_added),
    case!(prepared::after_a_column_is_dropped),
    case!(prepared::after_a_table_is_made_anew),
    case!(prepared::on_each_node),
    case!(prepared::of_a_keyspace_in_use),
    case!(prepared::with_its_own_settings),
    case!(prepared::many),
];

async fn metadata(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (a int, b text, c uuid, \"V w\" list<frozen<set<int>>>, \
                PRIMARY KEY ((a, b), c))";
    context.alter(&session, text).await?;
    let text = context.text("SELECT \"V w\", c FROM {ks}.t WHERE b = ? AND a = ? AND c > ?");
    let select = session.prepare(text.as_str()).await?;
    let found: Vec<_> = select
        .get_variable_col_specs()
        .iter()
        .map(|column| (column.name.as_str(), column.typ.clone()))
        .collect();
    let expected = [("b", ColumnType::Text), ("a", ColumnType::Int), ("c", ColumnType::Uuid)];
    ensure!(found == expected, "{found:?}");
    let found: Vec<_> = select
        .get_result_set_col_specs()
        .iter()
        .map(|column| (column.name.as_str(), column.typ.to_string()))
        .collect();
    let expected = [("V w", "list<set<int>>".to_owned()), ("c", "uuid".to_owned())];
    ensure!(found == expected, "{found:?}");
    // The key's columns are not in the key's order.
    ensure!(select.is_token_aware(), "the partition key is not known");
    let token = select.calculate_token(&("x", 1, uuid::Uuid::nil()))?;
    let insert = context.text("INSERT INTO {ks}.t (a, b, c) VALUES (?, ?, ?)");
    let insert = session.prepare(insert.as_str()).await?;
    session.execute_unpaged(&insert, (1, "x", uuid::Uuid::max())).await?;
    let result = context.rows(&session, "SELECT token(a, b) FROM {ks}.t").await?;
    let (found,) = result.single_row::<(i64,)>()?;
    ensure!(token.map(|token| token.0) == Some(found), "{token:?} is not {found}");
    Ok(())
}

/// A `SELECT *` shows the new column, and what was prepared before goes on.
async fn after_a_column_is_added(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int)").await?;
    let insert = session.prepare(context.text("INSERT INTO {ks}.t (id, v) VALUES (?, ?)")).await?;
    session.execute_unpaged(&insert, (1, 1)).await?;
    let all = session.prepare(context.text("SELECT * FROM {ks}.t")).await?;
    let named = session.prepare(context.text("SELECT id, v FROM {ks}.t")).await?;
    let result = session.execute_unpaged(&all, ()).await?.into_rows_result()?;
    ensure!(result.single_row::<(i32, i32)>()? == (1, 1), "{result:?}");
    // It sorts before `v`: by position it would be read for it.
    context.alter(&session, "ALTER TABLE {ks}.t ADD n text").await?;
    context.query(&session, "UPDATE {ks}.t SET n = 'new' WHERE id = 1").await?;
    for _ in 0..2 {
        let result = session.execute_unpaged(&all, ()).await?.into_rows_result()?;
        let names: Vec<_> =
            result.column_specs().iter().map(|column| column.name.as_str()).collect();
        ensure!(names == ["id", "n", "v"], "{names:?}");
        let row = result.single_row::<(i32, &str, i32)>()?;
        ensure!(row == (1, "new", 1), "{row:?}");
        let result = session.execute_unpaged(&named, ()).await?.into_rows_result()?;
        ensure!(result.single_row::<(i32, i32)>()? == (1, 1), "{result:?}");
        session.execute_unpaged(&insert, (1, 1)).await?;
    }
    Ok(())
}

async fn after_a_column_is_dropped(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, a int, b int)").await?;
    let insert =
        session.prepare(context.text("INSERT INTO {ks}.t (id, a, b) VALUES (?, ?, ?)")).await?;
    session.execute_unpaged(&insert, (1, 2, 3)).await?;
    let all = session.prepare(context.text("SELECT * FROM {ks}.t")).await?;
    session.execute_unpaged(&all, ()).await?;
    context.alter(&session, "ALTER TABLE {ks}.t DROP a").await?;
    let result = session.execute_unpaged(&all, ()).await?.into_rows_result()?;
    ensure!(result.single_row::<(i32, i32)>()? == (1, 3), "{result:?}");
    // What names the column is refused, and says why.
    let error = session.execute_unpaged(&insert, (1, 2, 3)).await.err();
    let code = error.as_ref().and_then(|error| error.database_code());
    ensure!(code == Some(0x2200), "{error:?}");
    Ok(())
}

async fn after_a_table_is_made_anew(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int)").await?;
    let insert = session.prepare(context.text("INSERT INTO {ks}.t (id, v) VALUES (?, ?)")).await?;
    let select = session.prepare(context.text("SELECT v FROM {ks}.t WHERE id = ?")).await?;
    session.execute_unpaged(&insert, (1, 1)).await?;
    context.alter(&session, "DROP TABLE {ks}.t").await?;
    let error = session.execute_unpaged(&select, (1,)).await.err();
    let code = error.as_ref().and_then(|error| error.database_code());
    ensure!(code == Some(0x2200), "{error:?}");
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int)").await?;
    let result = session.execute_unpaged(&select, (1,)).await?.into_rows_result()?;
    ensure!(result.rows_num() == 0, "rows of the old table");
    session.execute_unpaged(&insert, (1, 2)).await?;
    let result = session.execute_unpaged(&select, (1,)).await?.into_rows_result()?;
    ensure!(result.single_row::<(i32,)>()? == (2,), "{result:?}");
    Ok(())
}

/// A statement is prepared on one node or more, and runs on all.
async fn on_each_node(context: &Context) -> Result<()> {
    let session = context.session_with_replicas(1).await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int)").await?;
    // No marker for the key: these go to one node after the other.
    let mut select = session.prepare(context.text("SELECT v FROM {ks}.t LIMIT 1")).await?;
    select.set_consistency(Consistency::One);
    for _ in 0..context.target().node_count() * 4 {
        session.execute_unpaged(&select, ()).await?;
    }
    let again = context.builder().build().await?;
    let other = again.prepare(context.text("SELECT v FROM {ks}.t LIMIT 1")).await?;
    ensure!(other.get_id() == select.get_id(), "nodes differ about the id");
    // Known to the nodes already, and known to none of them in this form.
    again.execute_unpaged(&select, ()).await?;
    Ok(())
}

async fn of_a_keyspace_in_use(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.\"Tt\" (id int PRIMARY KEY, v int)").await?;
    let session = context.builder().use_keyspace(context.keyspace()).build().await?;
    let insert = session.prepare("INSERT INTO \"Tt\" (id, v) VALUES (?, ?)").await?;
    for id in 0..20 {
        session.execute_unpaged(&insert, (id, id)).await?;
    }
    let result = session.query_unpaged("SELECT COUNT(*) FROM \"Tt\"", ()).await?;
    ensure!(result.into_rows_result()?.single_row::<(i64,)>()? == (20,), "not 20 rows");
    Ok(())
}

async fn with_its_own_settings(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int)").await?;
    let insert = session.prepare(context.text("INSERT INTO {ks}.t (id, v) VALUES (?, ?)")).await?;
    let mut early = insert.clone();
    early.set_timestamp(Some(1000));
    early.set_consistency(Consistency::All);
    session.execute_unpaged(&insert, (1, 2)).await?;
    session.execute_unpaged(&early, (1, 1)).await?;
    let mut select = session.prepare(context.text("SELECT v FROM {ks}.t WHERE id = 1")).await?;
    select.set_consistency(Consistency::All);
    let result = session.execute_unpaged(&select, ()).await?.into_rows_result()?;
    ensure!(result.single_row::<(i32,)>()? == (2,), "the earlier value has won");
    select.set_use_cached_result_metadata(true);
    for _ in 0..3 {
        let result = session.execute_unpaged(&select, ()).await?.into_rows_result()?;
        let row = result.single_row::<Row>()?;
        ensure!(row.columns.len() == 1 && result.column_specs().len() == 1, "{row:?}");
    }
    Ok(())
}

/// More at a time than one connection has streams for by default, with replies out of order.
async fn many(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v text)").await?;
    let insert = session.prepare(context.text("INSERT INTO {ks}.t (id, v) VALUES (?, ?)")).await?;
    let select = session.prepare(context.text("SELECT id, v FROM {ks}.t WHERE id = ?")).await?;
    let rows: Vec<(i32, String)> = (0..400).map(|id| (id, "x".repeat(id as usize * 7))).collect();
    for chunk in rows.chunks(100) {
        let inserts = chunk.iter().map(|row| session.execute_unpaged(&insert, row));
        futures::future::try_join_all(inserts).await?;
    }
    for chunk in rows.chunks(100) {
        let selects = chunk.iter().map(|row| session.execute_unpaged(&select, (row.0,)));
        for (row, result) in chunk.iter().zip(futures::future::try_join_all(selects).await?) {
            let found = result.into_rows_result()?.single_row::<(i32, String)>()?;
            ensure!(found == *row, "row {} is not what was written", row.0);
        }
    }
    Ok(())
}
