//! What a node does for its client beyond running the statement: it asks the replicas.
//!
//! Those that are up answer. A request that too few answer is carried out like one that is
//! answered, as the others have done their part by then; a request that can't find enough to begin
//! with is not. Which replica has what is in `store/copies.rs`; as long as all have the same, those
//! that answer are only counted.

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
use crate::store::{Delivery, Fate, PartitionKey, Range, Seen, TableData, Tombstones, View};
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
        self.is_counter |= table.is_counter();
        self.is_captured |= table.is_captured();
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
            has_hints: self.shared.limits.hinted_handoff_enabled,
        }
    }

    /// Whether the level finds enough replicas of whatever row.
    pub(crate) fn finds_all(&self, placement: &Placement) -> bool {
        let mut all = placement.all_replicas().into_iter();
        all.all(|set| self.group(placement, set).check(self.levels.consistency).is_ok())
    }

    /// The replicas of a row that is to be written: one that misses the write doesn't answer.
    fn writers<'a>(&'a self, placement: &'a Placement, replicas: NodeSet) -> Group<'a> {
        let mut group = self.group(placement, replicas);
        let misses = self.shared.misses.get();
        for replica in &mut group.replicas {
            if replica.health == Health::Up && misses.contains(replica.node) {
                replica.health = Health::Paused;
            }
        }
        group
    }

    /// Checks that the replicas of all rows that are to be read answer, and asks them where they
    /// may differ.
    pub(crate) fn check_read(
        &self,
        select: &SelectPlan,
        placement: &Placement,
        values: &[Value<'_>],
    ) -> Result<Seen> {
        let consistency = self.levels.consistency;
        let timeout = self.shared.limits.read_request_timeout;
        if consistency == Consistency::Any {
            let message = "ANY ConsistencyLevel is only supported for writes";
            return Err(CqlError::invalid(message));
        }
        if consistency.is_serial() && select.restrictions.has_partitions() {
            let keys = select.restrictions.partitions(&select.table, values)?;
            return self.check_serial_read(&select.table, &keys, placement);
        }
        let checks = replicas_of(select, placement, values)?
            .into_iter()
            .map(|set| self.group(placement, set).check(consistency));
        match worst(checks) {
            Some(shortage) => Err(CqlError::read_shortage(shortage, timeout)),
            None if select.table.data.borrow().has_copies() => self.see(select, placement, values),
            None => Ok(Seen::default()),
        }
    }

    /// Asks the replicas of partitions of which there are several copies.
    fn see(
        &self,
        select: &SelectPlan,
        placement: &Placement,
        values: &[Value<'_>],
    ) -> Result<Seen> {
        let data = select.table.data.borrow();
        let keys: Vec<PartitionKey> = if select.restrictions.has_partitions() {
            let keys = select.restrictions.partitions(&select.table, values)?;
            keys.into_iter().map(|(key, _)| key).collect()
        } else {
            let (low, high) = select.restrictions.token_range(&select.table, values)?;
            let tokens = low..=high;
            data.apart().filter(|key| tokens.contains(&key.token)).cloned().collect()
        };
        let ranges = select.restrictions.ranges(&select.table, values)?;
        Ok(data.see(self.askings(keys, placement), &ranges))
    }

    /// Asks the replicas of all partitions of a table of which there are several copies.
    pub(crate) fn see_all(&self, table: &Table, placement: &Placement) -> Seen {
        let data = table.data.borrow();
        data.see(self.askings(data.apart().cloned(), placement), &[Range::all()])
    }

    fn askings(
        &self,
        keys: impl IntoIterator<Item = PartitionKey>,
        placement: &Placement,
    ) -> impl Iterator<Item = (PartitionKey, Vec<NodeIndex>)> {
        keys.into_iter().map(|key| {
            let group = self.group(placement, placement.replicas(key.token));
            let asked = group.asked(self.node, self.levels.consistency);
            (key, asked)
        })
    }

    /// Gives the replicas that a read has asked what they have together, before it is answered.
    pub(crate) fn repair_read(
        &self,
        select: &SelectPlan,
        placement: &Placement,
        values: &[Value<'_>],
        seen: &Seen,
    ) -> Result<()> {
        if !repairs_reads(&select.table) {
            return Ok(());
        }
        let ranges = select.restrictions.ranges(&select.table, values)?;
        let mut data = select.table.data.borrow_mut();
        for (key, asked) in seen.differing() {
            data.repair(&key, &asked, &ranges, placement.replicas(key.token));
        }
        Ok(())
    }

    /// A round of Paxos: those that take part get to know what was decided without them, and a
    /// majority is asked.
    fn paxos_round(&self, table: &Table, key: &PartitionKey, group: &Group<'_>) -> Seen {
        let mut data = table.data.borrow_mut();
        if !data.is_apart(key) {
            return Seen::default();
        }
        let serial = match self.levels.consistency.is_serial() {
            true => self.levels.consistency,
            false => self.levels.serial,
        };
        let all = NodeSet::of(group.replicas.iter().map(|replica| replica.node));
        data.catch_up(key, &group.participants(serial), all);
        let asked = group.asked(self.node, serial);
        let ranges = [Range::all()];
        if repairs_reads(table) {
            data.repair(key, &asked, &ranges, all);
        }
        data.see([(key.clone(), asked)], &ranges)
    }

    /// A read that goes through Paxos first. If that fails nothing is read, whoever has answered.
    fn check_serial_read<T>(
        &self,
        table: &Table,
        keys: &[(PartitionKey, T)],
        placement: &Placement,
    ) -> Result<Seen> {
        let [(key, _)] = keys else {
            let message =
                "SERIAL/LOCAL_SERIAL consistency may only be requested for one partition at a time";
            let is_none = keys.is_empty();
            return if is_none { Ok(Seen::default()) } else { Err(CqlError::invalid(message)) };
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
        })?;
        Ok(self.paxos_round(table, key, &group))
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

    /// Checks that Paxos can decide on a conditional statement, and asks those that take part where
    /// they may differ.
    pub(crate) fn check_paxos(&self, plan: &ModifyPlan, values: &[Value<'_>]) -> Result<Seen> {
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
        let mut seen = Seen::default();
        for (key, _) in plan.restrictions.partitions(&plan.table, values)? {
            let group = self.group(&placement, placement.replicas(key.token));
            group
                .check_paxos(serial)
                .map_err(|shortage| CqlError::write_shortage(shortage, WriteType::Cas, timeout))?;
            // There is one partition.
            seen = self.paxos_round(&plan.table, &key, &group);
        }
        Ok(seen)
    }

    pub(crate) fn placement(&self, table: &Table) -> Result<Rc<Placement>> {
        let schema = self.shared.schema.borrow();
        schema.keyspace(&table.keyspace).map(|keyspace| Rc::clone(keyspace.placement(&table.name)))
    }

    /// Writes, if there are enough replicas to begin; fails all the same if too few answer.
    pub(crate) fn write(&self, writer: Writer, mutations: Vec<Mutation>) -> Result<()> {
        for mutation in mutations.iter().filter(|mutation| mutation.reads_lists()) {
            let (data, key) = (mutation.table().data.borrow(), mutation.key());
            let seen = self.see_one(&data, mutation.table(), &key)?;
            mutation.check_lists(View::new(&data, &seen).find(&key))?;
        }
        let log = log_rows(self, &mutations)?;
        let (writer, mutations) = self.with_log(writer, mutations, log)?;
        let parts = self.parts(&mutations)?;
        self.check_sizes(writer, &parts)?;
        let timeout = self.shared.limits.write_request_timeout;
        let typ = write_type(writer, &parts);
        let mut is_whole = true;
        let checks = parts.iter().map(|((_, key), part)| {
            let group = self.writers(&part.placement, part.placement.replicas(key.token));
            is_whole &= group.replicas.iter().all(|replica| replica.health == Health::Up);
            group.check(self.levels.consistency)
        });
        let shortage = worst(checks);
        if let Some(alive @ Shortage::Alive { .. }) = shortage {
            return Err(CqlError::write_shortage(alive, typ, timeout));
        }
        self.check_capture(&parts, typ)?;
        self.check_write_rate(writer, &mutations)?;
        if typ == WriteType::Batch {
            self.write_batch_log()?;
        }
        for mutation in mutations {
            if is_whole && !mutation.table().data.borrow().has_copies() {
                let leader = self.leader(&mutation, typ)?;
                mutation.apply(leader);
            } else {
                self.write_apart(writer, mutation)?;
            }
        }
        match shortage {
            Some(shortage) => Err(CqlError::write_shortage(shortage, typ, timeout)),
            None => Ok(()),
        }
    }

    /// The replica that counts; any where nothing is counted.
    fn leader(&self, mutation: &Mutation, typ: WriteType) -> Result<NodeIndex> {
        if typ != WriteType::Counter {
            return Ok(self.node);
        }
        let replicas = self.placement(mutation.table())?.replicas(mutation.key().token);
        Ok(match replicas.contains(self.node) {
            true => self.node,
            false => replicas.iter().next().unwrap_or(self.node),
        })
    }

    /// Asks for a partition that a write depends on.
    pub(crate) fn see_one(
        &self,
        data: &TableData,
        table: &Table,
        key: &PartitionKey,
    ) -> Result<Seen> {
        if !data.is_apart(key) {
            return Ok(Seen::default());
        }
        let placement = self.placement(table)?;
        Ok(data.see(self.askings([key.clone()], &placement), &[Range::all()]))
    }

    /// Checks that replicas answer what a log tells of rows as they are before a write: at its
    /// level, or at the next that is one for reads.
    pub(crate) fn check_images(&self, table: &Table, key: &PartitionKey) -> Result<()> {
        let level = match self.levels.consistency {
            Consistency::Any => Consistency::One,
            Consistency::All | Consistency::Serial => Consistency::Quorum,
            Consistency::LocalSerial => Consistency::LocalQuorum,
            other => other,
        };
        let placement = self.placement(table)?;
        let group = self.group(&placement, placement.replicas(key.token));
        group.check(level).map_err(|shortage| match shortage {
            Shortage::Alive { consistency, required, alive, .. } => {
                CqlError::image_failure(consistency, alive, required)
            }
            answers @ Shortage::Answers { .. } => {
                CqlError::read_shortage(answers, self.shared.limits.read_request_timeout)
            }
        })
    }

    /// Brings a write to each replica by itself, now or later.
    fn write_apart(&self, writer: Writer, mutation: Mutation) -> Result<()> {
        let (table, key) = (mutation.table(), mutation.key());
        let placement = self.placement(table)?;
        let group = self.writers(&placement, placement.replicas(key.token));
        let leader = group.leader(self.node);
        let data = Rc::clone(&table.data);
        let old = if table.is_counter() {
            data.borrow().expected_of(&key, leader)
        } else if mutation.reads_lists() {
            let data = data.borrow();
            let seen = self.see_one(&data, table, &key)?;
            View::new(&data, &seen).find(&key).cloned()
        } else {
            None
        };
        let delta = mutation.into_delta(old.as_ref(), leader);
        let misses = self.shared.misses.get();
        let delivery = |replica: &Replica<'_>| {
            let fate = match replica.health {
                Health::Up => Fate::Taken,
                Health::Paused if misses.contains(replica.node) => Fate::Missed,
                Health::Paused => Fate::Queued,
                Health::Down => Fate::Missed,
            };
            let is_hinted = fate != Fate::Taken
                && !misses.contains(replica.node)
                && self.shared.keeps_hint_for(replica.node);
            Delivery {
                delta: &delta,
                replica: replica.node,
                fate,
                hinted_by: is_hinted.then_some(self.node),
                is_commit: writer == Writer::Paxos,
            }
        };
        let deliveries: Vec<_> = group.replicas.iter().map(delivery).collect();
        data.borrow_mut().write_apart(&key, &deliveries);
        Ok(())
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
            members.map(|node| (node, self.health(node))).collect()
        };
        let with = |wanted| health.iter().filter(move |(_, health)| *health == wanted);
        if with(Health::Down).count() > 0 {
            let message = "Error during truncate: Cannot achieve consistency level ALL";
            return Err(CqlError::new(code::TRUNCATE, message));
        }
        let paused: Vec<_> = with(Health::Paused).map(|(node, _)| *node).collect();
        let placement = self.placement(table)?;
        table.data.borrow_mut().truncate(&paused, |token| placement.replicas(token));
        let received = with(Health::Up).count();
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

/// Whether reads of a table repair what they find missing.
fn repairs_reads(table: &Table) -> bool {
    !matches!(
        table.options.get("read_repair"),
        Some(OptionValue::Text(text)) if text.eq_ignore_ascii_case("none")
    )
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
