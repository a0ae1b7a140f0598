//! When announcements lead to a reading, and where one goes when all nodes are lost.

use shardwire_protocol::header::{EVENT_STREAM, Opcode, Version};
use shardwire_protocol::wire::Reader;
use shardwire_server::Cluster;

use super::*;
use crate::builder::SessionBuilder;

fn signals() -> Arc<Signals> {
    Arc::new(Signals {
        inner: Weak::new(),
        installed: AtomicBool::new(false),
        opened: Notify::new(),
        changed: Notify::new(),
        asked: Notify::new(),
        news: Mutex::default(),
    })
}

/// Lets `count` announcements come, one each so many milliseconds; how long until the reading.
async fn gathered(count: u32, every_ms: u64) -> Duration {
    let signals = signals();
    let announcer = Arc::clone(&signals);
    let task = tokio::spawn(async move {
        for _ in 0..count {
            runtime::sleep(Duration::from_millis(every_ms)).await;
            announcer.changed.notify_one();
        }
    });
    let begin = Instant::now();
    gather(&signals.changed, || false).await;
    task.abort();
    begin.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_answered_when_it_is_over_and_a_stream_after_a_second() {
    let about = |took: Duration, ms: u64| took.as_millis().abs_diff(u128::from(ms)) < 10;
    for (count, every_ms, expect_ms) in
        [(0, 1, 50), (10, 10, 150), (5, 40, 250), (1_000, 20, 1_000)]
    {
        let took = gathered(count, every_ms).await;
        assert!(about(took, expect_ms), "{count} each {every_ms} ms: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_does_not_wait_for_more_announcements() {
    let signals = signals();
    assert_eq!((signals.ask(None), signals.ask(Some("shop"))), (1, 2));
    let begin = Instant::now();
    gather(&signals.changed, || signals.with_news(|news| news.is_urgent)).await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_has_everything_read() {
    let whole = b"\0\x0DSTATUS_CHANGE\0\x02UP\x04\x7F\0\0\x01\0\0\x23\x52";
    let header = |body: &[u8]| ResponseHeader {
        version: Version::V4,
        flags: 0,
        stream: EVENT_STREAM,
        opcode: Opcode::Event,
        body_len: u32::try_from(body.len()).expect("it is short"),
    };
    assert!(event_of(&header(whole), whole).is_ok());
    for len in 0..whole.len() {
        let body = &whole[..len];
        let signals = signals();
        let event = event_of(&header(body), body);
        assert!(event.is_err(), "{len}");
        signals.announced(event);
        assert!(runtime::within(Duration::ZERO, signals.changed.notified()).await.is_some());
    }
}

#[tokio::test]
async fn contact_points_are_resolved_again_when_all_nodes_are_lost() {
    let first = Cluster::builder().start().await.expect("the cluster starts");
    runtime::hosts::set("db.test", first.contact_points());
    let session = SessionBuilder::new().known_node("db.test").build().await.expect("it answers");
    session.refresh_metadata().await.expect("the node answers");

    let second = Cluster::builder().start().await.expect("the cluster starts");
    runtime::hosts::set("db.test", second.contact_points());
    first.shutdown();
    session.refresh_metadata().await.expect("the new address answers");
    let nodes = session.nodes();
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    let expect: Vec<_> = second.contact_points().iter().map(SocketAddr::ip).collect();
    assert_eq!(addresses, expect);
    let result = session.query_unpaged("SELECT key FROM system.local", ()).await;
    assert_eq!(result.unwrap().into_rows_result().unwrap().rows_num(), 1);
}

#[tokio::test]
async fn a_name_that_is_gone_leaves_the_addresses_that_it_had() {
    let cluster = Cluster::builder().start().await.expect("the cluster starts");
    runtime::hosts::set("db.test", cluster.contact_points());
    let session = SessionBuilder::new().known_node("db.test").build().await.expect("it answers");
    runtime::hosts::set("db.test", Vec::new());
    assert_eq!(contact_points(&session.inner).await, cluster.contact_points());
}

#[tokio::test]
async fn a_node_that_answers_is_not_down_whatever_is_said() {
    let cluster = Cluster::builder().start().await.expect("the cluster starts");
    let address = cluster.contact_points()[0];
    let session = SessionBuilder::new().known_node(address.to_string()).build().await.unwrap();
    let node = Arc::clone(&session.nodes()[0]);
    status_changed(&session.inner, StatusChange::Down, address);
    assert!(node.is_down());
    while node.is_down() {
        session.query_unpaged("SELECT key FROM system.local", ()).await.expect("it is used");
    }
}

#[tokio::test]
async fn changes_of_the_schema_are_kept_up_to_a_limit() {
    let signals = signals();
    let body = b"\0\x0DSCHEMA_CHANGE\0\x07CREATED\0\x05TABLE\0\x04shop\0\x05items";
    for _ in 0..CHANGES_MAX + 3 {
        signals.announced(Ok(EventBody::parse(Reader::new(body)).expect("it is well formed")));
    }
    let (kept, missed) = signals.with_news(|news| (news.changes.len(), news.missed));
    assert_eq!((kept, missed), (CHANGES_MAX, 3));
}
