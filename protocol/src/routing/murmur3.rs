//! MurmurHash3, x64, 128 bits, seed 0, its first half: as Cassandra computes it.
//!
//! Cassandra's code reads the bytes after the last whole block as *signed* ones, so that a byte
//! from 0x80 on flips all bits above it. That is a bug of long standing and thus the definition.
//!
//! Most keys are an integer or a UUID: they have no block, or nothing but one, and are hashed with
//! one or two loads. Next: `routing/token.rs`.

/// Bytes of a block.
const BLOCK_LEN: usize = 16;

const C1: u64 = 0x87C3_7B91_1142_53D5;
const C2: u64 = 0x4CF5_AD43_2745_937F;

/// The hash of a key.
///
/// ```
/// use shardwire_protocol::routing::murmur3;
///
/// assert_eq!(murmur3(b"test"), -6_017_608_668_500_074_083);
/// ```
#[inline]
#[must_use]
pub fn hash(key: &[u8]) -> i64 {
    if key.len() < BLOCK_LEN { State::default().end(key, key.len()) } else { hash_long(key) }
}

/// The hash of the first `len` bytes, at most 16, of which those after them are zero: no load
/// depends on the length.
#[inline]
pub(super) fn hash_padded(key: &[u8; BLOCK_LEN], len: usize) -> i64 {
    let mut state = State::default();
    let (low, high) = halves(key);
    if len <= BLOCK_LEN / 2 {
        // Half of the work is known to be zero.
        return state.end_words(sign_extended(low), 0, len);
    }
    if len < BLOCK_LEN {
        return state.end_words(sign_extended(low), sign_extended(high), len);
    }
    state.block(key);
    state.end_words(0, 0, BLOCK_LEN)
}

fn hash_long(key: &[u8]) -> i64 {
    let mut state = State::default();
    let (blocks, tail) = key.as_chunks::<BLOCK_LEN>();
    for block in blocks {
        state.block(block);
    }
    state.end(tail, key.len())
}

/// The same hash of a key that comes in pieces.
///
/// ```
/// use shardwire_protocol::routing::{Murmur3, murmur3};
///
/// let mut hasher = Murmur3::default();
/// hasher.update(b"te");
/// hasher.update(b"st");
/// assert_eq!(hasher.finish(), murmur3(b"test"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Murmur3 {
    state: State,
    /// The bytes after the last whole block; `len % 16` of them.
    tail: [u8; BLOCK_LEN],
    /// Bytes taken so far.
    len: usize,
}

