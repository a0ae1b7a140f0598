//! Who gets a tablet: so many nodes of each datacenter as its keyspace says, of different racks
//! as long as there are any, and of those the ones that have the least.
//!
//! Works on one tablet at a time with counts of all, so its result depends on the order of tables
//! and tablets, and on nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::{Home, Tablet};
use crate::routing::{NodeIndex, Ring};

/// A datacenter has fewer nodes than a keyspace wants replicas there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TooFewNodes {
    pub(crate) datacenter: String,
    pub(crate) factor: usize,
}

/// How many tablets the members have, by shard.
#[derive(Clone, Debug)]
pub(crate) struct Loads<'a> {
    ring: &'a Ring,
    /// By node.
    shards: BTreeMap<NodeIndex, Vec<usize>>,
}

impl<'a> Loads<'a> {
    /// Those of nodes that have no tablets.
    pub(crate) fn new(ring: &'a Ring) -> Self {
        let datacenters = ring.datacenters();
        let members = datacenters.iter().flat_map(|name| ring.members_in(name));
        let none = || vec![0; usize::from(ring.shards())];
        Self { ring, shards: members.map(|node| (node, none())).collect() }
    }

    /// Counts what there is already. Nodes that are no members have no place here.
    pub(crate) fn count(&mut self, tablet: &Tablet) {
        tablet.homes.iter().for_each(|home| self.add(*home));
    }

    fn slot(&mut self, home: Home) -> Option<&mut usize> {
        self.shards.get_mut(&home.node)?.get_mut(usize::from(home.shard))
    }

    fn add(&mut self, home: Home) {
        if let Some(count) = self.slot(home) {
            *count += 1;
        }
    }

    fn remove(&mut self, home: Home) {
        if let Some(count) = self.slot(home) {
            *count = count.saturating_sub(1);
        }
    }

    fn of(&self, node: NodeIndex) -> usize {
        self.shards.get(&node).map_or(0, |shards| shards.iter().sum())
    }

    /// The shard of a node that has the least, and how much that is.
    fn least_shard(&self, node: NodeIndex) -> (usize, u16) {
        let shards = self.shards.get(&node).into_iter().flatten().copied();
        shards.zip(0..).min().unwrap_or_default()
    }

