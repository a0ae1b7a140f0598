//! Hands replies to the requests that wait for them.
//!
//! Frames are found in place in the receive chunk; a VOID result leaves nothing but its arrival,
//! anything else is lent out as a view of the chunk. A reply to a request that was given up is
//! swallowed and frees its stream id. Whatever the peer sends that is not CQL, or answers nobody,
//! ends the connection with an error that says what it was.
//!
//! Step 11 of 14 in `docs/REQUEST.md`. Next: `sync/src/slots.rs`.

use shardwire_protocol::compression;
use shardwire_protocol::deframer::{Deframer, Step};
use shardwire_protocol::error::{Malformed, PeerMisbehaved};
use shardwire_protocol::header::{
    EVENT_STREAM, HEADER_LEN, Opcode, ResponseHeader, Version, flags,
};
use shardwire_protocol::response::{PLAIN_VOID_LEN, is_plain_void, plain_void_stream};
use shardwire_sync::{Completion, Lease};

use super::io::{Memory, Socket};
use super::{Conn, Reply, ReplyHead};
use crate::error::Lost;
use crate::pool::EventSink;
use crate::settings::Limits;

impl Socket {
    /// Takes all whole frames out of what was received; returns how many requests they completed.
    pub(super) fn deliver(
        &mut self,
        conn: &Conn,
        memory: &mut Memory,
        limits: &Limits,
        events: &dyn EventSink,
    ) -> Result<u32, Lost> {
        if let Some(segments) = &mut self.segments {
            return segments.deliver(&mut self.receiver, conn, memory, events);
        }
        let deframer = Deframer::new(limits.response_len_max);
        let mut completed = 0;
        loop {
            if self.discard > 0 && !self.drop_discarded() {
                return Ok(completed);
            }
            // Most writes are answered by the same 13 bytes but for the stream.
            if let Some(stream) = plain_void_stream(self.receiver.unparsed()) {
                self.receiver.skip(PLAIN_VOID_LEN);
                completed += finish_here(conn, stream, Reply::Void)?;
                continue;
            }
            // And most reads by one that needs no more than its length looked at.
            if let Some((stream, total_len)) = deframer.plain_result(self.receiver.unparsed()) {
                let body = self.receiver.take_body(HEADER_LEN, total_len);
                let head = ReplyHead { version: Version::V4, opcode: Opcode::Result, flags: 0 };
                let reply = Reply::Frame { head, body };
                completed += finish_here(conn, stream, reply)?;
                continue;
            }
            match deframer.next(self.receiver.unparsed()).map_err(Lost::Frame)? {
                Step::Frame { header, total_len } => {
                    completed += self.take(conn, memory, events, header, total_len)?;
                }
                Step::NeedMore { at_least } => {
                    let missing = self.reserve(conn, memory, at_least)?;
                    completed += missing;
                    if self.discard == 0 {
                        return Ok(completed);
                    }
                }
            }
        }
    }

    /// Makes room for a frame of `total_len` bytes, or gives it up if held replies take too much.
    fn reserve(&mut self, conn: &Conn, memory: &mut Memory, total_len: usize) -> Result<u32, Lost> {
        if total_len <= memory.chunks.pinnable_len(total_len, memory.pinned_len_max) {
            self.receiver.reserve(&mut memory.chunks, total_len);
            return Ok(0);
        }
        // The header is complete: only a body can be this long.
        let Some(header) = header_of(self.receiver.unparsed())? else { return Ok(0) };
        self.discard = total_len;
        finish(conn, header.stream, Reply::TooLarge)
    }

    /// Drops what has come of an unwanted frame; whether all of it has.
    fn drop_discarded(&mut self) -> bool {
        let len = self.discard.min(self.receiver.unparsed().len());
        self.receiver.skip(len);
        self.discard -= len;
        self.discard == 0
    }

