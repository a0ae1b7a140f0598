//! Decodes each case with both codecs: what `src/bin/decode/` runs under callgrind.
//!
//! An example, because only such may use the official codec, a development dependency. For each
//! case and codec it goes over the rows once to warm up, N times and 2N times, and enters
//! `end_of_measurement` behind each, where callgrind writes down what it has counted since. A line
//! of JSON says what was read.

#[path = "../benches/cases/mod.rs"]
mod cases;

use std::hint::black_box;

use cases::{CASES, Case, Input, Limit};
use serde_json::json;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rows, iterations, filter] = arguments.as_slice() else {
        panic!("usage: decode ROWS ITERATIONS FILTER");
    };
    let rows: u32 = rows.parse().expect("a number of rows");
    let iterations: u32 = iterations.parse().expect("a number of iterations");
    for case in CASES.iter().filter(|case| case.name.contains(filter)) {
        let input = case.input(rows);
        measure(case, &input, "shardwire", Case::shardwire, iterations);
        measure(case, &input, "scylla", Case::scylla, iterations);
    }
}

fn measure(
    case: &Case,
    input: &Input,
    codec: &str,
    decode: fn(&Case, &Input) -> u64,
    iterations: u32,
) {
    // The first one takes what was done before it, too, and counts for nothing.
    for iterations in [1, iterations, 2 * iterations] {
        for _ in 0..iterations {
            black_box(decode(case, black_box(input)));
        }
        end_of_measurement();
    }
    let line = json!({
        "case": case.name,
        "is_half": case.limit == Limit::Half,
        "codec": codec,
        "checksum": decode(case, input),
    });
    println!("{line}");
}

/// Callgrind knows it by its name.
#[inline(never)]
fn end_of_measurement() {
    black_box(());
}
