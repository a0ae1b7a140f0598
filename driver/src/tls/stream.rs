//! A TLS connection after its handshake: what is sent and what is received, apart from each other.
//!
//! rustls did the handshake and keeps the key schedule and the tickets; the records are sealed and
//! opened here, in place, without allocating. No sockets: bytes in, bytes out.
//!
//! | received | what becomes of it |
//! |---|---|
//! | application data | handed out where it stands |
//! | new_session_ticket (1.3) | kept by rustls, for later connections |
//! | key_update (1.3) | the next record is opened with the next key; an answer is due if asked for |
//! | hello_request (1.2) | ignored (RFC 5246 §7.4.1.1): there is no renegotiation |
//! | alerts | close_notify ends the connection in order, user_canceled is ignored, so are warnings of 1.2; all others end it with an error |
//! | anything else | ends the connection with an error |

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::{ExtractedSecrets, ProtocolVersion, SupportedCipherSuite};

use super::record::{Fault, Form, Key, OVERHEAD_MAX, PLAIN_LEN_MAX, content};

/// The longest message of the peer after the handshake: tickets, which may hold certificates.
const MESSAGE_LEN_MAX: usize = 64 * 1024;
/// The most records in a row that bring no data. Few connections see more than three.
const EMPTY_COUNT_MAX: u32 = 32;
/// How many records of what its key is good for stay unused: a key_update and a close_notify.
const RECORDS_SPARE: u64 = 2;

/// Types of messages (RFC 8446 §4, RFC 5246 §7.4).
mod message {
    pub(super) const HELLO_REQUEST: u8 = 0;
    pub(super) const NEW_SESSION_TICKET: u8 = 4;
    pub(super) const KEY_UPDATE: u8 = 24;
}

/// A whole key_update that asks for none in return (RFC 8446 §4.6.3).
const KEY_UPDATE: [u8; 5] = [message::KEY_UPDATE, 0, 0, 1, 0];

const WARNING: u8 = 1;
const CLOSE_NOTIFY: u8 = 0;
const USER_CANCELED: u8 = 90;

/// Both directions of a connection whose handshake is done.
pub(crate) struct Secured {
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    /// What has been read beyond the handshake and not looked at: begins where a record begins.
    pub(crate) received: Vec<u8>,
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").field("sealer", &self.sealer).finish_non_exhaustive()
    }
}

/// What both directions need of rustls. Locked when keys are renewed and when a ticket comes.
struct Shared {
    kernel: Mutex<KernelConnection<ClientConnectionData>>,
    /// The peer has asked for new keys of what is sent to it. A hint that both directions read
    /// with no other memory behind it, hence `Relaxed`.
    is_update_requested: AtomicBool,
}

impl Shared {
    fn kernel(&self) -> MutexGuard<'_, KernelConnection<ClientConnectionData>> {
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Secured {
    // Allocates: once per connection.
    pub(crate) fn new(
        secrets: ExtractedSecrets,
        kernel: KernelConnection<ClientConnectionData>,
        received: Vec<u8>,
    ) -> Result<Secured, Fault> {
        let version = kernel.protocol_version();
        let records_max = records_max(kernel.negotiated_cipher_suite());
        let is_update_requested = AtomicBool::new(false);
        let shared = Arc::new(Shared { kernel: Mutex::new(kernel), is_update_requested });
        let key = Key::new(version, secrets.tx)?;
        let sealer = Sealer { key, records_max, shared: Arc::clone(&shared) };
        let opener = Opener {
            key: Key::new(version, secrets.rx)?,
            shared,
            pending: Vec::new(),
            empty_count: 0,
            ended: None,
        };
        Ok(Secured { sealer, opener, received })
    }
}

/// For how many records a key of this suite is good (RFC 8446 §5.5), less the spare ones.
fn records_max(suite: SupportedCipherSuite) -> u64 {
    let limit = match suite {
        SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
        SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
    };
    limit.saturating_sub(RECORDS_SPARE)
}

/// Seals what is sent.
pub(crate) struct Sealer {
    key: Key,
    /// The key is renewed before it has been used for more records than this.
    records_max: u64,
    shared: Arc<Shared>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Sealer {
    /// Room that sealing `plain_len` bytes takes at most, with the messages that may be due.
    pub(crate) fn sealed_len(&self, plain_len: usize) -> usize {
        let data_count = plain_len.div_ceil(PLAIN_LEN_MAX);
        // What was asked for, and what the limit asks for: once in 2^23 records or less.
        let per_key = usize::try_from(self.records_max.max(1)).unwrap_or(usize::MAX);
        let update_count = 2 + data_count.div_ceil(per_key);
        let update_len = OVERHEAD_MAX + KEY_UPDATE.len();
        plain_len
            .saturating_add(data_count.saturating_mul(OVERHEAD_MAX))
            .saturating_add(update_count.saturating_mul(update_len))
    }

    /// Whether the peer waits for new keys. It need not get them before the next data, which
    /// [`seal`](Self::seal) sees to; with no data, that sends just them (RFC 8446 §4.6.3).
    pub(crate) fn is_due(&self) -> bool {
        self.shared.is_update_requested.load(Ordering::Relaxed)
    }

    /// Appends records with `plain` to `out`, and before it what is due.
    ///
    /// After an error the connection cannot go on: a part may have been appended.
    ///
    /// # Allocation
    ///
    /// `out`, if it has no room for [`sealed_len`](Self::sealed_len); and when keys are renewed.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        out.reserve(self.sealed_len(plain.len()));
        if self.is_due() {
            self.renew(out)?;
        }
        for part in plain.chunks(PLAIN_LEN_MAX) {
            if self.key.seq() >= self.records_max {
                self.renew(out)?;
            }
            self.key.seal(content::APPLICATION_DATA, part, out)?;
        }
        Ok(())
    }

