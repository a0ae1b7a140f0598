//! The options of tables and views: which there are, and what they may be.
//!
//! Except for `default_time_to_live`, `read_repair`, `id` and, as ScyllaDB, `cdc` and
//! `per_partition_rate_limit` none has an effect here; all are kept and shown. Values that Apache
//! Cassandra refuses are refused in its words, and those of `cdc` in ScyllaDB's.

use crate::cdc::options::CaptureOptions;
use crate::cql::ast::OptionValue;
use crate::error::CqlError;
use crate::persona::Persona;
use crate::rate::Operation;

type Result<T> = std::result::Result<T, CqlError>;
type Entries = [(String, String)];

/// What an option's value is.
#[derive(Clone, Copy)]
enum Kind {
    /// Any text.
    Text,
    Boolean,
    /// A whole number of at least so much.
    Whole(i32),
    /// A fraction, greater than the first (or equal to it, if the flag says so), at most 1.
    Fraction(f64, bool),
    /// When a coordinator asks another replica.
    Retry,
    Uuid,
    Map(fn(Persona, &Entries) -> Result<()>),
    /// One of these, in any case.
    OneOf(&'static [&'static str]),
    /// A boolean as Cassandra, a map as ScyllaDB.
    Cdc,
}

/// Who knows an option.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Known {
    Both,
    Only(Persona),
}

const CASSANDRA: Known = Known::Only(Persona::Cassandra);
const SCYLLA: Known = Known::Only(Persona::Scylla);

/// A bloom filter of fewer bits per key than 20 cannot be right more often than this.
const BLOOM_FILTER_MIN: f64 = 6.71e-5;

/// Twenty years, in seconds.
const TIME_TO_LIVE_MAX: i32 = 630_720_000;

const OPTIONS: [(&str, Known, Kind); 27] = [
    ("additional_write_policy", CASSANDRA, Kind::Retry),
    ("allow_auto_snapshot", CASSANDRA, Kind::Boolean),
    ("bloom_filter_fp_chance", Known::Both, Kind::Fraction(BLOOM_FILTER_MIN, false)),
    ("caching", Known::Both, Kind::Map(check_caching)),
    ("cdc", Known::Both, Kind::Cdc),
    ("comment", Known::Both, Kind::Text),
    ("compaction", Known::Both, Kind::Map(check_compaction)),
    ("compression", Known::Both, Kind::Map(check_compression)),
    ("crc_check_chance", Known::Both, Kind::Fraction(0.0, true)),
    ("dclocal_read_repair_chance", SCYLLA, Kind::Fraction(0.0, true)),
    ("default_time_to_live", Known::Both, Kind::Whole(0)),
    ("extensions", Known::Both, Kind::Map(|_, _| Ok(()))),
    ("gc_grace_seconds", Known::Both, Kind::Whole(0)),
    ("id", Known::Both, Kind::Uuid),
    ("in_memory", SCYLLA, Kind::Boolean),
    ("incremental_backups", CASSANDRA, Kind::Boolean),
    ("max_index_interval", Known::Both, Kind::Whole(1)),
    ("memtable", CASSANDRA, Kind::Text),
    ("memtable_flush_period_in_ms", Known::Both, Kind::Whole(0)),
    ("min_index_interval", Known::Both, Kind::Whole(1)),
    ("paxos_grace_seconds", SCYLLA, Kind::Whole(0)),
    ("per_partition_rate_limit", SCYLLA, Kind::Map(check_rate_limit)),
    ("read_repair", CASSANDRA, Kind::OneOf(&["BLOCKING", "NONE"])),
    ("read_repair_chance", SCYLLA, Kind::Fraction(0.0, true)),
    ("speculative_retry", Known::Both, Kind::Retry),
    ("synchronous_updates", SCYLLA, Kind::Boolean),
    ("tombstone_gc", SCYLLA, Kind::Map(check_tombstone_gc)),
];

/// Whether this database has such an option.
pub(super) fn is_known(persona: Persona, name: &str) -> bool {
    OPTIONS.iter().any(|(known, owner, _)| {
        *known == name && [Known::Both, Known::Only(persona)].contains(owner)
    })
}

