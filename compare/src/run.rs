//! Runs one job on an asynchronous driver: closed loop, open loop, counting, checking.
//!
//! The tasks live as long as the run; a request is a turn of a task's loop, never a new task.
//! Next: `client.rs`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

use crate::{
    drivers::{Driver, Failure},
    fold::{Answer, Fold},
    job::{Job, Mode, Outcome},
    measure::{Counting, Go, Instrument, Latencies, Reading, Tally, announce_measuring},
    pacer::{Schedule, release},
    traffic::{
        Batch10, Insert, Mixed, Scan, Select1, Select10, Select100, SelectGrouped, Steps, Traffic,
        key_of, pages_per_unit, rows_expected,
    },
    workload::{BATCH_ROWS, Workload},
};

/// Does `job` with a connected driver.
///
/// # Errors
///
/// When the job cannot be done at all; failed requests are counted in the outcome instead.
pub async fn run<D: Driver>(
    driver: D,
    job: Job,
    instrument: Instrument,
) -> Result<Outcome, Failure> {
    match job.workload {
        Workload::Insert => run_traffic::<D, Insert>(driver, job, instrument).await,
        Workload::Select1 => run_traffic::<D, Select1>(driver, job, instrument).await,
        Workload::Select10 => run_traffic::<D, Select10>(driver, job, instrument).await,
        Workload::Select100 => run_traffic::<D, Select100>(driver, job, instrument).await,
        Workload::Batch10 => run_traffic::<D, Batch10>(driver, job, instrument).await,
        Workload::Mixed => run_traffic::<D, Mixed>(driver, job, instrument).await,
        Workload::Scan => run_traffic::<D, Scan<D::Cursor>>(driver, job, instrument).await,
    }
}

async fn run_traffic<D: Driver, T: Traffic<D>>(
    driver: D,
    job: Job,
    instrument: Instrument,
) -> Result<Outcome, Failure> {
    let mode = job.mode.clone();
    let shared = Arc::new(Shared::new(job));
    match mode {
        Mode::Timed { warm_up_seconds, seconds, rate } => {
            let warm_up = Duration::try_from_secs_f64(warm_up_seconds)?;
            let length = Duration::try_from_secs_f64(seconds)?;
            match rate {
                None => timed_closed::<D, T>(driver, shared, warm_up, length).await,
                Some(rate) => timed_open::<D, T>(driver, shared, warm_up, length, rate).await,
            }
        }
        Mode::Count { warm_up_requests, requests, heap_profile } => {
            let counting = Counting::new(warm_up_requests, requests, heap_profile, instrument)?;
            counted::<D, T>(driver, shared, counting).await
        }
        Mode::Check { requests } => checked::<D, T>(driver, shared, requests).await,
    }
}

/// What all tasks of a run see.
struct Shared {
    job: Job,
    phase: AtomicU8,
    /// Requests completed (counting runs) or started (open-loop runs).
    requests: AtomicU64,
    latencies: Latencies,
}

/// Not measured yet; measured; over.
const WARM_UP: u8 = 0;
const MEASURED: u8 = 1;
const OVER: u8 = 2;

impl Shared {
    fn new(job: Job) -> Self {
        Self {
            job,
            phase: AtomicU8::new(WARM_UP),
            requests: AtomicU64::new(0),
            latencies: Latencies::default(),
        }
    }

    #[inline]
    fn phase(&self) -> u8 {
        // Nothing is published through it: a task that sees the change a request later is fine.
        self.phase.load(Relaxed)
    }

    /// Judges a reply, and counts it.
    #[inline]
    fn count(&self, tally: &mut Tally, unit: u64, answer: Result<Answer, Failure>) {
        tally.requests += 1;
        self.judge(tally, rows_expected(self.job.workload, unit), answer);
    }

    #[inline]
    fn judge(&self, tally: &mut Tally, rows_expected: u32, answer: Result<Answer, Failure>) {
        match answer {
            Ok(answer) if answer.rows == rows_expected => {
                tally.rows += u64::from(answer.rows);
                tally.sum = tally.sum.wrapping_add(answer.sum);
            }
            Ok(answer) => tally.fail(|| {
                format!("a reply had {} rows where {rows_expected} were due", answer.rows)
            }),
            Err(error) => tally.fail(|| format!("{error:#}")),
        }
    }
}

