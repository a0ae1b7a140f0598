//! Statements: what to run, and with which settings.
//!
//! A [`Statement`] is text; a [`PreparedStatement`] is known to the cluster and carries everything
//! that sending it needs - its id, the types of its values, where the partition key is among them
//! and the encoded beginning of its EXECUTE frame. Clones share all of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shardwire_protocol::consistency::{Consistency, SerialConsistency};
use shardwire_protocol::error::SerializeError;
use shardwire_protocol::header::{ResponseHeader, Version, flags};
use shardwire_protocol::metadata::{PreparedMetadata, ResultMetadata};
use shardwire_protocol::request::{ExecuteTemplate, Parameters};
use shardwire_protocol::response::{Agreed, Body, Response, ResultBody};
use shardwire_protocol::routing::{Partitioner, Token, token_of_row};
use shardwire_protocol::row::SerializeRow;
use shardwire_protocol::rows::RowsMetadata;
use shardwire_protocol::types::ColumnSpec;

use crate::clock;
use crate::error::Error;
use crate::learned::{Changed, Learned};
use crate::payload::Payload;
use crate::policy::plan::Routing;
use crate::policy::retry::RetryPolicy;
use crate::topology::tablets::Tablets;
use crate::topology::{CachedIndex, Topology};

/// Rows per page unless the statement says otherwise.
pub(crate) const PAGE_SIZE_DEFAULT: i32 = 5000;

/// Settings that every kind of statement has.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) consistency: Consistency,
    pub(crate) serial_consistency: Option<SerialConsistency>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) idempotent: bool,
    pub(crate) page_size: i32,
    /// Ticks; `None` means the session's.
    pub(crate) timeout: Option<u32>,
    pub(crate) tracing: bool,
    /// `None` means the session's.
    pub(crate) retry_policy: Option<Arc<dyn RetryPolicy>>,
    pub(crate) payload: Option<Payload>,
}

impl Config {
    /// Bytes that precede the message of a request.
    #[inline]
    pub(crate) fn payload_len(&self) -> usize {
        self.payload.as_ref().map_or(0, Payload::len)
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            consistency: Consistency::LocalQuorum,
            serial_consistency: Some(SerialConsistency::LocalSerial),
            timestamp: None,
            idempotent: false,
            page_size: PAGE_SIZE_DEFAULT,
            timeout: None,
            tracing: false,
            retry_policy: None,
            payload: None,
        }
    }
}

