//! Segments: what version 5 of the protocol wraps frames in, which it then calls envelopes.
//!
//! ```text
//! plain: length, flag (3 bytes)  | CRC24 (3) | payload …               | CRC32 (4)
//! LZ4:   lengths, flag (5 bytes) | CRC24 (3) | payload, maybe LZ4 …    | CRC32 (4)
//!
//! 23 … 18    17              16 ………… 0
//! padding | self-contained | stored length                             plain
//!
//! 39 … 35    34              33 …………………… 17        16 ………… 0
//! padding | self-contained | decompressed length | stored length       LZ4
//! ```
//!
//! Unlike all else in the protocol, integers are little-endian. A self-contained segment holds one
//! or more whole envelopes; a longer envelope is cut into several that are not, one after the
//! other. The decompressed length is 0 where the payload is stored as it is.
//!
//! Everything travels in segments once the server has answered STARTUP; that answer, and what comes
//! before it, does not. This file has the header and finds segments in received bytes, in place,
//! as `deframer.rs` finds frames. Nothing here allocates. Next: `segment/crc.rs`.

use crate::compression::{decompress_lz4, lz4_can_become};
use crate::error::{FrameError, Malformed, saturating_u32};

mod assembly;
mod crc;
mod encoder;

pub use assembly::{Assembly, Envelopes, Piece};
pub use encoder::SegmentEncoder;

use crc::{crc24, crc32};

/// Most bytes of a payload: the length has 17 bits.
pub const PAYLOAD_LEN_MAX: usize = (1 << 17) - 1;

/// Length of the checksum behind each payload, in bytes.
pub const TRAILER_LEN: usize = 4;

/// Longest header there is.
const HEADER_LEN_MAX: usize = 8;

/// Length of the checksum within the header.
const HEADER_CRC_LEN: usize = 3;

/// How a connection's segments look; fixed by STARTUP.
///
/// ```
/// use shardwire_protocol::segment::SegmentFormat;
///
/// assert_eq!(SegmentFormat::default(), SegmentFormat::Plain);
/// assert_eq!(SegmentFormat::Lz4.header_len(), 8);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum SegmentFormat {
    /// Without compression.
    #[default]
    Plain,
    /// Payloads may be compressed with LZ4. Snappy is not allowed in version 5.
    Lz4,
}

impl SegmentFormat {
    /// Length of a segment's header, its checksum included.
    ///
    /// ```
    /// use shardwire_protocol::segment::SegmentFormat;
    ///
    /// assert_eq!(SegmentFormat::Plain.header_len(), 6);
    /// ```
    #[must_use]
    pub const fn header_len(self) -> usize {
        match self {
            Self::Plain => 6,
            Self::Lz4 => HEADER_LEN_MAX,
        }
    }

    /// Longest segment there is, in bytes.
    ///
    /// ```
    /// # use shardwire_protocol::segment::SegmentFormat;
    /// assert_eq!(SegmentFormat::Plain.segment_len_max(), 6 + 131_071 + 4);
    /// ```
    #[must_use]
    pub const fn segment_len_max(self) -> usize {
        self.header_len() + PAYLOAD_LEN_MAX + TRAILER_LEN
    }
}

/// A segment's header.
///
/// ```
/// # use shardwire_protocol::segment::{SegmentDecoder, SegmentEncoder, SegmentFormat, SegmentStep};
/// let options = [5, 0, 0, 0, 5, 0, 0, 0, 0];
/// let mut bytes = Vec::new();
/// SegmentEncoder::new(SegmentFormat::Plain).append(&options, &mut bytes)?;
/// let step = SegmentDecoder::new(SegmentFormat::Plain).next(&bytes);
/// let Ok(SegmentStep::Segment { header, .. }) = step else { panic!("{step:?}") };
/// assert_eq!((header.stored_len, header.is_compressed()), (9, false));
/// # Ok::<(), shardwire_protocol::error::LengthMismatch>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SegmentHeader {
    /// Length of the payload as it is in the segment; at most [`PAYLOAD_LEN_MAX`].
    pub stored_len: u32,
    /// Length of the payload when decompressed; 0 if it is stored as it is.
    pub decompressed_len: u32,
    /// Whether the payload is made of whole envelopes.
    pub is_self_contained: bool,
}

