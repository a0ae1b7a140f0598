//! What callgrind wrote: instructions per function, of which two runs' difference is of interest.

use std::collections::HashMap;

use anyhow::Context;

/// Instructions of a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// All of them.
    pub total: u64,
    /// In each function itself, what it calls apart.
    functions: HashMap<String, u64>,
}

impl Profile {
    /// Reads callgrind's output.
    ///
    /// # Errors
    ///
    /// If it holds no total.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut costs: HashMap<&str, u64> = HashMap::new();
        let mut function = "";
        let mut is_call = false;
        let mut total = None;
        for line in text.lines() {
            // A name stands with its number where it first occurs: `fn=(7) main`, later `fn=(7)`.
            if let Some(named) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
                let (number, name) = named.split_once(' ').unwrap_or((named, ""));
                if !name.is_empty() {
                    names.insert(number, name);
                }
                if line.starts_with("fn=") {
                    function = number;
                }
            } else if line.starts_with("calls=") {
                is_call = true; // the next line is what was called, not what was done here
            } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
                let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok());
                if !std::mem::take(&mut is_call) {
                    *costs.entry(function).or_default() += cost.unwrap_or(0);
                }
            } else if let Some(sum) = total_of(line) {
                total = Some(sum.trim().parse().context("callgrind's total is a number")?);
            }
        }
        let mut functions = HashMap::new();
        for (number, cost) in costs {
            let name = names.get(number).copied().unwrap_or(number);
            *functions.entry(name.to_owned()).or_default() += cost;
        }
        Ok(Self { total: total.context("callgrind wrote no total")?, functions })
    }

    /// The functions that `longer` spends most more in, per each of `units`, the most first.
    pub fn per_unit(&self, longer: &Self, units: u64) -> Vec<(f64, String)> {
        let cost = |profile: &Self, name: &str| profile.functions.get(name).copied().unwrap_or(0);
        let mut found: Vec<_> = longer
            .functions
            .keys()
            .map(|name| {
                let difference = cost(longer, name) as f64 - cost(self, name) as f64;
                (difference / units as f64, name.clone())
            })
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found
    }
}

/// `totals` is the sum over the functions, `summary` what was executed; they agree.
fn total_of(line: &str) -> Option<&str> {
    line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &str = "events: Ir\nfn=(1) main\n1 10\n+2 5\ncfn=(2) work\ncalls=3 7\n* 300\n\
        fn=(2)\n7 300\ntotals: 315\n";
    const LONG: &str =
        "fn=(1) main\n1 15\ncfn=(2) work\ncalls=6 7\n9 600\nfn=(2)\n7 600\ntotals: 615\n";

    #[test]
    fn calls_are_not_counted_twice() {
        let short = Profile::parse(SHORT).unwrap();
        assert_eq!(short.total, 315);
        assert_eq!(short.functions.values().sum::<u64>(), short.total);
        let found = short.per_unit(&Profile::parse(LONG).unwrap(), 3);
        assert_eq!(found, [(100.0, "work".to_owned()), (0.0, "main".to_owned())]);
    }

    #[test]
    fn a_profile_without_total_is_an_error() {
        assert!(Profile::parse("fn=(1) main\n1 10\n").is_err());
    }
}
