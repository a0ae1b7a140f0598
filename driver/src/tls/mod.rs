//! TLS to the nodes. rustls does the handshake, the certificates, the key schedule and the tickets;
//! records are sealed and opened here, because rustls 0.23 allocates for each of them.
//!
//! [`context`] is what is set once, `handshake.rs` how a connection begins, `stream.rs` how it goes
//! on, `record.rs` its bytes.

mod context;
mod handshake;
pub(crate) mod record;
pub(crate) mod stream;

#[cfg(test)]
mod tests;

use std::io;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::{Zeroize, Zeroizing};

pub(crate) use context::Tls;
pub use context::{TlsContext, TlsContextBuilder};
use record::Fault;
use stream::{Secured, Step};

use handshake::{Handshake, Wants};

/// Shakes hands over `stream`, with a node that shows a certificate for `name`.
///
/// # Errors
///
/// Says why, in one line without a full stop. rustls' alert was sent to the node if it has one.
///
/// With TLS 1.3 a node may refuse the client's certificate after this has succeeded: its alert is
/// then what is received first.
///
/// # Cancel safety
///
/// Not: `stream` is to be closed then.
pub(crate) async fn connect(
    stream: &mut TcpStream,
    context: &TlsContext,
    name: ServerName<'static>,
) -> Result<Secured, String> {
    let mut handshake = Handshake::new(context.config(), name)?;
    loop {
        let wants = handshake.advance();
        let sent = stream.write_all(&handshake.outgoing).await;
        handshake.outgoing.clear();
        let wants = wants?; // tells more than that an alert could not be sent
        sent.map_err(|error| error.to_string())?;
        match wants {
            Wants::Nothing => return handshake.finish(),
            Wants::Bytes => handshake.receive(&read(stream).await?)?,
        }
    }
}

/// Reads what there is.
// Allocates: a few times per connection.
async fn read(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(READ_LEN);
    match stream.read_buf(&mut bytes).await {
        Ok(0) => Err("the node closed the connection during the TLS handshake".to_owned()),
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

/// A socket while a connection begins: one request after the other, each with its reply.
///
/// Allocates as it likes. When there are requests to come, [`into_parts`](Self::into_parts) gives
/// what seals and opens them without.
#[derive(Debug)]
pub(crate) struct TlsStream {
    stream: TcpStream,
    secured: Secured,
    /// What was opened and not read; may hold a token.
    plain: Zeroizing<Vec<u8>>,
}

impl TlsStream {
    pub(crate) fn new(stream: TcpStream, secured: Secured) -> TlsStream {
        TlsStream { stream, secured, plain: Zeroizing::default() }
    }

    /// Seals and sends `plain`.
    pub(crate) async fn write_all(&mut self, plain: &[u8]) -> io::Result<()> {
        let mut sealed = Vec::new();
        self.secured.sealer.seal(plain, &mut sealed).map_err(broken)?;
        self.stream.write_all(&sealed).await
    }

    /// Fills `out` with what was received.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] if the peer closes before there is so much.
    pub(crate) async fn read_exact(&mut self, out: &mut [u8]) -> io::Result<()> {
        while self.plain.len() < out.len() {
            let received = &mut self.secured.received;
            let done = match self.secured.opener.next(received).map_err(broken)? {
                Step::Data { start, end, total_len } => {
                    let opened = received.get_mut(start..end).unwrap_or_default();
                    // Anew, since growing would leave a copy that is not wiped.
                    self.plain = Zeroizing::new([&self.plain, &*opened].concat());
                    opened.zeroize();
                    total_len
                }
                Step::Nothing { total_len } => total_len,
                Step::NeedMore { .. } => {
                    received.reserve(READ_LEN);
                    if self.stream.read_buf(received).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    0
                }
                Step::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
            };
            received.drain(..done);
        }
        let (taken, rest) = self.plain.split_at_checked(out.len()).unwrap_or_default();
        out.copy_from_slice(taken);
        self.plain = Zeroizing::new(rest.to_vec());
        Ok(())
    }

    /// The parts, between a reply and the next request.
    ///
    /// # Errors
    ///
    /// If more was received than was read, which nobody has asked for.
    pub(crate) fn into_parts(self) -> Result<(TcpStream, Secured), String> {
        if !self.plain.is_empty() {
            return Err("the node sent more than it was asked for".to_owned());
        }
        Ok((self.stream, self.secured))
    }
}

fn broken(fault: Fault) -> io::Error {
    io::Error::other(fault.0)
}

/// Bytes of one read during the handshake.
const READ_LEN: usize = 4 * 1024;
