//! Decodes what follows a statement in QUERY and EXECUTE, and BATCH.

use crate::cql::ast::BatchKind;
use crate::error::CqlError;
use crate::exec::bind::Marker;
use crate::exec::result::Metadata;
use crate::exec::select::Page;
use crate::replicas::{Consistency, Levels};
use crate::wire::read::{Reader, Value};
use crate::wire::version::Version;

type Result<T> = std::result::Result<T, CqlError>;

/// Flags of the query parameters (section 4.1.4).
pub(crate) mod flag {
    pub(crate) const VALUES: u32 = 0x01;
    pub(crate) const SKIP_METADATA: u32 = 0x02;
    pub(crate) const PAGE_SIZE: u32 = 0x04;
    pub(crate) const PAGING_STATE: u32 = 0x08;
    pub(crate) const SERIAL_CONSISTENCY: u32 = 0x10;
    pub(crate) const TIMESTAMP: u32 = 0x20;
    pub(crate) const NAMES: u32 = 0x40;
    /// v5 only, as is what follows.
    pub(crate) const KEYSPACE: u32 = 0x80;
    pub(crate) const NOW_IN_SECONDS: u32 = 0x100;
    /// All that v5 knows.
    pub(crate) const KNOWN: u32 = 0x1FF;
}

/// Query parameters.
#[derive(Clone, Debug)]
pub(crate) struct Params<'a> {
    pub(crate) levels: Levels,
    pub(crate) values: Vec<Value<'a>>,
    /// Names of the values, if the client gave them.
    names: Option<Vec<&'a str>>,
    pub(crate) metadata: Metadata,
    pub(crate) page: Page<'a>,
    pub(crate) timestamp: Option<i64>,
    /// The keyspace of names without one, instead of that of USE.
    pub(crate) keyspace: Option<&'a str>,
    pub(crate) now_s: Option<i64>,
}

/// Reads the flags of query parameters: 8 bits, in v5 32.
#[inline]
pub(crate) fn read_flags(reader: &mut Reader<'_>, version: Version) -> Result<u32> {
    if !version.is_5() {
        return Ok(u32::from(reader.byte("the flags")?));
    }
    match reader.bits("the flags")? {
        flags if flags & !flag::KNOWN == 0 => Ok(flags),
        flags => Err(CqlError::protocol(format!("unknown flags {flags:#x}"))),
    }
}

/// Reads a value. Version 3 knows no unset ones: any negative length is null.
fn read_value<'a>(reader: &mut Reader<'a>, version: Version) -> Result<Value<'a>> {
    if version == Version::V3 {
        return Ok(reader.bytes("a value")?.map_or(Value::Null, Value::Bytes));
    }
    reader.value()
}

/// The parts that v5 has put behind the timestamp.
fn read_v5_parts<'a>(
    reader: &mut Reader<'a>,
    flags: u32,
    version: Version,
) -> Result<(Option<&'a str>, Option<i64>)> {
    let has = |flag| version.is_5() && flags & flag != 0;
    let keyspace = has(flag::KEYSPACE).then(|| reader.string("the keyspace")).transpose()?;
    let now_s = has(flag::NOW_IN_SECONDS).then(|| reader.int("the time")).transpose()?;
    Ok((keyspace, now_s.map(i64::from)))
}

pub(super) fn consistency(reader: &mut Reader<'_>) -> Result<Consistency> {
    let code = reader.short("the consistency")?;
    Consistency::from_code(code)
        .ok_or_else(|| CqlError::protocol(format!("Unknown code {code} for a consistency level")))
}

pub(super) fn serial_consistency(reader: &mut Reader<'_>) -> Result<Consistency> {
    let code = reader.short("the serial consistency")?;
    Consistency::from_code(code)
        .filter(|consistency| consistency.is_serial())
        .ok_or_else(|| CqlError::protocol(format!("{code} is no serial consistency")))
}

