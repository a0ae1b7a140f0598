//! Tablets: parts of a ScyllaDB table that live on replicas and shards of their own.
//!
//! Who asks the wrong node or shard for a row is served, and learns from the reply's custom payload
//! which tablet the row belongs to: [`Tablet`], read where it lies. What became of tablets that
//! were known before is the driver's business.
//!
//! ```text
//! [int 8] first | [int 8] last | [int] [int] count × replica | version 2: [int 8] tablet version
//! replica: [int 28] [int 16] host id | [int 4] shard
//! ```

use core::iter::FusedIterator;

use uuid::Uuid;

use crate::error::Malformed;
use crate::routing::Token;
use crate::wire::Reader;

/// Names of the entries of a custom payload that tell of a tablet.
pub mod payload {
    /// Where `TABLETS_ROUTING_V1` was agreed.
    pub const V1: &str = "tablets-routing-v1";
    /// Where `TABLETS_ROUTING_V2` was agreed: the same and the tablet's version.
    pub const V2: &str = "tablets-routing-v2";
}

/// Most replicas that a tablet can have here; each is another node.
pub const REPLICA_COUNT_MAX: u32 = 256;

/// A tablet: a range of a table's tokens, and who has it.
///
/// ```
/// use shardwire_protocol::routing::Token;
/// use shardwire_protocol::tablets::Tablet;
///
/// let mut payload = vec![0, 0, 0, 8, 0x80, 0, 0, 0, 0, 0, 0, 0]; // the first token there is
/// payload.extend([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0, 0]); // no replica
/// let tablet = Tablet::parse(&payload)?;
/// assert!(tablet.contains(Token(7)) && !tablet.contains(Token(8)));
/// assert_eq!(tablet.replicas().len(), 0);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Tablet<'a> {
    /// The token before the range's first: it is not part of it.
    pub first_token: Token,
    /// The range's last token, which is part of it; greater than `first_token`, as ranges do not
    /// wrap around.
    pub last_token: Token,
    /// What [`tablet_block`] is taken from; of version 2 alone.
    pub version: Option<u64>,
    replicas: Replicas<'a>,
}

/// One of a tablet's replicas.
///
/// ```
/// use shardwire_protocol::tablets::Tablet;
///
/// let mut payload = vec![0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7];
/// payload.extend([0, 0, 0, 36, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 16]); // one replica
/// payload.extend([0x11; 16]); // its host id
/// payload.extend([0, 0, 0, 4, 0, 0, 0, 3]); // its shard
/// let replica = Tablet::parse(&payload)?.replicas().next().expect("there is one");
/// assert_eq!((replica.host_id.as_bytes(), replica.shard), (&[0x11; 16], 3));
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Replica {
    /// The node's host id.
    pub host_id: Uuid,
    /// The node's shard.
    pub shard: u32,
}

impl<'a> Tablet<'a> {
    /// Reads the content of [`payload::V1`].
    ///
    /// ```
    /// use shardwire_protocol::tablets::Tablet;
    ///
    /// let error = Tablet::parse(&[0, 0, 0, 4, 0, 0, 0, 0]).unwrap_err();
    /// let text = "first token of a tablet of 4 bytes instead of 8, at byte 4";
    /// assert_eq!(error.to_string(), text);
    /// ```
    ///
    /// # Errors
    /// Where the bytes are no tablet: wrong lengths, a range without tokens, a negative shard, more
    /// than [`REPLICA_COUNT_MAX`] replicas.
    pub fn parse(content: &'a [u8]) -> Result<Self, Malformed> {
        Self::read(&mut Reader::new(content))
    }

    /// Reads the content of [`payload::V2`].
    ///
    /// ```
    /// use shardwire_protocol::tablets::Tablet;
    ///
    /// assert!(Tablet::parse_v2(&[0, 0, 0, 8]).is_err(), "the first token is missing");
    /// ```
    ///
    /// # Errors
    /// Those of [`Self::parse`], or a version that is not there.
    pub fn parse_v2(content: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content);
        let tablet = Self::read(&mut reader)?;
        let version = bigint(&mut reader, "tablet version")?;
        Ok(Self { version: Some(version.cast_unsigned()), ..tablet })
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let first_token = Token(bigint(reader, "first token of a tablet")?);
        let last_token = Token(bigint(reader, "last token of a tablet")?);
        if last_token.0 <= first_token.0 {
            let what = "tablet whose last token is not after its first";
            return Err(Malformed::BadValue { what, offset: reader.offset_u32() });
        }
        let replicas = Replicas::read(reader)?;
        Ok(Self { first_token, last_token, version: None, replicas })
    }

    /// Whether the token is in the tablet's range.
    ///
    /// ```
    /// # use shardwire_protocol::routing::Token;
    /// # use shardwire_protocol::tablets::Tablet;
    /// let payload = b"\0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\x08\0\0\0\0\0\0\0\x07\xFF\xFF\xFF\xFF";
    /// let tablet = Tablet::parse(payload)?; // after 1, up to 7
    /// assert!(!tablet.contains(Token(1)) && tablet.contains(Token(7)));
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    #[must_use]
    pub fn contains(&self, token: Token) -> bool {
        self.first_token.0 < token.0 && token.0 <= self.last_token.0
    }

    /// The replicas in the order sent; of a strongly consistent table the leader comes first.
    ///
    /// ```
    /// # use shardwire_protocol::tablets::Tablet;
    /// let payload = b"\0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\x08\0\0\0\0\0\0\0\x07\xFF\xFF\xFF\xFF";
    /// assert_eq!(Tablet::parse(payload)?.replicas().next(), None);
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    pub fn replicas(&self) -> Replicas<'a> {
        self.replicas
    }
}

