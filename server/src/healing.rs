//! How replicas that have missed something get it: hints, repair, and ranges that change hands.
//!
//! Reads that repair are in `coordinator.rs`; what a replica has is in `store/copies.rs`.

use std::rc::Rc;
use std::time::Instant;

use crate::cql::ast::Ddl;
use crate::error::CqlError;
use crate::replicas::Health;
use crate::routing::{NodeIndex, NodeSet, Placement};
use crate::schema::Keyspace;
use crate::state::Shared;
use crate::store::Range;

/// A keyspace's name, and who has held what.
pub(crate) type Held = (String, Rc<Placement>);

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
                        |token| keyspace.placement.replicas(token),
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
                let all = keyspace.placement.replicas(key.token);
                data.repair(&key, &all.iter().collect::<Vec<_>>(), &[Range::all()], all);
            }
        }
        Ok(())
    }

    /// Who holds what in each keyspace of users.
    pub(crate) fn placements(&self) -> Vec<Held> {
        let mut held = Vec::new();
        self.each_keyspace(|keyspace| {
            held.push((keyspace.name.clone(), Rc::clone(&keyspace.placement)));
        });
        held
    }

    /// Ranges have changed hands as a node came or went: those that hold them now are sent the
    /// rows.
    pub(crate) fn stream(&self, old: &[Held]) {
        self.each_keyspace(|keyspace| {
            let Some((_, old)) = old.iter().find(|(name, _)| *name == keyspace.name) else {
                return;
            };
            let replicas =
                |placement: &Rc<Placement>, token| -> NodeSet { placement.replicas(token) };
            for table in keyspace.tables.values() {
                table.data.borrow_mut().stream(
                    |node| self.is_up(node),
                    |token| replicas(old, token),
                    |token| replicas(&keyspace.placement, token),
                );
            }
        });
    }

    /// The keyspace that a statement alters, and who holds what before.
    pub(crate) fn altered(&self, ddl: &Ddl) -> Option<Held> {
        let Ddl::AlterKeyspace(options) = ddl else { return None };
        let schema = self.schema.borrow();
        let keyspace = schema.keyspaces.get(&options.name)?;
        Some((options.name.clone(), Rc::clone(&keyspace.placement)))
    }

    /// A keyspace has other replicas: they have nothing until it is repaired.
    pub(crate) fn spread(&self, name: &str, old: &Placement) {
        let schema = self.schema.borrow();
        let Some(keyspace) = schema.keyspaces.get(name) else { return };
        for table in keyspace.tables.values() {
            let new = |token| keyspace.placement.replicas(token);
            table.data.borrow_mut().spread(|token| old.replicas(token), new);
        }
    }
}
