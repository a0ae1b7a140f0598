//! What a handshake is spoken over: a socket, and what has been agreed on it so far.
//!
//! One request at a time, each awaited. Everything is read to the byte, so that what follows the
//! handshake is still in the socket when the I/O task takes it over.

use shardwire_protocol::compression;
use shardwire_protocol::deframer::{Deframer, Step};
use shardwire_protocol::error::{FrameError, PeerMisbehaved};
use shardwire_protocol::header::{HEADER_LEN, ResponseHeader, Version, flags};
use shardwire_protocol::segment::{
    Assembly, Piece, SegmentDecoder, SegmentEncoder, SegmentFormat, SegmentHeader, SegmentStep,
    decompress_payload,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::Framing;
use super::wrap::out_len;
use crate::settings::Compression;
use crate::tls::TlsStream;
use crate::tls::stream::Secured;

/// The longest reply during the handshake.
const BODY_LEN_MAX: u32 = 256 * 1024;

/// A socket before its handshake is over. Dropping it closes the socket.
pub(super) struct Channel {
    stream: Stream,
    /// What requests are encoded in.
    pub(super) version: Version,
    /// What STARTUP has asked for.
    pub(super) compression: Compression,
    /// Whether segments are spoken: from the answer to STARTUP on, in version 5.
    segments: Option<SegmentFormat>,
}

/// A socket, or what is encrypted on it.
pub(super) enum Stream {
    Plain(TcpStream),
    #[cfg_attr(not(feature = "rustls-023"), expect(dead_code, reason = "there is no TLS"))]
    Tls(Box<TlsStream>),
}

/// One reply as it came, decompressed. It may hold a token, and is wiped.
pub(super) type Message = (ResponseHeader, Zeroizing<Vec<u8>>);

impl Channel {
    pub(super) fn new(stream: Stream) -> Channel {
        let (version, compression) = (Version::V4, Compression::None);
        Channel { stream, version, compression, segments: None }
    }

    /// STARTUP was answered: what was agreed holds from here on.
    pub(super) fn is_started(&mut self) {
        if self.version == Version::V5 {
            self.segments = Some(self.format());
        }
    }

    fn format(&self) -> SegmentFormat {
        match self.compression {
            Compression::Lz4 => SegmentFormat::Lz4,
            Compression::None => SegmentFormat::Plain,
        }
    }

    /// What is left to whoever drives the connection from here on.
    pub(super) fn into_parts(self) -> Result<(TcpStream, Option<Secured>, Framing), String> {
        let framing = match self.segments {
            Some(format) => Framing::Segments(format),
            None => Framing::Frames { compressed: self.compression == Compression::Lz4 },
        };
        match self.stream {
            Stream::Plain(stream) => Ok((stream, None, framing)),
            Stream::Tls(stream) => {
                stream.into_parts().map(|(stream, secured)| (stream, Some(secured), framing))
            }
        }
    }

    /// Sends one frame.
    pub(super) async fn send(&mut self, frame: &[u8]) -> Result<(), String> {
        let Some(format) = self.segments else { return self.write(frame).await };
        // With all the room from the start, so that wiping it leaves no copy.
        let mut out = Zeroizing::new(Vec::with_capacity(out_len(frame.len())));
        SegmentEncoder::new(format).append(frame, &mut out).map_err(|e| e.to_string())?;
        self.write(&out).await
    }

    /// Receives one frame, and what it says of itself.
    pub(super) async fn receive(&mut self) -> Result<Message, String> {
        match self.segments {
            None => self.receive_frame().await,
            Some(format) => self.receive_segments(format).await,
        }
    }

    // Allocates: once per frame, of its final size, so that wiping it leaves no copy.
    async fn receive_frame(&mut self) -> Result<Message, String> {
        let mut head = [0; HEADER_LEN];
        self.read(&mut head).await?;
        let mut header = ResponseHeader::decode(&head).map_err(|e| e.to_string())?;
        if header.body_len > BODY_LEN_MAX {
            return Err(format!("handshake reply of {} bytes", header.body_len));
        }
        let mut body = Zeroizing::new(vec![0; header.body_len as usize]);
        self.read(&mut body).await?;
        if header.flags & flags::COMPRESSION != 0 {
            body = decompress(&body, self.compression).map_err(|e| e.to_string())?;
            header.flags &= !flags::COMPRESSION;
        }
        Ok((header, body))
    }

    async fn receive_segments(&mut self, format: SegmentFormat) -> Result<Message, String> {
        let deframer = Deframer::new(BODY_LEN_MAX);
        let mut assembly = Assembly::new(deframer);
        let mut envelope = Zeroizing::new(Vec::new());
        loop {
            let payload = self.receive_segment(format).await?;
            let piece = assembly.accept(&payload.header, &payload.bytes);
            let piece = piece.map_err(|e| e.to_string())?;
            if envelope.capacity() == 0 {
                let at_least = match piece {
                    Piece::Part { at_least } => at_least,
                    Piece::Envelopes | Piece::Last { .. } => 0,
                };
                envelope.reserve_exact(at_least.max(payload.bytes.len()));
            }
            envelope.extend_from_slice(&payload.bytes);
            if matches!(piece, Piece::Part { .. }) {
                continue;
            }
            return match deframer.next(&envelope).map_err(|e| e.to_string())? {
                Step::Frame { header, total_len } if total_len == envelope.len() => {
                    let body = envelope.get(HEADER_LEN..).unwrap_or_default();
                    Ok((header, Zeroizing::new(body.to_vec())))
                }
                Step::Frame { .. } => Err("more than one reply to one request".into()),
                Step::NeedMore { .. } => {
                    Err(FrameError::from(PeerMisbehaved::SegmentsOutOfStep).to_string())
                }
            };
        }
    }

    async fn receive_segment(&mut self, format: SegmentFormat) -> Result<Payload, String> {
        let decoder = SegmentDecoder::new(format);
        let mut segment = Zeroizing::new(vec![0; format.header_len()]);
        self.read(&mut segment).await?;
        loop {
            let step = decoder.next(&segment).map_err(|e| e.to_string())?;
            let header = match step {
                SegmentStep::NeedMore { at_least } => {
                    let start = segment.len();
                    let mut longer = Zeroizing::new(vec![0; at_least.max(start)]);
                    let (head, tail) = longer.split_at_mut(start);
                    head.copy_from_slice(&segment);
                    self.read(tail).await?;
                    segment = longer;
                    continue;
                }
                SegmentStep::Segment { header, .. } => header,
            };
            let stored = decoder.payload(&header, &segment);
            let mut bytes = Zeroizing::new(stored.to_vec());
            if header.is_compressed() {
                bytes = Zeroizing::new(vec![0; header.decompressed_len as usize]);
                decompress_payload(stored, &mut bytes).map_err(|e| e.to_string())?;
            }
            return Ok(Payload { header, bytes });
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes).await.map_err(reason),
            Stream::Tls(stream) => stream.write_all(bytes).await.map_err(reason),
        }
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<(), String> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.read_exact(buf).await.map(drop).map_err(reason),
            Stream::Tls(stream) => stream.read_exact(buf).await.map_err(reason),
        }
    }
}

struct Payload {
    header: SegmentHeader,
    bytes: Zeroizing<Vec<u8>>,
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
