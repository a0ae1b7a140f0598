// Included by the examples in the documentation: a node to talk to, and a session on it.

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Runs an example against an embedded node.
#[allow(dead_code)]
fn node<F: Future<Output = Outcome>>(example: impl FnOnce(String) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cluster = shardwire_server::Cluster::builder().nodes(1).start().await.unwrap();
        example(cluster.contact_points()[0].to_string()).await.unwrap();
    });
}

/// Runs an example with a session and the table `shop.items`.
#[allow(dead_code)]
fn run<F: Future<Output = Outcome>>(example: impl FnOnce(shardwire::Session) -> F) {
    node(|address| async move {
        let session = shardwire::SessionBuilder::new().known_node(address).build().await?;
        schema(&session).await?;
        example(session).await
    });
}

#[allow(dead_code)]
async fn schema(session: &shardwire::Session) -> Outcome {
    let replication = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}";
    let keyspace = format!("CREATE KEYSPACE shop WITH replication = {replication}");
    session.query_unpaged(keyspace, ()).await?;
    session.query_unpaged("CREATE TABLE shop.items (id bigint PRIMARY KEY, name text)", ()).await?;
    Ok(())
}
