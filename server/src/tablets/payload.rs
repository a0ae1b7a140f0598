//! What replies tell of tablets: the custom payload `tablets-routing-v1`.
//!
//! Its content is a CQL value, `tuple<bigint, bigint, list<tuple<uuid, int>>>`: the token before
//! the first of the range, the last one, and who has it.

use super::{Home, Tablets};
use crate::routing::NodeIndex;
use crate::value::literal::collection;

/// The key of the payload.
pub(crate) const PAYLOAD_KEY: &str = "tablets-routing-v1";

/// Values of a tuple.
fn tuple(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        let len = i32::try_from(part.len()).unwrap_or(i32::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// Homes as a `list<tuple<uuid, int>>`.
pub(crate) fn replica_list(homes: &[Home], host_id: impl Fn(NodeIndex) -> [u8; 16]) -> Vec<u8> {
    let replica = |home: &Home| tuple(&[&host_id(home.node), &i32::from(home.shard).to_be_bytes()]);
    collection(&homes.iter().map(replica).collect::<Vec<_>>())
}

/// The content for a token.
pub(crate) fn payload(
    tablets: &Tablets,
    token: i64,
    host_id: impl Fn(NodeIndex) -> [u8; 16],
) -> Option<Vec<u8>> {
    let (before, tablet) = tablets.find(token)?;
    let replicas = replica_list(&tablet.homes, host_id);
    Some(tuple(&[&before.to_be_bytes(), &tablet.last.to_be_bytes(), &replicas]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_payload() {
        let mut tablets = Tablets::new(2);
        let tablet = tablets.find_mut(-5).unwrap();
        tablet.homes = vec![Home { node: 0, shard: 3 }, Home { node: 1, shard: 0 }];
        let host = *uuid::uuid!("11111111-2222-4333-8444-555555555555").as_bytes();
        let bytes = payload(&tablets, -5, |_| host).unwrap();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let host = "11111111222243338444555555555555";
        let replica = |shard| format!("0000001c00000010{host}00000004{shard:08x}");
        assert_eq!(
            text,
            format!(
                "00000008800000000000000000000008ffffffffffffffff0000004400000002{}{}",
                replica(3),
                replica(0)
            )
        );
    }
}