impl<'a> Params<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>, version: Version) -> Result<Self> {
        let levels = Levels { consistency: consistency(reader)?, ..Levels::default() };
        let flags = read_flags(reader, version)?;
        let mut params = Self {
            levels,
            values: Vec::new(),
            names: None,
            metadata: Metadata::Full,
            page: Page::default(),
            timestamp: None,
            keyspace: None,
            now_s: None,
        };
        if flags & flag::SKIP_METADATA != 0 {
            params.metadata = Metadata::Skipped;
        }
        if flags & flag::VALUES != 0 {
            params.read_values(reader, version, flags & flag::NAMES != 0)?;
        }
        if flags & flag::PAGE_SIZE != 0 {
            // Zero and less mean no paging.
            let size = reader.int("the page size")?;
            params.page.size = usize::try_from(size).ok().filter(|size| *size > 0);
        }
        if flags & flag::PAGING_STATE != 0 {
            params.page.state = reader.bytes("the paging state")?;
        }
        if flags & flag::SERIAL_CONSISTENCY != 0 {
            params.levels.serial = serial_consistency(reader)?;
        }
        if flags & flag::TIMESTAMP != 0 {
            params.timestamp = Some(timestamp(reader)?);
        }
        (params.keyspace, params.now_s) = read_v5_parts(reader, flags, version)?;
        Ok(params)
    }

    fn read_values(
        &mut self,
        reader: &mut Reader<'a>,
        version: Version,
        with_names: bool,
    ) -> Result<()> {
        let count = reader.short("the number of values")?;
        let mut names = Vec::new();
        for _ in 0..count {
            if with_names {
                names.push(reader.string("a value's name")?);
            }
            self.values.push(read_value(reader, version)?);
        }
        self.names = with_names.then_some(names);
        Ok(())
    }

    /// Puts named values into the order of the markers.
    pub(crate) fn arrange(&mut self, markers: &[Marker]) -> Result<()> {
        let Some(names) = self.names.take() else { return Ok(()) };
        let value_of = |marker: &Marker| {
            let at = names.iter().position(|name| *name == marker.name);
            at.and_then(|at| self.values.get(at).copied())
                .ok_or_else(|| CqlError::invalid(format!("No value for marker {}", marker.name)))
        };
        self.values = markers.iter().map(value_of).collect::<Result<_>>()?;
        Ok(())
    }
}

pub(super) fn timestamp(reader: &mut Reader<'_>) -> Result<i64> {
    match reader.long("the timestamp")? {
        i64::MIN => Err(CqlError::protocol("Out of bound timestamp")),
        timestamp => Ok(timestamp),
    }
}

/// A statement of a batch.
#[derive(Clone, Debug)]
pub(crate) enum BatchStatement<'a> {
    Text(&'a str),
    Id(&'a [u8]),
}

/// A statement of a batch and its values.
#[derive(Clone, Debug)]
pub(crate) struct BatchItem<'a> {
    pub(crate) statement: BatchStatement<'a>,
    pub(crate) values: Vec<Value<'a>>,
}

/// Reads the type of a BATCH and how many statements it has.
pub(crate) fn batch_head(reader: &mut Reader<'_>) -> Result<(BatchKind, u16)> {
    let kind = match reader.byte("the batch type")? {
        0 => BatchKind::Logged,
        1 => BatchKind::Unlogged,
        2 => BatchKind::Counter,
        other => return Err(CqlError::protocol(format!("Invalid batch type {other}"))),
    };
    Ok((kind, reader.short("the number of statements")?))
}

pub(crate) fn batch_item<'a>(reader: &mut Reader<'a>, version: Version) -> Result<BatchItem<'a>> {
    let statement = match reader.byte("the kind of a statement")? {
        0 => BatchStatement::Text(reader.long_string("a statement")?),
        1 => BatchStatement::Id(reader.short_bytes("a statement's id")?),
        other => return Err(CqlError::protocol(format!("Invalid kind of statement {other}"))),
    };
    let count = reader.short("the number of values")?;
    let values = (0..count).map(|_| read_value(reader, version)).collect::<Result<_>>()?;
    Ok(BatchItem { statement, values })
}

/// What stands behind the statements of a BATCH.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BatchTail<'a> {
    pub(crate) levels: Levels,
    pub(crate) timestamp: Option<i64>,
    pub(crate) keyspace: Option<&'a str>,
    pub(crate) now_s: Option<i64>,
}

