//! Running a prepared statement: the path everything else is measured by.
//!
//! [`Session::execute_unpaged`] makes a future that owns nothing on the heap. When it is polled it
//! checks the row's type (once per type), hashes the partition key, and has the values encoded
//! straight into the outgoing buffer of the connection that leads to the right shard.
//!
//! Step 1 of 14 in `docs/REQUEST.md`. Next: `driver/src/request.rs`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use shardwire_protocol::consistency::Consistency;
use shardwire_protocol::error::SerializeError;
use shardwire_protocol::header::{ResponseHeader, Version};
use shardwire_protocol::request::{Execute as Message, Parameters, ValueNames};
use shardwire_protocol::response::brings_new_metadata;
use shardwire_protocol::row::SerializeRow;
use shardwire_sync::Lease;

use crate::error::Error;
use crate::learned::Changed;
use crate::policy::plan::Routing;
use crate::query::{encode, frame_len};
use crate::request::{Operation, Request, Target};
use crate::rows::{Known, PagingState, PagingStateResponse, QueryResult};
use crate::session::Session;
use crate::statement::{Config, PreparedStatement, Shared};
use crate::topology::Topology;
use crate::topology::tablets::Tablets;

impl Session {
    /// Runs a prepared statement and returns all of its rows in one reply.
    ///
    /// `values` are checked against the statement once per type of row, and are encoded in place;
    /// the future borrows them until it is done.
    ///
    /// # Errors
    ///
    /// Any [`crate::ErrorKind`]; what may be sent again says [`Error::is_safe_to_retry`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is safe at any point. The statement may still be executed if it was
    /// already sent.
    ///
    /// # Allocation
    ///
    /// None in steady state.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
    /// session.execute_unpaged(&insert, (7_i64, "lamp")).await?;
    /// # Ok(()) });
    /// ```
    #[inline]
    pub fn execute_unpaged<'a, V: SerializeRow>(
        &'a self,
        prepared: &'a PreparedStatement,
        values: V,
    ) -> ExecuteUnpaged<'a, V> {
        let op = Execute { prepared, values, changed: prepared.changed() };
        ExecuteUnpaged(Request::new(&self.inner, op, Target::Plan))
    }

    /// Runs a prepared statement and returns one page of its rows, beginning at `paging_state`.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let mut select = session.prepare("SELECT id FROM shop.items").await?;
    /// select.set_page_size(100);
    /// let mut state = None;
    /// loop {
    ///     let (page, paging) = session.execute_single_page(&select, (), state).await?;
    ///     for row in page.rows_result()?.rows::<(i64,)>()? {
    ///         println!("{}", row?.0);
    ///     }
    ///     state = paging.into_paging_state();
    ///     if state.is_none() {
    ///         break;
    ///     }
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As [`execute_unpaged`](Self::execute_unpaged).
    ///
    /// # Cancel safety
    ///
    /// As [`execute_unpaged`](Self::execute_unpaged).
    ///
    /// # Allocation
    ///
    /// None in steady state.
    #[inline]
    pub fn execute_single_page<'a, V: SerializeRow>(
        &'a self,
        prepared: &'a PreparedStatement,
        values: V,
        paging_state: Option<PagingState>,
    ) -> ExecuteSinglePage<'a, V> {
        let op = ExecutePage { prepared, values, paging_state, changed: prepared.changed() };
        ExecuteSinglePage(Request::new(&self.inner, op, Target::Plan))
    }
}

/// EXECUTE without paging; its frame begins with the statement's template.
pub(crate) struct Execute<'a, V> {
    pub(crate) prepared: &'a PreparedStatement,
    pub(crate) values: V,
    /// The template names columns that are no longer the result's.
    pub(crate) changed: Option<&'a Changed>,
}

impl<'a, V: SerializeRow> Execute<'a, V> {
    fn request(&self) -> Message<'_, V> {
        let prepared = self.prepared;
        message(prepared, &self.values, prepared.parameters, self.changed)
    }

    #[cold]
    #[inline(never)]
    fn changed_len(&self) -> Result<usize, SerializeError> {
        let PreparedStatement { shared, config, .. } = self.prepared;
        frame_len(&self.request(), config, shared.version)
    }
}

