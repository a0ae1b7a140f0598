//! The same bytes to this codec and to the official one: both must make the same of them.
//!
//! Every check is a function of bytes, so that random bytes drive it here and a fuzzer drives it in
//! `fuzz/`. Where the two differ on purpose, `differences.rs` says so, with the paragraph of the
//! specification and a test; the list is repeated for readers in `docs/DIFFERENCES.md`.
//!
//! Reading order: `source.rs`, `frames.rs`, `responses.rs`, `differences.rs`, `types.rs`,
//! `values.rs`, `dynamic.rs`, `udts.rs`, `routing.rs`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod differences;
mod dynamic;
mod frames;
mod responses;
mod routing;
mod source;
mod types;
mod udts;
mod values;

/// Random inputs of each kind; a seed reproduces them.
const INPUT_COUNT: usize = 20_000;

/// Runs `check` on random inputs, the same ones each time.
fn random_inputs(seed: u64, len_max: usize, check: fn(&[u8])) {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..INPUT_COUNT {
        let mut input = vec![0; random.usize(..=len_max)];
        random.fill(&mut input);
        check(&input);
    }
}

#[test]
fn responses_mean_the_same() {
    random_inputs(1, 400, responses::check);
}

/// What is compared must not be refusals alone.
#[test]
fn most_responses_are_whole() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut whole = 0;
    for _ in 0..2_000 {
        let mut input = vec![0; random.usize(..=400)];
        random.fill(&mut input);
        whole += usize::from(responses::with_random_frame(&input, |frame| {
            let ours = responses::ours(frame);
            ours.is_ok()
                && !differences::may_not_come_back(frame, &ours)
                && responses::official(frame).is_ok()
        }));
    }
    assert!(whole > 1_000, "{whole} of 2000");
}

#[test]
fn garbage_is_refused_by_both() {
    random_inputs(2, 60, responses::check_garbage);
}

#[test]
fn values_are_written_and_read_alike() {
    random_inputs(3, 200, values::check);
}

#[test]
fn cells_are_read_alike() {
    random_inputs(5, 80, values::check_any_cell);
}

#[test]
fn user_defined_types_are_written_and_read_alike() {
    random_inputs(6, 400, udts::check);
}

#[test]
fn fields_are_found_alike() {
    random_inputs(7, 100, udts::check_any_cell);
}

#[test]
fn dynamic_values_are_written_and_read_alike() {
    random_inputs(8, 200, dynamic::check);
}

#[test]
fn cells_of_any_type_are_read_alike() {
    random_inputs(9, 120, dynamic::check_any_cell);
}
