//! Opens a socket and agrees on how to talk: OPTIONS, STARTUP, and the shard it landed on.
//!
//! To reach a given shard the socket is bound to a source port that the node's shard-aware port
//! maps to it (ScyllaDB, "shard-aware port"); a port that is taken is passed over.
//! Requests are not the business of this file: the finished socket goes to the I/O task.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use shardwire_protocol::error::{FrameError, PeerMisbehaved};
use shardwire_protocol::header::{HEADER_LEN, Opcode, ResponseHeader};
use shardwire_protocol::request::{
    Options, Parameters, Query, Request, Startup, ValueNames, encode_request,
};
use shardwire_protocol::response::{Agreed, Body, Response};
use shardwire_protocol::routing::Sharder;
use shardwire_protocol::supported::{Extensions, Supported};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

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

/// Connects and shakes hands, within the connect time-out.
///
/// # Errors
///
/// [`crate::ErrorKind::Connect`] with the address and the reason; whatever was opened is closed.
pub(crate) async fn establish(
    peer: SocketAddr,
    wanted: Option<Wanted>,
    settings: &Settings,
) -> Result<Established, Error> {
    let steps = async {
        let stream = match wanted {
            None => TcpStream::connect(peer).await.map_err(|e| e.to_string())?,
            Some(wanted) => connect_to_shard(peer, wanted, &settings.source_ports).await?,
        };
        stream.set_nodelay(settings.tcp_nodelay).map_err(|e| e.to_string())?;
        shake_hands(stream, settings).await
    };
    match runtime::within(settings.connect_timeout, steps).await {
        Some(Ok(established)) => Ok(established),
        Some(Err(reason)) => Err(Error::connect(Some(peer), reason)),
        None => {
            let reason = format!("no answer within {:?}", settings.connect_timeout);
            Err(Error::connect(Some(peer), reason))
        }
    }
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

async fn shake_hands(mut stream: TcpStream, settings: &Settings) -> Result<Established, String> {
    let (_, body) = exchange(&mut stream, &Options, Opcode::Supported).await?;
    let supported = match parse(&body)? {
        Response::Supported(body) => Supported::from_body(&body),
        _ => return Err("the answer to OPTIONS is not SUPPORTED".into()),
    };
    let compressed = match settings.compression {
        Compression::None => false,
        Compression::Lz4 if supported.lz4 => true,
        Compression::Lz4 => return Err("the node does not offer LZ4 compression".into()),
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
    let (header, body) = exchange(&mut stream, &startup, Opcode::Ready).await?;
    match header.opcode {
        Opcode::Ready => {}
        Opcode::Authenticate => {
            return Err("the node asks for authentication, which this version does not have".into());
        }
        _ => {
            parse(&body)?;
            return Err(format!("the answer to STARTUP is {:?}", header.opcode));
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
        exchange(&mut stream, &query, Opcode::Result).await?;
    }
    Ok(Established { stream, supported, compressed })
}

type Received = (ResponseHeader, (ResponseHeader, Vec<u8>));

/// Sends one request and reads its reply, which must be `expect` or an error.
// Allocates: a few times per connection.
async fn exchange<R: Request>(
    stream: &mut TcpStream,
    request: &R,
    expect: Opcode,
) -> Result<Received, String> {
    let body_len = request.body_len(VERSION).map_err(|e| e.to_string())?;
    let mut frame = vec![0; HEADER_LEN + body_len];
    encode_request(request, VERSION, 0, 0, &mut frame).map_err(|e| e.to_string())?;
    stream.write_all(&frame).await.map_err(reason)?;
    let mut head = [0; HEADER_LEN];
    stream.read_exact(&mut head).await.map_err(reason)?;
    let header = ResponseHeader::decode(&head).map_err(|e| e.to_string())?;
    if header.body_len > BODY_LEN_MAX {
        return Err(format!("handshake reply of {} bytes", header.body_len));
    }
    if header.stream != 0 {
        let error = FrameError::from(PeerMisbehaved::UnknownStream(header.stream));
        return Err(error.to_string());
    }
    let mut body = vec![0; header.body_len as usize];
    stream.read_exact(&mut body).await.map_err(reason)?;
    let received = (header, body);
    if header.opcode == Opcode::Error
        && let Response::Error(error) = parse(&received)?
    {
        return Err(format!("{} (0x{:04x}): {}", error.code, error.code.0, error.message));
    }
    tracing::trace!(opcode = ?header.opcode, ?expect, "handshake");
    Ok((header, received))
}

/// Why nothing was written or read, in words.
fn reason(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the node closed the connection".into(),
        _ => error.to_string(),
    }
}

fn parse<'b>((header, body): &'b (ResponseHeader, Vec<u8>)) -> Result<Response<'b>, String> {
    Body::parse(header, body)
        .and_then(|body| body.response(&Agreed::default(), None))
        .map_err(|e| e.to_string())
}
