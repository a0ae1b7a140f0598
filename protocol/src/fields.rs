//! Structs as rows and as user-defined types: what derived types are made of.
//!
//! A derived type lists its fields here ([`SerializeFields`], [`DeserializeFields`]), and all else
//! is done by what these traits provide: finding a column or field by its name, checking its
//! type, and taking everything by position where the order is the struct's. Names are compared
//! when types are checked, once per statement; afterwards only their hashes are.
//!
//! Next: `fields/ser.rs`.

use crate::error::{DeserializeError, TypeMismatch};
use crate::types::{ColumnType, Name, name_hash};

mod de;
mod ser;

pub use de::{CellSource, DeserializeFields, DeserializeRowFields, DeserializeUdtFields};
pub use ser::{FieldVisitor, SerializeFields, SerializeRowFields, SerializeUdtFields};

/// Fields as the columns of a row, or its bind markers.
///
/// ```
/// use shardwire_protocol::fields::{AsRow, SerializeFields};
/// use shardwire_protocol::row::SerializeRow;
///
/// #[derive(SerializeRow)]
/// #[shardwire(crate = shardwire_protocol)]
/// struct Item {
///     id: i64,
///     name: String,
/// }
///
/// assert_eq!(<Item as SerializeFields<AsRow>>::COUNT, 2);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum AsRow {}

/// Fields as those of a user-defined type.
///
/// ```
/// use shardwire_protocol::fields::{AsUdt, SerializeFields};
/// use shardwire_protocol::value::SerializeValue;
///
/// #[derive(SerializeValue)]
/// #[shardwire(crate = shardwire_protocol)]
/// struct Address {
///     street: String,
/// }
///
/// assert_eq!(<Address as SerializeFields<AsUdt>>::COUNT, 1);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum AsUdt {}

/// How fields find their columns: `flavor` and `skip_name_checks` of a derived type.
///
/// ```
/// use shardwire_protocol::fields::{AsRow, Matching, SerializeFields};
/// use shardwire_protocol::row::SerializeRow;
///
/// #[derive(SerializeRow)]
/// #[shardwire(crate = shardwire_protocol, flavor = "enforce_order", skip_name_checks)]
/// struct Item {
///     id: i64,
/// }
///
/// assert_eq!(<Item as SerializeFields<AsRow>>::MATCHING, Matching::InOrderUnnamed);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Matching {
    /// By name, in any order.
    ByName,
    /// By position; the names must agree.
    InOrder,
    /// By position, whatever the names are.
    InOrderUnnamed,
}

/// What a field's column is called, with the hash of it.
///
/// ```
/// use shardwire_protocol::fields::FieldName;
/// use shardwire_protocol::types::Name;
///
/// const TITLE: FieldName = FieldName::new("title");
/// assert!(TITLE.is_hashed_as(&Name::from("title")));
/// assert_eq!(TITLE.no_column().to_string(), "the result has no column for field title");
/// assert_eq!((TITLE.text(), TITLE.hash()), ("title", Name::from("title").hash()));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FieldName {
    text: &'static str,
    hash: u64,
}

impl FieldName {
    /// The name `text`.
    ///
    /// ```
    /// # use shardwire_protocol::fields::FieldName;
    /// const TITLE: FieldName = FieldName::new("title");
    /// assert_eq!(TITLE, FieldName::new("title"));
    /// ```
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self { text, hash: name_hash(text) }
    }

    /// The name.
    ///
    /// ```
    /// # use shardwire_protocol::fields::FieldName;
    /// assert_eq!(FieldName::new("id").text(), "id");
    /// ```
    #[inline(always)]
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.text
    }

    /// [`name_hash`] of the name.
    ///
    /// ```
    /// # use shardwire_protocol::fields::FieldName;
    /// # use shardwire_protocol::types::name_hash;
    /// assert_eq!(FieldName::new("id").hash(), name_hash("id"));
    /// ```
    #[inline(always)]
    #[must_use]
    pub const fn hash(self) -> u64 {
        self.hash
    }

    /// The error for a row without a column of this name.
    ///
    /// ```
    /// # use shardwire_protocol::fields::FieldName;
    /// let error = FieldName::new("id").no_column();
    /// assert_eq!(error.to_string(), "the result has no column for field id");
    /// ```
    #[cold]
    #[must_use]
    pub const fn no_column(self) -> DeserializeError {
        DeserializeError::NoColumnForField { field: self.text }
    }

    /// Whether `name` has the hash of this one, which is the same name if the types were checked.
    ///
    /// ```
    /// # use shardwire_protocol::fields::FieldName;
    /// assert!(!FieldName::new("id").is_hashed_as(&"ID".into()));
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn is_hashed_as(self, name: &Name) -> bool {
        self.hash == name.hash()
    }
}

/// A field, as far as it is known without a value.
///
/// ```
/// use shardwire_protocol::fields::{FieldName, FieldType};
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::SerializeValue;
///
/// let name = FieldName::new("id");
/// let field = FieldType { name, type_check: i64::type_check, may_be_missing: false };
/// assert!((field.type_check)(&ColumnType::Int).is_err());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FieldType {
    /// What its column is called.
    pub name: FieldName,
    /// Whether a column type fits it.
    pub type_check: fn(&ColumnType) -> Result<(), TypeMismatch>,
    /// Whether it takes its default where there is no such column.
    pub may_be_missing: bool,
}

