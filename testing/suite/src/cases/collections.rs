//! Lists, sets, maps and tuples, also within each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, ensure};
use shardwire::value::CqlValue;

use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(collections::plain),
    case!(collections::nested),
    case!(collections::empty),
    case!(collections::changed_in_place),
    case!(collections::entries_taken_away),
    case!(collections::large),
    case!(collections::json),
];

async fn plain(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (id int PRIMARY KEY, l list<int>, s set<text>, \
                m map<text, bigint>, p frozen<tuple<int, text, boolean>>)";
    context.alter(&session, text).await?;
    let text = context.text("INSERT INTO {ks}.t (id, l, s, m, p) VALUES (?, ?, ?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let list = vec![3, 1, 3, i32::MIN];
    let set: BTreeSet<String> = ["b", "a", "é"].map(str::to_owned).into();
    let map: BTreeMap<String, i64> = [("x".to_owned(), 1), ("y".to_owned(), i64::MAX)].into();
    let pair = (Some(7), None::<String>, Some(true));
    session.execute_unpaged(&insert, (0, &list, &set, &map, &pair)).await?;
    let text = "INSERT INTO {ks}.t (id, l, s, m, p) VALUES (1, [3, 1, 3, -2147483648], \
                {'b', 'a', 'é'}, {'x': 1, 'y': 9223372036854775807}, (7, null, true))";
    context.query(&session, text).await?;
    let text = context.text("SELECT l, s, m, p FROM {ks}.t WHERE id = ?");
    let select = session.prepare(text.as_str()).await?;
    // Bound once more as what is known at run time only.
    let result = session.execute_unpaged(&select, (1,)).await?.into_rows_result()?;
    let (l, s, m, p) = result.single_row::<(CqlValue, CqlValue, CqlValue, CqlValue)>()?;
    session.execute_unpaged(&insert, (2, l, s, m, p)).await?;
    for id in 0..3 {
        let result = session.execute_unpaged(&select, (id,)).await?.into_rows_result()?;
        type Columns = (
            Vec<i32>,
            BTreeSet<String>,
            BTreeMap<String, i64>,
            (Option<i32>, Option<String>, Option<bool>),
        );
        let row = result.single_row::<Columns>()?;
        ensure!(row == (list.clone(), set.clone(), map.clone(), pair.clone()), "{id}: {row:?}");
    }
    Ok(())
}

async fn nested(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (id int PRIMARY KEY, \
                a list<frozen<map<text, frozen<set<int>>>>>, \
                b map<frozen<tuple<int, text>>, frozen<list<frozen<list<blob>>>>>, \
                c frozen<set<frozen<map<int, frozen<tuple<uuid, double>>>>>>)";
    context.alter(&session, text).await?;
    type A = Vec<BTreeMap<String, BTreeSet<i32>>>;
    type B = BTreeMap<(i32, String), Vec<Vec<Vec<u8>>>>;
    type C = Vec<HashMap<i32, (Option<uuid::Uuid>, f64)>>;
    let a: A = vec![
        [("x".to_owned(), [1, 2].into()), (String::new(), BTreeSet::new())].into(),
        BTreeMap::new(),
    ];
    let b: B = [
        ((1, "one".to_owned()), vec![vec![vec![], vec![0, 255]], vec![]]),
        ((-2, String::new()), vec![]),
    ]
    .into();
    let c: C = vec![[(1, (None, 0.5))].into()];
    let text = context.text("INSERT INTO {ks}.t (id, a, b, c) VALUES (?, ?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    session.execute_unpaged(&insert, (0, &a, &b, &c)).await?;
    let text = "INSERT INTO {ks}.t (id, a, b, c) VALUES (1, [{'x': {1, 2}, '': {}}, {}], \
                {(1, 'one'): [[0x, 0x00ff], []], (-2, ''): []}, {{1: (null, 0.5)}})";
    context.query(&session, text).await?;
    let text = context.text("SELECT a, b, c FROM {ks}.t WHERE id = ?");
    let select = session.prepare(text.as_str()).await?;
    let result = session.execute_unpaged(&select, (1,)).await?.into_rows_result()?;
    let dynamic = result.single_row::<(CqlValue, CqlValue, CqlValue)>()?;
    session.execute_unpaged(&insert, (2, &dynamic.0, &dynamic.1, &dynamic.2)).await?;
    for id in 0..3 {
        let result = session.execute_unpaged(&select, (id,)).await?.into_rows_result()?;
        let row = result.single_row::<(A, B, C)>()?;
        ensure!(row == (a.clone(), b.clone(), c.clone()), "{id}: {row:?}");
    }
    Ok(())
}

/// An empty collection is null where its cells are kept apart, and itself where it is frozen.
async fn empty(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (id int PRIMARY KEY, l list<int>, f frozen<list<int>>)";
    context.alter(&session, text).await?;
    let text = context.text("INSERT INTO {ks}.t (id, l, f) VALUES (?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let none: [i32; 0] = [];
    session.execute_unpaged(&insert, (0, &none[..], &none[..])).await?;
    let result = context.rows(&session, "SELECT l, f FROM {ks}.t WHERE id = 0").await?;
    let row = result.single_row::<(Option<Vec<i32>>, Option<Vec<i32>>)>()?;
    ensure!(row == (None, Some(vec![])), "{row:?}");
    // Null reads as an empty list by those who don't ask.
    let row = result.single_row::<(Vec<i32>, Vec<i32>)>()?;
    ensure!(row == (vec![], vec![]), "{row:?}");
    Ok(())
}

async fn changed_in_place(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text =
        "CREATE TABLE {ks}.t (id int PRIMARY KEY, l list<int>, s set<int>, m map<int, text>)";
    context.alter(&session, text).await?;
    let text = context.text("UPDATE {ks}.t SET l = l + ?, s = s + ?, m = m + ? WHERE id = 1");
    let add = session.prepare(text.as_str()).await?;
    let map: HashMap<i32, &str> = [(1, "one"), (2, "two")].into();
    session.execute_unpaged(&add, (vec![1, 2], vec![1, 2], &map)).await?;
    let map: HashMap<i32, &str> = [(2, "zwei"), (3, "three")].into();
    session.execute_unpaged(&add, (vec![3], vec![2, 3], &map)).await?;
    let text = context.text("UPDATE {ks}.t SET s = s - ?, m[?] = ? WHERE id = 1");
    let change = session.prepare(text.as_str()).await?;
    session.execute_unpaged(&change, (vec![1], 3, "trois")).await?;
    let result = context.rows(&session, "SELECT l, s, m FROM {ks}.t WHERE id = 1").await?;
    let row = result.single_row::<(Vec<i32>, Vec<i32>, BTreeMap<i32, String>)>()?;
    let map = [(1, "one"), (2, "zwei"), (3, "trois")].map(|(key, value)| (key, value.to_owned()));
    ensure!(row == (vec![1, 2, 3], vec![2, 3], map.into()), "{row:?}");
    Ok(())
}

/// An entry of a map that is set to null is none.
async fn entries_taken_away(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, m map<int, text>)").await?;
    context.query(&session, "INSERT INTO {ks}.t (id, m) VALUES (1, {1: 'a', 2: 'b'})").await?;
    let update = session.prepare(context.text("UPDATE {ks}.t SET m[?] = ? WHERE id = 1")).await?;
    session.execute_unpaged(&update, (1, None::<&str>)).await?;
    session.execute_unpaged(&update, (2, Some("c"))).await?;
    let result = context.rows(&session, "SELECT m FROM {ks}.t").await?;
    let (found,) = result.single_row::<(BTreeMap<i32, &str>,)>()?;
    ensure!(found == [(2, "c")].into(), "{found:?}");
    Ok(())
}

async fn large(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context
        .alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, l frozen<list<int>>)")
        .await?;
    let text = context.text("INSERT INTO {ks}.t (id, l) VALUES (?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let list: Vec<i32> = (0..100_000).collect();
    session.execute_unpaged(&insert, (0, &list)).await?;
    let result = context.rows(&session, "SELECT l FROM {ks}.t").await?;
    ensure!(result.single_row::<(Vec<i32>,)>()?.0 == list, "the list has changed");
    Ok(())
}

/// What the server makes of it as JSON, and of JSON.
async fn json(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (id int PRIMARY KEY, m map<text, frozen<list<int>>>, \
                p frozen<tuple<int, text>>)";
    context.alter(&session, text).await?;
    let text = context.text("INSERT INTO {ks}.t (id, m, p) VALUES (?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let map: HashMap<&str, Vec<i32>> = [("k", vec![1, -2])].into();
    session.execute_unpaged(&insert, (1, &map, (Some(3), None::<&str>))).await?;
    let result = context.rows(&session, "SELECT JSON id, m, p FROM {ks}.t").await?;
    let (json,) = result.single_row::<(&str,)>()?;
    ensure!(json == r#"{"id": 1, "m": {"k": [1, -2]}, "p": [3, null]}"#, "{json}");
    let text = context.text("INSERT INTO {ks}.t JSON ?");
    let insert = session.prepare(text.as_str()).await?;
    session.execute_unpaged(&insert, (json.replace("\"id\": 1", "\"id\": 2"),)).await?;
    let result = context.rows(&session, "SELECT m, p FROM {ks}.t WHERE id = 2").await?;
    let row = result.single_row::<(HashMap<&str, Vec<i32>>, (Option<i32>, Option<&str>))>()?;
    ensure!(row == (map, (Some(3), None)), "{row:?}");
    Ok(())
}
