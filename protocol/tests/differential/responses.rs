//! A response to both codecs: the same meaning, or refused by both.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use scylla_cql::deserialize::row::ColumnIterator;
use scylla_cql::frame::parse_response_body_extensions;
use scylla_cql::frame::protocol_features::ProtocolFeatures;
use scylla_cql::frame::request::query::PagingStateResponse;
use scylla_cql::frame::response::error::{DbError, OperationType, WriteType as OfficialWriteType};
use scylla_cql::frame::response::event::{
    ClientRoutesChangeEvent, EventV2, SchemaChangeEvent, StatusChangeEvent, TopologyChangeEvent,
};
use scylla_cql::frame::response::result::{
    ColumnSpec as OfficialSpec, ResultWithDeserializedMetadata as OfficialResult,
};
use scylla_cql::frame::response::{
    ResponseOpcode, ResponseV2, ResponseWithDeserializedMetadataV2 as Official,
};
use shardwire_protocol::error::{DeserializeError, FrameError, Malformed};
use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
use shardwire_protocol::response::{
    Agreed, Body, ErrorBody, ErrorDetail, EventBody, RateLimitedOperation, Response, ResultBody,
    SchemaChange, SchemaTarget, WriteType,
};
use shardwire_protocol::row::{Cells, DeserializeRow};
use shardwire_protocol::rows::{RowsBody, RowsMetadata};
use shardwire_protocol::types::ColumnSpec;
use shardwire_protocol::value::RawValue;

use super::differences;
use super::frames::{self, OPCODES};
use super::source::Source;
use super::types::{official_in_words, ours_in_words};

/// The code that rate limits have on connections that agreed on it.
const RATE_LIMIT_ERROR: i32 = 0xF000;

/// What a connection agreed on, for both codecs.
#[derive(Clone, Copy)]
pub(crate) struct Agreement {
    pub(crate) metadata_id: bool,
    pub(crate) rate_limit_error: bool,
}

/// A response that both are asked about.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: Opcode,
    /// Of the header: 0x02 tracing, 0x04 payload, 0x08 warnings.
    pub(crate) flags: u8,
    pub(crate) agreement: Agreement,
    pub(crate) body: &'a [u8],
}

/// Makes a response of `data`, possibly damages it, and shows it to both.
pub(crate) fn check(data: &[u8]) {
    with_random_frame(data, check_frame);
}

