//! Writing the notations: [`Writer`], and the lengths of variable integers.
//!
//! Running over the slice is noted and reported by [`Writer::finish`] instead of at each call, so
//! that encoding is straight-line code. Next: `types.rs`.

use core::net::{IpAddr, SocketAddr};

use uuid::Uuid;

use crate::consistency::Consistency;
use crate::error::LengthMismatch;

/// Fills a slice of exactly the announced length, at most 2 GiB - 1 of it.
///
/// Nothing is ever written outside the slice: what does not fit is left out and remembered.
#[derive(Debug)]
#[must_use = "`finish` tells whether the announced length was kept"]
pub struct Writer<'a> {
    rest: &'a mut [u8],
    /// Length of the whole slice; [`FAULT`] is set once a promise was broken. In one word, so
    /// that straight-line encoding keeps all of the writer in registers.
    len: usize,
}

/// See [`Writer::len`]. A slice is never longer than `isize::MAX`, so the bit is free.
const FAULT: usize = 1 << (usize::BITS - 1);

impl<'a> Writer<'a> {
    /// Fills `out` from its beginning. A slice beyond 2 GiB - 1 is a fault.
    #[inline]
    pub const fn new(out: &'a mut [u8]) -> Self {
        let len = out.len();
        // So every length that fits into the slice fits into an `[int]`.
        if len > i32::MAX as usize {
            return Self { rest: &mut [], len: FAULT };
        }
        Self { rest: out, len }
    }

    /// How many bytes were written.
    #[inline]
    #[must_use]
    pub const fn position(&self) -> usize {
        (self.len & !FAULT) - self.rest.len()
    }

    /// Ends writing.
    ///
    /// # Errors
    /// If not exactly the slice's length was written, or a value within it broke its promise; then
    /// `written` is one more than announced, whatever the value did.
    #[inline]
    pub fn finish(self) -> Result<(), LengthMismatch> {
        if self.rest.is_empty() && self.len & FAULT == 0 { Ok(()) } else { Err(self.mismatch()) }
    }

    #[cold]
    fn mismatch(&self) -> LengthMismatch {
        let announced = self.len & !FAULT;
        let written = match self.len & FAULT {
            0 => self.position(),
            _ => announced.saturating_add(1),
        };
        LengthMismatch { announced, written }
    }

    /// Remembers that a length was announced and not kept: [`Self::finish`] will fail.
    #[inline]
    pub fn set_fault(&mut self) {
        self.len |= FAULT;
        self.rest = &mut [];
    }

    /// `[byte]`
    #[inline]
    pub fn put_u8(&mut self, value: u8) {
        self.put_array([value]);
    }

    /// `[short]`
    #[inline]
    pub fn put_u16(&mut self, value: u16) {
        self.put_array(value.to_be_bytes());
    }

    /// `[int]`
    #[inline]
    pub fn put_i32(&mut self, value: i32) {
        self.put_array(value.to_be_bytes());
    }

    /// `[int]` that is a set of bits, or a length that is known to fit.
    #[inline]
    pub fn put_u32(&mut self, value: u32) {
        self.put_array(value.to_be_bytes());
    }

    /// `[long]`
    #[inline]
    pub fn put_i64(&mut self, value: i64) {
        self.put_array(value.to_be_bytes());
    }

    /// Bytes as they are; one bounds check and, for small `N`, one or two stores.
    #[inline]
    pub fn put_array<const N: usize>(&mut self, bytes: [u8; N]) {
        match core::mem::take(&mut self.rest).split_first_chunk_mut::<N>() {
            Some((head, rest)) => {
                *head = bytes;
                self.rest = rest;
            }
            None => self.set_fault(),
        }
    }

