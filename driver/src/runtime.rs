//! The few things the driver asks of its runtime: tasks, time, notification.
//!
//! Everything else in the crate takes time as a parameter and wakers from its caller, so that the
//! state machines are tested with neither a socket nor a runtime.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub(crate) use tokio::sync::{Notify, broadcast, watch};
pub(crate) use tokio::time::Instant;

/// A background task. Dropping this leaves it running.
pub(crate) struct Task(tokio::task::JoinHandle<()>);

impl Task {
    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_finished()
    }
}

/// Starts a background task; it ends by itself when the session ends.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Task {
    Task(tokio::spawn(task))
}

/// Waits.
pub(crate) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Gives `future` this long; `None` when it took longer.
pub(crate) async fn within<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(time, future).await.ok()
}

/// One timer, allocated once and set again and again.
pub(crate) struct Alarm(Pin<Box<tokio::time::Sleep>>);

impl Alarm {
    // Allocates: once per I/O task.
    pub(crate) fn new() -> Alarm {
        Alarm(Box::pin(tokio::time::sleep(Duration::ZERO)))
    }

    pub(crate) fn set(&mut self, at: Instant) {
        self.0.as_mut().reset(at);
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

/// Runs `work` until it ends or `stop` does.
pub(crate) async fn race(work: impl Future<Output = ()>, stop: impl Future<Output = ()>) {
    let mut work = std::pin::pin!(work);
    let mut stop = std::pin::pin!(stop);
    std::future::poll_fn(|cx| {
        if stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        work.as_mut().poll(cx)
    })
    .await;
}

/// Runs all futures at once; their results in order.
// Allocates: for connecting and keepalives only.
pub(crate) async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<Pin<Box<F>>> = futures.map(Box::pin).collect();
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(output) => *result = Some(output),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// CQL's registered port.
const PORT_DEFAULT: u16 = 9042;

/// Addresses of a contact point given as `name`, `name:port`, `address` or `address:port`.
pub(crate) async fn resolve(node: &str) -> std::io::Result<Vec<SocketAddr>> {
    if let Ok(address) = node.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, PORT_DEFAULT)]);
    }
    if let Ok(address) = node.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    #[cfg(test)]
    if let Some(addresses) = hosts::lookup(node) {
        return Ok(addresses);
    }
    let has_port = node.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let name = if has_port { node.to_owned() } else { format!("{node}:{PORT_DEFAULT}") };
    Ok(tokio::net::lookup_host(name).await?.collect())
}

/// Names that only a test's thread knows, and whose addresses it changes.
#[cfg(test)]
pub(crate) mod hosts {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::net::SocketAddr;

    thread_local! {
        static HOSTS: RefCell<HashMap<String, Vec<SocketAddr>>> = RefCell::default();
    }

    pub(crate) fn set(name: &str, addresses: Vec<SocketAddr>) {
        HOSTS.with_borrow_mut(|hosts| hosts.insert(name.to_owned(), addresses));
    }

    pub(super) fn lookup(name: &str) -> Option<Vec<SocketAddr>> {
        HOSTS.with_borrow(|hosts| hosts.get(name).cloned())
    }
}
