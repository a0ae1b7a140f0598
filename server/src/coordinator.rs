//! What a node does for its client beyond running the statement: it asks the replicas.
//!
//! Rows are stored once, so asking them is counting them: those that are up answer. A request that
//! too few answer is carried out like one that is answered, as the others have done their part by
//! then; a request that can't find enough to begin with is not.

use std::cell::RefCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::cdc::log::log_rows;
use crate::cql::ast::{BatchKind, OptionValue};
use crate::error::{CqlError, Failures, Reason, WriteType, code};
use crate::exec::modify::{ModifyPlan, Mutation};
use crate::exec::select::SelectPlan;
use crate::limits::pretty;
use crate::replicas::{Consistency, Group, Health, Levels, Replica, Shortage};
use crate::routing::{NodeIndex, NodeSet, Placement};
use crate::schema::Table;
use crate::state::Shared;
use crate::store::{PartitionKey, Tombstones};
use crate::wire::read::Value;

type Result<T> = std::result::Result<T, CqlError>;

/// Nodes that the log of a batch is written to.
const BATCH_LOG_COPIES: usize = 2;

/// Warnings that go with a reply.
pub(crate) type Warnings = RefCell<Vec<String>>;

/// What writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Writer {
    Statement,
    Batch(BatchKind),
    /// Paxos has decided on it.
    Paxos,
}

/// The node that a client asks, and what the client asks it for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coordinator<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) node: NodeIndex,
    pub(crate) levels: Levels,
    pub(crate) warnings: &'a Warnings,
}

/// What a write has for one partition of a keyspace.
#[derive(Debug)]
struct Part {
    placement: Rc<Placement>,
    /// Names, with that of the keyspace.
    tables: BTreeSet<String>,
    is_counter: bool,
    /// Whether its changes are captured.
    is_captured: bool,
    size: usize,
}

/// By keyspace and partition.
type Parts<'a> = BTreeMap<(&'a str, PartitionKey), Part>;

impl Part {
    fn new(placement: Rc<Placement>) -> Self {
        let tables = BTreeSet::new();
        Self { placement, tables, is_counter: false, is_captured: false, size: 0 }
    }

    fn add(&mut self, mutation: &Mutation) {
        let table = mutation.table();
        let is_captured = table.capture.is_some()
            || matches!(
                table.options.get("cdc"),
                Some(OptionValue::Text(text)) if text.eq_ignore_ascii_case("true")
            );
        self.is_counter |= table.is_counter();
        self.is_captured |= is_captured;
        self.size += mutation.size();
        self.tables.insert(format!("{}.{}", table.keyspace, table.name));
    }
}

