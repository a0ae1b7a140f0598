//! Random bodies of responses: whole, with a few bytes changed, or cut.

use shardwire_protocol::header::Opcode;
use shardwire_protocol::types::ColumnType;

use super::source::Source;
use super::types;

/// What a server may send.
pub(crate) const OPCODES: [Opcode; 8] = [
    Opcode::Error,
    Opcode::Ready,
    Opcode::Authenticate,
    Opcode::Supported,
    Opcode::Result,
    Opcode::Event,
    Opcode::AuthChallenge,
    Opcode::AuthSuccess,
];

/// A body that is being written.
#[derive(Default)]
struct Body(Vec<u8>);

/// A body for `opcode` with what `flags` says before it. One in two is damaged.
pub(crate) fn random(source: &mut Source<'_>, opcode: Opcode, flags: u8) -> Vec<u8> {
    let mut body = Body::default();
    if flags & 0x02 != 0 {
        body.put(&source.array::<16>()); // tracing id
    }
    if flags & 0x08 != 0 {
        body.strings(source, 3); // warnings
    }
    if flags & 0x04 != 0 {
        let count = body.count(source, 3);
        for _ in 0..count {
            body.string(&source.text(5));
            body.bytes(Some(&source.bytes(9)));
        }
    }
    match opcode {
        Opcode::Error => error(source, &mut body),
        Opcode::Authenticate => body.string(&source.text(20)),
        Opcode::Supported => {
            let count = body.count(source, 4);
            for _ in 0..count {
                body.string(&source.text(4));
                body.strings(source, 3);
            }
        }
        Opcode::Result => result(source, &mut body),
        Opcode::Event => event(source, &mut body),
        Opcode::AuthChallenge | Opcode::AuthSuccess => {
            let content = source.coin().then(|| source.bytes(9));
            body.bytes(content.as_deref());
        }
        _ => {}
    }
    damaged(source, body.0)
}

fn damaged(source: &mut Source<'_>, mut body: Vec<u8>) -> Vec<u8> {
    match source.below(6) {
        0 if !body.is_empty() => {
            for _ in 0..=source.below(2) {
                let index = (source.u8() as usize + 256 * source.u8() as usize) % body.len();
                body[index] = source.u8();
            }
        }
        1 => body.truncate(source.u8() as usize),
        2 => body.extend_from_slice(&source.bytes(3)), // extensions of tomorrow
        _ => {}
    }
    body
}

fn error(source: &mut Source<'_>, body: &mut Body) {
    const CODES: [u32; 20] = [
        0x0000, 0x000A, 0x0100, 0x1000, 0x1001, 0x1002, 0x1003, 0x1100, 0x1200, 0x1300, 0x1400,
        0x1500, 0x2000, 0x2100, 0x2200, 0x2300, 0x2400, 0x2500, 0xF000, 0x7777,
    ];
    let code = CODES[source.below(20)];
    body.u32(code);
    body.string(&source.text(20));
    match code {
        0x1000 | 0x1100 | 0x1200 | 0x1300 | 0x1500 => {
            body.u16(source.below(11) as u16);
            body.u32(u32::from(source.u8()));
            body.u32(u32::from(source.u8()));
            if matches!(code, 0x1300 | 0x1500) {
                body.u32(u32::from(source.u8()));
            }
            match code {
                0x1000 => {}
                0x1200 | 0x1300 => body.put(&[source.u8() % 3]),
                _ => {
                    const WRITE_TYPES: [&str; 9] = [
                        "SIMPLE",
                        "BATCH",
                        "UNLOGGED_BATCH",
                        "COUNTER",
                        "BATCH_LOG",
                        "CAS",
                        "VIEW",
                        "CDC",
                        "NEW",
                    ];
                    body.string(WRITE_TYPES[source.below(9)]);
                }
            }
        }
        0x1400 => {
            body.string(&source.text(5));
            body.string(&source.text(5));
            body.strings(source, 3);
        }
        0x2400 => {
            body.string(&source.text(5));
            body.string(&source.text(5));
        }
        0x2500 => body.short_bytes(&source.bytes(16)),
        0xF000 => body.put(&[source.u8() % 3, source.u8() % 3]),
        _ => {}
    }
}

