//! QUERY: a statement as text; and how values are bound, by position or by name.
//!
//! Next: `request/prepare.rs`.

use super::parameters::{FLAG_NAMES, FLAG_VALUES};
use super::{Parameters, Request, Statement, long_len, refuse_unset, short_count, short_len};
use crate::error::SerializeError;
use crate::header::{Opcode, Version};
use crate::row::SerializeRow;
use crate::types::ColumnSpec;
use crate::wire::{Reader, Writer};

/// How values find their markers.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::request::{Parameters, Query, ValueNames, frame_len};
///
/// let query = |names| {
///     let (statement, parameters) = ("SELECT b FROM t WHERE a = :a", Parameters::default());
///     let query = Query { statement, values: &(7_i64,), columns: &[], names, parameters };
///     frame_len(&query, Version::V4).unwrap()
/// };
/// assert_eq!(query(ValueNames::Given(&["a"])), query(ValueNames::None) + 2 + 1);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ValueNames<'a> {
    /// By position.
    #[default]
    None,
    /// By the names of the message's `columns`, of which there is one for each value.
    OfColumns,
    /// By these names, one for each value.
    Given(&'a [&'a str]),
}

/// Runs a statement that was not prepared.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::request::{Parameters, Query, ValueNames, encode_request, frame_len};
///
/// let query = Query {
///     statement: "SELECT b FROM t WHERE a = :a",
///     values: &(7_i64,),
///     columns: &[],
///     names: ValueNames::Given(&["a"]),
///     parameters: Parameters::default(),
/// };
/// let mut frame = vec![0; frame_len(&query, Version::V5)?];
/// encode_request(&query, Version::V5, 0, 1, &mut frame)?;
/// # Ok::<(), shardwire_protocol::error::SerializeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Query<'a, R: ?Sized> {
    /// The statement.
    pub statement: &'a str,
    /// Its values, `&()` for none. The server does not check their types: prepare instead.
    pub values: &'a R,
    /// The markers, as far as `values` or `names` want to know them.
    pub columns: &'a [ColumnSpec],
    /// How the values find their markers.
    pub names: ValueNames<'a>,
    /// How to run it.
    pub parameters: Parameters<'a>,
}

impl<R: SerializeRow + ?Sized> Query<'_, R> {
    fn bound(&self) -> Bound<'_, R> {
        let Self { statement: _, values, columns, names, parameters } = self;
        Bound { opcode: Opcode::Query, values, columns, names: *names, parameters }
    }
}

impl<R: SerializeRow + ?Sized> Request for Query<'_, R> {
    const OPCODE: Opcode = Opcode::Query;

    fn body_len(&self, version: Version) -> Result<usize, SerializeError> {
        let statement_len = long_len("statement", self.statement.len())?;
        Ok(statement_len.saturating_add(self.bound().len(version)?))
    }

    fn write_body(&self, version: Version, out: &mut Writer<'_>) {
        out.put_long_string(self.statement);
        self.bound().write(version, out);
    }
}

impl<R: SerializeRow + ?Sized> Statement for Query<'_, R> {}

/// The part that QUERY and EXECUTE have in common: values and parameters.
pub(super) struct Bound<'a, R: ?Sized> {
    pub(super) opcode: Opcode,
    pub(super) values: &'a R,
    pub(super) columns: &'a [ColumnSpec],
    pub(super) names: ValueNames<'a>,
    pub(super) parameters: &'a Parameters<'a>,
}