async fn timed_closed<D: Driver, T: Traffic<D>>(
    driver: D,
    shared: Arc<Shared>,
    warm_up: Duration,
    length: Duration,
) -> Result<Outcome, Failure> {
    let tasks = spawn_tasks(&shared, |index| {
        closed_task::<D, T>(driver.clone(), Arc::clone(&shared), index)
    });
    let (from, to) = stretch(&shared, warm_up, length).await;
    let tally = join(tasks).await?;
    let mut outcome = tally.into_outcome(from, to, D::settings());
    outcome.latency_us = Some(shared.latencies.quantiles());
    Ok(outcome)
}

async fn closed_task<D: Driver, T: Traffic<D>>(
    driver: D,
    shared: Arc<Shared>,
    index: u64,
) -> Tally {
    let mut traffic = T::default();
    let mut steps = Steps::new(&shared.job, index);
    let mut tally = Tally::default();
    let mut started = Instant::now();
    while shared.phase() != OVER {
        let step = steps.advance();
        let key = key_of(&shared.job, step.unit);
        let answer = traffic.request(&driver, key, step, Fold::ends(key)).await;
        // The end of one request is the start of the task's next: one clock read each.
        let ended = Instant::now();
        match shared.phase() {
            MEASURED => {
                shared.latencies.record(ended - started);
                shared.count(&mut tally, step.unit, answer);
            }
            // So that each thread has its histogram before it counts.
            _ => shared.latencies.record(ended - started),
        }
        started = ended;
    }
    tally
}

async fn timed_open<D: Driver, T: Traffic<D>>(
    driver: D,
    shared: Arc<Shared>,
    warm_up: Duration,
    length: Duration,
    rate: f64,
) -> Result<Outcome, Failure> {
    ensure!(rate > 0.0 && rate.is_finite(), "the rate must be positive, not {rate}");
    let permits = Arc::new(Semaphore::new(0));
    let schedule = Schedule::new(Instant::now(), rate);
    let tasks = spawn_tasks(&shared, |index| {
        open_task::<D, T>(
            driver.clone(),
            Arc::clone(&shared),
            Arc::clone(&permits),
            schedule,
            index,
        )
    });
    let for_pacer = Arc::clone(&permits);
    let pacer = tokio::spawn(async move { release(schedule, &for_pacer).await });
    let (from, to) = stretch(&shared, warm_up, length).await;
    permits.close();
    pacer.await?.context("the pacer's timer failed")?;
    let tally = join(tasks).await?;
    let mut outcome = tally.into_outcome(from, to, D::settings());
    outcome.latency_us = Some(shared.latencies.quantiles());
    Ok(outcome)
}

async fn open_task<D: Driver, T: Traffic<D>>(
    driver: D,
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    schedule: Schedule,
    index: u64,
) -> Tally {
    let mut traffic = T::default();
    let mut steps = Steps::new(&shared.job, index);
    let mut tally = Tally::default();
    while let Ok(permit) = permits.acquire().await {
        permit.forget();
        let due = schedule.due_at(shared.requests.fetch_add(1, Relaxed));
        let step = steps.advance();
        let key = key_of(&shared.job, step.unit);
        let answer = traffic.request(&driver, key, step, Fold::ends(key)).await;
        let latency = Instant::now().saturating_duration_since(due);
        shared.latencies.record(latency);
        if shared.phase() == MEASURED {
            shared.count(&mut tally, step.unit, answer);
        }
    }
    tally
}

/// Lets the tasks run for the warm-up and the measured stretch, then tells them to end.
async fn stretch(shared: &Shared, warm_up: Duration, length: Duration) -> (Reading, Reading) {
    sleep(warm_up).await;
    announce_measuring();
    shared.latencies.clear();
    let from = Reading::now();
    shared.phase.store(MEASURED, Relaxed);
    sleep(length).await;
    shared.phase.store(OVER, Relaxed);
    (from, Reading::now())
}

