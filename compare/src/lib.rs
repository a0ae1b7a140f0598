//! Compares CQL drivers on identical workloads
