//! Tests of rows: golden bytes, truncation at every byte, hostile counts, garbage.

use std::sync::Arc;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::error::TypeMismatch;
use crate::header::Version;
use crate::response::tests::{Build, build};
use crate::types::{ColumnType, name_hash};
use crate::value::{DeserializeValue, RawValue};

/// What an application reads.
type Row<'a> = (i64, i32, &'a str, Option<&'a [u8]>);

fn columns(types: &[ColumnType]) -> Vec<ColumnSpec> {
    let name: Arc<str> = "n".into();
    let column = |typ: &ColumnType| ColumnSpec {
        keyspace: name.clone(),
        table: name.clone(),
        name: "c".into(),
        typ: typ.clone(),
    };
    types.iter().map(column).collect()
}

fn four_columns() -> Vec<ColumnSpec> {
    columns(&[ColumnType::Bigint, ColumnType::Int, ColumnType::Text, ColumnType::Blob])
}

fn cells(body: Build, key: u8) -> Build {
    body.bytes(&[0, 0, 0, 0, 0, 0, 0, key]).bytes(&[0, 0, 1, key]).bytes(b"text").u32(u32::MAX)
}

/// Two rows, columns left out.
fn skipped() -> Build {
    cells(cells(build().u32(4).u32(4).u32(2), 1), 2)
}

fn specs(body: Build) -> Build {
    let body = body.string("ks").string("t").string("a").u16(2).string("b").u16(9);
    body.string("c").u16(0x0D).string("d").u16(3)
}

/// Two rows, columns sent along, and a next page.
fn present() -> Build {
    cells(cells(specs(build().u32(3).u32(4).bytes(&[9, 9])).u32(2), 1), 2)
}

fn parse<'a>(body: &'a Build, known: Option<&ResultMetadata>) -> Result<RowsBody<'a>, Malformed> {
    // With ids of metadata, so that what comes with them is read.
    RowsBody::parse(Reader::new(&body.0), &Agreed::on(Version::V5), known)
}

fn metadata(body: &Build) -> ResultMetadata {
    match parse(body, None).unwrap().metadata {
        RowsMetadata::Present { raw } => ResultMetadata::parse(&raw).unwrap(),
        RowsMetadata::Skipped => panic!("no columns"),
    }
}

#[track_caller]
fn check(body: &Build, columns: &[ColumnSpec], expected: Expect) {
    let rows = parse(body, None).unwrap();
    let mut typed = rows.rows::<Row<'_>>(columns).unwrap();
    let mut lines = String::new();
    for left in (0..typed.len()).rev() {
        match typed.next().unwrap() {
            Ok(row) => lines += &format!("{row:?}\n"),
            Err(error) => {
                lines += &format!("{error}\n");
                break;
            }
        }
        assert_eq!(typed.len(), left);
    }
    assert_eq!(typed.len(), 0);
    assert!(typed.next().is_none());
    expected.assert_eq(&lines);
}

