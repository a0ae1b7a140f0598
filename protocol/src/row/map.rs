//! Bound values by name: maps from the names of markers to values.
//!
//! Looked up by each request, since no two maps need have the same names; where names are known
//! when compiling, tuples and derived types are the fast way.
//!
//! Next: `routing/mod.rs`.

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};
use std::collections::{BTreeMap, HashMap};

use super::SerializeRow;
use crate::error::SerializeError;
use crate::routing::KeySink;
use crate::types::{ColumnSpec, name_hash};
use crate::value::SerializeValue;
use crate::wire::Writer;

/// Closed table: the maps, and what their keys must be.
macro_rules! map {
    ($([$($param:tt)*] $rust:ty;)*) => {$(
        /// Each marker takes the value of its name, and each name must be a marker's. A statement
        /// that has several markers of one name cannot be bound by name.
        impl<$($param)*> SerializeRow for $rust {
            fn type_check(&self, columns: &[ColumnSpec]) -> Result<(), SerializeError> {
                if self.len() != columns.len() {
                    return Err(SerializeError::wrong_value_count(columns.len(), self.len()));
                }
                for (index, column) in columns.iter().enumerate() {
                    if !self.contains_key(column.name.as_str()) {
                        return Err(no_value(index));
                    }
                    V::type_check(&column.typ)
                        .map_err(|mismatch| SerializeError::Type(mismatch.at_column(index)))?;
                }
                // As many names as markers, and each marker has one: a name is left over only where
                // two markers share theirs. Sums tell that without comparing each with each.
                let given = sum(self.keys().map(|name| name_hash(name.borrow())));
                if given != sum(columns.iter().map(|column| column.name.hash())) {
                    let what = "several markers have one name, so that none can be bound by it";
                    return Err(SerializeError::bad_value(what));
                }
                Ok(())
            }

            /// None: the names are not part of the type.
            fn type_key(&self) -> Option<usize> {
                None
            }

            fn value_count(&self) -> usize {
                self.len()
            }

            fn values_len(&self, columns: &[ColumnSpec]) -> Result<usize, SerializeError> {
                if self.len() != columns.len() {
                    return Err(SerializeError::wrong_value_count(columns.len(), self.len()));
                }
                let mut len = 0_usize;
                for (index, column) in columns.iter().enumerate() {
                    let value =
                        self.get(column.name.as_str()).ok_or_else(|| no_value(index))?;
                    let value_len =
                        value.value_len(&column.typ).map_err(|error| error.at_column(index))?;
                    len = len.saturating_add(value_len.encoded_len());
                }
                Ok(len)
            }

            fn write_values(&self, columns: &[ColumnSpec], out: &mut Writer<'_>) {
                for column in columns {
                    match self.get(column.name.as_str()) {
                        Some(value) => value.write_value(&column.typ, out),
                        None => out.set_fault(), // measuring it gave an error
                    }
                }
            }

            fn hash_column(
                &self,
                index: usize,
                columns: &[ColumnSpec],
                sink: &mut KeySink<'_>,
            ) -> Result<(), SerializeError> {
                let Some(column) = columns.get(index) else {
                    let count = index.saturating_add(1);
                    return Err(SerializeError::wrong_value_count(count, columns.len()));
                };
                let value = self.get(column.name.as_str()).ok_or_else(|| no_value(index))?;
                sink.column(value, &column.typ).map_err(|error| error.at_column(index))
            }
        }
    )*};
}

map! {
    [K: Borrow<str> + Eq + Hash, V: SerializeValue, S: BuildHasher] HashMap<K, V, S>;
    [K: Borrow<str> + Ord, V: SerializeValue] BTreeMap<K, V>;
}

#[cold]
fn no_value(index: usize) -> SerializeError {
    SerializeError::NoValueForMarker { column: 0 }.at_column(index)
}

fn sum(hashes: impl Iterator<Item = u64>) -> u64 {
    hashes.fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{Partitioner, token_of_row};
    use crate::types::ColumnType;
    use crate::value::CqlValue;

    fn columns(columns: &[(&str, ColumnType)]) -> Vec<ColumnSpec> {
        let spec = |(name, typ): &(&str, ColumnType)| {
            let (keyspace, table, typ) = ("k".into(), "t".into(), typ.clone());
            ColumnSpec { keyspace, table, name: (*name).into(), typ }
        };
        columns.iter().map(spec).collect()
    }

    fn encode(row: &impl SerializeRow, columns: &[ColumnSpec]) -> Result<Vec<u8>, SerializeError> {
        row.type_check(columns)?;
        assert_eq!(row.value_count(), columns.len());
        let mut out = vec![0; row.values_len(columns)?];
        let mut writer = Writer::new(&mut out);
        row.write_values(columns, &mut writer);
        writer.finish()?;
        Ok(out)
    }

    #[test]
    fn values_go_to_the_markers_of_their_names() {
        let columns = columns(&[("b", ColumnType::Int), ("a", ColumnType::Text)]);
        let values = [("a", CqlValue::from("x")), ("b", 7.into())];
        let tuple = encode(&(7, "x"), &columns);
        assert_eq!(encode(&HashMap::from(values.clone()), &columns), tuple);
        assert_eq!(encode(&BTreeMap::from(values.clone()), &columns), tuple);
        let owned = values.map(|(name, value)| (name.to_owned(), Some(value)));
        let owned = HashMap::<String, _>::from(owned);
        assert_eq!(encode(&&owned, &columns), tuple);
        let token = token_of_row(&owned, &[0, 1], &columns, Partitioner::Murmur3);
        assert_eq!(token, token_of_row(&(7, "x"), &[0, 1], &columns, Partitioner::Murmur3));
        assert!(token_of_row(&owned, &[2], &columns, Partitioner::Murmur3).is_err());
        assert_eq!(owned.type_key(), None);
    }

    #[test]
    fn names_and_markers_must_agree() {
        #[track_caller]
        fn refused(names: &[&str], markers: &[&str], expected: &str) {
            let columns: Vec<_> = markers.iter().map(|name| (*name, ColumnType::Int)).collect();
            let row: BTreeMap<_, _> = names.iter().map(|name| (*name, 1)).collect();
            let error = encode(&row, &self::columns(&columns)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        refused(&["a"], &["a", "b"], "1 values given for 2");
        refused(&["a", "b", "c"], &["a", "b"], "3 values given for 2");
        refused(&["a", "c"], &["a", "b"], "column 1: the row has no value");
        refused(&["a", "A"], &["a", "b"], "column 1: the row has no value");
        refused(&["a", "b"], &["a", "a"], "several markers");
        refused(&["a"], &["a", "a"], "1 values given for 2");
        refused(&["a"], &[], "1 values given for 0");
        let row = BTreeMap::from([("a", 1)]);
        assert!(row.values_len(&[]).is_err());
        let other = columns(&[("b", ColumnType::Int)]);
        assert!(row.values_len(&other).is_err());
        let mut out = [0; 8];
        let mut writer = Writer::new(&mut out);
        row.write_values(&other, &mut writer);
        assert!(writer.finish().is_err());
        let text = columns(&[("a", ColumnType::Text)]);
        assert!(matches!(row.type_check(&text), Err(SerializeError::Type(_))));
        let dynamic = BTreeMap::from([("a", CqlValue::from(1))]);
        assert_eq!(dynamic.type_check(&text), Ok(()));
        let error = dynamic.values_len(&text).unwrap_err();
        assert_eq!(error.to_string(), "column 0: CqlValue::Int does not fit text");
    }
}
