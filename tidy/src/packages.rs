//! The workspace's packages and what each depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::tree;

/// A package of the workspace.
#[derive(Clone, Debug)]
pub struct Package {
    /// As in its `Cargo.toml`.
    pub name: String,
    /// Folder from the repository's root.
    pub folder: String,
    /// What it declares, whatever the target or feature.
    pub dependencies: Vec<Dependency>,
    /// The root files of its libraries and programs, from the repository's root.
    pub crate_roots: Vec<String>,
}

/// A dependency that a package declares.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dependency {
    /// The package's name, not what it was renamed to.
    pub name: String,
    /// What it is needed for.
    pub kind: Kind,
    /// The `cfg` it is limited to, if it is.
    pub target: Option<String>,
}

/// What a dependency is needed for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// To build the package.
    Normal,
    /// For its build script.
    Build,
    /// For its tests, examples and benchmarks.
    Dev,
}

/// The members of the workspace, as cargo reads them.
///
/// # Panics
///
/// If cargo can't read the workspace.
pub fn members() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(tree::root())
        .output()
        .expect("cargo runs, since it runs this");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo can't read the workspace: {error}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    array(&metadata, "packages").iter().map(package).collect()
}

/// All that `package` needs in the end, from `Cargo.lock`; development dependencies, its own and
/// those of other members, are not followed.
///
/// `Cargo.lock` covers every platform and needs nothing to be downloaded, unlike cargo's own
/// resolver.
pub fn closure(package: &Package) -> BTreeSet<String> {
    let lock = tree::file("Cargo.lock").expect("the workspace has a lock file");
    let mut edges = lock_edges(&lock.text);
    // The lock has what members need for their tests too, and does not tell it apart.
    edges.extend(members().iter().map(|member| (member.name.clone(), built(member))));
    let mut waiting = built(package);
    let mut found = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if let Some(next) = edges.get(&name).filter(|_| !found.contains(&name)) {
            waiting.extend(next.iter().cloned());
        }
        found.insert(name);
    }
    found
}

/// What a package needs to be built.
fn built(package: &Package) -> Vec<String> {
    let is_built = |dependency: &&Dependency| dependency.kind != Kind::Dev;
    package.dependencies.iter().filter(is_built).map(|d| d.name.clone()).collect()
}

/// Name -> names; versions are merged, which can only make a rule stricter.
fn lock_edges(lock: &str) -> BTreeMap<String, Vec<String>> {
    let mut edges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut name = String::new();
    for line in lock.lines() {
        if let Some(value) = line.strip_prefix("name = ") {
            name = value.trim_matches('"').to_owned();
        } else if let Some(value) = line.strip_prefix(" \"") {
            let value = value.trim_end_matches(['"', ',']);
            let needed = value.split(' ').next().unwrap_or(value);
            edges.entry(name.clone()).or_default().push(needed.to_owned());
        }
    }
    edges
}

fn package(value: &Value) -> Package {
    let root = tree::root();
    let from_root = |path: &str| {
        let path = std::path::Path::new(path);
        path.strip_prefix(&root).unwrap_or(path).to_string_lossy().into_owned()
    };
    let manifest = from_root(&string(value, "manifest_path"));
    let folder = manifest.trim_end_matches("Cargo.toml").trim_end_matches('/').to_owned();
    let is_shipped = |target: &&Value| {
        array(target, "kind").iter().any(|kind| {
            matches!(kind.as_str(), Some("lib" | "bin" | "proc-macro" | "rlib" | "staticlib"))
        })
    };
    Package {
        name: string(value, "name"),
        folder,
        dependencies: array(value, "dependencies").iter().map(dependency).collect(),
        crate_roots: array(value, "targets")
            .iter()
            .filter(is_shipped)
            .map(|target| from_root(&string(target, "src_path")))
            .collect(),
    }
}

fn dependency(value: &Value) -> Dependency {
    let kind = match value.get("kind").and_then(Value::as_str) {
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        _ => Kind::Normal,
    };
    let target = value.get("target").and_then(Value::as_str).map(str::to_owned);
    Dependency { name: string(value, "name"), kind, target }
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn string(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lock_edges() {
        let lock = "[[package]]\nname = \"a\"\ndependencies = [\n \"b\",\n \"c 1.0.0\",\n]\n";
        let edges = lock_edges(lock);
        assert_eq!(edges.get("a").map(Vec::as_slice), Some(&["b".to_owned(), "c".to_owned()][..]));
    }
}
