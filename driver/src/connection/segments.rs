//! Takes envelopes out of segments, which version 5 of the protocol wraps them in.
//!
//! A segment that was not compressed and holds whole envelopes is lent from where it lies, as
//! frames are in version 4. One that was compressed is inflated next to others of its kind, and an
//! envelope that was cut is put together in a chunk of its connection's: those are copied once.
//!
//! Between `io.rs` and `complete.rs`, where the connection speaks version 5.

use shardwire_protocol::deframer::{Deframer, Step};
use shardwire_protocol::error::{FrameError, Malformed, PeerMisbehaved, Unsupported};
use shardwire_protocol::header::{HEADER_LEN, ResponseHeader, Version, flags};
use shardwire_protocol::response::is_plain_void;
use shardwire_protocol::segment::{
    Assembly, Piece, SegmentDecoder, SegmentFormat, SegmentHeader, SegmentStep, TRAILER_LEN,
    decompress_payload,
};
use shardwire_sync::{ChunkPool, Receiver};

use super::complete::{dispatch, finish};
use super::io::Memory;
use super::{Conn, Reply};
use crate::error::Lost;
use crate::pool::EventSink;

/// The segments of one connection.
pub(super) struct Segments {
    format: SegmentFormat,
    decoder: SegmentDecoder,
    deframer: Deframer,
    assembly: Assembly,
    /// The envelope that is being put together.
    envelope: Receiver,
    /// It is dropped as it comes, for it would take too much memory.
    is_dropped: bool,
    /// Replies of the next segment are not kept: those that are held take too much memory.
    is_tight: bool,
}

/// Where replies go.
#[derive(Clone, Copy)]
struct Sink<'a> {
    conn: &'a Conn,
    events: &'a dyn EventSink,
    is_tight: bool,
}

impl Segments {
    pub(super) fn new(format: SegmentFormat, response_len_max: u32) -> Segments {
        let deframer = Deframer::new(response_len_max);
        Segments {
            format,
            decoder: SegmentDecoder::new(format),
            deframer,
            assembly: Assembly::new(deframer),
            envelope: Receiver::default(),
            is_dropped: false,
            is_tight: false,
        }
    }

    /// Takes all whole segments out of what was received; returns how many requests they completed.
    pub(super) fn deliver(
        &mut self,
        receiver: &mut Receiver,
        conn: &Conn,
        memory: &mut Memory,
        events: &dyn EventSink,
    ) -> Result<u32, Lost> {
        let mut completed = 0;
        loop {
            match self.decoder.next(receiver.unparsed()).map_err(Lost::Frame)? {
                SegmentStep::NeedMore { at_least } => {
                    let Memory { chunks, pinned_len_max, .. } = memory;
                    // A segment has to be read to know what it answers.
                    self.is_tight |= at_least > chunks.pinnable_len(at_least, *pinned_len_max);
                    receiver.reserve(chunks, at_least);
                    return Ok(completed);
                }
                SegmentStep::Segment { header, total_len } => {
                    let is_tight = std::mem::take(&mut self.is_tight);
                    let sink = Sink { conn, events, is_tight };
                    completed += self.take(receiver, header, total_len, memory, sink)?;
                }
            }
        }
    }

    fn take(
        &mut self,
        receiver: &mut Receiver,
        header: SegmentHeader,
        total_len: usize,
        memory: &mut Memory,
        mut sink: Sink<'_>,
    ) -> Result<u32, Lost> {
        let Memory { chunks, inflate, pinned_len_max } = memory;
        if !header.is_compressed() {
            receiver.skip(self.format.header_len());
            let len = header.stored_len as usize;
            let completed = self.take_payload(receiver, header, len, chunks, *pinned_len_max, sink);
            receiver.skip(TRAILER_LEN);
            return completed;
        }
        let len = header.decompressed_len as usize;
        sink.is_tight |= len > chunks.pinnable_len(len, *pinned_len_max);
        let stored = self.decoder.payload(&header, receiver.unparsed());
        inflate.reserve(chunks, len);
        let out = inflate.spare(chunks).get_mut(..len);
        let announced = header.decompressed_len;
        let out = out.ok_or(Lost::Frame(Malformed::Compression { announced }.into()))?;
        decompress_payload(stored, out).map_err(|e| Lost::Frame(e.into()))?;
        inflate.advance(len);
        receiver.skip(total_len);
        self.take_payload(inflate, header, len, chunks, *pinned_len_max, sink)
    }

