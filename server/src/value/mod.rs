//! CQL types and values: names, wire ids, validity, order, literals.

pub(crate) mod literal;
pub(crate) mod number;
pub(crate) mod order;
pub(crate) mod time;
pub(crate) mod types;
pub(crate) mod validate;
