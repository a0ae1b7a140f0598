//! The official `scylla` crate.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{ExecutionError, RequestAttemptError};
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use super::shardwire::name;
use super::{CONNECTION_TIMEOUT, Client, Failure, KEYSPACE, REQUEST_TIMEOUT, Statements};

#[derive(Debug)]
pub(crate) struct Official {
    session: Session,
    insert: PreparedStatement,
    select: PreparedStatement,
}

impl Client for Official {
    const NAME: &'static str = "scylla";

    async fn connect(nodes: &[SocketAddr]) -> Result<Self> {
        let profile = ExecutionProfile::builder().request_timeout(Some(REQUEST_TIMEOUT)).build();
        let session = SessionBuilder::new()
            .known_nodes_addr(nodes)
            .default_execution_profile_handle(profile.into_handle())
            .connection_timeout(CONNECTION_TIMEOUT)
            .build()
            .await
            .context("scylla can't connect")?;
        session.query_unpaged(KEYSPACE, ()).await.context(KEYSPACE)?;
        let Statements { table, insert, select } = Statements::of::<Self>();
        session.query_unpaged(table.as_str(), ()).await.context(table)?;
        let prepare = async |text: String| {
            let mut statement = session.prepare(text.as_str()).await.context(text)?;
            statement.set_consistency(Consistency::Quorum);
            statement.set_is_idempotent(true);
            anyhow::Ok(statement)
        };
        let (insert, select) = (prepare(insert).await?, prepare(select).await?);
        Ok(Self { session, insert, select })
    }

    async fn write(&self, key: i64, value: &[u8]) -> Result<(), Failure> {
        self.session.execute_unpaged(&self.insert, (key, value)).await.map_err(failure)?;
        Ok(())
    }

    async fn read(&self, key: i64) -> Result<Option<Vec<u8>>, Failure> {
        let result = self.session.execute_unpaged(&self.select, (key,)).await.map_err(failure)?;
        let rows = result.into_rows_result().map_err(unread)?;
        let row = rows.maybe_first_row::<(Vec<u8>,)>().map_err(unread)?;
        Ok(row.map(|(value,)| value))
    }
}

fn failure(error: ExecutionError) -> Failure {
    let kind = match &error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(database, _)) => {
            name(&format!("{database:?}"))
        }
        ExecutionError::LastAttemptError(attempt) => name(&format!("{attempt:?}")),
        error => name(&format!("{error:?}")),
    };
    Failure { kind, text: error.to_string() }
}

fn unread(error: impl std::fmt::Display) -> Failure {
    Failure { kind: "Unreadable".to_owned(), text: error.to_string() }
}
