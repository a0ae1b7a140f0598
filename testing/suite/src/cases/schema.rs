//! Changes of the schema, as the nodes and the session see them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use shardwire::{Event, Events, SchemaChangeKind, SchemaTarget, Token};

use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(schema::nodes_agree).three_nodes(),
    case!(schema::a_new_keyspace_is_seen),
    case!(schema::metadata),
    case!(schema::events),
    case!(schema::everything_is_created_and_dropped),
    case!(schema::names_are_kept),
];

/// After agreement every node knows what was created through one.
async fn nodes_agree(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let mut others = Vec::new();
    for point in context.target().contact_points() {
        others.push(context.builder().known_node(point.to_string()).build().await?);
    }
    for table in 0..3 {
        let text = format!("CREATE TABLE {{ks}}.t{table} (id int PRIMARY KEY)");
        context.alter(&session, &text).await?;
        let text = context.text(&format!("SELECT id FROM {{ks}}.t{table}"));
        // One after the other, round robin, each node gets it.
        try_join_all(others.iter().map(|other| other.query_unpaged(text.as_str(), ()))).await?;
    }
    Ok(())
}

/// A session learns of a keyspace that another one creates.
async fn a_new_keyspace_is_seen(context: &Context) -> Result<()> {
    let other = context.builder().build().await?;
    let session = context.session().await?;
    let deadline = Duration::from_secs(30);
    for session in [&session, &other] {
        // Sooner than it would be by itself, where it is not told.
        session.refresh_metadata().await?;
        let replicas = tokio::time::timeout(deadline, async {
            loop {
                let replicas = session.replicas(context.keyspace(), Token(0));
                if !replicas.is_empty() {
                    return replicas;
                }
                tokio::task::yield_now().await;
            }
        });
        let expected = context.target().node_count().min(3);
        let found = replicas.await?.len();
        ensure!(found == expected, "{found} replicas");
    }
    Ok(())
}

/// What the session knows of a table, after the change that created it and after another.
async fn metadata(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (v frozen<list<int>>, c timeuuid, b int, a text, \
                PRIMARY KEY ((a, b), c)) WITH CLUSTERING ORDER BY (c DESC)";
    context.alter(&session, text).await?;
    let metadata = session.metadata();
    let table = metadata.table(context.keyspace(), "t").context("no table")?;
    let key: Vec<_> = table.partition_key.iter().map(|name| &**name).collect();
    ensure!(key == ["a", "b"], "{table:?}");
    let key: Vec<_> = table.clustering_key.iter().map(|name| &**name).collect();
    ensure!(key == ["c"], "{table:?}");
    let typ = table.columns.iter().find(|column| &*column.name == "v");
    ensure!(typ.is_some_and(|column| &*column.cql_type == "frozen<list<int>>"), "{table:?}");
    context.alter(&session, "ALTER TABLE {ks}.t ADD w map<int, text>").await?;
    let metadata = session.metadata();
    let table = metadata.table(context.keyspace(), "t").context("no table")?;
    ensure!(table.columns.len() == 5, "{table:?}");
    context.alter(&session, "DROP TABLE {ks}.t").await?;
    ensure!(session.metadata().table(context.keyspace(), "t").is_none(), "it is still known");
    Ok(())
}

/// A listener is told of each change of a keyspace and its tables, in order.
async fn events(context: &Context) -> Result<()> {
    use SchemaChangeKind::{Created, Dropped, Updated};

    let other = context.builder().build().await?;
    let mut events = other.events();
    let session = context.session().await?;
    change(context, &mut events, Created, SchemaTarget::Keyspace).await?;
    let table = || SchemaTarget::Table { name: "t".into() };
    for (text, kind, target) in [
        ("CREATE TABLE {ks}.t (id int PRIMARY KEY)", Created, table()),
        ("ALTER TABLE {ks}.t ADD v int", Updated, table()),
        ("DROP TABLE {ks}.t", Dropped, table()),
        ("ALTER KEYSPACE {ks} WITH durable_writes = false", Updated, SchemaTarget::Keyspace),
        ("DROP KEYSPACE {ks}", Dropped, SchemaTarget::Keyspace),
    ] {
        context.alter(&session, text).await?;
        change(context, &mut events, kind, target).await.with_context(|| text.to_owned())?;
    }
    Ok(())
}

/// Waits for the next change in the keyspace, which must be this one.
async fn change(
    context: &Context,
    events: &mut Events,
    kind: SchemaChangeKind,
    target: SchemaTarget,
) -> Result<()> {
    let wait = async {
        while let Some(event) = events.next().await {
            if let Event::SchemaChanged(change) = event
                && *change.keyspace == *context.keyspace()
            {
                ensure!(change.kind == kind && change.target == target, "{change:?}");
                return Ok(());
            }
        }
        bail!("the session has ended")
    };
    let deadline = Duration::from_secs(30);
    tokio::time::timeout(deadline, wait).await.with_context(|| format!("{kind:?} {target:?}"))?
}

