//! Vectors and properties follow.
