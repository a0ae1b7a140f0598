//! What is tried again, and where, when an attempt fails.
//!
//! A policy only decides. That no node is asked more than twice, that all attempts together keep
//! the request's time-out, and that what was never sent goes on to the next node whatever the
//! policy, is seen to in `request.rs`. So is telling a node about a statement that it forgot.

use std::fmt::Debug;

use shardwire_protocol::consistency::Consistency;

use crate::error::{DbError, Error, ErrorKind, WriteType};

/// What to do after a failed attempt.
///
/// ```
/// use shardwire::{Consistency, RetryDecision};
///
/// let decision = RetryDecision::RetryNextTarget(Some(Consistency::One));
/// assert_ne!(decision, RetryDecision::DontRetry);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RetryDecision {
    /// Send it once more to the same node, at this consistency if one is given. A node is asked
    /// twice at most; then this is [`DontRetry`](Self::DontRetry).
    RetrySameTarget(Option<Consistency>),
    /// Send it to the next node of the plan, at this consistency if one is given. After the last
    /// one this is [`DontRetry`](Self::DontRetry).
    RetryNextTarget(Option<Consistency>),
    /// Tell the caller about the error.
    DontRetry,
    /// Tell the caller that all went well; the result has no rows.
    IgnoreWriteError,
}

/// What a decision depends on.
///
/// ```
/// use shardwire::{RequestInfo, RetryDecision, RetryPolicy};
///
/// #[derive(Debug)]
/// struct Reads;
///
/// impl RetryPolicy for Reads {
///     fn decide_should_retry(&self, request: RequestInfo<'_>) -> RetryDecision {
///         let RequestInfo { error, is_idempotent, retry_count, .. } = request;
///         match is_idempotent && error.was_sent() && retry_count < 2 {
///             true => RetryDecision::RetryNextTarget(None),
///             false => RetryDecision::DontRetry,
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RequestInfo<'a> {
    /// How the attempt ended: a node's ERROR, or a connection that was lost.
    pub error: &'a Error,
    /// Whether applying the statement twice is the same as once.
    pub is_idempotent: bool,
    /// The consistency of the attempt.
    pub consistency: Consistency,
    /// How often the request was retried upon a node's ERROR. Attempts that ended with their
    /// connection do not count.
    pub retry_count: u32,
}

