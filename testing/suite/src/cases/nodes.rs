//! Nodes that end, come back, or do not answer, under sessions that go on.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::{join_all, try_join_all};
use shardwire::value::Counter;
use shardwire::{
    Batch, BatchType, Consistency, DbError, Error, ErrorKind, Event, Events, PreparedStatement,
    Session, SessionBuilder, Statement, WriteType,
};

use super::errors::check;
use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(nodes::killed_and_started_again).three_nodes().alone(),
    case!(nodes::down).three_nodes().alone(),
    case!(nodes::paused).three_nodes().alone(),
    case!(nodes::silent).three_nodes().alone(),
    case!(nodes::all_gone).one_node().alone(),
];

/// Time that a session has to notice; the pause between attempts to connect is below it.
const NOTICE: Duration = Duration::from_secs(30);

/// More than a session has.
const CONNECTIONS_MAX: usize = 64;

/// Sessions as a program has them that can't wait for nodes: of each variant one.
async fn sessions(context: &Context) -> Result<Vec<(&'static str, Session)>> {
    let first = context.session().await?;
    context.alter(&first, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int)").await?;
    context.alter(&first, "CREATE TABLE {ks}.c (id int PRIMARY KEY, n counter)").await?;
    let impatient = |builder: SessionBuilder| {
        builder
            .reconnect_backoff(Duration::from_millis(50), Duration::from_millis(500))
            .connection_timeout(Duration::from_secs(2))
            .build()
    };
    let sessions = context.builders().map(|(name, builder)| async move {
        anyhow::Ok((name, impatient(builder).await.with_context(|| name)?))
    });
    try_join_all(sessions).await
}

async fn insert(context: &Context, session: &Session) -> Result<PreparedStatement> {
    let insert = session.prepare(context.text("INSERT INTO {ks}.t (id, v) VALUES (?, ?)"));
    let mut insert = insert.await?;
    insert.set_is_idempotent(true);
    insert.set_consistency(Consistency::Quorum);
    Ok(insert)
}

/// Waits for an event.
async fn seen(events: &mut Events, what: &str, is: impl Fn(&Event) -> bool) -> Result<()> {
    let wait = async {
        while let Some(event) = events.next().await {
            if is(&event) {
                return Ok(());
            }
        }
        bail!("the session has ended")
    };
    tokio::time::timeout(NOTICE, wait).await.with_context(|| format!("no {what}"))?
}

/// Requests that can be repeated go through while a node of three dies, and go to it again when it
/// is back: the others end, and it alone answers.
async fn killed_and_started_again(context: &Context) -> Result<()> {
    let sessions = sessions(context).await?;
    let target = context.target();
    let mut inserts = Vec::new();
    for (_, session) in &sessions {
        inserts.push(insert(context, session).await?);
    }
    let write = async |what: &str| {
        for ((name, session), insert) in sessions.iter().zip(&inserts) {
            let writes = (0..60).map(|id| session.execute_unpaged(insert, (id, id)));
            try_join_all(writes).await.with_context(|| format!("{name}: {what}"))?;
        }
        anyhow::Ok(())
    };
    write("before").await?;
    let mut listeners: Vec<_> = sessions.iter().map(|(_, session)| session.events()).collect();
    let third = *target.contact_points().get(2).context("no third node")?;
    target.kill(2).await?;
    write("after the death").await?;
    for events in &mut listeners {
        let is_down = |event: &Event| matches!(event, Event::NodeDown(node) if *node == third);
        seen(events, "DOWN", is_down).await?;
    }
    target.start_again(2).await?;
    for events in &mut listeners {
        let is_up = |event: &Event| matches!(event, Event::NodeUp(node) if *node == third);
        seen(events, "UP", is_up).await?;
    }
    write("after the return").await?;
    target.stop(0).await?;
    target.stop(1).await?;
    for (name, session) in &sessions {
        let mut select = Statement::new("SELECT rpc_address FROM system.local");
        select.set_is_idempotent(true);
        let asked = async {
            loop {
                match session.query_unpaged(select.clone(), ()).await {
                    Ok(result) => return result.into_rows_result(),
                    Err(error) if error.kind() == ErrorKind::ConnectionLost => {}
                    Err(error) => return Err(error),
                }
            }
        };
        let rows = tokio::time::timeout(NOTICE, asked).await.context("no answer")??;
        let (address,) = rows.single_row::<(std::net::IpAddr,)>()?;
        ensure!(address == third.ip(), "{name}: {address} answered");
    }
    target.start_again(0).await?;
    target.start_again(1).await?;
    write("in the end").await?;
    // All replicas answer, whichever node coordinates.
    for ((name, session), insert) in sessions.iter().zip(&inserts) {
        let mut insert = insert.clone();
        insert.set_consistency(Consistency::All);
        for id in 0..10 {
            session.execute_unpaged(&insert, (id, id)).await.with_context(|| name.to_string())?;
        }
    }
    Ok(())
}

