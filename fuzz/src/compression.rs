//! LZ4 bodies: any bytes decompress to what they announce or not at all; what is compressed comes
//! back.

use shardwire_protocol::compression::{Lz4Encoder, decompress_body, decompressed_len};

/// Longest body that is accepted here.
const BODY_LEN_MAX: u32 = 1 << 20;

/// Decompresses the bytes, and compresses them.
pub fn check(data: &[u8]) {
    if let Ok(len) = decompressed_len(data, BODY_LEN_MAX) {
        assert!(len <= usize::try_from(BODY_LEN_MAX).unwrap());
        let mut body = vec![0; len];
        let _ = decompress_body(data, &mut body);
    }

    let mut encoder = Lz4Encoder::new();
    for _ in 0..2 {
        // The second time with a table that knows the first.
        let mut compressed = Vec::new();
        encoder.compress_body(data, &mut compressed).expect("inputs are short");
        assert_eq!(decompressed_len(&compressed, BODY_LEN_MAX), Ok(data.len()));
        let mut body = vec![0; data.len()];
        decompress_body(&compressed, &mut body).expect("what was compressed comes back");
        assert_eq!(body, data);
    }
}
