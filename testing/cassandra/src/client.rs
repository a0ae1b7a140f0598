//! A connection that asks a node whether it is ready: the least of CQL v4 that does.
//!
//! Not the driver, nor its codec, whose tests need a launcher that works where they do not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Longest body that is read. A system table of a few nodes is a few KiB.
const BODY_LEN_MAX: usize = 1 << 20;

/// Time for each of connecting, reading and writing.
const TIMEOUT: Duration = Duration::from_secs(12); // past the nodes' own 10 s for a range

const VERSION_REQUEST: u8 = 0x04;
const VERSION_RESPONSE: u8 = 0x84;

const ERROR: u8 = 0x00;
const STARTUP: u8 = 0x01;
const READY: u8 = 0x02;
const AUTHENTICATE: u8 = 0x03;
const OPTIONS: u8 = 0x05;
const SUPPORTED: u8 = 0x06;
const QUERY: u8 = 0x07;
const RESULT: u8 = 0x08;
const AUTH_RESPONSE: u8 = 0x0F;
const AUTH_SUCCESS: u8 = 0x10;

const KIND_ROWS: i32 = 2;
const FLAG_GLOBAL_TABLE: i32 = 1;

/// How many replicas have to answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Consistency {
    All = 0x05,
    One = 0x01,
}

/// How a node is spoken to.
#[derive(Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) credentials: Option<Credentials<'a>>,
    pub(crate) tls: Option<&'a Arc<ClientConfig>>,
}

/// A user's name and password.
#[derive(Clone, Copy)]
pub(crate) struct Credentials<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
}

/// The cells of one row as they came; `None` is null.
pub(crate) type Row = Vec<Option<Vec<u8>>>;

/// A connection that is started up and logged in.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
}

/// Plain or TLS.
trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Client {
    /// Connects, checks the certificate, asks for the options, starts up and logs in.
    pub(crate) fn connect(address: SocketAddr, access: Access<'_>) -> Result<Self> {
        let tcp = TcpStream::connect_timeout(&address, TIMEOUT).context("connecting")?;
        tcp.set_read_timeout(Some(TIMEOUT))?;
        tcp.set_write_timeout(Some(TIMEOUT))?;
        let stream: Box<dyn Stream> = match access.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = address.ip().into();
                Box::new(StreamOwned::new(ClientConnection::new(Arc::clone(config), name)?, tcp))
            }
        };
        let mut client = Self { stream };
        client.start(access.credentials)?;
        Ok(client)
    }

    fn start(&mut self, credentials: Option<Credentials<'_>>) -> Result<()> {
        let (opcode, _) = self.request(OPTIONS, &[]).context("OPTIONS")?;
        ensure!(opcode == SUPPORTED, "OPTIONS is answered with opcode {opcode:#x}");
        let mut body = 1_u16.to_be_bytes().to_vec();
        put_string(&mut body, "CQL_VERSION")?;
        put_string(&mut body, "3.0.0")?;
        let (opcode, _) = self.request(STARTUP, &body).context("STARTUP")?;
        match opcode {
            READY => return Ok(()),
            AUTHENTICATE => {}
            opcode => bail!("STARTUP is answered with opcode {opcode:#x}"),
        }
        let Credentials { user, password } = credentials.context("the node asks for a password")?;
        let token = format!("\0{user}\0{password}");
        let mut body = i32::try_from(token.len())?.to_be_bytes().to_vec();
        body.extend_from_slice(token.as_bytes());
        let (opcode, _) = self.request(AUTH_RESPONSE, &body).context("logging in")?;
        ensure!(opcode == AUTH_SUCCESS, "the log-in is answered with opcode {opcode:#x}");
        Ok(())
    }

    /// The rows that a statement without values selects.
    pub(crate) fn query(&mut self, statement: &str, consistency: Consistency) -> Result<Vec<Row>> {
        let mut body = i32::try_from(statement.len())?.to_be_bytes().to_vec();
        body.extend_from_slice(statement.as_bytes());
        body.extend_from_slice(&(consistency as u16).to_be_bytes());
        body.push(0); // no flags
        let (opcode, body) = self.request(QUERY, &body).with_context(|| statement.to_owned())?;
        ensure!(opcode == RESULT, "{statement} is answered with opcode {opcode:#x}");
        rows(&body).with_context(|| format!("{statement} is answered with rows that can't be read"))
    }

    /// Opcode and body of the answer; an error that the node answers with is one.
    fn request(&mut self, opcode: u8, body: &[u8]) -> Result<(u8, Vec<u8>)> {
        let mut frame = vec![VERSION_REQUEST, 0, 0, 0, opcode];
        frame.extend_from_slice(&i32::try_from(body.len())?.to_be_bytes());
        frame.extend_from_slice(body);
        self.stream.write_all(&frame)?;
        let mut header = [0; 9];
        self.stream.read_exact(&mut header)?;
        let [version, _, _, _, opcode, len @ ..] = header;
        ensure!(version == VERSION_RESPONSE, "an answer of version {version:#x}");
        let len = usize::try_from(u32::from_be_bytes(len))?;
        ensure!(len <= BODY_LEN_MAX, "an answer of {len} bytes");
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body)?;
        if opcode == ERROR {
            let mut bytes = Bytes(&body);
            let (code, message) = (bytes.int()?, bytes.string()?);
            bail!("error {code:#06x}: {message}");
        }
        Ok((opcode, body))
    }
}

