//! Every type that is not made of others: its least, its largest, its oddest values.
//!
//! Each value travels three ways: bound, as a literal that the server parses, and as a
//! [`CqlValue`]. What comes back is compared with what was meant; and the server is asked for the
//! bytes and the JSON of what it stored, so that a mistake that the driver makes both ways shows.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use shardwire::value::{
    Counter, CqlDate, CqlDecimal, CqlDuration, CqlTime, CqlTimestamp, CqlTimeuuid, CqlValue,
    CqlVarint, MaybeEmpty,
};
use shardwire::{DeserializeValue, SerializeValue, Session};
use uuid::Uuid;

use crate::case::{Case, case};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(types::scalars),
    case!(types::scalars_as_the_server_has_them),
    case!(types::durations_of_iso_8601),
    case!(types::counters),
    case!(types::empty_values),
    case!(types::keys),
    case!(types::large_values),
];

const SCALARS: [&str; 20] = [
    "ascii",
    "bigint",
    "blob",
    "boolean",
    "date",
    "decimal",
    "double",
    "duration",
    "float",
    "inet",
    "int",
    "smallint",
    "text",
    "time",
    "timestamp",
    "timeuuid",
    "tinyint",
    "uuid",
    "varchar",
    "varint",
];

/// What is compared.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Check {
    /// What comes back.
    Values,
    /// What the server says it has.
    Server,
}

async fn scalars(context: &Context) -> Result<()> {
    all(context, Check::Values).await
}

async fn scalars_as_the_server_has_them(context: &Context) -> Result<()> {
    all(context, Check::Server).await
}

async fn all(context: &Context, check: Check) -> Result<()> {
    let session = context.session().await?;
    let columns: Vec<_> = SCALARS.iter().map(|typ| format!("c_{typ} {typ}")).collect();
    let text = format!("CREATE TABLE {{ks}}.t (id int PRIMARY KEY, {})", columns.join(", "));
    context.alter(&session, &text).await?;
    let types = Types { context, session: &session, check };
    types.texts().await?;
    types.integers().await?;
    types.numbers().await?;
    types.times().await?;
    types.others().await
}

struct Types<'a> {
    context: &'a Context,
    session: &'a Session,
    check: Check,
}

