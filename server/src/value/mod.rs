//! CQL types and values: names, wire ids, validity, order, literals, functions.

pub(crate) mod functions;
pub(crate) mod json;
pub(crate) mod literal;
pub(crate) mod multi_cell;
pub(crate) mod number;
pub(crate) mod number_ops;
pub(crate) mod order;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod types;
pub(crate) mod validate;
