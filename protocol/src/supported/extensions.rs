//! Extensions of ScyllaDB: which of those that a node offers are asked for, and how.
//!
//! STARTUP repeats the keys of the extensions that a client wants; what it does not repeat stays
//! off. Next: `compression.rs`.

use core::fmt::{self, Write as _};

use super::{Supported, key};
use crate::header::Version;
use crate::response::Agreed;

/// How replies tell of tablets, and by which key it is asked for.
///
/// ```
/// use shardwire_protocol::supported::{Extensions, Supported, TabletsRouting};
///
/// let mut supported = Supported::default();
/// supported.tablets_v1 = true;
/// assert_eq!(Extensions::offered_by(&supported).tablets, Some(TabletsRouting::V1));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TabletsRouting {
    /// Version 1.
    V1,
    /// Version 2, by the name that clients know so far.
    V2Experimental,
    /// Version 2, by the name that servers have given it since.
    V2ExperimentalV2,
}

impl TabletsRouting {
    /// The key that asks for it.
    ///
    /// ```
    /// # use shardwire_protocol::supported::TabletsRouting;
    /// assert_eq!(TabletsRouting::V1.key(), "TABLETS_ROUTING_V1");
    /// ```
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::V1 => key::TABLETS_ROUTING_V1,
            Self::V2Experimental => key::TABLETS_ROUTING_V2_EXPERIMENTAL,
            Self::V2ExperimentalV2 => key::TABLETS_ROUTING_V2_EXPERIMENTAL_V2,
        }
    }

    /// Whether each EXECUTE ends with a [tablet block](crate::tablets::tablet_block).
    ///
    /// ```
    /// # use shardwire_protocol::supported::TabletsRouting;
    /// assert!(TabletsRouting::V2Experimental.has_block());
    /// assert!(!TabletsRouting::V1.has_block());
    /// ```
    #[must_use]
    pub const fn has_block(self) -> bool {
        !matches!(self, Self::V1)
    }
}

/// Extensions to ask for. `Default` are none.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::supported::{Extensions, Supported};
///
/// let mut supported = Supported::default();
/// supported.lwt_mark = Some(1 << 31);
/// supported.metadata_id = true;
/// let mut extensions = Extensions::offered_by(&supported);
/// extensions.metadata_id = false; // not this one
/// let options = extensions.startup_options();
/// let options: Vec<(&str, &str)> = options.iter().collect();
/// let mark = "LWT_OPTIMIZATION_META_BIT_MASK=2147483648";
/// assert_eq!(options, [("SCYLLA_LWT_ADD_METADATA_MARK", mark)]);
/// assert!(!extensions.agreed(Version::V4).metadata_id);
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Extensions {
    /// Marks conditional statements with this bit of the bind metadata's flags.
    pub lwt_mark: Option<u32>,
    /// Gives result metadata an id, as version 5 does without being asked.
    pub metadata_id: bool,
    /// Answers what exceeds a rate limit with an error of this code.
    pub rate_limit_error: Option<i32>,
    /// Tells of tablets.
    pub tablets: Option<TabletsRouting>,
}

impl Extensions {
    /// All that the node offers and this crate understands; of the two versions of tablets the
    /// second.
    #[must_use]
    pub fn offered_by(supported: &Supported) -> Self {
        let tablets_v1 = supported.tablets_v1.then_some(TabletsRouting::V1);
        Self {
            lwt_mark: supported.lwt_mark,
            metadata_id: supported.metadata_id,
            rate_limit_error: supported.rate_limit_error,
            tablets: supported.tablets_v2.or(tablets_v1),
        }
    }

    /// What STARTUP repeats to ask for them.
    #[must_use]
    pub fn startup_options(&self) -> StartupOptions {
        StartupOptions {
            mark: self.lwt_mark.map(MarkText::new),
            others: [
                self.metadata_id.then_some(key::USE_METADATA_ID),
                self.rate_limit_error.map(|_| key::RATE_LIMIT_ERROR),
                self.tablets.map(TabletsRouting::key),
            ],
        }
    }

    /// What they change for the responses of a connection that has asked for them.
    #[must_use]
    pub fn agreed(&self, version: Version) -> Agreed {
        Agreed {
            metadata_id: self.metadata_id,
            rate_limit_error: self.rate_limit_error,
            ..Agreed::on(version)
        }
    }
}

