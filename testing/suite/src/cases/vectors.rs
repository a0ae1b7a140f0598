//! Vectors, of elements of one length and of any.

use anyhow::{Result, ensure};
use shardwire::value::CqlValue;

use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] =
    &[case!(vectors::of_each_kind).since_5_0(), case!(vectors::nearest).since_5_0()];

async fn of_each_kind(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (id int PRIMARY KEY, f vector<float, 3>, t vector<text, 2>, \
                s vector<smallint, 2>, v vector<vector<int, 2>, 2>, l vector<frozen<list<int>>, 2>, \
                i list<frozen<vector<bigint, 1>>>)";
    context.alter(&session, text).await?;
    type Columns = (Vec<f32>, Vec<String>, Vec<i16>, Vec<Vec<i32>>, Vec<Vec<i32>>, Vec<Vec<i64>>);
    let row: Columns = (
        vec![1.5, -0.0, f32::MAX],
        vec![String::new(), "é".repeat(200)],
        vec![i16::MIN, 1],
        vec![vec![1, 2], vec![3, i32::MAX]],
        vec![vec![], vec![1, 2, 3]],
        vec![vec![i64::MIN]],
    );
    let text =
        context.text("INSERT INTO {ks}.t (id, f, t, s, v, l, i) VALUES (?, ?, ?, ?, ?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let (f, t, s, v, l, i) = &row;
    session.execute_unpaged(&insert, (0, f, t, s, v, l, i)).await?;
    let text = format!(
        "INSERT INTO {{ks}}.t (id, f, t, s, v, l, i) VALUES (1, [1.5, -0.0, 3.4028235E38], \
         ['', '{}'], [-32768, 1], [[1, 2], [3, 2147483647]], [[], [1, 2, 3]], \
         [[-9223372036854775808]])",
        "é".repeat(200)
    );
    context.query(&session, &text).await?;
    let text = context.text("SELECT f, t, s, v, l, i FROM {ks}.t WHERE id = ?");
    let select = session.prepare(text.as_str()).await?;
    let result = session.execute_unpaged(&select, (1,)).await?.into_rows_result()?;
    type Dynamic = (CqlValue, CqlValue, CqlValue, CqlValue, CqlValue, CqlValue);
    let (f, t, s, v, l, i) = result.single_row::<Dynamic>()?;
    ensure!(matches!(f, CqlValue::Vector(_)), "{f:?}");
    session.execute_unpaged(&insert, (2, f, t, s, v, l, i)).await?;
    for id in 0..3 {
        let result = session.execute_unpaged(&select, (id,)).await?.into_rows_result()?;
        let found = result.single_row::<Columns>()?;
        // As text, which tells zeros apart.
        ensure!(format!("{found:?}") == format!("{row:?}"), "{id}: {found:?}");
    }
    // The wrong number of elements is refused before anything is sent.
    let insert = session.prepare(context.text("INSERT INTO {ks}.t (id, f) VALUES (3, ?)")).await?;
    let error = session.execute_unpaged(&insert, (vec![1.0_f32],)).await;
    ensure!(error.is_err_and(|error| !error.was_sent()), "a vector of the wrong length was sent");
    Ok(())
}

/// The rows whose vectors are nearest to a bound one.
async fn nearest(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (id int PRIMARY KEY, v vector<float, 2>)";
    context.alter(&session, text).await?;
    let text = "CREATE INDEX t_v ON {ks}.t (v) USING 'sai' \
                WITH OPTIONS = {'similarity_function': 'euclidean'}";
    context.alter(&session, text).await?;
    let text = context.text("INSERT INTO {ks}.t (id, v) VALUES (?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    for id in 0..20_i16 {
        session.execute_unpaged(&insert, (i32::from(id), [f32::from(id), 0.0])).await?;
    }
    let text = context.text("SELECT id FROM {ks}.t ORDER BY v ANN OF ? LIMIT 3");
    let mut select = session.prepare(text.as_str()).await?;
    select.set_consistency(shardwire::Consistency::One);
    let result = session.execute_unpaged(&select, ([7.1_f32, 0.0],)).await?.into_rows_result()?;
    let ids: Vec<(i32,)> = result.rows()?.collect::<Result<_, _>>()?;
    ensure!(ids == [(7,), (8,), (6,)], "{ids:?}");
    Ok(())
}
