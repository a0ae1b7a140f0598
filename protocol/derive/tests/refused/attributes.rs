//! Errors of the macros' own.

use shardwire_protocol::row::{DeserializeRow, SerializeRow};
use shardwire_protocol::value::{DeserializeValue, SerializeValue};

#[derive(SerializeRow)]
enum NoStruct {
    One,
}

#[derive(SerializeRow)]
struct UnknownOfAField {
    #[shardwire(renamed = "one")]
    one: i32,
}

#[derive(DeserializeRow)]
#[shardwire(order)]
struct UnknownOfAStruct {
    one: i32,
}

#[derive(DeserializeRow)]
#[shardwire(flavor = "by_name")]
struct UnknownFlavor {
    one: i32,
}

#[derive(SerializeRow)]
#[shardwire(skip_name_checks)]
struct NamesNeeded {
    one: i32,
}

#[derive(DeserializeRow)]
struct TwoOfOneName {
    one: i32,
    #[shardwire(rename = "one")]
    two: i32,
}

#[derive(DeserializeRow)]
#[shardwire(flavor = "enforce_order", skip_name_checks)]
struct WhichIsMissing {
    #[shardwire(allow_missing)]
    one: i32,
}

#[derive(SerializeRow)]
#[shardwire(flavor = "match_by_name")]
struct NoNames(i32);

#[derive(SerializeRow)]
struct RenamedWithoutAName(#[shardwire(rename = "one")] i32);

#[derive(SerializeRow)]
struct FlattenedAndMore {
    #[shardwire(flatten, rename = "one")]
    one: Part,
}

#[derive(SerializeRow)]
struct Part {}

#[derive(SerializeRow)]
#[shardwire(transparent)]
struct TransparentRow {
    one: i32,
}

#[derive(SerializeValue)]
struct UdtWithoutNames(i32);

#[derive(DeserializeValue)]
struct FlattenedValue {
    #[shardwire(flatten)]
    one: Part,
}

#[derive(DeserializeValue)]
#[shardwire(transparent)]
struct TwoFields(i32, i32);

fn main() {}
