//! LZ4 and Snappy bodies: any bytes decompress to what they announce or not at all; what is
//! compressed comes back.

use shardwire_protocol::compression::snappy::{self, SnappyEncoder};
use shardwire_protocol::compression::{self, Lz4Encoder};

/// Longest body that is accepted here.
const BODY_LEN_MAX: u32 = 1 << 20;

/// Decompresses the bytes, and compresses them, in both ways.
pub fn check(data: &[u8]) {
    let lz4 = &mut Lz4Encoder::new();
    check_way(
        data,
        |body, out| lz4.compress_body(body, out).expect("inputs are short"),
        |body| compression::decompressed_len(body, BODY_LEN_MAX).ok(),
        |body, out| compression::decompress_body(body, out).is_ok(),
    );
    let snappy = &mut SnappyEncoder::new();
    check_way(
        data,
        |body, out| snappy.compress_body(body, out).expect("inputs are short"),
        |body| snappy::decompressed_len(body, BODY_LEN_MAX).ok(),
        |body, out| snappy::decompress_body(body, out).is_ok(),
    );
}

fn check_way(
    data: &[u8],
    mut compress: impl FnMut(&[u8], &mut Vec<u8>),
    decompressed_len: impl Fn(&[u8]) -> Option<usize>,
    decompress: impl Fn(&[u8], &mut [u8]) -> bool,
) {
    if let Some(len) = decompressed_len(data) {
        assert!(len <= usize::try_from(BODY_LEN_MAX).unwrap());
        let mut body = vec![0; len];
        let _ = decompress(data, &mut body);
    }

    for _ in 0..2 {
        // The second time with a table that knows the first.
        let mut compressed = Vec::new();
        compress(data, &mut compressed);
        assert_eq!(decompressed_len(&compressed), Some(data.len()));
        let mut body = vec![0; data.len()];
        assert!(decompress(&compressed, &mut body), "what was compressed comes back");
        assert_eq!(body, data);
    }
}
