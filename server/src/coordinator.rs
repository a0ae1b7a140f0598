//! What a node does for its client beyond running the statement: it asks the replicas.
//!
//! Rows are stored once, so asking them is counting them: those that are up answer. A request that
//! too few answer is carried out like one that is answered, as the others have done their part by
//! then; a request that can't find enough to begin with is not.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::cql::ast::BatchKind;
use crate::error::{CqlError, WriteType, code};
use crate::exec::modify::{ModifyPlan, Mutation};
use crate::exec::select::SelectPlan;
use crate::replicas::{Consistency, Group, Health, Levels, Replica, Shortage};
use crate::routing::{NodeIndex, NodeSet, Placement};
use crate::schema::Table;
use crate::state::Shared;
use crate::store::PartitionKey;
use crate::wire::read::Value;

type Result<T> = std::result::Result<T, CqlError>;

/// Nodes that the log of a batch is written to.
const BATCH_LOG_COPIES: usize = 2;

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
}

/// What a write has for one partition of a keyspace.
#[derive(Debug)]
struct Part {
    placement: Rc<Placement>,
    is_counter: bool,
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
            Replica { datacenter, health }
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
        let sets = if select.restrictions.has_partitions() {
            let keys = select.restrictions.partitions(&select.table, values)?;
            if consistency.is_serial() {
                return self.check_serial_read(&keys, placement);
            }
            keys.iter().map(|(key, _)| placement.replicas(key.token)).collect()
        } else {
            placement.all_replicas()
        };
        let checks = sets.into_iter().map(|set| self.group(placement, set).check(consistency));
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
        let parts = self.parts(&mutations)?;
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
        if typ == WriteType::Batch {
            self.write_batch_log()?;
        }
        mutations.into_iter().for_each(Mutation::apply);
        match shortage {
            Some(shortage) => Err(CqlError::write_shortage(shortage, typ, timeout)),
            None => Ok(()),
        }
    }

    /// Partitions that are written to, each once whatever the number of its tables.
    fn parts<'m>(
        &self,
        mutations: &'m [Mutation],
    ) -> Result<BTreeMap<(&'m str, PartitionKey), Part>> {
        let mut parts = BTreeMap::new();
        for mutation in mutations {
            let table = mutation.table();
            self.check_write_level(table)?;
            let part = Part { placement: self.placement(table)?, is_counter: table.is_counter() };
            parts.entry((table.keyspace.as_str(), mutation.key())).or_insert(part);
        }
        Ok(parts)
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
fn write_type(writer: Writer, parts: &BTreeMap<(&str, PartitionKey), Part>) -> WriteType {
    match writer {
        _ if parts.values().any(|part| part.is_counter) => WriteType::Counter,
        _ if parts.len() < 2 => WriteType::Simple,
        Writer::Batch(BatchKind::Logged) => WriteType::Batch,
        _ => WriteType::UnloggedBatch,
    }
}
