//! The one error type of the driver, and the facts a retry policy needs.
//!
//! One word wide, so that `Result`s stay small on the request path. The errors that a healthy but
//! busy program meets most - time-outs and `Overloaded` - are shared statics and never allocate;
//! any other error allocates once.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use shardwire_protocol::error::{DeserializeError, FrameError, SerializeError};
use shardwire_protocol::response::ErrorBody;

mod database;

pub use database::{DatabaseError, DbError, OperationType, ReplicaFailures, WriteType};

/// What went wrong, in one word that code can match on.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// use shardwire::ErrorKind;
///
/// let error = session.query_unpaged("SELECT nothing FROM shop.items", ()).await.unwrap_err();
/// match error.kind() {
///     ErrorKind::Database => println!("the node says: {error}"),
///     ErrorKind::Timeout | ErrorKind::Overloaded => println!("too much at once"),
///     kind => panic!("{kind:?}"),
/// }
/// # Ok(()) });
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// A node does not let us in: the credentials are wrong, missing, or not of the kind that its
    /// authenticator takes. Nothing was sent but these.
    Authentication,
    /// An argument or a setting is not usable; nothing was sent.
    Config,
    /// No connection could be opened.
    Connect,
    /// The connection broke while the request was on it.
    ConnectionLost,
    /// The node answered with an ERROR message; see [`Error::database_code`].
    Database,
    /// A column could not be read as the type asked for.
    Deserialize,
    /// The result is not of the shape that was asked for (no rows, more than one row ...).
    Result,
    /// The connection's or the session's limits are reached; nothing was sent.
    Overloaded,
    /// The peer broke the protocol.
    Protocol,
    /// A value could not be written as the type the statement wants; nothing was sent.
    Serialize,
    /// The session was closed.
    Shutdown,
    /// The deadline passed.
    Timeout,
    /// A reply is larger than the limits allow.
    TooLarge,
}

/// Why a connection ended. Copied to each request that was on it.
///
/// ```
/// use shardwire::Lost;
///
/// let lost = Lost::KeepaliveTimeout;
/// assert_eq!(lost.to_string(), "connection closed: no answer to a keepalive");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lost {
    /// The peer closed the connection.
    ClosedByPeer,
    /// The operating system reported an error.
    Io(std::io::ErrorKind),
    /// The peer sent something that is not CQL, or announced something beyond the limits.
    Frame(FrameError),
    /// The peer answered on a stream that has no request.
    UnknownStream(i16),
    /// The peer sent something that is not TLS, or said in TLS that it gives up.
    Tls(&'static str),
    /// No answer to a keepalive within its time-out.
    KeepaliveTimeout,
    /// Too many requests were abandoned whose replies never came.
    TooManyOrphans,
    /// The driver closed it: the node left, its pool was rebuilt, or the session ended.
    ClosedByDriver,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::ClosedByPeer => f.write_str("the node closed the connection"),
            Lost::Io(kind) => write!(f, "connection broken: {kind}"),
            Lost::Frame(e) => write!(f, "connection closed because of a bad frame: {e}"),
            Lost::UnknownStream(s) => {
                write!(
                    f,
                    "connection closed: the node answered on stream {s}, which has no request"
                )
            }
            Lost::Tls(what) => write!(f, "connection closed: {what}"),
            Lost::KeepaliveTimeout => f.write_str("connection closed: no answer to a keepalive"),
            Lost::TooManyOrphans => {
                f.write_str("connection closed: too many replies to abandoned requests outstanding")
            }
            Lost::ClosedByDriver => f.write_str("the driver closed the connection"),
        }
    }
}

/// Any failure of the driver.
///
/// Cheap to clone and to move. [`kind`](Self::kind) says what happened;
/// [`was_sent`](Self::was_sent) and [`is_safe_to_retry`](Self::is_safe_to_retry) are what a retry
/// policy needs.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// use std::time::Duration;
///
/// use shardwire::{Error, PreparedStatement, Session};
///
/// async fn add(session: &Session, insert: &PreparedStatement, id: i64) -> Result<(), Error> {
///     for pause_ms in [10, 100] {
///         match session.execute_unpaged(insert, (id, "lamp")).await {
///             Err(error) if error.is_safe_to_retry() => {
///                 tokio::time::sleep(Duration::from_millis(pause_ms)).await;
///             }
///             result => return result.map(drop),
///         }
///     }
///     session.execute_unpaged(insert, (id, "lamp")).await.map(drop)
/// }
///
/// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
/// add(&session, &insert, 7).await?;
/// # Ok(()) });
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    was_sent: bool,
    detail: Detail,
}

