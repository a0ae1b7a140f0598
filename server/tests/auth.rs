//! Logging in with PLAIN: who is let in, what is refused before, and that passwords stay hidden.
//! Roles: what they may do, on each node and in each kind of request.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::{
    AUTH_RESPONSE, AUTH_SUCCESS, AUTHENTICATE, BATCH, Client, EXECUTE, OPTIONS, PREPARE,
    PROTOCOL_ERROR, QUERY, REGISTER, RESULT, STARTUP, SUPPORTED, long_string, rows, string, value,
};
use scylla::client::session_builder::SessionBuilder;
use shardwire_server::{Cluster, ClusterBuilder, FaultAction, FaultRule, Persona};
use tokio::net::TcpStream;

const CLASS: &str = "org.apache.cassandra.auth.PasswordAuthenticator";
const BAD_CREDENTIALS: i32 = 0x0100;
const UNAUTHORIZED: i32 = 0x2100;
const KEYSPACE: &str = "CREATE KEYSPACE ks WITH replication = \
     {'class': 'SimpleStrategy', 'replication_factor': 1}";

fn with_users(persona: Persona) -> ClusterBuilder {
    Cluster::builder().persona(persona).user("me", "secret").user("you", "püssword")
}

fn token(name: &str, password: &str) -> Vec<u8> {
    value(format!("\0{name}\0{password}").as_bytes())
}

#[tokio::test]
async fn right_ones_are_let_in_in_each_version() {
    for persona in [Persona::Scylla, Persona::Cassandra] {
        let cluster = with_users(persona).start().await.unwrap();
        for version in if persona == Persona::Scylla { 3..=4 } else { 3..=5 } {
            for options in [&[][..], &[("COMPRESSION", "lz4")]] {
                if version < 5 && !options.is_empty() {
                    continue; // this client speaks LZ4 in segments only
                }
                let mut client = Client::open(&cluster, version).await;
                let reply = client.startup(options).await;
                assert_eq!((reply.opcode, reply.body), (AUTHENTICATE, string(CLASS)));
                assert_eq!(client.call(OPTIONS, &[]).await.opcode, SUPPORTED);
                let reply = client.call(AUTH_RESPONSE, &token("you", "püssword")).await;
                assert_eq!((reply.opcode, reply.body), (AUTH_SUCCESS, vec![0xFF; 4]));
                client.run("SELECT * FROM system.local").await;
            }
        }
    }
}

#[tokio::test]
async fn wrong_ones_are_refused_and_may_try_again() {
    for (persona, text) in [
        (Persona::Scylla, "Username and/or password are incorrect"),
        (Persona::Cassandra, "Provided username me and/or password are incorrect"),
    ] {
        let cluster = with_users(persona).start().await.unwrap();
        let mut client = Client::open(&cluster, 4).await;
        client.startup(&[]).await;
        let reply = client.call(AUTH_RESPONSE, &token("me", "Secret")).await;
        assert_eq!(reply.error(), (BAD_CREDENTIALS, text.to_owned()));
        for bad in [token("", ""), value(b"secret"), vec![0xFF; 4], token("nobody", "secret")] {
            let (code, message) = client.call(AUTH_RESPONSE, &bad).await.error();
            assert_eq!(code, BAD_CREDENTIALS);
            assert!(!message.contains("secret"), "{message}");
        }
        assert_eq!(client.call(AUTH_RESPONSE, &token("me", "secret")).await.opcode, AUTH_SUCCESS);
        let late = client.call(AUTH_RESPONSE, &token("me", "secret")).await;
        assert_eq!(late.error().0, PROTOCOL_ERROR);
    }
}

#[tokio::test]
async fn nothing_is_served_before() {
    for canned in [false, true] {
        let cluster = with_users(Persona::Scylla).canned(canned).start().await.unwrap();
        // Rules make requests take another way.
        for has_fault in [false, true] {
            if has_fault {
                cluster.add_fault(FaultRule::new(FaultAction::Drop).opcode("OPTIONS"));
            }
            for opcode in [QUERY, PREPARE, EXECUTE, BATCH, REGISTER, STARTUP] {
                let mut client = Client::open(&cluster, 4).await;
                client.startup(&[]).await;
                let body = client.query("SELECT * FROM system.local", 0, &[]);
                let (code, message) = client.call(opcode, &body).await.error();
                assert_eq!(code, PROTOCOL_ERROR);
                assert!(message.ends_with("expecting AUTH_RESPONSE"), "{message}");
                assert!(client.receive().await.is_none(), "the connection ends");
            }
        }
    }
}

