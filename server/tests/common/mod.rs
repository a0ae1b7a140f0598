//! A client of raw frames, for what no driver would send.

#![allow(dead_code, reason = "each test uses a part of it")]

use shardwire_server::Cluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const STARTUP: u8 = 1;
pub(crate) const READY: u8 = 2;
pub(crate) const OPTIONS: u8 = 5;
pub(crate) const SUPPORTED: u8 = 6;
pub(crate) const QUERY: u8 = 7;
pub(crate) const RESULT: u8 = 8;
pub(crate) const PREPARE: u8 = 9;
pub(crate) const EXECUTE: u8 = 10;
pub(crate) const REGISTER: u8 = 11;
pub(crate) const EVENT: u8 = 12;
pub(crate) const BATCH: u8 = 13;

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

/// A connection to the first node.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    pub(crate) version: u8,
}

impl Client {
    pub(crate) async fn open(cluster: &Cluster, version: u8) -> Self {
        let socket = TcpStream::connect(cluster.contact_points()[0]).await.unwrap();
        Self { socket, version }
    }

    pub(crate) async fn started(cluster: &Cluster, version: u8) -> Self {
        let mut client = Self::open(cluster, version).await;
        let reply = client.call(STARTUP, &string_map(&[("CQL_VERSION", "4.0.0")])).await;
        assert_eq!(reply.opcode, READY, "{reply:?}");
        client
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// The next reply, or `None` at the end of the connection.
    pub(crate) async fn receive(&mut self) -> Option<Reply> {
        let mut header = [0; 9];
        self.socket.read_exact(&mut header).await.ok()?;
        let len = u32::from_be_bytes(header[5..].try_into().unwrap());
        let mut body = vec![0; usize::try_from(len).unwrap()];
        self.socket.read_exact(&mut body).await.ok()?;
        let stream = i16::from_be_bytes([header[2], header[3]]);
        Some(Reply { version: header[0], flags: header[1], stream, opcode: header[4], body })
    }

    pub(crate) async fn call(&mut self, opcode: u8, body: &[u8]) -> Reply {
        let request = frame(self.version, 5, opcode, body);
        self.send(&request).await;
        let reply = self.receive().await.expect("a reply");
        assert_eq!(reply.stream, 5);
        reply
    }

    /// Runs a statement that must not fail.
    pub(crate) async fn run(&mut self, text: &str) -> Reply {
        let reply = self.call(QUERY, &[long_string(text), vec![0, 1, 0]].concat()).await;
        assert_eq!(reply.opcode, RESULT, "{text}: {}", String::from_utf8_lossy(&reply.body));
        reply
    }
}