/// Checks what a statement says; what stands in the table already is known to be right. Returns the
/// options as they are kept, in the spelling in which they are shown.
pub(super) fn check(
    persona: Persona,
    options: &[(String, OptionValue)],
) -> Result<Vec<(String, OptionValue)>> {
    check_once(options)?;
    let mut kept = Vec::new();
    for (name, value) in options {
        let known = OPTIONS.iter().find(|(known, ..)| known == name);
        let kind = match known {
            Some((_, Known::Both, kind)) => kind,
            Some((_, Known::Only(only), kind)) if *only == persona => kind,
            _ => return Err(unknown(name)),
        };
        check_value(persona, name, *kind, value)?;
        kept.push((name.clone(), spelt(persona, *kind, value)));
    }
    Ok(kept)
}

/// A right value as its database spells it.
fn spelt(persona: Persona, kind: Kind, value: &OptionValue) -> OptionValue {
    if persona == Persona::Scylla {
        return value.clone();
    }
    match (kind, value) {
        (Kind::Boolean | Kind::Cdc, OptionValue::Text(text)) => {
            OptionValue::Text(boolean("", text).unwrap_or_default().to_string())
        }
        (Kind::OneOf(_), OptionValue::Text(text)) => OptionValue::Text(text.to_ascii_uppercase()),
        (Kind::Retry, OptionValue::Text(text)) => {
            let text = text.to_ascii_lowercase().replace("percentile", "p").replace(' ', "");
            OptionValue::Text(match text.as_str() {
                "none" | "never" => "NEVER".to_owned(),
                "always" => "ALWAYS".to_owned(),
                _ => text.replace("min(", "MIN(").replace("max(", "MAX("),
            })
        }
        _ => value.clone(),
    }
}

/// Checks the options of a table together.
pub(super) fn check_all<'o>(
    options: impl Fn(&str) -> Option<&'o OptionValue>,
    is_counter: bool,
) -> Result<()> {
    let number = |name: &str, default: i32| match options(name) {
        Some(OptionValue::Text(text)) => text.parse().unwrap_or(default),
        _ => default,
    };
    let (least, most) = (number("min_index_interval", 128), number("max_index_interval", 2048));
    if most < least {
        return Err(CqlError::configuration(format!(
            "max_index_interval must be greater than or equal to min_index_interval ({least}) \
             (got {most})"
        )));
    }
    if is_counter && number("default_time_to_live", 0) > 0 {
        return Err(CqlError::invalid("Cannot set default_time_to_live on a table with counters"));
    }
    if let Some(OptionValue::Text(memtable)) = options("memtable")
        && memtable != "default"
    {
        let message = format!("Memtable configuration \"{memtable}\" not found.");
        return Err(CqlError::configuration(message));
    }
    Ok(())
}

/// No option is given twice.
pub(super) fn check_once(options: &[(String, OptionValue)]) -> Result<()> {
    for (position, (name, _)) in options.iter().enumerate() {
        if options.iter().take(position).any(|(before, _)| before == name) {
            let message = format!("Multiple definitions for property '{name}'");
            return Err(CqlError::syntax(message));
        }
    }
    Ok(())
}

fn not_a_map(name: &str) -> CqlError {
    CqlError::syntax(format!("Invalid value for property '{name}'. It should be a map."))
}

pub(super) fn unknown(name: &str) -> CqlError {
    CqlError::syntax(format!("Unknown property '{name}'"))
}

fn check_value(persona: Persona, name: &str, kind: Kind, value: &OptionValue) -> Result<()> {
    match (kind, value) {
        (Kind::Cdc, OptionValue::Map(entries)) if persona == Persona::Scylla => {
            CaptureOptions::parse(entries).map(|_| ())
        }
        (Kind::Cdc, OptionValue::Text(_)) if persona == Persona::Scylla => Err(not_a_map(name)),
        (Kind::Cdc | Kind::Boolean, OptionValue::Text(text)) => boolean(name, text).map(|_| ()),
        (Kind::Map(check), OptionValue::Map(entries)) => check(persona, entries),
        (Kind::Map(_), OptionValue::Text(_)) => Err(not_a_map(name)),
        (_, OptionValue::Map(_)) => Err(CqlError::syntax(format!(
            "Invalid value for property '{name}'. It should be a string"
        ))),
        (Kind::Text, _) => Ok(()),
        (Kind::Whole(least), OptionValue::Text(text)) => {
            let most = if name == "default_time_to_live" { TIME_TO_LIVE_MAX } else { i32::MAX };
            check_whole(name, text, least, most)
        }
        (Kind::Fraction(least, inclusive), OptionValue::Text(text)) => {
            check_fraction(name, text, least, inclusive)
        }
        (Kind::Retry, OptionValue::Text(text)) => check_retry(text),
        (Kind::Uuid, OptionValue::Text(text)) => uuid(text).map(|_| ()),
        (Kind::OneOf(words), OptionValue::Text(text)) => {
            if words.iter().any(|word| word.eq_ignore_ascii_case(text)) {
                return Ok(());
            }
            let message = format!("Invalid value {text} for '{name}': {}", words.join(" or "));
            Err(CqlError::configuration(message))
        }
    }
}

