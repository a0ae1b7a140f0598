//! Parses statements about roles, users and permissions. No error quotes what may be a password.

use super::ast::*;
use super::lexer::Token;
use super::parser::{Parser, Result};
use crate::error::CqlError;
use crate::roles::resource::{Permission, Resource};
use crate::users::Password;

/// Which of the two spellings a statement has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Spelling {
    Role,
    /// The one of before roles: whoever it makes may log in.
    User,
}

impl Parser {
    /// CREATE, ALTER or DROP of a role or user.
    pub(super) fn role_definition(&mut self) -> Result<RoleStatement> {
        let verb = self.any_word()?;
        let spelling = if self.any_word()? == "user" { Spelling::User } else { Spelling::Role };
        let conditional = if verb == "create" { self.if_not_exists() } else { self.if_exists() };
        let name = match spelling {
            Spelling::Role => self.role_name()?,
            Spelling::User => self.user_name()?,
        };
        if verb == "drop" {
            return Ok(RoleStatement::Drop { name, if_exists: conditional });
        }
        let mut options = match spelling {
            Spelling::Role => self.role_options()?,
            Spelling::User => self.user_options()?,
        };
        if verb == "alter" {
            return Ok(RoleStatement::Alter(RoleDefinition { name, conditional, options }));
        }
        options.login.get_or_insert(spelling == Spelling::User);
        options.superuser.get_or_insert(false);
        Ok(RoleStatement::Create(RoleDefinition { name, conditional, options }))
    }

    /// GRANT, REVOKE or LIST.
    pub(super) fn privileges(&mut self) -> Result<RoleStatement> {
        if self.word("list") {
            return self.list_statement();
        }
        let is_grant = self.word("grant");
        if !is_grant {
            self.expect_word("revoke")?;
        }
        let before_grantee = if is_grant { "to" } else { "from" };
        if !self.is_at_permission() {
            let role = self.role_name()?;
            self.expect_word(before_grantee)?;
            let other = self.role_name()?;
            return Ok(if is_grant {
                RoleStatement::GrantRole { role, to: other }
            } else {
                RoleStatement::RevokeRole { role, from: other }
            });
        }
        let permissions = self.permissions()?;
        self.expect_word("on")?;
        let on = self.resource()?;
        let permissions = applicable(permissions, &on)?;
        self.expect_word(before_grantee)?;
        let grant = PermissionGrant { permissions, on, role: self.role_name()? };
        Ok(if is_grant { RoleStatement::Grant(grant) } else { RoleStatement::Revoke(grant) })
    }

    fn list_statement(&mut self) -> Result<RoleStatement> {
        if self.word("users") {
            return Ok(RoleStatement::ListUsers);
        }
        if self.word("roles") {
            let of = self.of()?;
            return Ok(RoleStatement::ListRoles { of, is_recursive: !self.word("norecursive") });
        }
        let permissions = self.permissions()?;
        let on = if self.word("on") { Some(self.resource()?) } else { None };
        let of = self.of()?;
        let is_recursive = !self.word("norecursive");
        let list = ListPermissions { permissions, on, of, is_recursive };
        Ok(RoleStatement::ListPermissions(list))
    }

    fn of(&mut self) -> Result<Option<String>> {
        if self.word("of") { self.role_name().map(Some) } else { Ok(None) }
    }

    /// A name or a text.
    fn role_name(&mut self) -> Result<String> {
        match self.peek().cloned() {
            Some(Token::Text(name)) => {
                self.next();
                Ok(name)
            }
            Some(Token::Marker) => {
                Err(CqlError::syntax("Bind variables cannot be used for role names"))
            }
            _ => self.name(),
        }
    }

    fn user_name(&mut self) -> Result<String> {
        if matches!(self.peek(), Some(Token::Quoted(_))) {
            return Err(CqlError::syntax(
                "Quoted strings are not supported for user names and USER is deprecated, please \
                 use ROLE",
            ));
        }
        self.role_name()
    }

