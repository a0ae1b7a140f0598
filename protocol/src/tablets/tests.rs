//! Tests of tablets: golden bytes, truncation at every byte, hostile fields, a round trip.

use proptest::prelude::*;

use super::*;
use crate::header::{Opcode, ResponseHeader, Version, flags};
use crate::response::tests::{Build, build};
use crate::response::{Agreed, Body, Response, ResultBody};

const HOST: Uuid = Uuid::from_u128(0x11111111_2222_4333_8444_555555555555);

fn list(replicas: &[(Uuid, u32)]) -> Build {
    let start = build().u32(u32::try_from(replicas.len()).unwrap());
    replicas.iter().fold(start, |list, (host_id, shard)| {
        list.u32(28).bytes(host_id.as_bytes()).bytes(&shard.to_be_bytes())
    })
}

fn tablet(first: i64, last: i64, replicas: &[(Uuid, u32)]) -> Build {
    let tokens = build().bytes(&first.to_be_bytes()).bytes(&last.to_be_bytes());
    tokens.bytes(&list(replicas).0)
}

/// Two replicas of one host, as servers write them.
const GOLDEN: &[u8] = &[
    0, 0, 0, 8, 0x80, 0, 0, 0, 0, 0, 0, 0, // first token: the least
    0, 0, 0, 8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, // last token: -1
    0, 0, 0, 0x44, 0, 0, 0, 2, // two replicas
    0, 0, 0, 0x1C, 0, 0, 0, 0x10, 0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x43, 0x33, 0x84, 0x44, 0x55,
    0x55, 0x55, 0x55, 0x55, 0x55, 0, 0, 0, 4, 0, 0, 0, 3, // shard 3
    0, 0, 0, 0x1C, 0, 0, 0, 0x10, 0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x43, 0x33, 0x84, 0x44, 0x55,
    0x55, 0x55, 0x55, 0x55, 0x55, 0, 0, 0, 4, 0, 0, 0, 0, // shard 0
];

#[test]
fn golden() {
    assert_eq!(GOLDEN.len(), 96);
    assert_eq!(tablet(i64::MIN, -1, &[(HOST, 3), (HOST, 0)]).0, GOLDEN);
    let tablet = Tablet::parse(GOLDEN).unwrap();
    assert_eq!((tablet.first_token, tablet.last_token), (Token(i64::MIN), Token(-1)));
    assert_eq!(tablet.version, None);
    let replicas: Vec<Replica> = tablet.replicas().collect();
    assert_eq!(tablet.replicas().len(), 2);
    let replica = |shard| Replica { host_id: HOST, shard };
    assert_eq!(replicas, [replica(3), replica(0)]);
    assert!(!tablet.contains(Token(i64::MIN)));
    assert!(tablet.contains(Token(i64::MIN + 1)) && tablet.contains(Token(-1)));
    assert!(!tablet.contains(Token(0)));
    for len in 0..GOLDEN.len() {
        assert!(Tablet::parse(&GOLDEN[..len]).is_err(), "cut to {len} bytes");
    }

    let v2 = [GOLDEN, &[0, 0, 0, 8, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10]].concat();
    let tablet = Tablet::parse_v2(&v2).unwrap();
    assert_eq!(tablet.version, Some(0xFEDC_BA98_7654_3210));
    assert_eq!(tablet.replicas().len(), 2);
    for len in 0..v2.len() {
        assert!(Tablet::parse_v2(&v2[..len]).is_err(), "cut to {len} bytes");
    }
    // Fields of later versions are passed over.
    assert!(Tablet::parse(&v2).is_ok());
    assert!(Tablet::parse_v2(&[&v2[..], &[1]].concat()).is_ok());
}

#[test]
fn comes_with_a_result() {
    let body = build().u16(1).string(payload::V1).bytes(GOLDEN).u32(1).0;
    let header = ResponseHeader {
        version: Version::V4,
        flags: flags::CUSTOM_PAYLOAD,
        stream: 0,
        opcode: Opcode::Result,
        body_len: 0,
    };
    let body = Body::parse(&header, &body).unwrap();
    let response = body.response(&Agreed::default(), None).unwrap();
    assert!(matches!(response, Response::Result(ResultBody::Void)));
    assert!(Tablet::parse(body.payload(payload::V1).unwrap()).is_ok());
    assert_eq!(body.payload(payload::V2), None);
}

