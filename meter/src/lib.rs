//! Measuring: counting allocator, CPU time, CPU affinity
