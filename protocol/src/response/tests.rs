//! Tests of the responses: golden bytes, truncation at every byte, mutation, garbage.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::error::Malformed;
use crate::header::Version;
use crate::metadata::ResultMetadata;
use crate::rows::{RowsBody, RowsMetadata};
use crate::supported::Supported;
use crate::value::RawValue;

/// Puts a body together.
#[derive(Clone, Default)]
pub(crate) struct Build(pub(crate) Vec<u8>);

impl Build {
    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn string(self, text: &str) -> Self {
        self.short_bytes(text.as_bytes())
    }

    pub(crate) fn short_bytes(self, bytes: &[u8]) -> Self {
        self.u16(u16::try_from(bytes.len()).unwrap()).raw(bytes)
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        self.u32(u32::try_from(bytes.len()).unwrap()).raw(bytes)
    }

    pub(crate) fn list(self, texts: &[&str]) -> Self {
        let start = self.u16(u16::try_from(texts.len()).unwrap());
        texts.iter().fold(start, |body, text| body.string(text))
    }
}

pub(crate) fn build() -> Build {
    Build::default()
}

pub(super) fn header(opcode: Opcode, flags: u8) -> ResponseHeader {
    ResponseHeader { version: Version::V4, flags, stream: 1, opcode, body_len: 0 }
}

fn agreed() -> Agreed {
    agreed_on(Version::V4)
}

pub(super) fn agreed_on(version: Version) -> Agreed {
    Agreed { rate_limit_error: Some(0xF000), ..Agreed::on(version) }
}

/// Everything that a body says, walked to its end.
pub(super) fn show(
    opcode: Opcode,
    flags: u8,
    agreed: &Agreed,
    bytes: &[u8],
) -> Result<String, FrameError> {
    let header = ResponseHeader { version: agreed.version, ..header(opcode, flags) };
    let body = Body::parse(&header, bytes)?;
    let mut text = String::new();
    if let Some(id) = body.tracing_id {
        writeln!(text, "tracing id {id}").unwrap();
    }
    if let Some(warnings) = body.warnings {
        writeln!(text, "warnings {:?}", warnings.collect::<Vec<_>>()).unwrap();
    }
    if let Some(payload) = body.custom_payload {
        writeln!(text, "payload {:?}", payload.collect::<Vec<_>>()).unwrap();
    }
    let known = ResultMetadata::default();
    match body.response(agreed, Some(&known))? {
        Response::AuthChallenge(body) => write!(text, "{body:?}"),
        Response::AuthSuccess(body) => write!(text, "{body:?}"),
        Response::Authenticate(body) => write!(text, "{body:?}"),
        Response::Error(body) => {
            write!(text, "{} {:?} ", body.code, body.message).unwrap();
            match body.detail {
                ErrorDetail::FunctionFailure { keyspace, function, argument_types } => {
                    let types: Vec<_> = argument_types.collect();
                    write!(text, "{keyspace}.{function}{types:?}")
                }
                detail => write!(text, "{}", format!("{detail:?}").replace(", ", "\n")),
            }
        }
        Response::Event(EventBody::SchemaChange(change)) => {
            text += &show_change(change);
            Ok(())
        }
        Response::Event(EventBody::ClientRoutesChange(change)) => {
            let (connections, hosts) = (change.connection_ids, change.host_ids);
            write!(text, "{:?} {:?}", connections.collect::<Vec<_>>(), hosts.collect::<Vec<_>>())
        }
        Response::Event(event) => write!(text, "{}", format!("{event:?}").replace(", ", "\n")),
        Response::Ready(body) => write!(text, "{body:?}"),
        Response::Result(ResultBody::Void) => write!(text, "Void"),
        Response::Result(ResultBody::SetKeyspace { keyspace }) => write!(text, "use {keyspace}"),
        Response::Result(ResultBody::SchemaChange(change)) => {
            text += &show_change(change);
            Ok(())
        }
        Response::Result(ResultBody::Prepared(body)) => {
            let bind = body.bind.to_metadata(Some(1 << 31))?;
            let result = ResultMetadata::parse(&body.result)?;
            assert!(result.matches(&body.result));
            writeln!(text, "id {:x?} {:x?}", body.id, body.result_metadata_id).unwrap();
            writeln!(text, "lwt {} key {:?}", bind.is_lwt, bind.partition_key_indexes).unwrap();
            text += &show_columns(&bind.columns);
            text += "\n-> ";
            text += &show_columns(&result.columns);
            Ok(())
        }
        Response::Result(ResultBody::Rows(rows)) => {
            text += &show_rows(&rows)?;
            Ok(())
        }
        Response::Supported(body) => {
            for (key, values) in body {
                write!(text, "{key}={:?} ", values.collect::<Vec<_>>()).unwrap();
            }
            write!(text, "scylla {}", Supported::from_body(&body).is_scylla())
        }
    }
    .unwrap();
    Ok(text)
}

