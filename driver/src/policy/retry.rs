//! What is tried again, and where, when a node answers with an error.
//!
//! The rules are those of the official drivers' default policy: nothing that may have been applied
//! is sent twice unless the statement is idempotent, and an attempt is repeated only where there
//! is reason to believe that it will go better.

use shardwire_protocol::response::{ErrorBody, ErrorCode, ErrorDetail, WriteType};

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decision {
    /// Tell the caller.
    Fail,
    /// Send it to the next node of the plan.
    NextNode,
    /// Send it to the same node once more.
    SameNode,
}

/// What the decision depends on besides the error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) idempotent: bool,
    /// Attempts made after an answer that said "unavailable" or "timed out".
    pub(crate) retried: bool,
}

/// Decides about an ERROR message (CQL v4 section 9).
pub(crate) fn decide(error: &ErrorBody<'_>, attempt: Attempt) -> Decision {
    match error.code {
        ErrorCode::IS_BOOTSTRAPPING => return Decision::NextNode,
        ErrorCode::SERVER_ERROR | ErrorCode::OVERLOADED | ErrorCode::TRUNCATE_ERROR
            if attempt.idempotent =>
        {
            return Decision::NextNode;
        }
        _ => {}
    }
    match error.detail {
        ErrorDetail::Unavailable { .. } if !attempt.retried => Decision::NextNode,
        ErrorDetail::ReadTimeout { received, block_for, data_present, .. }
            if !attempt.retried && received >= block_for && !data_present =>
        {
            Decision::SameNode
        }
        ErrorDetail::WriteTimeout { write_type: WriteType::BatchLog, .. }
            if !attempt.retried && attempt.idempotent =>
        {
            Decision::SameNode
        }
        _ => Decision::Fail,
    }
}
