//! Tests of types: all numbers and class names, and round trips of types that nest.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const NATIVE: [(u16, ColumnType, &str); 20] = [
    (0x0001, ColumnType::Ascii, "AsciiType"),
    (0x0002, ColumnType::Bigint, "LongType"),
    (0x0003, ColumnType::Blob, "BytesType"),
    (0x0004, ColumnType::Boolean, "BooleanType"),
    (0x0005, ColumnType::Counter, "CounterColumnType"),
    (0x0006, ColumnType::Decimal, "DecimalType"),
    (0x0007, ColumnType::Double, "DoubleType"),
    (0x0008, ColumnType::Float, "FloatType"),
    (0x0009, ColumnType::Int, "Int32Type"),
    (0x000B, ColumnType::Timestamp, "TimestampType"),
    (0x000C, ColumnType::Uuid, "UUIDType"),
    (0x000D, ColumnType::Text, "UTF8Type"),
    (0x000E, ColumnType::Varint, "IntegerType"),
    (0x000F, ColumnType::Timeuuid, "TimeUUIDType"),
    (0x0010, ColumnType::Inet, "InetAddressType"),
    (0x0011, ColumnType::Date, "SimpleDateType"),
    (0x0012, ColumnType::Time, "TimeType"),
    (0x0013, ColumnType::Smallint, "ShortType"),
    (0x0014, ColumnType::Tinyint, "ByteType"),
    (0x0015, ColumnType::Duration, "DurationType"),
];

const MARSHAL: &str = "org.apache.cassandra.db.marshal.";

fn native(typ: &ColumnType) -> Option<&'static (u16, ColumnType, &'static str)> {
    NATIVE.iter().find(|(_, known, _)| known == typ)
}