/// The setters that [`Statement`], [`PreparedStatement`] and [`crate::Batch`] share.
macro_rules! config_methods {
    () => {
        /// Sets how many replicas must answer (CQL v4 section 3, `[consistency]`).
        ///
        /// ```
        /// use shardwire::{Consistency, Statement};
        ///
        /// let mut statement = Statement::new("SELECT name FROM shop.items");
        /// statement.set_consistency(Consistency::LocalOne);
        /// assert_eq!(statement.get_consistency(), Consistency::LocalOne);
        /// ```
        pub fn set_consistency(&mut self, consistency: Consistency) {
            self.config.consistency = consistency;
            self.config_changed();
        }

        /// How many replicas must answer.
        #[must_use]
        pub fn get_consistency(&self) -> Consistency {
            self.config.consistency
        }

        /// Sets the consistency of the Paxos phase of conditional statements.
        ///
        /// ```
        /// use shardwire::{SerialConsistency, Statement};
        ///
        /// let mut statement = Statement::new("DELETE FROM shop.items WHERE id = 7 IF EXISTS");
        /// statement.set_serial_consistency(Some(SerialConsistency::Serial)); // in all datacenters
        /// ```
        pub fn set_serial_consistency(&mut self, consistency: Option<SerialConsistency>) {
            self.config.serial_consistency = consistency;
            self.config_changed();
        }

        /// The consistency of the Paxos phase of conditional statements.
        ///
        /// ```
        /// use shardwire::{SerialConsistency, Statement};
        ///
        /// let statement = Statement::new("DELETE FROM shop.items WHERE id = 7 IF EXISTS");
        /// let default = Some(SerialConsistency::LocalSerial);
        /// assert_eq!(statement.get_serial_consistency(), default);
        /// ```
        #[must_use]
        pub fn get_serial_consistency(&self) -> Option<SerialConsistency> {
            self.config.serial_consistency
        }

        /// Sets the write timestamp in microseconds since 1970; the node's clock when `None`.
        ///
        /// ```
        /// let mut statement = shardwire::Statement::new("DELETE FROM shop.items WHERE id = 7");
        /// statement.set_timestamp(Some(1_767_225_600_000_000)); // what was written before 2026
        /// ```
        pub fn set_timestamp(&mut self, timestamp: Option<i64>) {
            self.config.timestamp = timestamp;
            self.config_changed();
        }

        /// Says that applying it twice is the same as once, so that it may be sent again after a
        /// failure that leaves its outcome unknown.
        ///
        /// ```
        /// let mut statement = shardwire::Statement::new("DELETE FROM shop.items WHERE id = 7");
        /// assert!(!statement.get_is_idempotent());
        /// statement.set_is_idempotent(true);
        /// assert!(statement.get_is_idempotent());
        /// ```
        pub fn set_is_idempotent(&mut self, is_idempotent: bool) {
            self.config.idempotent = is_idempotent;
        }

        /// Whether it may be sent again.
        #[must_use]
        pub fn get_is_idempotent(&self) -> bool {
            self.config.idempotent
        }

        /// Sets how long a request may take in all: waiting, attempts, everything. The session's
        /// default when `None`. Kept to within 10 ms, as long as the program gets to run: where
        /// its threads are blocked, or the machine is busy with others, it may end by so much
        /// sooner as the runtime was held up before, 100 ms at most, or later.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// let mut statement = shardwire::Statement::new("SELECT name FROM shop.items");
        /// statement.set_request_timeout(Some(Duration::from_millis(500)));
        /// ```
        pub fn set_request_timeout(&mut self, timeout: Option<Duration>) {
            self.config.timeout = timeout.map(clock::ticks);
        }

        /// Sets what is sent along for extensions of the server, in place of what was; nothing if
        /// there are no entries. The reply's is [`custom_payload`](crate::QueryResult).
        ///
        /// ```
        /// # fn main() -> Result<(), shardwire::Error> {
        /// let mut statement = shardwire::Statement::new("SELECT name FROM shop.items");
        /// statement.set_custom_payload([("tenant", b"garden")])?;
        /// # Ok(()) }
        /// ```
        ///
        /// # Errors
        ///
        /// [`crate::ErrorKind::Config`] if it is longer than 1 MiB, a key is longer than 65,535
        /// bytes, or there are more entries than that.
        pub fn set_custom_payload<K: AsRef<str>, C: AsRef<[u8]>>(
            &mut self,
            entries: impl IntoIterator<Item = (K, C)>,
        ) -> Result<(), Error> {
            self.config.payload = Payload::new(entries)?;
            self.config_changed();
            Ok(())
        }

        /// Sets what is tried again when an attempt fails. The session's policy when `None`.
        ///
        /// ```
        /// use std::sync::Arc;
        ///
        /// use shardwire::{FallthroughRetryPolicy, Statement};
        ///
        /// let mut statement = Statement::new("SELECT name FROM shop.items");
        /// assert!(statement.get_retry_policy().is_none());
        /// statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy)));
        /// assert!(statement.get_retry_policy().is_some());
        /// ```
        pub fn set_retry_policy(&mut self, policy: Option<Arc<dyn RetryPolicy>>) {
            self.config.retry_policy = policy;
        }

        /// What is tried again, if it is not left to the session.
        #[must_use]
        pub fn get_retry_policy(&self) -> Option<&Arc<dyn RetryPolicy>> {
            self.config.retry_policy.as_ref()
        }
    };
}
pub(crate) use config_methods;

