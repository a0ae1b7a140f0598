//! What clients noticed, counted while they go on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::clients::Failure;
use crate::script::Fault;

/// Requests are counted by such spans of time.
pub(crate) const SPAN: Duration = Duration::from_millis(100);

/// Spans that can be told apart: three hours.
const SPANS_MAX: usize = 108_000;

/// One thing done to one node, and what followed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Noticed {
    pub(crate) fault: Fault,
    pub(crate) node: usize,
    /// Seconds from the start of the run.
    pub(crate) at_seconds: f64,
    /// When all nodes were ready again.
    pub(crate) healed_seconds: Option<f64>,
    /// From the fault to the end of the first request that was begun after it and succeeded.
    pub(crate) first_success_ms: Option<f64>,
    /// The same for the slowest client: from then on all of them had a success.
    pub(crate) all_clients_ms: Option<f64>,
    /// Clients that had a success since.
    pub(crate) clients: u32,
    /// Requests begun since, until the next fault, that failed.
    pub(crate) failed: u64,
    #[serde(skip)]
    at: Instant,
}

/// Requests of one span.
#[derive(Debug, Default)]
struct Span {
    succeeded: AtomicU32,
    failed: AtomicU32,
}

/// The counts of one run.
#[derive(Debug)]
pub(crate) struct Tally {
    start: Instant,
    client_count: u32,
    spans: Vec<Span>,
    /// How many faults there were; so clients need no lock to know of the last one.
    fault_count: AtomicUsize,
    faults: RwLock<Vec<Noticed>>,
    slow: Mutex<Slow>,
}

/// What is rare.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Slow {
    /// Requests that failed, by kind of error.
    pub(crate) failures: BTreeMap<String, u64>,
    /// One of each kind.
    pub(crate) examples: BTreeMap<String, String>,
    /// Time that the longest request took, in milliseconds; 0 if none failed or took 100 ms.
    pub(crate) longest_ms: f64,
    /// Reads of acknowledged writes, during the run, that found nothing or something else.
    pub(crate) wrong_reads: Vec<String>,
}

impl Tally {
    /// Of a run that starts, or has started, at `start`.
    pub(crate) fn new(client_count: u32, start: Instant) -> Tally {
        Tally {
            start,
            client_count,
            spans: (0..SPANS_MAX).map(|_| Span::default()).collect(),
            fault_count: AtomicUsize::new(0),
            faults: RwLock::default(),
            slow: Mutex::default(),
        }
    }

    /// A fault happens, at an instant that is the same for all tallies. From here on successes are
    /// those after it. Returns how many faults there were.
    pub(crate) fn fault(&self, fault: Fault, node: usize, at: Instant) -> usize {
        let mut faults = self.faults.write().unwrap_or_else(PoisonError::into_inner);
        faults.push(Noticed {
            fault,
            node,
            at_seconds: (at - self.start).as_secs_f64(),
            healed_seconds: None,
            first_success_ms: None,
            all_clients_ms: None,
            clients: 0,
            failed: 0,
            at,
        });
        self.fault_count.store(faults.len(), Ordering::Release);
        faults.len()
    }

    /// All nodes are ready again.
    pub(crate) fn healed(&self) {
        let seconds = self.start.elapsed().as_secs_f64();
        let mut faults = self.faults.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = faults.last_mut() {
            last.healed_seconds = Some(seconds);
        }
    }

    /// A request begins.
    pub(crate) fn begin(&self) -> Begun {
        Begun { at: Instant::now(), fault: self.fault_count.load(Ordering::Acquire) }
    }

    /// A request ended; `last` is the number of the fault after which the client last succeeded.
    pub(crate) fn end(&self, begun: Begun, last: &mut usize, outcome: Result<(), &Failure>) {
        let took = begun.at.elapsed();
        let index = self.start.elapsed().as_millis() / SPAN.as_millis();
        let span = usize::try_from(index).ok().and_then(|index| self.spans.get(index));
        match outcome {
            Ok(()) => {
                if let Some(span) = span {
                    span.succeeded.fetch_add(1, Ordering::Relaxed);
                }
                if *last != begun.fault {
                    *last = begun.fault;
                    self.first_success(begun.fault);
                }
            }
            Err(failure) => {
                if let Some(span) = span {
                    span.failed.fetch_add(1, Ordering::Relaxed);
                }
                self.failure(begun.fault, failure);
            }
        }
        let took_ms = took.as_secs_f64() * 1e3;
        // Nearly all are short; only those that may be the longest take the lock.
        if took_ms > 100.0 || outcome.is_err() {
            let mut slow = self.slow();
            slow.longest_ms = slow.longest_ms.max(took_ms);
        }
    }

