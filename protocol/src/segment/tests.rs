//! Tests of segments: golden bytes, every cut, every damaged bit, round trips.

use proptest::prelude::*;

use super::*;
use crate::deframer::Deframer;
use crate::error::{PeerMisbehaved, TooLarge};
use crate::header::{HEADER_LEN, Opcode, ResponseHeader, Version};

const FORMATS: [SegmentFormat; 2] = [SegmentFormat::Plain, SegmentFormat::Lz4];

/// The envelope of an OPTIONS.
const OPTIONS: [u8; 9] = [5, 0, 0, 0, 5, 0, 0, 0, 0];

/// A response with this body.
fn envelope(stream: i16, body: &[u8]) -> Vec<u8> {
    let mut header = [0; HEADER_LEN];
    let body_len = u32::try_from(body.len()).unwrap();
    let (version, opcode) = (Version::V5, Opcode::Result);
    ResponseHeader { version, flags: 0, stream, opcode, body_len }.encode(&mut header);
    [&header, body].concat()
}

/// Bytes that LZ4 cannot shorten.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let byte = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[1]
    };
    (0..len).map(byte).collect()
}

fn segments(format: SegmentFormat, envelopes: &[u8]) -> Vec<u8> {
    let mut out = vec![0xEE];
    SegmentEncoder::new(format).append(envelopes, &mut out).unwrap();
    assert_eq!(out.remove(0), 0xEE, "appends");
    out
}

/// The headers of all segments in `bytes`.
fn headers(format: SegmentFormat, mut bytes: &[u8]) -> Vec<SegmentHeader> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let SegmentStep::Segment { header, total_len } =
            SegmentDecoder::new(format).next(bytes).unwrap()
        else {
            panic!("cut segment");
        };
        headers.push(header);
        bytes = &bytes[total_len..];
    }
    headers
}

type Received = Vec<(ResponseHeader, Vec<u8>)>;

/// What a client makes of bytes that come in `pieces`, and how much it never used; or why it gave
/// up.
fn receive(
    format: SegmentFormat,
    deframer: Deframer,
    pieces: &[&[u8]],
) -> Result<(Received, usize), FrameError> {
    let decoder = SegmentDecoder::new(format);
    let mut assembly = Assembly::new(deframer);
    let (mut buffer, mut long, mut received) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let (header, total_len) = match decoder.next(&buffer)? {
                SegmentStep::Segment { header, total_len } => (header, total_len),
                SegmentStep::NeedMore { at_least } => {
                    assert!(at_least > buffer.len() && at_least <= format.segment_len_max());
                    break;
                }
            };
            let segment: Vec<u8> = buffer.drain(..total_len).collect();
            let mut payload = decoder.payload(&header, &segment).to_vec();
            if header.is_compressed() {
                let mut out = vec![0; header.decompressed_len as usize];
                decompress_payload(&payload, &mut out)?;
                payload = out;
            }
            match assembly.accept(&header, &payload)? {
                Piece::Envelopes => {
                    for envelope in Envelopes::new(deframer, &payload) {
                        let (header, body) = envelope?;
                        received.push((header, body.to_vec()));
                    }
                }
                Piece::Part { at_least } => {
                    long.extend_from_slice(&payload);
                    assert!(at_least > long.len());
                }
                Piece::Last { header, total_len } => {
                    long.extend_from_slice(&payload);
                    assert_eq!(long.len(), total_len);
                    received.push((header, long.split_off(HEADER_LEN)));
                    long.clear();
                }
            }
        }
    }
    Ok((received, buffer.len() + long.len()))
}

fn receive_all(format: SegmentFormat, bytes: &[u8]) -> Received {
    let (received, left) = receive(format, Deframer::default(), &[bytes]).unwrap();
    assert_eq!(left, 0);
    received
}

