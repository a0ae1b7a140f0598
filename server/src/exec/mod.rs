//! Statements to plans, plans to results.

pub(crate) mod bind;
pub(crate) mod modify;
pub(crate) mod paging;
pub(crate) mod plan;
pub(crate) mod restrict;
pub(crate) mod result;
pub(crate) mod select;

#[cfg(test)]
mod tests;
