//! Opens a socket and agrees on how to talk: OPTIONS, STARTUP, and the shard it landed on.
//! Logging in, where the node asks for it, is `login.rs`.
//!
//! To reach a given shard the socket is bound to a source port that the node's shard-aware port
//! maps to it (ScyllaDB, "shard-aware port"); a port that is taken is passed over.
//! Requests are not the business of this file: the finished socket goes to the I/O task.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use shardwire_protocol::error::{FrameError, PeerMisbehaved};
use shardwire_protocol::header::{HEADER_LEN, Opcode, ResponseHeader, Version};
use shardwire_protocol::request::{
    Options, Parameters, Query, Request, Startup, ValueNames, encode_request,
};
use shardwire_protocol::response::{Agreed, Body, ErrorCode, Response};
use shardwire_protocol::routing::Sharder;
use shardwire_protocol::supported::{Extensions, Supported, TabletsRouting};
use tokio::net::{TcpSocket, TcpStream};
use zeroize::Zeroizing;

use super::Framing;
use super::channel::{Channel, Stream};
use super::login::{UnderWay, log_in};
use crate::error::Error;
use crate::runtime;
use crate::settings::{Compression, ProtocolVersion, Settings};
use crate::tls::stream::Secured;

/// A socket that is ready for requests.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) stream: TcpStream,
    /// What is sent and received is sealed by and opened with.
    pub(crate) secured: Option<Secured>,
    pub(crate) supported: Supported,
    pub(crate) version: Version,
    pub(crate) framing: Framing,
}

/// Which shard a socket should land on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) sharder: Sharder,
    pub(crate) shard: u16,
}

