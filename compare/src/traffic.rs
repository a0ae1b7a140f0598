//! Turns the requests of a workload into calls of a driver.
//!
//! One type per workload rather than one `match`: each task's future then holds the state of
//! one kind of request, as in a program that makes only that kind. Next: `measure.rs`.

use std::{array, future::Future};

use crate::{
    drivers::{BatchRows, Driver, Failure},
    fold::{Answer, Fold},
    job::Job,
    workload::{self, Action, BLOB_LEN, SCAN_PAGES, Select, Workload},
};

/// Which request a task makes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Step {
    /// The number of the unit: a request, or of the scan a whole partition.
    pub unit: u64,
    /// The page within the unit; 0 but for the scan.
    pub page: u32,
}

/// The requests of one task: every `stride`th unit, page after page.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    next: Step,
    stride: u64,
    pages: u32,
}

impl Steps {
    /// The requests of task `index` of `job.concurrency`.
    pub fn new(job: &Job, index: u64) -> Self {
        Self {
            next: Step { unit: index, page: 0 },
            stride: u64::from(job.concurrency),
            pages: pages_per_unit(job.workload),
        }
    }

    /// The next request; there is no end.
    #[inline]
    pub fn advance(&mut self) -> Step {
        let step = self.next;
        self.next.page += 1;
        if self.next.page >= self.pages {
            self.next = Step { unit: step.unit + self.stride, page: 0 };
        }
        step
    }
}

/// Requests that make up a unit.
pub fn pages_per_unit(workload: Workload) -> u32 {
    if workload == Workload::Scan { SCAN_PAGES } else { 1 }
}

/// The key of a unit.
#[inline]
pub fn key_of(job: &Job, unit: u64) -> i64 {
    job.first_key.wrapping_add((unit % job.keys) as i64)
}

/// Rows that the reply to a request must have.
#[inline]
pub fn rows_expected(workload: Workload, unit: u64) -> u32 {
    match workload.action(unit) {
        Action::Insert | Action::Batch => 0,
        Action::Select(select) => select.row_count(),
        Action::Page => workload::PAGE_ROWS,
    }
}

/// One kind of requests, and what a task keeps between two of them.
pub trait Traffic<D: Driver>: Default + Send + 'static {
    /// Makes one request.
    fn request(
        &mut self,
        driver: &D,
        key: i64,
        step: Step,
        fold: Fold,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;
}

/// [`Workload::Insert`]; keeps its blob, of which each request renews what the key decides.
pub struct Insert([u8; BLOB_LEN]);

impl Default for Insert {
    fn default() -> Self {
        Self(workload::blob(0, 0))
    }
}

impl<D: Driver> Traffic<D> for Insert {
    fn request(
        &mut self,
        driver: &D,
        key: i64,
        _: Step,
        _: Fold,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send {
        workload::renew_blob(&mut self.0, key, 0);
        driver.insert(key, 0, &self.0)
    }
}

/// [`Workload::Select1`].
#[derive(Default)]
pub struct Select1;

impl<D: Driver> Traffic<D> for Select1 {
    fn request(
        &mut self,
        driver: &D,
        key: i64,
        _: Step,
        fold: Fold,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send {
        driver.select(Select::One, key, fold)
    }
}

/// [`Workload::Select10`].
#[derive(Default)]
pub struct Select10;

impl<D: Driver> Traffic<D> for Select10 {
    fn request(
        &mut self,
        driver: &D,
        key: i64,
        _: Step,
        fold: Fold,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send {
        driver.select(Select::Ten, key, fold)
    }
}

/// [`Workload::Select100`].
#[derive(Default)]
pub struct Select100;

impl<D: Driver> Traffic<D> for Select100 {
    fn request(
        &mut self,
        driver: &D,
        key: i64,
        _: Step,
        fold: Fold,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send {
        driver.select(Select::Hundred, key, fold)
    }
}

/// [`Workload::Batch10`]; keeps its rows, of which each request renews what the key decides.
pub struct Batch10(BatchRows);

impl Default for Batch10 {
    fn default() -> Self {
        Self(array::from_fn(|c| (0, c as i32, workload::blob(0, c as i32).to_vec())))
    }
}

impl<D: Driver> Traffic<D> for Batch10 {
    fn request(
        &mut self,
        driver: &D,
        key: i64,
        _: Step,
        _: Fold,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send {
        for (k, c, blob) in &mut self.0 {
            *k = key;
            workload::renew_blob(blob, key, *c);
        }
        driver.batch(&self.0)
    }
}

/// Reads back what [`Workload::Batch10`] wrote.
#[derive(Default)]
pub struct SelectGrouped;

impl<D: Driver> Traffic<D> for SelectGrouped {
    fn request(
        &mut self,
        driver: &D,
        key: i64,
        _: Step,
        fold: Fold,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send {
        driver.select_grouped(key, fold)
    }
}

/// [`Workload::Mixed`].
#[derive(Default)]
pub struct Mixed;

impl<D: Driver> Traffic<D> for Mixed {
    async fn request(
        &mut self,
        driver: &D,
        key: i64,
        step: Step,
        fold: Fold,
    ) -> Result<Answer, Failure> {
        if Workload::Mixed.action(step.unit) == Action::Insert {
            let blob = workload::blob(key, 0);
            return driver.insert(key, 0, &blob).await;
        }
        driver.select(Select::One, key, fold).await
    }
}

/// [`Workload::Scan`].
pub struct Scan<C>(C);

impl<C: Default> Default for Scan<C> {
    fn default() -> Self {
        Self(C::default())
    }
}

impl<D: Driver> Traffic<D> for Scan<D::Cursor> {
    async fn request(
        &mut self,
        driver: &D,
        key: i64,
        step: Step,
        fold: Fold,
    ) -> Result<Answer, Failure> {
        if step.page == 0 {
            self.0 = D::Cursor::default();
        }
        driver.page(key, &mut self.0, fold).await
    }
}
