//! Snappy bodies: a raw Snappy block, which begins with its own length before compression.
//!
//! Up to version 4 of the protocol, as LZ4 bodies, whose interface this has. Nothing allocates once
//! the buffers have grown. Next: `segment.rs`.

use snap::raw::{Decoder, Encoder, max_compress_len};

use super::{check_announced, check_compressible, too_large_to_compress};
use crate::error::{FrameError, Malformed, TooLarge};

/// Most that a Snappy block can grow when decompressed: three bytes stand for 64 at most.
const SNAPPY_RATIO_MAX: usize = 22;

/// Compresses bodies, with a table that is kept between them.
///
/// ```
/// use shardwire_protocol::compression::snappy;
///
/// let mut compressed = Vec::new();
/// snappy::SnappyEncoder::new().compress_body(&[7; 1000], &mut compressed)?;
/// let mut body = vec![0; snappy::decompressed_len(&compressed, 1 << 20)?];
/// snappy::decompress_body(&compressed, &mut body)?;
/// assert_eq!(body, [7; 1000]);
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
pub struct SnappyEncoder {
    encoder: Encoder,
}

impl core::fmt::Debug for SnappyEncoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SnappyEncoder").finish_non_exhaustive()
    }
}

impl Default for SnappyEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl SnappyEncoder {
    /// Its table is part of it for small bodies. Allocates: another one, at the first larger body.
    ///
    /// ```
    /// # use shardwire_protocol::compression::snappy::{SnappyEncoder, decompressed_len};
    /// let mut compressed = Vec::new();
    /// SnappyEncoder::new().compress_body(b"body", &mut compressed)?;
    /// assert_eq!(decompressed_len(&compressed, 1 << 20)?, 4);
    /// # Ok::<(), shardwire_protocol::error::FrameError>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { encoder: Encoder::new() }
    }

    /// Appends the compressed body to `out`.
    ///
    /// ```
    /// # use shardwire_protocol::compression::snappy::SnappyEncoder;
    /// let mut frame = vec![0; 9]; // room for a header
    /// SnappyEncoder::new().compress_body(&[7; 100], &mut frame)?;
    /// assert_eq!(frame[9], 100);
    /// assert!(frame.len() < 50);
    /// # Ok::<(), shardwire_protocol::error::TooLarge>(())
    /// ```
    ///
    /// # Errors
    /// `TooLarge` for a body beyond 2 GiB - 1; `out` is then as it was.
    ///
    /// # Allocation
    /// Only where `out` has to grow, and for the first body of more than a KiB.
    pub fn compress_body(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), TooLarge> {
        check_compressible(body)?;
        let start = out.len();
        out.resize(start.saturating_add(max_compress_len(body.len())), 0);
        let block = out.get_mut(start..).unwrap_or_default();
        match self.encoder.compress(body, block) {
            Ok(block_len) => {
                out.truncate(start + block_len);
                Ok(())
            }
            Err(_) => {
                // The block has the most room it can need, so this does not happen.
                out.truncate(start);
                Err(too_large_to_compress(body))
            }
        }
    }
}

/// Length that a compressed body has when decompressed, in bytes.
///
/// ```
/// # use shardwire_protocol::compression::snappy::decompressed_len;
/// assert_eq!(decompressed_len(b"\x04\x0Cbody", 1024)?, 4);
/// assert!(decompressed_len(b"\x04\x0Cbody", 3).is_err());
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
///
/// # Errors
/// `Malformed` for a body without a length, or one that cannot become so long; `TooLarge` if it
/// exceeds `max`.
pub fn decompressed_len(body: &[u8], max: u32) -> Result<usize, FrameError> {
    let (announced, elements) = split(body)?;
    check_announced(announced, max, |len| len <= elements.len().saturating_mul(SNAPPY_RATIO_MAX))
}

/// Decompresses a body into `out`, which has the length that [`decompressed_len`] tells.
///
/// ```
/// # use shardwire_protocol::compression::snappy::decompress_body;
/// let mut body = [0; 4];
/// decompress_body(b"\x04\x0Cbody", &mut body)?; // four literal bytes
/// assert_eq!(body, *b"body");
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
///
/// # Errors
/// `Malformed` if it does not become exactly that long.
pub fn decompress_body(body: &[u8], out: &mut [u8]) -> Result<(), Malformed> {
    let (announced, _) = split(body)?;
    if usize::try_from(announced) != Ok(out.len()) {
        return Err(Malformed::Compression { announced });
    }
    match Decoder::new().decompress(body, out) {
        Ok(len) if len == out.len() => Ok(()),
        _ => Err(Malformed::Compression { announced }),
    }
}

