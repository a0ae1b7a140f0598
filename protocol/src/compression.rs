//! LZ4 bodies: `[int] length before compression | LZ4 block`. Up to version 4 of the protocol; from
//! version 5 on segments are compressed instead, see `segment.rs`.
//!
//! Which frames are compressed, and the header's flag, is the caller's business; an empty body
//! never is. Nothing allocates once the buffers have grown. Next: `compression/snappy.rs`.

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};

use crate::error::{FrameError, Malformed, TooLarge, saturating_u32};

pub mod snappy;

/// Blocks from this length on take a table with wider entries.
const LARGE_LEN: usize = 65_535;

/// Most that an LZ4 block can grow when decompressed: a length byte of 255 stands for 255 bytes.
const RATIO_MAX: usize = 255;

/// Compresses blocks, with tables that are kept between them.
///
/// Two tables, because a table that served one large block would be cleared, at twice the size, for
/// each small one after it.
pub(crate) struct Lz4Tables {
    small: CompressTable,
    /// Allocates: at the first block of 64 KiB or more.
    large: Option<CompressTable>,
}

impl core::fmt::Debug for Lz4Tables {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lz4Tables").field("has_large", &self.large.is_some()).finish()
    }
}

impl Lz4Tables {
    /// Allocates: its table, once per connection.
    pub(crate) fn new() -> Self {
        Self { small: CompressTable::small(), large: None }
    }

    /// Appends `content`, compressed, to `out`; what that took. `None`, and `out` is as it was, if
    /// it did not fit, which the room that is made for it rules out.
    pub(crate) fn append(&mut self, content: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let table = if content.len() < LARGE_LEN {
            &mut self.small
        } else {
            self.large.get_or_insert_with(CompressTable::large)
        };
        let start = out.len();
        out.resize(start.saturating_add(get_maximum_output_size(content.len())), 0);
        let block = out.get_mut(start..).unwrap_or_default();
        let block_len = compress_into_with_table(content, block, table).ok();
        out.truncate(start + block_len.unwrap_or(0));
        block_len
    }
}

/// Whether a block so long can become so long a content: few bytes must not claim a large buffer.
pub(crate) fn lz4_can_become(block_len: usize, content_len: usize) -> bool {
    content_len <= block_len.saturating_mul(RATIO_MAX)
}

/// Decompresses a block into `out`; whether it became exactly that long.
pub(crate) fn decompress_lz4(block: &[u8], out: &mut [u8]) -> bool {
    out.is_empty() || decompress_into(block, out).is_ok_and(|len| len == out.len())
}

/// Compresses bodies, with tables that are kept between them.
///
/// ```
/// use shardwire_protocol::compression::{Lz4Encoder, decompress_body, decompressed_len};
///
/// let mut compressed = Vec::new();
/// Lz4Encoder::new().compress_body(&[7; 1000], &mut compressed)?;
/// let mut body = vec![0; decompressed_len(&compressed, 1 << 20)?];
/// decompress_body(&compressed, &mut body)?;
/// assert_eq!(body, [7; 1000]);
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Debug)]
pub struct Lz4Encoder {
    tables: Lz4Tables,
}

