//! The suite against embedded nodes, as ScyllaDB and as Cassandra.

use std::process::ExitCode;

use shardwire_server::Persona;
use shardwire_testing_suite::{Access, Configuration, Server};

fn main() -> ExitCode {
    let mut configurations = Vec::new();
    for persona in [Persona::Scylla, Persona::Cassandra] {
        let server = Server::Embedded(persona);
        for (node_count, access) in [
            (3, Access::Open),
            (1, Access::Password),
            (1, Access::Tls),
            (1, Access::ClientCertificates),
        ] {
            configurations.push(Configuration { server, node_count, access });
        }
    }
    shardwire_testing_suite::main(&configurations)
}
