//! The partition key, hashed straight from the bound values.
//!
//! A key of one column is that column's content. Of several, each is written as
//! `[u16 length][content][00]`. Neither is put together in memory: contents are hashed where they
//! lie, or from a scratch on the stack. Next: `routing/murmur3.rs`.

use crate::error::{SerializeError, saturating_u32};
use crate::row::SerializeRow;
use crate::types::{ColumnSpec, ColumnType};
use crate::value::{SerializeValue, ValueLen};
use crate::wire::Writer;

use super::murmur3::{self, Murmur3};
use super::token::{self, Partitioner, Token};

/// Longest content, in bytes, that is encoded on the stack to be hashed.
const SCRATCH_LEN: usize = 64;

/// Length of the longest scalar that has to be encoded to be hashed: a UUID.
const SHORT_LEN: usize = 16;

/// Token of the partition that a row goes to, by the markers that make up its key, in the key's
/// order. `None` if there are none: then the key is not all bound.
///
/// ```
/// use shardwire_protocol::error::SerializeError;
/// use shardwire_protocol::routing::{Partitioner, Token, token_of_row};
///
/// // The key is the second value.
/// let token = token_of_row(&("lamp", 1_i64), &[1], &[], Partitioner::Murmur3)?;
/// assert_eq!(token, Some(Token(6_292_367_497_774_912_474)));
/// let null = token_of_row(&("lamp", None::<i64>), &[1], &[], Partitioner::Murmur3);
/// assert_eq!(null, Err(SerializeError::KeyColumnNull { column: 1 }));
/// # Ok::<(), SerializeError>(())
/// ```
///
/// # Errors
/// A key column that is null, unset, or in a composite key longer than 65,535 bytes.
///
/// # Allocation
/// Only for a collection, tuple or decimal of more than 64 bytes as part of the key.
#[inline]
pub fn token_of_row<R: SerializeRow + ?Sized>(
    row: &R,
    key_indexes: &[u16],
    columns: &[ColumnSpec],
    partitioner: Partitioner,
) -> Result<Option<Token>, SerializeError> {
    if let [index] = key_indexes {
        let mut sink = KeySink::new(State::Single { partitioner, token: None });
        row.hash_column(usize::from(*index), columns, &mut sink)?;
        return Ok(Some(match sink.state {
            State::Single { partitioner: Partitioner::Murmur3, token: None } => {
                Token::of_hash(murmur3::hash_padded(&sink.short, sink.short_len))
            }
            _ => sink.into_token(),
        }));
    }
    if key_indexes.is_empty() {
        return Ok(None);
    }
    token_of_composite(row, key_indexes, columns, partitioner).map(Some)
}

/// Token of a partition key that is encoded already.
///
/// ```
/// use shardwire_protocol::routing::{Partitioner, Token, token_of_key};
///
/// let key = 1_i64.to_be_bytes();
/// let token = token_of_key(&key, Partitioner::Murmur3);
/// assert_eq!(token, Token(6_292_367_497_774_912_474));
/// ```
#[inline]
#[must_use]
pub fn token_of_key(key: &[u8], partitioner: Partitioner) -> Token {
    match partitioner {
        Partitioner::Murmur3 => Token::of_hash(murmur3::hash(key)),
        Partitioner::Cdc => token::cdc(key),
    }
}

/// Appends the partition key of a row to `out`, as it is hashed. Nothing if `key_indexes` is
/// empty.
///
/// ```
/// use shardwire_protocol::routing::write_key_of_row;
///
/// let mut key = Vec::new();
/// write_key_of_row(&("ab", "c"), &[0, 1], &[], &mut key)?;
/// assert_eq!(key, *b"\0\x02ab\0\0\x01c\0");
/// # Ok::<(), shardwire_protocol::error::SerializeError>(())
/// ```
///
/// # Errors
/// As [`token_of_row`]; `out` then ends with a part of the key.
pub fn write_key_of_row<R: SerializeRow + ?Sized>(
    row: &R,
    key_indexes: &[u16],
    columns: &[ColumnSpec],
    out: &mut Vec<u8>,
) -> Result<(), SerializeError> {
    let composite = key_indexes.len() > 1;
    let mut sink = KeySink::new(State::Bytes { out, composite });
    for index in key_indexes {
        row.hash_column(usize::from(*index), columns, &mut sink)?;
    }
    Ok(())
}