fn show_columns(columns: &[crate::types::ColumnSpec]) -> String {
    let columns = columns.iter().map(|column| {
        format!("{}.{}.{} {}", column.keyspace, column.table, column.name, column.typ)
    });
    columns.collect::<Vec<_>>().join(", ")
}

fn show_change(change: SchemaChange<'_>) -> String {
    let target = match change.target {
        SchemaTarget::Function { name, argument_types }
        | SchemaTarget::Aggregate { name, argument_types } => {
            format!("{name}{:?}", argument_types.collect::<Vec<_>>())
        }
        target => format!("{target:?}"),
    };
    format!("{:?} in {:?}: {target}", change.kind, change.keyspace)
}

fn show_rows(rows: &RowsBody<'_>) -> Result<String, Malformed> {
    let mut text = format!(
        "{} x {} page {:?} id {:?} ",
        rows.rows_count, rows.column_count, rows.paging_state, rows.new_metadata_id
    );
    if let RowsMetadata::Present { raw } = rows.metadata {
        let metadata = ResultMetadata::parse(&raw)?;
        assert!(metadata.matches(&raw));
        text += &show_columns(&metadata.columns);
        // One row type that fits any two columns; other counts are refused.
        if let Ok(typed) = rows.rows::<(RawValue<'_>, RawValue<'_>)>(&metadata.columns) {
            assert_eq!(typed.len(), usize::try_from(rows.rows_count).unwrap());
            for row in typed {
                match row {
                    Ok((a, b)) => write!(text, " {:?}", (a.content, b.content)).unwrap(),
                    Err(error) => write!(text, " {error}").unwrap(),
                }
            }
        }
    }
    Ok(text)
}

/// A golden body of all versions.
#[track_caller]
pub(super) fn check(opcode: Opcode, flags: u8, body: Build, expected: Expect) {
    for version in [Version::V3, Version::V4] {
        check_in(&agreed_on(version), opcode, flags, body.clone(), &expected);
    }
    if !of_another_form(opcode, &body.0) {
        check_in(&agreed_on(Version::V5), opcode, flags, body, &expected);
    }
}

/// Whether version 5 has another form of this message: PREPARED and the errors that tell who
/// failed.
fn of_another_form(opcode: Opcode, body: &[u8]) -> bool {
    let code = body.first_chunk().map_or(0, |code| u32::from_be_bytes(*code));
    match opcode {
        Opcode::Result => code == 4,
        Opcode::Error => matches!(code, 0x1300 | 0x1500),
        _ => false,
    }
}

/// A golden body: shown as expected, an error when cut anywhere, the same with a tail.
#[track_caller]
pub(super) fn check_in(agreed: &Agreed, opcode: Opcode, flags: u8, body: Build, expected: &Expect) {
    let shown = show(opcode, flags, agreed, &body.0).unwrap();
    expected.assert_eq(&shown);
    for len in 0..body.0.len() {
        let cut = show(opcode, flags, agreed, &body.0[..len]);
        assert!(cut.is_err(), "cut to {len} bytes: {cut:?}");
    }
    let longer = body.raw(&[0xDE, 0xAD]);
    assert_eq!(show(opcode, flags, agreed, &longer.0).unwrap(), shown, "unknown tail");
}

