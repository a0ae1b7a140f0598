//! Compressed bodies of v3 and v4. Those of v5 are not: their segments are.
//!
//! ```text
//! LZ4     uncompressed length 4, big endian | block
//! Snappy  block, which begins with its uncompressed length
//! ```

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};

use super::frame::{FLAG_COMPRESSION, HEADER_LEN, set_body_len};
use crate::error::CqlError;

/// LZ4 cannot expand more than that, so a short lie does not reserve much memory.
const LZ4_RATIO_MAX: usize = 255;
/// Snappy's best is a copy of 64 bytes in 3.
const SNAPPY_RATIO_MAX: usize = 22;
/// Longest buffer that is kept, one of each kind for all connections, in bytes.
const KEPT_LEN_MAX: usize = 1024 * 1024;

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Algorithm {
    Lz4,
    Snappy,
}

impl Algorithm {
    /// As SUPPORTED and STARTUP spell it; clients may use other letters of the same.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Lz4, Self::Snappy].into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// What a body announces to become, and the block.
    fn announced(self, body: &[u8]) -> Option<(usize, &[u8])> {
        match self {
            Self::Lz4 => {
                let (head, block) = body.split_first_chunk::<4>()?;
                Some((usize::try_from(u32::from_be_bytes(*head)).ok()?, block))
            }
            Self::Snappy => Some((snap::raw::decompress_len(body).ok()?, body)),
        }
    }

    fn ratio_max(self) -> usize {
        match self {
            Self::Lz4 => LZ4_RATIO_MAX,
            Self::Snappy => SNAPPY_RATIO_MAX,
        }
    }

    /// Decompresses a block; gives how many bytes of `target` it has become.
    fn decompress(self, block: &[u8], target: &mut [u8]) -> Option<usize> {
        match self {
            Self::Lz4 => decompress_into(block, target).ok(),
            Self::Snappy => snap::raw::Decoder::new().decompress(block, target).ok(),
        }
    }
}

/// Decompresses request bodies, of all connections, into one buffer that is reused.
#[derive(Default)]
pub(crate) struct Decompressor {
    /// The current body.
    body: Vec<u8>,
}

/// Without the body, which passwords may be in.
impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").field("body", &self.body.len()).finish()
    }
}

impl Decompressor {
    /// Decompresses a request body.
    pub(crate) fn decompress(
        &mut self,
        algorithm: Algorithm,
        body: &[u8],
        max: usize,
    ) -> Result<&[u8], CqlError> {
        let bad = |what: &str| CqlError::protocol(format!("compressed body {what}"));
        let announced = algorithm.announced(body);
        let (len, block) = announced.ok_or_else(|| bad("does not begin with its length"))?;
        let possible = block.len().saturating_mul(algorithm.ratio_max()).saturating_add(16);
        if len > max || len > possible {
            return Err(bad("announces an impossible length"));
        }
        if self.body.len() < len {
            self.body.resize(len, 0);
        }
        let target = self.body.get_mut(..len).unwrap_or_default();
        match algorithm.decompress(block, target) {
            Some(written) if written == len => Ok(target),
            Some(_) => Err(bad("is shorter than announced")),
            None => Err(bad(&format!("is not a block of {}", algorithm.name()))),
        }
    }

    /// Frees what one long body has taken.
    pub(crate) fn shrink(&mut self) {
        self.body.truncate(KEPT_LEN_MAX);
        self.body.shrink_to(KEPT_LEN_MAX);
    }
}

/// Compresses replies, for all connections: tables and scratch space are reused.
pub(crate) struct Compressor {
    lz4: CompressTable,
    snappy: Box<snap::raw::Encoder>,
    scratch: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Self {
            lz4: CompressTable::small(),
            snappy: Box::new(snap::raw::Encoder::new()),
            scratch: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").field("scratch", &self.scratch.len()).finish_non_exhaustive()
    }
}

