//! Statements on a cluster without sockets: text in, rows as text out.

use std::sync::Arc;

use crate::counters::Counters;
use crate::error::code;
use crate::exec::result::{Outcome, ResultColumn, Rows};
use crate::exec::select::Page;
use crate::faults::Faults;
use crate::persona::Persona;
use crate::routing::{Location, Ring, Sharding};
use crate::schema::catalog::NodeInfo;
use crate::state::{Bindings, Parts, Shared};
use crate::users::Users;
use crate::value::types::CqlType;
use crate::wire::frame::BODY_LEN_MAX;
use crate::wire::read::{Reader, Value};

struct Database(Shared);

impl Database {
    /// A keyspace `ks` with `t (p int, a int, b text, v int, PRIMARY KEY (p, a, b))`, `a` DESC.
    fn new() -> Self {
        Self::with(Persona::Scylla)
    }

    fn with(persona: Persona) -> Self {
        let location = Location { datacenter: "dc".into(), rack: "r".into() };
        let node = NodeInfo {
            address: [127, 0, 0, 1].into(),
            host_id: [1; 16],
            datacenter: "dc".into(),
            rack: "r".into(),
        };
        let shared = Shared::new(Parts {
            persona,
            users: Users::default(),
            tls: None,
            sharding: Sharding { nr_shards: 1, ignore_msb: 12 },
            ring: Ring::new(vec![location], 4, 1),
            nodes: vec![node],
            port: 1,
            shard_aware_port: None,
            canned: false,
            compression: false,
            body_len_max: BODY_LEN_MAX,
            counters: Arc::new(Counters::new(std::iter::once("n".to_owned()), 1)),
            faults: Arc::new(Faults::new(1)),
        });
        let database = Self(shared.unwrap());
        database.run(
            "CREATE KEYSPACE ks WITH replication = \
             {'class': 'SimpleStrategy', 'replication_factor': 1}",
        );
        database.run(
            "CREATE TABLE ks.t (p int, a int, b text, v int, PRIMARY KEY (p, a, b)) \
             WITH CLUSTERING ORDER BY (a DESC, b ASC)",
        );
        database
    }

    fn try_run(&self, text: &str, bindings: Bindings<'_>) -> Result<Outcome, (i32, String)> {
        let plan = self.0.plan(text, Some("ks")).map_err(|e| (e.code, e.message))?;
        self.0.run(0, &plan, Some("ks"), bindings).map_err(|e| (e.code, e.message))
    }

