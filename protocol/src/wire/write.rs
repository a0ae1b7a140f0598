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
///
/// ```
/// use shardwire_protocol::wire::Writer;
///
/// let mut body = [0; 4];
/// let mut writer = Writer::new(&mut body);
/// writer.put_string("ks");
/// writer.finish()?;
/// assert_eq!(body, *b"\x00\x02ks");
/// # Ok::<(), shardwire_protocol::error::LengthMismatch>(())
/// ```
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
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// assert!(Writer::new(&mut []).finish().is_ok());
    /// assert!(Writer::new(&mut [0]).finish().is_err()); // nothing was written
    /// ```
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
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 8];
    /// let mut writer = Writer::new(&mut body);
    /// writer.put_u16(1);
    /// assert_eq!(writer.position(), 2);
    /// ```
    #[inline]
    #[must_use]
    pub const fn position(&self) -> usize {
        (self.len & !FAULT) - self.rest.len()
    }

    /// Ends writing.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 3];
    /// let mut writer = Writer::new(&mut body);
    /// writer.put_u16(1);
    /// let error = writer.finish().unwrap_err();
    /// assert_eq!(error.to_string(), "3 bytes were announced, 2 written");
    /// ```
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
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 1];
    /// let mut writer = Writer::new(&mut body);
    /// writer.put_u8(7);
    /// writer.set_fault();
    /// assert!(writer.finish().is_err());
    /// ```
    #[inline]
    pub fn set_fault(&mut self) {
        self.len |= FAULT;
        self.rest = &mut [];
    }

    /// `[byte]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 1];
    /// Writer::new(&mut body).put_u8(0x2A);
    /// assert_eq!(body, [0x2A]);
    /// ```
    #[inline]
    pub fn put_u8(&mut self, value: u8) {
        self.put_array([value]);
    }

    /// `[short]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 2];
    /// Writer::new(&mut body).put_u16(0x0102);
    /// assert_eq!(body, [1, 2]);
    /// ```
    #[inline]
    pub fn put_u16(&mut self, value: u16) {
        self.put_array(value.to_be_bytes());
    }

    /// `[int]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 4];
    /// Writer::new(&mut body).put_i32(-2);
    /// assert_eq!(body, [0xFF, 0xFF, 0xFF, 0xFE]);
    /// ```
    #[inline]
    pub fn put_i32(&mut self, value: i32) {
        self.put_array(value.to_be_bytes());
    }

    /// `[int]` that is a set of bits, or a length that is known to fit.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 4];
    /// Writer::new(&mut body).put_u32(0x8000_0001);
    /// assert_eq!(body, [0x80, 0, 0, 1]);
    /// ```
    #[inline]
    pub fn put_u32(&mut self, value: u32) {
        self.put_array(value.to_be_bytes());
    }

    /// `[long]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 8];
    /// Writer::new(&mut body).put_i64(256);
    /// assert_eq!(body, [0, 0, 0, 0, 0, 0, 1, 0]);
    /// ```
    #[inline]
    pub fn put_i64(&mut self, value: i64) {
        self.put_array(value.to_be_bytes());
    }

    /// Bytes as they are; one bounds check and, for small `N`, one or two stores.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 3];
    /// Writer::new(&mut body).put_array([1, 2, 3]);
    /// assert_eq!(body, [1, 2, 3]);
    /// ```
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
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 3];
    /// let mut writer = Writer::new(&mut body);
    /// writer.put_slice(&[1, 2]);
    /// writer.put_slice(&[3, 4]); // does not fit: none of it is written
    /// assert!(writer.finish().is_err());
    /// assert_eq!(body, [1, 2, 0]);
    /// ```
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
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 8];
    /// Writer::new(&mut body).put_fixed_value(7_i32.to_be_bytes());
    /// assert_eq!(body, [0, 0, 0, 4, 0, 0, 0, 7]);
    /// ```
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
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 6];
    /// Writer::new(&mut body).put_bytes(b"hi");
    /// assert_eq!(body, *b"\x00\x00\x00\x02hi");
    /// ```
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
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 4];
    /// Writer::new(&mut body).put_string("ks");
    /// assert_eq!(body, *b"\x00\x02ks");
    /// ```
    #[inline]
    pub fn put_string(&mut self, text: &str) {
        self.put_short_bytes(text.as_bytes());
    }

    /// `[long string]`. A text beyond 2 GiB - 1 is a fault.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 6];
    /// Writer::new(&mut body).put_long_string("hi");
    /// assert_eq!(body, *b"\x00\x00\x00\x02hi");
    /// ```
    #[inline]
    pub fn put_long_string(&mut self, text: &str) {
        self.put_bytes(text.as_bytes());
    }

    /// `[short bytes]`. More than 65,535 are a fault.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 4];
    /// Writer::new(&mut body).put_short_bytes(&[8, 9]);
    /// assert_eq!(body, [0, 2, 8, 9]);
    /// ```
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
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 8];
    /// Writer::new(&mut body).put_string_list(&["a", "b"]);
    /// assert_eq!(body, *b"\x00\x02\x00\x01a\x00\x01b");
    /// ```
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
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 9];
    /// Writer::new(&mut body).put_inet(([127, 0, 0, 1], 9042).into());
    /// assert_eq!(body, [4, 127, 0, 0, 1, 0, 0, 0x23, 0x52]);
    /// ```
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
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 16];
    /// Writer::new(&mut body).put_uuid(uuid::Uuid::from_u128(7));
    /// assert_eq!(body, 7_u128.to_be_bytes());
    /// ```
    #[inline]
    pub fn put_uuid(&mut self, uuid: Uuid) {
        self.put_array(uuid.into_bytes());
    }

    /// `[consistency]`
    ///
    /// ```
    /// use shardwire_protocol::consistency::Consistency;
    /// # use shardwire_protocol::wire::Writer;
    ///
    /// let mut body = [0; 2];
    /// Writer::new(&mut body).put_consistency(Consistency::Quorum);
    /// assert_eq!(body, [0, 4]);
    /// ```
    #[inline]
    pub fn put_consistency(&mut self, consistency: Consistency) {
        self.put_u16(consistency.as_u16());
    }

    /// `[unsigned vint]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 2];
    /// Writer::new(&mut body).put_unsigned_vint(128);
    /// assert_eq!(body, [0x80, 0x80]);
    /// ```
    pub fn put_unsigned_vint(&mut self, value: u64) {
        let (bytes, skip) = vint_bytes(value);
        self.put_slice(bytes.get(skip..).unwrap_or(&[]));
    }

    /// `[vint]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Writer;
    /// let mut body = [0; 1];
    /// Writer::new(&mut body).put_vint(-1);
    /// assert_eq!(body, [1]);
    /// ```
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
///
/// ```
/// # use shardwire_protocol::wire::unsigned_vint_len;
/// assert_eq!([0, 127, 128, u64::MAX].map(unsigned_vint_len), [1, 1, 2, 9]);
/// ```
#[must_use]
pub const fn unsigned_vint_len(value: u64) -> usize {
    // Each byte beyond the first costs one bit of the first: 7 payload bits per byte, up to 9.
    let bits = 64 - (value | 1).leading_zeros();
    if bits > 56 { 9 } else { bits.div_ceil(7) as usize }
}

/// Length of a `[vint]` in bytes, 1 to 9.
///
/// ```
/// # use shardwire_protocol::wire::vint_len;
/// assert_eq!([0, -64, 64, i64::MIN].map(vint_len), [1, 1, 2, 9]);
/// ```
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