enum Detail {
    None,
    Static(&'static str),
    Text(Box<str>),
    Database(DatabaseError),
    Serialize { source: SerializeError, column: Option<Box<str>> },
    Deserialize { source: DeserializeError, column: Option<Box<str>> },
    Lost(Lost),
    Frame(FrameError),
    Connect { peer: Option<SocketAddr>, reason: Box<str> },
    Authentication { peer: SocketAddr, authenticator: Option<Box<str>>, reason: Box<str> },
}

static TIMEOUT_SENT: LazyLock<Error> = LazyLock::new(|| fixed(ErrorKind::Timeout, true));
static TIMEOUT_UNSENT: LazyLock<Error> = LazyLock::new(|| fixed(ErrorKind::Timeout, false));
static OVERLOADED: LazyLock<Error> = LazyLock::new(|| fixed(ErrorKind::Overloaded, false));

fn fixed(kind: ErrorKind, was_sent: bool) -> Error {
    Error(Arc::new(Inner { kind, was_sent, detail: Detail::None }))
}

impl Error {
    /// What went wrong.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// use shardwire::ErrorKind;
    ///
    /// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
    /// let error = session.execute_unpaged(&insert, (7_i32, "lamp")).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Serialize);
    /// assert_eq!(error.to_string(), "column \"id\": i32 does not fit bigint");
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the request may have reached a node. `false` is a promise: nothing was executed.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
    /// let error = session.execute_unpaged(&insert, (None::<i64>, "lamp")).await.unwrap_err();
    /// assert!(!error.was_sent()); // a key cannot be null, which is known before anything is sent
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn was_sent(&self) -> bool {
        self.0.was_sent
    }

    /// Whether sending the same request again cannot apply it twice, whatever the statement.
    ///
    /// True when nothing was sent, or when the node says that it refused the request before
    /// doing anything (overloaded, bootstrapping, unprepared, unavailable).
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::faulty(|cluster, session| async move {
    /// # use shardwire_server::{FaultAction, FaultRule};
    /// # let (code, message) = (0x1001, "busy".to_owned());
    /// # let rule = FaultRule::new(FaultAction::Error { code, message }).statement("UPDATE");
    /// # cluster.add_fault(rule.limit(1));
    /// let update = "UPDATE shop.items SET name = 'lamp' WHERE id = 7";
    /// let error = session.query_unpaged(update, ()).await.unwrap_err();
    /// assert_eq!(error.database_code(), Some(0x1001)); // the node is overloaded
    /// assert!(error.is_safe_to_retry());
    /// session.query_unpaged(update, ()).await?;
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn is_safe_to_retry(&self) -> bool {
        if !self.0.was_sent {
            return !matches!(
                self.0.kind,
                ErrorKind::Authentication
                    | ErrorKind::Config
                    | ErrorKind::Serialize
                    | ErrorKind::Shutdown
            );
        }
        matches!(self.database_code(), Some(0x1000 | 0x1001 | 0x1002 | 0x2500))
    }

    /// The node's ERROR message with its fields, if that is what this is.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// use shardwire::DbError;
    ///
    /// let error = session.query_unpaged("SELECT id FROM shop.cars", ()).await.unwrap_err();
    /// let answer = error.database().expect("a node has answered");
    /// assert_eq!(answer.db_error(), &DbError::Invalid); // there is no such table
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn database(&self) -> Option<&DatabaseError> {
        match &self.0.detail {
            Detail::Database(error) => Some(error),
            _ => None,
        }
    }

    /// The code of the node's ERROR message (CQL v4 section 9), if that is what this is.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let error = session.query_unpaged("SELEC", ()).await.unwrap_err();
    /// assert_eq!(error.database_code(), Some(0x2000)); // a syntax error
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn database_code(&self) -> Option<i32> {
        self.database().map(DatabaseError::code)
    }

    /// The text of the node's ERROR message, if that is what this is.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let error = session.query_unpaged("SELECT id FROM shop.cars", ()).await.unwrap_err();
    /// assert!(error.database_message().is_some_and(|text| text.contains("cars")));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn database_message(&self) -> Option<&str> {
        self.database().map(DatabaseError::message)
    }

    /// Why the connection ended, if that is what this is.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::faulty(|cluster, session| async move {
    /// # use shardwire_server::{FaultAction, FaultRule};
    /// # cluster.add_fault(FaultRule::new(FaultAction::Close).statement("UPDATE").limit(1));
    /// use shardwire::{ErrorKind, Lost};
    ///
    /// let update = "UPDATE shop.items SET name = 'lamp' WHERE id = 7";
    /// let error = session.query_unpaged(update, ()).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    /// assert_eq!(error.lost(), Some(Lost::ClosedByPeer));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        match self.0.detail {
            Detail::Lost(lost) => Some(lost),
            _ => None,
        }
    }