    /// `WITH option AND …`
    fn role_options(&mut self) -> Result<RoleOptions> {
        let mut options = RoleOptions::default();
        if !self.word("with") {
            return Ok(options);
        }
        loop {
            if self.word("hashed") {
                return Err(hashed());
            } else if self.word("access") {
                self.access()?;
            } else if self.word("options") {
                return Err(CqlError::invalid(
                    "org.apache.cassandra.auth.CassandraRoleManager doesn't support OPTIONS",
                ));
            } else if self.word("password") {
                if !self.symbol("=") {
                    return Err(CqlError::syntax("expected = after PASSWORD"));
                }
                let password = self.password()?;
                set_once(&mut options.password, password, "PASSWORD")?;
            } else if self.word("login") {
                let login = self.equals_boolean("LOGIN")?;
                set_once(&mut options.login, login, "LOGIN")?;
            } else if self.word("superuser") {
                let superuser = self.equals_boolean("SUPERUSER")?;
                set_once(&mut options.superuser, superuser, "SUPERUSER")?;
            } else {
                return Err(self.unexpected("PASSWORD, LOGIN, SUPERUSER, OPTIONS or ACCESS"));
            }
            if !self.word("and") {
                return Ok(options);
            }
        }
    }

    /// `WITH PASSWORD 'text' SUPERUSER|NOSUPERUSER`
    fn user_options(&mut self) -> Result<RoleOptions> {
        let mut options = RoleOptions::default();
        if self.word("with") {
            if self.word("hashed") {
                return Err(hashed());
            }
            self.expect_word("password")?;
            options.password = Some(self.password()?);
        }
        if self.word("superuser") {
            options.superuser = Some(true);
        } else if self.word("nosuperuser") {
            options.superuser = Some(false);
        }
        Ok(options)
    }

    fn password(&mut self) -> Result<Password> {
        match self.next() {
            Some(Token::Text(password)) => Ok(Password::new(password)),
            _ => Err(CqlError::syntax("PASSWORD must be a text in single quotes")),
        }
    }

    fn equals_boolean(&mut self, option: &str) -> Result<bool> {
        self.expect_symbol("=")?;
        if self.word("true") {
            return Ok(true);
        }
        if self.word("false") {
            return Ok(false);
        }
        Err(self.unexpected(&format!("true or false for {option}")))
    }

    /// `ACCESS TO ALL DATACENTERS` and `ACCESS FROM ALL CIDRS` say what is so anyway.
    fn access(&mut self) -> Result<()> {
        if self.words(&["to", "all", "datacenters"]) || self.words(&["from", "all", "cidrs"]) {
            return Ok(());
        }
        let (what, authorizer) = if self.word("to") {
            ("ACCESS TO DATACENTERS", "AllowAllNetworkAuthorizer")
        } else {
            ("ACCESS FROM CIDRS", "AllowAllCIDRAuthorizer")
        };
        Err(CqlError::invalid(format!("{what} operations not supported by {authorizer}")))
    }

    fn is_at_permission(&self) -> bool {
        match self.peek() {
            Some(Token::Word(word)) if word == "all" => {
                self.is_word(1, "permissions") || self.is_word(1, "on")
            }
            Some(Token::Word(word)) => is_masking(word) || Permission::from_name(word).is_some(),
            _ => false,
        }
    }

    /// `ALL PERMISSIONS`, or some of them.
    fn permissions(&mut self) -> Result<Vec<Permission>> {
        if self.word("all") {
            self.word("permissions");
            return Ok(Permission::ALL.to_vec());
        }
        let mut permissions = Vec::new();
        loop {
            let found = match self.peek() {
                Some(Token::Word(word)) if is_masking(word) => {
                    return Err(CqlError::invalid(format!(
                        "{} is not supported by this node: it masks no columns",
                        word.to_ascii_uppercase()
                    )));
                }
                Some(Token::Word(word)) => Permission::from_name(word),
                _ => None,
            };
            permissions.push(found.ok_or_else(|| self.unexpected("a permission"))?);
            self.next();
            self.word("permission");
            if !self.symbol(",") {
                permissions.sort_unstable();
                permissions.dedup();
                return Ok(permissions);
            }
        }
    }

