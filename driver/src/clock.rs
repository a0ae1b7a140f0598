//! The session's coarse clock, in ticks.
//!
//! A request's deadline costs one load instead of a clock read and a timer: I/O tasks advance the
//! clock whenever they run, and at least once per tick while anything is pending on them. While
//! nothing is pending nobody advances it, and the first to submit reads the real clock.
//!
//! Time in which the runtime did not let any I/O task run does not count beyond
//! [`ADVANCE_MAX_TICKS`] per turn: a program that blocks its only thread for two seconds would
//! otherwise find requests expired that never had a chance to be sent.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::runtime::Instant;

/// Length of a tick. Deadlines are kept to within two ticks; where a turn of the I/O task is late,
/// those that are set before it are early by as much, up to [`ADVANCE_MAX_TICKS`].
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// What one turn of an I/O task may add to the clock: 100 ms.
const ADVANCE_MAX_TICKS: u32 = 20;

pub(crate) struct Clock {
    epoch: Instant,
    /// Coarse time: real ticks since the epoch less `skipped`. Never 0.
    coarse: AtomicU32,
    /// Ticks that did not count.
    skipped: AtomicU64,
    /// How many I/O tasks advance the clock every tick.
    keepers: AtomicU32,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock {
            epoch: Instant::now(),
            coarse: AtomicU32::new(1),
            skipped: AtomicU64::new(0),
            keepers: AtomicU32::new(0),
        }
    }

    /// The time as of the last turn of an I/O task; good while one of them keeps it.
    #[inline]
    pub(crate) fn coarse(&self) -> u32 {
        self.coarse.load(Ordering::Relaxed)
    }

    /// Reads the real clock, without moving the coarse one.
    pub(crate) fn read(&self) -> u32 {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> u32 {
        let ticks = now.saturating_duration_since(self.epoch).as_micros() / TICK.as_micros();
        let ticks = u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1);
        low32(ticks.saturating_sub(self.skipped.load(Ordering::Relaxed)))
    }

    /// Moves the coarse clock up to the real one, by [`ADVANCE_MAX_TICKS`] at most if it was kept.
    pub(crate) fn advance(&self, now: Instant) -> u32 {
        let last = self.coarse.load(Ordering::Relaxed);
        let step = self.at(now).wrapping_sub(last);
        if step == 0 || step > u32::MAX / 2 {
            return last;
        }
        let kept = self.keepers.load(Ordering::Relaxed) > 0;
        let counted = if kept { step.min(ADVANCE_MAX_TICKS) } else { step };
        let next = last.wrapping_add(counted).max(1);
        match self.coarse.compare_exchange(last, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {
                self.skipped.fetch_add(u64::from(step - counted), Ordering::Relaxed);
                next
            }
            Err(moved) => moved, // another I/O task was first
        }
    }

    /// One more I/O task advances the clock every tick.
    pub(crate) fn keep(&self) {
        self.keepers.fetch_add(1, Ordering::Relaxed);
    }

    /// One fewer does.
    pub(crate) fn release(&self) {
        self.keepers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ticks in `time`, rounded up, plus the one that may already be partly over.
pub(crate) fn ticks(time: Duration) -> u32 {
    let ticks = time.as_micros().div_ceil(TICK.as_micros());
    u32::try_from(ticks).unwrap_or(TICKS_MAX).min(TICKS_MAX) + 1
}

/// The longest time-out in ticks: 62 days. Keeps differences of coarse times unambiguous.
const TICKS_MAX: u32 = u32::MAX / 4;

#[expect(clippy::cast_possible_truncation, reason = "coarse time wraps; differences are compared")]
fn low32(ticks: u64) -> u32 {
    ticks as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_timeouts_up() {
        assert_eq!(ticks(Duration::ZERO), 1);
        assert_eq!(ticks(Duration::from_millis(1)), 2);
        assert_eq!(ticks(Duration::from_millis(5)), 2);
        assert_eq!(ticks(Duration::from_secs(1)), 201);
        assert_eq!(ticks(Duration::MAX), TICKS_MAX + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn counts_only_the_time_in_which_io_could_run() {
        let clock = Clock::new();
        assert_eq!(clock.advance(Instant::now()), 1);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(clock.advance(Instant::now()), 2001, "nobody kept it: a jump counts in full");
        clock.keep();
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(clock.advance(Instant::now()), 2021, "kept, but starved: 100 ms count");
        tokio::time::advance(TICK).await;
        assert_eq!(clock.advance(Instant::now()), 2022);
        assert_eq!(clock.read(), 2022);
    }
}