    fn first_success(&self, fault: usize) {
        let mut faults = self.faults.write().unwrap_or_else(PoisonError::into_inner);
        let Some(noticed) = fault.checked_sub(1).and_then(|index| faults.get_mut(index)) else {
            return; // before the first fault
        };
        let ms = noticed.at.elapsed().as_secs_f64() * 1e3;
        noticed.first_success_ms.get_or_insert(ms);
        noticed.clients += 1;
        if noticed.clients == self.client_count {
            noticed.all_clients_ms = Some(ms);
        }
    }

    fn failure(&self, fault: usize, failure: &Failure) {
        let mut faults = self.faults.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(noticed) = fault.checked_sub(1).and_then(|index| faults.get_mut(index)) {
            noticed.failed += 1;
        }
        drop(faults);
        let mut slow = self.slow();
        *slow.failures.entry(failure.kind.clone()).or_default() += 1;
        slow.examples.entry(failure.kind.clone()).or_insert_with(|| failure.text.clone());
    }

    /// A read found something else than was acknowledged.
    pub(crate) fn wrong_read(&self, what: String) {
        self.slow().wrong_reads.push(what);
    }

    fn slow(&self) -> std::sync::MutexGuard<'_, Slow> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn noticed(&self) -> Vec<Noticed> {
        self.faults.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn rare(&self) -> Slow {
        self.slow().clone()
    }

    /// Requests of each span so far that succeeded, and that failed.
    pub(crate) fn spans(&self) -> Vec<(u32, u32)> {
        let len = usize::try_from(self.start.elapsed().as_millis() / SPAN.as_millis());
        let counts = |span: &Span| {
            (span.succeeded.load(Ordering::Relaxed), span.failed.load(Ordering::Relaxed))
        };
        self.spans.iter().take(len.unwrap_or(SPANS_MAX)).map(counts).collect()
    }
}

/// A request that was begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    at: Instant,
    /// How many faults there had been.
    fault: usize,
}

/// Successes a second in the whole spans from one time of the run to another.
pub(crate) fn rate(spans: &[(u32, u32)], from: Duration, to: Duration) -> Option<f64> {
    let index = |count: u128| usize::try_from(count).ok();
    let first = index(from.as_millis().div_ceil(SPAN.as_millis()))?;
    let last = index(to.as_millis() / SPAN.as_millis())?;
    let spans = spans.get(first..last).filter(|spans| !spans.is_empty())?;
    let count: u64 = spans.iter().map(|(succeeded, _)| u64::from(*succeeded)).sum();
    Some(count as f64 * 1e3 / (spans.len() as f64 * SPAN.as_millis() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successes_of_requests_begun_before_a_fault_do_not_count_for_it() {
        let tally = Tally::new(2, Instant::now());
        let early = tally.begin();
        tally.fault(Fault::Kill, 1, Instant::now());
        let (mut a, mut b) = (0, 0);
        tally.end(early, &mut a, Ok(()));
        assert_eq!(tally.noticed()[0].first_success_ms, None);
        tally.end(tally.begin(), &mut a, Ok(()));
        let first = tally.noticed()[0].first_success_ms.unwrap();
        assert_eq!(tally.noticed()[0].all_clients_ms, None);
        tally.end(tally.begin(), &mut a, Ok(()));
        assert_eq!(tally.noticed()[0].clients, 1, "the other one is still to come");
        let failure = Failure { kind: "Timeout".into(), text: "late".into() };
        tally.end(tally.begin(), &mut b, Err(&failure));
        tally.end(tally.begin(), &mut b, Ok(()));
        let noticed = &tally.noticed()[0];
        assert_eq!((noticed.clients, noticed.failed), (2, 1));
        assert!(noticed.all_clients_ms.unwrap() >= first);
        assert_eq!(tally.rare().failures["Timeout"], 1);
    }

    #[test]
    fn rates_are_of_whole_spans() {
        let spans: Vec<_> = (0..100).map(|index| (if index < 50 { 10 } else { 20 }, 0)).collect();
        let rate = |from, to| rate(&spans, Duration::from_millis(from), Duration::from_millis(to));
        assert_eq!(rate(0, 5_000), Some(100.0));
        assert_eq!(rate(5_010, 9_990), Some(200.0));
        assert_eq!(rate(4_000, 6_000), Some(150.0));
        assert_eq!(rate(5_000, 5_000), None);
        assert_eq!(rate(5_000, 20_000), None, "the run was shorter");
    }
}
