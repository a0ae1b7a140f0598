//! The node against a model of a partition that remembers every write and looks at them all for
//! each answer: timestamps, times to live, tombstones of cells, elements, rows, ranges and
//! partitions, in any order.

use std::collections::{BTreeMap, BTreeSet};

use super::tests::Database;
use crate::exec::plan::Plan;
use crate::exec::result::Outcome;
use crate::persona::Persona;
use crate::state::Bindings;
use crate::value::literal::map;
use crate::wire::read::{Reader, Value};

/// Operations of a run, on as many partitions as it takes.
const OPERATIONS: usize = 1_000_000;
/// Operations on one partition: each answer looks at them all.
const PER_PARTITION: usize = 50;
/// Clustering values, keys of the map and timestamps are few, so that they meet.
const ROWS: i32 = 4;
const KEYS: i32 = 3;
const TIMES: i64 = 8;

/// What is written: a place and, with its time, a value or the end of one.
#[derive(Clone, Debug)]
struct Write {
    place: Place,
    at: i64,
    /// Second of the end, and the time to live that was asked for.
    expires: Option<i64>,
    /// None deletes.
    value: Option<i32>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Place {
    Static,
    /// The row is there by itself.
    Marker(i32),
    V(i32),
    W(i32),
    Entry(i32, i32),
}

/// What is deleted with all that is in it.
#[derive(Clone, Copy, Debug)]
enum Deleted {
    Partition,
    /// Rows from the first value to before the second.
    Range(i32, i32),
    /// All entries of a row's map.
    Map(i32),
}

#[derive(Default)]
struct Model {
    writes: Vec<Write>,
    deletions: Vec<(Deleted, i64)>,
}

impl Place {
    fn row(self) -> Option<i32> {
        match self {
            Self::Static => None,
            Self::Marker(row) | Self::V(row) | Self::W(row) | Self::Entry(row, _) => Some(row),
        }
    }
}

impl Model {
    fn write(&mut self, place: Place, at: i64, expires: Option<i64>, value: Option<i32>) {
        let expires = expires.filter(|_| value.is_some());
        self.writes.push(Write { place, at, expires, value });
    }

    /// When what is at a place was last deleted with all around it.
    fn deleted_at(&self, place: Place) -> i64 {
        let covers = |deleted: &Deleted| match (deleted, place) {
            (Deleted::Partition, _) => true,
            (Deleted::Range(from, to), _) => {
                place.row().is_some_and(|row| (*from..*to).contains(&row))
            }
            (Deleted::Map(row), Place::Entry(of, _)) => *row == of,
            (Deleted::Map(_), _) => false,
        };
        let all = self.deletions.iter().filter(|(deleted, _)| covers(deleted));
        all.map(|(_, at)| *at).max().unwrap_or(i64::MIN)
    }

    /// The value at a place: of all that was written there what comes last, a deletion before a
    /// value that ends before one that does not, the greater one of two; if it lives.
    fn value(&self, place: Place, now_s: i64) -> Option<i32> {
        let rank = |write: &Write| {
            let value = write.value.map(order);
            (write.at, write.value.is_none(), write.expires, value)
        };
        let last =
            self.writes.iter().filter(|write| write.place == place).max_by_key(|w| rank(w))?;
        let lives = last.at > self.deleted_at(place) && last.expires.is_none_or(|end| end > now_s);
        last.value.filter(|_| lives)
    }