#[test]
fn golden() {
    let plain = [
        &[0x09, 0x00, 0x02, 0xA4, 0xC8, 0xC1][..], // nine bytes, self-contained
        &OPTIONS,
        &[0x10, 0x86, 0x28, 0x4D],
    ]
    .concat();
    assert_eq!(segments(SegmentFormat::Plain, &OPTIONS), plain);
    let lz4 = [
        &[0x09, 0, 0, 0, 0x04, 0xC2, 0xB8, 0x95][..], // the same, stored as it is
        &OPTIONS,
        &[0x10, 0x86, 0x28, 0x4D],
    ]
    .concat();
    assert_eq!(segments(SegmentFormat::Lz4, &OPTIONS), lz4);
    for (format, bytes) in [(SegmentFormat::Plain, plain), (SegmentFormat::Lz4, lz4)] {
        let decoder = SegmentDecoder::new(format);
        let header = SegmentHeader { stored_len: 9, decompressed_len: 0, is_self_contained: true };
        let total_len = bytes.len();
        assert_eq!(decoder.next(&bytes), Ok(SegmentStep::Segment { header, total_len }));
        assert_eq!(decoder.payload(&header, &bytes), OPTIONS);
        assert_eq!(
            decoder.payload(&header, &bytes).as_ptr(),
            bytes[format.header_len()..].as_ptr()
        );
    }
    assert!(segments(SegmentFormat::Plain, &[]).is_empty());
}

/// A compressed payload, put together by hand: one literal, then it over and over.
#[test]
fn compressed_golden() {
    let stored = [0x18, b'a', 1, 0, 0x50, b'a', b'a', b'a', b'a', b'a'];
    let header = SegmentHeader { stored_len: 10, decompressed_len: 18, is_self_contained: false };
    // 10 | 18 << 17 | 0 << 34
    let fields = [10, 0, 0x24, 0, 0];
    let bytes = header.to_bytes(SegmentFormat::Lz4);
    assert_eq!(bytes[..5], fields);
    let mut segment = [&bytes[..], &stored].concat();
    segment.extend(crc32(&stored).to_le_bytes());
    let decoder = SegmentDecoder::new(SegmentFormat::Lz4);
    let total_len = segment.len();
    assert_eq!(decoder.next(&segment), Ok(SegmentStep::Segment { header, total_len }));
    let mut payload = [0; 18];
    decompress_payload(decoder.payload(&header, &segment), &mut payload).unwrap();
    assert_eq!(payload, [b'a'; 18]);
    for len in [0_usize, 1, 17, 19, 100] {
        let decompressed = decompress_payload(&stored, &mut vec![0; len]);
        assert_eq!(decompressed.is_ok(), len == 0, "{len}");
    }
    for len in 0..stored.len() {
        assert!(decompress_payload(&stored[..len], &mut payload).is_err(), "cut to {len}");
    }
}

#[test]
fn as_many_envelopes_as_fit() {
    for format in FORMATS {
        // 131,071 = 9 + 65,527 + 9 + 65,526: two envelopes that just fit, then one more byte.
        let two = [envelope(1, &noise(65_527)), envelope(2, &noise(65_526))].concat();
        assert_eq!(two.len(), PAYLOAD_LEN_MAX);
        let [header] = headers(format, &segments(format, &two))[..] else { panic!("one fits") };
        assert_eq!(header.stored_len as usize, PAYLOAD_LEN_MAX);
        assert!(header.is_self_contained && !header.is_compressed());
        let more = [envelope(1, &noise(65_527)), envelope(2, &noise(65_527))].concat();
        let lens: Vec<u32> =
            headers(format, &segments(format, &more)).iter().map(|h| h.stored_len).collect();
        assert_eq!(lens, [65_536, 65_536]);
        // Small ones around one that fits nowhere.
        let long = noise(300_000);
        let all = [envelope(1, b"a"), envelope(2, b"b"), envelope(3, &long), envelope(4, b"")];
        let bytes = segments(format, &all.concat());
        let shape: Vec<(u32, bool)> = headers(format, &bytes)
            .iter()
            .map(|header| (header.stored_len, header.is_self_contained))
            .collect();
        let expected = [
            (20, true),
            (131_071, false),
            (131_071, false),
            (300_009 - 2 * 131_071, false),
            (9, true),
        ];
        assert_eq!(shape, expected);
        let received = receive_all(format, &bytes);
        let streams: Vec<i16> = received.iter().map(|(header, _)| header.stream).collect();
        assert_eq!(streams, [1, 2, 3, 4]);
        assert_eq!(received[2].1, long);
    }
    // One byte more than fits: two parts, the second of one byte.
    let long = envelope(1, &noise(PAYLOAD_LEN_MAX - HEADER_LEN + 1));
    let lens: Vec<u32> = headers(SegmentFormat::Plain, &segments(SegmentFormat::Plain, &long))
        .iter()
        .map(|header| header.stored_len)
        .collect();
    assert_eq!(lens, [131_071, 1]);
}

