//! EXECUTE: runs a prepared statement. The request path's own message.
//!
//! What is the same in all executions of a statement is encoded once, header included
//! ([`ExecuteTemplate`]). A request copies that, patches what differs, and appends its values.
//! Whether values fit the statement was checked before.
//!
//! Step 7 of 14 in `docs/REQUEST.md`. Next: `sync/src/outbox.rs`.

use super::parameters::FLAG_VALUES;
use super::query::Bound;
use super::{
    Parameters, Request, Statement, ValueNames, check_frame, frame_len_of_body, refuse_unset,
    short_count, short_len,
};
use crate::error::{LengthMismatch, SerializeError};
use crate::header::{HEADER_LEN, Opcode, RequestHeader, Version, flags};
use crate::row::SerializeRow;
use crate::types::ColumnSpec;
use crate::wire::Writer;

/// Runs a prepared statement.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::request::{Execute, Parameters, ValueNames, encode_request, frame_len};
///
/// let execute = Execute {
///     id: &[0x1D; 16],
///     result_metadata_id: Some(&[7; 16]),
///     values: &(7_i64, "lamp"),
///     columns: &[],
///     names: ValueNames::None,
///     parameters: Parameters::default(),
/// };
/// let mut frame = vec![0; frame_len(&execute, Version::V5)?];
/// encode_request(&execute, Version::V5, 0, 1, &mut frame)?;
/// # Ok::<(), shardwire_protocol::error::SerializeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Execute<'a, R: ?Sized> {
    /// The statement's id.
    pub id: &'a [u8],
    /// Id of the result metadata that the client has. Before version 5 only where the connection
    /// agreed on that; in version 5 `None` is sent as an empty one, which says that it has none.
    pub result_metadata_id: Option<&'a [u8]>,
    /// Its values.
    pub values: &'a R,
    /// Its markers.
    pub columns: &'a [ColumnSpec],
    /// How the values find their markers.
    pub names: ValueNames<'a>,
    /// How to run it.
    pub parameters: Parameters<'a>,
}

impl<R: SerializeRow + ?Sized> Execute<'_, R> {
    fn bound(&self) -> Bound<'_, R> {
        let Self { id: _, result_metadata_id: _, values, columns, names, parameters } = self;
        Bound { opcode: Opcode::Execute, values, columns, names: *names, parameters }
    }
}

impl<R: SerializeRow + ?Sized> Request for Execute<'_, R> {
    const OPCODE: Opcode = Opcode::Execute;

    fn body_len(&self, version: Version) -> Result<usize, SerializeError> {
        let ids_len = ids_len(self.id, metadata_id(version, self.result_metadata_id))?;
        Ok(self.bound().len(version)?.saturating_add(ids_len))
    }

    fn write_body(&self, version: Version, out: &mut Writer<'_>) {
        write_ids(self.id, metadata_id(version, self.result_metadata_id), out);
        self.bound().write(version, out);
    }
}

impl<R: SerializeRow + ?Sized> Statement for Execute<'_, R> {}

/// The frames of one prepared statement, as far as they are alike.
///
/// ```text
/// header | [short bytes] id | ([short bytes] metadata id) | consistency | flags | ([short] count)
///  9                                                        2             1 or 4    2
/// ```
///
/// Stream, body length, consistency and flags are patched; values and the parameters' tail follow.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::request::{ExecuteTemplate, Parameters};
///
/// let template = ExecuteTemplate::new(Version::V4, 0, &[0x1D; 16], None, 2)?;
/// let (row, parameters) = ((7_i64, "lamp"), Parameters::default());
/// let mut frame = vec![0; template.frame_len(&row, &[], &parameters)?];
/// template.write(1, &row, &[], &parameters, &mut frame)?;
/// # Ok::<(), shardwire_protocol::error::SerializeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExecuteTemplate {
    prefix: Prefix,
    prefix_len: usize,
    version: Version,
    value_count: u16,
}

