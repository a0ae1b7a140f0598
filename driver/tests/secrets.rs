//! Whether a password can be seen in anything that the driver prints or traces.
//!
//! Alone in its process: what a test traces depends on which others have a subscriber.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::builder;
use shardwire::{Compression, PlainTextAuthenticator};
use shardwire_server::{Cluster, FaultAction, FaultRule};

/// Not a word that any message has.
const PASSWORD: &str = "xyzzy-püssword";

#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<u8>>>);

impl Trace {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn count(&self, text: &str) -> usize {
        self.text().matches(text).count()
    }
}

impl io::Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that can be printed, searched for the password and for the token it travels in.
#[tokio::test]
async fn the_password_is_shown_nowhere() {
    let trace = Trace::default();
    let writer = trace.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut shown = String::new();
    for compression in [None, Some(Compression::Lz4)] {
        let cluster =
            Cluster::builder().user("app", PASSWORD).nodes(2).shards(2).start().await.unwrap();
        let plain = PlainTextAuthenticator::new("app", PASSWORD);
        let builder = builder(&cluster)
            .reconnect_backoff(Duration::from_millis(5), Duration::from_millis(20))
            .compression(compression)
            .user("app", PASSWORD);
        write!(shown, "{plain:?} {plain:#?} {builder:?} {builder:#?}").unwrap();
        let session = builder.clone().build().await.unwrap();
        write!(shown, "{session:?} {session:#?} {:?}", session.nodes()).unwrap();
        session.query_unpaged("SELECT key FROM system.local", ()).await.unwrap();
        // Sent to a node that does not know it, and to one that fails in all ways.
        let mut errors = vec![builder.clone().user("nobody", PASSWORD).build().await.unwrap_err()];
        let message = format!("app may not log in with {PASSWORD}");
        let actions = [
            FaultAction::Error { code: 0x0100, message: message.clone() },
            FaultAction::Error { code: 0x0000, message },
            FaultAction::Close,
            FaultAction::CutMidFrame,
            FaultAction::Corrupt,
        ];
        for action in actions {
            cluster.clear_faults();
            cluster.add_fault(FaultRule::new(action).opcode("AUTH_RESPONSE"));
            errors.push(builder.clone().build().await.unwrap_err());
            // The first session meets the same when it connects again, and traces it.
            let before = trace.count("authentication by");
            cluster.stop_node(1).await.unwrap();
            cluster.start_node(1).await.unwrap();
            while trace.count("authentication by") == before {
                tokio::task::yield_now().await;
            }
        }
        for error in errors {
            write!(shown, "{error} {error:?} {error:#?}").unwrap();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                write!(shown, "{error} {error:?}").unwrap();
                source = error.source();
            }
        }
    }
    let traced = trace.text();
    for expect in ["handshake", "AuthResponse", "AuthSuccess", "pool is not complete", "0x0100"] {
        assert!(traced.contains(expect), "{expect} is not in what was traced:\n{traced}");
    }
    let token = format!("\0app\0{PASSWORD}").into_bytes();
    for text in [shown, traced] {
        let lower = text.to_lowercase();
        assert!(lower.contains("authenticat"), "it is not searched in vain");
        // As text, as a list of numbers, and in hexadecimal.
        assert!(!lower.contains("xyzzy") && !lower.contains("üssword"), "{text}");
        let numbers = format!("{:?}", &token[5..10]);
        assert!(!lower.contains(numbers.trim_matches(['[', ']'])), "{text}");
        assert!(!lower.contains("78797a7a79"), "{text}");
    }
}
