//! SUPPORTED: what the server can do, as strings. `supported.rs` one folder up makes sense of them.
//!
//! Next: `response/error.rs`.

use crate::error::Malformed;
use crate::wire::{Reader, StringList, StringMultimap};

/// The answer to OPTIONS.
#[derive(Clone, Copy, Debug)]
pub struct SupportedBody<'a> {
    options: StringMultimap<'a>,
}

impl<'a> SupportedBody<'a> {
    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { options: reader.string_multimap("supported options")? })
    }

    /// Options and their values, in the order sent.
    #[must_use]
    pub fn iter(&self) -> StringMultimap<'a> {
        self.options
    }

    /// Values of the option `key`, if it was sent.
    #[must_use]
    pub fn values(&self, key: &str) -> Option<StringList<'a>> {
        self.iter().find(|(name, _)| *name == key).map(|(_, values)| values)
    }
}

impl<'a> IntoIterator for SupportedBody<'a> {
    type Item = (&'a str, StringList<'a>);
    type IntoIter = StringMultimap<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.options
    }
}
