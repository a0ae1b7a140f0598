//! How often a partition may be read and written: tables `WITH per_partition_rate_limit`.
//!
//! ScyllaDB counts at each replica and refuses by chance, so that about as many requests as the
//! limit go through. Here they are counted once and exactly: of each second's requests those
//! beyond the limit are refused. As there, conditional statements and counters are not counted.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::coordinator::{Coordinator, Writer};
use crate::cql::ast::OptionValue;
use crate::error::CqlError;
use crate::exec::modify::Mutation;
use crate::exec::select::SelectPlan;
use crate::routing::Placement;
use crate::schema::Table;
use crate::value::time::now_us;
use crate::wire::read::Value;

type Result<T> = std::result::Result<T, CqlError>;

/// The table option.
pub(crate) const OPTION: &str = "per_partition_rate_limit";
/// Partitions whose requests are counted within a second; beyond it all are counted anew.
const COUNTS_MAX: usize = 65_536;

/// What is counted; the numbers are those of the error.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Operation {
    Read = 0,
    Write = 1,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

impl Operation {
    /// The sub-option that limits it.
    pub(crate) const fn limit_name(self) -> &'static str {
        match self {
            Self::Read => "max_reads_per_second",
            Self::Write => "max_writes_per_second",
        }
    }
}

/// Who refuses a request: the node that was asked, if it is a replica.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rejecter {
    Coordinator,
    Replicas,
}

fn limit_of(table: &Table, operation: Operation) -> Option<u32> {
    let OptionValue::Map(map) = table.options.get(OPTION)? else { return None };
    let limit = map.iter().find(|(name, _)| name == operation.limit_name());
    limit.and_then(|(_, number)| number.parse().ok())
}

impl Table {
    /// Whether its partitions may be read or written only so often.
    pub(crate) fn has_rate_limits(&self) -> bool {
        [Operation::Read, Operation::Write].iter().any(|of| limit_of(self, *of).is_some())
    }
}

/// A table's id, a token, and what is done there.
type Key = ([u8; 16], i64, Operation);

/// What has been done in the current second.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    second: Cell<i64>,
    counts: RefCell<HashMap<Key, u32>>,
}

impl Rates {
    /// Counts a request; true if it is beyond the limit.
    fn is_beyond(&self, key: Key, limit: u32, second: i64) -> bool {
        let mut counts = self.counts.borrow_mut();
        if self.second.replace(second) != second || counts.len() >= COUNTS_MAX {
            counts.clear();
        }
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(1);
        *count > limit
    }
}

impl Coordinator<'_> {
    fn check_rate(
        &self,
        table: &Table,
        placement: &Placement,
        token: i64,
        operation: Operation,
    ) -> Result<()> {
        let Some(limit) = limit_of(table, operation) else { return Ok(()) };
        let key = (table.id, token, operation);
        if !self.shared.rates.is_beyond(key, limit, now_us() / 1_000_000) {
            return Ok(());
        }
        let by = match placement.is_replica(token, self.node) {
            true => Rejecter::Coordinator,
            false => Rejecter::Replicas,
        };
        let name = format!("{}.{}", table.keyspace, table.name);
        Err(CqlError::rate_limit(operation, &name, by))
    }

    /// Refuses a read of a partition that was read too often. Scans are not counted.
    pub(crate) fn check_read_rate(
        &self,
        select: &SelectPlan,
        placement: &Placement,
        values: &[Value<'_>],
    ) -> Result<()> {
        let table = &select.table;
        if limit_of(table, Operation::Read).is_none()
            || self.levels.consistency.is_serial()
            || !select.restrictions.has_partitions()
        {
            return Ok(());
        }
        for (key, _) in select.restrictions.partitions(table, values)? {
            self.check_rate(table, placement, key.token, Operation::Read)?;
        }
        Ok(())
    }

    /// Refuses writes to a partition that was written to too often.
    pub(crate) fn check_write_rate(&self, writer: Writer, mutations: &[Mutation]) -> Result<()> {
        let is_counted = |mutation: &&Mutation| {
            let table = mutation.table();
            limit_of(table, Operation::Write).is_some() && !table.is_counter()
        };
        let mut seen = BTreeSet::new();
        for mutation in mutations.iter().filter(is_counted) {
            let (table, token) = (mutation.table(), mutation.key().token);
            if writer != Writer::Paxos && seen.insert((table.id, token)) {
                self.check_rate(table, &*self.placement(table)?, token, Operation::Write)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_and_each_partition_is_counted_by_itself() {
        let rates = Rates::default();
        let key = |token| ([1; 16], token, Operation::Write);
        let beyond: Vec<_> = (0..4).map(|_| rates.is_beyond(key(1), 2, 10)).collect();
        assert_eq!(beyond, [false, false, true, true]);
        assert!(!rates.is_beyond(key(2), 2, 10));
        assert!(!rates.is_beyond(([1; 16], 1, Operation::Read), 2, 10));
        assert!(!rates.is_beyond(key(1), 2, 11));
        assert!(rates.is_beyond(key(1), 0, 11));
    }
}