    fn rack(&self, node: NodeIndex) -> &'a str {
        self.ring.location(node).map_or("", |at| at.rack.as_str())
    }

    fn datacenter(&self, node: NodeIndex) -> &'a str {
        self.ring.location(node).map_or("", |at| at.datacenter.as_str())
    }

    /// Gives a tablet as many homes as it should have, and keeps those that it may keep.
    pub(crate) fn place(
        &mut self,
        tablet: &mut Tablet,
        factors: &BTreeMap<String, usize>,
    ) -> Result<(), TooFewNodes> {
        let mut homes = Vec::new();
        for (name, factor) in factors {
            let in_place = tablet.homes.iter().copied().filter(|home| {
                self.ring.is_member(home.node) && self.datacenter(home.node) == name
            });
            let mut here: Vec<Home> = in_place.collect();
            while here.len() > *factor {
                // Of the fullest node, so that fewer have to be moved later.
                let fullest = here.iter().enumerate().max_by_key(|(_, home)| self.of(home.node));
                let Some((at, _)) = fullest else { break };
                self.remove(here.swap_remove(at));
            }
            while here.len() < *factor {
                let home = self
                    .candidate(name, &here)
                    .ok_or_else(|| TooFewNodes { datacenter: name.clone(), factor: *factor })?;
                self.add(home);
                here.push(home);
            }
            homes.extend(here);
        }
        let leaves = |home: &&Home| !homes.contains(home) && self.ring.is_member(home.node);
        let left: Vec<Home> = tablet.homes.iter().filter(leaves).copied().collect();
        for home in left {
            if !factors.contains_key(self.datacenter(home.node)) {
                self.remove(home);
            }
        }
        tablet.homes = homes;
        Ok(())
    }

    /// The shard that should get one more, of a node that is not among `taken`.
    fn candidate(&self, datacenter: &str, taken: &[Home]) -> Option<Home> {
        let racks: BTreeSet<_> = taken.iter().map(|home| self.rack(home.node)).collect();
        let is_free = |node: &NodeIndex| taken.iter().all(|home| home.node != *node);
        let node = self
            .ring
            .members_in(datacenter)
            .filter(is_free)
            .min_by_key(|node| (racks.contains(self.rack(*node)), self.of(*node), *node))?;
        Some(Home { node, shard: self.least_shard(node).1 })
    }

    /// Moves one home of a tablet to a node, or a shard of its node, that has two less, if there
    /// is any. True if it has.
    pub(crate) fn ease(&mut self, tablet: &mut Tablet) -> bool {
        for index in 0..tablet.homes.len() {
            let Some(from) = tablet.homes.get(index).copied() else { continue };
            let Some(to) = self.better(from, &tablet.homes) else { continue };
            self.remove(from);
            self.add(to);
            if let Some(home) = tablet.homes.get_mut(index) {
                *home = to;
            }
            return true;
        }
        false
    }

    fn better(&self, from: Home, homes: &[Home]) -> Option<Home> {
        let others = || homes.iter().filter(move |home| **home != from);
        let racks: BTreeSet<_> = others().map(|home| self.rack(home.node)).collect();
        let was_alone = !racks.contains(self.rack(from.node));
        // A rack of its own is not given up.
        let may_take = |node: &NodeIndex| {
            others().all(|home| home.node != *node)
                && !(was_alone && racks.contains(self.rack(*node)))
        };
        let nodes = self.ring.members_in(self.datacenter(from.node)).filter(may_take);
        let node = nodes.min_by_key(|node| (self.of(*node), *node))?;
        if self.of(node) + 1 < self.of(from.node) {
            return Some(Home { node, shard: self.least_shard(node).1 });
        }
        let mine = self.shards.get(&from.node)?.get(usize::from(from.shard)).copied()?;
        let (least, shard) = self.least_shard(from.node);
        (least + 1 < mine).then_some(Home { node: from.node, shard })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tablets;
    use super::*;
    use crate::routing::Location;

    fn ring(racks: &[&str]) -> Ring {
        let at = |rack: &&str| Location { datacenter: "dc".into(), rack: (*rack).into() };
        Ring::new(racks.iter().map(at).collect(), 4, 1).with_shards(2)
    }

    fn factors(factor: usize) -> BTreeMap<String, usize> {
        [("dc".to_owned(), factor)].into()
    }

    /// Places and eases until nothing moves; what each node and shard has then.
    fn settle(ring: &Ring, tablets: &mut Tablets, factor: usize) -> Vec<Vec<usize>> {
        let mut loads = Loads::new(ring);
        tablets.iter().for_each(|tablet| loads.count(tablet));
        for tablet in tablets.iter_mut() {
            loads.place(tablet, &factors(factor)).unwrap();
        }
        while tablets.iter_mut().map(|tablet| usize::from(loads.ease(tablet))).sum::<usize>() > 0 {}
        let mut again = Loads::new(ring);
        tablets.iter().for_each(|tablet| again.count(tablet));
        assert_eq!(loads.shards, again.shards);
        loads.shards.into_values().collect()
    }

    #[test]
    fn tablets_are_spread_over_racks_nodes_and_shards() {
        let ring = ring(&["a", "b", "b", "a"]);
        let mut tablets = Tablets::new(16);
        assert_eq!(settle(&ring, &mut tablets, 2), vec![vec![4, 4]; 4]);
        for tablet in tablets.iter() {
            let racks: BTreeSet<_> =
                tablet.homes.iter().map(|home| &ring.location(home.node).unwrap().rack).collect();
            assert_eq!(racks.len(), 2, "{tablet:?}");
        }
    }

    #[test]
    fn who_comes_gets_some_and_who_goes_leaves_all() {
        let mut ring = ring(&["a", "a", "a"]);
        let mut tablets = Tablets::new(8);
        settle(&ring, &mut tablets, 2);
        let at = Location { datacenter: "dc".into(), rack: "a".into() };
        let node = ring.add(at, 4, 1);
        ring.set_member(node, true);
        assert_eq!(settle(&ring, &mut tablets, 2), vec![vec![2, 2]; 4]);
        ring.set_member(0, false);
        settle(&ring, &mut tablets, 2);
        assert!(tablets.iter().all(|tablet| !tablet.nodes().contains(0)));
        assert!(tablets.iter().all(|tablet| tablet.nodes().iter().count() == 2));
        // A factor that shrinks, and one that nobody can serve.
        settle(&ring, &mut tablets, 1);
        assert!(tablets.iter().all(|tablet| tablet.homes.len() == 1));
        let mut loads = Loads::new(&ring);
        let too_few = loads.place(tablets.iter_mut().next().unwrap(), &factors(4));
        assert_eq!(too_few, Err(TooFewNodes { datacenter: "dc".into(), factor: 4 }));
    }
}