#[test]
fn reads_rows_in_place() {
    let expected = || {
        expect![[r#"
            (1, 257, "text", None)
            (2, 258, "text", None)
        "#]]
    };
    check(&skipped(), &four_columns(), expected());
    check(&present(), &metadata(&present()).columns, expected());
    check(&present().raw(&[1, 2, 3]), &four_columns(), expected());

    let body = present();
    let rows = parse(&body, None).unwrap();
    assert_eq!(rows.paging_state, Some(&[9, 9][..]));
    assert!(rows.has_more_pages());
    assert_eq!(rows.cells().len(), 2 * (12 + 8 + 8 + 4));
    let columns = four_columns();
    let (_, _, text, _) = rows.rows::<Row<'_>>(&columns).unwrap().next().unwrap().unwrap();
    assert!(body.0.as_ptr_range().contains(&text.as_ptr()), "borrowed from the body");
}

#[test]
fn known_columns_are_recognised_by_their_bytes() {
    let body = present();
    let known = metadata(&body);
    let rows = parse(&body, Some(&known)).unwrap();
    let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
    assert!(known.matches(&raw));
    assert_eq!(rows.rows_count, 2);
    check(
        &body,
        &known.columns,
        expect![[r#"
        (1, 257, "text", None)
        (2, 258, "text", None)
    "#]],
    );
    // Others are walked over, and do not match.
    let other = Build(body.0.iter().map(|byte| if *byte == b'd' { b'e' } else { *byte }).collect());
    let rows = parse(&other, Some(&known)).unwrap();
    let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
    assert!(!known.matches(&raw));
    assert_eq!(raw.count(), 4);
    assert_eq!(rows.rows_count, 2);
}

/// Equal bytes with another count or layout are other columns.
#[test]
fn known_columns_of_another_count_or_layout_are_not_recognised() {
    let one = build().u32(1).u32(1).string("ks").string("t").string("a").u16(2).u32(0);
    let known = metadata(&one);
    let two =
        build().u32(1).u32(2).string("ks").string("t").string("a").u16(2).string("b").u16(9).u32(0);
    let rows = parse(&two, Some(&known)).unwrap();
    let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
    assert_eq!((raw.count(), known.matches(&raw)), (2, false));
    assert_eq!(metadata(&two).columns.len(), 2);

    let mut each = one.clone();
    each.0[3] = 0; // flags: the table with each column; the same bytes for a single one
    let rows = parse(&each, Some(&known)).unwrap();
    let RowsMetadata::Present { raw } = rows.metadata else { panic!("no columns") };
    assert!(!known.matches(&raw));
    assert_eq!(metadata(&each).columns, known.columns);
}

#[test]
fn cut_anywhere_is_an_error() {
    let known = metadata(&present());
    for body in [skipped(), present()] {
        for len in 0..body.0.len() {
            let cut = Build(body.0[..len].to_vec());
            for known in [None, Some(&known)] {
                let Ok(rows) = parse(&cut, known) else { continue };
                // The count was still possible: the rows themselves are cut short, once.
                let typed: Vec<_> =
                    rows.rows_of_checked_type::<Row<'_>>(known_columns()).unwrap().collect();
                assert!(typed.len() <= 2);
                assert_eq!(typed.iter().filter(|row| row.is_err()).count(), 1, "cut to {len}");
                assert!(typed.last().unwrap().is_err());
            }
        }
    }
}

fn known_columns() -> &'static [ColumnSpec] {
    static COLUMNS: std::sync::OnceLock<Vec<ColumnSpec>> = std::sync::OnceLock::new();
    COLUMNS.get_or_init(four_columns)
}

#[test]
fn errors_name_the_column_and_the_place_and_end_the_rows() {
    let null = build().u32(4).u32(4).u32(2).u32(u32::MAX).raw(&[0; 60]);
    check(
        &null,
        &four_columns(),
        expect![[r#"
        column 0 is null, which i64 cannot be
    "#]],
    );
    let short = build().u32(4).u32(4).u32(2).bytes(&[0; 8]).bytes(&[0; 3]).raw(&[0; 60]);
    check(
        &short,
        &four_columns(),
        expect![[r#"
        column 1: length of a fixed-length value
    "#]],
    );
    let text = build().u32(4).u32(4).u32(1).bytes(&[0; 8]).bytes(&[0; 4]).bytes(&[0xFF]).u32(0);
    check(
        &text,
        &four_columns(),
        expect![[r#"
        column 2: text that is not of its encoding
    "#]],
    );
    let cut = build().u32(4).u32(4).u32(1).bytes(&[0; 8]).u32(5).raw(&[0; 4]);
    check(
        &cut,
        &four_columns(),
        expect![[r#"
        body ends within cell, which begins at byte 28
    "#]],
    );
}

#[test]
fn row_types_must_fit_the_columns() {
    let body = skipped();
    let rows = parse(&body, None).unwrap();
    let columns = four_columns();
    let lines = [
        rows.rows::<(i64,)>(&columns).unwrap_err().to_string(),
        rows.rows::<(i64, i64, &str, &[u8])>(&columns).unwrap_err().to_string(),
        rows.rows::<(i64,)>(&columns[..1]).unwrap_err().to_string(),
    ];
    expect![[r#"
        row type has 1 columns, the result 4
        column 1: i64 does not fit int
        row type has 1 columns, the result 4"#]]
    .assert_eq(&lines.join("\n"));
}

/// A row type of a user's that reads only the first column: the others are skipped.
#[test]
fn unread_cells_are_skipped() {
    #[derive(Debug)]
    struct Key(i64);
    impl<'frame> DeserializeRow<'frame> for Key {
        fn type_check(_: &[ColumnSpec]) -> Result<(), DeserializeError> {
            Ok(())
        }
        fn deserialize(cells: &mut Cells<'frame, '_>) -> Result<Self, DeserializeError> {
            cells.value().map(Self)
        }
    }
    let body = skipped();
    let columns = four_columns();
    let typed = parse(&body, None).unwrap().rows::<Key>(&columns).unwrap();
    let keys: Vec<_> = typed.map(|row| row.unwrap().0).collect();
    assert_eq!(keys, [1, 2]);
}

#[test]
fn hostile_counts_are_refused() {
    let refused = |body: Build| match parse(&body, None) {
        Err(Malformed::Count { what, max, .. }) => (what, max),
        other => panic!("{other:?}"),
    };
    for flags in [0, 1, 4] {
        let body = build().u32(flags).u32(0x7FFF_FFFF).raw(&[0; 64]);
        assert_eq!(refused(body), ("column count", crate::types::COLUMN_COUNT_MAX));
    }
    // Possible as a number, not in what is left.
    let body = build().u32(0).u32(65_535).raw(&[0; 64]);
    assert_eq!(refused(body), ("column count", 16));
    let rows = |columns: u32, rows: u32| build().u32(4).u32(columns).u32(rows).raw(&[0; 64]);
    assert_eq!(refused(rows(4, 0x7FFF_FFFF)), ("row count", 4));
    assert_eq!(refused(rows(4, u32::MAX)), ("row count", 4));
    assert_eq!(refused(rows(65_535, u32::MAX)), ("row count", 0));
    assert_eq!(refused(rows(4, 5)), ("row count", 4));
    assert!(parse(&rows(4, 4), None).is_ok());
    // Rows of no cells would take no bytes.
    assert_eq!(refused(rows(0, 1)), ("row count", 0));
    assert!(parse(&rows(0, 0), None).is_ok());
}

#[test]
fn changed_metadata_comes_with_an_id_and_columns() {
    let body = specs(build().u32(9).u32(4).short_bytes(&[5])).u32(0);
    let rows = parse(&body, None).unwrap();
    assert_eq!(rows.new_metadata_id, Some(&[5][..]));
    let body = build().u32(12).u32(4).short_bytes(&[5]).u32(0);
    assert!(matches!(parse(&body, None), Err(Malformed::UnknownCode { code: 12, .. })));
}

#[test]
fn ids_that_were_not_agreed_are_not_there() {
    let v4 =
        |body: &Build| RowsBody::parse(Reader::new(&body.0), &Agreed::default(), None).map(drop);
    assert_eq!(v4(&specs(build().u32(9).u32(4)).u32(0)), Ok(()));
    assert_eq!(v4(&build().u32(12).u32(4).u32(0)), Ok(()));
    assert!(v4(&specs(build().u32(9).u32(4).short_bytes(&[5])).u32(0)).is_err());
    let extended = Agreed { metadata_id: true, ..Agreed::default() };
    let body = specs(build().u32(9).u32(4).short_bytes(&[5])).u32(0);
    let rows = RowsBody::parse(Reader::new(&body.0), &extended, None).unwrap();
    assert_eq!(rows.new_metadata_id, Some(&[5][..]));
}

/// A row by the names of its columns, which counts how often it had to look for them.
#[derive(Debug, PartialEq)]
struct ByName {
    id: i32,
    name: String,
    looked: bool,
}

const ID: u64 = name_hash("id");
const NAME: u64 = name_hash("name");

impl<'frame> DeserializeRow<'frame> for ByName {
    fn type_check(columns: &[ColumnSpec]) -> Result<(), DeserializeError> {
        CHECKS.with(|checks| checks.set(checks.get() + 1));
        for column in columns {
            match &*column.name {
                "id" => i32::type_check(&column.typ)?,
                "name" => String::type_check(&column.typ)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn is_in_order(columns: &[ColumnSpec]) -> bool {
        matches!(columns, [id, name] if (id.name.hash(), name.name.hash()) == (ID, NAME))
    }

    fn deserialize(cells: &mut Cells<'frame, '_>) -> Result<Self, DeserializeError> {
        if cells.are_in_order() {
            return Ok(Self { id: cells.value()?, name: cells.value()?, looked: false });
        }
        let (mut id, mut name) = (None, None);
        while let Some(column) = cells.next_column() {
            match column.name.hash() {
                ID => id = Some(cells.value()?),
                NAME => name = Some(cells.value()?),
                _ => cells.skip()?,
            }
        }
        let missing = || DeserializeError::bad_value("row without a column");
        let (id, name) = (id.ok_or_else(missing)?, name.ok_or_else(missing)?);
        Ok(Self { id, name, looked: true })
    }
}

thread_local! {
    static CHECKS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

#[test]
fn columns_are_looked_for_only_out_of_order() {
    let named = |names: &[(&str, ColumnType)]| -> Vec<ColumnSpec> {
        let types: Vec<_> = names.iter().map(|(_, typ)| typ.clone()).collect();
        let named = columns(&types).into_iter().zip(names);
        named.map(|(column, (name, _))| ColumnSpec { name: (*name).into(), ..column }).collect()
    };
    let read = |columns: &[ColumnSpec], body: Build| -> Vec<ByName> {
        let rows = parse(&body, None).unwrap();
        rows.rows(columns).unwrap().map(Result::unwrap).collect()
    };
    let row = |looked| ByName { id: 7, name: "x".into(), looked };
    let id: &[u8] = &[0, 0, 0, 7];

    let columns = named(&[("id", ColumnType::Int), ("name", ColumnType::Text)]);
    let body = build().u32(4).u32(2).u32(2).bytes(id).bytes(b"x").bytes(id).bytes(b"x");
    assert_eq!(read(&columns, body), [row(false), row(false)]);

    let columns =
        named(&[("name", ColumnType::Text), ("more", ColumnType::Blob), ("id", ColumnType::Int)]);
    let cells = |body: Build| body.bytes(b"x").bytes(b"?").bytes(id);
    let body = cells(cells(build().u32(4).u32(3).u32(2)));
    assert_eq!(read(&columns, body), [row(true), row(true)]);
}

#[test]
fn a_row_type_is_checked_once_per_metadata() {
    let known = metadata(&present());
    let before = CHECKS.get();
    for _ in 0..3 {
        assert_eq!(known.check_row::<ByName>(), Ok(()));
    }
    assert_eq!(CHECKS.get() - before, 1);
    // Another type, and the first again; what does not fit is said each time.
    assert!(known.check_row::<(i32,)>().is_err());
    assert_eq!(known.check_row::<Row<'_>>(), Ok(()));
    assert_eq!(known.check_row::<ByName>(), Ok(()));
    assert_eq!(CHECKS.get() - before, 2);
    assert!(known.check_row::<(i32,)>().is_err());
}

#[test]
fn a_row_ends_where_its_columns_do() {
    let columns = columns(&[ColumnType::Int]);
    let body = [0, 0, 0, 1, 7, 0, 0, 0, 1, 8];
    let mut cells = Cells::new(Reader::new(&body), &columns);
    assert_eq!(cells.skip(), Ok(()));
    assert!(matches!(cells.skip(), Err(DeserializeError::WrongColumnCount { .. })));
    assert_eq!(cells.finish().unwrap().remaining(), &body[5..]);
}

/// Contents of a nullable blob.
fn blob() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..9))
}

/// Rows read one value after the other, with an error where one arises: what the iterator, which
/// first reads without errors, must give.
fn carefully<'a, R: DeserializeRow<'a>>(
    rows: &RowsBody<'a>,
    columns: &'a [ColumnSpec],
) -> Vec<Result<R, DeserializeError>> {
    let mut reader = rows.cells;
    let mut read = Vec::new();
    for _ in 0..rows.rows_count {
        let mut cells = Cells::new(reader, columns);
        read.push(R::deserialize(&mut cells).and_then(|row| {
            reader = cells.finish()?;
            Ok(row)
        }));
        if matches!(read.last(), Some(Err(_))) {
            break;
        }
    }
    read
}

#[test]
fn errors_are_those_of_careful_reading() {
    let columns = four_columns();
    let check = |body: &[u8]| {
        let body = Build(body.to_vec());
        let Ok(rows) = parse(&body, None) else { return };
        let Ok(typed) = rows.rows_of_checked_type::<Row<'_>>(&columns) else { return };
        let read: Vec<_> = typed.collect();
        assert_eq!(read, carefully::<Row<'_>>(&rows, &columns), "{:?}", body.0);
        type Nullable<'a> =
            (Option<i64>, Option<i32>, Option<&'a str>, Option<Option<RawValue<'a>>>);
        let read: Vec<_> = rows.rows_of_checked_type::<Nullable<'_>>(&columns).unwrap().collect();
        assert_eq!(read, carefully::<Nullable<'_>>(&rows, &columns), "{:?}", body.0);
        // Fewer values than columns, and others than the columns'.
        let read: Vec<_> = rows.rows_of_checked_type::<(i32, i64)>(&columns).unwrap().collect();
        assert_eq!(read, carefully::<(i32, i64)>(&rows, &columns), "{:?}", body.0);
    };
    let golden = skipped().0;
    for index in 0..golden.len() {
        check(&golden[..index]);
        for byte in [0, 1, 4, 8, 0x7F, 0x80, 0xFF] {
            let mut body = golden.clone();
            body[index] = byte;
            check(&body);
        }
    }
}

/// A type that says a cell takes more than it does: an error, and no row is lost or made up.
#[test]
fn a_row_shorter_than_its_type_says_is_an_error() {
    #[derive(Debug)]
    struct Liar;
    impl<'frame> DeserializeValue<'frame> for Liar {
        const CELL_LEN_MIN: usize = 13;
        fn type_check(_: &ColumnType) -> Result<(), TypeMismatch> {
            Ok(())
        }
        fn deserialize(_: &ColumnType, _: Option<&[u8]>) -> Result<Self, DeserializeError> {
            Ok(Self)
        }
    }
    let columns = columns(&[ColumnType::Blob]);
    let body = build().u32(4).u32(1).u32(2).bytes(&[0; 8]).bytes(&[0; 8]);
    let mut typed = parse(&body, None).unwrap().rows::<(Liar,)>(&columns).unwrap();
    assert!(typed.next().unwrap().is_ok());
    assert!(matches!(typed.next(), Some(Err(DeserializeError::BadValue { .. }))));
    assert!(typed.next().is_none());
}

proptest! {
    #[test]
    fn rows_survive(
        rows in prop::collection::vec((any::<i64>(), any::<i32>(), ".{0,12}", blob()), 0..8),
    ) {
        let mut body = build().u32(4).u32(4).u32(u32::try_from(rows.len()).unwrap());
        for (a, b, c, d) in &rows {
            body = body.bytes(&a.to_be_bytes()).bytes(&b.to_be_bytes()).bytes(c.as_bytes());
            body = match d {
                Some(blob) => body.bytes(blob),
                None => body.u32(u32::MAX),
            };
        }
        let columns = four_columns();
        let typed = parse(&body, None).unwrap().rows::<Row<'_>>(&columns).unwrap();
        prop_assert_eq!(typed.len(), rows.len());
        let read: Vec<_> = typed.map(Result::unwrap).collect();
        let written: Vec<_> =
            rows.iter().map(|(a, b, c, d)| (*a, *b, c.as_str(), d.as_deref())).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn garbage(
        flags in 0_u32..16,
        column_count in 0_u32..5,
        bytes in prop::collection::vec(prop_oneof![6 => 0_u8..3, 1 => any::<u8>()], 0..100),
        with_known: bool,
    ) {
        let body = build().u32(flags).u32(column_count).raw(&bytes);
        let known = with_known.then(|| metadata(&present()));
        let columns = four_columns();
        if let Ok(rows) = parse(&body, known.as_ref()) {
            prop_assert!(rows.rows_count as usize <= bytes.len());
            if let Ok(typed) = rows.rows::<Row<'_>>(&columns) {
                let read: Vec<_> = typed.collect();
                prop_assert_eq!(read, carefully::<Row<'_>>(&rows, &columns));
            }
            if let Ok(typed) = rows.rows::<(RawValue<'_>, RawValue<'_>)>(&columns[..2]) {
                typed.for_each(drop);
            }
        }
    }
}
