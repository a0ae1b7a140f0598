//! What all connections of a cluster share, and how statements run on it.
//!
//! One thread owns it all, so there are no locks: a statement runs to its end before the next one.

use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use md5::{Digest, Md5};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::cdc::streams::Generations;
use crate::connection::canned::Canned;
use crate::connection::guests::{Complaints, Guests};
use crate::connection::memory::Memory;
use crate::coordinator::{Coordinator, Warnings, Writer as Writing};
use crate::counters::{Arrival, Counters};
use crate::cql::ast::{self, Parsed, TableName};
use crate::cql::parser::parse;
use crate::error::CqlError;
use crate::exec::describe::describe;
use crate::exec::modify::When;
use crate::exec::plan::{Action, Plan};
use crate::exec::result::Outcome;
use crate::exec::select::Page;
use crate::exec::view::view_data;
use crate::faults::Faults;
use crate::growing::Growing;
use crate::limits::Limits;
use crate::node::Pulse;
use crate::persona::Persona;
use crate::rate::Rates;
use crate::replicas::{Health, Levels};
use crate::roles::Roles;
use crate::roles::access::{created, is_dropped, needs};
use crate::roles::statement::Asker;
use crate::routing::{Location, NodeIndex, NodeSet, Ring, Sharding, write_composite};
use crate::schema::catalog::{Catalog, NodeInfo};
use crate::schema::change::apply;
use crate::schema::{Schema, Table};
use crate::store::{Seen, Tombstones, View};
use crate::tablets::{Tablets, TooFewNodes, payload};
use crate::users::{Users, without_password};
use crate::value::time::now_us;
use crate::wire::read::Value;
use crate::wire::version::Version;
use crate::wire::write::Writer;

/// Statements that a node keeps prepared; beyond it all are forgotten and clients prepare again.
const PREPARED_MAX: usize = 10_000;
/// The same of the bytes of their texts.
const PREPARED_LEN_MAX: usize = 16 * 1024 * 1024;
/// Longest text that is prepared, in bytes: what it becomes is longer.
const STATEMENT_LEN_MAX: usize = 1024 * 1024;

/// Events that may wait for one slow connection; beyond it the connection misses some.
pub(crate) const EVENTS_MAX: usize = 256;

/// Hasher of statement ids, which are hashes already: takes eight of their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(chunk) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*chunk);
        }
    }
}

/// Prepared statements, within bounds.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    by_id: HashMap<[u8; 16], Rc<Statement>, BuildHasherDefault<IdHasher>>,
    /// Bytes of all texts.
    len: usize,
}

impl Statements {
    #[inline]
    pub(crate) fn get(&self, id: &[u8]) -> Option<&Rc<Statement>> {
        self.by_id.get(id)
    }

    /// Adds a statement; if there are too many, all others are forgotten.
    fn insert(&mut self, statement: &Rc<Statement>) {
        if self.by_id.contains_key(&statement.id) {
            return;
        }
        let len = statement.text.len();
        if self.by_id.len() >= PREPARED_MAX || self.len + len > PREPARED_LEN_MAX {
            self.clear();
        }
        self.len += len;
        self.by_id.insert(statement.id, Rc::clone(statement));
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A prepared statement, shared by the nodes that have prepared it.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) id: [u8; 16],
    pub(crate) text: String,
    keyspace: Option<String>,
    parsed: Parsed,
    /// The plan and the schema epoch that it was made in.
    plan: RefCell<(u64, Rc<Plan>)>,
    pub(crate) canned: Canned,
}

impl Statement {
    /// The plan, and the schema epoch that it was made in.
    #[inline]
    pub(crate) fn planned(&self) -> Ref<'_, (u64, Rc<Plan>)> {
        self.plan.borrow()
    }
}

/// Kinds of events that a connection can register for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct EventKinds {
    pub(crate) topology: bool,
    pub(crate) status: bool,
    pub(crate) schema: bool,
}

/// An EVENT frame, encoded once for all who get it.
pub(crate) type EventFrame = Rc<[u8]>;

/// What one node has for itself.
#[derive(Debug, Default)]
pub(crate) struct NodeState {
    pub(crate) pulse: Pulse,
    pub(crate) prepared: RefCell<Statements>,
    pub(crate) guests: Guests,
    /// By the number of the guest who wants events.
    pub(crate) listeners: RefCell<BTreeMap<u64, (EventKinds, mpsc::Sender<EventFrame>)>>,
    /// Shard of the next connection to the plain port.
    pub(crate) next_shard: Cell<u16>,
    pub(crate) down_since: Cell<Option<Instant>>,
}

