//! How many replicas must answer.
//!
//! The numbers are the protocol's; what they mean is the database's business.
//! Next: `wire.rs`.

use core::fmt;

/// Consistency level of a request.
///
/// ```
/// use shardwire_protocol::consistency::Consistency;
///
/// assert_eq!(Consistency::default(), Consistency::LocalQuorum);
/// assert_eq!(Consistency::LocalQuorum.to_string(), "LOCAL_QUORUM");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(u16)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum Consistency {
    Any = 0x0000,
    One = 0x0001,
    Two = 0x0002,
    Three = 0x0003,
    Quorum = 0x0004,
    All = 0x0005,
    #[default]
    LocalQuorum = 0x0006,
    EachQuorum = 0x0007,
    /// Of reads of rows that are written conditionally.
    Serial = 0x0008,
    /// As `Serial`, within the datacenter.
    LocalSerial = 0x0009,
    LocalOne = 0x000A,
}

impl Consistency {
    /// The level with this number, if there is one.
    ///
    /// ```
    /// # use shardwire_protocol::consistency::Consistency;
    /// assert_eq!(Consistency::from_u16(4), Some(Consistency::Quorum));
    /// assert_eq!(Consistency::from_u16(11), None);
    /// ```
    #[inline]
    #[must_use]
    pub const fn from_u16(number: u16) -> Option<Self> {
        Some(match number {
            0x0000 => Self::Any,
            0x0001 => Self::One,
            0x0002 => Self::Two,
            0x0003 => Self::Three,
            0x0004 => Self::Quorum,
            0x0005 => Self::All,
            0x0006 => Self::LocalQuorum,
            0x0007 => Self::EachQuorum,
            0x0008 => Self::Serial,
            0x0009 => Self::LocalSerial,
            0x000A => Self::LocalOne,
            _ => return None,
        })
    }

    /// Its number.
    ///
    /// ```
    /// # use shardwire_protocol::consistency::Consistency;
    /// assert_eq!(Consistency::LocalOne.as_u16(), 10);
    /// ```
    #[inline]
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self as u16
    }

    /// Whether it asks for a linearisable read.
    ///
    /// ```
    /// # use shardwire_protocol::consistency::Consistency;
    /// assert!(Consistency::LocalSerial.is_serial());
    /// assert!(!Consistency::All.is_serial());
    /// ```
    #[inline]
    #[must_use]
    pub const fn is_serial(self) -> bool {
        matches!(self, Self::Serial | Self::LocalSerial)
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "ANY",
            Self::One => "ONE",
            Self::Two => "TWO",
            Self::Three => "THREE",
            Self::Quorum => "QUORUM",
            Self::All => "ALL",
            Self::LocalQuorum => "LOCAL_QUORUM",
            Self::EachQuorum => "EACH_QUORUM",
            Self::Serial => "SERIAL",
            Self::LocalSerial => "LOCAL_SERIAL",
            Self::LocalOne => "LOCAL_ONE",
        })
    }
}

/// Consistency level of the Paxos phase of a conditional write.
///
/// ```
/// use shardwire_protocol::consistency::{Consistency, SerialConsistency};
///
/// assert_eq!(SerialConsistency::default(), SerialConsistency::LocalSerial);
/// assert_eq!(Consistency::from(SerialConsistency::Serial), Consistency::Serial);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(u16)]
pub enum SerialConsistency {
    /// Across all datacenters.
    Serial = 0x0008,
    /// Within the coordinator's datacenter.
    #[default]
    LocalSerial = 0x0009,
}

impl SerialConsistency {
    /// The level with this number, if there is one.
    ///
    /// ```
    /// # use shardwire_protocol::consistency::SerialConsistency;
    /// assert_eq!(SerialConsistency::from_u16(8), Some(SerialConsistency::Serial));
    /// assert_eq!(SerialConsistency::from_u16(4), None); // QUORUM is not one of these
    /// ```
    #[inline]
    #[must_use]
    pub const fn from_u16(number: u16) -> Option<Self> {
        match number {
            0x0008 => Some(Self::Serial),
            0x0009 => Some(Self::LocalSerial),
            _ => None,
        }
    }

    /// Its number.
    ///
    /// ```
    /// # use shardwire_protocol::consistency::SerialConsistency;
    /// assert_eq!(SerialConsistency::LocalSerial.as_u16(), 9);
    /// ```
    #[inline]
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self as u16
    }
}

impl From<SerialConsistency> for Consistency {
    fn from(serial: SerialConsistency) -> Self {
        match serial {
            SerialConsistency::Serial => Self::Serial,
            SerialConsistency::LocalSerial => Self::LocalSerial,
        }
    }
}

impl fmt::Display for SerialConsistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Consistency::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for number in 0..=10 {
            assert_eq!(Consistency::from_u16(number).map(Consistency::as_u16), Some(number));
        }
        for number in (11..0x0200).chain([0x8000, u16::MAX]) {
            assert_eq!(Consistency::from_u16(number), None);
        }
        assert_eq!(SerialConsistency::from_u16(8), Some(SerialConsistency::Serial));
        let serial: Vec<u16> =
            (0..20).filter(|number| SerialConsistency::from_u16(*number).is_some()).collect();
        assert_eq!(serial, [8, 9]);
        for number in serial {
            let level = SerialConsistency::from_u16(number).unwrap();
            assert_eq!((level.as_u16(), Consistency::from(level).as_u16()), (number, number));
        }
        assert_eq!(Consistency::default().to_string(), "LOCAL_QUORUM");
        assert_eq!(SerialConsistency::default().to_string(), "LOCAL_SERIAL");
    }
    #[test]
    fn levels_have_these_numbers() {
        let names: Vec<String> =
            (0..=10).map(|number| Consistency::from_u16(number).unwrap().to_string()).collect();
        let expected = [
            "ANY",
            "ONE",
            "TWO",
            "THREE",
            "QUORUM",
            "ALL",
            "LOCAL_QUORUM",
            "EACH_QUORUM",
            "SERIAL",
            "LOCAL_SERIAL",
            "LOCAL_ONE",
        ];
        assert_eq!(names, expected);
    }
}
