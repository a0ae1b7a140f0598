//! Faults by rule: what may go wrong with a request, when, and how often.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::frame::opcode;

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
    /// The node forgets all statements that were prepared on it; then the request is executed.
    ForgetPrepared,
    /// The connection stops: the reply and everything behind it, events too, wait this long, and
    /// nothing is read.
    Stall {
        /// Milliseconds.
        ms: u64,
    },
    /// The request is not executed and answered as if the statement were not prepared.
    Unprepared,
    /// Of a new connection to the shard-aware port, not of a request: it gets another shard than
    /// its source port asks for, as behind a NAT that changes ports. SUPPORTED tells which.
    WrongShard,
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

    /// Reads rules from a text, one JSON object per line; empty lines are skipped.
    ///
    /// # Errors
    ///
    /// Says which line is no rule, and what is wrong with it.
    ///
    /// ```
    /// use shardwire_server::FaultRule;
    ///
    /// let good = r#"{"opcode":"EXECUTE","action":{"stall":{"ms":5}}}"#;
    /// let rules = format!("{good}\n\n{{\"action\":\"dorp\"}}");
    /// let error = FaultRule::from_json_lines(&rules).unwrap_err();
    /// assert!(error.starts_with("line 3: action: unknown variant `dorp`"), "{error}");
    /// ```
    pub fn from_json_lines(text: &str) -> Result<Vec<Self>, String> {
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        let rule = |(line, number): (&str, usize)| {
            let rule = serde_json::from_str::<Value>(line).map_err(|error| error.to_string());
            rule.and_then(Self::from_json).map_err(|what| format!("line {number}: {what}"))
        };
        lines.map(rule).collect()
    }

    /// Reads a rule; an error names the field.
    pub(crate) fn from_json(rule: Value) -> Result<Self, String> {
        if let Some(action) = rule.get("action") {
            FaultAction::deserialize(action).map_err(|error| format!("action: {error}"))?;
        }
        let rule: Self = Self::deserialize(rule).map_err(|error| error.to_string())?;
        rule.check()?;
        Ok(rule)
    }

    /// Refuses a rule that no request and no connection could match.
    fn check(&self) -> Result<(), String> {
        if let Some(opcode) = &self.opcode
            && !(0..=u8::MAX).filter_map(opcode::name).any(|name| name.eq_ignore_ascii_case(opcode))
        {
            return Err(format!("opcode: {opcode:?} is none of a request's"));
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(format!("probability: {} is not from 0 to 1", self.probability));
        }
        if self.action == FaultAction::WrongShard
            && (self.opcode.is_some() || self.statement.is_some())
        {
            let what = "wrong_shard is about connections, which have neither opcode nor statement";
            return Err(format!("action: {what}"));
        }
        Ok(())
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
        state.pick(|rule| rule.action != FaultAction::WrongShard && rule.matches(subject))
    }

    /// The shard that a new connection gets, of so many, that asks for `shard`.
    pub(crate) fn shard_for(&self, node: usize, shard: u16, shards: u16) -> u16 {
        if !self.is_active() || shards < 2 {
            return shard;
        }
        let mut state = self.state();
        let picked = state.pick(|rule| {
            rule.action == FaultAction::WrongShard
                && rule.node.is_none_or(|of| of == node)
                && rule.shard.is_none_or(|of| of == shard)
        });
        match picked {
            // Less than twice 65,535 before the remainder: one of the others.
            Some(_) => {
                let step = u32::from(state.random.u16(1..shards));
                let other = (u32::from(shard) + step) % u32::from(shards);
                u16::try_from(other).unwrap_or(shard)
            }
            None => shard,
        }
    }
}

impl State {
    /// The action of the first rule that fits and whose chance comes up.
    fn pick(&mut self, fits: impl Fn(&FaultRule) -> bool) -> Option<FaultAction> {
        let Self { rules, random } = self;
        let rule = rules
            .iter_mut()
            .find(|rule| rule.limit != Some(0) && fits(rule) && random.f64() < rule.probability)?;
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

    #[test]
    fn lines_that_are_no_rules_are_named() {
        let good = r#"{"opcode":"query","action":"drop"}"#;
        assert_eq!(FaultRule::from_json_lines(&format!("\n{good}\n{good}")).unwrap().len(), 2);
        for (line, expect) in [
            ("{", "line 2: EOF while parsing"),
            (r#"{"action":"drop","nod":1}"#, "line 2: unknown field `nod`"),
            (r#"{"opcode":"QUERY"}"#, "line 2: missing field `action`"),
            (r#"{"action":{"stall":{"s":1}}}"#, "line 2: action: missing field `ms`"),
            (r#"{"action":"drop","opcode":"QUREY"}"#, "line 2: opcode: \"QUREY\" is none"),
            (r#"{"action":"drop","probability":2}"#, "line 2: probability: 2 is not"),
            (r#"{"action":"wrong_shard","opcode":"QUERY"}"#, "line 2: action: wrong_shard is"),
        ] {
            let error = FaultRule::from_json_lines(&format!("{good}\n{line}")).unwrap_err();
            assert!(error.starts_with(expect), "{error}");
        }
    }

    #[test]
    fn a_connection_gets_any_shard_but_the_one_it_asks_for() {
        let faults = Faults::new(1);
        assert_eq!(faults.shard_for(0, 2, 4), 2);
        faults.add(FaultRule::new(FaultAction::WrongShard).node(0).shard(2));
        let got: std::collections::BTreeSet<u16> =
            (0..50).map(|_| faults.shard_for(0, 2, 4)).collect();
        assert_eq!(got, [0, 1, 3].into());
        assert_eq!((faults.shard_for(0, 1, 4), faults.shard_for(1, 2, 4)), (1, 2));
        assert_eq!(faults.shard_for(0, 2, 1), 2);
        assert_eq!(faults.pick(SUBJECT), None);
    }
}
