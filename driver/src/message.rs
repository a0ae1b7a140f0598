//! Messages of the driver's own: keepalives, REGISTER, reads of the system tables.
//!
//! They go to one given connection and take the same way as a user's requests.

use shardwire_protocol::error::SerializeError;
use shardwire_protocol::header::{ResponseHeader, Version};
use shardwire_protocol::request::{Request as Encode, frame_len};
use shardwire_sync::Lease;

use crate::clock;
use crate::connection::Conn;
use crate::error::Error;
use crate::policy::plan::Routing;
use crate::query::{Paging, Query, encode};
use crate::request::{Operation, Request, Target};
use crate::rows::QueryRowsResult;
use crate::session::Inner;
use crate::statement::{Config, Shared, Statement};
use crate::topology::Topology;

/// A message whose reply is taken as it comes.
pub(crate) struct Message<M> {
    pub(crate) message: M,
    pub(crate) config: Config,
    pub(crate) version: Version,
}

impl<'a, M: Encode> Operation<'a> for Message<M> {
    type Output = Option<(ResponseHeader, Lease)>;

    fn config(&self) -> &Config {
        &self.config
    }

    fn route<'t>(&self, _: &'t Topology) -> Result<Routing<'t>, Error> {
        Ok(Routing::default())
    }

    fn frame_len(&self) -> Result<usize, Error> {
        frame_len(&self.message, self.version).map_err(|e| Error::serialize(e, None))
    }

    fn encode(&self, stream: i16, frame: &mut [u8]) -> Result<(), SerializeError> {
        encode(&self.message, &self.config, self.version, stream, frame)
    }

    fn serialize_error(&self, error: SerializeError) -> Error {
        Error::serialize(error, None)
    }

    fn void(&self) -> Result<Self::Output, Error> {
        Ok(None)
    }

    fn result(&self, header: ResponseHeader, body: Lease) -> Result<Self::Output, Error> {
        Ok(Some((header, body)))
    }

    fn prepared_with_id(&self, _: &[u8]) -> Option<&'a Shared> {
        None
    }
}

impl Inner {
    /// Sends a message over `conn` and waits for whatever comes back.
    pub(crate) async fn message(
        &self,
        conn: &Conn,
        message: impl Encode,
        timeout_ticks: u32,
    ) -> Result<Option<(ResponseHeader, Lease)>, Error> {
        let config = Config { timeout: Some(timeout_ticks), ..Config::default() };
        let op = Message { message, config, version: self.version() };
        Request::new(self, op, Target::Connection(conn)).await
    }

    /// Reads a system table over `conn`.
    pub(crate) async fn system_query(
        &self,
        conn: &Conn,
        text: &str,
    ) -> Result<QueryRowsResult, Error> {
        let mut statement = Statement::new(text);
        statement.set_consistency(shardwire_protocol::consistency::Consistency::One);
        statement.config.serial_consistency = None;
        statement.config.timeout = Some(clock::ticks(self.settings.connect_timeout));
        let (paging, version) = (Paging::None, self.version());
        let query = Query { statement: &statement, paging_state: None, paging, version };
        let (result, _) = Request::new(self, query, Target::Connection(conn)).await?;
        result.into_rows_result()
    }
}