impl Types<'_> {
    async fn texts(&self) -> Result<()> {
        let ascii = [("", "''"), ("az AZ ~\u{1}", "'az AZ ~\u{1}'"), ("it's", "'it''s'")];
        self.typ("ascii", ascii.map(owned)).await?;
        let text = [("", "''"), ("é ß 漢 🦀", "'é ß 漢 🦀'"), ("\0", "'\0'"), ("$$'", "'$$'''")];
        self.typ("text", text.map(owned)).await?;
        self.typ("varchar", text.map(owned)).await?;
        let blob =
            [(vec![], "0x"), (vec![0_u8], "0x00"), (vec![0, 0xff, 0x7f, 0x80], "0x00ff7f80")];
        self.typ("blob", blob).await
    }

    async fn integers(&self) -> Result<()> {
        self.typ("tinyint", [(i8::MIN, "-128"), (-1, "-1"), (0, "0"), (i8::MAX, "127")]).await?;
        self.typ("smallint", [(i16::MIN, "-32768"), (-1, "-1"), (256, "256"), (i16::MAX, "32767")])
            .await?;
        self.typ("int", [(i32::MIN, "-2147483648"), (-1, "-1"), (i32::MAX, "2147483647")]).await?;
        let bigint = [(i64::MIN, "-9223372036854775808"), (i64::MAX, "9223372036854775807")];
        self.typ("bigint", bigint).await?;
        // Where a byte of sign is needed, and where not.
        let small = [0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, 32768, -32768, -32769];
        let large = [i128::MIN, i128::MAX, 1 << 63, -(1 << 63), (1 << 63) - 1, -(1 << 63) - 1];
        let varint: Vec<_> =
            small.into_iter().chain(large).map(|n: i128| (n, n.to_string())).collect();
        let varint = varint.iter().map(|(n, text)| (CqlVarint::from(*n), text.as_str()));
        self.typ("varint", varint).await
    }

    async fn numbers(&self) -> Result<()> {
        let float = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.5, "1.5"),
            (f32::MAX, "3.4028235E38"),
            (f32::MIN_POSITIVE, "1.17549435E-38"),
            (f32::NAN, "NaN"),
            (f32::INFINITY, "Infinity"),
            (f32::NEG_INFINITY, "-Infinity"),
        ];
        self.typ("float", float).await?;
        let double = [
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (f64::MAX, "1.7976931348623157E308"),
            (5e-324, "4.9E-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        self.typ("double", double).await?;
        let decimal = [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (-15, 1, "-1.5"),
            (15, -9, "1.5E+10"),
            (1, 40, "1E-40"),
            (i128::MAX, 20, "1701411834604692317.31687303715884105727"),
        ];
        let decimal = decimal.map(|(unscaled, scale, text)| {
            (CqlDecimal::new(CqlVarint::from(unscaled), scale), text)
        });
        self.typ("decimal", decimal).await
    }

    async fn times(&self) -> Result<()> {
        let date = [
            (CqlDate(0), "0"),
            (CqlDate(1 << 31), "'1970-01-01'"),
            (CqlDate((1 << 31) - 1), "'1969-12-31'"),
            (CqlDate(u32::MAX), "4294967295"),
        ];
        self.typ("date", date).await?;
        let time = [
            (CqlTime(0), "'00:00:00'"),
            (CqlTime(1), "'00:00:00.000000001'"),
            (CqlTime(86_399_999_999_999), "'23:59:59.999999999'"),
        ];
        self.typ("time", time).await?;
        let timestamp = [
            (CqlTimestamp(0), "'1970-01-01 00:00:00+0000'"),
            (CqlTimestamp(-1), "'1969-12-31T23:59:59.999Z'"),
            (CqlTimestamp(i64::MAX), "9223372036854775807"),
            (CqlTimestamp(i64::MIN), "-9223372036854775808"),
        ];
        self.typ("timestamp", timestamp).await?;
        let duration = |months, days, nanoseconds| CqlDuration { months, days, nanoseconds };
        let duration = [
            (duration(0, 0, 0), "0s"),
            (duration(1, 2, 3), "1mo2d3ns"),
            (duration(-14, -3, -1_000_000_000), "-1y2mo3d1s"),
            (
                duration(i32::MAX, i32::MAX, i64::MAX),
                "2147483647mo2147483647d9223372036854775807ns",
            ),
        ];
        self.typ("duration", duration).await
    }

    async fn others(&self) -> Result<()> {
        self.typ("boolean", [(false, "false"), (true, "true")]).await?;
        let inet =
            ["0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "::1", "2001:db8::8a2e:370:7334"];
        let inet = inet.map(|text| (text, format!("'{text}'")));
        let inet: Result<Vec<(IpAddr, &str)>, _> =
            inet.iter().map(|(text, literal)| Ok((text.parse()?, literal.as_str()))).collect();
        self.typ("inet", inet.map_err(|error: std::net::AddrParseError| error)?).await?;
        let uuids = [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-4fff-bfff-ffffffffffff",
            "6ab09bec-e68e-48d9-a5f8-97e6fb4c9b47",
        ];
        let uuid: Result<Vec<(Uuid, &str)>, _> =
            uuids.iter().map(|text| Ok((text.parse()?, *text))).collect();
        self.typ("uuid", uuid.map_err(|error: uuid::Error| error)?).await?;
        let timeuuids = [
            "00000000-0000-1000-8080-808080808080",
            "ffffffff-ffff-1fff-bfff-ffffffffffff",
            "8e14e760-7fa8-11eb-bc66-000000000001",
        ];
        let timeuuid: Result<Vec<(CqlTimeuuid, &str)>, _> =
            timeuuids.iter().map(|text| Ok((text.parse()?, *text))).collect();
        self.typ("timeuuid", timeuuid.map_err(|error: uuid::Error| error)?).await
    }

    /// Checks values, each with its literal, of the type.
    async fn typ<'v, T>(
        &self,
        typ: &str,
        values: impl IntoIterator<Item = (T, &'v str)>,
    ) -> Result<()>
    where
        T: SerializeValue + for<'r> DeserializeValue<'r> + Debug,
    {
        let Self { context, session, check } = *self;
        let insert = context.text(&format!("INSERT INTO {{ks}}.t (id, c_{typ}) VALUES (?, ?)"));
        let insert = session.prepare(insert.as_str()).await.with_context(|| insert.clone())?;
        let select = context.text(&format!("SELECT c_{typ} FROM {{ks}}.t WHERE id = ?"));
        let select = session.prepare(select.as_str()).await?;
        for (value, literal) in values {
            let what = || format!("{typ} {literal}");
            session.execute_unpaged(&insert, (0, &value)).await.with_context(what)?;
            let text = format!("INSERT INTO {{ks}}.t (id, c_{typ}) VALUES (1, {literal})");
            context.query(session, &text).await?;
            if check == Check::Server {
                self.compare_on_server(typ, literal).await?;
                continue;
            }
            // Bound as what is known only at run time.
            let result = session.execute_unpaged(&select, (1,)).await?.into_rows_result()?;
            let (dynamic,) = result.single_row::<(CqlValue,)>().with_context(what)?;
            session.execute_unpaged(&insert, (2, &dynamic)).await.with_context(what)?;
            for id in 0..3 {
                let result = session.execute_unpaged(&select, (id,)).await?.into_rows_result()?;
                let (found,) = result.single_row::<(T,)>().with_context(what)?;
                // As text, which tells zeros apart and has one NaN.
                let (found, expected) = (format!("{found:?}"), format!("{value:?}"));
                ensure!(found == expected, "{}, row {id}: {found} is not {expected}", what());
                let (found,) = result.single_row::<(CqlValue,)>().with_context(what)?;
                let (found, expected) = (format!("{found:?}"), format!("{dynamic:?}"));
                ensure!(found == expected, "{}, row {id}: {found} is not {expected}", what());
            }
        }
        Ok(())
    }

    /// The server's bytes and JSON are the same for the bound value and for the literal.
    async fn compare_on_server(&self, typ: &str, literal: &str) -> Result<()> {
        let blob = match typ {
            "blob" => "c_blob".to_owned(),
            typ => format!("{typ}AsBlob(c_{typ})"),
        };
        let text = format!("SELECT {blob}, toJson(c_{typ}) FROM {{ks}}.t WHERE id IN (0, 1)");
        let result = self.context.rows(self.session, &text).await?;
        let rows: Vec<(Vec<u8>, String)> = result.rows()?.collect::<Result<_, _>>()?;
        let [bound, parsed] = rows.as_slice() else { anyhow::bail!("{} rows", rows.len()) };
        ensure!(bound == parsed, "{typ} {literal}: bound {bound:02x?}, parsed {parsed:02x?}");
        Ok(())
    }
}

fn owned<'v>((value, literal): (&str, &'v str)) -> (String, &'v str) {
    (value.to_owned(), literal)
}