#[derive(Clone, Debug)]
enum Prefix {
    /// Of version 4, with values, an id of 16 bytes and no metadata id. All servers' ids are
    /// MD5 sums, so this is copied by two vector registers and patched at places known when
    /// compiling.
    Usual([u8; USUAL_LEN]),
    /// Any other. Consistency and flags stand at `patch_at`.
    Other { bytes: Box<[u8]>, patch_at: usize },
}

impl ExecuteTemplate {
    /// Encodes what is alike. Allocates: once per statement.
    ///
    /// `header_flags` are the frame's, see [`crate::header::flags`], without a custom payload;
    /// `result_metadata_id` is as in [`Execute`]; `value_count` is the number of the statement's
    /// markers.
    ///
    /// # Errors
    /// `PartTooLong` for an id, or a number of markers, that is.
    pub fn new(
        version: Version,
        header_flags: u8,
        id: &[u8],
        result_metadata_id: Option<&[u8]>,
        value_count: usize,
    ) -> Result<Self, SerializeError> {
        let value_count = short_count("values", value_count)?;
        let result_metadata_id = metadata_id(version, result_metadata_id);
        let patch_at = HEADER_LEN + ids_len(id, result_metadata_id)?;
        let patch_len = if version == Version::V5 { WIDE_PATCH_LEN } else { PATCH_LEN };
        let count_len = if value_count == 0 { 0 } else { 2 };
        let mut prefix = vec![0; patch_at + patch_len + count_len].into_boxed_slice();
        let mut writer = Writer::new(&mut prefix);
        let mut header = [0; HEADER_LEN];
        let opcode = Opcode::Execute;
        let flags = header_flags & !flags::CUSTOM_PAYLOAD;
        RequestHeader { version, flags, stream: 0, opcode, body_len: 0 }.encode(&mut header);
        writer.put_array(header);
        write_ids(id, result_metadata_id, &mut writer);
        writer.put_slice([0; WIDE_PATCH_LEN].get(..patch_len).unwrap_or_default());
        if value_count != 0 {
            writer.put_u16(value_count);
        }
        writer.finish()?;
        let prefix_len = prefix.len();
        let prefix = match <[u8; USUAL_LEN]>::try_from(&*prefix) {
            Ok(bytes) if patch_at == USUAL_PATCH_AT && version == Version::V4 => {
                Prefix::Usual(bytes)
            }
            _ => Prefix::Other { bytes: prefix, patch_at },
        };
        Ok(Self { prefix, prefix_len, version, value_count })
    }

    /// Encodes consistency and flags too, for statements whose parameters never change; whether
    /// [`Self::plain_frame_len`] and [`Self::write_plain`] can be used: nothing follows the values.
    ///
    /// ```
    /// use shardwire_protocol::consistency::Consistency;
    /// # use shardwire_protocol::header::Version;
    /// # use shardwire_protocol::request::{ExecuteTemplate, Parameters};
    ///
    /// let mut template = ExecuteTemplate::new(Version::V4, 0, &[0x1D; 16], None, 1)?;
    /// let one = Parameters { consistency: Consistency::One, ..Parameters::default() };
    /// assert!(template.fix(&one));
    /// let mut frame = vec![0; template.plain_frame_len(&(7,), &[])?];
    /// template.write_plain(1, &(7,), &[], &mut frame)?;
    /// assert!(!template.fix(&Parameters { page_size: Some(100), ..one }));
    /// # Ok::<(), shardwire_protocol::error::SerializeError>(())
    /// ```
    pub fn fix(&mut self, parameters: &Parameters<'_>) -> bool {
        let values_flag = if self.value_count == 0 { 0 } else { FLAG_VALUES };
        match &mut self.prefix {
            Prefix::Usual(bytes) => {
                patch_parameters(bytes, USUAL_PATCH_AT, parameters, values_flag);
                !parameters.has_tail()
            }
            Prefix::Other { .. } => false,
        }
    }

