//! The values of a batch: rows of one type or of several, asked for one by one or all at once.
//!
//! What is done with a row is a visitor, for rows of a tuple have different types.

use shardwire_protocol::row::SerializeRow;

/// The values of a batch: one row per statement.
///
/// Implemented for slices, arrays and vectors of rows, and for tuples of rows of different types.
///
/// ```
/// use shardwire::BatchValues;
///
/// let of_one_type = vec![(1_i64, "lamp"), (2, "table")];
/// assert_eq!(BatchValues::len(&of_one_type), 2);
/// let of_several = ((1_i64, "lamp"), (2_i64,), ());
/// assert_eq!(of_several.len(), 3);
/// ```
pub trait BatchValues {
    /// How many rows there are.
    ///
    /// ```
    /// use shardwire::BatchValues;
    ///
    /// assert_eq!(((1_i64,), (2_i64, "lamp")).len(), 2);
    /// ```
    fn len(&self) -> usize;

    /// Calls `visit` with the row at `index`; `None` if there is none.
    ///
    /// ```
    /// use shardwire::{BatchValues, RowVisitor, SerializeRow};
    ///
    /// struct Count;
    ///
    /// impl RowVisitor for Count {
    ///     type Output = usize;
    ///
    ///     fn visit<R: SerializeRow + ?Sized>(self, row: &R) -> usize {
    ///         row.value_count()
    ///     }
    /// }
    ///
    /// let rows = ((1_i64,), (2_i64, "lamp"));
    /// assert_eq!(rows.with_row(1, Count), Some(2));
    /// assert_eq!(rows.with_row(2, Count), None);
    /// ```
    fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output>;

    /// Calls `visit` with all rows, where they are of one type and lie one after the other; `None`
    /// where they do not. They are then asked for one by one, which costs more and does the same.
    ///
    /// ```
    /// use shardwire::{BatchValues, RowsVisitor, SerializeRow};
    ///
    /// struct Count;
    ///
    /// impl RowsVisitor for Count {
    ///     type Output = usize;
    ///
    ///     fn visit<R: SerializeRow>(self, rows: &[R]) -> usize {
    ///         rows.iter().map(|row| row.value_count()).sum()
    ///     }
    /// }
    ///
    /// assert_eq!([(1_i64, "lamp"), (2, "table")].with_rows(Count), Some(4));
    /// assert_eq!(((1_i64, "lamp"), (2_i64,)).with_rows(Count), None);
    /// ```
    #[inline]
    fn with_rows<V: RowsVisitor>(&self, visit: V) -> Option<V::Output> {
        let _ = visit;
        None
    }

    /// Whether there are none.
    ///
    /// ```
    /// use shardwire::BatchValues;
    ///
    /// let rows: Vec<(i64,)> = Vec::new();
    /// assert!(BatchValues::is_empty(&rows));
    /// ```
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Something to be done with all rows at once; see [`BatchValues::with_rows`].
///
/// ```
/// use shardwire::{BatchValues, RowsVisitor, SerializeRow};
///
/// /// Whether all rows can be bound to a statement with so many markers.
/// struct Fits(usize);
///
/// impl RowsVisitor for Fits {
///     type Output = bool;
///
///     fn visit<R: SerializeRow>(self, rows: &[R]) -> bool {
///         rows.iter().all(|row| row.value_count() == self.0)
///     }
/// }
///
/// assert_eq!([(1_i64, "lamp")].with_rows(Fits(2)), Some(true));
/// ```
pub trait RowsVisitor {
    /// What it comes to.
    type Output;

    /// Does it.
    fn visit<R: SerializeRow>(self, rows: &[R]) -> Self::Output;
}

/// Something to be done with a row of any type; see [`BatchValues::with_row`].
///
/// ```
/// use shardwire::{BatchValues, RowVisitor, SerializeRow};
///
/// /// Whether a row can be bound to a statement with so many markers.
/// struct Fits(usize);
///
/// impl RowVisitor for Fits {
///     type Output = bool;
///
///     fn visit<R: SerializeRow + ?Sized>(self, row: &R) -> bool {
///         row.value_count() == self.0
///     }
/// }
///
/// assert_eq!(((1_i64, "lamp"), ()).with_row(1, Fits(0)), Some(true));
/// ```
pub trait RowVisitor {
    /// What it comes to.
    type Output;

    /// Does it.
    fn visit<R: SerializeRow + ?Sized>(self, row: &R) -> Self::Output;
}

impl<R: SerializeRow> BatchValues for [R] {
    #[inline]
    fn len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output> {
        self.get(index).map(|row| visit.visit(row))
    }

    #[inline]
    fn with_rows<V: RowsVisitor>(&self, visit: V) -> Option<V::Output> {
        Some(visit.visit(self))
    }
}

impl<R: SerializeRow> BatchValues for Vec<R> {
    #[inline]
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    #[inline]
    fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output> {
        self.as_slice().with_row(index, visit)
    }

    #[inline]
    fn with_rows<V: RowsVisitor>(&self, visit: V) -> Option<V::Output> {
        self.as_slice().with_rows(visit)
    }
}

impl<R: SerializeRow, const N: usize> BatchValues for [R; N] {
    #[inline]
    fn len(&self) -> usize {
        N
    }

    #[inline]
    fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output> {
        self.as_slice().with_row(index, visit)
    }

    #[inline]
    fn with_rows<V: RowsVisitor>(&self, visit: V) -> Option<V::Output> {
        self.as_slice().with_rows(visit)
    }
}

impl<B: BatchValues + ?Sized> BatchValues for &B {
    #[inline]
    fn len(&self) -> usize {
        (**self).len()
    }

    #[inline]
    fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output> {
        (**self).with_row(index, visit)
    }

    #[inline]
    fn with_rows<V: RowsVisitor>(&self, visit: V) -> Option<V::Output> {
        (**self).with_rows(visit)
    }
}

macro_rules! tuple_batch_values {
    ($count:literal: $($row:ident $index:tt),+) => {
        impl<$($row: SerializeRow),+> BatchValues for ($($row,)+) {
            fn len(&self) -> usize {
                $count
            }

            fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output> {
                match index {
                    $($index => Some(visit.visit(&self.$index)),)+
                    _ => None,
                }
            }
        }
    };
}

tuple_batch_values!(1: A 0);
tuple_batch_values!(2: A 0, B 1);
tuple_batch_values!(3: A 0, B 1, C 2);
tuple_batch_values!(4: A 0, B 1, C 2, D 3);
tuple_batch_values!(5: A 0, B 1, C 2, D 3, E 4);
tuple_batch_values!(6: A 0, B 1, C 2, D 3, E 4, F 5);
tuple_batch_values!(7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_batch_values!(8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple_batch_values!(9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple_batch_values!(10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple_batch_values!(11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple_batch_values!(12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
