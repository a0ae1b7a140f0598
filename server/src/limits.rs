//! What a node puts up with, and for how long it waits for others. Named as in `cassandra.yaml`.

use std::time::Duration;

/// The limits of all nodes; those of Cassandra unless set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) read_request_timeout: Duration,
    pub(crate) write_request_timeout: Duration,
    pub(crate) truncate_request_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read_request_timeout: Duration::from_secs(5),
            write_request_timeout: Duration::from_secs(2),
            truncate_request_timeout: Duration::from_secs(60),
        }
    }
}
