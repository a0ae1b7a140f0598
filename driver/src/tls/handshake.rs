//! The handshake, driven by rustls: bytes in, bytes out.
//!
//! rustls is shown one record after the other and never one too many: what follows the handshake,
//! such as tickets, is sealed with the keys that `stream.rs` has by then. That no message crosses
//! a change of keys (RFC 8446 §5.1) makes the end of a record the right place to stop.
//! Invariant: `shown <= received.len()`, and `shown` is where a record ends.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, InsufficientSizeError, UnbufferedStatus};
use rustls::{ClientConfig, Error};

use super::record::{HEADER_LEN, PLAIN_LEN_MAX, announced_len, content};
use super::stream::Secured;

/// What the peer may send until the handshake is done; certificates are the most of it.
pub(crate) const HANDSHAKE_LEN_MAX: usize = 256 * 1024;
/// Of a record, before it is known whether they are sealed (RFC 5246 §6.2.3).
const RECORD_LEN_MAX: usize = HEADER_LEN + PLAIN_LEN_MAX + 2048;

/// What a handshake waits for once `outgoing` is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wants {
    /// More of the peer.
    Bytes,
    /// Nothing: it is done.
    Nothing,
}

pub(crate) struct Handshake {
    connection: UnbufferedClientConnection,
    /// What the peer has sent, from where rustls has not finished with it.
    received: Vec<u8>,
    shown: usize,
    /// Bytes that `received` may still take.
    allowance: usize,
    /// To be sent, whatever [`advance`](Self::advance) says, and cleared.
    pub(crate) outgoing: Vec<u8>,
}

// Allocates: once per connection.
impl Handshake {
    /// `config` allows secrets to be extracted.
    pub(crate) fn new(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Handshake, String> {
        let connection = UnbufferedClientConnection::new(config, name).map_err(text_of)?;
        Ok(Handshake {
            connection,
            received: Vec::new(),
            shown: 0,
            allowance: HANDSHAKE_LEN_MAX,
            outgoing: Vec::new(),
        })
    }

    /// Takes what has been read.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), String> {
        let longer = self.allowance.checked_sub(bytes.len());
        self.allowance = longer.ok_or("the node's TLS handshake is too long")?;
        self.received.extend_from_slice(bytes);
        Ok(())
    }

    /// Goes on as far as it comes. After an error `outgoing` may hold an alert for the peer.
    pub(crate) fn advance(&mut self) -> Result<Wants, String> {
        loop {
            match self.step() {
                Ok(Next::Again) => {}
                Ok(Next::Record) => {
                    if !self.show_record()? {
                        return Ok(Wants::Bytes);
                    }
                }
                Ok(Next::Done) => return Ok(Wants::Nothing),
                Err(reason) => {
                    self.take_alert();
                    return Err(reason);
                }
            }
        }
    }

    fn step(&mut self) -> Result<Next, String> {
        let shown = self.received.get_mut(..self.shown).unwrap_or_default();
        let UnbufferedStatus { discard, state } = self.connection.process_tls_records(shown);
        let next = match state.map_err(text_of) {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                append(&mut self.outgoing, |room| data.encode(room)).map(|()| Next::Again)
            }
            // Not yet, but before anything else happens.
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(Next::Again)
            }
            Ok(ConnectionState::BlockedHandshake) => Ok(Next::Record),
            Ok(ConnectionState::WriteTraffic(_)) => Ok(Next::Done),
            Ok(_) => Err("the node ended the TLS handshake before it was done".to_owned()),
            Err(reason) => Err(reason),
        };
        let discard = discard.min(self.shown);
        self.received.drain(..discard);
        self.shown -= discard;
        next
    }

    /// Shows one record more; `false` if it is not whole.
    fn show_record(&mut self) -> Result<bool, String> {
        let rest = self.received.get(self.shown..).unwrap_or_default();
        if let Some(&typ) = rest.first()
            && !(content::CHANGE_CIPHER_SPEC..=content::APPLICATION_DATA).contains(&typ)
        {
            return Err(format!("the node does not speak TLS here: it sent byte {typ:#04x} first"));
        }
        let Some(len) = announced_len(rest) else { return Ok(false) };
        let len = HEADER_LEN + len;
        if len > RECORD_LEN_MAX {
            return Err("the node announced a TLS record that is too long".to_owned());
        }
        let is_whole = len <= rest.len();
        if is_whole {
            self.shown += len;
        }
        Ok(is_whole)
    }

    /// Puts the alert that rustls has for the peer into `outgoing`, if there is one.
    fn take_alert(&mut self) {
        // With something to send, rustls looks at nothing that was received.
        while self.connection.wants_write() && matches!(self.step(), Ok(Next::Again)) {}
    }

    /// Takes the connection over from rustls, once it wants nothing.
    pub(crate) fn finish(self) -> Result<Secured, String> {
        let (secrets, kernel) =
            self.connection.dangerous_into_kernel_connection().map_err(text_of)?;
        Secured::new(secrets, kernel, self.received).map_err(|fault| fault.to_string())
    }
}

enum Next {
    Again,
    Done,
    Record,
}

fn text_of(error: Error) -> String {
    format!("TLS: {error}")
}

/// Has `encode` write to the end of `out`, in as much room as it asks for.
fn append(
    out: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<(), String> {
    let start = out.len();
    let written = match encode(&mut []) {
        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
            out.resize(start + required_size, 0);
            encode(out.get_mut(start..).unwrap_or_default())
        }
        other => other,
    };
    let len = written.as_ref().map_or(0, |len| *len);
    out.truncate(start + len);
    written.map(drop).map_err(|error| format!("TLS: {error}"))
}