/// Gives the frame that is made of `data` to `f`.
pub(crate) fn with_random_frame<T>(data: &[u8], f: impl FnOnce(Frame<'_>) -> T) -> T {
    let mut source = Source::new(data);
    let (opcode, flags, agreement) = head(&mut source);
    let body = frames::random(&mut source, opcode, flags);
    f(Frame { opcode, flags, agreement, body: &body })
}

/// Shows `data` to both as it is.
pub(crate) fn check_garbage(data: &[u8]) {
    let mut source = Source::new(data);
    let (opcode, flags, agreement) = head(&mut source);
    check_frame(Frame { opcode, flags, agreement, body: source.rest() });
}

fn head(source: &mut Source<'_>) -> (Opcode, u8, Agreement) {
    let opcode = OPCODES[source.below(OPCODES.len())];
    let flags = source.u8();
    // Most replies have none of the parts that come first.
    let flags = if flags & 0x80 == 0 { 0 } else { flags & 0x0E };
    let agreed = source.u8();
    let agreement = Agreement { metadata_id: agreed & 1 != 0, rate_limit_error: agreed & 2 != 0 };
    (opcode, flags, agreement)
}

/// The response to both.
#[track_caller]
pub(crate) fn check_frame(frame: Frame<'_>) {
    let ours = ours(frame);
    if let Err(refusal) = ours
        && differences::is_not_shown_to_the_official_codec(refusal)
    {
        return;
    }
    if differences::may_not_come_back(frame, &ours) {
        return;
    }
    let official = official(frame);
    let agree = match (&ours, &official) {
        (Ok(ours), Ok(official)) => ours == official,
        (Err(_), Err(_)) => true,
        _ => false,
    };
    assert!(
        agree || differences::is_known(frame, &ours, &official),
        "{:?}, flags {:#04x}, {:02x?}\n ours {ours:?}\n official {official:?}",
        frame.opcode,
        frame.flags,
        frame.body
    );
}

/// What is left of the body behind the parts that any response may begin with.
pub(crate) fn message(frame: Frame<'_>) -> Option<&[u8]> {
    let body = Body::parse(&header(frame), frame.body).ok()?;
    Some(body.message.remaining())
}

fn header(frame: Frame<'_>) -> ResponseHeader {
    ResponseHeader {
        version: Version::V4,
        flags: frame.flags,
        stream: 0,
        opcode: frame.opcode,
        body_len: u32::try_from(frame.body.len()).unwrap(),
    }
}

/// What this codec makes of it, in words.
pub(crate) fn ours(frame: Frame<'_>) -> Result<String, FrameError> {
    let mut agreed = Agreed::default();
    agreed.metadata_id = frame.agreement.metadata_id;
    agreed.rate_limit_error = frame.agreement.rate_limit_error.then_some(RATE_LIMIT_ERROR);
    let body = Body::parse(&header(frame), frame.body)?;
    let mut words = format!("{:?} ", body.tracing_id);
    let warnings: Vec<&str> = body.warnings.into_iter().flatten().collect();
    let payload: Option<BTreeMap<_, _>> = body.custom_payload.map(Iterator::collect);
    write!(words, "{warnings:?} {payload:?} ").unwrap();
    words += &match body.response(&agreed, None)? {
        Response::Error(error) => our_error(&error),
        Response::Ready(_) => "ready".to_owned(),
        Response::Authenticate(body) => format!("authenticate {:?}", body.authenticator),
        Response::AuthChallenge(body) => format!("challenge {:?}", body.token),
        Response::AuthSuccess(body) => format!("success {:?}", body.token),
        Response::Supported(body) => {
            let options: BTreeMap<_, Vec<_>> =
                body.iter().map(|(key, values)| (key, values.collect())).collect();
            format!("supported {options:?}")
        }
        Response::Event(event) => our_event(&event),
        Response::Result(result) => our_result(&result)?,
    };
    Ok(words)
}

fn our_error(error: &ErrorBody<'_>) -> String {
    let detail = match error.detail {
        ErrorDetail::Unavailable { consistency, required, alive } => {
            format!("{consistency:?} {required} {alive}")
        }
        ErrorDetail::WriteTimeout { consistency, received, block_for, write_type, .. } => {
            format!("{consistency:?} {received} {block_for} {}", our_write_type(write_type))
        }
        ErrorDetail::ReadTimeout { consistency, received, block_for, data_present } => {
            format!("{consistency:?} {received} {block_for} {data_present}")
        }
        ErrorDetail::ReadFailure {
            consistency,
            received,
            block_for,
            failures,
            data_present,
            ..
        } => format!("{consistency:?} {received} {block_for} {} {data_present}", failures.count()),
        ErrorDetail::FunctionFailure { keyspace, function, argument_types } => {
            format!("{keyspace:?} {function:?} {:?}", argument_types.collect::<Vec<_>>())
        }
        ErrorDetail::WriteFailure {
            consistency,
            received,
            block_for,
            failures,
            write_type,
            ..
        } => {
            let write_type = our_write_type(write_type);
            format!("{consistency:?} {received} {block_for} {} {write_type}", failures.count())
        }
        ErrorDetail::AlreadyExists { keyspace, table } => format!("{keyspace:?} {table:?}"),
        ErrorDetail::Unprepared { id } => format!("{id:?}"),
        ErrorDetail::RateLimited { operation, rejected_by_coordinator } => {
            let operation = match operation {
                RateLimitedOperation::Read => 0,
                RateLimitedOperation::Write => 1,
                RateLimitedOperation::Other(other) => other,
            };
            format!("{operation} {rejected_by_coordinator}")
        }
        _ => String::new(),
    };
    format!("error {} {:?} {detail}", error.code.0, error.message)
}

fn our_write_type(write_type: WriteType<'_>) -> &str {
    match write_type {
        WriteType::Batch => "BATCH",
        WriteType::BatchLog => "BATCH_LOG",
        WriteType::Cas => "CAS",
        WriteType::Cdc => "CDC",
        WriteType::Counter => "COUNTER",
        WriteType::Simple => "SIMPLE",
        WriteType::UnloggedBatch => "UNLOGGED_BATCH",
        WriteType::View => "VIEW",
        WriteType::Other(other) => other,
        _ => "?",
    }
}

fn our_event(event: &EventBody<'_>) -> String {
    match event {
        EventBody::TopologyChange { change, address } => format!("{change:?} {address}"),
        EventBody::StatusChange { change, address } => format!("{change:?} {address}"),
        EventBody::SchemaChange(change) => our_schema_change(change),
        EventBody::ClientRoutesChange(change) => {
            let connections: Vec<_> = change.connection_ids.collect();
            let hosts: Vec<_> = change.host_ids.collect();
            format!("routes {connections:?} {hosts:?}")
        }
        EventBody::Other { event_type } => format!("unknown event {event_type}"),
        other => format!("{other:?}"),
    }
}

fn our_schema_change(change: &SchemaChange<'_>) -> String {
    use shardwire_protocol::response::SchemaChangeKind::{Created, Dropped, Other, Updated};
    let kind = match change.kind {
        Created => "Created",
        Dropped => "Dropped",
        Updated => "Updated",
        Other(_) => "Invalid",
    };
    let target = match change.target {
        SchemaTarget::Aggregate { name, argument_types } => {
            format!("aggregate {name:?} {:?}", argument_types.collect::<Vec<_>>())
        }
        SchemaTarget::Function { name, argument_types } => {
            format!("function {name:?} {:?}", argument_types.collect::<Vec<_>>())
        }
        SchemaTarget::Keyspace => "keyspace".to_owned(),
        SchemaTarget::Table { name } => format!("table {name:?}"),
        SchemaTarget::Type { name } => format!("type {name:?}"),
        _ => "unknown target".to_owned(),
    };
    format!("schema {kind} {:?} {target}", change.keyspace)
}

fn our_result(result: &ResultBody<'_>) -> Result<String, FrameError> {
    Ok(match result {
        ResultBody::Void => "void".to_owned(),
        ResultBody::SetKeyspace { keyspace } => format!("keyspace {keyspace:?}"),
        ResultBody::SchemaChange(change) => our_schema_change(change),
        ResultBody::Rows(rows) => our_rows(rows)?,
        ResultBody::Prepared(prepared) => {
            let bind = prepared.bind.to_metadata(None)?;
            let key = bind.partition_key_indexes.iter().enumerate();
            let mut key: Vec<_> = key.map(|(sequence, index)| (*index, sequence)).collect();
            key.sort_unstable();
            let columns = our_columns(&bind.columns);
            let result = our_columns(&prepared.result.to_columns()?);
            let ids = (prepared.id, prepared.result_metadata_id);
            format!("prepared {ids:?} {key:?} {columns} {result}")
        }
    })
}

fn our_columns(columns: &[ColumnSpec]) -> String {
    let column = |column: &ColumnSpec| {
        let ColumnSpec { keyspace, table, name, typ } = column;
        format!("{keyspace:?}.{table:?}.{name:?}: {}; ", ours_in_words(typ))
    };
    columns.iter().map(column).collect()
}

/// A row of any columns, as the bytes of its cells.
struct RawRow<'frame>(Vec<Option<&'frame [u8]>>);

