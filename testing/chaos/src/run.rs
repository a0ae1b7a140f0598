//! One driver's run: its own nodes, the load, the script, the reading back.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use shardwire_testing_cassandra::{Cassandra, Version};
use tokio::runtime::Runtime;

use crate::clients::Client;
use crate::load::{Found, Load, read_back};
use crate::script::{Fault, Script, Times};
use crate::tally::{Noticed, Slow, Tally, rate};

/// With each partition on all of them.
pub(crate) const NODE_COUNT: usize = 3;

/// What `nodetool disablebinary` takes at most until the port is closed.
const DISABLE_DEADLINE: Duration = Duration::from_secs(60);

/// How often a port is looked at that is about to be closed: the error of the fault's time.
const PORT_POLL: Duration = Duration::from_millis(5);

/// Time after the load was told to stop in which all requests end.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// What each driver has to go through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) version: Version,
    pub(crate) duration: Duration,
    pub(crate) concurrency: u32,
    pub(crate) rate: u32,
    pub(crate) seed: u64,
}

/// What one driver made of it.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) driver: &'static str,
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// Successes a second before the first fault.
    pub(crate) fault_free_rate: f64,
    /// The same between faults, of the second half of each calm.
    pub(crate) calm_rates: Vec<f64>,
    pub(crate) faults: Vec<Noticed>,
    pub(crate) rare: Slow,
    pub(crate) found: Found,
    /// Successes and failures, in tenths of a second.
    pub(crate) spans: Vec<(u32, u32)>,
}

/// Runs the script with one driver.
pub(crate) fn run<C: Client>(runtime: &Runtime, plan: &Plan) -> Result<Outcome> {
    let builder = Cassandra::builder().version(plan.version).nodes(NODE_COUNT).nodetool();
    let mut cluster = builder.start().context("Cassandra can't be started")?;
    let nodes = cluster.contact_points();
    let client = Arc::new(runtime.block_on(C::connect(&nodes))?);
    let tally = Arc::new(Tally::new(plan.concurrency));
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for number in 0..plan.concurrency {
        let load = Load {
            client: Arc::clone(&client),
            tally: Arc::clone(&tally),
            stop: Arc::clone(&stop),
            seed: plan.seed,
            number,
            interval: Duration::from_secs(1) * plan.concurrency / plan.rate,
            offset: Duration::from_secs(1) * number / plan.rate,
        };
        tasks.push(runtime.spawn(load.run()));
    }
    let progress = Progress::start::<C>(&tally, plan);
    let times = Times::of(plan.duration);
    sleep(times.warm_up);
    let mut calms = Vec::new();
    let outcome = perform(&mut cluster, &nodes, plan, times, &tally, &mut calms);
    let seconds = tally.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let mut written = Vec::new();
    for task in tasks {
        // One that hangs is what this is to find.
        let ended = runtime.block_on(async { tokio::time::timeout(STOP_DEADLINE, task).await });
        written.push(ended.context("a request has not ended")?.context("a client panicked")?);
    }
    drop(progress);
    outcome?;
    let (spans, faults) = (tally.spans(), tally.noticed());
    let shown = |count: u64| {
        if count.is_multiple_of(10_000) {
            eprintln!("{}: read back {count}", C::NAME);
        }
    };
    let width = plan.concurrency as usize;
    let found = runtime.block_on(read_back(&*client, plan.seed, width, &written, shown));
    cluster.shutdown()?;
    let of = |span: fn(&(u32, u32)) -> u32| spans.iter().map(|s| u64::from(span(s))).sum::<u64>();
    let before = rate(&spans, times.warm_up / 2, times.warm_up);
    Ok(Outcome {
        driver: C::NAME,
        seconds,
        requests: of(|span| span.0) + of(|span| span.1),
        failed: of(|span| span.1),
        fault_free_rate: before.context("no rate before faults")?,
        calm_rates: calms.iter().filter_map(|(from, to)| rate(&spans, *from, *to)).collect(),
        faults,
        rare: tally.rare(),
        found,
        spans,
    })
}

/// Does to the nodes what the script says, until the time is over and a round is.
fn perform(
    cluster: &mut Cassandra,
    nodes: &[SocketAddr],
    plan: &Plan,
    times: Times,
    tally: &Tally,
    calms: &mut Vec<(Duration, Duration)>,
) -> Result<()> {
    let mut script = Script::new(plan.seed, NODE_COUNT);
    while tally.elapsed() < plan.duration || !script.is_round_over() {
        let (fault, node) = script.next();
        match fault {
            Fault::Kill => {
                tally.fault(fault, node);
                cluster.kill(node)?;
                sleep(times.hold);
                cluster.restart(node)?;
            }
            Fault::Pause => {
                tally.fault(fault, node);
                cluster.pause(node)?;
                sleep(times.hold);
                cluster.resume(node)?;
                cluster.wait_until_ready()?;
            }
            Fault::DisableBinary => {
                let address = *nodes.get(node).context("no such node")?;
                std::thread::scope(|scope| {
                    let closed = scope.spawn(move || until_closed(address));
                    let disabled = scope.spawn(|| cluster.nodetool(node, &["disablebinary"]));
                    join(closed)??;
                    tally.fault(fault, node);
                    join(disabled)?
                })?;
                sleep(times.hold);
                cluster.nodetool(node, &["enablebinary"])?;
                cluster.wait_until_ready()?;
            }
            Fault::Restart => {
                for step in 0..NODE_COUNT {
                    let node = (node + step) % NODE_COUNT;
                    tally.fault(fault, node);
                    cluster.restart(node)?;
                    if step + 1 < NODE_COUNT {
                        tally.healed();
                    }
                }
            }
        }
        tally.healed();
        let from = tally.elapsed();
        sleep(times.calm);
        // Its second half, as of the time before the first fault: hints are replayed first.
        calms.push((from + times.calm / 2, tally.elapsed()));
    }
    Ok(())
}

fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> Result<T> {
    thread.join().ok().context("a thread panicked")
}

/// Returns when nobody listens there any more.
fn until_closed(address: SocketAddr) -> Result<()> {
    let start = Instant::now();
    loop {
        match TcpStream::connect_timeout(&address, DISABLE_DEADLINE) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(()),
            _ if start.elapsed() > DISABLE_DEADLINE => bail!("{address} still listens"),
            _ => sleep(PORT_POLL),
        }
    }
}

/// A line a second on the standard error.
#[derive(Debug)]
struct Progress {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    fn start<C: Client>(tally: &Arc<Tally>, plan: &Plan) -> Progress {
        let (tally, stop) = (Arc::clone(tally), Arc::new(AtomicBool::new(false)));
        let (stopped, duration) = (Arc::clone(&stop), plan.duration);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_secs(1));
                let spans = tally.spans();
                let last = spans.get(spans.len().saturating_sub(10)..).unwrap_or_default();
                let sum = |of: fn(&(u32, u32)) -> u32| last.iter().map(of).sum::<u32>();
                let fault = tally.noticed().pop().map_or("no fault yet".to_owned(), |noticed| {
                    let state = if noticed.healed_seconds.is_some() { "healed" } else { "on" };
                    format!("{} of node {} ({state})", noticed.fault.name(), noticed.node)
                });
                eprintln!(
                    "{}: {:.0} of {} s, {} req/s, {} failed, {fault}",
                    C::NAME,
                    tally.elapsed().as_secs_f64(),
                    duration.as_secs(),
                    sum(|span| span.0),
                    sum(|span| span.1),
                );
            }
        });
        Progress { stop, thread: Some(thread) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join(); // it only prints
        }
    }
}
