//! Tests of the responses: every number and name that they are made of, and round trips.

use std::net::{IpAddr, SocketAddr};

use expect_test::expect;
use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::{Build, agreed_on, build, check, check_in, error, header, show};
use super::*;
use crate::consistency::Consistency;
use crate::error::Malformed;
use crate::rows::RowsMetadata;
use crate::types::codec_tests::{put_type, types};
use crate::types::{ColumnSpec, ColumnType};

const VERSIONS: [Version; 3] = [Version::V3, Version::V4, Version::V5];

fn in_error(version: Version, body: &Build) -> String {
    show(Opcode::Error, 0, &agreed_on(version), &body.0).unwrap().replace('\n', " ")
}

#[test]
fn each_part_before_the_message() {
    let id = |body: Build| body.raw(&[0x22; 16]);
    let warnings = |body: Build| body.list(&["slow"]);
    let payload = |body: Build| body.u16(1).string("k").bytes(&[7]);
    check(Opcode::Result, 0x00, build().u32(1), expect!["Void"]);
    check(
        Opcode::Result,
        0x02,
        id(build()).u32(1),
        expect![[r#"
            tracing id 22222222-2222-2222-2222-222222222222
            Void"#]],
    );
    check(
        Opcode::Result,
        0x08,
        warnings(build()).u32(1),
        expect![[r#"
            warnings ["slow"]
            Void"#]],
    );
    check(
        Opcode::Result,
        0x04,
        payload(build()).u32(1),
        expect![[r#"
            payload [("k", Some([7]))]
            Void"#]],
    );
    check(
        Opcode::Error,
        0x0C,
        payload(warnings(build())).u32(0x2200).string("no"),
        expect![[r#"
            warnings ["slow"]
            payload [("k", Some([7]))]
            invalid "no" None"#]],
    );
    // Flags that say nothing about what stands in the body, the compression of version 5 among
    // them: there, segments are compressed.
    for flags in [0x01, 0x10, 0x20, 0x40, 0x80, 0xF1] {
        check(Opcode::Result, flags, build().u32(1), expect!["Void"]);
    }
}

#[test]
fn tokens_of_authentication() {
    let classes = ["org.apache.cassandra.auth.PasswordAuthenticator", ""];
    for class in classes {
        let body = build().string(class).0;
        let shown = show(Opcode::Authenticate, 0, &Agreed::default(), &body).unwrap();
        assert_eq!(shown, format!("AuthenticateBody {{ authenticator: {class:?} }}"));
    }
    check(Opcode::AuthSuccess, 0, build().u32(0), expect!["AuthSuccessBody { token: Some([]) }"]);
    check(
        Opcode::AuthChallenge,
        0,
        build().u32(u32::MAX),
        expect!["AuthChallengeBody { token: None }"],
    );
}

#[test]
fn write_types_have_these_names() {
    let names = [
        ("SIMPLE", WriteType::Simple),
        ("BATCH", WriteType::Batch),
        ("UNLOGGED_BATCH", WriteType::UnloggedBatch),
        ("COUNTER", WriteType::Counter),
        ("BATCH_LOG", WriteType::BatchLog),
        ("CAS", WriteType::Cas),
        ("VIEW", WriteType::View),
        ("CDC", WriteType::Cdc),
        ("Simple", WriteType::Other("Simple")),
        ("", WriteType::Other("")),
    ];
    for (name, expected) in names {
        let timeout = error(0x1100).u16(1).u32(0).u32(1).string(name).0;
        let failure = error(0x1500).u16(1).u32(0).u32(1).u32(0).string(name).0;
        for version in VERSIONS {
            let parse = |body| ErrorBody::parse(Reader::new(body), &Agreed::on(version)).unwrap();
            match (parse(&timeout).detail, parse(&failure).detail) {
                (
                    ErrorDetail::WriteTimeout { write_type: timeout, contentions: None, .. },
                    ErrorDetail::WriteFailure { write_type: failure, .. },
                ) => assert_eq!((timeout, failure), (expected, expected)),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// The same fields, one way and the other.
#[test]
fn details_of_errors() {
    let body = error(0x1200).u16(4).u32(2).u32(3).u8(0);
    for version in VERSIONS {
        assert_eq!(
            in_error(version, &body),
            "read timeout \"no\" ReadTimeout { consistency: Quorum received: 2 block_for: 3 \
             data_present: false }"
        );
    }
    // Any byte but zero is true.
    for data_present in [1, 2, 0xFF] {
        let body = error(0x1200).u16(4).u32(2).u32(3).u8(data_present);
        assert!(in_error(Version::V4, &body).ends_with("data_present: true }"));
    }
    let body = error(0x1300).u16(5).u32(0).u32(1).u32(9).u8(1);
    for version in [Version::V3, Version::V4] {
        assert_eq!(
            in_error(version, &body),
            "read failure \"no\" ReadFailure { consistency: All received: 0 block_for: 1 \
             failures: Count(9) data_present: true }"
        );
    }
    let body = error(0x2400).string("ks").string("t");
    assert_eq!(
        in_error(Version::V4, &body),
        "already exists \"no\" AlreadyExists { keyspace: \"ks\" table: \"t\" }"
    );
    // A level that does not exist.
    let body = error(0x1000).u16(11).u32(2).u32(1).0;
    let refused = ErrorBody::parse(Reader::new(&body), &Agreed::default());
    assert!(matches!(refused, Err(Malformed::UnknownCode { code: 11, .. })));
}

/// The code is the one that the server told; its usual number means nothing of itself.
#[test]
fn rate_limits() {
    let agreed = |code| Agreed { rate_limit_error: Some(code), ..Agreed::default() };
    let body = |code, operation, by_coordinator| error(code).u8(operation).u8(by_coordinator).0;
    let show = |agreed: &Agreed, body: &[u8]| {
        show(Opcode::Error, 0, agreed, body).unwrap().replace('\n', " ")
    };
    assert_eq!(
        show(&agreed(0xF000), &body(0xF000, 0, 0)),
        "error 0xf000 \"no\" RateLimited { operation: Read rejected_by_coordinator: false }"
    );
    assert_eq!(
        show(&agreed(0x4321), &body(0x4321, 1, 1)),
        "error 0x4321 \"no\" RateLimited { operation: Write rejected_by_coordinator: true }"
    );
    assert_eq!(
        show(&agreed(0x4321), &body(0x4321, 7, 1)),
        "error 0x4321 \"no\" RateLimited { operation: Other(7) rejected_by_coordinator: true }"
    );
    assert_eq!(show(&agreed(0x4321), &body(0xF000, 1, 1)), "error 0xf000 \"no\" None");
    assert_eq!(show(&Agreed::default(), &body(0xF000, 1, 1)), "error 0xf000 \"no\" None");
}

#[test]
fn changes_of_topology_and_status() {
    let shown = |event: &str, change: &str| {
        let body = build().string(event).string(change).u8(4).raw(&[10, 0, 0, 1]).u32(9042).0;
        show(Opcode::Event, 0, &Agreed::default(), &body).unwrap().replace('\n', " ")
    };
    for (change, name) in
        [("NEW_NODE", "NewNode"), ("REMOVED_NODE", "RemovedNode"), ("MOVED_NODE", "MovedNode")]
    {
        assert_eq!(
            shown("TOPOLOGY_CHANGE", change),
            format!("TopologyChange {{ change: {name} address: 10.0.0.1:9042 }}")
        );
    }
    for (change, name) in [("UP", "Up"), ("DOWN", "Down")] {
        assert_eq!(
            shown("STATUS_CHANGE", change),
            format!("StatusChange {{ change: {name} address: 10.0.0.1:9042 }}")
        );
    }
    for event in ["TOPOLOGY_CHANGE", "STATUS_CHANGE"] {
        assert_eq!(shown(event, "ODD"), format!("Other {{ event_type: {event:?} }}"));
    }
}

/// As an event, and as a result of the request that made the change.
#[test]
fn changes_of_the_schema() {
    let body = |start: Build, kind: &str, target: &str| {
        let body = start.string(kind).string(target).string("ks");
        match target {
            "KEYSPACE" => body,
            "TABLE" | "TYPE" => body.string("x"),
            _ => body.string("x").list(&["int", "frozen<list<text>>"]),
        }
    };
    for (kind, kind_name) in
        [("CREATED", "Created"), ("UPDATED", "Updated"), ("DROPPED", "Dropped")]
    {
        for (target, target_name) in [
            ("KEYSPACE", "Keyspace"),
            ("TABLE", "Table { name: \"x\" }"),
            ("TYPE", "Type { name: \"x\" }"),
            ("FUNCTION", "x[\"int\", \"frozen<list<text>>\"]"),
            ("AGGREGATE", "x[\"int\", \"frozen<list<text>>\"]"),
        ] {
            let expected = format!("{kind_name} in \"ks\": {target_name}");
            let event = body(build().string("SCHEMA_CHANGE"), kind, target);
            let result = body(build().u32(5), kind, target);
            for (opcode, body) in [(Opcode::Event, event), (Opcode::Result, result)] {
                let shown = show(opcode, 0, &Agreed::default(), &body.0);
                assert_eq!(shown.as_ref(), Ok(&expected));
                for len in 0..body.0.len() {
                    let cut = show(opcode, 0, &Agreed::default(), &body.0[..len]);
                    assert!(cut.is_err(), "{kind} {target} cut to {len}");
                }
            }
        }
    }
    let result = body(build().u32(5), "CREATED", "FUNCTION");
    let change = ResultBody::parse(Reader::new(&result.0), &Agreed::default(), None).unwrap();
    let ResultBody::SchemaChange(change) = change else { panic!("{change:?}") };
    assert!(matches!(change.target, SchemaTarget::Function { .. }));
}

#[test]
fn results_have_these_numbers() {
    let prepared = build().u32(4).short_bytes(&[1]).u32(0).u32(0).u32(0).u32(4).u32(0);
    let change = build().u32(5).string("DROPPED").string("KEYSPACE").string("ks");
    let bodies = [
        (1, ResultKind::Void, build().u32(1)),
        (2, ResultKind::Rows, build().u32(2).u32(4).u32(1).u32(0)),
        (3, ResultKind::SetKeyspace, build().u32(3).string("ks")),
        (4, ResultKind::Prepared, prepared),
        (5, ResultKind::SchemaChange, change),
    ];
    for (number, kind, body) in bodies {
        let result = ResultBody::parse(Reader::new(&body.0), &Agreed::default(), None).unwrap();
        assert_eq!((result.kind(), kind as i32), (kind, number));
    }
    for number in [0, 6, 0x0100, u32::MAX] {
        let body = build().u32(number).raw(&[0; 20]).0;
        let refused = ResultBody::parse(Reader::new(&body), &Agreed::default(), None);
        let error = Malformed::UnknownCode { what: "result kind", code: number, offset: 4 };
        assert_eq!(refused.err(), Some(error));
    }
}

#[test]
fn flags_of_rows() {
    let agreed = Agreed { metadata_id: true, ..Agreed::default() };
    let check = |body: Build, expected| check_in(&agreed, Opcode::Result, 0, body, &expected);
    // Columns that were left out, with and without a next page; a state may be null.
    check(build().u32(2).u32(4).u32(7).u32(0), expect!["0 x 7 page None id None "]);
    check(
        build().u32(2).u32(6).u32(7).bytes(&[1, 2]).u32(0),
        expect!["0 x 7 page Some([1, 2]) id None "],
    );
    check(build().u32(2).u32(6).u32(7).u32(u32::MAX).u32(0), expect!["0 x 7 page None id None "]);
    // A state, then a new id, then the table, then the column.
    let column = |body: Build| body.string("ks").string("t").string("c").u16(9);
    check(
        column(build().u32(2).u32(0x0B).u32(1).bytes(&[1]).short_bytes(&[2])).u32(0),
        expect!["0 x 1 page Some([1]) id Some([2]) ks.t.c int"],
    );
    check(
        column(build().u32(2).u32(0x08).u32(1).short_bytes(&[2])).u32(0),
        expect!["0 x 1 page None id Some([2]) ks.t.c int"],
    );
    // Bits without a meaning are passed over.
    check(
        column(build().u32(2).u32(0xFFFF_FFF0).u32(1)).u32(0),
        expect!["0 x 1 page None id None ks.t.c int"],
    );
}

#[test]
fn prepared_statements() {
    let check = |body: Build, expected| {
        for version in [Version::V3, Version::V4] {
            check_in(&agreed_on(version), Opcode::Result, 0, body.clone(), &expected);
        }
    };
    let start = || build().u32(4).short_bytes(&[7; 16]);
    // The table is there if its flag is, even if no marker is in it.
    check(
        start().u32(1).u32(0).u32(0).string("ks").string("t").u32(4).u32(0),
        expect![[r#"
            id [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7] None
            lwt false key []

            -> "#]],
    );
    // Key columns in the key's order; a marker that is no column.
    let markers = |body: Build| {
        body.string("ks").string("t").string("b").u16(9).string("a").u16(9).string("[limit]").u16(9)
    };
    check(
        markers(start().u32(1).u32(3).u32(2).u16(1).u16(0)).u32(4).u32(0),
        expect![[r#"
            id [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7] None
            lwt false key [1, 0]
            ks.t.b int, ks.t.a int, ks.t.[limit] int
            -> "#]],
    );
    // The result of a conditional statement.
    let applied = |body: Build| {
        body.u32(1).u32(2).string("ks").string("t").string("[applied]").u16(4).string("a").u16(9)
    };
    check(
        applied(markers(start().u32(0x8000_0001).u32(3).u32(0))),
        expect![[r#"
            id [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7] None
            lwt true key []
            ks.t.b int, ks.t.a int, ks.t.[limit] int
            -> ks.t.[applied] boolean, ks.t.a int"#]],
    );
}

/// The shortcut takes what the careful way reads as Void in version 4, and nothing else.
#[test]
fn plain_void_streams() {
    let golden = [0x84, 0, 0x12, 0x34, 8, 0, 0, 0, 4, 0, 0, 0, 1];
    let carefully = |bytes: &[u8]| {
        let header = ResponseHeader::decode(bytes.first_chunk()?).ok()?;
        let is_plain = header.version == Version::V4 && header.flags == 0 && header.body_len == 4;
        let body = bytes.get(9..13)?;
        (is_plain && header.opcode == Opcode::Result && body == [0, 0, 0, 1])
            .then_some(header.stream)
    };
    assert_eq!(plain_void_stream(&golden), Some(0x1234));
    assert_eq!(plain_void_stream(&[&golden[..], &[9]].concat()), Some(0x1234));
    for index in 0..golden.len() {
        assert_eq!(plain_void_stream(&golden[..index]), None, "cut to {index}");
        for byte in 0..=255 {
            let mut bytes = golden;
            bytes[index] = byte;
            assert_eq!(plain_void_stream(&bytes), carefully(&bytes), "{bytes:?}");
        }
    }
}

/// `[inet]`, or without its port.
fn put_address(body: Build, ip: IpAddr, port: Option<u16>) -> Build {
    let body = match ip {
        IpAddr::V4(ip) => body.u8(4).raw(&ip.octets()),
        IpAddr::V6(ip) => body.u8(16).raw(&ip.octets()),
    };
    port.into_iter().fold(body, |body, port| body.u32(port.into()))
}

fn put_list(body: Build, texts: &[String]) -> Build {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    body.list(&texts)
}

fn put_nullable(body: Build, bytes: Option<&[u8]>) -> Build {
    match bytes {
        Some(bytes) => body.bytes(bytes),
        None => body.u32(u32::MAX),
    }
}

/// Each proper beginning is an error.
fn refuses_beginnings(opcode: Opcode, flags: u8, agreed: &Agreed, body: &Build) {
    for len in 0..body.0.len() {
        assert!(show(opcode, flags, agreed, &body.0[..len]).is_err(), "cut to {len}");
    }
}

#[derive(Clone, Debug)]
struct Columns {
    specs: Vec<(String, ColumnType)>,
    is_global: bool,
}

impl Columns {
    fn count(&self) -> u32 {
        u32::try_from(self.specs.len()).unwrap()
    }

    fn put(&self, mut body: Build) -> Build {
        if self.is_global {
            body = body.string("ks").string("t");
        }
        for (index, (name, typ)) in self.specs.iter().enumerate() {
            if !self.is_global {
                body = body.string("ks").string(&format!("t{index}"));
            }
            body = body.string(name);
            put_type(typ, &mut body.0);
        }
        body
    }

    fn check(&self, columns: &[ColumnSpec]) {
        assert_eq!(columns.len(), self.specs.len());
        for (index, (column, (name, typ))) in columns.iter().zip(&self.specs).enumerate() {
            let table = if self.is_global { "t".to_owned() } else { format!("t{index}") };
            assert_eq!((&*column.keyspace, &*column.table), ("ks", &*table));
            assert_eq!((column.name.as_str(), &column.typ), (name.as_str(), typ));
        }
    }
}

fn columns() -> impl Strategy<Value = Columns> {
    let specs = vec((".{0,6}", types(2)), 0..4);
    (specs, any::<bool>()).prop_map(|(specs, is_global)| Columns { specs, is_global })
}

fn blob() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20)
}

proptest! {
    // Each is cut at every byte.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.min(48)))]

    #[test]
    fn parts_survive(
        id in prop::option::of(any::<u128>()),
        warnings in prop::option::of(vec(".{0,9}", 0..4)),
        payload in prop::option::of(vec((".{0,9}", prop::option::of(blob())), 0..4)),
    ) {
        let (mut flags, mut body) = (0, build());
        if let Some(id) = id {
            (flags, body) = (flags | 0x02, body.raw(&id.to_be_bytes()));
        }
        if let Some(warnings) = &warnings {
            (flags, body) = (flags | 0x08, put_list(body, warnings));
        }
        if let Some(pairs) = &payload {
            let count = u16::try_from(pairs.len()).unwrap();
            (flags, body) = (flags | 0x04, body.u16(count));
            for (name, content) in pairs {
                body = put_nullable(body.string(name), content.as_deref());
            }
        }
        let body = body.u32(1);
        let parsed = Body::parse(&header(Opcode::Result, flags), &body.0).unwrap();
        prop_assert_eq!(parsed.tracing_id, id.map(Uuid::from_u128));
        prop_assert_eq!(parsed.warnings.map(|list| list.map(str::to_owned).collect()), warnings);
        let pairs = parsed.custom_payload.map(|map| {
            map.map(|(name, content)| (name.to_owned(), content.map(<[u8]>::to_vec))).collect()
        });
        prop_assert_eq!(&pairs, &payload);
        for (name, _) in payload.iter().flatten() {
            let first = payload.iter().flatten().find(|(other, _)| other == name).unwrap();
            prop_assert_eq!(parsed.payload(name), first.1.as_deref());
        }
        prop_assert_eq!(parsed.message.remaining(), [0, 0, 0, 1]);
        refuses_beginnings(Opcode::Result, flags, &Agreed::default(), &body);
    }

    #[test]
    fn errors_survive(
        level in 0_u16..=10,
        (a, b, c) in any::<(i32, i32, i32)>(),
        (byte, short) in any::<(u8, u16)>(),
        (message, keyspace, name) in (".{0,9}", ".{0,9}", ".{0,9}"),
        texts in vec(".{0,5}", 0..4),
        id in blob(),
        reasons in vec(any::<(IpAddr, u16)>(), 0..4),
        version in prop::sample::select(&VERSIONS),
    ) {
        let agreed = agreed_on(version);
        let start = |code: u32| build().u32(code).string(&message);
        let counts = |code, last: &[i32]| {
            let body = start(code).u16(level).u32(a.cast_unsigned()).u32(b.cast_unsigned());
            last.iter().fold(body, |body, count| body.u32(count.cast_unsigned()))
        };
        let failures = |code| match version {
            Version::V5 => {
                let body = counts(code, &[i32::try_from(reasons.len()).unwrap()]);
                let put = |body, (ip, reason): &(IpAddr, u16)| {
                    put_address(body, *ip, None).u16(*reason)
                };
                reasons.iter().fold(body, put)
            }
            _ => counts(code, &[c]),
        };
        let check_failures = |failures: Failures<'_>| match failures {
            Failures::Count(count) => version != Version::V5 && count == c,
            Failures::Reasons(read) => version == Version::V5 && read.eq(reasons.iter().copied()),
        };
        let check_counts = |level_read: Consistency, received: i32, block_for: i32| {
            (level_read.as_u16(), received, block_for) == (level, a, b)
        };
        let bodies = [
            counts(0x1000, &[]),
            counts(0x1100, &[]).string("CAS").u16(short),
            counts(0x1200, &[]).u8(byte),
            failures(0x1300).u8(byte),
            put_list(start(0x1400).string(&keyspace).string(&name), &texts),
            failures(0x1500).string(&name),
            counts(0x1700, &[]),
            start(0x1800).raw(&[byte; 16]),
            start(0x2400).string(&keyspace).string(&name),
            start(0x2500).short_bytes(&id),
            start(0xF000).u8(byte).u8(1),
        ];
        for body in &bodies {
            let parsed = ErrorBody::parse(Reader::new(&body.0), &agreed).unwrap();
            prop_assert_eq!(parsed.message, &message);
            let code = u32::from_be_bytes(*body.0.first_chunk().unwrap());
            prop_assert_eq!(parsed.code.0.cast_unsigned(), code);
            let is_right = match parsed.detail {
                ErrorDetail::Unavailable { consistency, required, alive } => {
                    code == 0x1000 && check_counts(consistency, required, alive)
                }
                ErrorDetail::WriteTimeout {
                    consistency, received, block_for, write_type, contentions,
                } => {
                    let expected = (version == Version::V5).then_some(short);
                    code == 0x1100
                        && check_counts(consistency, received, block_for)
                        && (write_type, contentions) == (WriteType::Cas, expected)
                }
                ErrorDetail::ReadTimeout { consistency, received, block_for, data_present } => {
                    code == 0x1200
                        && check_counts(consistency, received, block_for)
                        && data_present == (byte != 0)
                }
                ErrorDetail::ReadFailure {
                    consistency, received, block_for, failures, data_present,
                } => {
                    code == 0x1300
                        && check_counts(consistency, received, block_for)
                        && check_failures(failures)
                        && data_present == (byte != 0)
                }
                ErrorDetail::FunctionFailure { keyspace: read, function, argument_types } => {
                    code == 0x1400
                        && (read, function) == (&keyspace, &name)
                        && argument_types.eq(&texts)
                }
                ErrorDetail::WriteFailure {
                    consistency, received, block_for, failures, write_type,
                } => {
                    code == 0x1500
                        && check_counts(consistency, received, block_for)
                        && check_failures(failures)
                        && write_type == WriteType::Other(&name)
                }
                ErrorDetail::CasWriteUnknown { consistency, received, block_for } => {
                    code == 0x1700 && check_counts(consistency, received, block_for)
                }
                ErrorDetail::CommandFailed { id } => {
                    code == 0x1800 && id == Some(Uuid::from_bytes([byte; 16]))
                }
                ErrorDetail::AlreadyExists { keyspace: read, table } => {
                    code == 0x2400 && (read, table) == (&keyspace, &name)
                }
                ErrorDetail::Unprepared { id: read } => code == 0x2500 && read == id,
                ErrorDetail::RateLimited { rejected_by_coordinator, operation } => {
                    let expected = match byte {
                        0 => RateLimitedOperation::Read,
                        1 => RateLimitedOperation::Write,
                        other => RateLimitedOperation::Other(other),
                    };
                    code == 0xF000 && rejected_by_coordinator && operation == expected
                }
                ErrorDetail::None => false,
            };
            prop_assert!(is_right, "{code:#06x} {parsed:?}");
            // What may be missing altogether is tested with golden bytes.
            if !matches!(code, 0x1100 | 0x1800) {
                refuses_beginnings(Opcode::Error, 0, &agreed, body);
            }
        }
    }

    #[test]
    fn events_survive(
        address: (IpAddr, u16),
        (keyspace, name) in (".{0,9}", ".{0,9}"),
        (first, second) in (vec(".{0,5}", 0..4), vec(".{0,5}", 0..4)),
    ) {
        let (ip, port) = address;
        let node = |event: &str, change: &str| {
            put_address(build().string(event).string(change), ip, Some(port))
        };
        let schema = |target: &str| {
            let body = build().string("SCHEMA_CHANGE").string("UPDATED").string(target);
            body.string(&keyspace)
        };
        let routes = build().string("CLIENT_ROUTES_CHANGE").string("UPDATE_NODES");
        let bodies = [
            node("TOPOLOGY_CHANGE", "REMOVED_NODE"),
            node("STATUS_CHANGE", "DOWN"),
            schema("KEYSPACE"),
            schema("TABLE").string(&name),
            schema("TYPE").string(&name),
            put_list(schema("FUNCTION").string(&name), &first),
            put_list(schema("AGGREGATE").string(&name), &first),
            put_list(put_list(routes, &first), &second),
        ];
        for body in &bodies {
            let is_right = match EventBody::parse(Reader::new(&body.0)).unwrap() {
                EventBody::TopologyChange { change: TopologyChange::RemovedNode, address }
                | EventBody::StatusChange { change: StatusChange::Down, address } => {
                    address == SocketAddr::from((ip, port))
                }
                EventBody::SchemaChange(change) => {
                    let is_right = match change.target {
                        SchemaTarget::Keyspace => true,
                        SchemaTarget::Table { name: read } | SchemaTarget::Type { name: read } => {
                            read == name
                        }
                        SchemaTarget::Function { name: read, argument_types }
                        | SchemaTarget::Aggregate { name: read, argument_types } => {
                            read == name && argument_types.eq(&first)
                        }
                        SchemaTarget::Other { .. } => false,
                    };
                    is_right
                        && change.keyspace == keyspace
                        && change.kind == SchemaChangeKind::Updated
                }
                EventBody::ClientRoutesChange(change) => {
                    change.connection_ids.eq(&first) && change.host_ids.eq(&second)
                }
                _ => false,
            };
            prop_assert!(is_right, "{:?}", body.0);
            refuses_beginnings(Opcode::Event, 0, &Agreed::default(), body);
        }
    }

    #[test]
    fn options_and_tokens_survive(
        options in vec((".{0,9}", vec(".{0,9}", 0..4)), 0..4),
        token in prop::option::of(blob()),
        name in ".{0,20}",
    ) {
        let start = build().u16(u16::try_from(options.len()).unwrap());
        let put = |body: Build, (name, values): &(String, Vec<_>)| {
            put_list(body.string(name), values)
        };
        let body = options.iter().fold(start, put);
        let parsed = SupportedBody::parse(Reader::new(&body.0)).unwrap();
        let read: Vec<(String, Vec<String>)> = parsed
            .iter()
            .map(|(name, values)| (name.to_owned(), values.map(str::to_owned).collect()))
            .collect();
        prop_assert_eq!(read, options);
        refuses_beginnings(Opcode::Supported, 0, &Agreed::default(), &body);

        let body = put_nullable(build(), token.as_deref());
        let challenge = AuthChallengeBody::parse(Reader::new(&body.0)).unwrap();
        let success = AuthSuccessBody::parse(Reader::new(&body.0)).unwrap();
        prop_assert_eq!((challenge.token, success.token), (token.as_deref(), token.as_deref()));
        refuses_beginnings(Opcode::AuthChallenge, 0, &Agreed::default(), &body);
        refuses_beginnings(Opcode::AuthSuccess, 0, &Agreed::default(), &body);

        let body = build().string(&name);
        let parsed = AuthenticateBody::parse(Reader::new(&body.0)).unwrap();
        prop_assert_eq!(parsed.authenticator, &name);
        refuses_beginnings(Opcode::Authenticate, 0, &Agreed::default(), &body);

        let body = build().u32(3).string(&name);
        let parsed = ResultBody::parse(Reader::new(&body.0), &Agreed::default(), None).unwrap();
        let ResultBody::SetKeyspace { keyspace } = parsed else { panic!("{parsed:?}") };
        prop_assert_eq!(keyspace, &name);
        refuses_beginnings(Opcode::Result, 0, &Agreed::default(), &body);
    }

    #[test]
    fn rows_and_their_columns_survive(
        columns in columns(),
        state in prop::option::of(blob()),
        new_id in prop::option::of(blob()),
        cells in vec(prop::option::of(blob()), 0..9),
    ) {
        let flags = u32::from(columns.is_global)
            | if state.is_some() { 0x02 } else { 0 }
            | if new_id.is_some() { 0x08 } else { 0 };
        let mut body = build().u32(2).u32(flags).u32(columns.count());
        if let Some(state) = &state {
            body = body.bytes(state);
        }
        if let Some(id) = &new_id {
            body = body.short_bytes(id);
        }
        body = columns.put(body);
        let row_count = cells.len().checked_div(columns.specs.len()).unwrap_or(0);
        body = body.u32(u32::try_from(row_count).unwrap());
        let cells = &cells[..row_count * columns.specs.len()];
        let start = body.0.len();
        body = cells.iter().fold(body, |body, cell| put_nullable(body, cell.as_deref()));

        let agreed = Agreed::on(Version::V5);
        let parse = |known| match ResultBody::parse(Reader::new(&body.0), &agreed, known) {
            Ok(ResultBody::Rows(rows)) => rows,
            other => panic!("{other:?}"),
        };
        let rows = parse(None);
        prop_assert_eq!(usize::try_from(rows.rows_count), Ok(row_count));
        prop_assert_eq!(rows.column_count, columns.count());
        prop_assert_eq!(rows.paging_state, state.as_deref());
        prop_assert_eq!(rows.new_metadata_id, new_id.as_deref());
        prop_assert_eq!(rows.cells(), &body.0[start..]);
        let RowsMetadata::Present { raw } = rows.metadata else { panic!("{rows:?}") };
        let metadata = ResultMetadata::parse(&raw).unwrap();
        columns.check(&metadata.columns);
        // Those that are known already are known again.
        let RowsMetadata::Present { raw } = parse(Some(&metadata)).metadata else { panic!() };
        prop_assert!(metadata.matches(&raw));
        for len in 0..start {
            let cut = ResultBody::parse(Reader::new(&body.0[..len]), &agreed, None);
            prop_assert!(cut.is_err(), "cut to {len}: {cut:?}");
        }
    }

    #[test]
    fn prepared_statements_survive(
        (bind, result) in (columns(), columns()),
        (id, metadata_id) in (blob(), prop::option::of(blob())),
        key in vec(any::<prop::sample::Index>(), 0..4),
        is_lwt: bool,
    ) {
        let mark = if is_lwt { 0x8000_0000 } else { 0 };
        let key: Vec<u16> = key
            .iter()
            .take(bind.specs.len())
            .map(|index| u16::try_from(index.index(bind.specs.len())).unwrap())
            .collect();
        let mut body = build().u32(4).short_bytes(&id);
        if let Some(id) = &metadata_id {
            body = body.short_bytes(id);
        }
        body = body.u32(mark | u32::from(bind.is_global)).u32(bind.count());
        body = body.u32(u32::try_from(key.len()).unwrap());
        body = key.iter().fold(body, |body, index| body.u16(*index));
        body = bind.put(body);
        body = result.put(body.u32(u32::from(result.is_global)).u32(result.count()));

        let has_id = metadata_id.is_some();
        let agreed = Agreed { metadata_id: has_id, ..Agreed::on(Version::V4) };
        let parsed = ResultBody::parse(Reader::new(&body.0), &agreed, None).unwrap();
        let ResultBody::Prepared(prepared) = parsed else { panic!("{parsed:?}") };
        prop_assert_eq!(prepared.id, id);
        prop_assert_eq!(prepared.result_metadata_id, metadata_id.as_deref());
        let metadata = prepared.bind.to_metadata(Some(0x8000_0000)).unwrap();
        bind.check(&metadata.columns);
        prop_assert_eq!((&*metadata.partition_key_indexes, metadata.is_lwt), (&*key, is_lwt));
        result.check(&prepared.result.to_columns().unwrap());
        refuses_beginnings(Opcode::Result, 0, &agreed, &body);
    }
}