    fn resource(&mut self) -> Result<ResourceName> {
        if self.words(&["all", "keyspaces"]) {
            Ok(ResourceName::Found(Resource::AllKeyspaces))
        } else if self.words(&["all", "tables", "in", "keyspace"]) {
            Ok(ResourceName::Found(Resource::AllTables(self.name()?)))
        } else if self.word("keyspace") {
            Ok(ResourceName::Found(Resource::Keyspace(self.name()?)))
        } else if self.words(&["all", "roles"]) {
            Ok(ResourceName::Found(Resource::AllRoles))
        } else if self.words(&["all", "functions", "in", "keyspace"]) {
            Ok(ResourceName::Found(Resource::FunctionsOf(self.name()?)))
        } else if self.words(&["all", "functions"]) {
            Ok(ResourceName::Found(Resource::AllFunctions))
        } else if self.words(&["all", "mbeans"]) || self.kind("mbean") || self.kind("mbeans") {
            Err(CqlError::invalid("MBeans are not supported by this node: it has none"))
        } else if self.kind("role") {
            Ok(ResourceName::Found(Resource::Role(self.role_name()?)))
        } else if self.kind("function") {
            let name = self.function_name()?;
            Ok(ResourceName::Function(name, self.parenthesised(Self::cql_type)?))
        } else {
            if !self.word("table") {
                self.word("columnfamily");
            }
            self.table_name().map(ResourceName::Table)
        }
    }

    /// Takes a word that says of what kind the name after it is; it may be a table's name itself.
    fn kind(&mut self, word: &str) -> bool {
        let has_name = match self.peek_at(1) {
            Some(Token::Word(next)) => !matches!(next.as_str(), "to" | "from" | "of"),
            Some(Token::Quoted(_) | Token::Text(_) | Token::Marker) => true,
            _ => false,
        };
        has_name && self.word(word)
    }
}

/// Permissions of Cassandra 5.0 for masked columns, which the node does not have.
fn is_masking(word: &str) -> bool {
    matches!(word, "unmask" | "select_masked")
}

fn hashed() -> CqlError {
    CqlError::invalid("HASHED PASSWORD is not supported by this node: it hashes no passwords")
}

fn set_once<T>(option: &mut Option<T>, value: T, name: &str) -> Result<()> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err(CqlError::syntax(format!("Multiple definition for property '{name}'"))),
    }
}

/// Those of the permissions that mean something for the resource.
fn applicable(mut permissions: Vec<Permission>, on: &ResourceName) -> Result<Vec<Permission>> {
    // All tables are alike in this, and all functions.
    let like = match on {
        ResourceName::Table(_) => Resource::table("", ""),
        ResourceName::Function(..) => Resource::AllFunctions,
        ResourceName::Found(resource) => resource.clone(),
    };
    let is_single = matches!(on, ResourceName::Function(..));
    permissions.retain(|permission| {
        like.applicable().contains(permission) && !(is_single && *permission == Permission::Create)
    });
    if permissions.is_empty() {
        return Err(CqlError::syntax(format!(
            "Resource type {} does not support any of the requested permissions",
            like.kind()
        )));
    }
    Ok(permissions)
}

#[cfg(test)]
mod tests {
    use super::super::parser::parse;
    use super::*;
    use crate::error::code;
    use crate::persona::Persona;

    #[track_caller]
    fn role(text: &str) -> RoleStatement {
        match parse(text, Persona::Cassandra).unwrap().statement {
            Statement::Role(statement) => statement,
            other => panic!("{text} is {other:?}"),
        }
    }

    #[track_caller]
    fn fails(text: &str, code: i32, part: &str) {
        let error = parse(text, Persona::Cassandra).unwrap_err();
        assert_eq!(error.code, code, "{text}: {}", error.message);
        assert!(error.message.contains(part), "{text}: {}", error.message);
        assert!(!error.message.contains("secret"), "{text}: {}", error.message);
    }

