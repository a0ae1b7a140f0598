//! Finding loopback addresses and ports that are free on all nodes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use socket2::{Domain, Socket, Type};

/// Where the nodes listen: node `i` on the first address plus `i`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Addresses {
    /// A 127.x.y.0/24 net that nobody listens in, nodes from .1 on.
    #[default]
    Auto,
    /// This address for the first node.
    From(Ipv4Addr),
}

impl From<Ipv4Addr> for Addresses {
    fn from(address: Ipv4Addr) -> Self {
        Self::From(address)
    }
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Nets, or ports, that are tried before giving up.
const TRIES: usize = 200;
/// Ports that are tried where any will do: below those that systems give to outgoing connections,
/// so that no client's connection sits on a node's port while the node is stopped.
const FREE_PORTS: std::ops::Range<u16> = 10_000..30_000;
/// What is added to the port to get the shard-aware one, as ScyllaDB's defaults do.
const SHARD_AWARE_OFFSET: u16 = 10_000;

/// What to listen on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) addresses: Addresses,
    pub(crate) nodes: usize,
    /// 0 for any that is free on all addresses.
    pub(crate) port: u16,
    pub(crate) shard_aware: ShardAware,
}

/// Whether there is a shard-aware port, and which.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ShardAware {
    None,
    /// The plain port plus 10,000, or any if the plain one was not chosen by the user.
    Default,
    /// This one; 0 for any.
    Port(u16),
}

/// The listeners of one node.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) address: Ipv4Addr,
    pub(crate) plain: std::net::TcpListener,
    pub(crate) shard_aware: Option<std::net::TcpListener>,
}

/// Binds a listener. Blocking is switched off, as tokio wants it.
pub(crate) fn bind(address: Ipv4Addr, port: u16) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // A port whose last connections are in TIME_WAIT is free; one that is listened on is not.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::V4(SocketAddrV4::new(address, port)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Binds all listeners of a cluster.
pub(crate) fn bind_all(wanted: Wanted) -> io::Result<Vec<Listeners>> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for _ in 0..TRIES {
        let first = match wanted.addresses {
            Addresses::From(address) => address,
            // 127.0.x.y is left to people; .1 is the first node of each net.
            Addresses::Auto => Ipv4Addr::new(127, fastrand::u8(1..=254), fastrand::u8(..), 1),
        };
        match bind_from(first, wanted) {
            Ok(listeners) => return Ok(listeners),
            Err(error) => last = error,
        }
        let nothing_to_vary = wanted.addresses != Addresses::Auto
            && wanted.port != 0
            && wanted.shard_aware != ShardAware::Port(0);
        if nothing_to_vary || last.kind() != io::ErrorKind::AddrInUse {
            break;
        }
    }
    Err(last)
}

fn bind_from(first: Ipv4Addr, wanted: Wanted) -> io::Result<Vec<Listeners>> {
    let address_of = |index: usize| {
        let offset = u32::try_from(index).unwrap_or(u32::MAX);
        first.to_bits().checked_add(offset).map(Ipv4Addr::from_bits)
    };
    let any_if_0 = |port| if port == 0 { fastrand::u16(FREE_PORTS) } else { port };
    let port = any_if_0(wanted.port);
    let shard_aware_port = match wanted.shard_aware {
        ShardAware::None => None,
        ShardAware::Default if wanted.port == 0 => Some(any_if_0(0)),
        ShardAware::Default => Some(any_if_0(port.checked_add(SHARD_AWARE_OFFSET).unwrap_or(0))),
        ShardAware::Port(port) => Some(any_if_0(port)),
    };
    let mut all = Vec::new();
    for index in 0..wanted.nodes {
        let out_of_range = || io::Error::other("the addresses end before the nodes do");
        let address = address_of(index).ok_or_else(out_of_range)?;
        let plain = bind(address, port)?;
        let shard_aware = shard_aware_port.map(|port| bind(address, port)).transpose()?;
        all.push(Listeners { address, plain, shard_aware });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_clusters_at_a_time_do_not_collide() {
        let wanted = Wanted {
            addresses: Addresses::Auto,
            nodes: 3,
            port: 0,
            shard_aware: ShardAware::Default,
        };
        let clusters: Vec<_> = (0..20).map(|_| bind_all(wanted).unwrap()).collect();
        for nodes in &clusters {
            let ports: Vec<_> =
                nodes.iter().map(|node| node.plain.local_addr().unwrap().port()).collect();
            assert!(ports.iter().all(|port| *port == ports[0]));
        }
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let taken = bind(Ipv4Addr::LOCALHOST, 0).unwrap();
        let wanted = Wanted {
            addresses: Addresses::From(Ipv4Addr::LOCALHOST),
            nodes: 1,
            port: taken.local_addr().unwrap().port(),
            shard_aware: ShardAware::None,
        };
        assert_eq!(bind_all(wanted).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
