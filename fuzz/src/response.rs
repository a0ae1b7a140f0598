//! Any response body: parsed, and everything in it looked at.
//!
//! Input: opcode, flags, what was agreed; then the body.

use shardwire_protocol::error::FrameError;
use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
use shardwire_protocol::metadata::{RawColumns, ResultMetadata};
use shardwire_protocol::response::{
    Agreed, Body, ErrorDetail, EventBody, Failures, PreparedBody, Response, ResultBody,
    SchemaChange, SchemaTarget, is_plain_void,
};
use shardwire_protocol::rows::{RowsBody, RowsMetadata};
use shardwire_protocol::supported::{Extensions, Supported};
use shardwire_protocol::tablets::{Tablet, payload};

/// Parses the body and touches all of it.
pub fn check(data: &[u8]) {
    let [opcode, flags, agreed_bits, body @ ..] = data else { return };
    let Ok(opcode) = Opcode::from_u8(*opcode) else { return };
    let version = [Version::V4, Version::V5, Version::V3, Version::V4];
    let version = version[usize::from(agreed_bits >> 2 & 3)];
    let mut agreed = Agreed::on(version);
    agreed.metadata_id = agreed_bits & 1 != 0;
    agreed.rate_limit_error = (agreed_bits & 2 != 0).then_some(0x4321);
    let body_len = u32::try_from(body.len()).unwrap();
    let header = ResponseHeader { version, flags: *flags, stream: 0, opcode, body_len };

    let is_void = is_plain_void(&header, body);
    let parsed = parse(&header, body, &agreed);
    if is_void {
        assert!(matches!(parsed, Ok(Response::Result(ResultBody::Void))));
    }
    // Bytes that are not there make an error, never another message.
    if parsed.is_ok() && !body.is_empty() {
        let _ = parse(&header, &body[..body.len() - 1], &agreed);
    }
}

fn parse<'a>(
    header: &ResponseHeader,
    body: &'a [u8],
    agreed: &Agreed,
) -> Result<Response<'a>, FrameError> {
    let body = Body::parse(header, body)?;
    if let Some(warnings) = body.warnings {
        assert!(warnings.count() <= usize::from(u16::MAX));
    }
    if let Some(payload) = body.custom_payload {
        assert!(payload.count() <= usize::from(u16::MAX));
    }
    for key in [payload::V1, payload::V2] {
        touch_tablet(body.payload(key).unwrap_or_default());
    }
    touch_tablet(body.message.remaining()); // what comes first is rarely a payload
    let response = body.response(agreed, None)?;
    match response {
        Response::Result(result) => match result {
            ResultBody::Rows(rows) => touch_rows(&rows),
            ResultBody::Prepared(prepared) => touch_prepared(&prepared),
            ResultBody::SchemaChange(change) => touch_change(&change),
            ResultBody::SetKeyspace { .. } | ResultBody::Void => {}
        },
        Response::Error(error) => {
            let _ = error.code.to_string();
            match error.detail {
                ErrorDetail::FunctionFailure { argument_types, .. } => {
                    let _ = argument_types.count();
                }
                ErrorDetail::ReadFailure { failures: Failures::Reasons(reasons), .. }
                | ErrorDetail::WriteFailure { failures: Failures::Reasons(reasons), .. } => {
                    let announced = reasons.len();
                    assert_eq!(reasons.count(), announced);
                }
                _ => {}
            }
        }
        Response::Event(EventBody::SchemaChange(change)) => touch_change(&change),
        Response::Event(EventBody::ClientRoutesChange(change)) => {
            let _ = change.connection_ids.count() + change.host_ids.count();
        }
        Response::Supported(supported) => {
            for (_, values) in supported {
                let _ = values.count();
            }
            let supported = Supported::from_body(&supported);
            let options = Extensions::offered_by(&supported).startup_options();
            assert!(options.iter().count() <= 4);
        }
        _ => {}
    }
    Ok(response)
}

fn touch_rows(rows: &RowsBody<'_>) {
    // The peer's count is only believed where the bytes are there.
    assert!(u64::from(rows.rows_count) * 4 <= rows.cells().len() as u64);
    let RowsMetadata::Present { raw } = rows.metadata else { return };
    if let Some(metadata) = touch_columns(&raw) {
        assert!(metadata.matches(&raw));
    }
}

fn touch_prepared(prepared: &PreparedBody<'_>) {
    let bind = prepared.bind.to_metadata(Some(1 << 31)).expect("it was checked when it was read");
    for index in &bind.partition_key_indexes {
        assert!(usize::from(*index) < bind.columns.len());
    }
    touch_columns(&prepared.result);
}

fn touch_columns(raw: &RawColumns<'_>) -> Option<ResultMetadata> {
    let metadata = ResultMetadata::parse(raw).expect("it was checked when it was read");
    assert_eq!(metadata.count(), raw.count());
    for column in &metadata.columns {
        assert!(!column.typ.to_string().is_empty());
    }
    Some(metadata)
}

fn touch_tablet(content: &[u8]) {
    for tablet in [Tablet::parse(content), Tablet::parse_v2(content)].into_iter().flatten() {
        assert!(tablet.contains(tablet.last_token) && !tablet.contains(tablet.first_token));
        let announced = tablet.replicas().len();
        assert!(announced * 44 < content.len());
        assert_eq!(tablet.replicas().count(), announced);
    }
}

fn touch_change(change: &SchemaChange<'_>) {
    match change.target {
        SchemaTarget::Aggregate { argument_types, .. }
        | SchemaTarget::Function { argument_types, .. } => {
            let _ = argument_types.count();
        }
        _ => {}
    }
}