    /// As [`Self::frame_len`] with the parameters of [`Self::fix`].
    ///
    /// # Errors
    /// As [`Self::frame_len`].
    #[inline]
    pub fn plain_frame_len<R: SerializeRow + ?Sized>(
        &self,
        row: &R,
        columns: &[ColumnSpec],
    ) -> Result<usize, SerializeError> {
        let count = row.value_count();
        if count != usize::from(self.value_count) {
            return Err(SerializeError::wrong_value_count(usize::from(self.value_count), count));
        }
        let values_len = row.values_len(columns)?;
        frame_len_of_body((USUAL_LEN - HEADER_LEN).saturating_add(values_len))
    }

    /// As [`Self::write`] with the parameters of [`Self::fix`], which has returned true.
    ///
    /// # Errors
    /// As [`Self::write`].
    #[inline]
    pub fn write_plain<R: SerializeRow + ?Sized>(
        &self,
        stream: i16,
        row: &R,
        columns: &[ColumnSpec],
        out: &mut [u8],
    ) -> Result<(), SerializeError> {
        let body_len = check_frame(out)?;
        let Prefix::Usual(bytes) = &self.prefix else { return Err(no_room(out, USUAL_LEN)) };
        let Some((prefix, rest)) = out.split_first_chunk_mut::<USUAL_LEN>() else {
            return Err(no_room(out, USUAL_LEN));
        };
        *prefix = *bytes;
        patch_header(prefix, stream, body_len);
        let mut writer = Writer::new(rest);
        row.write_values(columns, &mut writer);
        writer.finish()?;
        Ok(())
    }

    /// Length of the whole frame, header included.
    ///
    /// # Errors
    /// `WrongValueCount`; whatever the values report; a parameter, or an unset value, that the
    /// version cannot express; or a frame that is too long.
    #[inline]
    pub fn frame_len<R: SerializeRow + ?Sized>(
        &self,
        row: &R,
        columns: &[ColumnSpec],
        parameters: &Parameters<'_>,
    ) -> Result<usize, SerializeError> {
        let count = row.value_count();
        if count != usize::from(self.value_count) {
            return Err(SerializeError::wrong_value_count(usize::from(self.value_count), count));
        }
        let values_len = row.values_len(columns)?;
        if self.version == Version::V3 {
            refuse_unset(Opcode::Execute, values_len, |out| row.write_values(columns, out))?;
        }
        let body_len = (self.prefix_len - HEADER_LEN)
            .saturating_add(values_len)
            .saturating_add(parameters.tail_len(Opcode::Execute, self.version)?);
        frame_len_of_body(body_len)
    }

    /// Encodes a frame into `out`, which has exactly the length that [`Self::frame_len`] tells.
    ///
    /// # Errors
    /// `Length` if a value, or the row as a whole, does not keep the length it announced. `out`
    /// then holds no frame.
    #[inline]
    pub fn write<R: SerializeRow + ?Sized>(
        &self,
        stream: i16,
        row: &R,
        columns: &[ColumnSpec],
        parameters: &Parameters<'_>,
        out: &mut [u8],
    ) -> Result<(), SerializeError> {
        let body_len = check_frame(out)?;
        let values_flag = if self.value_count == 0 { 0 } else { FLAG_VALUES };
        let rest = match &self.prefix {
            Prefix::Usual(bytes) => {
                let Some((prefix, rest)) = out.split_first_chunk_mut::<USUAL_LEN>() else {
                    return Err(no_room(out, USUAL_LEN));
                };
                *prefix = *bytes;
                patch_header(prefix, stream, body_len);
                patch_parameters(prefix, USUAL_PATCH_AT, parameters, values_flag);
                rest
            }
            Prefix::Other { bytes, patch_at } => {
                if self.version == Version::V3 {
                    let values_len = row.values_len(columns)?;
                    let write = |out: &mut Writer<'_>| row.write_values(columns, out);
                    refuse_unset(Opcode::Execute, values_len, write)?;
                }
                let patch = (*patch_at, self.version, values_flag);
                copy_prefix(bytes, patch, stream, body_len, parameters, out)?
            }
        };
        let mut writer = Writer::new(rest);
        row.write_values(columns, &mut writer);
        parameters.finish(self.version, writer)?;
        Ok(())
    }
}