/// A property that is true or false, as Cassandra reads it.
pub(super) fn boolean(name: &str, text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" => Ok(true),
        "0" | "false" | "no" => Ok(false),
        _ => Err(CqlError::syntax(format!(
            "Invalid boolean value {text} for '{name}'. Positive values can be '1', 'true' or \
             'yes'. Negative values can be '0', 'false' or 'no'."
        ))),
    }
}

/// The id of a table.
pub(super) fn uuid(text: &str) -> Result<[u8; 16]> {
    match uuid::Uuid::parse_str(text) {
        Ok(id) if text.len() == 36 => Ok(id.into_bytes()),
        _ => Err(CqlError::configuration("Invalid table id")),
    }
}

fn check_whole(name: &str, text: &str, least: i32, most: i32) -> Result<()> {
    let value: i32 = text
        .parse()
        .map_err(|_| CqlError::syntax(format!("Invalid integer value {text} for '{name}'")))?;
    let message = if value < least {
        format!("{name} must be greater than or equal to {least} (got {value})")
    } else if value > most {
        format!("{name} must be less than or equal to {most} (got {value})")
    } else {
        return Ok(());
    };
    Err(CqlError::configuration(message))
}

fn check_fraction(name: &str, text: &str, least: f64, inclusive: bool) -> Result<()> {
    let value: f64 = text
        .parse()
        .map_err(|_| CqlError::syntax(format!("Invalid double value {text} for '{name}'")))?;
    let is_enough = if inclusive { value >= least } else { value > least };
    if is_enough && value <= 1.0 {
        return Ok(());
    }
    Err(CqlError::configuration(if inclusive {
        format!(
            "{name} must be larger than or equal to 0 and smaller than or equal to 1.0 (got {text})"
        )
    } else {
        format!("{name} must be larger than {least:E} and less than or equal to 1.0 (got {text})")
    }))
}

/// `99p`, `99PERCENTILE`, `50ms`, `ALWAYS`, `NEVER`, `NONE`, or `MIN(…)` and `MAX(…)` of two.
fn check_retry(text: &str) -> Result<()> {
    let lower = text.to_ascii_lowercase();
    let of_two = ["min(", "max("]
        .iter()
        .find_map(|start| lower.strip_prefix(start)?.strip_suffix(')')?.split_once(','));
    if let Some((first, second)) = of_two {
        return check_retry_part(first.trim(), text).and(check_retry_part(second.trim(), text));
    }
    if matches!(lower.as_str(), "always" | "never" | "none") {
        return Ok(());
    }
    check_retry_part(&lower, text)
}

fn check_retry_part(part: &str, whole: &str) -> Result<()> {
    let percentile = part.strip_suffix("percentile").or_else(|| part.strip_suffix('p'));
    if let Some(value) = percentile.and_then(|number| number.parse::<f64>().ok()) {
        return if value > 0.0 && value < 100.0 {
            Ok(())
        } else {
            Err(CqlError::configuration(format!(
                "Invalid value {whole} for PERCENTILE option 'speculative_retry': must be between \
                 (0.0 and 100.0)"
            )))
        };
    }
    let time = part.strip_suffix("ms").and_then(|number| number.parse::<f64>().ok());
    if time.is_some_and(|time| time >= 0.0) {
        return Ok(());
    }
    let message = format!("Invalid value {whole} for option 'speculative_retry'");
    Err(CqlError::configuration(message))
}

fn get<'e>(entries: &'e Entries, name: &str) -> Option<&'e str> {
    entries.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Refuses the first that is not of these.
fn check_names(entries: &Entries, known: &[&str], refuse: impl Fn(&str) -> String) -> Result<()> {
    match entries.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        Some((name, _)) => Err(CqlError::configuration(refuse(name))),
        None => Ok(()),
    }
}

