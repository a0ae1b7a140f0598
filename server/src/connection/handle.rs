//! Handles requests that are not on the fast path: everything but canned EXECUTE and BATCH.

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::extras::Extras;
use super::fault::due_in;
use super::{Asked, Connection, Events, Flow, Stage, TURN_TIME};
use crate::error::{CqlError, code};
use crate::persona::Persona;
use crate::routing::Sharding;
use crate::schema::catalog::PARTITIONER;
use crate::state::{EVENTS_MAX, EventKinds};
use crate::users::AUTHENTICATOR;
use crate::wire::compression::Algorithm;
use crate::wire::frame::{FLAG_CUSTOM_PAYLOAD, FLAG_USE_BETA, Header, begin, end, opcode};
use crate::wire::read::Reader;
use crate::wire::segment::Coding;
use crate::wire::version::{Version, beta_error};
use crate::wire::write::Writer;

type Result<T> = std::result::Result<T, CqlError>;

impl Connection {
    /// Handles one request and appends its reply to the output.
    ///
    /// Statements run to their end, and a client may have sent thousands of them: between two,
    /// others have their turn if it has been long.
    pub(super) fn handle(&mut self, header: Header, body: &[u8]) -> Flow {
        let begun = *self.turn.get_or_insert_with(Instant::now);
        let trace = self.begin_trace(header);
        let flow = self.answer_or_refuse(header, body);
        if let Some(trace) = trace {
            // Of a table that is always there; if not, there is no trace to be found.
            let _ = self.end_trace(&trace, header, body);
        }
        self.extras = Extras::default();
        if flow == Flow::Continue && begun.elapsed() >= TURN_TIME { Flow::Turn } else { flow }
    }

    fn answer_or_refuse(&mut self, header: Header, body: &[u8]) -> Flow {
        match self.answer(header, body) {
            Ok(flow) => flow,
            Err(error) => {
                let at = self.out.len();
                let error =
                    if self.asked.rate_limit_error { error } else { error.without_extensions() };
                self.reply_error(header.stream, &error);
                if let Some(delay) = error.delay {
                    let reply = self.out.split_off(at);
                    self.delayed.push(due_in(delay), reply);
                }
                // Before STARTUP a client may still be finding out what the node speaks.
                let closes = error.is_fatal && self.stage != Stage::New;
                if closes { Flow::Close } else { self.delayed.flow() }
            }
        }
    }

    fn answer(&mut self, header: Header, body: &[u8]) -> Result<Flow> {
        let Header { flags, stream, opcode, .. } = header;
        let name = opcode::name(opcode);
        let name = name
            .ok_or_else(|| CqlError::protocol(format!("Unknown or unexpected opcode {opcode}")))?;
        if stream < 0 {
            return Err(CqlError::protocol("negative stream id in a request"));
        }
        if self.version == Version::V6Beta && flags & FLAG_USE_BETA == 0 {
            return Err(beta_error());
        }
        let mut reader = Reader::new(body);
        if flags & FLAG_CUSTOM_PAYLOAD != 0 {
            skip_payload(&mut reader)?;
        }
        match (opcode, self.stage) {
            (opcode::OPTIONS, _) => {
                self.options(stream);
                return Ok(Flow::Continue);
            }
            (opcode::STARTUP, Stage::New) => return self.startup(stream, &mut reader),
            (_, Stage::New) => {
                return Err(CqlError::protocol(format!("Unexpected {name}, expecting STARTUP")));
            }
            (opcode::AUTH_RESPONSE, Stage::Authenticating) => {
                self.log_in(stream, &mut reader)?;
                return Ok(Flow::Continue);
            }
            (_, Stage::Authenticating) => {
                let message = format!("Unexpected message {name}, expecting AUTH_RESPONSE");
                return Err(CqlError::protocol(message));
            }
            (_, Stage::Ready) => self.renew_pass(),
        }
        // As long as nothing that is written may be; earlier versions look at what is written.
        let max = self.shared.limits.max_mutation_size;
        if self.version.is_5() && body.len() > max {
            let len = body.len();
            return Err(CqlError::invalid(format!(
                "CQL Message of size {len} bytes exceeds allowed maximum of {max} bytes"
            )));
        }
        match opcode {
            opcode::REGISTER => self.register(stream, &mut reader)?,
            opcode::QUERY => self.query(stream, &mut reader)?,
            opcode::PREPARE => self.prepare(stream, &mut reader)?,
            opcode::EXECUTE => self.execute(stream, &mut reader)?,
            opcode::BATCH => self.batch(stream, &mut reader)?,
            _ => return Err(CqlError::protocol(format!("Unexpected message {name}"))),
        }
        Ok(Flow::Continue)
    }