    /// The rows as they are shown: `c|s|v|w|map`.
    fn rows(&self, now_s: i64) -> Vec<String> {
        let text = |value: Option<i32>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
        let of_partition = self.value(Place::Static, now_s);
        let mut rows = Vec::new();
        for row in 0..ROWS {
            let (v, w) = (self.value(Place::V(row), now_s), self.value(Place::W(row), now_s));
            let entry = |key| Some((key, self.value(Place::Entry(row, key), now_s)?));
            let entries: BTreeMap<i32, i32> = (0..KEYS).filter_map(entry).collect();
            let is_marked = self.value(Place::Marker(row), now_s).is_some();
            if is_marked || v.is_some() || w.is_some() || !entries.is_empty() {
                let entries =
                    if entries.is_empty() { "-".to_owned() } else { format!("{entries:?}") };
                let (s, v, w) = (text(of_partition), text(v), text(w));
                rows.push(format!("{row}|{s}|{v}|{w}|{entries}"));
            }
        }
        if rows.is_empty() && of_partition.is_some() {
            rows.push(format!("-|{}|-|-|-", text(of_partition)));
        }
        rows
    }
}

/// Values are compared as bytes.
fn order(value: i32) -> u32 {
    u32::from_be_bytes(value.to_be_bytes())
}

/// The statements, planned once.
struct Node {
    database: Database,
    plans: BTreeMap<&'static str, Plan>,
}

const INSERT: &str = "INSERT INTO m (p, c, v) VALUES (?, ?, ?) USING TIMESTAMP ? AND TTL ?";
const SET_V: &str = "UPDATE m USING TIMESTAMP ? AND TTL ? SET v = ? WHERE p = ? AND c = ?";
const SET_W: &str = "UPDATE m USING TIMESTAMP ? AND TTL ? SET w = ? WHERE p = ? AND c = ?";
const SET_S: &str = "UPDATE m USING TIMESTAMP ? AND TTL ? SET s = ? WHERE p = ?";
const SET_ENTRY: &str = "UPDATE m USING TIMESTAMP ? AND TTL ? SET e[?] = ? WHERE p = ? AND c = ?";
const SET_MAP: &str = "UPDATE m USING TIMESTAMP ? AND TTL ? SET e = ? WHERE p = ? AND c = ?";
const DELETE_V: &str = "DELETE v FROM m USING TIMESTAMP ? WHERE p = ? AND c = ?";
const DELETE_ENTRY: &str = "DELETE e[?] FROM m USING TIMESTAMP ? WHERE p = ? AND c = ?";
const DELETE_S: &str = "DELETE s FROM m USING TIMESTAMP ? WHERE p = ?";
const DELETE_ROW: &str = "DELETE FROM m USING TIMESTAMP ? WHERE p = ? AND c = ?";
const DELETE_RANGE: &str = "DELETE FROM m USING TIMESTAMP ? WHERE p = ? AND c >= ? AND c < ?";
const DELETE_PARTITION: &str = "DELETE FROM m USING TIMESTAMP ? WHERE p = ?";
const SELECT: &str = "SELECT c, s, v, w, e FROM m WHERE p = ?";

impl Node {
    fn new() -> Self {
        let database = Database::with(Persona::Cassandra);
        database.run(
            "CREATE TABLE m (p int, c int, s int STATIC, v int, w int, e map<int, int>, \
             PRIMARY KEY (p, c))",
        );
        let texts = [
            INSERT,
            SET_V,
            SET_W,
            SET_S,
            SET_ENTRY,
            SET_MAP,
            DELETE_V,
            DELETE_ENTRY,
            DELETE_S,
            DELETE_ROW,
            DELETE_RANGE,
            DELETE_PARTITION,
            SELECT,
        ];
        let plans = texts.map(|text| (text, database.0.plan(text, Some("ks")).unwrap()));
        Self { database, plans: plans.into_iter().collect() }
    }

    fn run(&self, text: &str, values: &[Option<Vec<u8>>], now_s: i64) -> Outcome {
        let values: Vec<Value<'_>> =
            values.iter().map(|value| value.as_deref().map_or(Value::Null, Value::Bytes)).collect();
        let bindings = Bindings { values: &values, now_s: Some(now_s), ..Bindings::default() };
        self.database.0.run(0, &self.plans[text], Some("ks"), bindings).unwrap()
    }

