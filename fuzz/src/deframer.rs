//! Any bytes, received in any pieces: the frames are the same as if they had come at once.
//!
//! Input: the lengths of the pieces, as many as its first byte says; then what is received.

use shardwire_protocol::deframer::{Deframer, Step};
use shardwire_protocol::error::FrameError;
use shardwire_protocol::header::ResponseHeader;

/// Longest body that is accepted here; small, so that the fuzzer meets the limit.
const BODY_LEN_MAX: u32 = 4096;

/// Splits the bytes at once and in pieces.
pub fn check(data: &[u8]) {
    let Some((&piece_count, rest)) = data.split_first() else { return };
    let Some((pieces, received)) = rest.split_at_checked(usize::from(piece_count % 16)) else {
        return;
    };
    let whole = split(received, &[received.len()]);
    let lens: Vec<usize> = pieces.iter().map(|len| usize::from(*len)).collect();
    assert_eq!(split(received, &lens), whole);
}

/// Frames as (header, offset, length), and the error that ended them.
type Frames = (Vec<(ResponseHeader, usize, usize)>, Option<FrameError>);

/// Splits `received`, of which first only so many bytes are there, then so many more, and so on;
/// whatever is left comes at last.
fn split(received: &[u8], pieces: &[usize]) -> Frames {
    let deframer = Deframer::new(BODY_LEN_MAX);
    let mut frames = Vec::new();
    let (mut start, mut end) = (0, 0);
    for piece in pieces.iter().copied().chain([received.len()]) {
        end = (end + piece).min(received.len());
        loop {
            let filled = &received[start..end];
            match deframer.next(filled) {
                Ok(Step::Frame { header, total_len }) => {
                    assert!(total_len >= 9 && total_len <= filled.len());
                    frames.push((header, start, total_len));
                    start += total_len;
                }
                Ok(Step::NeedMore { at_least }) => {
                    assert!(at_least > filled.len());
                    assert!(at_least <= 9 + usize::try_from(BODY_LEN_MAX).unwrap());
                    break;
                }
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}
