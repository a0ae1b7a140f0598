//! The syntax tree of a statement.

use std::time::Duration;

use crate::roles::resource::{Permission, Resource};
use crate::users::Password;
use crate::value::types::CqlType;

/// A table's name, with the keyspace if it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TableName {
    pub(crate) keyspace: Option<String>,
    pub(crate) name: String,
}

/// A value in a statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Term {
    Null,
    Boolean(bool),
    Integer(String),
    Float(String),
    Text(String),
    Blob(Vec<u8>),
    Uuid([u8; 16]),
    Duration(String),
    /// The n-th bind marker of the statement.
    Marker(usize),
    /// `[a, b]`
    List(Vec<Term>),
    /// `{a, b}`; empty braces are an empty set or map.
    Set(Vec<Term>),
    /// `{a: b}`
    Map(Vec<(Term, Term)>),
    /// `(a, b)`
    Tuple(Vec<Term>),
    /// `{field: a}`
    Udt(Vec<(String, Term)>),
    /// `now()`, `token(…)` …
    Call(FunctionName, Vec<Term>),
    /// `(type) a`
    Hint(CqlType, Box<Term>),
    /// `a + b`
    Arithmetic(Arithmetic, Box<Term>, Box<Term>),
    /// What a text of JSON has for a column; made of INSERT JSON.
    JsonField(Box<JsonField>),
}

/// A column's value in a text of JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonField {
    pub(crate) text: Term,
    pub(crate) column: String,
    /// A column that the text does not name is as it was, not null.
    pub(crate) keeps_others: bool,
}

/// A function's name, with the keyspace if it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FunctionName {
    pub(crate) keyspace: Option<String>,
    pub(crate) name: String,
}

/// An arithmetic operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Arithmetic {
    pub(crate) fn symbol(self) -> char {
        match self {
            Self::Add => '+',
            Self::Subtract => '-',
            Self::Multiply => '*',
            Self::Divide => '/',
            Self::Remainder => '%',
        }
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operator {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
}

/// One condition of a WHERE clause.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Relation {
    /// `column op term`
    Compare(String, Operator, Term),
    /// `column IN (terms)` or `column IN ?` (one marker that binds a list).
    In(String, InList),
    /// `token(columns) op term`
    Token(Vec<String>, Operator, Term),
    /// `(columns) op (terms)`, or a marker that binds a tuple.
    Tuple(Vec<String>, Operator, Term),
    /// `(columns) IN (tuples)`
    TupleIn(Vec<String>, InList),
    /// `column CONTAINS term`
    Contains(String, Term),
    /// `column CONTAINS KEY term`
    ContainsKey(String, Term),
    /// `column[key] = term`
    Entry(String, Term, Term),
    /// `column IS NOT NULL`, in views.
    IsNotNull(String),
}

/// What stands after IN.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum InList {
    Terms(Vec<Term>),
    Marker(Term),
}

/// What a SELECT asks for, with `AS alias`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selector {
    pub(crate) what: Selected,
    pub(crate) alias: Option<String>,
}

/// What is told of when a column was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stamped {
    Writetime,
    MaxWritetime,
    Ttl,
}

/// One item of a SELECT list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Selected {
    Column(String),
    CountAll,
    Stamped(Stamped, String),
    Call(FunctionName, Vec<Selected>),
    /// `CAST(a AS type)`
    Cast(Box<Selected>, CqlType),
    Term(Term),
    /// `(a)`
    Bracketed(Box<Selected>),
    /// `a.field`
    Field(Box<Selected>, String),
    /// `a[key]`
    Element(Box<Selected>, Term),
    /// `a[from..to]`
    Slice(Box<Selected>, Option<Term>, Option<Term>),
    Arithmetic(Arithmetic, Box<Selected>, Box<Selected>),
}

/// SELECT.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Select {
    pub(crate) table: TableName,
    /// Empty for `*`.
    pub(crate) selectors: Vec<Selector>,
    pub(crate) distinct: bool,
    /// SELECT JSON.
    pub(crate) json: bool,
    pub(crate) relations: Vec<Relation>,
    pub(crate) group_by: Vec<String>,
    /// Column and whether DESC.
    pub(crate) order_by: Vec<(String, bool)>,
    /// `ORDER BY column ANN OF term`
    pub(crate) nearest: Option<(String, Term)>,
    pub(crate) limit: Option<Term>,
    pub(crate) per_partition_limit: Option<Term>,
    pub(crate) allow_filtering: bool,
}

/// `USING TIMESTAMP … AND TTL …`
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Using {
    pub(crate) timestamp: Option<Term>,
    pub(crate) ttl: Option<Term>,
}

/// What an INSERT inserts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum InsertValues {
    Columns(Vec<(String, Term)>),
    /// A text of JSON; columns that it does not name are null, or as they were.
    Json {
        text: Term,
        keeps_others: bool,
    },
}

