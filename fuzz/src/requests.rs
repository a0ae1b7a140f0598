//! Every request, of arbitrary parts and in every version: its frame is as long as it announced,
//! and a frame of another length is refused.

use arbitrary::{Arbitrary, Unstructured};
use shardwire_protocol::consistency::{Consistency, SerialConsistency};
use shardwire_protocol::error::SerializeError;
use shardwire_protocol::header::{HEADER_LEN, RequestHeader, Version, flags};
use shardwire_protocol::request::{
    AuthResponse, Batch, BatchItems, BatchKind, BatchStatement, EventKind, Execute,
    ExecuteTemplate, Options, Parameters, Prepare, Query, Register, Request, Startup, ValueNames,
    WithPayload, encode_request, frame_len,
};
use shardwire_protocol::row::SerializeRow;
use shardwire_protocol::value::MaybeUnset;
use shardwire_protocol::wire::Writer;

#[derive(Arbitrary, Debug)]
struct Parts<'a> {
    stream: i16,
    flags: u8,
    statement: &'a str,
    id: &'a [u8],
    metadata_id: Option<&'a [u8]>,
    options: Vec<(&'a str, &'a str)>,
    token: &'a [u8],
    row: (i64, Option<i32>, &'a [u8]),
    unset: Option<Option<&'a str>>,
    serial: Option<bool>,
    timestamp: Option<i64>,
    page_size: Option<i32>,
    paging_state: Option<&'a [u8]>,
    skip_metadata: bool,
    batch: Vec<(bool, &'a [u8])>,
    version: u8,
    keyspace: Option<&'a str>,
    now_in_seconds: Option<i32>,
    tablet_block: Option<u8>,
    names: Option<[&'a str; 4]>,
    payload: Vec<(&'a str, &'a [u8])>,
}

impl Parts<'_> {
    fn version(&self) -> Version {
        [Version::V4, Version::V5, Version::V3][usize::from(self.version % 3)]
    }
}

/// Encodes each kind of request.
pub fn check(data: &[u8]) {
    let Ok(parts) = Parts::arbitrary(&mut Unstructured::new(data)) else { return };
    let serial =
        |local| if local { SerialConsistency::LocalSerial } else { SerialConsistency::Serial };
    let parameters = Parameters {
        consistency: Consistency::Quorum,
        serial_consistency: parts.serial.map(serial),
        timestamp: parts.timestamp,
        page_size: parts.page_size,
        paging_state: parts.paging_state,
        skip_metadata: parts.skip_metadata,
        keyspace: parts.keyspace,
        now_in_seconds: parts.now_in_seconds,
        tablet_block: parts.tablet_block,
    };
    let unset = parts.unset.map_or(MaybeUnset::Unset, MaybeUnset::Set);
    let row = (parts.row.0, parts.row.1, parts.row.2, unset);

    let startup = Startup { options: &parts.options };
    exact(&parts, &Options);
    exact(&parts, &startup);
    exact(&parts, &Register { events: &[EventKind::SchemaChange, EventKind::StatusChange] });
    exact(&parts, &AuthResponse::Null);
    exact(&parts, &AuthResponse::Token(parts.token));
    exact(&parts, &AuthResponse::Plain { user: parts.statement, password: "secret" });
    let prepare = Prepare { statement: parts.statement, keyspace: parts.keyspace };
    exact(&parts, &prepare);
    exact(&parts, &WithPayload { payload: &parts.payload, request: prepare });
    let (statement, columns) = (parts.statement, &[]);
    let names = ValueNames::None;
    exact(&parts, &Query { statement, values: &(), columns, names, parameters });
    let query = Query { statement, values: &row, columns, names, parameters };
    exact(&parts, &query);
    let given = parts.names.as_ref().map_or(ValueNames::None, |names| ValueNames::Given(names));
    exact(&parts, &Query { names: given, ..query });
    let execute = Execute {
        id: parts.id,
        result_metadata_id: parts.metadata_id,
        values: &row,
        columns,
        names,
        parameters,
    };
    let frame = exact(&parts, &execute);
    template(&parts, &row, &parameters, frame);
    exact(&parts, &Execute { names: given, ..execute });
    exact(&parts, &WithPayload { payload: &parts.payload, request: execute });
    let batch = Batch {
        kind: BatchKind::Unlogged,
        items: Items(&parts),
        consistency: parameters.consistency,
        serial_consistency: parameters.serial_consistency,
        timestamp: parameters.timestamp,
        keyspace: parameters.keyspace,
        now_in_seconds: parameters.now_in_seconds,
    };
    exact(&parts, &batch);
}

/// Encodes into a buffer of the announced length, and fails in any other.
fn exact<R: Request>(parts: &Parts<'_>, request: &R) -> Option<Vec<u8>> {
    let version = parts.version();
    let len = frame_len(request, version).ok()?;
    assert_eq!(request.body_len(version), Ok(len - HEADER_LEN));
    let encode = |len| {
        let mut frame = vec![0; len];
        encode_request(request, version, parts.flags, parts.stream, &mut frame)?;
        Ok::<_, SerializeError>(frame)
    };
    let frame = encode(len).expect("a request is as long as it announced");
    let header = RequestHeader::decode(frame.first_chunk().unwrap()).unwrap();
    let flags = (parts.flags & !flags::CUSTOM_PAYLOAD) | request.header_flags();
    assert_eq!((header.stream, header.flags, header.opcode), (parts.stream, flags, R::OPCODE));
    assert_eq!(header.version, version);
    assert_eq!(usize::try_from(header.body_len), Ok(len - HEADER_LEN));
    assert!(encode(len - 1).is_err());
    assert!(encode(len + 1).is_err());
    Some(frame)
}

/// A template encodes what the plain message does.
fn template<R: SerializeRow>(
    parts: &Parts<'_>,
    row: &R,
    parameters: &Parameters<'_>,
    expected: Option<Vec<u8>>,
) {
    let count = row.value_count();
    let template =
        ExecuteTemplate::new(parts.version(), parts.flags, parts.id, parts.metadata_id, count);
    let Ok(template) = template else {
        assert_eq!(expected, None);
        return;
    };
    let Ok(len) = template.frame_len(row, &[], parameters) else {
        assert_eq!(expected, None);
        return;
    };
    let mut frame = vec![0xAA; len];
    template
        .write(parts.stream, row, &[], parameters, &mut frame)
        .expect("it announced the length");
    assert_eq!(Some(frame), expected);
}

/// Each entry is a statement of its own, prepared or not, with one value.
struct Items<'a>(&'a Parts<'a>);

impl BatchItems for Items<'_> {
    fn count(&self) -> usize {
        self.0.batch.len()
    }

    fn statement(&self, index: usize) -> BatchStatement<'_> {
        match self.0.batch[index].0 {
            true => BatchStatement::Prepared(self.0.id),
            false => BatchStatement::Text(self.0.statement),
        }
    }

    fn value_count(&self, _: usize) -> usize {
        1
    }

    fn values_len(&self, index: usize) -> Result<usize, SerializeError> {
        (self.0.batch[index].1,).values_len(&[])
    }

    fn write_values(&self, index: usize, out: &mut Writer<'_>) {
        (self.0.batch[index].1,).write_values(&[], out);
    }
}
