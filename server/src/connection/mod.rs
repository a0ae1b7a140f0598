//! One client's connection: reads as much as is there, handles every frame found, writes all
//! replies at once. In protocol v5 frames are called envelopes and travel in segments.
//!
//! Nothing is read while replies cannot be written, so a client that does not read its replies
//! holds up itself and nobody else, and the output buffer stays bounded.

pub(crate) mod canned;
mod execute;
mod extras;
mod fault;
mod handle;
mod params;

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::error::CqlError;
use crate::persona::Persona;
use crate::routing::NodeIndex;
use crate::state::{EVENTS_MAX, EventFrame, EventKinds, Shared};
use crate::wire::compression::{Algorithm, Compressor, Decompressor};
use crate::wire::frame::{HANDSHAKE_LEN_MAX, HEADER_LEN, Header, Split, set_version, split};
use crate::wire::segment::{
    Coding, Envelope, SegmentReader, SegmentWriter, Taken, changed_version,
};
use crate::wire::version::{Dialect, Negotiated, Version, greatest, negotiate};
use extras::Extras;
use fault::{Delayed, Stall};

/// Length of the input buffer when no frame is longer, in bytes.
const INPUT_LEN: usize = 128 * 1024;
/// Replies are written out when they are this long, even if more requests wait, in bytes.
const OUTPUT_LEN: usize = 256 * 1024;
/// How long a client has to read the error that closes its connection.
pub(crate) const CLOSE_WAIT: Duration = Duration::from_millis(500);
/// Bytes of a refused client that are read and thrown away, so that it sees the error.
const CLOSE_BYTES_MAX: usize = 1024 * 1024;

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flow {
    Continue,
    /// Write what has gathered, then go on with segments.
    Segments,
    /// Write what has gathered, then do nothing for a while.
    Stall,
    /// Write what has gathered, then close.
    Close,
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
    client: IpAddr,
    version: Version,
    asked: Asked,
    stage: Stage,
    /// The role that has logged in; none where nobody has to.
    role: Option<String>,
    /// Lets requests take the fast path as long as roles are as they were when it was given.
    pass: Option<NonZeroU64>,
    /// Longest body of a request: shorter until the client is ready.
    body_len_max: usize,
    /// Of the segments that STARTUP has agreed on.
    coding: Coding,
    keyspace: Option<String>,
    compressor: Option<Compressor>,
    /// Events that the client has registered for, and where they come from.
    kinds: EventKinds,
    events: mpsc::Receiver<EventFrame>,
    events_sender: mpsc::Sender<EventFrame>,
    /// Replies to be written; empty between writes.
    out: Vec<u8>,
    delayed: Delayed,
    stall: Option<Box<Stall>>,
    /// What the next reply begins with.
    extras: Extras,
    /// Reused for composite partition keys and keys of canned pages.
    scratch: Vec<u8>,
}

/// Counts the connection as closed when its task ends or is aborted.
impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.counters.connection_closed(self.node, self.shard);
    }
}

