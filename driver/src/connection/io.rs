//! The I/O task: one per group of connections, owning their sockets, their writing and deadlines.
//!
//! `poll` is the table of contents: commands, reading, writing, time. It never waits for a lock
//! longer than one submitter's encoding or single write, and its work per turn is bounded, so that
//! the tasks it wakes get their turn and give their receive chunks back.
//! What arrives is taken apart in `complete.rs`.
//!
//! Step 9 of 14 in `docs/REQUEST.md`. Next: `protocol/src/deframer.rs`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use shardwire_protocol::header::Version;
use shardwire_sync::{ChunkPool, Receiver};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

use super::group::{Command, Group, Side, SocketWaker, bits};
use super::handshake::Established;
use super::opening::Opening;
use super::segments::Segments;
use super::silence::{Due, Silence};
use super::writer::Flushed;
use super::{Conn, Framing, Reply, State};
use crate::clock::{self, TICK};
use crate::error::Lost;
use crate::pool::{EventSink, NodePool};
use crate::runtime::{Alarm, Instant};
use crate::settings::Limits;

/// Reads from one socket before the task lets others run: with 64 KiB chunks, 512 KiB.
const READS_PER_TURN: usize = 8;
/// Waiters called when a flush has made room; each that finds room calls one more.
const CALLED_PER_FLUSH: usize = 64;

pub(crate) struct IoTask {
    group: Arc<Group>,
    pool: Arc<NodePool>,
    /// Index in the pool of the group's first connection.
    first: usize,
    sockets: Vec<Option<Socket>>,
    pub(super) memory: Memory,
    limits: Limits,
    events: Arc<dyn EventSink>,
    alarm: Alarm,
    alarm_at: Instant,
    /// Ticks in a row with nothing pending; 2 ends the ticking.
    idle_ticks: u32,
    /// Connections whose flush was put off by one turn, so that more can gather.
    held: u64,
    /// In ticks; `None` for ever.
    silence_max: Option<u32>,
}

/// Receive memory of one I/O task.
pub(super) struct Memory {
    pub(super) chunks: ChunkPool,
    /// Where compressed bodies are inflated to.
    pub(super) inflate: Receiver,
    pub(super) pinned_len_max: usize,
}

/// The reading side of one connection's socket.
pub(super) struct Socket {
    pub(super) half: OwnedReadHalf,
    pub(super) receiver: Receiver,
    /// Bytes of a body that is being dropped unread.
    pub(super) discard: usize,
    /// Whether bodies may be compressed.
    pub(super) compressed: bool,
    /// What frames are wrapped in; from version 5 on.
    pub(super) segments: Option<Box<Segments>>,
    /// What opens TLS's records.
    opening: Option<Box<Opening>>,
    silence: Silence,
    read_waker: Waker,
    write_waker: Waker,
}

impl IoTask {
    pub(crate) fn new(
        group: Arc<Group>,
        pool: Arc<NodePool>,
        first: usize,
        len: usize,
        limits: &Limits,
        events: Arc<dyn EventSink>,
    ) -> IoTask {
        let mut chunks = ChunkPool::new(limits.chunk_len, limits.chunks_retained);
        let inflate = Receiver::new(&mut chunks);
        IoTask {
            group,
            pool,
            first,
            sockets: std::iter::repeat_with(|| None).take(len).collect(),
            memory: Memory { chunks, inflate, pinned_len_max: limits.pinned_len_max },
            limits: limits.clone(),
            events,
            alarm: Alarm::new(),
            alarm_at: Instant::now(),
            idle_ticks: 2,
            held: 0,
            silence_max: limits.silence_max.map(clock::ticks),
        }
    }

    fn conn(&self, index: u32) -> Option<&Conn> {
        self.pool.conns.get(self.first + index as usize)
    }

    fn run_commands(&mut self) {
        for command in self.group.take_commands() {
            match command {
                Command::Install { index, socket } => self.install(index, *socket),
                Command::Close { index, lost } => self.close(index, lost),
            }
        }
    }