/// INSERT.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Insert {
    pub(crate) table: TableName,
    pub(crate) values: InsertValues,
    pub(crate) if_not_exists: bool,
    pub(crate) using: Using,
}

/// One assignment of an UPDATE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Assignment {
    /// `column = term`
    Set(String, Term),
    /// `column = column + term`
    Add(String, Term),
    /// `column = term + column`
    Prepend(String, Term),
    /// `column = column - term`
    Subtract(String, Term),
    /// `column[key] = term`
    Element(String, Term, Term),
    /// `column.field = term`
    Field(String, String, Term),
}

/// A column, an element of one, or a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    Column(String),
    Element(String, Term),
    Field(String, String),
}

/// What a place of the row is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Comparison {
    With(Operator, Term),
    In(InList),
    /// `CONTAINS value`
    Contains(Term),
    /// `CONTAINS KEY key`
    ContainsKey(Term),
}

/// `IF EXISTS` or `IF column op term AND …`
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    None,
    Exists,
    Columns(Vec<(Place, Comparison)>),
}

/// UPDATE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Update {
    pub(crate) table: TableName,
    pub(crate) using: Using,
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) relations: Vec<Relation>,
    pub(crate) condition: Condition,
}

/// DELETE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delete {
    pub(crate) table: TableName,
    /// Empty for whole rows.
    pub(crate) places: Vec<Place>,
    pub(crate) using: Using,
    pub(crate) relations: Vec<Relation>,
    pub(crate) condition: Condition,
}

/// `BEGIN BATCH … APPLY BATCH`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TextBatch {
    pub(crate) kind: BatchKind,
    pub(crate) using: Using,
    pub(crate) statements: Vec<Statement>,
}

/// The type of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BatchKind {
    Logged,
    Unlogged,
    Counter,
}

/// A table or keyspace option.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OptionValue {
    Text(String),
    Map(Vec<(String, String)>),
}

/// CREATE or ALTER KEYSPACE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeyspaceOptions {
    pub(crate) name: String,
    /// IF NOT EXISTS of a CREATE, IF EXISTS of an ALTER.
    pub(crate) conditional: bool,
    pub(crate) options: Vec<(String, OptionValue)>,
}

/// One column of a CREATE TABLE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ColumnDefinition {
    pub(crate) name: String,
    pub(crate) typ: CqlType,
    pub(crate) is_static: bool,
}

/// CREATE TABLE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CreateTable {
    pub(crate) table: TableName,
    pub(crate) if_not_exists: bool,
    pub(crate) columns: Vec<ColumnDefinition>,
    pub(crate) partition_key: Vec<String>,
    pub(crate) clustering_key: Vec<String>,
    pub(crate) clustering_order: Vec<(String, bool)>,
    pub(crate) options: Vec<(String, OptionValue)>,
}

/// ALTER TABLE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AlterTable {
    pub(crate) table: TableName,
    pub(crate) if_exists: bool,
    pub(crate) add: Vec<ColumnDefinition>,
    pub(crate) drop: Vec<String>,
    /// Old names and new ones.
    pub(crate) rename: Vec<(String, String)>,
    /// `ADD IF NOT EXISTS` and `DROP IF EXISTS`: what is so already is left out.
    pub(crate) skips_done: bool,
    pub(crate) options: Vec<(String, OptionValue)>,
}

/// CREATE TYPE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CreateType {
    pub(crate) name: TableName,
    pub(crate) if_not_exists: bool,
    pub(crate) fields: Vec<(String, CqlType)>,
}

/// ALTER TYPE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AlterType {
    pub(crate) name: TableName,
    pub(crate) if_exists: bool,
    pub(crate) add: Vec<(String, CqlType)>,
    pub(crate) rename: Vec<(String, String)>,
    /// `ADD IF NOT EXISTS` and `RENAME IF EXISTS`: what is so already is left out.
    pub(crate) skips_done: bool,
}

/// CREATE INDEX.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CreateIndex {
    pub(crate) name: Option<String>,
    pub(crate) if_not_exists: bool,
    pub(crate) table: TableName,
    /// `keys`, `values`, `entries` or `full`, if it was written.
    pub(crate) part: Option<String>,
    pub(crate) column: String,
    /// The class after USING.
    pub(crate) class: Option<String>,
    pub(crate) options: Vec<(String, String)>,
}

/// CREATE MATERIALIZED VIEW.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CreateView {
    pub(crate) name: TableName,
    pub(crate) if_not_exists: bool,
    pub(crate) base: TableName,
    /// Empty for `*`.
    pub(crate) columns: Vec<String>,
    pub(crate) relations: Vec<Relation>,
    /// The WHERE clause as it was written.
    pub(crate) where_text: String,
    pub(crate) partition_key: Vec<String>,
    pub(crate) clustering_key: Vec<String>,
    pub(crate) clustering_order: Vec<(String, bool)>,
    pub(crate) options: Vec<(String, OptionValue)>,
}

