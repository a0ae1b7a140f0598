//! Where things are kept: what was fetched, in a cache; what a cluster writes, on a RAM disk.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock, statvfs};

/// A RAM disk that Linux mostly has. A first start waits for dozens of writes to reach the disk.
const RAM_DISK: &str = "/dev/shm";

/// Room that a RAM disk must have; containers often get 64 MiB, which three nodes fill soon.
const RAM_DISK_LEN_MIN: u64 = 2 << 30;

/// The folder for what is fetched and for locks; it is created.
pub(crate) fn cache() -> Result<PathBuf> {
    let folder = cache_of(|name| env::var_os(name).map(PathBuf::from))?;
    fs::create_dir_all(&folder).with_context(|| format!("no folder {}", folder.display()))?;
    Ok(folder)
}

fn cache_of(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
    // Empty and, by XDG's rules, relative paths are no paths.
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    if let Some(folder) = absolute("SHARDWIRE_CASSANDRA_CACHE") {
        return Ok(folder);
    }
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let caches = caches.context("no absolute path in SHARDWIRE_CASSANDRA_CACHE, nor in HOME")?;
    Ok(caches.join("shardwire/cassandra"))
}

/// Creates an empty folder for a cluster.
pub(crate) fn create_for_cluster() -> Result<PathBuf> {
    let has_room = |disk: &Path| {
        statvfs(disk).is_ok_and(|stat| stat.f_bavail * stat.f_frsize >= RAM_DISK_LEN_MIN)
    };
    let ram_disk = Some(PathBuf::from(RAM_DISK)).filter(|disk| has_room(disk));
    let name = format!("shardwire-cassandra-{:016x}", fastrand::u64(..));
    let folder = ram_disk.unwrap_or_else(env::temp_dir).join(name);
    create(&folder)
}

/// Creates a folder that does not exist yet; returns it as an absolute path.
pub(crate) fn create(folder: &Path) -> Result<PathBuf> {
    // It holds private keys, and others may write to its parent.
    let created = DirBuilder::new().mode(0o700).create(folder);
    created.with_context(|| format!("no new folder {}", folder.display()))?;
    folder.canonicalize().with_context(|| format!("no path of {}", folder.display()))
}

/// Waits until no other process holds the lock; dropping the file gives it back.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = open_lock(path)?;
    flock(&file, FlockOperation::LockExclusive)
        .with_context(|| format!("no lock on {}", path.display()))?;
    Ok(file)
}

/// The lock, unless another process holds it.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = open_lock(path)?;
    Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file))
}

fn open_lock(path: &Path) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    file.with_context(|| format!("no lock file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_it_was_asked_for() {
        let check = |set: &[(&str, &str)], expect: Option<&str>| {
            let variable = |name: &str| {
                let value = set.iter().find(|(set, _)| *set == name);
                value.map(|(_, value)| PathBuf::from(value))
            };
            assert_eq!(cache_of(variable).ok(), expect.map(PathBuf::from), "{set:?}");
        };
        check(&[("HOME", "/h")], Some("/h/.cache/shardwire/cassandra"));
        check(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], Some("/x/shardwire/cassandra"));
        check(&[("HOME", "/h"), ("XDG_CACHE_HOME", "x")], Some("/h/.cache/shardwire/cassandra"));
        check(&[("HOME", "/h"), ("SHARDWIRE_CASSANDRA_CACHE", "/c")], Some("/c"));
        check(
            &[("HOME", "/h"), ("SHARDWIRE_CASSANDRA_CACHE", "")],
            Some("/h/.cache/shardwire/cassandra"),
        );
        check(&[], None);
        check(&[("HOME", "")], None);
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let path = env::temp_dir().join(format!("shardwire-lock-{:016x}", fastrand::u64(..)));
        let held = try_lock(&path).unwrap();
        assert!(held.is_some());
        assert!(try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn folders_of_clusters_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let (a, b) = (create_for_cluster().unwrap(), create_for_cluster().unwrap());
        assert_ne!(a, b);
        assert_eq!(fs::metadata(&a).unwrap().permissions().mode() & 0o777, 0o700);
        fs::remove_dir(a).unwrap();
        fs::remove_dir(b).unwrap();
    }
}