    pub(crate) fn timeout(was_sent: bool) -> Error {
        if was_sent { TIMEOUT_SENT.clone() } else { TIMEOUT_UNSENT.clone() }
    }

    pub(crate) fn overloaded() -> Error {
        OVERLOADED.clone()
    }

    /// Makes the shared errors, so that a first time-out does not allocate.
    pub(crate) fn warm_up() {
        LazyLock::force(&TIMEOUT_SENT);
        LazyLock::force(&TIMEOUT_UNSENT);
        LazyLock::force(&OVERLOADED);
    }

    fn new(kind: ErrorKind, was_sent: bool, detail: Detail) -> Error {
        Error(Arc::new(Inner { kind, was_sent, detail }))
    }

    pub(crate) fn config(what: impl Into<Box<str>>) -> Error {
        Error::new(ErrorKind::Config, false, Detail::Text(what.into()))
    }

    pub(crate) fn shutdown() -> Error {
        Error::new(ErrorKind::Shutdown, false, Detail::None)
    }

    pub(crate) fn result(what: &'static str) -> Error {
        Error::new(ErrorKind::Result, true, Detail::Static(what))
    }

    pub(crate) fn too_large(what: &'static str) -> Error {
        Error::new(ErrorKind::TooLarge, true, Detail::Static(what))
    }

    pub(crate) fn request_too_large(len: usize, max: usize) -> Error {
        let text = format!("the request is {len} bytes long, the limit is {max}");
        Error::new(ErrorKind::TooLarge, false, Detail::Text(text.into()))
    }

    pub(crate) fn lost_on(lost: Lost) -> Error {
        let kind = match lost {
            Lost::Frame(_) | Lost::UnknownStream(_) => ErrorKind::Protocol,
            _ => ErrorKind::ConnectionLost,
        };
        Error::new(kind, true, Detail::Lost(lost))
    }

    /// The same, where the request was not sent.
    pub(crate) fn lost_unsent(lost: Lost) -> Error {
        Error::new(ErrorKind::ConnectionLost, false, Detail::Lost(lost))
    }

    pub(crate) fn protocol(source: impl Into<FrameError>) -> Error {
        Error::new(ErrorKind::Protocol, true, Detail::Frame(source.into()))
    }

    pub(crate) fn unexpected(what: &'static str) -> Error {
        Error::new(ErrorKind::Protocol, true, Detail::Static(what))
    }

    pub(crate) fn connect(peer: Option<SocketAddr>, reason: impl Into<Box<str>>) -> Error {
        Error::new(ErrorKind::Connect, false, Detail::Connect { peer, reason: reason.into() })
    }

    /// `authenticator` is the class that the node named, if it came so far.
    pub(crate) fn authentication(
        peer: SocketAddr,
        authenticator: Option<Box<str>>,
        reason: String,
    ) -> Error {
        let detail = Detail::Authentication { peer, authenticator, reason: reason.into() };
        Error::new(ErrorKind::Authentication, false, detail)
    }

