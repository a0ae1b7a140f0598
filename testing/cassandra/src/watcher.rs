//! A process that cleans up after a cluster, also when the process that started it is killed.
//!
//! It waits for the end of a pipe that only the launcher holds open, so it learns of the launcher's
//! death whatever the cause. The kernel's death signal would not do: it is sent when the *thread*
//! that started the node ends, and tests start clusters in threads of their own.
//!
//! Invariant: nodes are in the watcher's process group and nobody else is, so what to end is known
//! without process ids, which might have been given to others. The group's number can't be given to
//! others either while the watcher is in it.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// `$1` is the cluster's folder, `$2` whether to remove it. The group's number is the shell's own.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
while read -r line; do :; done
others=1
while [ "$others" ]; do
  others=
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    pid=${line%% *}
    # After the name, which may hold anything, in brackets: state, parent, group.
    set -- "$1" "$2" ${line##*) }
    if [ "$5" = "$$" ] && [ "$pid" != "$$" ] && [ "$3" != Z ] && [ "$3" != X ]; then
      kill -9 "$pid" 2>/dev/null
      others=1
    fi
  done
  [ "$others" ] && sleep 0.02
done
if [ "$2" = remove ]; then rm -rf -- "$1"; fi
"#;

/// Whether the files of a cluster outlive it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Files {
    Keep,
    Remove,
}

/// The watcher of one cluster.
#[derive(Debug)]
pub(crate) struct Watcher {
    child: Child,
}

impl Watcher {
    /// Starts it.
    pub(crate) fn start(folder: &Path, files: Files) -> Result<Self> {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "shardwire-cassandra-watcher"])
            .arg(folder)
            .arg(if files == Files::Remove { "remove" } else { "keep" })
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("no `sh` to clean up with")?;
        Ok(Self { child })
    }

    /// The process group that nodes have to be in.
    pub(crate) fn group(&self) -> Result<i32> {
        i32::try_from(self.child.id()).context("a process id past 2^31")
    }

    /// Ends all nodes, removes the folder, and returns when that is done.
    pub(crate) fn finish(&mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait().context("the clean-up")?;
        if !status.success() {
            bail!("the clean-up ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            eprintln!("cassandra: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::folder;

    fn sleeper(watcher: &Watcher) -> Child {
        let group = watcher.group().unwrap();
        Command::new("sleep").arg("600").process_group(group).spawn().unwrap()
    }

    #[test]
    fn ends_its_group_and_removes_the_folder() {
        let folder = folder::create_for_cluster().unwrap();
        let mut watcher = Watcher::start(&folder, Files::Remove).unwrap();
        let (mut a, mut b) = (sleeper(&watcher), sleeper(&watcher));
        // Also one that does nothing any more, not even die of a gentler signal.
        let b_pid = rustix::process::Pid::from_child(&b);
        rustix::process::kill_process(b_pid, rustix::process::Signal::STOP).unwrap();
        assert!(a.try_wait().unwrap().is_none());
        watcher.finish().unwrap();
        assert_eq!(a.wait().unwrap().signal(), Some(9));
        assert_eq!(b.wait().unwrap().signal(), Some(9));
        assert!(!folder.exists());
    }

    #[test]
    fn leaves_others_and_kept_folders_alone() {
        let folder = folder::create_for_cluster().unwrap();
        let watcher = Watcher::start(&folder, Files::Keep).unwrap();
        let other = Watcher::start(&folder, Files::Keep).unwrap();
        let mut of_other = sleeper(&other);
        drop(watcher);
        assert!(of_other.try_wait().unwrap().is_none());
        drop(other);
        assert_eq!(of_other.wait().unwrap().signal(), Some(9));
        assert!(folder.exists());
        std::fs::remove_dir(folder).unwrap();
    }
}