fn check_caching(persona: Persona, entries: &Entries) -> Result<()> {
    let known: &[&str] = match persona {
        Persona::Scylla => &["keys", "rows_per_partition", "enabled"],
        Persona::Cassandra => &["keys", "rows_per_partition"],
    };
    check_names(entries, known, |name| {
        format!(
            "Invalid caching sub-options [{name}]: only 'keys' and 'rows_per_partition' are \
             allowed"
        )
    })?;
    let all_or_none =
        |value: &str| value.eq_ignore_ascii_case("ALL") || value.eq_ignore_ascii_case("NONE");
    if let Some(value) = get(entries, "keys").filter(|value| !all_or_none(value)) {
        return Err(CqlError::configuration(format!(
            "Invalid value '{value}' for caching sub-option 'keys': only 'ALL' and 'NONE' are \
             allowed"
        )));
    }
    let is_right = |value: &str| all_or_none(value) || value.parse::<u32>().is_ok();
    match get(entries, "rows_per_partition").filter(|value| !is_right(value)) {
        Some(value) => Err(CqlError::configuration(format!(
            "Invalid value '{value}' for caching sub-option 'rows_per_partition': only 'ALL', \
             'NONE', and integer values are allowed"
        ))),
        None => Ok(()),
    }
}

/// What every strategy of compaction knows.
const COMPACTION: [&str; 9] = [
    "class",
    "enabled",
    "log_all",
    "only_purge_repaired_tombstones",
    "provide_overlapping_tombstones",
    "tombstone_compaction_interval",
    "tombstone_threshold",
    "unchecked_tombstone_compaction",
    "max_threshold",
];

/// The strategies, and what each knows besides.
const STRATEGIES: [(&str, &[&str]); 5] = [
    (
        "SizeTieredCompactionStrategy",
        &["min_threshold", "min_sstable_size", "bucket_low", "bucket_high", "cold_reads_to_omit"],
    ),
    (
        "LeveledCompactionStrategy",
        &["min_threshold", "sstable_size_in_mb", "fanout_size", "single_sstable_uplevel"],
    ),
    (
        "TimeWindowCompactionStrategy",
        &[
            "min_threshold",
            "min_sstable_size",
            "bucket_low",
            "bucket_high",
            "compaction_window_unit",
            "compaction_window_size",
            "timestamp_resolution",
            "expired_sstable_check_frequency_seconds",
            "unsafe_aggressive_sstable_expiration",
            "enable_optimized_twcs_queries",
        ],
    ),
    (
        "UnifiedCompactionStrategy",
        &[
            "scaling_parameters",
            "target_sstable_size",
            "min_sstable_size",
            "base_shard_count",
            "sstable_growth",
            "flush_size_override",
            "max_sstables_to_compact",
            "overlap_inclusion_method",
            "expired_sstable_check_frequency_seconds",
            "unsafe_aggressive_sstable_expiration",
            "parallelize_output_shards",
        ],
    ),
    // ScyllaDB's.
    (
        "IncrementalCompactionStrategy",
        &[
            "min_threshold",
            "sstable_size_in_mb",
            "bucket_low",
            "bucket_high",
            "space_amplification_goal",
        ],
    ),
];

fn check_compaction(_: Persona, entries: &Entries) -> Result<()> {
    let refuse = |message: String| Err(CqlError::configuration(message));
    let Some(class) = get(entries, "class") else {
        return refuse("Missing sub-option 'class' for the 'compaction' option".to_owned());
    };
    let short = class.strip_prefix("org.apache.cassandra.db.compaction.").unwrap_or(class);
    let Some((strategy, own)) = STRATEGIES.iter().find(|(name, _)| *name == short) else {
        return refuse(format!(
            "Unable to find compaction strategy class 'org.apache.cassandra.db.compaction.{short}'"
        ));
    };
    let known: Vec<_> = COMPACTION.iter().chain(*own).copied().collect();
    check_names(entries, &known, |name| {
        format!("Properties specified [{name}] are not understood by {strategy}")
    })?;
    for name in ["enabled", "log_all", "unchecked_tombstone_compaction"] {
        if let Some(value) = get(entries, name)
            && !["true", "false"].contains(&value)
        {
            return refuse(format!("{name} should either be 'true' or 'false', not {value}"));
        }
    }
    let threshold = |name: &str, default: i32| match get(entries, name) {
        None => Ok(default),
        Some(value) => value.parse::<i32>().map_err(|_| {
            CqlError::configuration(format!(
                "Invalid value {value} for '{name}' compaction sub-option - must be an integer"
            ))
        }),
    };
    let (min, max) = (threshold("min_threshold", 4)?, threshold("max_threshold", 32)?);
    if min < 2 {
        return refuse(format!("Min compaction threshold cannot be less than 2 (got {min})"));
    }
    if min > max {
        return refuse(format!(
            "Min compaction threshold (got {min}) cannot be greater than max compaction threshold \
             (got {max})"
        ));
    }
    check_compaction_numbers(entries)
}

