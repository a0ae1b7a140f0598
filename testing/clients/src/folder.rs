//! The cache of what is fetched, and its locks.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

/// The folder for what is fetched; it is created.
pub(crate) fn cache() -> Result<PathBuf> {
    let folder = cache_of(|name| env::var_os(name).map(PathBuf::from))?;
    fs::create_dir_all(&folder).with_context(|| format!("no folder {}", folder.display()))?;
    Ok(folder)
}

fn cache_of(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
    // Empty and, by XDG's rules, relative paths are no paths.
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    if let Some(folder) = absolute("SHARDWIRE_CLIENTS_CACHE") {
        return Ok(folder);
    }
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let caches = caches.context("no absolute path in SHARDWIRE_CLIENTS_CACHE, nor in HOME")?;
    Ok(caches.join("shardwire/clients"))
}

/// Waits until no other process holds the lock; dropping the file gives it back.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.with_context(|| format!("no lock file {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive)
        .with_context(|| format!("no lock on {}", path.display()))?;
    Ok(file)
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
        check(&[("HOME", "/h")], Some("/h/.cache/shardwire/clients"));
        check(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], Some("/x/shardwire/clients"));
        check(&[("HOME", "/h"), ("SHARDWIRE_CLIENTS_CACHE", "/c")], Some("/c"));
        check(&[("HOME", "")], None);
    }
}
