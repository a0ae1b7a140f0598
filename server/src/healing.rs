//! How replicas that have missed something get it: hints, repair, and ranges that change hands.
//!
//! Reads that repair are in `coordinator.rs`; what a replica has is in `store/copies.rs`.

use std::rc::Rc;
use std::time::Instant;

use crate::cql::ast::Ddl;
use crate::error::CqlError;
use crate::replicas::Health;
use crate::routing::{NodeIndex, Placement};
use crate::schema::Keyspace;
use crate::state::Shared;
use crate::store::Range;

/// Names of a keyspace and of a table, and who has held what of it.
pub(crate) type Held = (String, String, Rc<Placement>);

impl Shared {
    fn is_up(&self, node: NodeIndex) -> bool {
        self.node_states.get(node).is_some_and(|state| state.pulse.health() == Health::Up)
    }

    /// Calls for each keyspace of users that has tables.
    fn each_keyspace(&self, mut call: impl FnMut(&Keyspace)) {
        let schema = self.schema.borrow();
        let keyspaces = schema.keyspaces.values().filter(|keyspace| !keyspace.is_system());
        keyspaces.for_each(&mut call);
    }

    /// A node that goes on takes what has waited for it; one that is down forgets what it has not
    /// looked at, but not its rows.
    pub(crate) fn health_changed(&self, node: NodeIndex, health: Health) {
        if let Some(state) = self.node_states.get(node) {
            let since = state.down_since.get().or_else(|| Some(Instant::now()));
            state.down_since.set(since.filter(|_| health == Health::Down));
        }
        self.each_keyspace(|keyspace| {
            for table in keyspace.tables.values() {
                let mut data = table.data.borrow_mut();
                match health {
                    Health::Up => data.deliver(
                        |node| self.is_up(node),
                        |token| keyspace.placement(&table.name).replicas(token),
                    ),
                    Health::Down => data.lose(node),
                    Health::Paused => {}
                }
            }
        });
    }

    /// Whether what a node misses now is kept for it.
    pub(crate) fn keeps_hint_for(&self, node: NodeIndex) -> bool {
        let since = self.node_states.get(node).and_then(|state| state.down_since.get());
        let is_new = |since: Instant| since.elapsed() <= self.limits.max_hint_window;
        self.limits.hinted_handoff_enabled && since.is_none_or(is_new)
    }

    /// Gives every replica of a keyspace what any of them has.
    pub(crate) fn repair(&self, name: &str) -> Result<(), CqlError> {
        let schema = self.schema.borrow();
        let keyspace = schema.keyspace(name)?;
        if keyspace.is_system() {
            return Ok(()); // each node has its own
        }
        let ring = self.ring.borrow();
        let nodes = self.nodes.iter().enumerate();
        let mut dead = nodes.filter(|(node, _)| ring.is_member(*node) && !self.is_up(*node));
        if let Some((_, node)) = dead.next() {
            return Err(CqlError::invalid(format!(
                "Cannot proceed on repair because a neighbor ({}) is dead: session failed",
                node.address
            )));
        }
        for table in keyspace.tables.values() {
            let mut data = table.data.borrow_mut();
            let keys: Vec<_> = data.apart().cloned().collect();
            for key in keys {
                let all = keyspace.placement(&table.name).replicas(key.token);
                data.repair(&key, &all.iter().collect::<Vec<_>>(), &[Range::all()], all);
            }
        }
        Ok(())
    }

    /// Who holds what of each table of users.
    pub(crate) fn placements(&self) -> Vec<Held> {
        let mut all = Vec::new();
        self.each_keyspace(|keyspace| all.extend(held(keyspace)));
        all
    }

    /// Ranges have changed hands as a node came or went, or as tablets moved: those that hold them
    /// now are sent the rows.
    pub(crate) fn stream(&self, old: &[Held]) {
        let schema = self.schema.borrow();
        for (keyspace, name, old) in old {
            let Some(keyspace) = schema.keyspaces.get(keyspace) else { continue };
            let (Some(table), new) = (keyspace.tables.get(name), keyspace.placement(name)) else {
                continue;
            };
            table.data.borrow_mut().stream(
                |node| self.is_up(node),
                |token| old.replicas(token),
                |token| new.replicas(token),
            );
        }
    }

    /// The tables of the keyspace that a statement alters, and who holds what before.
    pub(crate) fn altered(&self, ddl: &Ddl) -> Vec<Held> {
        let Ddl::AlterKeyspace(options) = ddl else { return Vec::new() };
        let schema = self.schema.borrow();
        schema.keyspaces.get(&options.name).into_iter().flat_map(held).collect()
    }

    /// A keyspace has other replicas: they have nothing until it is repaired, but tablets are sent
    /// to them.
    pub(crate) fn spread(&self, old: &[Held]) {
        let (tablets, ranges): (Vec<_>, Vec<_>) =
            old.iter().cloned().partition(|(_, _, old)| old.tablets().is_some());
        self.stream(&tablets);
        let schema = self.schema.borrow();
        for (keyspace, name, old) in &ranges {
            let Some(keyspace) = schema.keyspaces.get(keyspace) else { continue };
            let (Some(table), new) = (keyspace.tables.get(name), keyspace.placement(name)) else {
                continue;
            };
            let new = |token| new.replicas(token);
            table.data.borrow_mut().spread(|token| old.replicas(token), new);
        }
    }
}

fn held(keyspace: &Keyspace) -> impl Iterator<Item = Held> {
    keyspace
        .tables
        .keys()
        .map(|table| (keyspace.name.clone(), table.clone(), Rc::clone(keyspace.placement(table))))
}
