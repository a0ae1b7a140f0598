//! The notations of CQL v4 §3, read and written: `[int]`, `[string]`, `[bytes]` and so on.
//!
//! [`Reader`] borrows from the body and never copies. [`Writer`] fills a slice that has exactly
//! the announced length; running over it is noted and reported by [`Writer::finish`] instead of at
//! each call, so that encoding is straight-line code. Which fields follow which is not known here.
//! Next: `wire/write.rs`.

mod write;

use core::net::{IpAddr, SocketAddr};

use ascii::AsciiStr;
use uuid::Uuid;

use crate::consistency::Consistency;
use crate::error::{Malformed, saturating_u32};

pub use write::{Writer, unsigned_vint_len, vint_len};

/// Reads a body from its beginning.
///
/// Each method advances past what it returns. `what` arguments name the field in an error.
///
/// ```
/// use shardwire_protocol::wire::Reader;
///
/// let mut reader = Reader::new(b"\x00\x05hello\x00");
/// assert_eq!(reader.string("greeting")?, "hello");
/// let error = reader.u16("count").unwrap_err();
/// assert_eq!(error.to_string(), "body ends within count, which begins at byte 7");
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Offset, in the frame's body, of the end of `rest`.
    end: usize,
}

impl<'a> Reader<'a> {
    /// Reads `body`.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(b"body").remaining(), b"body");
    /// ```
    #[inline]
    #[must_use]
    pub const fn new(body: &'a [u8]) -> Self {
        Self { rest: body, end: body.len() }
    }

    /// Reads `part`, which begins `offset` bytes into the body; errors tell offsets in the body.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let error = Reader::with_offset(&[1, 2], 100).i32("count").unwrap_err();
    /// assert_eq!(error.to_string(), "body ends within count, which begins at byte 100");
    /// ```
    #[inline]
    #[must_use]
    pub const fn with_offset(part: &'a [u8], offset: usize) -> Self {
        Self { rest: part, end: offset.saturating_add(part.len()) }
    }

