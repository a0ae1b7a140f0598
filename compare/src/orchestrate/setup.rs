//! Creates the tables and writes the rows that reading workloads expect.
//!
//! It uses the official crate, so that what Shardwire reads was not written by Shardwire; what
//! Shardwire writes it reads back itself in its own runs. Next: `process.rs`.

use std::{
    ffi::OsString,
    num::NonZeroUsize,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::{Context as _, bail, ensure};
use scylla::{
    client::{session::Session, session_builder::SessionBuilder},
    frame::Compression,
    response::{PagingState, PagingStateResponse},
};
use tokio::task::JoinSet;

use super::server::Server;
use crate::{
    drivers::Failure,
    workload::{
        INSERT, INSERT_WIDE, KEYSPACE, PAGE_ROWS, PARTITIONS, SCAN, SELECT_1, SELECT_10,
        SELECT_100, TABLES, WIDE_PARTITIONS_STORED, WIDE_ROWS, blob, text,
    },
};

/// How many rows are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rows {
    /// One partition per table: of nodes that don't really store rows.
    Few,
    /// What the checking runs read.
    Checked,
    /// What timed runs on stored rows read.
    All,
}

/// Partitions of one row that checking runs read.
pub(super) const POINTS_CHECKED: u64 = 5_000;
/// Partitions of a hundred rows that checking runs read.
pub(super) const WIDE_PARTITIONS_CHECKED: u64 = 100;

/// Creates the tables where there are none, with one replica of each row, and writes `rows`.
///
/// # Errors
///
/// The statement that failed and why.
pub(super) fn prepare(contact_points: &[String], rows: Rows) -> Result<(), Failure> {
    prepare_replicated(contact_points, rows, 1)
}

fn prepare_replicated(
    contact_points: &[String],
    rows: Rows,
    replication_factor: usize,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let session = SessionBuilder::new().known_nodes(contact_points).build().await?;
        create(&session, replication_factor).await?;
        match rows {
            Rows::Few => {
                write_few(&session).await?;
                for compression in [None, Some(Compression::Lz4)] {
                    can(contact_points, compression).await?;
                }
                Ok(())
            }
            Rows::Checked => write_many(session, POINTS_CHECKED, WIDE_PARTITIONS_CHECKED).await,
            Rows::All => write_many(session, PARTITIONS, WIDE_PARTITIONS_STORED).await,
        }
    })
}

/// Asks a real server what it is, creates the tables, and writes what timed runs read.
///
/// # Errors
///
/// The statement that failed and why; also when the keyspace exists already, since it is to be
/// dropped afterwards and may be another's. It is not left behind.
pub(super) fn prepare_server(contact_points: &[String]) -> Result<Server, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let session = SessionBuilder::new().known_nodes(contact_points).build().await?;
        ensure!(
            session.get_cluster_state().get_keyspace(KEYSPACE).is_none(),
            "the keyspace `{KEYSPACE}` exists already: another comparison runs, or one was \
             interrupted; if nobody needs it, `DROP KEYSPACE {KEYSPACE}`"
        );
        let server = Server::ask(&session).await?;
        let filled = async {
            create(&session, server.replication_factor).await?;
            write_many(session, PARTITIONS, WIDE_PARTITIONS_STORED).await
        };
        if let Err(error) = filled.await {
            return Err(match drop_keyspace_of(contact_points).await {
                Ok(()) => error,
                Err(other) => error.context(format!("it was not dropped either: {other:#}")),
            });
        }
        Ok(server)
    })
}

/// Drops what [`prepare_server`] created.
///
/// # Errors
///
/// Why it could not be dropped.
pub(super) fn drop_keyspace(contact_points: &[String]) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(drop_keyspace_of(contact_points))
}

async fn drop_keyspace_of(contact_points: &[String]) -> Result<(), Failure> {
    let session = SessionBuilder::new().known_nodes(contact_points).build().await?;
    let cql = format!("DROP KEYSPACE IF EXISTS {KEYSPACE}");
    session.query_unpaged(cql.as_str(), ()).await.context(cql)?;
    Ok(())
}

/// Writes the rows of key 0 by unprepared statements, the only ones a canned node executes each.
async fn write_few(session: &Session) -> Result<(), Failure> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let point = hex(&blob(0, 0));
    let mut statements =
        vec![format!("INSERT INTO shardwire_compare.point (k, c, v) VALUES (0, 0, 0x{point})")];
    for c in 0..WIDE_ROWS as i32 {
        let (bytes, value) = (text(0, c), hex(&blob(0, c)));
        let text = String::from_utf8_lossy(&bytes);
        statements.push(format!(
            "INSERT INTO shardwire_compare.wide (k, c, t, v) VALUES (0, {c}, '{text}', 0x{value})"
        ));
    }
    for cql in statements {
        session.query_unpaged(cql.as_str(), ()).await.context(cql)?;
    }
    Ok(())
}

