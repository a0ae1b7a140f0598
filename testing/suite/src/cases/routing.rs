//! Where requests go, compared with what the server says of it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use uuid::Uuid;

use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(routing::tokens),
    case!(routing::replicas).three_nodes(),
    case!(routing::coordinators).three_nodes(),
    case!(routing::arrivals).three_nodes().embedded().alone(),
    case!(routing::shards).three_nodes().shards(),
];

/// The driver's tokens are the server's, for keys of one column and of several.
async fn tokens(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.a (k text PRIMARY KEY)").await?;
    context
        .alter(&session, "CREATE TABLE {ks}.b (k blob, l int, m uuid, PRIMARY KEY ((k, l, m)))")
        .await?;
    let insert = session.prepare(context.text("INSERT INTO {ks}.a (k) VALUES (?)")).await?;
    // Every length around the 16 bytes that are hashed at a time, and bytes above 127.
    for len in (1..36).chain([1000]) {
        session.execute_unpaged(&insert, ("é".repeat(len / 2) + &"x".repeat(len % 2),)).await?;
    }
    let result = context.rows(&session, "SELECT k, token(k) FROM {ks}.a").await?;
    ensure!(result.rows_num() == 36, "{} rows", result.rows_num());
    for row in result.rows::<(&str, i64)>()? {
        let (key, expected) = row?;
        let token = insert.calculate_token(&(key,))?.context("no token")?;
        ensure!(token.0 == expected, "{key}: {token:?} is not {expected}");
    }
    let text = context.text("INSERT INTO {ks}.b (m, l, k) VALUES (?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    for len in 0..20_u8 {
        let row = (Uuid::from_u128(len.into()), -i32::from(len), vec![0xFE_u8; len.into()]);
        session.execute_unpaged(&insert, row).await?;
    }
    let result = context.rows(&session, "SELECT m, l, k, token(k, l, m) FROM {ks}.b").await?;
    for row in result.rows::<(Uuid, i32, &[u8], i64)>()? {
        let (m, l, k, expected) = row?;
        let token = insert.calculate_token(&(m, l, k))?.context("no token")?;
        ensure!(token.0 == expected, "{l}: {token:?} is not {expected}");
    }
    Ok(())
}

/// What the driver takes for replicas is what the server takes for them.
async fn replicas(context: &Context) -> Result<()> {
    let session = context.session_with_replicas(2).await?;
    context.alter(&session, "CREATE TABLE {ks}.t (a int, b text, PRIMARY KEY ((a, b)))").await?;
    session.refresh_metadata().await?;
    let text = context.text("INSERT INTO {ks}.t (a, b) VALUES (?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    for (a, b) in [(1, "one"), (-7, "x y"), (123_456, "")] {
        let key = format!("{a}:{b}");
        let of_server = context.target().endpoints(context.keyspace(), "t", &key).await?;
        let of_server: BTreeSet<_> = of_server.into_iter().collect();
        let of_driver: BTreeSet<_> = session
            .replicas_of(&insert, &(a, b))?
            .iter()
            .map(|replica| replica.node.address)
            .collect();
        ensure!(of_driver == of_server, "{a}:{b}: {of_driver:?} are not {of_server:?}");
        ensure!(of_driver.len() == 2, "{of_driver:?}");
    }
    Ok(())
}

/// The node that a trace names as the coordinator is a replica, as the trace names it.
async fn coordinators(context: &Context) -> Result<()> {
    let session = context.session_with_replicas(1).await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int)").await?;
    session.refresh_metadata().await?;
    let mut insert =
        session.prepare(context.text("INSERT INTO {ks}.t (id, v) VALUES (?, ?)")).await?;
    insert.set_tracing(true);
    let mut seen = BTreeSet::new();
    for id in 0..12 {
        let result = session.execute_unpaged(&insert, (id, id)).await?;
        let trace = result.tracing_id().context("no trace")?;
        let info = session.get_tracing_info(&trace).await?;
        let coordinator = info.coordinator.context("no coordinator")?;
        let replicas = session.replicas_of(&insert, &(id, id))?;
        ensure!(replicas.len() == 1, "{replicas:?}");
        ensure!(
            replicas.iter().any(|replica| replica.node.address == coordinator),
            "{id} went to {coordinator}, its replicas are {replicas:?}"
        );
        seen.insert(coordinator);
    }
    ensure!(seen.len() == 3, "all went to {seen:?}");
    Ok(())
}

/// Embedded nodes count what arrives where: nothing at the wrong node or shard.
async fn arrivals(context: &Context) -> Result<()> {
    let Some(cluster) = context.target().embedded() else { bail!("no embedded nodes") };
    let first = context.session_with_replicas(1).await?;
    context.alter(&first, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int)").await?;
    for (name, builder) in context.builders() {
        let session = builder.build().await?;
        let text = context.text("INSERT INTO {ks}.t (id, v) VALUES (?, ?)");
        let insert = session.prepare(text.as_str()).await?;
        cluster.reset_counters();
        for id in 0..200 {
            session.execute_unpaged(&insert, (id, id)).await?;
        }
        let total = cluster.counters().total();
        ensure!(total.right == 200, "{name}: {total:?}");
    }
    Ok(())
}

/// Each shard has its connections, and the driver knows whose partitions are whose.
async fn shards(context: &Context) -> Result<()> {
    let session = context.session_with_replicas(2).await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int)").await?;
    session.refresh_metadata().await?;
    let insert = session.prepare(context.text("INSERT INTO {ks}.t (id, v) VALUES (?, ?)")).await?;
    let mut seen = BTreeSet::new();
    for id in 0..100 {
        let replicas = session.replicas_of(&insert, &(id, id))?;
        ensure!(replicas.len() == 2, "{replicas:?}");
        for replica in replicas {
            seen.insert((replica.node.address, replica.shard.context("no shard")?));
        }
    }
    let expected = context.target().node_count() * usize::from(crate::target::SHARDS);
    ensure!(seen.len() == expected, "{seen:?}");
    Ok(())
}
