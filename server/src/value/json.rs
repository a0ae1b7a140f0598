//! Values to JSON and from it, as Cassandra has them: `toJson`, `fromJson`, SELECT and INSERT JSON.

use std::fmt::Write as _;

use super::literal::{collection, map, scalar_from};
use super::multi_cell::tuple;
use super::number::write_uvint;
use super::order::ordered;
use super::text::scalar_text;
use super::types::{CqlType, Native, Udt};
use super::validate::{elements, parts, validate, vector_elements};
use crate::cql::ast::Term;

/// Deepest nesting of a text that is read.
const DEPTH_MAX: usize = 64;

/// A JSON value whose numbers are as they were written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Appends a text in quotes.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04X}", u32::from(c)); // to a String does not fail
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A column's name as JSON has it: in CQL's quotes where case would be lost without.
pub(crate) fn write_name(name: &str, out: &mut String) {
    let keeps_case = name.chars().all(|c| !c.is_ascii_uppercase());
    if keeps_case { write_text(name, out) } else { write_text(&format!("\"{name}\""), out) }
}

/// Appends a valid value, or null.
pub(crate) fn write_json(typ: &CqlType, bytes: Option<&[u8]>, out: &mut String) {
    let Some(bytes) = bytes else { return out.push_str("null") };
    match typ {
        CqlType::Frozen(inner) => write_json(inner, Some(bytes), out),
        CqlType::Native(native) => write_scalar(*native, bytes, out),
        CqlType::List(element) | CqlType::Set(element) => {
            let items = elements(bytes, 1).unwrap_or_default();
            write_array(items.into_iter().map(|item| (&**element, Some(item))), out);
        }
        CqlType::Vector(element, len) => {
            let items = vector_elements(element, *len, bytes).unwrap_or_default();
            write_array(items.into_iter().map(|item| (&**element, Some(item))), out);
        }
        CqlType::Tuple(types) => {
            let given = parts(bytes).unwrap_or_default();
            let all = given.into_iter().chain(std::iter::repeat(None));
            write_array(types.iter().zip(all), out);
        }
        CqlType::Map(pair) => {
            out.push('{');
            let items = elements(bytes, 2).unwrap_or_default();
            for (index, entry) in items.chunks_exact(2).enumerate() {
                let [key, value] = entry else { continue };
                if index > 0 {
                    out.push_str(", ");
                }
                write_key(&pair.0, key, out);
                out.push_str(": ");
                write_json(&pair.1, Some(value), out);
            }
            out.push('}');
        }
        CqlType::Udt(udt) => {
            out.push('{');
            let given = parts(bytes).unwrap_or_default();
            let all = given.into_iter().chain(std::iter::repeat(None));
            for (index, ((name, typ), part)) in udt.fields.iter().zip(all).enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_name(name, out);
                out.push_str(": ");
                write_json(typ, part, out);
            }
            out.push('}');
        }
        CqlType::Named(..) => out.push_str("null"),
    }
}

fn write_array<'v>(items: impl Iterator<Item = (&'v CqlType, Option<&'v [u8]>)>, out: &mut String) {
    out.push('[');
    for (index, (typ, item)) in items.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_json(typ, item, out);
    }
    out.push(']');
}

/// A map's key is a text whatever its type.
fn write_key(typ: &CqlType, key: &[u8], out: &mut String) {
    let mut text = String::new();
    write_json(typ, Some(key), &mut text);
    if text.starts_with('"') {
        out.push_str(&text);
    } else {
        write_text(&text, out);
    }
}

fn write_scalar(native: Native, bytes: &[u8], out: &mut String) {
    let text = scalar_text(native, bytes);
    match native {
        Native::Boolean
        | Native::Tinyint
        | Native::Smallint
        | Native::Int
        | Native::Bigint
        | Native::Counter
        | Native::Varint
        | Native::Decimal
            if !text.is_empty() =>
        {
            out.push_str(&text);
        }
        Native::Float | Native::Double if !text.is_empty() => {
            // JSON has no such numbers.
            let is_number = !text.ends_with("NaN") && !text.ends_with("Infinity");
            out.push_str(if is_number { &text } else { "null" });
        }
        _ => write_text(&text, out),
    }
}

