//! Encoding the EXECUTE of an insert of (bigint, int, 64-byte blob), from bound values to the
//! bytes that go to the socket.

mod sample;

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use scylla_cql::frame::SerializedRequest;
use scylla_cql::frame::request::execute::ExecuteV2;
use scylla_cql::frame::request::query::QueryParameters;
use scylla_cql::frame::response::result as official;
use scylla_cql::serialize::row::{RowSerializationContext, SerializedValues};
use shardwire_protocol::header::Version;
use shardwire_protocol::request::{ExecuteTemplate, Parameters};
use shardwire_protocol::types::{ColumnSpec, ColumnType};

type Values<'a> = (i64, i32, &'a [u8]);

/// The caller's own timestamp, as both drivers send it.
const TIMESTAMP: i64 = 1_700_000_000_000_000;

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode EXECUTE of (bigint, int, blob)");
    let blob = sample::blob();
    let values: Values<'_> = (sample::KEY, 7, &blob);

    let columns = shardwire_columns();
    let count = columns.len();
    let template = ExecuteTemplate::new(Version::V4, 0, &sample::STATEMENT_ID, None, count);
    let template = template.expect("the id is short");
    let mut outgoing = vec![0; 4096];
    group.bench_function("shardwire", |b| {
        b.iter(|| shardwire(&template, black_box(&values), &columns, &mut outgoing));
    });

    let specs = scylla_columns();
    let context = RowSerializationContext::from_specs(&specs);
    group.bench_function("scylla", |b| b.iter(|| scylla(black_box(&values), &context)));
    group.finish();

    assert_eq!(
        outgoing[..shardwire(&template, &values, &columns, &mut outgoing.clone())],
        *scylla(&values, &context).get_data(),
        "both drivers send the same bytes"
    );
}

/// Into the connection's outgoing buffer, in place.
fn shardwire(
    template: &ExecuteTemplate,
    values: &Values<'_>,
    columns: &[ColumnSpec],
    outgoing: &mut [u8],
) -> usize {
    let parameters = Parameters { timestamp: Some(TIMESTAMP), ..Parameters::default() };
    let len = template.frame_len(values, columns, &parameters).expect("the values fit");
    let written = template.write(0, values, columns, &parameters, &mut outgoing[..len]);
    written.expect("the values are as long as they announced");
    len
}

/// Into a buffer of its own per request, by way of a buffer for the values.
fn scylla(values: &Values<'_>, context: &RowSerializationContext<'_>) -> SerializedRequest {
    let values = SerializedValues::from_serializable(context, values).expect("the values fit");
    let id: &[u8] = &sample::STATEMENT_ID;
    let execute = ExecuteV2 {
        id: id.into(),
        result_metadata_id: None,
        parameters: QueryParameters {
            timestamp: Some(TIMESTAMP),
            values: Cow::Owned(values),
            ..QueryParameters::default()
        },
        tablet_version_block: None,
    };
    SerializedRequest::make(&execute, None, false).expect("the request is short")
}

fn shardwire_columns() -> Vec<ColumnSpec> {
    let types = [("k", ColumnType::Bigint), ("c", ColumnType::Int), ("v", ColumnType::Blob)];
    let spec = |(name, typ): (&str, ColumnType)| ColumnSpec {
        keyspace: Arc::from("bench"),
        table: Arc::from("point"),
        name: name.into(),
        typ,
    };
    types.map(spec).into()
}

fn scylla_columns() -> Vec<official::ColumnSpec<'static>> {
    use official::{ColumnType, NativeType};
    let types = [("k", NativeType::BigInt), ("c", NativeType::Int), ("v", NativeType::Blob)];
    let table = || official::TableSpec::owned("bench".to_owned(), "point".to_owned());
    let spec = |(name, typ): (&str, NativeType)| {
        official::ColumnSpec::owned(name.to_owned(), ColumnType::Native(typ), table())
    };
    types.map(spec).into()
}

criterion_group!(benches, encode);
criterion_main!(benches);
