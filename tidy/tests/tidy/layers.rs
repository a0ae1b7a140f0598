//! Which crate may use which: the layers of `docs/ARCHITECTURE.md`, and the purity of the lower
//! ones.

use shardwire_tidy::packages::{self, Kind, Package};
use shardwire_tidy::source::{code_only, without_tests, words};
use shardwire_tidy::tree;

use crate::check;

/// What a package may and may not need, development dependencies apart.
struct Layer {
    name: &'static str,
    /// Packages of this workspace that it may depend on.
    ours: &'static [&'static str],
    /// Other packages that it may depend on directly; `None`: it chooses freely.
    others: Option<&'static [&'static str]>,
    /// Packages that must not be reached, however far down.
    never: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    Layer {
        name: "shardwire-protocol",
        ours: &["shardwire-protocol-derive"],
        // crc32fast: the sum of each segment, by the processor's own instructions.
        others: Some(&[
            "ascii",
            "bigdecimal",
            "bytes",
            "chrono",
            "crc32fast",
            "lz4_flex",
            "num-bigint",
            "secrecy",
            "serde_core",
            "serde_json",
            "smallvec",
            "snap",
            "time",
            "uuid",
        ]),
        never: &["tokio", "mio", "socket2", "rustix", "futures", "tracing"],
    },
    Layer {
        name: "shardwire-protocol-derive",
        ours: &[],
        others: Some(&["proc-macro2", "quote", "syn"]),
        never: &["tokio", "mio", "socket2"],
    },
    Layer {
        name: "shardwire-sync",
        ours: &[],
        others: Some(&["loom"]),
        never: &["tokio", "mio", "socket2"],
    },
    Layer {
        name: "shardwire-meter",
        ours: &[],
        others: Some(&["dhat", "nix", "rustix"]),
        never: &["tokio", "mio", "socket2"],
    },
    Layer {
        name: "shardwire",
        ours: &["shardwire-protocol", "shardwire-sync"],
        others: Some(&[
            "arc-swap", "bytes", "fastrand", "ring", "rustls", "smallvec", "socket2", "tokio",
            "tracing", "uuid", "zeroize",
        ]),
        never: &["shardwire-server", "dashmap", "async-trait"],
    },
    Layer {
        name: "shardwire-server",
        ours: &["shardwire-protocol"],
        others: None,
        never: &["shardwire", "shardwire-sync"],
    },
    Layer {
        name: "shardwire-compare",
        ours: &[
            "shardwire",
            "shardwire-meter",
            "shardwire-protocol",
            "shardwire-server",
            "shardwire-testing-cassandra",
        ],
        others: None,
        never: &[],
    },
    Layer {
        name: "shardwire-bench",
        ours: &[
            "shardwire",
            "shardwire-meter",
            "shardwire-protocol",
            "shardwire-server",
            "shardwire-sync",
        ],
        others: None,
        never: &[],
    },
    // No codec of ours: it has to work where that does not.
    Layer {
        name: "shardwire-testing-cassandra",
        ours: &[],
        others: Some(&["anyhow", "clap", "fastrand", "rcgen", "rustix", "rustls", "tokio"]),
        never: &["shardwire", "shardwire-protocol"],
    },
    Layer {
        name: "shardwire-testing-chaos",
        ours: &["shardwire", "shardwire-testing-cassandra"],
        others: None,
        never: &[],
    },
    // The server runs as a program, which clients reach as any other.
    Layer {
        name: "shardwire-testing-clients",
        ours: &["shardwire-meter"],
        others: Some(&["anyhow", "clap", "rustix", "serde_json"]),
        never: &["shardwire", "shardwire-server"],
    },
    Layer {
        name: "shardwire-testing-suite",
        ours: &["shardwire", "shardwire-server", "shardwire-testing-cassandra"],
        others: Some(&["anyhow", "futures", "libtest-mimic", "rcgen", "tokio", "uuid"]),
        never: &[],
    },
    Layer { name: "shardwire-tidy", ours: &[], others: Some(&["serde_json"]), never: &["tokio"] },
];

/// Packages that measure the official driver and may therefore link it.
const MAY_LINK_OFFICIAL: &[&str] =
    &["shardwire-compare", "shardwire-bench", "shardwire-store", "shardwire-testing-chaos"];

/// Files of the driver that may name tokio: connection I/O, connecting, time and spawning.
///
/// The state machines (slots, deframing, deadlines, plans) stay out, so that they are tested with
/// neither socket nor runtime. An entry is a whole path or, if it ends with `/`, a folder.
const DRIVER_FILES_WITH_TOKIO: &[&str] = &[
    "driver/src/connect.rs",
    "driver/src/connect/",
    "driver/src/connection/",
    "driver/src/io.rs",
    "driver/src/io/",
    "driver/src/runtime.rs",
    "driver/src/runtime/",
    "driver/src/no_tls.rs",
    "driver/src/tls/mod.rs",
];