    /// Appends a reply whose body `write` appends.
    pub(super) fn reply(&mut self, stream: i16, opcode: u8, write: impl FnOnce(&mut Vec<u8>)) {
        let at = begin(&mut self.out, self.version, stream, opcode);
        if self.extras.flags != 0 {
            self.extras.write(&mut self.out);
            if let Some(flags) = self.out.get_mut(at + 1) {
                *flags |= self.extras.flags;
            }
        }
        write(&mut self.out);
        end(&mut self.out, at);
        self.compress(at);
    }

    /// Compresses the reply at `at` if STARTUP asked for it.
    pub(super) fn compress(&mut self, at: usize) {
        if let Some(algorithm) = self.algorithm {
            let mut compressor = self.shared.memory.compressor.borrow_mut();
            compressor.compress(algorithm, &mut self.out, at);
        }
    }

    pub(super) fn reply_error(&mut self, stream: i16, error: &CqlError) {
        let version = self.version;
        self.reply(stream, opcode::ERROR, |out| error.write(version, out));
    }

    fn options(&mut self, stream: i16) {
        let cql_version = self.shared.persona.cql_version().to_owned();
        // In the order of each. The key COMPRESSION must be there even if its list is empty.
        let known = match self.shared.persona {
            Persona::Scylla => [Algorithm::Lz4, Algorithm::Snappy],
            Persona::Cassandra => [Algorithm::Snappy, Algorithm::Lz4],
        };
        let known = known.map(|algorithm| algorithm.name().to_owned());
        let compression = if self.shared.compression { known.to_vec() } else { Vec::new() };
        let mut keys = vec![("COMPRESSION", compression), ("CQL_VERSION", vec![cql_version])];
        match self.shared.persona {
            Persona::Scylla => self.add_extensions(&mut keys),
            Persona::Cassandra => {
                let versions = ["3/v3", "4/v4", "5/v5", "6/v6-beta"].map(str::to_owned);
                keys.push(("PROTOCOL_VERSIONS", versions.to_vec()));
            }
        }
        self.reply(stream, opcode::SUPPORTED, |out| {
            let mut out = Writer::new(out);
            out.short_len(keys.len());
            for (key, values) in &keys {
                out.string(key);
                out.short_len(values.len());
                values.iter().for_each(|value| out.string(value));
            }
        });
    }