/// Copies and patches a prefix of unusual length; what follows it. Not inlined, so that the usual
/// path need not keep its registers out of the way of this one's.
///
/// `patch` is where consistency and flags stand, the version that says how, and the flag of the
/// values.
#[inline(never)]
fn copy_prefix<'o>(
    bytes: &[u8],
    (patch_at, version, values_flag): (usize, Version, u8),
    stream: i16,
    body_len: u32,
    parameters: &Parameters<'_>,
    out: &'o mut [u8],
) -> Result<&'o mut [u8], SerializeError> {
    if out.len() < bytes.len() {
        return Err(no_room(out, bytes.len()));
    }
    let (prefix, rest) = out.split_at_mut(bytes.len());
    prefix.copy_from_slice(bytes);
    patch_header(prefix, stream, body_len);
    match version {
        Version::V5 => patch_wide_parameters(prefix, patch_at, parameters, values_flag),
        Version::V3 | Version::V4 => patch_parameters(prefix, patch_at, parameters, values_flag),
    }
    Ok(rest)
}

#[inline]
fn patch_header(prefix: &mut [u8], stream: i16, body_len: u32) {
    if let Some(header) = prefix.first_chunk_mut::<HEADER_LEN>() {
        let [_, _, s0, s1, _, length @ ..] = header;
        [*s0, *s1] = stream.to_be_bytes();
        *length = body_len.to_be_bytes();
    }
}

#[inline]
fn patch_parameters(prefix: &mut [u8], at: usize, parameters: &Parameters<'_>, values_flag: u8) {
    if let Some(patch) = prefix.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<PATCH_LEN>) {
        let [c0, c1] = parameters.consistency.as_u16().to_be_bytes();
        *patch = [c0, c1, parameters.flags() | values_flag];
    }
}

fn patch_wide_parameters(
    prefix: &mut [u8],
    at: usize,
    parameters: &Parameters<'_>,
    values_flag: u8,
) {
    if let Some(patch) = prefix.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<WIDE_PATCH_LEN>) {
        let [c0, c1] = parameters.consistency.as_u16().to_be_bytes();
        let [f0, f1, f2, f3] = parameters.wide_flags(values_flag).to_be_bytes();
        *patch = [c0, c1, f0, f1, f2, f3];
    }
}

#[cold]
fn no_room(out: &[u8], prefix_len: usize) -> SerializeError {
    LengthMismatch { announced: out.len(), written: prefix_len }.into()
}

/// Length of consistency and flags.
const PATCH_LEN: usize = 3;

/// The same in version 5.
const WIDE_PATCH_LEN: usize = 6;

/// Length of the ids before consistency and flags, header included, for an id of 16 bytes.
const USUAL_PATCH_AT: usize = HEADER_LEN + 2 + 16;

/// Length of the prefix for an id of 16 bytes and at least one value.
const USUAL_LEN: usize = USUAL_PATCH_AT + PATCH_LEN + 2;

/// The metadata id that is sent: version 5 always has one.
#[inline]
fn metadata_id(version: Version, id: Option<&[u8]>) -> Option<&[u8]> {
    match version {
        Version::V5 => Some(id.unwrap_or_default()),
        Version::V3 | Version::V4 => id,
    }
}

fn ids_len(id: &[u8], metadata_id: Option<&[u8]>) -> Result<usize, SerializeError> {
    let id_len = short_len("statement id", id.len())?;
    let metadata_id_len = match metadata_id {
        Some(id) => short_len("result metadata id", id.len())?,
        None => 0,
    };
    Ok(id_len + metadata_id_len)
}

#[inline]
fn write_ids(id: &[u8], metadata_id: Option<&[u8]>, out: &mut Writer<'_>) {
    out.put_short_bytes(id);
    if let Some(id) = metadata_id {
        out.put_short_bytes(id);
    }
}
