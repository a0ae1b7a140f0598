//! QUERY, PREPARE, EXECUTE and BATCH, really executed.

use std::rc::Rc;

use super::Connection;
use super::params::{BatchItem, BatchStatement, Params, batch_head, batch_item, batch_tail};
use crate::coordinator::{Coordinator, Warnings, Writer};
use crate::error::CqlError;
use crate::exec::batch;
use crate::exec::plan::{Action, Plan};
use crate::exec::result::{
    Metadata, Outcome, Prepared, metadata_id, write_change, write_outcome, write_prepared,
};
use crate::persona::Persona;
use crate::state::{Bindings, Statement};
use crate::store::Seen;
use crate::tablets::PAYLOAD_KEY;
use crate::wire::frame::opcode;
use crate::wire::read::{Reader, Value};

type Result<T> = std::result::Result<T, CqlError>;

impl Connection {
    pub(super) fn query(&mut self, stream: i16, reader: &mut Reader<'_>) -> Result<()> {
        let text = reader.long_string("the statement")?;
        let mut params = Params::read(reader, self.version)?;
        let plan = self.shared.plan(text, self.keyspace_of(params.keyspace))?;
        params.arrange(&plan.markers)?;
        let outcome = self.run_plan(&plan, &params)?;
        self.reply_outcome(stream, &outcome, params.metadata);
        Ok(())
    }

    /// The keyspace that a request names, or else that of USE.
    fn keyspace_of<'a>(&'a self, named: Option<&'a str>) -> Option<&'a str> {
        named.or(self.keyspace.as_deref())
    }

    pub(super) fn prepare(&mut self, stream: i16, reader: &mut Reader<'_>) -> Result<()> {
        let text = reader.long_string("the statement")?;
        let named = if self.version.is_5() { prepare_keyspace(reader)? } else { None };
        let (statement, plan) = self.shared.prepare(self.node, text, self.keyspace_of(named))?;
        let is_scylla = self.shared.persona == Persona::Scylla;
        let is_lwt = plan.is_conditional();
        // Cassandra cannot say what a conditional statement returns before it has run.
        let columns = plan.columns.as_deref().filter(|_| is_scylla || !is_lwt);
        let prepared = Prepared {
            id: &statement.id,
            metadata_id: self.has_metadata_ids().then(|| metadata_id(columns)),
            markers: &plan.markers,
            key_indexes: &plan.key_indexes,
            table: (&plan.table.0, &plan.table.1),
            columns,
            is_lwt: is_lwt && is_scylla,
        };
        let dialect = self.dialect();
        self.reply(stream, opcode::RESULT, |out| write_prepared(&prepared, dialect, out));
        Ok(())
    }

    pub(super) fn statement(&self, id: &[u8]) -> Option<Rc<Statement>> {
        let state = self.shared.node_states.get(self.node)?;
        state.prepared.borrow().get(id).cloned()
    }

    pub(super) fn execute(&mut self, stream: i16, reader: &mut Reader<'_>) -> Result<()> {
        let id = reader.short_bytes("the statement's id")?;
        let known = self.metadata_id(reader)?;
        let statement = self.statement(id).ok_or_else(|| CqlError::unprepared(id))?;
        let mut params = Params::read(reader, self.version)?;
        let plan = self.shared.current_plan(&statement)?;
        if let Some(known) = known {
            params.metadata = metadata_for(&plan, known, params.metadata);
        }
        if matches!(plan.action, Action::Role(_) | Action::Describe(_)) {
            // PREPARED knows no columns of a LIST or DESCRIBE, as with Cassandra.
            params.metadata = Metadata::Full;
        }
        params.arrange(&plan.markers)?;
        self.count(&plan, &params.values);
        let outcome = self.run_plan(&plan, &params)?;
        if self.asked.tablets {
            let told = self.shared.tablet_payload(&plan, &params.values, self.node, self.shard);
            told.iter().for_each(|content| self.add_payload(PAYLOAD_KEY, content));
        }
        let at = self.out.len();
        self.reply_outcome(stream, &outcome, params.metadata);
        if self.shared.canned && self.extras.flags == 0 {
            self.keep_canned(&statement, &plan, &params, &outcome, at);
        }
        Ok(())
    }

