//! LZ4 bodies: `[int] length before compression | LZ4 block`.
//!
//! Which frames are compressed, and the header's flag, is the caller's business; an empty body
//! never is. Nothing allocates once the buffers have grown.

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};

use crate::error::{FrameError, Malformed, TooLarge, saturating_u32};

/// Bodies from this length on take a table with wider entries.
const LARGE_LEN: usize = 65_535;

/// Most that an LZ4 block can grow when decompressed: a length byte of 255 stands for 255 bytes.
const RATIO_MAX: usize = 255;

/// Compresses bodies, with tables that are kept between them.
///
/// Two tables, because a table that served one large body would be cleared, at twice the size, for
/// each small one after it.
pub struct Lz4Encoder {
    small: CompressTable,
    /// Allocates: at the first body of 64 KiB or more.
    large: Option<CompressTable>,
}

impl core::fmt::Debug for Lz4Encoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lz4Encoder").field("has_large", &self.large.is_some()).finish()
    }
}

impl Default for Lz4Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Lz4Encoder {
    /// Allocates: its table, once per connection.
    #[must_use]
    pub fn new() -> Self {
        Self { small: CompressTable::small(), large: None }
    }

    /// Appends the compressed body to `out`.
    ///
    /// # Errors
    /// `TooLarge` for a body beyond 2 GiB - 1; `out` is then as it was.
    ///
    /// # Allocation
    /// Only where `out` has to grow, and for the first large body.
    pub fn compress_body(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), TooLarge> {
        let max = u64::from(i32::MAX.cast_unsigned());
        let len = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let too_large = TooLarge { what: "body to compress", len, max };
        if len > max {
            return Err(too_large);
        }
        let table = if body.len() < LARGE_LEN {
            &mut self.small
        } else {
            self.large.get_or_insert_with(CompressTable::large)
        };
        let start = out.len();
        out.extend_from_slice(&saturating_u32(body.len()).to_be_bytes());
        let block_start = out.len();
        out.resize(block_start.saturating_add(get_maximum_output_size(body.len())), 0);
        let block = out.get_mut(block_start..).unwrap_or_default();
        match compress_into_with_table(body, block, table) {
            Ok(block_len) => {
                out.truncate(block_start + block_len);
                Ok(())
            }
            Err(_) => {
                // The block has the most room it can need, so this does not happen.
                out.truncate(start);
                Err(too_large)
            }
        }
    }
}

/// Length that a compressed body has when decompressed, in bytes.
///
/// # Errors
/// `Malformed` for a body without a length, or one that cannot become so long; `TooLarge` if it
/// exceeds `max`.
pub fn decompressed_len(body: &[u8], max: u32) -> Result<usize, FrameError> {
    let (announced, block) = split(body)?;
    if announced > max {
        let (len, max) = (u64::from(announced), u64::from(max));
        return Err(TooLarge { what: "decompressed body", len, max }.into());
    }
    // Checked before anyone allocates that much: few bytes must not claim a large buffer.
    let Ok(len) = usize::try_from(announced) else {
        return Err(Malformed::Compression { announced }.into());
    };
    if len > block.len().saturating_mul(RATIO_MAX) {
        return Err(Malformed::Compression { announced }.into());
    }
    Ok(len)
}

/// Decompresses a body into `out`, which has the length that [`decompressed_len`] tells.
///
/// # Errors
/// `Malformed` if it does not become exactly that long.
pub fn decompress_body(body: &[u8], out: &mut [u8]) -> Result<(), Malformed> {
    let (announced, block) = split(body)?;
    if usize::try_from(announced) != Ok(out.len()) {
        return Err(Malformed::Compression { announced });
    }
    if out.is_empty() {
        return Ok(());
    }
    match decompress_into(block, out) {
        Ok(len) if len == out.len() => Ok(()),
        _ => Err(Malformed::Compression { announced }),
    }
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
        assert!(encoder.large.is_none());
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