#[test]
fn compresses_where_that_helps() {
    let zeros = envelope(1, &[0; 200_000]);
    let bytes = segments(SegmentFormat::Lz4, &zeros);
    let headers = headers(SegmentFormat::Lz4, &bytes);
    let lens: Vec<u32> = headers.iter().map(|header| header.decompressed_len).collect();
    assert_eq!(lens, [131_071, 200_009 - 131_071]);
    assert!(bytes.len() < 2000);
    assert_eq!(receive_all(SegmentFormat::Lz4, &bytes)[0].1, [0; 200_000]);
}

#[test]
fn one_encoder_for_all_that_comes() {
    for format in FORMATS {
        let mut encoder = SegmentEncoder::new(format);
        assert_eq!(encoder.format(), format);
        let mut out = Vec::new();
        let bodies: [&[u8]; 5] = [b"x", &[7; 70_000], &noise(500), &[], &[1; 5000]];
        for body in bodies {
            encoder.append(&envelope(0, body), &mut out).unwrap();
        }
        let received: Vec<Vec<u8>> =
            receive_all(format, &out).into_iter().map(|(_, body)| body).collect();
        assert_eq!(received, bodies);
    }
}

#[test]
fn nothing_allocates_in_steady_state() {
    for format in FORMATS {
        let mut encoder = SegmentEncoder::new(format);
        let all = [envelope(1, &[7; 1000]), envelope(2, &noise(200_000))].concat();
        let mut out = Vec::new();
        encoder.append(&all, &mut out).unwrap();
        let (start, capacity) = (out.as_ptr(), out.capacity());
        for _ in 0..3 {
            out.clear();
            encoder.append(&all, &mut out).unwrap();
            assert_eq!((out.as_ptr(), out.capacity()), (start, capacity));
        }
    }
}

#[test]
fn what_is_no_run_of_envelopes_is_refused() {
    for format in FORMATS {
        let whole = [envelope(1, b"abc"), envelope(2, &noise(140_000))].concat();
        for len in [1, 8, 9, 11, 13, 20, 21, 30, 131_083, whole.len() - 1] {
            let mut out = vec![1, 2, 3];
            let error = SegmentEncoder::new(format).append(&whole[..len], &mut out).unwrap_err();
            assert!(error.announced > error.written, "{len}");
            assert_eq!(out, [1, 2, 3], "{len}");
        }
        let mut hostile = envelope(1, b"");
        hostile[5] = 0xFF;
        assert!(SegmentEncoder::new(format).append(&hostile, &mut Vec::new()).is_err());
    }
}

/// A plain or compressed segment, then a stored one.
fn two_segments(format: SegmentFormat) -> Vec<u8> {
    let first = segments(format, &envelope(1, &[7; 60]));
    [first, segments(format, &[envelope(2, b"abc"), envelope(3, b"")].concat())].concat()
}

#[test]
fn split_at_every_byte() {
    for format in FORMATS {
        let bytes = two_segments(format);
        let whole = receive_all(format, &bytes);
        assert_eq!(whole.len(), 3);
        for cut in 0..=bytes.len() {
            let pieces = [&bytes[..cut], &bytes[cut..]];
            let received = receive(format, Deframer::default(), &pieces).unwrap();
            assert_eq!(received, (whole.clone(), 0), "cut at {cut}");
        }
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(receive(format, Deframer::default(), &bytewise).unwrap(), (whole, 0));
    }
}