impl Default for Lz4Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Lz4Encoder {
    /// Allocates: its table, once per connection.
    ///
    /// ```
    /// # use shardwire_protocol::compression::{Lz4Encoder, decompressed_len};
    /// let mut compressed = Vec::new();
    /// Lz4Encoder::new().compress_body(b"body", &mut compressed)?;
    /// assert_eq!(decompressed_len(&compressed, 1 << 20)?, 4);
    /// # Ok::<(), shardwire_protocol::error::FrameError>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { tables: Lz4Tables::new() }
    }

    /// Appends the compressed body to `out`.
    ///
    /// ```
    /// # use shardwire_protocol::compression::Lz4Encoder;
    /// let mut frame = vec![0; 9]; // room for a header
    /// Lz4Encoder::new().compress_body(&[7; 1000], &mut frame)?;
    /// assert_eq!(frame[9..13], 1000_i32.to_be_bytes());
    /// assert!(frame.len() < 50);
    /// # Ok::<(), shardwire_protocol::error::TooLarge>(())
    /// ```
    ///
    /// # Errors
    /// `TooLarge` for a body beyond 2 GiB - 1; `out` is then as it was.
    ///
    /// # Allocation
    /// Only where `out` has to grow, and for the first large body.
    pub fn compress_body(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), TooLarge> {
        check_compressible(body)?;
        let start = out.len();
        out.extend_from_slice(&saturating_u32(body.len()).to_be_bytes());
        if self.tables.append(body, out).is_none() {
            out.truncate(start);
            return Err(too_large_to_compress(body));
        }
        Ok(())
    }
}

/// Length that a compressed body has when decompressed, in bytes.
///
/// ```
/// # use shardwire_protocol::compression::decompressed_len;
/// let body = [0, 0, 4, 0, 1, 2, 3, 4, 5];
/// assert_eq!(decompressed_len(&body, 1024)?, 1024);
/// let error = decompressed_len(&body, 1000).unwrap_err();
/// assert_eq!(error.to_string(), "decompressed body of 1024 bytes, at most 1000 accepted");
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
///
/// # Errors
/// `Malformed` for a body without a length, or one that cannot become so long; `TooLarge` if it
/// exceeds `max`.
pub fn decompressed_len(body: &[u8], max: u32) -> Result<usize, FrameError> {
    let (announced, block) = split(body)?;
    check_announced(announced, max, |len| lz4_can_become(block.len(), len))
}

/// The length that a body announces to have when decompressed, if it may be so long and, by
/// `can_become`, its bytes can. Checked before anyone allocates that much.
fn check_announced(
    announced: u32,
    max: u32,
    can_become: impl FnOnce(usize) -> bool,
) -> Result<usize, FrameError> {
    if announced > max {
        let (len, max) = (u64::from(announced), u64::from(max));
        return Err(TooLarge { what: "decompressed body", len, max }.into());
    }
    match usize::try_from(announced) {
        Ok(len) if can_become(len) => Ok(len),
        _ => Err(Malformed::Compression { announced }.into()),
    }
}

/// Most that a compressed body can say of its length: 2 GiB - 1.
fn check_compressible(body: &[u8]) -> Result<(), TooLarge> {
    match i32::try_from(body.len()) {
        Ok(_) => Ok(()),
        Err(_) => Err(too_large_to_compress(body)),
    }
}

#[cold]
fn too_large_to_compress(body: &[u8]) -> TooLarge {
    let len = u64::try_from(body.len()).unwrap_or(u64::MAX);
    TooLarge { what: "body to compress", len, max: u64::from(i32::MAX.cast_unsigned()) }
}

/// Decompresses a body into `out`, which has the length that [`decompressed_len`] tells.
///
/// ```
/// # use shardwire_protocol::compression::decompress_body;
/// let mut body = [0; 4];
/// decompress_body(b"\0\0\0\x04\x40body", &mut body)?; // four literal bytes
/// assert_eq!(body, *b"body");
/// assert!(decompress_body(b"\0\0\0\x04\x40bod", &mut body).is_err());
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
///
/// # Errors
/// `Malformed` if it does not become exactly that long.
pub fn decompress_body(body: &[u8], out: &mut [u8]) -> Result<(), Malformed> {
    let (announced, block) = split(body)?;
    if usize::try_from(announced) != Ok(out.len()) {
        return Err(Malformed::Compression { announced });
    }
    if decompress_lz4(block, out) { Ok(()) } else { Err(Malformed::Compression { announced }) }
}