/// A statement as text, sent whole each time.
///
/// ```
/// let mut statement = shardwire::Statement::new("SELECT release_version FROM system.local");
/// statement.set_is_idempotent(true);
/// ```
#[derive(Clone, Debug)]
pub struct Statement {
    /// The CQL text.
    pub contents: String,
    pub(crate) config: Config,
}

impl Statement {
    /// A statement with default settings.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let statement = shardwire::Statement::new("SELECT name FROM shop.items");
    /// assert_eq!(statement.contents, "SELECT name FROM shop.items");
    /// session.query_unpaged(statement, ()).await?;
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn new(contents: impl Into<String>) -> Statement {
        Statement { contents: contents.into(), config: Config::default() }
    }

    config_methods!();

    /// Sets the number of rows per page, at least 1.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let mut statement = shardwire::Statement::new("SELECT name FROM shop.items");
    /// statement.set_page_size(100);
    /// let pager = session.query_iter(statement, ()).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Panics
    ///
    /// If `page_size` is not positive.
    pub fn set_page_size(&mut self, page_size: i32) {
        assert!(page_size > 0, "page size must be positive");
        self.config.page_size = page_size;
    }

    /// Asks the nodes to trace it; [`crate::QueryResult::tracing_id`] names the trace.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let mut statement = shardwire::Statement::new("SELECT name FROM shop.items");
    /// statement.set_tracing(true);
    /// let result = session.query_unpaged(statement, ()).await?;
    /// if let Some(id) = result.tracing_id() {
    ///     println!("SELECT * FROM system_traces.events WHERE session_id = {id}");
    /// }
    /// # Ok(()) });
    /// ```
    pub fn set_tracing(&mut self, tracing: bool) {
        self.config.tracing = tracing;
    }

    fn config_changed(&mut self) {}
}

impl From<&str> for Statement {
    fn from(contents: &str) -> Statement {
        Statement::new(contents)
    }
}

impl From<String> for Statement {
    fn from(contents: String) -> Statement {
        Statement::new(contents)
    }
}

/// A statement that the cluster has parsed (CQL v4 section 4.1.5 and 4.2.5.4).
///
/// Cheap to clone: clones share everything but their settings.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// use shardwire::Consistency;
///
/// let select = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
/// let mut sure = select.clone();
/// sure.set_consistency(Consistency::All);
/// sure.set_is_idempotent(true);
/// session.execute_unpaged(&sure, (7_i64,)).await?;
/// assert_eq!(select.get_consistency(), Consistency::LocalQuorum); // not changed
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct PreparedStatement {
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Config,
    /// What is alike in all EXECUTE frames, encoded.
    pub(crate) template: Arc<ExecuteTemplate>,
    /// Nothing follows the values of an unpaged EXECUTE: the template has all the rest.
    pub(crate) is_plain: bool,
    /// What an unpaged EXECUTE says besides its values.
    pub(crate) parameters: Parameters<'static>,
    use_cached_result_metadata: bool,
}

/// What all clones of a prepared statement share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The version of the protocol that it was prepared in.
    pub(crate) version: Version,
    pub(crate) id: Box<[u8]>,
    /// The id of `result`; from version 5 on.
    result_metadata_id: Option<Box<[u8]>>,
    /// What the result's columns have become since, as a node told (version 5).
    learned: Learned,
    pub(crate) text: Box<str>,
    pub(crate) bind: PreparedMetadata,
    pub(crate) result: Arc<ResultMetadata>,
    pub(crate) partitioner: Partitioner,
    /// What is known of its table's tablets.
    pub(crate) tablets: Arc<Tablets>,
    /// Nodes mark conditional statements, and this is none: its Paxos phase needs no consistency.
    pub(crate) plain: bool,
    /// `SerializeRow::type_key` of the row type that was last found to fit, 0 for none.
    checked: AtomicUsize,
    /// The statement's keyspace.
    keyspace: CachedIndex,
}