fn event(source: &mut Source<'_>, body: &mut Body) {
    match source.below(5) {
        0 => {
            body.string("TOPOLOGY_CHANGE");
            body.string(["NEW_NODE", "REMOVED_NODE", "MOVED_NODE", "X"][source.below(4)]);
            inet(source, body);
        }
        1 => {
            body.string("STATUS_CHANGE");
            body.string(["UP", "DOWN", "X"][source.below(3)]);
            inet(source, body);
        }
        2 => {
            body.string("SCHEMA_CHANGE");
            schema_change(source, body);
        }
        3 => {
            body.string("CLIENT_ROUTES_CHANGE");
            body.string(["UPDATE_NODES", "UPDATE_NODES", "X"][source.below(3)]);
            body.strings(source, 3);
            let count = body.count(source, 3);
            for _ in 0..count {
                match source.below(4) {
                    0 => body.string(&source.text(9)),
                    _ => body.string(&uuid::Uuid::from_bytes(source.array()).to_string()),
                }
            }
        }
        _ => body.string(&source.text(9)),
    }
}

fn inet(source: &mut Source<'_>, body: &mut Body) {
    if source.coin() {
        body.put(&[4]);
        body.put(&source.array::<4>());
    } else {
        body.put(&[16]);
        body.put(&source.array::<16>());
    }
    body.u32(u32::from(u16::from_be_bytes(source.array())));
}

fn schema_change(source: &mut Source<'_>, body: &mut Body) {
    body.string(["CREATED", "UPDATED", "DROPPED", "X"][source.below(4)]);
    let target = ["KEYSPACE", "TABLE", "TYPE", "FUNCTION", "AGGREGATE", "X"][source.below(6)];
    body.string(target);
    body.string(&source.text(5));
    if target != "KEYSPACE" {
        body.string(&source.text(5));
    }
    if matches!(target, "FUNCTION" | "AGGREGATE") {
        body.strings(source, 3);
    }
}

fn result(source: &mut Source<'_>, body: &mut Body) {
    let kind = source.below(9);
    body.u32([1, 2, 2, 2, 2, 3, 4, 5, 6][kind]);
    match kind {
        1..=4 => rows(source, body),
        5 => body.string(&source.text(9)),
        6 => prepared(source, body),
        7 => schema_change(source, body),
        _ => {}
    }
}

fn rows(source: &mut Source<'_>, body: &mut Body) {
    // One in four has no metadata, one in four a new id.
    let flags = u32::from(source.u8() & 0x03) | [0, 0, 0, 0, 0, 0x04, 0x08, 0x0C][source.below(8)];
    let columns: Vec<_> = (0..1 + source.below(3)).map(|_| types::random(source, 3)).collect();
    body.u32(flags);
    body.u32(columns.len() as u32);
    if flags & 0x02 != 0 {
        let state = source.bytes(9);
        body.bytes((!state.is_empty()).then_some(&state));
    }
    if flags & 0x08 != 0 {
        body.short_bytes(&source.bytes(16));
    }
    if flags & 0x04 == 0 {
        column_specs(source, body, flags, &columns);
    }
    let row_count = source.below(4);
    body.u32(row_count as u32);
    for _ in 0..row_count * columns.len() {
        match source.below(4) {
            0 => body.bytes(None),
            _ => body.bytes(Some(&source.bytes(12))),
        }
    }
}

fn column_specs(source: &mut Source<'_>, body: &mut Body, flags: u32, columns: &[ColumnType]) {
    if flags & 0x01 != 0 {
        body.string("ks");
        body.string(&source.text(4));
    }
    for typ in columns {
        if flags & 0x01 == 0 {
            body.string(&source.text(3));
            body.string("tbl");
        }
        body.string(&source.text(4));
        body.typ(typ);
    }
}

fn prepared(source: &mut Source<'_>, body: &mut Body) {
    body.short_bytes(&source.bytes(16));
    if source.coin() {
        body.short_bytes(&source.bytes(16)); // a metadata id, to those who agreed on it
    }
    let flags = u32::from(source.u8() & 0x01) | (u32::from(source.u8() & 0x01) << 31);
    let columns: Vec<_> = (0..source.below(4)).map(|_| types::random(source, 2)).collect();
    body.u32(flags);
    body.u32(columns.len() as u32);
    let key_count = source.below(columns.len() + 1);
    body.u32(key_count as u32);
    for index in 0..key_count {
        body.u16(index as u16);
    }
    column_specs(source, body, flags, &columns);
    let columns: Vec<_> = (0..source.below(3)).map(|_| types::random(source, 2)).collect();
    let flags = if columns.is_empty() { 0x04 } else { u32::from(source.u8() & 0x01) };
    body.u32(flags);
    body.u32(columns.len() as u32);
    if flags & 0x04 == 0 {
        column_specs(source, body, flags, &columns);
    }
}