    /// Bytes not yet read.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let mut reader = Reader::new(&[1, 2, 3]);
    /// reader.u8("first")?;
    /// assert_eq!(reader.remaining(), [2, 3]);
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    #[inline]
    #[must_use]
    pub const fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes were read, counted from the start of the body.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let mut reader = Reader::with_offset(&[1, 2, 3], 9);
    /// reader.u16("first")?;
    /// assert_eq!(reader.offset(), 11);
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    /// `[byte]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(&[0x2A]).u8("flags"), Ok(0x2A));
    /// assert!(Reader::new(&[]).u8("flags").is_err());
    /// ```
    ///
    /// # Errors
    /// `Truncated`, as all methods, where the body ends too early.
    #[inline]
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// `[short]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(&[0x01, 0x02]).u16("count"), Ok(0x0102));
    /// ```
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        self.array(what).map(u16::from_be_bytes)
    }

    /// `[int]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(&[0xFF; 4]).i32("length"), Ok(-1));
    /// ```
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn i32(&mut self, what: &'static str) -> Result<i32, Malformed> {
        self.array(what).map(i32::from_be_bytes)
    }

    /// `[int]` that is a set of bits.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(&[0x80, 0, 0, 1]).u32("flags"), Ok(0x8000_0001));
    /// ```
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// `[long]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(&[0, 0, 0, 0, 0, 0, 1, 0]).i64("timestamp"), Ok(256));
    /// ```
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn i64(&mut self, what: &'static str) -> Result<i64, Malformed> {
        self.array(what).map(i64::from_be_bytes)
    }

    /// `[int]` that counts things of at least `item_len_min` bytes each. What cannot fit into the
    /// rest of the body is refused, so that the count may size an allocation.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let body = [0, 0, 0, 2, 7, 7, 7, 7]; // two things in four bytes
    /// assert_eq!(Reader::new(&body).count("key count", 2), Ok(2));
    /// let error = Reader::new(&body).count("key count", 4).unwrap_err();
    /// assert_eq!(error.to_string(), "key count is 2, at most 1 possible, at byte 4");
    /// ```
    ///
    /// # Errors
    /// `Truncated`, `Count`; `NegativeLength` for a negative one.
    #[inline]
    pub fn count(&mut self, what: &'static str, item_len_min: usize) -> Result<u32, Malformed> {
        let Ok(count) = u32::try_from(self.i32(what)?) else {
            return Err(self.negative(what));
        };
        let max = saturating_u32(self.rest.len() / item_len_min.max(1));
        if count > max {
            return Err(Malformed::Count { what, count, max, offset: self.offset_u32() });
        }
        Ok(count)
    }

    /// `len` bytes as they are.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let mut reader = Reader::new(&[1, 2, 3]);
    /// assert_eq!(reader.take(2, "id"), Ok(&[1, 2][..]));
    /// assert!(reader.take(2, "id").is_err());
    /// ```
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let Some((head, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.truncated(what));
        };
        self.rest = rest;
        Ok(head)
    }

    /// `[string]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(b"\x00\x02ks").string("keyspace"), Ok("ks"));
    /// let error = Reader::new(b"\x00\x01\xFF").string("keyspace").unwrap_err();
    /// assert_eq!(error.to_string(), "keyspace is not UTF-8, ending at byte 3");
    /// ```
    ///
    /// # Errors
    /// `Truncated`, `Text`.
    #[inline]
    pub fn string(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let bytes = self.short_bytes(what)?;
        self.text(bytes, what)
    }

    /// `[long string]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(b"\x00\x00\x00\x01a").long_string("statement"), Ok("a"));
    /// let error = Reader::new(&[0xFF; 4]).long_string("statement").unwrap_err();
    /// assert_eq!(error.to_string(), "negative length of statement at byte 4");
    /// ```
    ///
    /// # Errors
    /// `Truncated`, `Text`; `NegativeLength` for a negative one.
    #[inline]
    pub fn long_string(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let Some(bytes) = self.bytes(what)? else {
            return Err(self.negative(what));
        };
        self.text(bytes, what)
    }

    /// `[short bytes]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(&[0, 2, 8, 9]).short_bytes("id"), Ok(&[8, 9][..]));
    /// ```
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn short_bytes(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let len = self.u16(what)?;
        self.take(usize::from(len), what)
    }

    /// `[bytes]`; any negative length is null, `None`.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(&[0, 0, 0, 1, 7]).bytes("cell"), Ok(Some(&[7][..])));
    /// assert_eq!(Reader::new(&[0, 0, 0, 0]).bytes("cell"), Ok(Some(&[][..])));
    /// assert_eq!(Reader::new(&[0xFF; 4]).bytes("cell"), Ok(None));
    /// ```
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn bytes(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
        let len = self.i32(what)?;
        // Negative ones, with their sign extended, exceed every slice: in the usual case one
        // comparison does for two.
        match self.rest.split_at_checked((len as isize).cast_unsigned()) {
            Some((content, rest)) => {
                self.rest = rest;
                Ok(Some(content))
            }
            None if len < 0 => Ok(None),
            None => Err(self.truncated(what)),
        }
    }

    /// Whether a null `[bytes]` stands here; if so it is read, else nothing is.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let mut reader = Reader::new(&[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
    /// assert!(reader.take_null());
    /// assert!(!reader.take_null()); // that one is empty, and not read
    /// assert_eq!(reader.offset(), 4);
    /// ```
    #[inline(always)]
    pub fn take_null(&mut self) -> bool {
        match self.rest.split_first_chunk::<4>() {
            Some((len, rest)) if i32::from_be_bytes(*len) < 0 => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// `[bytes]` of exactly `len` bytes; `None`, and nothing is read, if another length stands here
    /// or the body ends. With a `len` known when compiling these are two comparisons.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let mut reader = Reader::new(&[0, 0, 0, 2, 8, 9]);
    /// assert_eq!(reader.bytes_of_len(4), None);
    /// assert_eq!(reader.bytes_of_len(2), Some(&[8, 9][..]));
    /// ```
    #[inline(always)]
    pub fn bytes_of_len(&mut self, len: usize) -> Option<&'a [u8]> {
        let (cell, rest) = self.rest.split_at_checked(len.checked_add(4)?)?;
        let (prefix, content) = cell.split_first_chunk::<4>()?;
        if usize::try_from(i32::from_be_bytes(*prefix)) != Ok(len) {
            return None;
        }
        self.rest = rest;
        Some(content)
    }

    /// `[string list]`; all its strings were checked when this returns.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let mut list = Reader::new(b"\x00\x01\x00\x03lz4").string_list("compression")?;
    /// assert_eq!(list.next(), Some("lz4"));
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// `Truncated`, `Text`.
    pub fn string_list(&mut self, what: &'static str) -> Result<StringList<'a>, Malformed> {
        let count = self.u16(what)?;
        let list = StringList { reader: *self, left: count };
        for _ in 0..count {
            self.string(what)?;
        }
        Ok(list)
    }

    /// `[string map]`; all its strings were checked when this returns.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let mut map = Reader::new(b"\x00\x01\x00\x01k\x00\x01v").string_map("options")?;
    /// assert_eq!(map.next(), Some(("k", "v")));
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// `Truncated`, `Text`.
    pub fn string_map(&mut self, what: &'static str) -> Result<StringMap<'a>, Malformed> {
        let count = self.u16(what)?;
        let map = StringMap { reader: *self, left: count };
        for _ in 0..count {
            self.string(what)?;
            self.string(what)?;
        }
        Ok(map)
    }

    /// `[string multimap]`; all its strings were checked when this returns.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let body = b"\x00\x01\x00\x01k\x00\x02\x00\x01v\x00\x01w";
    /// let (key, values) = Reader::new(body).string_multimap("options")?.next().unwrap();
    /// assert_eq!((key, values.collect()), ("k", vec!["v", "w"]));
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// `Truncated`, `Text`.
    pub fn string_multimap(&mut self, what: &'static str) -> Result<StringMultimap<'a>, Malformed> {
        let count = self.u16(what)?;
        let map = StringMultimap { reader: *self, left: count };
        for _ in 0..count {
            self.string(what)?;
            self.string_list(what)?;
        }
        Ok(map)
    }

    /// `[bytes map]`; it was walked to its end when this returns.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let mut map = Reader::new(b"\x00\x01\x00\x01k\xFF\xFF\xFF\xFF").bytes_map("payload")?;
    /// assert_eq!(map.next(), Some(("k", None)));
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// `Truncated`, `Text`.
    pub fn bytes_map(&mut self, what: &'static str) -> Result<BytesMap<'a>, Malformed> {
        let count = self.u16(what)?;
        let map = BytesMap { reader: *self, left: count };
        for _ in 0..count {
            self.string(what)?;
            self.bytes(what)?;
        }
        Ok(map)
    }

    /// `[inetaddr]`: an address without a port.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let address = Reader::new(&[4, 127, 0, 0, 1]).ip_addr("address")?;
    /// assert_eq!(address.to_string(), "127.0.0.1");
    /// let error = Reader::new(&[5; 6]).ip_addr("address").unwrap_err();
    /// assert_eq!(error.to_string(), "unknown address 0x5 at byte 1");
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// `Truncated`; `UnknownCode` where the length is neither 4 nor 16.
    pub fn ip_addr(&mut self, what: &'static str) -> Result<IpAddr, Malformed> {
        match self.u8(what)? {
            4 => self.array(what).map(|octets: [u8; 4]| IpAddr::from(octets)),
            16 => self.array(what).map(|octets: [u8; 16]| IpAddr::from(octets)),
            len => Err(self.unknown_code(what, u32::from(len))),
        }
    }

    /// `[inet]`: an address and a port.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let address = Reader::new(&[4, 127, 0, 0, 1, 0, 0, 0x23, 0x52]).inet("address")?;
    /// assert_eq!(address.to_string(), "127.0.0.1:9042");
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// `Truncated`; `UnknownCode` where the length is neither 4 nor 16 or the port exceeds 65,535.
    pub fn inet(&mut self, what: &'static str) -> Result<SocketAddr, Malformed> {
        let ip = self.ip_addr(what)?;
        let port = self.u32(what)?;
        match u16::try_from(port) {
            Ok(port) => Ok(SocketAddr::new(ip, port)),
            Err(_) => Err(self.unknown_code(what, port)),
        }
    }

    /// `[uuid]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let id = Reader::new(&[0x11; 16]).uuid("host id")?;
    /// assert_eq!(id.to_string(), "11111111-1111-1111-1111-111111111111");
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn uuid(&mut self, what: &'static str) -> Result<Uuid, Malformed> {
        self.array(what).map(Uuid::from_bytes)
    }

    /// `[consistency]`
    ///
    /// ```
    /// use shardwire_protocol::consistency::Consistency;
    /// # use shardwire_protocol::wire::Reader;
    ///
    /// assert_eq!(Reader::new(&[0, 6]).consistency("level"), Ok(Consistency::LocalQuorum));
    /// assert!(Reader::new(&[0, 11]).consistency("level").is_err());
    /// ```
    ///
    /// # Errors
    /// `Truncated`, `UnknownCode`.
    pub fn consistency(&mut self, what: &'static str) -> Result<Consistency, Malformed> {
        let number = self.u16(what)?;
        Consistency::from_u16(number).ok_or_else(|| self.unknown_code(what, u32::from(number)))
    }

    /// `[unsigned vint]`
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(&[0x7F]).unsigned_vint("length"), Ok(127));
    /// assert_eq!(Reader::new(&[0x80, 0x80]).unsigned_vint("length"), Ok(128));
    /// ```
    ///
    /// # Errors
    /// `Truncated`.
    pub fn unsigned_vint(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let first = self.u8(what)?;
        // The leading one bits of the first byte count the bytes that follow it.
        let extra_len = first.leading_ones();
        let mut value = u64::from(first) & (0xFF_u64 >> extra_len);
        for _ in 0..extra_len {
            value = (value << 8) | u64::from(self.u8(what)?);
        }
        Ok(value)
    }

    /// `[vint]`, zig-zag over an unsigned one.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(&[2]).vint("months"), Ok(1));
    /// assert_eq!(Reader::new(&[1]).vint("months"), Ok(-1));
    /// ```
    ///
    /// # Errors
    /// `Truncated`.
    pub fn vint(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let zigzag = self.unsigned_vint(what)?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// An array of bytes as it is.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::new(&[1, 2, 3]).array("octets"), Ok([1, 2]));
    /// ```
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.truncated(what));
        };
        self.rest = rest;
        Ok(*head)
    }

    /// The error for a code, read just now, that has no meaning.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let mut reader = Reader::new(&[0x77]);
    /// let kind = reader.u8("kind")?;
    /// let error = reader.unknown_code("kind", u32::from(kind));
    /// assert_eq!(error.to_string(), "unknown kind 0x77 at byte 1");
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    #[cold]
    #[must_use]
    pub fn unknown_code(&self, what: &'static str, code: u32) -> Malformed {
        Malformed::UnknownCode { what, code, offset: self.offset_u32() }
    }

    /// The error for a field that begins here and does not end within the body.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// let error = Reader::new(&[]).truncated("row");
    /// assert_eq!(error.to_string(), "body ends within row, which begins at byte 0");
    /// ```
    #[cold]
    #[must_use]
    pub fn truncated(&self, what: &'static str) -> Malformed {
        Malformed::Truncated { what, offset: self.offset_u32() }
    }

    /// [`Self::offset`] for an error.
    ///
    /// ```
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Reader::with_offset(&[], 7).offset_u32(), 7);
    /// ```
    #[must_use]
    pub fn offset_u32(&self) -> u32 {
        saturating_u32(self.offset())
    }

    #[cold]
    fn negative(&self, what: &'static str) -> Malformed {
        Malformed::NegativeLength { what, offset: self.offset_u32() }
    }

    #[inline]
    fn text(&self, bytes: &'a [u8], what: &'static str) -> Result<&'a str, Malformed> {
        str_from_bytes(bytes).ok_or_else(|| Malformed::Text { what, offset: self.offset_u32() })
    }
}