/// CREATE FUNCTION.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CreateFunction {
    pub(crate) name: FunctionName,
    pub(crate) or_replace: bool,
    pub(crate) if_not_exists: bool,
    pub(crate) arguments: Vec<(String, CqlType)>,
    pub(crate) called_on_null: bool,
    pub(crate) returns: CqlType,
    pub(crate) language: String,
    pub(crate) body: String,
}

/// CREATE AGGREGATE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CreateAggregate {
    pub(crate) name: FunctionName,
    pub(crate) or_replace: bool,
    pub(crate) if_not_exists: bool,
    pub(crate) arguments: Vec<CqlType>,
    pub(crate) state_function: String,
    pub(crate) state_type: CqlType,
    pub(crate) final_function: Option<String>,
    pub(crate) initial: Option<Term>,
}

/// DROP FUNCTION or DROP AGGREGATE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DropFunction {
    pub(crate) name: FunctionName,
    pub(crate) if_exists: bool,
    /// If they were written.
    pub(crate) arguments: Option<Vec<CqlType>>,
}

/// A statement that changes the schema.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ddl {
    CreateKeyspace(KeyspaceOptions),
    AlterKeyspace(KeyspaceOptions),
    DropKeyspace { name: String, if_exists: bool },
    CreateTable(CreateTable),
    AlterTable(AlterTable),
    DropTable { table: TableName, if_exists: bool },
    CreateType(CreateType),
    AlterType(AlterType),
    DropType { name: TableName, if_exists: bool },
    CreateIndex(CreateIndex),
    DropIndex { name: TableName, if_exists: bool },
    CreateView(CreateView),
    AlterView { name: TableName, if_exists: bool, options: Vec<(String, OptionValue)> },
    DropView { name: TableName, if_exists: bool },
    CreateFunction(CreateFunction),
    DropFunction(DropFunction),
    CreateAggregate(CreateAggregate),
    DropAggregate(DropFunction),
}

/// What CREATE or ALTER ROLE says of a role.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RoleOptions {
    pub(crate) password: Option<Password>,
    pub(crate) login: Option<bool>,
    pub(crate) superuser: Option<bool>,
}

/// CREATE or ALTER ROLE or USER.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RoleDefinition {
    pub(crate) name: String,
    /// IF NOT EXISTS of a CREATE, IF EXISTS of an ALTER.
    pub(crate) conditional: bool,
    pub(crate) options: RoleOptions,
}

/// A resource as a statement names it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ResourceName {
    Table(TableName),
    Function(FunctionName, Vec<CqlType>),
    /// One that needs no keyspace to be found.
    Found(Resource),
}

/// `permissions ON resource TO role`, or FROM.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PermissionGrant {
    pub(crate) permissions: Vec<Permission>,
    pub(crate) on: ResourceName,
    pub(crate) role: String,
}

/// LIST PERMISSIONS.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListPermissions {
    pub(crate) permissions: Vec<Permission>,
    pub(crate) on: Option<ResourceName>,
    pub(crate) of: Option<String>,
    /// Without NORECURSIVE.
    pub(crate) is_recursive: bool,
}

/// A statement about roles and what they may do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RoleStatement {
    Create(RoleDefinition),
    Alter(RoleDefinition),
    Drop { name: String, if_exists: bool },
    GrantRole { role: String, to: String },
    RevokeRole { role: String, from: String },
    Grant(PermissionGrant),
    Revoke(PermissionGrant),
    ListRoles { of: Option<String>, is_recursive: bool },
    ListUsers,
    ListPermissions(ListPermissions),
}

/// DESCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Describe {
    Cluster,
    Keyspaces,
    Tables,
    Types,
    Functions,
    Aggregates,
    /// All keyspaces of users, or all.
    Schema {
        full: bool,
    },
    /// A keyspace, that of USE if it has no name; `only` without what is in it.
    Keyspace {
        name: Option<String>,
        only: bool,
    },
    Table(TableName),
    View(TableName),
    Index(TableName),
    Type(TableName),
    Function(TableName),
    Aggregate(TableName),
    /// A keyspace, a table, an index or a view.
    Any(TableName),
}

/// Any statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statement {
    Select(Select),
    Insert(Insert),
    Update(Update),
    Delete(Delete),
    Batch(TextBatch),
    Ddl(Ddl),
    Truncate(TableName),
    Use(String),
    Describe(Describe),
    Role(RoleStatement),
}

/// A parsed statement and the names of its bind markers, in order (`None` for `?`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) statement: Statement,
    pub(crate) markers: Vec<Option<String>>,
    /// USING TIMEOUT, ScyllaDB's own.
    pub(crate) timeout: Option<Duration>,
}
