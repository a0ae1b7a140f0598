//! Opens what arrives by TLS, on its way from the socket to where messages are looked for.
//!
//! Records are opened where they lie, and what is in them is copied to the receive chunk: a message
//! may go over several of them, and has to lie in one piece.
//!
//! Between `io.rs` and `complete.rs`, where the connection speaks TLS.

use shardwire_sync::{ChunkPool, Receiver};

use crate::error::Lost;
use crate::tls::stream::{Opener, Sealer, Secured, Step};

/// Bytes that are read at once. More than three of the longest records.
const READ_LEN: usize = 64 * 1024;

/// The receiving half of one connection's TLS.
pub(super) struct Opening {
    opener: Opener,
    /// What was received, between `start` and `end`; begins where a record begins.
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    /// What was opened and is not copied yet, from here to there, and where the next record begins.
    opened: Option<(usize, usize, usize)>,
}

impl Opening {
    /// Both halves of a connection whose handshake is over.
    // Allocates: once per connection. Touched only as far as is received at once.
    pub(super) fn new(secured: Secured) -> (Opening, Sealer) {
        let Secured { sealer, opener, received } = secured;
        let mut bytes = received;
        let end = bytes.len();
        bytes.resize(READ_LEN.max(end), 0);
        (Opening { opener, bytes: bytes.into(), start: 0, end, opened: None }, sealer)
    }

    /// Room for the next read; what was received before has been opened as far as it could.
    pub(super) fn spare(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Counts `len` bytes at the beginning of the spare ones as received.
    pub(super) fn advance(&mut self, len: usize) {
        self.end = self.bytes.len().min(self.end + len);
    }

    /// Moves what there is room for to `receiver`; whether that was anything.
    ///
    /// # Errors
    ///
    /// The node has closed, or sent what is not TLS. The connection is beyond help.
    pub(super) fn open(
        &mut self,
        receiver: &mut Receiver,
        chunks: &mut ChunkPool,
    ) -> Result<bool, Lost> {
        loop {
            if let Some((start, end, next)) = self.opened {
                let plain = self.bytes.get(start..end).unwrap_or_default();
                let spare = receiver.spare(chunks);
                let len = plain.len().min(spare.len());
                if let (Some(room), Some(part)) = (spare.get_mut(..len), plain.get(..len)) {
                    room.copy_from_slice(part);
                }
                receiver.advance(len);
                self.opened = Some((start + len, end, next)).filter(|_| len < plain.len());
                if self.opened.is_none() {
                    self.start = next;
                }
                return Ok(true);
            }
            let received = self.bytes.get_mut(self.start..self.end).unwrap_or_default();
            match self.opener.next(received).map_err(|fault| Lost::Tls(fault.0))? {
                Step::Data { start, end, total_len } => {
                    let from = self.start;
                    self.opened = Some((from + start, from + end, from + total_len));
                }
                Step::Nothing { total_len } => self.start += total_len,
                Step::NeedMore { at_least } => {
                    self.make_room(at_least);
                    return Ok(false);
                }
                Step::Closed => return Err(Lost::ClosedByPeer),
            }
        }
    }

    /// Moves what is left to the front if the next record, `len` bytes long, would not fit behind.
    fn make_room(&mut self, len: usize) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start + len > self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }
}