fn put_string(text: &str, out: &mut Vec<u8>) {
    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The type as a server sends it.
pub(crate) fn put_type(typ: &ColumnType, out: &mut Vec<u8>) {
    let put_count =
        |len: usize, out: &mut Vec<u8>| out.extend(u16::try_from(len).unwrap().to_be_bytes());
    match typ {
        ColumnType::List(element) => {
            out.extend([0, 0x20]);
            put_type(element, out);
        }
        ColumnType::Map(pair) => {
            out.extend([0, 0x21]);
            put_type(&pair.0, out);
            put_type(&pair.1, out);
        }
        ColumnType::Set(element) => {
            out.extend([0, 0x22]);
            put_type(element, out);
        }
        ColumnType::Udt(udt) => {
            out.extend([0, 0x30]);
            put_string(&udt.keyspace, out);
            put_string(&udt.name, out);
            put_count(udt.fields.len(), out);
            for (name, typ) in &udt.fields {
                put_string(name, out);
                put_type(typ, out);
            }
        }
        ColumnType::Tuple(fields) => {
            out.extend([0, 0x31]);
            put_count(fields.len(), out);
            fields.iter().for_each(|field| put_type(field, out));
        }
        ColumnType::Vector(..) => {
            out.extend([0, 0]);
            put_string(&class_name(typ), out);
        }
        ColumnType::Custom(class) => {
            out.extend([0, 0]);
            put_string(class, out);
        }
        typ => out.extend(native(typ).unwrap().0.to_be_bytes()),
    }
}

/// The type as the name of its Java class.
fn class_name(typ: &ColumnType) -> String {
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let name = match typ {
        ColumnType::List(element) => format!("ListType({})", class_name(element)),
        ColumnType::Set(element) => format!("SetType({})", class_name(element)),
        ColumnType::Map(pair) => {
            format!("MapType({},{})", class_name(&pair.0), class_name(&pair.1))
        }
        ColumnType::Tuple(fields) => {
            let fields: Vec<String> = fields.iter().map(class_name).collect();
            format!("TupleType({})", fields.join(","))
        }
        ColumnType::Udt(udt) => {
            let field = |(name, typ): &(Name, _)| format!(",{}:{}", hex(name), class_name(typ));
            let fields: String = udt.fields.iter().map(field).collect();
            format!("UserType({},{}{fields})", udt.keyspace, hex(&udt.name))
        }
        ColumnType::Vector(element, dimensions) => {
            format!("VectorType({} , {dimensions})", class_name(element))
        }
        typ => native(typ).unwrap().2.to_owned(),
    };
    format!("{MARSHAL}{name}")
}

fn parse(bytes: &[u8]) -> Result<ColumnType, Malformed> {
    ColumnType::parse(&mut Reader::new(bytes))
}

/// Types of at most `depth` levels, none of them custom.
pub(crate) fn types(depth: u32) -> impl Strategy<Value = ColumnType> {
    let native = prop::sample::select(NATIVE.map(|(_, typ, _)| typ).to_vec());
    native.prop_recursive(depth, 12, 3, |inner| {
        let list = |typ| ColumnType::List(Box::new(typ));
        let set = |typ| ColumnType::Set(Box::new(typ));
        let udt = |(keyspace, name, fields): (String, String, Vec<(String, ColumnType)>)| {
            let fields = fields.into_iter().map(|(name, typ)| (name.into(), typ)).collect();
            ColumnType::Udt(Box::new(UdtType {
                keyspace: keyspace.into(),
                name: name.into(),
                fields,
            }))
        };
        prop_oneof![
            inner.clone().prop_map(list),
            inner.clone().prop_map(set),
            (inner.clone(), inner.clone()).prop_map(|pair| ColumnType::Map(Box::new(pair))),
            vec(inner.clone(), 1..4).prop_map(|fields| ColumnType::Tuple(fields.into())),
            ("[a-z0-9_]{1,6}", ".{0,6}", vec((".{0,6}", inner.clone()), 0..4)).prop_map(udt),
            (inner, 1_u16..).prop_map(|(element, dimensions)| {
                ColumnType::Vector(Box::new(element), dimensions)
            }),
        ]
    })
}

#[test]
fn types_have_these_numbers() {
    for (number, typ, _) in &NATIVE {
        assert_eq!(parse(&number.to_be_bytes()).as_ref(), Ok(typ), "{number:#06x}");
    }
    // Of versions 1 and 2.
    assert_eq!(parse(&[0, 0x0A]), Ok(ColumnType::Text));
    let composite = [0x0000, 0x000A, 0x0020, 0x0021, 0x0022, 0x0030, 0x0031];
    for number in (0..0x0200).chain([0x8000, u16::MAX]) {
        if native_number(number) || composite.contains(&number) {
            continue;
        }
        let error = Malformed::UnknownCode { what: "type", code: number.into(), offset: 2 };
        assert_eq!(parse(&number.to_be_bytes()), Err(error));
    }
}

fn native_number(number: u16) -> bool {
    NATIVE.iter().any(|(known, ..)| *known == number)
}

#[test]
fn classes_have_these_names() {
    for (_, typ, name) in &NATIVE {
        assert_eq!(class::parse(name), *typ);
        assert_eq!(class::parse(&format!("{MARSHAL}{name}")), *typ);
        for wrapper in ["FrozenType", "ReversedType"] {
            assert_eq!(class::parse(&format!("{MARSHAL}{wrapper}({MARSHAL}{name})")), *typ);
        }
        let lower = name.to_lowercase();
        assert_eq!(class::parse(&lower), ColumnType::Custom(lower.into()), "as it is spelled");
    }
    assert_eq!(class::parse("DateType"), ColumnType::Timestamp, "before there were dates");
    for space in ["", " ", "  "] {
        let class = format!("{MARSHAL}VectorType({MARSHAL}ShortType{space},{space}3)");
        let vector = ColumnType::Vector(Box::new(ColumnType::Smallint), 3);
        assert_eq!(class::parse(&class), vector);
    }
    // A type of the server's owner, alone and in a list.
    let own = ColumnType::Custom("com.example.Own".into());
    let mut bytes = vec![0, 0x20, 0, 0, 0, 15];
    bytes.extend_from_slice(b"com.example.Own");
    assert_eq!(parse(&bytes[2..]).as_ref(), Ok(&own));
    assert_eq!(parse(&bytes), Ok(ColumnType::List(Box::new(own))));
}

/// Which elements of a vector are stored without a length is Cassandra's choice, not the type's.
#[test]
fn lengths_of_vector_elements() {
    let fixed = [
        (ColumnType::Boolean, 1),
        (ColumnType::Int, 4),
        (ColumnType::Float, 4),
        (ColumnType::Bigint, 8),
        (ColumnType::Double, 8),
        (ColumnType::Timestamp, 8),
        (ColumnType::Uuid, 16),
        (ColumnType::Timeuuid, 16),
    ];
    for (_, typ, _) in NATIVE {
        let len = fixed.iter().find(|(known, _)| *known == typ).map(|(_, len)| *len);
        assert_eq!(typ.vector_element_len(), len, "{typ}");
        let pair = ColumnType::Vector(Box::new(typ.clone()), 2);
        assert_eq!(pair.vector_element_len(), len.map(|len| 2 * len), "{pair}");
        assert_eq!(ColumnType::List(Box::new(typ)).vector_element_len(), None);
    }
}

proptest! {
    // Each is cut at every byte.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.min(64)))]

    #[test]
    fn types_survive(typ in types(4)) {
        let mut bytes = Vec::new();
        put_type(&typ, &mut bytes);
        let mut reader = Reader::new(&bytes);
        let parsed = ColumnType::parse(&mut reader);
        prop_assert_eq!(parsed.as_ref(), Ok(&typ));
        prop_assert!(reader.remaining().is_empty());
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(skip_type(&mut reader, 1, &mut { TYPE_COUNT_MAX }), Ok(()));
        prop_assert!(reader.remaining().is_empty());
        for len in 0..bytes.len() {
            let cut = parse(&bytes[..len]);
            prop_assert!(matches!(cut, Err(Malformed::Truncated { .. })), "{}: {:?}", len, cut);
        }
    }

    #[test]
    fn class_names_survive(typ in types(3)) {
        let class = class_name(&typ);
        prop_assert_eq!(class::parse(&class), typ);
        for len in (0..class.len()).filter(|len| class.is_char_boundary(*len)) {
            let cut = &class[..len];
            prop_assert_eq!(class::parse(cut), ColumnType::Custom(cut.into()));
        }
    }

    /// Nothing that is almost a class name ends in a panic.
    #[test]
    fn any_class_name(
        parts in vec(
            prop::sample::select(&[
                "VectorType", "ListType", "MapType", "TupleType", "UserType", "FrozenType",
                "Int32Type", "UTF8Type", "(", ")", ",", ":", " ", "3", "65535", "99999", "ks",
                "6964", "zz", "é", MARSHAL,
            ]),
            0..16,
        ),
    ) {
        let class = parts.concat();
        if let ColumnType::Custom(custom) = class::parse(&class) {
            prop_assert_eq!(&*custom, &*class);
        }
    }
}
