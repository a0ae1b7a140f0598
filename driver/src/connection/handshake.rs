//! Opens a socket and agrees on how to talk: OPTIONS, STARTUP, and the shard it landed on.
//! Logging in, where the node asks for it, is `login.rs`.
//!
//! To reach a given shard the socket is bound to a source port that the node's shard-aware port
//! maps to it (ScyllaDB, "shard-aware port"); a port that is taken is passed over.
//! Requests are not the business of this file: the finished socket goes to the I/O task.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use shardwire_protocol::compression;
use shardwire_protocol::error::{FrameError, PeerMisbehaved};
use shardwire_protocol::header::{HEADER_LEN, Opcode, ResponseHeader, flags};
use shardwire_protocol::request::{
    Options, Parameters, Query, Request, Startup, ValueNames, encode_request,
};
use shardwire_protocol::response::{Agreed, Body, ErrorCode, Response};
use shardwire_protocol::routing::Sharder;
use shardwire_protocol::supported::{Extensions, Supported};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use zeroize::Zeroizing;

use super::login::{UnderWay, log_in};
use crate::error::Error;
use crate::query::VERSION;
use crate::runtime;
use crate::settings::{Compression, Settings};

/// A socket that is ready for requests.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) stream: TcpStream,
    pub(crate) supported: Supported,
    /// Whether bodies may be compressed, as agreed.
    pub(crate) compressed: bool,
}

/// The longest reply during the handshake.
const BODY_LEN_MAX: u32 = 256 * 1024;

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

/// Connects, shakes hands and logs in, within the connect time-out.
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
) -> Result<Established, Error> {
    let under_way = UnderWay::default();
    let steps = async {
        let stream = match wanted {
            None => TcpStream::connect(peer).await.map_err(|e| e.to_string())?,
            Some(wanted) => connect_to_shard(peer, wanted, &settings.source_ports).await?,
        };
        stream.set_nodelay(settings.tcp_nodelay).map_err(|e| e.to_string())?;
        shake_hands(stream, settings, &under_way).await
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

async fn shake_hands(
    mut stream: TcpStream,
    settings: &Settings,
    under_way: &UnderWay,
) -> Result<Established, Failure> {
    let received = exchange(&mut stream, &Options, Compression::None).await?;
    let supported = match received.response()? {
        Response::Supported(body) => Supported::from_body(&body),
        _ => return Err(Failure::Reason("the answer to OPTIONS is not SUPPORTED".into())),
    };
    let agreed = settings.compression;
    let compressed = match agreed {
        Compression::None => false,
        Compression::Lz4 if supported.lz4 => true,
        Compression::Lz4 => {
            return Err(Failure::Reason("the node does not offer LZ4 compression".into()));
        }
    };
    let mut options = vec![
        Startup::CQL_VERSION,
        (Startup::DRIVER_NAME, "Shardwire"),
        (Startup::DRIVER_VERSION, env!("CARGO_PKG_VERSION")),
    ];
    if compressed {
        options.push((Startup::COMPRESSION, "lz4"));
    }
    let mut extensions = Extensions::default();
    extensions.lwt_mark = supported.lwt_mark;
    let extensions = extensions.startup_options();
    options.extend(extensions.iter());
    let startup = Startup { options: &options };
    let received = exchange(&mut stream, &startup, agreed).await?;
    match received.header.opcode {
        Opcode::Ready => {}
        Opcode::Authenticate => log_in(&mut stream, &received, settings, under_way).await?,
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
        exchange(&mut stream, &query, agreed).await?;
    }
    Ok(Established { stream, supported, compressed })
}

/// A reply; an ERROR is none. It may hold a token, and is wiped.
pub(super) struct Received {
    pub(super) header: ResponseHeader,
    body: Zeroizing<Vec<u8>>,
}

impl Received {
    pub(super) fn response(&self) -> Result<Response<'_>, String> {
        Body::parse(&self.header, &self.body)
            .and_then(|body| body.response(&Agreed::default(), None))
            .map_err(|e| e.to_string())
    }
}

/// Sends one request and reads its reply, which may be compressed if that was `agreed`.
// Allocates: a few times per connection. Each buffer has its final size from the start, so that
// wiping it leaves no copy.
pub(super) async fn exchange<R: Request>(
    stream: &mut TcpStream,
    request: &R,
    agreed: Compression,
) -> Result<Received, Failure> {
    let body_len = request.body_len(VERSION).map_err(|e| e.to_string())?;
    let mut frame = Zeroizing::new(vec![0; HEADER_LEN + body_len]);
    encode_request(request, VERSION, 0, 0, &mut frame).map_err(|e| e.to_string())?;
    stream.write_all(&frame).await.map_err(reason)?;
    let mut head = [0; HEADER_LEN];
    stream.read_exact(&mut head).await.map_err(reason)?;
    let mut header = ResponseHeader::decode(&head).map_err(|e| e.to_string())?;
    if header.body_len > BODY_LEN_MAX {
        return Err(Failure::Reason(format!("handshake reply of {} bytes", header.body_len)));
    }
    if header.stream != 0 {
        let error = FrameError::from(PeerMisbehaved::UnknownStream(header.stream));
        return Err(Failure::Reason(error.to_string()));
    }
    let mut body = Zeroizing::new(vec![0; header.body_len as usize]);
    stream.read_exact(&mut body).await.map_err(reason)?;
    if header.flags & flags::COMPRESSION != 0 {
        body = decompress(&body, agreed).map_err(|e| e.to_string())?;
        header.flags &= !flags::COMPRESSION;
    }
    let received = Received { header, body };
    if header.opcode == Opcode::Error
        && let Response::Error(error) = received.response()?
    {
        return Err(Failure::Error { code: error.code, message: error.message.to_owned() });
    }
    tracing::trace!(request = ?R::OPCODE, opcode = ?header.opcode, "handshake");
    Ok(received)
}

fn decompress(body: &[u8], agreed: Compression) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    match agreed {
        Compression::None => Err(PeerMisbehaved::CompressionNotAgreed.into()),
        Compression::Lz4 => {
            let len = compression::decompressed_len(body, BODY_LEN_MAX)?;
            let mut out = Zeroizing::new(vec![0; len]);
            compression::decompress_body(body, &mut out)?;
            Ok(out)
        }
    }
}

/// Why nothing was written or read, in words.
fn reason(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the node closed the connection".into(),
        _ => error.to_string(),
    }
}
