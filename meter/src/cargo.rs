//! Starting cargo from a program that cargo runs, without building anew what is built.

use std::env;
use std::process::Command;

/// What cargo tells a program about the package that it belongs to begins with one of these.
const OF_THE_PACKAGE: [&str; 2] = ["CARGO_MANIFEST_", "CARGO_PKG_"];

/// The cargo that runs this program; `None` if it was started without.
///
/// The variables that describe this program's package are not passed on. Build scripts may ask to
/// run again when they change (that of `ring` does, and all that depends on it is then compiled
/// anew), and a cargo that is started in a shell has none of them.
///
/// ```
/// // As any program that `cargo run` or `cargo test` starts.
/// let mut cargo = shardwire_meter::cargo().expect("this test is run by cargo");
/// let output = cargo.arg("--version").output()?;
/// assert!(String::from_utf8_lossy(&output.stdout).starts_with("cargo"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn cargo() -> Option<Command> {
    let mut command = Command::new(env::var_os("CARGO")?);
    for (name, _) in env::vars_os() {
        let is_of_it = |start: &&str| name.to_string_lossy().starts_with(*start);
        if OF_THE_PACKAGE.iter().any(is_of_it) {
            command.env_remove(name);
        }
    }
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_not_passed_on() {
        let cargo = cargo().unwrap();
        let is_removed =
            |name: &str| cargo.get_envs().any(|(key, value)| key == name && value.is_none());
        assert!(is_removed("CARGO_PKG_NAME") && is_removed("CARGO_MANIFEST_DIR"));
        assert!(!is_removed("CARGO") && !is_removed("PATH"));
    }
}