/// Parses a text of JSON.
pub(crate) fn parse(text: &str) -> Result<Json, String> {
    let mut parser = Parser { rest: text, depth: 0 };
    let value = parser.value()?;
    parser.blank();
    if parser.rest.is_empty() { Ok(value) } else { Err(parser.wrong("the end")) }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn wrong(&self, wanted: &str) -> String {
        let found: String = self.rest.chars().take(20).collect();
        format!("Could not decode JSON: expected {wanted}, found '{found}'")
    }

    fn take(&mut self, prefix: &str) -> bool {
        self.blank();
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, prefix: &str) -> Result<(), String> {
        if self.take(prefix) { Ok(()) } else { Err(self.wrong(prefix)) }
    }

    fn value(&mut self) -> Result<Json, String> {
        if self.depth == DEPTH_MAX {
            return Err(format!("JSON nested deeper than {DEPTH_MAX} levels"));
        }
        self.depth += 1;
        let value = self.value_inner();
        self.depth -= 1;
        value
    }

    fn value_inner(&mut self) -> Result<Json, String> {
        self.blank();
        if self.take("{") {
            let mut entries = Vec::new();
            while !self.take("}") {
                if !entries.is_empty() {
                    self.expect(",")?;
                }
                self.blank();
                let key = self.text()?;
                self.expect(":")?;
                entries.push((key, self.value()?));
            }
            return Ok(Json::Object(entries));
        }
        if self.take("[") {
            let mut items = Vec::new();
            while !self.take("]") {
                if !items.is_empty() {
                    self.expect(",")?;
                }
                items.push(self.value()?);
            }
            return Ok(Json::Array(items));
        }
        if self.rest.starts_with('"') {
            return self.text().map(Json::Text);
        }
        for (word, value) in
            [("null", Json::Null), ("true", Json::Boolean(true)), ("false", Json::Boolean(false))]
        {
            if self.take(word) {
                return Ok(value);
            }
        }
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let len = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at_checked(len).unwrap_or_default();
        if number.parse::<f64>().is_err() {
            return Err(self.wrong("a value"));
        }
        self.rest = rest;
        Ok(Json::Number(number.to_owned()))
    }

    fn text(&mut self) -> Result<String, String> {
        self.expect("\"")?;
        let mut text = String::new();
        loop {
            let mut chars = self.rest.chars();
            let c = chars.next().ok_or_else(|| self.wrong("the end of a text"))?;
            self.rest = chars.as_str();
            match c {
                '"' => return Ok(text),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        let mut chars = self.rest.chars();
        let c = chars.next().ok_or_else(|| self.wrong("what is escaped"))?;
        self.rest = chars.as_str();
        Ok(match c {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let first = self.unit()?;
                let pair = if (0xD800..0xDC00).contains(&first) && self.rest.starts_with("\\u") {
                    self.rest = self.rest.get(2..).unwrap_or_default();
                    vec![first, self.unit()?]
                } else {
                    vec![first]
                };
                let decoded = char::decode_utf16(pair).next();
                decoded.and_then(Result::ok).ok_or_else(|| self.wrong("a character"))?
            }
            other => other,
        })
    }

    fn unit(&mut self) -> Result<u16, String> {
        let unit = self.rest.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.wrong("four digits"))?;
        self.rest = self.rest.get(4..).unwrap_or_default();
        Ok(unit)
    }
}

/// The bytes of a JSON value as one of the type; `None` for null.
pub(crate) fn from_json(typ: &CqlType, json: &Json) -> Result<Option<Vec<u8>>, String> {
    if *json == Json::Null {
        return Ok(None);
    }
    let wrong = || format!("Error decoding JSON value for {typ}: {json:?} is none");
    let bytes = match (typ.thawed(), json) {
        (CqlType::Native(native), _) => scalar_from_json(*native, json).ok_or_else(wrong)?,
        // Also what is in a text of its own, as a map's key has to be.
        (_, Json::Text(text)) => return from_json(typ, &parse(text)?),
        (CqlType::List(element), Json::Array(items)) => collection(&all(element, items)?),
        (CqlType::Set(element), Json::Array(items)) => {
            let mut items = all(element, items)?;
            items.sort_by_cached_key(|item| ordered(element, item));
            items.dedup();
            collection(&items)
        }
        (CqlType::Map(pair), Json::Object(entries)) => {
            let mut pairs = Vec::new();
            for (key, value) in entries {
                let key = some(from_json(&pair.0, &Json::Text(key.clone()))?)?;
                pairs.push((key, some(from_json(&pair.1, value)?)?));
            }
            pairs.sort_by_cached_key(|(key, _)| ordered(&pair.0, key));
            map(&pairs)
        }
        (CqlType::Tuple(types), Json::Array(items)) if items.len() <= types.len() => {
            let parts = types.iter().zip(items).map(|(typ, item)| from_json(typ, item));
            tuple(&parts.collect::<Result<Vec<_>, _>>()?)
        }
        (CqlType::Vector(element, len), Json::Array(items)) if items.len() == *len => {
            vector(element, &all(element, items)?)
        }
        (CqlType::Udt(udt), Json::Object(entries)) => udt_from_json(udt, entries)?,
        _ => return Err(wrong()),
    };
    Ok(Some(bytes))
}

/// The name that a key of JSON stands for: as in CQL, case counts only in quotes.
pub(crate) fn column_name(key: &str) -> String {
    match key.strip_prefix('"').and_then(|key| key.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => key.to_ascii_lowercase(),
    }
}

