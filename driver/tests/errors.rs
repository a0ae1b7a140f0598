//! Errors that a node answers with come with their fields and the node's address.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use common::{keyspace, start};
use shardwire::{Consistency, DbError, ErrorKind, WriteType};
use shardwire_server::{Cluster, FaultAction, FaultRule};

const INSERT: &str = "INSERT INTO k.t (id, name) VALUES (?, ?)";

/// What of it went wrong, without what differs from one message to the next.
#[track_caller]
fn check(error: &shardwire::Error, cluster: &Cluster, code: i32, expect: &DbError) {
    assert_eq!(error.kind(), ErrorKind::Database, "{error}");
    assert!(error.was_sent());
    let answer = error.database().unwrap();
    assert_eq!((answer.code(), error.database_code()), (code, Some(code)));
    assert_eq!(answer.db_error(), expect);
    let ip = answer.peer().unwrap().ip();
    assert!(cluster.contact_points().iter().any(|point| point.ip() == ip));
    assert_eq!(error.database_message(), Some(answer.message()));
}

#[tokio::test]
async fn statements_that_are_wrong() {
    let (cluster, session) = start(Cluster::builder().nodes(2)).await;
    keyspace(&session, 1).await;
    let create = "CREATE TABLE k.t (id bigint PRIMARY KEY, name text)";
    session.query_unpaged(create, ()).await.unwrap();

    let fail = async |text: &str| session.query_unpaged(text, ()).await.unwrap_err();
    check(&fail("SELEC").await, &cluster, 0x2000, &DbError::SyntaxError);
    check(&fail("SELECT id FROM k.none").await, &cluster, 0x2200, &DbError::Invalid);
    let exists = DbError::AlreadyExists { keyspace: "k".into(), table: "t".into() };
    check(&fail(create).await, &cluster, 0x2400, &exists);
    let exists = DbError::AlreadyExists { keyspace: "k".into(), table: "".into() };
    let replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
    let create = format!("CREATE KEYSPACE k WITH replication = {replication}");
    check(&fail(&create).await, &cluster, 0x2400, &exists);
}

#[tokio::test]
async fn errors_of_the_database() {
    let (cluster, session) = start(Cluster::builder().nodes(2)).await;
    keyspace(&session, 1).await;
    let create = "CREATE TABLE k.t (id bigint PRIMARY KEY, name text)";
    session.query_unpaged(create, ()).await.unwrap();
    let insert = session.prepare(INSERT).await.unwrap();

    let consistency = Consistency::LocalQuorum;
    let (received, required) = (1, 2);
    let errors = [
        (0x0000, DbError::ServerError),
        (0x000A, DbError::ProtocolError),
        (0x0100, DbError::AuthenticationError),
        (0x1000, DbError::Unavailable { consistency, required: 2, alive: 1 }),
        (0x1001, DbError::Overloaded),
        (0x1002, DbError::IsBootstrapping),
        (0x1003, DbError::TruncateError),
        (
            0x1100,
            DbError::WriteTimeout {
                consistency,
                received,
                required,
                write_type: WriteType::Simple,
                contentions: None,
            },
        ),
        (0x1200, DbError::ReadTimeout { consistency, received, required, data_present: false }),
        (0x1600, DbError::CdcWriteFailure),
        (0x1700, DbError::CasWriteUnknown { consistency, received, required }),
        (0x1800, DbError::CommandFailed { id: None }),
        (
            0x1400,
            DbError::FunctionFailure {
                keyspace: "ks".into(),
                function: "f".into(),
                arg_types: Box::default(),
            },
        ),
        (0x2100, DbError::Unauthorized),
        (0x2300, DbError::ConfigError),
    ];
    for (code, expect) in errors {
        let message = "as asked".to_owned();
        let fault = FaultAction::Error { code, message };
        cluster.add_fault(FaultRule::new(fault).opcode("EXECUTE"));
        let error = session.execute_unpaged(&insert, (7_i64, "the value")).await.unwrap_err();
        check(&error, &cluster, code, &expect);
        assert_eq!(error.database_message(), Some("as asked"));
        assert!(!format!("{error} {error:?}").contains("the value"), "{error}");
        cluster.clear_faults();
    }
    for code in [0x1300, 0x1500] {
        let fault = FaultAction::Error { code, message: String::new() };
        cluster.add_fault(FaultRule::new(fault).opcode("EXECUTE"));
        let error = session.execute_unpaged(&insert, (7_i64, "")).await.unwrap_err();
        let failures = match error.database().unwrap().db_error() {
            DbError::ReadFailure { failures, data_present: false, .. } => failures,
            DbError::WriteFailure { failures, write_type: WriteType::Simple, .. } => failures,
            other => panic!("{other:?}"),
        };
        assert_eq!(failures.count(), 1);
        assert_eq!(failures.reasons(), []); // which version 4 does not tell
        cluster.clear_faults();
    }
}

#[tokio::test]
async fn a_statement_that_a_node_never_knows() {
    let (cluster, session) = start(Cluster::builder()).await;
    keyspace(&session, 1).await;
    let create = "CREATE TABLE k.t (id bigint PRIMARY KEY, name text)";
    session.query_unpaged(create, ()).await.unwrap();
    let insert = session.prepare(INSERT).await.unwrap();
    cluster.add_fault(FaultRule::new(FaultAction::Unprepared).opcode("EXECUTE"));
    let error = session.execute_unpaged(&insert, (7_i64, "")).await.unwrap_err();
    let expect = DbError::Unprepared { statement_id: insert.get_id().into() };
    check(&error, &cluster, 0x2500, &expect);
    assert!(error.is_safe_to_retry());
}
