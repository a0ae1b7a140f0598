//! Decodes what follows a statement in QUERY and EXECUTE, and BATCH.

use crate::error::CqlError;
use crate::exec::bind::Marker;
use crate::exec::result::Metadata;
use crate::exec::select::Page;
use crate::wire::read::{Reader, Value};

type Result<T> = std::result::Result<T, CqlError>;

/// Flags of the query parameters (CQL v4 section 4.1.4).
pub(crate) mod flag {
    pub(crate) const VALUES: u8 = 0x01;
    pub(crate) const SKIP_METADATA: u8 = 0x02;
    pub(crate) const PAGE_SIZE: u8 = 0x04;
    pub(crate) const PAGING_STATE: u8 = 0x08;
    pub(crate) const SERIAL_CONSISTENCY: u8 = 0x10;
    pub(crate) const TIMESTAMP: u8 = 0x20;
    pub(crate) const NAMES: u8 = 0x40;
}

/// Greatest consistency level.
const CONSISTENCY_MAX: u16 = 0x0A;

/// Query parameters.
#[derive(Clone, Debug)]
pub(crate) struct Params<'a> {
    pub(crate) values: Vec<Value<'a>>,
    /// Names of the values, if the client gave them.
    names: Option<Vec<&'a str>>,
    pub(crate) metadata: Metadata,
    pub(crate) page: Page<'a>,
    pub(crate) timestamp: Option<i64>,
}

pub(crate) fn consistency(reader: &mut Reader<'_>) -> Result<u16> {
    let consistency = reader.short("the consistency")?;
    if consistency > CONSISTENCY_MAX {
        return Err(CqlError::protocol(format!(
            "Unknown code {consistency} for a consistency level"
        )));
    }
    Ok(consistency)
}

fn serial_consistency(reader: &mut Reader<'_>) -> Result<()> {
    match reader.short("the serial consistency")? {
        8 | 9 => Ok(()),
        other => Err(CqlError::protocol(format!("{other} is no serial consistency"))),
    }
}

impl<'a> Params<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self> {
        consistency(reader)?;
        let flags = reader.byte("the flags")?;
        let mut params = Self {
            values: Vec::new(),
            names: None,
            metadata: Metadata::Full,
            page: Page::default(),
            timestamp: None,
        };
        if flags & flag::SKIP_METADATA != 0 {
            params.metadata = Metadata::Skipped;
        }
        if flags & flag::VALUES != 0 {
            params.read_values(reader, flags & flag::NAMES != 0)?;
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
            serial_consistency(reader)?;
        }
        if flags & flag::TIMESTAMP != 0 {
            params.timestamp = Some(timestamp(reader)?);
        }
        Ok(params)
    }

    fn read_values(&mut self, reader: &mut Reader<'a>, with_names: bool) -> Result<()> {
        let count = reader.short("the number of values")?;
        let mut names = Vec::new();
        for _ in 0..count {
            if with_names {
                names.push(reader.string("a value's name")?);
            }
            self.values.push(reader.value()?);
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

fn timestamp(reader: &mut Reader<'_>) -> Result<i64> {
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
pub(crate) fn batch_head(reader: &mut Reader<'_>) -> Result<u16> {
    match reader.byte("the batch type")? {
        0..=2 => reader.short("the number of statements"),
        other => Err(CqlError::protocol(format!("Invalid batch type {other}"))),
    }
}

pub(crate) fn batch_item<'a>(reader: &mut Reader<'a>) -> Result<BatchItem<'a>> {
    let statement = match reader.byte("the kind of a statement")? {
        0 => BatchStatement::Text(reader.long_string("a statement")?),
        1 => BatchStatement::Id(reader.short_bytes("a statement's id")?),
        other => return Err(CqlError::protocol(format!("Invalid kind of statement {other}"))),
    };
    let count = reader.short("the number of values")?;
    let values = (0..count).map(|_| reader.value()).collect::<Result<_>>()?;
    Ok(BatchItem { statement, values })
}

/// Reads the end of a BATCH; gives its timestamp.
pub(crate) fn batch_tail(reader: &mut Reader<'_>) -> Result<Option<i64>> {
    consistency(reader)?;
    let flags = reader.byte("the flags")?;
    if flags & flag::NAMES != 0 {
        return Err(CqlError::protocol("named values in a batch"));
    }
    if flags & flag::SERIAL_CONSISTENCY != 0 {
        serial_consistency(reader)?;
    }
    if flags & flag::TIMESTAMP == 0 {
        return Ok(None);
    }
    timestamp(reader).map(Some)
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
        let params = Params::read(&mut Reader::new(&body)).unwrap();
        assert_eq!(params.values, [Value::Bytes(&[9])]);
        assert_eq!(params.metadata, Metadata::Skipped);
        assert_eq!((params.page.size, params.page.state), (Some(50), Some(&[7, 8][..])));
        assert_eq!(params.timestamp, Some(5));
        for cut in 0..body.len() {
            assert!(Params::read(&mut Reader::new(&body[..cut])).is_err(), "{cut}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Params::read(&mut Reader::new(&[0, 99, 0])).is_err());
        assert!(Params::read(&mut Reader::new(&[0, 6, 0x10, 0, 1])).is_err());
        assert!(batch_head(&mut Reader::new(&[3, 0, 0])).is_err());
    }
}