#[test]
fn refuses_what_is_no_tablet() {
    let refused = |body: Build| Tablet::parse(&body.0).unwrap_err();
    for (first, last) in [(0, 0), (1, 0), (i64::MAX, i64::MIN), (i64::MIN, i64::MIN)] {
        let error = refused(tablet(first, last, &[(HOST, 0)]));
        assert!(matches!(error, Malformed::BadValue { .. }), "{first} {last}");
    }
    let error = refused(tablet(0, 1, &[(HOST, 1 << 31)]));
    assert!(matches!(error, Malformed::BadValue { what: "negative shard of a replica", .. }));
    assert!(Tablet::parse(&tablet(0, 1, &[(HOST, i32::MAX.cast_unsigned())]).0).is_ok());

    let tokens = || build().bytes(&[0; 8]).bytes(&1_i64.to_be_bytes());
    let short = refused(build().bytes(&[0; 4]).bytes(&[0; 8]));
    assert!(matches!(short, Malformed::Length { len: 4, expected: 8, .. }));
    let null = refused(build().u32(u32::MAX).bytes(&[0; 8]));
    assert!(matches!(null, Malformed::Length { len: -1, expected: 8, .. }));
    // Each length of a replica, one too long or too short or null.
    let golden = list(&[(HOST, 3)]).0;
    for at in [4, 8, 28] {
        for change in [1, u32::MAX, 1 << 31] {
            let mut bytes = golden.clone();
            let len = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            bytes[at..at + 4].copy_from_slice(&len.wrapping_add(change).to_be_bytes());
            let error = refused(tokens().bytes(&bytes));
            assert!(matches!(error, Malformed::Length { .. }), "{at} {change}");
        }
    }
    // The list's length and count must agree.
    for count in [0_u32, 2, 255, 256, 257, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
        let mut bytes = golden.clone();
        bytes[..4].copy_from_slice(&count.to_be_bytes());
        refused(tokens().bytes(&bytes));
    }
    refused(tokens().bytes(&[&golden[..], &[0]].concat()));
}

#[test]
fn the_number_of_replicas_is_limited() {
    let most = vec![(HOST, 1); 256];
    let body = tablet(0, 1, &most).0;
    assert_eq!(Tablet::parse(&body).unwrap().replicas().count(), 256);
    let body = tablet(0, 1, &vec![(HOST, 1); 257]).0;
    let error = Tablet::parse(&body).unwrap_err();
    assert!(matches!(error, Malformed::Count { count: 257, max: REPLICA_COUNT_MAX, .. }));
    // No replicas, as an empty list and as null.
    assert_eq!(Tablet::parse(&tablet(0, 1, &[]).0).unwrap().replicas().count(), 0);
    let null = build().bytes(&[0; 8]).bytes(&1_i64.to_be_bytes()).u32(u32::MAX).0;
    assert_eq!(Tablet::parse(&null).unwrap().replicas().count(), 0);
}

#[test]
fn blocks_cover_the_version() {
    let version = 0x0123_4567_89AB_CDEF;
    let mut known = 0;
    for index in 0..16 {
        let block = tablet_block(version, index);
        assert_eq!(block >> 4, index);
        known |= u64::from(block & 0x0F) << (4 * index);
    }
    assert_eq!(known, version);
    assert_eq!(tablet_block(version, 0xF3), tablet_block(version, 3));
}

proptest! {
    #[test]
    fn round_trip(
        first: i64,
        last: i64,
        version: u64,
        replicas in prop::collection::vec((any::<u128>(), 0..=i32::MAX.cast_unsigned()), 0..20),
    ) {
        prop_assume!(first != last);
        let (first, last) = (first.min(last), first.max(last));
        let replicas: Vec<(Uuid, u32)> =
            replicas.into_iter().map(|(id, shard)| (Uuid::from_u128(id), shard)).collect();
        let body = tablet(first, last, &replicas).bytes(&version.to_be_bytes()).0;
        let tablet = Tablet::parse_v2(&body).unwrap();
        prop_assert_eq!((tablet.first_token, tablet.last_token), (Token(first), Token(last)));
        prop_assert_eq!(tablet.version, Some(version));
        let read: Vec<_> = tablet.replicas().map(|r| (r.host_id, r.shard)).collect();
        prop_assert_eq!(read, replicas);
    }

    #[test]
    fn garbage(
        bytes in prop::collection::vec(prop_oneof![4 => 0_u8..9, 1 => any::<u8>()], 0..120),
    ) {
        if let Ok(tablet) = Tablet::parse(&bytes) {
            prop_assert!(tablet.replicas().count() <= 256);
        }
    }

    #[test]
    fn mutated(at in 0_usize..96, byte: u8) {
        let mut bytes = GOLDEN.to_vec();
        bytes[at] = byte;
        if let Ok(tablet) = Tablet::parse(&bytes) {
            prop_assert_eq!(tablet.replicas().count(), tablet.replicas().len());
            prop_assert!(tablet.last_token.0 > tablet.first_token.0);
        }
    }
}
