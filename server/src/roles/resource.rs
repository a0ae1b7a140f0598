//! What can be permitted, and on what. Resources have parents: what is permitted on one is
//! permitted on all below it.

use std::fmt;

use crate::value::types::CqlType;

/// What a role may do with a resource, in the order in which LIST PERMISSIONS has them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Permission {
    Create,
    Alter,
    Drop,
    Select,
    Modify,
    Authorize,
    Describe,
    Execute,
}

impl Permission {
    pub(crate) const ALL: [Self; 8] = [
        Self::Create,
        Self::Alter,
        Self::Drop,
        Self::Select,
        Self::Modify,
        Self::Authorize,
        Self::Describe,
        Self::Execute,
    ];

    /// The keyword, in upper case.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Alter => "ALTER",
            Self::Drop => "DROP",
            Self::Select => "SELECT",
            Self::Modify => "MODIFY",
            Self::Authorize => "AUTHORIZE",
            Self::Describe => "DESCRIBE",
            Self::Execute => "EXECUTE",
        }
    }

    /// The permission with this keyword, in any case.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name().eq_ignore_ascii_case(name))
    }
}

/// A function or an aggregate: overloads are told apart by the types of their arguments.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct FunctionId {
    pub(crate) keyspace: String,
    pub(crate) name: String,
    /// The types of the arguments as CQL spells them.
    pub(crate) types: Vec<String>,
    /// The same as classes, which the resource's name has.
    classes: Vec<String>,
}

impl FunctionId {
    pub(crate) fn new(keyspace: &str, name: &str, arguments: &[CqlType]) -> Self {
        Self {
            keyspace: keyspace.to_owned(),
            name: name.to_owned(),
            types: spelled(arguments),
            classes: arguments.iter().map(CqlType::class).collect(),
        }
    }
}

/// Types of arguments as CQL spells them: frozen or not is the same to a function.
pub(crate) fn spelled(types: &[CqlType]) -> Vec<String> {
    types.iter().map(|typ| typ.thawed().to_string()).collect()
}

/// Something that permissions are granted on.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Resource {
    AllKeyspaces,
    Keyspace(String),
    /// All tables of a keyspace.
    AllTables(String),
    Table {
        keyspace: String,
        name: String,
    },
    AllRoles,
    Role(String),
    AllFunctions,
    /// All functions of a keyspace.
    FunctionsOf(String),
    Function(FunctionId),
}

impl Resource {
    pub(crate) fn table(keyspace: &str, name: &str) -> Self {
        Self::Table { keyspace: keyspace.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn parent(&self) -> Option<Self> {
        Some(match self {
            Self::AllKeyspaces | Self::AllRoles | Self::AllFunctions => return None,
            Self::Keyspace(_) => Self::AllKeyspaces,
            Self::AllTables(keyspace) => Self::Keyspace(keyspace.clone()),
            Self::Table { keyspace, .. } => Self::AllTables(keyspace.clone()),
            Self::Role(_) => Self::AllRoles,
            Self::FunctionsOf(_) => Self::AllFunctions,
            Self::Function(function) => Self::FunctionsOf(function.keyspace.clone()),
        })
    }

    /// The resource and its parents.
    pub(crate) fn chain(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// The permissions that mean something here.
    pub(crate) fn applicable(&self) -> &'static [Permission] {
        use Permission::{Alter, Authorize, Create, Describe, Drop, Execute, Modify, Select};
        match self {
            Self::AllKeyspaces | Self::Keyspace(_) | Self::AllTables(_) => {
                &[Create, Alter, Drop, Select, Modify, Authorize]
            }
            Self::Table { .. } => &[Alter, Drop, Select, Modify, Authorize],
            Self::AllRoles => &[Create, Alter, Drop, Authorize, Describe],
            Self::Role(_) => &[Alter, Drop, Authorize],
            Self::AllFunctions | Self::FunctionsOf(_) => &[Create, Alter, Drop, Authorize, Execute],
            Self::Function(_) => &[Alter, Drop, Authorize, Execute],
        }
    }

    /// The kind of resource, as errors name it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::AllKeyspaces | Self::Keyspace(_) | Self::AllTables(_) | Self::Table { .. } => {
                "DataResource"
            }
            Self::AllRoles | Self::Role(_) => "RoleResource",
            Self::AllFunctions | Self::FunctionsOf(_) | Self::Function(_) => "FunctionResource",
        }
    }

    /// The name under which `system_auth.role_permissions` has it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::AllKeyspaces => "data".to_owned(),
            Self::Keyspace(keyspace) => format!("data/{keyspace}"),
            Self::AllTables(keyspace) => format!("data/{keyspace}/*"),
            Self::Table { keyspace, name } => format!("data/{keyspace}/{name}"),
            Self::AllRoles => "roles".to_owned(),
            Self::Role(role) => format!("roles/{role}"),
            Self::AllFunctions => "functions".to_owned(),
            Self::FunctionsOf(keyspace) => format!("functions/{keyspace}"),
            Self::Function(FunctionId { keyspace, name, classes, .. }) => {
                format!("functions/{keyspace}/{name}[{}]", classes.join("^"))
            }
        }
    }

    /// Whether it is the keyspace or a part of it.
    pub(crate) fn is_of_keyspace(&self, wanted: &str) -> bool {
        match self {
            Self::Keyspace(keyspace)
            | Self::AllTables(keyspace)
            | Self::Table { keyspace, .. }
            | Self::FunctionsOf(keyspace) => keyspace == wanted,
            Self::Function(function) => function.keyspace == wanted,
            Self::AllKeyspaces | Self::AllRoles | Self::Role(_) | Self::AllFunctions => false,
        }
    }

    /// Whether everyone who has logged in may read it: clients do when they connect.
    pub(crate) fn is_readable_by_all(&self) -> bool {
        let Self::Table { keyspace, name } = self else { return false };
        match keyspace.as_str() {
            "system" => matches!(name.as_str(), "local" | "peers" | "peers_v2"),
            "system_schema" | "system_virtual_schema" => true,
            _ => false,
        }
    }
}

