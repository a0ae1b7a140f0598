//! No driver at all: what the sockets, the kernel and the harness cost by themselves.
//!
//! One thread, one socket per shard of the first node, frames encoded beforehand of which only
//! stream, key and values are patched, replies parsed just far enough to read every column.
//! With several shards each request goes to the socket of the shard that owns its key, looked
//! up in a table made at the start; with several nodes only the first is talked to. There is no
//! asynchronous runtime, no compression, no retry and no cancellation: nobody could use it, and
//! no driver can be cheaper. Read in the order `connect.rs`, `frames.rs`, `engine.rs`.

mod connect;
mod engine;
mod frames;

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use self::{
    connect::connect,
    engine::{Engine, Plan, Slot},
    frames::Frames,
};
use super::Failure;
use crate::{
    fold::{Answer, Fold},
    job::{Compression, Event, Job, Mode, Outcome},
    measure::{Counting, Go, Instrument, Latencies, Reading, Tally, announce, announce_measuring},
    pacer::{Schedule, TICK},
    traffic::{pages_per_unit, rows_expected},
    workload::{BATCH_ROWS, Workload},
};

/// Does `job`.
///
/// # Errors
///
/// When the job cannot be done at all; failed requests are counted in the outcome instead.
pub fn run(job: &Job, instrument: Instrument) -> Result<Outcome, Failure> {
    if job.compression != Compression::None {
        bail!("the floor client has no compression");
    }
    ensure!(job.concurrency <= 32_768, "a connection has 32,768 stream ids");
    let mut node = connect(job)?;
    let frames = Frames::prepare(&mut node)?;
    announce(&Event::Connected);
    let mut engine = Engine::new(job, node, frames);
    match &job.mode {
        Mode::Timed { warm_up_seconds, seconds, rate } => {
            let warm_up = Duration::try_from_secs_f64(*warm_up_seconds)?;
            let length = Duration::try_from_secs_f64(*seconds)?;
            let mut timed = Timed::new(job, warm_up, length);
            if let Some(rate) = *rate {
                ensure!(rate > 0.0 && rate.is_finite(), "the rate must be positive, not {rate}");
                timed.pace = Some(Pace { schedule: Schedule::new(Instant::now(), rate), next: 0 });
                // `poll` sleeps up to this much longer than it is asked to.
                #[cfg(target_os = "linux")]
                rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
            }
            engine.drive(&mut timed)?;
            timed.finish()
        }
        Mode::Count { warm_up_requests, requests, heap_profile } => {
            let counting =
                Counting::new(*warm_up_requests, *requests, heap_profile.clone(), instrument)?;
            let mut counted =
                Counted { job, counting, completed: 0, go: Go::On, tally: Tally::default() };
            engine.drive(&mut counted)?;
            counted.counting.finish(counted.tally, settings())
        }
        Mode::Check { requests } => check(job, &mut engine, *requests),
    }
}

/// The version of the protocol of its frames.
pub const PROTOCOL_VERSION: u8 = 4;

/// What the report says about it.
fn settings() -> String {
    "no driver: one thread, one blocking socket per shard of the first node, pre-encoded frames, \
     requests routed by a table; no asynchronous runtime, compression, retries or cancellation"
        .to_owned()
}

fn check(job: &Job, engine: &mut Engine<'_>, requests: u64) -> Result<Outcome, Failure> {
    announce_measuring();
    let from = Reading::now();
    let units = requests / u64::from(pages_per_unit(job.workload));
    let mut sweep = Sweep { job, units, rows: None, tally: Tally::default() };
    engine.drive(&mut sweep)?;
    let rows_written = match job.workload {
        Workload::Insert => Some(1),
        Workload::Batch10 => Some(BATCH_ROWS),
        _ => None,
    };
    if rows_written.is_some() {
        sweep.units = units.min(job.keys);
        sweep.rows = rows_written;
        engine.read_back();
        engine.drive(&mut sweep)?;
    }
    Ok(sweep.tally.into_outcome(from, Reading::now(), settings()))
}

/// Counts an answer, or why there is none.
#[inline]
fn judge(tally: &mut Tally, due: u32, answer: Result<Answer, Failure>) {
    tally.requests += 1;
    match answer {
        Ok(answer) if answer.rows == due => {
            tally.rows += u64::from(answer.rows);
            tally.sum = tally.sum.wrapping_add(answer.sum);
        }
        Ok(answer) => {
            tally.fail(|| format!("a reply had {} rows where {due} were due", answer.rows));
        }
        Err(error) => tally.fail(|| format!("{error:#}")),
    }
}

