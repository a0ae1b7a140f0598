//! How many replicas a request needs, and how many there are: consistency levels.
//!
//! As Apache Cassandra reckons. This decides whether a request goes through, and which replicas a
//! read asks; what they have is in `store/copies.rs`.

use std::collections::BTreeMap;
use std::fmt;

use crate::routing::{NodeIndex, Strategy};

/// A consistency level; the numbers are those of the protocol.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Consistency {
    Any = 0,
    #[default]
    One = 1,
    Two = 2,
    Three = 3,
    Quorum = 4,
    All = 5,
    LocalQuorum = 6,
    EachQuorum = 7,
    Serial = 8,
    LocalSerial = 9,
    LocalOne = 10,
}

impl Consistency {
    pub(crate) fn from_code(code: u16) -> Option<Self> {
        Some(match code {
            0 => Self::Any,
            1 => Self::One,
            2 => Self::Two,
            3 => Self::Three,
            4 => Self::Quorum,
            5 => Self::All,
            6 => Self::LocalQuorum,
            7 => Self::EachQuorum,
            8 => Self::Serial,
            9 => Self::LocalSerial,
            10 => Self::LocalOne,
            _ => return None,
        })
    }

    pub(crate) fn code(self) -> u16 {
        self as u16
    }

    pub(crate) fn is_serial(self) -> bool {
        matches!(self, Self::Serial | Self::LocalSerial)
    }

    /// Whether only replicas in the coordinator's datacenter count.
    fn is_local(self) -> bool {
        matches!(self, Self::LocalOne | Self::LocalQuorum | Self::LocalSerial)
    }
}

/// As CQL spells it.
impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "ANY",
            Self::One => "ONE",
            Self::Two => "TWO",
            Self::Three => "THREE",
            Self::Quorum => "QUORUM",
            Self::All => "ALL",
            Self::LocalQuorum => "LOCAL_QUORUM",
            Self::EachQuorum => "EACH_QUORUM",
            Self::Serial => "SERIAL",
            Self::LocalSerial => "LOCAL_SERIAL",
            Self::LocalOne => "LOCAL_ONE",
        })
    }
}

/// The levels of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Levels {
    pub(crate) consistency: Consistency,
    /// Of the part of a conditional statement that decides.
    pub(crate) serial: Consistency,
}

impl Default for Levels {
    fn default() -> Self {
        Self { consistency: Consistency::One, serial: Consistency::Serial }
    }
}

/// How a node does, as the others see it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Health {
    #[default]
    Up,
    /// It does not answer, and nobody knows yet.
    Paused,
    /// It does not answer, and all know.
    Down,
}

/// One of the replicas of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replica<'a> {
    pub(crate) node: NodeIndex,
    pub(crate) datacenter: &'a str,
    pub(crate) health: Health,
}

/// The replicas of a row, as a coordinator sees them.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    pub(crate) strategy: &'a Strategy,
    pub(crate) replicas: Vec<Replica<'a>>,
    /// The coordinator's datacenter.
    pub(crate) local: &'a str,
    /// Whether the coordinator keeps hints for replicas that are down.
    pub(crate) has_hints: bool,
}

/// What is missing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Shortage {
    /// So many replicas are down that the request is not even begun.
    Alive { consistency: Consistency, required: usize, alive: usize, datacenter: Option<String> },
    /// It is begun, and so many have answered when the time is over.
    Answers { consistency: Consistency, required: usize, received: usize },
}

