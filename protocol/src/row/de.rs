//! Reading one row as a Rust type.
//!
//! A row has no length of its own: it is its cells, one after the other. [`Cells`] walks them and
//! knows the column that each belongs to, so that errors can say which.
//!
//! Next: `row/dynamic.rs`.

use crate::error::DeserializeError;
use crate::types::ColumnSpec;
use crate::value::DeserializeValue;
use crate::wire::Reader;

/// A Rust type that a row can be read as: tuples of up to 16 values, and what users derive.
///
/// `'frame` is how long the reply's body and the result's metadata live.
///
/// ```
/// use shardwire_protocol::error::DeserializeError;
/// use shardwire_protocol::row::{Cells, DeserializeRow};
/// use shardwire_protocol::rows::TypedRows;
/// use shardwire_protocol::types::{ColumnSpec, ColumnType};
///
/// #[derive(Debug, PartialEq)]
/// struct Item<'a> {
///     id: i32,
///     name: &'a str,
/// }
///
/// impl<'frame> DeserializeRow<'frame> for Item<'frame> {
///     fn type_check(columns: &[ColumnSpec]) -> Result<(), DeserializeError> {
///         <(i32, &str)>::type_check(columns)
///     }
///
///     fn deserialize(cells: &mut Cells<'frame, '_>) -> Result<Self, DeserializeError> {
///         Ok(Self { id: cells.value()?, name: cells.value()? })
///     }
/// }
///
/// # let column = |name: &str, typ| {
/// #     let (keyspace, table) = ("shop".into(), "items".into());
/// #     ColumnSpec { keyspace, table, name: name.into(), typ }
/// # };
/// let columns = [column("id", ColumnType::Int), column("name", ColumnType::Text)];
/// let cells = b"\0\0\0\x04\0\0\0\x07\0\0\0\x04lamp";
/// let mut rows = TypedRows::<Item>::over(&columns, cells, 1)?;
/// assert_eq!(rows.next(), Some(Ok(Item { id: 7, name: "lamp" })));
/// # Ok::<(), DeserializeError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a row",
    note = "derive `DeserializeRow` for structs; a single column is the tuple `(T,)`"
)]
pub trait DeserializeRow<'frame>: Sized {
    /// Whether rows of these columns can be read as `Self`: once per result, not once per row.
    ///
    /// # Errors
    /// [`DeserializeError::WrongColumnCount`], or [`DeserializeError::Type`] with the index
    /// of the column.
    fn type_check(columns: &[ColumnSpec]) -> Result<(), DeserializeError>;

    /// Identity of the check. Equal keys mean the same outcome of [`type_check`](Self::type_check)
    /// for the same columns, so that it need not be repeated. Never zero.
    #[inline]
    fn type_key() -> usize {
        // Where the linker folds two such functions into one, they do the same.
        (Self::type_check as fn(&[ColumnSpec]) -> Result<(), DeserializeError> as *const ()).addr()
    }

    /// Whether the columns, which passed the check, stand in the order in which `Self` reads them
    /// when it need not look for them: asked once per result, told by [`Cells::are_in_order`].
    ///
    /// Of interest to types that read columns by name. Those that read by position leave it.
    #[inline(always)]
    #[must_use]
    fn is_in_order(_: &[ColumnSpec]) -> bool {
        true
    }

    /// Reads the next row from `cells`. Cells that it leaves are skipped.
    ///
    /// # Errors
    /// Those of the values, with the index of the column; [`DeserializeError::Malformed`] where the
    /// body ends within the row.
    fn deserialize(cells: &mut Cells<'frame, '_>) -> Result<Self, DeserializeError>;

    /// As [`deserialize`](Self::deserialize), without saying what is wrong: `None` where that gives
    /// an error.
    ///
    /// Rows are read with this, and once more with `deserialize` to learn what is wrong: a loop
    /// over rows takes a quarter fewer instructions where no error can pass through it.
    #[inline(always)]
    fn deserialize_sound(cells: &mut Cells<'frame, '_>) -> Option<Self> {
        Self::deserialize(cells).ok()
    }
}

/// The cells of one row, of which the next is read with [`value`](Self::value).
///
/// ```
/// use shardwire_protocol::row::Cells;
/// use shardwire_protocol::types::{ColumnSpec, ColumnType};
/// use shardwire_protocol::wire::Reader;
///
/// # let column = |name: &str, typ| {
/// #     let (keyspace, table) = ("shop".into(), "items".into());
/// #     ColumnSpec { keyspace, table, name: name.into(), typ }
/// # };
/// let columns = [column("id", ColumnType::Int), column("name", ColumnType::Text)];
/// let row = Reader::new(b"\0\0\0\x04\0\0\0\x07\0\0\0\x04lamp");
/// let mut cells = Cells::new(row, &columns);
/// assert_eq!(cells.value(), Ok(7));
/// assert_eq!(cells.value(), Ok("lamp"));
/// assert!(cells.value::<i32>().is_err()); // there are two columns
/// assert!(cells.finish()?.remaining().is_empty());
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cells<'frame, 'meta: 'frame> {
    reader: Reader<'frame>,
    columns: &'meta [ColumnSpec],
    index: usize, // of the next column; at most `columns.len()`
    are_in_order: bool,
}

