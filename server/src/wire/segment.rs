//! Segments of protocol v5: what envelopes travel in once STARTUP was answered.
//!
//! ```text
//! plain  header 3: payload len 17 | self contained 1 | padding 6
//! LZ4    header 5: stored len 17 | len 17 | self contained 1 | padding 5
//!        then CRC24 of the header 3, payload, CRC32 of the stored payload 4; all little endian
//! ```
//!
//! A self-contained segment has whole envelopes; a longer envelope is cut into several segments
//! that are not. With LZ4 a `len` of 0 says that the payload is stored as it is.

use lz4_flex::block::decompress_into;

use super::compression::Compressor;
use super::frame::{HEADER_LEN, Header, Split, split};
use super::version::Version;
use crate::error::CqlError;

/// Longest payload: what 17 bits can say.
pub(crate) const PAYLOAD_LEN_MAX: usize = 0x1_FFFF;
/// Segments are handed out to be written when they are this long together.
const BATCH_LEN: usize = 256 * 1024;

const LEN_BITS: u32 = 17;
const CRC24_LEN: usize = 3;
const CRC32_LEN: usize = 4;
/// What the CRC32 of a payload starts from, fed as bytes.
const CRC32_SEED: [u8; 4] = [0xFA, 0x2D, 0x55, 0xCA];

/// Whether payloads are compressed; says how long headers are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Coding {
    Plain,
    Lz4,
}

impl Coding {
    fn header_len(self) -> usize {
        match self {
            Self::Plain => 3,
            Self::Lz4 => 5,
        }
    }

    /// Position of the bit that says whether the segment is self-contained.
    fn flag_bit(self) -> u32 {
        match self {
            Self::Plain => LEN_BITS,
            Self::Lz4 => 2 * LEN_BITS,
        }
    }
}

fn crc24(header: &[u8]) -> u32 {
    let mut crc = 0x0087_5060_u32;
    for byte in header {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0197_4F0B;
            }
        }
    }
    crc
}

fn crc32(payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&CRC32_SEED);
    hasher.update(payload);
    hasher.finalize()
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Takes segments apart and puts envelopes together.
pub(crate) struct SegmentReader {
    coding: Coding,
    /// Payload of a self-contained segment, or of those of one large envelope so far.
    payload: Vec<u8>,
    /// How much of it was given out.
    at: usize,
    /// A large envelope is being put together.
    is_partial: bool,
}

/// Without the payload, which passwords may be in.
impl std::fmt::Debug for SegmentReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { coding, payload, at, is_partial } = self;
        f.debug_struct("SegmentReader")
            .field("coding", coding)
            .field("payload", &payload.len())
            .field("at", at)
            .field("is_partial", is_partial)
            .finish()
    }
}

/// What [`SegmentReader::take`] found.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Taken {
    /// A segment of this many bytes.
    Segment(usize),
    /// Not yet a whole segment, which is this many bytes long as far as known.
    Partial(usize),
}

/// What [`SegmentReader::envelope`] found.
#[derive(Debug)]
pub(crate) enum Envelope<'a> {
    Whole(Header, &'a [u8]),
    /// The next segment has to be taken.
    None,
    /// The error, the stream to say it on, and the version byte if that is what was wrong.
    Refused(i16, CqlError),
}

impl SegmentReader {
    pub(crate) fn new(coding: Coding) -> Self {
        Self { coding, payload: Vec::new(), at: 0, is_partial: false }
    }

