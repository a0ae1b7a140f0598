//! Where requests are encoded: two buffers of which one fills while the other is being written.
//!
//! A frame is encoded in place, under a lock, into exactly the bytes it announced; only when that
//! succeeded does the buffer's end move past them. So an error or a panic in a serializer leaves
//! nothing behind, and everything before the end is whole frames. The writer exchanges the filled
//! buffer for its own empty one, by pointer. Frames longer than a buffer go to a short list.
//! Knows no socket, and of frames only that they follow each other.
//!
//! Invariant: `end <= buf.len()`; `buf[..end]` is whole frames; `queued` is 0 exactly if both the
//! buffer and the list are empty.
//!
//! Step 8 of 14 in `docs/REQUEST.md`. Next: `driver/src/connection/io.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::mem;

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;

use crate::shim::{Apart, AtomicBool, AtomicUsize, Guard, Mutex, Ordering, lock};

/// Bytes of a buffer until more is queued at once; then it takes its full length for good.
///
/// A lone request, or a few, fit; and a buffer of this length lies among the program's other
/// memory, while one of a megabyte has pages of its own, which the system may make huge ones.
const FIRST_LEN: usize = 4 * 1024;
/// Frames longer than the buffer that may be queued or being encoded;
/// the writer has as many at most in its hands.
const LARGE_COUNT_MAX: usize = 64;
/// How many buffer lengths the queued large frames may have together; one alone may have more.
const LARGE_LEN_FACTOR: usize = 64;
/// Buffers of large frames that are kept for reuse, and how many buffer lengths each may have.
const SPENT_COUNT_MAX: usize = 4;
const SPENT_LEN_FACTOR: usize = 8;

/// The outgoing side of one connection.
pub struct Outbox {
    filling: Apart<Mutex<Filling>>,
    /// Bytes queued; changes only under the lock.
    queued: Apart<AtomicUsize>,
    /// Whether any request was given up since the writer last looked.
    withdrawn: AtomicBool,
    len: usize,
}

struct Filling {
    buf: Box<[u8]>,
    end: usize,
    large: VecDeque<Box<[u8]>>,
    /// Large frames and their bytes that are being encoded or queued.
    large_count: usize,
    large_len: usize,
    /// Buffers of written large frames; smallest class first.
    spent: Vec<Box<[u8]>>,
    closed: bool,
}

/// The writer's buffer: what it took last and has not written yet.
#[derive(Debug)]
pub struct WriteBuffer {
    buf: Box<[u8]>,
    start: usize,
    end: usize,
    large: VecDeque<Box<[u8]>>,
    /// Bytes of the first large frame that are written.
    large_start: usize,
    /// Written large frames, to be given back.
    spent: Vec<Box<[u8]>>,
}

/// A frame is in the outbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pushed {
    /// Nothing was queued before: the writer must be told.
    pub was_empty: bool,
}

/// A frame is not in the outbox, and nothing of it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PushError<E> {
    /// The connection is gone.
    Closed,
    /// The frame could not be encoded.
    Encode(E),
    /// There is no room; there will be when the writer has swapped.
    Full,
}

impl Outbox {
    /// An open outbox with a buffer of up to `len` bytes; the writer's [`WriteBuffer`] has another.
    ///
    /// # Panics
    ///
    /// If `len` is 0.
    #[must_use]
    pub fn new(len: usize) -> Outbox {
        assert!(len > 0, "an outbox holds at least a byte");
        Outbox {
            filling: Apart(Mutex::new(Filling {
                buf: alloc_buffer(len.min(FIRST_LEN)),
                end: 0,
                large: VecDeque::new(),
                large_count: 0,
                large_len: 0,
                spent: Vec::new(),
                closed: false,
            })),
            queued: Apart(AtomicUsize::new(0)),
            withdrawn: AtomicBool::new(false),
            len,
        }
    }