    /// Appends a close_notify, after which nothing may be sealed (RFC 8446 §6.1).
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.key.seal(content::ALERT, &[WARNING, CLOSE_NOTIFY], out)
    }

    /// Tells the peer, and goes on with the next key (RFC 8446 §4.6.3).
    fn renew(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.key.form() != Form::Tls13 {
            // TLS 1.2 could only renegotiate, which rustls cannot.
            return Err(Fault(
                "the TLS 1.2 key has been used for as many records as it is good for",
            ));
        }
        // First: what is asked for from here on gets an answer of its own.
        self.shared.is_update_requested.store(false, Ordering::Relaxed);
        self.key.seal(content::HANDSHAKE, &KEY_UPDATE, out)?;
        let next = self.shared.kernel().update_tx_secret().map_err(|_| NO_NEXT_KEY)?;
        self.key = Key::new(ProtocolVersion::TLSv1_3, next)?;
        Ok(())
    }

    /// Has keys renewed after so many records.
    #[cfg(test)]
    pub(crate) fn set_records_max(&mut self, records: u64) {
        self.records_max = records;
    }
}

const NO_NEXT_KEY: Fault = Fault("the TLS keys could not be renewed");

/// What [`Opener::next`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Nothing whole: come again with at least so many bytes, of which those given are a part.
    NeedMore { at_least: usize },
    /// Data, at these offsets; the next record begins at `total_len`.
    Data { start: usize, end: usize, total_len: usize },
    /// A record without data; the next one begins at `total_len`.
    Nothing { total_len: usize },
    /// The peer has said that nothing more comes. What follows is not looked at.
    Closed,
}