    fn rows(&self, partition: i32, now_s: i64) -> Vec<String> {
        let Outcome::Rows(rows) = self.run(SELECT, &[int(partition)], now_s) else {
            unreachable!("a SELECT has rows")
        };
        let mut reader = Reader::new(&rows.cells);
        let number = |bytes: &[u8]| i32::from_be_bytes(bytes.try_into().unwrap());
        let mut cell = |is_map: bool| match reader.bytes("a cell").unwrap() {
            None => "-".to_owned(),
            Some(bytes) if is_map => {
                let parts = crate::value::validate::elements(bytes, 2).unwrap();
                let entries = parts.chunks(2).map(|entry| (number(entry[0]), number(entry[1])));
                format!("{:?}", entries.collect::<BTreeMap<_, _>>())
            }
            Some(bytes) => number(bytes).to_string(),
        };
        let row = |_| [false, false, false, false, true].map(&mut cell).join("|");
        (0..rows.row_count).map(row).collect()
    }
}

fn int(value: i32) -> Option<Vec<u8>> {
    Some(value.to_be_bytes().to_vec())
}

fn long(value: i64) -> Option<Vec<u8>> {
    Some(value.to_be_bytes().to_vec())
}

/// One operation, on both.
fn step(node: &Node, model: &mut Model, p: i32, now_s: i64, random: &mut fastrand::Rng) -> String {
    let (row, key) = (random.i32(0..ROWS), random.i32(0..KEYS));
    let at = random.i64(1..=TIMES);
    let ttl_s = if random.u8(0..3) == 0 { random.i32(1..6) } else { 0 };
    let expires = (ttl_s > 0).then(|| now_s + i64::from(ttl_s));
    let value = random.i32(-2..3);
    let maybe = Some(value).filter(|_| random.u8(0..5) > 0);
    let bytes = maybe.and_then(int);
    let (text, values) = match random.u8(0..16) {
        0..3 => {
            model.write(Place::Marker(row), at, expires, Some(0));
            model.write(Place::V(row), at, expires, maybe);
            (INSERT, vec![int(p), int(row), bytes, long(at), int(ttl_s)])
        }
        3..5 => {
            model.write(Place::V(row), at, expires, maybe);
            (SET_V, vec![long(at), int(ttl_s), bytes, int(p), int(row)])
        }
        5 => {
            model.write(Place::W(row), at, expires, maybe);
            (SET_W, vec![long(at), int(ttl_s), bytes, int(p), int(row)])
        }
        6 => {
            model.write(Place::Static, at, expires, maybe);
            (SET_S, vec![long(at), int(ttl_s), bytes, int(p)])
        }
        7..9 => {
            model.write(Place::Entry(row, key), at, expires, maybe);
            (SET_ENTRY, vec![long(at), int(ttl_s), int(key), bytes, int(p), int(row)])
        }
        9 => {
            let keys: BTreeSet<i32> = (0..KEYS).filter(|_| random.bool()).collect();
            // A map takes the place of what was before; an empty one is none.
            model.deletions.push((Deleted::Map(row), at - 1));
            for key in &keys {
                model.write(Place::Entry(row, *key), at, expires, Some(value));
            }
            let pair = |key: &i32| (key.to_be_bytes().to_vec(), value.to_be_bytes().to_vec());
            let bytes = Some(map(&keys.iter().map(pair).collect::<Vec<_>>()));
            (SET_MAP, vec![long(at), int(ttl_s), bytes, int(p), int(row)])
        }
        10 => {
            model.deletions.push((Deleted::Map(row), at));
            (SET_MAP, vec![long(at), int(ttl_s), None, int(p), int(row)])
        }
        11 => {
            model.write(Place::V(row), at, None, None);
            (DELETE_V, vec![long(at), int(p), int(row)])
        }
        12 => {
            model.write(Place::Entry(row, key), at, None, None);
            (DELETE_ENTRY, vec![int(key), long(at), int(p), int(row)])
        }
        13 => {
            model.deletions.push((Deleted::Range(row, row + 1), at));
            (DELETE_ROW, vec![long(at), int(p), int(row)])
        }
        14 if random.u8(0..4) == 0 => {
            model.deletions.push((Deleted::Partition, at));
            (DELETE_PARTITION, vec![long(at), int(p)])
        }
        14 => {
            let to = random.i32(0..=ROWS);
            model.deletions.push((Deleted::Range(row, to), at));
            (DELETE_RANGE, vec![long(at), int(p), int(row), int(to)])
        }
        _ => {
            model.write(Place::Static, at, None, None);
            (DELETE_S, vec![long(at), int(p)])
        }
    };
    node.run(text, &values, now_s);
    format!("{now_s}: {text} {values:?}")
}

/// Runs operations on a partition, which is their seed. Looks at the rows after each operation, or
/// now and then, which takes less time; says where the two first differ.
fn compare(node: &Node, p: i32, looks_always: bool) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(u64::from(p.unsigned_abs()));
    let mut look = fastrand::Rng::with_seed(0);
    let (mut model, mut now_s, mut done) = (Model::default(), 1000, Vec::new());
    for number in 1..=PER_PARTITION {
        done.push(step(node, &mut model, p, now_s, &mut random));
        now_s += random.i64(0..3) / 2;
        if looks_always || number == PER_PARTITION || look.u8(0..16) == 0 {
            let (found, expected) = (node.rows(p, now_s), model.rows(now_s));
            if found != expected {
                let done = done.join("\n");
                return Err(format!(
                    "{p}, at {now_s}: {found:?} is not {expected:?} after\n{done}"
                ));
            }
        }
    }
    Ok(())
}

#[test]
fn the_node_and_the_model_agree() {
    let mut node = Node::new();
    for number in 0..OPERATIONS / PER_PARTITION {
        let p = i32::try_from(number).unwrap();
        if let Err(error) = compare(&node, p, false) {
            compare(&Node::new(), p, true).unwrap(); // says where they first differ
            panic!("only beside other partitions: {error}");
        }
        if number % 1000 == 0 {
            node = Node::new(); // or all that was ever written would be kept
        }
    }
}
