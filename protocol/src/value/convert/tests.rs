//! Golden bytes and limits of other crates' types.

#![cfg_attr(
    not(any(
        feature = "bigdecimal-04",
        feature = "chrono-04",
        feature = "num-bigint-04",
        feature = "secrecy-10",
        feature = "time-03"
    )),
    allow(dead_code, reason = "each feature has tests of its own")
)]

use crate::error::SerializeError;
use crate::types::ColumnType;
use crate::value::SerializeValue;
use crate::wire::Writer;

fn encode(
    typ: &ColumnType,
    value: &(impl SerializeValue + ?Sized),
) -> Result<Vec<u8>, SerializeError> {
    let mut bytes = vec![0; value.value_len(typ)?.encoded_len()];
    let mut writer = Writer::new(&mut bytes);
    value.write_value(typ, &mut writer);
    writer.finish()?;
    Ok(bytes.split_off(4))
}

/// The value has these bytes, and is read from them; as are all it can be cut to, without a panic.
#[cfg(any(
    feature = "bigdecimal-04",
    feature = "chrono-04",
    feature = "num-bigint-04",
    feature = "time-03"
))]
macro_rules! golden {
    ($typ:ident, $rust:ty, $value:expr, $bytes:expr) => {{
        use crate::value::{DeserializeValue, SerializeValue};
        let (typ, value, bytes): (_, $rust, &[u8]) = (ColumnType::$typ, $value, &$bytes);
        <$rust as SerializeValue>::type_check(&typ).unwrap();
        <$rust as DeserializeValue>::type_check(&typ).unwrap();
        assert!(<$rust as SerializeValue>::type_check(&ColumnType::Boolean).is_err());
        assert!(<$rust as DeserializeValue>::type_check(&ColumnType::Boolean).is_err());
        assert_eq!(encode(&typ, &value).as_deref(), Ok(bytes));
        assert_eq!(<$rust>::deserialize(&typ, Some(bytes)), Ok(value));
        for len in 0..bytes.len() {
            let _ = <$rust>::deserialize(&typ, Some(&bytes[..len]));
        }
        let null = <$rust>::deserialize(&typ, None).unwrap_err().to_string();
        assert!(null.contains(core::any::type_name::<$rust>()), "{null}");
    }};
}

#[cfg(feature = "chrono-04")]
mod chrono_04 {
    use super::*;
    use crate::value::{CqlDate, CqlTime, CqlTimestamp, ValueOverflow};
    use chrono::{DateTime, NaiveDate, NaiveTime, Timelike, Utc};
    use proptest::prelude::*;

    #[test]
    fn golden() {
        let date = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap();
        golden!(Date, NaiveDate, date(1970, 1, 1), [0x80, 0, 0, 0]);
        golden!(Date, NaiveDate, date(1969, 12, 31), [0x7F, 0xFF, 0xFF, 0xFF]);
        golden!(Date, NaiveDate, date(2000, 2, 29), [0x80, 0, 0x2B, 8]);
        let time = NaiveTime::from_hms_nano_opt(6, 5, 4, 123).unwrap();
        golden!(Time, NaiveTime, time, 21_904_000_000_123_i64.to_be_bytes());
        let time = DateTime::from_timestamp_millis(-1).unwrap();
        golden!(Timestamp, DateTime<Utc>, time, [0xFF; 8]);
    }

    #[test]
    fn limits() {
        for end in [CqlDate(0), CqlDate(u32::MAX)] {
            assert_eq!(NaiveDate::try_from(end), Err(ValueOverflow));
        }
        for end in [NaiveDate::MIN, NaiveDate::MAX] {
            assert_eq!(NaiveDate::try_from(CqlDate::from(end)), Ok(end));
        }
        for end in [CqlTimestamp::MIN, CqlTimestamp::MAX] {
            assert_eq!(DateTime::<Utc>::try_from(end), Err(ValueOverflow));
        }
        assert_eq!(NaiveTime::try_from(CqlTime(-1)), Err(ValueOverflow));
        assert_eq!(NaiveTime::try_from(CqlTime(86_400_000_000_000)), Err(ValueOverflow));
        let leap = NaiveTime::from_hms_opt(23, 59, 59).unwrap();
        let leap = leap.with_nanosecond(1_000_000_000).unwrap();
        let error = encode(&ColumnType::Time, &leap).unwrap_err();
        assert_eq!(error.to_string(), "column 0: a leap second is no time");
        let before = DateTime::from_timestamp(-1, 999_999_999).unwrap();
        assert_eq!(CqlTimestamp::from(before), CqlTimestamp(-1), "to the millisecond before");
    }

