//! Errors that a server answers with, with their codes and fields.
//!
//! Not provoked: overloaded (1001) and bootstrapping (1002) take a node in a state that no client
//! brings about. CAS write unknown (1700) takes a race, which `lwt::one_of_many_wins` meets now and
//! then.

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use shardwire::{Consistency, DbError, Error, ErrorKind, Session, Statement, WriteType};
use shardwire_server::Persona;

use crate::case::{Case, case};
use crate::configuration::Server;
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(errors::syntax),
    case!(errors::invalid),
    case!(errors::already_exists),
    case!(errors::configuration),
    case!(errors::function_failure),
    case!(errors::unavailable),
    case!(errors::read_failure),
    case!(errors::write_failure),
    case!(errors::too_large_a_mutation),
    case!(errors::protocol),
];

/// The error of a statement as text, which must be the server's with this code.
async fn provoked(context: &Context, session: &Session, text: &str, code: i32) -> Result<Error> {
    let statement = Statement::new(context.text(text));
    match session.query_unpaged(statement, ()).await {
        Ok(result) => bail!("no error: {result:?}"),
        Err(error) => {
            check(&error, code)?;
            Ok(error)
        }
    }
}

/// Checks that it is the server's error of this code, from one of its nodes, and says what else the
/// server told.
pub(super) fn check(error: &Error, code: i32) -> Result<&DbError> {
    ensure!(error.kind() == ErrorKind::Database, "{error:?}");
    let database = error.database().with_context(|| format!("{error:?}"))?;
    ensure!(database.code() == code && database.peer().is_some(), "{error:?}");
    ensure!(!database.message().is_empty(), "no message: {error:?}");
    Ok(database.db_error())
}

async fn syntax(context: &Context) -> Result<()> {
    let session = context.session().await?;
    for text in ["SELEC * FROM {ks}.t", "", "SELECT * FROM {ks}.t WHERE", "INSERT INTO 'é'"] {
        provoked(context, &session, text, 0x2000).await?;
        let error = session.prepare(context.text(text)).await.err();
        ensure!(error.is_some_and(|error| error.database_code() == Some(0x2000)), "{text}");
    }
    Ok(())
}

async fn invalid(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int)").await?;
    for text in [
        "SELECT nothing FROM {ks}.t",
        "SELECT * FROM {ks}.nothing",
        "SELECT * FROM {ks}.t WHERE v = 1",
        "INSERT INTO {ks}.t (v) VALUES (1)",
        "INSERT INTO {ks}.t (id, v) VALUES (1, 'text')",
        "USE no_such_keyspace",
    ] {
        let error = provoked(context, &session, text, 0x2200).await?;
        ensure!(!error.is_safe_to_retry(), "{text} may be tried again");
    }
    Ok(())
}

async fn already_exists(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY)").await?;
    let exists = |table: &str| DbError::AlreadyExists {
        keyspace: context.keyspace().into(),
        table: table.into(),
    };
    let text = "CREATE TABLE {ks}.t (id int PRIMARY KEY)";
    let error = provoked(context, &session, text, 0x2400).await?;
    ensure!(*check(&error, 0x2400)? == exists("t"), "{error:?}");
    let text = "CREATE KEYSPACE {ks} WITH replication = \
                {'class': 'SimpleStrategy', 'replication_factor': 1}";
    let error = provoked(context, &session, text, 0x2400).await?;
    ensure!(*check(&error, 0x2400)? == exists(""), "{error:?}");
    context.query(&session, &text.replace("KEYSPACE", "KEYSPACE IF NOT EXISTS")).await?;
    Ok(())
}

async fn configuration(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE KEYSPACE {ks}_x WITH replication = {'class': 'NoSuchStrategy'}";
    let error = provoked(context, &session, text, 0x2300).await?;
    ensure!(error.to_string().contains("NoSuchStrategy"), "{error:?}");
    Ok(())
}

async fn function_failure(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v text)").await?;
    let text = "CREATE FUNCTION {ks}.explode (a int, b text) CALLED ON NULL INPUT RETURNS int \
                LANGUAGE java AS 'throw new RuntimeException(\"boom\");'";
    context.alter(&session, text).await?;
    context.query(&session, "INSERT INTO {ks}.t (id, v) VALUES (1, 'x')").await?;
    let text = "SELECT {ks}.explode(id, v) FROM {ks}.t";
    let error = provoked(context, &session, text, 0x1400).await?;
    let expected = DbError::FunctionFailure {
        keyspace: context.keyspace().into(),
        function: "explode".into(),
        arg_types: ["int".into(), "text".into()].into(),
    };
    ensure!(*check(&error, 0x1400)? == expected, "{error:?}");
    ensure!(error.to_string().contains("boom"), "{error:?}");
    Ok(())
}