    /// Queues a frame of exactly `len` bytes, which `encode` writes.
    ///
    /// `encode` runs under the outbox's lock: it must be short and must not come back here. When it
    /// returns `Ok` the frame may be sent at any moment. Frames longer than
    /// [`buffer_len`](Self::buffer_len) go to [`push_large`](Self::push_large), whose caller is
    /// another so that `encode` is compiled into this one; here they never find room.
    ///
    /// # Errors
    ///
    /// See [`PushError`]; the writer will see nothing of the frame.
    ///
    /// # Allocation
    ///
    /// Once in the outbox's life, when more is queued at once than fits its first 4 KiB.
    #[inline]
    pub fn push<E>(
        &self,
        len: usize,
        encode: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Pushed, PushError<E>> {
        debug_assert!(len <= self.len, "a frame for `push_large`");
        let mut filling = lock(&self.filling.0);
        if filling.closed {
            return Err(PushError::Closed);
        }
        let (start, end) = (filling.end, filling.end.saturating_add(len));
        if end > filling.buf.len() {
            filling.grow(end, self.len);
        }
        let Some(frame) = filling.buf.get_mut(start..end) else {
            return Err(PushError::Full);
        };
        encode(frame).map_err(PushError::Encode)?;
        filling.end = end;
        Ok(self.queued(len, filling))
    }

    /// Counts `len` bytes more, still under the lock.
    #[inline]
    fn queued(&self, len: usize, filling: Guard<'_, Filling>) -> Pushed {
        let before = self.queued.0.load(Ordering::Relaxed); // changes only under the lock
        // Release: pairs with the `Acquire` in `is_empty`.
        self.queued.0.store(before + len, Ordering::Release);
        drop(filling);
        Pushed { was_empty: before == 0 }
    }

    /// Queues a frame in a buffer of its own, in which it is encoded without the lock: one that is
    /// longer than [`buffer_len`](Self::buffer_len).
    ///
    /// # Errors
    ///
    /// See [`PushError`]; the writer will see nothing of the frame.
    ///
    /// # Allocation
    ///
    /// None if there is a spent buffer of its length.
    #[cold]
    pub fn push_large<E>(
        &self,
        len: usize,
        encode: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Pushed, PushError<E>> {
        let spent = {
            let mut filling = lock(&self.filling.0);
            if filling.closed {
                return Err(PushError::Closed);
            }
            let len_max = self.len.saturating_mul(LARGE_LEN_FACTOR);
            let room = filling.large_len.saturating_add(len) <= len_max || filling.large_count == 0;
            if !room || filling.large_count == LARGE_COUNT_MAX {
                return Err(PushError::Full);
            }
            filling.large_count += 1;
            filling.large_len += len;
            let index = filling.spent.iter().position(|spent| spent.len() == len);
            index.map(|index| filling.spent.swap_remove(index))
        };
        // From here on the reservation is given back unless the frame is queued.
        let mut reserved = Reserved { outbox: self, len, queued: false };
        let mut frame = spent.unwrap_or_else(|| alloc_buffer(len));
        encode(&mut frame).map_err(PushError::Encode)?;
        let mut filling = lock(&self.filling.0);
        if filling.closed {
            drop(filling);
            return Err(PushError::Closed);
        }
        filling.large.push_back(frame);
        reserved.queued = true;
        Ok(self.queued(len, filling))
    }

    /// Bytes that the buffer may have: longer frames are queued apart.
    #[inline]
    pub fn buffer_len(&self) -> usize {
        self.len
    }

    /// Whether nothing is queued; one load.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queued_len() == 0
    }

    /// Bytes that wait for the writer; one load.
    #[inline]
    pub fn queued_len(&self) -> usize {
        self.queued.0.load(Ordering::Acquire) // pairs with the `Release` in `queued`
    }

    /// The writer takes all that has gathered, if it has written all that it took before.
    ///
    /// If a request was given up meanwhile ([`mark_withdrawn`](Self::mark_withdrawn)) the new
    /// frames are passed to `keep` and dropped where it says no; `frame_len` tells how long the
    /// frame is that its argument begins with, 0 if there is none.
    ///
    /// Returns how many bytes are to be written now.
    #[inline]
    pub fn swap(
        &self,
        writing: &mut WriteBuffer,
        frame_len: impl Fn(&[u8]) -> usize,
        keep: impl FnMut(&[u8]) -> bool,
    ) -> usize {
        if !writing.is_empty() {
            return writing.len();
        }
        if self.is_empty() {
            return 0;
        }
        {
            let mut filling = lock(&self.filling.0);
            if !writing.spent.is_empty() {
                filling.recycle(&mut writing.spent, self.len);
            }
            if writing.buf.len() < filling.buf.len() {
                writing.buf = alloc_buffer(filling.buf.len()); // its time to grow, too
            }
            mem::swap(&mut filling.buf, &mut writing.buf);
            if !filling.large.is_empty() {
                filling.release_large();
                mem::swap(&mut filling.large, &mut writing.large);
            }
            writing.start = 0;
            writing.end = mem::take(&mut filling.end);
            writing.large_start = 0;
            self.queued.0.store(0, Ordering::Release); // pairs with the `Acquire` in `is_empty`
        }
        if self.take_withdrawn() {
            writing.drop_withdrawn(frame_len, keep);
        }
        writing.len()
    }

    /// A request was given up, perhaps before its frame was written: the writer had better look.
    #[inline]
    pub fn mark_withdrawn(&self) {
        // Release: pairs with the `Acquire` in `take_withdrawn`; the slot was orphaned before.
        self.withdrawn.store(true, Ordering::Release);
    }

    /// Whether any request was given up since the last time.
    #[inline]
    pub fn take_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Relaxed) && self.withdrawn.swap(false, Ordering::Acquire)
    }

    /// From now on nothing can be queued. What is queued stays until [`reopen`](Self::reopen).
    pub fn close(&self) {
        lock(&self.filling.0).closed = true;
    }

    /// Drops what is queued and opens for a new connection.
    pub fn reopen(&self) {
        let mut filling = lock(&self.filling.0);
        filling.end = 0;
        filling.release_large();
        filling.large.clear();
        filling.closed = false;
        self.queued.0.store(0, Ordering::Release); // pairs with the `Acquire` in `is_empty`
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("queued_len", &self.queued_len())
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Filling {
    /// Makes room for frames up to `end`, if the buffer may have `len_max` bytes and has not yet.
    #[cold]
    fn grow(&mut self, end: usize, len_max: usize) {
        if end <= len_max {
            let mut buf = alloc_buffer(len_max);
            if let (Some(to), Some(from)) = (buf.get_mut(..self.end), self.buf.get(..self.end)) {
                to.copy_from_slice(from);
            }
            self.buf = buf;
        }
    }

    /// The queued large frames leave the queue.
    fn release_large(&mut self) {
        self.large_count -= self.large.len();
        self.large_len -= self.large.iter().map(|frame| frame.len()).sum::<usize>();
    }

    /// Takes written large frames back, keeping few.
    #[cold]
    fn recycle(&mut self, spent: &mut Vec<Box<[u8]>>, len: usize) {
        for buf in spent.drain(..) {
            if buf.len() <= len.saturating_mul(SPENT_LEN_FACTOR) {
                if self.spent.len() == SPENT_COUNT_MAX {
                    self.spent.remove(0);
                }
                self.spent.push(buf);
            }
        }
    }
}

/// Room for a large frame that is being encoded.
struct Reserved<'o> {
    outbox: &'o Outbox,
    len: usize,
    queued: bool,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.queued {
            let mut filling = lock(&self.outbox.filling.0);
            filling.large_count -= 1;
            filling.large_len -= self.len;
        }
    }
}