impl<'frame> DeserializeRow<'frame> for RawRow<'frame> {
    fn type_check(_: &[ColumnSpec]) -> Result<(), DeserializeError> {
        Ok(())
    }

    fn deserialize(cells: &mut Cells<'frame, '_>) -> Result<Self, DeserializeError> {
        let mut row = Vec::new();
        for _ in cells.columns() {
            row.push(cells.value::<RawValue<'_>>()?.content);
        }
        Ok(Self(row))
    }
}

fn our_rows(rows: &RowsBody<'_>) -> Result<String, FrameError> {
    let head = format!("rows {:?} {:?}", rows.paging_state, rows.new_metadata_id);
    let RowsMetadata::Present { raw } = rows.metadata else {
        return Ok(format!("{head} skipped {} {:?}", rows.rows_count, rows.cells()));
    };
    if raw.count() == 0 {
        return Ok(format!("{head} skipped {} {:?}", rows.rows_count, rows.cells()));
    }
    let columns = raw.to_columns()?;
    let mut words = format!("{head} {}", our_columns(&columns));
    let raw_rows = rows.rows::<RawRow<'_>>(&columns).expect("any row fits any columns");
    for row in raw_rows {
        match row {
            Ok(row) => write!(words, "{:?}", row.0).unwrap(),
            Err(DeserializeError::Malformed(malformed)) => return Err(malformed.into()),
            Err(other) => panic!("{other}"),
        }
    }
    Ok(words)
}

