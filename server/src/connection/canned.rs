//! The fast path of `--canned`: replies that were encoded once.
//!
//! The first EXECUTE of a statement in a form (skip metadata or not, compressed or not, page size,
//! paging state) is really executed; its reply is kept and answers every later one of that form,
//! whatever values it binds. A SELECT that finds nothing is not kept. A BATCH whose first statement
//! is prepared is answered with VOID. Where requests arrived is counted as ever. No permissions are
//! checked here, so that only superusers come here where there are roles.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::Connection;
use super::params::{Params, batch_head, flag, read_flags};
use crate::counters::Arrival;
use crate::error::CqlError;
use crate::exec::plan::{Action, Plan};
use crate::exec::result::{Metadata, Outcome, write_outcome};
use crate::routing::write_composite;
use crate::state::Statement;
use crate::wire::compression::Algorithm;
use crate::wire::frame::{Header, begin, end, opcode, set_stream};
use crate::wire::read::{Reader, Value};
use crate::wire::version::Version;

/// Pages that are kept per statement; further ones are executed.
const PAGES_MAX: usize = 4096;
/// Forms of requests whose reply is kept per statement; further ones are executed. A client can
/// make as many as there are page sizes.
const FORMS_MAX: usize = 64;

/// What a reply depends on beside the statement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Form {
    version: Version,
    skips_metadata: bool,
    compression: Option<Algorithm>,
    page_size: Option<usize>,
}

/// The kept replies of one statement.
#[derive(Debug, Default)]
pub(crate) struct Canned {
    inner: RefCell<Replies>,
}

#[derive(Debug, Default)]
struct Replies {
    plan: Option<(u64, Rc<Plan>)>,
    /// Replies to requests without a paging state: there are few forms.
    first: Vec<(Form, Vec<u8>)>,
    /// Replies by form and paging state.
    pages: HashMap<Vec<u8>, Vec<u8>>,
}

impl Canned {
    pub(crate) fn clear(&self) {
        *self.inner.borrow_mut() = Replies::default();
    }
}

fn page_key(form: Form, state: &[u8], key: &mut Vec<u8>) {
    key.clear();
    key.push(form.version.number());
    let compression = match form.compression {
        None => 0,
        Some(Algorithm::Lz4) => 1,
        Some(Algorithm::Snappy) => 2,
    };
    key.push(u8::from(form.skips_metadata) | compression << 1);
    key.extend_from_slice(&form.page_size.unwrap_or(0).to_be_bytes());
    key.extend_from_slice(state);
}

/// The parts of an EXECUTE that the fast path looks at.
struct Sketch<'a> {
    form: Form,
    state: Option<&'a [u8]>,
    arrival: Arrival,
}

impl Connection {
    /// Answers from what is kept; `false` if the request has to be executed.
    #[inline]
    pub(super) fn try_canned(&mut self, header: Header, body: &[u8]) -> bool {
        if !self.shared.canned {
            return false;
        }
        match header.opcode {
            opcode::EXECUTE if self.has_metadata_ids() => {
                self.canned_execute::<true>(header.stream, body).unwrap_or(false)
            }
            opcode::EXECUTE => self.canned_execute::<false>(header.stream, body).unwrap_or(false),
            opcode::BATCH => self.canned_batch(header.stream, body).unwrap_or(false),
            _ => false,
        }
    }

    /// `IS_5` is the version's, or that of v4 with ids of metadata; the plain path of v4, which is
    /// measured, has no branches for v5.
    fn canned_execute<const IS_5: bool>(
        &mut self,
        stream: i16,
        body: &[u8],
    ) -> Result<bool, CqlError> {
        let shared = Rc::clone(&self.shared);
        let mut reader = Reader::new(body);
        let id = reader.short_bytes("the statement's id")?;
        let known = if IS_5 { self.metadata_id(&mut reader)? } else { None };
        let Some(state) = shared.node_states.get(self.node) else { return Ok(false) };
        let prepared = state.prepared.borrow();
        let Some(statement) = prepared.get(id) else { return Ok(false) };
        let replies = statement.canned.inner.borrow();
        let Some((epoch, plan)) = &replies.plan else { return Ok(false) };
        if *epoch != shared.epoch.get() {
            return Ok(false);
        }
        if known.is_some_and(|known| known != plan.metadata_id() && plan.columns.is_some()) {
            return Ok(false);
        }
        let Some(sketch) = self.sketch::<IS_5>(plan, &mut reader)? else { return Ok(false) };
        if sketch.arrival != Arrival::Right && self.asked.tablets && plan.has_tablets() {
            return Ok(false); // the reply tells of the tablet
        }
        let reply = match sketch.state {
            None => replies.first.iter().find(|(form, _)| *form == sketch.form).map(|(_, r)| r),
            Some(state) => {
                page_key(sketch.form, state, &mut self.scratch);
                replies.pages.get(&self.scratch)
            }
        };
        let Some(reply) = reply else { return Ok(false) };
        let at = self.out.len();
        self.out.extend_from_slice(reply);
        set_stream(&mut self.out, at, stream);
        if let Some(shard) = shared.counters.shard(self.node, self.shard) {
            shard.arrived(sketch.arrival);
        }
        Ok(true)
    }

