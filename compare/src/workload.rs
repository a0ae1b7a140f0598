//! What is measured: tables, statements, the values written, and the answer each read must give.
//!
//! Everything is a function of a request's number, so that any driver, in any language, sends
//! the same requests and can be checked against the same sum. Next: `fold.rs`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::fold::Fold;

/// One kind of traffic. Readable names with, in brackets, those of the project's early notes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Inserts one row of (bigint, int, 64-byte blob) (W1).
    Insert,
    /// Reads one such row (R1).
    #[serde(rename = "select-1")]
    Select1,
    /// Reads ten rows of (bigint, int, 32-byte text, 64-byte blob) (R10).
    #[serde(rename = "select-10")]
    Select10,
    /// Reads a hundred such rows (R100).
    #[serde(rename = "select-100")]
    Select100,
    /// An unlogged batch of ten inserts into one partition (B10).
    #[serde(rename = "batch-10")]
    Batch10,
    /// Four reads of one row, then an insert, and so on.
    Mixed,
    /// Reads a partition of a hundred rows in pages of 25; a page is a request.
    Scan,
}

impl Workload {
    /// All of them, in the order in which reports list them.
    pub const ALL: [Self; 7] = [
        Self::Insert,
        Self::Select1,
        Self::Select10,
        Self::Select100,
        Self::Batch10,
        Self::Mixed,
        Self::Scan,
    ];

    /// The name in options, in the contract and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Select1 => "select-1",
            Self::Select10 => "select-10",
            Self::Select100 => "select-100",
            Self::Batch10 => "batch-10",
            Self::Mixed => "mixed",
            Self::Scan => "scan",
        }
    }

    /// What the request with number `number` does.
    #[inline]
    pub fn action(self, number: u64) -> Action {
        match self {
            Self::Insert => Action::Insert,
            Self::Select1 => Action::Select(Select::One),
            Self::Select10 => Action::Select(Select::Ten),
            Self::Select100 => Action::Select(Select::Hundred),
            Self::Batch10 => Action::Batch,
            Self::Mixed if number % MIXED_PERIOD == MIXED_PERIOD - 1 => Action::Insert,
            Self::Mixed => Action::Select(Select::One),
            Self::Scan => Action::Page,
        }
    }

    /// Whether the rows it reads lie in the table of large partitions.
    pub fn reads_wide_rows(self) -> bool {
        matches!(self, Self::Select10 | Self::Select100 | Self::Scan)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|workload| workload.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|workload| workload.name()).collect();
            format!("unknown workload `{name}`; known are {}", known.join(", "))
        })
    }
}

/// One request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// [`INSERT`] of one row.
    Insert,
    /// A read of a known number of rows.
    Select(Select),
    /// [`INSERT_GROUPED`] ten times in an unlogged batch.
    Batch,
    /// The next page of [`SCAN`].
    Page,
}

/// The three reads that are not paged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Select {
    /// [`SELECT_1`].
    One,
    /// [`SELECT_10`].
    Ten,
    /// [`SELECT_100`].
    Hundred,
}

impl Select {
    /// Rows that the reply must have.
    #[inline]
    pub fn row_count(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Ten => 10,
            Self::Hundred => 100,
        }
    }
}

/// The keyspace of all tables; every statement names it.
pub const KEYSPACE: &str = "shardwire_compare";

/// The tables, to be created in a keyspace that exists.
pub const TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS shardwire_compare.point \
     (k bigint, c int, v blob, PRIMARY KEY (k, c))",
    "CREATE TABLE IF NOT EXISTS shardwire_compare.grouped \
     (k bigint, c int, v blob, PRIMARY KEY (k, c))",
    "CREATE TABLE IF NOT EXISTS shardwire_compare.wide \
     (k bigint, c int, t text, v blob, PRIMARY KEY (k, c))",
];

/// Writes one row; bound: key, 0, [`blob`].
pub const INSERT: &str = "INSERT INTO shardwire_compare.point (k, c, v) VALUES (?, ?, ?)";
/// Reads one row; bound: key.
pub const SELECT_1: &str = "SELECT k, c, v FROM shardwire_compare.point WHERE k = ? LIMIT 1";
/// Reads ten rows; bound: key.
pub const SELECT_10: &str = "SELECT k, c, t, v FROM shardwire_compare.wide WHERE k = ? LIMIT 10";
/// Reads a hundred rows; bound: key.
pub const SELECT_100: &str = "SELECT k, c, t, v FROM shardwire_compare.wide WHERE k = ? LIMIT 100";
/// Reads a partition of a hundred rows, [`PAGE_ROWS`] at a time; bound: key.
pub const SCAN: &str = "SELECT k, c, t, v FROM shardwire_compare.wide WHERE k = ?";
/// Writes one row of a batch; bound: key, 0 to 9, [`blob`].
pub const INSERT_GROUPED: &str = "INSERT INTO shardwire_compare.grouped (k, c, v) VALUES (?, ?, ?)";
/// Reads what a batch wrote; bound: key.
pub const SELECT_GROUPED: &str = "SELECT k, c, v FROM shardwire_compare.grouped WHERE k = ?";
/// Writes one row of a large partition, before the runs; bound: key, 0 to 99, [`text`], [`blob`].
pub const INSERT_WIDE: &str = "INSERT INTO shardwire_compare.wide (k, c, t, v) VALUES (?, ?, ?, ?)";

