//! The suite against Apache Cassandra. Needs Java and Maven; fails without them.
//!
//! All clusters, one after the other, or those that the first argument names in part:
//! `cargo test … -- "5.0.9, 3 nodes"`.

use std::process::ExitCode;

use shardwire_testing_cassandra::Version;
use shardwire_testing_suite::{Access, Configuration, Server};

fn main() -> ExitCode {
    let configurations = [
        (Version::V5_0, 1, Access::Open),
        (Version::V5_0, 1, Access::Password),
        (Version::V5_0, 1, Access::Tls),
        (Version::V5_0, 1, Access::ClientCertificates),
        (Version::V5_0, 3, Access::Open),
        (Version::V4_1, 1, Access::Open),
        (Version::V4_1, 1, Access::Password),
        (Version::V4_1, 1, Access::Tls),
        (Version::V4_1, 1, Access::ClientCertificates),
    ];
    let configurations = configurations.map(|(version, node_count, access)| Configuration {
        server: Server::Cassandra(version),
        node_count,
        access,
    });
    shardwire_testing_suite::main(&configurations)
}
