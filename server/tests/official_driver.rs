//! The official driver, unchanged, against the embedded node.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use common::all_shards_connected;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::response::PagingState;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::unprepared::Statement;
use scylla::value::{
    Counter, CqlDate, CqlDecimal, CqlDuration, CqlTime, CqlTimestamp, CqlTimeuuid, CqlVarint,
};
use shardwire_server::Cluster;

/// A keyspace with two replicas, if there are so many nodes: all statements are at LOCAL_QUORUM.
fn create_keyspace(cluster: &Cluster) -> String {
    let factor = cluster.contact_points().len().min(2);
    format!(
        "CREATE KEYSPACE ks WITH replication = \
         {{'class': 'NetworkTopologyStrategy', 'replication_factor': {factor}}}"
    )
}

async fn session(cluster: &Cluster) -> Session {
    let points = cluster.contact_points();
    let session = SessionBuilder::new().known_node_addr(points[0]).build().await.unwrap();
    session.query_unpaged(create_keyspace(cluster), &[]).await.unwrap();
    session
}

async fn cluster() -> Cluster {
    Cluster::builder().nodes(3).shards(4).seed(7).start().await.unwrap()
}

#[tokio::test]
async fn sees_the_nodes_as_sharded_and_routes_to_the_right_shard() {
    let cluster = cluster().await;
    let session = session(&cluster).await;
    let state = session.get_cluster_state();
    assert_eq!(state.get_nodes_info().len(), 3);
    for node in state.get_nodes_info() {
        let sharder = node.sharder().expect("the node is sharded");
        assert_eq!(sharder.nr_shards.get(), 4);
    }
    session.query_unpaged("CREATE TABLE ks.t (k bigint PRIMARY KEY, v int)", &[]).await.unwrap();
    all_shards_connected(&cluster).await;
    let insert = session.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)").await.unwrap();
    // Until the driver has noticed its last connection it may still use another.
    for k in 0..200_i64 {
        session.execute_unpaged(&insert, (k, 1)).await.unwrap();
    }
    cluster.reset_counters();
    for k in 0..1000_i64 {
        session.execute_unpaged(&insert, (k, 1)).await.unwrap();
    }
    let total = cluster.counters().total();
    assert_eq!((total.right, total.wrong_shard, total.wrong_node), (1000, 0, 0), "{total:?}");
}

#[tokio::test]
async fn stores_and_reads_back_every_scalar_type() {
    let cluster = cluster().await;
    let session = session(&cluster).await;
    session
        .query_unpaged(
            "CREATE TABLE ks.scalars (a ascii, b bigint, c blob, d boolean, e date, f decimal, \
             g double, h duration, i float, j inet, k int, l smallint, m text, n time, \
             o timestamp, p timeuuid, q tinyint, r uuid, s varint, PRIMARY KEY (k, m))",
            &[],
        )
        .await
        .unwrap();
    let columns = "a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s";
    let markers = ["?"; 19].join(", ");
    let insert = format!("INSERT INTO ks.scalars ({columns}) VALUES ({markers})");
    let insert = session.prepare(insert).await.unwrap();
    type First = (String, i64, Vec<u8>, bool, CqlDate, CqlDecimal, f64, CqlDuration, f32, IpAddr);
    type Second = (i32, i16, String, CqlTime, CqlTimestamp, CqlTimeuuid, i8, uuid::Uuid, CqlVarint);
    let uuid = uuid::Uuid::from_u128(0x1111_1111_2222_4333_8444_5555_5555_5555);
    let timeuuid = CqlTimeuuid::from_u128(0x5fe9_4000_f5bc_11ea_8080_8080_8080_8080);
    let first: First = (
        "ascii".into(),
        -5,
        vec![0, 1, 255],
        true,
        CqlDate(1 << 31),
        CqlDecimal::from_signed_be_bytes_and_exponent(vec![0x30, 0x39], 2),
        1.5,
        CqlDuration { months: 1, days: 2, nanoseconds: 3 },
        -0.5,
        IpAddr::V4(Ipv4Addr::LOCALHOST),
    );
    let second: Second = (
        7,
        -300,
        "héllo".into(),
        CqlTime(86_399_999_999_999),
        CqlTimestamp(1_600_000_000_000),
        timeuuid,
        -1,
        uuid,
        CqlVarint::from_signed_bytes_be(vec![0, 128]),
    );
    let (a, b, c, d, e, f, g, h, i, j) = first.clone();
    let (k, l, m, n, o, p, q, r, s) = second.clone();
    use scylla::value::CqlValue as V;
    let values = vec![
        V::Ascii(a),
        V::BigInt(b),
        V::Blob(c),
        V::Boolean(d),
        V::Date(e),
        V::Decimal(f),
        V::Double(g),
        V::Duration(h),
        V::Float(i),
        V::Inet(j),
        V::Int(k),
        V::SmallInt(l),
        V::Text(m),
        V::Time(n),
        V::Timestamp(o),
        V::Timeuuid(p),
        V::TinyInt(q),
        V::Uuid(r),
        V::Varint(s),
    ];
    session.execute_unpaged(&insert, values).await.unwrap();
    let read = async |columns: &str| {
        let text = format!("SELECT {columns} FROM ks.scalars WHERE k = 7");
        session.query_unpaged(text, &[]).await.unwrap().into_rows_result().unwrap()
    };
    let rows = read("a, b, c, d, e, f, g, h, i, j").await;
    assert_eq!(rows.single_row::<First>().unwrap(), first);
    let rows = read("k, l, m, n, o, p, q, r, s").await;
    assert_eq!(rows.single_row::<Second>().unwrap(), second);
}

