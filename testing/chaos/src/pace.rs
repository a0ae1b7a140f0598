//! When clients ask: each at instants of its own, and all of them as soon as there is a fault.
//!
//! The clients of all drivers that run at once are called from here, those of one number together.
//! Timers in the drivers' runtimes would not do: each runtime counts milliseconds from its own
//! start, so that one driver would be the first to ask for the whole run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::beside::Beside;

/// Calls in waves have numbers from here on; no client is called as often by the clock.
const WAVE: u64 = 1 << 47;

/// Who is called, a channel for the clients of each number. Of those that listen to one tokio wakes
/// either first, by chance.
///
/// What is sent is the call's number, which comes once to a client. How a client gets it is in
/// [`next`].
#[derive(Debug)]
pub(crate) struct Calls {
    clients: Vec<watch::Sender<u64>>,
}

impl Calls {
    pub(crate) fn new(client_count: u32) -> Calls {
        Calls { clients: (0..client_count).map(|_| watch::Sender::new(0)).collect() }
    }

    /// Where the clients of one driver listen, each at its own. They end when `Calls` is dropped.
    pub(crate) fn listen(&self) -> impl Iterator<Item = watch::Receiver<u64>> + '_ {
        self.clients.iter().map(watch::Sender::subscribe)
    }

    /// Calls one client after the other, `rate` calls a second, until what it returns is dropped.
    /// Were all called at once, the first success after a fault would tell how long ago that was.
    pub(crate) fn keep_pace(calls: &Arc<Calls>, start: Instant, rate: u32) -> Beside {
        let calls = Arc::clone(calls);
        let mut number = 0;
        Beside::start(start, move || {
            calls.tick(number);
            number += 1;
            start + due(number, rate)
        })
    }

    /// The clock's call of a number, of all clients together.
    pub(crate) fn tick(&self, number: u64) {
        let count = self.clients.len() as u64;
        let index = number.checked_rem(count).and_then(|index| usize::try_from(index).ok());
        if let Some(client) = index.and_then(|index| self.clients.get(index)) {
            client.send_replace(number / count);
        }
    }

    /// Calls all clients because of a fault, the first of which has number 1.
    pub(crate) fn wave(&self, fault: usize) {
        for client in &self.clients {
            client.send_replace(WAVE | fault as u64);
        }
    }
}

/// The number of the next call of a client that has ended its last request, or nothing if there are
/// no more.
///
/// What the clock called meanwhile is not caught up with; a wave is, unless the clock called after
/// it. Otherwise the time until all clients had a success after a fault would be that until the
/// clock came to those that were busy at the fault.
pub(crate) async fn next(calls: &mut watch::Receiver<u64>) -> Option<u64> {
    let is_wave = *calls.borrow() >= WAVE;
    if !(is_wave && calls.has_changed().is_ok_and(|has_changed| has_changed)) {
        calls.mark_unchanged();
        calls.changed().await.ok()?;
    }
    Some(*calls.borrow_and_update())
}

/// When a call of the clock comes, after the start.
fn due(number: u64, rate: u32) -> Duration {
    let rate = u64::from(rate);
    let part = (number % rate) * 1_000_000_000 / rate;
    Duration::from_secs(number / rate) + Duration::from_nanos(part)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn calls_come_at_the_rate() {
        assert_eq!(due(0, 300), Duration::ZERO);
        assert_eq!(due(1, 300), Duration::from_nanos(3_333_333));
        assert_eq!(due(3_000, 300), Duration::from_secs(10));
        assert_eq!(due(86_400 * 1_000_000 - 1, 1_000_000).as_micros(), 86_400 * 1_000_000 - 1);
    }

    #[test]
    fn clients_of_one_number_get_the_same_calls() {
        let calls = Calls::new(2);
        let mut ours: Vec<_> = calls.listen().collect();
        let mut theirs: Vec<_> = calls.listen().collect();
        for number in 0..6 {
            let client = usize::try_from(number % 2).unwrap();
            let pair = [&mut ours[client], &mut theirs[client]].map(|listener| {
                let mut waiting = Box::pin(next(listener));
                assert_eq!((&mut waiting).now_or_never(), None);
                waiting
            });
            calls.tick(number);
            assert_eq!(pair.map(|waiting| waiting.now_or_never().unwrap()), [Some(number / 2); 2]);
        }
    }

    #[test]
    fn a_wave_reaches_those_that_are_idle_and_then_the_others() {
        let calls = Calls::new(2);
        let mut clients: Vec<_> = calls.listen().collect();
        let (idle, busy) = clients.split_at_mut(1);
        let mut waiting = Box::pin(next(&mut idle[0]));
        assert_eq!((&mut waiting).now_or_never(), None);
        calls.wave(3);
        assert_eq!(waiting.now_or_never(), Some(Some(WAVE | 3)));
        assert_eq!(next(&mut idle[0]).now_or_never(), None, "each wave comes once");
        assert_eq!(next(&mut busy[0]).now_or_never(), Some(Some(WAVE | 3)));
        calls.wave(4);
        calls.tick(1);
        let mut late = Box::pin(next(&mut busy[0]));
        assert_eq!((&mut late).now_or_never(), None, "the clock's call is not caught up with");
        drop(calls);
        assert_eq!(late.now_or_never(), Some(None), "nobody calls any more");
    }

    #[test]
    fn the_clock_calls_until_it_is_dropped() {
        let calls = Arc::new(Calls::new(1));
        let mut listener = calls.listen().next().unwrap();
        let clock = Calls::keep_pace(&calls, Instant::now(), 1_000);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(listener.wait_for(|number| *number >= 20)).unwrap();
        drop(clock);
        assert_eq!(Arc::strong_count(&calls), 1, "its thread has ended");
    }
}
