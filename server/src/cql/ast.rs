//! The syntax tree of a statement.

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
    /// `now()`, `token(…)` …
    Call(String, Vec<Term>),
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
    /// `(columns) op (terms)`
    Tuple(Vec<String>, Operator, Vec<Term>),
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

/// One item of a SELECT list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Selected {
    Column(String),
    CountAll,
    Writetime(String),
    Ttl(String),
    Token(Vec<String>),
}

/// SELECT.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Select {
    pub(crate) table: TableName,
    /// Empty for `*`.
    pub(crate) selectors: Vec<Selector>,
    pub(crate) distinct: bool,
    pub(crate) relations: Vec<Relation>,
    /// Column and whether DESC.
    pub(crate) order_by: Vec<(String, bool)>,
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

/// INSERT.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Insert {
    pub(crate) table: TableName,
    pub(crate) values: Vec<(String, Term)>,
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
    /// `column = column - term`
    Subtract(String, Term),
    /// `column[key] = term`
    Element(String, Term, Term),
}

/// `IF EXISTS` or `IF column op term AND …`
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    None,
    Exists,
    Columns(Vec<(String, Operator, Term)>),
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
    pub(crate) columns: Vec<String>,
    pub(crate) using: Using,
    pub(crate) relations: Vec<Relation>,
    pub(crate) condition: Condition,
}

/// `BEGIN BATCH … APPLY BATCH`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TextBatch {
    pub(crate) using: Using,
    pub(crate) statements: Vec<Statement>,
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
    pub(crate) options: Vec<(String, OptionValue)>,
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
}

/// A parsed statement and the names of its bind markers, in order (`None` for `?`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) statement: Statement,
    pub(crate) markers: Vec<Option<String>>,
}