    /// Takes the first segment off `bytes`. To be called when there is no envelope left.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Taken, CqlError> {
        let head_len = self.coding.header_len();
        let Some((head, after)) = bytes.split_at_checked(head_len + CRC24_LEN) else {
            return Ok(Taken::Partial(head_len + CRC24_LEN));
        };
        let (head, crc) = head.split_at(head_len);
        if u64::from(crc24(head)) != little_endian(crc) {
            return Err(CqlError::protocol("CRC mismatch in the header of a segment"));
        }
        let bits = little_endian(head);
        let len_at = |shift: u32| usize::try_from(bits >> shift & 0x1_FFFF).unwrap_or_default();
        let is_self_contained = bits >> self.coding.flag_bit() & 1 == 1;
        let stored_len = len_at(0);
        let segment_len = head_len + CRC24_LEN + stored_len + CRC32_LEN;
        let Some((stored, after)) = after.split_at_checked(stored_len) else {
            return Ok(Taken::Partial(segment_len));
        };
        let Some(crc) = after.get(..CRC32_LEN) else { return Ok(Taken::Partial(segment_len)) };
        if u64::from(crc32(stored)) != little_endian(crc) {
            return Err(CqlError::protocol("CRC mismatch in the payload of a segment"));
        }
        if is_self_contained && self.is_partial {
            return Err(CqlError::protocol("a self-contained segment within a large envelope"));
        }
        if !self.is_partial {
            self.payload.clear();
            self.at = 0;
        }
        self.is_partial = !is_self_contained;
        match self.coding {
            Coding::Lz4 if len_at(LEN_BITS) > 0 => self.decompress(stored, len_at(LEN_BITS))?,
            _ => self.payload.extend_from_slice(stored),
        }
        Ok(Taken::Segment(segment_len))
    }

    fn decompress(&mut self, stored: &[u8], len: usize) -> Result<(), CqlError> {
        let start = self.payload.len();
        self.payload.resize(start + len, 0);
        let target = self.payload.get_mut(start..).unwrap_or_default();
        match decompress_into(stored, target) {
            Ok(written) if written == len => Ok(()),
            Ok(_) => Err(CqlError::protocol("a segment is shorter than announced")),
            Err(_) => Err(CqlError::protocol("the payload of a segment is not a block of LZ4")),
        }
    }

    /// Has a buffer to put payloads into.
    pub(crate) fn is_equipped(&self) -> bool {
        self.payload.capacity() > 0
    }

    /// Takes an empty buffer to put payloads into, in place of the one that was given back.
    pub(crate) fn equip(&mut self, buffer: Vec<u8>) {
        self.payload = buffer;
        self.at = 0;
    }

    /// Gives the buffer back, unless a part of an envelope is in it.
    pub(crate) fn give_back(&mut self) -> Option<Vec<u8>> {
        (self.at == self.payload.len()).then(|| {
            self.at = 0;
            std::mem::take(&mut self.payload)
        })
    }

    /// Bytes that are kept for a large envelope.
    pub(crate) fn held_len(&self) -> usize {
        self.payload.capacity()
    }

    /// The next envelope of what was taken.
    #[inline]
    pub(crate) fn envelope(&mut self, version: Version, body_len_max: usize) -> Envelope<'_> {
        let bytes = self.payload.get(self.at..).unwrap_or_default();
        if bytes.is_empty() {
            return Envelope::None;
        }
        match split(bytes, version, body_len_max) {
            Split::Frame { header, body, rest } => {
                self.at = self.payload.len() - rest.len();
                if self.is_partial {
                    if !rest.is_empty() {
                        let what = "segments of a large envelope go on beyond its end";
                        return Envelope::Refused(header.stream, CqlError::protocol(what));
                    }
                    self.is_partial = false;
                }
                Envelope::Whole(header, body)
            }
            Split::Partial { .. } if self.is_partial => Envelope::None,
            Split::Partial { .. } => {
                let what = "a self-contained segment ends within an envelope";
                Envelope::Refused(0, CqlError::protocol(what))
            }
            Split::OtherVersion { byte, stream, .. } => {
                Envelope::Refused(stream, changed_version(version, byte))
            }
            Split::Refused { stream, error } => Envelope::Refused(stream, error),
        }
    }
}

/// A client must not change the version of a connection.
#[cold]
pub(crate) fn changed_version(version: Version, byte: u8) -> CqlError {
    CqlError::protocol(format!(
        "Invalid message version. Got {byte} but previous messages on this connection had \
         version {}",
        version.number()
    ))
}

/// Puts replies into segments.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    coding: Coding,
    out: Vec<u8>,
    /// Bytes of a large envelope that are still to come.
    large_left: usize,
}

impl SegmentWriter {
    pub(crate) fn new(coding: Coding) -> Self {
        Self { coding, out: Vec::new(), large_left: 0 }
    }

    /// Takes envelopes off `rest` and gives the segments to write; the last envelope of `rest` may
    /// be cut short by a fault. Small envelopes share a segment. To be called until `rest` is
    /// empty.
    pub(crate) fn wrap(&mut self, rest: &mut &[u8], compressor: &mut Compressor) -> &[u8] {
        self.out.clear();
        while !rest.is_empty() && self.out.len() < BATCH_LEN {
            if self.large_left == 0 {
                let (whole_len, next_len) = whole_envelopes(rest);
                if whole_len > 0 {
                    self.segment(take(rest, whole_len), true, compressor);
                    continue;
                }
                if next_len <= PAYLOAD_LEN_MAX {
                    self.cut_segment(take(rest, next_len), compressor);
                    continue;
                }
                self.large_left = next_len;
            }
            let piece = take(rest, self.large_left.min(PAYLOAD_LEN_MAX));
            self.segment(piece, false, compressor);
            self.large_left -= piece.len();
        }
        &self.out
    }

