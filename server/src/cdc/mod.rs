//! Change data capture as ScyllaDB has it: a table that asks for it has a log beside it, in which
//! each write leaves rows.
//!
//! It is not Cassandra's, whose tables `WITH cdc = true` keep segments of the commit log. What one
//! write changes is gathered in `captured`; `log` makes rows of it, in the partition that `streams`
//! names. `table` says what columns a log has, `options` what a table asks for. A log's row lies on
//! the node and the shard of the row that it tells of.

pub(crate) mod captured;
pub(crate) mod log;
pub(crate) mod options;
pub(crate) mod streams;
pub(crate) mod table;

#[cfg(test)]
mod tests;
