//! Which keyspaces have tablets, what is refused in them, and the tablets of their tables.
//!
//! In ScyllaDB's words, and by the rules of its version 2025.4: no counters; conditions are
//! allowed. Change data capture is refused, as by versions before it.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Home, Loads, TABLETS_MAX, Tablets, TooFewNodes};
use crate::cql::ast::{OptionValue, TableName};
use crate::error::CqlError;
use crate::persona::Persona;
use crate::routing::{NodeIndex, Placement, Ring, Strategy};
use crate::schema::{Keyspace, Schema, keyspace_of};
use crate::value::types::{CqlType, Native};

type Result<T> = std::result::Result<T, CqlError>;

/// What `tablets = {…}` of a keyspace says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TabletsOption {
    Off,
    /// With so many for each table to begin with; 0 leaves it to the node.
    On {
        initial: usize,
    },
}

/// Reads `tablets = {…}`.
pub(crate) fn option_of(map: &[(String, String)]) -> Result<TabletsOption> {
    let entry = |name: &str| map.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    match entry("enabled").map(String::as_str) {
        Some("false") => return Ok(TabletsOption::Off),
        None | Some("true") => {}
        Some(other) => {
            return Err(CqlError::configuration(format!(
                "Tablets enabled value must be true or false; found: {other}"
            )));
        }
    }
    if let Some((name, _)) = map.iter().find(|(key, _)| key != "enabled" && key != "initial") {
        return Err(CqlError::configuration(format!("Unrecognized tablets option {name}")));
    }
    let initial = match entry("initial") {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            CqlError::configuration(format!(
                "Initial tablets value should be numeric; found {text}"
            ))
        })?,
    };
    if initial > TABLETS_MAX {
        let message = format!("Initial tablets value {initial} is above {TABLETS_MAX}");
        return Err(CqlError::configuration(message));
    }
    Ok(TabletsOption::On { initial })
}

/// The tablets of a keyspace's tables and views.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyspaceTablets {
    /// How many a table has to begin with; 0 for as many as it takes to give each shard one.
    pub(crate) initial: usize,
    /// By table.
    tables: BTreeMap<String, Rc<Placement>>,
}

impl KeyspaceTablets {
    /// Those of a new keyspace, if it is to have any.
    pub(crate) fn choose(
        option: Option<TabletsOption>,
        strategy: &Strategy,
        schema: &Schema,
    ) -> Result<Option<Self>> {
        let fits = matches!(strategy, Strategy::NetworkTopology { .. });
        match option {
            Some(TabletsOption::On { .. }) if schema.persona == Persona::Cassandra => {
                Err(CqlError::syntax("Unknown property 'tablets'"))
            }
            Some(TabletsOption::On { initial }) if fits => {
                Ok(Some(Self { initial, ..Self::default() }))
            }
            Some(TabletsOption::On { .. }) => Err(CqlError::configuration(format!(
                "{} doesn't support tablet replication",
                strategy.name()
            ))),
            Some(TabletsOption::Off) => Ok(None),
            None => Ok((fits && schema.tablets_by_default).then(Self::default)),
        }
    }

    pub(crate) fn placement(&self, table: &str) -> Option<&Rc<Placement>> {
        self.tables.get(table)
    }

    /// Enough for each shard to have one, of the datacenter that needs most of them.
    fn initial_for(&self, factors: &BTreeMap<String, usize>, ring: &Ring) -> usize {
        if self.initial > 0 {
            return self.initial;
        }
        let needed = |(name, factor): (&String, &usize)| {
            let shards = ring.members_in(name).count() * usize::from(ring.shards());
            if *factor == 0 { 0 } else { shards.div_ceil(*factor) }
        };
        factors.iter().map(needed).max().unwrap_or(1)
    }
}

/// How far tablets are moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Settling {
    /// Only those that have to.
    Needed,
    /// Also those that make loads even.
    Even,
}

/// The tablets of a table, by keyspace and table.
type Settled = Vec<(String, String, Rc<Placement>)>;

impl Schema {
    /// Gives all tablets as many homes as they need, among the ring's members; changes nothing if
    /// it fails.
    pub(crate) fn settle_tablets(
        &mut self,
        ring: &Ring,
        settling: Settling,
    ) -> std::result::Result<(), TooFewNodes> {
        let settled = self.settled(ring, settling)?;
        for keyspace in self.keyspaces.values_mut() {
            if let Some(tablets) = &mut keyspace.tablets {
                tablets.tables.clear();
            }
        }
        for (keyspace, table, placement) in settled {
            let keyspace = self.keyspaces.get_mut(&keyspace);
            if let Some(tablets) = keyspace.and_then(|keyspace| keyspace.tablets.as_mut()) {
                tablets.tables.insert(table, placement);
            }
        }
        Ok(())
    }

