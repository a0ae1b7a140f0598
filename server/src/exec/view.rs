//! Rows of a materialized view, made of its base table's when they are read.

use super::restrict::RowValues;
use crate::schema::{Column, Table};
use crate::store::{PartitionKey, Range, Seen, Stamp, TableData, View};

/// The view's rows as they are now. Every row of the base table is looked at.
pub(crate) fn view_data(view: &Table, base: &Table, seen: &Seen, now_s: i64) -> TableData {
    let mut data = TableData::default();
    let rows = base.data.borrow();
    let all = Range::all();
    for (_, partition) in View::new(&rows, seen).from(&PartitionKey::first()) {
        for (_, row) in partition.range(&all, now_s) {
            let values = RowValues { partition: &partition.key, row: Some(row), statics: None };
            // A row that lacks a part of the view's key is not in it.
            let key = |columns: &[Column]| -> Option<Vec<Vec<u8>>> {
                let value = |column: &Column| {
                    let (_, of_base) = base.column(&column.name).ok()?;
                    values.value(of_base).map(std::borrow::Cow::into_owned)
                };
                columns.iter().map(value).collect()
            };
            let (Some(partition_key), Some(clustering)) =
                (key(view.partition_key()), key(view.clustering()))
            else {
                continue;
            };
            let copy = data.partition(partition_key).row(view.row_key(&clustering), clustering);
            copy.mark(Stamp { at: 0, expires: None });
            for column in view.regular() {
                copy.copy_column(column.id, row);
            }
        }
    }
    drop(rows);
    data
}