/// The bytes as text, if they are UTF-8.
///
/// ASCII is tried first: for the short, unaligned texts in frames that takes half the time of
/// std's UTF-8 check, and most text is ASCII.
///
/// ```
/// # use shardwire_protocol::wire::str_from_bytes;
/// assert_eq!(str_from_bytes("château".as_bytes()), Some("château"));
/// assert_eq!(str_from_bytes(&[0xFF]), None);
/// ```
#[inline]
#[must_use]
pub fn str_from_bytes(bytes: &[u8]) -> Option<&str> {
    match AsciiStr::from_ascii(bytes) {
        Ok(text) => Some(text.as_str()),
        Err(_) => core::str::from_utf8(bytes).ok(),
    }
}

/// Strings of a `[string list]`, in their order.
///
/// ```
/// # use shardwire_protocol::wire::Reader;
/// let list = Reader::new(b"\x00\x02\x00\x01a\x00\x01b").string_list("letters")?;
/// assert_eq!(list.len(), 2);
/// assert_eq!(list.collect::<Vec<_>>(), ["a", "b"]);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StringList<'a> {
    reader: Reader<'a>,
    left: u16,
}

/// Pairs of a `[string map]`, in their order.
///
/// ```
/// # use shardwire_protocol::wire::Reader;
/// let body = b"\x00\x02\x00\x01a\x00\x011\x00\x01b\x00\x012";
/// let map = Reader::new(body).string_map("numbers")?;
/// assert_eq!(map.collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StringMap<'a> {
    reader: Reader<'a>,
    left: u16,
}

