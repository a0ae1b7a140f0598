//! The bytes that a connection has received and not handled yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::INPUT_LEN;
use super::memory::Memory;

/// Up to so many bytes of a request are copied rather than read behind, in bytes.
const PART_LEN_MAX: usize = 4 * 1024;

/// Received bytes; `start <= filled <= buffer.len()`, what lies between is not handled yet. No
/// `Debug`: passwords are among them.
///
/// The buffer is lent ([`INPUT_LEN`] long) as long as there is something to read and to handle. If
/// a part of a request is left when there is nothing to read, it moves to a buffer of its own; so a
/// connection that waits has at most four times as many bytes as the client has really sent.
#[derive(Default)]
pub(super) struct Input {
    pub(super) buffer: Vec<u8>,
    pub(super) start: usize,
    pub(super) filled: usize,
    /// How long the frame is whose first bytes are there, as far as known.
    frame_len: usize,
}

impl Input {
    /// Makes room to read more of a frame of `frame_len` bytes.
    ///
    /// The buffer grows only when it is full of bytes that have really arrived, and at most to
    /// twice its length: an announced length costs the client as many bytes as it costs the node.
    pub(super) fn make_room(&mut self, frame_len: usize) {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        self.frame_len = frame_len;
        if self.filled == 0 && self.buffer.len() != INPUT_LEN {
            self.buffer = Vec::new();
        } else if self.filled == self.buffer.len() && self.filled > PART_LEN_MAX {
            self.buffer.resize(frame_len.min(self.buffer.len() * 2).max(self.filled + 1), 0);
        }
    }

    /// Reads what is there; 0 bytes at the end.
    pub(super) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut S,
        memory: &Memory,
    ) -> Poll<io::Result<usize>> {
        if self.buffer.len() <= PART_LEN_MAX {
            self.borrow(memory);
        }
        let mut spare = ReadBuf::new(self.buffer.get_mut(self.filled..).unwrap_or_default());
        let read = Pin::new(stream).poll_read(context, &mut spare);
        let len = spare.filled().len();
        if read.is_pending() {
            self.give_back(memory);
        }
        ready!(read)?;
        self.filled += len;
        Poll::Ready(Ok(len))
    }

    /// Takes a lent buffer and moves the few bytes to it that there are.
    fn borrow(&mut self, memory: &Memory) {
        let mut buffer = memory.take_input();
        if let (Some(to), Some(from)) =
            (buffer.get_mut(..self.filled), self.buffer.get(..self.filled))
        {
            to.copy_from_slice(from);
        }
        self.buffer = buffer;
    }

    /// Gives a lent buffer back, unless a good part of it is in use.
    fn give_back(&mut self, memory: &Memory) {
        if self.buffer.len() != INPUT_LEN || self.start > 0 || self.filled > INPUT_LEN / 4 {
            return;
        }
        let mut own = Vec::new();
        if let Some(part) = self.buffer.get(..self.filled).filter(|part| !part.is_empty()) {
            let len = match part.len() {
                ..=PART_LEN_MAX => part.len(),
                len => self.frame_len.min(2 * len).max(len + 1),
            };
            own.reserve_exact(len);
            own.extend_from_slice(part);
            own.resize(len, 0);
        }
        memory.give_input(std::mem::replace(&mut self.buffer, own));
    }

    /// Bytes that are kept while nothing comes.
    pub(super) fn held_len(&self) -> usize {
        self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the pieces one by one, with a pause before each.
    struct Source {
        pieces: Vec<Vec<u8>>,
        is_paused: bool,
    }

    impl AsyncRead for Source {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.is_paused = !self.is_paused;
            if self.is_paused {
                return Poll::Pending;
            }
            let Some(piece) = self.pieces.first_mut() else { return Poll::Ready(Ok(())) };
            let len = piece.len().min(buffer.remaining());
            buffer.put_slice(&piece[..len]);
            piece.drain(..len);
            if piece.is_empty() {
                self.pieces.remove(0);
            }
            Poll::Ready(Ok(()))
        }
    }

    /// Feeds a frame in pieces; gives the most that was held while waiting, by what had come.
    fn feed(frame_len: usize, piece_len: usize) -> f64 {
        let frame: Vec<u8> = (0..251).cycle().take(frame_len).collect();
        let pieces = frame.chunks(piece_len).map(<[u8]>::to_vec).collect();
        let mut source = Source { pieces, is_paused: false };
        let (memory, mut input) = (Memory::default(), Input::default());
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut worst = 0.0_f64;
        while input.filled < frame_len {
            input.make_room(frame_len);
            match input.poll_read(&mut context, &mut source, &memory) {
                Poll::Ready(read) => assert!(read.unwrap() > 0),
                Poll::Pending if input.filled == 0 => assert_eq!(input.held_len(), 0),
                Poll::Pending => worst = worst.max(input.held_len() as f64 / input.filled as f64),
            }
        }
        assert!(input.buffer[..frame_len] == frame[..]);
        input.start = input.filled;
        input.make_room(9);
        assert!(input.poll_read(&mut context, &mut source, &memory).is_pending());
        assert_eq!(input.held_len(), 0);
        worst
    }

    #[test]
    fn what_is_kept_is_in_proportion_to_what_has_come() {
        for frame_len in [1, 9, 4096, 4097, 40_000, 131_071, 131_072, 131_073, 1_000_000] {
            for piece_len in [1000, 4096, 5000, 50_000, 131_072] {
                let worst = feed(frame_len, piece_len);
                assert!(worst <= 4.0, "{frame_len} in pieces of {piece_len}: {worst}");
            }
        }
        assert!(feed(5000, 1) <= 4.0);
    }
}