impl Coordinator<'_> {
    fn health(&self, node: NodeIndex) -> Health {
        self.shared.node_states.get(node).map_or(Health::Down, |state| state.pulse.health())
    }

    fn datacenter(&self, node: NodeIndex) -> &str {
        self.shared.nodes.get(node).map_or("", |node| node.datacenter.as_str())
    }

    fn group<'a>(&'a self, placement: &'a Placement, replicas: NodeSet) -> Group<'a> {
        let replica = |node| {
            let (datacenter, health) = (self.datacenter(node), self.health(node));
            Replica { node, datacenter, health }
        };
        Group {
            strategy: &placement.strategy,
            replicas: replicas.iter().map(replica).collect(),
            local: self.datacenter(self.node),
        }
    }

    /// Checks that the replicas of all rows that are to be read answer.
    pub(crate) fn check_read(
        &self,
        select: &SelectPlan,
        placement: &Placement,
        values: &[Value<'_>],
    ) -> Result<()> {
        let consistency = self.levels.consistency;
        let timeout = self.shared.limits.read_request_timeout;
        if consistency == Consistency::Any {
            let message = "ANY ConsistencyLevel is only supported for writes";
            return Err(CqlError::invalid(message));
        }
        if consistency.is_serial() && select.restrictions.has_partitions() {
            let keys = select.restrictions.partitions(&select.table, values)?;
            return self.check_serial_read(&keys, placement);
        }
        let checks = replicas_of(select, placement, values)?
            .into_iter()
            .map(|set| self.group(placement, set).check(consistency));
        match worst(checks) {
            Some(shortage) => Err(CqlError::read_shortage(shortage, timeout)),
            None => Ok(()),
        }
    }

    /// A read that goes through Paxos first. If that fails nothing is read, whoever has answered.
    fn check_serial_read<T>(
        &self,
        keys: &[(PartitionKey, T)],
        placement: &Placement,
    ) -> Result<()> {
        let [(key, _)] = keys else {
            let message =
                "SERIAL/LOCAL_SERIAL consistency may only be requested for one partition at a time";
            return if keys.is_empty() { Ok(()) } else { Err(CqlError::invalid(message)) };
        };
        let timeout = self.shared.limits.read_request_timeout;
        let group = self.group(placement, placement.replicas(key.token));
        group.check_paxos(self.levels.consistency).map_err(|shortage| {
            let shortage = match shortage {
                Shortage::Answers { consistency, required, .. } => {
                    Shortage::Answers { consistency, required, received: 0 }
                }
                alive @ Shortage::Alive { .. } => alive,
            };
            CqlError::read_shortage(shortage, timeout)
        })
    }

    /// Warns of tombstones, or fails, once a read has met too many.
    pub(crate) fn check_tombstones(
        &self,
        select: &SelectPlan,
        placement: &Placement,
        values: &[Value<'_>],
        live_count: usize,
        met: &Tombstones,
    ) -> Result<()> {
        let limits = &self.shared.limits;
        if met.most() > limits.tombstone_failure_threshold {
            let set = replicas_of(select, placement, values)?.pop_first().unwrap_or_default();
            let group = self.group(placement, set);
            let consistency = self.levels.consistency;
            let required = group.required(consistency);
            let failures = self.failures(&group, required, Reason::TooManyTombstones);
            return Err(CqlError::read_failure(consistency, required, failures));
        }
        if met.most() > limits.tombstone_warn_threshold {
            self.warnings.borrow_mut().push(format!(
                "Read {live_count} live rows and {} tombstone cells for query SELECT * FROM {}.{} \
                 (see tombstone_warn_threshold)",
                met.most(),
                select.table.keyspace,
                select.table.name
            ));
        }
        Ok(())
    }

    /// So many of those that answer, itself first, with a failure.
    fn failures(&self, group: &Group<'_>, count: usize, reason: Reason) -> Failures {
        let answering = group.replicas.iter().filter(|replica| replica.health == Health::Up);
        let mut nodes: Vec<_> = answering.map(|replica| replica.node).collect();
        nodes.sort_by_key(|node| *node != self.node);
        let address = |node: NodeIndex| self.shared.nodes.get(node).map(|node| node.address);
        Failures { nodes: nodes.into_iter().take(count).filter_map(address).collect(), reason }
    }

    /// Checks that Paxos can decide on a conditional statement.
    pub(crate) fn check_paxos(&self, plan: &ModifyPlan, values: &[Value<'_>]) -> Result<()> {
        let Levels { consistency, serial } = self.levels;
        if consistency.is_serial() {
            return Err(CqlError::invalid(format!(
                "{consistency} is not supported as conditional update commit consistency. Use ANY \
                 if you mean \"make sure it is accepted but I don't care how many replicas commit \
                 it for non-SERIAL reads\""
            )));
        }
        let timeout = self.shared.limits.write_request_timeout;
        let placement = self.placement(&plan.table)?;
        for (key, _) in plan.restrictions.partitions(&plan.table, values)? {
            let group = self.group(&placement, placement.replicas(key.token));
            group
                .check_paxos(serial)
                .map_err(|shortage| CqlError::write_shortage(shortage, WriteType::Cas, timeout))?;
        }
        Ok(())
    }

    fn placement(&self, table: &Table) -> Result<Rc<Placement>> {
        let schema = self.shared.schema.borrow();
        schema.keyspace(&table.keyspace).map(|keyspace| Rc::clone(&keyspace.placement))
    }

    /// Writes, if there are enough replicas to begin; fails all the same if too few answer.
    pub(crate) fn write(&self, writer: Writer, mutations: Vec<Mutation>) -> Result<()> {
        let log = log_rows(self.shared, &mutations)?;
        let (writer, mutations) = self.with_log(writer, mutations, log)?;
        let parts = self.parts(&mutations)?;
        self.check_sizes(writer, &parts)?;
        let timeout = self.shared.limits.write_request_timeout;
        let typ = write_type(writer, &parts);
        let checks = parts.iter().map(|((_, key), part)| {
            let group = self.group(&part.placement, part.placement.replicas(key.token));
            group.check(self.levels.consistency)
        });
        let shortage = worst(checks);
        if let Some(alive @ Shortage::Alive { .. }) = shortage {
            return Err(CqlError::write_shortage(alive, typ, timeout));
        }
        self.check_capture(&parts, typ)?;
        if typ == WriteType::Batch {
            self.write_batch_log()?;
        }
        mutations.into_iter().for_each(Mutation::apply);
        match shortage {
            Some(shortage) => Err(CqlError::write_shortage(shortage, typ, timeout)),
            None => Ok(()),
        }
    }

    /// The write with the rows that tell of it. A batch of one partition stays one that needs no
    /// log of its own.
    fn with_log(
        &self,
        writer: Writer,
        mut mutations: Vec<Mutation>,
        log: Vec<Mutation>,
    ) -> Result<(Writer, Vec<Mutation>)> {
        if log.is_empty() {
            return Ok((writer, mutations));
        }
        let is_alone = self.parts(&mutations)?.len() < 2;
        mutations.extend(log);
        let writer = match writer {
            Writer::Batch(_) if is_alone => Writer::Statement,
            other => other,
        };
        Ok((writer, mutations))
    }

    /// Partitions that are written to, each once whatever the number of its tables.
    fn parts<'m>(&self, mutations: &'m [Mutation]) -> Result<Parts<'m>> {
        let mut parts = Parts::new();
        for mutation in mutations {
            let table = mutation.table();
            self.check_write_level(table)?;
            let key = (table.keyspace.as_str(), mutation.key());
            let part = match parts.entry(key) {
                Entry::Occupied(part) => part.into_mut(),
                Entry::Vacant(place) => place.insert(Part::new(self.placement(table)?)),
            };
            part.add(mutation);
        }
        Ok(parts)
    }

    /// No partition gets too much at a time; of a batch that is large there is a warning.
    fn check_sizes(&self, writer: Writer, parts: &Parts<'_>) -> Result<()> {
        let limits = &self.shared.limits;
        let max = limits.max_mutation_size;
        if let Some(((keyspace, _), part)) = parts.iter().find(|(_, part)| part.size > max) {
            let tables: Vec<_> = part.tables.iter().map(String::as_str).collect();
            return Err(CqlError::invalid(format!(
                "Rejected an oversized mutation ({}/{max}) for keyspace: {keyspace}. Top keys are: \
                 {}",
                part.size,
                tables.join(", ")
            )));
        }
        // Of one partition it is a mutation like any other.
        if !matches!(writer, Writer::Batch(_)) || parts.len() < 2 {
            return Ok(());
        }
        let (size, threshold) =
            (parts.values().map(|part| part.size).sum::<usize>(), limits.batch_size_warn_threshold);
        if size > threshold {
            let tables: BTreeSet<_> = parts.values().flat_map(|part| &part.tables).collect();
            let tables: Vec<_> = tables.into_iter().map(String::as_str).collect();
            self.warnings.borrow_mut().push(format!(
                "Batch for [{}] is of size {}, exceeding specified threshold of {} by {}.",
                tables.join(", "),
                pretty(size),
                pretty(threshold),
                pretty(size - threshold)
            ));
        }
        Ok(())
    }

    /// Where there is no room to capture changes, no replica writes.
    fn check_capture(&self, parts: &Parts<'_>, typ: WriteType) -> Result<()> {
        let captured = parts.iter().find(|(_, part)| part.is_captured);
        let Some(((_, key), part)) = captured.filter(|_| self.shared.limits.cdc_has_no_room) else {
            return Ok(());
        };
        let group = self.group(&part.placement, part.placement.replicas(key.token));
        let consistency = self.levels.consistency;
        let required = group.required(consistency);
        let failures = self.failures(&group, usize::MAX, Reason::Unknown);
        Err(CqlError::write_failure(consistency, required, typ, failures))
    }

    fn check_write_level(&self, table: &Table) -> Result<()> {
        let consistency = self.levels.consistency;
        let message = match consistency {
            Consistency::Any if table.is_counter() => format!(
                "Consistency level ANY is not yet supported for counter table {}",
                table.name
            ),
            _ if !consistency.is_serial() => return Ok(()),
            _ if table.is_counter() => {
                "Counter operations are inherently non-serializable".to_owned()
            }
            _ => "You must use conditional updates for serializable writes".to_owned(),
        };
        Err(CqlError::invalid(message))
    }

    /// Writes the log of a batch: to two others of the datacenter that seem to be alive, those of
    /// other racks first, or to the node itself if it is the only one. Cassandra takes any two.
    fn write_batch_log(&self) -> Result<()> {
        let rack = |node: NodeIndex| self.shared.nodes.get(node).map(|node| node.rack.as_str());
        let ring = self.shared.ring.borrow();
        let is_candidate = |node: &NodeIndex| {
            *node != self.node
                && ring.is_member(*node)
                && self.datacenter(*node) == self.datacenter(self.node)
                && self.health(*node) != Health::Down
        };
        let mut nodes: Vec<_> = (0..self.shared.nodes.len()).filter(is_candidate).collect();
        nodes.sort_by_key(|node| rack(*node) == rack(self.node));
        nodes.truncate(BATCH_LOG_COPIES);
        let received = nodes.iter().filter(|node| self.health(**node) == Health::Up).count();
        if received == nodes.len() {
            return Ok(());
        }
        let required = nodes.len();
        let consistency = if required == 1 { Consistency::One } else { Consistency::Two };
        let shortage = Shortage::Answers { consistency, required, received };
        let timeout = self.shared.limits.write_request_timeout;
        Err(CqlError::write_shortage(shortage, WriteType::BatchLog, timeout))
    }

    /// Empties a table, which takes all nodes.
    pub(crate) fn truncate(&self, table: &Table) -> Result<()> {
        let health: Vec<_> = {
            let ring = self.shared.ring.borrow();
            let members = (0..self.shared.nodes.len()).filter(|node| ring.is_member(*node));
            members.map(|node| self.health(node)).collect()
        };
        if health.contains(&Health::Down) {
            let message = "Error during truncate: Cannot achieve consistency level ALL";
            return Err(CqlError::new(code::TRUNCATE, message));
        }
        table.data.borrow_mut().truncate();
        let received = health.iter().filter(|health| **health == Health::Up).count();
        if received == health.len() {
            return Ok(());
        }
        let message = format!(
            "Error during truncate: Truncate timed out - received only {received} responses"
        );
        let timeout = self.shared.limits.truncate_request_timeout;
        Err(CqlError::new(code::TRUNCATE, message).late(timeout))
    }
}