    #[track_caller]
    fn run(&self, text: &str) -> Outcome {
        self.try_run(text, Bindings::default()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    /// Rows as `a|b;a|b`: text as it is, one, four and eight bytes as a number, null as `-`.
    #[track_caller]
    fn check(&self, text: &str, expect: &str) {
        let Outcome::Rows(rows) = self.run(text) else { panic!("{text} has no rows") };
        assert_eq!(show(&rows), expect, "{text}");
    }

    #[track_caller]
    fn fails(&self, text: &str, code: i32) {
        assert_eq!(self.try_run(text, Bindings::default()).unwrap_err().0, code, "{text}");
    }

    fn filled() -> Self {
        let database = Self::new();
        for (p, a, b, v) in
            [(1, 1, "x", 11), (1, 1, "y", 12), (1, 2, "x", 13), (1, 3, "z", 14), (2, 9, "q", 20)]
        {
            database.run(&format!("INSERT INTO t (p, a, b, v) VALUES ({p}, {a}, '{b}', {v})"));
        }
        database
    }
}

fn show(rows: &Rows) -> String {
    let mut reader = Reader::new(&rows.cells);
    let mut cell = |column: &ResultColumn| match reader.bytes("a cell").unwrap() {
        None => "-".to_owned(),
        Some(bytes) if column.typ == CqlType::TEXT => String::from_utf8(bytes.to_vec()).unwrap(),
        Some(bytes) => match (bytes, <[u8; 4]>::try_from(bytes), <[u8; 8]>::try_from(bytes)) {
            ([byte], ..) => byte.to_string(),
            (_, Ok(int), _) => i32::from_be_bytes(int).to_string(),
            (_, _, Ok(long)) => i64::from_be_bytes(long).to_string(),
            _ => format!("{bytes:02x?}"),
        },
    };
    let row = |_| rows.columns.columns.iter().map(&mut cell).collect::<Vec<_>>().join("|");
    (0..rows.row_count).map(row).collect::<Vec<_>>().join(";")
}

#[test]
fn clustering_order_slices_and_in() {
    let db = Database::filled();
    db.check("SELECT a, b FROM t WHERE p = 1", "3|z;2|x;1|x;1|y");
    db.check("SELECT a, b FROM t WHERE p = 1 ORDER BY a ASC, b DESC", "1|y;1|x;2|x;3|z");
    db.check("SELECT a FROM t WHERE p = 1 AND a > 1 AND a <= 3", "3;2");
    db.check("SELECT a FROM t WHERE p = 1 AND a < 2", "1;1");
    db.check("SELECT b FROM t WHERE p = 1 AND a = 1 AND b > 'x'", "y");
    db.check("SELECT v FROM t WHERE p = 1 AND a IN (1, 3)", "14;11;12");
    db.check("SELECT v FROM t WHERE p = 1 AND a IN (1, 3) AND b IN ('x', 'z')", "14;11");
    db.check("SELECT v FROM t WHERE p IN (2, 1, 7) AND a = 9", "20");
    db.check("SELECT v FROM t WHERE p = 1 LIMIT 2", "14;13");
    db.check("SELECT COUNT(*) FROM t", "5");
    db.check("SELECT p, v FROM t WHERE v >= 13 AND v < 20 ALLOW FILTERING", "1|14;1|13");
    db.check("SELECT DISTINCT p FROM t WHERE p IN (1, 2)", "1;2");
    db.check("SELECT v FROM t WHERE p IN (1, 2) PER PARTITION LIMIT 1", "14;20");
    db.check("SELECT p FROM t WHERE token(p) > 9223372036854775807", "");
    db.check("SELECT p, a AS first FROM t WHERE p = 2 USING TIMEOUT 5ms;", "2|9");
}

#[test]
fn what_makes_no_sense_is_invalid() {
    let db = Database::filled();
    for text in [
        "SELECT * FROM t WHERE v = 1",
        "SELECT * FROM t WHERE p = 1 AND b = 'x'",
        "SELECT * FROM t WHERE p = 1 AND p = 2",
        "SELECT * FROM t WHERE p = 1 AND a = 1 AND a > 0",
        "SELECT * FROM t WHERE p = 1 ORDER BY b",
        "SELECT * FROM t WHERE p = 1 ORDER BY a ASC, b ASC",
        "SELECT * FROM t WHERE p IN (1, 2) ORDER BY a ASC",
        "SELECT * FROM t LIMIT 0",
        "SELECT DISTINCT v FROM t",
        "UPDATE t SET v = 1 WHERE p = 1 AND a = 1",
        "UPDATE t SET a = 1 WHERE p = 1 AND a = 1 AND b = 'x'",
        "UPDATE t SET v = v + 1 WHERE p = 1 AND a = 1 AND b = 'x'",
        "DELETE v FROM t WHERE p = 1",
        "DELETE FROM t WHERE a = 1",
        "INSERT INTO t (p, a, b) VALUES (1, 1, null)",
        "INSERT INTO t (p, a, b, v) VALUES (1, 1, 'x', 1) USING TTL -1",
        "CREATE TABLE u (a int, b int)",
        "CREATE TABLE u (a int PRIMARY KEY, a text)",
        "CREATE TABLE u (a list<int> PRIMARY KEY)",
        "DROP TABLE nothing",
        "ALTER TABLE t DROP p",
        "TRUNCATE system.local",
    ] {
        db.fails(text, code::INVALID);
    }
    db.fails("CREATE TABLE t (a int PRIMARY KEY)", code::ALREADY_EXISTS);
}

#[test]
fn writes_upserts_and_deletions() {
    let db = Database::filled();
    db.run("UPDATE t SET v = 99 WHERE p = 1 AND a = 2 AND b = 'x'");
    db.run("UPDATE t USING TIMESTAMP 5 SET v = 1 WHERE p = 1 AND a = 3 AND b = 'z'");
    db.check("SELECT v FROM t WHERE p = 1 AND a > 1", "14;99");
    db.run("DELETE v FROM t WHERE p = 1 AND a = 2 AND b = 'x'");
    db.check("SELECT v FROM t WHERE p = 1 AND a = 2", "-");
    db.run("DELETE FROM t WHERE p = 1 AND a = 1 AND b = 'x'");
    db.run("DELETE FROM t WHERE p = 1 AND a >= 2");
    db.check("SELECT b FROM t WHERE p = 1", "y");
    db.run("DELETE FROM t WHERE p = 1");
    db.check("SELECT p FROM t", "2");
    db.run("UPDATE t SET v = 5 WHERE p = 3 AND a = 1 AND b = 'u'");
    db.run("DELETE v FROM t WHERE p = 3 AND a = 1 AND b = 'u'");
    db.check("SELECT p FROM t WHERE p = 3", "");
    db.run("TRUNCATE t");
    db.check("SELECT COUNT(*) FROM t", "0");
}

#[test]
fn timestamps_and_ttl_are_shown() {
    let db = Database::new();
    db.run("INSERT INTO t (p, a, b, v) VALUES (1, 1, 'x', 1) USING TIMESTAMP 77 AND TTL 1000000");
    db.check("SELECT writetime(v) FROM t WHERE p = 1", "77");
    let Outcome::Rows(rows) = db.run("SELECT ttl(v) FROM t WHERE p = 1") else { panic!() };
    assert!((999_990..=1_000_000).contains(&show(&rows).parse().unwrap()), "{}", show(&rows));
}

#[test]
fn conditions_answer_as_scylladb_does() {
    let db = Database::new();
    let insert = "INSERT INTO t (p, a, b, v) VALUES (1, 1, 'x', 5) IF NOT EXISTS";
    db.check(insert, "1|-|-|-|-");
    db.check(insert, "0|1|1|x|5");
    let update = "UPDATE t SET v = 6 WHERE p = 1 AND a = 1 AND b = 'x' IF v =";
    db.check(&format!("{update} 4"), "0|5");
    db.check(&format!("{update} 5"), "1|5");
    db.check("DELETE FROM t WHERE p = 1 AND a = 1 AND b = 'x' IF EXISTS", "1|1|1|x|6");
    db.check("DELETE FROM t WHERE p = 1 AND a = 1 AND b = 'x' IF EXISTS", "0|-|-|-|-");
}

#[test]
fn batches_are_all_or_nothing() {
    let db = Database::new();
    db.run(
        "BEGIN BATCH INSERT INTO t (p, a, b) VALUES (1, 1, 'x'); \
            INSERT INTO t (p, a, b) VALUES (1, 2, 'x') APPLY BATCH",
    );
    db.check("SELECT COUNT(*) FROM t", "2");
    db.fails(
        "BEGIN BATCH INSERT INTO t (p, a, b) VALUES (1, 3, 'x'); \
         INSERT INTO t (p, a, b, v) VALUES (1, 4, 'x', 'text') APPLY BATCH",
        code::INVALID,
    );
    db.check("SELECT COUNT(*) FROM t", "2");
}

#[test]
fn unset_values_leave_columns_alone() {
    let db = Database::filled();
    let values = [Value::Unset];
    let bindings = Bindings { values: &values, ..Bindings::default() };
    db.try_run("UPDATE t SET v = ? WHERE p = 2 AND a = 9 AND b = 'q'", bindings).unwrap();
    db.check("SELECT v FROM t WHERE p = 2", "20");
    let error = db.try_run("SELECT v FROM t WHERE p = ?", bindings).unwrap_err();
    assert_eq!(error.0, code::INVALID);
}

#[test]
fn pages_of_any_size_give_the_same_rows() {
    let db = Database::filled();
    for text in [
        "SELECT p, a, b FROM t",
        "SELECT a, b FROM t WHERE p = 1 ORDER BY a ASC, b DESC",
        "SELECT a FROM t WHERE p = 1 AND a IN (1, 3)",
        "SELECT p, v FROM t LIMIT 3",
        "SELECT v FROM t PER PARTITION LIMIT 2",
    ] {
        let Outcome::Rows(all) = db.run(text) else { panic!() };
        for size in 1..7 {
            let (mut pages, mut state) = (Vec::new(), None::<Vec<u8>>);
            loop {
                let page = Page { size: Some(size), state: state.as_deref() };
                let bindings = Bindings { page, ..Bindings::default() };
                let Ok(Outcome::Rows(rows)) = db.try_run(text, bindings) else { panic!() };
                assert!(rows.row_count <= size);
                pages.push(show(&rows));
                state = rows.paging_state;
                if state.is_none() {
                    break;
                }
            }
            assert_eq!(pages.join(";"), show(&all), "{text} by {size}");
        }
    }
}

#[test]
fn schema_tables_describe_what_was_created() {
    let db = Database::new();
    db.run("ALTER TABLE t ADD w frozen<map<text, int>>");
    db.check(
        "SELECT column_name, kind, position, clustering_order, type FROM system_schema.columns \
         WHERE keyspace_name = 'ks' AND table_name = 't'",
        "a|clustering|0|desc|int;b|clustering|1|asc|text;p|partition_key|0|none|int;\
         v|regular|-1|none|int;w|regular|-1|none|frozen<map<text, int>>",
    );
    db.check("SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'ks'", "t");
    db.check("SELECT key FROM system.local WHERE key = 'local'", "local");
    db.check("SELECT peer FROM system.peers", "");
    db.run("DROP KEYSPACE ks");
    db.check("SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'ks'", "");
}