impl SegmentHeader {
    /// Whether the payload must be decompressed.
    ///
    /// ```
    /// use shardwire_protocol::segment::SegmentHeader;
    ///
    /// let plain = SegmentHeader { stored_len: 9, decompressed_len: 0, is_self_contained: true };
    /// assert!(!plain.is_compressed());
    /// ```
    #[inline]
    #[must_use]
    pub const fn is_compressed(&self) -> bool {
        self.decompressed_len != 0
    }

    /// The header's bytes, of which the first [`SegmentFormat::header_len`] count.
    fn to_bytes(self, format: SegmentFormat) -> [u8; HEADER_LEN_MAX] {
        let mut bits = u64::from(self.stored_len);
        bits |= match format {
            SegmentFormat::Plain => u64::from(self.is_self_contained) << LEN_BITS,
            SegmentFormat::Lz4 => {
                (u64::from(self.decompressed_len) << LEN_BITS)
                    | (u64::from(self.is_self_contained) << (2 * LEN_BITS))
            }
        };
        let [b0, b1, b2, b3, b4, ..] = bits.to_le_bytes();
        match format {
            SegmentFormat::Plain => {
                let [c0, c1, c2, _] = crc24(&[b0, b1, b2]).to_le_bytes();
                [b0, b1, b2, c0, c1, c2, 0, 0]
            }
            SegmentFormat::Lz4 => {
                let [c0, c1, c2, _] = crc24(&[b0, b1, b2, b3, b4]).to_le_bytes();
                [b0, b1, b2, b3, b4, c0, c1, c2]
            }
        }
    }

    /// Reads the header that `filled` begins with; `None` if that is not complete.
    fn decode(format: SegmentFormat, filled: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(bytes) = filled.get(..format.header_len()) else { return Ok(None) };
        let Some((fields, sum)) = bytes.split_last_chunk::<HEADER_CRC_LEN>() else {
            return Ok(None);
        };
        let announced = little_endian(sum);
        let computed = u64::from(crc24(fields));
        if announced != computed {
            return Err(checksum("a segment's header", announced, computed));
        }
        let bits = little_endian(fields);
        let (decompressed_len, flag) = match format {
            SegmentFormat::Plain => (0, bits >> LEN_BITS),
            SegmentFormat::Lz4 => (len_field(bits >> LEN_BITS), bits >> (2 * LEN_BITS)),
        };
        let header = Self {
            stored_len: len_field(bits),
            decompressed_len,
            is_self_contained: flag & 1 != 0, // the bits above are padding
        };
        // At most 17 bits: no cast is lossy.
        if !lz4_can_become(header.stored_len as usize, decompressed_len as usize) {
            return Err(Malformed::Compression { announced: decompressed_len });
        }
        Ok(Some(header))
    }
}

/// Bits of a length.
const LEN_BITS: u32 = 17;

/// The lowest 17 bits.
fn len_field(bits: u64) -> u32 {
    let [b0, b1, b2, ..] = (bits & PAYLOAD_LEN_MAX as u64).to_le_bytes();
    u32::from_le_bytes([b0, b1, b2, 0])
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cold]
fn checksum(what: &'static str, announced: u64, computed: u64) -> Malformed {
    let sum = |sum| u32::try_from(sum).unwrap_or(u32::MAX); // has 24 or 32 bits
    Malformed::Checksum { what, announced: sum(announced), computed: sum(computed) }
}

/// Splits a connection's bytes into segments.
///
/// As the [`Deframer`](crate::deframer::Deframer) it keeps no bytes: the caller shows what it has
/// from the start of a segment on.
///
/// ```
/// use shardwire_protocol::segment::{
///     SegmentDecoder, SegmentEncoder, SegmentFormat, SegmentStep,
/// };
///
/// let envelope = [0x85, 0, 0, 5, 8, 0, 0, 0, 4, 0, 0, 0, 1];
/// let mut bytes = Vec::new();
/// SegmentEncoder::new(SegmentFormat::Plain).append(&envelope, &mut bytes)?;
///
/// let decoder = SegmentDecoder::new(SegmentFormat::Plain);
/// let Ok(SegmentStep::Segment { header, total_len }) = decoder.next(&bytes) else { panic!() };
/// assert!(header.is_self_contained);
/// assert_eq!(total_len, bytes.len());
/// assert_eq!(decoder.payload(&header, &bytes), envelope);
/// # Ok::<(), shardwire_protocol::error::LengthMismatch>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SegmentDecoder {
    format: SegmentFormat,
}