fn split(body: &[u8]) -> Result<(u32, &[u8]), Malformed> {
    match body.split_first_chunk() {
        Some((len, block)) => Ok((u32::from_be_bytes(*len), block)),
        None => Err(Malformed::Truncated { what: "length of compressed body", offset: 0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compressed(body: &[u8]) -> Vec<u8> {
        let mut out = vec![0xEE];
        Lz4Encoder::new().compress_body(body, &mut out).unwrap();
        assert_eq!(out.remove(0), 0xEE, "appends");
        out
    }

    fn decompressed(body: &[u8]) -> Result<Vec<u8>, FrameError> {
        let mut out = vec![0; decompressed_len(body, 1 << 20)?];
        decompress_body(body, &mut out)?;
        Ok(out)
    }

    #[test]
    fn golden() {
        // Four literals: token 0x40, then the bytes.
        assert_eq!(compressed(b"abcd"), [0, 0, 0, 4, 0x40, b'a', b'b', b'c', b'd']);
        assert_eq!(decompressed(&[0, 0, 0, 4, 0x40, 1, 2, 3, 4]), Ok(vec![1, 2, 3, 4]));
        assert_eq!(decompressed(&[0, 0, 0, 0]), Ok(vec![]));
        // One literal, then it 12 times over, as real servers send runs.
        let run = [0, 0, 0, 18, 0x18, b'a', 1, 0, 0x50, b'a', b'a', b'a', b'a', b'a'];
        assert_eq!(decompressed(&run), Ok(vec![b'a'; 18]));
    }

    #[test]
    fn one_encoder_for_small_and_large() {
        let mut encoder = Lz4Encoder::new();
        for len in [10, 100_000, 10, 65_534, 65_535, 70_000] {
            let body: Vec<u8> = (0..len).map(|i: usize| i.to_le_bytes()[i % 3]).collect();
            let mut out = Vec::new();
            encoder.compress_body(&body, &mut out).unwrap();
            assert_eq!(decompressed(&out).unwrap(), body);
        }
    }

    #[test]
    fn nothing_allocates_in_steady_state() {
        let mut encoder = Lz4Encoder::new();
        let body = [7; 1000];
        let mut out = Vec::new();
        encoder.compress_body(&body, &mut out).unwrap();
        let (start, capacity) = (out.as_ptr(), out.capacity());
        for _ in 0..3 {
            out.clear();
            encoder.compress_body(&body, &mut out).unwrap();
            assert_eq!((out.as_ptr(), out.capacity()), (start, capacity));
        }
        assert!(encoder.tables.large.is_none());
    }

    #[test]
    fn refuses_lies() {
        let refused = |body: &[u8]| decompressed(body).unwrap_err();
        for len in 0..4 {
            assert!(matches!(refused(&vec![0; len]), FrameError::Malformed(_)));
        }
        // Announced: too much for the limit, too much for the block, one more, one less.
        assert!(matches!(refused(&[0x7F, 0, 0, 0, 1]), FrameError::TooLarge(_)));
        assert!(matches!(refused(&[0xFF; 9]), FrameError::TooLarge(_)));
        assert!(matches!(refused(&[0, 1, 0, 0, 0x40, 1, 2, 3, 4]), FrameError::Malformed(_)));
        assert!(matches!(refused(&[0, 0, 0, 5, 0x40, 1, 2, 3, 4]), FrameError::Malformed(_)));
        assert!(matches!(refused(&[0, 0, 0, 3, 0x40, 1, 2, 3, 4]), FrameError::Malformed(_)));
        let whole = compressed(&[7; 300]);
        for len in 0..whole.len() {
            assert!(decompressed(&whole[..len]).is_err(), "{len}");
        }
        assert!(decompress_body(&whole, &mut [0; 299]).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(body in proptest::collection::vec(0_u8..4, 0..2000)) {
            prop_assert_eq!(decompressed(&compressed(&body)).unwrap(), body);
        }

        #[test]
        fn garbage_never_panics(body in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decompressed(&body);
        }
    }
}
