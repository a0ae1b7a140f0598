//! The same bytes to this codec and to the official one.
//!
//! The checks are those of `protocol/tests/differential`, which drives them with random bytes; a
//! fuzzer finds its way further in. The first byte picks the check.

#[path = "../../protocol/tests/differential/differences.rs"]
#[allow(dead_code, unused_imports, reason = "its titles and examples are for its tests")]
mod differences;
#[path = "../../protocol/tests/differential/dynamic.rs"]
mod dynamic;
#[path = "../../protocol/tests/differential/frames.rs"]
mod frames;
#[path = "../../protocol/tests/differential/responses.rs"]
mod responses;
#[path = "../../protocol/tests/differential/source.rs"]
mod source;
#[path = "../../protocol/tests/differential/types.rs"]
mod types;
#[path = "../../protocol/tests/differential/udts.rs"]
mod udts;
#[path = "../../protocol/tests/differential/values.rs"]
mod values;

/// Responses made of the bytes, or the bytes as a response; values, or cells, of types known when
/// compiling or at run time; user-defined types.
pub fn check(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    match choice % 9 {
        0 | 4 => responses::check(data),
        1 => responses::check_garbage(data),
        2 => values::check(data),
        3 => values::check_any_cell(data),
        5 => udts::check_any_cell(data),
        6 => dynamic::check(data),
        7 => udts::check(data),
        _ => dynamic::check_any_cell(data),
    }
}