    fn install(&mut self, index: u32, socket: Established) {
        self.close(index, Lost::ClosedByDriver); // a socket that is still there, should there be one
        let waker = |side| {
            Waker::from(Arc::new(SocketWaker {
                group: Arc::clone(&self.group),
                bit: 1 << index,
                side,
            }))
        };
        let (read_waker, write_waker) = (waker(Side::Read), waker(Side::Write));
        let (read, write) = socket.stream.into_split();
        let receiver = Receiver::new(&mut self.memory.chunks);
        let (opening, sealer) = socket.secured.map(Opening::new).unzip();
        let Some(place) = self.sockets.get_mut(index as usize) else { return };
        *place = Some(Socket {
            half: read,
            receiver,
            discard: 0,
            compressed: matches!(socket.framing, Framing::Frames { compressed: true }),
            segments: match socket.framing {
                Framing::Frames { .. } => None,
                Framing::Segments(format) => {
                    Some(Box::new(Segments::new(format, self.limits.response_len_max)))
                }
            },
            opening: opening.map(Box::new),
            silence: Silence::default(),
            read_waker: read_waker.clone(),
            write_waker,
        });
        let Some(conn) = self.conn(index) else { return };
        conn.lock_writer().install(write, socket.framing, sealer);
        conn.outbox.reopen();
        conn.quiet.store(true, Ordering::Relaxed);
        conn.set_state(State::Open);
        conn.waiting.notify(CALLED_PER_FLUSH);
        read_waker.wake(); // look at the socket once, which registers it with the runtime
        self.events.opened(&self.pool, self.first + index as usize);
    }

    /// Closes a socket and answers everything that is on it.
    fn close(&mut self, index: u32, lost: Lost) {
        let Some(socket) = self.sockets.get_mut(index as usize).and_then(Option::take) else {
            return;
        };
        drop(socket);
        let Some(conn) = self.conn(index) else { return };
        // In this order: no new submissions, nothing more is written, then all are answered.
        conn.set_state(State::Closed);
        conn.outbox.close();
        let shared = Arc::new(lost);
        conn.lock_writer().abandon(conn, || Reply::Unsent(Arc::clone(&shared)));
        conn.slots.fail_all(|| Reply::Lost(Arc::clone(&shared)));
        conn.waiting.notify(usize::MAX);
        tracing::debug!(peer = %conn.peer, %lost, "connection closed");
        self.events.closed(&self.pool, self.first + index as usize, lost);
    }

    fn read_all(&mut self) {
        for index in bits(self.group.take_readable()) {
            if let Err(lost) = self.read(index) {
                self.close(index, lost);
            }
        }
    }

