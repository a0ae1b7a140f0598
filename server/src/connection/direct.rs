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
use crate::exec::plan::Plan;
use crate::exec::result::{Metadata, write_rows_head};
use crate::replicas::{Consistency, Health, Levels};
use crate::wire::frame::{Header, begin, end, opcode};
use crate::wire::read::{Reader, Value};
use crate::wire::write::Writer;

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
        let direct = plan.direct.as_ref()?;
        let is_up = shared.node_states.iter().all(|state| state.pulse.health() == Health::Up);
        let is_known =
            known.is_none_or(|known| plan.columns.is_none() || plan.metadata_id() == known);
        if !is_up
            || *epoch != shared.epoch.get()
            || !is_known
            || body.len() > shared.limits.max_mutation_size / TIMES_FACTOR
        {
            return None;
        }
        let usual = self.usual(plan, &mut reader)?;
        if !direct.is_granted(usual.consistency, self.node, |level| self.grants(plan, level)) {
            return None;
        }
        let values = &usual.values[..];
        let mut keys = shared.memory.keys.borrow_mut();
        let token = direct.locate(values, &mut keys)?;
        let arrival = shared.arrival_at(plan, token, self.node, self.shard);
        if arrival != Arrival::Right && self.asked.tablets && plan.has_tablets() {
            return None; // the reply tells of the tablet
        }
        let when = shared.when(usual.timestamp, None);
        let at = self.out.len();
        if direct.is_write() {
            direct.write(values, &keys, token, when)?;
            begin(&mut self.out, self.version, stream, opcode::RESULT);
            self.out.extend_from_slice(&1_i32.to_be_bytes()); // VOID
        } else {
            let columns = plan.columns.as_deref()?;
            let metadata = if usual.skips_metadata { Metadata::Skipped } else { Metadata::Full };
            begin(&mut self.out, self.version, stream, opcode::RESULT);
            write_rows_head(
                columns,
                None,
                metadata,
                self.dialect(),
                &mut Writer::new(&mut self.out),
            );
            let most = shared.limits.tombstone_warn_threshold;
            if direct.read(&keys, token, when.now_s, most, &mut self.out).is_none() {
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
    #[cold]
    fn grants(&self, plan: &Plan, consistency: Consistency) -> bool {
        let levels = Levels { consistency, ..Levels::default() };
        let warnings = &Warnings::default();
        let coordinator = Coordinator { shared: &self.shared, node: self.node, levels, warnings };
        consistency != Consistency::Any
            && !consistency.is_serial()
            && plan.placement.as_ref().is_some_and(|placement| coordinator.finds_all(placement))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Header;
    use crate::exec::tests::Database;
    use crate::persona::Persona;
    use crate::wire::version::Version;

    /// What is not usual in any way is left alone; if all were, nothing else would fail.
    #[test]
    fn usual_requests_go_the_short_way() {
        let database = Database::with(Persona::Scylla);
        database.run("CREATE TABLE ks.one (k int PRIMARY KEY, v int)");
        let shared = Rc::new(database.0);
        let insert = shared.prepare(0, "INSERT INTO ks.one (k, v) VALUES (?, ?)", None).unwrap().0;
        let select = shared.prepare(0, "SELECT v FROM ks.one WHERE k = ?", None).unwrap().0;
        let guests = &shared.node_states.get(0).unwrap().guests;
        let guest = guests.admit(([127, 0, 0, 1], 1).into(), &shared.limits).unwrap();
        let mut connection = Connection::new(Rc::clone(&shared), 0, 0, guest);
        connection.version = Version::V4;
        let mut call = |id: &[u8; 16], level: u8, flags: u8, values: &[&[u8]]| {
            let count = u8::try_from(values.len()).unwrap();
            let mut body = [&[0, 16][..], id, &[0, level, flags, 0, count]].concat();
            values.iter().for_each(|value| Writer::new(&mut body).bytes(Some(value)));
            let header = Header {
                version: 4,
                flags: 0,
                stream: 7,
                opcode: opcode::EXECUTE,
                body_len: body.len(),
            };
            let is_short = connection.try_direct(header, &body).is_some();
            (is_short, connection.out.split_off(0))
        };
        let (k, v): (&[u8], &[u8]) = (&[0, 0, 0, 1], &[0, 0, 0, 9]);
        let void = [&[0x84, 0, 0, 7, opcode::RESULT, 0, 0, 0, 4][..], &[0, 0, 0, 1]].concat();
        assert_eq!(call(&insert.id, 1, 1, &[k, v]), (true, void));
        let (is_short, reply) = call(&select.id, 6, 3, &[k]);
        assert!(is_short && reply.ends_with(&[&[0, 0, 0, 1, 0, 0, 0, 4], v].concat()), "{reply:?}");
        let (is_short, reply) = call(&select.id, 6, 3, &[v]);
        assert!(is_short && reply.ends_with(&[0, 0, 0, 0]), "no row: {reply:?}");
        for (what, left) in [
            ("another id", call(&[0; 16], 1, 1, &[k, v])),
            ("a value too few", call(&insert.id, 1, 1, &[k])),
            ("a short value", call(&insert.id, 1, 1, &[k, &[0]])),
            ("too few replicas", call(&insert.id, 2, 1, &[k, v])),
            ("too few replicas, once more", call(&insert.id, 2, 1, &[k, v])),
            ("ANY", call(&insert.id, 0, 1, &[k, v])),
            ("SERIAL", call(&select.id, 8, 1, &[k])),
        ] {
            assert_eq!(left, (false, Vec::new()), "{what}");
        }
    }
}
