//! What becomes of requests whose connection ends under them.

use std::future::{Future, poll_fn};
use std::task::Poll;

use shardwire_server::Cluster;

use crate::SessionBuilder;
use crate::error::{ErrorKind, Lost};

/// Requests are queued on two nodes, of which one closes before its I/O task has had a turn: those
/// that it has not been sent are executed by the other, idempotent or not.
#[tokio::test]
async fn what_was_not_sent_goes_to_the_next_node() {
    let cluster = Cluster::builder().nodes(2).start().await.unwrap();
    let point = cluster.contact_points()[0].to_string();
    let session = SessionBuilder::new().known_node(point).build().await.unwrap();
    for text in [
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}",
        "CREATE TABLE k.t (id bigint PRIMARY KEY)",
    ] {
        session.query_unpaged(text, ()).await.unwrap();
    }
    let insert = session.prepare("INSERT INTO k.t (id) VALUES (?)").await.unwrap();
    assert!(!insert.get_is_idempotent());
    let ids = 0..64_i64;
    let mut inserts: Vec<_> =
        ids.clone().map(|id| Box::pin(session.execute_unpaged(&insert, (id,)))).collect();
    poll_fn(|cx| {
        for one in &mut inserts {
            assert!(one.as_mut().poll(cx).is_pending(), "nothing can have been answered yet");
        }
        Poll::Ready(())
    })
    .await;
    let node = &session.nodes()[0];
    let pool = session.inner.pools.get(node.pool().unwrap()).unwrap();
    (0..pool.conns.len()).for_each(|index| pool.close(index, Lost::KeepaliveTimeout));
    let mut lost = 0;
    for one in inserts {
        match one.await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionLost);
                assert!(error.was_sent(), "{error}");
                lost += 1;
            }
        }
    }
    // A lone request is written at once; all others wait for the task.
    assert!(lost <= 1, "{lost} were given up");
    let rows = session.query_unpaged("SELECT id FROM k.t", ()).await.unwrap();
    let count = rows.into_rows_result().unwrap().rows_num();
    assert!(count + 1 >= ids.count(), "{count} were executed");
}
