//! The schema as last read: keyspaces, their replication, tables, columns, user-defined types.
//!
//! A snapshot, replaced whole; what has not changed is shared with the one before. Light: no
//! options, indexes, functions or views. The types of columns are kept as the node writes them.
//! When what is read is told in `control.rs`; reading it is `topology/schema.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::session::Session;

/// The schema as last read.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let metadata = session.metadata();
/// let items = metadata.table("shop", "items").ok_or("there is no such table")?;
/// assert_eq!(items.partition_key.len(), 1);
/// let id = items.column(&items.partition_key[0]).ok_or("there is no such column")?;
/// assert_eq!((&*id.name, &*id.cql_type), ("id", "bigint"));
/// # Ok(()) });
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// Version of the schema of the node that was read, if it has told.
    pub schema_version: Option<Uuid>,
    /// By name.
    pub keyspaces: BTreeMap<Box<str>, Arc<KeyspaceMetadata>>,
}

impl Metadata {
    /// The keyspace of this name.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let metadata = session.metadata();
    /// assert!(metadata.keyspace("shop").is_some_and(|shop| shop.durable_writes));
    /// assert!(metadata.keyspace("SHOP").is_none()); // names are compared as they are
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn keyspace(&self, name: &str) -> Option<&KeyspaceMetadata> {
        self.keyspaces.get(name).map(|keyspace| &**keyspace)
    }

    /// The table of this name.
    #[must_use]
    pub fn table(&self, keyspace: &str, name: &str) -> Option<&TableMetadata> {
        self.keyspace(keyspace)?.tables.get(name)
    }
}

/// A keyspace.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let metadata = session.metadata();
/// let shop = metadata.keyspace("shop").ok_or("there is no such keyspace")?;
/// for table in shop.tables.values() {
///     println!("{}.{}", shop.name, table.name);
/// }
/// # assert_eq!(shop.tables.len(), 1);
/// # Ok(()) });
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyspaceMetadata {
    /// Its name.
    pub name: Box<str>,
    /// How it spreads its rows over the nodes.
    pub strategy: Strategy,
    /// Whether writes go through the commit log.
    pub durable_writes: bool,
    /// Its tables by name. Empty if they are not read, see
    /// [`fetch_schema_metadata`](crate::SessionBuilder::fetch_schema_metadata).
    pub tables: BTreeMap<Box<str>, TableMetadata>,
    /// Its user-defined types by name.
    pub user_defined_types: BTreeMap<Box<str>, UserDefinedTypeMetadata>,
}

/// A user-defined type.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let metadata = session.metadata();
/// let shop = metadata.keyspace("shop").ok_or("there is no such keyspace")?;
/// for typ in shop.user_defined_types.values() {
///     for (name, cql_type) in &typ.fields {
///         println!("{}.{name} {cql_type}", typ.name);
///     }
/// }
/// # Ok(()) });
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserDefinedTypeMetadata {
    /// Its name.
    pub name: Box<str>,
    /// Names and CQL types of its fields, in their order.
    pub fields: Vec<(Box<str>, Box<str>)>,
}

/// How a keyspace spreads its rows over the nodes.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// use shardwire::Strategy;
///
/// let metadata = session.metadata();
/// match &metadata.keyspace("shop").ok_or("there is no such keyspace")?.strategy {
///     Strategy::NetworkTopologyStrategy { datacenter_repfactors } => {
///         assert_eq!(&*datacenter_repfactors[0].0, "datacenter1");
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(()) });
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Strategy {
    /// So many nodes of each datacenter, sorted by name.
    NetworkTopologyStrategy {
        /// Names of the datacenters and their numbers of replicas.
        datacenter_repfactors: Vec<(Box<str>, u32)>,
    },
    /// So many nodes, wherever they are.
    SimpleStrategy {
        /// The number of replicas.
        replication_factor: u32,
    },
    /// Any other, for which requests go to any node.
    Other {
        /// The name of its class, without the package.
        name: Box<str>,
    },
}

/// A table.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let text = "CREATE TABLE shop.sales (day date, at time, id uuid, PRIMARY KEY ((day, id), at))";
/// session.query_unpaged(text, ()).await?;
/// let metadata = session.metadata();
/// let sales = metadata.table("shop", "sales").ok_or("there is no such table")?;
/// assert_eq!(sales.partition_key, ["day".into(), "id".into()]);
/// assert_eq!(sales.clustering_key, ["at".into()]);
/// # Ok(()) });
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableMetadata {
    /// Its name.
    pub name: Box<str>,
    /// Names of the partition key's columns in their order.
    pub partition_key: Vec<Box<str>>,
    /// Names of the clustering columns in their order.
    pub clustering_key: Vec<Box<str>>,
    /// All columns, in the order of their names.
    pub columns: Vec<ColumnMetadata>,
    /// The class of what makes its tokens, if it has one of its own: ScyllaDB's CDC logs have.
    pub partitioner: Option<Box<str>>,
}

impl TableMetadata {
    /// The column of this name.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// use shardwire::ColumnKind;
    ///
    /// let metadata = session.metadata();
    /// let items = metadata.table("shop", "items").ok_or("there is no such table")?;
    /// assert!(items.column("name").is_some_and(|name| name.kind == ColumnKind::Regular));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnMetadata> {
        let index = self.columns.binary_search_by(|column| (*column.name).cmp(name)).ok()?;
        self.columns.get(index)
    }
}

/// A column of a table.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let metadata = session.metadata();
/// let items = metadata.table("shop", "items").ok_or("there is no such table")?;
/// for column in &items.columns {
///     println!("{} {} ({:?})", column.name, column.cql_type, column.kind);
/// }
/// # Ok(()) });
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ColumnMetadata {
    /// Its name.
    pub name: Box<str>,
    /// Its type as CQL, as the node writes it: `frozen<list<text>>`.
    pub cql_type: Box<str>,
    /// What it is to its table.
    pub kind: ColumnKind,
}

/// What a column is to its table.
///
/// ```
/// use shardwire::ColumnKind;
///
/// let is_key = |kind| matches!(kind, ColumnKind::PartitionKey | ColumnKind::Clustering);
/// assert!(is_key(ColumnKind::Clustering) && !is_key(ColumnKind::Static));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ColumnKind {
    /// It sorts the rows of a partition.
    Clustering,
    /// It says, perhaps with others, to which partition a row belongs.
    PartitionKey,
    /// One value per row.
    Regular,
    /// One value per partition.
    Static,
}

impl Session {
    /// The schema as last read.
    ///
    /// It is read when the session connects, when nodes announce a change (the keyspaces that were
    /// named, or all of it if there are many), after a statement of this session that changed it,
    /// and whenever its version is found to be another than before. An event tells when a change is
    /// in it: [`Event::SchemaChanged`](crate::Event::SchemaChanged).
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let metadata = session.metadata(); // stays as it is while one looks at it
    /// assert!(metadata.table("shop", "carts").is_none());
    /// session.query_unpaged("CREATE TABLE shop.carts (id uuid PRIMARY KEY)", ()).await?;
    /// assert!(metadata.table("shop", "carts").is_none());
    /// assert!(session.metadata().table("shop", "carts").is_some());
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        self.inner.metadata.load_full()
    }
}
