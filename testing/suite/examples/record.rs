//! Asks Apache Cassandra what the scripts give, and writes it down beside them.
//!
//! ```sh
//! cargo run -p shardwire-testing-suite --example record              # starts Cassandra
//! cargo run -p shardwire-testing-suite --example record 127.0.0.1:9042
//! ```

use std::path::Path;

use anyhow::{Context as _, Result};
use shardwire::SessionBuilder;
use shardwire_testing_cassandra::{Cassandra, Version};
use shardwire_testing_suite::{SCRIPTS, play};

#[tokio::main]
async fn main() -> Result<()> {
    let chosen = std::env::args().nth(1);
    let mut cassandra = None;
    let point = match chosen {
        Some(point) => point,
        None => {
            let builder = Cassandra::builder().version(Version::V5_0).schema_in_memory();
            let started = tokio::task::spawn_blocking(move || builder.start()).await??;
            let points = started.contact_points();
            let point = points.first().context("no node")?.to_string();
            cassandra = Some(started);
            point
        }
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let creator = SessionBuilder::new().known_node(&point).build().await?;
    for script in SCRIPTS {
        let keyspace = format!("record_{}", script.name);
        let create = format!(
            "CREATE KEYSPACE {keyspace} WITH replication = \
             {{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}}"
        );
        creator.query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ()).await?;
        creator.query_unpaged(create, ()).await?;
        let session = SessionBuilder::new().known_node(&point).use_keyspace(&keyspace);
        let session = session.build().await?;
        let text = std::fs::read_to_string(folder.join(format!("{}.cql", script.name)))?;
        let written = play(&session, &keyspace, &text).await.context(script.name)?;
        std::fs::write(folder.join(format!("{}.txt", script.name)), written)?;
        creator.query_unpaged(format!("DROP KEYSPACE {keyspace}"), ()).await?;
        println!("{}", script.name);
    }
    drop(cassandra);
    Ok(())
}
