//! Types in one form, whichever codec read them, and random ones.

use scylla_cql::frame::response::result::{CollectionType, ColumnType as Official, NativeType};
use shardwire_protocol::types::{ColumnType, UdtType};

use super::source::Source;

/// A random type that nests up to `depth` levels.
pub(crate) fn random(source: &mut Source<'_>, depth: usize) -> ColumnType {
    use ColumnType::*;
    const NATIVE: [ColumnType; 20] = [
        Ascii, Bigint, Blob, Boolean, Counter, Date, Decimal, Double, Duration, Float, Inet, Int,
        Smallint, Text, Time, Timestamp, Timeuuid, Tinyint, Uuid, Varint,
    ];
    let choice = source.below(if depth > 1 { 26 } else { 20 });
    let mut nested = || Box::new(random(source, depth - 1));
    match choice {
        20 => List(nested()),
        21 => Set(nested()),
        22 => Map(Box::new((*nested(), *nested()))),
        23 => Tuple((0..1 + source.below(3)).map(|_| random(source, depth - 1)).collect()),
        24 => {
            let field = |index| (format!("f{index}").into(), random(source, depth - 1));
            let fields = (0..3).map(field).collect();
            Udt(Box::new(UdtType { keyspace: "ks".into(), name: "udt".into(), fields }))
        }
        25 => Vector(nested(), 1 + source.u8() as u16 % 4),
        native => NATIVE[native].clone(),
    }
}

/// The same type as the official codec has it. It has none for custom types.
pub(crate) fn to_official(typ: &ColumnType) -> Official<'static> {
    let nested = |typ: &ColumnType| Box::new(to_official(typ));
    let collection = |typ| Official::Collection { frozen: false, typ };
    match typ {
        ColumnType::List(element) => collection(CollectionType::List(nested(element))),
        ColumnType::Set(element) => collection(CollectionType::Set(nested(element))),
        ColumnType::Map(pair) => collection(CollectionType::Map(nested(&pair.0), nested(&pair.1))),
        ColumnType::Tuple(fields) => Official::Tuple(fields.iter().map(to_official).collect()),
        ColumnType::Vector(element, dimensions) => {
            Official::Vector { typ: nested(element), dimensions: *dimensions }
        }
        ColumnType::Udt(udt) => {
            let field = |(name, typ): &(_, _)| (ToString::to_string(name).into(), to_official(typ));
            let definition = scylla_cql::frame::response::result::UserDefinedType {
                name: udt.name.to_string().into(),
                keyspace: udt.keyspace.to_string().into(),
                field_types: udt.fields.iter().map(field).collect(),
            };
            Official::UserDefinedType { frozen: false, definition: definition.into() }
        }
        native => Official::Native(match native {
            ColumnType::Ascii => NativeType::Ascii,
            ColumnType::Bigint => NativeType::BigInt,
            ColumnType::Blob => NativeType::Blob,
            ColumnType::Boolean => NativeType::Boolean,
            ColumnType::Counter => NativeType::Counter,
            ColumnType::Date => NativeType::Date,
            ColumnType::Decimal => NativeType::Decimal,
            ColumnType::Double => NativeType::Double,
            ColumnType::Duration => NativeType::Duration,
            ColumnType::Float => NativeType::Float,
            ColumnType::Inet => NativeType::Inet,
            ColumnType::Int => NativeType::Int,
            ColumnType::Smallint => NativeType::SmallInt,
            ColumnType::Text => NativeType::Text,
            ColumnType::Time => NativeType::Time,
            ColumnType::Timestamp => NativeType::Timestamp,
            ColumnType::Timeuuid => NativeType::Timeuuid,
            ColumnType::Tinyint => NativeType::TinyInt,
            ColumnType::Uuid => NativeType::Uuid,
            ColumnType::Varint => NativeType::Varint,
            other => panic!("{other} is no type of the official codec"),
        }),
    }
}

/// Everything about a type, in words.
pub(crate) fn ours_in_words(typ: &ColumnType) -> String {
    match typ {
        ColumnType::Custom(class) => format!("custom {class:?}"),
        typ if is_known(typ) => official_in_words(&to_official(typ)),
        typ => format!("contains custom: {typ:?}"),
    }
}

/// The same of the official codec's.
pub(crate) fn official_in_words(typ: &Official<'_>) -> String {
    // Whether something is frozen is part of class names only, and means nothing to values.
    format!("{typ:?}").replace("frozen: true", "frozen: false")
}

/// Whether no part of it is custom.
pub(crate) fn is_known(typ: &ColumnType) -> bool {
    match typ {
        ColumnType::Custom(_) => false,
        ColumnType::List(element) | ColumnType::Set(element) | ColumnType::Vector(element, _) => {
            is_known(element)
        }
        ColumnType::Map(pair) => is_known(&pair.0) && is_known(&pair.1),
        ColumnType::Tuple(fields) => fields.iter().all(is_known),
        ColumnType::Udt(udt) => udt.fields.iter().all(|(_, typ)| is_known(typ)),
        _ => true,
    }
}
