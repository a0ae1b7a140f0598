//! A client of raw frames, for what no driver would send.

#![allow(dead_code, reason = "each test uses a part of it")]

use shardwire_protocol::segment::{
    SegmentDecoder, SegmentEncoder, SegmentFormat, SegmentStep, decompress_payload,
};
use shardwire_server::Cluster;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const STARTUP: u8 = 1;
pub(crate) const READY: u8 = 2;
pub(crate) const AUTHENTICATE: u8 = 3;
pub(crate) const OPTIONS: u8 = 5;
pub(crate) const SUPPORTED: u8 = 6;
pub(crate) const QUERY: u8 = 7;
pub(crate) const RESULT: u8 = 8;
pub(crate) const PREPARE: u8 = 9;
pub(crate) const EXECUTE: u8 = 10;
pub(crate) const REGISTER: u8 = 11;
pub(crate) const EVENT: u8 = 12;
pub(crate) const BATCH: u8 = 13;
pub(crate) const AUTH_RESPONSE: u8 = 15;
pub(crate) const AUTH_SUCCESS: u8 = 16;

pub(crate) const PROTOCOL_ERROR: i32 = 0x000A;

/// A reply: an envelope of the node's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reply {
    pub(crate) version: u8,
    pub(crate) flags: u8,
    pub(crate) stream: i16,
    pub(crate) opcode: u8,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Code and message of an ERROR.
    #[track_caller]
    pub(crate) fn error(&self) -> (i32, String) {
        assert_eq!(self.opcode, 0, "{self:?}");
        let len = usize::from(u16::from_be_bytes([self.body[4], self.body[5]]));
        let code = i32::from_be_bytes(self.body[..4].try_into().unwrap());
        (code, String::from_utf8(self.body[6..6 + len].to_vec()).unwrap())
    }

    /// What follows the message of an ERROR.
    #[track_caller]
    pub(crate) fn error_fields(&self) -> &[u8] {
        let len = usize::from(u16::from_be_bytes([self.body[4], self.body[5]]));
        &self.body[6 + len..]
    }

    /// The multimap of SUPPORTED.
    #[track_caller]
    pub(crate) fn supported(&self) -> Vec<(String, Vec<String>)> {
        assert_eq!(self.opcode, SUPPORTED, "{self:?}");
        let mut cursor = Cursor(&self.body);
        let entries = cursor.short();
        let entry = |cursor: &mut Cursor<'_>| {
            let key = cursor.string();
            let count = cursor.short();
            (key, (0..count).map(|_| cursor.string()).collect())
        };
        (0..entries).map(|_| entry(&mut cursor)).collect()
    }
}

/// Reads a body from the front.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl Cursor<'_> {
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        let (head, tail) = self.0.split_at(len);
        self.0 = tail;
        head.to_vec()
    }

    pub(crate) fn short(&mut self) -> usize {
        usize::from(u16::from_be_bytes(self.take(2).try_into().unwrap()))
    }

    pub(crate) fn int(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    pub(crate) fn string(&mut self) -> String {
        let len = self.short();
        String::from_utf8(self.take(len)).unwrap()
    }

    pub(crate) fn short_bytes(&mut self) -> Vec<u8> {
        let len = self.short();
        self.take(len)
    }
}

pub(crate) fn frame(version: u8, stream: i16, opcode: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[version, 0][..], &stream.to_be_bytes(), &[opcode], &len, body].concat()
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

