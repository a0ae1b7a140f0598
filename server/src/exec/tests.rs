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

/// A cluster of one node, without sockets.
pub(crate) fn shared(persona: Persona, users: Users) -> Shared {
    let location = Location { datacenter: "dc".into(), rack: "r".into() };
    let node = NodeInfo {
        address: [127, 0, 0, 1].into(),
        host_id: [1; 16],
        datacenter: "dc".into(),
        rack: "r".into(),
    };
    Shared::new(Parts {
        persona,
        users,
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
    })
    .unwrap()
}

pub(crate) struct Database(pub(crate) Shared);

impl Database {
    /// A keyspace `ks` with `t (p int, a int, b text, v int, PRIMARY KEY (p, a, b))`, `a` DESC.
    fn new() -> Self {
        Self::with(Persona::Scylla)
    }

    pub(crate) fn with(persona: Persona) -> Self {
        let database = Self(shared(persona, Users::default()));
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
    pub(crate) fn run(&self, text: &str) -> Outcome {
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
    db.check("SELECT p, a FROM t WHERE p IN (1, 2) ORDER BY a DESC", "2|9;1|3;1|2;1|1;1|1");
    db.check("SELECT v FROM t WHERE p IN (1, 2) ORDER BY a ASC, b DESC LIMIT 2", "12;11");
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
        "SELECT * FROM t WHERE p > 0 ORDER BY a ASC",
        "SELECT * FROM t ORDER BY a ASC",
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
    ] {
        db.fails(text, code::INVALID);
    }
    db.fails("CREATE TABLE t (a int PRIMARY KEY)", code::ALREADY_EXISTS);
    db.fails("TRUNCATE system.local", code::UNAUTHORIZED);
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

#[test]
fn static_columns_are_the_partitions() {
    let db = Database::new();
    db.run("CREATE TABLE s (p int, c int, s int STATIC, v int, PRIMARY KEY (p, c))");
    db.run("INSERT INTO s (p, s) VALUES (1, 7)");
    db.check("SELECT p, c, s, v FROM s", "1|-|7|-");
    db.check("SELECT c FROM s WHERE p = 1 AND c = 1", "");
    db.run("INSERT INTO s (p, c, v) VALUES (1, 1, 10)");
    db.run("INSERT INTO s (p, c, v, s) VALUES (1, 2, 20, 8)");
    db.check("SELECT * FROM s", "1|1|8|10;1|2|8|20");
    db.check("SELECT DISTINCT p, s FROM s", "1|8");
    db.run("UPDATE s SET s = 9 WHERE p = 1");
    db.check("UPDATE s SET s = 10 WHERE p = 1 IF s = 9", "1|9");
    db.run("DELETE s FROM s WHERE p = 1");
    db.check("SELECT c, s FROM s", "1|-;2|-");
    db.fails("UPDATE s SET v = 1 WHERE p = 1", code::INVALID);
    db.fails("CREATE TABLE n (p int PRIMARY KEY, s int STATIC)", code::INVALID);
}

#[test]
fn collections_change_element_by_element() {
    let db = Database::with(Persona::Cassandra);
    db.run("CREATE TABLE c (p int PRIMARY KEY, l list<int>, s set<int>, m map<int, text>)");
    db.run("INSERT INTO c (p, l, s, m) VALUES (1, [1, 2, 1], {3, 1}, {1: 'a', 2: 'b'})");
    let json = |text: &str| db.check("SELECT JSON l, s, m FROM c", text);
    json(r#"{"l": [1, 2, 1], "s": [1, 3], "m": {"1": "a", "2": "b"}}"#);
    db.run("UPDATE c SET l = [0] + l, s = s + {2}, m[3] = 'c' WHERE p = 1");
    db.run("UPDATE c SET l[2] = 20, m[1] = null WHERE p = 1");
    json(r#"{"l": [0, 1, 20, 1], "s": [1, 2, 3], "m": {"2": "b", "3": "c"}}"#);
    db.run("UPDATE c SET l = l - [1], s = s - {1, 3} WHERE p = 1");
    db.run("DELETE l[0], m[2] FROM c WHERE p = 1");
    json(r#"{"l": [20], "s": [2], "m": {"3": "c"}}"#);
    // What is replaced is older than what comes at the same time.
    db.run("UPDATE c USING TIMESTAMP 9000000000000000 SET m = {5: 'e'} WHERE p = 1");
    db.run("UPDATE c USING TIMESTAMP 9000000000000000 SET m[6] = 'f' WHERE p = 1");
    db.run("UPDATE c SET m[7] = 'late' WHERE p = 1");
    json(r#"{"l": [20], "s": [2], "m": {"5": "e", "6": "f"}}"#);
    db.check("SELECT m[6], p FROM c", "f|1");
    db.fails("UPDATE c SET l[5] = 1 WHERE p = 1", code::INVALID);
    db.fails("UPDATE c SET l[0] = 1 WHERE p = 2", code::INVALID);
    db.run("DELETE l, s, m FROM c WHERE p = 1");
    // The map was written in the future.
    json(r#"{"l": null, "s": null, "m": {"5": "e", "6": "f"}}"#);
}

#[test]
fn types_of_users() {
    let db = Database::with(Persona::Cassandra);
    db.run("CREATE TYPE a (street text, zip int)");
    db.run("CREATE TYPE b (at frozen<a>, tags frozen<set<text>>)");
    db.fails("CREATE TYPE a (x int)", code::INVALID);
    db.fails("CREATE TYPE c (x nothing)", code::INVALID);
    db.fails("CREATE TABLE u (p int PRIMARY KEY, l list<a>)", code::INVALID);
    db.run("CREATE TABLE u (p int PRIMARY KEY, f frozen<b>, n a, l list<frozen<a>>)");
    db.run(
        "INSERT INTO u (p, f, n) VALUES (1, {at: {zip: 1}, tags: {'x'}}, {street: 'S', zip: 5})",
    );
    db.run("UPDATE u SET n.zip = 6 WHERE p = 1");
    db.check("SELECT n.zip, n.street, f.at.zip FROM u", "6|S|1");
    db.run("ALTER TYPE a ADD country text");
    db.check(
        "SELECT JSON f, n FROM u",
        "{\"f\": {\"at\": {\"street\": null, \"zip\": 1, \"country\": null}, \"tags\": [\"x\"]}, \
         \"n\": {\"street\": \"S\", \"zip\": 6, \"country\": null}}",
    );
    db.check(
        "SELECT type FROM system_schema.columns \
         WHERE keyspace_name = 'ks' AND table_name = 'u' AND column_name = 'l'",
        "list<frozen<a>>",
    );
    db.check("UPDATE u SET n.zip = 7 WHERE p = 1 IF n.zip = 6", "1");
    db.fails("DROP TYPE a", code::INVALID);
    db.run("DROP TABLE u");
    db.run("DROP TYPE b");
    db.run("DROP TYPE a");
}

#[test]
fn functions_aggregates_and_arithmetic() {
    let db = Database::filled();
    db.check("SELECT count(*), min(v), max(v), sum(v), avg(v) FROM t WHERE p = 1", "4|11|14|50|12");
    db.check("SELECT count(v), sum(v) FROM t WHERE p = 77", "0|0");
    db.check("SELECT p, a, count(*) FROM t GROUP BY p, a", "1|3|1;1|2|1;1|1|2;2|9|1");
    db.check("SELECT a, max(v) FROM t GROUP BY p, a LIMIT 2", "3|14;2|13");
    db.fails("SELECT v, count(*) FROM t GROUP BY v", code::INVALID);
    db.check("SELECT v + 1, v * 2 - a FROM t WHERE p = 2", "21|31");
    db.check("SELECT cast(v AS text), toJson(b), (int)5 FROM t WHERE p = 2", "20|\"q\"|5");
    db.check("SELECT blobAsInt(intAsBlob(v)) FROM t WHERE p = 2", "20");
    db.fails("SELECT v / 0 FROM t WHERE p = 2", code::FUNCTION_FAILURE);
    db.fails("SELECT nothing(v) FROM t", code::INVALID);
    db.run(
        "CREATE FUNCTION twice (n int) RETURNS NULL ON NULL INPUT RETURNS int LANGUAGE java \
         AS 'return n * 2;'",
    );
    db.run(
        "CREATE FUNCTION plus (s int, n int) CALLED ON NULL INPUT RETURNS int LANGUAGE java \
         AS 'return s + n;'",
    );
    db.run("CREATE AGGREGATE total (int) SFUNC plus STYPE int INITCOND 0");
    db.check("SELECT twice(v), ks.twice(a) FROM t WHERE p = 2", "40|18");
    db.check("SELECT total(v) FROM t WHERE p = 1", "50");
    db.fails("DROP FUNCTION plus", code::INVALID);
    db.run("DROP AGGREGATE total");
    db.run("DROP FUNCTION plus");
}

#[test]
fn json_in_and_out() {
    let db = Database::new();
    db.run(r#"INSERT INTO t JSON '{"p": 5, "a": 1, "b": "x", "v": 3}'"#);
    db.check("SELECT JSON * FROM t WHERE p = 5", r#"{"p": 5, "a": 1, "b": "x", "v": 3}"#);
    db.run(r#"INSERT INTO t JSON '{"p": 5, "a": 1, "b": "x"}' DEFAULT UNSET"#);
    db.check("SELECT v FROM t WHERE p = 5", "3");
    db.run(r#"INSERT INTO t JSON '{"p": 5, "a": 1, "b": "x"}'"#);
    db.check("SELECT v FROM t WHERE p = 5", "-");
    for text in
        [r#"{"p": 5}"#, r#"{"p": 5, "a": 1, "b": "x", "z": 1}"#, "[1]", "{", r#"{"p": "x"}"#]
    {
        db.fails(&format!("INSERT INTO t JSON '{text}'"), code::INVALID);
    }
}

#[test]
fn multi_column_relations_and_filters() {
    let db = Database::filled();
    db.check("SELECT v FROM t WHERE p = 1 AND (a, b) IN ((1, 'y'), (3, 'z'))", "14;12");
    db.run("CREATE INDEX t_v ON t (v)");
    db.check("SELECT p, a FROM t WHERE v = 20", "2|9");
    db.fails("SELECT p FROM t WHERE v = 20 AND b = 'q'", code::INVALID);
    db.check("SELECT p FROM t WHERE v = 20 AND b = 'q' ALLOW FILTERING", "2");
    db.check("SELECT p FROM t WHERE token(p) = token(2)", "2");
    db.run("CREATE TABLE f (p int PRIMARY KEY, m map<int, text>, s set<int>)");
    db.run("INSERT INTO f (p, m, s) VALUES (1, {1: 'a'}, {5})");
    db.run("INSERT INTO f (p, m, s) VALUES (2, {2: 'b'}, {6})");
    db.check("SELECT p FROM f WHERE s CONTAINS 6 ALLOW FILTERING", "2");
    db.check("SELECT p FROM f WHERE m CONTAINS KEY 1 ALLOW FILTERING", "1");
    db.check("SELECT p FROM f WHERE m CONTAINS 'b' ALLOW FILTERING", "2");
    db.check("SELECT p FROM f WHERE m[1] = 'a' ALLOW FILTERING", "1");
    db.fails("SELECT p FROM f WHERE s = {5} ALLOW FILTERING", code::INVALID);
}

#[test]
fn batches_with_conditions() {
    let db = Database::with(Persona::Cassandra);
    let batch = |a: i32, b: i32| {
        format!(
            "BEGIN BATCH INSERT INTO t (p, a, b, v) VALUES (1, {a}, 'x', 1) IF NOT EXISTS; \
             INSERT INTO t (p, a, b, v) VALUES (1, {b}, 'x', 2) IF NOT EXISTS; APPLY BATCH"
        )
    };
    db.check(&batch(1, 2), "1");
    db.check(&batch(2, 3), "0|1|2|x|2");
    db.check("SELECT a FROM t WHERE p = 1", "2;1");
    db.fails(
        "BEGIN BATCH UPDATE t SET v = 1 WHERE p = 1 AND a = 1 AND b = 'x' IF v = 1; \
         UPDATE t SET v = 1 WHERE p = 2 AND a = 1 AND b = 'x'; APPLY BATCH",
        code::INVALID,
    );
    db.run(
        "BEGIN BATCH USING TIMESTAMP 5 INSERT INTO t (p, a, b, v) VALUES (9, 1, 'x', 1); \
         APPLY BATCH",
    );
    db.check("SELECT writetime(v) FROM t WHERE p = 9", "5");
}

#[test]
fn vectors_and_the_nearest_of_them() {
    let db = Database::with(Persona::Cassandra);
    db.run("CREATE TABLE vs (p int PRIMARY KEY, v vector<float, 2>, t vector<text, 2>)");
    for p in 0..5 {
        db.run(&format!("INSERT INTO vs (p, v, t) VALUES ({p}, [{p}, 0.5], ['', 'x'])"));
    }
    db.fails("INSERT INTO vs (p, v) VALUES (1, [1])", code::INVALID);
    db.fails("SELECT p FROM vs ORDER BY v ANN OF [3, 0] LIMIT 2", code::INVALID);
    db.run(
        "CREATE INDEX ON vs (v) USING 'sai' WITH OPTIONS = {'similarity_function': 'euclidean'}",
    );
    db.check("SELECT p FROM vs ORDER BY v ANN OF [3.1, 0] LIMIT 3", "3;4;2");
    db.check("SELECT JSON v, t FROM vs WHERE p = 1", r#"{"v": [1.0, 0.5], "t": ["", "x"]}"#);
}

#[test]
fn views_show_the_rows_of_their_table() {
    let db = Database::filled();
    db.run(
        "CREATE MATERIALIZED VIEW by_v AS SELECT * FROM t WHERE v IS NOT NULL AND p IS NOT NULL \
         AND a IS NOT NULL AND b IS NOT NULL PRIMARY KEY (v, p, a, b)",
    );
    db.check("SELECT p, a, b FROM by_v WHERE v = 13", "1|2|x");
    db.run("UPDATE t SET v = 99 WHERE p = 1 AND a = 2 AND b = 'x'");
    db.run("DELETE v FROM t WHERE p = 2 AND a = 9 AND b = 'q'");
    db.check("SELECT p, a, b FROM by_v WHERE v = 13", "");
    db.check("SELECT p, a, b FROM by_v WHERE v = 99", "1|2|x");
    db.check("SELECT count(*) FROM by_v", "4");
    db.run("ALTER TABLE t ADD w int");
    db.run("UPDATE t SET w = 5 WHERE p = 1 AND a = 2 AND b = 'x'");
    db.check("SELECT w FROM by_v WHERE v = 99", "5");
    db.fails("INSERT INTO by_v (v, p, a, b) VALUES (1, 1, 1, 'x')", code::INVALID);
    db.fails("ALTER TABLE t DROP w", code::INVALID);
    db.fails("DROP TABLE t", code::INVALID);
    db.run("DROP MATERIALIZED VIEW by_v");
    db.fails("SELECT * FROM by_v", code::INVALID);
}

#[test]
fn keyspaces_and_what_is_in_them_are_described() {
    let db = Database::filled();
    db.run("CREATE TYPE b (x int)");
    db.run("CREATE TYPE a (x frozen<b>)");
    db.check("DESCRIBE TYPES", "ks|type|a;ks|type|b");
    let Outcome::Rows(rows) = db.run("DESCRIBE KEYSPACE") else { panic!("no rows") };
    let shown = show(&rows);
    let at = |text: &str| shown.find(text).unwrap_or_else(|| panic!("{text} is not in {shown}"));
    let keyspace = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', \
                    'replication_factor': '1'}  AND durable_writes = true;";
    // What others need stands before them.
    let places = [keyspace, "CREATE TYPE ks.b", "CREATE TYPE ks.a", "CREATE TABLE ks.t"].map(at);
    assert!(places.is_sorted(), "{shown}");
    db.check("DESC CLUSTER", "shardwire|Murmur3Partitioner|SimpleSnitch");
    db.fails("DESCRIBE nothing", code::INVALID);
}

#[test]
fn numbers_out_of_range_are_errors_and_no_work() {
    let db = Database::with(Persona::Cassandra);
    db.run("CREATE TABLE n (p int PRIMARY KEY, d decimal, t timestamp)");
    db.run("INSERT INTO n (p, d, t) VALUES (1, 1E+2000000000, 0)");
    db.fails("SELECT d + 1 FROM n", code::FUNCTION_FAILURE);
    db.check("SELECT cast(d AS varint) FROM n", "-");
    let months = "P0001-9223372036854775807-01T00:00:00";
    db.fails(&format!("SELECT t + {months} FROM n"), code::SYNTAX);
    db.fails("SELECT t + 9223372036854775807mo FROM n", code::FUNCTION_FAILURE);
}

#[test]
fn types_cannot_grow_without_end() {
    let db = Database::new();
    db.run("CREATE TYPE u0 (x int)");
    db.fails("ALTER TYPE u0 ADD f frozen<u0>", code::INVALID);
    for n in 1..40 {
        db.run(&format!("CREATE TYPE u{n} (x int)"));
    }
    let add = |n: i32| format!("ALTER TYPE u{n} ADD f frozen<u{}>", n + 1);
    let first = (0..39).find(|n| db.try_run(&add(*n), Bindings::default()).is_err());
    assert!(first.is_some_and(|n| n < 32), "{first:?}");
    db.fails("ALTER TYPE u1 ADD g frozen<u0>", code::INVALID);
}

/// What DESCRIBE says makes the same table again, options included.
#[test]
fn a_described_table_can_be_made_again() {
    for (persona, options) in [
        (
            Persona::Scylla,
            "paxos_grace_seconds = 5 AND per_partition_rate_limit = {'max_reads_per_second': 9} \
             AND tombstone_gc = {'mode': 'timeout'} AND comment = 'it''s'",
        ),
        (
            Persona::Cassandra,
            "read_repair = 'none' AND additional_write_policy = '95PERCENTILE' AND cdc = true \
             AND compaction = {'class': 'UnifiedCompactionStrategy'} AND comment = 'it''s'",
        ),
    ] {
        let db = Database::with(persona);
        db.run(&format!("CREATE TABLE o (p int PRIMARY KEY, v int) WITH {options}"));
        let described = || {
            let Outcome::Rows(rows) = db.run("DESCRIBE TABLE o") else { panic!("no rows") };
            let shown = show(&rows);
            shown.split_once("|o|").unwrap().1.to_owned()
        };
        let first = described();
        assert!(first.contains("comment = 'it''s'"), "{first}");
        db.run("DROP TABLE o");
        db.run(&first);
        assert_eq!(described(), first);
    }
    let db = Database::new();
    db.run("ALTER TABLE t WITH per_partition_rate_limit = {'max_writes_per_second': 3}");
    let Outcome::Rows(rows) = db.run(
        "SELECT per_partition_rate_limit FROM system_schema.scylla_tables \
         WHERE keyspace_name = 'ks' AND table_name = 't'",
    ) else {
        panic!("no rows")
    };
    let cells = String::from_utf8_lossy(&rows.cells);
    assert!(cells.contains("max_writes_per_second"), "{cells}");
}