    /// ScyllaDB's protocol extensions.
    fn add_extensions(&self, keys: &mut Vec<(&'static str, Vec<String>)>) {
        let Sharding { nr_shards, ignore_msb } = self.shared.sharding;
        let lwt_mark = "LWT_OPTIMIZATION_META_BIT_MASK=2147483648".to_owned();
        let mut add = |key, value| keys.push((key, vec![value]));
        if let Some(node) = self.shared.nodes.get(self.node) {
            add("SCYLLA_HOST_ID", uuid::Uuid::from_bytes(node.host_id).to_string());
        }
        add("SCYLLA_LWT_ADD_METADATA_MARK", lwt_mark);
        add("SCYLLA_NR_SHARDS", nr_shards.to_string());
        add("SCYLLA_PARTITIONER", PARTITIONER.to_owned());
        add("SCYLLA_RATE_LIMIT_ERROR", format!("ERROR_CODE={}", code::RATE_LIMIT));
        add("SCYLLA_SHARD", self.shard.to_string());
        add("SCYLLA_SHARDING_ALGORITHM", "biased-token-round-robin".to_owned());
        add("SCYLLA_SHARDING_IGNORE_MSB", ignore_msb.to_string());
        if let Some(port) = self.shared.shard_aware_port {
            let is_tls = self.shared.tls.is_some();
            let key =
                if is_tls { "SCYLLA_SHARD_AWARE_PORT_SSL" } else { "SCYLLA_SHARD_AWARE_PORT" };
            add(key, port.to_string());
        }
        add("SCYLLA_USE_METADATA_ID", String::new());
        add("TABLETS_ROUTING_V1", String::new());
    }

    fn startup(&mut self, stream: i16, reader: &mut Reader<'_>) -> Result<Flow> {
        let options = reader.string_map("the STARTUP options")?;
        let option =
            |name: &str| options.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        if option("CQL_VERSION").is_none() {
            return Err(CqlError::protocol("Missing value CQL_VERSION in STARTUP message"));
        }
        let compression = option("COMPRESSION").unwrap_or_default();
        let algorithm = match Algorithm::from_name(compression) {
            Some(Algorithm::Snappy) if self.version.is_5() => {
                let what = "Snappy compression is not supported in protocol V5";
                return Err(CqlError::protocol(what));
            }
            Some(algorithm) if self.shared.compression => Some(algorithm),
            None if compression.is_empty() => None,
            _ => {
                let message = format!("Unknown compression algorithm: {compression}");
                return Err(CqlError::protocol(message));
            }
        };
        if self.shared.persona == Persona::Scylla {
            self.asked = Asked {
                tablets: option("TABLETS_ROUTING_V1").is_some(),
                // Version 3 has no place for them.
                metadata_ids: self.version != Version::V3
                    && option("SCYLLA_USE_METADATA_ID").is_some(),
                rate_limit_error: option("SCYLLA_RATE_LIMIT_ERROR").is_some(),
            };
        }
        if self.shared.roles.is_required() {
            self.stage = Stage::Authenticating;
            self.reply(stream, opcode::AUTHENTICATE, |out| {
                Writer::new(out).string(AUTHENTICATOR);
            });
        } else {
            self.become_ready();
            self.reply(stream, opcode::READY, |_| {});
        }
        // This reply itself goes out plain; everything after it may be compressed.
        if self.version.is_5() {
            self.coding = if algorithm.is_some() { Coding::Lz4 } else { Coding::Plain };
            return Ok(Flow::Segments);
        }
        self.algorithm = algorithm;
        Ok(Flow::Continue)
    }

    fn become_ready(&mut self) {
        self.stage = Stage::Ready;
        self.guest.is_ready.set(true);
        self.body_len_max = self.shared.body_len_max;
        self.renew_pass();
    }

    /// Roles may have changed since the last request that was really executed.
    fn renew_pass(&mut self) {
        let roles = &self.shared.roles;
        let is_free = || self.role.as_ref().is_none_or(|role| roles.is_superuser(role));
        self.pass = is_free().then(|| roles.generation());
    }

    /// A client that fails may try again.
    fn log_in(&mut self, stream: i16, reader: &mut Reader<'_>) -> Result<()> {
        let token = reader.bytes("the credentials")?;
        self.role = Some(self.shared.roles.log_in(token, self.shared.persona)?);
        self.become_ready();
        self.reply(stream, opcode::AUTH_SUCCESS, |out| Writer::new(out).bytes(None));
        Ok(())
    }

    fn register(&mut self, stream: i16, reader: &mut Reader<'_>) -> Result<()> {
        let mut kinds = EventKinds::default();
        for kind in reader.string_list("the event types")? {
            match kind {
                "TOPOLOGY_CHANGE" => kinds.topology = true,
                "STATUS_CHANGE" => kinds.status = true,
                "SCHEMA_CHANGE" => kinds.schema = true,
                other => return Err(CqlError::protocol(format!("Invalid event type {other}"))),
            }
        }
        let events = self.events.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(EVENTS_MAX);
            Events { sender, receiver }
        });
        if let Some(state) = self.shared.node_states.get(self.node) {
            let listener = (kinds, events.sender.clone());
            state.listeners.borrow_mut().insert(self.guest.number, listener);
        }
        self.reply(stream, opcode::READY, |_| {});
        Ok(())
    }
}

/// A custom payload is legal on requests and means nothing to this node.
pub(super) fn skip_payload(reader: &mut Reader<'_>) -> Result<()> {
    let what = "the custom payload";
    for _ in 0..reader.short(what)? {
        reader.string(what)?;
        reader.bytes(what)?;
    }
    Ok(())
}
