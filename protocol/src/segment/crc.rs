//! The two checksums of a segment: 24 bits for the header, 32 for the payload.
//!
//! Next: `segment/encoder.rs`.

/// State before the first byte, and the polynomial, with its highest bit.
const CRC24_INITIAL: u32 = 0x0087_5060;
const CRC24_POLYNOMIAL: u32 = 0x0197_4F0B;

/// What each possible byte does to the state.
const CRC24_TABLE: [u32; 256] = crc24_table();

/// CRC24 of a header's bytes, in their order.
pub(super) fn crc24(bytes: &[u8]) -> u32 {
    bytes.iter().fold(CRC24_INITIAL, |crc, byte| {
        let [_, high, _, _] = crc.to_be_bytes();
        let step = CRC24_TABLE.get(usize::from(high ^ byte)).copied().unwrap_or_default();
        ((crc << 8) & 0x00FF_FFFF) ^ step
    })
}

#[expect(clippy::indexing_slicing, reason = "evaluated when compiling, where it would not compile")]
const fn crc24_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u32;
    while byte < 256 {
        let mut crc = byte << 16;
        let mut bit = 0;
        while bit < 8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= CRC24_POLYNOMIAL;
            }
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
}

/// The sum of the bytes FA 2D 55 CA, which stand before every payload without being sent.
const CRC32_INITIAL: u32 = 0x4477_7ED3;

/// CRC32, as zlib has it, of those four bytes and a payload.
pub(super) fn crc32(payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(CRC32_INITIAL);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the specification has it, bit by bit.
    fn crc24_slowly(bytes: &[u8]) -> u32 {
        let mut crc = CRC24_INITIAL;
        for byte in bytes {
            crc ^= u32::from(*byte) << 16;
            for _ in 0..8 {
                crc <<= 1;
                if crc & 0x0100_0000 != 0 {
                    crc ^= CRC24_POLYNOMIAL;
                }
            }
        }
        crc
    }

    #[test]
    fn golden() {
        assert_eq!(crc24(&[]), 0x0087_5060);
        assert_eq!(crc24(&[0x09, 0x00, 0x02]), 0x00C1_C8A4);
        assert_eq!(crc24(&[0x09, 0, 0, 0, 0x04]), 0x0095_B8C2);
        assert_eq!(crc32fast::hash(&[0xFA, 0x2D, 0x55, 0xCA]), CRC32_INITIAL);
        assert_eq!(crc32(&[]), CRC32_INITIAL);
        assert_eq!(crc32(&[5, 0, 0, 0, 5, 0, 0, 0, 0]), 0x4D28_8610);
    }

    proptest! {
        #[test]
        fn tables_are_right(bytes: Vec<u8>) {
            prop_assert_eq!(crc24(&bytes), crc24_slowly(&bytes));
            let whole = [&[0xFA, 0x2D, 0x55, 0xCA], &bytes[..]].concat();
            prop_assert_eq!(crc32(&bytes), crc32fast::hash(&whole));
        }
    }
}
