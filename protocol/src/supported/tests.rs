//! Tests of SUPPORTED: what servers say, what they leave out, and nonsense.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::header::{Opcode, ResponseHeader, Version};
use crate::response::tests::build;
use crate::response::{Agreed, Body, Response};

pub(super) fn parse(options: &[(&str, &[&str])]) -> Supported {
    let start = build().u16(u16::try_from(options.len()).unwrap());
    let body = options.iter().fold(start, |body, (key, values)| body.string(key).list(values));
    let header = ResponseHeader {
        version: Version::V4,
        flags: 0,
        stream: 0,
        opcode: Opcode::Supported,
        body_len: 0,
    };
    let body = Body::parse(&header, &body.0).unwrap();
    match body.response(&Agreed::default(), None).unwrap() {
        Response::Supported(body) => Supported::from_body(&body),
        other => panic!("{other:?}"),
    }
}

const SHARDS: [(&str, &[&str]); 3] = [
    ("SCYLLA_SHARD", &["3"]),
    ("SCYLLA_NR_SHARDS", &["12"]),
    ("SCYLLA_SHARDING_IGNORE_MSB", &["12"]),
];

#[test]
fn all_that_scylla_says() {
    let rest: [(&str, &[&str]); 12] = [
        ("SCYLLA_SHARDING_ALGORITHM", &["biased-token-round-robin"]),
        ("SCYLLA_PARTITIONER", &["org.apache.cassandra.dht.Murmur3Partitioner"]),
        ("SCYLLA_SHARD_AWARE_PORT", &["19042"]),
        ("SCYLLA_SHARD_AWARE_PORT_SSL", &["19142"]),
        ("SCYLLA_LWT_ADD_METADATA_MARK", &["LWT_OPTIMIZATION_META_BIT_MASK=2147483648"]),
        ("SCYLLA_RATE_LIMIT_ERROR", &["ERROR_CODE=61440"]),
        ("TABLETS_ROUTING_V1", &[]),
        ("SCYLLA_USE_METADATA_ID", &[""]),
        ("SCYLLA_HOST_ID", &["11111111-2222-4333-8444-555555555555"]),
        ("COMPRESSION", &["lz4", "snappy"]),
        ("CQL_VERSION", &["3.3.1"]),
        ("SOMETHING_NEW", &["1", "2"]),
    ];
    let supported = parse(&[&SHARDS[..], &rest[..]].concat());
    let expected = Supported {
        partitioner: Some(PartitionerClass::Murmur3),
        sharding_algorithm: Some(ShardingAlgorithm::BiasedTokenRoundRobin),
        protocol_versions: None,
        cql_version: Some(CqlVersion { major: 3, minor: 3, patch: 1 }),
        shard_info: Some(ShardInfo {
            shard: 3,
            nr_shards: NonZeroU16::new(12).unwrap(),
            ignore_msb: 12,
        }),
        shard_aware_port: Some(19042),
        shard_aware_port_tls: Some(19142),
        lz4: true,
        snappy: true,
        lwt_mark: Some(1 << 31),
        rate_limit_error: Some(0xF000),
        tablets_v1: true,
        tablets_v2: None,
        metadata_id: true,
        host_id: Some("11111111-2222-4333-8444-555555555555".parse().unwrap()),
    };
    assert_eq!(supported, expected);
    assert!(supported.is_scylla());
}

#[test]
fn cassandra_has_no_shards() {
    let supported = parse(&[
        ("COMPRESSION", &["snappy", "LZ4"]),
        ("CQL_VERSION", &["3.4.7"]),
        ("PROTOCOL_VERSIONS", &["3/v3", "4/v4", "5/v5", "6/v6-beta"]),
    ]);
    assert!(!supported.is_scylla());
    let versions = supported.protocol_versions.unwrap();
    assert_eq!(versions.newest(), Some(Version::V5));
    assert!([Version::V3, Version::V4].into_iter().all(|version| versions.contains(version)));
    let cql_version = supported.cql_version.unwrap();
    assert_eq!(cql_version.to_string(), "3.4.7");
    let expected = Supported {
        lz4: true,
        snappy: true,
        cql_version: Some(cql_version),
        protocol_versions: Some(versions),
        ..Supported::default()
    };
    assert_eq!(supported, expected);
}