#[test]
fn ready_and_authentication() {
    check(Opcode::Ready, 0, build(), expect!["ReadyBody"]);
    check(
        Opcode::Authenticate,
        0,
        build().string("org.example.Auth"),
        expect![[r#"AuthenticateBody { authenticator: "org.example.Auth" }"#]],
    );
    check(
        Opcode::AuthChallenge,
        0,
        build().bytes(b"?"),
        expect!["AuthChallengeBody { token: Some([63]) }"],
    );
    check(
        Opcode::AuthSuccess,
        0,
        build().u32(u32::MAX),
        expect!["AuthSuccessBody { token: None }"],
    );
}

#[test]
fn parts_before_the_message() {
    let body = build()
        .raw(&[0x11; 16])
        .list(&["slow", ""])
        .u16(2)
        .string("a")
        .bytes(&[1, 2])
        .string("b")
        .u32(u32::MAX)
        .u32(1);
    check(
        Opcode::Result,
        0x0E,
        body.clone(),
        expect![[r#"
            tracing id 11111111-1111-1111-1111-111111111111
            warnings ["slow", ""]
            payload [("a", Some([1, 2])), ("b", None)]
            Void"#]],
    );
    let parsed = Body::parse(&header(Opcode::Result, 0x0E), &body.0).unwrap();
    assert_eq!(parsed.payload("a"), Some(&[1, 2][..]));
    assert_eq!(parsed.payload("b"), None);
    assert_eq!(parsed.payload("c"), None);
    assert_eq!(parsed.message.offset(), body.0.len() - 4, "offsets count from the body's start");
}

#[test]
fn requests_are_no_responses() {
    let body = Body::parse(&header(Opcode::Query, 0), &[]).unwrap();
    let error = body.response(&Agreed::default(), None).unwrap_err();
    assert_eq!(error, PeerMisbehaved::UnexpectedOpcode(Opcode::Query).into());
}

#[test]
fn plain_void() {
    let void = [0, 0, 0, 1];
    assert!(is_plain_void(&header(Opcode::Result, 0), &void));
    assert!(is_plain_void(&header(Opcode::Result, 0), &[0, 0, 0, 1, 9]));
    assert!(!is_plain_void(&header(Opcode::Result, 0), &void[..3]));
    assert!(!is_plain_void(&header(Opcode::Result, 0), &[0, 0, 0, 2]));
    assert!(!is_plain_void(&header(Opcode::Result, 8), &void));
    assert!(!is_plain_void(&header(Opcode::Error, 0), &void));
    check(Opcode::Result, 0, build().u32(1), expect!["Void"]);
}

/// What `plain_rows_count` accepts is what `ResultBody::parse` reads, with the same cells.
#[test]
fn plain_rows() {
    let cells = [0xFF; 24]; // nulls: 3 rows of 2, or 2 of 3
    let body = build().u32(2).u32(4).u32(2).u32(3).raw(&cells).0;
    assert_eq!(plain_rows_count(&body, 2), Some(3));
    assert_eq!(plain_rows_count(&body, 3), None);
    let check = |body: &[u8]| {
        for column_count in [0, 1, 2, 3, 0x1_0002] {
            let Some(count) = plain_rows_count(body, column_count) else { continue };
            match ResultBody::parse(Reader::new(body), &Agreed::default(), None) {
                Ok(ResultBody::Rows(rows)) => {
                    assert_eq!((rows.column_count, rows.rows_count), (column_count, count));
                    assert_eq!(rows.metadata, RowsMetadata::Skipped);
                    assert_eq!((rows.paging_state, rows.new_metadata_id), (None, None));
                    assert_eq!(rows.cells(), &body[PLAIN_ROWS_LEN..]);
                }
                other => panic!("{other:?}"),
            }
        }
    };
    for index in 0..body.len() {
        assert_eq!(plain_rows_count(&body[..index], 2), None, "cut to {index}");
        for byte in 0..=255 {
            let mut body = body.clone();
            body[index] = byte;
            check(&body);
        }
    }
    // Rows of no cells would take no bytes; a product beyond 32 bits.
    assert_eq!(plain_rows_count(&build().u32(2).u32(4).u32(0).u32(1).0, 0), None);
    let body = build().u32(2).u32(4).u32(0x8000).u32(0x8000_0000).raw(&cells).0;
    assert_eq!(plain_rows_count(&body, 0x8000), None);
    let body = build().u32(2).u32(4).u32(u32::MAX).u32(u32::MAX).raw(&cells).0;
    assert_eq!(plain_rows_count(&body, u32::MAX), None);
    // Longer contents: fewer rows than would fit.
    let body = build().u32(2).u32(4).u32(1).u32(0).raw(&cells).0;
    assert_eq!(plain_rows_count(&body, 1), Some(0));
}

#[test]
fn results_of_definitions() {
    let body = build().u32(3).string("ks");
    check(Opcode::Result, 0, body, expect!["use ks"]);
    let body = build().u32(5).string("CREATED").string("TABLE").string("ks").string("t");
    check(Opcode::Result, 0, body, expect![[r#"Created in "ks": Table { name: "t" }"#]]);
}

pub(super) fn error(code: u32) -> Build {
    build().u32(code).string("no")
}

#[test]
fn errors() {
    let plain: [u32; 12] = [
        0x0000, 0x000A, 0x0100, 0x1001, 0x1002, 0x1003, 0x1600, 0x2000, 0x2100, 0x2200, 0x2300,
        0x7777,
    ];
    let mut lines = String::new();
    for code in plain {
        let line = show(Opcode::Error, 0, &agreed(), &error(code).0).unwrap();
        let in_v5 = show(Opcode::Error, 0, &agreed_on(Version::V5), &error(code).0).unwrap();
        assert_eq!(line, in_v5);
        lines += &line;
        lines += "\n";
    }
    expect![[r#"
        server error "no" None
        protocol error "no" None
        bad credentials "no" None
        overloaded "no" None
        is bootstrapping "no" None
        truncate error "no" None
        CDC write failure "no" None
        syntax error "no" None
        unauthorized "no" None
        invalid "no" None
        config error "no" None
        error 0x7777 "no" None
    "#]]
    .assert_eq(&lines);
    let check = |body: Build, expected: Expect| check(Opcode::Error, 0, body, expected);
    check(error(0x2200), expect![[r#"invalid "no" None"#]]);
    check(
        error(0x1000).u16(6).u32(2).u32(1),
        expect![[r#"
            unavailable "no" Unavailable { consistency: LocalQuorum
            required: 2
            alive: 1 }"#]],
    );
    check(
        error(0x1100).u16(1).u32(0).u32(1).string("BATCH_LOG"),
        expect![[r#"
            write timeout "no" WriteTimeout { consistency: One
            received: 0
            block_for: 1
            write_type: BatchLog
            contentions: None }"#]],
    );
    check(
        error(0x1100).u16(1).u32(0).u32(1).string("NEW"),
        expect![[r#"
            write timeout "no" WriteTimeout { consistency: One
            received: 0
            block_for: 1
            write_type: Other("NEW")
            contentions: None }"#]],
    );
    check(
        error(0x1200).u16(1).u32(1).u32(2).u8(1),
        expect![[r#"
            read timeout "no" ReadTimeout { consistency: One
            received: 1
            block_for: 2
            data_present: true }"#]],
    );
    check(
        error(0x1300).u16(1).u32(1).u32(2).u32(3).u8(0),
        expect![[r#"
            read failure "no" ReadFailure { consistency: One
            received: 1
            block_for: 2
            failures: Count(3)
            data_present: false }"#]],
    );
    check(
        error(0x1400).string("ks").string("f").list(&["int", "text"]),
        expect![[r#"function failure "no" ks.f["int", "text"]"#]],
    );
    check(
        error(0x1500).u16(10).u32(1).u32(2).u32(3).string("CAS"),
        expect![[r#"
            write failure "no" WriteFailure { consistency: LocalOne
            received: 1
            block_for: 2
            failures: Count(3)
            write_type: Cas }"#]],
    );
    check(
        error(0x1700).u16(8).u32(1).u32(2),
        expect![[r#"
            CAS write unknown "no" CasWriteUnknown { consistency: Serial
            received: 1
            block_for: 2 }"#]],
    );
    check(
        error(0x2400).string("ks").string(""),
        expect![[r#"
            already exists "no" AlreadyExists { keyspace: "ks"
            table: "" }"#]],
    );
    check(
        error(0x2500).short_bytes(&[1, 2]),
        expect![[r#"
            unprepared "no" Unprepared { id: [1
            2] }"#]],
    );
    check(
        error(0xF000).u8(1).u8(1),
        expect![[r#"
            error 0xf000 "no" RateLimited { operation: Write
            rejected_by_coordinator: true }"#]],
    );
}

/// The forms that only version 5 has.
#[test]
fn errors_of_version_5() {
    let check = |body: Build, expected: Expect| {
        check_in(&agreed_on(Version::V5), Opcode::Error, 0, body, &expected);
    };
    let reasons = |body: Build| {
        let body = body.u32(2).u8(4).raw(&[127, 0, 0, 1]).u16(1);
        body.u8(16).raw(&[0; 15]).u8(1).u16(0xFFFF)
    };
    check(
        reasons(error(0x1300).u16(1).u32(1).u32(2)).u8(1),
        expect![[r#"
            read failure "no" ReadFailure { consistency: One
            received: 1
            block_for: 2
            failures: Reasons({127.0.0.1: 1
            ::1: 65535})
            data_present: true }"#]],
    );
    check(
        reasons(error(0x1500).u16(1).u32(1).u32(2)).string("SIMPLE"),
        expect![[r#"
            write failure "no" WriteFailure { consistency: One
            received: 1
            block_for: 2
            failures: Reasons({127.0.0.1: 1
            ::1: 65535})
            write_type: Simple }"#]],
    );
    check(
        error(0x1500).u16(1).u32(1).u32(2).u32(0).string("CAS"),
        expect![[r#"
            write failure "no" WriteFailure { consistency: One
            received: 1
            block_for: 2
            failures: Reasons({})
            write_type: Cas }"#]],
    );
    let body = reasons(error(0x1300).u16(1).u32(1).u32(2)).u8(1).0;
    let parsed = ErrorBody::parse(Reader::new(&body), &Agreed::on(Version::V5)).unwrap();
    let ErrorDetail::ReadFailure { failures, .. } = parsed.detail else { panic!("{parsed:?}") };
    assert_eq!(failures.count(), 2);
    let Failures::Reasons(mut reasons) = failures else { panic!("{failures:?}") };
    assert_eq!(reasons.len(), 2);
    assert_eq!(reasons.next(), Some(([127, 0, 0, 1].into(), 1)));
    // Counts that the body cannot hold, and an address of no family.
    for count in [3, 0x7FFF_FFFF, u32::MAX] {
        let body = error(0x1300).u16(1).u32(1).u32(2).u32(count).raw(&[4; 14]).0;
        assert!(show(Opcode::Error, 0, &agreed_on(Version::V5), &body).is_err(), "{count}");
    }
    let body = error(0x1300).u16(1).u32(1).u32(2).u32(1).raw(&[5; 14]).0;
    assert!(show(Opcode::Error, 0, &agreed_on(Version::V5), &body).is_err());
}

/// What may be missing altogether, but not in part.
#[test]
fn optional_ends_of_errors() {
    let show = |version, body: &Build| {
        let shown = show(Opcode::Error, 0, &agreed_on(version), &body.0);
        shown.map(|text| text.lines().last().unwrap().to_owned())
    };
    let cas = error(0x1100).u16(1).u32(0).u32(1).string("CAS");
    assert_eq!(show(Version::V5, &cas).unwrap(), "contentions: None }");
    assert!(show(Version::V5, &cas.clone().u8(0)).is_err());
    assert_eq!(show(Version::V5, &cas.clone().u16(258)).unwrap(), "contentions: Some(258) }");
    assert_eq!(show(Version::V4, &cas.u16(258)).unwrap(), "contentions: None }");
    let simple = error(0x1100).u16(1).u32(0).u32(1).string("SIMPLE").u16(258);
    assert_eq!(show(Version::V5, &simple).unwrap(), "contentions: None }");

    let failed = error(0x1800);
    assert!(show(Version::V5, &failed).unwrap().ends_with("CommandFailed { id: None }"));
    let with_id = failed.raw(&[0x11; 16]);
    let shown = show(Version::V5, &with_id).unwrap();
    assert!(shown.ends_with("{ id: Some(11111111-1111-1111-1111-111111111111) }"), "{shown}");
    for len in error(0x1800).0.len() + 1..with_id.0.len() {
        assert!(show(Version::V5, &build().raw(&with_id.0[..len])).is_err(), "{len}");
    }
}

#[test]
fn rate_limit_code_is_the_announced_one() {
    let body = error(0xF000).0;
    assert!(show(Opcode::Error, 0, &agreed(), &body).is_err(), "its details are missing");
    let plain = show(Opcode::Error, 0, &Agreed::default(), &body).unwrap();
    assert_eq!(plain, r#"error 0xf000 "no" None"#);
}

#[test]
fn events() {
    let check = |body: Build, expected: Expect| check(Opcode::Event, 0, body, expected);
    let inet = |body: Build| body.u8(4).raw(&[127, 0, 0, 1]).u32(9042);
    check(
        inet(build().string("TOPOLOGY_CHANGE").string("NEW_NODE")),
        expect![[r#"
            TopologyChange { change: NewNode
            address: 127.0.0.1:9042 }"#]],
    );
    check(
        inet(build().string("STATUS_CHANGE").string("DOWN")),
        expect![[r#"
            StatusChange { change: Down
            address: 127.0.0.1:9042 }"#]],
    );
    check(
        inet(build().string("STATUS_CHANGE").string("ODD")),
        expect![[r#"Other { event_type: "STATUS_CHANGE" }"#]],
    );
    check(
        build().string("STATUS_CHANGE").string("UP").u8(16).raw(&[0; 15]).u8(1).u32(9),
        expect![[r#"
            StatusChange { change: Up
            address: [::1]:9 }"#]],
    );
    let schema = |kind: &str, target: &str| {
        build().string("SCHEMA_CHANGE").string(kind).string(target).string("ks")
    };
    check(schema("UPDATED", "KEYSPACE"), expect![[r#"Updated in "ks": Keyspace"#]]);
    check(
        schema("DROPPED", "TYPE").string("t"),
        expect![[r#"Dropped in "ks": Type { name: "t" }"#]],
    );
    check(
        schema("ODD", "TABLE").string("t"),
        expect![[r#"Other("ODD") in "ks": Table { name: "t" }"#]],
    );
    check(
        schema("CREATED", "FUNCTION").string("f").list(&["int"]),
        expect![[r#"Created in "ks": f["int"]"#]],
    );
    check(
        schema("CREATED", "AGGREGATE").string("f").list(&[]),
        expect![[r#"Created in "ks": f[]"#]],
    );
    check(
        build().string("SCHEMA_CHANGE").string("CREATED").string("ODD"),
        expect![[r#"Created in "": Other { target: "ODD" }"#]],
    );
    check(
        build().string("CLIENT_ROUTES_CHANGE").string("UPDATE_NODES").list(&["c"]).list(&["h"]),
        expect![[r#"["c"] ["h"]"#]],
    );
    check(
        build().string("CLIENT_ROUTES_CHANGE").string("ODD"),
        expect![[r#"Other { event_type: "CLIENT_ROUTES_CHANGE" }"#]],
    );
    check(build().string("ODD"), expect![[r#"Other { event_type: "ODD" }"#]]);
}

#[test]
fn supported_options() {
    let body = build().u16(2).string("COMPRESSION").list(&["lz4", "snappy"]).string("X").list(&[]);
    check(
        Opcode::Supported,
        0,
        body.clone(),
        expect![[r#"COMPRESSION=["lz4", "snappy"] X=[] scylla false"#]],
    );
    let parsed = SupportedBody::parse(Reader::new(&body.0)).unwrap();
    assert_eq!(parsed.values("COMPRESSION").unwrap().next(), Some("lz4"));
    assert!(parsed.values("Y").is_none());
}

fn prepared_insert() -> Build {
    build()
        .u32(4)
        .short_bytes(&[7; 2])
        .u32(0x8000_0001)
        .u32(2)
        .u32(1)
        .u16(1)
        .string("ks")
        .string("t")
        .string("v")
        .u16(3)
        .string("k")
        .u16(2)
        .u32(4) // no metadata
        .u32(0)
}

fn prepared_select() -> Build {
    build()
        .u32(4)
        .short_bytes(&[7])
        .u32(0) // table per column
        .u32(1)
        .u32(0)
        .string("ks")
        .string("t")
        .string("k")
        .u16(2)
        .u32(1)
        .u32(2)
        .string("ks")
        .string("t")
        .string("k")
        .u16(2)
        .string("l")
        .u16(0x20)
        .u16(0x0D)
}

#[test]
fn prepared() {
    let check = |body: Build, expected: Expect| check(Opcode::Result, 0, body, expected);
    check(
        prepared_insert(),
        expect![[r#"
            id [7, 7] None
            lwt true key [1]
            ks.t.v blob, ks.t.k bigint
            -> "#]],
    );
    check(
        prepared_select(),
        expect![[r#"
            id [7] None
            lwt false key []
            ks.t.k bigint
            -> ks.t.k bigint, ks.t.l list<text>"#]],
    );
    let with_id = Agreed { metadata_id: true, ..Agreed::default() };
    let body = build().u32(4).short_bytes(&[7]).short_bytes(&[8, 9]).raw(&prepared_select().0[7..]);
    let expected = expect![[r#"
        id [7] Some([8, 9])
        lwt false key []
        ks.t.k bigint
        -> ks.t.k bigint, ks.t.l list<text>"#]];
    check_in(&with_id, Opcode::Result, 0, body.clone(), &expected);
    check_in(&Agreed::on(Version::V5), Opcode::Result, 0, body, &expected);
    // An empty id, and nothing to select.
    let body = build().u32(4).short_bytes(&[7; 2]).short_bytes(&[]).raw(&prepared_insert().0[8..]);
    let expected = expect![[r#"
        id [7, 7] Some([])
        lwt true key [1]
        ks.t.v blob, ks.t.k bigint
        -> "#]];
    check_in(&Agreed::on(Version::V5), Opcode::Result, 0, body, &expected);
}

#[test]
fn hostile_counts_of_prepared_are_refused() {
    let head = || build().u32(4).short_bytes(&[7]).u32(1);
    let refused = |body: Build| match show(Opcode::Result, 0, &agreed(), &body.0) {
        Err(FrameError::Malformed(error)) => error,
        other => panic!("{other:?}"),
    };
    let count = |what| move |error| matches!(error, Malformed::Count { what: w, .. } if w == what);
    assert!(count("bind marker count")(refused(head().u32(0x7FFF_FFFF).u32(0))));
    // Bytes enough for the markers, not for so many key columns.
    let keys = head().u32(1).u32(0x7FFF_FFFF).raw(&[0; 64]);
    assert!(count("partition key column count")(refused(keys)));
    let keys = head().u32(1).u32(2).raw(&[0; 64]);
    assert!(count("partition key column count")(refused(keys)));
    let index = refused(head().u32(1).u32(1).u16(1).raw(&[0; 64]));
    assert!(matches!(index, Malformed::UnknownCode { what: "partition key index", code: 1, .. }));
    // Result columns, with and without metadata.
    let bind = || head().u32(0).u32(0).string("").string("");
    for flags in [0, 1, 4] {
        let body = bind().u32(flags).u32(0x7FFF_FFFF).raw(&[0; 64]);
        assert!(count("column count")(refused(body)), "flags {flags}");
    }
}

/// Bodies to start from when mutating.
fn goldens() -> Vec<(Opcode, u8, Vec<u8>)> {
    let rows = build()
        .u32(2)
        .u32(3)
        .u32(2)
        .bytes(b"page")
        .string("ks")
        .string("t")
        .string("a")
        .u16(2)
        .string("b")
        .u16(0x21)
        .u16(0x0D)
        .u16(0x31)
        .u16(1)
        .u16(9)
        .u32(2)
        .bytes(&[0; 8])
        .u32(u32::MAX)
        .bytes(&[1; 8])
        .bytes(b"text");
    vec![
        (Opcode::Result, 0, rows.0),
        (Opcode::Result, 0, prepared_insert().0),
        (Opcode::Result, 0, prepared_select().0),
        (Opcode::Result, 0x0A, build().raw(&[1; 16]).list(&["w"]).u32(1).0),
        (Opcode::Error, 0, error(0x1500).u16(1).u32(1).u32(2).u32(3).string("CAS").0),
        (Opcode::Error, 0, error(0x1400).string("ks").string("f").list(&["int"]).0),
        (Opcode::Event, 0, build().string("STATUS_CHANGE").string("UP").u8(4).u32(1).u32(2).0),
        (Opcode::Supported, 0, build().u16(1).string("SCYLLA_SHARD").list(&["3"]).0),
    ]
}

const RESPONSES: [Opcode; 8] = [
    Opcode::Error,
    Opcode::Ready,
    Opcode::Authenticate,
    Opcode::Supported,
    Opcode::Result,
    Opcode::Event,
    Opcode::AuthChallenge,
    Opcode::AuthSuccess,
];

proptest! {
    /// Whatever the peer sends: a meaning or an error, never a panic.
    #[test]
    fn garbage(
        opcode in prop::sample::select(&RESPONSES),
        flags: u8,
        bytes in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let _ = show(opcode, flags, &agreed(), &bytes);
        let _ = show(opcode, flags, &agreed_on(Version::V5), &bytes);
    }

    /// Results by their kind: garbage rarely gets that far.
    #[test]
    fn garbage_results(
        kind in 0_u32..7,
        flags in 0_u32..16,
        count in 0_u32..4,
        metadata_id: bool,
        bytes in prop::collection::vec(prop_oneof![4 => 0_u8..4, 1 => any::<u8>()], 0..120),
    ) {
        let version = if metadata_id { Version::V5 } else { Version::V4 };
        let agreed = agreed_on(version);
        let body = build().u32(kind).u32(flags).u32(count).raw(&bytes);
        let _ = show(Opcode::Result, 0, &agreed, &body.0);
    }

    #[test]
    fn mutated_goldens(
        golden in prop::sample::select(goldens()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (opcode, flags, mut bytes) = golden;
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let _ = show(opcode, flags, &agreed(), &bytes);
        let _ = show(opcode, flags, &agreed_on(Version::V5), &bytes);
    }
}
