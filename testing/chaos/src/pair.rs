//! Two drivers that went through the same faults at the same instants, compared fault by fault.
//!
//! What differs from one fault to the next, such as how busy the nodes are, meets both drivers and
//! is not in their difference. Whether one is later than the other is told by the signs of the
//! differences alone: a few long ones, which any machine has, say nothing.

use serde::{Serialize, Serializer};

use crate::run::Outcome;
use crate::script::Fault;
use crate::tally::Noticed;

/// Were both drivers alike, the signs would say of one kind in twenty that ours is later.
const LEVEL: f64 = 0.05;

/// One kind of fault.
#[derive(Debug, Serialize)]
pub(crate) struct Paired {
    pub(crate) fault: Fault,
    /// Of the times to the first success.
    pub(crate) first: Differences,
    /// Of the times until all clients had one.
    pub(crate) all: Differences,
    /// Of the requests that failed.
    pub(crate) failed: Differences,
    /// On the first success.
    pub(crate) verdict: Verdict,
}

/// What is ours less what is theirs, over all faults of a kind: below 0 where ours was better.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Differences {
    pub(crate) pairs: usize,
    /// Faults with which ours was less, or was there at all while theirs was not.
    pub(crate) less: usize,
    /// The other way round.
    pub(crate) more: usize,
    /// Of those that both came to; of an even count the greater one in the middle.
    pub(crate) median: Option<f64>,
    pub(crate) smallest: Option<f64>,
    pub(crate) largest: Option<f64>,
}

/// Whether our first success came no later than theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Our median is no greater than theirs.
    ByMedians,
    /// It is, but the signs do not say that ours is later; with how likely so many are by chance.
    BySigns(f64),
    /// It is, and were all signs against ours, they would not say it either.
    TooFew,
    Later(f64),
}