async fn durations_of_iso_8601(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, d duration)").await?;
    for (literal, months, days, nanoseconds) in [
        ("PT1H30M", 0, 0, 5_400_000_000_000),
        ("-P1Y2M3D", -14, -3, 0),
        ("P5W", 0, 35, 0),
        ("P0001-02-03T04:05:06", 14, 3, 14_706_000_000_000),
    ] {
        let text = format!("INSERT INTO {{ks}}.t (id, d) VALUES (1, {literal})");
        context.query(&session, &text).await?;
        let result = context.rows(&session, "SELECT d FROM {ks}.t WHERE id = 1").await?;
        let (found,) = result.single_row::<(CqlDuration,)>()?;
        let expected = CqlDuration { months, days, nanoseconds };
        ensure!(found == expected, "{literal}: {found:?}");
    }
    Ok(())
}

async fn counters(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (id int PRIMARY KEY, n counter, m counter)";
    context.alter(&session, text).await?;
    let text = context.text("UPDATE {ks}.t SET n = n + ?, m = m - ? WHERE id = ?");
    let update = session.prepare(text.as_str()).await?;
    session.execute_unpaged(&update, (Counter(5), Counter(7), 1)).await?;
    session.execute_unpaged(&update, (Counter(i64::MAX - 5), Counter(-3), 1)).await?;
    let result = context.rows(&session, "SELECT n, m FROM {ks}.t WHERE id = 1").await?;
    let row = result.single_row::<(Counter, Counter)>()?;
    ensure!(row == (Counter(i64::MAX), Counter(-4)), "{row:?}");
    let row = result.single_row::<(CqlValue, CqlValue)>()?;
    ensure!(row.0 == CqlValue::Counter(Counter(i64::MAX)), "{row:?}");
    // The other column alone leaves this one null.
    context.query(&session, "UPDATE {ks}.t SET m = m + 1 WHERE id = 2").await?;
    let result = context.rows(&session, "SELECT n, m FROM {ks}.t WHERE id = 2").await?;
    let row = result.single_row::<(Option<Counter>, Option<Counter>)>()?;
    ensure!(row == (None, Some(Counter(1))), "{row:?}");
    Ok(())
}

