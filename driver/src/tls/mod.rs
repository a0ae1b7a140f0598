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

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) use context::Tls;
pub use context::{TlsContext, TlsContextBuilder};
use stream::Secured;

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

/// Bytes of one read during the handshake.
const READ_LEN: usize = 4 * 1024;