    #[inline(never)]
    fn take(
        &mut self,
        conn: &Conn,
        memory: &mut Memory,
        events: &dyn EventSink,
        header: ResponseHeader,
        total_len: usize,
    ) -> Result<u32, Lost> {
        let body = self.receiver.unparsed().get(HEADER_LEN..total_len).unwrap_or_default();
        if is_plain_void(&header, body) {
            self.receiver.skip(total_len);
            return finish(conn, header.stream, Reply::Void);
        }
        if header.flags & flags::COMPRESSION != 0 {
            return self.take_compressed(conn, memory, events, header, total_len);
        }
        let body = self.receiver.take_body(HEADER_LEN, total_len);
        dispatch(conn, events, header, body)
    }

    /// Inflates the body next to others of its kind, so that it can be lent like any other.
    fn take_compressed(
        &mut self,
        conn: &Conn,
        memory: &mut Memory,
        events: &dyn EventSink,
        mut header: ResponseHeader,
        total_len: usize,
    ) -> Result<u32, Lost> {
        if !self.compressed {
            return Err(Lost::Frame(PeerMisbehaved::CompressionNotAgreed.into()));
        }
        let body = self.receiver.unparsed().get(HEADER_LEN..total_len).unwrap_or_default();
        let wanted = compression::decompressed_len(body, u32::MAX).unwrap_or(usize::MAX);
        let max = memory.chunks.pinnable_len(wanted, memory.pinned_len_max);
        let len = compression::decompressed_len(body, u32::try_from(max).unwrap_or(u32::MAX))
            .map_err(Lost::Frame)?;
        memory.inflate.reserve(&mut memory.chunks, len);
        let spare = memory.inflate.spare(&mut memory.chunks);
        let out = spare
            .get_mut(..len)
            .ok_or(Lost::Frame(Malformed::Compression { announced: 0 }.into()))?;
        compression::decompress_body(body, out).map_err(|e| Lost::Frame(e.into()))?;
        memory.inflate.advance(len);
        self.receiver.skip(total_len);
        header.flags &= !flags::COMPRESSION;
        if is_plain_void(&header, memory.inflate.unparsed()) {
            memory.inflate.skip(len);
            return finish(conn, header.stream, Reply::Void);
        }
        let body = memory.inflate.take_frame(len);
        dispatch(conn, events, header, body)
    }
}

pub(super) fn dispatch(
    conn: &Conn,
    events: &dyn EventSink,
    header: ResponseHeader,
    body: Lease,
) -> Result<u32, Lost> {
    if header.stream == EVENT_STREAM && header.opcode == Opcode::Event {
        events.event(&header, &body);
        return Ok(0);
    }
    let ResponseHeader { version, stream, opcode, flags, .. } = header;
    finish(conn, stream, Reply::Frame { head: ReplyHead { version, opcode, flags }, body })
}

/// Completes the request on `stream`; returns 1 if somebody still waits for it.
#[inline(never)]
pub(super) fn finish(conn: &Conn, stream: i16, reply: Reply) -> Result<u32, Lost> {
    finish_here(conn, stream, reply)
}

/// The same where most replies come by: a call and a copy of the reply less.
#[inline(always)]
fn finish_here(conn: &Conn, stream: i16, reply: Reply) -> Result<u32, Lost> {
    let Ok(id) = u16::try_from(stream) else { return Err(Lost::UnknownStream(stream)) };
    match conn.slots.complete(id, reply) {
        Completion::Delivered => Ok(1),
        Completion::Orphan(_) => {
            conn.released();
            Ok(0)
        }
        Completion::Unknown(_) => Err(Lost::UnknownStream(stream)),
    }
}

fn header_of(bytes: &[u8]) -> Result<Option<ResponseHeader>, Lost> {
    let Some(head) = bytes.first_chunk::<HEADER_LEN>() else { return Ok(None) };
    ResponseHeader::decode(head).map(Some).map_err(Lost::Frame)
}