    fn password() -> Option<Password> {
        Some(Password::new("pass:é".to_owned()))
    }

    #[test]
    fn roles_and_users_are_defined() {
        let definition = |name: &str, conditional, options| RoleDefinition {
            name: name.to_owned(),
            conditional,
            options,
        };
        let none = RoleOptions::default();
        let created = RoleOptions { login: Some(false), superuser: Some(false), ..none.clone() };
        assert_eq!(
            role("CREATE ROLE IF NOT EXISTS R"),
            RoleStatement::Create(definition("r", true, created))
        );
        let options =
            RoleOptions { password: password(), login: Some(true), superuser: Some(true) };
        assert_eq!(
            role(
                "CREATE ROLE 'R x' WITH SUPERUSER = true AND LOGIN = true AND \
                 PASSWORD = 'pass:é' AND ACCESS TO ALL DATACENTERS;"
            ),
            RoleStatement::Create(definition("R x", false, options.clone()))
        );
        assert_eq!(
            role("CREATE USER u WITH PASSWORD 'pass:é' SUPERUSER"),
            RoleStatement::Create(definition("u", false, options))
        );
        let nosuper = RoleOptions { superuser: Some(false), ..none.clone() };
        assert_eq!(
            role("ALTER USER IF EXISTS u NOSUPERUSER"),
            RoleStatement::Alter(definition("u", true, nosuper))
        );
        let login = RoleOptions { login: Some(false), ..none };
        assert_eq!(
            role("ALTER ROLE \"R\" WITH LOGIN = false"),
            RoleStatement::Alter(definition("R", false, login))
        );
        for text in ["DROP ROLE IF EXISTS r", "DROP USER IF EXISTS r"] {
            let name = "r".to_owned();
            assert_eq!(role(text), RoleStatement::Drop { name, if_exists: true });
        }
    }

    #[test]
    fn permissions_are_those_that_the_resource_has() {
        let grant = |text: &str| match role(text) {
            RoleStatement::Grant(grant) | RoleStatement::Revoke(grant) => grant,
            other => panic!("{text} is {other:?}"),
        };
        let names = |grant: &PermissionGrant| {
            grant.permissions.iter().map(|p| p.name()).collect::<Vec<_>>().join(" ")
        };
        for (on, expect) in [
            ("ALL KEYSPACES", "CREATE ALTER DROP SELECT MODIFY AUTHORIZE"),
            ("KEYSPACE ks", "CREATE ALTER DROP SELECT MODIFY AUTHORIZE"),
            ("ALL TABLES IN KEYSPACE ks", "CREATE ALTER DROP SELECT MODIFY AUTHORIZE"),
            ("TABLE ks.t", "ALTER DROP SELECT MODIFY AUTHORIZE"),
            ("t", "ALTER DROP SELECT MODIFY AUTHORIZE"),
            ("ALL ROLES", "CREATE ALTER DROP AUTHORIZE DESCRIBE"),
            ("ROLE 'x'", "ALTER DROP AUTHORIZE"),
            ("ALL FUNCTIONS", "CREATE ALTER DROP AUTHORIZE EXECUTE"),
            ("ALL FUNCTIONS IN KEYSPACE ks", "CREATE ALTER DROP AUTHORIZE EXECUTE"),
            ("FUNCTION ks.f(int, list<text>)", "ALTER DROP AUTHORIZE EXECUTE"),
        ] {
            assert_eq!(names(&grant(&format!("GRANT ALL PERMISSIONS ON {on} TO r"))), expect);
            assert_eq!(names(&grant(&format!("REVOKE ALL ON {on} FROM r"))), expect);
        }
        let some = grant("GRANT MODIFY PERMISSION, SELECT ON role TO r");
        assert_eq!(names(&some), "SELECT MODIFY");
        let table = TableName { keyspace: None, name: "role".to_owned() };
        assert_eq!(some.on, ResourceName::Table(table));
        let what = "RoleResource does not support any of the requested permissions";
        fails("GRANT SELECT ON ROLE x TO r", code::SYNTAX, what);
        fails("GRANT CREATE ON TABLE t TO r", code::SYNTAX, "DataResource");
    }

