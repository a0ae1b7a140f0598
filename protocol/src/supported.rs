//! What a node says about itself in SUPPORTED: shards, ports, compression, extensions.
//!
//! The answer is a multimap of strings, [`SupportedBody`]; [`Supported`] is what a driver makes of
//! it. A key that is missing or makes no sense switches its feature off, it is never an error: the
//! next version of a server may say more, or less.
//!
//! Next: `compression.rs`.

use std::num::NonZeroU16;

use uuid::Uuid;

use crate::response::SupportedBody;

/// Names of the keys, as servers spell them.
pub mod key {
    /// `lz4` and `snappy`, where the server has them.
    pub const COMPRESSION: &str = "COMPRESSION";
    /// Versions of CQL that the server speaks.
    pub const CQL_VERSION: &str = "CQL_VERSION";
    /// PREPARED marks conditional statements with a bit of the bind metadata's flags.
    pub const LWT_ADD_METADATA_MARK: &str = "SCYLLA_LWT_ADD_METADATA_MARK";
    /// The error code of a rate limit, once asked for.
    pub const RATE_LIMIT_ERROR: &str = "SCYLLA_RATE_LIMIT_ERROR";
    /// The node's host id.
    pub const HOST_ID: &str = "SCYLLA_HOST_ID";
    /// How many shards the node has.
    pub const NR_SHARDS: &str = "SCYLLA_NR_SHARDS";
    /// The shard that serves this connection.
    pub const SHARD: &str = "SCYLLA_SHARD";
    /// The port on which the client's source port chooses the shard.
    pub const SHARD_AWARE_PORT: &str = "SCYLLA_SHARD_AWARE_PORT";
    /// The same with TLS.
    pub const SHARD_AWARE_PORT_SSL: &str = "SCYLLA_SHARD_AWARE_PORT_SSL";
    /// How many of a token's most significant bits the sharding drops.
    pub const SHARDING_IGNORE_MSB: &str = "SCYLLA_SHARDING_IGNORE_MSB";
    /// Replies tell of tablets that the client did not know.
    pub const TABLETS_ROUTING_V1: &str = "TABLETS_ROUTING_V1";
    /// Result metadata has an id, as in version 5 of the protocol.
    pub const USE_METADATA_ID: &str = "SCYLLA_USE_METADATA_ID";
}

/// How a node spreads tokens over its shards, and which of them a connection landed on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ShardInfo {
    /// The shard that serves this connection; less than `nr_shards`.
    pub shard: u16,
    /// How many shards the node has.
    pub nr_shards: NonZeroU16,
    /// How many of a token's most significant bits are dropped first; less than 64.
    pub ignore_msb: u8,
}

/// What a node offers. Options of a server that offers nothing are `Default`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Supported {
    /// The node's shards: `None` unless all three keys are there and agree.
    pub shard_info: Option<ShardInfo>,
    /// The port on which the client's source port chooses the shard.
    pub shard_aware_port: Option<u16>,
    /// The same with TLS.
    pub shard_aware_port_tls: Option<u16>,
    /// Whether bodies may be compressed with LZ4.
    pub lz4: bool,
    /// Whether bodies may be compressed with Snappy.
    pub snappy: bool,
    /// Bit of the bind metadata's flags that marks a conditional statement.
    pub lwt_mark: Option<u32>,
    /// Error code of a rate limit.
    pub rate_limit_error: Option<i32>,
    /// Whether replies can tell of tablets.
    pub tablets_v1: bool,
    /// Whether result metadata can have an id.
    pub metadata_id: bool,
    /// The node's host id.
    pub host_id: Option<Uuid>,
}

impl Supported {
    /// Reads what is known from a SUPPORTED body.
    #[must_use]
    pub fn from_body(body: &SupportedBody<'_>) -> Self {
        let mut supported = Self::default();
        let (mut shard, mut nr_shards, mut ignore_msb) = (None, None, None);
        for (key, values) in body.iter() {
            let first = values.clone().next();
            match key {
                key::COMPRESSION => {
                    supported.lz4 = values.clone().any(|name| name.eq_ignore_ascii_case("lz4"));
                    supported.snappy =
                        values.clone().any(|name| name.eq_ignore_ascii_case("snappy"));
                }
                key::HOST_ID => supported.host_id = first.and_then(|id| id.parse().ok()),
                key::LWT_ADD_METADATA_MARK => {
                    supported.lwt_mark = first.and_then(|value| {
                        after("LWT_OPTIMIZATION_META_BIT_MASK=", value).parse().ok()
                    });
                }
                key::RATE_LIMIT_ERROR => {
                    supported.rate_limit_error =
                        first.and_then(|value| after("ERROR_CODE=", value).parse().ok());
                }
                key::SHARD => shard = first.and_then(|value| value.parse::<u16>().ok()),
                key::NR_SHARDS => nr_shards = first.and_then(|value| value.parse().ok()),
                key::SHARDING_IGNORE_MSB => {
                    ignore_msb = first.and_then(|value| value.parse::<u8>().ok());
                }
                key::SHARD_AWARE_PORT => supported.shard_aware_port = first.and_then(port),
                key::SHARD_AWARE_PORT_SSL => supported.shard_aware_port_tls = first.and_then(port),
                key::TABLETS_ROUTING_V1 => supported.tablets_v1 = true,
                key::USE_METADATA_ID => supported.metadata_id = true,
                _ => {}
            }
        }
        supported.shard_info = shard_info(shard, nr_shards, ignore_msb);
        supported
    }

    /// Whether this is ScyllaDB, judged as the official driver does: by any of its extensions.
    #[must_use]
    pub fn is_scylla(&self) -> bool {
        self.shard_info.is_some()
            || self.shard_aware_port.is_some()
            || self.lwt_mark.is_some()
            || self.rate_limit_error.is_some()
            || self.tablets_v1
            || self.metadata_id
    }
}

fn shard_info(
    shard: Option<u16>,
    nr_shards: Option<NonZeroU16>,
    ignore_msb: Option<u8>,
) -> Option<ShardInfo> {
    let info = ShardInfo { shard: shard?, nr_shards: nr_shards?, ignore_msb: ignore_msb? };
    (info.shard < info.nr_shards.get() && info.ignore_msb < 64).then_some(info)
}

/// `value` without `name=` in front: some servers write it, some don't.
fn after<'a>(name: &str, value: &'a str) -> &'a str {
    value.strip_prefix(name).unwrap_or(value)
}

fn port(value: &str) -> Option<u16> {
    value.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Opcode, ResponseHeader, Version};
    use crate::response::tests::build;
    use crate::response::{Agreed, Body, Response};

    fn parse(options: &[(&str, &[&str])]) -> Supported {
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
        let rest: [(&str, &[&str]); 11] = [
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
            metadata_id: true,
            host_id: Some("11111111-2222-4333-8444-555555555555".parse().unwrap()),
        };
        assert_eq!(supported, expected);
        assert!(supported.is_scylla());
    }

    #[test]
    fn cassandra_has_no_shards() {
        let supported = parse(&[("COMPRESSION", &["LZ4"]), ("CQL_VERSION", &["3.4.7"])]);
        assert_eq!(supported, Supported { lz4: true, ..Supported::default() });
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
}