    pub(crate) fn serialize(source: SerializeError, column: Option<&str>) -> Error {
        let column = column.map(Into::into);
        Error::new(ErrorKind::Serialize, false, Detail::Serialize { source, column })
    }

    pub(crate) fn deserialize(source: DeserializeError, column: Option<&str>) -> Error {
        let column = column.map(Into::into);
        Error::new(ErrorKind::Deserialize, true, Detail::Deserialize { source, column })
    }

    pub(crate) fn answered(body: &ErrorBody<'_>, peer: Option<SocketAddr>) -> Error {
        let detail = Detail::Database(DatabaseError::of(body, peer));
        Error::new(ErrorKind::Database, true, detail)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.detail, self.0.kind) {
            (Detail::Static(text), _) => f.write_str(text),
            (Detail::Text(text), _) => f.write_str(text),
            (Detail::Database(error), _) => write!(f, "{error}"),
            (Detail::Serialize { source, column: Some(name) }, _) => {
                write!(f, "column \"{name}\"{source:#}")
            }
            (Detail::Serialize { source, column: None }, _) => write!(f, "{source}"),
            (Detail::Deserialize { source, column: Some(name) }, _) => {
                write!(f, "column \"{name}\"{source:#}")
            }
            (Detail::Deserialize { source, column: None }, _) => write!(f, "{source}"),
            (Detail::Lost(lost), _) => write!(f, "{lost}"),
            (Detail::Frame(e), _) => write!(f, "the node broke the protocol: {e}"),
            (Detail::Connect { peer: Some(peer), reason }, _) => {
                write!(f, "could not connect to {peer}: {reason}")
            }
            (Detail::Connect { peer: None, reason }, _) => write!(f, "could not connect: {reason}"),
            (Detail::Authentication { peer, authenticator: Some(name), reason }, _) => {
                write!(f, "authentication by {name:?} failed at {peer}: {reason}")
            }
            (Detail::Authentication { peer, authenticator: None, reason }, _) => {
                write!(f, "authentication failed at {peer}: {reason}")
            }
            (Detail::None, ErrorKind::Timeout) if self.0.was_sent => {
                f.write_str("the request was sent but not answered within its time-out")
            }
            (Detail::None, ErrorKind::Timeout) => {
                f.write_str("the request could not be sent within its time-out")
            }
            (Detail::None, ErrorKind::Overloaded) => {
                f.write_str("too many requests wait for room on the connection")
            }
            (Detail::None, ErrorKind::Shutdown) => f.write_str("the session is closed"),
            (Detail::None, kind) => write!(f, "{kind:?}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}, sent: {}, {self})", self.0.kind, self.0.was_sent)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.detail {
            Detail::Serialize { source, .. } => Some(source),
            Detail::Deserialize { source, .. } => Some(source),
            Detail::Frame(source) => Some(source),
            _ => None,
        }
    }
}

const _: () = assert!(size_of::<Error>() == size_of::<usize>());

#[cfg(test)]
mod tests {
    use shardwire_protocol::response::Agreed;
    use shardwire_protocol::wire::Reader;

    use super::*;

    #[test]
    fn is_one_word() {
        assert_eq!(size_of::<Error>(), 8);
        assert_eq!(size_of::<Option<Error>>(), 8);
    }

    #[test]
    fn says_what_may_be_retried() {
        assert!(Error::timeout(false).is_safe_to_retry());
        assert!(!Error::timeout(true).is_safe_to_retry());
        assert!(Error::overloaded().is_safe_to_retry());
        let database = |code: [u8; 2], fields: &[u8]| {
            let body = [&[0, 0], &code[..], &[0, 0], fields].concat();
            let body = ErrorBody::parse(Reader::new(&body), &Agreed::default()).unwrap();
            Error::answered(&body, None)
        };
        assert!(database([0x10, 0x01], &[]).is_safe_to_retry());
        assert!(!database([0x11, 0x00], &[0; 12]).is_safe_to_retry());
        assert!(!Error::config("bad").is_safe_to_retry());
    }
}