/// What the official codec makes of it, in the same words.
pub(crate) fn official(frame: Frame<'_>) -> Result<String, String> {
    let mut features = ProtocolFeatures::default();
    features.scylla_metadata_id_supported = frame.agreement.metadata_id;
    features.rate_limit_error = frame.agreement.rate_limit_error.then_some(RATE_LIMIT_ERROR);
    let opcode = match frame.opcode {
        Opcode::Error => ResponseOpcode::Error,
        Opcode::Ready => ResponseOpcode::Ready,
        Opcode::Authenticate => ResponseOpcode::Authenticate,
        Opcode::Supported => ResponseOpcode::Supported,
        Opcode::Result => ResponseOpcode::Result,
        Opcode::Event => ResponseOpcode::Event,
        Opcode::AuthChallenge => ResponseOpcode::AuthChallenge,
        Opcode::AuthSuccess => ResponseOpcode::AuthSuccess,
        request => panic!("{request} is no response"),
    };
    let body = Bytes::copy_from_slice(frame.body);
    let body = parse_response_body_extensions(frame.flags, None, body).map_err(in_words)?;
    let payload: Option<BTreeMap<_, _>> = body
        .custom_payload
        .as_ref()
        .map(|payload| payload.iter().map(|(key, value)| (key.as_str(), Some(&**value))).collect());
    let mut words = format!("{:?} {:?} {payload:?} ", body.trace_id, body.warnings);
    let response = ResponseV2::deserialize(&features, opcode, body.body, None).map_err(in_words)?;
    words += &match response.deserialize_metadata().map_err(in_words)? {
        Official::Error(error) => {
            let code = error.error.code(&features);
            format!("error {code} {:?} {}", error.reason, official_detail(&error.error))
        }
        Official::Ready => "ready".to_owned(),
        Official::Authenticate(body) => format!("authenticate {:?}", body.authenticator_name),
        Official::AuthChallenge(body) => format!("challenge {:?}", body.authenticate_message),
        Official::AuthSuccess(body) => format!("success {:?}", body.success_message),
        Official::Supported(body) => {
            let options: BTreeMap<_, _> = body.options.iter().collect();
            format!("supported {options:?}")
        }
        Official::Event(event) => official_event(&event),
        Official::Result(result) => official_result(result)?,
        other => panic!("{other:?}"),
    };
    Ok(words)
}

fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn official_detail(error: &DbError) -> String {
    match error {
        DbError::Unavailable { consistency, required, alive } => {
            format!("{consistency:?} {required} {alive}")
        }
        DbError::WriteTimeout { consistency, received, required, write_type } => {
            format!("{consistency:?} {received} {required} {}", official_write_type(write_type))
        }
        DbError::ReadTimeout { consistency, received, required, data_present } => {
            format!("{consistency:?} {received} {required} {data_present}")
        }
        DbError::ReadFailure { consistency, received, required, numfailures, data_present } => {
            format!("{consistency:?} {received} {required} {numfailures} {data_present}")
        }
        DbError::FunctionFailure { keyspace, function, arg_types } => {
            format!("{keyspace:?} {function:?} {arg_types:?}")
        }
        DbError::WriteFailure { consistency, received, required, numfailures, write_type } => {
            let write_type = official_write_type(write_type);
            format!("{consistency:?} {received} {required} {numfailures} {write_type}")
        }
        DbError::AlreadyExists { keyspace, table } => format!("{keyspace:?} {table:?}"),
        DbError::Unprepared { statement_id } => format!("{:?}", &**statement_id),
        DbError::RateLimitReached { op_type, rejected_by_coordinator } => {
            let operation = match op_type {
                OperationType::Read => 0,
                OperationType::Write => 1,
                OperationType::Other(other) => *other,
            };
            format!("{operation} {rejected_by_coordinator}")
        }
        _ => String::new(),
    }
}

fn official_write_type(write_type: &OfficialWriteType) -> &str {
    write_type.as_str()
}

