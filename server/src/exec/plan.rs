//! A parsed statement bound to the schema: names resolved, types known.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use super::batch::BatchPlan;
use super::bind::{Marker, Markers};
use super::direct::Direct;
use super::modify::ModifyPlan;
use super::result::{MetadataId, ResultColumns, metadata_id};
use super::select::SelectPlan;
use crate::cql::ast::{Ddl, Describe, Parsed, RoleStatement, Statement, TableName};
use crate::error::CqlError;
use crate::routing::{Partitioner, Placement};
use crate::schema::{Schema, Table};
use crate::value::types::CqlType;

/// What a statement will do.
#[derive(Debug)]
pub(crate) enum Action {
    Select(SelectPlan),
    Modify(ModifyPlan),
    Batch(BatchPlan),
    Ddl(Ddl),
    Truncate(Rc<Table>),
    Use(String),
    Describe(Describe),
    Role(RoleStatement),
}

/// A statement, ready to run as long as the schema does not change.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) action: Action,
    pub(crate) markers: Vec<Marker>,
    /// Keyspace and table, as PREPARED names them.
    pub(crate) table: (String, String),
    /// For each column of the partition key, the marker bound to it. Empty if not all are.
    pub(crate) key_indexes: Vec<u16>,
    pub(crate) columns: Option<Rc<ResultColumns>>,
    metadata_id: OnceCell<MetadataId>,
    /// Replicas of the rows; `None` for what every node answers alike.
    pub(crate) placement: Option<Rc<Placement>>,
    /// How long its coordinator waits for others, if the statement says so.
    pub(crate) timeout: Option<Duration>,
    pub(crate) partitioner: Partitioner,
    /// For statements that can go the short way.
    pub(crate) direct: Option<Direct>,
}

impl Plan {
    /// Resolves `parsed` (whose text is `text`) in `schema`, with `keyspace` as the one of USE.
    pub(crate) fn new(
        schema: &Schema,
        parsed: &Parsed,
        text: &str,
        keyspace: Option<&str>,
    ) -> Result<Self, CqlError> {
        let mut markers = Markers::new(&parsed.markers);
        let (action, target) = match &parsed.statement {
            Statement::Use(name) => {
                schema.keyspace(name)?;
                (Action::Use(name.clone()), None)
            }
            Statement::Describe(describe) => (Action::Describe(describe.clone()), None),
            Statement::Ddl(ddl) => (Action::Ddl(ddl.clone()), None),
            Statement::Role(role) => (Action::Role(role.clone()), None),
            Statement::Truncate(name) => {
                (Action::Truncate(writable(schema, name, keyspace)?), Some(name))
            }
            Statement::Select(select) => {
                let (home, table) = schema.table(&select.table, keyspace)?;
                let plan =
                    SelectPlan::new(schema.persona, home, table, select, text, &mut markers)?;
                (Action::Select(plan), Some(&select.table))
            }
            Statement::Batch(batch) => {
                let mut plans = Vec::new();
                for statement in &batch.statements {
                    plans.push(modification(schema, statement, keyspace, &mut markers)?.0);
                }
                if batch.using.ttl.is_some() {
                    return Err(CqlError::invalid(
                        "Global TTL on the BATCH statement is not supported",
                    ));
                }
                let timestamp = batch.using.timestamp.clone();
                if let Some(term) = &timestamp {
                    markers.note(term, "[timestamp]", &CqlType::BIGINT);
                }
                (Action::Batch(BatchPlan { kind: batch.kind, timestamp, plans }), None)
            }
            other => {
                let (plan, name) = modification(schema, other, keyspace, &mut markers)?;
                (Action::Modify(plan), Some(name))
            }
        };
        let mut plan = Self {
            key_indexes: action.key_indexes(),
            columns: action.columns(),
            metadata_id: OnceCell::new(),
            action,
            markers: markers.finish(),
            table: (String::new(), String::new()),
            placement: None,
            timeout: parsed.timeout,
            partitioner: Partitioner::default(),
            direct: None,
        };
        if let Some(name) = target {
            let (keyspace, table) = schema.table(name, keyspace)?;
            plan.table = (keyspace.name.clone(), table.name.clone());
            plan.partitioner = table.partitioner;
            plan.placement =
                (!keyspace.is_system()).then(|| Rc::clone(keyspace.placement(&table.name)));
            plan.direct = plan.placement.as_ref().and_then(|_| Direct::of(&plan.action));
        }
        Ok(plan)
    }

    /// The id of [`Self::columns`]; computed when it is first asked for.
    pub(crate) fn metadata_id(&self) -> &MetadataId {
        self.metadata_id.get_or_init(|| metadata_id(self.columns.as_deref()))
    }

    /// Whether its rows belong to tablets.
    pub(crate) fn has_tablets(&self) -> bool {
        self.placement.as_ref().is_some_and(|placement| placement.tablets().is_some())
    }

    /// Whether the statement has a condition (LWT).
    pub(crate) fn is_conditional(&self) -> bool {
        match &self.action {
            Action::Modify(plan) => plan.is_conditional(),
            Action::Batch(batch) => batch.plans.iter().any(ModifyPlan::is_conditional),
            _ => false,
        }
    }
}

impl Action {
    fn key_indexes(&self) -> Vec<u16> {
        match self {
            Self::Select(plan) => plan.restrictions.key_indexes(),
            Self::Modify(plan) => plan.restrictions.key_indexes(),
            _ => Vec::new(),
        }
    }

    fn columns(&self) -> Option<Rc<ResultColumns>> {
        match self {
            Self::Select(plan) => Some(Rc::clone(&plan.columns)),
            Self::Modify(plan) => plan.columns.clone(),
            _ => None,
        }
    }
}

/// A table that clients may write to.
fn writable(
    schema: &Schema,
    name: &TableName,
    keyspace: Option<&str>,
) -> Result<Rc<Table>, CqlError> {
    let (keyspace, table) = schema.table(name, keyspace)?;
    if keyspace.is_system() {
        let message = format!("{} keyspace is not user-modifiable.", keyspace.name);
        return Err(CqlError::unauthorized(message));
    }
    if table.view.is_some() {
        return Err(CqlError::invalid("Cannot directly modify a materialized view"));
    }
    Ok(Rc::clone(table))
}

fn modification<'a>(
    schema: &Schema,
    statement: &'a Statement,
    keyspace: Option<&str>,
    markers: &mut Markers,
) -> Result<(ModifyPlan, &'a TableName), CqlError> {
    match statement {
        Statement::Insert(insert) => {
            let table = writable(schema, &insert.table, keyspace)?;
            Ok((ModifyPlan::insert(&table, insert, markers)?, &insert.table))
        }
        Statement::Update(update) => {
            let table = writable(schema, &update.table, keyspace)?;
            Ok((ModifyPlan::update(&table, update, markers)?, &update.table))
        }
        Statement::Delete(delete) => {
            let table = writable(schema, &delete.table, keyspace)?;
            Ok((ModifyPlan::delete(&table, delete, markers)?, &delete.table))
        }
        _ => Err(CqlError::invalid("only modifications can stand in a batch")),
    }
}
