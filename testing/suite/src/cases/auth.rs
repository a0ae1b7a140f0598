//! Logging in, and what a user may do.

use anyhow::{Result, bail, ensure};
use shardwire::{DbError, ErrorKind, SessionBuilder};

use super::errors::check;
use crate::case::{Case, case};
use crate::configuration::Access;
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(auth::right).access(Access::Password),
    case!(auth::wrong).access(Access::Password),
    case!(auth::unauthorized).access(Access::Password),
];

async fn right(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY)").await?;
    context.query(&session, "INSERT INTO {ks}.t (id) VALUES (1)").await?;
    Ok(())
}

async fn wrong(context: &Context) -> Result<()> {
    let Some((user, password)) = context.target().credentials() else { bail!("nobody logs in") };
    for (user, password) in [(user, "wrong"), ("nobody", password), (user, "")] {
        let Err(error) = context.builder().user(user, password).build().await else {
            bail!("{user} got in with {password:?}");
        };
        ensure!(error.kind() == ErrorKind::Authentication, "{error:?}");
        ensure!(!error.is_safe_to_retry(), "{error:?}");
        ensure!(error.to_string().contains("PasswordAuthenticator"), "{error}");
    }
    // Without any, the error says what the node asks for.
    let points = context.target().contact_points().iter().map(ToString::to_string);
    let Err(error) = SessionBuilder::new().known_nodes(points).build().await else {
        bail!("somebody got in without a password");
    };
    ensure!(error.kind() == ErrorKind::Authentication, "{error:?}");
    ensure!(error.to_string().contains("PasswordAuthenticator"), "{error}");
    Ok(())
}

/// A user who may read one table, and nothing else.
async fn unauthorized(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY)").await?;
    context.alter(&session, "CREATE TABLE {ks}.secret (id int PRIMARY KEY)").await?;
    for text in [
        "CREATE ROLE {ks} WITH PASSWORD = 'pass:é' AND LOGIN = true",
        "GRANT SELECT ON {ks}.t TO {ks}",
    ] {
        context.query(&session, text).await?;
    }
    let reader = context.builder().user(context.keyspace(), "pass:é").build().await?;
    context.rows(&reader, "SELECT * FROM {ks}.t").await?;
    for text in [
        "SELECT * FROM {ks}.secret",
        "INSERT INTO {ks}.t (id) VALUES (1)",
        "DROP TABLE {ks}.t",
        "CREATE ROLE {ks}_2",
    ] {
        let Err(error) = reader.query_unpaged(context.text(text), ()).await else {
            bail!("{text} was executed");
        };
        let told = check(&error, 0x2100)?;
        ensure!(*told == DbError::Unauthorized, "{error:?}");
    }
    Ok(())
}