    /// Takes a payload, the next `len` bytes of `source`.
    fn take_payload(
        &mut self,
        source: &mut Receiver,
        header: SegmentHeader,
        len: usize,
        chunks: &mut ChunkPool,
        pinned_len_max: usize,
        sink: Sink<'_>,
    ) -> Result<u32, Lost> {
        let payload = source.unparsed().get(..len).unwrap_or_default();
        match self.assembly.accept(&header, payload).map_err(Lost::Frame)? {
            Piece::Envelopes => self.take_envelopes(source, len, sink),
            Piece::Part { at_least } => {
                self.is_dropped |= at_least > chunks.pinnable_len(at_least, pinned_len_max);
                self.append(source, len, at_least, chunks);
                Ok(0)
            }
            Piece::Last { header, total_len } => {
                self.append(source, len, total_len, chunks);
                let completed = if std::mem::take(&mut self.is_dropped) {
                    finish(sink.conn, header.stream, Reply::TooLarge)
                } else {
                    give(&mut self.envelope, header, total_len, sink)
                };
                self.envelope.rest(chunks);
                completed
            }
        }
    }

    fn take_envelopes(
        &self,
        source: &mut Receiver,
        len: usize,
        sink: Sink<'_>,
    ) -> Result<u32, Lost> {
        let mut completed = 0;
        let mut left = len;
        while left > 0 {
            let bytes = source.unparsed().get(..left).unwrap_or_default();
            match self.deframer.next(bytes).map_err(Lost::Frame)? {
                Step::Frame { header, total_len } => {
                    completed += give(source, header, total_len, sink)?;
                    left -= total_len;
                }
                Step::NeedMore { .. } => {
                    return Err(Lost::Frame(PeerMisbehaved::SegmentsOutOfStep.into()));
                }
            }
        }
        Ok(completed)
    }

    /// Moves the next `len` bytes of `source` to the envelope, which is `at_least` so long.
    // Allocates: if the envelope is longer than a chunk, or the pool has none to spare.
    fn append(
        &mut self,
        source: &mut Receiver,
        len: usize,
        at_least: usize,
        chunks: &mut ChunkPool,
    ) {
        if self.is_dropped {
            let received = self.envelope.unparsed().len();
            self.envelope.skip(received);
            source.skip(len);
            return;
        }
        let received = self.envelope.unparsed().len();
        self.envelope.reserve(chunks, at_least.max(received + len));
        let payload = source.unparsed().get(..len).unwrap_or_default();
        let spare = self.envelope.spare(chunks);
        for (place, byte) in spare.iter_mut().zip(payload) {
            *place = *byte;
        }
        self.envelope.advance(len);
        source.skip(len);
    }
}

/// Gives the envelope that `source` begins with to who waits for it.
fn give(
    source: &mut Receiver,
    header: ResponseHeader,
    total_len: usize,
    sink: Sink<'_>,
) -> Result<u32, Lost> {
    let error = |e: FrameError| Err(Lost::Frame(e));
    if header.version != Version::V5 {
        return error(Unsupported::Version(header.version.as_u8()).into());
    }
    if header.flags & flags::COMPRESSION != 0 {
        return error(PeerMisbehaved::CompressionNotAgreed.into()); // segments are compressed
    }
    let body = source.unparsed().get(HEADER_LEN..total_len).unwrap_or_default();
    if is_plain_void(&header, body) {
        source.skip(total_len);
        return finish(sink.conn, header.stream, Reply::Void);
    }
    if sink.is_tight {
        source.skip(total_len);
        return finish(sink.conn, header.stream, Reply::TooLarge);
    }
    let body = source.take_body(HEADER_LEN, total_len);
    dispatch(sink.conn, sink.events, header, body)
}