impl Verdict {
    pub(crate) fn text(self) -> String {
        match self {
            Verdict::ByMedians => "no later, by the medians".to_owned(),
            Verdict::BySigns(chance) => format!("no later, by the signs (p = {chance:.2})"),
            Verdict::TooFew => "later by the medians, of too few pairs to tell".to_owned(),
            Verdict::Later(chance) => format!("later (p = {chance:.4})"),
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

/// Compares what two drivers made of one run, by the kinds of faults that came in it.
pub(crate) fn compare(ours: &Outcome, theirs: &Outcome) -> Vec<Paired> {
    let both: Vec<_> = ours.faults.iter().zip(&theirs.faults).collect();
    let kinds = Fault::ALL.into_iter().map(|fault| {
        let both: Vec<_> = both.iter().copied().filter(|(ours, _)| ours.fault == fault).collect();
        Paired::new(fault, &both)
    });
    kinds.filter(|paired| paired.first.pairs > 0).collect()
}

impl Paired {
    fn new(fault: Fault, both: &[(&Noticed, &Noticed)]) -> Paired {
        let of = |value: fn(&Noticed) -> Option<f64>| {
            both.iter().map(|(ours, theirs)| (value(ours), value(theirs))).collect::<Vec<_>>()
        };
        let firsts = of(|noticed| noticed.first_success_ms);
        let first = Differences::new(&firsts);
        Paired {
            fault,
            verdict: judge(&firsts, &first),
            first,
            all: Differences::new(&of(|noticed| noticed.all_clients_ms)),
            failed: Differences::new(&of(|noticed| Some(noticed.failed as f64))),
        }
    }
}

impl Differences {
    fn new(pairs: &[(Option<f64>, Option<f64>)]) -> Differences {
        let mut differences = Vec::new();
        let mut made = Differences { pairs: pairs.len(), ..Differences::default() };
        for pair in pairs {
            let difference = match *pair {
                (Some(ours), Some(theirs)) => {
                    differences.push(ours - theirs);
                    ours - theirs
                }
                (Some(_), None) => f64::NEG_INFINITY,
                (None, Some(_)) => f64::INFINITY,
                (None, None) => 0.0,
            };
            made.less += usize::from(difference < 0.0);
            made.more += usize::from(difference > 0.0);
        }
        made.smallest = differences.iter().copied().reduce(f64::min);
        made.largest = differences.iter().copied().reduce(f64::max);
        made.median = median(differences);
        made
    }
}

fn judge(firsts: &[(Option<f64>, Option<f64>)], differences: &Differences) -> Verdict {
    let ours = median(firsts.iter().filter_map(|(ours, _)| *ours).collect());
    let theirs = median(firsts.iter().filter_map(|(_, theirs)| *theirs).collect());
    if let (Some(ours), Some(theirs)) = (ours, theirs)
        && ours <= theirs
    {
        return Verdict::ByMedians;
    }
    // Ties say nothing for either.
    let count = differences.less + differences.more;
    let chance = at_least(differences.more, count);
    if chance <= LEVEL {
        Verdict::Later(chance)
    } else if at_least(count, count) <= LEVEL {
        Verdict::BySigns(chance)
    } else {
        Verdict::TooFew
    }
}

/// The value in the middle, of an even count the greater of two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// How likely it is that of `count` tosses of a coin `heads` or more show heads.
fn at_least(heads: usize, count: usize) -> f64 {
    // By how many show heads. Each toss makes of a row of Pascal's triangle, halved, the next one.
    let mut chances = vec![1.0];
    for _ in 0..count {
        let (tails, heads) = (chances.iter().chain([&0.0]), [&0.0].into_iter().chain(&chances));
        chances = tails.zip(heads).map(|(tails, heads)| (tails + heads) / 2.0).collect();
    }
    chances.iter().skip(heads).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_test_is_that_of_the_tables() {
        for (heads, count, chance) in [
            (0, 0, 1.0),
            (0, 7, 1.0),
            (1, 1, 0.5),
            (6, 6, 1.0 / 64.0),
            (5, 6, 7.0 / 64.0),
            (7, 8, 9.0 / 256.0),
            (6, 8, 37.0 / 256.0),
            (9, 12, 299.0 / 4096.0),
            (10, 12, 79.0 / 4096.0),
        ] {
            assert_eq!(at_least(heads, count), chance, "{heads} of {count}");
        }
        // Thousands, as a day's run may have.
        assert!((at_least(1_000, 2_000) - 0.5).abs() < 0.01);
        assert!(at_least(1_200, 2_000) < 1e-9);
    }

    fn pairs(differences: &[f64]) -> Vec<(Option<f64>, Option<f64>)> {
        differences.iter().map(|difference| (Some(5.0 + difference), Some(5.0))).collect()
    }

    #[test]
    fn differences_are_of_pairs() {
        let mut firsts = pairs(&[-1.0, 0.5, -3.0, 2.0, 0.0]);
        firsts.extend([(None, Some(1.0)), (Some(1.0), None), (None, None)]);
        let made = Differences::new(&firsts);
        let expect = Differences {
            pairs: 8,
            less: 3,
            more: 3,
            median: Some(0.0),
            smallest: Some(-3.0),
            largest: Some(2.0),
        };
        assert_eq!(made, expect);
        assert_eq!(Differences::new(&[]), Differences::default());
    }

    fn verdict(firsts: &[(Option<f64>, Option<f64>)]) -> Verdict {
        judge(firsts, &Differences::new(firsts))
    }

    #[test]
    fn only_many_signs_say_that_ours_is_later() {
        assert_eq!(verdict(&pairs(&[0.0; 6])), Verdict::ByMedians);
        assert_eq!(verdict(&pairs(&[0.1; 6])), Verdict::Later(1.0 / 64.0));
        assert_eq!(verdict(&pairs(&[0.1; 5])), Verdict::Later(1.0 / 32.0));
        assert_eq!(verdict(&pairs(&[0.1; 4])), Verdict::TooFew);
        let mostly = [0.1, 9.0, 0.1, 0.1, 0.1, -0.1];
        assert_eq!(verdict(&pairs(&mostly)), Verdict::BySigns(7.0 / 64.0));
        assert_eq!(verdict(&[(None, Some(1.0)); 5]), Verdict::Later(1.0 / 32.0), "we had none");
        assert_eq!(verdict(&[(Some(1.0), None); 5]), Verdict::BySigns(1.0), "they had none");
    }
}