/// Replicas of a tablet, in their order.
///
/// ```
/// # use shardwire_protocol::tablets::Tablet;
/// let mut payload = vec![0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7];
/// payload.extend([0, 0, 0, 68, 0, 0, 0, 2]); // two replicas
/// for shard in [3, 5] {
///     payload.extend([0, 0, 0, 28, 0, 0, 0, 16]);
///     payload.extend([shard; 16]);
///     payload.extend([0, 0, 0, 4, 0, 0, 0, shard]);
/// }
/// let replicas = Tablet::parse(&payload)?.replicas();
/// assert_eq!(replicas.map(|replica| replica.shard).collect::<Vec<_>>(), [3, 5]);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "iterators are lazy"]
pub struct Replicas<'a> {
    rest: &'a [[u8; REPLICA_LEN]],
}

/// Length of a replica, its own length included.
const REPLICA_LEN: usize = 4 + REPLICA_CONTENT_LEN;
const REPLICA_CONTENT_LEN: usize = 4 + 16 + 4 + 4;

impl<'a> Replicas<'a> {
    /// Reads the list and checks all of it.
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let Some(list) = reader.bytes("replicas of a tablet")? else {
            // A list without elements is null to CQL.
            return Ok(Self { rest: &[] });
        };
        let mut list = Reader::with_offset(list, reader.offset().saturating_sub(list.len()));
        let count = list.count("replica count", 0)?;
        if count > REPLICA_COUNT_MAX {
            let (what, max, offset) = ("replica count", REPLICA_COUNT_MAX, list.offset_u32());
            return Err(Malformed::Count { what, count, max, offset });
        }
        let (rest, _) = list.remaining().as_chunks::<REPLICA_LEN>();
        for _ in 0..count {
            field(&mut list, "replica", REPLICA_CONTENT_LEN)?;
            field(&mut list, "host id of a replica", 16)?;
            list.uuid("host id of a replica")?;
            field(&mut list, "shard of a replica", 4)?;
            if list.i32("shard of a replica")? < 0 {
                let what = "negative shard of a replica";
                return Err(Malformed::BadValue { what, offset: list.offset_u32() });
            }
        }
        if !list.remaining().is_empty() {
            let what = "replicas beyond their count";
            return Err(Malformed::BadValue { what, offset: list.offset_u32() });
        }
        Ok(Self { rest })
    }
}

impl Iterator for Replicas<'_> {
    type Item = Replica;

    fn next(&mut self) -> Option<Replica> {
        let (replica, rest) = self.rest.split_first()?;
        self.rest = rest;
        // Lengths were checked when it was made: here they are passed over.
        let host_id = replica.get(8..24)?.first_chunk::<16>()?;
        let shard = replica.last_chunk::<4>()?;
        Some(Replica { host_id: Uuid::from_bytes(*host_id), shard: u32::from_be_bytes(*shard) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rest.len(), Some(self.rest.len()))
    }
}

impl ExactSizeIterator for Replicas<'_> {}

impl FusedIterator for Replicas<'_> {}

/// The length before a field, which must be `expected`.
fn field(reader: &mut Reader<'_>, what: &'static str, expected: usize) -> Result<(), Malformed> {
    let len = reader.i32(what)?;
    if usize::try_from(len) == Ok(expected) {
        return Ok(());
    }
    let expected = crate::error::saturating_u32(expected);
    Err(Malformed::Length { what, len, expected, offset: reader.offset_u32() })
}

fn bigint(reader: &mut Reader<'_>, what: &'static str) -> Result<i64, Malformed> {
    field(reader, what, 8)?;
    reader.i64(what)
}

/// The byte of an EXECUTE that says which version of the tablet the client knows: four of the
/// version's 64 bits, and which four.
///
/// ```text
/// 7 ... 4  3 ................. 0
/// index   | bits 4·index to 4·index + 3 of the version
/// ```
///
/// Of `index` the lowest four bits count; it should be another one each time, by chance. For a
/// tablet that is not known any byte does. The node answers with [`payload::V2`] where it differs.
///
/// ```
/// use shardwire_protocol::tablets::tablet_block;
///
/// assert_eq!(tablet_block(0xFEDC_BA98_7654_3210, 0xA), 0xAA);
/// ```
#[must_use]
pub const fn tablet_block(version: u64, index: u8) -> u8 {
    let index = index & 0x0F;
    // Masked, the lowest byte is all that is left.
    let [nibble, ..] = ((version >> (4 * index)) & 0x0F).to_le_bytes();
    (index << 4) | nibble
}

#[cfg(test)]
mod tests;