impl Group<'_> {
    /// Checks that there are as many replicas as a level needs.
    pub(crate) fn check(&self, consistency: Consistency) -> Result<(), Shortage> {
        match (consistency, self.strategy) {
            (Consistency::EachQuorum, Strategy::NetworkTopology { factors }) => {
                self.check_each(factors)
            }
            _ => self.check_counts(consistency, self.required(consistency)),
        }
    }

    /// Checks that Paxos finds a majority of those that take part.
    pub(crate) fn check_paxos(&self, serial: Consistency) -> Result<(), Shortage> {
        let participants = self.counted(serial).count();
        self.check_counts(serial, quorum(participants))
    }

    /// Whom a read asks: as many as the level needs of those that answer, the coordinator before
    /// its datacenter, that before the others, and then in the order of their numbers.
    pub(crate) fn asked(&self, me: NodeIndex, consistency: Consistency) -> Vec<NodeIndex> {
        let answering = self.counted(consistency).filter(|replica| replica.health == Health::Up);
        let mut answering: Vec<_> = answering.collect();
        answering.sort_by_key(|r| (r.node != me, r.datacenter != self.local, r.node));
        let first = |of: &mut dyn Iterator<Item = &Replica<'_>>, count: usize| -> Vec<_> {
            of.take(count).map(|replica| replica.node).collect()
        };
        match (consistency, self.strategy) {
            (Consistency::EachQuorum, Strategy::NetworkTopology { factors }) => {
                let of_each = factors.iter().flat_map(|(datacenter, factor)| {
                    let here = |r: &&&Replica<'_>| r.datacenter == datacenter.as_str();
                    first(&mut answering.iter().filter(here).copied(), quorum(*factor))
                });
                of_each.collect()
            }
            _ => {
                let count = match consistency.is_serial() {
                    true => quorum(self.counted(consistency).count()),
                    false => self.required(consistency),
                };
                first(&mut answering.into_iter(), count)
            }
        }
    }

    /// Those that take part in Paxos and answer.
    pub(crate) fn participants(&self, serial: Consistency) -> Vec<NodeIndex> {
        let answering = self.counted(serial).filter(|replica| replica.health == Health::Up);
        answering.map(|replica| replica.node).collect()
    }

    /// Who counts for the others: as a read chooses, but any replica rather than none.
    pub(crate) fn leader(&self, me: NodeIndex) -> NodeIndex {
        let rank = |r: &&Replica<'_>| {
            let is_late = (r.health != Health::Up, r.health == Health::Down);
            (is_late, r.node != me, r.datacenter != self.local, r.node)
        };
        self.replicas.iter().min_by_key(rank).map_or(me, |replica| replica.node)
    }

    /// How many replicas have to answer.
    pub(crate) fn required(&self, consistency: Consistency) -> usize {
        use Consistency as C;
        match consistency {
            C::Any | C::One | C::LocalOne => 1,
            C::Two => 2,
            C::Three => 3,
            C::All => self.factor(),
            C::Quorum | C::Serial => quorum(self.factor()),
            C::LocalQuorum | C::LocalSerial => quorum(self.local_factor()),
            C::EachQuorum => match self.strategy {
                Strategy::NetworkTopology { factors } => {
                    factors.values().map(|factor| quorum(*factor)).sum()
                }
                _ => quorum(self.factor()),
            },
        }
    }

    /// How many replicas the keyspace is meant to have, whether there are so many nodes or not.
    fn factor(&self) -> usize {
        match self.strategy {
            Strategy::Simple { factor } => *factor,
            Strategy::NetworkTopology { factors } => factors.values().sum(),
            Strategy::Everywhere | Strategy::Local => self.replicas.len(),
        }
    }

    fn local_factor(&self) -> usize {
        match self.strategy {
            Strategy::NetworkTopology { factors } => factors.get(self.local).copied().unwrap_or(0),
            _ => self.factor(),
        }
    }

    fn counted(&self, consistency: Consistency) -> impl Iterator<Item = &Replica<'_>> {
        let is_counted = move |replica: &&Replica<'_>| {
            !consistency.is_local() || replica.datacenter == self.local
        };
        self.replicas.iter().filter(is_counted)
    }

    fn check_counts(&self, consistency: Consistency, required: usize) -> Result<(), Shortage> {
        let count = |is: fn(Health) -> bool| {
            self.counted(consistency).filter(|replica| is(replica.health)).count()
        };
        let alive = count(|health| health != Health::Down);
        let mut received = count(|health| health == Health::Up);
        if consistency == Consistency::Any {
            // The coordinator keeps a hint for each that is down, and a hint will do.
            received = match self.has_hints {
                true => self.replicas.len() - count(|health| health == Health::Paused),
                false => received,
            };
            if self.replicas.is_empty() {
                return Ok(());
            }
        } else if alive < required {
            return Err(Shortage::Alive { consistency, required, alive, datacenter: None });
        }
        if received < required {
            return Err(Shortage::Answers { consistency, required, received });
        }
        Ok(())
    }

    /// EACH_QUORUM: the first datacenter that falls short is named; answers are summed up.
    fn check_each(&self, factors: &BTreeMap<String, usize>) -> Result<(), Shortage> {
        let consistency = Consistency::EachQuorum;
        let (mut received, mut all) = (0, 0);
        for (datacenter, factor) in factors {
            let required = quorum(*factor);
            let here = || self.replicas.iter().filter(|r| r.datacenter == datacenter.as_str());
            let alive = here().filter(|replica| replica.health != Health::Down).count();
            if alive < required {
                let datacenter = Some(datacenter.clone());
                return Err(Shortage::Alive { consistency, required, alive, datacenter });
            }
            all += required;
            let answering = here().filter(|replica| replica.health == Health::Up).count();
            received += answering.min(required);
        }
        if received < all {
            return Err(Shortage::Answers { consistency, required: all, received });
        }
        Ok(())
    }
}