impl Connection {
    pub(crate) fn new(shared: Rc<Shared>, node: NodeIndex, shard: u16, client: IpAddr) -> Self {
        shared.counters.connection_opened(node, shard);
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let version = greatest(shared.persona);
        let body_len_max = shared.body_len_max.min(HANDSHAKE_LEN_MAX);
        Self {
            shared,
            node,
            shard,
            client,
            version,
            asked: Asked::default(),
            stage: Stage::New,
            role: None,
            pass: None,
            body_len_max,
            coding: Coding::Plain,
            keyspace: None,
            compressor: None,
            kinds: EventKinds::default(),
            events,
            events_sender: sender,
            out: Vec::with_capacity(INPUT_LEN),
            delayed: Delayed::default(),
            stall: None,
            extras: Extras::default(),
            scratch: Vec::new(),
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
    ) -> std::io::Result<()> {
        let mut input = Input::default();
        let mut decompressor = Decompressor::default();
        // Allocates: once per connection of v5.
        let mut segments: Option<Box<Segments>> = None;
        loop {
            let stop = match (self.stall.take(), &mut segments) {
                (Some(stall), _) => self.sit_out(*stall).await,
                (None, None) => self.handle_input(&mut input, &mut decompressor),
                (None, Some(segments)) => self.handle_segments(&mut input, &mut segments.reader),
            };
            if !self.out.is_empty() {
                match &mut segments {
                    Some(segments) if segments.is_sending => {
                        write_segments(&mut stream, &mut segments.writer, &self.out).await?;
                    }
                    segments => {
                        stream.write_all(&self.out).await?;
                        // A fault may have kept STARTUP's reply until now.
                        segments.iter_mut().for_each(|segments| segments.is_sending = true);
                    }
                }
            }
            let has_written = !self.out.is_empty();
            if has_written {
                // TLS may have kept some of it.
                stream.flush().await?;
            }
            self.out.clear();
            self.out.shrink_to(2 * OUTPUT_LEN);
            match stop {
                Stop::Output | Stop::Stall => {}
                Stop::Segments => {
                    segments = Some(Box::new(Segments::new(self.coding, has_written)));
                }
                Stop::Input(frame_len) => {
                    input.make_room(frame_len);
                    // What one long request or reply has taken is not kept while nothing is asked.
                    decompressor.shrink();
                    self.compressor.iter_mut().for_each(Compressor::shrink);
                    segments.iter_mut().for_each(|segments| segments.reader.shrink());
                    if self.wait(&mut stream, &mut input).await? == Flow::Close {
                        return Ok(());
                    }
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
            Flow::Continue | Flow::Stall => Stop::Output,
            Flow::Segments => Stop::Segments,
            Flow::Close => Stop::Close,
        }
    }

    /// Waits for bytes from the client, an event, or a delayed reply that is due.
    async fn wait<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        input: &mut Input,
    ) -> std::io::Result<Flow> {
        if self.kinds == EventKinds::default() && self.delayed.is_empty() {
            let len = stream.read(input.spare()).await?;
            input.filled += len;
            return Ok(if len == 0 { Flow::Close } else { Flow::Continue });
        }
        let due = self.delayed.next_due().unwrap_or_else(|| Instant::now() + CLOSE_WAIT);
        tokio::select! {
            read = stream.read(input.spare()), if !self.delayed.is_full() => {
                let len = read?;
                input.filled += len;
                if len == 0 {
                    return Ok(Flow::Close);
                }
            }
            Some(frame) = self.events.recv() => {
                let at = self.out.len();
                self.out.extend_from_slice(&frame);
                set_version(&mut self.out, at, self.version);
            }
            () = tokio::time::sleep_until(due), if !self.delayed.is_empty() => {
                self.delayed.take_due(Instant::now(), &mut self.out);
            }
        }
        Ok(Flow::Continue)
    }

    fn handle_input(&mut self, input: &mut Input, decompressor: &mut Decompressor) -> Stop {
        let Input { buffer, start, filled } = input;
        loop {
            if self.out.len() >= OUTPUT_LEN {
                return Stop::Output;
            }
            let bytes = buffer.get(*start..*filled).unwrap_or_default();
            match split(bytes, self.version, self.body_len_max) {
                Split::Frame { header, body, rest } => {
                    *start = *filled - rest.len();
                    match self.handle_frame(header, body, decompressor) {
                        Flow::Continue => {}
                        Flow::Segments => return Stop::Segments,
                        Flow::Stall => return Stop::Stall,
                        Flow::Close => return Stop::Close,
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
        let Input { buffer, start, filled } = input;
        loop {
            if self.out.len() >= OUTPUT_LEN {
                return Stop::Output;
            }
            match reader.envelope(self.version, self.body_len_max) {
                Envelope::Whole(header, body) => match self.dispatch(header, body) {
                    Flow::Continue | Flow::Segments => continue,
                    Flow::Stall => return Stop::Stall,
                    Flow::Close => return Stop::Close,
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
    fn handle_frame(
        &mut self,
        header: Header,
        body: &[u8],
        decompressor: &mut Decompressor,
    ) -> Flow {
        use crate::wire::frame::FLAG_COMPRESSION;
        if header.flags & FLAG_COMPRESSION == 0 {
            return self.dispatch(header, body);
        }
        let Some(algorithm) = self.algorithm() else {
            let error = CqlError::protocol("compressed frame without negotiated compression");
            self.reply_error(header.stream, &error);
            return Flow::Close;
        };
        match decompressor.decompress(algorithm, body, self.body_len_max) {
            Ok(body) => self.dispatch(header, body),
            Err(error) => {
                self.reply_error(header.stream, &error);
                Flow::Close
            }
        }
    }

    /// How bodies are compressed, if STARTUP asked for it.
    #[inline]
    fn algorithm(&self) -> Option<Algorithm> {
        self.compressor.as_ref().map(Compressor::algorithm)
    }

    #[inline]
    fn dialect(&self) -> Dialect {
        Dialect { persona: self.shared.persona, version: self.version }
    }

    #[inline]
    fn dispatch(&mut self, header: Header, body: &[u8]) -> Flow {
        if self.shared.faults.is_active() {
            return self.handle_with_faults(header, body);
        }
        if self.try_canned(header, body) {
            return Flow::Continue;
        }
        self.handle(header, body)
    }
}

/// Received bytes; `start <= filled <= buffer.len()`, what lies between is not handled yet. No
/// `Debug`: passwords are among them.
struct Input {
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
}

impl Default for Input {
    fn default() -> Self {
        Self { buffer: vec![0; INPUT_LEN], start: 0, filled: 0 }
    }
}

impl Input {
    fn spare(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// Makes room to read more of a frame of `frame_len` bytes.
    ///
    /// The buffer grows only when it is full of bytes that have really arrived, and at most to
    /// twice its length: an announced length costs the client as many bytes as it costs the node.
    fn make_room(&mut self, frame_len: usize) {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        if self.filled == self.buffer.len() {
            let len = frame_len.min(self.buffer.len() * 2);
            self.buffer.resize(len.max(INPUT_LEN), 0);
        } else if self.filled == 0 && self.buffer.len() > INPUT_LEN {
            self.buffer.truncate(INPUT_LEN);
            self.buffer.shrink_to_fit();
        }
    }
}

/// Writes replies in segments.
async fn write_segments<S: AsyncWrite + Unpin>(
    stream: &mut S,
    writer: &mut SegmentWriter,
    mut replies: &[u8],
) -> std::io::Result<()> {
    while !replies.is_empty() {
        stream.write_all(writer.wrap(&mut replies)).await?;
    }
    writer.shrink();
    Ok(())
}

/// Reads what a refused client still sends. Closing with unread bytes would reset the connection
/// and could take the error message with it.
pub(crate) async fn drain<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut buffer = [0; 4096];
    let mut left = CLOSE_BYTES_MAX;
    while let Ok(len) = stream.read(&mut buffer).await {
        left = left.saturating_sub(len);
        if len == 0 || left == 0 {
            return;
        }
    }
}
