//! What the fuzz targets check. Each is a function of bytes, so that the committed corpus also runs
//! as a plain test, without a fuzzer: `cargo test --manifest-path fuzz/Cargo.toml`.
//!
//! How to run them, and how long they have run, is in `docs/FUZZING.md`.

#![forbid(unsafe_code)]

pub mod compression;
pub mod deframer;
pub mod differential;
pub mod requests;
pub mod response;
pub mod round_trip;
pub mod rows;
pub mod segment;

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Runs the committed inputs of a target; returns how many there are.
    fn run(target: &str, check: fn(&[u8])) -> usize {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        let entries = std::fs::read_dir(&folder).expect("each target has a corpus");
        let inputs = entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        inputs.map(|input| check(&input)).count()
    }

    #[test]
    fn the_corpus_passes() {
        assert!(run("compression", crate::compression::check) > 0);
        assert!(run("deframer", crate::deframer::check) > 0);
        assert!(run("differential", crate::differential::check) > 0);
        assert!(run("requests", crate::requests::check) > 0);
        assert!(run("response", crate::response::check) > 0);
        assert!(run("round_trip", crate::round_trip::check) > 0);
        assert!(run("rows", crate::rows::check) > 0);
        assert!(run("segment", crate::segment::check) > 0);
    }
}