#[tokio::test]
async fn long_requests_are_refused_before() {
    for version in [4, 5] {
        let cluster = with_users(Persona::Cassandra).start().await.unwrap();
        let mut client = Client::open(&cluster, version).await;
        client.startup(&[]).await;
        let header = [version, 0, 0, 1, AUTH_RESPONSE, 0, 2, 0, 1];
        let request = match version {
            4 => header.to_vec(),
            _ => client.wrapped(&[&header[..], &vec![0; 0x2_0001]].concat()),
        };
        client.send(&request).await;
        let (code, message) = client.receive().await.unwrap().error();
        assert_eq!(code, PROTOCOL_ERROR);
        assert!(message.contains("exceeds the limit of 131072"), "{message}");
        assert!(client.receive().await.is_none(), "the connection ends");
    }
}

#[tokio::test]
async fn the_official_driver_logs_in() {
    let cluster = with_users(Persona::Scylla).shards(2).start().await.unwrap();
    let session = async |password| {
        let builder = SessionBuilder::new().known_node_addr(cluster.contact_points()[0]);
        builder.user("me", password).build().await
    };
    let session_right = session("secret").await.unwrap();
    session_right.query_unpaged("SELECT * FROM system.local", &[]).await.unwrap();
    assert!(session("wrong").await.is_err());
}

#[tokio::test]
async fn no_password_is_shown() {
    let builder = with_users(Persona::Scylla);
    let shown = format!("{builder:?}");
    let cluster = builder.start().await.unwrap();
    let shown = format!("{shown}{cluster:?}");
    assert!(!shown.contains("secret") && !shown.contains("üssword"), "{shown}");
    assert!(Cluster::builder().user("", "x").start().await.is_err());
    assert!(Cluster::builder().user("x", "").start().await.is_err());
}

/// A client of a node, logged in.
async fn logged_in(
    cluster: &Cluster,
    (node, version): (usize, u8),
    (name, password): (&str, &str),
) -> Client {
    let socket = TcpStream::connect(cluster.contact_points()[node]).await.unwrap();
    let mut client = Client::over(Box::new(socket), version);
    client.startup(&[]).await;
    let reply = client.call(AUTH_RESPONSE, &token(name, password)).await;
    assert_eq!(reply.opcode, AUTH_SUCCESS, "{reply:?}");
    client
}

/// The body of a BATCH of one statement.
fn batch(client: &Client, text: &str) -> Vec<u8> {
    let head = [&[0, 0, 1, 0][..], &long_string(text), &[0, 0]].concat();
    [head, client.parameters(0, &[])].concat()
}

#[tokio::test]
async fn each_kind_of_request_is_checked_on_each_node() {
    for (persona, version) in [
        (Persona::Scylla, 3),
        (Persona::Scylla, 4),
        (Persona::Cassandra, 4),
        (Persona::Cassandra, 5),
    ] {
        let cluster = with_users(persona).nodes(2).start().await.unwrap();
        let mut root = logged_in(&cluster, (0, version), ("me", "secret")).await;
        root.run(KEYSPACE).await;
        root.run("CREATE TABLE ks.t (p int PRIMARY KEY, v int)").await;
        root.run("CREATE ROLE \"Reader\" WITH PASSWORD = 'päss' AND LOGIN = true").await;
        let mut reader = logged_in(&cluster, (1, version), ("Reader", "päss")).await;
        for table in ["system.local", "system.peers", "system_schema.columns"] {
            reader.run(&format!("SELECT * FROM {table}")).await;
        }
        let (select, insert) = ("SELECT * FROM ks.t", "INSERT INTO ks.t (p, v) VALUES (1, 2)");
        let lacks = |permission: &str| {
            let what = format!("{permission} permission on <table ks.t> or any of its parents");
            (UNAUTHORIZED, format!("User Reader has no {what}"))
        };
        let query = reader.query(select, 0, &[]);
        assert_eq!(reader.call(QUERY, &query).await.error(), lacks("SELECT"));
        let batch = batch(&reader, insert);
        assert_eq!(reader.call(BATCH, &batch).await.error(), lacks("MODIFY"));
        // To prepare needs nothing; to execute does, each time.
        let prepared = reader.prepare(insert).await;
        let execute = reader.execute(&prepared, 0, &[]);
        assert_eq!(reader.call(EXECUTE, &execute).await.error(), lacks("MODIFY"));
        root.run("GRANT SELECT ON ks.t TO \"Reader\"").await;
        root.run("GRANT MODIFY ON KEYSPACE ks TO 'Reader'").await;
        assert_eq!(reader.call(EXECUTE, &execute).await.opcode, RESULT);
        assert_eq!(reader.call(BATCH, &batch).await.opcode, RESULT);
        assert_eq!(rows(&reader.run(select).await).cells.len(), 2);
        root.run("REVOKE MODIFY ON KEYSPACE ks FROM \"Reader\"").await;
        assert_eq!(reader.call(EXECUTE, &execute).await.error(), lacks("MODIFY"));
        root.run("DROP ROLE \"Reader\"").await;
        assert_eq!(reader.call(QUERY, &query).await.error(), lacks("SELECT"));
        reader.run("SELECT * FROM system.local").await;
    }
}

