//! What is stored: values that follow from their keys, so that any of them can be checked.

/// Bytes of a value.
pub(crate) const VALUE_LEN: usize = 48;

/// A key that no other client of the driver writes, nor this one twice: it has 48 bits for the
/// number of the call. The clients of one number of two drivers write the same keys, each driver
/// to its own table.
pub(crate) fn key(client: u32, call: u64) -> i64 {
    (u64::from(client) << 48 | call).cast_signed()
}

/// The value of a key under a seed.
pub(crate) fn value(seed: u64, key: i64) -> [u8; VALUE_LEN] {
    let mut rng = fastrand::Rng::with_seed(seed ^ key.cast_unsigned().rotate_left(17));
    let mut value = [0; VALUE_LEN];
    rng.fill(&mut value);
    value
}

/// Of a set of facts, in whatever order they come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Checksum(pub(crate) u64);

impl Checksum {
    pub(crate) fn add(&mut self, key: i64, value: &[u8]) {
        // FNV-1a of each fact, added up: a fact that is missing or another shows.
        let bytes = key.to_be_bytes();
        let hash = bytes.iter().chain(value).fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        self.0 = self.0.wrapping_add(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique() {
        assert_ne!(key(1, 0), key(0, 1));
        assert_eq!(key(3, (1 << 48) - 1) >> 48, 3);
    }

    #[test]
    fn values_follow_from_seed_and_key() {
        assert_eq!(value(1, 7), value(1, 7));
        assert_ne!(value(1, 7), value(1, 8));
        assert_ne!(value(1, 7), value(2, 7));
    }

    #[test]
    fn checksums_see_each_byte_and_no_order() {
        let sum = |facts: &[(i64, &[u8])]| {
            let mut sum = Checksum::default();
            facts.iter().for_each(|(key, value)| sum.add(*key, value));
            sum
        };
        assert_eq!(sum(&[(1, b"ab"), (2, b"cd")]), sum(&[(2, b"cd"), (1, b"ab")]));
        assert_ne!(sum(&[(1, b"ab"), (2, b"cd")]), sum(&[(1, b"ab"), (2, b"ce")]));
        assert_ne!(sum(&[(1, b"ab")]), sum(&[(1, b"ab"), (2, b"cd")]));
        assert_ne!(sum(&[(1, b"cd"), (2, b"ab")]), sum(&[(1, b"ab"), (2, b"cd")]));
    }
}