/// Takes the columns of a partition key, one by one.
///
/// ```
/// use shardwire_protocol::error::SerializeError;
/// use shardwire_protocol::routing::{KeySink, Partitioner, token_of_row};
/// use shardwire_protocol::row::SerializeRow;
/// use shardwire_protocol::types::{ColumnSpec, ColumnType};
/// # use shardwire_protocol::wire::Writer;
///
/// struct Item {
///     id: i64,
///     name: &'static str,
/// }
///
/// impl SerializeRow for Item {
///     fn hash_column(
///         &self,
///         index: usize,
///         _: &[ColumnSpec],
///         sink: &mut KeySink<'_>,
///     ) -> Result<(), SerializeError> {
///         match index {
///             0 => sink.column(&self.id, &ColumnType::Bigint),
///             1 => sink.column(&self.name, &ColumnType::Text),
///             _ => Err(SerializeError::wrong_value_count(2, index + 1)),
///         }
///     }
///     // and the other methods
/// #   fn type_check(&self, columns: &[ColumnSpec]) -> Result<(), SerializeError> {
/// #       (self.id, self.name).type_check(columns)
/// #   }
/// #   fn type_key(&self) -> Option<usize> {
/// #       None
/// #   }
/// #   fn value_count(&self) -> usize {
/// #       2
/// #   }
/// #   fn values_len(&self, columns: &[ColumnSpec]) -> Result<usize, SerializeError> {
/// #       (self.id, self.name).values_len(columns)
/// #   }
/// #   fn write_values(&self, columns: &[ColumnSpec], out: &mut Writer<'_>) {
/// #       (self.id, self.name).write_values(columns, out);
/// #   }
/// }
///
/// let item = Item { id: 1, name: "lamp" };
/// let token = token_of_row(&item, &[0], &[], Partitioner::Murmur3);
/// assert_eq!(token, token_of_row(&(1_i64,), &[0], &[], Partitioner::Murmur3));
/// ```
#[derive(Debug)]
pub struct KeySink<'a> {
    /// Content of a key's only column, zeros after it: hashed when the row is done with it, so
    /// that what is compiled for each column of each row type is a store.
    short: [u8; SHORT_LEN],
    short_len: usize,
    state: State<'a>,
}

#[derive(Debug)]
enum State<'a> {
    /// A key of one column; no token if the content is in `short`.
    Single {
        partitioner: Partitioner,
        token: Option<Token>,
    },
    Composite(Murmur3),
    CompositeCdc {
        head: [u8; 8],
        len: usize,
    },
    Bytes {
        out: &'a mut Vec<u8>,
        composite: bool,
    },
}

impl<'a> KeySink<'a> {
    #[inline]
    fn new(state: State<'a>) -> Self {
        Self { short: [0; SHORT_LEN], short_len: 0, state }
    }

