//! The releases that can be started.

use std::fmt;
use std::str::FromStr;

/// A line of releases of Apache Cassandra; of each one release is started.
///
/// ```
/// use shardwire_testing_cassandra::Version;
///
/// let version: Version = "5.0".parse()?;
/// assert_eq!(version, Version::V5_0);
/// assert_eq!(version.release(), "5.0.9");
/// # Ok::<(), shardwire_testing_cassandra::ParseVersionError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Version {
    /// 4.1, without vectors and storage-attached indexes.
    V4_1,
    /// 5.0.
    #[default]
    V5_0,
}

/// Not the name of a version that can be started.
///
/// ```
/// use shardwire_testing_cassandra::Version;
///
/// let error = "3.11".parse::<Version>().unwrap_err();
/// assert_eq!(error.to_string(), "`3.11` is not a version that is known here: 4.1, 5.0");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseVersionError {
    given: String,
}

impl Version {
    /// All of them, oldest first.
    ///
    /// ```
    /// use shardwire_testing_cassandra::Version;
    ///
    /// assert_eq!(Version::ALL.map(Version::release), ["4.1.10", "5.0.9"]);
    /// ```
    pub const ALL: [Self; 2] = [Self::V4_1, Self::V5_0];

    /// The release that stands for this line.
    ///
    /// ```
    /// use shardwire_testing_cassandra::Version;
    ///
    /// assert_eq!(Version::V4_1.release(), "4.1.10");
    /// ```
    pub const fn release(self) -> &'static str {
        match self {
            Self::V4_1 => "4.1.10",
            Self::V5_0 => "5.0.9",
        }
    }

    /// Two numbers, as people name the line.
    const fn line(self) -> &'static str {
        match self {
            Self::V4_1 => "4.1",
            Self::V5_0 => "5.0",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line())
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_named = |version: &Self| text == version.line() || text == version.release();
        let version = Self::ALL.into_iter().find(is_named);
        version.ok_or_else(|| ParseVersionError { given: text.to_owned() })
    }
}

impl fmt::Display for ParseVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Version::ALL.map(Version::line).join(", ");
        write!(f, "`{}` is not a version that is known here: {known}", self.given)
    }
}

impl std::error::Error for ParseVersionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_releases_are_read() {
        for version in Version::ALL {
            assert_eq!(version.to_string().parse(), Ok(version));
            assert_eq!(version.release().parse(), Ok(version));
            assert!(version.release().starts_with(version.line()));
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "5", "5.0.", "5.0.1", "v5.0", " 5.0", "latest"] {
            let error = text.parse::<Version>().unwrap_err();
            assert!(error.to_string().contains("4.1, 5.0"), "{error}");
        }
    }
}
