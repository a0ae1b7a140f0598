//! Statements about roles, and what roles may do, on a cluster without sockets.

use crate::error::code;
use crate::exec::result::Outcome;
use crate::exec::tests::shared;
use crate::persona::Persona;
use crate::state::{Bindings, Shared};
use crate::users::Users;
use crate::wire::read::Reader;

struct Database(Shared);

impl Database {
    /// With the superuser `root` and the keyspace `ks`, which has a table `t` and a view `v` of it.
    fn new() -> Self {
        let database = Self::with(Persona::Cassandra, &["root"]);
        for text in [
            "CREATE KEYSPACE ks WITH replication = \
             {'class': 'SimpleStrategy', 'replication_factor': 1}",
            "CREATE TABLE ks.t (p int PRIMARY KEY, v int)",
            "CREATE TABLE ks.u (p int PRIMARY KEY, v int)",
            "CREATE MATERIALIZED VIEW ks.v AS SELECT * FROM ks.u \
             WHERE v IS NOT NULL AND p IS NOT NULL PRIMARY KEY (v, p)",
            "CREATE ROLE r WITH PASSWORD = 'secret' AND LOGIN = true",
        ] {
            database.run("root", text);
        }
        database
    }

    fn with(persona: Persona, names: &[&str]) -> Self {
        let mut users = Users::default();
        names.iter().for_each(|name| users.add((*name).to_owned(), "secret".to_owned()));
        Self(shared(persona, users))
    }

    fn try_run(&self, role: Option<&str>, text: &str) -> Result<Outcome, (i32, String)> {
        let bindings = Bindings { role, ..Bindings::default() };
        let outcome = self.0.plan(text, Some("ks"));
        let outcome = outcome.and_then(|plan| self.0.run(0, &plan, Some("ks"), bindings));
        outcome.map_err(|error| (error.code, error.message))
    }

    #[track_caller]
    fn run(&self, role: &str, text: &str) -> Outcome {
        self.try_run(Some(role), text).unwrap_or_else(|error| panic!("{role}: {text}: {error:?}"))
    }

    #[track_caller]
    fn fails(&self, role: &str, text: &str, code: i32, message: &str) {
        let error = self.try_run(Some(role), text).unwrap_err();
        assert_eq!(error, (code, message.to_owned()), "{role}: {text}");
    }

    /// Refused for want of this permission on this resource.
    #[track_caller]
    fn lacks(&self, text: &str, permission: &str, resource: &str) {
        let message =
            format!("User r has no {permission} permission on {resource} or any of its parents");
        self.fails("r", text, code::UNAUTHORIZED, &message);
    }