/// An EXECUTE that is encoded without the template.
fn message<'m, V>(
    prepared: &'m PreparedStatement,
    values: &'m V,
    parameters: Parameters<'m>,
    changed: Option<&'m Changed>,
) -> Message<'m, V> {
    Message {
        id: &prepared.shared.id,
        result_metadata_id: prepared.shared.result_id(changed),
        parameters,
        values,
        columns: &prepared.shared.bind.columns,
        names: ValueNames::None,
    }
}

/// Reads the result of an EXECUTE, and learns of columns that have become others and of tablets.
#[inline(always)]
fn result(
    header: ResponseHeader,
    body: Lease,
    prepared: &PreparedStatement,
    changed: Option<&Changed>,
) -> Result<QueryResult, Error> {
    if header.version == Version::V5 && (header.flags != 0 || brings_new_metadata(&body)) {
        prepared.shared.learn(&header, &body)?;
    }
    let metadata = prepared.shared.result(changed);
    let known = Known { metadata, tablets: &prepared.shared.tablets };
    QueryResult::parse(header, body, Some(known))
}

impl<'a, V: SerializeRow> Operation<'a> for Execute<'a, V> {
    type Output = QueryResult;

    #[inline]
    fn config(&self) -> &Config {
        &self.prepared.config
    }

    #[inline]
    fn route<'t>(&self, topology: &'t Topology) -> Result<Routing<'t>, Error> {
        self.prepared.route(topology, &self.values)
    }

    fn tablets(&self) -> Option<&Tablets> {
        Some(&self.prepared.shared.tablets)
    }

    #[inline(always)]
    fn frame_len(&self) -> Result<usize, Error> {
        self.prepared.check(&self.values)?;
        let shared = &self.prepared.shared;
        let (template, columns) = (&self.prepared.template, &shared.bind.columns);
        let len = if self.prepared.is_plain {
            template.plain_frame_len(&self.values, columns)
        } else if self.changed.is_some() {
            self.changed_len()
        } else {
            let len = template.frame_len(&self.values, columns, &self.prepared.parameters);
            len.map(|len| len.saturating_add(self.prepared.config.payload_len()))
        };
        len.map_err(|e| shared.error(e))
    }

    #[inline(always)]
    fn encode(&self, stream: i16, frame: &mut [u8]) -> Result<(), SerializeError> {
        let columns = &self.prepared.shared.bind.columns;
        if self.prepared.is_plain {
            return self.prepared.template.write_plain(stream, &self.values, columns, frame);
        }
        let parameters = &self.prepared.parameters;
        // Neither is part of the template.
        if self.changed.is_some() || self.prepared.config.payload.is_some() {
            return self.encode_with(parameters.consistency, stream, frame);
        }
        self.prepared.template.write(stream, &self.values, columns, parameters, frame)
    }

    fn encode_with(
        &self,
        consistency: Consistency,
        stream: i16,
        frame: &mut [u8],
    ) -> Result<(), SerializeError> {
        let mut request = self.request();
        request.parameters.consistency = consistency;
        let version = self.prepared.shared.version;
        encode(&request, &self.prepared.config, version, stream, frame)
    }

    fn serialize_error(&self, error: SerializeError) -> Error {
        self.prepared.shared.error(error)
    }

    #[inline]
    fn void(&self) -> Result<QueryResult, Error> {
        Ok(QueryResult::void())
    }

    #[inline]
    fn result(&self, header: ResponseHeader, body: Lease) -> Result<QueryResult, Error> {
        result(header, body, self.prepared, self.changed)
    }

    fn prepared_with_id(&self, id: &[u8]) -> Option<&'a Shared> {
        let prepared: &'a PreparedStatement = self.prepared;
        (*prepared.shared.id == *id).then_some(&*prepared.shared)
    }
}

/// EXECUTE of one page.
pub(crate) struct ExecutePage<'a, V> {
    pub(crate) prepared: &'a PreparedStatement,
    pub(crate) values: V,
    pub(crate) paging_state: Option<PagingState>,
    pub(crate) changed: Option<&'a Changed>,
}

