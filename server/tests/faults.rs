//! Faults of connections and of whole nodes, and rules from a file.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Client, EXECUTE, OPTIONS, QUERY, RESULT, value};
use scylla::client::session_builder::SessionBuilder;
use shardwire_server::{Cluster, FaultAction, FaultRule};
use tokio::net::{TcpSocket, TcpStream};

const UNPREPARED: i32 = 0x2500;

async fn with_table(cluster: &Cluster, version: u8) -> Client {
    let mut client = Client::started(cluster, version).await;
    client
        .run(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', \
             'replication_factor': 1}",
        )
        .await;
    client.run("CREATE TABLE ks.t (k int PRIMARY KEY, v int)").await;
    client
}

#[tokio::test]
async fn a_stall_holds_up_everything_behind_it_and_nothing_before() {
    const STALL: Duration = Duration::from_millis(300);
    for persona in [shardwire_server::Persona::Scylla, shardwire_server::Persona::Cassandra] {
        let version = if persona == shardwire_server::Persona::Cassandra { 5 } else { 4 };
        let cluster = Cluster::builder().persona(persona).start().await.unwrap();
        let mut client = with_table(&cluster, version).await;
        let ms = u64::try_from(STALL.as_millis()).unwrap();
        let rule = FaultRule::new(FaultAction::Stall { ms }).statement("WHERE k = 2").limit(1);
        cluster.add_fault(rule);
        let query = |client: &Client, stream: i16| {
            let text = format!("SELECT v FROM ks.t WHERE k = {stream}");
            client.frame(stream, QUERY, &client.query(&text, 0, &[]))
        };
        let all: Vec<u8> = (1..=3).flat_map(|stream| query(&client, stream)).collect();
        let all = client.wrapped(&all);
        let begun = Instant::now();
        client.send(&all).await;
        assert_eq!(client.receive().await.unwrap().stream, 1);
        // Another connection is not held up, whatever this one does.
        let mut other = Client::started(&cluster, version).await;
        other.run("SELECT v FROM ks.t WHERE k = 3").await;
        let is_early = begun.elapsed() < STALL;
        for stream in 2..=3 {
            let reply = client.receive().await.unwrap();
            assert_eq!((reply.stream, reply.opcode), (stream, RESULT));
            assert!(begun.elapsed() >= STALL);
        }
        assert!(is_early, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_stalled_startup_goes_on_in_segments() {
    let cluster =
        Cluster::builder().persona(shardwire_server::Persona::Cassandra).start().await.unwrap();
    cluster.add_fault(FaultRule::new(FaultAction::Stall { ms: 20 }).opcode("STARTUP"));
    let mut client = with_table(&cluster, 5).await;
    client.run("SELECT v FROM ks.t").await;
}

#[tokio::test]
async fn a_node_that_forgets_really_has_nothing_prepared() {
    let cluster = Cluster::builder().start().await.unwrap();
    let mut client = with_table(&cluster, 4).await;
    let texts = ["INSERT INTO ks.t (k, v) VALUES (?, 1)", "SELECT v FROM ks.t WHERE k = ?"];
    let prepared = [client.prepare(texts[0]).await, client.prepare(texts[1]).await];
    let execute = |client: &Client, index: usize| {
        let values = [&[0, 1][..], &value(&1_i32.to_be_bytes())].concat();
        client.execute(&prepared[index], 1, &values)
    };
    let rule = FaultRule::new(FaultAction::ForgetPrepared).opcode("EXECUTE").limit(1);
    cluster.add_fault(rule);
    for index in [0, 1] {
        // The second is forgotten too, although no rule is left.
        let reply = client.call(EXECUTE, &execute(&client, index)).await;
        assert_eq!(reply.error().0, UNPREPARED);
        assert_eq!(client.prepare(texts[index]).await.id, prepared[index].id);
        let reply = client.call(EXECUTE, &execute(&client, index)).await;
        assert_eq!(reply.opcode, RESULT);
    }
}

/// What SUPPORTED says of the shard, to a connection from a port that asks for this one.
async fn shard_from_port_of(cluster: &Cluster, shard: u16) -> String {
    let mut target = cluster.contact_points()[0];
    target.set_port(cluster.shard_aware_port().unwrap());
    let socket = loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        let port = fastrand::u16(10_000..15_000) * 4 + shard;
        if socket.bind(([0, 0, 0, 0], port).into()).is_ok() {
            break socket;
        }
    };
    let mut client = Client::over(Box::new(socket.connect(target).await.unwrap()), 4);
    let supported = client.call(OPTIONS, &[]).await.supported();
    let key = supported.into_iter().find(|(key, _)| key == "SCYLLA_SHARD");
    key.unwrap().1.remove(0)
}

#[tokio::test]
async fn a_connection_may_land_on_another_shard_than_it_asks_for() {
    let cluster = Cluster::builder().shards(4).start().await.unwrap();
    assert_eq!(shard_from_port_of(&cluster, 2).await, "2");
    cluster.add_fault(FaultRule::new(FaultAction::WrongShard).shard(2));
    for _ in 0..5 {
        assert_ne!(shard_from_port_of(&cluster, 2).await, "2");
    }
    assert_eq!(shard_from_port_of(&cluster, 3).await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_driver_finds_all_shards_behind_a_nat() {
    let cluster = Cluster::builder().nodes(2).shards(2).start().await.unwrap();
    cluster.add_fault(FaultRule::new(FaultAction::WrongShard));
    let points = cluster.contact_points();
    let session = SessionBuilder::new().known_node_addr(points[0]).build().await.unwrap();
    let create = "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', \
                  'replication_factor': 1}";
    session.query_unpaged(create, &[]).await.unwrap();
    session.query_unpaged("CREATE TABLE ks.t (k bigint PRIMARY KEY)", &[]).await.unwrap();
    let insert = session.prepare("INSERT INTO ks.t (k) VALUES (?)").await.unwrap();
    let mut total = cluster.counters().total();
    for _ in 0..400 {
        cluster.reset_counters();
        for k in 0..64_i64 {
            session.execute_unpaged(&insert, (k,)).await.unwrap();
        }
        total = cluster.counters().total();
        if total.right == 64 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{total:?}");
}

/// A file that is gone with this.
struct File(std::path::PathBuf);

impl File {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("faults-{}.jsonl", fastrand::u64(..)));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn program(file: &File) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardwire-server"));
    command.args(["--nodes", "1", "--address", "auto", "--port", "0", "--exit-with-stdin"]);
    command.arg("--faults").arg(&file.0);
    command
}

#[tokio::test]
async fn the_program_reads_rules_from_a_file() {
    use std::io::{BufRead, BufReader};
    let file = File::new(
        "{\"opcode\": \"QUERY\", \"action\": {\"error\": {\"code\": 4097, \"message\": \"full\"}}}\n",
    );
    let mut command = program(&file);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let point = ready["contact_points"][0].as_str().unwrap();
    let mut client = Client::over(Box::new(TcpStream::connect(point).await.unwrap()), 4);
    client.startup(&[]).await;
    let query = client.query("SELECT * FROM system.local", 0, &[]);
    assert_eq!(client.call(QUERY, &query).await.error(), (4097, "full".to_owned()));
    drop(child.stdin.take());
    child.wait().unwrap();

    let file = File::new("{\"action\": \"drop\"}\n{\"action\": \"drop\", \"nod\": 1}\n");
    let output = program(&file).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("line 2: unknown field `nod`"), "{text}");
}