/// A cell of no bytes, which most types may have, is neither null nor zero.
async fn empty_values(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (id int PRIMARY KEY, i int, u uuid, t text, b blob)";
    context.alter(&session, text).await?;
    let text = context.text("INSERT INTO {ks}.t (id, i, u, t, b) VALUES (?, ?, ?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let row = (1, MaybeEmpty::<i32>::Empty, MaybeEmpty::<Uuid>::Empty, "", &[] as &[u8]);
    session.execute_unpaged(&insert, row).await?;
    let row = (2, MaybeEmpty::Value(7), MaybeEmpty::Value(Uuid::nil()), "x", &[1_u8] as &[u8]);
    session.execute_unpaged(&insert, row).await?;
    let result = context.rows(&session, "SELECT i, u, t, b FROM {ks}.t WHERE id = 1").await?;
    let row = result.single_row::<(MaybeEmpty<i32>, MaybeEmpty<Uuid>, &str, &[u8])>()?;
    ensure!(row == (MaybeEmpty::Empty, MaybeEmpty::Empty, "", &[]), "{row:?}");
    let row = result.single_row::<(CqlValue, CqlValue, CqlValue, CqlValue)>()?;
    ensure!(row.0 == CqlValue::Empty && row.2 == CqlValue::Text(String::new()), "{row:?}");
    let result = context.rows(&session, "SELECT i, u FROM {ks}.t WHERE id = 2").await?;
    let row = result.single_row::<(MaybeEmpty<i32>, MaybeEmpty<Uuid>)>()?;
    ensure!(row == (MaybeEmpty::Value(7), MaybeEmpty::Value(Uuid::nil())), "{row:?}");
    Ok(())
}

/// Types as parts of keys, where the driver computes tokens of them.
async fn keys(context: &Context) -> Result<()> {
    let session = context.session().await?;
    let text = "CREATE TABLE {ks}.t (a text, b int, c timeuuid, d smallint, v int, \
                PRIMARY KEY ((a, b), c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC)";
    context.alter(&session, text).await?;
    let text = context.text("INSERT INTO {ks}.t (a, b, c, d, v) VALUES (?, ?, ?, ?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let mut expected = BTreeSet::new();
    for n in 0..10_i16 {
        let c: CqlTimeuuid = format!("8e14e76{}-7fa8-11eb-bc66-000000000001", n / 2).parse()?;
        session.execute_unpaged(&insert, ("é", -1, c, n, i32::from(n))).await?;
        expected.insert((std::cmp::Reverse(c), n));
    }
    let text = context.text("SELECT c, d FROM {ks}.t WHERE a = ? AND b = ?");
    let select = session.prepare(text.as_str()).await?;
    let result = session.execute_unpaged(&select, ("é", -1)).await?.into_rows_result()?;
    let found: Vec<(CqlTimeuuid, i16)> = result.rows()?.collect::<Result<_, _>>()?;
    let expected: Vec<_> = expected.into_iter().map(|(c, d)| (c.0, d)).collect();
    ensure!(found == expected, "{found:?} is not {expected:?}");
    Ok(())
}

/// Values that take several reads, several segments of v5, and none of which is compressible.
async fn large_values(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, b blob)").await?;
    let text = context.text("INSERT INTO {ks}.t (id, b) VALUES (?, ?)");
    let insert = session.prepare(text.as_str()).await?;
    let text = context.text("SELECT b FROM {ks}.t WHERE id = ?");
    let select = session.prepare(text.as_str()).await?;
    // Around 128 KiB, which is what a segment holds, and well beyond.
    for (id, len) in [(0, 131_000), (1, 131_071), (2, 131_072), (3, 262_200), (4, 3_000_000)] {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let noise: Vec<u8> = (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_be_bytes()[0]
            })
            .collect();
        session.execute_unpaged(&insert, (id, &noise)).await.with_context(|| format!("{len}"))?;
        let result = session.execute_unpaged(&select, (id,)).await?.into_rows_result()?;
        ensure!(result.single_row::<(&[u8],)>()?.0 == noise, "{len} bytes");
    }
    Ok(())
}