async fn counted<D: Driver, T: Traffic<D>>(
    driver: D,
    shared: Arc<Shared>,
    counting: Counting,
) -> Result<Outcome, Failure> {
    let counting = Arc::new(counting);
    widen_ready_queue(&shared.job).await?;
    let tasks = spawn_tasks(&shared, |index| {
        counted_task::<D, T>(driver.clone(), Arc::clone(&shared), Arc::clone(&counting), index)
    });
    counting.finish(join(tasks).await?, D::settings())
}

/// Makes the runtime's queue of ready tasks as long as it can ever get.
///
/// That of the current-thread runtime grows when it first holds more tasks than before. All of them
/// are ready at once sooner or later: in the middle of the counted stretch, by chance, for whatever
/// driver. It has a place for each task at most.
async fn widen_ready_queue(job: &Job) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    for _ in 0..job.concurrency + DRIVER_TASKS_MAX {
        tasks.spawn(std::future::ready(())); // ready, and in the queue until this task waits
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

/// More tasks than a driver has of its own.
const DRIVER_TASKS_MAX: u32 = 256;

async fn counted_task<D: Driver, T: Traffic<D>>(
    driver: D,
    shared: Arc<Shared>,
    counting: Arc<Counting>,
    index: u64,
) -> Tally {
    let mut traffic = T::default();
    let mut steps = Steps::new(&shared.job, index);
    let mut tally = Tally::default();
    loop {
        let step = steps.advance();
        let key = key_of(&shared.job, step.unit);
        let answer = traffic.request(&driver, key, step, Fold::ends(key)).await;
        let completed = shared.requests.fetch_add(1, Relaxed) + 1;
        if counting.is_counted(completed) {
            shared.count(&mut tally, step.unit, answer);
        }
        if counting.completed(completed) == Go::Over {
            return tally;
        }
    }
}

async fn checked<D: Driver, T: Traffic<D>>(
    driver: D,
    shared: Arc<Shared>,
    requests: u64,
) -> Result<Outcome, Failure> {
    announce_measuring();
    let from = Reading::now();
    let workload = shared.job.workload;
    let units = requests / u64::from(pages_per_unit(workload));
    let mut tally = sweep::<D, T>(&driver, &shared, units, None).await?;
    let written = units.min(shared.job.keys);
    match workload {
        Workload::Insert => {
            tally.merge(sweep::<D, Select1>(&driver, &shared, written, Some(1)).await?);
        }
        Workload::Batch10 => {
            let rows = Some(BATCH_ROWS);
            tally.merge(sweep::<D, SelectGrouped>(&driver, &shared, written, rows).await?);
        }
        _ => {}
    }
    Ok(tally.into_outcome(from, Reading::now(), D::settings()))
}

/// Makes the requests of `units` units, and sums every byte of their replies.
async fn sweep<D: Driver, T: Traffic<D>>(
    driver: &D,
    shared: &Arc<Shared>,
    units: u64,
    rows: Option<u32>,
) -> Result<Tally, Failure> {
    let tasks = spawn_tasks(shared, |index| {
        let (driver, shared) = (driver.clone(), Arc::clone(shared));
        async move {
            let mut traffic = T::default();
            let mut steps = Steps::new(&shared.job, index);
            let mut tally = Tally::default();
            loop {
                let step = steps.advance();
                if step.unit >= units {
                    return tally;
                }
                let key = key_of(&shared.job, step.unit);
                let answer = traffic.request(&driver, key, step, Fold::whole(key)).await;
                tally.requests += 1;
                let due = rows.unwrap_or_else(|| rows_expected(shared.job.workload, step.unit));
                shared.judge(&mut tally, due, answer);
            }
        }
    });
    join(tasks).await
}

fn spawn_tasks<F>(shared: &Shared, mut task: impl FnMut(u64) -> F) -> JoinSet<Tally>
where
    F: Future<Output = Tally> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for index in 0..u64::from(shared.job.concurrency) {
        tasks.spawn(task(index));
    }
    tasks
}

async fn join(mut tasks: JoinSet<Tally>) -> Result<Tally, Failure> {
    let mut sum = Tally::default();
    while let Some(tally) = tasks.join_next().await {
        sum.merge(tally.context("a task of the client panicked")?);
    }
    Ok(sum)
}
