//! Closing a session: what is under way gets some time, then everything ends.
//!
//! Dropping the last clone of a session ends it at once; here the caller waits for it.

use std::time::Duration;

use crate::clock::TICK;
use crate::runtime;
use crate::session::Session;

/// How long tasks may take to end once they are told to; they do at once, as far as the runtime
/// lets them run.
const TASKS_END_TIMEOUT: Duration = Duration::from_secs(1);

/// How a session was closed; see [`Session::close`].
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// use std::time::Duration;
///
/// let report = session.close(Duration::from_secs(5)).await;
/// if report.cut > 0 {
///     println!("{} requests were not finished in time", report.cut);
/// }
/// # assert_eq!(report.cut, 0);
/// # Ok(()) });
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "it tells whether requests were cut off"]
pub struct CloseReport {
    /// Requests that were in flight or waiting when the deadline passed, and have failed: with
    /// [`ConnectionLost`](crate::ErrorKind::ConnectionLost) if they may have been sent, else with
    /// [`Shutdown`](crate::ErrorKind::Shutdown). A keepalive of the driver's own counts, too.
    pub cut: usize,
}

impl Session {
    /// Closes the session, for all its clones: new requests fail at once with
    /// [`Shutdown`](crate::ErrorKind::Shutdown); those in flight or waiting, retries included, have
    /// until `deadline` to finish; then all connections are closed and all tasks ended.
    ///
    /// Returns as soon as nothing is under way any more. Each page of a pager is a request, as is
    /// each half of what prepares and then executes; the second one may come too late. Closing a
    /// session that is closed does nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a session that takes no new requests and finishes those that it
    /// has. It ends when it is closed again, or when its last clone is dropped.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// use std::time::Duration;
    ///
    /// use shardwire::ErrorKind;
    ///
    /// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
    /// let (inserted, report) = tokio::join!(
    ///     session.execute_unpaged(&insert, (1_i64, "lamp")),
    ///     session.close(Duration::from_secs(5)),
    /// );
    /// inserted?; // it was in flight
    /// assert_eq!(report.cut, 0);
    /// let error = session.execute_unpaged(&insert, (2_i64, "table")).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Shutdown);
    /// # Ok(()) });
    /// ```
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        let inner = &self.inner;
        inner.begin_close();
        // Looking at it now and then costs requests nothing.
        let finish = async {
            while !inner.is_shut_down() && inner.in_flight() > 0 {
                runtime::sleep(TICK).await;
            }
        };
        runtime::within(deadline, finish).await;
        let cut = if inner.is_shut_down() { 0 } else { inner.in_flight() };
        inner.shut_down();
        let end = async {
            while !inner.has_ended() {
                runtime::sleep(TICK).await;
            }
        };
        runtime::within(TASKS_END_TIMEOUT, end).await;
        CloseReport { cut }
    }
}
