//! Statements on tables with a log, and what the log tells of them.

use crate::cql::ast::TableName;
use crate::error::code;
use crate::exec::result::{Outcome, ResultColumn};
use crate::exec::tests::shared;
use crate::persona::Persona;
use crate::schema::Table;
use crate::schema::change::Target;
use crate::state::{Bindings, Shared};
use crate::users::Users;
use crate::value::json::write_json;
use crate::value::types::{CqlType, Native};
use crate::value::validate::elements;
use crate::wire::read::Reader;

struct Node(Shared);

impl Node {
    /// A node with a keyspace `ks`.
    fn new() -> Self {
        Self::with(Persona::Scylla)
    }

    fn with(persona: Persona) -> Self {
        let node = Self(shared(persona, Users::default()));
        node.run(
            "CREATE KEYSPACE ks WITH replication = \
             {'class': 'SimpleStrategy', 'replication_factor': 1}",
        );
        node
    }

    /// A node with a table `t` whose changes are captured.
    fn with_table(columns: &str, options: &str) -> Self {
        let node = Self::new();
        node.run(&format!("CREATE TABLE t ({columns}) WITH cdc = {{'enabled': true{options}}}"));
        node
    }

    fn try_run(&self, text: &str) -> Result<Outcome, (i32, String)> {
        let plan = self.0.plan(text, Some("ks")).map_err(|e| (e.code, e.message))?;
        let outcome = self.0.run(0, &plan, Some("ks"), Bindings::default());
        outcome.map_err(|e| (e.code, e.message))
    }

