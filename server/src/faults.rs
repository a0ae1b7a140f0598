//! Faults by rule: what may go wrong with a request, when, and how often.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// What happens to a request that a rule picks.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultAction {
    /// The request is executed; its reply carries these warnings and, if the request has one, its
    /// custom payload.
    Annotate {
        /// The warnings.
        warnings: Vec<String>,
    },
    /// The connection is closed; the request is not executed.
    Close,
    /// The reply's header is overwritten with bytes that are not CQL.
    Corrupt,
    /// The request is executed, half of the reply is sent, the connection is closed.
    CutMidFrame,
    /// The reply is sent this much later; other requests of the connection are not held up.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// The request is executed and never answered.
    Drop,
    /// The request is not executed and answered with this error.
    Error {
        /// Code of the ERROR message.
        code: i32,
        /// Its text.
        message: String,
    },
    /// The request is executed, but these nodes do not get what it writes: they neither answer nor
    /// are hints kept for them.
    MissWrites {
        /// Indexes of the nodes, from 0.
        nodes: Vec<usize>,
    },
    /// The request is not executed and answered as if the statement were not prepared.
    Unprepared,
}

/// Which requests a fault happens to. Conditions that are not given match everything.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Name of the request's opcode, such as `EXECUTE`.
    #[serde(default)]
    pub opcode: Option<String>,
    /// Part of the statement's text; for EXECUTE of the prepared text, for BATCH of its first.
    #[serde(default)]
    pub statement: Option<String>,
    /// Index of the node, from 0.
    #[serde(default)]
    pub node: Option<usize>,
    /// Shard of the connection.
    #[serde(default)]
    pub shard: Option<u16>,
    /// Share of the matching requests that are picked, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// The rule ends after this many faults.
    #[serde(default)]
    pub limit: Option<u64>,
    /// What happens.
    pub action: FaultAction,
}

fn always() -> f64 {
    1.0
}

impl FaultRule {
    /// A rule that picks every request.
    #[must_use]
    pub fn new(action: FaultAction) -> Self {
        Self {
            opcode: None,
            statement: None,
            node: None,
            shard: None,
            probability: 1.0,
            limit: None,
            action,
        }
    }

    /// Only requests with this opcode, such as `EXECUTE`.
    #[must_use]
    pub fn opcode(mut self, opcode: impl Into<String>) -> Self {
        self.opcode = Some(opcode.into());
        self
    }

    /// Only requests whose statement contains this text.
    #[must_use]
    pub fn statement(mut self, part: impl Into<String>) -> Self {
        self.statement = Some(part.into());
        self
    }

    /// Only requests to this node (index from 0).
    #[must_use]
    pub fn node(mut self, node: usize) -> Self {
        self.node = Some(node);
        self
    }

    /// Only requests on connections of this shard.
    #[must_use]
    pub fn shard(mut self, shard: u16) -> Self {
        self.shard = Some(shard);
        self
    }

    /// Picks only this share (0 to 1) of the requests that match.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// Ends after this many faults.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// A request, as rules look at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) opcode: &'a str,
    pub(crate) statement: Option<&'a str>,
    pub(crate) node: usize,
    pub(crate) shard: u16,
}

#[derive(Debug)]
struct State {
    rules: Vec<FaultRule>,
    random: fastrand::Rng,
}

/// The rules in force.
#[derive(Debug)]
pub(crate) struct Faults {
    /// Whether there is any rule, so that requests without faults take no lock.
    is_active: AtomicBool,
    state: Mutex<State>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self {
            is_active: AtomicBool::new(false),
            state: Mutex::new(State { rules: Vec::new(), random }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule; rules are tried in the order in which they were added.
    pub(crate) fn add(&self, rule: FaultRule) {
        self.state().rules.push(rule);
        self.is_active.store(true, Ordering::Relaxed);
    }

    pub(crate) fn clear(&self) {
        self.state().rules.clear();
        self.is_active.store(false, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Relaxed)
    }

    /// The fault of the first rule that picks the request.
    pub(crate) fn pick(&self, subject: Subject<'_>) -> Option<FaultAction> {
        let mut state = self.state();
        let State { rules, random } = &mut *state;
        let rule = rules.iter_mut().find(|rule| {
            rule.limit != Some(0) && rule.matches(subject) && random.f64() < rule.probability
        })?;
        if let Some(limit) = &mut rule.limit {
            *limit -= 1;
        }
        Some(rule.action.clone())
    }
}

impl FaultRule {
    fn matches(&self, subject: Subject<'_>) -> bool {
        self.opcode.as_ref().is_none_or(|opcode| opcode.eq_ignore_ascii_case(subject.opcode))
            && self.node.is_none_or(|node| node == subject.node)
            && self.shard.is_none_or(|shard| shard == subject.shard)
            && self
                .statement
                .as_ref()
                .is_none_or(|part| subject.statement.is_some_and(|text| text.contains(part)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject<'_> =
        Subject { opcode: "EXECUTE", statement: Some("INSERT INTO t"), node: 1, shard: 2 };

    #[test]
    fn rules_match_and_end() {
        let faults = Faults::new(1);
        assert!(!faults.is_active());
        faults.add(FaultRule::new(FaultAction::Close).node(0));
        faults.add(FaultRule::new(FaultAction::Drop).opcode("execute").statement("INTO").limit(2));
        assert_eq!(faults.pick(SUBJECT), Some(FaultAction::Drop));
        assert_eq!(faults.pick(SUBJECT), Some(FaultAction::Drop));
        assert_eq!(faults.pick(SUBJECT), None);
        faults.clear();
        assert!(!faults.is_active());
    }

    #[test]
    fn probability_is_seeded() {
        let run = || {
            let faults = Faults::new(7);
            faults.add(FaultRule::new(FaultAction::Drop).probability(0.3));
            (0..1000).map(|_| faults.pick(SUBJECT).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        let picked = run().into_iter().filter(|picked| *picked).count();
        assert!((250..350).contains(&picked), "{picked}");
    }

    #[test]
    fn rules_as_json() {
        let rule: FaultRule =
            serde_json::from_str(r#"{"opcode":"EXECUTE","action":{"delay":{"ms":5}}}"#).unwrap();
        assert_eq!(rule, FaultRule::new(FaultAction::Delay { ms: 5 }).opcode("EXECUTE"));
        assert!(serde_json::from_str::<FaultRule>(r#"{"action":"drop","nod":1}"#).is_err());
    }
}