    /// Reads the id of the result's columns that the client knows, which v5 sends, and v4 if it
    /// was asked for.
    #[inline]
    pub(super) fn metadata_id<'a>(&self, reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>> {
        let what = "the result metadata's id";
        self.has_metadata_ids().then(|| reader.short_bytes(what)).transpose()
    }

    fn count(&self, plan: &Plan, values: &[Value<'_>]) {
        let arrival = self.shared.arrival(plan, values, self.node, self.shard);
        let shard = self.shared.counters.shard(self.node, self.shard);
        if let (Some(arrival), Some(shard)) = (arrival, shard) {
            shard.arrived(arrival);
        }
    }

    fn run_plan(&mut self, plan: &Plan, params: &Params<'_>) -> Result<Outcome> {
        let warnings = Warnings::default();
        let bindings = Bindings {
            levels: params.levels,
            values: &params.values,
            page: params.page,
            timestamp: params.timestamp,
            now_s: params.now_s,
            role: self.role.as_deref(),
            warnings: Some(&warnings),
        };
        let keyspace = self.keyspace_of(params.keyspace);
        let outcome = self.shared.run(self.node, plan, keyspace, bindings);
        self.warn(warnings.into_inner());
        let outcome = outcome?;
        match &outcome {
            Outcome::SetKeyspace(name) => self.keyspace = Some(name.clone()),
            Outcome::SchemaChange(change) => {
                for change in std::iter::once(change).chain(&change.of_log()) {
                    self.shared.send_event(
                        None,
                        |kinds| kinds.schema,
                        |out| {
                            out.string("SCHEMA_CHANGE");
                            write_change(change, out);
                        },
                    );
                }
            }
            _ => {}
        }
        Ok(outcome)
    }

    fn reply_outcome(&mut self, stream: i16, outcome: &Outcome, metadata: Metadata) {
        let dialect = self.dialect();
        self.reply(stream, opcode::RESULT, |out| write_outcome(outcome, metadata, dialect, out));
    }

    pub(super) fn batch(&mut self, stream: i16, reader: &mut Reader<'_>) -> Result<()> {
        let (kind, count) = batch_head(reader)?;
        let items = (0..count).map(|_| batch_item(reader, self.version));
        let items = items.collect::<Result<Vec<_>>>()?;
        let tail = batch_tail(reader, self.version)?;
        let when = self.shared.when(tail.timestamp, tail.now_s);
        let mut plans = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let plan = self.batch_plan(item, tail.keyspace, index == 0)?;
            if !matches!(plan.action, Action::Modify(_)) {
                return Err(CqlError::invalid("Only modifications can stand in a batch"));
            }
            let keyspace = self.keyspace_of(tail.keyspace);
            self.shared.authorize(&plan, keyspace, self.role.as_deref())?;
            if item.values.len() != plan.markers.len() {
                let (expected, got) = (plan.markers.len(), item.values.len());
                let message = format!(
                    "statement {index} of the batch has {expected} markers, got {got} values"
                );
                return Err(CqlError::invalid(message));
            }
            plans.push(plan);
        }
        let modifications: Vec<batch::Item<'_>> = plans
            .iter()
            .zip(&items)
            .filter_map(|(plan, item)| match &plan.action {
                Action::Modify(modify) => Some((modify, item.values.as_slice())),
                _ => None,
            })
            .collect();
        let persona = self.shared.persona;
        let (shared, node) = (Rc::clone(&self.shared), self.node);
        let warnings = Warnings::default();
        let coordinator =
            Coordinator { shared: &shared, node, levels: tail.levels, warnings: &warnings };
        let conditional = modifications.iter().find(|(modify, _)| modify.is_conditional());
        let seen = match conditional {
            Some((modify, values)) => coordinator.check_paxos(modify, values)?,
            None => Seen::default(),
        };
        let when = (when, false);
        let (mutations, outcome) = batch::run(kind, &modifications, when, persona, &seen)?;
        let writer = if conditional.is_some() { Writer::Paxos } else { Writer::Batch(kind) };
        let written = coordinator.write(writer, mutations);
        self.warn(warnings.into_inner());
        written?;
        self.reply_outcome(stream, &outcome, Metadata::Full);
        Ok(())
    }

    fn batch_plan(
        &self,
        item: &BatchItem<'_>,
        keyspace: Option<&str>,
        is_first: bool,
    ) -> Result<Rc<Plan>> {
        match item.statement {
            BatchStatement::Text(text) => {
                self.shared.plan(text, self.keyspace_of(keyspace)).map(Rc::new)
            }
            BatchStatement::Id(id) => {
                let statement = self.statement(id).ok_or_else(|| CqlError::unprepared(id))?;
                let plan = self.shared.current_plan(&statement)?;
                if is_first {
                    self.count(&plan, &item.values);
                }
                Ok(plan)
            }
        }
    }
}

/// Reads what v5 has put behind the text of PREPARE.
fn prepare_keyspace<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>> {
    match reader.bits("the flags")? {
        0 => Ok(None),
        1 => reader.string("the keyspace").map(Some),
        flags => Err(CqlError::protocol(format!("unknown flags {flags:#x}"))),
    }
}

/// What is said of the columns to a client that knows those of id `known`.
fn metadata_for(plan: &Plan, known: &[u8], wanted: Metadata) -> Metadata {
    if plan.is_conditional() {
        // Its columns are other ones each time; an id would tempt clients to keep them.
        Metadata::Full
    } else if plan.columns.is_some() && plan.metadata_id() != known {
        Metadata::Changed(*plan.metadata_id())
    } else {
        wanted
    }
}