    /// Bytes as they are.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        match core::mem::take(&mut self.rest).split_at_mut_checked(bytes.len()) {
            Some((head, rest)) => {
                copy_content(head, bytes);
                self.rest = rest;
            }
            None => self.set_fault(),
        }
    }

    /// The next `len` bytes, to be filled by the caller; none, and a fault, where there are fewer.
    pub(crate) fn take_room(&mut self, len: usize) -> &'a mut [u8] {
        match core::mem::take(&mut self.rest).split_at_mut_checked(len) {
            Some((head, rest)) => {
                self.rest = rest;
                head
            }
            None => {
                self.set_fault();
                &mut []
            }
        }
    }

    /// A `[value]` or `[bytes]` whose content is `N` bytes: length and content at once.
    #[inline]
    pub fn put_fixed_value<const N: usize>(&mut self, content: [u8; N]) {
        let rest = core::mem::take(&mut self.rest);
        // Both halves are checked before either is written; the compiler makes one check of it.
        if let Some((head, rest)) = rest.split_first_chunk_mut::<4>()
            && let Some((body, rest)) = rest.split_first_chunk_mut::<N>()
        {
            *head = const { len_prefix(N) };
            *body = content;
            self.rest = rest;
        } else {
            self.set_fault();
        }
    }

    /// A `[value]` or `[bytes]` with this content. A content beyond 2 GiB - 1 is a fault.
    #[inline]
    pub fn put_bytes(&mut self, content: &[u8]) {
        let rest = core::mem::take(&mut self.rest);
        if let Some((head, rest)) = rest.split_first_chunk_mut::<4>()
            && let Some((body, rest)) = rest.split_at_mut_checked(content.len())
        {
            #[expect(clippy::cast_possible_truncation, reason = "`new` took 2 GiB - 1 at most")]
            let len = content.len() as u32;
            *head = len.to_be_bytes();
            copy_content(body, content);
            self.rest = rest;
        } else {
            self.set_fault();
        }
    }

    /// `[string]`. A text beyond 65,535 bytes is a fault.
    #[inline]
    pub fn put_string(&mut self, text: &str) {
        self.put_short_bytes(text.as_bytes());
    }

    /// `[long string]`. A text beyond 2 GiB - 1 is a fault.
    #[inline]
    pub fn put_long_string(&mut self, text: &str) {
        self.put_bytes(text.as_bytes());
    }

    /// `[short bytes]`. More than 65,535 are a fault.
    #[inline]
    pub fn put_short_bytes(&mut self, content: &[u8]) {
        match u16::try_from(content.len()) {
            Ok(len) => {
                self.put_u16(len);
                self.put_slice(content);
            }
            Err(_) => self.set_fault(),
        }
    }

    /// `[string list]`. More than 65,535 are a fault.
    pub fn put_string_list(&mut self, texts: &[&str]) {
        match u16::try_from(texts.len()) {
            Ok(count) => self.put_u16(count),
            Err(_) => return self.set_fault(),
        }
        for text in texts {
            self.put_string(text);
        }
    }

    /// `[inet]`
    pub fn put_inet(&mut self, address: SocketAddr) {
        match address.ip() {
            IpAddr::V4(ip) => {
                self.put_u8(4);
                self.put_array(ip.octets());
            }
            IpAddr::V6(ip) => {
                self.put_u8(16);
                self.put_array(ip.octets());
            }
        }
        self.put_i32(i32::from(address.port()));
    }

    /// `[uuid]`
    #[inline]
    pub fn put_uuid(&mut self, uuid: Uuid) {
        self.put_array(uuid.into_bytes());
    }

    /// `[consistency]`
    #[inline]
    pub fn put_consistency(&mut self, consistency: Consistency) {
        self.put_u16(consistency.as_u16());
    }

    /// `[unsigned vint]`
    pub fn put_unsigned_vint(&mut self, value: u64) {
        let (bytes, skip) = vint_bytes(value);
        self.put_slice(bytes.get(skip..).unwrap_or(&[]));
    }

    /// `[vint]`
    pub fn put_vint(&mut self, value: i64) {
        self.put_unsigned_vint(zigzag(value));
    }
}

/// Copies `source` to `target`, which is as long.
///
/// The lengths that ids, texts and small blobs mostly have go by a few vector registers: with a
/// call to memcpy, the rest of a row's straight-line code would lose its registers too.
#[inline]
fn copy_content(target: &mut [u8], source: &[u8]) {
    match source.len() {
        16..=32 => copy_ends::<16>(target, source),
        33..=64 => copy_ends::<32>(target, source),
        _ => target.copy_from_slice(source),
    }
}

/// Copies `N` to `2 * N` bytes as the first and the last `N`, which may overlap.
#[inline]
fn copy_ends<const N: usize>(target: &mut [u8], source: &[u8]) {
    debug_assert!(target.len() == source.len() && (N..=2 * N).contains(&source.len()));
    if let (Some(first), Some(last)) = (source.first_chunk::<N>(), source.last_chunk::<N>()) {
        if let Some(place) = target.first_chunk_mut::<N>() {
            *place = *first;
        }
        if let Some(place) = target.last_chunk_mut::<N>() {
            *place = *last;
        }
    }
}

/// Length of an `[unsigned vint]` in bytes, 1 to 9.
#[must_use]
pub const fn unsigned_vint_len(value: u64) -> usize {
    // Each byte beyond the first costs one bit of the first: 7 payload bits per byte, up to 9.
    let bits = 64 - (value | 1).leading_zeros();
    if bits > 56 { 9 } else { bits.div_ceil(7) as usize }
}

/// Length of a `[vint]` in bytes, 1 to 9.
#[must_use]
pub const fn vint_len(value: i64) -> usize {
    unsigned_vint_len(zigzag(value))
}

const fn zigzag(value: i64) -> u64 {
    ((value >> 63) ^ (value << 1)).cast_unsigned()
}

/// Nine bytes that end with the encoding of `value`, and how many of them to skip.
fn vint_bytes(value: u64) -> ([u8; 9], usize) {
    let len = unsigned_vint_len(value);
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    let mut bytes = [0, a, b, c, d, e, f, g, h];
    let skip = 9 - len;
    if let Some(first) = bytes.get_mut(skip) {
        // len - 1 leading ones; the value leaves those bits free.
        *first |= !(0xFF_u16 >> (len - 1)).to_be_bytes()[1];
    }
    (bytes, skip)
}

/// The `[int]` before a content of `len` bytes, for lengths known when compiling.
const fn len_prefix(len: usize) -> [u8; 4] {
    assert!(len <= i32::MAX as usize, "a value's content is at most 2 GiB - 1");
    #[expect(clippy::cast_possible_truncation, reason = "checked in the line above")]
    (len as u32).to_be_bytes()
}
