//! Which faults come when, and at which nodes: the same for each driver from the same seed.

use std::time::Duration;

use serde::Serialize;

/// What is done to a node, or to all of them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// SIGKILL; later the node is started again on its data.
    Kill,
    /// SIGSTOP: sockets stay open, nobody answers. Later SIGCONT.
    Pause,
    /// `nodetool disablebinary`: clients are cut off, the node goes on. Later `enablebinary`.
    DisableBinary,
    /// SIGTERM and a new start, of all nodes one after the other.
    Restart,
}

impl Fault {
    pub(crate) const ALL: [Fault; 4] =
        [Fault::Kill, Fault::Pause, Fault::DisableBinary, Fault::Restart];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill -9",
            Fault::Pause => "SIGSTOP",
            Fault::DisableBinary => "disablebinary",
            Fault::Restart => "restart",
        }
    }
}

/// Times of a script, from its whole length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Before the first fault; the rate of its second half is the fault-free one.
    pub(crate) warm_up: Duration,
    /// From a fault until it is undone.
    pub(crate) hold: Duration,
    /// From when all nodes are ready again until the next fault.
    pub(crate) calm: Duration,
}

impl Times {
    pub(crate) fn of(duration: Duration) -> Times {
        let part = |part: u32, min: u64, max: u64| {
            (duration / part).clamp(Duration::from_secs(min), Duration::from_secs(max))
        };
        Times { warm_up: part(10, 4, 40), hold: part(75, 2, 8), calm: part(50, 4, 12) }
    }
}

/// Faults without an end, each kind once a round.
#[derive(Debug)]
pub(crate) struct Script {
    rng: fastrand::Rng,
    node_count: usize,
    round: Vec<Fault>,
}

impl Script {
    pub(crate) fn new(seed: u64, node_count: usize) -> Script {
        Script { rng: fastrand::Rng::with_seed(seed), node_count, round: Vec::new() }
    }

    /// Whether each kind came as often as the others.
    pub(crate) fn is_round_over(&self) -> bool {
        self.round.is_empty()
    }

    /// The next fault, and the node, of `Restart` the first one.
    pub(crate) fn next(&mut self) -> (Fault, usize) {
        if self.round.is_empty() {
            self.round.extend(Fault::ALL);
            self.rng.shuffle(&mut self.round);
        }
        let node = self.rng.usize(..self.node_count);
        (self.round.pop().unwrap_or(Fault::Kill), node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64, count: usize) -> Vec<(Fault, usize)> {
        let mut script = Script::new(seed, 3);
        (0..count).map(|_| script.next()).collect()
    }

    #[test]
    fn each_kind_comes_once_a_round() {
        let mut script = Script::new(1, 3);
        for _ in 0..10 {
            assert!(script.is_round_over());
            let mut round: Vec<_> = Fault::ALL.iter().map(|_| script.next().0).collect();
            round.sort();
            assert_eq!(round, Fault::ALL);
        }
    }

    #[test]
    fn the_seed_says_all() {
        assert_eq!(first(7, 40), first(7, 40));
        assert_ne!(first(7, 40), first(8, 40));
        assert!(first(7, 40).iter().all(|(_, node)| *node < 3));
    }

    #[test]
    fn short_scripts_have_short_times() {
        let minute = Times::of(Duration::from_secs(60));
        let sum = minute.warm_up + 3 * (minute.hold + minute.calm);
        assert!(sum < Duration::from_secs(30), "{minute:?}");
        let ten = Times::of(Duration::from_secs(600));
        assert_eq!((ten.hold.as_secs(), ten.calm.as_secs()), (8, 12));
    }
}
