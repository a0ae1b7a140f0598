//! Protocol v5 of the Cassandra persona: versions, segments, the fields that it added. Segments are
//! made and read by the driver's codec, so the two check each other.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::{
    BATCH, Client, EVENT, EXECUTE, OPTIONS, PREPARE, PROTOCOL_ERROR, QUERY, READY, REGISTER,
    RESULT, STARTUP, SUPPORTED, long_string, rows, string, string_map, value,
};
use shardwire_protocol::segment::SegmentFormat;
use shardwire_server::{Cluster, ClusterBuilder, FaultAction, FaultRule, Persona};
use tokio::io::AsyncWriteExt;

const KEYSPACE: &str =
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";
const TABLE: &str = "CREATE TABLE ks.t (k int PRIMARY KEY, v text)";

const SKIP_METADATA: u32 = 2;

fn cassandra() -> ClusterBuilder {
    Cluster::builder().persona(Persona::Cassandra)
}

/// A client of v5 and a table `ks.t (k int, v text)`.
async fn with_table(cluster: &Cluster) -> Client {
    let mut client = Client::started(cluster, 5).await;
    client.run(KEYSPACE).await;
    client.run(TABLE).await;
    client
}

/// The values (k, v) of an INSERT.
fn insert_values(k: i32, v: &str) -> Vec<u8> {
    [vec![0, 2], value(&k.to_be_bytes()), value(v.as_bytes())].concat()
}

fn key(k: i32) -> Vec<u8> {
    [vec![0, 1], value(&k.to_be_bytes())].concat()
}

#[tokio::test]
async fn each_version_is_served_or_refused_in_words_that_clients_look_for() {
    let cluster = cassandra().start().await.unwrap();
    for version in [3, 4, 5] {
        let mut client = Client::open(&cluster, version).await;
        assert_eq!(client.call(OPTIONS, &[]).await.opcode, SUPPORTED);
        assert_eq!(client.startup(&[]).await.opcode, READY);
        client.run("SELECT * FROM system.local").await;
    }
    for version in [1, 2, 7, 65, 66] {
        let mut client = Client::open(&cluster, version).await;
        let request = client.frame(9, OPTIONS, &[]);
        client.send(&request).await;
        let reply = client.receive().await.unwrap();
        assert_eq!((reply.version, reply.stream), (0x85, 9));
        let text = "supported versions are (3/v3, 4/v4, 5/v5, 6/v6-beta)";
        let message = format!("Invalid or unsupported protocol version ({version}); {text}");
        assert_eq!(reply.error(), (PROTOCOL_ERROR, message));
        assert!(client.receive().await.is_none(), "the connection ends");
    }
}

#[tokio::test]
async fn the_beta_version_wants_its_flag_in_every_request() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = Client::open(&cluster, 6).await;
    let (code, message) = client.call(OPTIONS, &[]).await.error();
    assert_eq!(code, PROTOCOL_ERROR);
    assert!(message.contains("USE_BETA flag is unset"), "{message}");
    let mut client = Client::open(&cluster, 6).await;
    client.flags = 0x10;
    let reply = client.startup(&[]).await;
    assert_eq!((reply.opcode, reply.flags), (READY, 0x10));
    client.run("SELECT * FROM system.local").await;
    client.flags = 0;
    assert_eq!(client.call(OPTIONS, &[]).await.error().0, PROTOCOL_ERROR);
}

#[tokio::test]
async fn scylla_refuses_version_5_in_its_own_words() {
    let cluster = Cluster::builder().start().await.unwrap();
    let mut client = Client::open(&cluster, 5).await;
    let request = client.frame(9, OPTIONS, &[]);
    client.send(&request).await;
    let reply = client.receive().await.unwrap();
    // Clients know it by the stream: no more than the version was read.
    assert_eq!((reply.version, reply.stream), (0x84, 0));
    let message = "Invalid or unsupported protocol version: 5";
    assert_eq!(reply.error(), (PROTOCOL_ERROR, message.to_owned()));
    assert!(client.receive().await.is_none(), "the connection ends");
}

