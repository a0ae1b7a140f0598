//! Which CPUs the calling thread, and threads it starts later, may run on.

use std::io;

#[cfg(target_os = "linux")]
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// CPUs (0-based) the calling thread may run on, ascending.
///
/// # Errors
///
/// What the kernel answers; `Unsupported` on systems other than Linux.
#[cfg(target_os = "linux")]
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Lets the calling thread, and every thread and process it starts from now on, run on `cpus`
/// alone.
///
/// # Errors
///
/// What the kernel answers, for instance `InvalidInput` when none of `cpus` exists; `Unsupported`
/// on systems other than Linux.
#[cfg(target_os = "linux")]
pub fn pin_to_cpus(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        if cpu >= CpuSet::MAX_CPU {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        set.set(cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// CPUs (0-based) the calling thread may run on, ascending.
///
/// # Errors
///
/// Always `Unsupported` on this system.
#[cfg(not(target_os = "linux"))]
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Lets the calling thread run on `cpus` alone.
///
/// # Errors
///
/// Always `Unsupported` on this system.
#[cfg(not(target_os = "linux"))]
pub fn pin_to_cpus(_cpus: &[usize]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_sees_one_cpu() {
        let last = *allowed_cpus().unwrap().last().unwrap();
        pin_to_cpus(&[last]).unwrap();
        assert_eq!(allowed_cpus().unwrap(), [last]);
        assert!(pin_to_cpus(&[usize::MAX]).is_err());
        assert!(pin_to_cpus(&[]).is_err());
    }
}
