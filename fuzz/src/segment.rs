//! Envelopes wrapped in segments, received in any pieces and damaged: the same comes out as if all
//! had come at once. And any bytes as segments.
//!
//! Input: format and kind; a count of pieces, which byte to damage, and how; the pieces' lengths.
//! Then, by kind, bodies to be wrapped (stream, repetitions, length, content), or what is received.

use shardwire_protocol::deframer::Deframer;
use shardwire_protocol::error::FrameError;
use shardwire_protocol::header::{HEADER_LEN, Opcode, ResponseHeader, Version};
use shardwire_protocol::segment::{
    Assembly, Envelopes, Piece, SegmentDecoder, SegmentEncoder, SegmentFormat, SegmentStep,
    decompress_payload,
};

/// Longest body that is accepted here: more than fits into a segment.
const BODY_LEN_MAX: u32 = 300_000;

/// Wraps, damages, cuts and receives.
pub fn check(data: &[u8]) {
    let [kind, piece_count, damage_at, damage, rest @ ..] = data else { return };
    let Some((pieces, rest)) = rest.split_at_checked(usize::from(piece_count % 16)) else { return };
    let format = if kind & 1 == 0 { SegmentFormat::Plain } else { SegmentFormat::Lz4 };
    let mut received = if kind & 2 == 0 {
        let envelopes = envelopes(rest);
        let bytes = wrap(format, &envelopes.concat());
        let outcome = receive(format, &bytes, &[]);
        let bodies: Vec<Vec<u8>> = envelopes.iter().map(|e| e[HEADER_LEN..].to_vec()).collect();
        assert_eq!(outcome, (bodies, None), "what was wrapped comes back");
        bytes
    } else {
        rest.to_vec()
    };
    if let Some(byte) = received.get_mut(usize::from(*damage_at)) {
        *byte ^= damage;
    }
    let lens: Vec<usize> = pieces.iter().map(|len| usize::from(*len)).collect();
    assert_eq!(receive(format, &received, &lens), receive(format, &received, &[]));
}

/// Frames with bodies that are described by the input; long ones by repetition.
fn envelopes(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut envelopes = Vec::new();
    while let [stream, repetitions, len, tail @ ..] = rest
        && envelopes.len() < 8
    {
        let (content, tail) = tail.split_at(tail.len().min(usize::from(*len)));
        rest = tail;
        // Few are longer than a segment: most inputs are to be quick.
        let repetitions = usize::from(*repetitions);
        let body = content.repeat(1 + if repetitions == 255 { 1_020 } else { repetitions % 8 });
        let header = ResponseHeader {
            version: Version::V5,
            flags: 0,
            stream: i16::from(*stream),
            opcode: Opcode::Result,
            body_len: u32::try_from(body.len()).unwrap(),
        };
        let mut envelope = vec![0; HEADER_LEN];
        header.encode(envelope.first_chunk_mut().unwrap());
        envelope.extend(body);
        envelopes.push(envelope);
    }
    envelopes
}

fn wrap(format: SegmentFormat, envelopes: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = SegmentEncoder::new(format);
    encoder.append(envelopes, &mut bytes).expect("envelopes are whole");
    bytes
}

/// Bodies that come out of `received`, of which first only so many bytes are there, then so many
/// more, and so on, and the rest at last; and the error that ended it.
fn receive(
    format: SegmentFormat,
    received: &[u8],
    pieces: &[usize],
) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut client = Client {
        decoder: SegmentDecoder::new(format),
        assembly: Assembly::new(Deframer::new(BODY_LEN_MAX)),
        long: Vec::new(),
        bodies: Vec::new(),
    };
    let (mut start, mut end) = (0, 0);
    for piece in pieces.iter().copied().chain([received.len()]) {
        end = (end + piece).min(received.len());
        loop {
            let filled = &received[start..end];
            match client.decoder.next(filled) {
                Ok(SegmentStep::NeedMore { at_least }) => {
                    assert!(at_least > filled.len() && at_least <= format.segment_len_max());
                    break;
                }
                Ok(SegmentStep::Segment { total_len, .. }) => {
                    if let Err(error) = client.take(&filled[..total_len]) {
                        return (client.bodies, Some(error));
                    }
                    start += total_len;
                }
                Err(error) => return (client.bodies, Some(error)),
            }
        }
    }
    (client.bodies, None)
}

struct Client {
    decoder: SegmentDecoder,
    assembly: Assembly,
    long: Vec<u8>,
    bodies: Vec<Vec<u8>>,
}

impl Client {
    fn take(&mut self, segment: &[u8]) -> Result<(), FrameError> {
        let SegmentStep::Segment { header, .. } = self.decoder.next(segment)? else {
            panic!("a whole segment stays one");
        };
        let mut payload = self.decoder.payload(&header, segment).to_vec();
        if header.is_compressed() {
            let mut out = vec![0; usize::try_from(header.decompressed_len).unwrap()];
            decompress_payload(&payload, &mut out)?;
            payload = out;
        }
        let len_max = HEADER_LEN + usize::try_from(BODY_LEN_MAX).unwrap();
        match self.assembly.accept(&header, &payload)? {
            Piece::Envelopes => {
                for envelope in Envelopes::new(Deframer::new(BODY_LEN_MAX), &payload) {
                    self.bodies.push(envelope?.1.to_vec());
                }
            }
            Piece::Part { at_least } => {
                self.long.extend(payload);
                assert!(at_least > self.long.len() && at_least <= len_max);
            }
            Piece::Last { header, total_len } => {
                self.long.extend(payload);
                assert_eq!(self.long.len(), total_len);
                assert_eq!(usize::try_from(header.body_len), Ok(total_len - HEADER_LEN));
                self.bodies.push(self.long.split_off(HEADER_LEN));
                self.long.clear();
            }
        }
        Ok(())
    }
}
