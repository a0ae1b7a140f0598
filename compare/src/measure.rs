//! Readings taken at the two ends of a measured stretch, and latencies within it.
//!
//! Nothing here allocates once every thread has recorded its first latency. Next: `pacer.rs`.

use std::{
    cell::OnceCell,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::bail;
use hdrhistogram::Histogram;
use shardwire_meter::{AllocationCounts, cpu_time, dhat};

use crate::job::{Event, Heap, MEASURING_LINE, Outcome, Quantiles};

/// How the client binary was built; decides what a counting run can tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Instrument {
    /// The system allocator, untouched: for timed and checking runs.
    Plain,
    /// The counting allocator.
    Counting,
    /// dhat's allocator, which keeps a profile.
    Dhat,
}

/// Clocks and counters at one end of a measured stretch.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    at: Instant,
    cpu: Duration,
    heap: AllocationCounts,
}

impl Reading {
    /// Reads them all.
    pub fn now() -> Self {
        Self { at: Instant::now(), cpu: cpu_time(), heap: shardwire_meter::counts() }
    }
}

/// Sums of what one task saw in the measured stretch.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests completed.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// What the first of them said.
    pub first_error: Option<String>,
    /// Rows read.
    pub rows: u64,
    /// Sum over the replies.
    pub sum: u64,
}

impl Tally {
    /// Adds what another task saw.
    pub fn merge(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// Counts a failed request. Allocates: once per task.
    #[cold]
    pub fn fail(&mut self, message: impl FnOnce() -> String) {
        self.errors += 1;
        if self.first_error.is_none() {
            self.first_error = Some(message());
        }
    }

    /// The outcome of a stretch between two readings.
    pub fn into_outcome(self, from: Reading, to: Reading, settings: String) -> Outcome {
        Outcome {
            settings,
            requests: self.requests,
            errors: self.errors,
            first_error: self.first_error,
            seconds: to.at.duration_since(from.at).as_secs_f64(),
            cpu_seconds: to.cpu.saturating_sub(from.cpu).as_secs_f64(),
            rows: self.rows,
            checksum: format!("{:016x}", self.sum),
            latency_us: None,
            heap: None,
            peak_rss_bytes: shardwire_meter::peak_rss_bytes(),
            protocol_version: None, // whoever knows the driver adds it
        }
    }
}

/// A counting run: which of its completed requests are counted, and the readings at both ends.
///
/// The traffic goes on across both ends: what is measured is the steady state, without the first
/// requests of a run and without its draining.
#[derive(Debug)]
pub struct Counting {
    from: u64,
    to: u64,
    heap_profile: Option<String>,
    instrument: Instrument,
    ends: Mutex<Ends>,
}

#[derive(Debug, Default)]
struct Ends {
    from: Option<Reading>,
    to: Option<Reading>,
    profiler: Option<dhat::Profiler>,
}

/// Whether a task makes another request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Go {
    /// It does.
    On,
    /// It ends.
    Over,
}

impl Counting {
    /// Counts `requests` requests after `warm_up_requests` others (at least one).
    ///
    /// # Errors
    ///
    /// When a heap profile is asked of a binary built without dhat.
    pub fn new(
        warm_up_requests: u64,
        requests: u64,
        heap_profile: Option<String>,
        instrument: Instrument,
    ) -> anyhow::Result<Self> {
        if heap_profile.is_some() && instrument != Instrument::Dhat {
            bail!("this client was not built with dhat: it cannot write a heap profile");
        }
        let from = warm_up_requests.max(1);
        Ok(Self { from, to: from + requests, heap_profile, instrument, ends: Mutex::default() })
    }

    /// Whether the `count`th completed request is one of those counted.
    #[inline]
    pub fn is_counted(&self, count: u64) -> bool {
        self.from < count && count <= self.to
    }

    /// To be called for each completed request, with how many there are by now; each number is
    /// seen once.
    #[inline]
    pub fn completed(&self, count: u64) -> Go {
        if count == self.from {
            self.begin();
        } else if count == self.to {
            self.end();
        }
        if count >= self.to { Go::Over } else { Go::On }
    }

