//! Builds the client binaries, which `cargo run` does not. Next: `node.rs`.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

use super::options::Options;
use crate::drivers::Failure;

/// Where the client binaries are.
pub(super) struct Binaries {
    /// With the system allocator.
    pub(super) plain: PathBuf,
    /// With the counting allocator.
    pub(super) counting: PathBuf,
    /// With dhat's allocator; built only where it is asked for.
    pub(super) dhat: Option<PathBuf>,
}

/// Builds them in the profile and target folder of the running program.
///
/// # Errors
///
/// When cargo fails, or the binaries are not beside the program afterwards.
pub(super) fn build_clients(options: &Options) -> Result<Binaries, Failure> {
    let program = env::current_exe().context("cannot find the running program")?;
    let folder = program.parent().context("the program lies in no folder")?;
    // Set by `cargo run`; a program that is started without cargo takes what is there.
    if let Some(mut command) = shardwire_meter::cargo() {
        eprintln!("Building the client processes (once; the first time takes a minute or two) ...");
        command.args(["build", "--package", "shardwire-compare"]);
        command.args(["--bin", "client", "--bin", "client-count"]);
        if options.dhat {
            command.args(["--bin", "client-dhat"]);
        }
        command.args(profile(folder)).arg("--manifest-path");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
        if let Some(target) = target_folder(folder) {
            command.arg("--target-dir").arg(target);
        }
        let status = command.status().context("cannot start cargo")?;
        ensure!(status.success(), "cargo could not build the client processes");
    }
    let binary = |name: &str| {
        let path = folder.join(format!("{name}{}", env::consts::EXE_SUFFIX));
        ensure!(path.is_file(), "there is no {}; start this with `cargo run`", path.display());
        Ok(path)
    };
    Ok(Binaries {
        plain: binary("client")?,
        counting: binary("client-count")?,
        dhat: options.dhat.then(|| binary("client-dhat")).transpose()?,
    })
}

/// The folder `target/<profile>` tells the profile.
fn profile(folder: &Path) -> Vec<String> {
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => Vec::new(),
        Some(profile) => vec!["--profile".to_owned(), profile.to_owned()],
    }
}

/// `target` of `target/<profile>`; `None` of `target/<triple>/<profile>`, where cargo decides.
fn target_folder(folder: &Path) -> Option<&Path> {
    let target = folder.parent()?;
    target.join("CACHEDIR.TAG").is_file().then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_the_folders_name() {
        assert_eq!(profile(Path::new("/x/target/debug")), [""; 0]);
        assert_eq!(profile(Path::new("/x/target/release")), ["--profile", "release"]);
    }
}