#[tokio::test]
async fn collections_lists_sets_and_maps() {
    let cluster = cluster().await;
    let session = session(&cluster).await;
    session
        .query_unpaged(
            "CREATE TABLE ks.c (k int PRIMARY KEY, l list<int>, s set<text>, m map<text, bigint>)",
            &[],
        )
        .await
        .unwrap();
    session
        .query_unpaged(
            "INSERT INTO ks.c (k, l, s, m) VALUES (1, [3, 1], {'b', 'a'}, {'x': 5})",
            &[],
        )
        .await
        .unwrap();
    session
        .query_unpaged("UPDATE ks.c SET l = l + [7], s = s - {'a'}, m['y'] = 6 WHERE k = 1", &[])
        .await
        .unwrap();
    let rows = session.query_unpaged("SELECT l, s, m FROM ks.c WHERE k = 1", &[]).await.unwrap();
    let rows = rows.into_rows_result().unwrap();
    type Row = (Vec<i32>, Vec<String>, std::collections::BTreeMap<String, i64>);
    let (l, s, m) = rows.single_row::<Row>().unwrap();
    assert_eq!((l, s), (vec![3, 1, 7], vec!["b".to_owned()]));
    assert_eq!(m, [("x".to_owned(), 5), ("y".to_owned(), 6)].into());
}

#[tokio::test]
async fn pages_through_clustering_rows_and_through_a_full_scan() {
    let cluster = cluster().await;
    let session = session(&cluster).await;
    session
        .query_unpaged(
            "CREATE TABLE ks.p (k int, c int, v text, PRIMARY KEY (k, c)) \
             WITH CLUSTERING ORDER BY (c DESC)",
            &[],
        )
        .await
        .unwrap();
    let insert = session.prepare("INSERT INTO ks.p (k, c, v) VALUES (?, ?, ?)").await.unwrap();
    for i in 0..250_i32 {
        session.execute_unpaged(&insert, (i % 5, i, format!("v{i}"))).await.unwrap();
    }
    let mut statement = Statement::new("SELECT k, c FROM ks.p");
    statement.set_page_size(7);
    let mut state = PagingState::start();
    let mut rows: Vec<(i32, i32)> = Vec::new();
    let mut pages = 0;
    loop {
        let (page, next) = session.query_single_page(statement.clone(), &[], state).await.unwrap();
        let page = page.into_rows_result().unwrap();
        rows.extend(page.rows::<(i32, i32)>().unwrap().map(Result::unwrap));
        pages += 1;
        match next.into_paging_control_flow() {
            std::ops::ControlFlow::Continue(next) => state = next,
            std::ops::ControlFlow::Break(()) => break,
        }
    }
    assert_eq!((rows.len(), pages), (250, 250_usize.div_ceil(7)));
    assert_eq!(rows.iter().collect::<HashSet<_>>().len(), 250);
    // Within a partition the order is the declared one.
    assert!(rows.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].1 > pair[1].1));
    let mut select =
        session.prepare("SELECT c FROM ks.p WHERE k = ? AND c > ? AND c <= ?").await.unwrap();
    select.set_page_size(3);
    let stream = session.execute_iter(select, (2, 50, 100)).await.unwrap();
    use futures::TryStreamExt;
    let rows: Vec<(i32,)> = stream.rows_stream::<(i32,)>().unwrap().try_collect().await.unwrap();
    assert_eq!(rows, (0..10).map(|i| (97 - 5 * i,)).collect::<Vec<_>>());
}

