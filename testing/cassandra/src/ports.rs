//! Ports that are free on all addresses of a cluster, and stay free.
//!
//! All nodes of a cluster have the same ports, on an address each. A port that the kernel hands out
//! (bind to 0, close, use) is the wrong one: the nodes take seconds until they listen, and in that
//! time the kernel may give the same number to any outgoing connection on the machine, also to
//! those that the nodes themselves open. So ports are taken below the range that it hands out, and
//! a lock file per port keeps other launchers from choosing the same.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::folder;

/// Below are the ports of services that people run, also Cassandra's own.
const FIRST: u16 = 10_200;

/// Where the kernel's range begins if it does not say so.
const KERNEL_FIRST: u16 = 32_768;

const KERNEL_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// One port number, taken on all addresses of a cluster as long as this lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Keeps others out until the node's process listens itself.
    listeners: Vec<TcpListener>,
    _lock: File,
}

impl Port {
    /// Takes a port that is free on all `addresses`.
    pub(crate) fn take(addresses: &[Ipv4Addr]) -> Result<Self> {
        let locks = folder::cache()?.join("ports");
        fs::create_dir_all(&locks).with_context(|| format!("no folder {}", locks.display()))?;
        let kernel = fs::read_to_string(KERNEL_RANGE).unwrap_or_default();
        Self::take_in(range(&kernel), addresses, &locks)
    }

    fn take_in(range: Range<u16>, addresses: &[Ipv4Addr], locks: &Path) -> Result<Self> {
        let start = fastrand::u16(range.clone());
        for number in (start..range.end).chain(range.start..start) {
            let Some(lock) = folder::try_lock(&locks.join(number.to_string()))? else { continue };
            let listeners: Result<Vec<_>, _> = addresses
                .iter()
                .map(|address| TcpListener::bind(SocketAddrV4::new(*address, number)))
                .collect();
            if let Ok(listeners) = listeners {
                return Ok(Self { number, listeners, _lock: lock });
            }
        }
        bail!("none of the ports {range:?} is free on all of {addresses:?}")
    }

    /// Its number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// Lets the nodes listen. Other launchers keep out as before.
    pub(crate) fn open(&mut self) {
        self.listeners.clear();
    }
}

/// The ports to choose from, where the kernel hands out those of `kernel`.
fn range(kernel: &str) -> Range<u16> {
    let first = kernel.split_whitespace().next().and_then(|text| text.parse().ok());
    let end: u16 = first.unwrap_or(KERNEL_FIRST);
    // A kernel that hands out nearly all leaves no better choice than its default.
    if end >= FIRST + 1_000 { FIRST..end } else { FIRST..KERNEL_FIRST }
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];

    #[test]
    fn ports_lie_below_the_kernels() {
        assert_eq!(range("32768\t60999\n"), FIRST..32_768);
        assert_eq!(range("20000 60999"), FIRST..20_000);
        assert_eq!(range("1024 65535"), FIRST..KERNEL_FIRST);
        assert_eq!(range(""), FIRST..KERNEL_FIRST);
    }

    #[test]
    fn a_port_is_taken_once() {
        let locks = env::temp_dir().join(format!("shardwire-ports-{:016x}", fastrand::u64(..)));
        fs::create_dir(&locks).unwrap();
        // Find two neighbours that are free, with locks of their own.
        let mut port = Port::take_in(FIRST..KERNEL_FIRST, &ADDRESSES, &locks).unwrap();
        let one = port.number()..port.number() + 1;
        assert!(Port::take_in(one.clone(), &ADDRESSES, &locks).is_err());
        // Where the nodes may listen, other launchers still may not.
        port.open();
        let node = TcpListener::bind(SocketAddrV4::new(ADDRESSES[1], port.number())).unwrap();
        assert!(Port::take_in(one.clone(), &ADDRESSES, &locks).is_err());
        drop(port);
        assert!(Port::take_in(one.clone(), &ADDRESSES, &locks).is_err(), "the second address");
        drop(node);
        assert!(Port::take_in(one, &ADDRESSES, &locks).is_ok());
        fs::remove_dir_all(locks).unwrap();
    }
}
