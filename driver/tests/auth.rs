//! Logging in to the embedded node: who is let in, and who is not.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{builder, keyspace};
use shardwire::{
    AuthFuture, AuthStart, AuthenticatorProvider, Compression, Error, ErrorKind,
    PlainTextAuthenticator, Session, SessionBuilder,
};
use shardwire_server::{Cluster, ClusterBuilder, Persona};
use tokio::sync::Semaphore;

const PASSWORD: &str = "xyzzy-püssword";

fn guarded() -> ClusterBuilder {
    Cluster::builder().user("app", PASSWORD).user("other", "open sesame")
}

fn quick(cluster: &Cluster) -> SessionBuilder {
    builder(cluster).reconnect_backoff(Duration::from_millis(5), Duration::from_millis(20))
}

async fn ask(session: &Session) {
    session.query_unpaged("SELECT key FROM system.local", ()).await.unwrap();
}

#[tokio::test]
async fn the_right_password_opens_every_connection() {
    for compression in [None, Some(Compression::Lz4)] {
        let cluster = guarded().nodes(2).shards(3).start().await.unwrap();
        let builder = builder(&cluster).compression(compression);
        let session = builder.user("app", PASSWORD).build().await.unwrap();
        assert_eq!(cluster.counters().total().connections, 7);
        for _ in 0..20 {
            ask(&session).await;
        }
    }
    let cluster = guarded().persona(Persona::Cassandra).start().await.unwrap();
    ask(&builder(&cluster).user("other", "open sesame").build().await.unwrap()).await;
}

#[tokio::test]
async fn a_password_that_nobody_asks_for_does_no_harm() {
    let cluster = Cluster::builder().start().await.unwrap();
    ask(&builder(&cluster).user("app", PASSWORD).build().await.unwrap()).await;
}

#[tokio::test]
async fn the_last_of_several_settings_counts() {
    let cluster = guarded().start().await.unwrap();
    let plain = Arc::new(PlainTextAuthenticator::new("app", PASSWORD));
    let builder = builder(&cluster).user("app", "wrong").authenticator_provider(plain);
    ask(&builder.clone().build().await.unwrap()).await;
    builder.user("app", "wrong").build().await.unwrap_err();
}

async fn refusal(builder: SessionBuilder) -> Error {
    let error = builder.build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    assert!(!error.was_sent() && !error.is_safe_to_retry(), "{error}");
    error
}

#[tokio::test]
async fn wrong_and_missing_credentials_are_told_apart() {
    let cluster = guarded().nodes(2).start().await.unwrap();
    let begin = format!(
        "authentication by \"org.apache.cassandra.auth.PasswordAuthenticator\" failed at {}: ",
        cluster.contact_points()[0]
    );
    let wrong = "bad credentials (0x0100): Username and/or password are incorrect";
    for compression in [None, Some(Compression::Lz4)] {
        let builder = builder(&cluster).compression(compression);
        for (name, password) in [("app", "Xyzzy"), ("nobody", PASSWORD), ("App", PASSWORD)] {
            let error = refusal(builder.clone().user(name, password)).await;
            assert_eq!(error.to_string(), format!("{begin}{wrong}"));
        }
        refusal(builder.clone().user("", "")).await;
        let error = refusal(builder.clone().user("app", "a\0b")).await;
        let nul = "PLAIN cannot send a name or a password with a NUL in it";
        assert_eq!(error.to_string(), format!("{begin}{nul}"));
        let error = refusal(builder).await;
        let missing = "neither a user nor an authenticator provider is set";
        assert_eq!(error.to_string(), format!("{begin}{missing}"));
    }
}

#[tokio::test]
async fn an_error_after_a_compressed_login_can_be_read() {
    let cluster = guarded().start().await.unwrap();
    let builder = builder(&cluster).compression(Some(Compression::Lz4)).user("app", PASSWORD);
    let error = builder.use_keyspace("nowhere").build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(!error.to_string().contains("authentication"), "{error}");
}

#[tokio::test]
async fn logs_in_again_after_a_node_was_away() {
    for compression in [None, Some(Compression::Lz4)] {
        let cluster = guarded().shards(2).start().await.unwrap();
        let builder = quick(&cluster).compression(compression).user("app", PASSWORD);
        let session = builder.build().await.unwrap();
        cluster.stop_node(0).await.unwrap();
        let (started, ()) = tokio::join!(cluster.start_node(0), async {
            // What is lost with the old sockets is asked again; the rest waits for new ones.
            let text = "SELECT key FROM system.local";
            while let Err(error) = session.query_unpaged(text, ()).await {
                assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
            }
        });
        started.unwrap();
    }
}

/// A password that changes, and a permit for each time that a wrong one is sent.
struct Changing {
    password: Mutex<&'static str>,
    refused: Semaphore,
}

impl AuthenticatorProvider for Changing {
    fn start_authentication_session<'a>(&'a self, class: &'a str) -> AuthFuture<'a, AuthStart> {
        Box::pin(async move {
            let password = *self.password.lock().unwrap();
            if password != PASSWORD {
                self.refused.add_permits(1);
            }
            let plain = PlainTextAuthenticator::new("app", password);
            plain.start_authentication_session(class).await
        })
    }
}

#[tokio::test]
async fn a_session_goes_on_with_others_while_a_node_refuses_it() {
    let cluster = guarded().nodes(2).start().await.unwrap();
    let refused = Semaphore::new(0);
    let changing = Arc::new(Changing { password: Mutex::new(PASSWORD), refused });
    let provider = Arc::clone(&changing) as Arc<dyn AuthenticatorProvider>;
    let session = quick(&cluster).authenticator_provider(provider).build().await.unwrap();
    keyspace(&session, 2).await;
    session.query_unpaged("CREATE TABLE k.t (id bigint PRIMARY KEY)", ()).await.unwrap();
    let insert = session.prepare("INSERT INTO k.t (id) VALUES (?)").await.unwrap();
    let arrived = || cluster.counters().nodes[1].shards[0].right;
    *changing.password.lock().unwrap() = "out of date";
    cluster.stop_node(1).await.unwrap();
    cluster.start_node(1).await.unwrap();
    cluster.reset_counters();
    // The first attempts are refused, and more follow.
    for id in 0..5_i64 {
        changing.refused.acquire().await.unwrap().forget();
        session.execute_unpaged(&insert, (id,)).await.unwrap();
    }
    assert_eq!(arrived(), 0);
    *changing.password.lock().unwrap() = PASSWORD;
    while arrived() == 0 {
        for id in 0..5_i64 {
            session.execute_unpaged(&insert, (id,)).await.unwrap();
        }
    }
}