#[test]
fn versions() {
    let newest = |values: &[&str]| {
        parse(&[("PROTOCOL_VERSIONS", values)]).protocol_versions.unwrap().newest()
    };
    assert_eq!(newest(&["3/v3", "4/v4", "5/v5-beta"]), Some(Version::V4));
    assert_eq!(newest(&["5", "4/v4"]), Some(Version::V5));
    assert_eq!(newest(&["2/v2", "x", "", "7/v7", "65/dse-v1", "300/v300"]), None);
    assert_eq!(newest(&[]), None);
    let cql = |value: &str| parse(&[("CQL_VERSION", &[value])]).cql_version;
    let version = |major, minor, patch| Some(CqlVersion { major, minor, patch });
    assert_eq!(cql("3.4"), version(3, 4, 0));
    assert_eq!(cql("4"), version(4, 0, 0));
    assert_eq!(cql("3.4.7.1"), version(3, 4, 7));
    for odd in ["", "3.x", "3.4.", "70000.1.1", "-1.0.0"] {
        assert_eq!(cql(odd), None, "{odd}");
    }
}

#[test]
fn what_is_not_known_is_other() {
    let supported = parse(&[
        ("SCYLLA_PARTITIONER", &["org.apache.cassandra.dht.ByteOrderedPartitioner"]),
        ("SCYLLA_SHARDING_ALGORITHM", &["new"]),
    ]);
    assert_eq!(supported.partitioner, Some(PartitionerClass::Other));
    assert_eq!(supported.sharding_algorithm, Some(ShardingAlgorithm::Other));
    assert!(!supported.is_scylla());
}

#[test]
fn incomplete_or_absurd_shards_are_none() {
    for missing in 0..3 {
        let mut options = SHARDS.to_vec();
        options.remove(missing);
        assert_eq!(parse(&options).shard_info, None);
    }
    for (index, value) in
        [(0, "12"), (0, "-1"), (1, "0"), (1, "70000"), (2, "64"), (2, ""), (2, "x")]
    {
        let mut options = SHARDS.to_vec();
        let values = [value];
        options[index].1 = &values;
        assert_eq!(parse(&options).shard_info, None, "{index} {value}");
    }
    let absurd = parse(&[
        ("SCYLLA_SHARD_AWARE_PORT", &["0"]),
        ("SCYLLA_SHARD_AWARE_PORT_SSL", &["70000"]),
        ("SCYLLA_RATE_LIMIT_ERROR", &["ERROR_CODE="]),
        ("SCYLLA_LWT_ADD_METADATA_MARK", &[]),
        ("SCYLLA_HOST_ID", &["me"]),
    ]);
    assert_eq!(absurd, Supported::default());
}

/// One of ScyllaDB's extensions is enough; what Cassandra may say as well is not.
#[test]
fn what_makes_a_node_scylla() {
    let alone: [(&str, &[&str]); 8] = [
        ("SCYLLA_SHARD_AWARE_PORT", &["19042"]),
        ("SCYLLA_LWT_ADD_METADATA_MARK", &["LWT_OPTIMIZATION_META_BIT_MASK=2147483648"]),
        ("SCYLLA_RATE_LIMIT_ERROR", &["ERROR_CODE=61440"]),
        ("TABLETS_ROUTING_V1", &[""]),
        ("TABLETS_ROUTING_V1", &[]),
        ("TABLETS_ROUTING_V2_EXPERIMENTAL", &[""]),
        ("TABLETS_ROUTING_V2_EXPERIMENTAL_V2", &[""]),
        ("SCYLLA_USE_METADATA_ID", &[""]),
    ];
    for option in alone {
        assert!(parse(&[option]).is_scylla(), "{option:?}");
    }
    assert!(parse(&SHARDS).is_scylla());
    for part in SHARDS {
        assert!(!parse(&[part]).is_scylla(), "{part:?}");
    }
    assert!(!parse(&[("COMPRESSION", &["lz4"]), ("CQL_VERSION", &["3.4.7"])]).is_scylla());
}

