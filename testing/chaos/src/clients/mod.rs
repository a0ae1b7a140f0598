//! The drivers, as the load sees them: each writes and reads one key at QUORUM.
//!
//! Both are at their defaults, but for timeouts that are equal and short; statements are marked as
//! idempotent, so that a driver may repeat what failed.

mod official;
mod shardwire;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

pub(crate) use official::Official;
pub(crate) use shardwire::Shardwire;

/// Time that a request has, all its attempts together.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Time that a connection has to be made.
pub(crate) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// Of three replicas in the only datacenter.
pub(crate) const KEYSPACE: &str = "CREATE KEYSPACE IF NOT EXISTS chaos WITH replication = \
     {'class': 'NetworkTopologyStrategy', 'datacenter1': 3}";

/// What is asked, of a table that each driver has for itself.
#[derive(Debug)]
struct Statements {
    table: String,
    insert: String,
    select: String,
}

impl Statements {
    fn of<C: Client>() -> Statements {
        let table = format!("chaos.{}", C::NAME);
        Statements {
            insert: format!("INSERT INTO {table} (id, value) VALUES (?, ?)"),
            select: format!("SELECT value FROM {table} WHERE id = ?"),
            table: format!(
                "CREATE TABLE IF NOT EXISTS {table} (id bigint PRIMARY KEY, value blob)"
            ),
        }
    }
}

/// The drivers that there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Which {
    Shardwire,
    /// The official crate.
    Scylla,
}

/// Why a request failed, in a word or two: errors are counted by it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: String,
    /// As the driver says it.
    pub(crate) text: String,
}

/// A driver, connected.
pub(crate) trait Client: Send + Sync + Sized + 'static {
    const NAME: &'static str;

    /// Connects, makes the table, prepares the statements.
    fn connect(nodes: &[SocketAddr]) -> impl Future<Output = Result<Self>> + Send;

    fn write(&self, key: i64, value: &[u8]) -> impl Future<Output = Result<(), Failure>> + Send;

    fn read(&self, key: i64) -> impl Future<Output = Result<Option<Vec<u8>>, Failure>> + Send;
}
