//! The cases, by what they are about.

use crate::case::Case;

mod auth;
mod batches;
mod collections;
mod errors;
mod extras;
mod lwt;
mod nodes;
mod nulls;
mod paging;
mod prepared;
mod routing;
mod schema;
mod scripts;
mod tls;
mod types;
mod udts;
mod vectors;

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [
        types::CASES,
        collections::CASES,
        udts::CASES,
        vectors::CASES,
        nulls::CASES,
        paging::CASES,
        batches::CASES,
        lwt::CASES,
        prepared::CASES,
        schema::CASES,
        errors::CASES,
        extras::CASES,
        scripts::CASES,
        routing::CASES,
        auth::CASES,
        tls::CASES,
        nodes::CASES,
    ]
    .into_iter()
    .flatten()
}