/// The length before compression: seven bits a byte, the lowest first, the eighth says that another
/// byte follows; and what follows it.
fn split(body: &[u8]) -> Result<(u32, &[u8]), Malformed> {
    const WHAT: &str = "length of compressed body";
    let mut len = 0_u64;
    for (index, byte) in body.iter().enumerate().take(5) {
        len |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return match (u32::try_from(len), body.get(index + 1..)) {
                (Ok(len), Some(elements)) => Ok((len, elements)),
                _ => Err(Malformed::Compression { announced: u32::MAX }),
            };
        }
    }
    match body.get(5) {
        Some(_) => Err(Malformed::Compression { announced: u32::MAX }),
        None => Err(Malformed::Truncated { what: WHAT, offset: 0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compressed(body: &[u8]) -> Vec<u8> {
        let mut out = vec![0xEE];
        SnappyEncoder::new().compress_body(body, &mut out).unwrap();
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
        // Four literals: tag (4 - 1) << 2, then the bytes.
        assert_eq!(compressed(b"abcd"), [4, 0x0C, b'a', b'b', b'c', b'd']);
        assert_eq!(decompressed(&[4, 0x0C, 1, 2, 3, 4]), Ok(vec![1, 2, 3, 4]));
        assert_eq!(decompressed(&[0]), Ok(vec![]));
        assert_eq!(compressed(&[]), [0]);
        // One literal, then it 60 times over by a copy of two bytes' offset.
        assert_eq!(decompressed(&[61, 0, b'a', 0xEE, 1, 0]), Ok(vec![b'a'; 61]));
        // Lengths of two bytes.
        let long = compressed(&[7; 300]);
        assert_eq!(long[..2], [0xAC, 0x02]);
        assert_eq!(decompressed(&long), Ok(vec![7; 300]));
    }

    #[test]
    fn nothing_compresses_better_than_the_limit() {
        let zeros = compressed(&[0; 1 << 20]);
        assert!((1 << 20) / zeros.len() > SNAPPY_RATIO_MAX - 2);
        assert_eq!(decompressed(&zeros).unwrap().len(), 1 << 20);
    }

    #[test]
    fn nothing_allocates_in_steady_state() {
        let mut encoder = SnappyEncoder::new();
        let body = [7; 5000];
        let mut out = Vec::new();
        encoder.compress_body(&body, &mut out).unwrap();
        let (start, capacity) = (out.as_ptr(), out.capacity());
        for _ in 0..3 {
            out.clear();
            encoder.compress_body(&body, &mut out).unwrap();
            assert_eq!((out.as_ptr(), out.capacity()), (start, capacity));
        }
    }

    #[test]
    fn refuses_lies() {
        let refused = |body: &[u8]| decompressed(body).unwrap_err();
        let truncated = Malformed::Truncated { what: "length of compressed body", offset: 0 };
        for len in 0..=5 {
            assert_eq!(refused(&vec![0x80; len]), truncated.into(), "{len}");
        }
        // Announced: too much for 32 bits, for the limit, for the block; one more, one less.
        assert!(matches!(refused(&[0xFF; 9]), FrameError::Malformed(_)));
        assert!(matches!(refused(&[0xFF, 0xFF, 0xFF, 0xFF, 0x1F]), FrameError::Malformed(_)));
        assert!(matches!(refused(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1]), FrameError::TooLarge(_)));
        assert!(matches!(refused(&[0x80, 0x80, 0x20, 0x0C, 1, 2, 3]), FrameError::Malformed(_)));
        assert!(matches!(refused(&[5, 0x0C, 1, 2, 3, 4]), FrameError::Malformed(_)));
        assert!(matches!(refused(&[3, 0x0C, 1, 2, 3, 4]), FrameError::Malformed(_)));
        assert!(matches!(refused(&[0, 0x0C, 1, 2, 3, 4]), FrameError::Malformed(_)));
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