    fn settled(
        &self,
        ring: &Ring,
        settling: Settling,
    ) -> std::result::Result<Settled, TooFewNodes> {
        let mut all = Vec::new();
        let mut loads = Loads::new(ring);
        for keyspace in self.keyspaces.values() {
            let Some((tablets, factors)) = parts(keyspace) else { continue };
            for name in keyspace.tables.keys() {
                let old = tablets.placement(name);
                let these = match old.and_then(|placement| placement.tablets()) {
                    Some(these) => these.clone(),
                    None => Tablets::new(tablets.initial_for(factors, ring)),
                };
                these.iter().for_each(|tablet| loads.count(tablet));
                all.push((keyspace, name, old, these));
            }
        }
        for (keyspace, _, _, tablets) in &mut all {
            let Some((_, factors)) = parts(keyspace) else { continue };
            for tablet in tablets.iter_mut() {
                loads.place(tablet, factors)?;
            }
        }
        let mut is_settled = settling == Settling::Needed;
        while !is_settled {
            let tablets = all.iter_mut().flat_map(|(_, _, _, tablets)| tablets.iter_mut());
            is_settled = tablets.map(|tablet| usize::from(loads.ease(tablet))).sum::<usize>() == 0;
        }
        let placed = |(keyspace, name, old, tablets): (&Keyspace, &String, Option<&_>, Tablets)| {
            let is_same = |old: &&Rc<Placement>| {
                old.tablets() == Some(&tablets) && old.strategy == keyspace.strategy
            };
            let placement = match old.filter(is_same) {
                Some(old) => Rc::clone(old),
                None => Rc::new(Placement::of_tablets(&keyspace.strategy, tablets)),
            };
            (keyspace.name.clone(), name.clone(), placement)
        };
        Ok(all.into_iter().map(placed).collect())
    }

    /// Changes the tablets of one table.
    pub(crate) fn change_tablets(
        &mut self,
        keyspace: &str,
        table: &str,
        change: impl FnOnce(&Tablets) -> std::result::Result<Tablets, String>,
    ) -> std::result::Result<(), String> {
        let found = self.keyspaces.get_mut(keyspace);
        let found = found.ok_or_else(|| format!("there is no keyspace {keyspace}"))?;
        if !found.tables.contains_key(table) {
            return Err(format!("there is no table {keyspace}.{table}"));
        }
        let strategy = found.strategy.clone();
        let placements = found.tablets.as_mut().map(|tablets| &mut tablets.tables);
        let placement = placements.and_then(|placements| placements.get_mut(table));
        let placement = placement.ok_or_else(|| format!("keyspace {keyspace} has no tablets"))?;
        let tablets = placement.tablets().ok_or("the table has no tablets")?;
        *placement = Rc::new(Placement::of_tablets(&strategy, change(tablets)?));
        Ok(())
    }
}

fn parts(keyspace: &Keyspace) -> Option<(&KeyspaceTablets, &BTreeMap<String, usize>)> {
    match (&keyspace.tablets, &keyspace.strategy) {
        (Some(tablets), Strategy::NetworkTopology { factors }) => Some((tablets, factors)),
        _ => None,
    }
}

/// Moves the tablet that has a token from one shard to another of the same datacenter.
pub(crate) fn moved(
    tablets: &Tablets,
    token: i64,
    homes: [Home; 2],
    ring: &Ring,
) -> std::result::Result<Tablets, String> {
    let [from, to] = homes;
    let datacenter = |node: NodeIndex| ring.location(node).map(|at| at.datacenter.as_str());
    if !ring.is_member(to.node) {
        return Err(format!("to: there is no node {}", to.node));
    }
    if to.shard >= ring.shards() {
        return Err(format!("to: shard {} of nodes with {} shards", to.shard, ring.shards()));
    }
    if datacenter(from.node) != datacenter(to.node) {
        return Err(format!("to: node {} is in another datacenter", to.node));
    }
    let mut tablets = tablets.clone();
    let tablet = tablets.find_mut(token).ok_or("token: no tablet has it")?;
    if to.node != from.node && tablet.nodes().contains(to.node) {
        return Err(format!("to: node {} has the tablet already", to.node));
    }
    let home = tablet.homes.iter_mut().find(|home| **home == from).ok_or_else(|| {
        format!("from: the tablet is not on shard {} of node {}", from.shard, from.node)
    })?;
    *home = to;
    Ok(tablets)
}