async fn everything_is_created_and_dropped(context: &Context) -> Result<()> {
    use SchemaChangeKind::{Created, Dropped, Updated};

    let session = context.session().await?;
    let mut events = session.events();
    let typ = || SchemaTarget::Type { name: "u".into() };
    let table = || SchemaTarget::Table { name: "t".into() };
    let view = || SchemaTarget::Table { name: "by_w".into() };
    let function = |name: &str, types: &[&str]| SchemaTarget::Function {
        name: name.into(),
        argument_types: types.iter().map(|typ| Box::from(*typ)).collect(),
    };
    let aggregate =
        || SchemaTarget::Aggregate { name: "total".into(), argument_types: ["int".into()].into() };
    for (text, kind, target) in [
        ("CREATE TYPE {ks}.u (a int)", Created, typ()),
        ("ALTER TYPE {ks}.u ADD b text", Updated, typ()),
        ("CREATE TABLE {ks}.t (id int PRIMARY KEY, v int, u frozen<u>, w text)", Created, table()),
        ("ALTER TABLE {ks}.t WITH comment = 'about it'", Updated, table()),
        ("CREATE INDEX t_v ON {ks}.t (v)", Updated, table()),
        (
            "CREATE FUNCTION {ks}.twice (n int) RETURNS NULL ON NULL INPUT RETURNS int \
             LANGUAGE java AS 'return n * 2;'",
            Created,
            function("twice", &["int"]),
        ),
        (
            "CREATE FUNCTION {ks}.plus (state int, n int) CALLED ON NULL INPUT RETURNS int \
             LANGUAGE java AS 'return state + n;'",
            Created,
            function("plus", &["int", "int"]),
        ),
        ("CREATE AGGREGATE {ks}.total (int) SFUNC plus STYPE int INITCOND 0", Created, aggregate()),
        (
            "CREATE MATERIALIZED VIEW {ks}.by_w AS SELECT w, id FROM {ks}.t \
             WHERE w IS NOT NULL AND id IS NOT NULL PRIMARY KEY (w, id)",
            Created,
            view(),
        ),
    ] {
        context.alter(&session, text).await?;
        change(context, &mut events, kind, target).await.with_context(|| text.to_owned())?;
    }
    let text = "INSERT INTO {ks}.t (id, v, w, u) VALUES (1, 21, 'x', {a: 1, b: 'y'})";
    context.query(&session, text).await?;
    let text = "SELECT {ks}.twice(v) FROM {ks}.t WHERE v = 21";
    let result = context.rows(&session, text).await?;
    ensure!(result.single_row::<(i32,)>()? == (42,), "{result:?}");
    let result = context.rows(&session, "SELECT {ks}.total(v) FROM {ks}.t").await?;
    ensure!(result.single_row::<(i32,)>()? == (21,), "{result:?}");
    for (text, kind, target) in [
        ("DROP MATERIALIZED VIEW {ks}.by_w", Dropped, view()),
        ("DROP AGGREGATE {ks}.total", Dropped, aggregate()),
        ("DROP FUNCTION {ks}.plus", Dropped, function("plus", &["int", "int"])),
        ("DROP FUNCTION {ks}.twice", Dropped, function("twice", &["int"])),
        ("DROP INDEX {ks}.t_v", Updated, table()),
        ("DROP TABLE {ks}.t", Dropped, table()),
        ("DROP TYPE {ks}.u", Dropped, typ()),
        ("DROP KEYSPACE {ks}", Dropped, SchemaTarget::Keyspace),
    ] {
        context.alter(&session, text).await?;
        change(context, &mut events, kind, target).await.with_context(|| text.to_owned())?;
    }
    Ok(())
}

async fn names_are_kept(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.\"Table\" (\"select\" int PRIMARY KEY, \"Ünd so\" int)";
    // Cassandra takes words and spaces in names of columns, of tables letters and digits alone.
    context.alter(&session, text).await?;
    context
        .query(&session, "INSERT INTO {ks}.\"Table\" (\"select\", \"Ünd so\") VALUES (1, 2)")
        .await?;
    let result = context.rows(&session, "SELECT * FROM {ks}.\"Table\"").await?;
    let names: Vec<_> = result.column_specs().iter().map(|column| column.name.as_str()).collect();
    ensure!(names == ["select", "Ünd so"], "{names:?}");
    ensure!(result.column_specs().iter().all(|column| &*column.table == "Table"), "{names:?}");
    ensure!(result.single_row::<(i32, i32)>()? == (1, 2), "{result:?}");
    Ok(())
}
