//! Where the two codecs differ on purpose, each with its reason and an example that is a test.
//!
//! `docs/DIFFERENCES.md` is this list for readers; a test holds the two together.

use shardwire_protocol::error::{FrameError, Malformed};
use shardwire_protocol::header::Opcode;
use shardwire_protocol::types::ColumnType;

use super::responses::{self, Agreement, Frame, is_a_limit};

/// What both made of a frame.
pub(crate) struct Outcome<'a> {
    frame: Frame<'a>,
    ours: &'a Result<String, FrameError>,
    official: &'a Result<String, String>,
}

/// A difference that is meant.
struct Difference {
    /// As in `docs/DIFFERENCES.md`.
    title: &'static str,
    /// Whether an outcome is a case of it.
    applies: fn(&Outcome<'_>) -> bool,
    /// Opcode, flags and body of a response in which it shows.
    example: (Opcode, u8, &'static [u8]),
}

const RESPONSES: [Difference; 11] = [
    Difference {
        title: "Events of unknown kind",
        applies: |outcome| {
            outcome.frame.opcode == Opcode::Event
                && outcome.ours_says(&["unknown event", "unknown target", "MovedNode"])
                && outcome.official.is_err()
        },
        example: (Opcode::Event, 0, b"\0\x0CCOFFEE_BREAK"),
    },
    Difference {
        title: "Schema changes of unknown targets",
        applies: |outcome| {
            outcome.ours_says(&["unknown target"]) && outcome.official_refuses("chema change")
        },
        example: (Opcode::Result, 0, b"\0\0\0\x05\0\x07CREATED\0\x04ROLE\0\x02ks\0\x01r"),
    },
    Difference {
        title: "Client routes that do not pair up",
        applies: |outcome| {
            outcome.ours_says(&["routes "])
                && (outcome.official_refuses("length mismatch")
                    || outcome.official_refuses("Unable to parse host id")
                    || outcome.both_name_the_same_routes())
        },
        example: (
            Opcode::Event,
            0,
            b"\0\x14CLIENT_ROUTES_CHANGE\0\x0CUPDATE_NODES\0\x01\0\x01c\0\x01\0\x04host",
        ),
    },
    Difference {
        title: "Custom types that have no CQL name",
        applies: |outcome| {
            outcome.ours.is_ok() && outcome.official_refuses("Failed to parse custom CQL type")
        },
        example: (
            Opcode::Result,
            0,
            b"\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\x01k\0\x01t\0\x01c\0\0\0\x04Blob\0\0\0\0",
        ),
    },
    Difference {
        title: "Null where a paging state or a payload stands",
        applies: |outcome| {
            outcome.ours.is_ok()
                && (outcome.official_refuses("Malformed paging state: out of range")
                    || outcome.official_refuses("Malformed custom payload map: out of range"))
        },
        example: (
            Opcode::Result,
            0,
            b"\0\0\0\x02\0\0\0\x03\0\0\0\x01\xFF\xFF\xFF\xFF\0\x01k\0\x01t\0\x01c\0\x09\0\0\0\0",
        ),
    },
    Difference {
        title: "A type number of versions 1 and 2",
        applies: |outcome| {
            outcome.ours.is_ok() && outcome.official_refuses("not yet implemented, id: 10")
        },
        example: (
            Opcode::Result,
            0,
            b"\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\x01k\0\x01t\0\x01c\0\x0A\0\0\0\0",
        ),
    },
    Difference {
        title: "Class names spelled as no server does",
        applies: |outcome| outcome.ours_says(&["custom"]) && outcome.official.is_ok(),
        example: (
            Opcode::Result,
            0,
            b"\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\x01k\0\x01t\0\x01c\0\0\0\x1E\
              TupleType(Int32Type Int32Type)\0\0\0\0",
        ),
    },
    Difference {
        title: "The class `DateType`",
        applies: |outcome| {
            outcome.ours_says(&["Native(Timestamp)"])
                && outcome.official_says("Native(Date)")
                && outcome.frame.body.windows(8).any(|part| part == b"DateType")
        },
        example: (
            Opcode::Result,
            0,
            b"\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\x01k\0\x01t\0\x01c\0\0\0\x08\
              DateType\0\0\0\0",
        ),
    },
    Difference {
        title: "Partition keys of markers that are not there",
        applies: |outcome| has_lost_key(outcome.ours) && outcome.official_says("prepared "),
        example: (
            Opcode::Result,
            0,
            b"\0\0\0\x04\0\x01i\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x09\0\x01k\0\x01t\0\x01c\0\x09\
              \0\0\0\x04\0\0\0\0",
        ),
    },
    Difference {
        title: "Prepared statements with a paging state",
        applies: |outcome| {
            outcome.ours_says(&["prepared "]) && outcome.official_refuses("aging state")
        },
        example: (
            Opcode::Result,
            0,
            b"\0\0\0\x04\0\x01i\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\x01p",
        ),
    },
    Difference {
        title: "Errors that version 5 added",
        applies: |outcome| {
            outcome.ours.is_err()
                && matches!(responses::message(outcome.frame), Some([0, 0, 0x16..=0x18, 0, ..]))
                && outcome.official_says("error ")
        },
        example: (Opcode::Error, 0, b"\0\0\x17\0\0\0"),
    },
];

/// See [`is_a_limit`]. Such numbers may follow behind key indexes that lead nowhere, which only one
/// of the two refuses.
pub(crate) fn is_not_shown_to_the_official_codec(refusal: FrameError) -> bool {
    is_a_limit(refusal) || has_lost_key(&Err(refusal))
}

/// Whether it was refused for a key index that leads nowhere.
fn has_lost_key(ours: &Result<String, FrameError>) -> bool {
    use FrameError::Malformed as Reason;
    matches!(ours, Err(Reason(Malformed::UnknownCode { what: "partition key index", .. })))
}

/// Whether a class name stands in it that is not understood here. On some of those the official
/// codec's parser never ends: counting parameters, it does not stop at what is none.
pub(crate) fn may_not_come_back(frame: Frame<'_>, ours: &Result<String, FrameError>) -> bool {
    let has_class = frame.body.windows(5).any(|part| part == b"Type(");
    has_class && ours.as_ref().map_or(true, |words| words.contains("custom"))
}

/// Whether the difference is one of the list.
pub(crate) fn is_known(
    frame: Frame<'_>,
    ours: &Result<String, FrameError>,
    official: &Result<String, String>,
) -> bool {
    let outcome = Outcome { frame, ours, official };
    RESPONSES.iter().any(|difference| (difference.applies)(&outcome))
}

/// A difference in how a cell is read, or what it is written as again.
struct CellDifference {
    /// As in `docs/DIFFERENCES.md`.
    title: &'static str,
    /// Whether it shows in the reading of a cell of that type.
    applies: fn(&ColumnType, &Reading<'_>) -> bool,
}

/// What both made of a cell: refused, or written again (which may be refused too).
struct Reading<'a> {
    cell: &'a [u8],
    ours: &'a Written,
    official: &'a Written,
}

type Written = Option<Option<Vec<u8>>>;

const CELLS: [CellDifference; 3] = [
    CellDifference {
        title: "Numbers of more bytes than they need",
        applies: |typ, reading| {
            let (Some(Some(ours)), Some(Some(official))) = (reading.ours, reading.official) else {
                return false;
            };
            matches!(typ, ColumnType::Varint | ColumnType::Decimal)
                && official == reading.cell
                && (ours.len() < official.len() || ours.ends_with(&[0]))
        },
    },
    CellDifference {
        title: "Durations whose parts have several signs",
        applies: |typ, reading| {
            matches!(typ, ColumnType::Duration)
                && *reading.ours == Some(None)
                && matches!(reading.official, Some(Some(_)))
        },
    },
    CellDifference {
        title: "Vectors that end with an empty element",
        applies: |typ, reading| {
            matches!(typ, ColumnType::Vector(element, _) if element.vector_element_len().is_none())
                && reading.cell.ends_with(&[0])
        },
    },
];

/// Whether two readings of a cell differ in a way that is on the list.
pub(crate) fn is_known_of_cells(
    typ: &ColumnType,
    cell: &[u8],
    ours: &Written,
    official: &Written,
) -> bool {
    let reading = Reading { cell, ours, official };
    CELLS.iter().any(|difference| (difference.applies)(typ, &reading))
}

impl Outcome<'_> {
    fn ours_says(&self, any_of: &[&str]) -> bool {
        matches!(self.ours, Ok(words) if any_of.iter().any(|part| words.contains(part)))
    }

    fn official_says(&self, part: &str) -> bool {
        matches!(self.official, Ok(words) if words.contains(part))
    }

    fn official_refuses(&self, reason: &str) -> bool {
        matches!(self.official, Err(words) if words.contains(reason))
    }

    /// A UUID may be spelled in several ways; ours are given as they were sent.
    fn both_name_the_same_routes(&self) -> bool {
        let plain = |words: &str| {
            words.to_ascii_lowercase().replace(['-', '{', '}'], "").replace("urn:uuid:", "")
        };
        matches!((self.ours, self.official), (Ok(ours), Ok(official))
            if plain(ours) == plain(official))
    }
}

#[test]
fn every_difference_shows_in_its_example() {
    let agreement = Agreement { metadata_id: false, rate_limit_error: false };
    for difference in RESPONSES {
        let (opcode, flags, body) = difference.example;
        let frame = Frame { opcode, flags, agreement, body };
        let (ours, official) = (responses::ours(frame), responses::official(frame));
        let outcome = Outcome { frame, ours: &ours, official: &official };
        assert!((difference.applies)(&outcome), "{}: {ours:?}, {official:?}", difference.title);
        assert_ne!(ours.ok(), official.ok(), "{}", difference.title);
    }
}

#[test]
fn every_difference_of_cells_shows_in_its_example() {
    use super::values::{official_round_trip, our_round_trip};
    use scylla_cql::value as official;
    use shardwire_protocol::value as ours;
    let check = |index: usize, typ: ColumnType, cell: &[u8], ours: Written, official: Written| {
        let reading = Reading { cell, ours: &ours, official: &official };
        assert!((CELLS[index].applies)(&typ, &reading), "{typ}: {ours:?}, {official:?}");
        assert_ne!(ours, official);
    };
    let (typ, cell) = (ColumnType::Varint, [0, 0, 0, 2, 0, 1]);
    let ours = our_round_trip::<ours::CqlVarint>(&typ, &cell);
    let official = official_round_trip::<official::CqlVarint>(&typ, &cell);
    check(0, typ, &cell, ours, official);
    let (typ, cell) = (ColumnType::Duration, [0, 0, 0, 3, 2, 1, 0]);
    let ours = our_round_trip::<ours::CqlDuration>(&typ, &cell);
    let official = official_round_trip::<official::CqlDuration>(&typ, &cell);
    check(1, typ, &cell, ours, official);
    let typ = ColumnType::Vector(Box::new(ColumnType::Text), 2);
    let cell = [0, 0, 0, 3, 1, b'a', 0];
    let ours = our_round_trip::<Vec<String>>(&typ, &cell);
    let official = official_round_trip::<Vec<String>>(&typ, &cell);
    check(2, typ, &cell, ours, official);
}

#[test]
fn the_document_lists_them() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/DIFFERENCES.md");
    let document = std::fs::read_to_string(path).expect("the document exists");
    let titles = RESPONSES.iter().map(|difference| difference.title);
    for title in titles.chain(CELLS.iter().map(|difference| difference.title)) {
        assert!(document.contains(title), "{title} is not listed");
    }
}
