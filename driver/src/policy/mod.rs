//! Decisions that are not mechanics: where a request goes first, and what is tried again.

pub(crate) mod plan;
pub(crate) mod retry;