#[tokio::test]
async fn lists_bring_their_columns_however_they_are_asked_for() {
    const SKIP_METADATA: u32 = 2;
    for (persona, version) in [(Persona::Scylla, 4), (Persona::Cassandra, 5)] {
        let cluster = with_users(persona).start().await.unwrap();
        let mut root = logged_in(&cluster, (0, version), ("me", "secret")).await;
        let mut names = vec!["role", "super", "login", "options"];
        if persona == Persona::Cassandra {
            names.push("datacenters");
        }
        let listed = rows(&root.run("LIST ROLES").await);
        assert_eq!(listed.names, names);
        assert_eq!(listed.cells[0], Some(b"me".to_vec()));
        assert_eq!(listed.cells[names.len()], Some(b"you".to_vec()));
        let prepared = root.prepare("LIST ROLES").await;
        let execute = root.execute(&prepared, SKIP_METADATA, &[]);
        assert_eq!(rows(&root.call(EXECUTE, &execute).await), listed);
        let listed = rows(&root.run("LIST USERS").await);
        assert_eq!(listed.names[..2], ["name", "super"]);
        // Nothing to list is no rows at all.
        assert_eq!(root.run("LIST ALL PERMISSIONS OF you").await.body, [0, 0, 0, 1]);
        root.run("GRANT SELECT ON ALL KEYSPACES TO you").await;
        let listed = rows(&root.run("LIST ALL PERMISSIONS OF you").await);
        assert_eq!(listed.names, ["role", "username", "resource", "permission"]);
        let cells = ["you", "you", "<all keyspaces>", "SELECT"].map(|s| Some(s.into()));
        assert_eq!(listed.cells, cells);
    }
}

#[tokio::test]
async fn the_fast_path_is_for_superusers_only() {
    let cluster = with_users(Persona::Scylla).canned(true).start().await.unwrap();
    let mut root = logged_in(&cluster, (0, 4), ("me", "secret")).await;
    root.run(KEYSPACE).await;
    root.run("CREATE TABLE ks.t (p int PRIMARY KEY)").await;
    root.run("CREATE ROLE plain WITH PASSWORD = 'x' AND LOGIN = true").await;
    let mut you = logged_in(&cluster, (0, 4), ("you", "püssword")).await;
    let mut plain = logged_in(&cluster, (0, 4), ("plain", "x")).await;
    let insert = "INSERT INTO ks.t (p) VALUES (?)";
    let prepared = root.prepare(insert).await;
    let with = |p: i32| [&[0, 1][..], &value(&p.to_be_bytes())].concat();
    let body = |client: &Client, p| client.execute(&prepared, 1, &with(p));
    let batch =
        [&[0, 0, 1, 1][..], &common::short_bytes(&prepared.id), &with(9), &root.parameters(0, &[])]
            .concat();
    // The first is executed and kept, the second is answered from what is kept.
    for (p, client) in [(1, &mut root), (2, &mut you)] {
        let execute = body(client, p);
        assert_eq!(client.call(EXECUTE, &execute).await.opcode, RESULT);
    }
    assert_eq!(rows(&root.run("SELECT * FROM ks.t").await).cells.len(), 1);
    let refused = body(&plain, 3);
    assert_eq!(plain.call(EXECUTE, &refused).await.error().0, UNAUTHORIZED);
    assert_eq!(plain.call(BATCH, &batch).await.error().0, UNAUTHORIZED);
    // Who is permitted is served, by execution.
    root.run("GRANT MODIFY ON ks.t TO plain").await;
    assert_eq!(plain.call(EXECUTE, &refused).await.opcode, RESULT);
    assert_eq!(rows(&root.run("SELECT * FROM ks.t").await).cells.len(), 2);
    // Who was a superuser a moment ago is not one any more, whatever others keep meanwhile.
    root.run("ALTER ROLE you WITH SUPERUSER = false").await;
    let execute = body(&root, 4);
    assert_eq!(root.call(EXECUTE, &execute).await.opcode, RESULT);
    assert_eq!(you.call(EXECUTE, &execute).await.error().0, UNAUTHORIZED);
    assert_eq!(you.call(BATCH, &batch).await.error().0, UNAUTHORIZED);
}

