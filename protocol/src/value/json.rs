//! JSON in text columns, of whatever serde knows.
//!
//! Written straight into the request: a first pass counts the bytes, a second one writes them, and
//! no text stands between. Reading borrows from the reply where the type does.
//!
//! Next: `value/dynamic.rs`.

use std::io;

use serde_core::{Deserialize, Serialize};
use serde_json::error::Category;
use serde_json::ser::{CompactFormatter, Formatter};

use super::{DeserializeValue, SerializeValue, ValueLen};
use crate::error::{DeserializeError, SerializeError, TypeMismatch};
use crate::types::ColumnType;
use crate::wire::Writer;

/// A value that is kept as JSON in a `text` or `ascii` column.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{DeserializeValue, Json, SerializeValue};
/// use shardwire_protocol::wire::Writer;
///
/// #[derive(Debug, Deserialize, PartialEq, Serialize)]
/// struct Address<'a> {
///     street: &'a str,
///     number: u32,
/// }
///
/// let address = Json(Address { street: "Elm Road", number: 7 });
/// let mut value = [0; 36];
/// address.write_value(&ColumnType::Text, &mut Writer::new(&mut value));
/// assert_eq!(value[4..], *br#"{"street":"Elm Road","number":7}"#);
/// assert_eq!(Json::deserialize(&ColumnType::Text, Some(&value[4..])), Ok(address));
/// ```
///
/// # Errors
/// Bound: `BadValue` where serde gives an error, such as for a map whose keys are no text. Read:
/// `BadValue` for text that is no JSON, or not that of a `T`. Null is none of its values; it is
/// that of `Option<Json<T>>`, which does not look for JSON's `null`.
///
/// # Allocation
/// None of its own when written. When read, what `T` owns. A `&str` within `T` borrows, and is an
/// error where the JSON has escapes in it; `Cow<str>` with `#[serde(borrow)]` takes both.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Json<T>(pub T);

impl<T: Serialize> SerializeValue for Json<T> {
    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Ascii | ColumnType::Text => Ok(()),
            _ => Err(TypeMismatch::of::<Self>(typ)),
        }
    }

    fn value_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError> {
        let mut counter = Counter { len: 0 };
        match write_json(&self.0, typ, &mut counter) {
            Ok(()) => ValueLen::bytes(counter.len),
            Err(_) => {
                let what = "a value that cannot be expressed as JSON";
                Err(SerializeError::bad_value(what))
            }
        }
    }

    fn write(&self, typ: &ColumnType, out: &mut Writer<'_>) {
        // It was fine when the request was measured: the serializer is not constant.
        if write_json(&self.0, typ, &mut Filler { out }).is_err() {
            out.set_fault();
        }
    }
}

impl<'frame, T: Deserialize<'frame>> DeserializeValue<'frame> for Json<T> {
    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Ascii | ColumnType::Text => Ok(()),
            _ => Err(TypeMismatch::of::<Self>(typ)),
        }
    }

    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        if cell.is_none() {
            return Err(DeserializeError::unexpected_null::<Self>());
        }
        let text = <&str as DeserializeValue>::deserialize(typ, cell)?;
        serde_json::from_str(text).map(Self).map_err(|error| {
            DeserializeError::bad_value(match error.classify() {
                Category::Eof => "JSON that is cut short",
                Category::Data => "JSON of another shape than the type to read it as",
                Category::Io | Category::Syntax => "text that is not JSON",
            })
        })
    }
}

fn write_json(
    value: &impl Serialize,
    typ: &ColumnType,
    out: &mut impl io::Write,
) -> Result<(), serde_json::Error> {
    match typ {
        ColumnType::Ascii => {
            value.serialize(&mut serde_json::Serializer::with_formatter(out, AsciiFormatter))
        }
        _ => serde_json::to_writer(out, value),
    }
}

/// Escapes what ASCII does not have.
struct AsciiFormatter;