/// Options of STARTUP that ask for extensions; made by [`Extensions::startup_options`].
///
/// ```
/// use shardwire_protocol::supported::Extensions;
///
/// let mut extensions = Extensions::default();
/// extensions.metadata_id = true;
/// let options = extensions.startup_options();
/// assert_eq!(options.iter().collect::<Vec<_>>(), [("SCYLLA_USE_METADATA_ID", "")]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StartupOptions {
    mark: Option<MarkText>,
    others: [Option<&'static str>; 3],
}

impl StartupOptions {
    /// Names and values, for [`Startup`](crate::request::Startup).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mark = self.mark.iter().map(|mark| (key::LWT_ADD_METADATA_MARK, mark.as_str()));
        mark.chain(self.others.iter().flatten().map(|key| (*key, "")))
    }
}

/// The mark as servers write it, with its ten digits at most.
#[derive(Clone, Copy)]
struct MarkText {
    bytes: [u8; MARK_NAME.len() + 10],
    len: usize,
}

pub(super) const MARK_NAME: &str = "LWT_OPTIMIZATION_META_BIT_MASK=";

impl MarkText {
    fn new(mark: u32) -> Self {
        let mut text = Self { bytes: [0; MARK_NAME.len() + 10], len: 0 };
        let written = write!(text, "{MARK_NAME}{mark}");
        debug_assert!(written.is_ok(), "ten digits are enough for 32 bits");
        text
    }

    fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Write for MarkText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.len + part.len();
        let place = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl fmt::Debug for MarkText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supported::tests::parse;

    fn options(extensions: &Extensions) -> Vec<(String, String)> {
        let options = extensions.startup_options();
        options.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn repeats_what_is_offered() {
        let supported = parse(&[
            ("SCYLLA_LWT_ADD_METADATA_MARK", &["LWT_OPTIMIZATION_META_BIT_MASK=2147483648"]),
            ("SCYLLA_RATE_LIMIT_ERROR", &["ERROR_CODE=61440"]),
            ("SCYLLA_USE_METADATA_ID", &[""]),
            ("TABLETS_ROUTING_V1", &[""]),
        ]);
        let extensions = Extensions::offered_by(&supported);
        let expected = [
            ("SCYLLA_LWT_ADD_METADATA_MARK", "LWT_OPTIMIZATION_META_BIT_MASK=2147483648"),
            ("SCYLLA_USE_METADATA_ID", ""),
            ("SCYLLA_RATE_LIMIT_ERROR", ""),
            ("TABLETS_ROUTING_V1", ""),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(options(&extensions), expected);
        let agreed = extensions.agreed(Version::V4);
        assert_eq!((agreed.metadata_id, agreed.rate_limit_error), (true, Some(0xF000)));
        assert_eq!(agreed.version, Version::V4);
        assert_eq!(options(&Extensions::default()), []);
        assert_eq!(Extensions::offered_by(&parse(&[])), Extensions::default());
    }

    #[test]
    fn of_two_versions_of_tablets_the_second() {
        let tablets = |options: &[(&str, &[&str])]| Extensions::offered_by(&parse(options)).tablets;
        let (v1, v2, v2_v2) = (
            ("TABLETS_ROUTING_V1", &[][..]),
            ("TABLETS_ROUTING_V2_EXPERIMENTAL", &[][..]),
            ("TABLETS_ROUTING_V2_EXPERIMENTAL_V2", &[][..]),
        );
        assert_eq!(tablets(&[v1]), Some(TabletsRouting::V1));
        assert_eq!(tablets(&[v2, v1]), Some(TabletsRouting::V2Experimental));
        assert_eq!(tablets(&[v1, v2_v2, v2]), Some(TabletsRouting::V2ExperimentalV2));
        assert_eq!(tablets(&[v2, v2_v2]), Some(TabletsRouting::V2ExperimentalV2));
        for routing in [TabletsRouting::V2Experimental, TabletsRouting::V2ExperimentalV2] {
            assert!(routing.has_block());
            let extensions = Extensions { tablets: Some(routing), ..Extensions::default() };
            assert_eq!(options(&extensions), [(routing.key().to_owned(), String::new())]);
        }
        assert!(!TabletsRouting::V1.has_block());
    }

    #[test]
    fn every_mark_has_its_place() {
        for (mark, digits) in [(0, "0"), (1, "1"), (u32::MAX, "4294967295")] {
            let text = MarkText::new(mark);
            assert_eq!(text.as_str(), format!("LWT_OPTIMIZATION_META_BIT_MASK={digits}"));
        }
    }
}
