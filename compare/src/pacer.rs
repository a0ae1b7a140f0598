//! When the requests of an open-loop run are due: one schedule for all drivers.
//!
//! Request `n` is due at `start + n / rate`, whatever became of the requests before it, and its
//! latency counts from then on, so that a driver that stalls pays for all who would have come
//! meanwhile (coordinated omission). What is due is released every [`TICK`], to tasks of an
//! asynchronous runtime by [`release`], and in the floor client between two polls of its sockets;
//! either way up to one tick is in the latency. Next: `run.rs`.

use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// How often requests that are due are released.
pub const TICK: Duration = Duration::from_micros(50);

/// The times at which requests are due.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start: Instant,
    nanos_per_request: f64,
}

impl Schedule {
    /// `rate` requests per second from `start` on.
    ///
    /// # Panics
    ///
    /// If `rate` is not a positive number.
    pub fn new(start: Instant, rate: f64) -> Self {
        assert!(rate > 0.0 && rate.is_finite(), "the rate must be positive");
        Self { start, nanos_per_request: 1e9 / rate }
    }

    /// When request `number` is due.
    #[inline]
    pub fn due_at(&self, number: u64) -> Instant {
        self.start + Duration::from_nanos((number as f64 * self.nanos_per_request) as u64)
    }

    /// How many requests are due at `now`, since the start.
    pub fn due_count(&self, now: Instant) -> u64 {
        let nanos = now.saturating_duration_since(self.start).as_nanos() as f64;
        // Request 0 is due at the start itself.
        (nanos / self.nanos_per_request) as u64 + 1
    }
}

/// Gives `permits` one permit per request that becomes due, until it is closed.
///
/// # Errors
///
/// What the kernel says when the timer cannot be made or read.
///
/// # Cancel safety
///
/// Dropping the future stops the release; no permit is lost or given twice.
pub async fn release(schedule: Schedule, permits: &Semaphore) -> std::io::Result<()> {
    let mut ticker = Ticker::new()?;
    let mut released = 0;
    while !permits.is_closed() {
        let due = schedule.due_count(Instant::now());
        let fresh = due.saturating_sub(released);
        // More than the semaphore holds would be more than any run can have outstanding.
        permits.add_permits(usize::try_from(fresh).unwrap_or(0).min(Semaphore::MAX_PERMITS / 2));
        released = due.max(released);
        ticker.tick().await?;
    }
    Ok(())
}

/// A periodic kernel timer: the runtime's own has a resolution of a millisecond, too coarse here.
#[cfg(target_os = "linux")]
struct Ticker(tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>);

#[cfg(target_os = "linux")]
impl Ticker {
    #[expect(
        deprecated,
        reason = "unsound for types that may change their descriptor, which `OwnedFd` cannot; its \
                  successor needs `unsafe`"
    )]
    fn new() -> std::io::Result<Self> {
        use rustix::time::{
            Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
            timerfd_settime,
        };
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let period = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
        let every = Itimerspec { it_interval: period, it_value: period };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every)?;
        Ok(Self(tokio::io::unix::AsyncFd::with_interest(timer, tokio::io::Interest::READABLE)?))
    }

    async fn tick(&mut self) -> std::io::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            let read = ready.try_io(|timer| {
                let mut expirations = [0_u8; 8];
                Ok(rustix::io::read(timer, &mut expirations)?)
            });
            match read {
                Ok(result) => return result.map(drop),
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
struct Ticker;

#[cfg(not(target_os = "linux"))]
impl Ticker {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn tick(&mut self) -> std::io::Result<()> {
        tokio::time::sleep(TICK).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_the_rate_whatever_happens() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 1000.0);
        assert_eq!(schedule.due_at(0), start);
        assert_eq!(schedule.due_at(2500) - start, Duration::from_millis(2500));
        assert_eq!(schedule.due_count(start), 1);
        assert_eq!(schedule.due_count(start + Duration::from_micros(999)), 1);
        assert_eq!(schedule.due_count(start + Duration::from_micros(1001)), 2);
        assert_eq!(schedule.due_count(start + Duration::from_micros(10_500)), 11);
        assert_eq!(schedule.due_count(start - Duration::from_secs(1)), 1);
    }

    #[test]
    fn every_due_request_is_released_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let permits = Semaphore::new(0);
            let start = Instant::now();
            let schedule = Schedule::new(start, 20_000.0);
            let consume = async {
                for number in 0..1000 {
                    permits.acquire().await.unwrap().forget();
                    assert!(Instant::now() >= schedule.due_at(number), "released too early");
                }
                permits.close();
            };
            let (released, ()) = tokio::join!(release(schedule, &permits), consume);
            released.unwrap();
            assert!(start.elapsed() >= Duration::from_micros(999 * 50));
        });
    }

    #[test]
    #[should_panic(expected = "positive")]
    fn a_rate_of_zero_is_refused() {
        let _ = Schedule::new(Instant::now(), 0.0);
    }
}