/// Why a socket is not used.
#[derive(Debug)]
pub(super) enum Failure {
    /// The node's ERROR.
    Error { code: ErrorCode, message: String },
    /// There are no credentials that fit the node, or the mechanism does not go on.
    Refused(String),
    /// Anything else.
    Reason(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Failure {
        Failure::Reason(reason)
    }
}

/// Connects, shakes hands and logs in, within the connect time-out. `agreed` is the version that
/// the session speaks already.
///
/// # Errors
///
/// [`crate::ErrorKind::Authentication`] with the authenticator if other nodes would not let us in
/// either, [`crate::ErrorKind::Connect`] otherwise; with the address and the reason. Whatever was
/// opened is closed.
pub(crate) async fn establish(
    peer: SocketAddr,
    wanted: Option<Wanted>,
    settings: &Settings,
    agreed: Option<Version>,
) -> Result<Established, Error> {
    let under_way = UnderWay::default();
    let steps = async {
        let stream = match wanted {
            None => TcpStream::connect(peer).await.map_err(|e| e.to_string())?,
            Some(wanted) => connect_to_shard(peer, wanted, &settings.source_ports).await?,
        };
        stream.set_nodelay(settings.tcp_nodelay).map_err(|e| e.to_string())?;
        let stream = encrypt(stream, peer, settings).await?;
        shake_hands(stream, settings, agreed, &under_way).await
    };
    let failure = match runtime::within(settings.connect_timeout, steps).await {
        Some(Ok(established)) => return Ok(established),
        Some(Err(failure)) => failure,
        None => Failure::Reason(format!("no answer within {:?}", settings.connect_timeout)),
    };
    let authenticator = under_way.into_authenticator();
    let (reason, is_refused) = match failure {
        Failure::Error { code, message } => {
            let reason = format!("{code} (0x{:04x}): {message}", code.0);
            (reason, code == ErrorCode::BAD_CREDENTIALS)
        }
        Failure::Refused(reason) => (reason, true),
        Failure::Reason(reason) => (reason, false),
    };
    Err(match authenticator {
        authenticator if is_refused => Error::authentication(peer, authenticator, reason),
        Some(name) => Error::connect(Some(peer), format!("authentication by {name:?}: {reason}")),
        None => Error::connect(Some(peer), reason),
    })
}

async fn connect_to_shard(
    peer: SocketAddr,
    wanted: Wanted,
    ports: &RangeInclusive<u16>,
) -> Result<TcpStream, String> {
    let start = fastrand::u16(ports.clone());
    for port in wanted.sharder.source_ports(wanted.shard, ports.clone(), start) {
        let (socket, local) = if peer.is_ipv4() {
            (TcpSocket::new_v4(), SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        } else {
            (TcpSocket::new_v6(), SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        };
        let socket = socket.map_err(|e| e.to_string())?;
        socket.set_reuseaddr(true).map_err(|e| e.to_string())?;
        if let Err(e) = socket.bind(local) {
            if is_taken(&e) {
                continue;
            }
            return Err(format!("source port {port}: {e}"));
        }
        match socket.connect(peer).await {
            Ok(stream) => return Ok(stream),
            Err(e) if is_taken(&e) => {}
            Err(e) => return Err(e.to_string()),
        }
    }
    Err(format!("no free source port in {ports:?} leads to shard {}", wanted.shard))
}

fn is_taken(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    matches!(error.kind(), AddrInUse | AddrNotAvailable | PermissionDenied)
}

/// Goes over to TLS if the session is to.
#[cfg(feature = "rustls-023")]
async fn encrypt(
    mut stream: TcpStream,
    peer: SocketAddr,
    settings: &Settings,
) -> Result<Stream, String> {
    let Some(tls) = &settings.tls else { return Ok(Stream::Plain(stream)) };
    let name = tls.server_name(peer.ip());
    let secured = crate::tls::connect(&mut stream, &tls.context, name).await?;
    Ok(Stream::Tls(Box::new(crate::tls::TlsStream::new(stream, secured))))
}

#[cfg(not(feature = "rustls-023"))]
#[expect(clippy::unused_async, reason = "as the one that does")]
async fn encrypt(stream: TcpStream, _: SocketAddr, _: &Settings) -> Result<Stream, String> {
    Ok(Stream::Plain(stream))
}

async fn shake_hands(
    stream: Stream,
    settings: &Settings,
    agreed: Option<Version>,
    under_way: &UnderWay,
) -> Result<Established, Failure> {
    let mut channel = Channel::new(stream);
    let supported = offered(&mut channel).await?;
    channel.version = choose(&supported, settings, agreed)?;
    channel.compression = settings.compression;
    let mut options = vec![
        Startup::CQL_VERSION,
        (Startup::DRIVER_NAME, "Shardwire"),
        (Startup::DRIVER_VERSION, env!("CARGO_PKG_VERSION")),
    ];
    match channel.compression {
        Compression::None => {}
        Compression::Lz4 if supported.lz4 => options.push((Startup::COMPRESSION, "lz4")),
        Compression::Lz4 => {
            return Err(Failure::Reason("the node does not offer LZ4 compression".into()));
        }
    }
    let mut extensions = Extensions::default();
    extensions.lwt_mark = supported.lwt_mark;
    // Version 2 is not asked for: servers and clients do not agree on its name yet.
    extensions.tablets = supported.tablets_v1.then_some(TabletsRouting::V1);
    let extensions = extensions.startup_options();
    options.extend(extensions.iter());
    let startup = Startup { options: &options };
    let received = exchange(&mut channel, &startup).await?;
    channel.is_started();
    match received.header.opcode {
        Opcode::Ready => {}
        Opcode::Authenticate => log_in(&mut channel, &received, settings, under_way).await?,
        opcode => {
            received.response()?;
            return Err(Failure::Reason(format!("the answer to STARTUP is {opcode:?}")));
        }
    }
    if let Some(keyspace) = &settings.keyspace {
        let statement = format!("USE \"{keyspace}\"");
        let query = Query {
            statement: &statement,
            values: &(),
            columns: &[],
            names: ValueNames::None,
            parameters: Parameters::default(),
        };
        exchange(&mut channel, &query).await?;
    }
    let version = channel.version;
    let (stream, secured, framing) = channel.into_parts()?;
    Ok(Established { stream, secured, supported, version, framing })
}

/// What the node offers. Asked in version 4, which any node answers that speaks 4 or 5.
async fn offered(channel: &mut Channel) -> Result<Supported, Failure> {
    let received = exchange(channel, &Options).await.map_err(|failure| match failure {
        Failure::Error { code: ErrorCode::PROTOCOL_ERROR, message } => Failure::Reason(format!(
            "the node speaks neither version 4 nor 5 of the protocol: {message}"
        )),
        other => other,
    })?;
    match received.response()? {
        Response::Supported(body) => Ok(Supported::from_body(&body)),
        _ => Err(Failure::Reason("the answer to OPTIONS is not SUPPORTED".into())),
    }
}

/// The version to speak: the session's, if it has one already.
fn choose(
    supported: &Supported,
    settings: &Settings,
    agreed: Option<Version>,
) -> Result<Version, Failure> {
    // Nodes that do not say speak version 4, ScyllaDB's among them.
    let offers = |version| match supported.protocol_versions {
        Some(versions) => versions.contains(version),
        None => version == Version::V4,
    };
    let wanted = match (settings.protocol_version, agreed) {
        (ProtocolVersion::V4, _) => Version::V4,
        (ProtocolVersion::V5, _) => Version::V5,
        (ProtocolVersion::Newest, Some(agreed)) => agreed,
        (ProtocolVersion::Newest, None) if offers(Version::V5) => Version::V5,
        (ProtocolVersion::Newest, None) => Version::V4,
    };
    if offers(wanted) {
        return Ok(wanted);
    }
    let mut reason = format!("the node does not speak version {} of the protocol", wanted.as_u8());
    if agreed.is_some() && settings.protocol_version == ProtocolVersion::Newest {
        reason += ", which the session has agreed on with the first node";
    }
    Err(Failure::Reason(reason))
}

/// A reply; an ERROR is none. It may hold a token, and is wiped.
pub(super) struct Received {
    pub(super) header: ResponseHeader,
    body: Zeroizing<Vec<u8>>,
}

impl Received {
    pub(super) fn response(&self) -> Result<Response<'_>, String> {
        Body::parse(&self.header, &self.body)
            .and_then(|body| body.response(&Agreed::on(self.header.version), None))
            .map_err(|e| e.to_string())
    }
}

/// Sends one request and reads its reply.
// Allocates: a few times per connection. Each buffer has its final size from the start, so that
// wiping it leaves no copy.
pub(super) async fn exchange<R: Request>(
    channel: &mut Channel,
    request: &R,
) -> Result<Received, Failure> {
    let version = channel.version;
    let body_len = request.body_len(version).map_err(|e| e.to_string())?;
    let mut frame = Zeroizing::new(vec![0; HEADER_LEN + body_len]);
    encode_request(request, version, 0, 0, &mut frame).map_err(|e| e.to_string())?;
    channel.send(&frame).await?;
    let (header, body) = channel.receive().await?;
    if header.stream != 0 {
        let error = FrameError::from(PeerMisbehaved::UnknownStream(header.stream));
        return Err(Failure::Reason(error.to_string()));
    }
    let received = Received { header, body };
    if header.opcode == Opcode::Error
        && let Response::Error(error) = received.response()?
    {
        return Err(Failure::Error { code: error.code, message: error.message.to_owned() });
    }
    if header.version != version {
        let (of, to) = (header.version.as_u8(), version.as_u8());
        let reason = format!("a reply of version {of} to a request of version {to}");
        return Err(Failure::Reason(reason));
    }
    tracing::trace!(request = ?R::OPCODE, opcode = ?header.opcode, "handshake");
    Ok(received)
}