/// Reads the end of a BATCH.
pub(crate) fn batch_tail<'a>(reader: &mut Reader<'a>, version: Version) -> Result<BatchTail<'a>> {
    let mut levels = Levels { consistency: consistency(reader)?, ..Levels::default() };
    let flags = read_flags(reader, version)?;
    if flags & flag::NAMES != 0 {
        return Err(CqlError::protocol("named values in a batch"));
    }
    if flags & flag::SERIAL_CONSISTENCY != 0 {
        levels.serial = serial_consistency(reader)?;
    }
    let has_timestamp = flags & flag::TIMESTAMP != 0;
    let timestamp = has_timestamp.then(|| timestamp(reader)).transpose()?;
    let (keyspace, now_s) = read_v5_parts(reader, flags, version)?;
    Ok(BatchTail { levels, timestamp, keyspace, now_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_in_order() {
        let body = [
            &[0, 6, 0x3F][..],
            &[0, 1, 0, 0, 0, 1, 9],
            &[0, 0, 0, 50],
            &[0, 0, 0, 2, 7, 8],
            &[0, 9],
            &[0, 0, 0, 0, 0, 0, 0, 5],
        ]
        .concat();
        let params = Params::read(&mut Reader::new(&body), Version::V4).unwrap();
        assert_eq!(params.values, [Value::Bytes(&[9])]);
        let (consistency, serial) = (Consistency::LocalQuorum, Consistency::LocalSerial);
        assert_eq!(params.levels, Levels { consistency, serial });
        assert_eq!(params.metadata, Metadata::Skipped);
        assert_eq!((params.page.size, params.page.state), (Some(50), Some(&[7, 8][..])));
        assert_eq!(params.timestamp, Some(5));
        for cut in 0..body.len() {
            assert!(Params::read(&mut Reader::new(&body[..cut]), Version::V4).is_err(), "{cut}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let read = |body: &[u8], version| Params::read(&mut Reader::new(body), version).is_err();
        assert!(read(&[0, 99, 0], Version::V4));
        assert!(read(&[0, 6, 0x10, 0, 1], Version::V4));
        assert!(read(&[0, 6, 0, 0, 2, 0], Version::V5), "an unknown flag");
        assert!(batch_head(&mut Reader::new(&[3, 0, 0])).is_err());
    }

    #[test]
    fn version_5_has_wide_flags_and_two_more_parts() {
        let body = [
            &[0, 6, 0, 0, 1, 0xA1][..],
            &[0, 1, 0, 0, 0, 1, 9],
            &[0, 0, 0, 0, 0, 0, 0, 5],
            &[0, 2, b'k', b's'],
            &[0, 0, 0, 77],
        ]
        .concat();
        let params = Params::read(&mut Reader::new(&body), Version::V5).unwrap();
        assert_eq!(params.values, [Value::Bytes(&[9])]);
        assert_eq!(params.timestamp, Some(5));
        assert_eq!((params.keyspace, params.now_s), (Some("ks"), Some(77)));
        for cut in 0..body.len() {
            assert!(Params::read(&mut Reader::new(&body[..cut]), Version::V5).is_err(), "{cut}");
        }
        let tail = [&[0, 6, 0, 0, 1, 0x80][..], &[0, 2, b'k', b's'], &[0, 0, 0, 77]].concat();
        let tail = batch_tail(&mut Reader::new(&tail), Version::V5).unwrap();
        let levels = Levels { consistency: Consistency::LocalQuorum, ..Levels::default() };
        let expect = BatchTail { levels, timestamp: None, keyspace: Some("ks"), now_s: Some(77) };
        assert_eq!(tail, expect);
    }

    #[test]
    fn version_3_knows_no_unset_values() {
        let body = [0, 6, 1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFE];
        let values = |version| Params::read(&mut Reader::new(&body), version).unwrap().values;
        assert_eq!(values(Version::V3), [Value::Null]);
        assert_eq!(values(Version::V4), [Value::Unset]);
    }
}