#[tokio::test]
async fn batches_counters_conditions_and_count() {
    let cluster = cluster().await;
    let session = session(&cluster).await;
    session.use_keyspace("ks", false).await.unwrap();
    session.query_unpaged("CREATE TABLE b (k int PRIMARY KEY, v int)", &[]).await.unwrap();
    session.query_unpaged("CREATE TABLE n (k int PRIMARY KEY, c counter)", &[]).await.unwrap();
    let insert = session.prepare("INSERT INTO b (k, v) VALUES (?, ?)").await.unwrap();
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.append_statement(insert.clone());
    batch.append_statement("INSERT INTO b (k, v) VALUES (3, 30)");
    batch.append_statement(insert.clone());
    session.batch(&batch, ((1, 10), (), (2, 20))).await.unwrap();
    let count = session.query_unpaged("SELECT COUNT(*) FROM b", &[]).await.unwrap();
    assert_eq!(count.into_rows_result().unwrap().single_row::<(i64,)>().unwrap(), (3,));
    for _ in 0..3 {
        session.query_unpaged("UPDATE n SET c = c + 2 WHERE k = 1", &[]).await.unwrap();
    }
    let rows = session.query_unpaged("SELECT c FROM n", &[]).await.unwrap();
    let rows = rows.into_rows_result().unwrap();
    assert_eq!(rows.single_row::<(Counter,)>().unwrap().0.0, 6);
    let lwt = session.prepare("INSERT INTO b (k, v) VALUES (?, ?) IF NOT EXISTS").await.unwrap();
    assert!(lwt.is_confirmed_lwt());
    for (v, expect) in [(1, (true, None, None)), (2, (false, Some(9), Some(1)))] {
        let rows = session.execute_unpaged(&lwt, (9, v)).await.unwrap().into_rows_result().unwrap();
        assert_eq!(rows.single_row::<(bool, Option<i32>, Option<i32>)>().unwrap(), expect);
    }
}

#[tokio::test]
async fn survives_alter_table_node_restart_and_lost_prepared_statements() {
    let cluster = Cluster::builder().nodes(1).shards(2).start().await.unwrap();
    let session = session(&cluster).await;
    session.query_unpaged("CREATE TABLE ks.t (k int PRIMARY KEY, v int)", &[]).await.unwrap();
    let insert = session.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)").await.unwrap();
    session.execute_unpaged(&insert, (1, 1)).await.unwrap();
    session.query_unpaged("ALTER TABLE ks.t ADD w text", &[]).await.unwrap();
    let rows = session.query_unpaged("SELECT * FROM ks.t", &[]).await.unwrap();
    let rows = rows.into_rows_result().unwrap();
    assert_eq!(rows.single_row::<(i32, i32, Option<String>)>().unwrap(), (1, 1, None));
    cluster.stop_node(0).await.unwrap();
    cluster.start_node(0).await.unwrap();
    let mut done = false;
    for _ in 0..400 {
        done = session.execute_unpaged(&insert, (2, 2)).await.is_ok();
        if done {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert!(done, "the driver reconnects and prepares again");
}

#[tokio::test]
async fn lz4_and_snappy_both_ways() {
    for compression in [scylla::frame::Compression::Lz4, scylla::frame::Compression::Snappy] {
        compressed_both_ways(compression).await;
    }
}

async fn compressed_both_ways(compression: scylla::frame::Compression) {
    let cluster = cluster().await;
    let session = SessionBuilder::new()
        .known_node_addr(cluster.contact_points()[0])
        .compression(Some(compression))
        .build()
        .await
        .unwrap();
    session.query_unpaged(create_keyspace(&cluster), &[]).await.unwrap();
    session.query_unpaged("CREATE TABLE ks.t (k int PRIMARY KEY, v text)", &[]).await.unwrap();
    let text = "again and ".repeat(10_000);
    session.query_unpaged("INSERT INTO ks.t (k, v) VALUES (1, ?)", (&text,)).await.unwrap();
    let rows = session.query_unpaged("SELECT v FROM ks.t WHERE k = 1", &[]).await.unwrap();
    assert_eq!(rows.into_rows_result().unwrap().single_row::<(String,)>().unwrap().0, text);
}

#[tokio::test]
async fn canned_scans_go_through_all_pages_again_and_again() {
    use futures::TryStreamExt;
    let cluster = Cluster::builder().shards(2).canned(true).start().await.unwrap();
    let session = session(&cluster).await;
    session.query_unpaged("CREATE TABLE ks.t (k int PRIMARY KEY)", &[]).await.unwrap();
    for k in 0..100 {
        let text = format!("INSERT INTO ks.t (k) VALUES ({k})");
        session.query_unpaged(text, &[]).await.unwrap();
    }
    let mut select = session.prepare("SELECT k FROM ks.t").await.unwrap();
    select.set_page_size(9);
    for _ in 0..3 {
        let pager = session.execute_iter(select.clone(), &[]).await.unwrap();
        let rows: Vec<(i32,)> = pager.rows_stream::<(i32,)>().unwrap().try_collect().await.unwrap();
        assert_eq!(rows.iter().collect::<HashSet<_>>().len(), 100);
    }
}