/// The state of a cluster.
pub(crate) struct Shared {
    pub(crate) persona: Persona,
    pub(crate) roles: Roles,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) sharding: Sharding,
    pub(crate) ring: RefCell<Ring>,
    pub(crate) nodes: Growing<NodeInfo>,
    pub(crate) port: u16,
    pub(crate) shard_aware_port: Option<u16>,
    pub(crate) canned: bool,
    pub(crate) compression: bool,
    pub(crate) body_len_max: usize,
    pub(crate) limits: Limits,
    pub(crate) node_states: Growing<NodeState>,
    pub(crate) schema: RefCell<Schema>,
    /// Streams of CDC logs.
    pub(crate) generations: RefCell<Generations>,
    /// Grows with every change of the schema; plans and canned replies of older epochs are stale.
    pub(crate) epoch: Cell<u64>,
    statements: RefCell<Statements>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) faults: Arc<Faults>,
    /// Nodes that do not get what the request that is being run writes.
    pub(crate) misses: Cell<NodeSet>,
    pub(crate) rates: Rates,
    pub(crate) memory: Memory,
    pub(crate) complaints: Complaints,
    /// Traces written since the last time that they were forgotten.
    pub(crate) trace_count: Cell<u32>,
    last_us: Cell<i64>,
}

/// What a cluster is made of.
pub(crate) struct Parts {
    pub(crate) persona: Persona,
    pub(crate) users: Users,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) sharding: Sharding,
    pub(crate) ring: Ring,
    pub(crate) nodes: Vec<NodeInfo>,
    pub(crate) port: u16,
    pub(crate) shard_aware_port: Option<u16>,
    pub(crate) canned: bool,
    pub(crate) compression: bool,
    pub(crate) body_len_max: usize,
    pub(crate) counters: Arc<Counters>,
    pub(crate) faults: Arc<Faults>,
}

/// What a request brings beside its statement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bindings<'a> {
    pub(crate) levels: Levels,
    pub(crate) values: &'a [Value<'a>],
    pub(crate) page: Page<'a>,
    pub(crate) timestamp: Option<i64>,
    /// The second that TTLs are reckoned from instead of the node's clock (v5).
    pub(crate) now_s: Option<i64>,
    /// The role in whose name it is; none for the node's own, which may do everything.
    pub(crate) role: Option<&'a str>,
    /// Where warnings for the client go.
    pub(crate) warnings: Option<&'a Warnings>,
}