#[tokio::test]
async fn a_connection_keeps_its_version() {
    let cluster = cassandra().start().await.unwrap();
    for version in [4, 5] {
        let mut client = Client::started(&cluster, version).await;
        let request = common::frame(9 - version, 1, OPTIONS, &[]);
        let request = client.wrapped(&request);
        client.send(&request).await;
        let reply = client.receive().await.unwrap();
        assert_eq!(reply.version, 0x80 | version);
        assert!(reply.error().1.starts_with("Invalid message version"), "{reply:?}");
        assert!(client.receive().await.is_none(), "the connection ends");
    }
}

#[tokio::test]
async fn options_may_be_asked_in_another_version_than_startup() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = Client::open(&cluster, 5).await;
    assert_eq!(client.call(OPTIONS, &[]).await.opcode, SUPPORTED);
    client.version = 4;
    assert_eq!(client.startup(&[]).await.opcode, READY);
    client.run("SELECT * FROM system.local").await;
}

#[tokio::test]
async fn segments_plain_and_lz4_small_and_large() {
    for options in [&[][..], &[("COMPRESSION", "lz4")]] {
        let cluster = cassandra().start().await.unwrap();
        let mut client = Client::open(&cluster, 5).await;
        assert_eq!(client.startup(options).await.opcode, READY);
        client.run(KEYSPACE).await;
        client.run(TABLE).await;
        let insert = client.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)").await;
        let select = client.prepare("SELECT v FROM ks.t WHERE k = ?").await;
        for (k, len) in [0_usize, 1, 1000, 131_000, 131_071, 300_000].into_iter().enumerate() {
            let k = i32::try_from(k).unwrap();
            let text: String = ('a'..'x').cycle().take(len).collect();
            let body = client.execute(&insert, 1, &insert_values(k, &text));
            assert_eq!(client.call(EXECUTE, &body).await.opcode, RESULT);
            client.received.clear();
            let body = client.execute(&select, 1, &key(k));
            let reply = client.call(EXECUTE, &body).await;
            assert_eq!(rows(&reply).cells, [Some(text.into_bytes())], "{len}");
            assert_eq!(client.received.iter().all(|whole| *whole), len < 131_071, "{len}");
        }
    }
}

#[tokio::test]
async fn many_small_envelopes_share_segments_both_ways() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = with_table(&cluster).await;
    let insert = client.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)").await;
    let mut envelopes = Vec::new();
    for stream in 0..5000_i16 {
        let body = client.execute(&insert, 1, &insert_values(stream.into(), "x"));
        envelopes.extend(client.frame(stream, EXECUTE, &body));
    }
    let bytes = client.wrapped(&envelopes);
    client.received.clear();
    client.send(&bytes).await;
    for stream in 0..5000 {
        let reply = client.receive().await.unwrap();
        assert_eq!((reply.stream, reply.opcode), (stream, RESULT));
    }
    assert!(client.received.len() < 100, "{} segments of replies", client.received.len());
}

#[tokio::test]
async fn replies_to_one_segment_are_written_as_they_grow() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = with_table(&cluster).await;
    let text = "x".repeat(100_000);
    client.run(&format!("INSERT INTO ks.t (k, v) VALUES (1, '{text}')")).await;
    let body = client.query("SELECT v FROM ks.t WHERE k = 1", 0, &[]);
    // One segment of requests for 50 MB of replies.
    let envelopes = client.frame(1, QUERY, &body).repeat(500);
    let bytes = client.wrapped(&envelopes);
    assert_eq!(envelopes.len() / 131_072, 0);
    client.send(&bytes).await;
    for _ in 0..500 {
        assert_eq!(client.receive().await.unwrap().body.len(), 100_032);
    }
}

