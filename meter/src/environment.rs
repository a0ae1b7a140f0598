//! What a measurement needs said beside it: the machine, the kernel, the compiler, the commit.

use std::{fs, path::Path, process::Command, thread};

/// Machine and build that a number was measured on. Unknown facts read "unknown".
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Environment {
    /// Model name of the CPU, as the kernel tells it.
    pub cpu: String,
    /// CPUs this process may use.
    pub cpu_count: usize,
    /// Name and release of the kernel.
    pub kernel: String,
    /// `rustc --version` of the compiler that built this crate.
    pub rustc: &'static str,
    /// Commit of the source tree, with `+changes` when files differ from it.
    pub commit: String,
    /// Bytes of memory the machine has; 0 if unknown.
    pub memory_bytes: u64,
}

impl Environment {
    /// Looks at the machine, and at the git work tree that `source` lies in.
    ///
    /// Allocates, and starts `git` twice: for reports, not for measured stretches.
    pub fn of(source: &Path) -> Self {
        Self {
            cpu: cpu_model(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cpu_count: thread::available_parallelism().map_or(1, |count| count.get()),
            kernel: kernel(),
            rustc: env!("SHARDWIRE_RUSTC_VERSION"),
            commit: commit(source),
            memory_bytes: memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        }
    }
}

fn cpu_model(cpuinfo: &str) -> String {
    // x86 has "model name"; several ARM kernels have "Model" or only "CPU part".
    let field = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    ["model name", "Model", "Hardware", "CPU part"]
        .into_iter()
        .find_map(field)
        .unwrap_or_else(|| UNKNOWN.to_owned())
}

fn memory(meminfo: &str) -> u64 {
    let kib = meminfo.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    kib.and_then(|kib| kib.checked_mul(1024)).unwrap_or_default()
}

fn kernel() -> String {
    let uname = rustix::system::uname();
    format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy())
}

fn commit(source: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(source).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(mut commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return UNKNOWN.to_owned();
    };
    if git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|list| !list.is_empty())
    {
        commit.push_str("+changes");
    }
    commit
}

const UNKNOWN: &str = "unknown";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kernels_write() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: Fast CPU @ 3GHz\n"), "Fast CPU @ 3GHz");
        assert_eq!(cpu_model("processor : 0\nCPU part\t: 0xd0c\n"), "0xd0c");
        assert_eq!(cpu_model(""), "unknown");
        assert_eq!(memory("MemTotal:       16 kB\nMemFree: 3 kB\n"), 16 * 1024);
        assert_eq!(memory(""), 0);
    }

    #[test]
    fn an_unversioned_folder_has_no_commit() {
        assert_eq!(commit(Path::new("/proc")), "unknown");
    }
}