    /// Reads the parameters of an EXECUTE, values only as far as needed.
    #[inline]
    fn sketch<'a, const IS_5: bool>(
        &mut self,
        plan: &Plan,
        reader: &mut Reader<'a>,
    ) -> Result<Option<Sketch<'a>>, CqlError> {
        reader.short("the consistency")?;
        let flags = if IS_5 {
            read_flags(reader, self.version)?
        } else {
            u32::from(reader.byte("the flags")?)
        };
        if flags & flag::NAMES != 0 {
            return Ok(None);
        }
        let count = if flags & flag::VALUES != 0 { reader.short("the values")? } else { 0 };
        let arrival = self.sketch_arrival(plan, count, reader, flags)?;
        let mut form = Form {
            version: self.version,
            skips_metadata: flags & flag::SKIP_METADATA != 0,
            compression: self.algorithm,
            page_size: None,
        };
        let mut state = None;
        if flags & flag::PAGE_SIZE != 0 {
            let size = reader.int("the page size")?;
            form.page_size = usize::try_from(size).ok().filter(|size| *size > 0);
        }
        if flags & flag::PAGING_STATE != 0 {
            state = reader.bytes("the paging state")?;
        }
        Ok(Some(Sketch { form, state, arrival }))
    }

    /// Left to itself the compiler calls it, since both versions do: 3 % of a request.
    #[inline(always)]
    fn sketch_arrival(
        &mut self,
        plan: &Plan,
        count: u16,
        reader: &mut Reader<'_>,
        flags: u32,
    ) -> Result<Arrival, CqlError> {
        let walks_all = flags & (flag::PAGE_SIZE | flag::PAGING_STATE) != 0;
        if let ([0], false, true) = (plan.key_indexes.as_slice(), walks_all, count > 0) {
            let Value::Bytes(key) = reader.value()? else { return Ok(Arrival::Unrouted) };
            return Ok(self.shared.arrival_of(plan, key, self.node, self.shard));
        }
        let mut values = reader.clone();
        if walks_all {
            for _ in 0..count {
                reader.value()?;
            }
        }
        self.arrival_by_walk(plan, count, &mut values)
    }

    /// Judges the arrival of a request with any key, without keeping its values.
    fn arrival_by_walk(
        &mut self,
        plan: &Plan,
        count: u16,
        values: &mut Reader<'_>,
    ) -> Result<Arrival, CqlError> {
        if plan.key_indexes.is_empty() {
            return Ok(Arrival::Unrouted);
        }
        self.scratch.clear();
        for wanted in &plan.key_indexes {
            // Columns of a key may be bound in any order; keys are short, so start over for each.
            let mut reader = values.clone();
            let mut value = Value::Unset;
            for _ in 0..=(*wanted).min(count.saturating_sub(1)) {
                value = reader.value()?;
            }
            match value {
                Value::Bytes(part) if *wanted < count => match plan.key_indexes.as_slice() {
                    [_] => self.scratch.extend_from_slice(part),
                    _ => write_composite(part, &mut self.scratch),
                },
                _ => return Ok(Arrival::Unrouted),
            }
        }
        Ok(self.shared.arrival_of(plan, &self.scratch, self.node, self.shard))
    }

    fn canned_batch(&mut self, stream: i16, body: &[u8]) -> Result<bool, CqlError> {
        let shared = Rc::clone(&self.shared);
        let mut reader = Reader::new(body);
        let (_, count) = batch_head(&mut reader)?;
        if count == 0 || reader.byte("the kind of a statement")? != 1 {
            return Ok(false);
        }
        let id = reader.short_bytes("the statement's id")?;
        let Some(statement) = self.statement(id) else { return Ok(false) };
        let plan = shared.current_plan(&statement)?;
        if plan.placement.is_none() || !matches!(plan.action, Action::Modify(_)) {
            return Ok(false);
        }
        let values = reader.short("the values")?;
        let arrival = self.arrival_by_walk(&plan, values, &mut reader)?;
        let at = begin(&mut self.out, self.version, stream, opcode::RESULT);
        write_outcome(&Outcome::Void, Metadata::Full, self.dialect(), &mut self.out);
        end(&mut self.out, at);
        self.compress(at);
        if let Some(shard) = shared.counters.shard(self.node, self.shard) {
            shard.arrived(arrival);
        }
        Ok(true)
    }

    /// Keeps the reply that stands at `at` in the output.
    pub(super) fn keep_canned(
        &mut self,
        statement: &Statement,
        plan: &Rc<Plan>,
        params: &Params<'_>,
        outcome: &Outcome,
        at: usize,
    ) {
        let is_kept = match outcome {
            Outcome::Void => matches!(&plan.action, Action::Modify(_)),
            Outcome::Rows(rows) => {
                matches!(&plan.action, Action::Select(_))
                    && (rows.row_count > 0 || params.page.state.is_some())
            }
            _ => false,
        };
        let is_told = matches!(params.metadata, Metadata::Changed(_));
        if !is_kept || is_told || plan.placement.is_none() {
            return;
        }
        let form = Form {
            version: self.version,
            skips_metadata: params.metadata == Metadata::Skipped,
            compression: self.algorithm,
            page_size: params.page.size,
        };
        let reply = self.out.get(at..).unwrap_or_default().to_vec();
        let mut replies = statement.canned.inner.borrow_mut();
        replies.plan = Some((self.shared.epoch.get(), Rc::clone(plan)));
        match params.page.state {
            None if replies.first.len() < FORMS_MAX => replies.first.push((form, reply)),
            Some(state) if replies.pages.len() < PAGES_MAX => {
                page_key(form, state, &mut self.scratch);
                replies.pages.insert(self.scratch.clone(), reply);
            }
            _ => {}
        }
    }
}