impl<R: SerializeRow + ?Sized> Bound<'_, R> {
    /// Length of what [`Self::write`] writes.
    #[inline]
    pub(super) fn len(&self, version: Version) -> Result<usize, SerializeError> {
        let count = short_count("values", self.values.value_count())?;
        let flags_len = if version == Version::V5 { 4 } else { 1 };
        let count_len = if count == 0 { 0 } else { 2 };
        let names_len = self.names_len()?.unwrap_or(0);
        let values_len = self.values.values_len(self.columns)?;
        if version == Version::V3 {
            self.refuse_unset()?;
        }
        Ok((2 + flags_len + count_len + names_len)
            .saturating_add(values_len)
            .saturating_add(self.parameters.tail_len(self.opcode, version)?))
    }

    /// Writes consistency, flags, values and what follows them.
    #[inline]
    pub(super) fn write(&self, version: Version, out: &mut Writer<'_>) {
        out.put_consistency(self.parameters.consistency);
        let is_named = self.names != ValueNames::None;
        match u16::try_from(self.values.value_count()).unwrap_or(u16::MAX) {
            0 => self.parameters.write_flags(version, 0, out),
            count => {
                let names_flag = if is_named { FLAG_NAMES } else { 0 };
                self.parameters.write_flags(version, FLAG_VALUES | names_flag, out);
                out.put_u16(count);
            }
        }
        if is_named {
            self.write_named(out);
        } else {
            self.values.write_values(self.columns, out);
        }
        if version == Version::V3 && self.refuse_unset().is_err() {
            out.set_fault(); // measuring has refused it
        }
        self.parameters.write_tail(self.opcode, version, out);
    }

    fn refuse_unset(&self) -> Result<(), SerializeError> {
        let values_len = self.values.values_len(self.columns)?;
        let write = |out: &mut Writer<'_>| self.values.write_values(self.columns, out);
        refuse_unset(self.opcode, values_len, write)
    }

    /// The name of the value at `index`.
    fn name(&self, index: usize) -> Option<&str> {
        match self.names {
            ValueNames::None => None,
            ValueNames::OfColumns => self.columns.get(index).map(|column| &*column.name),
            ValueNames::Given(names) => names.get(index).copied(),
        }
    }

    /// Length of all names with their own lengths; `None` for values without names.
    fn names_len(&self) -> Result<Option<usize>, SerializeError> {
        let name_count = match self.names {
            ValueNames::None => return Ok(None),
            ValueNames::OfColumns => self.columns.len(),
            ValueNames::Given(names) => names.len(),
        };
        let count = self.values.value_count();
        if name_count != count {
            return Err(SerializeError::wrong_value_count(name_count, count));
        }
        let mut len = 0_usize;
        for name in (0..count).map_while(|index| self.name(index)) {
            len = len.saturating_add(short_len("name of a value", name.len())?);
        }
        Ok(Some(len))
    }

    /// Writes each value behind its name.
    ///
    /// A row writes its values in one go. So they are written to the end of the room for names
    /// and values, and moved forward one by one as their names come before them.
    #[inline(never)]
    fn write_named(&self, out: &mut Writer<'_>) {
        let (Ok(Some(names_len)), Ok(values_len)) =
            (self.names_len(), self.values.values_len(self.columns))
        else {
            return out.set_fault(); // measuring has told
        };
        let room = out.take_room(names_len.saturating_add(values_len));
        let Some((_, values)) = room.split_at_mut_checked(names_len) else {
            return out.set_fault();
        };
        let mut writer = Writer::new(values);
        self.values.write_values(self.columns, &mut writer);
        let is_whole = writer.finish().is_ok();
        if !is_whole || self.place_names(room, names_len).is_none() {
            out.set_fault();
        }
    }

    /// Moves the values, which begin at `values_at`, behind their names; `None` if they are not as
    /// many `[value]`s as there are names.
    fn place_names(&self, room: &mut [u8], values_at: usize) -> Option<()> {
        let (mut to, mut from) = (0, values_at);
        for index in 0..self.values.value_count() {
            let name = self.name(index)?;
            let mut reader = Reader::new(room.get(from..)?);
            reader.bytes("value").ok()?;
            let value_len = reader.offset();
            // A name is at most as long as what is left of the names' room: `to` never passes
            // `from`, so that no value is overwritten before it was moved.
            let mut writer = Writer::new(room.get_mut(to..from)?);
            writer.put_string(name);
            let name_len = writer.position();
            if name_len != 2 + name.len() {
                return None;
            }
            to += name_len;
            room.copy_within(from..from + value_len, to);
            to += value_len;
            from += value_len;
        }
        (from == room.len() && to == room.len()).then_some(())
    }
}