    /// A segment that ends before its payload does: what a fault made of a reply.
    fn cut_segment(&mut self, payload: &[u8], compressor: &mut Compressor) {
        self.segment(payload, true, compressor);
        self.out.truncate(self.out.len() - CRC32_LEN);
    }

    fn segment(&mut self, payload: &[u8], is_self_contained: bool, compressor: &mut Compressor) {
        let mut stored = payload;
        let mut compressed_from = 0;
        if self.coding == Coding::Lz4 {
            // If that failed, which it does not, the payload would be stored as it is.
            let compressed = compressor.lz4_block(payload);
            if let Some(compressed) = compressed.filter(|bytes| bytes.len() < payload.len()) {
                (stored, compressed_from) = (compressed, payload.len());
            }
        }
        let number = |len: usize| u64::try_from(len).unwrap_or_default();
        let mut bits =
            number(stored.len()) | u64::from(is_self_contained) << self.coding.flag_bit();
        if self.coding == Coding::Lz4 {
            bits |= number(compressed_from) << LEN_BITS;
        }
        let bits = bits.to_le_bytes();
        let head = bits.get(..self.coding.header_len()).unwrap_or_default();
        self.out.extend_from_slice(head);
        let [c0, c1, c2, _] = crc24(head).to_le_bytes();
        self.out.extend_from_slice(&[c0, c1, c2]);
        self.out.extend_from_slice(stored);
        self.out.extend_from_slice(&crc32(stored).to_le_bytes());
    }

    /// Takes an empty buffer to put segments into, in place of the one that was given back.
    pub(crate) fn equip(&mut self, buffer: Vec<u8>) {
        self.out = buffer;
    }