impl WriteBuffer {
    /// An empty buffer for the writer of an [`Outbox`] of the same `len`.
    #[must_use]
    pub fn new(len: usize) -> WriteBuffer {
        WriteBuffer {
            buf: alloc_buffer(len.min(FIRST_LEN)),
            start: 0,
            end: 0,
            large: VecDeque::new(),
            large_start: 0,
            spent: Vec::new(),
        }
    }

    /// The bytes to write next, in one piece; more may follow when they are consumed.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> &[u8] {
        if self.start < self.end {
            return self.buf.get(self.start..self.end).unwrap_or_default();
        }
        match self.large.front() {
            Some(frame) => frame.get(self.large_start..).unwrap_or_default(),
            None => &[],
        }
    }

    /// Counts `len` bytes of [`remaining`](Self::remaining) as written; at most all of them.
    #[inline]
    pub fn consume(&mut self, len: usize) {
        debug_assert!(len <= self.remaining().len(), "more than there was to write");
        if self.start < self.end {
            self.start = self.end.min(self.start + len);
            return;
        }
        self.large_start += len;
        if self.large.front().is_some_and(|frame| frame.len() <= self.large_start) {
            self.spent.extend(self.large.pop_front());
            self.large_start = 0;
        }
    }

    /// Whether everything was written.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end && self.large.is_empty()
    }

    /// Bytes not written yet.
    #[must_use]
    pub fn len(&self) -> usize {
        let large = self.large.iter().map(|frame| frame.len()).sum::<usize>();
        (self.end - self.start) + (large - self.large_start)
    }

    /// Forgets what was not written.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        self.spent.extend(self.large.drain(..));
        self.large_start = 0;
    }

    /// Drops the frames that are not begun yet and that `keep` refuses.
    #[cold]
    fn drop_withdrawn(
        &mut self,
        frame_len: impl Fn(&[u8]) -> usize,
        mut keep: impl FnMut(&[u8]) -> bool,
    ) {
        let mut read = self.start;
        let mut write = self.start;
        while let Some(rest) = self.buf.get(read..self.end).filter(|rest| !rest.is_empty()) {
            let len = match frame_len(rest) {
                0 => rest.len(), // not a frame: keep what is left as it is
                len => len.min(rest.len()),
            };
            if rest.get(..len).is_none_or(&mut keep) {
                self.buf.copy_within(read..read + len, write);
                write += len;
            }
            read += len;
        }
        self.end = write;
        for _ in 0..self.large.len() {
            let Some(frame) = self.large.pop_front() else { break };
            if keep(&frame) {
                self.large.push_back(frame);
            } else {
                self.spent.push(frame);
            }
        }
    }
}

/// Zeroed memory, which the operating system provides only as far as it is used.
fn alloc_buffer(len: usize) -> Box<[u8]> {
    vec![0; len].into_boxed_slice()
}