    fn read(&mut self, index: u32) -> Result<(), Lost> {
        let Some(Some(socket)) = self.sockets.get_mut(index as usize) else { return Ok(()) };
        let Some(conn) = self.pool.conns.get(self.first + index as usize) else { return Ok(()) };
        let waker = socket.read_waker.clone();
        let cx = &mut Context::from_waker(&waker);
        let (memory, events) = (&mut self.memory, &*self.events);
        let mut completed = 0;
        let mut reads = 0;
        loop {
            let mut buf = ReadBuf::new(match &mut socket.opening {
                None => socket.receiver.spare(&mut memory.chunks),
                Some(opening) => opening.spare(),
            });
            match Pin::new(&mut socket.half).poll_read(cx, &mut buf) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => {
                    let len = buf.filled().len();
                    if len == 0 {
                        return Err(Lost::ClosedByPeer);
                    }
                    if socket.silence.hear() {
                        conn.is_heard_again();
                    }
                    if socket.opening.is_some() {
                        completed += socket.open(len, conn, memory, &self.limits, events)?;
                    } else {
                        socket.receiver.advance(len);
                        completed += socket.deliver(conn, memory, &self.limits, events)?;
                    }
                }
                Poll::Ready(Err(e)) => return Err(Lost::Io(e.kind())),
            }
            reads += 1;
            if reads == READS_PER_TURN {
                waker.wake_by_ref(); // the rest in the next turn
                break;
            }
        }
        conn.quiet.store(completed <= 1, Ordering::Relaxed);
        if completed > 0 {
            conn.replies.fetch_add(completed, Ordering::Relaxed);
        }
        socket.receiver.rest(&mut memory.chunks);
        Ok(())
    }

    fn write_all(&mut self, cx: &mut Context<'_>) {
        let dirty = self.group.take_dirty();
        let mut now = self.group.take_writable();
        if self.held != 0 || dirty == 0 {
            now |= self.held | dirty;
            self.held = 0;
        } else {
            // One turn more, so that requests which are about to come share the system call.
            self.held = dirty;
            cx.waker().wake_by_ref();
        }
        for index in bits(now) {
            self.flush(index);
        }
    }

    fn flush(&mut self, index: u32) {
        let Some(Some(socket)) = self.sockets.get(index as usize) else { return };
        let Some(conn) = self.pool.conns.get(self.first + index as usize) else { return };
        let cx = &mut Context::from_waker(&socket.write_waker);
        let flushed = conn.lock_writer().poll_flush(conn, cx);
        if !conn.waiting.is_empty() {
            conn.waiting.notify(CALLED_PER_FLUSH);
        }
        if let Flushed::Lost(lost) = flushed {
            self.close(index, lost);
        }
    }

    /// Expires what is due, once per tick, as long as anything is pending.
    fn tick(&mut self, now: Instant, cx: &mut Context<'_>) {
        if self.group.take_tick_wanted() {
            self.idle_ticks = 0;
            if !self.group.is_ticking() {
                self.start_ticking(cx);
            }
        }
        if self.idle_ticks >= 2 || now < self.alarm_at || self.alarm.poll(cx).is_pending() {
            return;
        }
        self.expire();
        match self.idle_ticks {
            0 if !self.group.is_ticking() => {
                self.group.set_ticking(true);
                self.group.clock.keep();
            }
            // Who submits from here on asks for ticks; who did so a moment ago is seen next tick.
            1 => {
                self.group.set_ticking(false);
                self.group.clock.release();
            }
            _ => {}
        }
        if self.idle_ticks < 2 {
            self.set_alarm(cx);
        }
    }

    fn start_ticking(&mut self, cx: &mut Context<'_>) {
        self.group.set_ticking(true);
        self.group.clock.keep();
        self.set_alarm(cx);
    }

    fn set_alarm(&mut self, cx: &mut Context<'_>) {
        self.alarm_at = Instant::now() + TICK;
        self.alarm.set(self.alarm_at);
        if self.alarm.poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn expire(&mut self) {
        let now = self.group.clock.coarse();
        let mut pending = false;
        let mut replace = 0u64;
        let mut is_in_doubt = false;
        let conns = self.pool.conns.get(self.first..).unwrap_or_default();
        for (index, (socket, conn)) in self.sockets.iter_mut().zip(conns).enumerate() {
            if conn.slots.in_use() > 0 {
                pending = true;
                conn.slots.expire(now);
                if let (Some(socket), Some(max)) = (socket, self.silence_max) {
                    is_in_doubt |= socket.listen(conn, now, max);
                }
                if conn.slots.orphans() > self.limits.orphans_max {
                    replace |= 1 << index;
                }
            }
            if !conn.waiting.is_empty() {
                pending = true;
                conn.waiting.expire(now);
            }
        }
        if is_in_doubt {
            self.ask_all(now);
        }
        for index in bits(replace) {
            self.close(index, Lost::TooManyOrphans);
        }
        self.idle_ticks = if pending { 0 } else { self.idle_ticks + 1 };
    }

    /// One connection does not answer: what about the others of the node?
    #[cold]
    fn ask_all(&mut self, now: u32) {
        let conns = self.pool.conns.get(self.first..).unwrap_or_default();
        for (socket, conn) in self.sockets.iter_mut().zip(conns) {
            if let Some(socket) = socket
                && socket.silence.doubt(now)
            {
                conn.ask(socket.version());
            }
        }
    }

    fn shut_down(&mut self) {
        for index in bits(u64::MAX).take(self.sockets.len()) {
            self.close(index, Lost::ClosedByDriver);
        }
        for command in self.group.take_commands() {
            drop(command); // a socket that came too late
        }
        if self.group.is_ticking() {
            self.group.set_ticking(false);
            self.group.clock.release();
        }
    }
}

impl Socket {
    /// Notes whether the node answers; whether it is to be asked.
    fn listen(&mut self, conn: &Conn, now: u32, silence_max: u32) -> bool {
        let is_awaited = conn.slots.in_use() > conn.slots.orphans();
        let due = self.silence.look(now, is_awaited, silence_max);
        if due == Due::Avoid {
            conn.is_silent_now();
        }
        due == Due::Ask
    }

    /// Of requests.
    fn version(&self) -> Version {
        if self.segments.is_some() { Version::V5 } else { Version::V4 }
    }

    /// Opens what has arrived, the last `len` bytes of it just now, and takes out all whole frames;
    /// returns how many requests they completed.
    fn open(
        &mut self,
        len: usize,
        conn: &Conn,
        memory: &mut Memory,
        limits: &Limits,
        events: &dyn EventSink,
    ) -> Result<u32, Lost> {
        let mut completed = 0;
        let mut arrived = len;
        while let Some(opening) = &mut self.opening {
            opening.advance(std::mem::take(&mut arrived));
            if !opening.open(&mut self.receiver, &mut memory.chunks)? {
                break;
            }
            completed += self.deliver(conn, memory, limits, events)?;
        }
        Ok(completed)
    }
}

impl Future for IoTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.group.set_waker(cx.waker());
        if this.group.is_shut_down() {
            this.shut_down();
            return Poll::Ready(());
        }
        this.run_commands();
        if this.group.take_trim_wanted() {
            this.memory.chunks.trim();
        }
        let now = Instant::now();
        this.group.clock.advance(now);
        this.read_all();
        this.write_all(cx);
        this.tick(now, cx);
        Poll::Pending
    }
}

impl Drop for IoTask {
    /// Also when the runtime is torn down under the session: nobody waits for ever.
    fn drop(&mut self) {
        self.shut_down();
    }
}