/// With one node down, what takes all replicas is unavailable, and the error says how many live.
async fn down(context: &Context) -> Result<()> {
    let sessions = sessions(context).await?;
    context.target().stop(1).await?;
    for (name, session) in &sessions {
        let mut write = insert(context, session).await?;
        session.execute_unpaged(&write, (1, 1)).await.with_context(|| format!("{name}: quorum"))?;
        write.set_consistency(Consistency::All);
        let mut read = session.prepare(context.text("SELECT v FROM {ks}.t WHERE id = 1")).await?;
        read.set_consistency(Consistency::All);
        for result in [
            session.execute_unpaged(&write, (1, 1)).await,
            session.execute_unpaged(&read, ()).await,
        ] {
            let Err(error) = result else { bail!("{name}: it was executed") };
            let consistency = Consistency::All;
            let expected = DbError::Unavailable { consistency, required: 3, alive: 2 };
            ensure!(*check(&error, 0x1000)? == expected, "{name}: {error:?}");
            ensure!(error.is_safe_to_retry(), "{name}: {error:?}");
        }
        // A new session finds its way without the node, though it is a contact point.
        let (_, builder) = context.builders().find(|(n, _)| n == name).context("no variant")?;
        let other = builder.build().await.with_context(|| format!("{name}: connecting"))?;
        insert(context, &other).await?;
    }
    Ok(())
}

/// A replica that does not answer, before the others hold it for down: time-outs with all that
/// they say.
async fn paused(context: &Context) -> Result<()> {
    let sessions = sessions(context).await?;
    let target = context.target();
    let mut prepared = Vec::new();
    for (_, session) in &sessions {
        prepared.push(Prepared::new(context, session).await?);
    }
    target.pause(2).await?;
    // All at once: they have to begin before the node is found to be down.
    let asked = (100..).zip(sessions.iter().zip(&prepared));
    let asked = asked.map(|(key, ((_, session), prepared))| async move {
        tokio::join!(
            session.execute_unpaged(&prepared.write, (1, 1)),
            session.execute_unpaged(&prepared.read, ()),
            session.batch(&prepared.unlogged, ((1, 1), (2, 2))),
            session.batch(&prepared.logged, ((1, 1), (2, 2))),
            session.execute_unpaged(&prepared.count, (Counter(1),)),
            // A row for each session: of one row the condition holds only once.
            session.execute_unpaged(&prepared.conditional, (9, key)),
            session.query_unpaged(prepared.truncate.clone(), ()),
        )
    });
    let replies = join_all(asked).await;
    target.resume(2).await?;
    for ((name, _), replies) in sessions.iter().zip(replies) {
        let (write, read, unlogged, logged, count, conditional, truncate) = replies;
        let expect = |what: &str, result: Result<_, Error>, code: i32| {
            let Err(error) = result else { bail!("{name}: {what} was executed") };
            check(&error, code).with_context(|| format!("{name}: {what}")).cloned()
        };
        let all = Consistency::All;
        let timeout = |write_type| DbError::WriteTimeout {
            consistency: all,
            received: 2,
            required: 3,
            write_type,
            contentions: None,
        };
        let told = expect("the write", write, 0x1100)?;
        ensure!(told == timeout(WriteType::Simple), "{name}: {told:?}");
        let told = expect("the unlogged batch", unlogged, 0x1100)?;
        ensure!(told == timeout(WriteType::UnloggedBatch), "{name}: {told:?}");
        let told = expect("the read", read, 0x1200)?;
        let DbError::ReadTimeout { consistency, received: 2, required: 3, .. } = told else {
            bail!("{name}: {told:?}");
        };
        ensure!(consistency == all, "{name}: {told:?}");
        // Its log is written first, at a level of its own, to two nodes.
        let told = expect("the batch", logged, 0x1100)?;
        let DbError::WriteTimeout { write_type, .. } = &told else { bail!("{name}: {told:?}") };
        let types = [WriteType::Batch, WriteType::BatchLog];
        ensure!(types.contains(write_type), "{name}: {told:?}");
        let told = expect("the counter", count, 0x1100)?;
        let DbError::WriteTimeout { write_type, .. } = &told else { bail!("{name}: {told:?}") };
        ensure!(*write_type == WriteType::Counter, "{name}: {told:?}");
        // It reads first, for which it may wait for the node until that is held for down.
        let unavailable = DbError::Unavailable { consistency: all, required: 3, alive: 2 };
        let told = conditional.as_ref().err().and_then(|error| check(error, 0x1000).ok());
        if told != Some(&unavailable) {
            expect("the condition", conditional, 0x1100)?;
        }
        let told = expect("TRUNCATE", truncate, 0x1003)?;
        ensure!(told == DbError::TruncateError, "{name}: {told:?}");
    }
    // It answers again, and so do all.
    for ((name, session), prepared) in sessions.iter().zip(&prepared) {
        session.execute_unpaged(&prepared.write, (1, 1)).await.with_context(|| name.to_string())?;
    }
    Ok(())
}