impl<'frame, 'meta: 'frame> Cells<'frame, 'meta> {
    /// The cells of a row that begins where `reader` is.
    ///
    /// ```
    /// # use shardwire_protocol::row::Cells;
    /// # use shardwire_protocol::wire::Reader;
    /// let cells = Cells::new(Reader::new(b"next row"), &[]); // a row without columns
    /// assert_eq!(cells.finish()?.remaining(), b"next row");
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn new(reader: Reader<'frame>, columns: &'meta [ColumnSpec]) -> Self {
        Self { reader, columns, index: 0, are_in_order: false }
    }

    /// The same cells, with what [`DeserializeRow::is_in_order`] told of the columns.
    ///
    /// ```
    /// # use shardwire_protocol::row::Cells;
    /// # use shardwire_protocol::wire::Reader;
    /// let cells = Cells::new(Reader::new(&[]), &[]);
    /// assert!(!cells.are_in_order());
    /// assert!(cells.with_order(true).are_in_order());
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn with_order(self, are_in_order: bool) -> Self {
        Self { are_in_order, ..self }
    }

    /// Whether [`DeserializeRow::is_in_order`] was asked, and true.
    ///
    /// ```
    /// # use shardwire_protocol::row::Cells;
    /// # use shardwire_protocol::wire::Reader;
    /// assert!(!Cells::new(Reader::new(&[]), &[]).are_in_order());
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn are_in_order(&self) -> bool {
        self.are_in_order
    }

    /// Reads the next cell.
    ///
    /// ```
    /// # use shardwire_protocol::row::Cells;
    /// # use shardwire_protocol::types::{ColumnSpec, ColumnType};
    /// # use shardwire_protocol::wire::Reader;
    /// # let (keyspace, table, name) = ("shop".into(), "items".into(), "id".into());
    /// # let columns = [ColumnSpec { keyspace, table, name, typ: ColumnType::Int }];
    /// let mut cells = Cells::new(Reader::new(&[0xFF; 4]), &columns); // one int, which is null
    /// let error = cells.value::<i32>().unwrap_err();
    /// assert_eq!(error.to_string(), "column 0 is null, which i32 cannot be");
    /// ```
    ///
    /// # Errors
    /// [`DeserializeError::WrongColumnCount`] when the row has no further cell,
    /// [`DeserializeError::Malformed`] where the body ends within the cell, and those of the value.
    #[inline(always)]
    pub fn value<T: DeserializeValue<'frame>>(&mut self) -> Result<T, DeserializeError> {
        let Some(column) = self.columns.get(self.index) else {
            return Err(self.no_column());
        };
        let content = self.reader.bytes("cell")?;
        let index = self.index;
        self.index += 1;
        match T::deserialize(&column.typ, content) {
            Ok(value) => Ok(value),
            Err(error) => Err(error.at_column(index)),
        }
    }

    /// As [`value`](Self::value), without saying what is wrong.
    ///
    /// ```
    /// # use shardwire_protocol::row::Cells;
    /// # use shardwire_protocol::types::{ColumnSpec, ColumnType};
    /// # use shardwire_protocol::wire::Reader;
    /// # let (keyspace, table, name) = ("shop".into(), "items".into(), "id".into());
    /// # let columns = [ColumnSpec { keyspace, table, name, typ: ColumnType::Int }];
    /// let mut cells = Cells::new(Reader::new(&[0, 0, 0, 4, 0, 0, 0, 7]), &columns);
    /// assert_eq!(cells.sound_value(), Some(7));
    /// assert_eq!(cells.sound_value::<i32>(), None);
    /// ```
    #[inline(always)]
    pub fn sound_value<T: DeserializeValue<'frame>>(&mut self) -> Option<T> {
        let column = self.columns.get(self.index)?;
        self.index += 1;
        T::deserialize_sound(&column.typ, &mut self.reader)
    }

    /// The column that [`value`](Self::value) reads next; `None` behind the last one.
    ///
    /// ```
    /// # use shardwire_protocol::row::Cells;
    /// # use shardwire_protocol::types::{ColumnSpec, ColumnType};
    /// # use shardwire_protocol::wire::Reader;
    /// # let (keyspace, table, name) = ("shop".into(), "items".into(), "id".into());
    /// # let columns = [ColumnSpec { keyspace, table, name, typ: ColumnType::Int }];
    /// let mut cells = Cells::new(Reader::new(&[0, 0, 0, 4, 0, 0, 0, 7]), &columns);
    /// assert!(cells.next_column().is_some_and(|column| column.name == "id"));
    /// cells.skip()?;
    /// assert!(cells.next_column().is_none());
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn next_column(&self) -> Option<&'meta ColumnSpec> {
        self.columns.get(self.index)
    }

    /// Whether at least that many bytes of the body are left: a row with fewer than its values take
    /// is found with one comparison.
    ///
    /// ```
    /// # use shardwire_protocol::row::Cells;
    /// # use shardwire_protocol::wire::Reader;
    /// let cells = Cells::new(Reader::new(&[0; 8]), &[]);
    /// assert!(cells.has_bytes(8) && !cells.has_bytes(9));
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn has_bytes(&self, len: usize) -> bool {
        self.reader.remaining().len() >= len
    }

    /// Passes over the next cell.
    ///
    /// ```
    /// # use shardwire_protocol::row::Cells;
    /// # use shardwire_protocol::types::{ColumnSpec, ColumnType};
    /// # use shardwire_protocol::wire::Reader;
    /// # let (keyspace, table, name) = ("shop".into(), "items".into(), "id".into());
    /// # let columns = [ColumnSpec { keyspace, table, name, typ: ColumnType::Int }];
    /// let mut cells = Cells::new(Reader::new(&[0, 0, 0, 4, 0, 0, 0, 7]), &columns);
    /// cells.skip()?;
    /// assert_eq!(cells.index(), 1);
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    ///
    /// # Errors
    /// [`DeserializeError::WrongColumnCount`] when the row has no further cell, and
    /// [`DeserializeError::Malformed`] where the body ends within the cell.
    #[inline]
    pub fn skip(&mut self) -> Result<(), DeserializeError> {
        if self.index >= self.columns.len() {
            return Err(self.no_column()); // what follows is another row's
        }
        self.reader.bytes("cell")?;
        self.index += 1;
        Ok(())
    }

    /// The columns of the row, read or not.
    ///
    /// ```
    /// # use shardwire_protocol::row::Cells;
    /// # use shardwire_protocol::types::{ColumnSpec, ColumnType};
    /// # use shardwire_protocol::wire::Reader;
    /// # let (keyspace, table, name) = ("shop".into(), "items".into(), "id".into());
    /// # let columns = [ColumnSpec { keyspace, table, name, typ: ColumnType::Int }];
    /// assert_eq!(Cells::new(Reader::new(&[]), &columns).columns(), columns);
    /// ```
    #[must_use]
    pub fn columns(&self) -> &'meta [ColumnSpec] {
        self.columns
    }

    /// Index of the column that [`value`](Self::value) reads next.
    ///
    /// ```
    /// # use shardwire_protocol::row::Cells;
    /// # use shardwire_protocol::wire::Reader;
    /// assert_eq!(Cells::new(Reader::new(&[]), &[]).index(), 0);
    /// ```
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Skips the cells not read and stands where the next row begins.
    ///
    /// ```
    /// # use shardwire_protocol::row::Cells;
    /// # use shardwire_protocol::types::{ColumnSpec, ColumnType};
    /// # use shardwire_protocol::wire::Reader;
    /// # let (keyspace, table, name) = ("shop".into(), "items".into(), "id".into());
    /// # let columns = [ColumnSpec { keyspace, table, name, typ: ColumnType::Int }];
    /// let cells = Cells::new(Reader::new(b"\0\0\0\x04\0\0\0\x07next row"), &columns);
    /// assert_eq!(cells.finish()?.remaining(), b"next row");
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    ///
    /// # Errors
    /// [`DeserializeError::Malformed`] where the body ends within the row.
    #[inline(always)]
    pub fn finish(mut self) -> Result<Reader<'frame>, DeserializeError> {
        while self.index < self.columns.len() {
            self.reader.bytes("cell")?;
            self.index += 1;
        }
        Ok(self.reader)
    }

    #[cold]
    fn no_column(&self) -> DeserializeError {
        DeserializeError::wrong_column_count(self.index.saturating_add(1), self.columns.len())
    }
}