#[tokio::test]
async fn segments_may_be_cut_anywhere() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = Client::started(&cluster, 5).await;
    let envelope = client.frame(1, OPTIONS, &[]);
    let bytes = client.wrapped(&envelope).repeat(2);
    for cut in 1..bytes.len() {
        client.send(&bytes[..cut]).await;
        tokio::task::yield_now().await;
        client.send(&bytes[cut..]).await;
        assert_eq!(client.receive().await.unwrap().opcode, SUPPORTED);
        assert_eq!(client.receive().await.unwrap().opcode, SUPPORTED);
    }
}

#[tokio::test]
async fn requests_behind_startup_may_already_be_in_segments() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = Client::open(&cluster, 5).await;
    let startup = client.frame(1, STARTUP, &string_map(&[("CQL_VERSION", "3.0.0")]));
    let options = client.frame(2, OPTIONS, &[]);
    client.use_segments(SegmentFormat::Plain);
    let bytes = [startup, client.wrapped(&options)].concat();
    client.send(&bytes).await;
    // READY travels as it is, 9 bytes.
    let mut ready = [0; 9];
    tokio::io::AsyncReadExt::read_exact(&mut client.socket, &mut ready).await.unwrap();
    assert_eq!(ready, [0x85, 0, 0, 1, READY, 0, 0, 0, 0]);
    assert_eq!(client.receive().await.unwrap().stream, 2);
}

#[tokio::test]
async fn damage_ends_the_connection_with_an_error() {
    let cluster = cassandra().body_len_max(100_000).start().await.unwrap();
    let whole = common::frame(5, 1, OPTIONS, &[]);
    let mut client = Client::started(&cluster, 5).await;
    let segment = client.wrapped(&whole);
    let damaged = |at: usize| {
        let mut bytes = segment.clone();
        bytes[at] ^= 1;
        bytes
    };
    let too_long = client.wrapped(&common::frame(5, 1, QUERY, &vec![0; 150_000]));
    let just_too_long = client.wrapped(&common::frame(5, 1, QUERY, &vec![0; 100_001]));
    let cases = [
        (damaged(0), "CRC mismatch in the header"),
        (damaged(4), "CRC mismatch in the header"),
        (damaged(8), "CRC mismatch in the payload"),
        (damaged(17), "CRC mismatch in the payload"),
        (whole.clone(), "CRC mismatch in the header"),
        (too_long, "exceeds the limit of 100000"),
        (just_too_long, "exceeds the limit of 100000"),
    ];
    for (bytes, text) in cases {
        let mut client = Client::started(&cluster, 5).await;
        client.send(&bytes).await;
        let (code, message) = client.receive().await.expect("an error").error();
        assert_eq!(code, PROTOCOL_ERROR);
        assert!(message.contains(text), "{message}");
        assert!(client.receive().await.is_none(), "the connection ends");
    }
}

#[tokio::test]
async fn snappy_is_refused_and_startup_can_be_tried_again() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = Client::open(&cluster, 5).await;
    let reply = client.startup(&[("COMPRESSION", "snappy")]).await;
    let message = "Snappy compression is not supported in protocol V5";
    assert_eq!(reply.error(), (PROTOCOL_ERROR, message.to_owned()));
    assert_eq!(client.startup(&[("COMPRESSION", "LZ4")]).await.opcode, READY);
}