#[tokio::test]
async fn statements_show_no_password_in_traces_or_errors() {
    const TRACING: u8 = 2;
    for persona in [Persona::Scylla, Persona::Cassandra] {
        let cluster = with_users(persona).start().await.unwrap();
        let mut root = logged_in(&cluster, (0, 4), ("me", "secret")).await;
        root.flags = TRACING;
        let create = "CREATE ROLE r WITH PASSWORD = 'hush' AND LOGIN = true";
        root.run(create).await;
        let wrong = "ALTER ROLE r WITH PASSWORD 'hush'";
        for text in [wrong, "CREATE USER r WITH PASSWORD 'a' 'hush'"] {
            let body = root.query(text, 0, &[]);
            let reply = root.call(QUERY, &body).await;
            assert_eq!(reply.opcode, 0, "{text}");
            let shown = String::from_utf8_lossy(&reply.body).into_owned();
            assert!(!shown.contains("hush"), "{shown}");
        }
        // Prepared, it is traced twice: when it is prepared and when it is executed.
        let alter = "ALTER ROLE r WITH PASSWORD = 'hush'";
        let reply = root.call(PREPARE, &long_string(alter)).await;
        let id_at = 16 + 4;
        let prepared = common::Prepared {
            id: reply.body[id_at + 2..id_at + 18].to_vec(),
            metadata_id: Vec::new(),
            rest: Vec::new(),
        };
        let execute = root.execute(&prepared, 0, &[]);
        assert_eq!(root.call(EXECUTE, &execute).await.opcode, RESULT);
        root.flags = 0;
        let traces = root.run("SELECT parameters FROM system_traces.sessions").await;
        let shown = String::from_utf8_lossy(&traces.body).into_owned();
        assert_eq!(shown.matches("PASSWORD *******").count(), 5, "{shown}");
        assert!(!shown.contains("'hush'"), "{shown}");
        logged_in(&cluster, (0, 4), ("r", "hush")).await;
    }
}

#[tokio::test]
async fn the_official_driver_is_told_what_it_may_not_do() {
    use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
    let cluster = with_users(Persona::Scylla).nodes(2).shards(2).start().await.unwrap();
    let session = async |user, password| {
        let builder = SessionBuilder::new().known_node_addr(cluster.contact_points()[0]);
        builder.user(user, password).build().await.unwrap()
    };
    let root = session("me", "secret").await;
    root.query_unpaged(KEYSPACE, &[]).await.unwrap();
    root.query_unpaged("CREATE TABLE ks.t (p int PRIMARY KEY)", &[]).await.unwrap();
    root.query_unpaged("CREATE USER plain WITH PASSWORD 'x'", &[]).await.unwrap();
    let plain = session("plain", "x").await;
    let error = plain.query_unpaged("SELECT p FROM ks.t", &[]).await.unwrap_err();
    let ExecutionError::LastAttemptError(RequestAttemptError::DbError(kind, _)) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*kind, DbError::Unauthorized, "{error:?}");
    root.query_unpaged("GRANT SELECT ON KEYSPACE ks TO plain", &[]).await.unwrap();
    plain.query_unpaged("SELECT p FROM ks.t", &[]).await.unwrap();
}