fn check_compaction_numbers(entries: &Entries) -> Result<()> {
    let refuse = |message: String| Err(CqlError::configuration(message));
    let whole = ["sstable_size_in_mb", "fanout_size", "compaction_window_size", "base_shard_count"];
    for name in whole {
        let Some(text) = get(entries, name) else { continue };
        match text.parse::<i32>() {
            Err(_) => {
                return refuse(format!("{text} is not a parsable int (base10) for {name}"));
            }
            // In Cassandra's words, though 1 will do.
            Ok(value) if value < 1 => {
                return refuse(format!("{value} must be greater than 1 for {name}"));
            }
            Ok(_) => {}
        }
    }
    if let Some(unit) = get(entries, "compaction_window_unit")
        && !["MINUTES", "HOURS", "DAYS"].contains(&unit)
    {
        return refuse(format!("{unit} is not valid for compaction_window_unit"));
    }
    let fraction = |name: &str, default: f64| match get(entries, name) {
        None => Ok(default),
        Some(text) => text.parse::<f64>().map_err(|_| {
            CqlError::configuration(format!("{text} is not a parsable float for {name}"))
        }),
    };
    for name in ["tombstone_threshold", "space_amplification_goal"] {
        fraction(name, 0.2)?;
    }
    let (low, high) = (fraction("bucket_low", 0.5)?, fraction("bucket_high", 1.5)?);
    if high <= low {
        return refuse(format!(
            "bucket_high value ({high:?}) is less than or equal to the bucket_low value ({low:?})"
        ));
    }
    Ok(())
}

fn check_compression(persona: Persona, entries: &Entries) -> Result<()> {
    let refuse = |message: &str| Err(CqlError::configuration(message));
    if get(entries, "enabled").is_some_and(|value| value.eq_ignore_ascii_case("false")) {
        return Ok(());
    }
    let mut class = get(entries, "class");
    if persona == Persona::Scylla {
        // The old name is what it writes itself, and without one there is no compression.
        class = class.or_else(|| get(entries, "sstable_compression"));
        if class == Some("") || entries.is_empty() {
            return Ok(());
        }
    }
    let Some(class) = class else {
        return refuse("Missing sub-option 'class' for the 'compression' option.");
    };
    let short = class.strip_prefix("org.apache.cassandra.io.compress.").unwrap_or(class);
    let compressors = [
        "LZ4Compressor",
        "LZ4WithDictsCompressor",
        "SnappyCompressor",
        "DeflateCompressor",
        "ZstdCompressor",
        "ZstdWithDictsCompressor",
        "NoopCompressor",
    ];
    if !compressors.contains(&short) {
        return refuse(&format!(
            "Could not create Compression for type org.apache.cassandra.io.compress.{short}"
        ));
    }
    let known = [
        "class",
        "sstable_compression",
        "enabled",
        "chunk_length_in_kb",
        "chunk_length_kb",
        "compression_level",
        "crc_check_chance",
        "lz4_compressor_type",
        "lz4_high_compressor_level",
        "max_compressed_length",
        "min_compress_ratio",
    ];
    check_names(entries, &known, |name| format!("Unknown compression options {name}"))?;
    let chunk = get(entries, "chunk_length_in_kb").or_else(|| get(entries, "chunk_length_kb"));
    match chunk.map(str::parse::<u32>) {
        Some(Err(_)) => refuse("Invalid value for chunk_length_in_kb"),
        Some(Ok(kib)) if !kib.is_power_of_two() => {
            refuse("chunk_length_in_kb must be a power of 2")
        }
        _ => Ok(()),
    }
}

/// Most reads and writes of one partition in a second.
fn check_rate_limit(_: Persona, entries: &Entries) -> Result<()> {
    let known = [Operation::Read.limit_name(), Operation::Write.limit_name()];
    check_names(entries, &known, |name| {
        format!("Unknown property 'per_partition_rate_limit' sub-option: {name}")
    })?;
    match entries.iter().find(|(_, value)| !value.parse::<u32>().is_ok_and(|rate| rate > 0)) {
        Some((name, value)) => Err(CqlError::configuration(format!(
            "Invalid value {value} for per_partition_rate_limit sub-option '{name}': a positive \
             whole number is needed"
        ))),
        None => Ok(()),
    }
}