#[test]
fn truncated_at_every_byte() {
    for format in FORMATS {
        let bytes = segments(format, &envelope(1, &[7; 60]));
        let decoder = SegmentDecoder::new(format);
        for len in 0..bytes.len() {
            let at_least =
                if len < format.header_len() { format.header_len() } else { bytes.len() };
            assert_eq!(decoder.next(&bytes[..len]), Ok(SegmentStep::NeedMore { at_least }));
        }
    }
}

#[test]
fn every_damaged_bit_is_seen() {
    for format in FORMATS {
        let bytes = segments(format, &envelope(1, &[7; 60]));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = SegmentDecoder::new(format).next(&damaged).unwrap_err();
            let is_in_header = bit / 8 < format.header_len();
            let expected = if is_in_header { "a segment's header" } else { "a segment's payload" };
            match error {
                FrameError::Malformed(Malformed::Checksum { what, announced, computed }) => {
                    assert_eq!(what, expected, "bit {bit}");
                    assert_ne!(announced, computed);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Headers of any fields survive; the padding is ignored.
#[test]
fn headers_survive() {
    for format in FORMATS {
        for stored_len in [0, 1, 515, 0x1_0000, 131_071] {
            for decompressed_len in [0, 1, 516, 131_071] {
                for is_self_contained in [false, true] {
                    let header = SegmentHeader { stored_len, decompressed_len, is_self_contained };
                    let bytes = header.to_bytes(format);
                    let decoded = SegmentHeader::decode(format, &bytes);
                    if format == SegmentFormat::Plain {
                        let plain = SegmentHeader { decompressed_len: 0, ..header };
                        assert_eq!(decoded, Ok(Some(plain)));
                    } else if decompressed_len <= stored_len * 255 {
                        assert_eq!(decoded, Ok(Some(header)));
                    } else {
                        let error = Malformed::Compression { announced: decompressed_len };
                        assert_eq!(decoded, Err(error));
                    }
                }
            }
        }
    }
    let [c0, c1, c2, _] = crc24(&[9, 0, 0xFE]).to_le_bytes();
    let decoded = SegmentHeader::decode(SegmentFormat::Plain, &[9, 0, 0xFE, c0, c1, c2]);
    let header = SegmentHeader { stored_len: 9, decompressed_len: 0, is_self_contained: true };
    assert_eq!(decoded, Ok(Some(header)));
}

const PART: SegmentHeader =
    SegmentHeader { stored_len: 0, decompressed_len: 0, is_self_contained: false };
const SELF_CONTAINED: SegmentHeader = SegmentHeader { is_self_contained: true, ..PART };

#[test]
fn an_envelope_cut_anywhere() {
    let whole = envelope(7, b"body");
    for first in 0..whole.len() {
        for second in first..whole.len() {
            let mut assembly = Assembly::new(Deframer::default());
            for cut in [&whole[..first], &whole[first..second]] {
                let Piece::Part { at_least } = assembly.accept(&PART, cut).unwrap() else {
                    panic!("not all is there");
                };
                assert!(at_least == HEADER_LEN || at_least == whole.len());
            }
            match assembly.accept(&PART, &whole[second..]).unwrap() {
                Piece::Last { header, total_len } => {
                    assert_eq!((header.stream, total_len), (7, whole.len()));
                }
                other => panic!("{other:?}"),
            }
            // And it is ready for the next.
            assert_eq!(assembly.accept(&SELF_CONTAINED, &whole), Ok(Piece::Envelopes));
            assert!(matches!(assembly.accept(&PART, &whole), Ok(Piece::Last { .. })));
        }
    }
    let empty = envelope(1, b"");
    let mut assembly = Assembly::new(Deframer::default());
    assert!(matches!(assembly.accept(&PART, &empty), Ok(Piece::Last { total_len: 9, .. })));
}

#[test]
fn segments_out_of_step_are_refused() {
    let out_of_step = FrameError::from(PeerMisbehaved::SegmentsOutOfStep);
    let whole = envelope(7, b"body");
    for len in 1..whole.len() {
        let mut assembly = Assembly::new(Deframer::default());
        assembly.accept(&PART, &whole[..len]).unwrap();
        assert_eq!(assembly.accept(&SELF_CONTAINED, &whole), Err(out_of_step), "{len}");
        let mut assembly = Assembly::new(Deframer::default());
        assembly.accept(&PART, &whole[..len]).unwrap();
        let more = [&whole[len..], &[0]].concat();
        assert_eq!(assembly.accept(&PART, &more), Err(out_of_step), "{len}");
        // A payload that ends within an envelope.
        let payload = [&whole[..], &whole[..len]].concat();
        let mut envelopes = Envelopes::new(Deframer::default(), &payload);
        assert!(envelopes.next().unwrap().is_ok());
        assert_eq!(envelopes.next().unwrap(), Err(out_of_step), "{len}");
        assert_eq!(envelopes.next(), None);
    }
}

#[test]
fn long_envelopes_are_refused_by_their_header() {
    let long = envelope(7, &[0; 200]);
    let too_large = FrameError::from(TooLarge { what: "frame body", len: 200, max: 199 });
    for len in [9, 50, 209] {
        let mut assembly = Assembly::new(Deframer::new(199));
        assert_eq!(assembly.accept(&PART, &long[..len]), Err(too_large));
        let mut assembly = Assembly::new(Deframer::new(200));
        assert!(assembly.accept(&PART, &long[..len]).is_ok());
    }
    let mut assembly = Assembly::new(Deframer::new(199));
    assert_eq!(assembly.accept(&PART, &long[..8]), Ok(Piece::Part { at_least: 9 }));
    assert_eq!(assembly.accept(&PART, &long[8..]), Err(too_large));
    assert_eq!(Envelopes::new(Deframer::new(199), &long).next(), Some(Err(too_large)));
    // A request is no response.
    let mut assembly = Assembly::new(Deframer::default());
    let error = FrameError::from(PeerMisbehaved::WrongDirection);
    assert_eq!(assembly.accept(&PART, &OPTIONS), Err(error));
}

proptest! {
    // Long bodies take their time.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn round_trip(
        bodies in prop::collection::vec(
            prop_oneof![
                8 => prop::collection::vec(0_u8..3, 0..300),
                1 => (131_000_usize..140_000).prop_map(noise),
                1 => (131_000_usize..270_000).prop_map(|len| vec![5; len]),
            ],
            0..6,
        ),
        format in prop::sample::select(&FORMATS),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let envelopes: Vec<Vec<u8>> =
            bodies.iter().zip(0_i16..).map(|(body, stream)| envelope(stream, body)).collect();
        let bytes = segments(format, &envelopes.concat());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
        let (received, left) = receive(format, Deframer::default(), &pieces).unwrap();
        prop_assert_eq!(left, 0);
        let streams: Vec<i16> = received.iter().map(|(header, _)| header.stream).collect();
        prop_assert!(streams.iter().copied().eq((0_i16..).take(bodies.len())));
        let received: Vec<Vec<u8>> = received.into_iter().map(|(_, body)| body).collect();
        prop_assert_eq!(received, bodies);
    }
}

proptest! {
    #[test]
    fn garbage(bytes: Vec<u8>, format in prop::sample::select(&FORMATS)) {
        let _ = receive(format, Deframer::default(), &[&bytes]);
    }

    /// Garbage whose checksums are right.
    #[test]
    fn sound_garbage(
        payloads in prop::collection::vec(
            (prop::collection::vec(0_u8..9, 0..60), 0_u32..300, any::<bool>()),
            0..4,
        ),
        format in prop::sample::select(&FORMATS),
    ) {
        let mut bytes = Vec::new();
        for (payload, decompressed_len, is_self_contained) in payloads {
            let stored_len = u32::try_from(payload.len()).unwrap();
            let header = SegmentHeader { stored_len, decompressed_len, is_self_contained };
            bytes.extend_from_slice(&header.to_bytes(format)[..format.header_len()]);
            bytes.extend_from_slice(&payload);
            bytes.extend(crc32(&payload).to_le_bytes());
        }
        let _ = receive(format, Deframer::new(100), &[&bytes]);
    }
}