impl Murmur3 {
    /// Takes the next bytes.
    ///
    /// ```
    /// # use shardwire_protocol::routing::Murmur3;
    /// let mut hasher = Murmur3::default();
    /// hasher.update(&1_i32.to_be_bytes());
    /// assert_eq!(hasher.finish(), -4_069_959_284_402_364_209);
    /// ```
    #[inline]
    pub fn update(&mut self, mut bytes: &[u8]) {
        let tail_len = self.len % BLOCK_LEN;
        self.len = self.len.wrapping_add(bytes.len());
        if tail_len != 0 {
            let room = BLOCK_LEN - tail_len;
            let (head, rest) = bytes.split_at(room.min(bytes.len()));
            if let Some(free) = self.tail.get_mut(tail_len..tail_len + head.len()) {
                free.copy_from_slice(head);
            }
            if head.len() < room {
                return;
            }
            self.state.block(&self.tail);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK_LEN>();
        for block in blocks {
            self.state.block(block);
        }
        if let Some(free) = self.tail.get_mut(..rest.len()) {
            free.copy_from_slice(rest);
        }
    }

    /// The hash of all bytes taken.
    ///
    /// ```
    /// # use shardwire_protocol::routing::Murmur3;
    /// assert_eq!(Murmur3::default().finish(), 0);
    /// ```
    #[inline]
    #[must_use]
    pub fn finish(self) -> i64 {
        let tail = self.tail.get(..self.len % BLOCK_LEN).unwrap_or(&[]);
        self.state.end(tail, self.len)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    h1: u64,
    h2: u64,
}

impl State {
    #[inline]
    fn block(&mut self, block: &[u8; BLOCK_LEN]) {
        let (k1, k2) = halves(block);
        self.h1 ^= mix_k1(k1);
        self.h1 = self.h1.rotate_left(27).wrapping_add(self.h2);
        self.h1 = self.h1.wrapping_mul(5).wrapping_add(0x52DC_E729);
        self.h2 ^= mix_k2(k2);
        self.h2 = self.h2.rotate_left(31).wrapping_add(self.h1);
        self.h2 = self.h2.wrapping_mul(5).wrapping_add(0x3849_5AB5);
    }

    /// The hash, after `tail` of fewer than 16 bytes.
    #[inline]
    fn end(self, tail: &[u8], len: usize) -> i64 {
        let (low, high) = tail.split_at_checked(8).unwrap_or((tail, &[]));
        self.end_words(sign_extended(le_word(low)), sign_extended(le_word(high)), len)
    }

    /// The same, of the tail's two words.
    #[inline]
    fn end_words(self, k1: u64, k2: u64, len: usize) -> i64 {
        let Self { mut h1, mut h2 } = self;
        // A half without bytes is zero and mixes to zero, as if it were skipped.
        h2 ^= mix_k2(k2);
        h1 ^= mix_k1(k1);
        let len = len as u64;
        h1 ^= len;
        h2 ^= len;
        h1 = h1.wrapping_add(h2);
        h2 = h2.wrapping_add(h1);
        h1 = fmix(h1);
        h2 = fmix(h2);
        h1.wrapping_add(h2).cast_signed()
    }
}

#[inline]
fn mix_k1(k1: u64) -> u64 {
    k1.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

#[inline]
fn mix_k2(k2: u64) -> u64 {
    k2.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

#[inline]
fn fmix(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    k ^= k >> 33;
    k = k.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    k ^ (k >> 33)
}

/// The two words of a block.
#[inline]
fn halves(block: &[u8; BLOCK_LEN]) -> (u64, u64) {
    let whole = u128::from_le_bytes(*block);
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the block")]
    (whole as u64, (whole >> 64) as u64)
}

/// Up to eight bytes of a word, each sign-extended to 64 bits, shifted to its place, all xor-ed.
///
/// A negative byte flips every bit above it. So a byte is flipped if an odd number of the bytes
/// below it are negative, which is a prefix parity over the sign bits, all in one word.
#[inline]
fn sign_extended(word: u64) -> u64 {
    // The sign of byte i stands at bit 0 of byte i + 1.
    let mut parity = (word & 0x8080_8080_8080_8080) << 1;
    parity ^= parity << 8;
    parity ^= parity << 16;
    parity ^= parity << 32;
    word ^ parity.wrapping_mul(0xFF)
}

/// Up to eight bytes as a little-endian word, zeros above.
#[inline]
fn le_word(bytes: &[u8]) -> u64 {
    if let Some(all) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*all);
    }
    if let (Some(low), Some(high)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        // They overlap, and agree where they do.
        let shift = (bytes.len() - 4) * 8;
        let (low, high) = (u32::from_le_bytes(*low), u32::from_le_bytes(*high));
        return u64::from(low) | (u64::from(high) << shift);
    }
    match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c] => u64::from(u32::from_le_bytes([a, b, c, 0])),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Straight from the definition, byte by byte.
    fn slow(key: &[u8]) -> i64 {
        let mut state = State::default();
        let (blocks, tail) = key.as_chunks::<16>();
        for block in blocks {
            state.block(block);
        }
        let (mut k1, mut k2) = (0_u64, 0_u64);
        for (index, byte) in tail.iter().enumerate() {
            let extended = i64::from(byte.cast_signed()).cast_unsigned() << (8 * (index % 8));
            if index < 8 { k1 ^= extended } else { k2 ^= extended }
        }
        let (mut h1, mut h2) = (state.h1 ^ mix_k1(k1), state.h2 ^ mix_k2(k2));
        h1 ^= key.len() as u64;
        h2 ^= key.len() as u64;
        h1 = h1.wrapping_add(h2);
        h2 = h2.wrapping_add(h1);
        fmix(h1).wrapping_add(fmix(h2)).cast_signed()
    }

    #[test]
    fn golden_vectors() {
        let uuid = uuid::Uuid::parse_str("11111111-2222-4333-8444-555555555555").unwrap();
        let composite = [
            0x00, 0x10, 0x43, 0x27, 0x52, 0x9F, 0xB6, 0x45, 0xDD, 0x00, 0xB8, 0x83, 0xEC, 0x39,
            0xAE, 0x44, 0x8B, 0xB8, 0x00, 0x00, 0x04, 0x00, 0x06, 0x6A, 0x6B, 0x00,
        ];
        let vectors: [(&[u8], i64); 24] = [
            (b"test", -6_017_608_668_500_074_083),
            (b"xd", 4_507_812_186_440_344_727),
            (b"primary_key", -1_632_642_444_691_073_360),
            ("kremówki".as_bytes(), 4_354_931_215_268_080_151),
            (b"testvalue", 5_965_290_492_934_326_460),
            (b"testvalue123", 1_518_494_936_189_046_133),
            (b"example_key", -7_813_763_279_771_224_608),
            ("château".as_bytes(), 9_114_062_196_463_836_094),
            (&composite, -9_223_371_632_693_506_265),
            (b"", 0),
            (b"0", 3_083_240_331_115_144_064),
            (b"01234567", -9_064_053_233_843_489_459),
            (b"0123456789012345", -6_689_751_078_119_097_958),
            (b"01234567890123456", -4_867_265_143_268_638_648),
            (&[0, 0, 0, 1], -4_069_959_284_402_364_209),
            (&[0, 0, 0, 0], -3_485_513_579_396_041_028),
            (&[0, 0, 0, 0, 0, 0, 0, 1], 6_292_367_497_774_912_474),
            (&[0xFF; 8], 7_071_048_584_287_372_947),
            (&[0; 8], 2_945_182_322_382_062_539),
            (uuid.as_bytes(), 8_405_366_727_316_198_727),
            (&[1], 8_849_112_093_580_131_862),
            (&[0, 4, 0, 0, 0, 1, 0, 0, 1, b'a', 0], 6_516_349_416_904_725_244),
            (&[0, 2, b'a', b'b', 0, 0, 1, b'c', 0], -3_322_137_777_577_922_905),
            ("kremówki".as_bytes(), 4_354_931_215_268_080_151),
        ];
        for (key, token) in vectors {
            assert_eq!(hash(key), token, "{key:02x?}");
            assert_eq!(slow(key), token, "{key:02x?}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_paths_agree_with_the_definition(
            key in proptest::collection::vec(any::<u8>(), 0..70),
            cuts in proptest::collection::vec(0_usize..70, 0..4),
        ) {
            prop_assert_eq!(hash(&key), slow(&key));
            let mut streamed = Murmur3::default();
            let mut rest = &key[..];
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                streamed.update(head);
                rest = tail;
            }
            streamed.update(rest);
            prop_assert_eq!(streamed.finish(), slow(&key));
            let mut padded = [0; 16];
            let short = &key[..key.len().min(16)];
            padded[..short.len()].copy_from_slice(short);
            prop_assert_eq!(hash_padded(&padded, short.len()), slow(short));
        }
    }
}