fn check_tombstone_gc(_: Persona, entries: &Entries) -> Result<()> {
    check_names(entries, &["mode", "propagation_delay_in_seconds"], |name| {
        format!("Invalid tombstone_gc option: {name}")
    })?;
    let modes = ["timeout", "repair", "disabled", "immediate"];
    if let Some(mode) = get(entries, "mode").filter(|mode| !modes.contains(mode)) {
        return Err(CqlError::configuration(format!(
            "Invalid value for tombstone_gc mode: {mode}"
        )));
    }
    let delay = get(entries, "propagation_delay_in_seconds");
    match delay.filter(|delay| delay.parse::<u32>().is_err()) {
        Some(delay) => Err(CqlError::configuration(format!(
            "Invalid value for tombstone_gc propagation_delay_in_seconds: {delay}"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cql::ast::{Ddl, Statement};
    use crate::cql::parser::parse;

    /// The options after WITH.
    fn options(text: &str) -> Vec<(String, OptionValue)> {
        let parsed = parse(&format!("ALTER TABLE t WITH {text}"), Persona::Scylla).unwrap();
        match parsed.statement {
            Statement::Ddl(Ddl::AlterTable(alter)) => alter.options,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn fails(persona: Persona, text: &str, part: &str) {
        let error = check(persona, &options(text)).unwrap_err();
        assert!(error.message.contains(part), "{text}: {}", error.message);
    }

    #[test]
    fn each_database_has_options_of_its_own() {
        for (text, owner) in [
            ("additional_write_policy = '99p'", Persona::Cassandra),
            ("allow_auto_snapshot = true", Persona::Cassandra),
            ("incremental_backups = false", Persona::Cassandra),
            ("read_repair = 'NONE'", Persona::Cassandra),
            ("dclocal_read_repair_chance = 0.5", Persona::Scylla),
            ("paxos_grace_seconds = 5", Persona::Scylla),
            ("per_partition_rate_limit = {'max_reads_per_second': 5}", Persona::Scylla),
            ("tombstone_gc = {'mode': 'repair'}", Persona::Scylla),
            ("compression = {'sstable_compression': ''}", Persona::Scylla),
        ] {
            let other = match owner {
                Persona::Scylla => Persona::Cassandra,
                Persona::Cassandra => Persona::Scylla,
            };
            check(owner, &options(text)).unwrap();
            check(other, &options(text)).unwrap_err();
        }
        fails(Persona::Scylla, "read_repair = 'NONE'", "Unknown property 'read_repair'");
        let text = "cdc = {'enabled': true}";
        check(Persona::Scylla, &options(text)).unwrap();
        fails(Persona::Cassandra, text, "'cdc'. It should be a string");
    }

    #[test]
    fn wrong_values_are_refused_by_name() {
        for (text, part) in [
            ("per_partition_rate_limit = {'max_reads_per_second': 0}", "max_reads_per_second"),
            ("per_partition_rate_limit = {'reads': 1}", "sub-option: reads"),
            ("tombstone_gc = {'mode': 'never'}", "mode: never"),
            ("tombstone_gc = {'mode': 'repair', 'x': '1'}", "option: x"),
            ("tombstone_gc = {'propagation_delay_in_seconds': 'x'}", "delay_in_seconds: x"),
            ("paxos_grace_seconds = -1", "paxos_grace_seconds"),
            ("in_memory = 5", "'in_memory'"),
            ("cdc = true", "'cdc'. It should be a map."),
            ("cdc = {'enabled': 'yes'}", "option \"enabled\": yes"),
            ("cdc = {'preimages': true}", "CDC option: preimages"),
        ] {
            fails(Persona::Scylla, text, part);
        }
    }

    #[test]
    fn values_are_kept_as_cassandra_spells_them() {
        for (text, expect) in [
            ("speculative_retry = '99PERCENTILE'", "99p"),
            ("speculative_retry = 'min(99p, 50MS)'", "MIN(99p,50ms)"),
            ("speculative_retry = 'none'", "NEVER"),
            ("read_repair = 'blocking'", "BLOCKING"),
            ("allow_auto_snapshot = 'No'", "false"),
        ] {
            let kept = check(Persona::Cassandra, &options(text)).unwrap();
            assert_eq!(kept[0].1, OptionValue::Text(expect.to_owned()), "{text}");
        }
    }
}
