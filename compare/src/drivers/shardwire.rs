//! Shardwire itself, at its defaults.
//!
//! Next: `../traffic.rs`.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use shardwire::{
    Batch, BatchType, PagingState, PreparedStatement, ProtocolVersion, QueryResult, Session,
    SessionBuilder,
};

use super::{BatchRows, Driver, Failure};
use crate::{
    fold::{Answer, Fold},
    job::{Compression, Job},
    workload::{self, BLOB_LEN, Select},
};

/// A session and the prepared statements; clones share both.
#[derive(Clone)]
pub struct Shardwire(Arc<Inner>);

struct Inner {
    session: Session,
    insert: PreparedStatement,
    select_1: PreparedStatement,
    select_10: PreparedStatement,
    select_100: PreparedStatement,
    select_grouped: PreparedStatement,
    scan: PreparedStatement,
    batch: Batch,
}

impl Driver for Shardwire {
    type Cursor = Option<PagingState>;

    fn settings() -> String {
        "shardwire; a connection per shard; execute_unpaged and execute_single_page on prepared \
         statements; rows borrowed; token-aware; no tracing; other settings at their defaults"
            .to_owned()
    }

    fn protocol_version(job: &Job) -> u8 {
        job.protocol_version
    }

    async fn connect(job: &Job) -> Result<Self, Failure> {
        let compression = match job.compression {
            Compression::None => shardwire::Compression::None,
            Compression::Lz4 => shardwire::Compression::Lz4,
        };
        // Named, so that what is spoken is known and the same as others speak.
        let version = match Self::protocol_version(job) {
            5 => ProtocolVersion::V5,
            4 => ProtocolVersion::V4,
            other => bail!("there is no protocol version {other} here, but 4 and 5"),
        };
        let session = SessionBuilder::new()
            .known_nodes(&job.contact_points)
            .compression(Some(compression))
            .protocol_version(version)
            .build()
            .await
            .context("cannot open a session")?;
        let prepare = async |cql: &str| {
            let mut statement = session.prepare(cql).await.with_context(|| cql.to_owned())?;
            statement.set_use_cached_result_metadata(true);
            Ok::<_, Failure>(statement)
        };
        let mut scan = prepare(workload::SCAN).await?;
        scan.set_page_size(workload::PAGE_ROWS as i32);
        let grouped = prepare(workload::INSERT_GROUPED).await?;
        let mut batch = Batch::new(BatchType::Unlogged);
        (0..workload::BATCH_ROWS).for_each(|_| batch.append_statement(grouped.clone()));
        Ok(Self(Arc::new(Inner {
            insert: prepare(workload::INSERT).await?,
            select_1: prepare(workload::SELECT_1).await?,
            select_10: prepare(workload::SELECT_10).await?,
            select_100: prepare(workload::SELECT_100).await?,
            select_grouped: prepare(workload::SELECT_GROUPED).await?,
            scan,
            batch,
            session,
        })))
    }

    async fn insert(&self, key: i64, c: i32, blob: &[u8; BLOB_LEN]) -> Result<Answer, Failure> {
        let inner = &*self.0;
        inner.session.execute_unpaged(&inner.insert, (key, c, blob.as_slice())).await?;
        Ok(Answer::default())
    }

    async fn select(&self, select: Select, key: i64, fold: Fold) -> Result<Answer, Failure> {
        let inner = &*self.0;
        let statement = match select {
            Select::One => &inner.select_1,
            Select::Ten => &inner.select_10,
            Select::Hundred => &inner.select_100,
        };
        let result = inner.session.execute_unpaged(statement, (key,)).await?;
        match select {
            Select::One => fold_points(result, fold),
            Select::Ten | Select::Hundred => fold_wide(result, fold),
        }
    }

    async fn batch(&self, rows: &BatchRows) -> Result<Answer, Failure> {
        self.0.session.batch(&self.0.batch, rows.as_slice()).await?;
        Ok(Answer::default())
    }

    async fn select_grouped(&self, key: i64, fold: Fold) -> Result<Answer, Failure> {
        let inner = &*self.0;
        let result = inner.session.execute_unpaged(&inner.select_grouped, (key,)).await?;
        fold_points(result, fold)
    }

    async fn page(
        &self,
        key: i64,
        cursor: &mut Option<PagingState>,
        fold: Fold,
    ) -> Result<Answer, Failure> {
        let inner = &*self.0;
        let state = cursor.take();
        let (result, next) = inner.session.execute_single_page(&inner.scan, (key,), state).await?;
        *cursor = next.into_paging_state();
        fold_wide(result, fold)
    }
}

fn fold_points(result: QueryResult, mut fold: Fold) -> Result<Answer, Failure> {
    let result = result.into_rows_result()?;
    let mut rows = 0;
    for row in result.rows::<(i64, i32, &[u8])>()? {
        let (k, c, v) = row?;
        fold.bigint(k);
        fold.int(c);
        fold.bytes(v);
        rows += 1;
    }
    Ok(Answer { rows, sum: fold.finish() })
}

fn fold_wide(result: QueryResult, mut fold: Fold) -> Result<Answer, Failure> {
    let result = result.into_rows_result()?;
    let mut rows = 0;
    for row in result.rows::<(i64, i32, &str, &[u8])>()? {
        let (k, c, t, v) = row?;
        fold.bigint(k);
        fold.int(c);
        fold.bytes(t.as_bytes());
        fold.bytes(v);
        rows += 1;
    }
    Ok(Answer { rows, sum: fold.finish() })
}