    /// Rows as `a|b;a|b`: one byte as a number, all else as text, null as `-`.
    #[track_caller]
    fn check(&self, role: &str, text: &str, expect: &str) {
        let shown = match self.run(role, text) {
            Outcome::Void => String::new(),
            Outcome::Rows(rows) => {
                let mut reader = Reader::new(&rows.cells);
                let mut cell = || match reader.bytes("a cell").unwrap() {
                    None => "-".to_owned(),
                    Some([byte @ 0..=1]) => byte.to_string(),
                    Some(bytes) => String::from_utf8_lossy(bytes).replace('\0', ""),
                };
                let count = rows.columns.columns.len();
                let mut row = |_| (0..count).map(|_| cell()).collect::<Vec<_>>().join("|");
                (0..rows.row_count).map(&mut row).collect::<Vec<_>>().join(";")
            }
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(shown, expect, "{role}: {text}");
    }

    fn log_in(&self, name: &str, password: &str) -> Result<String, (i32, String)> {
        let token = format!("\0{name}\0{password}");
        let result = self.0.roles.log_in(Some(token.as_bytes()), Persona::Cassandra);
        result.map_err(|error| (error.code, error.message))
    }
}

#[test]
fn who_may_log_in_follows_the_statements() {
    let database = Database::new();
    assert_eq!(database.log_in("r", "secret"), Ok("r".to_owned()));
    let refused = |message: &str| Err((code::BAD_CREDENTIALS, message.to_owned()));
    let wrong = "Provided username r and/or password are incorrect";
    assert_eq!(database.log_in("r", "Secret"), refused(wrong));
    database.run("r", "ALTER ROLE r WITH PASSWORD = 'other'");
    assert_eq!(database.log_in("r", "secret"), refused(wrong));
    assert_eq!(database.log_in("r", "other"), Ok("r".to_owned()));
    database.run("root", "ALTER ROLE r WITH LOGIN = false");
    assert_eq!(database.log_in("r", "other"), refused("r is not permitted to log in"));
    assert_eq!(database.log_in("r", "wrong"), refused(wrong));
    database.run("root", "DROP ROLE r");
    assert_eq!(database.log_in("r", "other"), refused(wrong));
    database.run("root", "CREATE ROLE r WITH LOGIN = true");
    assert_eq!(database.log_in("r", "other"), refused(wrong));
    database.run("root", "CREATE USER u WITH PASSWORD 'x'");
    assert_eq!(database.log_in("u", "x"), Ok("u".to_owned()));
}

#[test]
fn each_statement_needs_what_it_does() {
    let database = Database::new();
    for (text, permission, resource) in [
        ("SELECT * FROM t", "SELECT", "<table ks.t>"),
        ("SELECT * FROM v", "SELECT", "<table ks.u>"),
        ("INSERT INTO t (p) VALUES (1)", "MODIFY", "<table ks.t>"),
        ("UPDATE t SET v = 1 WHERE p = 1", "MODIFY", "<table ks.t>"),
        ("DELETE FROM t WHERE p = 1", "MODIFY", "<table ks.t>"),
        ("BEGIN BATCH DELETE FROM t WHERE p = 1; APPLY BATCH", "MODIFY", "<table ks.t>"),
        ("TRUNCATE t", "MODIFY", "<table ks.t>"),
        ("ALTER TABLE t ADD w int", "ALTER", "<table ks.t>"),
        ("CREATE INDEX ON t (v)", "ALTER", "<table ks.t>"),
        ("DROP TABLE t", "DROP", "<table ks.t>"),
        ("DROP MATERIALIZED VIEW v", "ALTER", "<table ks.u>"),
        ("CREATE TABLE w (p int PRIMARY KEY)", "CREATE", "<all tables in ks>"),
        ("CREATE TYPE w (p int)", "CREATE", "<all tables in ks>"),
        ("ALTER KEYSPACE ks WITH durable_writes = false", "ALTER", "<keyspace ks>"),
        ("DROP KEYSPACE ks", "DROP", "<keyspace ks>"),
        (
            "CREATE KEYSPACE k2 WITH replication = \
             {'class': 'SimpleStrategy', 'replication_factor': 1}",
            "CREATE",
            "<all keyspaces>",
        ),
        ("SELECT * FROM system_auth.roles", "SELECT", "<table system_auth.roles>"),
        ("GRANT SELECT ON t TO r", "AUTHORIZE", "<table ks.t>"),
    ] {
        database.lacks(text, permission, resource);
    }
    for text in [
        "SELECT * FROM system.local",
        "SELECT * FROM system.peers_v2",
        "SELECT * FROM system_schema.tables",
        "SELECT * FROM system_virtual_schema.columns",
        "USE ks",
    ] {
        database.run("r", text);
    }
    let message = "User r does not have sufficient privileges to perform the requested operation";
    for text in
        ["CREATE ROLE x", "DROP ROLE root", "ALTER ROLE root WITH LOGIN = false", "GRANT root TO r"]
    {
        database.fails("r", text, code::UNAUTHORIZED, message);
    }
}

#[test]
fn what_is_granted_is_permitted_until_it_is_revoked() {
    let database = Database::new();
    for on in ["t", "ALL TABLES IN KEYSPACE ks", "KEYSPACE ks", "ALL KEYSPACES"] {
        database.run("root", &format!("GRANT SELECT ON {on} TO r"));
        database.run("r", "SELECT * FROM t");
        database.lacks("INSERT INTO t (p) VALUES (1)", "MODIFY", "<table ks.t>");
        database.run("root", &format!("REVOKE SELECT ON {on} FROM r"));
        database.lacks("SELECT * FROM t", "SELECT", "<table ks.t>");
    }
    // A condition reads, and so does the making of a view.
    database.run("root", "GRANT MODIFY ON KEYSPACE ks TO r");
    database.run("r", "INSERT INTO t (p) VALUES (1)");
    database.lacks("INSERT INTO t (p) VALUES (1) IF NOT EXISTS", "SELECT", "<table ks.t>");
    database.lacks("INSERT INTO u (p) VALUES (1)", "SELECT", "<table ks.u>");
    // Only who has a permission can hand it on.
    database.run("root", "CREATE ROLE other");
    database.run("root", "GRANT AUTHORIZE ON t TO r");
    database.run("r", "GRANT MODIFY ON t TO other");
    database.lacks("GRANT SELECT ON t TO other", "SELECT", "<table ks.t>");
    let invalid = |text: &str, message: &str| {
        database.fails("root", text, code::INVALID, message);
    };
    invalid("GRANT SELECT ON t TO nobody", "Role nobody doesn't exist");
    invalid("GRANT SELECT ON x TO r", "Resource <table ks.x> doesn't exist");
    invalid("GRANT SELECT ON KEYSPACE x TO r", "Resource <keyspace x> doesn't exist");
    invalid("GRANT ALTER ON ROLE x TO r", "Resource <role x> doesn't exist");
}

#[test]
fn permissions_are_inherited_and_superusers_need_none() {
    let database = Database::new();
    for text in [
        "CREATE ROLE readers",
        "CREATE ROLE staff",
        "GRANT SELECT ON t TO readers",
        "GRANT readers TO staff",
        "GRANT staff TO r",
    ] {
        database.run("root", text);
    }
    database.run("r", "SELECT * FROM t");
    database.check("r", "LIST ROLES NORECURSIVE", "r|0|1||ALL;staff|0|0||ALL");
    database.check("r", "LIST ROLES", "r|0|1||ALL;readers|0|0||ALL;staff|0|0||ALL");
    let member = "r is a member of readers";
    database.fails("root", "GRANT r TO readers", code::INVALID, member);
    database.fails("root", "GRANT readers TO r", code::INVALID, member);
    database.fails("root", "REVOKE readers FROM r", code::INVALID, "r is not a member of readers");
    database.run("root", "REVOKE readers FROM staff");
    database.lacks("SELECT * FROM t", "SELECT", "<table ks.t>");
    database.run("root", "ALTER ROLE readers WITH SUPERUSER = true");
    database.run("root", "GRANT readers TO r");
    database.run("r", "DROP TABLE t");
    database.run("root", "DROP ROLE readers");
    database.lacks("DROP TABLE u", "DROP", "<table ks.u>");
}

#[test]
fn the_creator_may_do_all_and_nothing_is_left_of_what_is_dropped() {
    let database = Database::new();
    let all = "LIST ALL PERMISSIONS OF r";
    database.run("root", "GRANT CREATE ON ALL KEYSPACES TO r");
    for text in [
        "CREATE KEYSPACE k2 WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE k2.t (p int PRIMARY KEY, v int)",
        "INSERT INTO k2.t (p, v) VALUES (1, 2)",
        "CREATE FUNCTION k2.twice (a int) CALLED ON NULL INPUT RETURNS int LANGUAGE java \
         AS 'return a * 2;'",
        "GRANT EXECUTE ON FUNCTION k2.twice(int) TO r",
        "DROP FUNCTION k2.twice",
        "DROP TABLE k2.t",
        "DROP KEYSPACE k2",
    ] {
        database.run("r", text);
    }
    database.check("r", all, "r|r|<all keyspaces>|CREATE");
    database.run("root", "GRANT CREATE ON ALL ROLES TO r");
    database.run("r", "CREATE ROLE x");
    let list = "LIST ALL PERMISSIONS ON ROLE x OF r NORECURSIVE";
    database.check("r", list, "r|r|<role x>|ALTER;r|r|<role x>|DROP;r|r|<role x>|AUTHORIZE");
    database.run("r", "DROP ROLE x");
    database.check("r", all, "r|r|<all keyspaces>|CREATE;r|r|<all roles>|CREATE");
    // IF NOT EXISTS creates nothing.
    database.run("root", "GRANT CREATE ON KEYSPACE ks TO r");
    database.run("r", "CREATE TABLE IF NOT EXISTS t (p int PRIMARY KEY)");
    database.lacks("SELECT * FROM t", "SELECT", "<table ks.t>");
}

#[test]
fn functions_of_users_need_a_permission() {
    let database = Database::new();
    for text in [
        "CREATE FUNCTION plus (a int, b int) CALLED ON NULL INPUT RETURNS int LANGUAGE java \
         AS 'return a + b;'",
        "CREATE AGGREGATE total (int) SFUNC plus STYPE int INITCOND 0",
        "GRANT SELECT ON t TO r",
    ] {
        database.run("root", text);
    }
    database.run("r", "SELECT max(v), count(*) FROM t");
    database.lacks("SELECT plus(p, v) FROM t", "EXECUTE", "<function ks.plus(int, int)>");
    database.lacks("SELECT total(v) FROM t", "EXECUTE", "<function ks.total(int)>");
    database.run("root", "GRANT EXECUTE ON FUNCTION ks.total(int) TO r");
    database.lacks("SELECT total(v) FROM t", "EXECUTE", "<function ks.plus(int, int)>");
    database.run("root", "GRANT EXECUTE ON FUNCTION ks.plus(int, int) TO r");
    database.run("r", "SELECT plus(p, v), total(v) FROM t");
    database.lacks("DROP AGGREGATE total", "DROP", "<function ks.total(int)>");
    let create = "CREATE FUNCTION one (a int) CALLED ON NULL INPUT RETURNS int LANGUAGE java \
                  AS 'return 1;'";
    database.lacks(create, "CREATE", "<all functions in ks>");
    let missing = "Resource <function ks.plus(text)> doesn't exist";
    let grant = "GRANT EXECUTE ON FUNCTION ks.plus(text) TO r";
    database.fails("root", grant, code::INVALID, missing);
}

#[test]
fn superuser_status_is_guarded() {
    let database = Database::new();
    database.run("root", "CREATE ROLE boss WITH SUPERUSER = true");
    database.run("root", "GRANT CREATE ON ALL ROLES TO r");
    database.run("root", "GRANT DROP ON ALL ROLES TO r");
    for (role, text, message) in [
        (
            "r",
            "CREATE ROLE x WITH SUPERUSER = true",
            "Only superusers can create a role with superuser status",
        ),
        ("r", "DROP ROLE boss", "Only superusers can drop a role with superuser status"),
        (
            "r",
            "ALTER ROLE boss WITH SUPERUSER = false",
            "Only superusers are allowed to alter superuser status",
        ),
        ("r", "ALTER ROLE r WITH LOGIN = true", "You aren't allowed to alter LOGIN"),
        (
            "root",
            "ALTER ROLE root WITH SUPERUSER = false",
            "You aren't allowed to alter your own superuser status or that of a role granted to you",
        ),
    ] {
        database.fails(role, text, code::UNAUTHORIZED, message);
    }
    for (text, message) in [
        ("DROP ROLE root", "Cannot DROP primary role for current login"),
        ("DROP ROLE x", "x doesn't exist"),
        ("ALTER ROLE x WITH LOGIN = true", "Role x doesn't exist"),
        ("ALTER ROLE r", "ALTER [ROLE|USER] can't be empty"),
        ("CREATE ROLE r", "r already exists"),
        ("CREATE ROLE ''", "Role name can't be an empty string"),
        ("GRANT x TO r", "x doesn't exist"),
    ] {
        database.fails("root", text, code::INVALID, message);
    }
    for text in [
        "CREATE ROLE IF NOT EXISTS r WITH SUPERUSER = true",
        "ALTER ROLE IF EXISTS x WITH LOGIN = true",
        "DROP ROLE IF EXISTS x",
    ] {
        database.run("root", text);
    }
    assert!(!database.0.roles.is_superuser("r"));
}

#[test]
fn lists_show_what_the_asker_may_see() {
    let database = Database::new();
    database.run("root", "GRANT SELECT ON t TO r");
    database.check("root", "LIST ROLES", "r|0|1||ALL;root|1|1||ALL");
    database.check("root", "LIST USERS", "r|0|ALL;root|1|ALL");
    database.check("r", "LIST USERS", "r|0|ALL");
    let not_authorized = |text: &str, message: &str| {
        database.fails("r", text, code::UNAUTHORIZED, message);
    };
    not_authorized("LIST ROLES OF root", "You are not authorized to view roles granted to root ");
    not_authorized("LIST ALL", "You are not authorized to view everyone's permissions");
    not_authorized("LIST ALL OF root", "You are not authorized to view root's permissions");
    database.fails("root", "LIST ROLES OF x", code::INVALID, "<role x> doesn't exist");
    database.check("r", "LIST SELECT OF r", "r|r|<table ks.t>|SELECT");
    database.check("r", "LIST MODIFY OF r", "");
    // The creator's own stand there too; NORECURSIVE leaves out those on parents.
    database.check(
        "root",
        "LIST SELECT, MODIFY ON t",
        "r|r|<table ks.t>|SELECT;root|root|<keyspace ks>|SELECT;root|root|<keyspace ks>|MODIFY;\
         root|root|<all tables in ks>|SELECT;root|root|<all tables in ks>|MODIFY;\
         root|root|<table ks.t>|SELECT;root|root|<table ks.t>|MODIFY",
    );
    database.check("root", "LIST SELECT ON t OF r NORECURSIVE", "r|r|<table ks.t>|SELECT");
    database.run("root", "GRANT DESCRIBE ON ALL ROLES TO r");
    database.check("r", "LIST ROLES", "r|0|1||ALL;root|1|1||ALL");
    let scylla = Database::with(Persona::Scylla, &["root"]);
    scylla.check("root", "LIST ROLES", "root|1|1|");
    scylla.check("root", "LIST USERS", "root|1");
}

#[test]
fn system_auth_shows_roles_without_passwords() {
    let database = Database::new();
    database.run("root", "GRANT SELECT ON t TO r");
    database.run("root", "CREATE ROLE a");
    database.run("root", "GRANT a TO r");
    let roles = "SELECT role, can_login, is_superuser, salted_hash FROM system_auth.roles \
                 WHERE role IN ('a', 'r', 'root')";
    database.check("root", roles, "a|0|0|-;r|1|0|-;root|1|1|-");
    let members = "SELECT * FROM system_auth.role_members WHERE role = 'a'";
    database.check("root", members, "a|r");
    let permissions = "SELECT resource FROM system_auth.role_permissions WHERE role = 'r'";
    database.check("root", permissions, "data/ks/t");
    database.run("root", "GRANT SELECT ON system_auth.roles TO r");
    database.run("r", roles);
    let write = "INSERT INTO system_auth.roles (role) VALUES ('x')";
    let message = "system_auth keyspace is not user-modifiable.";
    database.fails("root", write, code::UNAUTHORIZED, message);
    assert!(!format!("{:?}", database.0.roles).contains("secret"));
}

#[test]
fn without_users_there_are_no_roles() {
    let database = Database::with(Persona::Cassandra, &[]);
    for text in [
        "CREATE ROLE r",
        "ALTER ROLE r WITH LOGIN = true",
        "DROP ROLE r",
        "GRANT a TO b",
        "REVOKE a FROM b",
        "GRANT SELECT ON ALL KEYSPACES TO r",
        "REVOKE SELECT ON ALL KEYSPACES FROM r",
        "LIST ROLES",
        "LIST USERS",
        "LIST ALL PERMISSIONS",
    ] {
        let (code, message) = database.try_run(None, text).unwrap_err();
        assert_eq!(code, code::UNAUTHORIZED, "{text}");
        assert!(message.contains("You have to be logged in"), "{message}");
    }
    let (code, message) = database.try_run(None, "CREATE USER u WITH PASSWORD 'x'").unwrap_err();
    assert_eq!(code, code::INVALID);
    assert!(message.contains("doesn't support PASSWORD"), "{message}");
    let rows = database.try_run(None, "SELECT * FROM system_auth.roles");
    assert!(matches!(rows, Ok(Outcome::Rows(rows)) if rows.row_count == 0));
}
