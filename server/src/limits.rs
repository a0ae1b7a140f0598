//! What a node puts up with, and for how long it waits for others. Named as in `cassandra.yaml`.

use std::time::Duration;

/// The limits of all nodes; those of Cassandra unless set, as far as it has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) read_request_timeout: Duration,
    pub(crate) write_request_timeout: Duration,
    pub(crate) truncate_request_timeout: Duration,
    /// Tombstones that a read may meet: without a warning, and at all.
    pub(crate) tombstone_warn_threshold: usize,
    pub(crate) tombstone_failure_threshold: usize,
    /// Bytes of a batch without a warning.
    pub(crate) batch_size_warn_threshold: usize,
    /// Bytes that are written to one partition at a time, and in version 5 of a message.
    pub(crate) max_mutation_size: usize,
    /// Connections of a node: in all, and from one address.
    pub(crate) max_concurrent_connections: usize,
    pub(crate) max_concurrent_connections_per_ip: usize,
    /// How long a client has to log in, from the beginning of its connection.
    pub(crate) login_timeout: Duration,
    /// Bytes that are held for all clients that keep the nodes waiting.
    pub(crate) held_bytes_max: usize,
    /// Nothing is written to tables of which changes are captured.
    pub(crate) cdc_has_no_room: bool,
    /// Whether nodes keep what others miss, and for how long after these went down.
    pub(crate) hinted_handoff_enabled: bool,
    pub(crate) max_hint_window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read_request_timeout: Duration::from_secs(5),
            write_request_timeout: Duration::from_secs(2),
            truncate_request_timeout: Duration::from_secs(60),
            tombstone_warn_threshold: 1000,
            tombstone_failure_threshold: 100_000,
            batch_size_warn_threshold: 5 << 10,
            max_mutation_size: 16 << 20,
            max_concurrent_connections: usize::MAX,
            max_concurrent_connections_per_ip: usize::MAX,
            login_timeout: Duration::from_secs(10),
            held_bytes_max: 1 << 30,
            cdc_has_no_room: false,
            hinted_handoff_enabled: true,
            max_hint_window: Duration::from_secs(3 * 60 * 60),
        }
    }
}

/// A size as warnings show it.
pub(crate) fn pretty(size: usize) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = |(shift, _): &&(usize, &str)| size >> shift > 0;
    let (shift, unit) = units.iter().find(fits).copied().unwrap_or((10, "KiB"));
    let thousandths = (size.saturating_mul(1000) + (1 << (shift - 1))) >> shift;
    format!("{}.{:03}{unit}", thousandths / 1000, thousandths % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_places() {
        for (size, shown) in [
            (0, "0.000KiB"),
            (512, "0.500KiB"),
            (5 << 10, "5.000KiB"),
            ((20 << 10) + 700, "20.684KiB"),
            ((3 << 20) / 2, "1.500MiB"),
        ] {
            assert_eq!(pretty(size), shown);
        }
    }
}
