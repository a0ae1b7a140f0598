//! One client's connection: reads as much as is there, handles every frame found, writes all
//! replies at once. In protocol v5 frames are called envelopes and travel in segments.
//!
//! Nothing is read while replies cannot be written, so a client that does not read its replies
//! holds up itself and nobody else, and the output buffer stays bounded. A connection that waits
//! has no buffers but for what it must keep, see `memory.rs`.

pub(crate) mod canned;
mod direct;
mod execute;
mod extras;
mod fault;
pub(crate) mod guests;
mod handle;
mod input;
pub(crate) mod memory;
mod params;

use std::future::poll_fn;
use std::io;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::error::CqlError;
use crate::persona::Persona;
use crate::routing::NodeIndex;
use crate::state::{EventFrame, Shared};
use crate::wire::compression::Algorithm;
use crate::wire::frame::{HANDSHAKE_LEN_MAX, HEADER_LEN, Header, Split, set_version, split};
use crate::wire::segment::{
    Coding, Envelope, SegmentReader, SegmentWriter, Taken, changed_version,
};
use crate::wire::version::{Dialect, Negotiated, Version, greatest, negotiate};
use extras::Extras;
use fault::{Delayed, Stall};
use guests::Guest;
use input::Input;

/// Length of an input buffer when no frame is longer, in bytes.
const INPUT_LEN: usize = 128 * 1024;
/// Replies are written out when they are this long, even if more requests wait, in bytes.
const OUTPUT_LEN: usize = 256 * 1024;
/// How long requests of one connection are executed before others have their turn.
const TURN_TIME: Duration = Duration::from_millis(5);
/// How long a client has to read the error that closes its connection.
pub(crate) const CLOSE_WAIT: Duration = Duration::from_millis(500);
/// Bytes of a refused client that are read and thrown away, so that it sees the error.
const CLOSE_BYTES_MAX: usize = 1024 * 1024;

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flow {
    Continue,
    /// Let others have their turn, then go on.
    Turn,
    /// Write what has gathered; read and handle nothing before delayed replies are sent.
    Full,
    /// Write what has gathered, then go on with segments.
    Segments,
    /// Write what has gathered, then do nothing for a while.
    Stall,
    /// Write what has gathered, then close.
    Close,
}

impl Flow {
    /// Why handling stops; all but `Continue` make it.
    fn stop(self) -> Stop {
        match self {
            Self::Continue | Self::Turn => Stop::Turn,
            Self::Full => Stop::Full,
            Self::Segments => Stop::Segments,
            Self::Stall => Stop::Stall,
            Self::Close => Stop::Close,
        }
    }
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// It has still to send STARTUP.
    New,
    /// It has still to log in.
    Authenticating,
    Ready,
}

/// Why handling stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    /// The input has no whole frame left; this many bytes are needed for one.
    Input(usize),
    /// The output is long enough to be written.
    Output,
    /// Others have their turn.
    Turn,
    /// There are too many delayed replies.
    Full,
    /// The output ends with the last frame; segments follow, both ways.
    Segments,
    /// A fault holds everything up.
    Stall,
    Close,
}

/// Segments both ways.
#[derive(Debug)]
struct Segments {
    reader: SegmentReader,
    writer: SegmentWriter,
    /// STARTUP's reply, which travels as a plain frame, is written.
    is_sending: bool,
}

impl Segments {
    fn new(coding: Coding, is_sending: bool) -> Self {
        let (reader, writer) = (SegmentReader::new(coding), SegmentWriter::new(coding));
        Self { reader, writer, is_sending }
    }
}

/// Extensions of ScyllaDB that STARTUP has asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Asked {
    tablets: bool,
    /// Ids of result metadata, as v5 has them.
    metadata_ids: bool,
    rate_limit_error: bool,
}

/// State of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Rc<Shared>,
    node: NodeIndex,
    shard: u16,
    guest: Rc<Guest>,
    version: Version,
    asked: Asked,
    stage: Stage,
    /// The role that has logged in; none where nobody has to.
    role: Option<String>,
    /// Lets requests take a fast path as long as roles are as they were when it was given.
    pass: Option<NonZeroU64>,
    /// Longest body of a request: shorter until the client is ready.
    body_len_max: usize,
    /// Of the segments that STARTUP has agreed on.
    coding: Coding,
    keyspace: Option<String>,
    /// How bodies are compressed, if STARTUP asked for it.
    algorithm: Option<Algorithm>,
    /// Events, if the client has registered for any, and where they come from.
    events: Option<Events>,
    /// Replies to be written; empty between writes.
    out: Vec<u8>,
    delayed: Delayed,
    stall: Option<Box<Stall>>,
    /// What the next reply begins with.
    extras: Extras,
    /// Reused for composite partition keys and keys of canned pages.
    scratch: Vec<u8>,
    /// Those that went the short way.
    requests: u32,
    /// Since when requests are executed without others having had their turn.
    turn: Option<Instant>,
}