    /// Takes a column's value; `typ` is the column's type.
    ///
    /// ```
    /// use shardwire_protocol::error::SerializeError;
    /// use shardwire_protocol::routing::{Partitioner, token_of_row};
    ///
    /// // What tuples do: here of a key of two columns, the second of which is too long for one.
    /// let row = (1_i64, "x".repeat(65_536));
    /// let error = token_of_row(&row, &[0, 1], &[], Partitioner::Murmur3).unwrap_err();
    /// assert_eq!(error, SerializeError::KeyTooLong { column: 1, len: 65_536 });
    /// ```
    ///
    /// # Errors
    /// `KeyColumnNull`, `KeyTooLong`, and whatever the value's serializer reports; all in column 0,
    /// for the row to correct.
    #[inline]
    pub fn column<V: SerializeValue + ?Sized>(
        &mut self,
        value: &V,
        typ: &ColumnType,
    ) -> Result<(), SerializeError> {
        if let Some(content) = value.as_bytes() {
            return self.content(content);
        }
        let ValueLen::Bytes(len) = value.value_len(typ)? else {
            return Err(SerializeError::KeyColumnNull { column: 0 });
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let Some(short) = self.short.get_mut(..len) else {
            return self.long_column(value, typ, len);
        };
        let mut writer = Writer::new(short);
        value.write(typ, &mut writer);
        writer.finish()?;
        self.short_len = len;
        if matches!(self.state, State::Single { .. }) { Ok(()) } else { self.short_part() }
    }

    #[cold]
    fn long_column<V: SerializeValue + ?Sized>(
        &mut self,
        value: &V,
        typ: &ColumnType,
        len: usize,
    ) -> Result<(), SerializeError> {
        let (mut scratch, mut heap) = ([0; SCRATCH_LEN], Vec::new());
        let content = match scratch.get_mut(..len) {
            Some(content) => content,
            None => {
                // Allocates: see `token_of_row`.
                heap.resize(len, 0);
                heap.as_mut_slice()
            }
        };
        let mut writer = Writer::new(content);
        value.write(typ, &mut writer);
        writer.finish()?;
        self.content(content)
    }

    /// Apart from `column`, because it does not depend on the value's type.
    fn content(&mut self, content: &[u8]) -> Result<(), SerializeError> {
        if let State::Single { partitioner, token } = &mut self.state {
            *token = Some(token_of_key(content, *partitioner));
            return Ok(());
        }
        self.part(content)
    }

    fn short_part(&mut self) -> Result<(), SerializeError> {
        let short = self.short;
        self.part(short.get(..self.short_len).unwrap_or(&[]))
    }

    /// Not inlined, as all of composite keys: keys of one short column must not pay for saving the
    /// registers that the others need.
    #[inline(never)]
    fn into_token(self) -> Token {
        match self.state {
            State::Single { token: Some(token), .. } => token,
            State::Single { partitioner: Partitioner::Murmur3, token: None } => {
                Token::of_hash(murmur3::hash_padded(&self.short, self.short_len))
            }
            State::Single { partitioner: Partitioner::Cdc, token: None } => {
                token::cdc(self.short.get(..self.short_len).unwrap_or(&[]))
            }
            State::Composite(hasher) => Token::of_hash(hasher.finish()),
            State::CompositeCdc { head, len } => token::cdc(head.get(..len).unwrap_or(&[])),
            State::Bytes { .. } => Token::default(),
        }
    }

    /// A column of several, or one whose bytes are asked for.
    fn part(&mut self, content: &[u8]) -> Result<(), SerializeError> {
        let len = u16::try_from(content.len()).map_err(|_| SerializeError::KeyTooLong {
            column: 0,
            len: saturating_u32(content.len()),
        });
        match &mut self.state {
            State::Single { .. } => {}
            State::Composite(hasher) => {
                hasher.update(&len?.to_be_bytes());
                hasher.update(content);
                hasher.update(&[0]);
            }
            State::CompositeCdc { head, len: head_len } => {
                let prefix = len?.to_be_bytes();
                for byte in prefix.iter().chain(content).chain(&[0]).take(8) {
                    if let Some(free) = head.get_mut(*head_len) {
                        *free = *byte;
                        *head_len += 1;
                    }
                }
            }
            State::Bytes { out, composite: false } => out.extend_from_slice(content),
            State::Bytes { out, composite: true } => {
                out.extend_from_slice(&len?.to_be_bytes());
                out.extend_from_slice(content);
                out.push(0);
            }
        }
        Ok(())
    }
}

#[inline(never)]
fn token_of_composite<R: SerializeRow + ?Sized>(
    row: &R,
    key_indexes: &[u16],
    columns: &[ColumnSpec],
    partitioner: Partitioner,
) -> Result<Token, SerializeError> {
    let state = match partitioner {
        Partitioner::Murmur3 => State::Composite(Murmur3::default()),
        Partitioner::Cdc => State::CompositeCdc { head: [0; 8], len: 0 },
    };
    let mut sink = KeySink::new(state);
    for index in key_indexes {
        row.hash_column(usize::from(*index), columns, &mut sink)?;
    }
    Ok(sink.into_token())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{CqlDecimal, CqlTimeuuid, MaybeUnset};

    #[track_caller]
    fn check(row: &impl SerializeRow, key_indexes: &[u16], token: i64) {
        let got = token_of_row(row, key_indexes, &[], Partitioner::Murmur3);
        assert_eq!(got, Ok(Some(Token(token))));
        let mut key = Vec::new();
        write_key_of_row(row, key_indexes, &[], &mut key).unwrap();
        assert_eq!(token_of_key(&key, Partitioner::Murmur3), Token(token));
    }

    #[test]
    fn keys_of_one_column() {
        check(&(1,), &[0], -4_069_959_284_402_364_209);
        check(&(0,), &[0], -3_485_513_579_396_041_028);
        check(&(0_i64,), &[0], 2_945_182_322_382_062_539);
        check(&(1_i64,), &[0], 6_292_367_497_774_912_474);
        check(&(-1_i64,), &[0], 7_071_048_584_287_372_947);
        check(&(true,), &[0], 8_849_112_093_580_131_862);
        check(&("test",), &[0], -6_017_608_668_500_074_083);
        check(&(Some("test"),), &[0], -6_017_608_668_500_074_083);
        let uuid = CqlTimeuuid::from_u128(0x11111111_2222_4333_8444_555555555555);
        check(&(0, uuid), &[1], 8_405_366_727_316_198_727);
        check(&[0, 1], &[1], -4_069_959_284_402_364_209);
    }

    #[test]
    fn composite_keys() {
        check(&(1, "a"), &[0, 1], 6_516_349_416_904_725_244);
        check(&("a", 1), &[1, 0], 6_516_349_416_904_725_244);
        check(&("ab", "c"), &[0, 1], -3_322_137_777_577_922_905);
        let uuid = [
            0x43, 0x27, 0x52, 0x9F, 0xB6, 0x45, 0xDD, 0x00, 0xB8, 0x83, 0xEC, 0x39, 0xAE, 0x44,
            0x8B, 0xB8,
        ];
        // Each part is its length, its bytes and a zero.
        let mut key = Vec::new();
        write_key_of_row(&("ab", 1, "c"), &[0, 1, 2], &[], &mut key).unwrap();
        assert_eq!(key, b"\0\x02ab\0\0\x04\0\0\0\x01\0\0\x01c\0");
        key.clear();
        write_key_of_row(&("ab", 1, "c"), &[2], &[], &mut key).unwrap();
        assert_eq!(key, b"c", "one part is its bytes alone");
        // The suite's vector ends in the middle of a column: two of its parts, then the rest.
        let key = [&[0, 16][..], &uuid, &[0, 0, 4, 0, 6, 0x6A, 0x6B, 0]].concat();
        assert_eq!(token_of_key(&key, Partitioner::Murmur3), Token(-9_223_371_632_693_506_265));
    }

    #[test]
    fn values_longer_than_the_scratch() {
        let numbers: Vec<i64> = (0..20).collect();
        let decimal = CqlDecimal::from_signed_be_bytes_and_exponent(vec![1; 40], 3);
        for indexes in [&[0][..], &[1], &[0, 1]] {
            let row = (numbers.as_slice(), &decimal);
            let mut key = Vec::new();
            write_key_of_row(&row, indexes, &[], &mut key).unwrap();
            check(&row, indexes, token_of_key(&key, Partitioner::Murmur3).0);
        }
    }

    #[test]
    fn what_cannot_be_a_key() {
        let token = |row: &(Option<i32>, MaybeUnset<&str>, &str), indexes: &[u16]| {
            token_of_row(row, indexes, &[], Partitioner::Murmur3)
        };
        let long = "x".repeat(65_536);
        let row = (None, MaybeUnset::Unset, &*long);
        assert_eq!(token(&row, &[]), Ok(None));
        assert_eq!(token(&row, &[0]), Err(SerializeError::KeyColumnNull { column: 0 }));
        assert_eq!(token(&row, &[1]), Err(SerializeError::KeyColumnNull { column: 1 }));
        assert!(token(&row, &[2]).is_ok());
        let row = (Some(1), MaybeUnset::Set(""), &*long);
        let too_long = SerializeError::KeyTooLong { column: 2, len: 65_536 };
        assert_eq!(token(&row, &[0, 2]), Err(too_long));
        assert!(token(&row, &[0, 1]).is_ok());
        assert!(matches!(token(&row, &[3]), Err(SerializeError::WrongValueCount { .. })));
        let columns = [ColumnSpec {
            keyspace: "k".into(),
            table: "t".into(),
            name: "c".into(),
            typ: crate::types::ColumnType::Int,
        }];
        assert!(token_of_row(&(), &[0], &columns, Partitioner::Murmur3).is_err());
    }

    #[test]
    fn cdc_streams() {
        let token = |key: &str| token_of_row(&(key,), &[0], &[], Partitioner::Cdc).unwrap();
        assert_eq!(token("primary_key"), Some(Token(8_102_654_598_100_187_487)));
        assert_eq!(token("kremówki"), Some(Token(7_742_362_231_512_463_211)));
        assert_eq!(token("test"), Some(Token(i64::MIN)));
        assert_eq!(token("xd"), Some(Token(i64::MIN)));
        let composite = token_of_row(&("ab", "cd"), &[0, 1], &[], Partitioner::Cdc).unwrap();
        let mut key = Vec::new();
        write_key_of_row(&("ab", "cd"), &[0, 1], &[], &mut key).unwrap();
        assert_eq!(composite, Some(token_of_key(&key, Partitioner::Cdc)));
    }
}