/// The ids of PREPARED.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids<'a> {
    pub(crate) id: &'a [u8],
    pub(crate) result_metadata: Option<&'a [u8]>,
}

impl PreparedStatement {
    pub(crate) fn new(
        version: Version,
        ids: Ids<'_>,
        text: &str,
        bind: PreparedMetadata,
        result: ResultMetadata,
        config: Config,
        lwt_is_marked: bool,
    ) -> Result<PreparedStatement, Error> {
        let shared = Arc::new(Shared {
            version,
            id: ids.id.into(),
            result_metadata_id: ids.result_metadata.map(Into::into),
            learned: Learned::default(),
            text: text.into(),
            plain: lwt_is_marked && !bind.is_lwt,
            bind,
            result: Arc::new(result),
            partitioner: Partitioner::Murmur3,
            tablets: Arc::default(),
            checked: AtomicUsize::new(0),
            keyspace: CachedIndex::default(),
        });
        let mut statement = PreparedStatement {
            template: Arc::new(template(&shared, &config)?),
            is_plain: false,
            parameters: Parameters::default(),
            shared,
            config,
            use_cached_result_metadata: false,
        };
        statement.config_changed();
        Ok(statement)
    }

    /// Sets what makes the tokens and where they are, before there are clones.
    pub(crate) fn set_table(&mut self, partitioner: Partitioner, tablets: Arc<Tablets>) {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            (shared.partitioner, shared.tablets) = (partitioner, tablets);
        }
    }

    config_methods!();

    /// Sets the number of rows per page, at least 1.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let mut select = session.prepare("SELECT name FROM shop.items").await?;
    /// select.set_page_size(100);
    /// let pager = session.execute_iter(&select, ());
    /// # Ok(()) });
    /// ```
    ///
    /// # Panics
    ///
    /// If `page_size` is not positive.
    pub fn set_page_size(&mut self, page_size: i32) {
        assert!(page_size > 0, "page size must be positive");
        self.config.page_size = page_size;
    }

    /// Asks nodes to leave the columns' names and types out of the rows they send.
    ///
    /// Saves bandwidth and a comparison per reply. Off by default: with protocol v4 nothing tells
    /// a client that the table was altered meanwhile, and rows of `SELECT *` would be misread.
    /// With protocol v5 nodes do tell, and it is always on.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let mut select = session.prepare("SELECT id, name FROM shop.items").await?;
    /// select.set_use_cached_result_metadata(true); // its columns are named: they stay the same
    /// assert!(select.get_use_cached_result_metadata());
    /// session.execute_unpaged(&select, ()).await?.into_rows_result()?.rows::<(i64, &str)>()?;
    /// # Ok(()) });
    /// ```
    pub fn set_use_cached_result_metadata(&mut self, use_cached: bool) {
        self.use_cached_result_metadata = use_cached;
        self.config_changed();
    }

    /// Whether nodes are asked to leave out the result's metadata.
    #[must_use]
    pub fn get_use_cached_result_metadata(&self) -> bool {
        self.use_cached_result_metadata || self.shared.result_metadata_id.is_some()
    }

    /// The CQL text.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let select = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
    /// assert_eq!(select.get_statement(), "SELECT name FROM shop.items WHERE id = ?");
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn get_statement(&self) -> &str {
        &self.shared.text
    }

    /// The id that the nodes gave it.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let select = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
    /// let again = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
    /// assert_eq!(select.get_id(), again.get_id());
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn get_id(&self) -> &[u8] {
        &self.shared.id
    }

    /// The columns that its values are bound to.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// use shardwire::ColumnType;
    ///
    /// let select = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
    /// let columns = select.get_variable_col_specs();
    /// assert_eq!(columns[0].name, "id");
    /// assert_eq!(columns[0].typ, ColumnType::Bigint);
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn get_variable_col_specs(&self) -> &[ColumnSpec] {
        &self.shared.bind.columns
    }

    /// The columns of its rows.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// use shardwire::ColumnType;
    ///
    /// let select = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
    /// assert_eq!(select.get_result_set_col_specs()[0].typ, ColumnType::Text);
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn get_result_set_col_specs(&self) -> &[ColumnSpec] {
        &self.shared.result.columns
    }

    /// Whether it is a conditional statement, as far as the cluster tells.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let delete = session.prepare("DELETE FROM shop.items WHERE id = ? IF EXISTS").await?;
    /// assert!(delete.is_confirmed_lwt());
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn is_confirmed_lwt(&self) -> bool {
        self.shared.bind.is_lwt
    }

    /// Whether its partition key is bound, so that requests go straight to a replica.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let one = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
    /// let all = session.prepare("SELECT name FROM shop.items").await?;
    /// assert!(one.is_token_aware() && !all.is_token_aware());
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn is_token_aware(&self) -> bool {
        !self.shared.bind.partition_key_indexes.is_empty()
    }

    /// The token of the partition that `values` address; `None` when the partition key is not
    /// bound.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// use shardwire::{ErrorKind, Token};
    ///
    /// let select = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
    /// let token = select.calculate_token(&(1_i64,))?;
    /// assert_eq!(token, Some(Token(6_292_367_497_774_912_474)));
    /// let error = select.calculate_token(&("lamp",)).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Serialize);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Serialize`] if the values do not fit the statement, a part of the key
    /// is null, or the key is too long.
    pub fn calculate_token(&self, values: &impl SerializeRow) -> Result<Option<Token>, Error> {
        self.check(values)?;
        self.token(values)
    }

    /// Checks once per row type that it fits the statement's variables.
    #[inline]
    pub(crate) fn check<V: SerializeRow + ?Sized>(&self, values: &V) -> Result<(), Error> {
        let key = values.type_key();
        if let Some(key) = key
            && self.shared.checked.load(Ordering::Relaxed) == key
        {
            return Ok(());
        }
        self.check_types(values, key)
    }

    #[cold]
    fn check_types<V: SerializeRow + ?Sized>(
        &self,
        values: &V,
        key: Option<usize>,
    ) -> Result<(), Error> {
        values.type_check(&self.shared.bind.columns).map_err(|e| self.shared.error(e))?;
        if let Some(key) = key {
            self.shared.checked.store(key, Ordering::Relaxed);
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn token<V: SerializeRow + ?Sized>(
        &self,
        values: &V,
    ) -> Result<Option<Token>, Error> {
        let bind = &self.shared.bind;
        token_of_row(values, &bind.partition_key_indexes, &bind.columns, self.shared.partitioner)
            .map_err(|e| self.shared.error(e))
    }

    /// Where a request with these values belongs.
    #[inline(always)]
    pub(crate) fn route<'t, V: SerializeRow + ?Sized>(
        &self,
        topology: &'t Topology,
        values: &V,
    ) -> Result<Routing<'t>, Error> {
        let Some(token) = self.token(values)? else { return Ok(Routing::default()) };
        let replicas = match self.shared.cached_keyspace(topology) {
            Some(keyspace) => topology.replicas(keyspace, token),
            None => &[],
        };
        Ok(Routing { replicas, token: Some(token), in_order: self.shared.bind.is_lwt })
    }

    /// What goes with one page of an EXECUTE.
    pub(crate) fn page_parameters<'a>(&self, paging_state: Option<&'a [u8]>) -> Parameters<'a> {
        Parameters { page_size: Some(self.config.page_size), paging_state, ..self.parameters }
    }

    /// What the result's columns have become since the statement was prepared, if anything.
    #[inline]
    pub(crate) fn changed(&self) -> Option<&Changed> {
        // Plain ones are of version 4, where nodes do not tell.
        if self.is_plain { None } else { self.shared.learned.newest() }
    }

    fn config_changed(&mut self) {
        let has_columns = !self.shared.result.columns.is_empty();
        self.parameters = Parameters {
            consistency: self.config.consistency,
            serial_consistency: self.config.serial_consistency.filter(|_| !self.shared.plain),
            timestamp: self.config.timestamp,
            skip_metadata: self.get_use_cached_result_metadata() && has_columns,
            ..Parameters::default()
        };
        let is_fixed = Arc::make_mut(&mut self.template).fix(&self.parameters);
        self.is_plain = is_fixed && self.config.payload.is_none();
    }

    /// Asks the nodes to trace it; [`crate::QueryResult::tracing_id`] names the trace.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let mut select = session.prepare("SELECT name FROM shop.items").await?;
    /// select.set_tracing(true);
    /// let trace = session.execute_unpaged(&select, ()).await?.tracing_id();
    /// # Ok(()) });
    /// ```
    pub fn set_tracing(&mut self, tracing: bool) {
        self.config.tracing = tracing;
        if let Ok(template) = template(&self.shared, &self.config) {
            self.template = Arc::new(template); // it was encoded before, so it can be again
            self.config_changed();
        }
    }
}