/// Each set of replicas that has rows of a read.
fn replicas_of(
    select: &SelectPlan,
    placement: &Placement,
    values: &[Value<'_>],
) -> Result<BTreeSet<NodeSet>> {
    if !select.restrictions.has_partitions() {
        return Ok(placement.all_replicas());
    }
    let keys = select.restrictions.partitions(&select.table, values)?;
    Ok(keys.iter().map(|(key, _)| placement.replicas(key.token)).collect())
}

/// What keeps a request from being begun, or else from being answered.
fn worst(checks: impl Iterator<Item = std::result::Result<(), Shortage>>) -> Option<Shortage> {
    let mut unanswered = None;
    for shortage in checks.filter_map(std::result::Result::err) {
        match shortage {
            Shortage::Alive { .. } => return Some(shortage),
            Shortage::Answers { .. } => unanswered = unanswered.or(Some(shortage)),
        }
    }
    unanswered
}

/// A batch of one partition needs no log: it is written as a statement is.
fn write_type(writer: Writer, parts: &Parts<'_>) -> WriteType {
    match writer {
        _ if parts.values().any(|part| part.is_counter) => WriteType::Counter,
        _ if parts.len() < 2 => WriteType::Simple,
        Writer::Batch(BatchKind::Logged) => WriteType::Batch,
        _ => WriteType::UnloggedBatch,
    }
}
