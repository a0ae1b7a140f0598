//! Logging in with PLAIN: who is let in, what is refused before, and that passwords stay hidden.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::{
    AUTH_RESPONSE, AUTH_SUCCESS, AUTHENTICATE, BATCH, Client, EXECUTE, OPTIONS, PREPARE,
    PROTOCOL_ERROR, QUERY, REGISTER, STARTUP, SUPPORTED, string, value,
};
use scylla::client::session_builder::SessionBuilder;
use shardwire_server::{Cluster, ClusterBuilder, FaultAction, FaultRule, Persona};

const CLASS: &str = "org.apache.cassandra.auth.PasswordAuthenticator";
const BAD_CREDENTIALS: i32 = 0x0100;

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