    #[test]
    fn roles_are_granted_and_all_is_listed() {
        let (role_name, other) = ("a".to_owned(), "b".to_owned());
        assert_eq!(
            role("GRANT a TO b"),
            RoleStatement::GrantRole { role: role_name.clone(), to: other.clone() }
        );
        assert_eq!(
            role("REVOKE 'a' FROM \"b\""),
            RoleStatement::RevokeRole { role: role_name.clone(), from: other }
        );
        assert_eq!(role("LIST USERS"), RoleStatement::ListUsers);
        assert_eq!(
            role("LIST ROLES OF a NORECURSIVE"),
            RoleStatement::ListRoles { of: Some(role_name.clone()), is_recursive: false }
        );
        let list = |text: &str| match role(text) {
            RoleStatement::ListPermissions(list) => list,
            other => panic!("{text} is {other:?}"),
        };
        let all = list("LIST ALL PERMISSIONS");
        assert_eq!(
            (all.permissions.len(), all.on, all.of, all.is_recursive),
            (8, None, None, true)
        );
        let some = list("LIST SELECT ON KEYSPACE ks OF a NORECURSIVE");
        assert_eq!(some.permissions, [Permission::Select]);
        assert_eq!(some.on, Some(ResourceName::Found(Resource::Keyspace("ks".to_owned()))));
        assert_eq!((some.of, some.is_recursive), (Some(role_name), false));
    }

    #[test]
    fn what_cannot_be_done_is_refused_and_no_password_quoted() {
        for (text, code, part) in [
            ("CREATE ROLE r WITH HASHED PASSWORD = 'secret'", code::INVALID, "HASHED PASSWORD"),
            ("CREATE USER r WITH HASHED PASSWORD 'secret'", code::INVALID, "HASHED PASSWORD"),
            ("CREATE ROLE r WITH OPTIONS = {'a': 'b'}", code::INVALID, "OPTIONS"),
            ("CREATE ROLE r WITH ACCESS TO DATACENTERS {'a'}", code::INVALID, "DATACENTERS"),
            ("CREATE ROLE r WITH ACCESS FROM CIDRS {'a'}", code::INVALID, "CIDRS"),
            ("CREATE ROLE r WITH PASSWORD 'secret'", code::SYNTAX, "= after PASSWORD"),
            ("CREATE ROLE r WITH PASSWORD = secret", code::SYNTAX, "single quotes"),
            ("CREATE ROLE r WITH PASSWORD = \"secret\"", code::SYNTAX, "single quotes"),
            ("CREATE ROLE r WITH PASSWORD = 'a' 'secret'", code::SYNTAX, "end of statement"),
            ("CREATE ROLE r WITH LOGIN = 'secret'", code::SYNTAX, "true or false for LOGIN"),
            ("ALTER USER r WITH PASSWORD secret", code::SYNTAX, "single quotes"),
            (
                "ALTER ROLE r WITH PASSWORD = 'a' AND PASSWORD = 'secret'",
                code::SYNTAX,
                "Multiple definition for property 'PASSWORD'",
            ),
            ("CREATE USER \"R\"", code::SYNTAX, "use ROLE"),
            ("DROP ROLE ?", code::SYNTAX, "Bind variables"),
            ("GRANT UNMASK ON t TO r", code::INVALID, "UNMASK"),
            ("GRANT SELECT ON ALL MBEANS TO r", code::INVALID, "MBeans"),
            ("GRANT SELECT ON MBEAN 'x' TO r", code::INVALID, "MBeans"),
            ("GRANT SELECT ON t FROM r", code::SYNTAX, "expected to"),
            ("GRANT READ ON t TO r", code::SYNTAX, "expected to"),
            ("LIST SUPERUSERS", code::SYNTAX, "a permission"),
        ] {
            fails(text, code, part);
        }
    }
}