/// Pairs of a `[string multimap]`, in their order.
///
/// ```
/// # use shardwire_protocol::wire::Reader;
/// let body = b"\x00\x01\x00\x0BCOMPRESSION\x00\x02\x00\x03lz4\x00\x06snappy";
/// for (option, values) in Reader::new(body).string_multimap("options")? {
///     assert_eq!((option, values.len()), ("COMPRESSION", 2));
/// }
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StringMultimap<'a> {
    reader: Reader<'a>,
    left: u16,
}

/// Pairs of a `[bytes map]`, in their order.
///
/// ```
/// # use shardwire_protocol::wire::Reader;
/// let map = Reader::new(b"\x00\x01\x00\x01k\x00\x00\x00\x01v").bytes_map("payload")?;
/// assert_eq!(map.collect::<Vec<_>>(), [("k", Some(&b"v"[..]))]);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BytesMap<'a> {
    reader: Reader<'a>,
    left: u16,
}

/// Their contents were checked when they were made, hence no `Result`.
macro_rules! walker {
    ($name:ident, $item:ty, |$reader:ident| $read:expr) => {
        impl<'a> Iterator for $name<'a> {
            type Item = $item;

            fn next(&mut self) -> Option<Self::Item> {
                self.left = self.left.checked_sub(1)?;
                let $reader = &mut self.reader;
                $read
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                (usize::from(self.left), Some(usize::from(self.left)))
            }
        }

        impl ExactSizeIterator for $name<'_> {}
    };
}

walker!(StringList, &'a str, |reader| reader.string("").ok());
walker!(StringMap, (&'a str, &'a str), |reader| {
    Some((reader.string("").ok()?, reader.string("").ok()?))
});
walker!(StringMultimap, (&'a str, StringList<'a>), |reader| {
    Some((reader.string("").ok()?, reader.string_list("").ok()?))
});
walker!(BytesMap, (&'a str, Option<&'a [u8]>), |reader| {
    Some((reader.string("").ok()?, reader.bytes("").ok()?))
});

#[cfg(test)]
mod tests;