/// A stretch of time, closed loop or paced.
struct Timed<'job> {
    job: &'job Job,
    measured_at: Instant,
    over_at: Instant,
    from: Option<Reading>,
    to: Option<Reading>,
    latencies: Latencies,
    tally: Tally,
    pace: Option<Pace>,
    now: Instant,
}

struct Pace {
    schedule: Schedule,
    next: u64,
}

impl<'job> Timed<'job> {
    fn new(job: &'job Job, warm_up: Duration, length: Duration) -> Self {
        let now = Instant::now();
        Self {
            job,
            measured_at: now + warm_up,
            over_at: now + warm_up + length,
            from: None,
            to: None,
            latencies: Latencies::default(),
            tally: Tally::default(),
            pace: None,
            now,
        }
    }

    fn finish(self) -> Result<Outcome, Failure> {
        let (Some(from), Some(to)) = (self.from, self.to) else {
            bail!("no request completed within the measured stretch");
        };
        let mut outcome = self.tally.into_outcome(from, to, settings());
        outcome.latency_us = Some(self.latencies.quantiles());
        Ok(outcome)
    }

    #[cold]
    fn turn(&mut self) {
        if self.from.is_none() {
            announce_measuring();
            self.latencies.clear();
            self.from = Some(Reading::now());
        } else if self.to.is_none() && self.now >= self.over_at {
            self.to = Some(Reading::now());
        }
    }
}

impl Plan for Timed<'_> {
    fn wake_every(&self) -> Option<Duration> {
        self.pace.as_ref().map(|_| TICK)
    }

    #[inline]
    fn wakes(&mut self) {
        self.now = Instant::now();
        if self.now >= self.measured_at && (self.from.is_none() || self.now >= self.over_at) {
            self.turn();
        }
    }

    #[inline]
    fn starts(&mut self, slot: &mut Slot) -> bool {
        if self.to.is_some() {
            return false;
        }
        if let Some(pace) = &mut self.pace {
            let due = pace.schedule.due_at(pace.next);
            if due > self.now {
                return false;
            }
            pace.next += 1;
            slot.started = due;
        } else {
            slot.started = self.now;
        }
        true
    }

    fn fold(&self, key: i64) -> Fold {
        Fold::ends(key)
    }

    #[inline]
    fn completes(&mut self, slot: &mut Slot, answer: Result<Answer, Failure>) {
        let now = Instant::now();
        self.now = now;
        self.latencies.record(now.saturating_duration_since(slot.started));
        if self.from.is_some() && self.to.is_none() {
            judge(&mut self.tally, rows_expected(self.job.workload, slot.step.unit), answer);
        }
    }

    fn is_over(&self) -> bool {
        self.to.is_some()
    }
}

/// A number of requests, whose heap traffic is counted.
struct Counted<'job> {
    job: &'job Job,
    counting: Counting,
    completed: u64,
    go: Go,
    tally: Tally,
}

impl Plan for Counted<'_> {
    #[inline]
    fn starts(&mut self, _: &mut Slot) -> bool {
        self.go == Go::On
    }

    fn fold(&self, key: i64) -> Fold {
        Fold::ends(key)
    }

    #[inline]
    fn completes(&mut self, slot: &mut Slot, answer: Result<Answer, Failure>) {
        self.completed += 1;
        if self.counting.is_counted(self.completed) {
            judge(&mut self.tally, rows_expected(self.job.workload, slot.step.unit), answer);
        }
        if self.go == Go::On {
            self.go = self.counting.completed(self.completed);
        }
    }

    fn is_over(&self) -> bool {
        self.go == Go::Over
    }
}

/// Every unit once, every byte of the replies summed.
struct Sweep<'job> {
    job: &'job Job,
    units: u64,
    rows: Option<u32>,
    tally: Tally,
}

impl Plan for Sweep<'_> {
    fn starts(&mut self, slot: &mut Slot) -> bool {
        slot.next_unit() < self.units
    }

    fn fold(&self, key: i64) -> Fold {
        Fold::whole(key)
    }

    fn completes(&mut self, slot: &mut Slot, answer: Result<Answer, Failure>) {
        let due = self.rows.unwrap_or_else(|| rows_expected(self.job.workload, slot.step.unit));
        judge(&mut self.tally, due, answer);
    }

    /// It ends when no slot starts another request.
    fn is_over(&self) -> bool {
        true
    }
}
