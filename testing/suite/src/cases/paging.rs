//! Pages, of one partition and of many.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use futures::TryStreamExt;
use futures::stream::FuturesUnordered;
use shardwire::{PagingState, Session, Statement};

use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(paging::of_a_table),
    case!(paging::of_a_partition),
    case!(paging::kept_states),
    case!(paging::of_nothing),
    case!(paging::unpaged),
];

const PARTITIONS: i32 = 20;
const ROWS: i32 = 15;

async fn filled(context: &Context) -> Result<Session> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (id int, c int, v text, PRIMARY KEY (id, c))";
    context.alter(&session, text).await?;
    let text = context.text("INSERT INTO {ks}.t (id, c, v) VALUES (?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let inserts: FuturesUnordered<_> = (0..PARTITIONS * ROWS)
        .map(|n| session.execute_unpaged(&insert, (n / ROWS, n % ROWS, "some text")))
        .collect();
    inserts.try_for_each(|_| async { Ok(()) }).await?;
    Ok(session)
}

async fn of_a_table(context: &Context) -> Result<()> {
    let session = filled(context).await?;
    for page_size in [1, 7, 100, PARTITIONS * ROWS, 1000] {
        let mut select = session.prepare(context.text("SELECT id, c FROM {ks}.t")).await?;
        select.set_page_size(page_size);
        let mut pager = session.execute_iter(&select, ());
        let mut seen = BTreeSet::new();
        while let Some(page) = pager.next_page().await? {
            ensure!(page.rows_num() <= usize::try_from(page_size)?, "{} rows", page.rows_num());
            for row in page.rows::<(i32, i32)>()? {
                ensure!(seen.insert(row?), "a row was seen twice");
            }
        }
        let expected = usize::try_from(PARTITIONS * ROWS)?;
        ensure!(seen.len() == expected, "{page_size} a page: {} rows", seen.len());
    }
    Ok(())
}

async fn of_a_partition(context: &Context) -> Result<()> {
    let session = filled(context).await?;
    let text = context.text("SELECT c, v FROM {ks}.t WHERE id = ? ORDER BY c DESC");
    let mut select = session.prepare(text.as_str()).await?;
    select.set_page_size(4);
    let mut pager = session.execute_iter(&select, (7,));
    let mut expected = (0..ROWS).rev();
    while let Some((c, v)) = pager.next_row::<(i32, String)>().await? {
        ensure!(Some(c) == expected.next() && v == "some text", "{c} {v}");
    }
    ensure!(expected.next().is_none(), "rows are missing");
    // By text, and with a LIMIT that ends in a page.
    let mut select = Statement::new(context.text("SELECT c FROM {ks}.t WHERE id = 3 LIMIT 10"));
    select.set_page_size(4);
    let mut pager = session.query_iter(select, ()).await?;
    let mut sizes = Vec::new();
    while let Some(page) = pager.next_page().await? {
        sizes.push(page.rows_num());
    }
    sizes.retain(|size| *size > 0);
    ensure!(sizes == [4, 4, 2], "{sizes:?}");
    Ok(())
}

/// A state that was kept as bytes leads to the next page, also by another session.
async fn kept_states(context: &Context) -> Result<()> {
    let session = filled(context).await?;
    let text = context.text("SELECT c FROM {ks}.t WHERE id = 5");
    let mut select = session.prepare(text.as_str()).await?;
    select.set_page_size(10);
    let (first, paging) = session.execute_single_page(&select, (), None).await?;
    ensure!(first.rows_result()?.rows_num() == 10, "{first:?}");
    let Some(state) = paging.into_paging_state() else { anyhow::bail!("no second page") };
    let kept = state.to_vec();
    let other = context.builder().build().await?;
    let mut select = other.prepare(text.as_str()).await?;
    select.set_page_size(10);
    for _ in 0..2 {
        let state = Some(PagingState::from_bytes(&kept));
        let (second, paging) = other.execute_single_page(&select, (), state).await?;
        let rows = second.rows_result()?.rows::<(i32,)>()?.collect::<Result<Vec<_>, _>>()?;
        ensure!(rows == (10..ROWS).map(|c| (c,)).collect::<Vec<_>>(), "{rows:?}");
        ensure!(paging.finished(), "a third page");
    }
    // A state that is none is refused.
    let state = Some(PagingState::from_bytes(b"no state"));
    let error = other.execute_single_page(&select, (), state).await.err();
    let code = error.as_ref().and_then(|error| error.database_code());
    ensure!(matches!(code, Some(0x000A | 0x2200)), "{error:?}");
    Ok(())
}

async fn of_nothing(context: &Context) -> Result<()> {
    let session = filled(context).await?;
    let text = context.text("SELECT c FROM {ks}.t WHERE id = -1");
    let select = session.prepare(text.as_str()).await?;
    let mut pager = session.execute_iter(&select, ());
    while let Some(page) = pager.next_page().await? {
        ensure!(page.rows_num() == 0, "{page:?}");
    }
    let result = session.execute_unpaged(&select, ()).await?.into_rows_result()?;
    ensure!(result.maybe_first_row::<(i32,)>()?.is_none(), "{result:?}");
    Ok(())
}

/// All rows in one reply, however many.
async fn unpaged(context: &Context) -> Result<()> {
    let session = filled(context).await?;
    let result = context.rows(&session, "SELECT id, c, v FROM {ks}.t").await?;
    ensure!(result.rows_num() == usize::try_from(PARTITIONS * ROWS)?, "{}", result.rows_num());
    ensure!(result.rows::<(i32, i32, &str)>()?.all(|row| row.is_ok()), "a row can't be read");
    Ok(())
}
