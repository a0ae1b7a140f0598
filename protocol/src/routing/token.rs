//! Where a partition lies on the ring.

use core::fmt;

/// A position on the ring.
///
/// ```
/// use shardwire_protocol::routing::Token;
///
/// assert!(Token(-1) < Token(1));
/// assert_eq!(Token(-1).to_string(), "-1");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub i64);

impl Token {
    /// The token of a hash: `i64::MIN` is the ring's open end and no partition's token.
    ///
    /// ```
    /// # use shardwire_protocol::routing::Token;
    /// assert_eq!(Token::of_hash(7), Token(7));
    /// assert_eq!(Token::of_hash(i64::MIN), Token(i64::MAX));
    /// ```
    #[inline]
    #[must_use]
    pub const fn of_hash(hash: i64) -> Self {
        Self(if hash == i64::MIN { i64::MAX } else { hash })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a table's partition keys become tokens.
///
/// ```
/// use shardwire_protocol::routing::{Partitioner, Token, token_of_key};
///
/// let key = b"\0\0\0\0\0\0\0\x07rest";
/// assert_eq!(token_of_key(key, Partitioner::Cdc), Token(7));
/// assert_ne!(token_of_key(key, Partitioner::Murmur3), Token(7));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Partitioner {
    /// Cassandra's variant of murmur3; all tables but CDC logs.
    #[default]
    Murmur3,
    /// The first eight bytes of the key, which is a CDC stream's id.
    Cdc,
}

impl Partitioner {
    /// The partitioner with this Java class name. A database adds a package's name before it.
    ///
    /// ```
    /// # use shardwire_protocol::routing::Partitioner;
    /// let class = "org.apache.cassandra.dht.Murmur3Partitioner";
    /// assert_eq!(Partitioner::from_class_name(class), Some(Partitioner::Murmur3));
    /// assert_eq!(Partitioner::from_class_name("RandomPartitioner"), None);
    /// ```
    #[must_use]
    pub fn from_class_name(class: &str) -> Option<Self> {
        if class.ends_with("Murmur3Partitioner") {
            Some(Self::Murmur3)
        } else if class.ends_with("CDCPartitioner") {
            Some(Self::Cdc)
        } else {
            None
        }
    }
}

/// The token of a CDC stream, of its key's first bytes. Too short a key has the least token,
/// which here is not replaced by another.
#[inline]
pub(super) fn cdc(head: &[u8]) -> Token {
    match head.first_chunk() {
        Some(bytes) => Token(i64::from_be_bytes(*bytes)),
        None => Token(i64::MIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitioners_are_known_by_the_end_of_their_class() {
        let names = [
            ("org.apache.cassandra.dht.Murmur3Partitioner", Some(Partitioner::Murmur3)),
            ("Murmur3Partitioner", Some(Partitioner::Murmur3)),
            ("com.scylladb.dht.CDCPartitioner", Some(Partitioner::Cdc)),
            ("CDCPartitioner", Some(Partitioner::Cdc)),
            ("org.apache.cassandra.dht.RandomPartitioner", None),
            ("CDCPartitioner2", None),
            ("", None),
        ];
        for (name, partitioner) in names {
            assert_eq!(Partitioner::from_class_name(name), partitioner, "{name}");
        }
        assert_eq!(Partitioner::default(), Partitioner::Murmur3, "where none is named");
    }

    /// Only a hash is kept away from the ring's open end.
    #[test]
    fn the_lowest_token() {
        assert_eq!(Token::of_hash(i64::MIN), Token(i64::MAX));
        assert_eq!(Token::of_hash(i64::MIN + 1), Token(i64::MIN + 1));
        assert_eq!(cdc(&i64::MIN.to_be_bytes()), Token(i64::MIN));
        for len in 0..8 {
            assert_eq!(cdc(&[1; 8][..len]), Token(i64::MIN), "{len}");
        }
        // Of a stream's id, sixteen bytes, the first half.
        let id: Vec<u8> = (0..16).collect();
        assert_eq!(cdc(&id), Token(0x0001_0203_0405_0607));
    }
}