    proptest! {
        #[test]
        fn round_trip(days: u32, ns in 0..86_400_000_000_000_i64, ms: i64) {
            if let Ok(date) = NaiveDate::try_from(CqlDate(days)) {
                prop_assert_eq!(CqlDate::from(date), CqlDate(days));
            }
            let time = NaiveTime::try_from(CqlTime(ns)).unwrap();
            prop_assert_eq!(CqlTime::try_from(time), Ok(CqlTime(ns)));
            if let Ok(time) = DateTime::<Utc>::try_from(CqlTimestamp(ms)) {
                prop_assert_eq!(CqlTimestamp::from(time), CqlTimestamp(ms));
            }
        }
    }
}

#[cfg(feature = "time-03")]
mod time_03 {
    use super::*;
    use crate::value::{CqlDate, CqlTime, CqlTimestamp, ValueOverflow};
    use proptest::prelude::*;
    use time::{Date, OffsetDateTime, Time, UtcOffset};

    #[test]
    fn golden() {
        let date = |year, day| Date::from_ordinal_date(year, day).unwrap();
        golden!(Date, Date, date(1970, 1), [0x80, 0, 0, 0]);
        golden!(Date, Date, date(1969, 365), [0x7F, 0xFF, 0xFF, 0xFF]);
        golden!(Date, Date, date(2000, 60), [0x80, 0, 0x2B, 8]);
        let time = Time::from_hms_nano(6, 5, 4, 123).unwrap();
        golden!(Time, Time, time, 21_904_000_000_123_i64.to_be_bytes());
        let time = OffsetDateTime::from_unix_timestamp_nanos(-1_000_000).unwrap();
        golden!(Timestamp, OffsetDateTime, time, [0xFF; 8]);
        let offset = time.to_offset(UtcOffset::from_hms(1, 30, 0).unwrap());
        assert_eq!(encode(&ColumnType::Timestamp, &offset), Ok(vec![0xFF; 8]));
    }

    #[test]
    fn limits() {
        for end in [CqlDate(0), CqlDate(u32::MAX)] {
            assert_eq!(Date::try_from(end), Err(ValueOverflow));
        }
        for end in [Date::MIN, Date::MAX] {
            assert_eq!(Date::try_from(CqlDate::from(end)), Ok(end));
        }
        for end in [CqlTimestamp::MIN, CqlTimestamp::MAX] {
            assert_eq!(OffsetDateTime::try_from(end), Err(ValueOverflow));
        }
        assert_eq!(Time::try_from(CqlTime(-1)), Err(ValueOverflow));
        assert_eq!(Time::try_from(CqlTime(86_400_000_000_000)), Err(ValueOverflow));
        let before = OffsetDateTime::from_unix_timestamp_nanos(-1).unwrap();
        assert_eq!(CqlTimestamp::from(before), CqlTimestamp(-1), "to the millisecond before");
    }

    proptest! {
        #[test]
        fn round_trip(days: u32, ns in 0..86_400_000_000_000_i64, ms: i64) {
            if let Ok(date) = Date::try_from(CqlDate(days)) {
                prop_assert_eq!(CqlDate::from(date), CqlDate(days));
            }
            let time = Time::try_from(CqlTime(ns)).unwrap();
            prop_assert_eq!(CqlTime::from(time), CqlTime(ns));
            if let Ok(time) = OffsetDateTime::try_from(CqlTimestamp(ms)) {
                prop_assert_eq!(CqlTimestamp::from(time), CqlTimestamp(ms));
            }
        }
    }
}

#[cfg(feature = "num-bigint-04")]
mod num_bigint_04 {
    use super::*;
    use crate::value::{CqlVarint, DeserializeValue};
    use num_bigint::BigInt;
    use proptest::prelude::*;

