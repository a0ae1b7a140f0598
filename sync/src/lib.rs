//! Slot table, outbox, wait queue and receive chunks: the concurrent parts of the request path
