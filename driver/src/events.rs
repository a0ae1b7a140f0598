//! What happens to the cluster and to the session's connections, for whoever wants to know.
//!
//! Whoever tells never waits for those who listen: a listener has the last [`EVENTS_MAX`] events,
//! and is told how many it has missed if it is slower than that. Nothing is kept, nor allocated,
//! until somebody listens. Who tells is `control.rs`, `keeper.rs` and `session.rs`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use shardwire_protocol::response;
use shardwire_protocol::wire::StringList;

use crate::runtime::broadcast;
use crate::session::Session;
use crate::topology::Node;

/// Events that are kept for a listener that is busy.
pub(crate) const EVENTS_MAX: usize = 256;

/// Something that happened to the cluster or to the session's connections.
///
/// What nodes announce is passed on as they say it, and may be late, wrong, or said twice. What the
/// driver itself observes is [`Connected`](Self::Connected) and
/// [`Disconnected`](Self::Disconnected): whether requests can reach the node.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// use shardwire::{Event, SchemaTarget};
///
/// let mut events = session.events();
/// session.query_unpaged("CREATE TABLE shop.carts (id uuid PRIMARY KEY)", ()).await?;
/// while let Some(event) = events.next().await {
///     match event {
///         Event::SchemaChanged(change) => {
///             let name = "carts".into();
///             assert_eq!(change.target, SchemaTarget::Table { name });
///             break;
///         }
///         Event::NodeAdded(node) => println!("{} is new", node.address),
///         Event::Missed(count) => println!("too slow for {count} events"),
///         event => println!("{event:?}"),
///     }
/// }
/// # Ok(()) });
/// ```
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Event {
    /// The node has a connection that requests can use, and had none before.
    Connected(Arc<Node>),
    /// The node's last connection has closed.
    Disconnected(Arc<Node>),
    /// The listener was too slow for so many events.
    Missed(u64),
    /// There is a node that was not there before, or not at this address, in this datacenter or
    /// rack: a node that moves is removed and added. The session connects to it.
    NodeAdded(Arc<Node>),
    /// The nodes that see it say that the node at this address is down. It is asked whether it is,
    /// and used as long as it answers.
    NodeDown(SocketAddr),
    /// The node is no longer listed. Its connections are closed.
    NodeRemoved(Arc<Node>),
    /// The node at this address is said to be up. The session connects to it at once.
    NodeUp(SocketAddr),
    /// The schema changed, and has been read anew.
    SchemaChanged(SchemaChange),
}

/// A change of the schema.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// use shardwire::{Event, SchemaChangeKind, SchemaTarget};
///
/// let mut events = session.events();
/// session.query_unpaged("DROP KEYSPACE shop", ()).await?;
/// let change = loop {
///     match events.next().await {
///         Some(Event::SchemaChanged(change)) => break change,
///         Some(_) => {}
///         None => return Err("the session has ended".into()),
///     }
/// };
/// assert_eq!(change.kind, SchemaChangeKind::Dropped);
/// assert_eq!(&*change.keyspace, "shop");
/// assert_eq!(change.target, SchemaTarget::Keyspace);
/// # Ok(()) });
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SchemaChange {
    /// Whether something came, changed or went.
    pub kind: SchemaChangeKind,
    /// The keyspace in which, or to which, it happened; empty for a target that is not known.
    pub keyspace: Box<str>,
    /// What it happened to.
    pub target: SchemaTarget,
}

/// Whether something came, changed or went.
///
/// ```
/// use shardwire::SchemaChangeKind;
///
/// assert_ne!(SchemaChangeKind::Created, SchemaChangeKind::Dropped);
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SchemaChangeKind {
    /// It is new.
    Created,
    /// It is gone.
    Dropped,
    /// It is there, and is not what it was. So are kinds that are not known.
    Updated,
}

/// What a change of the schema happened to.
///
/// ```
/// use shardwire::SchemaTarget;
///
/// fn is_table(target: &SchemaTarget, table: &str) -> bool {
///     matches!(target, SchemaTarget::Table { name } if **name == *table)
/// }
/// assert!(!is_table(&SchemaTarget::Keyspace, "items"));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SchemaTarget {
    /// A user's aggregate.
    Aggregate {
        /// Its name.
        name: Box<str>,
        /// CQL types of its arguments.
        argument_types: Box<[Box<str>]>,
    },
    /// A user's function.
    Function {
        /// Its name.
        name: Box<str>,
        /// CQL types of its arguments.
        argument_types: Box<[Box<str>]>,
    },
    /// The keyspace itself.
    Keyspace,
    /// A table, one of its indexes, or a materialised view.
    Table {
        /// Its name.
        name: Box<str>,
    },
    /// A user-defined type.
    Type {
        /// Its name.
        name: Box<str>,
    },
    /// Something that the driver does not know, by the node's word for it.
    Other {
        /// The word.
        target: Box<str>,
    },
}