/// Too much to show.
impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { persona, port, canned, .. } = self;
        f.debug_struct("Shared")
            .field("persona", persona)
            .field("port", port)
            .field("canned", canned)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Result<Self, CqlError> {
        let generations = match parts.persona {
            Persona::Scylla => Generations::first(&parts.ring, parts.sharding),
            Persona::Cassandra => Generations::default(),
        };
        Ok(Self {
            generations: RefCell::new(generations),
            schema: RefCell::new(crate::schema::system::schema(&parts.ring, parts.persona)?),
            persona: parts.persona,
            roles: Roles::new(parts.users),
            tls: parts.tls,
            node_states: parts.nodes.iter().map(|_| NodeState::default()).collect(),
            sharding: parts.sharding,
            ring: RefCell::new(parts.ring),
            nodes: parts.nodes.into_iter().collect(),
            port: parts.port,
            shard_aware_port: parts.shard_aware_port,
            canned: parts.canned,
            compression: parts.compression,
            body_len_max: parts.body_len_max,
            limits: Limits::default(),
            epoch: Cell::new(0),
            statements: RefCell::default(),
            counters: parts.counters,
            faults: parts.faults,
            misses: Cell::default(),
            rates: Rates::default(),
            memory: Memory::default(),
            complaints: Complaints::default(),
            trace_count: Cell::new(0),
            last_us: Cell::new(0),
        })
    }

    /// Microseconds since 1970, never the same twice.
    fn clock_us(&self) -> i64 {
        let now = now_us().max(self.last_us.get() + 1);
        self.last_us.set(now);
        now
    }

    pub(crate) fn when(&self, timestamp: Option<i64>, now_s: Option<i64>) -> When {
        let now = self.clock_us();
        When { timestamp_us: timestamp.unwrap_or(now), now_s: now_s.unwrap_or(now / 1_000_000) }
    }

    /// Parses and plans a statement that is run once.
    pub(crate) fn plan(&self, text: &str, keyspace: Option<&str>) -> Result<Plan, CqlError> {
        Plan::new(&self.schema.borrow(), &parse(text, self.persona)?, text, keyspace)
    }

    /// Prepares a statement on a node.
    pub(crate) fn prepare(
        &self,
        node: NodeIndex,
        text: &str,
        keyspace: Option<&str>,
    ) -> Result<(Rc<Statement>, Rc<Plan>), CqlError> {
        let mut hash = Md5::new();
        hash.update(keyspace.unwrap_or_default());
        hash.update([0]);
        hash.update(text);
        let id: [u8; 16] = hash.finalize().into();
        let known = self.statements.borrow().get(&id).cloned();
        let statement = match known {
            Some(statement) => statement,
            None => {
                if text.len() > STATEMENT_LEN_MAX {
                    return Err(CqlError::invalid(format!(
                        "a statement of {} bytes is not prepared, {STATEMENT_LEN_MAX} is the limit",
                        text.len()
                    )));
                }
                let parsed = parse(text, self.persona)?;
                let is_about_roles = matches!(parsed.statement, ast::Statement::Role(_));
                let plan = Plan::new(&self.schema.borrow(), &parsed, text, keyspace)?;
                let statement = Rc::new(Statement {
                    id,
                    text: if is_about_roles { without_password(text) } else { text.to_owned() },
                    keyspace: keyspace.map(str::to_owned),
                    parsed,
                    plan: RefCell::new((self.epoch.get(), Rc::new(plan))),
                    canned: Canned::default(),
                });
                self.statements.borrow_mut().insert(&statement);
                statement
            }
        };
        let plan = self.current_plan(&statement)?;
        if let Some(state) = self.node_states.get(node) {
            state.prepared.borrow_mut().insert(&statement);
        }
        Ok((statement, plan))
    }

    /// The statement's plan, made again if the schema has changed since.
    pub(crate) fn current_plan(&self, statement: &Statement) -> Result<Rc<Plan>, CqlError> {
        let epoch = self.epoch.get();
        let (planned, plan) = statement.plan.borrow().clone();
        if planned == epoch {
            return Ok(plan);
        }
        statement.canned.clear();
        let keyspace = statement.keyspace.as_deref();
        let schema = self.schema.borrow();
        let plan = Rc::new(Plan::new(&schema, &statement.parsed, &statement.text, keyspace)?);
        *statement.plan.borrow_mut() = (epoch, Rc::clone(&plan));
        Ok(plan)
    }

    /// Runs a plan for a client of `node`.
    pub(crate) fn run(
        &self,
        node: NodeIndex,
        plan: &Plan,
        keyspace: Option<&str>,
        bindings: Bindings<'_>,
    ) -> Result<Outcome, CqlError> {
        self.run_plan(node, plan, keyspace, bindings).map_err(|error| match plan.timeout {
            Some(timeout) => error.within(timeout),
            None => error,
        })
    }

    fn run_plan(
        &self,
        node: NodeIndex,
        plan: &Plan,
        keyspace: Option<&str>,
        bindings: Bindings<'_>,
    ) -> Result<Outcome, CqlError> {
        let Bindings { levels, values, page, timestamp, now_s, role, warnings } = bindings;
        if values.len() != plan.markers.len() {
            return Err(CqlError::invalid(format!(
                "Invalid amount of bind variables: expected {}, got {}",
                plan.markers.len(),
                values.len()
            )));
        }
        self.authorize(plan, keyspace, role)?;
        let when = self.when(timestamp, now_s);
        let unread = Warnings::default();
        let warnings = warnings.unwrap_or(&unread);
        let coordinator = Coordinator { shared: self, node, levels, warnings };
        match &plan.action {
            Action::Select(select) => {
                let met = Tombstones::default();
                let Some(placement) = &plan.placement else {
                    let data = self.catalog(node, &select.table);
                    let rows = select.run(View::whole(&data), values, page, when.now_s, &met)?;
                    return Ok(Outcome::Rows(rows));
                };
                let seen = coordinator.check_read(select, placement, values)?;
                coordinator.check_read_rate(select, placement, values)?;
                if let Some(view) = &select.table.view {
                    let schema = self.schema.borrow();
                    let (keyspace, name) = (&select.table.keyspace, view.base.clone());
                    let base = TableName { keyspace: Some(keyspace.clone()), name };
                    let (_, base) = schema.table(&base, None)?;
                    let seen = coordinator.see_all(base, placement);
                    let data = view_data(&select.table, base, &seen, when.now_s);
                    let rows = select.run(View::whole(&data), values, page, when.now_s, &met)?;
                    return Ok(Outcome::Rows(rows));
                }
                let data = select.table.data.borrow();
                let rows = View::new(&data, &seen);
                let rows = select.run(rows, values, page, when.now_s, &met)?;
                drop(data);
                if !seen.is_empty() {
                    coordinator.repair_read(select, placement, values, &seen)?;
                }
                coordinator.check_tombstones(select, placement, values, rows.row_count, &met)?;
                Ok(Outcome::Rows(rows))
            }
            Action::Modify(modify) => {
                let is_conditional = modify.is_conditional();
                let seen = match is_conditional {
                    true => coordinator.check_paxos(modify, values)?,
                    false => Seen::default(),
                };
                let (applies, outcome) = modify.check(values, when.now_s, self.persona, &seen)?;
                if applies {
                    let writer = if is_conditional { Writing::Paxos } else { Writing::Statement };
                    coordinator.write(writer, modify.mutations(values, when)?)?;
                }
                Ok(outcome)
            }
            Action::Batch(batch) => {
                let conditional = batch.plans.iter().find(|modify| modify.is_conditional());
                let seen = match conditional {
                    Some(modify) => coordinator.check_paxos(modify, values)?,
                    None => Seen::default(),
                };
                let (mutations, outcome) = batch.run(values, when, self.persona, &seen)?;
                let batch = Writing::Batch(batch.kind);
                let writer = if conditional.is_some() { Writing::Paxos } else { batch };
                coordinator.write(writer, mutations)?;
                Ok(outcome)
            }
            Action::Truncate(table) => {
                coordinator.truncate(table)?;
                Ok(Outcome::Void)
            }
            Action::Describe(what) => describe(&self.schema.borrow(), what, keyspace),
            Action::Use(name) => Ok(Outcome::SetKeyspace(name.clone())),
            Action::Ddl(ddl) => {
                let ring = self.ring.borrow();
                let old = self.altered(ddl);
                let change = apply(&mut self.schema.borrow_mut(), &ring, ddl, keyspace)?;
                let Some(change) = change else { return Ok(Outcome::Void) };
                self.spread(&old);
                self.epoch.set(self.epoch.get() + 1);
                for change in std::iter::once(&change).chain(&change.of_log()) {
                    self.roles.dropped(|resource| is_dropped(resource, change));
                }
                for resource in created(ddl, &change, &self.schema.borrow()) {
                    role.into_iter().for_each(|role| self.roles.created(role, &resource));
                }
                Ok(Outcome::SchemaChange(change))
            }
            Action::Role(statement) => {
                let (schema, persona) = (&self.schema.borrow(), self.persona);
                self.roles.run(statement, Asker { role, schema, keyspace, persona })
            }
        }
    }

    /// Refuses a statement that the role may not run.
    pub(crate) fn authorize(
        &self,
        plan: &Plan,
        keyspace: Option<&str>,
        role: Option<&str>,
    ) -> Result<(), CqlError> {
        let Some(role) = role.filter(|role| !self.roles.is_superuser(role)) else { return Ok(()) };
        for (permission, resource) in needs(plan, &self.schema.borrow(), keyspace)? {
            self.roles.check(role, permission, &resource)?;
        }
        Ok(())
    }

    fn catalog(&self, node: NodeIndex, table: &Table) -> crate::store::TableData {
        let (schema, persona) = (&self.schema.borrow(), self.persona);
        let ring = &self.ring.borrow();
        let (nodes, port, roles) = (&self.nodes, self.port, &self.roles);
        let generations = &self.generations.borrow();
        Catalog { schema, ring, nodes, node, port, persona, roles, generations }.data(table)
    }

    /// Adds a node that nobody lists yet; `None` if there are too many.
    pub(crate) fn add_node(&self, info: NodeInfo, tokens: usize, seed: u64) -> Option<NodeIndex> {
        let location = Location { datacenter: info.datacenter.clone(), rack: info.rack.clone() };
        self.counters.add(info.address.to_string(), self.sharding.nr_shards)?;
        let state = NodeState::default();
        state.pulse.set(Health::Down);
        self.node_states.push(state).ok()?;
        self.nodes.push(info).ok()?;
        Some(self.ring.borrow_mut().add(location, tokens, seed))
    }

    /// Takes a node into the cluster or out of it: its ranges change hands.
    ///
    /// # Errors
    ///
    /// If too few nodes would be left for a keyspace's tablets; nothing has changed then.
    pub(crate) fn set_member(&self, node: NodeIndex, is_member: bool) -> Result<(), CqlError> {
        let mut ring = self.ring.borrow_mut();
        let was_member = ring.is_member(node);
        ring.set_member(node, is_member);
        let old = self.placements();
        let placed = self.schema.borrow_mut().place(&ring);
        match placed {
            Ok(()) => self.stream(&old),
            Err(_) => ring.set_member(node, was_member),
        }
        if is_member && placed.is_ok() {
            self.generations.borrow_mut().add(&ring, self.sharding);
        }
        self.epoch.set(self.epoch.get() + 1); // plans know the replicas
        placed.map_err(TooFewNodes::error)
    }

    /// Changes the tablets of a table.
    pub(crate) fn change_tablets(
        &self,
        keyspace: &str,
        table: &str,
        change: impl FnOnce(&Tablets, &Ring) -> Result<Tablets, String>,
    ) -> Result<(), String> {
        let ring = self.ring.borrow();
        let old = self.placements();
        let change = |tablets: &Tablets| change(tablets, &ring);
        self.schema.borrow_mut().change_tablets(keyspace, table, change)?;
        self.stream(&old);
        self.epoch.set(self.epoch.get() + 1);
        Ok(())
    }

    /// What a client that routes by tablets has to be told of the one that a request was for, if
    /// it has come to a shard that does not have it.
    pub(crate) fn tablet_payload(
        &self,
        plan: &Plan,
        values: &[Value<'_>],
        node: NodeIndex,
        shard: u16,
    ) -> Option<Vec<u8>> {
        let placement = plan.placement.as_ref()?;
        let tablets = placement.tablets()?;
        let token = plan.partitioner.token_of(&key_of(plan, values)?);
        if placement.shard_at(token, node, self.sharding) == Some(shard) {
            return None;
        }
        payload(tablets, token, |node| {
            self.nodes.get(node).map(|node| node.host_id).unwrap_or_default()
        })
    }

    /// Judges where a request arrived; `None` if its rows belong to no node in particular.
    pub(crate) fn arrival(
        &self,
        plan: &Plan,
        values: &[Value<'_>],
        node: NodeIndex,
        shard: u16,
    ) -> Option<Arrival> {
        plan.placement.as_ref()?;
        Some(match key_of(plan, values) {
            Some(key) => self.arrival_of(plan, &key, node, shard),
            None => Arrival::Unrouted,
        })
    }

    /// Judges where a request for this partition key arrived.
    #[inline]
    pub(crate) fn arrival_of(
        &self,
        plan: &Plan,
        key: &[u8],
        node: NodeIndex,
        shard: u16,
    ) -> Arrival {
        self.arrival_at(plan, plan.partitioner.token_of(key), node, shard)
    }

    /// Judges where a request for a partition of this token arrived.
    #[inline]
    pub(crate) fn arrival_at(
        &self,
        plan: &Plan,
        token: i64,
        node: NodeIndex,
        shard: u16,
    ) -> Arrival {
        let placement = plan.placement.as_ref();
        match placement.and_then(|placement| placement.shard_at(token, node, self.sharding)) {
            None => Arrival::WrongNode,
            Some(owner) if owner != shard => Arrival::WrongShard,
            Some(_) => Arrival::Right,
        }
    }

    /// Sends an event to every connection, on every node but `except`, that wants its kind. Each
    /// connection puts its own version into the frame.
    pub(crate) fn send_event(
        &self,
        except: Option<NodeIndex>,
        wants: impl Fn(EventKinds) -> bool,
        body: impl FnOnce(&mut Writer<'_>),
    ) {
        use crate::wire::frame::{begin, end, opcode};
        let mut frame = Vec::new();
        let at = begin(&mut frame, Version::V4, -1, opcode::EVENT);
        body(&mut Writer::new(&mut frame));
        end(&mut frame, at);
        let frame: EventFrame = frame.into();
        let nodes = self.node_states.iter().enumerate();
        for (_, state) in nodes.filter(|(index, _)| Some(*index) != except) {
            state.listeners.borrow_mut().retain(|_, (kinds, sender)| {
                if wants(*kinds) {
                    // A connection that reads no events misses some; it must not hold up others.
                    let _ = sender.try_send(Rc::clone(&frame));
                }
                !sender.is_closed()
            });
        }
    }
}

/// The partition key that a request binds; none if it does not bind all of it.
fn key_of<'v>(plan: &Plan, values: &[Value<'v>]) -> Option<Cow<'v, [u8]>> {
    let part = |index: &u16| match values.get(usize::from(*index)) {
        Some(Value::Bytes(part)) => Some(*part),
        _ => None,
    };
    match plan.key_indexes.as_slice() {
        [] => None,
        [single] => part(single).map(Cow::Borrowed),
        several => {
            let mut key = Vec::new();
            for index in several {
                write_composite(part(index)?, &mut key);
            }
            Some(Cow::Owned(key))
        }
    }
}