/// Makes each read of the workloads once, for the key that has rows, so that a canned node keeps
/// replies that hold them.
async fn can(contact_points: &[String], compression: Option<Compression>) -> Result<(), Failure> {
    let session =
        SessionBuilder::new().known_nodes(contact_points).compression(compression).build().await?;
    for cql in [SELECT_1, SELECT_10, SELECT_100, SCAN] {
        let mut statement = session.prepare(cql).await.context(cql)?;
        statement.set_use_cached_result_metadata(true);
        if cql != SCAN {
            session.execute_unpaged(&statement, (0_i64,)).await.context(cql)?;
            continue;
        }
        statement.set_page_size(PAGE_ROWS as i32);
        let mut state = PagingState::start();
        loop {
            let (_, next) =
                session.execute_single_page(&statement, (0_i64,), state).await.context(cql)?;
            match next {
                PagingStateResponse::HasMorePages { state: next } => state = next,
                PagingStateResponse::NoMorePages => break,
            }
        }
    }
    Ok(())
}

/// Writes `points` partitions of one row and `wide` ones of a hundred.
async fn write_many(session: Session, points: u64, wide: u64) -> Result<(), Failure> {
    let session = Arc::new(session);
    let insert = session.prepare(INSERT).await?;
    fill(points, |number| {
        let (session, insert) = (Arc::clone(&session), insert.clone());
        let key = number as i64;
        async move {
            let values = (key, 0, blob(key, 0).to_vec());
            session.execute_unpaged(&insert, values).await.map(drop)
        }
    })
    .await?;
    let insert = session.prepare(INSERT_WIDE).await?;
    fill(wide * u64::from(WIDE_ROWS), |number| {
        let (session, insert) = (Arc::clone(&session), insert.clone());
        let key = (number / u64::from(WIDE_ROWS)) as i64;
        let c = (number % u64::from(WIDE_ROWS)) as i32;
        async move {
            let text = String::from_utf8_lossy(&text(key, c)).into_owned();
            let values = (key, c, text, blob(key, c).to_vec());
            session.execute_unpaged(&insert, values).await.map(drop)
        }
    })
    .await
}

/// The body of the hidden subcommand `tables`: creates the tables and writes one partition into
/// each, as canned nodes need it. Its arguments are the replication factor and contact points.
pub fn run_tables(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> =
        arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let prepared = tables_arguments(&arguments)
        .and_then(|(factor, points)| prepare_replicated(points, Rows::Few, factor));
    match prepared {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tables_arguments(arguments: &[String]) -> Result<(usize, &[String]), Failure> {
    let [factor, contact_points @ ..] = arguments else {
        bail!("usage: shardwire-compare tables REPLICATION_FACTOR ADDRESS:PORT...");
    };
    ensure!(!contact_points.is_empty(), "there are no contact points to create the tables at");
    let factor: NonZeroUsize =
        factor.parse().with_context(|| format!("`{factor}` is no replication factor"))?;
    Ok((factor.get(), contact_points))
}

async fn create(session: &Session, replication_factor: usize) -> Result<(), Failure> {
    let keyspace = create_keyspace(replication_factor);
    for cql in std::iter::once(keyspace.as_str()).chain(TABLES) {
        session.query_unpaged(cql, ()).await.with_context(|| cql.to_owned())?;
    }
    Ok(())
}

fn create_keyspace(replication_factor: usize) -> String {
    format!(
        "CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = \
         {{'class': 'NetworkTopologyStrategy', 'replication_factor': {replication_factor}}}"
    )
}

/// Makes `count` requests, [`CONCURRENCY`] at a time.
async fn fill<F, E>(count: u64, request: impl Fn(u64) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let next = AtomicU64::new(0);
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < CONCURRENCY {
            let number = next.fetch_add(1, Relaxed);
            if number >= count {
                break;
            }
            tasks.spawn(request(number));
        }
        match tasks.join_next().await {
            None => return Ok(()),
            Some(written) => written?.context("an insert failed")?,
        }
    }
}

const CONCURRENCY: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyspace_has_the_replicas_asked_for() {
        let expect = "CREATE KEYSPACE IF NOT EXISTS shardwire_compare WITH replication = \
                      {'class': 'NetworkTopologyStrategy', 'replication_factor': 3}";
        assert_eq!(create_keyspace(3), expect);
    }

    #[test]
    fn tables_are_created_as_the_arguments_say() {
        let of = |words: &str| {
            let arguments: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
            tables_arguments(&arguments)
                .map(|(factor, points)| (factor, points.len()))
                .map_err(|error| error.to_string())
        };
        assert_eq!(of("3 127.0.0.1:1 127.0.0.2:1"), Ok((3, 2)));
        for (words, expect) in [
            ("", "usage"),
            ("1", "no contact points"),
            ("0 127.0.0.1:1", "`0` is no replication factor"),
            ("127.0.0.1:1 127.0.0.2:1", "is no replication factor"),
        ] {
            let error = of(words).unwrap_err();
            assert!(error.contains(expect), "{words}: {error}");
        }
    }
}