#[tokio::test]
async fn keyspaces_of_requests() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = with_table(&cluster).await;
    let text = "SELECT v FROM t WHERE k = 1";
    let reply = client.call(QUERY, &client.query(text, 0, &[])).await;
    assert!(reply.error().1.contains("No keyspace"), "{reply:?}");
    let reply = client.call(QUERY, &client.query(text, 0x80, &string("ks"))).await;
    assert_eq!(reply.opcode, RESULT);
    let reply = client.call(QUERY, &client.query(text, 0x80, &string("other"))).await;
    assert_eq!(reply.error(), (0x2200, "Keyspace 'other' does not exist".to_owned()));
    // It goes before that of USE.
    client.run("USE system").await;
    let reply = client.call(QUERY, &client.query(text, 0x80, &string("ks"))).await;
    assert_eq!(reply.opcode, RESULT);
    let insert = "INSERT INTO t (k, v) VALUES (?, ?)";
    let body = [long_string(insert), vec![0, 0, 0, 1], string("ks")].concat();
    assert_eq!(client.call(PREPARE, &body).await.opcode, RESULT);
    let body = [long_string(insert), vec![0, 0, 0, 2]].concat();
    assert!(client.call(PREPARE, &body).await.error().1.contains("unknown flags 0x2"));
    let mut client = Client::started(&cluster, 5).await;
    let item = [vec![0], long_string("INSERT INTO t (k, v) VALUES (1, 'a')"), vec![0, 0]].concat();
    let body =
        |flags, rest: &[u8]| [&[0, 0, 1], &item[..], &client.parameters(flags, rest)].concat();
    let (without, with) = (body(0, &[]), body(0x80, &string("ks")));
    assert!(client.call(BATCH, &without).await.error().1.contains("No keyspace"));
    assert_eq!(client.call(BATCH, &with).await.body, [0, 0, 0, 1]);
    assert_eq!(rows(&client.run("SELECT v FROM ks.t").await).cells, [Some(b"a".to_vec())]);
}

#[tokio::test]
async fn ttls_are_reckoned_from_now_in_seconds() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = with_table(&cluster).await;
    let at = |now: i32| now.to_be_bytes();
    let insert = "INSERT INTO ks.t (k, v) VALUES (1, 'a') USING TTL 100";
    assert_eq!(client.call(QUERY, &client.query(insert, 0x100, &at(1000))).await.opcode, RESULT);
    let select = "SELECT ttl(v) FROM ks.t WHERE k = 1";
    for (now, cells) in [(1000, vec![100]), (1099, vec![1]), (1100, vec![])] {
        let reply = client.call(QUERY, &client.query(select, 0x100, &at(now))).await;
        let cells: Vec<_> = cells.into_iter().map(|left: i32| Some(at(left).to_vec())).collect();
        assert_eq!(rows(&reply).cells, cells, "{now}");
    }
    assert!(rows(&client.run(select).await).cells.is_empty(), "by the node's clock it is gone");
    let item = [vec![0], long_string("UPDATE ks.t USING TTL 50 SET v = 'b' WHERE k = 1")].concat();
    let tail = client.parameters(0x120, &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &at(1000)].concat());
    let body = [&[0, 0, 1], &item[..], &[0, 0], &tail].concat();
    assert_eq!(client.call(BATCH, &body).await.opcode, RESULT);
}

#[tokio::test]
async fn results_have_ids_that_change_with_their_columns() {
    for canned in [false, true] {
        let cluster = cassandra().canned(canned).start().await.unwrap();
        let mut client = with_table(&cluster).await;
        client.run("INSERT INTO ks.t (k, v) VALUES (1, 'a')").await;
        let mut select = client.prepare("SELECT * FROM ks.t WHERE k = ?").await;
        assert_eq!(select.metadata_id.len(), 16);
        let insert = client.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)").await;
        assert!(!insert.metadata_id.is_empty() && insert.metadata_id != select.metadata_id);
        for _ in 0..3 {
            let body = client.execute(&select, 1 | SKIP_METADATA, &key(1));
            let known = rows(&client.call(EXECUTE, &body).await);
            assert_eq!((known.flags, known.metadata_id, known.cells.len()), (4, None, 2));
        }
        client.run("ALTER TABLE ks.t ADD w int").await;
        for flags in [1 | SKIP_METADATA, 1] {
            let body = client.execute(&select, flags, &key(1));
            let changed = rows(&client.call(EXECUTE, &body).await);
            assert_eq!((changed.flags, changed.names.join(" ")), (1 | 8, "k v w".to_owned()));
            assert_ne!(changed.metadata_id, Some(select.metadata_id.clone()));
        }
        let body = client.execute(&select, 1, &key(1));
        let changed = rows(&client.call(EXECUTE, &body).await);
        select.metadata_id = changed.metadata_id.unwrap();
        for _ in 0..3 {
            let body = client.execute(&select, 1 | SKIP_METADATA, &key(1));
            let known = rows(&client.call(EXECUTE, &body).await);
            assert_eq!((known.flags, known.metadata_id, known.cells.len()), (4, None, 3));
        }
        // A stale id among good ones is noticed each time, also by a canned node.
        let stale = common::Prepared { metadata_id: vec![1, 2, 3], ..select.clone() };
        let body = client.execute(&stale, 1 | SKIP_METADATA, &key(1));
        assert_eq!(rows(&client.call(EXECUTE, &body).await).metadata_id, Some(select.metadata_id));
        assert_eq!(
            client.prepare("SELECT * FROM ks.t WHERE k = ?").await.metadata_id,
            rows(&client.call(EXECUTE, &body).await).metadata_id.unwrap(),
        );
    }
}