fn official_event(event: &EventV2) -> String {
    match event {
        EventV2::TopologyChange(TopologyChangeEvent::NewNode(address)) => {
            format!("NewNode {address}")
        }
        EventV2::TopologyChange(TopologyChangeEvent::RemovedNode(address)) => {
            format!("RemovedNode {address}")
        }
        EventV2::StatusChange(StatusChangeEvent::Up(address)) => format!("Up {address}"),
        EventV2::StatusChange(StatusChangeEvent::Down(address)) => format!("Down {address}"),
        EventV2::SchemaChange(change) => official_schema_change(change),
        EventV2::ClientRoutesChange(ClientRoutesChangeEvent::UpdateNodes {
            connection_ids,
            host_ids,
            ..
        }) => {
            let hosts: Vec<_> = host_ids.iter().map(ToString::to_string).collect();
            format!("routes {connection_ids:?} {hosts:?}")
        }
        other => format!("{other:?}"),
    }
}

fn official_schema_change(change: &SchemaChangeEvent) -> String {
    let (kind, keyspace, target) = match change {
        SchemaChangeEvent::KeyspaceChange { change_type, keyspace_name } => {
            (change_type, keyspace_name, "keyspace".to_owned())
        }
        SchemaChangeEvent::TableChange { change_type, keyspace_name, object_name } => {
            (change_type, keyspace_name, format!("table {object_name:?}"))
        }
        SchemaChangeEvent::TypeChange { change_type, keyspace_name, type_name } => {
            (change_type, keyspace_name, format!("type {type_name:?}"))
        }
        SchemaChangeEvent::FunctionChange {
            change_type,
            keyspace_name,
            function_name,
            arguments,
        } => (change_type, keyspace_name, format!("function {function_name:?} {arguments:?}")),
        SchemaChangeEvent::AggregateChange {
            change_type,
            keyspace_name,
            aggregate_name,
            arguments,
        } => (change_type, keyspace_name, format!("aggregate {aggregate_name:?} {arguments:?}")),
    };
    format!("schema {kind:?} {keyspace:?} {target}")
}

fn official_result(result: OfficialResult) -> Result<String, String> {
    Ok(match result {
        OfficialResult::Void => "void".to_owned(),
        OfficialResult::SetKeyspace(body) => format!("keyspace {:?}", body.keyspace_name),
        OfficialResult::SchemaChange(body) => official_schema_change(&body.event),
        OfficialResult::Prepared(prepared) => {
            let key = prepared.prepared_metadata.pk_indexes.iter();
            let key: Vec<_> = key.map(|key| (key.index, usize::from(key.sequence))).collect();
            let columns = official_columns(&prepared.prepared_metadata.col_specs);
            let result = official_columns(prepared.result_metadata.col_specs());
            let ids = (&*prepared.id, prepared.result_metadata.id());
            format!("prepared {ids:?} {key:?} {columns} {result}")
        }
        OfficialResult::Rows((rows, paging_state)) => {
            let paging_state = match &paging_state {
                PagingStateResponse::HasMorePages { state } => state.as_bytes_slice(),
                PagingStateResponse::NoMorePages => None,
            };
            let metadata = rows.metadata();
            let head = format!("rows {paging_state:?} {:?}", metadata.id());
            // It has an empty list of columns where they were left out, and where there are none.
            if metadata.col_count() == 0 {
                return Ok(format!(
                    "{head} skipped {} {:?}",
                    rows.rows_count(),
                    &**rows.raw_rows()
                ));
            }
            let mut words = format!("{head} {}", official_columns(metadata.col_specs()));
            for row in rows.rows_iter::<ColumnIterator<'_, '_>>().map_err(in_words)? {
                let mut cells = Vec::new();
                for cell in row.map_err(in_words)? {
                    let cell = cell.map_err(in_words)?;
                    cells.push(cell.slice.map(|slice| slice.as_slice()));
                }
                write!(words, "{cells:?}").unwrap();
            }
            words
        }
    })
}

fn official_columns(columns: &[OfficialSpec<'_>]) -> String {
    let column = |column: &OfficialSpec<'_>| {
        let (keyspace, table) = (column.table_spec().ks_name(), column.table_spec().table_name());
        format!("{keyspace:?}.{table:?}.{:?}: {}; ", column.name(), official_in_words(column.typ()))
    };
    columns.iter().map(column).collect()
}

/// Whether a refusal is for a number that the official codec would believe: it would make room for
/// two milliards of columns, or recurse until the stack ends.
pub(crate) fn is_a_limit(refusal: FrameError) -> bool {
    matches!(
        refusal,
        FrameError::TooLarge(_)
            | FrameError::Malformed(Malformed::Count { .. } | Malformed::Depth { .. })
    )
}
