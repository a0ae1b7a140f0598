//! Statements to plans, plans to results.

mod aggregate;
pub(crate) mod batch;
pub(crate) mod bind;
mod change;
mod condition;
pub(crate) mod describe;
pub(crate) mod direct;
mod expression;
pub(crate) mod modify;
pub(crate) mod paging;
pub(crate) mod plan;
pub(crate) mod restrict;
pub(crate) mod result;
pub(crate) mod select;
pub(crate) mod user_function;
pub(crate) mod view;

#[cfg(test)]
mod model;
#[cfg(test)]
pub(crate) mod tests;
