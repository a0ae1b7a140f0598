//! QUERY: a statement as text.

use super::parameters::FLAG_VALUES;
use super::{Parameters, Request, long_len, short_count};
use crate::error::SerializeError;
use crate::header::Opcode;
use crate::row::SerializeRow;
use crate::types::ColumnSpec;
use crate::wire::Writer;

/// Runs a statement that was not prepared.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a, R: ?Sized> {
    /// The statement.
    pub statement: &'a str,
    /// Its values, `&()` for none. The server does not check their types: prepare instead.
    pub values: &'a R,
    /// The markers, as far as `values` wants to know them.
    pub columns: &'a [ColumnSpec],
    /// How to run it.
    pub parameters: Parameters<'a>,
}

impl<R: SerializeRow + ?Sized> Request for Query<'_, R> {
    const OPCODE: Opcode = Opcode::Query;

    fn body_len(&self) -> Result<usize, SerializeError> {
        let statement_len = long_len("statement", self.statement.len())?;
        Ok(statement_len.saturating_add(len(self.values, self.columns, &self.parameters)?))
    }

    fn write_body(&self, out: &mut Writer<'_>) {
        out.put_long_string(self.statement);
        write(self.values, self.columns, &self.parameters, out);
    }
}

/// Length of the part that QUERY and EXECUTE have in common.
#[inline]
pub(super) fn len<R: SerializeRow + ?Sized>(
    values: &R,
    columns: &[ColumnSpec],
    parameters: &Parameters<'_>,
) -> Result<usize, SerializeError> {
    let count = short_count("values", values.value_count())?;
    let head_len = if count == 0 { 3 } else { 5 };
    let values_len = values.values_len(columns)?;
    Ok(values_len.saturating_add(head_len).saturating_add(parameters.tail_len()?))
}

/// Writes the part that QUERY and EXECUTE have in common.
#[inline]
pub(super) fn write<R: SerializeRow + ?Sized>(
    values: &R,
    columns: &[ColumnSpec],
    parameters: &Parameters<'_>,
    out: &mut Writer<'_>,
) {
    out.put_consistency(parameters.consistency);
    match u16::try_from(values.value_count()).unwrap_or(u16::MAX) {
        0 => out.put_u8(parameters.flags()),
        count => {
            out.put_u8(parameters.flags() | FLAG_VALUES);
            out.put_u16(count);
        }
    }
    values.write_values(columns, out);
    parameters.write_tail(out);
}
