//! What a driver must offer to be compared inside of the Rust clients.
//!
//! One file per driver; drivers in other languages join as processes, see `CONTRACT.md`.
//! Next: `scylla.rs`, `shardwire.rs`, then `../traffic.rs`.

pub mod floor;
pub mod scylla;
pub mod shardwire;

use std::future::Future;

use crate::{
    fold::{Answer, Fold},
    job::Job,
    workload::{BATCH_ROWS, BLOB_LEN, Select},
};

/// Why a request, or the whole job, went wrong.
pub type Failure = anyhow::Error;

/// The rows of one batch: `k`, which is common to all, `c` and `v`.
///
/// Every driver binds them as they are. The blob is one whose length is not part of its type: as
/// an array it would be copied by code that no program with blobs of its own gets.
pub type BatchRows = [(i64, i32, Vec<u8>); BATCH_ROWS as usize];

/// One driver, connected, with its statements prepared. A clone per task is made.
///
/// Each method is one request. Implementations read every column of every row through `fold`,
/// with borrowed types where the driver has them, and keep to the settings a careful user of
/// that driver would choose.
pub trait Driver: Clone + Send + Sync + 'static {
    /// Where a paged read stands; the default is its beginning.
    type Cursor: Default + Send + 'static;

    /// Opens sessions as `job` says and prepares the statements of its workload.
    fn connect(job: &Job) -> impl Future<Output = Result<Self, Failure>> + Send;

    /// Version of the protocol that it speaks when `job` asks for one.
    fn protocol_version(job: &Job) -> u8;

    /// Name, version and settings, for the report.
    fn settings() -> String;

    /// Writes one row of (key, c, blob); the answer has no rows.
    fn insert(
        &self,
        key: i64,
        c: i32,
        blob: &[u8; BLOB_LEN],
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// Reads the rows of a key.
    fn select(
        &self,
        select: Select,
        key: i64,
        fold: Fold,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// Writes ten rows of a key in one unlogged batch; the answer has no rows.
    fn batch(&self, rows: &BatchRows) -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// Reads what `batch` wrote.
    fn select_grouped(
        &self,
        key: i64,
        fold: Fold,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// Reads the page of a key's rows at which `cursor` stands, and moves it on.
    fn page(
        &self,
        key: i64,
        cursor: &mut Self::Cursor,
        fold: Fold,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;
}
