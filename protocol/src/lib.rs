//! The CQL native protocol: frames, messages, values and routing, without I/O