impl SchemaChange {
    /// Keeps what an event says, whose frame is not kept.
    // Allocates: once per change of the schema.
    pub(crate) fn to_owned(change: &response::SchemaChange<'_>) -> SchemaChange {
        use response::SchemaTarget as Target;
        let types = |types: StringList<'_>| types.map(Into::into).collect();
        SchemaChange {
            kind: match change.kind {
                response::SchemaChangeKind::Created => SchemaChangeKind::Created,
                response::SchemaChangeKind::Dropped => SchemaChangeKind::Dropped,
                _ => SchemaChangeKind::Updated,
            },
            keyspace: change.keyspace.into(),
            target: match change.target {
                Target::Aggregate { name, argument_types } => SchemaTarget::Aggregate {
                    name: name.into(),
                    argument_types: types(argument_types),
                },
                Target::Function { name, argument_types } => SchemaTarget::Function {
                    name: name.into(),
                    argument_types: types(argument_types),
                },
                Target::Keyspace => SchemaTarget::Keyspace,
                Target::Table { name } => SchemaTarget::Table { name: name.into() },
                Target::Type { name } => SchemaTarget::Type { name: name.into() },
                Target::Other { target } => SchemaTarget::Other { target: target.into() },
                _ => SchemaTarget::Other { target: "".into() },
            },
        }
    }
}

/// Listens to what happens; see [`Session::events`].
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let mut events = session.events();
/// let task = tokio::spawn(async move {
///     while let Some(event) = events.next().await {
///         println!("{event:?}");
///     }
/// });
/// drop(session);
/// task.await?; // there are no more events
/// # Ok(()) });
/// ```
#[derive(Debug)]
#[must_use = "it listens as long as it is kept"]
pub struct Events {
    receiver: Option<broadcast::Receiver<Event>>,
}

impl Events {
    /// The next event; `None` when the session has ended.
    ///
    /// # Cancel safety
    ///
    /// Safe: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.as_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Event::Missed(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Session {
    /// What happens to the cluster and to the session's connections from now on.
    ///
    /// Who listens first and looks at [`nodes`](Session::nodes) then misses nothing. A listener may
    /// take its time: the driver never waits for it. It has the last 256 events, and is told by
    /// [`Event::Missed`] how many there were before them that it has not seen.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let mut events = session.events();
    /// session.query_unpaged("DROP TABLE shop.items", ()).await?;
    /// assert!(matches!(events.next().await, Some(shardwire::Event::SchemaChanged(_))));
    /// # Ok(()) });
    /// ```
    // Allocates: the events' places, with the first listener.
    pub fn events(&self) -> Events {
        self.inner.listeners.subscribe()
    }
}

/// Those who listen, if any.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Unused,
    Used(broadcast::Sender<Event>),
    Ended,
}

impl Listeners {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        self.with(|state| {
            if let State::Used(sender) = state {
                // An error means that all listeners are gone; others may come.
                drop(sender.send(event()));
            }
        });
    }

    /// There will be no more events.
    pub(crate) fn end(&self) {
        self.with(|state| *state = State::Ended);
    }

    fn subscribe(&self) -> Events {
        let receiver = self.with(|state| match state {
            State::Unused => {
                let (sender, receiver) = broadcast::channel(EVENTS_MAX);
                *state = State::Used(sender);
                Some(receiver)
            }
            State::Used(sender) => Some(sender.subscribe()),
            State::Ended => None,
        });
        Events { receiver }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn numbers(events: &mut Events) -> Vec<u16> {
        let mut ports = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Event::NodeUp(address) => ports.push(address.port()),
                event => panic!("{event:?}"),
            }
        }
        ports
    }

    fn tell(listeners: &Listeners, port: u16) {
        listeners.tell(|| Event::NodeUp(([127, 0, 0, 1], port).into()));
    }

    #[tokio::test]
    async fn each_listener_has_what_happens_from_its_beginning_on() {
        let listeners = Listeners::default();
        listeners.tell(|| panic!("nobody listens"));
        let mut early = listeners.subscribe();
        tell(&listeners, 1);
        let mut late = listeners.subscribe();
        tell(&listeners, 2);
        listeners.end();
        tell(&listeners, 3);
        assert_eq!(numbers(&mut early).await, [1, 2]);
        assert_eq!(numbers(&mut late).await, [2]);
        assert!(numbers(&mut listeners.subscribe()).await.is_empty());
    }

    #[tokio::test]
    async fn a_slow_listener_has_the_last_events_and_knows_what_it_missed() {
        let listeners = Listeners::default();
        let mut events = listeners.subscribe();
        let count = u16::try_from(EVENTS_MAX).unwrap() + 7;
        (0..count).for_each(|port| tell(&listeners, port));
        listeners.end();
        assert!(matches!(events.next().await, Some(Event::Missed(7))));
        assert_eq!(numbers(&mut events).await, (7..count).collect::<Vec<_>>());
    }
}