impl Formatter for AsciiFormatter {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.is_ascii() {
            return CompactFormatter.write_string_fragment(out, fragment);
        }
        for char in fragment.chars() {
            if char.is_ascii() {
                out.write_all(char.encode_utf8(&mut [0; 4]).as_bytes())?;
            } else {
                let mut units = [0; 2];
                for unit in char.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// Counts what is written to it.
struct Counter {
    len: usize,
}

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.len = self.len.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts what is written to it where a value's content goes.
struct Filler<'w, 'out> {
    out: &'w mut Writer<'out>,
}

impl io::Write for Filler<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.put_slice(bytes); // what does not fit is remembered there
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn encode<T: Serialize>(typ: &ColumnType, value: T) -> Result<Vec<u8>, SerializeError> {
        let value = Json(value);
        let mut bytes = vec![0; value.value_len(typ)?.encoded_len()];
        let mut writer = Writer::new(&mut bytes);
        value.write_value(typ, &mut writer);
        writer.finish()?;
        Ok(bytes)
    }

    #[track_caller]
    fn check(typ: &ColumnType, value: impl Serialize, expected: Expect) {
        let shown = match encode(typ, value) {
            Ok(bytes) => String::from_utf8(bytes[4..].to_vec()).unwrap(),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn writes_json() {
        check(&ColumnType::Text, [1, 2], expect!["[1,2]"]);
        check(&ColumnType::Text, "k\u{e4}se \u{1F9C0}", expect![[r#""käse 🧀""#]]);
        check(&ColumnType::Ascii, "k\u{e4}se\n", expect![[r#""k\u00e4se\n""#]]);
        check(&ColumnType::Ascii, "\u{1F9C0}!", expect![[r#""\ud83e\uddc0!""#]]);
        check(&ColumnType::Text, None::<i32>, expect!["null"]);
        check(&ColumnType::Text, f64::NAN, expect!["null"]);
        let keys = BTreeMap::from([([1], 2)]);
        check(
            &ColumnType::Text,
            keys,
            expect!["column 0: a value that cannot be expressed as JSON"],
        );
        let nested = Json(7).value_len(&ColumnType::Text);
        assert_eq!(nested, Ok(ValueLen::Bytes(1)));
        assert_eq!(None::<Json<i32>>.value_len(&ColumnType::Text), Ok(ValueLen::Null));
    }

    fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
        let value = Json::<T>::deserialize(&ColumnType::Text, Some(text.as_bytes()));
        value.map(|json| json.0).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_json() {
        assert_eq!(read("[1, 2]"), Ok(vec![1, 2]));
        assert_eq!(read(r#""lamp""#), Ok("lamp"));
        assert_eq!(read(r#""a\nb""#), Ok(String::from("a\nb")));
        assert_eq!(read(r#""a\nb""#), Ok(Cow::<str>::Owned("a\nb".into())));
        assert_eq!(
            read::<&str>(r#""a\nb""#),
            Err("column 0: JSON of another shape than the type to read it as".into())
        );
        assert_eq!(read::<i32>("[1"), Err(read::<i32>("{}").unwrap_err()));
        assert_eq!(read::<Vec<i32>>("[1"), Err("column 0: JSON that is cut short".into()));
        assert_eq!(read::<i32>(""), Err("column 0: JSON that is cut short".into()));
        assert_eq!(read::<i32>("1 2"), Err("column 0: text that is not JSON".into()));
        assert_eq!(read::<serde_json::Value>("null"), Ok(serde_json::Value::Null));
        let deep = "[".repeat(100_000);
        assert!(read::<serde_json::Value>(&deep).is_err(), "serde_json limits the depth");
        assert!(<Json<i32>>::deserialize(&ColumnType::Text, Some(&[0xFF])).is_err());
        assert!(
            <Json<&str>>::deserialize(&ColumnType::Ascii, Some("\"\u{e4}\"".as_bytes())).is_err()
        );
        let null = <Json<i32>>::deserialize(&ColumnType::Text, None).unwrap_err();
        assert!(matches!(null, DeserializeError::UnexpectedNull { .. }));
        assert_eq!(<Option<Json<i32>>>::deserialize(&ColumnType::Text, None), Ok(None));
    }

    #[test]
    fn only_text_holds_json() {
        for typ in [ColumnType::Blob, ColumnType::Int, ColumnType::Custom("c".into())] {
            assert!(<Json<i32> as SerializeValue>::type_check(&typ).is_err());
            assert!(<Json<i32> as DeserializeValue>::type_check(&typ).is_err());
        }
    }

    /// Longer each time it is serialized.
    struct Growing(Cell<usize>);

    impl Serialize for Growing {
        fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.set(self.0.get() + 1);
            serializer.serialize_str(&"x".repeat(self.0.get()))
        }
    }

    #[test]
    fn a_value_that_changes_is_a_fault() {
        let error = encode(&ColumnType::Text, Growing(Cell::new(0))).unwrap_err();
        assert!(matches!(error, SerializeError::Length(_)));
    }

    proptest! {
        #[test]
        fn round_trip(
            value in prop::collection::btree_map(
                any::<String>(),
                prop::collection::vec(any::<Option<(i64, bool, char)>>(), 0..4),
                0..4,
            ),
            ascii: bool,
        ) {
            let typ = if ascii { ColumnType::Ascii } else { ColumnType::Text };
            let bytes = encode(&typ, &value).unwrap();
            prop_assert!(!ascii || bytes[4..].is_ascii());
            let read = Json::deserialize(&typ, Some(&bytes[4..]));
            prop_assert_eq!(read, Ok(Json(value)));
            for len in 4..bytes.len() {
                let cut = <Json<serde_json::Value>>::deserialize(&typ, Some(&bytes[4..len]));
                prop_assert!(cut.is_err());
            }
        }

        #[test]
        fn garbage_is_no_panic(bytes: Vec<u8>) {
            let _ = <Json<serde_json::Value>>::deserialize(&ColumnType::Text, Some(&bytes));
        }
    }
}