impl Shared {
    /// Adds the name of the column that the error is about.
    #[cold]
    pub(crate) fn error(&self, error: SerializeError) -> Error {
        let column = error.column().and_then(|index| self.bind.columns.get(usize::from(index)));
        Error::serialize(error, column.map(|column| &*column.name))
    }

    /// The id of the result's columns that goes with an EXECUTE.
    pub(crate) fn result_id<'a>(&'a self, changed: Option<&'a Changed>) -> Option<&'a [u8]> {
        changed.map_or(self.result_metadata_id.as_deref(), |changed| Some(&changed.id))
    }

    /// The result's columns, in which rows come that do not bring theirs.
    #[inline]
    pub(crate) fn result<'a>(&'a self, changed: Option<&'a Changed>) -> &'a Arc<ResultMetadata> {
        changed.map_or(&self.result, |changed| &changed.result)
    }

    /// Keeps the columns that rows bring because they are others than the request named.
    #[cold]
    #[inline(never)]
    pub(crate) fn learn(&self, header: &ResponseHeader, body: &[u8]) -> Result<(), Error> {
        let parsed = Body::parse(header, body).map_err(Error::protocol)?;
        let message = parsed.response(&Agreed::on(header.version), None);
        if let Response::Result(ResultBody::Rows(rows)) = message.map_err(Error::protocol)?
            && let (Some(id), RowsMetadata::Present { raw }) =
                (rows.new_metadata_id, &rows.metadata)
        {
            if self.result_metadata_id.as_deref() == Some(id) {
                self.learned.forget();
                return Ok(());
            }
            let result = || ResultMetadata::parse(raw).map_err(Error::protocol);
            return self.learned.learn(id, result);
        }
        Ok(())
    }

    /// Index of the statement's keyspace in this snapshot.
    #[inline]
    pub(crate) fn cached_keyspace(&self, topology: &Topology) -> Option<usize> {
        self.keyspace.get(topology, || {
            let column = self.bind.columns.first()?;
            topology.keyspace_index(&column.keyspace)
        })
    }
}

fn template(shared: &Shared, config: &Config) -> Result<ExecuteTemplate, Error> {
    let header_flags = if config.tracing { flags::TRACING } else { 0 };
    let (id, result_id) = (&shared.id, shared.result_metadata_id.as_deref());
    let value_count = shared.bind.columns.len();
    ExecuteTemplate::new(shared.version, header_flags, id, result_id, value_count)
        .map_err(|e| Error::serialize(e, None))
}