    pub(crate) fn give_back(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

/// Takes `len` bytes, or as many as there are.
fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (head, tail) = rest.split_at(len.min(rest.len()));
    *rest = tail;
    head
}

/// How long the envelopes at the front are that fit into one segment, and the one behind them.
fn whole_envelopes(bytes: &[u8]) -> (usize, usize) {
    let mut len = 0;
    while let Some(head) = bytes.get(len..).and_then(|rest| rest.first_chunk::<HEADER_LEN>()) {
        let next = HEADER_LEN + Header::decode(head).body_len;
        if len + next > PAYLOAD_LEN_MAX.min(bytes.len()) {
            return (len, next);
        }
        len += next;
    }
    (len, bytes.len() - len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{BODY_LEN_MAX, begin, end, opcode};

    fn envelope(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let at = begin(&mut out, Version::V5, 1, opcode::RESULT);
        out.extend_from_slice(body);
        end(&mut out, at);
        out[0] = 5;
        out
    }

    fn wrap(coding: Coding, mut envelopes: &[u8]) -> Vec<u8> {
        let mut writer = SegmentWriter::new(coding);
        let mut out = Vec::new();
        while !envelopes.is_empty() {
            out.extend_from_slice(writer.wrap(&mut envelopes, &mut Compressor::default()));
        }
        out
    }

    fn unwrap(coding: Coding, mut bytes: &[u8]) -> Result<Vec<usize>, CqlError> {
        let mut reader = SegmentReader::new(coding);
        let mut lens = Vec::new();
        loop {
            match reader.envelope(Version::V5, BODY_LEN_MAX) {
                Envelope::Whole(_, body) => {
                    lens.push(body.len());
                    continue;
                }
                Envelope::None => {}
                Envelope::Refused(_, error) => return Err(error),
            }
            match reader.take(bytes)? {
                Taken::Segment(len) => bytes = &bytes[len..],
                Taken::Partial(len) => {
                    assert!(len > bytes.len());
                    return Ok(lens);
                }
            }
        }
    }

    #[test]
    fn the_golden_segment() {
        let options = [5, 0, 0, 0, 5, 0, 0, 0, 0];
        let plain = wrap(Coding::Plain, &options);
        assert_eq!(plain[..6], [0x09, 0x00, 0x02, 0xA4, 0xC8, 0xC1]);
        assert_eq!(plain[6..15], options);
        assert_eq!(plain[15..], [0x10, 0x86, 0x28, 0x4D]);
        let lz4 = wrap(Coding::Lz4, &options);
        assert_eq!(lz4[..8], [0x09, 0, 0, 0, 0x04, 0xC2, 0xB8, 0x95]);
        assert_eq!(lz4[8..], plain[6..]);
    }

    #[test]
    fn round_trip_of_small_and_large_envelopes() {
        let sizes = [0, 5, 131_062, 131_063, 7, 400_000, 0, 131_071, 262_142];
        let envelopes: Vec<u8> = sizes
            .iter()
            .flat_map(|len| envelope(&(0..251).cycle().take(*len).collect::<Vec<_>>()))
            .collect();
        for coding in [Coding::Plain, Coding::Lz4] {
            let bytes = wrap(coding, &envelopes);
            assert_eq!(unwrap(coding, &bytes).unwrap(), sizes, "{coding:?}");
        }
        // Noise is stored as it is.
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(5000).collect();
        let bytes = wrap(Coding::Lz4, &envelope(&noise));
        assert_eq!(bytes.len(), 8 + 5009 + 4);
        assert_eq!(unwrap(Coding::Lz4, &bytes).unwrap(), [5000]);
    }

    #[test]
    fn small_envelopes_share_a_segment() {
        let bytes = wrap(Coding::Plain, &envelope(&[1, 2, 3]).repeat(10));
        assert_eq!(bytes.len(), 6 + 120 + 4);
        assert_eq!(unwrap(Coding::Plain, &bytes).unwrap(), [3; 10]);
    }

    #[test]
    fn every_damaged_bit_is_noticed_and_every_cut_waited_for() {
        for coding in [Coding::Plain, Coding::Lz4] {
            let bytes = wrap(coding, &envelope(&[7; 40]));
            for cut in 0..bytes.len() {
                assert!(unwrap(coding, &bytes[..cut]).unwrap().is_empty(), "{cut}");
            }
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let error = unwrap(coding, &damaged).unwrap_err();
                assert!(error.message.contains("CRC mismatch"), "{bit}: {error:?}");
            }
        }
    }

    #[test]
    fn segments_that_do_not_fit_together_are_errors() {
        let raw = |payload: &[u8], is_self_contained| {
            let mut writer = SegmentWriter::new(Coding::Plain);
            writer.segment(payload, is_self_contained, &mut Compressor::default());
            writer.out
        };
        let whole = envelope(&[1; 20]);
        let error = |bytes: &[u8]| unwrap(Coding::Plain, bytes).unwrap_err().message;
        assert!(error(&raw(&whole[..28], true)).contains("ends within"));
        let inside = [raw(&whole[..9], false), raw(&whole, true)].concat();
        assert!(error(&inside).contains("within a large envelope"));
        let beyond = [raw(&whole[..9], false), raw(&[&whole[9..], &[5]].concat(), false)].concat();
        assert!(error(&beyond).contains("beyond its end"));
        let other = [&[4][..], &whole[1..]].concat();
        assert!(error(&raw(&other, true)).contains("Invalid message version. Got 4"));
        let mut reader = SegmentReader::new(Coding::Plain);
        let long = [5, 0, 0, 1, 7, 0, 0, 1, 0];
        assert!(reader.take(&raw(&long, false)).is_ok());
        assert!(matches!(reader.envelope(Version::V5, 255), Envelope::Refused(1, _)));
    }

    #[test]
    fn lz4_lies_are_errors() {
        let stored = [0xFF; 10];
        let bits: u64 = 10 | 100 << LEN_BITS | 1 << (2 * LEN_BITS);
        let head = &bits.to_le_bytes()[..5];
        let crc = &crc24(head).to_le_bytes()[..3];
        let bytes = [head, crc, &stored, &crc32(&stored).to_le_bytes()].concat();
        assert!(unwrap(Coding::Lz4, &bytes).unwrap_err().message.contains("LZ4"));
    }

    #[test]
    fn a_reply_cut_by_a_fault_is_a_segment_without_an_end() {
        let bytes =
            wrap(Coding::Plain, &[envelope(&[1; 3]), envelope(&[2; 50])[..30].to_vec()].concat());
        assert_eq!(bytes.len(), (6 + 12 + 4) + (6 + 30));
        assert_eq!(unwrap(Coding::Plain, &bytes).unwrap(), [3]);
    }
}
