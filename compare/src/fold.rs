//! Reads every column of every row into one number, with the same code for all drivers.
//!
//! In runs on stored rows every byte counts, and the number must be the one computed from the
//! generator. In runs that measure, a text or blob is touched at both ends only, so that the
//! harness weighs little beside the driver. Next: `job.rs`.

/// The sum over one reply, begun with the key that was asked for.
///
/// Starting from the key means that two replies which changed places do not cancel out.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    state: u64,
    depth: Depth,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Depth {
    Ends,
    Whole,
}

/// What one reply held.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// Rows in it.
    pub rows: u32,
    /// The sum over its columns.
    pub sum: u64,
}

impl Fold {
    /// For runs that measure: length, first and last byte of texts and blobs.
    #[inline]
    pub fn ends(key: i64) -> Self {
        Self { state: key as u64, depth: Depth::Ends }
    }

    /// For runs that check: every byte.
    #[inline]
    pub fn whole(key: i64) -> Self {
        Self { state: key as u64, depth: Depth::Whole }
    }

    /// Adds a bigint.
    #[inline]
    pub fn bigint(&mut self, value: i64) {
        self.mix(value as u64);
    }

    /// Adds an int, as the bigint of the same value.
    #[inline]
    pub fn int(&mut self, value: i32) {
        self.mix(i64::from(value) as u64);
    }

    /// Adds a text (its UTF-8) or a blob.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.mix(bytes.len() as u64);
        match self.depth {
            Depth::Ends => {
                if let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) {
                    self.state ^= u64::from(first) | u64::from(last) << 8;
                }
            }
            Depth::Whole => self.all_bytes(bytes),
        }
    }

    /// The sum.
    #[inline]
    pub fn finish(self) -> u64 {
        self.state
    }

    #[inline(never)]
    fn all_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn mix(&mut self, word: u64) {
        self.state = (self.state.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    }
}

/// An odd number with well-spread bits.
const MULTIPLIER: u64 = 0x517c_c1b7_2722_0a95;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_sums_see_every_byte_and_the_order() {
        let sum = |key, parts: &[&[u8]]| {
            let mut fold = Fold::whole(key);
            parts.iter().for_each(|part| fold.bytes(part));
            fold.finish()
        };
        let base = sum(1, &[b"hello, world", b"x"]);
        assert_ne!(base, sum(2, &[b"hello, world", b"x"]));
        assert_ne!(base, sum(1, &[b"hello, World", b"x"]));
        assert_ne!(base, sum(1, &[b"x", b"hello, world"]));
        assert_ne!(base, sum(1, &[b"hello, worldx", b""]));
    }

    /// The vector that `CONTRACT.md` gives to authors of clients in other languages.
    #[test]
    fn the_contracts_vector() {
        let mut fold = Fold::whole(7);
        fold.bigint(7);
        fold.int(-1);
        fold.bytes(b"shardwire");
        assert_eq!(format!("{:016x}", fold.finish()), "0e5b0cdfc68e9e1c");
    }
}