#[tokio::test]
async fn conditional_statements_always_bring_their_columns() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = with_table(&cluster).await;
    let insert = client.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?) IF NOT EXISTS").await;
    for (flags, names) in [(1, "[applied]"), (1 | SKIP_METADATA, "[applied] k v")] {
        let body = client.execute(&insert, flags, &insert_values(1, "a"));
        let rows = rows(&client.call(EXECUTE, &body).await);
        assert_eq!((rows.flags, rows.names.join(" ")), (1, names.to_owned()));
    }
}

#[tokio::test]
async fn unknown_flags_are_refused() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = Client::started(&cluster, 5).await;
    let body = client.query("SELECT * FROM system.local", 0x200, &[]);
    let (code, message) = client.call(QUERY, &body).await.error();
    assert_eq!((code, message.as_str()), (PROTOCOL_ERROR, "unknown flags 0x200"));
    assert!(client.receive().await.is_none(), "the connection ends");
}

#[tokio::test]
async fn failures_name_the_nodes_that_failed() {
    let cluster = cassandra().start().await.unwrap();
    for (version, reasons) in [(4, &[][..]), (5, &[4, 127, 0, 0, 1, 0, 0])] {
        let error = FaultAction::Error { code: 0x1300, message: "failed".into() };
        cluster.add_fault(FaultRule::new(error).opcode("QUERY").limit(1));
        let mut client = Client::started(&cluster, version).await;
        let body = client.query("SELECT * FROM system.local", 0, &[]);
        let reply = client.call(QUERY, &body).await;
        assert_eq!(reply.error(), (0x1300, "failed".to_owned()));
        let head = [0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1];
        assert_eq!(reply.error_fields(), [&head, reasons, &[0]].concat());
    }
}

#[tokio::test]
async fn events_come_in_the_connections_version() {
    let cluster = cassandra().start().await.unwrap();
    let kinds = [vec![0, 1], string("SCHEMA_CHANGE")].concat();
    let mut listeners = Vec::new();
    for version in [3, 4, 5] {
        let mut client = Client::started(&cluster, version).await;
        assert_eq!(client.call(REGISTER, &kinds).await.opcode, READY);
        listeners.push(client);
    }
    Client::started(&cluster, 5).await.run(KEYSPACE).await;
    for client in &mut listeners {
        let event = client.receive().await.unwrap();
        assert_eq!((event.version, event.opcode), (0x80 | client.version, EVENT));
        assert_eq!(event.stream, -1);
    }
}

#[tokio::test]
async fn faults_of_replies_in_segments() {
    let cluster = cassandra().start().await.unwrap();
    let fault = async |action: FaultAction, opcode: &str| {
        cluster.clear_faults();
        cluster.add_fault(FaultRule::new(action).opcode(opcode).limit(1));
        Client::open(&cluster, 5).await
    };
    // A late READY still travels as it is.
    let mut late = fault(FaultAction::Delay { ms: 20 }, "STARTUP").await;
    assert_eq!(late.startup(&[]).await.opcode, READY);
    assert_eq!(late.call(OPTIONS, &[]).await.opcode, SUPPORTED);
    // Half a reply is half a segment.
    let mut cut = fault(FaultAction::CutMidFrame, "OPTIONS").await;
    cut.startup(&[]).await;
    let request = cut.frame(1, OPTIONS, &[]);
    let request = cut.wrapped(&request);
    cut.send(&request).await;
    assert!(cut.receive().await.is_none());
    assert!(cut.received.is_empty(), "no whole segment");
}

