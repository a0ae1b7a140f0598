//! CPU time and memory of the calling process, as the kernel accounts for them.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// CPU time that all threads of this process have used so far, user and system together.
///
/// It is what `getrusage` adds up, read from the process's CPU clock for its nanosecond
/// resolution.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // The kernel keeps both fields of a CPU clock at or above zero.
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// The largest resident set this process has had, in bytes; `None` where `/proc` does not tell.
pub fn peak_rss_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

/// The resident set this process has now, in bytes; `None` where `/proc` does not tell.
pub fn current_rss_bytes() -> Option<u64> {
    status_bytes("VmRSS:")
}

fn status_bytes(field: &str) -> Option<u64> {
    parse_status_bytes(&fs::read_to_string("/proc/self/status").ok()?, field)
}

fn parse_status_bytes(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_fields_are_read_in_bytes() {
        let status = "Name:\tclient\nVmHWM:\t    1234 kB\nVmRSS:\t 7 kB\nThreads:\t1\n";
        assert_eq!(parse_status_bytes(status, "VmHWM:"), Some(1234 * 1024));
        assert_eq!(parse_status_bytes(status, "VmRSS:"), Some(7 * 1024));
        assert_eq!(parse_status_bytes(status, "VmSwap:"), None);
        assert_eq!(parse_status_bytes("VmHWM: lots\n", "VmHWM:"), None);
    }

    #[test]
    fn cpu_time_grows_with_work() {
        let before = cpu_time();
        let mut sum = 0_u64;
        while cpu_time() <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time() > before);
    }
}