/// Decides what becomes of a request when an attempt fails.
///
/// Asked when a node answers with an ERROR, and when a connection is lost with the request on it.
/// Not asked when nothing was sent, which is safe to send elsewhere; when a node has forgotten the
/// statement, which it is told again once; and when time is up. It has no state: what a request
/// went through is part of what it is asked.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::faulty(|cluster, session| async move {
/// # use shardwire_server::{FaultAction, FaultRule};
/// # let (code, message) = (0x1100, "slow".to_owned());
/// # cluster.add_fault(FaultRule::new(FaultAction::Error { code, message }).statement("UPDATE"));
/// use std::sync::Arc;
///
/// use shardwire::{DbError, RequestInfo, RetryDecision, RetryPolicy, Statement};
///
/// /// For what may be lost: a write that was not confirmed in time is taken for written.
/// #[derive(Debug)]
/// struct Careless;
///
/// impl RetryPolicy for Careless {
///     fn decide_should_retry(&self, request: RequestInfo<'_>) -> RetryDecision {
///         match request.error.database().map(|answer| answer.db_error()) {
///             Some(DbError::WriteTimeout { .. }) => RetryDecision::IgnoreWriteError,
///             _ => RetryDecision::DontRetry,
///         }
///     }
/// }
///
/// let mut update = Statement::new("UPDATE shop.items SET name = 'lamp' WHERE id = 7");
/// assert!(session.query_unpaged(update.clone(), ()).await.is_err());
/// update.set_retry_policy(Some(Arc::new(Careless)));
/// session.query_unpaged(update, ()).await?;
/// # Ok(()) });
/// ```
pub trait RetryPolicy: Debug + Send + Sync {
    /// Decides. Runs on the caller's task, between two attempts: it must not block.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// use shardwire::{Consistency, DefaultRetryPolicy, RequestInfo, RetryDecision, RetryPolicy};
    ///
    /// let error = session.query_unpaged("SELEC", ()).await.unwrap_err();
    /// let decision = DefaultRetryPolicy.decide_should_retry(RequestInfo {
    ///     error: &error,
    ///     is_idempotent: true,
    ///     consistency: Consistency::One,
    ///     retry_count: 0,
    /// });
    /// assert_eq!(decision, RetryDecision::DontRetry); // it stays a syntax error
    /// # Ok(()) });
    /// ```
    fn decide_should_retry(&self, request: RequestInfo<'_>) -> RetryDecision;
}

/// Retries where there is reason to believe that it will go better, and nothing is applied twice:
/// the official drivers' default policy.
///
/// | what happened | what is done |
/// |---|---|
/// | the connection was lost; overloaded, server error, truncate error | the next node, if the statement is idempotent |
/// | is bootstrapping | the next node |
/// | unavailable | the next node, once |
/// | read time-out, though enough replicas answered and the data is what was missing | the same node, once |
/// | write time-out of a batch's log | the same node, once, if the statement is idempotent |
/// | anything else, and whatever asks for a serial consistency | the caller is told |
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::node(|address| async move {
/// use std::sync::Arc;
///
/// use shardwire::{DefaultRetryPolicy, SessionBuilder};
///
/// let policy = Arc::new(DefaultRetryPolicy); // as without this line
/// let session = SessionBuilder::new().known_node(address).retry_policy(policy).build().await?;
/// # Ok(()) });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultRetryPolicy;

impl RetryPolicy for DefaultRetryPolicy {
    fn decide_should_retry(&self, request: RequestInfo<'_>) -> RetryDecision {
        let RequestInfo { error, is_idempotent, consistency, retry_count } = request;
        let is_first = retry_count == 0;
        let Some(answer) = error.database() else {
            let is_lost = matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::Protocol);
            return match is_lost && is_idempotent && !consistency.is_serial() {
                true => RetryDecision::RetryNextTarget(None),
                false => RetryDecision::DontRetry,
            };
        };
        if consistency.is_serial() {
            return RetryDecision::DontRetry;
        }
        match *answer.db_error() {
            DbError::IsBootstrapping => RetryDecision::RetryNextTarget(None),
            DbError::Overloaded | DbError::ServerError | DbError::TruncateError
                if is_idempotent =>
            {
                RetryDecision::RetryNextTarget(None)
            }
            DbError::Unavailable { .. } if is_first => RetryDecision::RetryNextTarget(None),
            DbError::ReadTimeout { received, required, data_present: false, .. }
                if is_first && received >= required =>
            {
                RetryDecision::RetrySameTarget(None)
            }
            DbError::WriteTimeout { write_type: WriteType::BatchLog, .. }
                if is_first && is_idempotent =>
            {
                RetryDecision::RetrySameTarget(None)
            }
            _ => RetryDecision::DontRetry,
        }
    }
}

/// Retries nothing.
///
/// What was never sent still goes on to the next node, and a node that has forgotten a statement is
/// still told again: neither is an attempt that failed.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::faulty(|cluster, session| async move {
/// # use shardwire_server::{FaultAction, FaultRule};
/// # let (code, message) = (0x1002, "joining".to_owned());
/// # let rule = FaultRule::new(FaultAction::Error { code, message }).statement("SELECT");
/// # cluster.add_fault(rule.limit(1));
/// use std::sync::Arc;
///
/// use shardwire::{FallthroughRetryPolicy, Statement};
///
/// let mut select = Statement::new("SELECT name FROM shop.items");
/// select.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy)));
/// let error = session.query_unpaged(select, ()).await.unwrap_err();
/// assert_eq!(error.database_code(), Some(0x1002)); // the node is still starting
/// # Ok(()) });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct FallthroughRetryPolicy;

impl RetryPolicy for FallthroughRetryPolicy {
    fn decide_should_retry(&self, _: RequestInfo<'_>) -> RetryDecision {
        RetryDecision::DontRetry
    }
}

#[cfg(test)]
mod tests {
    use shardwire_protocol::response::{Agreed, ErrorBody};
    use shardwire_protocol::wire::Reader;

    use super::*;
    use crate::error::Lost;

    const NEXT: RetryDecision = RetryDecision::RetryNextTarget(None);
    const SAME: RetryDecision = RetryDecision::RetrySameTarget(None);
    const FAIL: RetryDecision = RetryDecision::DontRetry;

    fn answer(code: u16, fields: &[u8]) -> Error {
        let body = [&[0, 0], &code.to_be_bytes()[..], &[0, 0], fields].concat();
        let body = ErrorBody::parse(Reader::new(&body), &Agreed::default()).unwrap();
        Error::answered(&body, None)
    }

    fn decide(error: &Error, is_idempotent: bool, retry_count: u32) -> RetryDecision {
        let consistency = Consistency::Quorum;
        let request = RequestInfo { error, is_idempotent, consistency, retry_count };
        assert_eq!(FallthroughRetryPolicy.decide_should_retry(request), FAIL);
        let serial = RequestInfo { consistency: Consistency::LocalSerial, ..request };
        assert_eq!(DefaultRetryPolicy.decide_should_retry(serial), FAIL);
        DefaultRetryPolicy.decide_should_retry(request)
    }

    /// Decisions for a statement that is idempotent, one that is not, and after a retry.
    #[track_caller]
    fn check(error: &Error, idempotent: RetryDecision, not: RetryDecision, again: RetryDecision) {
        assert_eq!(decide(error, true, 0), idempotent);
        assert_eq!(decide(error, false, 0), not);
        assert_eq!(decide(error, true, 1), again);
    }

    #[test]
    fn connections_that_were_lost() {
        for lost in [Lost::ClosedByPeer, Lost::KeepaliveTimeout, Lost::UnknownStream(7)] {
            check(&Error::lost_on(lost), NEXT, FAIL, NEXT);
        }
        check(&Error::timeout(true), FAIL, FAIL, FAIL);
    }

    #[test]
    fn answers() {
        for code in [0x0000, 0x1001, 0x1003] {
            check(&answer(code, &[]), NEXT, FAIL, NEXT);
        }
        check(&answer(0x1002, &[]), NEXT, NEXT, NEXT);
        for code in [0x000A, 0x0100, 0x2000, 0x2100, 0x2200, 0x2300, 0x7777] {
            check(&answer(code, &[]), FAIL, FAIL, FAIL);
        }
        check(&answer(0x1000, &[0; 10]), NEXT, NEXT, FAIL);
        let two_of = |required: u8| [0, 4, 0, 0, 0, 2, 0, 0, 0, required];
        let with = |required, tail: &[u8]| [&two_of(required)[..], tail].concat();
        check(&answer(0x1200, &with(2, &[0])), SAME, SAME, FAIL);
        check(&answer(0x1200, &with(2, &[1])), FAIL, FAIL, FAIL);
        check(&answer(0x1200, &with(3, &[0])), FAIL, FAIL, FAIL);
        check(&answer(0x1100, &with(3, b"\0\x09BATCH_LOG")), SAME, FAIL, FAIL);
        for kind in ["SIMPLE", "BATCH", "CAS", "COUNTER"] {
            let kind = [&[0, u8::try_from(kind.len()).unwrap()], kind.as_bytes()].concat();
            check(&answer(0x1100, &with(3, &kind)), FAIL, FAIL, FAIL);
        }
    }
}
