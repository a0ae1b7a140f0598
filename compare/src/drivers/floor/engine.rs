//! Keeps a number of requests in flight on a node's sockets, from one thread.
//!
//! A turn starts what may start, writes each socket once, waits, and reads each ready socket
//! once. With a single socket and no pacing it waits in the read itself. Next: `../../run.rs`.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    connect::Node,
    frames::{Frames, HEADER_LEN, parse},
};
use crate::{
    drivers::Failure,
    fold::{Answer, Fold},
    job::Job,
    traffic::{Step, Steps, key_of},
    workload::{Action, Select, Workload},
};

/// Decides when requests start and what becomes of their answers.
pub(super) trait Plan {
    /// Wake the engine so often though no reply came.
    fn wake_every(&self) -> Option<Duration> {
        None
    }

    /// A turn begins.
    fn wakes(&mut self) {}

    /// Whether the idle `slot` makes its next request now.
    fn starts(&mut self, slot: &mut Slot) -> bool;

    /// How replies are read.
    fn fold(&self, key: i64) -> Fold;

    /// A request was answered.
    fn completes(&mut self, slot: &mut Slot, answer: Result<Answer, Failure>);

    /// Whether the engine may end once nothing is in flight.
    fn is_over(&self) -> bool;
}

/// A request in flight, or the place for one; its index is the stream id.
pub(super) struct Slot {
    pub(super) step: Step,
    pub(super) started: Instant,
    steps: Steps,
    key: i64,
    cursor: Vec<u8>,
}

impl Slot {
    /// The unit its next request belongs to.
    pub(super) fn next_unit(&self) -> u64 {
        self.steps.clone().advance().unit
    }
}

pub(super) struct Engine<'job> {
    job: &'job Job,
    frames: Frames,
    sockets: Vec<TcpStream>,
    routes: Vec<u16>,
    buffers: Vec<Buffers>,
    slots: Vec<Slot>,
    idle: Vec<u16>,
    in_flight: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Phase {
    Workload,
    ReadBack,
}

/// Bytes of a socket. Invariant: `parsed <= filled <= incoming.len()`.
struct Buffers {
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    parsed: usize,
    filled: usize,
}

impl<'job> Engine<'job> {
    pub(super) fn new(job: &'job Job, node: Node, frames: Frames) -> Self {
        let Node { sockets, routes } = node;
        let buffers = sockets.iter().map(|_| Buffers::new()).collect();
        let mut engine = Self {
            job,
            frames,
            sockets,
            routes,
            buffers,
            slots: Vec::new(),
            idle: Vec::new(),
            in_flight: 0,
            phase: Phase::Workload,
        };
        engine.rewind();
        engine
    }

    /// From now on reads what the workload wrote, from the first unit on.
    pub(super) fn read_back(&mut self) {
        self.phase = Phase::ReadBack;
        self.rewind();
    }

    fn rewind(&mut self) {
        let started = Instant::now();
        let slot = |index| {
            let steps = Steps::new(self.job, u64::from(index));
            Slot {
                step: Step { unit: 0, page: 0 },
                started,
                steps,
                key: 0,
                cursor: Vec::with_capacity(256),
            }
        };
        self.slots = (0..self.job.concurrency).map(slot).collect();
        self.idle = (0..self.job.concurrency as u16).rev().collect();
    }

    /// Runs until `plan` is over and everything is answered.
    pub(super) fn drive(&mut self, plan: &mut impl Plan) -> Result<(), Failure> {
        let sockets: Vec<_> = self
            .sockets
            .iter()
            .map(TcpStream::try_clone)
            .collect::<Result<_, _>>()
            .context("cannot duplicate a socket")?;
        let mut polled: Vec<_> =
            sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        let mut still_idle = Vec::with_capacity(self.slots.len());
        let wake_every = plan
            .wake_every()
            .map(|duration| Timespec { tv_sec: 0, tv_nsec: duration.subsec_nanos().into() });
        loop {
            plan.wakes();
            self.start(plan, &mut still_idle);
            for (socket, buffers) in sockets.iter().zip(&mut self.buffers) {
                buffers.flush(socket)?;
            }
            if self.in_flight == 0 && plan.is_over() {
                return Ok(());
            }
            if let ([socket], None) = (sockets.as_slice(), &wake_every) {
                self.receive(plan, socket, 0)?;
                continue;
            }
            poll(&mut polled, wake_every.as_ref())?;
            for index in 0..polled.len() {
                if !polled[index].revents().is_empty() {
                    self.receive(plan, &sockets[index], index)?;
                }
            }
        }
    }

