//! Names of columns and of fields, each with a hash that is known before anything is compared.
//!
//! Derived types hash the names of their fields when they are compiled. Whether a column is the
//! one that belongs to a field is then a comparison of integers, and names are compared as text
//! only when the types are checked. Next: `metadata.rs`.

use core::borrow::Borrow;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;
use std::sync::Arc;

/// The name of a column, a bind marker or a field of a user-defined type.
///
/// As the server spells it: without quotes, and in lower case unless it was quoted. A clone shares
/// the text: values of user-defined types have the names of their fields, however many there are.
///
/// ```
/// use shardwire_protocol::types::{Name, name_hash};
///
/// let name = Name::from("title");
/// assert_eq!(&*name, "title");
/// assert_eq!(name.hash(), name_hash("title"));
/// ```
#[derive(Clone, Eq)]
pub struct Name {
    hash: u64,
    text: Arc<str>,
}

impl Name {
    /// [`name_hash`] of the name.
    ///
    /// ```
    /// # use shardwire_protocol::types::{Name, name_hash};
    /// assert_eq!(Name::from("id").hash(), name_hash("id"));
    /// ```
    #[inline]
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// The name.
    ///
    /// ```
    /// # use shardwire_protocol::types::Name;
    /// assert_eq!(Name::from("id").as_str(), "id");
    /// ```
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// FNV-1a of a name, in 64 bits. It tells the fields of one struct apart, no more: a peer can find
/// names of equal hash.
///
/// ```
/// # use shardwire_protocol::types::name_hash;
/// const TITLE: u64 = name_hash("title");
/// assert_ne!(TITLE, name_hash("Title"));
/// ```
#[must_use]
pub const fn name_hash(name: &str) -> u64 {
    let mut rest = name.as_bytes();
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    while let [byte, tail @ ..] = rest {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01B3);
        rest = tail;
    }
    hash
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        *self.text == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self.text == **other
    }
}

/// As the text, so that a [`Name`] can be looked up by a `&str`.
impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl From<Box<str>> for Name {
    fn from(text: Box<str>) -> Self {
        Self::from(&*text)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self { hash: name_hash(text), text: text.into() }
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self::from(&*text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_fnv_1a() {
        assert_eq!(name_hash(""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(name_hash("a"), 0xAF63_DC4C_8601_EC8C);
        assert_eq!(name_hash("foobar"), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn names_are_their_text() {
        let name = Name::from("id".to_owned());
        assert_eq!(name, "id");
        assert_eq!(name, Name::from("id"));
        assert_ne!(name, Name::from("ID"));
        assert_eq!((name.to_string(), format!("{name:?}")), ("id".into(), "\"id\"".into()));
        let names = std::collections::HashSet::from([name]);
        assert!(names.contains("id"));
    }
}