/// Rows in a page of the scan.
pub const PAGE_ROWS: u32 = 25;
/// Pages after which a scan starts over with the next key.
pub const SCAN_PAGES: u32 = WIDE_ROWS / PAGE_ROWS;
/// Rows in a large partition.
pub const WIDE_ROWS: u32 = 100;
/// Rows in a batch.
pub const BATCH_ROWS: u32 = 10;
/// Of so many requests of the mixed workload the last is an insert.
pub const MIXED_PERIOD: u64 = 5;
/// Bytes in every blob.
pub const BLOB_LEN: usize = 64;
/// Bytes in every text, all of them ASCII.
pub const TEXT_LEN: usize = 32;
/// Partitions over which the requests of a run cycle, where the rows are not really stored or
/// are small.
pub const PARTITIONS: u64 = 100_000;
/// Partitions of a hundred rows that are really stored, for the runs that need them.
pub const WIDE_PARTITIONS_STORED: u64 = 1_000;

/// The blob of a row: sixteen bytes that depend on the row, then `PATTERN`.
///
/// Cheap on purpose: it is made for each request inside of the measured stretch.
#[inline]
pub fn blob(key: i64, c: i32) -> [u8; BLOB_LEN] {
    let mut blob = PATTERN;
    renew_blob(&mut blob, key, c);
    blob
}

/// Turns the blob of any row into that of another; cheaper than making one from nothing.
///
/// # Panics
///
/// If it is shorter than what differs from row to row.
#[inline]
pub fn renew_blob(blob: &mut [u8], key: i64, c: i32) {
    let varying: &mut [u8; 16] = blob.first_chunk_mut().expect("blobs are longer");
    let mark = row_mark(key, c);
    varying[..8].copy_from_slice(&mark.to_be_bytes());
    varying[8..].copy_from_slice(&(!mark).to_be_bytes());
}

/// The text of a row of a large partition: its mark in hexadecimal, then its key, zero-padded.
pub fn text(key: i64, c: i32) -> [u8; TEXT_LEN] {
    let written = format!("{:016x}{key:016x}", row_mark(key, c));
    let mut text = [b'0'; TEXT_LEN];
    text.copy_from_slice(&written.as_bytes()[..TEXT_LEN]);
    text
}

/// A number that differs from row to row: `key * 0x9e37_79b9_7f4a_7c15 + c`, wrapping.
#[inline]
fn row_mark(key: i64, c: i32) -> u64 {
    (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(c as u64)
}

/// Bytes 16 to 63 of every blob are these.
const PATTERN: [u8; BLOB_LEN] = {
    let mut pattern = [0; BLOB_LEN];
    let mut index = 0;
    while index < BLOB_LEN {
        pattern[index] = (index as u8).wrapping_mul(37).wrapping_add(11);
        index += 1;
    }
    pattern
};

/// The sum that reading rows `first..first + count` of a table for `key` must give.
pub fn expected_sum(table: Table, key: i64, first: u32, count: u32) -> u64 {
    let mut fold = Fold::whole(key);
    for c in first..first + count {
        let c = c as i32;
        fold.bigint(key);
        fold.int(c);
        if table == Table::Wide {
            fold.bytes(&text(key, c));
        }
        fold.bytes(&blob(key, c));
    }
    fold.finish()
}

/// The sum over all replies of a checked run of `requests` requests; see `CONTRACT.md`.
pub fn expected_checksum(workload: Workload, first_key: i64, keys: u64, requests: u64) -> u64 {
    let mut total = 0_u64;
    let mut add = |sum: u64| total = total.wrapping_add(sum);
    let key_of = |index: u64| first_key + (index % keys) as i64;
    match workload {
        Workload::Insert => {
            (0..requests.min(keys)).for_each(|n| add(expected_sum(Table::Point, key_of(n), 0, 1)));
        }
        Workload::Batch10 => (0..requests.min(keys))
            .for_each(|n| add(expected_sum(Table::Grouped, key_of(n), 0, BATCH_ROWS))),
        Workload::Select1 | Workload::Mixed => (0..requests)
            .filter(|&n| workload.action(n) != Action::Insert)
            .for_each(|n| add(expected_sum(Table::Point, key_of(n), 0, 1))),
        Workload::Select10 => {
            (0..requests).for_each(|n| add(expected_sum(Table::Wide, key_of(n), 0, 10)));
        }
        Workload::Select100 => {
            (0..requests).for_each(|n| add(expected_sum(Table::Wide, key_of(n), 0, WIDE_ROWS)));
        }
        Workload::Scan => (0..requests).for_each(|n| {
            let (key, page) = scan_position(n);
            add(expected_sum(Table::Wide, key_of(key), page * PAGE_ROWS, PAGE_ROWS));
        }),
    }
    total
}

/// Which key's index, and which of its pages, the `number`th request of a scan by one task reads.
#[inline]
pub fn scan_position(number: u64) -> (u64, u32) {
    let pages = u64::from(SCAN_PAGES);
    (number / pages, (number % pages) as u32)
}

/// The three tables.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Table {
    /// One row per partition.
    Point,
    /// Ten rows per partition, written by batches.
    Grouped,
    /// A hundred rows per partition.
    Wide,
}
