//! Rows: the values of a statement, the columns of a result.
//!
//! Next: `row/ser.rs`.

mod ser;
