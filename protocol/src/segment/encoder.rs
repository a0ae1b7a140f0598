//! Wraps envelopes in segments.
//!
//! Next: `segment/assembly.rs`.

use super::{PAYLOAD_LEN_MAX, SegmentFormat, SegmentHeader, crc32};
use crate::compression::Lz4Tables;
use crate::error::{LengthMismatch, saturating_u32};
use crate::header::HEADER_LEN;

/// Wraps a connection's envelopes in segments, with tables that are kept between them.
///
/// ```
/// use shardwire_protocol::segment::{SegmentEncoder, SegmentFormat};
///
/// let options = [5, 0, 0, 0, 5, 0, 0, 0, 0];
/// let mut out = Vec::new();
/// SegmentEncoder::new(SegmentFormat::Plain).append(&options, &mut out)?;
/// assert_eq!(out.len(), 6 + options.len() + 4);
/// # Ok::<(), shardwire_protocol::error::LengthMismatch>(())
/// ```
#[derive(Debug)]
pub struct SegmentEncoder {
    /// `None` in plain segments.
    tables: Option<Lz4Tables>,
}

impl SegmentEncoder {
    /// Allocates: LZ4's table, once per connection.
    #[must_use]
    pub fn new(format: SegmentFormat) -> Self {
        let tables = match format {
            SegmentFormat::Plain => None,
            SegmentFormat::Lz4 => Some(Lz4Tables::new()),
        };
        Self { tables }
    }

    /// The format of its segments.
    ///
    /// ```
    /// # use shardwire_protocol::segment::{SegmentEncoder, SegmentFormat};
    /// assert_eq!(SegmentEncoder::new(SegmentFormat::Lz4).format(), SegmentFormat::Lz4);
    /// ```
    #[must_use]
    pub fn format(&self) -> SegmentFormat {
        if self.tables.is_some() { SegmentFormat::Lz4 } else { SegmentFormat::Plain }
    }

    /// Appends whole envelopes, one after the other in `envelopes`, to `out` as segments: as many
    /// in each as fit, and an envelope that fits in none as several. A payload that LZ4 does not
    /// make shorter is stored as it is.
    ///
    /// # Errors
    /// If `envelopes` does not end where an envelope ends; `out` is then as it was.
    ///
    /// # Allocation
    /// Only where `out` has to grow, and for the first payload of 64 KiB or more with LZ4.
    pub fn append(&mut self, envelopes: &[u8], out: &mut Vec<u8>) -> Result<(), LengthMismatch> {
        let start = out.len();
        let mut rest = envelopes;
        while !rest.is_empty() {
            let run = match whole_run(rest) {
                Ok(run) => run,
                Err(mismatch) => {
                    out.truncate(start);
                    return Err(mismatch);
                }
            };
            let (payload, after) = rest.split_at_checked(run.len()).unwrap_or((rest, &[]));
            match run {
                Run::Whole(_) => self.put(payload, true, out),
                Run::Long(_) => {
                    for piece in payload.chunks(PAYLOAD_LEN_MAX) {
                        self.put(piece, false, out);
                    }
                }
            }
            rest = after;
        }
        Ok(())
    }

    /// Appends one segment.
    fn put(&mut self, payload: &[u8], is_self_contained: bool, out: &mut Vec<u8>) {
        let format = self.format();
        let start = out.len();
        let payload_start = start + format.header_len();
        out.resize(payload_start, 0);
        let stored = self.tables.as_mut().and_then(|tables| tables.append(payload, out));
        let is_compressed = stored.is_some_and(|len| len < payload.len());
        if !is_compressed {
            out.truncate(payload_start);
            out.extend_from_slice(payload);
        }
        let stored = out.get(payload_start..).unwrap_or_default();
        let sum = crc32(stored);
        let header = SegmentHeader {
            stored_len: saturating_u32(stored.len()),
            decompressed_len: if is_compressed { saturating_u32(payload.len()) } else { 0 },
            is_self_contained,
        };
        if let (Some(place), Some(bytes)) =
            (out.get_mut(start..payload_start), header.to_bytes(format).get(..format.header_len()))
        {
            place.copy_from_slice(bytes);
        }
        out.extend_from_slice(&sum.to_le_bytes());
    }
}

/// What goes next.
#[derive(Clone, Copy)]
enum Run {
    /// Envelopes of this length together, which fit into a payload.
    Whole(usize),
    /// One envelope of this length, which does not.
    Long(usize),
}

impl Run {
    fn len(self) -> usize {
        match self {
            Self::Whole(len) | Self::Long(len) => len,
        }
    }
}

/// The longest run of envelopes at the beginning of `envelopes`, which is not empty.
fn whole_run(envelopes: &[u8]) -> Result<Run, LengthMismatch> {
    let mut run_len = 0;
    while let Some(rest) = envelopes.get(run_len..).filter(|rest| !rest.is_empty()) {
        let envelope_len = envelope_len(rest).unwrap_or(HEADER_LEN);
        if envelope_len > rest.len() {
            return Err(LengthMismatch { announced: envelope_len, written: rest.len() });
        }
        if run_len + envelope_len > PAYLOAD_LEN_MAX {
            return Ok(if run_len == 0 { Run::Long(envelope_len) } else { Run::Whole(run_len) });
        }
        run_len += envelope_len;
    }
    Ok(Run::Whole(run_len))
}

/// Length of the envelope at the beginning of `bytes`, as its header announces it.
fn envelope_len(bytes: &[u8]) -> Option<usize> {
    let [.., l0, l1, l2, l3] = bytes.first_chunk::<HEADER_LEN>()?;
    let body_len = u32::from_be_bytes([*l0, *l1, *l2, *l3]);
    Some(HEADER_LEN.saturating_add(usize::try_from(body_len).unwrap_or(usize::MAX)))
}