impl<'a, V: SerializeRow> ExecutePage<'a, V> {
    fn request(&self) -> Message<'_, V> {
        let prepared = self.prepared;
        let parameters =
            prepared.page_parameters(self.paging_state.as_ref().map(PagingState::as_bytes));
        message(prepared, &self.values, parameters, self.changed)
    }
}

impl<'a, V: SerializeRow> Operation<'a> for ExecutePage<'a, V> {
    type Output = (QueryResult, PagingStateResponse);

    fn config(&self) -> &Config {
        &self.prepared.config
    }

    fn route<'t>(&self, topology: &'t Topology) -> Result<Routing<'t>, Error> {
        self.prepared.route(topology, &self.values)
    }

    fn tablets(&self) -> Option<&Tablets> {
        Some(&self.prepared.shared.tablets)
    }

    fn frame_len(&self) -> Result<usize, Error> {
        self.prepared.check(&self.values)?;
        let PreparedStatement { shared, config, .. } = self.prepared;
        frame_len(&self.request(), config, shared.version).map_err(|e| shared.error(e))
    }

    fn encode(&self, stream: i16, frame: &mut [u8]) -> Result<(), SerializeError> {
        let version = self.prepared.shared.version;
        encode(&self.request(), &self.prepared.config, version, stream, frame)
    }

    fn encode_with(
        &self,
        consistency: Consistency,
        stream: i16,
        frame: &mut [u8],
    ) -> Result<(), SerializeError> {
        let mut request = self.request();
        request.parameters.consistency = consistency;
        let version = self.prepared.shared.version;
        encode(&request, &self.prepared.config, version, stream, frame)
    }

    fn serialize_error(&self, error: SerializeError) -> Error {
        self.prepared.shared.error(error)
    }

    fn void(&self) -> Result<Self::Output, Error> {
        Ok((QueryResult::void(), PagingStateResponse::NoMorePages))
    }

    fn result(&self, header: ResponseHeader, body: Lease) -> Result<Self::Output, Error> {
        let result = result(header, body, self.prepared, self.changed)?;
        let paging = result.paging();
        Ok((result, paging))
    }

    fn prepared_with_id(&self, id: &[u8]) -> Option<&'a Shared> {
        let prepared: &'a PreparedStatement = self.prepared;
        (*prepared.shared.id == *id).then_some(&*prepared.shared)
    }
}

/// Names a future of the public API without naming the machine inside it.
macro_rules! request_future {
    ($(#[$doc:meta])* $name:ident<'a $(, $v:ident: $bound:path)?>($op:ty) -> $output:ty) => {
        $(#[$doc])*
        #[must_use = "futures do nothing unless polled"]
        pub struct $name<'a $(, $v: $bound)?>(Request<'a, $op>);

        impl<'a $(, $v: $bound)?> Future for $name<'a $(, $v)?> {
            type Output = Result<$output, Error>;

            #[inline]
            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                Pin::new(&mut self.0).poll(cx)
            }
        }

        impl<'a $(, $v: $bound)?> std::fmt::Debug for $name<'a $(, $v)?> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use request_future;

request_future! {
    /// The future of [`Session::execute_unpaged`].
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
    /// let lamp = session.execute_unpaged(&insert, (1_i64, "lamp"));
    /// let table = session.execute_unpaged(&insert, (2_i64, "table"));
    /// tokio::try_join!(lamp, table)?; // both in flight at once
    /// # Ok(()) });
    /// ```
    ExecuteUnpaged<'a, V: SerializeRow>(Execute<'a, V>) -> QueryResult
}

request_future! {
    /// The future of [`Session::execute_single_page`].
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let select = session.prepare("SELECT id FROM shop.items").await?;
    /// let request = session.execute_single_page(&select, (), None); // nothing is sent yet
    /// let (page, paging) = request.await?;
    /// assert!(page.is_rows() && paging.finished());
    /// # Ok(()) });
    /// ```
    ExecuteSinglePage<'a, V: SerializeRow>(ExecutePage<'a, V>) -> (QueryResult, PagingStateResponse)
}
