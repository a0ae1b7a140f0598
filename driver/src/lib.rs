//! An allocation-minimal, shard-aware CQL driver for ScyllaDB and Apache Cassandra
