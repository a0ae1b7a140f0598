//! The partition key, hashed straight from the bound values.
//!
//! A key of one column is that column's content. Of several, each is written as
//! `[u16 length][content][00]`. Neither is put together in memory: contents are hashed where they
//! lie, or from a scratch on the stack. Next: `routing/murmur3.rs`.

use crate::error::{SerializeError, saturating_u32};
use crate::row::SerializeRow;
use crate::types::ColumnSpec;
use crate::value::{SerializeValue, ValueLen};
use crate::wire::Writer;

use super::murmur3::{self, Murmur3};
use super::token::{self, Partitioner, Token};

/// Longest content, in bytes, that is encoded on the stack to be hashed.
const SCRATCH_LEN: usize = 64;

/// Token of the partition that a row goes to, by the markers that make up its key, in the key's
/// order. `None` if there are none: then the key is not all bound.
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
        let mut sink = KeySink { state: State::Single(partitioner, Token(0)) };
        row.hash_column(usize::from(*index), columns, &mut sink)?;
        return Ok(match sink.state {
            State::Single(_, token) => Some(token),
            _ => None,
        });
    }
    if key_indexes.is_empty() {
        return Ok(None);
    }
    token_of_composite(row, key_indexes, columns, partitioner).map(Some)
}

/// Token of a partition key that is encoded already.
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
/// # Errors
/// As [`token_of_row`]; `out` then ends with a part of the key.
pub fn write_key_of_row<R: SerializeRow + ?Sized>(
    row: &R,
    key_indexes: &[u16],
    columns: &[ColumnSpec],
    out: &mut Vec<u8>,
) -> Result<(), SerializeError> {
    let composite = key_indexes.len() > 1;
    let mut sink = KeySink { state: State::Bytes { out, composite } };
    for index in key_indexes {
        row.hash_column(usize::from(*index), columns, &mut sink)?;
    }
    Ok(())
}

/// Takes the columns of a partition key, one by one.
#[derive(Debug)]
pub struct KeySink<'a> {
    state: State<'a>,
}

#[derive(Debug)]
enum State<'a> {
    /// A key of one column, and its token when it was seen.
    Single(Partitioner, Token),
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

impl KeySink<'_> {
    /// Takes a column's value.
    ///
    /// # Errors
    /// `KeyColumnNull`, `KeyTooLong`, and whatever the value's serializer reports; all in column 0,
    /// for the row to correct.
    #[inline]
    pub fn column<V: SerializeValue + ?Sized>(&mut self, value: &V) -> Result<(), SerializeError> {
        if let Some(content) = value.as_bytes() {
            return self.content(content);
        }
        let ValueLen::Bytes(len) = value.value_len()? else {
            return Err(SerializeError::KeyColumnNull { column: 0 });
        };
        // Most values are short and of a length known when compiling: one load, no loop.
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len <= 16 {
            self.encoded(value, &mut [0; 16], len)
        } else if len <= SCRATCH_LEN {
            self.encoded(value, &mut [0; SCRATCH_LEN], len)
        } else {
            // Allocates: see `token_of_row`.
            self.encoded(value, &mut vec![0; len], len)
        }
    }

    #[inline]
    fn encoded<V: SerializeValue + ?Sized>(
        &mut self,
        value: &V,
        scratch: &mut [u8],
        len: usize,
    ) -> Result<(), SerializeError> {
        let content = scratch.get_mut(..len).unwrap_or_default();
        let mut writer = Writer::new(content);
        value.write(&mut writer);
        writer.finish()?;
        self.content(content)
    }

    #[inline]
    fn content(&mut self, content: &[u8]) -> Result<(), SerializeError> {
        if let State::Single(partitioner, token) = &mut self.state {
            *token = token_of_key(content, *partitioner);
            return Ok(());
        }
        self.part(content)
    }

    /// A column of several, or one whose bytes are asked for.
    fn part(&mut self, content: &[u8]) -> Result<(), SerializeError> {
        let len = u16::try_from(content.len()).map_err(|_| SerializeError::KeyTooLong {
            column: 0,
            len: saturating_u32(content.len()),
        });
        match &mut self.state {
            State::Single(..) => {}
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
    let mut sink = KeySink { state };
    for index in key_indexes {
        row.hash_column(usize::from(*index), columns, &mut sink)?;
    }
    Ok(match sink.state {
        State::Composite(hasher) => Token::of_hash(hasher.finish()),
        State::CompositeCdc { head, len } => token::cdc(head.get(..len).unwrap_or(&[])),
        State::Single(..) | State::Bytes { .. } => Token::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{CqlDecimal, MaybeUnset};
    use uuid::Uuid;

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
        check(&(1_i64,), &[0], 6_292_367_497_774_912_474);
        check(&(-1_i64,), &[0], 7_071_048_584_287_372_947);
        check(&(true,), &[0], 8_849_112_093_580_131_862);
        check(&("test",), &[0], -6_017_608_668_500_074_083);
        check(&(Some("test"),), &[0], -6_017_608_668_500_074_083);
        let uuid = Uuid::parse_str("11111111-2222-4333-8444-555555555555").unwrap();
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