fn check_nodes(factors: &BTreeMap<String, usize>, ring: &Ring) -> Result<()> {
    let short = factors.iter().find(|(name, factor)| ring.members_in(name).count() < **factor);
    match short {
        Some((name, factor)) => {
            Err(TooFewNodes { datacenter: name.clone(), factor: *factor }.error())
        }
        None => Ok(()),
    }
}

impl TooFewNodes {
    pub(crate) fn error(self) -> CqlError {
        let Self { datacenter, factor } = self;
        CqlError::configuration(format!(
            "Datacenter {datacenter} doesn't have enough token-owning nodes for \
             replication_factor={factor}"
        ))
    }
}

/// Refuses a new table, or what is to become of one, that a keyspace with tablets can't have.
pub(crate) fn check_table<'c>(
    schema: &Schema,
    ring: &Ring,
    table: &TableName,
    current: Option<&str>,
    (types, options): (impl Iterator<Item = &'c CqlType>, &[(String, OptionValue)]),
) -> Result<()> {
    let home = keyspace_of(table, current)?;
    let Some(keyspace) = schema.keyspaces.get(home) else { return Ok(()) };
    let Some((_, factors)) = parts(keyspace) else { return Ok(()) };
    let name = &table.name;
    let mut types = types;
    if types.any(|typ| *typ == CqlType::Native(Native::Counter)) {
        return Err(CqlError::invalid(format!(
            "Cannot use the 'counter' type for table {home}.{name}: Counters are not yet supported \
             with tablets"
        )));
    }
    let captures = options.iter().any(|(option, value)| match value {
        OptionValue::Map(map) => {
            option == "cdc" && map.iter().any(|(key, value)| key == "enabled" && value == "true")
        }
        OptionValue::Text(text) => option == "cdc" && text.eq_ignore_ascii_case("true"),
    });
    if captures {
        return Err(CqlError::invalid(format!(
            "Cannot create CDC log for a table {home}.{name}, because keyspace uses tablets. See \
             issue #16317."
        )));
    }
    check_nodes(factors, ring)
}

/// Refuses what ALTER KEYSPACE can't do to a keyspace with tablets, or without.
pub(crate) fn check_alter(
    old: &Keyspace,
    new: &Strategy,
    option: Option<TabletsOption>,
    ring: &Ring,
) -> Result<()> {
    let flavor = || CqlError::invalid("Cannot alter replication strategy vnode/tablets flavor");
    let Some((_, old_factors)) = parts(old) else {
        let turns_on = matches!(option, Some(TabletsOption::On { .. }));
        return if turns_on { Err(flavor()) } else { Ok(()) };
    };
    if option == Some(TabletsOption::Off) {
        return Err(flavor());
    }
    let Strategy::NetworkTopology { factors } = new else {
        let message = format!("{} doesn't support tablet replication", new.name());
        return Err(CqlError::configuration(message));
    };
    let names: std::collections::BTreeSet<_> = old_factors.keys().chain(factors.keys()).collect();
    let factor = |of: &BTreeMap<String, usize>, name: &String| of.get(name).copied().unwrap_or(0);
    let steps = names.iter().map(|name| factor(old_factors, name).abs_diff(factor(factors, name)));
    if steps.sum::<usize>() > 1 {
        let message = "Only one DC's RF can be changed at a time and not by more than 1";
        return Err(CqlError::invalid(message));
    }
    if old.tables.is_empty() { Ok(()) } else { check_nodes(factors, ring) }
}

/// What DESCRIBE says of a keyspace's tablets.
pub(crate) fn described(keyspace: &Keyspace, schema: &Schema) -> String {
    match &keyspace.tablets {
        Some(tablets) if tablets.initial > 0 => {
            format!(" AND tablets = {{'enabled': true, 'initial': {}}}", tablets.initial)
        }
        Some(_) => " AND tablets = {'enabled': true}".to_owned(),
        None if schema.tablets_by_default && !keyspace.is_system() => {
            " AND tablets = {'enabled': false}".to_owned()
        }
        None => String::new(),
    }
}
