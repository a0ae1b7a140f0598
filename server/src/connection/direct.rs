//! EXECUTE of statements that go the short way: nothing but what a row that is written or read by
//! its key really needs. `exec/direct.rs` has what is done to the row.
//!
//! A request that is not as usual in any way - a flag, a null, a level that finds too few replicas,
//! a node that is down - is left as it is, and goes the way of all others.

use std::rc::Rc;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::params::{consistency, flag, read_flags, serial_consistency, timestamp};
use super::{Connection, Flow, TURN_TIME};
use crate::coordinator::{Coordinator, Warnings};
use crate::counters::Arrival;
use crate::exec::direct::Direct;
use crate::exec::plan::Plan;
use crate::exec::result::{Metadata, write_rows_head};
use crate::replicas::{Consistency, Health, Levels};
use crate::wire::frame::{Header, begin, end, opcode};
use crate::wire::read::{Reader, Value};

/// After so many requests it is looked at how long others have waited: a fraction of what they may.
const CLOCK_STEP: u32 = 256;
/// Bytes of a request are less than a mutation may have by this factor: the times of its cells
/// count too.
const TIMES_FACTOR: usize = 4;

/// More values than these take memory of their own.
const FEW_VALUES: usize = 8;

/// Parameters of a request that is as usual.
struct Usual<'a> {
    consistency: Consistency,
    values: SmallVec<[&'a [u8]; FEW_VALUES]>,
    skips_metadata: bool,
    timestamp: Option<i64>,
}

impl Connection {
    /// Runs an EXECUTE the short way; `None`, and nothing has happened, if it can't.
    #[inline]
    pub(super) fn try_direct(&mut self, header: Header, body: &[u8]) -> Option<Flow> {
        if self.shared.canned || header.opcode != opcode::EXECUTE {
            return None;
        }
        self.execute_directly(header.stream, body)?;
        self.requests = self.requests.wrapping_add(1);
        if !self.requests.is_multiple_of(CLOCK_STEP) {
            return Some(Flow::Continue);
        }
        let begun = *self.turn.get_or_insert_with(Instant::now);
        Some(if begun.elapsed() >= TURN_TIME { Flow::Turn } else { Flow::Continue })
    }

    fn execute_directly(&mut self, stream: i16, body: &[u8]) -> Option<()> {
        let shared = Rc::clone(&self.shared);
        let mut reader = Reader::new(body);
        let id = reader.short_bytes("the statement's id").ok()?;
        let known = self.metadata_id(&mut reader).ok()?;
        let prepared = shared.node_states.get(self.node)?.prepared.borrow();
        let planned = prepared.get(id)?.planned();
        let (epoch, plan) = &*planned;
        let (Some(direct), Some(placement)) = (&plan.direct, &plan.placement) else { return None };
        let is_known =
            known.is_none_or(|known| plan.columns.is_none() || plan.metadata_id() == known);
        if *epoch != shared.epoch.get()
            || !is_known
            || body.len() > shared.limits.max_mutation_size / TIMES_FACTOR
        {
            return None;
        }
        let usual = self.usual(plan, &mut reader)?;
        let values = &usual.values[..];
        let token = direct.locate(values, &mut self.keys)?;
        let arrival = match placement.shard_at(token, self.node, shared.sharding) {
            None => Arrival::WrongNode,
            Some(owner) if owner != self.shard => Arrival::WrongShard,
            Some(_) => Arrival::Right,
        };
        if arrival != Arrival::Right && self.asked.tablets && plan.has_tablets() {
            return None; // the reply tells of the tablet
        }
        let is_up = shared.node_states.iter().all(|state| state.pulse.health() == Health::Up);
        if !is_up || !self.may_use(plan, direct, usual.consistency) {
            return None;
        }
        let when = shared.when(usual.timestamp, None);
        let at = self.out.len();
        if direct.is_write() {
            direct.write(values, &self.keys, token, when)?;
            begin(&mut self.out, self.version, stream, opcode::RESULT);
            self.out.extend_from_slice(&1_i32.to_be_bytes()); // VOID
        } else {
            let columns = plan.columns.as_deref()?;
            let metadata = if usual.skips_metadata { Metadata::Skipped } else { Metadata::Full };
            begin(&mut self.out, self.version, stream, opcode::RESULT);
            write_rows_head(columns, metadata, self.dialect(), &mut self.out);
            let most = shared.limits.tombstone_warn_threshold;
            if direct.read(&self.keys, token, when.now_s, most, &mut self.out).is_none() {
                self.out.truncate(at);
                return None;
            }
        }
        end(&mut self.out, at);
        self.compress(at);
        if let Some(shard) = shared.counters.shard(self.node, self.shard) {
            shard.arrived(arrival);
        }
        Some(())
    }

    /// Reads the parameters of a request that has no others than the usual ones, and a value for
    /// each marker.
    #[inline]
    fn usual<'a>(&self, plan: &Plan, reader: &mut Reader<'a>) -> Option<Usual<'a>> {
        let consistency = consistency(reader).ok()?;
        let flags = read_flags(reader, self.version).ok()?;
        let has = |flag| flags & flag != 0;
        if has(flag::PAGING_STATE | flag::NAMES | flag::KEYSPACE | flag::NOW_IN_SECONDS) {
            return None;
        }
        let count = if has(flag::VALUES) { reader.short("the values").ok()? } else { 0 };
        let mut usual = Usual {
            consistency,
            values: SmallVec::new(),
            skips_metadata: has(flag::SKIP_METADATA),
            timestamp: None,
        };
        if usize::from(count) != plan.markers.len() {
            return None;
        }
        for _ in 0..count {
            let Ok(Value::Bytes(value)) = reader.value() else { return None };
            usual.values.push(value);
        }
        if has(flag::PAGE_SIZE) {
            reader.int("the page size").ok()?; // of one row
        }
        if has(flag::SERIAL_CONSISTENCY) {
            serial_consistency(reader).ok()?;
        }
        if has(flag::TIMESTAMP) {
            usual.timestamp = Some(timestamp(reader).ok()?);
        }
        Some(usual)
    }

    /// Whether a level finds enough replicas wherever the row is, all nodes being up.
    #[inline]
    fn may_use(&self, plan: &Plan, direct: &Direct, consistency: Consistency) -> bool {
        direct.is_granted(consistency, self.node) || self.find_replicas(plan, direct, consistency)
    }

    #[cold]
    fn find_replicas(&self, plan: &Plan, direct: &Direct, consistency: Consistency) -> bool {
        let levels = Levels { consistency, ..Levels::default() };
        let warnings = &Warnings::default();
        let coordinator = Coordinator { shared: &self.shared, node: self.node, levels, warnings };
        let finds = consistency != Consistency::Any
            && !consistency.is_serial()
            && plan.placement.as_ref().is_some_and(|placement| coordinator.finds_all(placement));
        if finds {
            direct.grant(consistency, self.node);
        }
        finds
    }
}