/// A name that stands among those of a result or a type.
trait Named {
    fn name(&self) -> &Name;
    fn typ(&self) -> &ColumnType;
}

impl Named for crate::types::ColumnSpec {
    fn name(&self) -> &Name {
        &self.name
    }

    fn typ(&self) -> &ColumnType {
        &self.typ
    }
}

impl Named for (Name, ColumnType) {
    fn name(&self) -> &Name {
        &self.0
    }

    fn typ(&self) -> &ColumnType {
        &self.1
    }
}

/// What is wrong with columns or fields, before either kind of error is made of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    /// No column for this field.
    Missing(FieldName),
    /// No field for the column at this index.
    Excess(usize),
    /// Another column than the field's at this index.
    Order(FieldName, usize),
    /// Another number of columns, where only that counts.
    Count { fields: usize, columns: usize },
    /// The column at this index is of a type that does not fit the field.
    Type(FieldName, usize, TypeMismatch),
}

/// What [`visit_types`](SerializeFields::visit_types) calls, for both directions.
type Visit<'v> = &'v mut dyn FnMut(FieldType) -> Result<(), Fault>;

/// Whether the columns fit the fields that `visit_types` gives. `allow_excess`: columns without a
/// field are no fault, behind the last field where the order counts.
fn check(
    matching: Matching,
    allow_excess: bool,
    columns: &[impl Named],
    visit_types: impl Fn(Visit<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    match matching {
        Matching::ByName => check_by_name(allow_excess, columns, visit_types),
        Matching::InOrder => check_in_order(allow_excess, columns, visit_types),
        Matching::InOrderUnnamed => check_unnamed(allow_excess, columns, visit_types),
    }
}

fn check_by_name(
    allow_excess: bool,
    columns: &[impl Named],
    visit_types: impl Fn(Visit<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    // Each field has one column, and no other column has the hash of its name: from then on hashes
    // are enough.
    let mut count = 0_usize;
    visit_types(&mut |field| {
        let mut found = false;
        for (index, column) in columns.iter().enumerate() {
            if !field.name.is_hashed_as(column.name()) {
                continue;
            }
            if found || column.name() != field.name.text() {
                return Err(Fault::Excess(index));
            }
            found = true;
            count += 1;
            (field.type_check)(column.typ())
                .map_err(|mismatch| Fault::Type(field.name, index, mismatch))?;
        }
        if found || field.may_be_missing { Ok(()) } else { Err(Fault::Missing(field.name)) }
    })?;
    if allow_excess || count == columns.len() {
        return Ok(());
    }
    for (index, column) in columns.iter().enumerate() {
        let mut found = false;
        visit_types(&mut |field| {
            found |= field.name.is_hashed_as(column.name());
            Ok(())
        })?;
        if !found {
            return Err(Fault::Excess(index));
        }
    }
    Ok(())
}

fn check_in_order(
    allow_excess: bool,
    columns: &[impl Named],
    visit_types: impl Fn(Visit<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut rest = columns.iter().enumerate().peekable();
    visit_types(&mut |field| {
        // A hash that is another name's would be taken for the field's when it may be missing.
        match rest.peek() {
            Some((index, column)) if field.name.is_hashed_as(column.name()) => {
                let index = *index;
                if column.name() != field.name.text() {
                    return Err(Fault::Order(field.name, index));
                }
                let checked = (field.type_check)(column.typ());
                rest.next();
                checked.map_err(|mismatch| Fault::Type(field.name, index, mismatch))
            }
            _ if field.may_be_missing => Ok(()),
            Some((index, _)) => Err(Fault::Order(field.name, *index)),
            None => Err(Fault::Missing(field.name)),
        }
    })?;
    match rest.next() {
        Some((index, _)) if !allow_excess => Err(Fault::Excess(index)),
        _ => Ok(()),
    }
}

fn check_unnamed(
    allow_excess: bool,
    columns: &[impl Named],
    visit_types: impl Fn(Visit<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut fields = 0_usize;
    let mut rest = columns.iter().enumerate();
    visit_types(&mut |field| {
        fields += 1;
        match rest.next() {
            Some((index, column)) => (field.type_check)(column.typ())
                .map_err(|mismatch| Fault::Type(field.name, index, mismatch)),
            None => Ok(()), // their number is at fault, told below
        }
    })?;
    let is_right = if allow_excess { fields <= columns.len() } else { fields == columns.len() };
    if is_right { Ok(()) } else { Err(Fault::Count { fields, columns: columns.len() }) }
}

/// What is wrong with the fields of the user-defined type `typ`, for the Rust type `T`.
#[cold]
fn udt_mismatch<T: ?Sized>(fault: Fault, typ: &ColumnType) -> TypeMismatch {
    use crate::error::MismatchReason::{ExcessField, FieldOrder, NoSuchField};
    let whole = TypeMismatch::of::<T>(typ);
    match fault {
        Fault::Missing(field) => whole.because(NoSuchField).at_field(field.text()),
        Fault::Excess(index) => whole.because(ExcessField(crate::error::column_index(index))),
        Fault::Order(field, _) => whole.because(FieldOrder).at_field(field.text()),
        Fault::Count { fields, columns } if fields < columns => {
            whole.because(ExcessField(crate::error::column_index(fields)))
        }
        Fault::Count { .. } => whole.because(NoSuchField),
        Fault::Type(field, _, mismatch) => mismatch.at_field(field.text()),
    }
}

#[cfg(test)]
mod tests;