impl Compressor {
    /// Compresses the body of the finished frame at `at`, in place.
    pub(crate) fn compress(&mut self, algorithm: Algorithm, out: &mut Vec<u8>, at: usize) {
        let Some(body) = out.get(at + HEADER_LEN..).filter(|body| !body.is_empty()) else {
            return;
        };
        let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
        let (block, prefix) = match algorithm {
            Algorithm::Lz4 => (self.lz4_block(body), &len[..]),
            Algorithm::Snappy => (self.snappy_block(body), &[][..]),
        };
        // The output is as large as the worst case, so this does not fail; if it did the body
        // would go uncompressed, which is legal.
        let Some(block) = block else { return };
        out.truncate(at + HEADER_LEN);
        out.extend_from_slice(prefix);
        out.extend_from_slice(block);
        if let Some(flags) = out.get_mut(at + 1) {
            *flags |= FLAG_COMPRESSION;
        }
        set_body_len(out, at, prefix.len() + block.len());
    }

    pub(super) fn lz4_block(&mut self, bytes: &[u8]) -> Option<&[u8]> {
        self.make_room(get_maximum_output_size(bytes.len()));
        let written = compress_into_with_table(bytes, &mut self.scratch, &mut self.lz4);
        self.scratch.get(..written.ok()?)
    }

    fn snappy_block(&mut self, bytes: &[u8]) -> Option<&[u8]> {
        self.make_room(snap::raw::max_compress_len(bytes.len()));
        let written = self.snappy.compress(bytes, &mut self.scratch);
        self.scratch.get(..written.ok()?)
    }

    fn make_room(&mut self, len: usize) {
        if self.scratch.len() < len {
            self.scratch.resize(len, 0);
        }
    }

    /// Frees what one long body has taken.
    pub(crate) fn shrink(&mut self) {
        self.scratch.truncate(KEPT_LEN_MAX);
        self.scratch.shrink_to(KEPT_LEN_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{begin, end, opcode};
    use crate::wire::version::Version;

    const BOTH: [Algorithm; 2] = [Algorithm::Lz4, Algorithm::Snappy];

    #[test]
    fn names_in_any_case() {
        assert_eq!(Algorithm::from_name("LZ4"), Some(Algorithm::Lz4));
        assert_eq!(Algorithm::from_name("Snappy"), Some(Algorithm::Snappy));
        assert_eq!(Algorithm::from_name("zstd"), None);
    }

    #[test]
    fn round_trips() {
        for algorithm in BOTH {
            let mut compressor = Compressor::default();
            let mut decompressor = Decompressor::default();
            for len in [1_usize, 4, 100, 10_000, 3_000_000, 7] {
                let mut out = vec![1, 2, 3];
                let at = begin(&mut out, Version::V4, 5, opcode::RESULT);
                out.extend((0..7_u8).cycle().take(len));
                end(&mut out, at);
                compressor.compress(algorithm, &mut out, at);
                assert_eq!(out[at + 1], FLAG_COMPRESSION);
                let body = &out[at + HEADER_LEN..];
                let body = decompressor.decompress(algorithm, body, 1 << 22).unwrap();
                assert_eq!(body.len(), len);
                assert!(body.iter().copied().eq((0..7).cycle().take(len)));
                decompressor.shrink();
                compressor.shrink();
                assert!(decompressor.body.capacity() <= KEPT_LEN_MAX);
                assert!(compressor.scratch.capacity() <= KEPT_LEN_MAX);
            }
        }
    }

    #[test]
    fn the_best_that_snappy_can_do_is_within_its_ratio() {
        let zeros = vec![0; 1 << 20];
        let body = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        let mut snappy = Decompressor::default();
        assert!(snappy.decompress(Algorithm::Snappy, &body, 1 << 20).is_ok());
        assert!(snappy.decompress(Algorithm::Snappy, &body, (1 << 20) - 1).is_err());
    }

    #[test]
    fn lies_are_errors() {
        let is_refused = |algorithm, body: &[u8]| {
            let mut decompressor = Decompressor::default();
            let result = decompressor.decompress(algorithm, body, 100);
            result.is_err() && decompressor.body.len() <= 100
        };
        for body in [&[][..], &[0, 0], &[0x7F, 0, 0, 0, 1], &[0, 0, 0, 9, 0xFF, 0xFF]] {
            assert!(is_refused(Algorithm::Lz4, body), "{body:?}");
        }
        let endless = [0xFF; 12];
        for body in [&endless[..], &[100, 0], &[50, 0, 1], &[4, 0xFF, 0xFF, 0xFF], &[0x80]] {
            assert!(is_refused(Algorithm::Snappy, body), "{body:?}");
        }
    }
}