/// As messages and LIST PERMISSIONS have it.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllKeyspaces => f.write_str("<all keyspaces>"),
            Self::Keyspace(keyspace) => write!(f, "<keyspace {keyspace}>"),
            Self::AllTables(keyspace) => write!(f, "<all tables in {keyspace}>"),
            Self::Table { keyspace, name } => write!(f, "<table {keyspace}.{name}>"),
            Self::AllRoles => f.write_str("<all roles>"),
            Self::Role(role) => write!(f, "<role {role}>"),
            Self::AllFunctions => f.write_str("<all functions>"),
            Self::FunctionsOf(keyspace) => write!(f, "<all functions in {keyspace}>"),
            Self::Function(FunctionId { keyspace, name, types, .. }) => {
                write!(f, "<function {keyspace}.{name}({})>", types.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_three_parents() {
        let chain: Vec<_> =
            Resource::table("ks", "t").chain().map(|resource| resource.to_string()).collect();
        assert_eq!(
            chain,
            ["<table ks.t>", "<all tables in ks>", "<keyspace ks>", "<all keyspaces>"]
        );
    }

    #[test]
    fn names_are_those_of_cassandra() {
        let function = FunctionId::new("ks", "f", &[CqlType::INT, CqlType::TEXT]);
        let function = Resource::Function(function);
        assert_eq!(function.to_string(), "<function ks.f(int, text)>");
        assert_eq!(
            function.name(),
            "functions/ks/f[org.apache.cassandra.db.marshal.Int32Type^\
             org.apache.cassandra.db.marshal.UTF8Type]"
        );
        let names: Vec<_> = function.chain().skip(1).map(|resource| resource.name()).collect();
        assert_eq!(names, ["functions/ks", "functions"]);
        assert_eq!(Resource::table("ks", "t").name(), "data/ks/t");
        assert_eq!(Resource::AllTables("ks".to_owned()).name(), "data/ks/*");
    }

    #[test]
    fn only_what_clients_read_at_connect_is_readable_by_all() {
        for (keyspace, table, expect) in [
            ("system", "local", true),
            ("system", "peers_v2", true),
            ("system_schema", "columns", true),
            ("system_virtual_schema", "tables", true),
            ("system_auth", "roles", false),
            ("system_traces", "sessions", false),
            ("ks", "local", false),
        ] {
            assert_eq!(Resource::table(keyspace, table).is_readable_by_all(), expect, "{table}");
        }
    }
}
