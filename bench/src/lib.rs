//! Criterion benchmarks and instruction counts