#[tokio::test]
async fn version_3_is_plainer() {
    let cluster = cassandra().start().await.unwrap();
    let mut client = Client::started(&cluster, 3).await;
    client.run(KEYSPACE).await;
    client.run("CREATE TABLE ks.s (k int PRIMARY KEY, v smallint)").await;
    let insert = client.prepare("INSERT INTO ks.s (k, v) VALUES (?, ?)").await;
    // Flags and count, then the table at once: no indexes of the partition key.
    assert_eq!(insert.rest[..12], [0, 0, 0, 1, 0, 0, 0, 2, 0, 2, b'k', b's']);
    let class = b"org.apache.cassandra.db.marshal.ShortType";
    assert!(insert.rest.windows(class.len()).any(|window| window == class));
    // What is unset in later versions is null.
    let values = [vec![0, 2], value(&1_i32.to_be_bytes()), vec![0xFF, 0xFF, 0xFF, 0xFE]].concat();
    let body = client.execute(&insert, 1, &values);
    assert_eq!(client.call(EXECUTE, &body).await.opcode, RESULT);
}

#[tokio::test]
async fn noise_within_sound_segments_harms_nobody() {
    let cluster = cassandra().start().await.unwrap();
    let mut honest = with_table(&cluster).await;
    let insert = honest.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)").await;
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..300 {
        let mut client = Client::started(&cluster, 5).await;
        let body = client.execute(&insert, 1, &insert_values(1, "some text"));
        let query = client.query("SELECT v FROM ks.t WHERE k = 1", 0x1A4, &body);
        let good = [(EXECUTE, &body), (QUERY, &query), (BATCH, &query), (PREPARE, &query)];
        let mut envelopes = Vec::new();
        for (stream, (opcode, body)) in (1..).zip(good) {
            let mut envelope = client.frame(stream, opcode, body);
            for _ in 0..random.usize(0..3) {
                // Anywhere but in the length, so that it is sound on the outside.
                let at = random.usize(9..envelope.len());
                envelope[at] ^= 1 << random.u8(0..8);
            }
            envelopes.extend(envelope);
        }
        let bytes = client.wrapped(&envelopes);
        client.send(&bytes).await;
        client.socket.shutdown().await.unwrap();
        // Each request is answered, or the last answer is an error that ends the connection.
        let mut replies = Vec::new();
        while let Some(reply) = client.receive().await {
            replies.push(reply.opcode);
        }
        assert!(replies.len() == 4 || replies.last() == Some(&0), "{round}: {replies:?}");
        let body = honest.execute(&insert, 1, &insert_values(round, "x"));
        assert_eq!(honest.call(EXECUTE, &body).await.opcode, RESULT);
    }
}

#[tokio::test]
async fn an_envelope_that_never_ends_costs_what_it_has_sent() {
    let cluster = cassandra().start().await.unwrap();
    // 192 MiB are announced, of which one segment comes.
    let header = [5, 0, 0, 1, QUERY, 0x0C, 0, 0, 0];
    let envelope = [&header[..], &vec![b' '; 0x0C00_0000]].concat();
    let mut start = Client::started(&cluster, 5).await.wrapped(&envelope);
    start.truncate(140_000);
    let before = resident_mb();
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let mut client = Client::started(&cluster, 5).await;
        client.send(&start).await;
        waiting.push(client);
    }
    let mut honest = with_table(&cluster).await;
    honest.run("INSERT INTO ks.t (k, v) VALUES (1, 'a')").await;
    let grown = resident_mb().zip(before).map(|(now, before)| now.saturating_sub(before));
    assert!(grown.is_none_or(|mb| mb < 500), "{grown:?} MB");
    drop(waiting);
}

/// Memory of this process, the node included, where the system tells.
fn resident_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kb: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kb / 1024)
}