/// Closed table: one line per number of columns.
macro_rules! tuples {
    ($($($value:ident)+;)*) => {$(
        impl<'frame, $($value: DeserializeValue<'frame>),+> DeserializeRow<'frame>
            for ($($value,)+)
        {
            fn type_check(columns: &[ColumnSpec]) -> Result<(), DeserializeError> {
                const COUNT: usize = [$(stringify!($value)),+].len();
                if columns.len() != COUNT {
                    return Err(DeserializeError::wrong_column_count(COUNT, columns.len()));
                }
                let mut columns = columns.iter().enumerate();
                $(if let Some((index, column)) = columns.next() {
                    $value::type_check(&column.typ)
                        .map_err(|mismatch| mismatch.at_column(index))?;
                })+
                Ok(())
            }

            #[inline(always)]
            fn deserialize(cells: &mut Cells<'frame, '_>) -> Result<Self, DeserializeError> {
                Ok(($(cells.value::<$value>()?,)+))
            }

            #[inline(always)]
            fn deserialize_sound(cells: &mut Cells<'frame, '_>) -> Option<Self> {
                // No less can hold a row of these: one comparison, which the compiler then knows
                // the outcome of some later ones from.
                if !cells.has_bytes(const { 0 $(+ $value::CELL_LEN_MIN)+ }) {
                    return None;
                }
                Some(($(cells.sound_value::<$value>()?,)+))
            }
        }
    )*};
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
    A B C D E F G H I J K;
    A B C D E F G H I J K L;
    A B C D E F G H I J K L M;
    A B C D E F G H I J K L M N;
    A B C D E F G H I J K L M N O;
    A B C D E F G H I J K L M N O P;
}
