//! The paging state: where a page ended. Opaque to clients, checked when it comes back.
//!
//! ```text
//! version u8 | statement u64 | remaining u64 | in_partition u64 | token i64
//!   | key_len u32 | key | row_len u32 | row
//! ```

use crate::error::{CqlError, code};
use crate::store::{Bytes, PartitionKey};
use crate::wire::read::Reader;
use crate::wire::write::Writer;

const VERSION: u8 = 1;

/// Position after the last row of a page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PagingState {
    /// Which statement it belongs to; another statement's state is refused.
    pub(crate) statement: u64,
    /// Rows that LIMIT still allows.
    pub(crate) remaining: u64,
    /// Rows of the last partition so far, for PER PARTITION LIMIT.
    pub(crate) in_partition: u64,
    pub(crate) partition: PartitionKey,
    /// Key of the last row within its partition.
    pub(crate) row: Vec<u8>,
}

impl PagingState {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut out = Writer::new(&mut bytes);
        out.byte(VERSION);
        for number in [self.statement, self.remaining, self.in_partition] {
            out.raw(&number.to_be_bytes());
        }
        out.raw(&self.partition.token.to_be_bytes());
        out.bytes(Some(&self.partition.bytes));
        out.bytes(Some(&self.row));
        bytes
    }

    pub(crate) fn parse(bytes: &[u8], statement: u64) -> Result<Self, CqlError> {
        let bad = || CqlError::new(code::PROTOCOL, "Invalid value for the paging state");
        let mut reader = Reader::new(bytes);
        let mut read = || -> Result<Self, CqlError> {
            let what = "a paging state";
            if reader.byte(what)? != VERSION {
                return Err(bad());
            }
            let mut number = || Ok(reader.long(what)?.cast_unsigned());
            let (statement, remaining, in_partition) = (number()?, number()?, number()?);
            let token = reader.long(what)?;
            let bytes = Bytes::from_slice(reader.bytes(what)?.ok_or_else(bad)?);
            let row = reader.bytes(what)?.ok_or_else(bad)?.to_vec();
            let partition = PartitionKey { token, bytes };
            Ok(Self { statement, remaining, in_partition, partition, row })
        };
        let state = read().map_err(|_| bad())?;
        if state.statement != statement || !reader.rest().is_empty() {
            return Err(bad());
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusals() {
        let partition = PartitionKey { token: -5, bytes: Bytes::from_slice(&[1, 2]) };
        let state =
            PagingState { statement: 9, remaining: 3, in_partition: 1, partition, row: vec![7] };
        let bytes = state.to_bytes();
        assert_eq!(PagingState::parse(&bytes, 9), Ok(state));
        assert!(PagingState::parse(&bytes, 8).is_err());
        for cut in 0..bytes.len() {
            assert!(PagingState::parse(&bytes[..cut], 9).is_err());
        }
        assert!(PagingState::parse(&[bytes, vec![0]].concat(), 9).is_err());
    }
}