/// A node that stays connected and answers nobody: a request meets it, and no other goes there,
/// long before its peers hold it for down. When it answers again it is asked again.
async fn silent(context: &Context) -> Result<()> {
    const IN_A_ROW: i32 = 100; // without one of them at the third node
    let sessions = sessions(context).await?;
    let target = context.target();
    let mut inserts = Vec::new();
    for (_, session) in &sessions {
        let mut insert = insert(context, session).await?;
        insert.set_request_timeout(Some(Duration::from_secs(2)));
        inserts.push(insert);
    }
    let third = *target.contact_points().get(2).context("no third node")?;
    target.hang(2).await?;
    let asked = sessions.iter().zip(&inserts).map(|((name, session), insert)| async move {
        let (mut missed, mut in_a_row) = (0, 0);
        while in_a_row < IN_A_ROW {
            match session.execute_unpaged(insert, (in_a_row, 1)).await {
                Ok(_) => in_a_row += 1,
                Err(error) => {
                    let is_first = missed == 0 && error.kind() == ErrorKind::Timeout;
                    ensure!(is_first, "{name}: after {missed} missed: {error:?}");
                    (missed, in_a_row) = (1, 0);
                }
            }
        }
        ensure!(missed == 1, "{name}: the third node was not asked");
        Ok(())
    });
    try_join_all(asked).await?;
    target.resume(2).await?;
    for (name, session) in &sessions {
        let select = Statement::new("SELECT rpc_address FROM system.local");
        let asked = async {
            loop {
                let rows = session.query_unpaged(select.clone(), ()).await?.into_rows_result()?;
                let (address,) = rows.single_row::<(std::net::IpAddr,)>()?;
                if address == third.ip() {
                    return anyhow::Ok(());
                }
            }
        };
        let asked = tokio::time::timeout(NOTICE, asked).await;
        asked.with_context(|| format!("{name}: the third node is not asked again"))??;
    }
    Ok(())
}

/// What is asked of a cluster with a paused node.
struct Prepared {
    write: PreparedStatement,
    read: PreparedStatement,
    unlogged: Batch,
    logged: Batch,
    count: PreparedStatement,
    conditional: PreparedStatement,
    truncate: Statement,
}

impl Prepared {
    async fn new(context: &Context, session: &Session) -> Result<Self> {
        let prepare = async |text: &str| -> Result<PreparedStatement> {
            let mut statement = session.prepare(context.text(text)).await?;
            statement.set_consistency(Consistency::All);
            Ok(statement)
        };
        let write = prepare("INSERT INTO {ks}.t (id, v) VALUES (?, ?)").await?;
        let batch = |kind| {
            let mut batch =
                Batch::new_with_statements(kind, vec![write.clone().into(), write.clone().into()]);
            batch.set_consistency(Consistency::All);
            batch
        };
        Ok(Self {
            unlogged: batch(BatchType::Unlogged),
            logged: batch(BatchType::Logged),
            read: prepare("SELECT v FROM {ks}.t WHERE id = 1").await?,
            count: prepare("UPDATE {ks}.c SET n = n + ? WHERE id = 1").await?,
            conditional: prepare("UPDATE {ks}.t SET v = ? WHERE id = ? IF v = null").await?,
            truncate: Statement::new(context.text("TRUNCATE {ks}.t")),
            write,
        })
    }
}

/// With no node left requests end by their deadline, and the session finds the nodes again.
async fn all_gone(context: &Context) -> Result<()> {
    let sessions = sessions(context).await?;
    let target = context.target();
    for node in 0..target.node_count() {
        target.kill(node).await?;
    }
    let mut select = Statement::new("SELECT rpc_address FROM system.local");
    select.set_request_timeout(Some(Duration::from_millis(300)));
    for (name, session) in &sessions {
        let mut lost = 0;
        // On each connection whose end the session has not noticed yet a request may be lost. One
        // that is on none ends by its deadline: so all are noticed before the nodes come back.
        loop {
            let Err(error) = session.query_unpaged(select.clone(), ()).await else {
                bail!("{name}: somebody answered");
            };
            match error.kind() {
                ErrorKind::Timeout => break,
                ErrorKind::ConnectionLost if lost < CONNECTIONS_MAX => lost += 1,
                _ => bail!("{name}, after {lost} lost: {error:?}"),
            }
        }
    }
    for node in 0..target.node_count() {
        target.start_again(node).await?;
    }
    select.set_request_timeout(Some(NOTICE));
    for (name, session) in &sessions {
        session.query_unpaged(select.clone(), ()).await.with_context(|| name.to_string())?;
    }
    Ok(())
}