impl Body {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn u16(&mut self, number: u16) {
        self.put(&number.to_be_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.put(&number.to_be_bytes());
    }

    fn count(&mut self, source: &mut Source<'_>, max: usize) -> usize {
        let count = source.below(max + 1);
        self.u16(count as u16);
        count
    }

    fn string(&mut self, text: &str) {
        self.short_bytes(text.as_bytes());
    }

    fn short_bytes(&mut self, bytes: &[u8]) {
        self.u16(bytes.len() as u16);
        self.put(bytes);
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                self.u32(bytes.len() as u32);
                self.put(bytes);
            }
            None => self.u32(u32::MAX),
        }
    }

    fn strings(&mut self, source: &mut Source<'_>, count_max: usize) {
        let count = self.count(source, count_max);
        for _ in 0..count {
            self.string(&source.text(6));
        }
    }

    fn typ(&mut self, typ: &ColumnType) {
        use ColumnType::*;
        let id = match typ {
            Ascii => 0x01,
            Bigint => 0x02,
            Blob => 0x03,
            Boolean => 0x04,
            Counter => 0x05,
            Decimal => 0x06,
            Double => 0x07,
            Float => 0x08,
            Int => 0x09,
            Timestamp => 0x0B,
            Uuid => 0x0C,
            Text => 0x0D,
            Varint => 0x0E,
            Timeuuid => 0x0F,
            Inet => 0x10,
            Date => 0x11,
            Time => 0x12,
            Smallint => 0x13,
            Tinyint => 0x14,
            Duration => 0x15,
            List(_) => 0x20,
            Map(_) => 0x21,
            Set(_) => 0x22,
            Udt(_) => 0x30,
            Tuple(_) => 0x31,
            _ => 0x00,
        };
        self.u16(id);
        match typ {
            List(element) | Set(element) => self.typ(element),
            Map(pair) => {
                self.typ(&pair.0);
                self.typ(&pair.1);
            }
            Udt(udt) => {
                self.string(&udt.keyspace);
                self.string(&udt.name);
                self.u16(udt.fields.len() as u16);
                for (name, typ) in &udt.fields {
                    self.string(name);
                    self.typ(typ);
                }
            }
            Tuple(fields) => {
                self.u16(fields.len() as u16);
                fields.iter().for_each(|typ| self.typ(typ));
            }
            Vector(..) => self.string(&class_name(typ)),
            _ => {}
        }
    }
}

/// How Cassandra names a type that has no number of its own, and those within it.
fn class_name(typ: &ColumnType) -> String {
    use ColumnType::*;
    let list = |types: &[ColumnType]| types.iter().map(class_name).collect::<Vec<_>>().join(",");
    let name = match typ {
        Ascii => "AsciiType",
        Bigint => "LongType",
        Blob => "BytesType",
        Boolean => "BooleanType",
        Counter => "CounterColumnType",
        Date => "SimpleDateType",
        Decimal => "DecimalType",
        Double => "DoubleType",
        Duration => "DurationType",
        Float => "FloatType",
        Inet => "InetAddressType",
        Int => "Int32Type",
        Smallint => "ShortType",
        Text => "UTF8Type",
        Time => "TimeType",
        Timestamp => "TimestampType",
        Timeuuid => "TimeUUIDType",
        Tinyint => "ByteType",
        Uuid => "UUIDType",
        Varint => "IntegerType",
        List(element) => &format!("ListType({})", class_name(element)),
        Set(element) => &format!("SetType({})", class_name(element)),
        Map(pair) => &format!("MapType({},{})", class_name(&pair.0), class_name(&pair.1)),
        Tuple(fields) => &format!("TupleType({})", list(fields)),
        Vector(element, dimensions) => {
            &format!("VectorType({} , {dimensions})", class_name(element))
        }
        Udt(udt) => {
            let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
            let fields = udt.fields.iter();
            let fields = fields.map(|(name, typ)| format!(",{}:{}", hex(name), class_name(typ)));
            let fields = fields.collect::<String>();
            &format!("UserType({},{}{fields})", udt.keyspace, hex(&udt.name))
        }
        other => panic!("{other} has no class name here"),
    };
    format!("org.apache.cassandra.db.marshal.{name}")
}
