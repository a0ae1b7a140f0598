//! What a reply carries besides its result: the id of a trace, warnings, a custom payload.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use common::{builder, keyspace, start};
use shardwire::{
    Batch, BatchType, Compression, Consistency, ErrorKind, QueryResult, Session, Statement,
};
use shardwire_server::{Cluster, FaultAction, FaultRule, Persona};
use uuid::Uuid;

const INSERT: &str = "INSERT INTO k.t (id, name) VALUES (?, ?)";

async fn table(session: &Session) {
    keyspace(session, 1).await;
    let create = "CREATE TABLE k.t (id bigint PRIMARY KEY, name text)";
    session.query_unpaged(create, ()).await.unwrap();
}

#[tokio::test]
async fn each_kind_of_request_is_traced() {
    for persona in [Persona::Scylla, Persona::Cassandra] {
        let (cluster, session) = start(Cluster::builder().nodes(2).persona(persona)).await;
        table(&session).await;
        let check = async |result: &QueryResult, query: &str| {
            let id = result.tracing_id().unwrap();
            let trace = session.get_tracing_info(&id).await.unwrap();
            assert_eq!(trace.parameters.unwrap()["query"], query);
            assert_eq!(trace.command.as_deref(), Some("QUERY"));
            assert!(trace.duration.is_some_and(|duration| duration > 0));
            assert!(trace.started_at.is_some() && trace.request.is_some());
            assert!(trace.client.is_some_and(|client| client.is_loopback()));
            let points = cluster.contact_points();
            let is_node = |ip| points.iter().any(|point| Some(point.ip()) == ip);
            assert!(is_node(trace.coordinator));
            assert!(trace.events.len() > 1);
            for event in trace.events {
                assert!(is_node(event.source));
                assert!(event.activity.is_some() && event.thread.is_some());
                assert!(event.source_elapsed.is_some_and(|elapsed| elapsed >= 0));
            }
        };
        let mut insert = session.prepare(INSERT).await.unwrap();
        let result = session.execute_unpaged(&insert, (1_i64, "lamp")).await.unwrap();
        assert_eq!(result.tracing_id(), None);
        insert.set_tracing(true);
        let result = session.execute_unpaged(&insert, (1_i64, "lamp")).await.unwrap();
        check(&result, INSERT).await;
        result.result_not_rows().unwrap();

        let select = "SELECT name FROM k.t";
        let mut statement = Statement::new(select);
        statement.set_tracing(true);
        let result = session.query_unpaged(statement.clone(), ()).await.unwrap();
        check(&result, select).await;
        assert_eq!(result.rows_result().unwrap().single_row::<(&str,)>().unwrap(), ("lamp",));
        let (page, _) = session.query_single_page(statement, (), None).await.unwrap();
        check(&page, select).await;

        let mut batch = Batch::new(BatchType::Unlogged);
        batch.append_statement(insert);
        let result = session.batch(&batch, [(2_i64, "table")]).await.unwrap();
        assert_eq!(result.tracing_id(), None, "a batch's own setting counts");
        batch.set_tracing(true);
        let result = session.batch(&batch, [(2_i64, "table")]).await.unwrap();
        check(&result, INSERT).await;
    }
}

#[tokio::test]
async fn a_trace_is_waited_for_until_it_is_complete() {
    let cluster = Cluster::builder().start().await.unwrap();
    let session = builder(&cluster)
        .tracing_info_fetch_attempts(NonZeroU32::MAX)
        .tracing_info_fetch_interval(Duration::from_millis(1))
        .build()
        .await
        .unwrap();
    let id = Uuid::from_u128(7);
    let write = async |columns: &str, values: &str| {
        let text = format!(
            "INSERT INTO system_traces.sessions (session_id, {columns}) VALUES ({id}, {values})"
        );
        let mut statement = Statement::new(text);
        statement.set_consistency(Consistency::One); // of two replicas there is one
        session.query_unpaged(statement, ()).await.unwrap();
    };
    let mut fetch = std::pin::pin!(session.get_tracing_info(&id));
    let early = Duration::from_millis(30);
    assert!(tokio::time::timeout(early, &mut fetch).await.is_err(), "there is none");
    write("request", "'Execute'").await;
    assert!(tokio::time::timeout(early, &mut fetch).await.is_err(), "it is not complete");
    write("duration", "42").await;
    let trace = fetch.await.unwrap();
    assert_eq!((trace.duration, trace.request.as_deref()), (Some(42), Some("Execute")));
    assert_eq!((trace.client, trace.parameters, trace.events), (None, None, Vec::new()));
}

#[tokio::test]
async fn a_trace_that_never_comes_is_an_error() {
    let (_cluster, session) = start(Cluster::builder()).await;
    let error = session.get_tracing_info(&Uuid::nil()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Result, "{error}");
}

#[tokio::test]
async fn warnings_and_payloads_come_with_the_result() {
    for compression in [None, Some(Compression::Lz4)] {
        let cluster = Cluster::builder().start().await.unwrap();
        let session = builder(&cluster).compression(compression).build().await.unwrap();
        table(&session).await;
        let mut insert = session.prepare(INSERT).await.unwrap();
        let mut select = session.prepare("SELECT name FROM k.t WHERE id = ?").await.unwrap();
        let mut text = Statement::new("SELECT name FROM k.t");
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.append_statement(insert.clone());
        let plain = session.execute_unpaged(&insert, (1_i64, "lamp")).await.unwrap();
        assert_eq!((plain.warnings().count(), plain.custom_payload().count()), (0, 0));

        let warnings = ["slow", "very slow"];
        let annotate = FaultAction::Annotate { warnings: warnings.map(str::to_owned).to_vec() };
        cluster.add_fault(FaultRule::new(annotate));
        let payload: [(&str, &[u8]); 3] = [("key", b"value"), ("empty", b""), ("long", &[7; 5000])];
        let check = |result: &QueryResult, is_traced: bool| {
            assert!(result.warnings().eq(warnings));
            let sent = payload.map(|(key, content)| (key, Some(content)));
            assert!(result.custom_payload().eq(sent));
            assert_eq!(result.tracing_id().is_some(), is_traced);
        };
        insert.set_custom_payload(payload).unwrap();
        select.set_custom_payload(payload).unwrap();
        text.set_custom_payload(payload).unwrap();
        batch.set_custom_payload(payload).unwrap();
        for is_traced in [false, true] {
            insert.set_tracing(is_traced);
            select.set_tracing(is_traced);
            text.set_tracing(is_traced);
            batch.set_tracing(is_traced);
            let row = (2_i64, "table");
            check(&session.execute_unpaged(&insert, row).await.unwrap(), is_traced);
            check(&session.batch(&batch, [(1_i64, "lamp")]).await.unwrap(), is_traced);
            let result = session.execute_unpaged(&select, (2_i64,)).await.unwrap();
            check(&result, is_traced);
            let rows = result.rows_result().unwrap();
            assert_eq!(rows.single_row::<(&str,)>().unwrap(), ("table",));
            let (page, paging) =
                session.execute_single_page(&select, (1_i64,), None).await.unwrap();
            check(&page, is_traced);
            assert!(paging.finished());
            let result = session.query_unpaged(text.clone(), ()).await.unwrap();
            check(&result, is_traced);
            assert_eq!(result.rows_result().unwrap().rows_num(), 2);
        }
        insert.set_custom_payload::<&str, &[u8]>([]).unwrap();
        let result = session.execute_unpaged(&insert, (1_i64, "lamp")).await.unwrap();
        assert_eq!(result.custom_payload().count(), 0);
    }
}