fn put_string(body: &mut Vec<u8>, text: &str) -> Result<()> {
    body.extend_from_slice(&u16::try_from(text.len())?.to_be_bytes());
    body.extend_from_slice(text.as_bytes());
    Ok(())
}

/// The rows of a RESULT's body. CQL v4 §4.2.5.2.
fn rows(body: &[u8]) -> Result<Vec<Row>> {
    let mut bytes = Bytes(body);
    let kind = bytes.int()?;
    ensure!(kind == KIND_ROWS, "a result of kind {kind}");
    let flags = bytes.int()?;
    ensure!(flags & !FLAG_GLOBAL_TABLE == 0, "metadata with the flags {flags:#x}");
    let column_count = bytes.int()?;
    if flags & FLAG_GLOBAL_TABLE != 0 {
        bytes.string()?;
        bytes.string()?;
    }
    for _ in 0..column_count {
        if flags & FLAG_GLOBAL_TABLE == 0 {
            bytes.string()?;
            bytes.string()?;
        }
        bytes.string()?;
        bytes.skip_type()?;
    }
    let row_count = bytes.int()?;
    let mut rows = Vec::new();
    for _ in 0..row_count {
        let mut row = Row::new();
        for _ in 0..column_count {
            row.push(bytes.value()?.map(<[u8]>::to_vec));
        }
        // Without columns no byte is read, whatever the count says.
        ensure!(!row.is_empty(), "rows without columns");
        rows.push(row);
    }
    Ok(rows)
}

/// What has not been read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len).context("a body that ends too soon")?;
        self.0 = tail;
        Ok(head)
    }

    fn short(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn int(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn string(&mut self) -> Result<&'a str> {
        let len = self.short()?;
        Ok(std::str::from_utf8(self.take(len.into())?)?)
    }

    fn value(&mut self) -> Result<Option<&'a [u8]>> {
        match usize::try_from(self.int()?) {
            Ok(len) => self.take(len).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// A list's or set's type, or one without parameters: others are not asked for.
    fn skip_type(&mut self) -> Result<()> {
        match self.short()? {
            0x01..=0x15 => Ok(()),
            0x20 | 0x22 => match self.short()? {
                0x01..=0x15 => Ok(()),
                id => Err(anyhow!("elements of the type {id:#x}")),
            },
            id => Err(anyhow!("a column of the type {id:#x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of `uuid`, `set<text>`: a value and null, and an empty one and a value.
    fn golden() -> Vec<u8> {
        let mut body = Vec::new();
        for int in [KIND_ROWS, FLAG_GLOBAL_TABLE, 2] {
            body.extend_from_slice(&i32::to_be_bytes(int));
        }
        for name in ["system", "peers", "host_id"] {
            put_string(&mut body, name).unwrap();
        }
        body.extend_from_slice(&[0x00, 0x0C]);
        put_string(&mut body, "tokens").unwrap();
        body.extend_from_slice(&[0x00, 0x22, 0x00, 0x0D]);
        body.extend_from_slice(&2_i32.to_be_bytes());
        body.extend_from_slice(&[0, 0, 0, 2, 7, 8, 0xFF, 0xFF, 0xFF, 0xFF]);
        body.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 9]);
        body
    }

    #[test]
    fn rows_are_read() {
        let expect = vec![vec![Some(vec![7, 8]), None], vec![Some(vec![]), Some(vec![9])]];
        assert_eq!(rows(&golden()).unwrap(), expect);
    }

    #[test]
    fn a_body_that_is_cut_anywhere_is_refused() {
        let golden = golden();
        for len in 0..golden.len() {
            assert!(rows(&golden[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn counts_are_not_believed() {
        let mut body = Vec::new();
        for int in [KIND_ROWS, 0, 0, i32::MAX] {
            body.extend_from_slice(&i32::to_be_bytes(int));
        }
        assert!(rows(&body).is_err());
        body[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(rows(&body).is_err());
    }
}