/// Values come with a name before them, or bare.
#[test]
fn numbers_of_extensions() {
    let mark = |value| parse(&[("SCYLLA_LWT_ADD_METADATA_MARK", &[value])]).lwt_mark;
    assert_eq!(mark("LWT_OPTIMIZATION_META_BIT_MASK=2147483648"), Some(0x8000_0000));
    assert_eq!(mark("LWT_OPTIMIZATION_META_BIT_MASK=1"), Some(1));
    assert_eq!(mark("2147483648"), Some(0x8000_0000));
    let code = |value| parse(&[("SCYLLA_RATE_LIMIT_ERROR", &[value])]).rate_limit_error;
    assert_eq!(code("ERROR_CODE=61440"), Some(0xF000));
    assert_eq!(code("ERROR_CODE=17"), Some(17));
    for odd in ["", "4294967296", "-1x", "ERROR=1", "0x10"] {
        assert_eq!((mark(odd), code(odd)), (None, None), "{odd}");
    }
    assert_eq!(parse(&[("SCYLLA_SHARD_AWARE_PORT", &["65535"])]).shard_aware_port, Some(65535));
    for (names, lz4, snappy) in [
        (&["lz4", "snappy"][..], true, true),
        (&["Lz4"], true, false),
        (&["SNAPPY"], false, true),
        (&["zstd"], false, false),
        (&[], false, false),
    ] {
        let supported = parse(&[("COMPRESSION", names)]);
        assert_eq!((supported.lz4, supported.snappy), (lz4, snappy), "{names:?}");
    }
}

const KEYS: [&str; 17] = [
    key::COMPRESSION,
    key::CQL_VERSION,
    key::LWT_ADD_METADATA_MARK,
    key::RATE_LIMIT_ERROR,
    key::PARTITIONER,
    key::PROTOCOL_VERSIONS,
    key::HOST_ID,
    key::NR_SHARDS,
    key::SHARD,
    key::SHARD_AWARE_PORT,
    key::SHARD_AWARE_PORT_SSL,
    key::SHARDING_ALGORITHM,
    key::SHARDING_IGNORE_MSB,
    key::TABLETS_ROUTING_V1,
    key::TABLETS_ROUTING_V2_EXPERIMENTAL,
    key::TABLETS_ROUTING_V2_EXPERIMENTAL_V2,
    key::USE_METADATA_ID,
];

proptest! {
    // Texts of many kinds take their time to make.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.min(48)))]

    #[test]
    fn what_is_said_is_understood(
        (shard, nr_shards, ignore_msb) in (any::<u16>(), 1_u16.., 0_u8..64),
        (port, port_tls) in (1_u16.., 1_u16..),
        (mark, code) in any::<(u32, i32)>(),
        host_id: u128,
    ) {
        let shard = shard % nr_shards;
        let (mark_text, code_text) =
            (format!("LWT_OPTIMIZATION_META_BIT_MASK={mark}"), format!("ERROR_CODE={code}"));
        let numbers = [shard, nr_shards, ignore_msb.into(), port, port_tls];
        let [shard_text, nr, msb, plain, tls] = numbers.map(|number| number.to_string());
        let host_id = Uuid::from_u128(host_id);
        let supported = parse(&[
            (key::SHARD, &[&shard_text]),
            (key::NR_SHARDS, &[&nr]),
            (key::SHARDING_IGNORE_MSB, &[&msb]),
            (key::SHARD_AWARE_PORT, &[&plain]),
            (key::SHARD_AWARE_PORT_SSL, &[&tls]),
            (key::LWT_ADD_METADATA_MARK, &[&mark_text]),
            (key::RATE_LIMIT_ERROR, &[&code_text]),
            (key::HOST_ID, &[&host_id.to_string()]),
        ]);
        let nr_shards = NonZeroU16::new(nr_shards).unwrap();
        let expected = Supported {
            shard_info: Some(ShardInfo { shard, nr_shards, ignore_msb }),
            shard_aware_port: Some(port),
            shard_aware_port_tls: Some(port_tls),
            lwt_mark: Some(mark),
            rate_limit_error: Some(code),
            host_id: Some(host_id),
            ..Supported::default()
        };
        prop_assert_eq!(supported, expected);
    }

    /// Whatever is said: at worst it means nothing.
    #[test]
    fn any_values(
        options in vec(
            (prop::sample::select(&KEYS), vec("[0-9=.v/-]{0,8}|ERROR_CODE=[0-9]*|.{0,8}", 0..3)),
            0..20,
        ),
    ) {
        let options: Vec<(&str, Vec<&str>)> = options
            .iter()
            .map(|(key, values)| (*key, values.iter().map(String::as_str).collect()))
            .collect();
        let options: Vec<_> = options.iter().map(|(key, values)| (*key, &**values)).collect();
        let supported = parse(&options);
        if let Some(info) = supported.shard_info {
            prop_assert!(info.shard < info.nr_shards.get() && info.ignore_msb < 64);
        }
        prop_assert_ne!(supported.shard_aware_port, Some(0));
    }
}
