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
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Offset, in the frame's body, of the end of `rest`.
    end: usize,
}

impl<'a> Reader<'a> {
    /// Reads `body`.
    #[inline]
    #[must_use]
    pub const fn new(body: &'a [u8]) -> Self {
        Self { rest: body, end: body.len() }
    }

    /// Reads `part`, which begins `offset` bytes into the body; errors tell offsets in the body.
    #[inline]
    #[must_use]
    pub const fn with_offset(part: &'a [u8], offset: usize) -> Self {
        Self { rest: part, end: offset.saturating_add(part.len()) }
    }

    /// Bytes not yet read.
    #[inline]
    #[must_use]
    pub const fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes were read, counted from the start of the body.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    /// `[byte]`
    ///
    /// # Errors
    /// `Truncated`, as all methods, where the body ends too early.
    #[inline]
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// `[short]`
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        self.array(what).map(u16::from_be_bytes)
    }

    /// `[int]`
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn i32(&mut self, what: &'static str) -> Result<i32, Malformed> {
        self.array(what).map(i32::from_be_bytes)
    }

    /// `[int]` that is a set of bits.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// `[long]`
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
    /// # Errors
    /// `Truncated`, `Text`.
    #[inline]
    pub fn string(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let bytes = self.short_bytes(what)?;
        self.text(bytes, what)
    }

    /// `[long string]`
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
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn short_bytes(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let len = self.u16(what)?;
        self.take(usize::from(len), what)
    }

    /// `[bytes]`; any negative length is null, `None`.
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
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn uuid(&mut self, what: &'static str) -> Result<Uuid, Malformed> {
        self.array(what).map(Uuid::from_bytes)
    }

    /// `[consistency]`
    ///
    /// # Errors
    /// `Truncated`, `UnknownCode`.
    pub fn consistency(&mut self, what: &'static str) -> Result<Consistency, Malformed> {
        let number = self.u16(what)?;
        Consistency::from_u16(number).ok_or_else(|| self.unknown_code(what, u32::from(number)))
    }

    /// `[unsigned vint]`
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
    /// # Errors
    /// `Truncated`.
    pub fn vint(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let zigzag = self.unsigned_vint(what)?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// An array of bytes as it is.
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
    #[cold]
    #[must_use]
    pub fn unknown_code(&self, what: &'static str, code: u32) -> Malformed {
        Malformed::UnknownCode { what, code, offset: self.offset_u32() }
    }

    /// The error for a field that begins here and does not end within the body.
    #[cold]
    #[must_use]
    pub fn truncated(&self, what: &'static str) -> Malformed {
        Malformed::Truncated { what, offset: self.offset_u32() }
    }

    /// [`Self::offset`] for an error.
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
#[inline]
#[must_use]
pub fn str_from_bytes(bytes: &[u8]) -> Option<&str> {
    match AsciiStr::from_ascii(bytes) {
        Ok(text) => Some(text.as_str()),
        Err(_) => core::str::from_utf8(bytes).ok(),
    }
}

/// Strings of a `[string list]`, in their order.
#[derive(Clone, Copy, Debug)]
pub struct StringList<'a> {
    reader: Reader<'a>,
    left: u16,
}

/// Pairs of a `[string map]`, in their order.
#[derive(Clone, Copy, Debug)]
pub struct StringMap<'a> {
    reader: Reader<'a>,
    left: u16,
}

/// Pairs of a `[string multimap]`, in their order.
#[derive(Clone, Copy, Debug)]
pub struct StringMultimap<'a> {
    reader: Reader<'a>,
    left: u16,
}

/// Pairs of a `[bytes map]`, in their order.
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
