//! What the macros say of structs that make no sense, and where they point.
//!
//! `TRYBUILD=overwrite` writes what the compiler says now.

#[test]
fn structs_that_make_no_sense() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
