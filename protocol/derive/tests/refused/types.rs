//! Errors of the compiler, at the field whose type lacks something.

use shardwire_protocol::row::DeserializeRow;
use shardwire_protocol::value::DeserializeValue;

struct NoDefault;

#[derive(DeserializeRow)]
#[shardwire(crate = shardwire_protocol)]
struct Row {
    one: i32,
    #[shardwire(skip)]
    two: NoDefault,
}

#[derive(DeserializeValue)]
#[shardwire(crate = shardwire_protocol)]
struct Udt {
    #[shardwire(skip)]
    one: NoDefault,
    two: i32,
}

fn main() {}
