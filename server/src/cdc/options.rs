//! The option `cdc` of a table.

use crate::cql::ast::OptionValue;
use crate::error::CqlError;
use crate::schema::Table;

type Result<T> = std::result::Result<T, CqlError>;

/// Seconds that a log's rows live unless the option says otherwise.
const TTL_S: i32 = 86_400;

/// What the log has of a row as it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Preimage {
    Off,
    /// The columns that change.
    Changed,
    Full,
}

/// What the log has of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Detail {
    /// Where it was, and its kind.
    Keys,
    Full,
}

/// What a table asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CaptureOptions {
    pub(crate) enabled: bool,
    pub(crate) preimage: Preimage,
    pub(crate) postimage: bool,
    pub(crate) detail: Detail,
    /// 0 is for ever.
    pub(crate) ttl_s: i32,
}

impl CaptureOptions {
    /// Reads the option's map; `None` if it does not say whether changes are to be captured, which
    /// ScyllaDB takes for no option at all.
    pub(crate) fn parse(map: &[(String, String)]) -> Result<Option<Self>> {
        let mut options = Self {
            enabled: false,
            preimage: Preimage::Off,
            postimage: false,
            detail: Detail::Full,
            ttl_s: TTL_S,
        };
        let mut is_set = false;
        for (key, value) in map {
            let name = key.to_lowercase();
            let wrong = || {
                let message = format!("Invalid value for CDC option \"{name}\": {value}");
                CqlError::configuration(message)
            };
            match name.as_str() {
                "enabled" => {
                    options.enabled = flag(value).ok_or_else(wrong)?;
                    is_set = true;
                }
                "preimage" if value.eq_ignore_ascii_case("full") => {
                    options.preimage = Preimage::Full;
                }
                "preimage" => {
                    let is_on = flag(value).ok_or_else(wrong)?;
                    options.preimage = if is_on { Preimage::Changed } else { Preimage::Off };
                }
                "postimage" => options.postimage = flag(value).ok_or_else(wrong)?,
                "delta" => {
                    options.detail = match value.to_lowercase().as_str() {
                        "keys" => Detail::Keys,
                        "full" => Detail::Full,
                        _ => return Err(wrong()),
                    };
                }
                "ttl" => {
                    let ttl_s: i64 = value.parse().map_err(|_| wrong())?;
                    let too_large = |_| {
                        let message = "Invalid CDC option: ttl too large";
                        CqlError::configuration(message)
                    };
                    options.ttl_s = i32::try_from(ttl_s).map_err(too_large)?;
                    if options.ttl_s < 0 {
                        let message = "Invalid CDC option: ttl must be >= 0";
                        return Err(CqlError::configuration(message));
                    }
                }
                _ => {
                    return Err(CqlError::configuration(format!("Invalid CDC option: {key}")));
                }
            }
        }
        Ok(is_set.then_some(options))
    }

    /// What the table's own option says, which was read before.
    pub(crate) fn of(table: &Table) -> Result<Option<Self>> {
        match table.options.get("cdc") {
            None => Ok(None),
            Some(OptionValue::Map(map)) => Self::parse(map),
            Some(OptionValue::Text(_)) => {
                Err(CqlError::syntax("Invalid value for property 'cdc'. It should be a map."))
            }
        }
    }

    /// The whole map, as `system_schema.scylla_tables` shows it.
    pub(crate) fn to_map(self) -> [(&'static str, String); 5] {
        let preimage = match self.preimage {
            Preimage::Off => "false",
            Preimage::Changed => "true",
            Preimage::Full => "full",
        };
        let detail = match self.detail {
            Detail::Keys => "keys",
            Detail::Full => "full",
        };
        [
            ("delta", detail.to_owned()),
            ("enabled", self.enabled.to_string()),
            ("postimage", self.postimage.to_string()),
            ("preimage", preimage.to_owned()),
            ("ttl", self.ttl_s.to_string()),
        ]
    }

    /// Whether the log has anything of rows as they are before or after a change.
    pub(crate) fn has_images(self) -> bool {
        self.postimage || self.preimage != Preimage::Off
    }
}

fn flag(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entries: &[(&str, &str)]) -> Result<Option<CaptureOptions>> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        CaptureOptions::parse(&entries.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn all_of_it_is_read_and_shown() {
        let text = |entries| {
            let map = parse(entries).unwrap().unwrap().to_map();
            map.map(|(key, value)| format!("{key}={value}")).join(" ")
        };
        assert_eq!(
            text(&[("enabled", "true")]),
            "delta=full enabled=true postimage=false preimage=false ttl=86400"
        );
        let all = [
            ("Enabled", "0"),
            ("preimage", "FULL"),
            ("postimage", "1"),
            ("delta", "keys"),
            ("ttl", "0"),
        ];
        assert_eq!(text(&all), "delta=keys enabled=false postimage=true preimage=full ttl=0");
        assert_eq!(parse(&[("ttl", "5")]), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (key, value, message) in [
            ("enabled", "yes", "Invalid value for CDC option \"enabled\": yes"),
            ("preimage", "keys", "Invalid value for CDC option \"preimage\": keys"),
            ("postimage", "full", "Invalid value for CDC option \"postimage\": full"),
            ("delta", "off", "Invalid value for CDC option \"delta\": off"),
            ("ttl", "x", "Invalid value for CDC option \"ttl\": x"),
            ("ttl", "-1", "Invalid CDC option: ttl must be >= 0"),
            ("ttl", "2147483648", "Invalid CDC option: ttl too large"),
            ("sizes", "1", "Invalid CDC option: sizes"),
        ] {
            assert_eq!(parse(&[(key, value)]).unwrap_err().message, message);
        }
    }
}
