//! The load: clients that write unique keys, and read what was acknowledged to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures::stream::{self, StreamExt};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clients::Client;
use crate::fact::{self, Checksum};
use crate::tally::Tally;

/// Attempts at reading a fact back after the run, when all nodes are well.
const READ_ATTEMPTS: usize = 5;

/// What one client knows of its writes.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Acknowledged.
    pub(crate) acknowledged: Vec<i64>,
    /// Failed, which leaves open whether they were stored.
    pub(crate) unknown: Vec<i64>,
}

/// One client of the load.
#[derive(Debug)]
pub(crate) struct Load<C> {
    pub(crate) client: Arc<C>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) seed: u64,
    pub(crate) number: u32,
    /// Time from one request to the next, unless the one takes longer.
    pub(crate) interval: Duration,
    /// Time until the first: another one for each client, so that requests come one by one.
    pub(crate) offset: Duration,
}

impl<C: Client> Load<C> {
    /// Goes on until it is told to stop. A request that takes long is not caught up with, and each
    /// client keeps to its own instants: were all to ask at once, the first success after a fault
    /// would tell how long ago they last did.
    pub(crate) async fn run(self) -> Written {
        let mut rng = fastrand::Rng::with_seed(self.seed ^ u64::from(self.number));
        let mut written = Written::default();
        let mut last_fault = 0;
        let mut ticks = tokio::time::interval_at(Instant::now() + self.offset, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !self.stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            let known = rng.choice(&written.acknowledged).copied().filter(|_| rng.bool());
            match known {
                Some(key) => self.read(key, &mut last_fault).await,
                None => self.write(&mut written, &mut last_fault).await,
            }
        }
        written
    }

    async fn write(&self, written: &mut Written, last_fault: &mut usize) {
        let count = written.acknowledged.len() + written.unknown.len();
        let key = fact::key(self.number, u32::try_from(count).unwrap_or(u32::MAX));
        let begun = self.tally.begin();
        let outcome = self.client.write(key, &fact::value(self.seed, key)).await;
        self.tally.end(begun, last_fault, outcome.as_ref().map(|&()| ()));
        match outcome {
            Ok(()) => written.acknowledged.push(key),
            Err(_) => written.unknown.push(key),
        }
    }

    async fn read(&self, key: i64, last_fault: &mut usize) {
        let begun = self.tally.begin();
        let outcome = self.client.read(key).await;
        self.tally.end(begun, last_fault, outcome.as_ref().map(|_| ()));
        if let Ok(found) = outcome
            && found.as_deref() != Some(&fact::value(self.seed, key))
        {
            self.tally.wrong_read(format!("key {key} read as {found:02x?}"));
        }
    }
}

/// What was found of all that was written, after the run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Found {
    pub(crate) acknowledged: u64,
    /// Acknowledged, and not there: lost.
    pub(crate) missing: u64,
    /// Acknowledged, and there with another value.
    pub(crate) wrong: u64,
    /// Acknowledged, and not to be read, with the first error.
    pub(crate) unread: u64,
    pub(crate) unread_example: Option<String>,
    /// Of all acknowledged facts, as they were written, and as they were read.
    pub(crate) checksum_written: u64,
    pub(crate) checksum_read: u64,
    /// Of unknown outcome, and how many of them are there.
    pub(crate) unknown: u64,
    pub(crate) unknown_stored: u64,
    /// Of unknown outcome, and there with a value that nobody wrote.
    pub(crate) unknown_wrong: u64,
}

/// Reads all facts back.
pub(crate) async fn read_back<C: Client>(
    client: &C,
    seed: u64,
    concurrency: usize,
    written: &[Written],
    progress: impl Fn(u64),
) -> Found {
    let mut found = Found::default();
    let (mut sum_written, mut sum_read) = (Checksum::default(), Checksum::default());
    let keys = |of: fn(&Written) -> &[i64]| written.iter().flat_map(of).copied();
    let mut reads = stream::iter(keys(|w| &w.acknowledged))
        .map(async |key| (key, read_well(client, key).await))
        .buffer_unordered(concurrency);
    while let Some((key, read)) = reads.next().await {
        let value = fact::value(seed, key);
        found.acknowledged += 1;
        sum_written.add(key, &value);
        match read {
            Ok(Some(read)) => {
                sum_read.add(key, &read);
                found.wrong += u64::from(*read != value);
            }
            Ok(None) => found.missing += 1,
            Err(text) => {
                found.unread += 1;
                found.unread_example.get_or_insert(text);
            }
        }
        progress(found.acknowledged);
    }
    drop(reads);
    let mut reads = stream::iter(keys(|w| &w.unknown))
        .map(async |key| (key, read_well(client, key).await))
        .buffer_unordered(concurrency);
    while let Some((key, read)) = reads.next().await {
        found.unknown += 1;
        if let Ok(Some(read)) = read {
            found.unknown_stored += 1;
            found.unknown_wrong += u64::from(*read != fact::value(seed, key));
        }
    }
    (found.checksum_written, found.checksum_read) = (sum_written.0, sum_read.0);
    found
}

/// One that can't be read at once is asked for again: the nodes are well, but may be busy.
async fn read_well<C: Client>(client: &C, key: i64) -> Result<Option<Vec<u8>>, String> {
    let mut text = String::new();
    for _ in 0..READ_ATTEMPTS {
        match client.read(key).await {
            Ok(value) => return Ok(value),
            Err(failure) => text = failure.text,
        }
    }
    Err(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use super::*;
    use crate::clients::Failure;

    /// A store that forgets some of what it acknowledges, and stores some of what it fails.
    #[derive(Debug, Default)]
    struct Bad {
        stored: Mutex<HashMap<i64, Vec<u8>>>,
        stop: Arc<AtomicBool>,
    }

    impl Client for Bad {
        const NAME: &'static str = "bad";

        async fn connect(_: &[SocketAddr]) -> Result<Self> {
            Ok(Bad::default())
        }

        async fn write(&self, key: i64, value: &[u8]) -> Result<(), Failure> {
            let mut value = value.to_vec();
            if key >= 400 {
                self.stop.store(true, Ordering::Relaxed);
            }
            if key % 10 == 3 {
                value[0] ^= 1;
            }
            if key % 10 != 5 {
                self.stored.lock().unwrap().insert(key, value);
            }
            if key % 10 == 7 {
                return Err(Failure { kind: "Lost".into(), text: "the answer is lost".into() });
            }
            Ok(())
        }

        async fn read(&self, key: i64) -> Result<Option<Vec<u8>>, Failure> {
            Ok(self.stored.lock().unwrap().get(&key).cloned())
        }
    }

    /// The check is worth something only if it finds what is wrong.
    #[tokio::test]
    async fn what_is_lost_or_changed_is_found() {
        let client = Arc::new(Bad::default());
        let tally = Arc::new(Tally::new(1));
        let load = Load {
            client: Arc::clone(&client),
            tally: Arc::clone(&tally),
            stop: Arc::clone(&client.stop),
            seed: 1,
            number: 0,
            interval: Duration::from_micros(1),
            offset: Duration::ZERO,
        };
        let written = load.run().await;
        assert!(!tally.rare().wrong_reads.is_empty());
        let found = read_back(&*client, 1, 8, &[written], |_| ()).await;
        assert_eq!((found.acknowledged, found.missing, found.wrong), (361, 40, 40));
        assert_eq!((found.unknown, found.unknown_stored, found.unknown_wrong), (40, 40, 0));
        assert_ne!(found.checksum_written, found.checksum_read);
    }
}
