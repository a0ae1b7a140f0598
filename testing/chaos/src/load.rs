//! The load: clients that write unique keys, and read what was acknowledged to them.

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use serde::Serialize;
use tokio::sync::watch;

use crate::clients::Client;
use crate::fact::{self, Checksum};
use crate::pace;
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
    pub(crate) calls: watch::Receiver<u64>,
    pub(crate) seed: u64,
    pub(crate) number: u32,
}

impl<C: Client> Load<C> {
    /// Asks when it is called, until nobody calls any more. What it asks follows from the seed and
    /// the call's number, so that two drivers that are called at once also ask the same.
    pub(crate) async fn run(mut self) -> Written {
        let mut written = Written::default();
        let mut last_fault = 0;
        while let Some(call) = pace::next(&mut self.calls).await {
            let key = fact::key(self.number, call);
            let mut rng = fastrand::Rng::with_seed(self.seed ^ key.cast_unsigned().rotate_left(31));
            let known = rng.choice(&written.acknowledged).copied().filter(|_| rng.bool());
            match known {
                Some(key) => self.read(key, &mut last_fault).await,
                None => self.write(key, &mut written, &mut last_fault).await,
            }
        }
        written
    }

    async fn write(&self, key: i64, written: &mut Written, last_fault: &mut usize) {
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
    use std::collections::{HashMap, HashSet};
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use std::time::Instant;

    use anyhow::Result;

    use super::*;
    use crate::clients::Failure;
    use crate::pace::Calls;

    /// A store that forgets some of what it acknowledges, and stores some of what it fails.
    #[derive(Debug, Default)]
    struct Bad {
        stored: Mutex<HashMap<i64, Vec<u8>>>,
        /// Keys, and whether they were read.
        asked: Mutex<Vec<(i64, bool)>>,
    }

    impl Client for Bad {
        const NAME: &'static str = "bad";

        async fn connect(_: &[SocketAddr]) -> Result<Self> {
            Ok(Bad::default())
        }

        async fn write(&self, key: i64, value: &[u8]) -> Result<(), Failure> {
            self.asked.lock().unwrap().push((key, false));
            let mut value = value.to_vec();
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
            self.asked.lock().unwrap().push((key, true));
            Ok(self.stored.lock().unwrap().get(&key).cloned())
        }
    }

    /// One client that gets a thousand calls and a wave in their midst.
    async fn load(client: &Arc<Bad>, tally: &Arc<Tally>) -> Written {
        let calls = Calls::new(1);
        let load = Load {
            client: Arc::clone(client),
            tally: Arc::clone(tally),
            calls: calls.listen().next().unwrap(),
            seed: 1,
            number: 0,
        };
        let call = async move {
            for number in 0..1_000 {
                calls.tick(number);
                tokio::task::yield_now().await;
                if number == 500 {
                    calls.wave(1);
                    tokio::task::yield_now().await;
                }
            }
        };
        // Both in one task, so that the load is idle again whenever it is called.
        futures::future::join(load.run(), call).await.0
    }

    /// The check is worth something only if it finds what is wrong.
    #[tokio::test]
    async fn what_is_lost_or_changed_is_found() {
        let client = Arc::new(Bad::default());
        let tally = Arc::new(Tally::new(1, Instant::now()));
        let written = load(&client, &tally).await;
        assert!(!tally.rare().wrong_reads.is_empty());
        let ending =
            |keys: &[i64], with| keys.iter().filter(|key| **key % 10 == with).count() as u64;
        let (missing, wrong) = (ending(&written.acknowledged, 5), ending(&written.acknowledged, 3));
        let unknown = written.unknown.len() as u64;
        assert!(missing.min(wrong).min(unknown) > 10, "{missing} {wrong} {unknown}");
        assert_eq!(unknown, ending(&written.unknown, 7));
        let acknowledged = written.acknowledged.len() as u64;
        let found = read_back(&*client, 1, 8, &[written], |_| ()).await;
        assert_eq!(found.acknowledged, acknowledged);
        assert_eq!((found.missing, found.wrong), (missing, wrong));
        assert_eq!(
            (found.unknown, found.unknown_stored, found.unknown_wrong),
            (unknown, unknown, 0)
        );
        assert_ne!(found.checksum_written, found.checksum_read);
    }

    #[tokio::test]
    async fn what_is_asked_follows_from_seed_and_calls() {
        let clients = [Arc::new(Bad::default()), Arc::new(Bad::default())];
        for client in &clients {
            load(client, &Arc::new(Tally::new(1, Instant::now()))).await;
        }
        let [ours, theirs] = clients.map(|client| client.asked.lock().unwrap().clone());
        assert_eq!(ours, theirs);
        assert_eq!(ours.len(), 1_001);
        let written: Vec<_> = ours.iter().filter(|(_, is_read)| !is_read).collect();
        assert!((400..600).contains(&written.len()), "{} of 1001 write", written.len());
        assert_eq!(written.iter().collect::<HashSet<_>>().len(), written.len(), "a key came twice");
    }
}
