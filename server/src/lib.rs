//! The embedded node: an in-memory CQL server for tests, benchmarks and demos