/// Opens what is received.
pub(crate) struct Opener {
    key: Key,
    shared: Arc<Shared>,
    /// The beginning of a message whose rest is in the next record; empty but for then.
    pending: Vec<u8>,
    /// Records without data since the last with some.
    empty_count: u32,
    /// In order, or why not. Then nothing more is opened.
    ended: Option<Result<(), Fault>>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Opener {
    /// Looks at the record that `filled` begins with, and opens it in place if it is whole. It must
    /// not be shown again then.
    ///
    /// # Errors
    ///
    /// The connection cannot go on; the same error comes from then on.
    ///
    /// # Allocation
    ///
    /// None for data. For tickets and when keys are renewed.
    pub(crate) fn next(&mut self, filled: &mut [u8]) -> Result<Step, Fault> {
        match self.ended {
            Some(Ok(())) => return Ok(Step::Closed),
            Some(Err(fault)) => return Err(fault),
            None => {}
        }
        let step = self.open(filled);
        match step {
            Ok(Step::Closed) => self.ended = Some(Ok(())),
            Err(fault) => self.ended = Some(Err(fault)),
            Ok(_) => {}
        }
        step
    }

    fn open(&mut self, filled: &mut [u8]) -> Result<Step, Fault> {
        let total_len = self.key.record_len(filled)?;
        let Some(record) = filled.get_mut(..total_len) else {
            return Ok(Step::NeedMore { at_least: total_len });
        };
        let opened = self.key.open(record)?;
        let (start, end) = (opened.start, opened.end);
        let inside = record.get(start..end).unwrap_or_default();
        // RFC 8446 §5.1: nothing comes between the pieces of a message.
        if !self.pending.is_empty() && opened.typ != content::HANDSHAKE {
            return Err(Fault("the node sent something else within a TLS message"));
        }
        match opened.typ {
            content::APPLICATION_DATA if start < end => {
                self.empty_count = 0;
                return Ok(Step::Data { start, end, total_len });
            }
            content::APPLICATION_DATA => {}
            content::HANDSHAKE => self.take_messages(inside)?,
            content::ALERT => {
                if self.take_alert(inside)? {
                    return Ok(Step::Closed);
                }
            }
            _ => return Err(Fault("the node sent a TLS record of an unknown type")),
        }
        self.empty_count += 1;
        if self.empty_count > EMPTY_COUNT_MAX {
            return Err(Fault("the node sent too many TLS records without data"));
        }
        Ok(Step::Nothing { total_len })
    }

    /// Whether the peer closes. One record is one alert (RFC 8446 §5.1, RFC 5246 §7.2).
    fn take_alert(&self, alert: &[u8]) -> Result<bool, Fault> {
        match (self.key.form(), alert) {
            (_, &[_, CLOSE_NOTIFY]) => Ok(true),
            // RFC 8446 §6.1: a close_notify comes next. Java's TLS sends both.
            (_, &[_, USER_CANCELED]) => Ok(false),
            // RFC 5246 §7.2.2: the connection can go on.
            (Form::Tls12Gcm | Form::Tls12ChaCha, &[WARNING, _]) => Ok(false),
            (_, &[_, description]) => Err(Fault(alert_text(description))),
            _ => Err(Fault("the node sent a TLS alert that is malformed")),
        }
    }

    // Allocates: tickets, a few per connection.
    fn take_messages(&mut self, piece: &[u8]) -> Result<(), Fault> {
        if piece.is_empty() {
            return Err(Fault("the node sent an empty piece of a TLS message")); // RFC 8446 §5.1
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(piece);
        let mut rest = pending.as_slice();
        while let Some((&[typ, high, middle, low], after)) = rest.split_first_chunk() {
            let len = [high, middle, low].iter().fold(0, |len, &byte| len << 8 | usize::from(byte));
            if len > MESSAGE_LEN_MAX {
                return Err(Fault("the node announced a TLS message that is too long"));
            }
            let Some((body, after)) = after.split_at_checked(len) else { break };
            rest = after;
            self.take_message(typ, body, rest)?;
        }
        self.pending = rest.to_vec();
        Ok(())
    }

    fn take_message(&mut self, typ: u8, body: &[u8], rest: &[u8]) -> Result<(), Fault> {
        match (self.key.form(), typ, body) {
            (Form::Tls13, message::NEW_SESSION_TICKET, _) => {
                let taken = self.shared.kernel().handle_new_session_ticket(body);
                taken.map_err(|_| Fault("the node sent a TLS ticket that is malformed"))
            }
            // RFC 8446 §5.1: what comes before other keys ends with its record.
            (Form::Tls13, message::KEY_UPDATE, &[0 | 1]) if !rest.is_empty() => {
                Err(Fault("the node's TLS key update is followed by something in its record"))
            }
            (Form::Tls13, message::KEY_UPDATE, &[request @ (0 | 1)]) => {
                let next = self.shared.kernel().update_rx_secret().map_err(|_| NO_NEXT_KEY)?;
                self.key = Key::new(ProtocolVersion::TLSv1_3, next)?;
                if request == 1 {
                    self.shared.is_update_requested.store(true, Ordering::Relaxed);
                }
                Ok(())
            }
            (Form::Tls13, message::KEY_UPDATE, _) => {
                Err(Fault("the node sent a TLS key update that is malformed"))
            }
            (Form::Tls12Gcm | Form::Tls12ChaCha, message::HELLO_REQUEST, []) => Ok(()),
            _ => Err(Fault("the node sent an unexpected TLS message after the handshake")),
        }
    }
}

/// Alerts by number (RFC 8446 §6, RFC 5246 §7.2).
macro_rules! alerts {
    ($($number:literal $name:literal)*) => {
        const fn alert_text(description: u8) -> &'static str {
            match description {
                $($number => concat!("the node sent the TLS alert ", $name),)*
                _ => "the node sent a TLS alert that is unknown",
            }
        }
    };
}

alerts! {
    10 "unexpected_message"
    20 "bad_record_mac"
    22 "record_overflow"
    40 "handshake_failure"
    42 "bad_certificate"
    43 "unsupported_certificate"
    44 "certificate_revoked"
    45 "certificate_expired"
    46 "certificate_unknown"
    47 "illegal_parameter"
    48 "unknown_ca"
    49 "access_denied"
    50 "decode_error"
    51 "decrypt_error"
    70 "protocol_version"
    71 "insufficient_security"
    80 "internal_error"
    86 "inappropriate_fallback"
    100 "no_renegotiation"
    109 "missing_extension"
    110 "unsupported_extension"
    112 "unrecognized_name"
    113 "bad_certificate_status_response"
    115 "unknown_psk_identity"
    116 "certificate_required"
    120 "no_application_protocol"
}
