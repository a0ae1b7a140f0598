//! Which faults come when, and at which nodes: the same for each driver from the same seed.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

/// What is done to a node, or to all of them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
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

/// Who goes through a script.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// One driver: a round has each kind once.
    Alone,
    /// Two at once, to tell them apart by many faults: a round has each kind twice, but for
    /// `Restart`, which hurts each node and takes longest.
    Paired,
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
    pub(crate) fn of(duration: Duration, form: Form) -> Times {
        let part = |part: u32, min: u64, max: u64| {
            (duration / part).clamp(Duration::from_secs(min), Duration::from_secs(max))
        };
        match form {
            Form::Alone => {
                Times { warm_up: part(10, 4, 40), hold: part(75, 2, 8), calm: part(50, 4, 12) }
            }
            // In a long run no shorter: four seconds of a pause are twice a request's deadline, and
            // half of a calm, of which the rate is, has hundreds of requests.
            Form::Paired => {
                Times { warm_up: part(10, 4, 30), hold: part(75, 2, 4), calm: part(50, 4, 6) }
            }
        }
    }
}

/// Faults without an end, in rounds.
#[derive(Debug)]
pub(crate) struct Script {
    rng: fastrand::Rng,
    node_count: usize,
    /// What a round has.
    kinds: Vec<Fault>,
    round: Vec<Fault>,
}

impl Script {
    /// Of the kinds in `faults`, each once however often it is named.
    pub(crate) fn new(seed: u64, node_count: usize, form: Form, faults: &[Fault]) -> Script {
        let once = Fault::ALL.into_iter().filter(|fault| faults.contains(fault));
        let mut kinds: Vec<_> = once.collect();
        if form == Form::Paired {
            let twice: Vec<_> = kinds.iter().copied().filter(|f| *f != Fault::Restart).collect();
            kinds.extend(twice);
        }
        let rng = fastrand::Rng::with_seed(seed);
        Script { rng, node_count, kinds, round: Vec::new() }
    }

    /// Whether no kind is still to come.
    pub(crate) fn is_round_over(&self) -> bool {
        self.round.is_empty()
    }

    /// The next fault, and the node, of `Restart` the first one.
    pub(crate) fn next(&mut self) -> (Fault, usize) {
        if self.round.is_empty() {
            self.round.clone_from(&self.kinds);
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
        let mut script = Script::new(seed, 3, Form::Alone, &Fault::ALL);
        (0..count).map(|_| script.next()).collect()
    }

    #[test]
    fn rounds_have_each_kind() {
        use Fault::{DisableBinary, Kill, Pause, Restart};
        let twice = [Kill, Kill, Pause, Pause, DisableBinary, DisableBinary, Restart];
        let some = [Restart, DisableBinary, Restart];
        for (form, faults, kinds) in [
            (Form::Alone, &Fault::ALL[..], &Fault::ALL[..]),
            (Form::Paired, &Fault::ALL, &twice),
            (Form::Alone, &some, &[DisableBinary, Restart]),
            (Form::Paired, &some, &[DisableBinary, DisableBinary, Restart]),
        ] {
            let mut script = Script::new(1, 3, form, faults);
            for _ in 0..10 {
                assert!(script.is_round_over());
                let mut round: Vec<_> = kinds.iter().map(|_| script.next().0).collect();
                round.sort();
                assert_eq!(round, kinds);
            }
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
        for form in [Form::Alone, Form::Paired] {
            let minute = Times::of(Duration::from_secs(60), form);
            let sum = minute.warm_up + 3 * (minute.hold + minute.calm);
            assert!(sum < Duration::from_secs(30), "{minute:?}");
        }
        let seconds = |form| {
            let times = Times::of(Duration::from_secs(600), form);
            [times.warm_up, times.hold, times.calm].map(|time| time.as_secs())
        };
        assert_eq!(seconds(Form::Alone), [40, 8, 12]);
        assert_eq!(seconds(Form::Paired), [30, 4, 6]);
    }
}
