//! The contract between the orchestrator and a client process: one JSON line in, JSON lines out.
//!
//! `CONTRACT.md` says the same for readers of other languages. Next: `drivers/mod.rs`.

use serde::{Deserialize, Serialize};

use crate::workload::Workload;

/// What a client has to do: the one line on its standard input.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Job {
    /// Which driver; a client with one driver may ignore it.
    pub driver: String,
    /// `address:port` of nodes to start from. Keyspace and tables exist.
    pub contact_points: Vec<String>,
    /// The traffic.
    pub workload: Workload,
    /// Requests in flight, each by a task of its own that is used again and again.
    pub concurrency: u32,
    /// The first partition key.
    pub first_key: i64,
    /// Requests cycle over so many keys from the first on.
    pub keys: u64,
    /// What is measured.
    pub mode: Mode,
    /// Body compression.
    pub compression: Compression,
    /// The asynchronous runtime, where the client has such a choice.
    pub runtime: Runtime,
    /// Worker threads of the multi-thread runtime.
    pub threads: u32,
    /// Shards per node, for clients that cannot find out.
    pub shards: u16,
    /// Version of the protocol to speak; a client that cannot speaks 4.
    #[serde(default = "protocol_version_default")]
    pub protocol_version: u8,
}

/// What every driver speaks.
fn protocol_version_default() -> u8 {
    4
}

/// What is measured, and for how long.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Mode {
    /// Throughput, CPU, latency, memory over a stretch of time.
    Timed {
        /// Seconds of the same traffic before it.
        warm_up_seconds: f64,
        /// Length of the stretch.
        seconds: f64,
        /// Requests per second at which requests start, whatever the replies do (open loop);
        /// without it each task starts the next request when the last is answered (closed loop).
        rate: Option<f64>,
    },
    /// Allocations (and CPU) over a number of requests; no clock is read for any one of them.
    Count {
        /// Requests before the counted ones.
        warm_up_requests: u64,
        /// Requests counted.
        requests: u64,
        /// Where a heap profile of the counted stretch goes, for the client built with dhat.
        heap_profile: Option<String>,
    },
    /// Right answers: every byte read is summed; what was written is read back.
    Check {
        /// Requests, numbered from 0.
        requests: u64,
    },
}

impl Eq for Mode {}

/// Compression of frame bodies.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Plain bodies.
    None,
    /// LZ4 blocks.
    Lz4,
}

impl Compression {
    /// The name in options, in the contract and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
        }
    }
}

/// Flavour of the asynchronous runtime.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// Everything on one thread.
    CurrentThread,
    /// Work-stealing worker threads.
    MultiThread,
}

impl Runtime {
    /// The name in options, in the contract and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::CurrentThread => "current-thread",
            Self::MultiThread => "multi-thread",
        }
    }
}

/// What a client says: lines on its standard output.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// Sessions are open and statements prepared.
    Connected,
    /// The measured stretch begins now. Written before the client takes its own first reading.
    Measuring,
    /// All is done; the last line.
    Result(Box<Outcome>),
    /// The job cannot be done; the last line.
    Failed {
        /// Why, in one line.
        message: String,
    },
}

/// [`Event::Measuring`] as a client writes it: without allocating, for runs that count.
pub const MEASURING_LINE: &[u8] = b"{\"event\":\"measuring\"}\n";

/// What a client measured.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Outcome {
    /// Name and version of the driver, and the settings that matter, for the report.
    pub settings: String,
    /// Requests completed in the measured stretch, failed ones included.
    pub requests: u64,
    /// Those that failed, or whose reply had the wrong number of rows.
    pub errors: u64,
    /// What the first of them said.
    pub first_error: Option<String>,
    /// Length of the measured stretch by the wall clock.
    pub seconds: f64,
    /// CPU time of the client process, user and system, within it.
    pub cpu_seconds: f64,
    /// Rows read within it.
    pub rows: u64,
    /// Sum over the replies, wrapping, 16 hexadecimal digits; compared in runs that check.
    pub checksum: String,
    /// Quantiles in microseconds; in timed runs only.
    pub latency_us: Option<Quantiles>,
    /// Heap traffic of the whole process; in counting runs only.
    pub heap: Option<Heap>,
    /// Largest resident set of the process since its start.
    pub peak_rss_bytes: Option<u64>,
    /// Version of the protocol that was spoken, if the client tells.
    #[serde(default)]
    pub protocol_version: Option<u8>,
}

/// Latencies in microseconds. In open-loop runs counted from when a request was due to start.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the quantiles")]
pub struct Quantiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// Calls to the allocator within the measured stretch.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Heap {
    /// Calls for new memory.
    pub allocations: u64,
    /// Calls to grow or shrink.
    pub reallocations: u64,
    /// Calls that gave memory back.
    pub frees: u64,
    /// Bytes asked for.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(mode: Mode) -> Job {
        Job {
            driver: "floor".into(),
            contact_points: vec!["127.0.0.1:9042".into()],
            workload: Workload::Select100,
            concurrency: 128,
            first_key: 0,
            keys: 100_000,
            mode,
            compression: Compression::None,
            runtime: Runtime::CurrentThread,
            threads: 1,
            shards: 8,
            protocol_version: 4,
        }
    }

    #[test]
    fn a_job_is_one_readable_line() {
        let mode = Mode::Timed { warm_up_seconds: 0.25, seconds: 1.0, rate: None };
        let line = serde_json::to_string(&job(mode)).unwrap();
        expect_test::expect_file!["golden/job.json"].assert_eq(&(line + "\n"));
    }

    #[test]
    fn jobs_and_events_survive_the_round_trip() {
        for mode in [
            Mode::Timed { warm_up_seconds: 0.1, seconds: 2.0, rate: Some(1e5) },
            Mode::Count { warm_up_requests: 1, requests: 2, heap_profile: Some("x.json".into()) },
            Mode::Check { requests: 3 },
        ] {
            let job = job(mode);
            let line = serde_json::to_string(&job).unwrap();
            assert_eq!(serde_json::from_str::<Job>(&line).unwrap(), job);
        }
        let outcome = Outcome { requests: 7, heap: Some(Heap::default()), ..Outcome::default() };
        for event in [
            Event::Connected,
            Event::Measuring,
            Event::Result(Box::new(outcome)),
            Event::Failed { message: "no route".into() },
        ] {
            let line = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        }
    }

    #[test]
    fn the_measuring_line_is_the_event() {
        assert_eq!(serde_json::from_slice::<Event>(MEASURING_LINE).unwrap(), Event::Measuring);
    }
}