    #[track_caller]
    fn run(&self, text: &str) -> Outcome {
        self.try_run(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    #[track_caller]
    fn fails(&self, text: &str, code: i32, message: &str) {
        let error = self.try_run(text).unwrap_err();
        assert!(error.0 == code && error.1.contains(message), "{text}: {error:?}");
    }

    /// Rows, each as names and values without nulls.
    #[track_caller]
    fn rows(&self, text: &str) -> Vec<Vec<(String, String)>> {
        let Outcome::Rows(rows) = self.run(text) else { panic!("{text} has no rows") };
        let mut reader = Reader::new(&rows.cells);
        let mut cell = |column: &ResultColumn| {
            let bytes = reader.bytes("a cell").unwrap()?;
            Some((column.name.clone(), shown(&column.typ, bytes)))
        };
        let row = |_| rows.columns.columns.iter().filter_map(&mut cell).collect();
        (0..rows.row_count).map(row).collect()
    }

    /// What the log of `t` tells since it was last asked: a line for each row, which begins with
    /// the operation and, at the end of a batch, a dot.
    #[track_caller]
    fn told(&self) -> Vec<String> {
        let mut number = 0;
        let line = |row: &Vec<(String, String)>| {
            let of = |name: &str| row.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
            assert_eq!(of("cdc$batch_seq_no"), Some(number.to_string().as_str()), "{row:?}");
            number += 1;
            let mut line = of("cdc$operation").unwrap().to_owned();
            if of("cdc$end_of_batch").is_some() {
                number = 0;
                line.push('.');
            }
            for (name, value) in row {
                match name.strip_prefix("cdc$") {
                    None => line.push_str(&format!(" {name}={value}")),
                    Some("ttl") => line.push_str(&format!(" ttl={value}")),
                    Some(name) => {
                        if let Some(name) = name.strip_prefix("deleted_elements_") {
                            line.push_str(&format!(" {name}-={value}"));
                        } else if let Some(name) = name.strip_prefix("deleted_") {
                            line.push_str(&format!(" -{name}"));
                        }
                    }
                }
            }
            line
        };
        let lines = self.rows("SELECT * FROM t_scylla_cdc_log").iter().map(line).collect();
        self.run("TRUNCATE t_scylla_cdc_log");
        lines
    }

    /// Runs a statement and compares what is told of it.
    #[track_caller]
    fn check(&self, text: &str, expected: &[&str]) {
        self.run(text);
        assert_eq!(self.told(), expected, "{text}");
    }

    fn table(&self, name: &str) -> std::rc::Rc<Table> {
        let schema = self.0.schema.borrow();
        let name = TableName { keyspace: Some("ks".to_owned()), name: name.to_owned() };
        std::rc::Rc::clone(schema.table(&name, None).unwrap().1)
    }
}

/// A value as JSON; of what a list's elements are known by, only how many there are.
fn shown(typ: &CqlType, bytes: &[u8]) -> String {
    let is_time = |typ: &CqlType| *typ == CqlType::Native(Native::Timeuuid);
    match typ.thawed() {
        CqlType::Map(pair) if is_time(&pair.0) => {
            let parts = elements(bytes, 2).unwrap();
            let values = parts.chunks(2).map(|entry| shown(&pair.1, entry[1]));
            format!("<{}>", values.collect::<Vec<_>>().join(" "))
        }
        CqlType::Set(key) if is_time(key) => format!("<{}>", elements(bytes, 1).unwrap().len()),
        _ => {
            let mut text = String::new();
            write_json(typ, Some(bytes), &mut text);
            text.replace('"', "").replace(", ", ",").replace(": ", ":")
        }
    }
}

const ROWS: &str = "p int, c int, s int STATIC, v int, w int, PRIMARY KEY (p, c)";

#[test]
fn each_kind_of_change_is_told() {
    let node = Node::with_table(ROWS, "");
    node.check("INSERT INTO t (p, c, v, w) VALUES (1, 2, 3, 4)", &["2. c=2 p=1 v=3 w=4"]);
    node.check("INSERT INTO t (p, c, v) VALUES (1, 2, null)", &["2. c=2 -v p=1"]);
    node.check("INSERT INTO t (p, c) VALUES (1, 2)", &["2. c=2 p=1"]);
    node.check("UPDATE t SET v = 5, w = null WHERE p = 1 AND c = 2", &["1. c=2 -w p=1 v=5"]);
    node.check("UPDATE t SET s = 5 WHERE p = 1", &["1. p=1 s=5"]);
    node.check("INSERT INTO t (p, s) VALUES (1, 6)", &["1. p=1 s=6"]);
    node.check("INSERT INTO t (p, c, s, v) VALUES (1, 2, 6, 7)", &["1 p=1 s=6", "2. c=2 p=1 v=7"]);
    node.check("DELETE v FROM t WHERE p = 1 AND c = 2", &["1. c=2 -v p=1"]);
    node.check("DELETE s FROM t WHERE p = 1", &["1. -s p=1"]);
    node.check("DELETE FROM t WHERE p = 1 AND c = 2", &["3. c=2 p=1"]);
    node.check("DELETE FROM t WHERE p = 1", &["4. p=1"]);
    node.check("DELETE FROM t WHERE p = 1 AND c >= 2 AND c < 5", &["5 c=2 p=1", "8. c=5 p=1"]);
    node.check("DELETE FROM t WHERE p = 1 AND c > 2", &["6 c=2 p=1", "7. p=1"]);
    node.check("DELETE FROM t WHERE p = 1 AND c <= 2", &["5 p=1", "7. c=2 p=1"]);
    node.check("DELETE FROM t WHERE p = 1 AND c IN (3, 2)", &["3 c=2 p=1", "3. c=3 p=1"]);
    node.check("UPDATE t SET v = 1 WHERE p IN (1) AND c = 2", &["1. c=2 p=1 v=1"]);
}

#[test]
fn ranges_are_told_in_the_order_of_rows() {
    let node = Node::with_table("p int, a int, b int, PRIMARY KEY (p, a, b)", "");
    node.check("DELETE FROM t WHERE p = 1 AND a = 2", &["5 a=2 p=1", "7. a=2 p=1"]);
    node.check("DELETE FROM t WHERE p = 1 AND a = 2 AND b > 3", &["6 a=2 b=3 p=1", "7. a=2 p=1"]);
    node.check(
        "DELETE FROM t WHERE p = 1 AND (a, b) >= (2, 3) AND (a, b) < (4, 5)",
        &["5 a=2 b=3 p=1", "8. a=4 b=5 p=1"],
    );
    node.run("DROP TABLE t");
    node.run(
        "CREATE TABLE t (p int, c int, PRIMARY KEY (p, c)) WITH CLUSTERING ORDER BY (c DESC) \
         AND cdc = {'enabled': 'true'}",
    );
    node.check("DELETE FROM t WHERE p = 1 AND c > 2", &["5 p=1", "8. c=2 p=1"]);
    node.run("DROP TABLE t");
    node.run("CREATE TABLE t (p int PRIMARY KEY, v int) WITH cdc = {'enabled': true}");
    node.check("DELETE FROM t WHERE p = 1", &["4. p=1"]);
}

#[test]
fn times_to_live_are_told_apart() {
    let node = Node::with_table("p int PRIMARY KEY, v int, w int, e map<int, int>", "");
    node.check("INSERT INTO t (p, v) VALUES (1, 2) USING TTL 30", &["2. ttl=30 p=1 v=2"]);
    // What is deleted has no time to live.
    node.check(
        "INSERT INTO t (p, v, w) VALUES (1, 2, null) USING TTL 30",
        &["2 ttl=30 p=1 v=2", "1. -w p=1"],
    );
    node.check(
        "UPDATE t USING TTL 30 SET e = {1: 2} WHERE p = 1",
        &["1 -e p=1", "1. ttl=30 e={1:2} p=1"],
    );
    node.check(
        "INSERT INTO t (p, e) VALUES (1, {1: 2}) USING TTL 30",
        &["2 ttl=30 p=1", "1 -e p=1", "1. ttl=30 e={1:2} p=1"],
    );
    node.run("ALTER TABLE t WITH default_time_to_live = 9");
    node.check("UPDATE t SET v = 1 WHERE p = 1", &["1. ttl=9 p=1 v=1"]);
}

#[test]
fn what_changes_of_collections_is_told() {
    let node = Node::new();
    node.run("CREATE TYPE u (a int, b text)");
    node.run(
        "CREATE TABLE t (p int PRIMARY KEY, l list<int>, s set<text>, e map<int, text>, x u, \
         f frozen<list<int>>) WITH cdc = {'enabled': true}",
    );
    node.check(
        "INSERT INTO t (p, l, s, e) VALUES (1, [5, 6], {'a', 'b'}, {1: 'x'})",
        &["2. -e -l -s e={1:x} l=<5 6> p=1 s=[a,b]"],
    );
    node.check("UPDATE t SET l = l + [7], s = s + {'c'} WHERE p = 1", &["1. l=<7> p=1 s=[c]"]);
    node.check("UPDATE t SET l = [4] + l WHERE p = 1", &["1. l=<4> p=1"]);
    node.check("UPDATE t SET l[1] = 50 WHERE p = 1", &["1. l=<50> p=1"]);
    node.check("UPDATE t SET l = l - [50, 7] WHERE p = 1", &["1. l-=<2> p=1"]);
    node.check("DELETE l[0] FROM t WHERE p = 1", &["1. l-=<1> p=1"]);
    node.check("UPDATE t SET s = s - {'a', 'z'} WHERE p = 1", &["1. s-=[a,z] p=1"]);
    node.check("UPDATE t SET e[1] = 'y', e[2] = null WHERE p = 1", &["1. e-=[2] e={1:y} p=1"]);
    node.check("UPDATE t SET e = e - {1} WHERE p = 1", &["1. e-=[1] p=1"]);
    node.check("DELETE s, e FROM t WHERE p = 1", &["1. -e -s p=1"]);
    node.check("UPDATE t SET l = [] WHERE p = 1", &["1. -l p=1"]);
    node.check("UPDATE t SET f = [1, 2] WHERE p = 1", &["1. f=[1,2] p=1"]);
    node.check("UPDATE t SET f = null WHERE p = 1", &["1. -f p=1"]);
    node.check("UPDATE t SET x = {a: 1, b: 'q'} WHERE p = 1", &["1. -x p=1 x={a:1,b:q}"]);
    node.check("UPDATE t SET x.b = 'r' WHERE p = 1", &["1. p=1 x={a:null,b:r}"]);
    node.check("UPDATE t SET x.a = null WHERE p = 1", &["1. x-=[0] p=1 x={a:null,b:null}"]);
}

#[test]
fn the_elements_of_a_list_keep_their_keys() {
    let node = Node::with_table("p int PRIMARY KEY, l list<int>", "");
    let keys = |rows: &[Vec<(String, String)>], name: &str| {
        let json = &rows[0].iter().find(|(n, _)| n == name).unwrap().1;
        json.trim_matches(['[', ']', '{', '}']).split(':').next().unwrap().to_owned()
    };
    let ask = |column: &str| {
        let text = format!("SELECT toJson(\"{column}\") FROM t_scylla_cdc_log");
        let rows = node.rows(&text);
        node.run("TRUNCATE t_scylla_cdc_log");
        rows
    };
    node.run("UPDATE t SET l = l + [1] WHERE p = 1");
    let rows = ask("l");
    let name = rows[0][0].0.clone();
    let added = keys(&rows, &name);
    node.run("UPDATE t SET l[0] = 2 WHERE p = 1");
    assert_eq!(keys(&ask("l"), &name), added);
    node.run("DELETE l[0] FROM t WHERE p = 1");
    let rows = ask("cdc$deleted_elements_l");
    let name = rows[0][0].0.clone();
    assert_eq!(keys(&rows, &name), added);
}

#[test]
fn a_batch_is_one_record_of_each_partition() {
    let node = Node::with_table(ROWS, "");
    node.check(
        "BEGIN BATCH UPDATE t SET v = 1 WHERE p = 1 AND c = 3; \
         INSERT INTO t (p, c, v) VALUES (1, 2, 5); UPDATE t SET s = 9 WHERE p = 1; \
         DELETE FROM t WHERE p = 1 AND c = 4; DELETE FROM t WHERE p = 1 AND c > 7; APPLY BATCH",
        &["1 p=1 s=9", "2 c=2 p=1 v=5", "1 c=3 p=1 v=1", "3 c=4 p=1", "6 c=7 p=1", "7. p=1"],
    );
    // Of one kind they have the order of the rows.
    node.check(
        "BEGIN UNLOGGED BATCH INSERT INTO t (p, c, v) VALUES (1, 2, 5); \
         UPDATE t SET v = 1 WHERE p = 1 AND c = 1; APPLY BATCH",
        &["1 c=1 p=1 v=1", "2. c=2 p=1 v=5"],
    );
    // One row, one cell: the later value is the greater one.
    node.check(
        "BEGIN BATCH UPDATE t SET v = 1 WHERE p = 1 AND c = 1; \
         UPDATE t SET v = 2, w = 3 WHERE p = 1 AND c = 1; APPLY BATCH",
        &["1. c=1 p=1 v=2 w=3"],
    );
    node.run(
        "BEGIN BATCH UPDATE t SET v = 1 WHERE p = 1 AND c = 1; \
         UPDATE t SET v = 2 WHERE p = 2 AND c = 1; APPLY BATCH",
    );
    let mut told = node.told();
    told.sort();
    assert_eq!(told, ["1. c=1 p=1 v=1", "1. c=1 p=2 v=2"]);
}

#[test]
fn statements_of_other_times_are_other_records() {
    let node = Node::with_table("p int PRIMARY KEY, v int, w int", "");
    let now = crate::value::time::now_us();
    node.check(
        &format!(
            "BEGIN BATCH UPDATE t USING TIMESTAMP {} SET v = 1 WHERE p = 1; \
             UPDATE t USING TIMESTAMP {now} SET w = 2 WHERE p = 1; APPLY BATCH",
            now + 1
        ),
        &["1. p=1 w=2", "1. p=1 v=1"],
    );
    let rows = node.run(&format!("UPDATE t USING TIMESTAMP {now} SET v = 1 WHERE p = 2"));
    assert!(matches!(rows, Outcome::Void));
    let rows = node.rows(
        "SELECT toUnixTimestamp(\"cdc$time\") AS at, writetime(v) AS w FROM t_scylla_cdc_log",
    );
    let of = |name: &str| rows[0].iter().find(|(n, _)| n == name).unwrap().1.clone();
    assert_eq!(of("at"), (now / 1000).to_string());
    assert_eq!(of("w"), now.to_string());
}

#[test]
fn conditions_that_do_not_hold_leave_nothing() {
    let node = Node::with_table(ROWS, "");
    let insert = "INSERT INTO t (p, c, v) VALUES (1, 2, 3) IF NOT EXISTS";
    node.check(insert, &["2. c=2 p=1 v=3"]);
    node.check(insert, &[]);
    node.check("UPDATE t SET v = 4 WHERE p = 1 AND c = 2 IF v = 5", &[]);
    node.check("UPDATE t SET v = 4 WHERE p = 1 AND c = 2 IF v = 3", &["1. c=2 p=1 v=4"]);
    let batch = "BEGIN BATCH UPDATE t SET v = 5 WHERE p = 1 AND c = 2 IF v = 4; \
                 INSERT INTO t (p, c) VALUES (1, 9); APPLY BATCH";
    node.check(batch, &["1 c=2 p=1 v=5", "2. c=9 p=1"]);
    node.check(batch, &[]);
}

#[test]
fn rows_are_shown_before_and_after() {
    let node = Node::with_table(ROWS, ", 'preimage': true, 'postimage': true");
    node.check("INSERT INTO t (p, c, v) VALUES (1, 2, 3)", &["2 c=2 p=1 v=3", "9. c=2 p=1 v=3"]);
    node.check(
        "UPDATE t SET v = 4, w = 5 WHERE p = 1 AND c = 2",
        &["0 c=2 -w p=1 v=3", "1 c=2 p=1 v=4 w=5", "9. c=2 p=1 v=4 w=5"],
    );
    node.check(
        "UPDATE t SET v = null WHERE p = 1 AND c = 2",
        &["0 c=2 p=1 v=4", "1 c=2 -v p=1", "9. c=2 p=1 w=5"],
    );
    node.check("UPDATE t SET s = 1 WHERE p = 1", &["1 p=1 s=1", "9. p=1 s=1"]);
    node.check("UPDATE t SET s = 2 WHERE p = 1", &["0 p=1 s=1", "1 p=1 s=2", "9. p=1 s=2"]);
    node.check("DELETE FROM t WHERE p = 1 AND c = 2", &["0 c=2 -v p=1 w=5", "3. c=2 p=1"]);
    node.check("DELETE FROM t WHERE p = 1 AND c = 2", &["3. c=2 p=1"]);
    node.run("INSERT INTO t (p, c, v) VALUES (1, 2, 3)");
    node.told();
    node.check("DELETE FROM t WHERE p = 1 AND c > 0", &["6 c=0 p=1", "7. p=1"]);
    node.check("DELETE FROM t WHERE p = 1", &["4. p=1"]);
    node.run("INSERT INTO t (p, c, v) VALUES (1, 2, 3)");
    node.told();
    let now = crate::value::time::now_us();
    node.check(
        &format!(
            "BEGIN BATCH UPDATE t USING TIMESTAMP {now} SET v = 4 WHERE p = 1 AND c = 2; UPDATE t \
             USING TIMESTAMP {} SET w = 5 WHERE p = 1 AND c = 2; APPLY BATCH",
            now + 1
        ),
        &[
            "0 c=2 p=1 v=3",
            "1 c=2 p=1 v=4",
            "9. c=2 p=1 v=4",
            "0 c=2 -w p=1",
            "1 c=2 p=1 w=5",
            "9. c=2 p=1 v=4 w=5",
        ],
    );
}

#[test]
fn full_images_have_all_columns_and_keys_nothing_else() {
    let node = Node::with_table(ROWS, ", 'preimage': 'full', 'delta': 'keys'");
    node.check("INSERT INTO t (p, c, v) VALUES (1, 2, 3) USING TTL 50", &["2. c=2 ttl=50 p=1"]);
    node.check("UPDATE t SET w = 4 WHERE p = 1 AND c = 2", &["0 c=2 -w p=1 v=3", "1. c=2 p=1"]);
}

#[test]
fn images_have_whole_collections() {
    let node = Node::new();
    node.run("CREATE TYPE u (a int, b text)");
    node.run(
        "CREATE TABLE t (p int PRIMARY KEY, l list<int>, e map<int, int>, s set<int>, x u) WITH \
         cdc = {'enabled': true, 'preimage': true, 'postimage': true}",
    );
    node.run("INSERT INTO t (p, l, e, s, x) VALUES (1, [1, 2], {1: 1}, {1}, {a: 1, b: 'q'})");
    node.told();
    node.check(
        "UPDATE t SET l = [0] + l, e[1] = null, s = s + {2} WHERE p = 1",
        &[
            "0 e={1:1} l=<1 2> p=1 s=[1]",
            "1 e-=[1] l=<0> p=1 s=[2]",
            "9. l=<0 1 2> p=1 s=[1,2] x={a:1,b:q}",
        ],
    );
    node.check(
        "UPDATE t SET x.a = null, l = null, e = {5: 5} WHERE p = 1",
        &[
            "0 -e l=<0 1 2> p=1 x={a:1,b:q}",
            "1 -e x-=[0] -l e={5:5} p=1 x={a:null,b:null}",
            "9. e={5:5} p=1 s=[1,2] x={a:null,b:q}",
        ],
    );
}

#[test]
fn rows_of_the_log_live_as_long_as_the_option_says() {
    let node = Node::with_table("p int PRIMARY KEY, v int", ", 'ttl': 10");
    node.run("INSERT INTO t (p, v) VALUES (1, 2)");
    let rows = node.rows("SELECT ttl(v) AS ttl FROM t_scylla_cdc_log");
    let ttl: i32 = rows[0][0].1.parse().unwrap();
    assert!((9..=10).contains(&ttl), "{ttl}");
    let count = |now_s| count(&node, now_s);
    let now_s = crate::value::time::now_us() / 1_000_000;
    assert_eq!(count(now_s + 5), 1);
    assert_eq!(count(now_s + 20), 0);
    node.run("ALTER TABLE t WITH cdc = {'enabled': true, 'ttl': 0}");
    node.run("INSERT INTO t (p, v) VALUES (1, 2)");
    assert_eq!(count(now_s + 1_000_000_000), 1);
}

/// Rows of the log at another time.
fn count(node: &Node, now_s: i64) -> usize {
    let plan = node.0.plan("SELECT * FROM t_scylla_cdc_log", Some("ks")).unwrap();
    let bindings = Bindings { now_s: Some(now_s), ..Bindings::default() };
    match node.0.run(0, &plan, Some("ks"), bindings).unwrap() {
        Outcome::Rows(rows) => rows.row_count,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_log_follows_its_table() {
    let node = Node::with_table("p int PRIMARY KEY, v int", "");
    let change = node.run("ALTER TABLE t ADD l list<int>");
    let Outcome::SchemaChange(change) = change else { panic!("{change:?}") };
    let of_log = change.of_log().unwrap();
    assert_eq!(of_log.what, "UPDATED");
    assert_eq!(of_log.target, Target::Table("t_scylla_cdc_log".to_owned()));
    let types = |node: &Node| {
        let log = node.table("t_scylla_cdc_log");
        let columns = log.columns.iter().map(|column| format!("{} {}", column.name, column.typ));
        columns.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(
        types(&node),
        "cdc$stream_id blob, cdc$time timeuuid, cdc$batch_seq_no int, \
         cdc$deleted_elements_l frozen<set<timeuuid>>, cdc$deleted_l boolean, \
         cdc$deleted_v boolean, cdc$end_of_batch boolean, cdc$operation tinyint, cdc$ttl bigint, \
         l frozen<map<timeuuid, int>>, p int, v int"
    );
    node.run("INSERT INTO t (p, v) VALUES (1, 7)");
    let id = node.table("t_scylla_cdc_log").id;
    node.run("ALTER TABLE t DROP v");
    node.run("ALTER TABLE t ADD v text");
    assert_eq!(node.table("t_scylla_cdc_log").id, id);
    assert_eq!(node.told(), ["2. p=1"], "what comes back is another column");
    // When capturing ends the log stays, and is taken up when it begins again.
    node.run("INSERT INTO t (p, v) VALUES (1, 'a')");
    node.run("ALTER TABLE t WITH cdc = {'enabled': false}");
    node.run("INSERT INTO t (p, v) VALUES (1, 'b')");
    node.run("ALTER TABLE t WITH cdc = {'enabled': true}");
    assert_eq!(node.told(), ["2. p=1 v=a"]);
    assert_eq!(node.table("t_scylla_cdc_log").id, id);
    let change = node.run("DROP TABLE t");
    let Outcome::SchemaChange(change) = change else { panic!("{change:?}") };
    assert_eq!(change.of_log().unwrap().what, "DROPPED");
    node.fails("SELECT * FROM t_scylla_cdc_log", code::INVALID, "unconfigured table");
}

#[test]
fn types_of_the_log() {
    let node = Node::new();
    node.run("CREATE TYPE u (a int)");
    node.run(
        "CREATE TABLE t (p int, c text, a set<int>, b map<text, int>, d u, f frozen<set<int>>, \
         g tuple<int, int>, s list<frozen<u>> STATIC, PRIMARY KEY (p, c)) \
         WITH cdc = {'enabled': true}",
    );
    let log = node.table("t_scylla_cdc_log");
    let of = |name: &str| log.column(name).unwrap().1.typ.to_string();
    for (name, typ) in [
        ("a", "frozen<set<int>>"),
        ("cdc$deleted_elements_a", "frozen<set<int>>"),
        ("b", "frozen<map<text, int>>"),
        ("cdc$deleted_elements_b", "frozen<set<text>>"),
        ("d", "frozen<u>"),
        ("cdc$deleted_elements_d", "frozen<set<smallint>>"),
        ("f", "frozen<set<int>>"),
        ("g", "frozen<tuple<int, int>>"),
        ("s", "frozen<map<timeuuid, frozen<u>>>"),
        ("cdc$deleted_elements_s", "frozen<set<timeuuid>>"),
        ("c", "text"),
    ] {
        assert_eq!(of(name), typ, "{name}");
    }
    for name in ["cdc$deleted_c", "cdc$deleted_p", "cdc$deleted_elements_f"] {
        assert!(log.column(name).is_err(), "{name}");
    }
    assert!(log.columns.iter().all(|column| column.kind != crate::schema::Kind::Static));
    node.run("ALTER TYPE u ADD b text");
    node.check(
        "UPDATE t SET d = {a: 1, b: 'x'} WHERE p = 1 AND c = ''",
        &["1. c= -d d={a:1,b:x} p=1"],
    );
}

#[test]
fn what_cannot_have_a_log_is_refused() {
    let node = Node::new();
    let with = "WITH cdc = {'enabled': true}";
    node.fails(
        &format!("CREATE TABLE t (p int PRIMARY KEY, n counter) {with}"),
        code::INVALID,
        "Counter support not implemented",
    );
    node.fails("CREATE TABLE t (p int PRIMARY KEY) WITH cdc = true", code::SYNTAX, "a map");
    node.fails(
        "CREATE TABLE t (p int PRIMARY KEY) WITH cdc = {'x': 1}",
        code::CONFIGURATION,
        "Invalid CDC option: x",
    );
    node.fails("SELECT * FROM t", code::INVALID, "unconfigured table");
    node.run("CREATE TABLE t_scylla_cdc_log (p int PRIMARY KEY)");
    node.fails(
        &format!("CREATE TABLE t (p int PRIMARY KEY) {with}"),
        code::INVALID,
        "because a table of name ks.t_scylla_cdc_log already exists",
    );
    node.run("CREATE TABLE t (p int PRIMARY KEY, v int)");
    node.fails(&format!("ALTER TABLE t {with}"), code::INVALID, "already exists");
    node.run("DROP TABLE t_scylla_cdc_log");
    node.run(&format!("ALTER TABLE t {with}"));
    node.fails(&format!("ALTER TABLE t_scylla_cdc_log {with}"), code::INVALID, "nested CDC logs");
    let message = "You cannot modify the set of columns of a CDC log table directly.";
    for change in ["ADD x int", "DROP v", "RENAME \"cdc$time\" TO t"] {
        let text = format!("ALTER TABLE t_scylla_cdc_log {change}");
        node.fails(&text, code::INVALID, message);
    }
    node.run("ALTER TABLE t_scylla_cdc_log WITH comment = 'x'");
    node.fails("DROP TABLE t_scylla_cdc_log", code::UNAUTHORIZED, "Cannot DROP cdc log table");
    node.fails(
        &format!(
            "CREATE MATERIALIZED VIEW m AS SELECT * FROM t WHERE p IS NOT NULL AND v IS NOT \
                  NULL PRIMARY KEY (v, p) {with}"
        ),
        code::INVALID,
        "materialized view",
    );
    node.fails(
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM t_scylla_cdc_log WHERE \"cdc$stream_id\" IS \
         NOT NULL AND \"cdc$time\" IS NOT NULL AND \"cdc$batch_seq_no\" IS NOT NULL PRIMARY KEY \
         (\"cdc$stream_id\", \"cdc$time\", \"cdc$batch_seq_no\")",
        code::INVALID,
        "cannot be created on CDC Log tables",
    );
    // A log that is no longer written may be dropped.
    node.run("ALTER TABLE t WITH cdc = {'enabled': false}");
    node.run("DROP TABLE t_scylla_cdc_log");
    node.run("INSERT INTO t (p) VALUES (1)");
    node.run("DROP TABLE t");
}

#[test]
fn writes_of_other_times_are_refused() {
    let node = Node::with_table("p int PRIMARY KEY, v int", "");
    for (timestamp, message) in [(5, "from the past"), (i64::MAX, "from the future")] {
        let text = format!("INSERT INTO t (p) VALUES (1) USING TIMESTAMP {timestamp}");
        node.fails(&text, code::INVALID, message);
    }
    assert!(node.rows("SELECT * FROM t").is_empty() && node.told().is_empty());
}

#[test]
fn catalogs_show_options_and_partitioners() {
    let node = Node::with_table("p int PRIMARY KEY, v int", ", 'ttl': 60");
    node.run("CREATE TABLE plain (p int PRIMARY KEY)");
    let rows = node.rows(
        "SELECT table_name, cdc, partitioner FROM system_schema.scylla_tables \
         WHERE keyspace_name = 'ks'",
    );
    let text = rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>().join("\n");
    assert_eq!(rows.len(), 3);
    assert!(text.contains("enabled:true") && text.contains("ttl:60"), "{text}");
    assert_eq!(text.matches("com.scylladb.dht.CDCPartitioner").count(), 1, "{text}");
    let described = |what: &str| {
        let rows = node.rows(&format!("DESCRIBE {what}"));
        rows.into_iter()
            .map(|row| row.into_iter().map(|(_, v)| v).collect::<String>())
            .collect::<Vec<_>>()
            .join("\n")
    };
    let keyspace = described("KEYSPACE ks");
    assert!(keyspace.contains("cdc = {'delta':'full','enabled':'true'"), "{keyspace}");
    assert!(!keyspace.contains("cdc_log") && !keyspace.contains("cdc = false"), "{keyspace}");
    assert!(described("TABLE t_scylla_cdc_log").contains("Do NOT execute this statement!"));
    assert!(!described("TABLES").contains("cdc_log"));
}

#[test]
fn tokens_of_logs_are_those_of_their_streams() {
    let node = Node::with_table("p int PRIMARY KEY, v int", "");
    node.run("INSERT INTO t (p) VALUES (1)");
    let rows = node.rows(
        "SELECT token(\"cdc$stream_id\") AS t, \"cdc$stream_id\" AS id FROM t_scylla_cdc_log",
    );
    let token: i64 = rows[0][0].1.parse().unwrap();
    assert!(rows[0][1].1.starts_with(&format!("0x{token:016x}")), "{rows:?}");
    let text = format!("SELECT p FROM t_scylla_cdc_log WHERE token(\"cdc$stream_id\") = {token}");
    assert_eq!(node.rows(&text).len(), 1);
    let text = format!(
        "SELECT p FROM t_scylla_cdc_log WHERE token(\"cdc$stream_id\") > token({})",
        rows[0][1].1
    );
    assert!(node.rows(&text).is_empty());
}

#[test]
fn cassandra_has_no_logs() {
    let node = Node::with(Persona::Cassandra);
    node.run("CREATE TABLE t (p int PRIMARY KEY) WITH cdc = true");
    node.run("INSERT INTO t (p) VALUES (1) USING TIMESTAMP 5");
    node.fails("SELECT * FROM t_scylla_cdc_log", code::INVALID, "unconfigured table");
    node.fails(
        "SELECT * FROM system_distributed.cdc_generation_timestamps",
        code::INVALID,
        "does not exist",
    );
}
