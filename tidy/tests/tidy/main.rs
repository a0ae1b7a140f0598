//! The rules of the house, one module per family. Each failure lists every place at once.

#![forbid(unsafe_code)]

mod examples;
mod layers;
mod limits;
mod links;
mod request;
mod sources;
mod unsafety;
mod words;

/// Fails with all of `faults`, one per line.
#[track_caller]
fn check(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}\n", faults.join("\n  "));
}