/// More replicas are asked for than there are.
async fn unavailable(context: &Context) -> Result<()> {
    let session = context.session_with_replicas(1).await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, v int)").await?;
    for text in ["SELECT v FROM {ks}.t WHERE id = 1", "INSERT INTO {ks}.t (id, v) VALUES (1, 1)"] {
        let mut statement = session.prepare(context.text(text)).await?;
        for (consistency, required) in [(Consistency::Two, 2), (Consistency::Three, 3)] {
            statement.set_consistency(consistency);
            let Err(error) = session.execute_unpaged(&statement, ()).await else {
                bail!("{text} at {consistency:?} was executed");
            };
            let expected = DbError::Unavailable { consistency, required, alive: 1 };
            ensure!(*check(&error, 0x1000)? == expected, "{error:?}");
            ensure!(error.is_safe_to_retry(), "{error:?}");
        }
    }
    Ok(())
}

/// A partition with more tombstones than a read may meet; with fewer it is a warning.
async fn read_failure(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int, c int, PRIMARY KEY (id, c))").await?;
    let text = context.text("DELETE FROM {ks}.t WHERE id = ? AND c = ?");
    let mut delete = session.prepare(text.as_str()).await?;
    delete.set_consistency(Consistency::All); // whichever replicas are read have them all
    for (id, count) in [(1, 1100), (2, 200)] {
        for c in (0..count).step_by(100) {
            let deletes = (c..c + 100).map(|c| session.execute_unpaged(&delete, (id, c)));
            try_join_all(deletes).await?;
        }
    }
    // A coordinator warns of what it read itself, and at a quorum it may ask two others.
    let mut select = Statement::new(context.text("SELECT * FROM {ks}.t WHERE id = 2"));
    select.set_consistency(Consistency::All);
    let result = session.query_unpaged(select, ()).await?;
    let warnings: Vec<_> = result.warnings().collect();
    ensure!(warnings.iter().any(|text| text.contains("tombstone")), "{warnings:?}");
    let text = "SELECT * FROM {ks}.t WHERE id = 1";
    let error = provoked(context, &session, text, 0x1300).await?;
    let DbError::ReadFailure { consistency, required, failures, .. } = check(&error, 0x1300)?
    else {
        bail!("{error:?}");
    };
    let quorum = if context.target().node_count() == 1 { 1 } else { 2 };
    ensure!(*consistency == Consistency::LocalQuorum && *required == quorum, "{error:?}");
    ensure!(failures.count() > 0, "{error:?}");
    // Version 5 tells which nodes, and why: 1 is "too many tombstones".
    ensure!(failures.reasons().iter().all(|(_, reason)| *reason == 1), "{error:?}");
    ensure!(context.is_v5() != failures.reasons().is_empty(), "{error:?}");
    ensure!(!error.is_safe_to_retry(), "{error:?}");
    Ok(())
}

/// A table of which changes are captured, where there is no room for that.
async fn write_failure(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let server = context.target().configuration().server;
    // ScyllaDB writes a row of the log with each row.
    let (option, expected) = match server {
        Server::Embedded(Persona::Scylla) => ("{'enabled': true}", WriteType::UnloggedBatch),
        _ => ("true", WriteType::Simple),
    };
    let text = format!("CREATE TABLE {{ks}}.t (id int PRIMARY KEY, v int) WITH cdc = {option}");
    context.alter(&session, &text).await?;
    let text = "INSERT INTO {ks}.t (id, v) VALUES (1, 1)";
    let error = provoked(context, &session, text, 0x1500).await?;
    let DbError::WriteFailure { consistency, received, failures, write_type, .. } =
        check(&error, 0x1500)?
    else {
        bail!("{error:?}");
    };
    ensure!(*consistency == Consistency::LocalQuorum && *received == 0, "{error:?}");
    ensure!(*write_type == expected && failures.count() > 0, "{error:?}");
    ensure!(context.is_v5() != failures.reasons().is_empty(), "{error:?}");
    ensure!(!error.is_safe_to_retry(), "{error:?}");
    Ok(())
}

/// A mutation that is larger than half a segment of the commit log.
async fn too_large_a_mutation(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, b blob)").await?;
    let insert = session.prepare(context.text("INSERT INTO {ks}.t (id, b) VALUES (?, ?)")).await?;
    let Err(error) = session.execute_unpaged(&insert, (1, vec![7_u8; 9 << 20])).await else {
        bail!("it was executed");
    };
    check(&error, 0x2200)?;
    // A message as long as that is refused in version 5 before it is read.
    let says = if context.is_v5() { "exceeds allowed maximum" } else { "oversized mutation" };
    ensure!(error.to_string().contains(says), "{error:?}");
    ensure!(!error.is_safe_to_retry(), "{error:?}");
    // The connection goes on.
    session.execute_unpaged(&insert, (1, vec![7_u8; 9])).await?;
    Ok(())
}

/// A bind marker in a statement that can't have one.
async fn protocol(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, b blob)").await?;
    let mut select = session.prepare(context.text("SELECT id FROM {ks}.t")).await?;
    select.set_page_size(10);
    let state = Some(shardwire::PagingState::from_bytes(&[0xFF; 20]));
    let Err(error) = session.execute_single_page(&select, (), state).await else {
        bail!("a paging state that is none was taken");
    };
    check(&error, 0x000A)?;
    session.execute_unpaged(&select, ()).await?;
    Ok(())
}