    #[test]
    fn golden() {
        golden!(Varint, BigInt, BigInt::from(0), [0]);
        golden!(Varint, BigInt, BigInt::from(-1), [0xFF]);
        golden!(Varint, BigInt, BigInt::from(127), [0x7F]);
        golden!(Varint, BigInt, BigInt::from(128), [0, 0x80]);
        golden!(Varint, BigInt, BigInt::from(-128), [0x80]);
        golden!(Varint, BigInt, BigInt::from(-129), [0xFF, 0x7F]);
        golden!(Varint, BigInt, BigInt::from(-1_i128 << 64), [0xFF, 0, 0, 0, 0, 0, 0, 0, 0]);
        golden!(Varint, BigInt, BigInt::from(i64::MIN), i64::MIN.to_be_bytes());
        assert_eq!(BigInt::deserialize(&ColumnType::Varint, Some(&[])), Ok(BigInt::from(0)));
    }

    proptest! {
        /// The bytes are those of the official way, which allocates.
        #[test]
        fn written_as_its_shortest_bytes(digits: Vec<u8>, zeros in 0..20_usize) {
            for number in [BigInt::from_signed_bytes_be(&digits), BigInt::from(digits.len())] {
                for number in [&number << (8 * zeros), number] {
                    let bytes = encode(&ColumnType::Varint, &number).unwrap();
                    let varint = CqlVarint::from(number.clone());
                    prop_assert_eq!(&bytes, varint.as_signed_bytes_be_slice());
                    prop_assert_eq!(BigInt::from(varint.as_borrowed()), number.clone());
                    prop_assert_eq!(BigInt::from(varint), number);
                }
            }
        }
    }
}

#[cfg(feature = "bigdecimal-04")]
mod bigdecimal_04 {
    use super::*;
    use crate::value::{CqlDecimal, ValueOverflow};
    use bigdecimal::BigDecimal;

    #[test]
    fn golden() {
        golden!(Decimal, BigDecimal, BigDecimal::new(12345.into(), 2), [0, 0, 0, 2, 0x30, 0x39]);
        golden!(Decimal, BigDecimal, BigDecimal::new((-1).into(), -1), [255, 255, 255, 255, 255]);
        golden!(Decimal, BigDecimal, BigDecimal::new(0.into(), 3), [0, 0, 0, 3, 0]);
    }

    #[test]
    fn limits() {
        for scale in [i64::from(i32::MAX), i64::from(i32::MIN)] {
            let fits = BigDecimal::new(7.into(), scale);
            let decimal = CqlDecimal::try_from(fits).unwrap();
            let back = BigDecimal::from(decimal).into_bigint_and_scale();
            assert_eq!(back, (7.into(), scale));
        }
        let too_fine = BigDecimal::new(7.into(), 1 << 31);
        let error = encode(&ColumnType::Decimal, &too_fine).unwrap_err();
        assert!(error.to_string().contains("32 bits"));
        assert_eq!(CqlDecimal::try_from(too_fine), Err(ValueOverflow));
    }
}

#[cfg(feature = "secrecy-10")]
mod secrecy_10 {
    use super::*;
    use crate::value::DeserializeValue;
    use secrecy::{ExposeSecret, SecretBox, SecretString};

    #[test]
    fn secrets_are_bound_and_read_and_not_shown() {
        let password = SecretString::from("sesame");
        let bytes = encode(&ColumnType::Text, &password).unwrap();
        assert_eq!(bytes, b"sesame");
        let read = SecretString::deserialize(&ColumnType::Text, Some(&bytes)).unwrap();
        assert_eq!(read.expose_secret(), "sesame");
        assert!(!format!("{read:?}").contains("sesame"));
        let pin = SecretBox::new(Box::new(7_i32));
        assert_eq!(encode(&ColumnType::Int, &pin), Ok(vec![0, 0, 0, 7]));
        let read = <SecretBox<i32>>::deserialize(&ColumnType::Int, Some(&[0, 0, 0, 7])).unwrap();
        assert_eq!(*read.expose_secret(), 7);
        let blob = <SecretBox<[u8]>>::deserialize(&ColumnType::Blob, Some(&[7, 8])).unwrap();
        assert_eq!(encode(&ColumnType::Blob, &blob), Ok(vec![7, 8]));
        assert!(<SecretBox<str> as SerializeValue>::type_check(&ColumnType::Int).is_err());
        assert!(<SecretBox<i32> as DeserializeValue>::type_check(&ColumnType::Text).is_err());
        assert!(SecretString::deserialize(&ColumnType::Text, None).is_err());
    }
}