pub(crate) fn long_string(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

pub(crate) fn value(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

pub(crate) fn string_map(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut out = u16::try_from(entries.len()).unwrap().to_be_bytes().to_vec();
    for (key, value) in entries {
        out.extend([string(key), string(value)].concat());
    }
    out
}

/// What a client speaks through: TCP, or TLS on it.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Segments of v5, put together and taken apart by the codec that is not the node's.
struct Segments {
    encoder: SegmentEncoder,
    decoder: SegmentDecoder,
    received: Vec<u8>,
}

/// A connection to the first node.
pub(crate) struct Client {
    pub(crate) socket: Box<dyn Socket>,
    pub(crate) version: u8,
    pub(crate) flags: u8,
    segments: Option<Segments>,
    /// Replies that have come, as far as they have.
    envelopes: Vec<u8>,
    /// Whether each segment that has come was self-contained.
    pub(crate) received: Vec<bool>,
}

impl Client {
    pub(crate) async fn open(cluster: &Cluster, version: u8) -> Self {
        let socket = TcpStream::connect(cluster.contact_points()[0]).await.unwrap();
        Self::over(Box::new(socket), version)
    }

    pub(crate) fn over(socket: Box<dyn Socket>, version: u8) -> Self {
        let (envelopes, received) = (Vec::new(), Vec::new());
        Self { socket, version, flags: 0, segments: None, envelopes, received }
    }

    pub(crate) async fn started(cluster: &Cluster, version: u8) -> Self {
        let mut client = Self::open(cluster, version).await;
        let reply = client.startup(&[]).await;
        assert_eq!(reply.opcode, READY, "{reply:?}");
        client
    }

    /// Sends STARTUP; from its reply on there are segments if the version has them.
    pub(crate) async fn startup(&mut self, options: &[(&str, &str)]) -> Reply {
        let all = [&[("CQL_VERSION", "4.0.0")], options].concat();
        let reply = self.call(STARTUP, &string_map(&all)).await;
        let is_lz4 = options.contains(&("COMPRESSION", "lz4"));
        if reply.opcode != 0 && self.version >= 5 {
            self.use_segments(if is_lz4 { SegmentFormat::Lz4 } else { SegmentFormat::Plain });
        }
        reply
    }

    pub(crate) fn use_segments(&mut self, format: SegmentFormat) {
        self.segments = Some(Segments {
            encoder: SegmentEncoder::new(format),
            decoder: SegmentDecoder::new(format),
            received: Vec::new(),
        });
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// The bytes that envelopes travel as.
    pub(crate) fn wrapped(&mut self, envelopes: &[u8]) -> Vec<u8> {
        let Some(segments) = &mut self.segments else { return envelopes.to_vec() };
        let mut out = Vec::new();
        segments.encoder.append(envelopes, &mut out).unwrap();
        out
    }

    pub(crate) fn frame(&self, stream: i16, opcode: u8, body: &[u8]) -> Vec<u8> {
        let mut frame = frame(self.version, stream, opcode, body);
        frame[1] = self.flags;
        frame
    }

    /// The next reply, or `None` at the end of the connection.
    pub(crate) async fn receive(&mut self) -> Option<Reply> {
        loop {
            if let Some(header) = self.envelopes.first_chunk::<9>() {
                let len = u32::from_be_bytes(header[5..].try_into().unwrap());
                let end = 9 + usize::try_from(len).unwrap();
                if self.envelopes.len() >= end {
                    let envelope: Vec<u8> = self.envelopes.drain(..end).collect();
                    return Some(Reply {
                        version: envelope[0],
                        flags: envelope[1],
                        stream: i16::from_be_bytes([envelope[2], envelope[3]]),
                        opcode: envelope[4],
                        body: envelope[9..].to_vec(),
                    });
                }
            }
            let mut bytes = vec![0; 64 * 1024];
            let len = self.socket.read(&mut bytes).await.unwrap_or(0);
            if len == 0 {
                return None;
            }
            self.take(&bytes[..len]);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let Some(Segments { decoder, received, .. }) = &mut self.segments else {
            self.envelopes.extend_from_slice(bytes);
            return;
        };
        received.extend_from_slice(bytes);
        while let SegmentStep::Segment { header, total_len } = decoder.next(received).unwrap() {
            let stored = decoder.payload(&header, received);
            if header.is_compressed() {
                let mut payload = vec![0; usize::try_from(header.decompressed_len).unwrap()];
                decompress_payload(stored, &mut payload).unwrap();
                self.envelopes.extend_from_slice(&payload);
            } else {
                self.envelopes.extend_from_slice(stored);
            }
            self.received.push(header.is_self_contained);
            received.drain(..total_len);
        }
    }

    pub(crate) async fn call(&mut self, opcode: u8, body: &[u8]) -> Reply {
        let request = self.frame(5, opcode, body);
        let request = self.wrapped(&request);
        self.send(&request).await;
        let reply = self.receive().await.expect("a reply");
        assert_eq!((reply.stream, reply.version), (5, self.version | 0x80), "{reply:?}");
        reply
    }

    /// The body of QUERY: text, consistency ONE, flags, and what they announce.
    pub(crate) fn query(&self, text: &str, flags: u32, rest: &[u8]) -> Vec<u8> {
        [long_string(text), self.parameters(flags, rest)].concat()
    }

    /// Consistency ONE, flags as wide as the version has them, and what they announce.
    pub(crate) fn parameters(&self, flags: u32, rest: &[u8]) -> Vec<u8> {
        let flags = flags.to_be_bytes();
        let flags = if self.version >= 5 { &flags[..] } else { &flags[3..] };
        [&[0, 1], flags, rest].concat()
    }

    /// Runs a statement that must not fail.
    pub(crate) async fn run(&mut self, text: &str) -> Reply {
        let reply = self.call(QUERY, &self.query(text, 0, &[])).await;
        assert_eq!(reply.opcode, RESULT, "{text}: {}", String::from_utf8_lossy(&reply.body));
        reply
    }

    /// Prepares a statement.
    pub(crate) async fn prepare(&mut self, text: &str) -> Prepared {
        let flags = if self.version >= 5 { &[0; 4][..] } else { &[] };
        let reply = self.call(PREPARE, &[&long_string(text), flags].concat()).await;
        let mut cursor = Cursor(&reply.body);
        assert_eq!((reply.opcode, cursor.int()), (RESULT, 4), "{text}: {reply:?}");
        let id = cursor.short_bytes();
        let metadata_id = if self.version >= 5 { cursor.short_bytes() } else { Vec::new() };
        Prepared { id, metadata_id, rest: cursor.0.to_vec() }
    }

    /// The body of EXECUTE.
    pub(crate) fn execute(&self, prepared: &Prepared, flags: u32, rest: &[u8]) -> Vec<u8> {
        let ids = if self.version >= 5 {
            [short_bytes(&prepared.id), short_bytes(&prepared.metadata_id)].concat()
        } else {
            short_bytes(&prepared.id)
        };
        [ids, self.parameters(flags, rest)].concat()
    }
}

/// What PREPARED says.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) id: Vec<u8>,
    pub(crate) metadata_id: Vec<u8>,
    /// The metadata.
    pub(crate) rest: Vec<u8>,
}

pub(crate) fn short_bytes(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A RESULT of kind Rows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rows {
    pub(crate) flags: i32,
    pub(crate) metadata_id: Option<Vec<u8>>,
    /// Empty if there is no metadata.
    pub(crate) names: Vec<String>,
    pub(crate) cells: Vec<Option<Vec<u8>>>,
}

/// Takes a RESULT of kind Rows apart, of a type of one word each.
#[track_caller]
pub(crate) fn rows(reply: &Reply) -> Rows {
    let mut cursor = Cursor(&reply.body);
    assert_eq!((reply.opcode, cursor.int()), (RESULT, 2), "{reply:?}");
    let (flags, columns) = (cursor.int(), cursor.int());
    if flags & 2 != 0 {
        let len = cursor.int();
        cursor.take(usize::try_from(len).unwrap());
    }
    let metadata_id = (flags & 8 != 0).then(|| cursor.short_bytes());
    let mut names = Vec::new();
    if flags & 4 == 0 {
        let _ = [cursor.string(), cursor.string()];
        for _ in 0..columns {
            names.push(cursor.string());
            match cursor.short() {
                0x20 | 0x22 => drop(cursor.take(2)),
                0x21 => drop(cursor.take(4)),
                _ => {}
            }
        }
    }
    let count = cursor.int() * columns;
    let cells = (0..count).map(|_| usize::try_from(cursor.int()).ok().map(|len| cursor.take(len)));
    Rows { flags, metadata_id, names, cells: cells.collect() }
}

/// Waits until a driver has a connection to every shard of every node.
pub(crate) async fn all_shards_connected(cluster: &Cluster) {
    for _ in 0..400 {
        let counters = cluster.counters();
        let mut shards = counters.nodes.iter().flat_map(|node| &node.shards);
        if shards.all(|shard| shard.connections > 0) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{:?}", cluster.counters());
}