/// What the bytes shown are.
///
/// ```
/// use shardwire_protocol::segment::{SegmentDecoder, SegmentFormat, SegmentStep};
///
/// let step = SegmentDecoder::new(SegmentFormat::Plain).next(&[9, 0]);
/// assert_eq!(step, Ok(SegmentStep::NeedMore { at_least: 6 }));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SegmentStep {
    /// They begin with a whole segment, whose checksums are right.
    Segment {
        /// Its header.
        header: SegmentHeader,
        /// Its length, header and checksums included; the next segment begins there.
        total_len: usize,
    },
    /// They are the beginning of a segment, or nothing.
    NeedMore {
        /// How long the segment is at least: the header's length if that is not complete, else
        /// exactly the segment's; never more than [`SegmentFormat::segment_len_max`].
        at_least: usize,
    },
}

impl SegmentDecoder {
    /// Splits segments of this format.
    ///
    /// ```
    /// # use shardwire_protocol::segment::{SegmentDecoder, SegmentFormat, SegmentStep};
    /// let step = SegmentDecoder::new(SegmentFormat::Lz4).next(&[]);
    /// assert_eq!(step, Ok(SegmentStep::NeedMore { at_least: 8 }));
    /// ```
    #[must_use]
    pub const fn new(format: SegmentFormat) -> Self {
        Self { format }
    }

    /// Looks at `filled`, which begins where a segment begins. Sums up all of a whole segment, so
    /// it is to be asked once for each.
    ///
    /// ```
    /// # use shardwire_protocol::segment::{SegmentDecoder, SegmentFormat};
    /// let decoder = SegmentDecoder::new(SegmentFormat::Plain);
    /// let error = decoder.next(&[9, 0, 2, 0, 0, 0]).unwrap_err();
    /// assert!(error.to_string().starts_with("checksum of a segment's header is"));
    /// ```
    ///
    /// # Errors
    /// A checksum that is wrong, or a payload that cannot become as long as announced. The
    /// connection is beyond help.
    pub fn next(&self, filled: &[u8]) -> Result<SegmentStep, FrameError> {
        let Some(header) = SegmentHeader::decode(self.format, filled)? else {
            return Ok(SegmentStep::NeedMore { at_least: self.format.header_len() });
        };
        let payload_end = self.format.header_len() + header.stored_len as usize;
        let total_len = payload_end + TRAILER_LEN;
        let sum = filled.get(payload_end..).and_then(<[u8]>::first_chunk::<TRAILER_LEN>);
        let Some(sum) = sum else { return Ok(SegmentStep::NeedMore { at_least: total_len }) };
        let announced = u32::from_le_bytes(*sum);
        let computed = crc32(self.payload(&header, filled));
        if announced != computed {
            let (announced, computed) = (u64::from(announced), u64::from(computed));
            return Err(checksum("a segment's payload", announced, computed).into());
        }
        Ok(SegmentStep::Segment { header, total_len })
    }

    /// The payload of the segment that `filled` begins with, as it is stored; to be decompressed if
    /// [`SegmentHeader::is_compressed`]. Not copied.
    ///
    /// ```
    /// # use shardwire_protocol::segment::{SegmentDecoder, SegmentFormat, SegmentHeader};
    /// let header = SegmentHeader { stored_len: 2, decompressed_len: 0, is_self_contained: true };
    /// let segment = [2, 0, 2, 0, 0, 0, 8, 9, 0, 0, 0, 0]; // sums are not looked at here
    /// let decoder = SegmentDecoder::new(SegmentFormat::Plain);
    /// assert_eq!(decoder.payload(&header, &segment), [8, 9]);
    /// ```
    #[must_use]
    pub fn payload<'a>(&self, header: &SegmentHeader, filled: &'a [u8]) -> &'a [u8] {
        let start = self.format.header_len();
        filled.get(start..start + header.stored_len as usize).unwrap_or_default()
    }
}

/// Decompresses a payload into `out`, which is as long as [`SegmentHeader::decompressed_len`].
///
/// ```
/// use shardwire_protocol::segment::decompress_payload;
///
/// let mut payload = [0; 4];
/// decompress_payload(&[0x40, 1, 2, 3, 4], &mut payload)?;
/// assert_eq!(payload, [1, 2, 3, 4]);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
///
/// # Errors
/// If it does not become exactly that long.
pub fn decompress_payload(stored: &[u8], out: &mut [u8]) -> Result<(), Malformed> {
    if decompress_lz4(stored, out) {
        return Ok(());
    }
    Err(Malformed::Compression { announced: saturating_u32(out.len()) })
}

#[cfg(test)]
mod tests;