    fn start(&mut self, plan: &mut impl Plan, still_idle: &mut Vec<u16>) {
        while let Some(index) = self.idle.pop() {
            let slot = &mut self.slots[usize::from(index)];
            if !plan.starts(slot) {
                still_idle.push(index);
                // In a paced run the others are not due either.
                if plan.wake_every().is_some() {
                    break;
                }
                continue;
            }
            slot.step = slot.steps.advance();
            slot.key = key_of(self.job, slot.step.unit);
            let link = if self.routes.is_empty() {
                0
            } else {
                let key_index = (slot.step.unit % self.job.keys) as usize;
                usize::from(self.routes[key_index])
            };
            let out = &mut self.buffers[link].outgoing;
            let action = match (self.phase, self.job.workload) {
                (Phase::ReadBack, Workload::Batch10) => {
                    self.frames.select_grouped.write(index, slot.key, out);
                    self.in_flight += 1;
                    continue;
                }
                (Phase::ReadBack, _) => Action::Select(Select::One),
                (Phase::Workload, workload) => workload.action(slot.step.unit),
            };
            match action {
                Action::Insert => self.frames.insert.write(index, slot.key, out),
                Action::Select(select) => self.frames.select(select).write(index, slot.key, out),
                Action::Batch => self.frames.batch.write(index, slot.key, out),
                Action::Page if slot.step.page == 0 || slot.cursor.is_empty() => {
                    self.frames.first_page.write(index, slot.key, out);
                }
                Action::Page => {
                    let state = slot.cursor.as_slice();
                    self.frames.next_page.write_with_state(index, slot.key, state, out);
                }
            }
            self.in_flight += 1;
        }
        self.idle.append(still_idle);
    }

    fn receive(
        &mut self,
        plan: &mut impl Plan,
        socket: &TcpStream,
        link: usize,
    ) -> Result<(), Failure> {
        let Buffers { incoming, parsed, filled, .. } = &mut self.buffers[link];
        let read = { socket }.read(&mut incoming[*filled..])?;
        if read == 0 {
            bail!("the node closed the connection");
        }
        *filled += read;
        while let Some((header, rest)) =
            incoming[*parsed..*filled].split_first_chunk::<HEADER_LEN>()
        {
            let len = u32::from_be_bytes([header[5], header[6], header[7], header[8]]) as usize;
            let Some(body) = rest.get(..len) else {
                if HEADER_LEN + len > incoming.len() {
                    incoming.resize((HEADER_LEN + len).next_power_of_two(), 0);
                }
                break;
            };
            *parsed += HEADER_LEN + len;
            let stream = u16::from_be_bytes([header[2], header[3]]);
            let Some(slot) = self.slots.get_mut(usize::from(stream)) else {
                bail!("a reply on stream {stream}, which was never used");
            };
            let fold = plan.fold(slot.key);
            let answer = parse(header[4], header[1], body, fold, &mut slot.cursor);
            plan.completes(slot, answer);
            self.in_flight -= 1;
            self.idle.push(stream);
        }
        incoming.copy_within(*parsed..*filled, 0);
        *filled -= *parsed;
        *parsed = 0;
        Ok(())
    }
}

impl Buffers {
    fn new() -> Self {
        Self {
            outgoing: Vec::with_capacity(INITIAL_LEN),
            incoming: vec![0; INITIAL_LEN],
            parsed: 0,
            filled: 0,
        }
    }

    #[inline]
    fn flush(&mut self, mut socket: &TcpStream) -> Result<(), Failure> {
        if !self.outgoing.is_empty() {
            socket.write_all(&self.outgoing)?;
            self.outgoing.clear();
        }
        Ok(())
    }
}

/// Room for a few hundred of the smaller frames; grows when a frame is larger.
const INITIAL_LEN: usize = 256 << 10;