fn udt_from_json(udt: &Udt, entries: &[(String, Json)]) -> Result<Vec<u8>, String> {
    for (key, _) in entries {
        if udt.field(&column_name(key)).is_none() {
            return Err(format!("Unknown field {key} of the type {}", udt.name));
        }
    }
    let part = |(name, typ): &(String, CqlType)| {
        let entry = entries.iter().find(|(key, _)| column_name(key) == *name);
        entry.map_or(Ok(None), |(_, json)| from_json(typ, json))
    };
    Ok(tuple(&udt.fields.iter().map(part).collect::<Result<Vec<_>, _>>()?))
}

fn all(element: &CqlType, items: &[Json]) -> Result<Vec<Vec<u8>>, String> {
    items.iter().map(|item| some(from_json(element, item)?)).collect()
}

fn some(bytes: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
    bytes.ok_or_else(|| "Invalid null element in a collection".to_owned())
}

/// A vector of these elements.
pub(crate) fn vector(element: &CqlType, items: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        if element.fixed_len().is_none() {
            write_uvint(item.len() as u64, &mut bytes);
        }
        bytes.extend_from_slice(item);
    }
    bytes
}

fn scalar_from_json(native: Native, json: &Json) -> Option<Vec<u8>> {
    let is_text = matches!(native, Native::Ascii | Native::Text);
    let term = match json {
        Json::Text(text) if is_text => Term::Text(text.clone()),
        Json::Text(text) if native == Native::Blob => {
            Term::Blob(crate::cql::lexer::hex(text.strip_prefix("0x")?)?)
        }
        Json::Text(text) => match native {
            Native::Uuid | Native::Timeuuid => Term::Uuid(crate::cql::lexer::parse_uuid(text)?),
            Native::Duration => Term::Duration(text.to_ascii_lowercase()),
            Native::Boolean => Term::Boolean(text.eq_ignore_ascii_case("true")),
            Native::Tinyint | Native::Smallint | Native::Int | Native::Bigint | Native::Varint => {
                Term::Integer(text.clone())
            }
            Native::Float | Native::Double | Native::Decimal => Term::Float(text.clone()),
            _ => Term::Text(text.clone()),
        },
        Json::Boolean(value) => Term::Boolean(*value),
        Json::Number(_) if is_text => return None,
        Json::Number(number) if number.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
            Term::Integer(number.clone())
        }
        Json::Number(number) => Term::Float(number.clone()),
        _ => return None,
    };
    let bytes = scalar_from(&term, native)?;
    validate(&CqlType::Native(native), &bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(element: CqlType) -> CqlType {
        CqlType::Frozen(Box::new(CqlType::List(Box::new(element))))
    }

    #[track_caller]
    fn round(typ: &CqlType, text: &str) {
        let bytes = from_json(typ, &parse(text).unwrap()).unwrap();
        let mut back = String::new();
        write_json(typ, bytes.as_deref(), &mut back);
        assert_eq!(back, text);
    }

    #[test]
    fn values_of_all_kinds() {
        round(&CqlType::INT, "-7");
        round(&CqlType::TEXT, r#""a\"\\\n\u0001é""#);
        round(&CqlType::BOOLEAN, "true");
        round(&CqlType::INT, "null");
        round(&CqlType::Native(Native::Decimal), "12345678901234567890.5");
        round(&CqlType::Native(Native::Blob), r#""0x00ff""#);
        round(&CqlType::Native(Native::Uuid), r#""6ab09bec-e68e-48d9-a5f8-97e6fb4c9b47""#);
        round(&list(list(CqlType::INT)), "[[1, 2], []]");
        let map = CqlType::Map(Box::new((CqlType::INT, list(CqlType::TEXT))));
        round(&map, r#"{"1": ["a"], "2": []}"#);
        round(&CqlType::Tuple(vec![CqlType::INT, CqlType::TEXT]), r#"[3, null]"#);
        round(&CqlType::Vector(Box::new(CqlType::TEXT), 2), r#"["", "b"]"#);
        let fields = vec![("a".into(), CqlType::INT), ("B".into(), CqlType::TEXT)];
        let udt = Udt { keyspace: "k".into(), name: "u".into(), fields };
        round(&CqlType::Udt(udt.into()), r#"{"a": 1, "\"B\"": null}"#);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for text in ["", "{", "[1,", "\"a", "1 2", "nul", "{\"a\" 1}", "\"\\u12\""] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(10_000)).is_err());
        for (typ, text) in [
            (CqlType::INT, "\"x\""),
            (CqlType::INT, "1.5"),
            (CqlType::BOOLEAN, "1"),
            (list(CqlType::INT), "[null]"),
            (CqlType::Vector(Box::new(CqlType::INT), 2), "[1]"),
        ] {
            assert!(from_json(&typ, &parse(text).unwrap()).is_err(), "{text}");
        }
    }
}
