//! Tests of the parser.

use super::*;
use crate::error::code;
use crate::value::types::CqlType;

#[track_caller]
fn check(text: &str) -> Parsed {
    parse(text, Persona::Scylla).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

#[test]
fn statements_that_clients_send_at_connect() {
    check("SELECT host_id, rpc_address FROM system.peers USING TIMEOUT 30000ms");
    check("select * from system.local where key = 'local';");
    check("SELECT * FROM system_schema.tables WHERE keyspace_name IN ('a','b') ALLOW FILTERING");
    let parsed = check("SELECT a FROM k.t WHERE keyspace_name in ? and b = :Peer");
    assert_eq!(parsed.markers, [Some("in(keyspace_name)".into()), Some("peer".into())]);
}

#[test]
fn create_table_with_everything() {
    let parsed = check(
        "CREATE TABLE IF NOT EXISTS ks.\"T\" (a int, b text, c frozen<list<int>>, d map<text,int>, \
         PRIMARY KEY ((a, b), c)) WITH CLUSTERING ORDER BY (c DESC) \
         AND compaction = {'class': 'X', 'n': 1} AND default_time_to_live = 5",
    );
    let Statement::Ddl(Ddl::CreateTable(create)) = parsed.statement else { panic!() };
    assert_eq!(create.partition_key, ["a", "b"]);
    assert_eq!(create.clustering_key, ["c"]);
    assert_eq!(create.clustering_order, [("c".into(), true)]);
    assert_eq!(create.options.len(), 2);
    assert_eq!(create.columns[3].typ.to_string(), "map<text, int>");
    assert_eq!(create.columns[0].typ, CqlType::INT);
}

#[test]
fn modifications() {
    let parsed = check("INSERT INTO t (a, b) VALUES (?, {1: 'x'}) USING TTL ? AND TIMESTAMP 5");
    assert_eq!(parsed.markers, [None, Some("[ttl]".into())]);
    check("UPDATE t USING TIMESTAMP ? SET c = c + 1, d = -2, e['k'] = ? WHERE a = ? IF EXISTS");
    check("DELETE a, b FROM t WHERE k IN (1, 2) AND (x, y) > (1, 2)");
    check(
        "BEGIN UNLOGGED BATCH INSERT INTO t (a) VALUES (1); DELETE FROM t WHERE a=2; APPLY BATCH;",
    );
}

#[test]
fn what_is_not_cql_is_a_syntax_error() {
    for text in [
        "",
        "SELEC 1",
        "SELECT * FROM",
        "SELECT a b FROM t",
        "DESCRIBE",
        "INSERT INTO t (a) VALUES (1) x",
    ] {
        assert_eq!(parse(text, Persona::Scylla).unwrap_err().code, code::SYNTAX, "{text}");
    }
    let deep = format!("SELECT a FROM t WHERE a = {}1{}", "[".repeat(500), "]".repeat(500));
    assert_eq!(parse(&deep, Persona::Scylla).unwrap_err().code, code::SYNTAX);
}

#[test]
fn what_would_make_a_tree_too_deep_is_an_error() {
    for long in [
        format!("SELECT {} FROM t", vec!["a"; 100_000].join(" + ")),
        format!("SELECT {} FROM t", vec!["a"; 100_000].join(" * ")),
        format!("SELECT a{} FROM t", ".a".repeat(100_000)),
        format!("INSERT INTO t (a) VALUES ({})", vec!["1"; 100_000].join(" - ")),
        format!("SELECT {}a{} FROM t", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT a FROM t WHERE {}a = 1{}", "(".repeat(100_000), ")".repeat(100_000)),
    ] {
        assert_eq!(parse(&long, Persona::Scylla).unwrap_err().code, code::SYNTAX);
    }
}