/// Where events come from.
#[derive(Debug)]
struct Events {
    sender: mpsc::Sender<EventFrame>,
    receiver: mpsc::Receiver<EventFrame>,
}

/// Counts the connection as closed when its task ends or is aborted.
impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.counters.connection_closed(self.node, self.shard);
        if let (Some(_), Some(state)) = (&self.events, self.shared.node_states.get(self.node)) {
            state.listeners.borrow_mut().remove(&self.guest.number);
        }
    }
}

impl Connection {
    pub(crate) fn new(shared: Rc<Shared>, node: NodeIndex, shard: u16, guest: Rc<Guest>) -> Self {
        shared.counters.connection_opened(node, shard);
        let version = greatest(shared.persona);
        let body_len_max = shared.body_len_max.min(HANDSHAKE_LEN_MAX);
        Self {
            shared,
            node,
            shard,
            guest,
            version,
            asked: Asked::default(),
            stage: Stage::New,
            role: None,
            pass: None,
            body_len_max,
            coding: Coding::Plain,
            keyspace: None,
            algorithm: None,
            events: None,
            out: Vec::new(),
            delayed: Delayed::default(),
            stall: None,
            extras: Extras::default(),
            scratch: Vec::new(),
            requests: 0,
            turn: None,
        }
    }

    /// Whether PREPARED and EXECUTE carry the id of the result's columns.
    #[inline]
    fn has_metadata_ids(&self) -> bool {
        self.version.is_5() || self.asked.metadata_ids
    }

    fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Serves the client until it or the node ends the connection.
    pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        mut stream: S,
    ) -> io::Result<()> {
        let mut input = Input::default();
        // Allocates: once per connection of v5.
        let mut segments: Option<Box<Segments>> = None;
        loop {
            if self.out.capacity() == 0 {
                self.out = self.shared.memory.take_output();
            }
            let stop = match (self.stall.take(), &mut segments) {
                (Some(stall), _) => self.sit_out(*stall).await,
                _ if self.delayed.is_full() => Stop::Full,
                (None, None) => self.handle_input(&mut input),
                (None, Some(segments)) => self.handle_segments(&mut input, &mut segments.reader),
            };
            if stop == Stop::Turn {
                self.turn = None;
                tokio::task::yield_now().await;
                continue;
            }
            let has_written = !self.out.is_empty();
            if has_written {
                self.write(&mut stream, &mut segments, input.held_len()).await?;
            }
            match stop {
                Stop::Output | Stop::Stall | Stop::Turn => {}
                Stop::Segments => {
                    segments = Some(Box::new(Segments::new(self.coding, has_written)));
                }
                Stop::Input(frame_len) => {
                    input.make_room(frame_len);
                    if self.wait(&mut stream, &mut input, &mut segments).await? == Flow::Close {
                        return Ok(());
                    }
                }
                Stop::Full => {
                    self.wait(&mut stream, &mut input, &mut segments).await?;
                }
                Stop::Close => {
                    stream.shutdown().await?;
                    let _ = tokio::time::timeout(CLOSE_WAIT, drain(&mut stream)).await;
                    return Ok(());
                }
            }
        }
    }

    /// Waits until a fault is over; then there is its reply.
    async fn sit_out(&mut self, stall: Stall) -> Stop {
        tokio::time::sleep_until(stall.until).await;
        self.out.extend_from_slice(&stall.reply);
        match stall.then {
            Flow::Continue | Flow::Turn | Flow::Stall => Stop::Output,
            flow => flow.stop(),
        }
    }

    /// Writes the replies that have gathered.
    async fn write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        segments: &mut Option<Box<Segments>>,
        input_len: usize,
    ) -> io::Result<()> {
        let waiting_len = input_len + self.delayed.len() + self.out.capacity();
        match segments {
            Some(segments) if segments.is_sending => {
                let writer = &mut segments.writer;
                writer.equip(self.shared.memory.take_output());
                let mut replies = &self.out[..];
                while !replies.is_empty() {
                    let compressor = &self.shared.memory.compressor;
                    let bytes = writer.wrap(&mut replies, &mut compressor.borrow_mut());
                    self.write_all(stream, bytes, waiting_len + bytes.len()).await?;
                }
                self.shared.memory.give_output(writer.give_back());
            }
            segments => {
                self.write_all(stream, &self.out, waiting_len).await?;
                // A fault may have kept STARTUP's reply until now.
                segments.iter_mut().for_each(|segments| segments.is_sending = true);
            }
        }
        // TLS may have kept some of it.
        stream.flush().await?;
        self.shared.release(&self.guest);
        self.out.clear();
        Ok(())
    }

    /// Writes all of `bytes`; while the client does not take them, `waiting_len` bytes are held for
    /// it.
    async fn write_all<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        mut bytes: &[u8],
        waiting_len: usize,
    ) -> io::Result<()> {
        poll_fn(|context| {
            while !bytes.is_empty() {
                match Pin::new(&mut *stream).poll_write(context, bytes) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(len)) => bytes = bytes.get(len..).unwrap_or_default(),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        self.shared.hold(&self.guest, waiting_len);
                        return Poll::Pending;
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Waits for bytes from the client, an event, or a delayed reply that is due.
    async fn wait<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        input: &mut Input,
        segments: &mut Option<Box<Segments>>,
    ) -> io::Result<Flow> {
        let memory = &self.shared.memory;
        // What one long request or reply has taken is not kept, nor what others can use meanwhile.
        memory.give_output(std::mem::take(&mut self.out));
        memory.shrink();
        let mut waiting_len = self.delayed.len();
        if let Some(segments) = segments {
            segments.reader.give_back().into_iter().for_each(|buffer| memory.give_output(buffer));
            waiting_len += segments.reader.held_len();
        }
        if self.events.is_none() && self.delayed.is_empty() {
            let Self { shared, guest, turn, .. } = self;
            let len = poll_fn(|context| {
                let read = input.poll_read(context, stream, &shared.memory);
                if read.is_pending() {
                    *turn = None;
                    shared.hold(guest, waiting_len + input.held_len());
                }
                read
            });
            return Ok(if len.await? == 0 { Flow::Close } else { Flow::Continue });
        }
        self.wait_for_any(stream, input, waiting_len).await
    }

    /// [`Self::wait`] where there is more than the client to wait for.
    async fn wait_for_any<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        input: &mut Input,
        waiting_len: usize,
    ) -> io::Result<Flow> {
        let Self { shared, guest, turn, events, delayed, out, version, .. } = self;
        *turn = None;
        let due = delayed.next_due().unwrap_or_else(|| Instant::now() + CLOSE_WAIT);
        let read = poll_fn(|context| {
            let read = input.poll_read(context, stream, &shared.memory);
            if read.is_pending() {
                shared.hold(guest, waiting_len + input.held_len());
            }
            read
        });
        tokio::select! {
            len = read, if !delayed.is_full() => {
                return Ok(if len? == 0 { Flow::Close } else { Flow::Continue });
            }
            Some(frame) = next_event(events) => {
                let at = out.len();
                out.extend_from_slice(&frame);
                set_version(out, at, *version);
            }
            () = tokio::time::sleep_until(due), if !delayed.is_empty() => {
                delayed.take_due(Instant::now(), out);
            }
        }
        Ok(Flow::Continue)
    }

    fn handle_input(&mut self, input: &mut Input) -> Stop {
        let Input { buffer, start, filled, .. } = input;
        loop {
            if self.out.len() >= OUTPUT_LEN {
                return Stop::Output;
            }
            let bytes = buffer.get(*start..*filled).unwrap_or_default();
            match split(bytes, self.version, self.body_len_max) {
                Split::Frame { header, body, rest } => {
                    *start = *filled - rest.len();
                    match self.handle_frame(header, body) {
                        Flow::Continue => {}
                        flow => return flow.stop(),
                    }
                }
                Split::Partial { frame_len } => return Stop::Input(frame_len),
                Split::OtherVersion { byte, flags, stream } => {
                    if let Some(stop) = self.change_version(byte, flags, stream) {
                        return stop;
                    }
                }
                Split::Refused { stream, error } => {
                    self.reply_error(stream, &error);
                    return Stop::Close;
                }
            }
        }
    }

    /// Takes up the version of a client that is new; says why to stop otherwise.
    #[cold]
    fn change_version(&mut self, byte: u8, flags: Option<u8>, stream: i16) -> Option<Stop> {
        if self.stage != Stage::New {
            self.reply_error(stream, &changed_version(self.version, byte));
            return Some(Stop::Close);
        }
        match negotiate(self.shared.persona, byte, flags) {
            Negotiated::Version(version) => {
                self.version = version;
                None
            }
            Negotiated::Partial => Some(Stop::Input(HEADER_LEN)),
            Negotiated::Refused(version, error) => {
                self.version = version;
                // ScyllaDB has read no more than the version.
                let is_scylla = self.shared.persona == Persona::Scylla;
                self.reply_error(if is_scylla { 0 } else { stream }, &error);
                Some(Stop::Close)
            }
        }
    }

    /// What [`Self::handle_input`] does, with envelopes in segments.
    fn handle_segments(&mut self, input: &mut Input, reader: &mut SegmentReader) -> Stop {
        if !reader.is_equipped() {
            reader.equip(self.shared.memory.take_output());
        }
        let Input { buffer, start, filled, .. } = input;
        loop {
            if self.out.len() >= OUTPUT_LEN {
                return Stop::Output;
            }
            match reader.envelope(self.version, self.body_len_max) {
                Envelope::Whole(header, body) => match self.dispatch(header, body) {
                    Flow::Continue | Flow::Segments => continue,
                    flow => return flow.stop(),
                },
                Envelope::None => {}
                Envelope::Refused(stream, error) => {
                    self.reply_error(stream, &error);
                    return Stop::Close;
                }
            }
            match reader.take(buffer.get(*start..*filled).unwrap_or_default()) {
                Ok(Taken::Segment(len)) => *start += len,
                Ok(Taken::Partial(segment_len)) => return Stop::Input(segment_len),
                Err(error) => {
                    self.reply_error(0, &error);
                    return Stop::Close;
                }
            }
        }
    }

    #[inline]
    fn handle_frame(&mut self, header: Header, body: &[u8]) -> Flow {
        use crate::wire::frame::FLAG_COMPRESSION;
        if header.flags & FLAG_COMPRESSION == 0 {
            return self.dispatch(header, body);
        }
        let Some(algorithm) = self.algorithm else {
            let error = CqlError::protocol("compressed frame without negotiated compression");
            self.reply_error(header.stream, &error);
            return Flow::Close;
        };
        let shared = Rc::clone(&self.shared);
        let mut decompressor = shared.memory.decompressor.borrow_mut();
        match decompressor.decompress(algorithm, body, self.body_len_max) {
            Ok(body) => self.dispatch(header, body),
            Err(error) => {
                self.reply_error(header.stream, &error);
                Flow::Close
            }
        }
    }

    #[inline]
    fn dialect(&self) -> Dialect {
        Dialect { persona: self.shared.persona, version: self.version }
    }

    /// Whether a request may be answered without another look at who asks, and at its header.
    #[inline]
    fn has_pass(&self, header: Header) -> bool {
        // Nobody has a pass before the log-in, and without being a superuser. Compression is the
        // only flag that changes nothing here: the body is plain by now.
        self.pass == Some(self.shared.roles.generation())
            && header.flags & !1 == 0
            && header.stream >= 0
    }

    #[inline]
    fn dispatch(&mut self, header: Header, body: &[u8]) -> Flow {
        if self.shared.faults.is_active() {
            return self.handle_with_faults(header, body);
        }
        if self.has_pass(header) {
            if self.try_canned(header, body) {
                return Flow::Continue;
            }
            if let Some(flow) = self.try_direct(header, body) {
                return flow;
            }
        }
        self.handle(header, body)
    }
}

/// The next event that the client has registered for.
async fn next_event(events: &mut Option<Events>) -> Option<EventFrame> {
    match events {
        Some(events) => events.receiver.recv().await,
        None => std::future::pending().await,
    }
}

/// Reads what a refused client still sends. Closing with unread bytes would reset the connection
/// and could take the error message with it.
pub(crate) async fn drain<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut left = CLOSE_BYTES_MAX;
    poll_fn(|context| {
        // Here, not in the future, which each connection has one of.
        let mut buffer = [0; 4096];
        while left > 0 {
            let mut buffer = ReadBuf::new(&mut buffer);
            match ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    left = left.saturating_sub(buffer.filled().len());
                }
                _ => break,
            }
        }
        Poll::Ready(())
    })
    .await;
}