/// More than half.
fn quorum(count: usize) -> usize {
    count / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replicas such as "a+ a- b~": datacenter, and up, down or paused.
    fn group<'a>(strategy: &'a Strategy, replicas: &'a str) -> Group<'a> {
        let replica = |(node, text): (usize, &'a str)| {
            let (datacenter, health) = text.split_at(text.len() - 1);
            let health = match health {
                "+" => Health::Up,
                "~" => Health::Paused,
                _ => Health::Down,
            };
            Replica { node, datacenter, health }
        };
        let replicas = replicas.split_whitespace().enumerate().map(replica).collect();
        Group { strategy, replicas, local: "a", has_hints: true }
    }

    fn topology(factors: &[(&str, usize)]) -> Strategy {
        let factors = factors.iter().map(|(name, factor)| ((*name).to_owned(), *factor));
        Strategy::NetworkTopology { factors: factors.collect() }
    }

    /// `(required, alive or received)`, and whether it was begun.
    fn short(result: Result<(), Shortage>) -> Option<(&'static str, usize, usize)> {
        match result.err()? {
            Shortage::Alive { required, alive, .. } => Some(("alive", required, alive)),
            Shortage::Answers { required, received, .. } => Some(("answers", required, received)),
        }
    }

    #[test]
    fn codes_are_the_protocols() {
        for code in 0..=10 {
            assert_eq!(Consistency::from_code(code).map(Consistency::code), Some(code));
        }
        assert_eq!(Consistency::from_code(11), None);
    }

    #[test]
    fn simple_levels() {
        use Consistency as C;
        let three = topology(&[("a", 3)]);
        for (replicas, level, expect) in [
            ("a+ a+ a+", C::All, None),
            ("a+ a+ a-", C::All, Some(("alive", 3, 2))),
            ("a+ a+ a~", C::All, Some(("answers", 3, 2))),
            ("a+ a+ a-", C::Quorum, None),
            ("a+ a- a~", C::Quorum, Some(("answers", 2, 1))),
            ("a+ a- a-", C::Quorum, Some(("alive", 2, 1))),
            ("a+ a- a-", C::Serial, Some(("alive", 2, 1))),
            ("a+ a- a-", C::Two, Some(("alive", 2, 1))),
            ("a+ a- a-", C::One, None),
            ("a- a- a-", C::One, Some(("alive", 1, 0))),
            ("a- a- a-", C::LocalOne, Some(("alive", 1, 0))),
            ("a~ a- a-", C::One, Some(("answers", 1, 0))),
            ("a- a- a-", C::Any, None),
            ("a~ a- a~", C::Any, None),
            ("a~ a~ a~", C::Any, Some(("answers", 1, 0))),
        ] {
            assert_eq!(short(group(&three, replicas).check(level)), expect, "{replicas} {level}");
        }
    }

    #[test]
    fn the_factor_counts_even_without_so_many_nodes() {
        use Consistency as C;
        let group = group(&Strategy::Simple { factor: 3 }, "a+").check(C::Quorum);
        assert_eq!(short(group), Some(("alive", 2, 1)));
        let everywhere = Strategy::Everywhere;
        assert_eq!(short(self::group(&everywhere, "a+ a+").check(C::All)), None);
        assert_eq!(short(self::group(&everywhere, "a+").check(C::Two)), Some(("alive", 2, 1)));
    }

    #[test]
    fn without_hints_any_takes_a_replica() {
        let one = Strategy::Simple { factor: 1 };
        let mut group = group(&one, "a-");
        assert_eq!(short(group.check(Consistency::Any)), None);
        group.has_hints = false;
        assert_eq!(short(group.check(Consistency::Any)), Some(("answers", 1, 0)));
    }

    #[test]
    fn reads_ask_the_nearest_that_answer() {
        use Consistency as C;
        let both = topology(&[("a", 3), ("b", 3)]);
        for (replicas, me, level, expect) in [
            ("a+ a+ a+ b+ b+ b+", 0, C::One, &[0][..]),
            ("a+ a+ a+ b+ b+ b+", 2, C::One, &[2]),
            ("a+ a+ a+ b+ b+ b+", 9, C::One, &[0]),
            ("a- a~ a+ b+ b+ b+", 0, C::One, &[2]),
            ("a- a- a- b+ b+ b+", 0, C::Two, &[3, 4]),
            ("a+ a+ a+ b+ b+ b+", 1, C::LocalQuorum, &[1, 0]),
            ("a+ a- a+ b+ b+ b+", 2, C::Quorum, &[2, 0, 3, 4]),
            ("a+ a- a+ b+ b~ b+", 2, C::EachQuorum, &[2, 0, 3, 5]),
            ("a+ a+ a+ b+ b+ b+", 1, C::All, &[1, 0, 2, 3, 4, 5]),
            ("a+ a+ a- b+ b+ b-", 1, C::Serial, &[1, 0, 3, 4]),
            ("a+ a+ a- b+ b+ b-", 1, C::LocalSerial, &[1, 0]),
        ] {
            let asked = group(&both, replicas).asked(me, level);
            assert_eq!(asked, expect, "{replicas} {me} {level}");
        }
        assert_eq!(group(&both, "a~ a+ a+ b+ b+ b+").leader(0), 1);
        assert_eq!(group(&both, "a- a- a~ b- b- b-").leader(0), 2);
    }

    #[test]
    fn datacenters_are_told_apart() {
        use Consistency as C;
        let both = topology(&[("a", 3), ("b", 3)]);
        for (replicas, level, expect) in [
            ("a- a- a- b+ b+ b+", C::LocalOne, Some(("alive", 1, 0))),
            ("a+ a- a- b+ b+ b+", C::LocalQuorum, Some(("alive", 2, 1))),
            ("a+ a+ a- b- b- b-", C::LocalQuorum, None),
            ("a+ a+ a- b- b- b-", C::LocalSerial, None),
            ("a+ a+ a- b- b- b-", C::Quorum, Some(("alive", 4, 2))),
            ("a+ a+ a+ b+ b- b-", C::Quorum, None),
            ("a+ a+ a+ b+ b- b-", C::EachQuorum, Some(("alive", 2, 1))),
            ("a+ a+ a+ b+ b- b+", C::EachQuorum, None),
            ("a+ a+ a+ b+ b- b~", C::EachQuorum, Some(("answers", 4, 3))),
            ("a+ a+ a+ b+ b- b~", C::LocalQuorum, None),
        ] {
            assert_eq!(short(group(&both, replicas).check(level)), expect, "{replicas} {level}");
        }
        let other = topology(&[("b", 1)]);
        assert_eq!(short(group(&other, "b+").check(C::LocalQuorum)), Some(("alive", 1, 0)));
        // Of other strategies the whole keyspace's quorum has to be in the datacenter.
        let simple = Strategy::Simple { factor: 3 };
        let local = group(&simple, "a+ b+ b+").check(C::LocalQuorum);
        assert_eq!(short(local), Some(("alive", 2, 1)));
        assert_eq!(short(group(&simple, "a+ b+ b-").check(C::EachQuorum)), None);
    }

    #[test]
    fn paxos_needs_a_majority_of_those_that_are_there() {
        use Consistency as C;
        let both = topology(&[("a", 3), ("b", 3)]);
        let paxos = |replicas, serial| short(group(&both, replicas).check_paxos(serial));
        assert_eq!(paxos("a+ a+ a- b+ b+ b-", C::Serial), None);
        assert_eq!(paxos("a+ a+ a- b+ b- b-", C::Serial), Some(("alive", 4, 3)));
        assert_eq!(paxos("a+ a+ a- b- b- b-", C::LocalSerial), None);
        assert_eq!(paxos("a+ a~ a- b+ b+ b+", C::LocalSerial), Some(("answers", 2, 1)));
        // There are fewer than the factor says: one is a majority of one.
        assert_eq!(paxos("a+", C::LocalSerial), None);
    }
}