    /// The outcome, once all tasks have ended.
    ///
    /// # Errors
    ///
    /// When the counted stretch was not completed.
    pub fn finish(&self, tally: Tally, settings: String) -> anyhow::Result<Outcome> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(from), Some(to)) = (ends.from, ends.to) else {
            bail!("the run ended before its counted stretch did");
        };
        let mut outcome = tally.into_outcome(from, to, settings);
        outcome.requests = self.to - self.from;
        if self.instrument == Instrument::Counting {
            let AllocationCounts { allocations, reallocations, frees, bytes } =
                to.heap.since(from.heap);
            outcome.heap = Some(Heap { allocations, reallocations, frees, bytes });
        }
        Ok(outcome)
    }

    #[cold]
    fn begin(&self) {
        announce_measuring();
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.heap_profile {
            ends.profiler = Some(dhat::Profiler::builder().file_name(path).build());
        }
        ends.from = Some(Reading::now());
    }

    #[cold]
    fn end(&self) {
        let to = Reading::now();
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.to = Some(to);
        // Writes the profile: what follows is not in it.
        ends.profiler = None;
    }
}

/// Latency histograms, one per thread, so that recording never waits.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Arc<Mutex<Vec<PerThread>>>);

type PerThread = Arc<Mutex<Histogram<u32>>>;

impl Latencies {
    /// Records one latency. Allocates: once per thread.
    #[inline]
    pub fn record(&self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        HISTOGRAM.with(|cell| {
            let histogram = cell.get_or_init(|| self.register());
            histogram.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(nanos);
        });
    }

    /// Empties the histograms: what they hold was recorded before the measured stretch.
    pub fn clear(&self) {
        for histogram in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            histogram.lock().unwrap_or_else(PoisonError::into_inner).reset();
        }
    }

    /// The quantiles over all threads.
    pub fn quantiles(&self) -> Quantiles {
        let mut all = new_histogram();
        for histogram in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let histogram = histogram.lock().unwrap_or_else(PoisonError::into_inner);
            // Both have the same bounds, the only condition of `add`.
            let _ = all.add(&*histogram);
        }
        let at = |quantile| all.value_at_quantile(quantile) as f64 / 1000.0;
        Quantiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: all.max() as f64 / 1000.0,
        }
    }

    #[cold]
    fn register(&self) -> PerThread {
        let histogram = Arc::new(Mutex::new(new_histogram()));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&histogram));
        histogram
    }
}

thread_local! {
    /// A process does one job, so a thread belongs to one `Latencies` only.
    static HISTOGRAM: OnceCell<PerThread> = const { OnceCell::new() };
}

/// Nanoseconds up to a minute, to three digits: 110 KB, of which a run touches a few pages.
fn new_histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are valid")
}

/// Tells the orchestrator that the measured stretch begins. Does not allocate.
pub fn announce_measuring() {
    let mut stdout = std::io::stdout().lock();
    // If nobody listens any more there is nobody to tell about it either.
    let _ = stdout.write_all(MEASURING_LINE).and_then(|()| stdout.flush());
}

/// Writes one event as a line.
pub fn announce(event: &Event) {
    let mut line = serde_json::to_vec(event).expect("events have no maps with odd keys");
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_microseconds_and_cleared_ones_are_gone() {
        let latencies = Latencies::default();
        latencies.record(Duration::from_secs(50));
        latencies.clear();
        (1..=1000).for_each(|us| latencies.record(Duration::from_micros(us)));
        let quantiles = latencies.quantiles();
        let near =
            |seen: f64, expect: f64| assert!((seen - expect).abs() <= expect / 500.0, "{seen}");
        near(quantiles.p50, 500.0);
        near(quantiles.p90, 900.0);
        near(quantiles.p99, 990.0);
        near(quantiles.p999, 999.0);
        near(quantiles.max, 1000.0);
    }

    #[test]
    fn tallies_add_up_and_keep_the_first_error() {
        let mut tally = Tally { requests: 2, rows: 3, sum: u64::MAX, ..Tally::default() };
        let mut other = Tally { requests: 5, rows: 1, sum: 2, ..Tally::default() };
        other.fail(|| "first".into());
        other.fail(|| "second".into());
        tally.merge(other);
        assert_eq!((tally.requests, tally.errors, tally.rows, tally.sum), (7, 2, 4, 1));
        assert_eq!(tally.first_error.as_deref(), Some("first"));
    }
}