#[test]
fn every_package_has_a_layer() {
    let unknown = packages::members().into_iter().filter(|package| layer(package).is_none());
    let faults: Vec<_> = unknown.map(|package| package.name).collect();
    check("a package that `LAYERS` does not place", &faults);
}

#[test]
fn dependencies_point_downwards() {
    let mut faults = Vec::new();
    for package in packages::members() {
        let Some(layer) = layer(&package) else { continue };
        for dependency in package.dependencies.iter().filter(|d| d.kind != Kind::Dev) {
            let name = dependency.name.as_str();
            let is_ours = name == "shardwire" || name.starts_with("shardwire-");
            let is_allowed = if is_ours {
                layer.ours.contains(&name)
            } else {
                layer.others.is_none_or(|others| others.contains(&name))
            };
            if !is_allowed {
                faults.push(format!("{} -> {name}", package.name));
            }
        }
    }
    check("a dependency that the layer does not allow", &faults);
}

#[test]
fn lower_layers_reach_no_runtime() {
    let mut faults = Vec::new();
    for package in packages::members() {
        let Some(layer) = layer(&package) else { continue };
        let reached = packages::closure(&package);
        let bad = layer.never.iter().filter(|name| reached.contains(**name));
        faults.extend(bad.map(|name| format!("{} reaches {name}", package.name)));
    }
    check("a package that must not be reached", &faults);
}

#[test]
fn only_measuring_packages_link_the_official_driver() {
    let mut faults = Vec::new();
    for package in packages::members() {
        if MAY_LINK_OFFICIAL.contains(&package.name.as_str()) {
            continue;
        }
        let reached = packages::closure(&package);
        let official = reached.iter().filter(|n| *n == "scylla" || n.starts_with("scylla-"));
        faults.extend(official.map(|name| format!("{} reaches {name}", package.name)));
    }
    check("the official driver where it is not measured", &faults);
}

#[test]
fn packages_keep_the_lints() {
    let mut faults = Vec::new();
    for package in packages::members() {
        let path = format!("{}/Cargo.toml", package.folder);
        let manifest = tree::file(&path).expect("cargo read it too").text;
        // Cargo can't change an inherited list, so a package with another one writes it down; what
        // users link keeps the workspace's, and all keep the documentation complete.
        let is_inherited = manifest.contains("[lints]\nworkspace = true");
        let is_own = ["missing_docs", "unreachable_pub"].iter().all(|lint| manifest.contains(lint));
        let must_inherit = ["shardwire", "shardwire-protocol"].contains(&package.name.as_str());
        if !is_inherited && (must_inherit || !is_own) {
            faults.push(path);
        }
    }
    check("a package without the house's lints", &faults);
}

#[test]
fn tokio_is_named_in_few_files_of_the_driver() {
    let is_listed = |path: &str| {
        DRIVER_FILES_WITH_TOKIO
            .iter()
            .any(|entry| path == *entry || (entry.ends_with('/') && path.starts_with(entry)))
    };
    let faults = sources_under("driver/src/", |path, code| {
        !is_listed(path) && words(code).any(|word| word == "tokio" || word == "tokio_rustls")
    });
    check("tokio outside `DRIVER_FILES_WITH_TOKIO`", &faults);
}

#[test]
fn protocol_has_no_clock_thread_or_socket() {
    let banned = ["Instant", "SystemTime", "TcpStream", "TcpListener", "UdpSocket", "thread"];
    let faults = sources_under("protocol/src/", |_, code| {
        words(code).any(|word| banned.contains(&word) || word == "async" || word == "await")
    });
    check("input, output, time or a thread in `protocol`", &faults);
}

#[test]
fn sync_knows_no_cql() {
    let banned = ["opcode", "Opcode", "keyspace", "cql", "Cql", "tokio"];
    let faults =
        sources_under("sync/src/", |_, code| words(code).any(|word| banned.contains(&word)));
    check("CQL or a runtime in `sync`", &faults);
}

#[test]
fn driver_leaves_bytes_to_the_protocol() {
    let banned = ["to_be_bytes", "from_be_bytes", "put_i32", "put_u16"];
    // TLS records are no CQL, and no other crate has a use for them.
    let is_exempt = |path: &str| path == "driver/src/tls/record.rs";
    let faults = sources_under("driver/src/", |path, code| {
        !is_exempt(path) && words(code).any(|word| banned.contains(&word))
    });
    check("byte-level encoding in `driver`", &faults);
}

fn layer(package: &Package) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.name == package.name)
}

/// Paths under `folder`, tests apart, whose code `is_bad`.
fn sources_under(folder: &str, is_bad: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    for file in tree::files(&[".rs"]) {
        let is_test = file.path.ends_with("tests.rs") || file.path.contains("/tests/");
        if !file.path.starts_with(folder) || is_test {
            continue;
        }
        let code = code_only(&file.text);
        if is_bad(&file.path, without_tests(&code)) {
            faults.push(file.path);
        }
    }
    faults
}
