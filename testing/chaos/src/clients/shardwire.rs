//! Shardwire.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use shardwire::{Consistency, Error, ErrorKind, PreparedStatement, Session, SessionBuilder};

use super::{CONNECTION_TIMEOUT, Client, Failure, KEYSPACE, REQUEST_TIMEOUT, Statements};

#[derive(Debug)]
pub(crate) struct Shardwire {
    session: Session,
    insert: PreparedStatement,
    select: PreparedStatement,
}

impl Client for Shardwire {
    const NAME: &'static str = "shardwire";

    async fn connect(nodes: &[SocketAddr]) -> Result<Self> {
        let session = SessionBuilder::new()
            .known_nodes(nodes.iter().map(ToString::to_string))
            .request_timeout(Some(REQUEST_TIMEOUT))
            .connection_timeout(CONNECTION_TIMEOUT)
            .build()
            .await
            .context("shardwire can't connect")?;
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
        let row = result.rows_result().and_then(|rows| rows.maybe_first_row::<(Vec<u8>,)>());
        Ok(row.map_err(failure)?.map(|(value,)| value))
    }
}

fn failure(error: Error) -> Failure {
    let kind = match (error.kind(), error.database()) {
        (ErrorKind::Database, Some(database)) => name(&format!("{database:?}")),
        (kind, _) => format!("{kind:?}"),
    };
    Failure { kind, text: error.to_string() }
}

/// The first word of what `Debug` writes: a variant's name.
pub(super) fn name(debug: &str) -> String {
    debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
