//! What the macros say of structs that make no sense, and where they point.
//!
//! Not what the compiler says of types that lack a trait, at the field as well: its words change
//! from one version to the next.
//!
//! `TRYBUILD=overwrite` writes what the compiler says now.

#[test]
fn structs_that_make_no_sense() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
