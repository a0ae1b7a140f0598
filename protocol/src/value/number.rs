//! `counter`, `varint` and `decimal`.
//!
//! As the protocol has them. To calculate with, convert them to the types of a crate that does.
//!
//! Next: `value/time.rs`.

/// The value of a `counter`, or what is added to it.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{Counter, DeserializeValue};
///
/// let cell = 7_i64.to_be_bytes();
/// assert_eq!(Counter::deserialize(&ColumnType::Counter, Some(&cell)), Ok(Counter(7)));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Counter(pub i64);

/// A `varint`: two's complement, big-endian, in as few bytes as possible.
///
/// Always minimal, so that equal numbers have equal bytes: as a partition key they must find the
/// same token.
///
/// ```
/// use shardwire_protocol::value::CqlVarint;
///
/// let number = CqlVarint::from_signed_bytes_be(vec![0, 0, 0, 0x80]);
/// assert_eq!(number, CqlVarint::from(128_i64));
/// assert_eq!(number.as_signed_bytes_be_slice(), [0, 0x80]);
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CqlVarint(Vec<u8>);

/// A `varint` that lies elsewhere; see [`CqlVarint`].
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{CqlVarint, CqlVarintBorrowed, DeserializeValue};
///
/// let read = CqlVarintBorrowed::deserialize(&ColumnType::Varint, Some(&[0, 0x80]))?;
/// assert_eq!(CqlVarint::from(read), CqlVarint::from(128_i64));
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CqlVarintBorrowed<'b>(&'b [u8]);

impl CqlVarint {
    /// From two's complement, big-endian bytes. None at all is zero.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlVarint;
    /// let minus_one = CqlVarint::from_signed_bytes_be(vec![0xFF, 0xFF]);
    /// assert_eq!(minus_one.as_signed_bytes_be_slice(), [0xFF]);
    /// ```
    #[must_use]
    pub fn from_signed_bytes_be(mut digits: Vec<u8>) -> Self {
        // Of no digits at all `minimal` makes one more than there are.
        let skip = digits.len().saturating_sub(minimal(&digits).len());
        digits.drain(..skip);
        if digits.is_empty() {
            digits.push(0);
        }
        Self(digits)
    }

    /// As [`Self::from_signed_bytes_be`], copying.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlVarint;
    /// let zero = CqlVarint::from_signed_bytes_be_slice(&[]);
    /// assert_eq!(zero, CqlVarint::from(0_i64));
    /// ```
    #[must_use]
    pub fn from_signed_bytes_be_slice(digits: &[u8]) -> Self {
        Self(minimal(digits).to_vec())
    }

    /// Its bytes, at least one.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlVarint;
    /// assert_eq!(CqlVarint::from(-129_i64).as_signed_bytes_be_slice(), [0xFF, 0x7F]);
    /// ```
    #[inline]
    #[must_use]
    pub fn as_signed_bytes_be_slice(&self) -> &[u8] {
        &self.0
    }

    /// Its bytes, at least one.
    ///
    /// ```
    /// use shardwire_protocol::value::CqlVarint;
    ///
    /// assert_eq!(CqlVarint::from(128_i64).into_signed_bytes_be(), [0, 0x80]);
    /// ```
    #[must_use]
    pub fn into_signed_bytes_be(self) -> Vec<u8> {
        self.0
    }

    /// The same number, borrowed.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlVarint;
    /// let number = CqlVarint::from(7_i64);
    /// assert_eq!(CqlVarint::from(number.as_borrowed()), number);
    /// ```
    #[inline]
    #[must_use]
    pub fn as_borrowed(&self) -> CqlVarintBorrowed<'_> {
        CqlVarintBorrowed(&self.0)
    }
}

/// Allocates.
impl From<CqlVarintBorrowed<'_>> for CqlVarint {
    fn from(number: CqlVarintBorrowed<'_>) -> Self {
        Self(number.0.to_vec())
    }
}

impl<'b> CqlVarintBorrowed<'b> {
    /// From two's complement, big-endian bytes. None at all is zero.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlVarintBorrowed;
    /// let number = CqlVarintBorrowed::from_signed_bytes_be_slice(&[0, 0, 7]);
    /// assert_eq!(number.as_signed_bytes_be_slice(), [7]);
    /// ```
    #[must_use]
    pub fn from_signed_bytes_be_slice(digits: &'b [u8]) -> Self {
        Self(minimal(digits))
    }

    /// Its bytes, at least one.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlVarintBorrowed;
    /// let zero = CqlVarintBorrowed::from_signed_bytes_be_slice(&[]);
    /// assert_eq!(zero.as_signed_bytes_be_slice(), [0]);
    /// ```
    #[inline]
    #[must_use]
    pub fn as_signed_bytes_be_slice(&self) -> &'b [u8] {
        self.0
    }
}

impl From<i64> for CqlVarint {
    fn from(value: i64) -> Self {
        Self::from_signed_bytes_be_slice(&value.to_be_bytes())
    }
}

impl From<i128> for CqlVarint {
    fn from(value: i128) -> Self {
        Self::from_signed_bytes_be_slice(&value.to_be_bytes())
    }
}

/// A `decimal`: `unscaled · 10^-scale`. 1.0 and 1.00 differ, as in CQL.
///
/// ```
/// use shardwire_protocol::value::CqlDecimal;
///
/// assert_eq!(CqlDecimal::new(12345_i64.into(), 2).to_string(), "123.45");
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CqlDecimal {
    unscaled: CqlVarint,
    scale: i32,
}

/// A `decimal` whose digits lie elsewhere; see [`CqlDecimal`].
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{CqlDecimalBorrowed, DeserializeValue};
///
/// let cell = [0, 0, 0, 2, 0x30, 0x39];
/// let read = CqlDecimalBorrowed::deserialize(&ColumnType::Decimal, Some(&cell))?;
/// assert_eq!(read.to_string(), "123.45");
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CqlDecimalBorrowed<'b> {
    unscaled: CqlVarintBorrowed<'b>,
    scale: i32,
}

impl CqlDecimal {
    /// The number `unscaled · 10^-scale`.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlDecimal;
    /// let (a, b) = (CqlDecimal::new(10_i64.into(), 1), CqlDecimal::new(100_i64.into(), 2));
    /// assert_eq!((a.to_string(), b.to_string()), ("1.0".into(), "1.00".into()));
    /// assert_ne!(a, b);
    /// ```
    #[must_use]
    pub fn new(unscaled: CqlVarint, scale: i32) -> Self {
        Self { unscaled, scale }
    }

    /// From the unscaled number's two's complement, big-endian bytes.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlDecimal;
    /// let number = CqlDecimal::from_signed_be_bytes_and_exponent(vec![0x30, 0x39], 2);
    /// assert_eq!(number.to_string(), "123.45");
    /// ```
    #[must_use]
    pub fn from_signed_be_bytes_and_exponent(digits: Vec<u8>, scale: i32) -> Self {
        Self::new(CqlVarint::from_signed_bytes_be(digits), scale)
    }

    /// As [`Self::from_signed_be_bytes_and_exponent`], copying.
    ///
    /// ```
    /// use shardwire_protocol::value::CqlDecimal;
    ///
    /// let hundredth = CqlDecimal::from_signed_be_bytes_slice_and_exponent(&[1], 2);
    /// assert_eq!(hundredth.to_string(), "0.01");
    /// ```
    #[must_use]
    pub fn from_signed_be_bytes_slice_and_exponent(digits: &[u8], scale: i32) -> Self {
        Self::new(CqlVarint::from_signed_bytes_be_slice(digits), scale)
    }

    /// The unscaled number's bytes and the scale.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlDecimal;
    /// let number = CqlDecimal::new(7_i64.into(), 3);
    /// assert_eq!(number.as_signed_be_bytes_slice_and_exponent(), (&[7][..], 3));
    /// ```
    #[must_use]
    pub fn as_signed_be_bytes_slice_and_exponent(&self) -> (&[u8], i32) {
        (self.unscaled.as_signed_bytes_be_slice(), self.scale)
    }

    /// The unscaled number's bytes and the scale.
    ///
    /// ```
    /// use shardwire_protocol::value::CqlDecimal;
    ///
    /// let ten = CqlDecimal::new(10_i64.into(), 0);
    /// assert_eq!(ten.into_signed_be_bytes_and_exponent(), (vec![10], 0));
    /// ```
    #[must_use]
    pub fn into_signed_be_bytes_and_exponent(self) -> (Vec<u8>, i32) {
        (self.unscaled.into_signed_bytes_be(), self.scale)
    }

    /// The same number, borrowed.
    ///
    /// ```
    /// use shardwire_protocol::value::CqlDecimal;
    ///
    /// let ten = CqlDecimal::new(10_i64.into(), 0);
    /// assert_eq!(CqlDecimal::from(ten.as_borrowed()), ten);
    /// ```
    #[inline]
    #[must_use]
    pub fn as_borrowed(&self) -> CqlDecimalBorrowed<'_> {
        CqlDecimalBorrowed { unscaled: self.unscaled.as_borrowed(), scale: self.scale }
    }
}

impl<'b> CqlDecimalBorrowed<'b> {
    /// From the unscaled number's two's complement, big-endian bytes.
    ///
    /// ```
    /// use shardwire_protocol::value::CqlDecimalBorrowed;
    ///
    /// let number = CqlDecimalBorrowed::from_signed_be_bytes_slice_and_exponent(&[0, 0, 7], 1);
    /// assert_eq!(number.as_signed_be_bytes_slice_and_exponent(), (&[7][..], 1));
    /// ```
    #[inline]
    #[must_use]
    pub fn from_signed_be_bytes_slice_and_exponent(digits: &'b [u8], scale: i32) -> Self {
        Self { unscaled: CqlVarintBorrowed::from_signed_bytes_be_slice(digits), scale }
    }

    /// The unscaled number's bytes and the scale.
    ///
    /// ```
    /// # use shardwire_protocol::value::CqlDecimal;
    /// let number = CqlDecimal::new(7_i64.into(), 3);
    /// let borrowed = number.as_borrowed();
    /// assert_eq!(borrowed.as_signed_be_bytes_slice_and_exponent(), (&[7][..], 3));
    /// ```
    #[inline]
    #[must_use]
    pub fn as_signed_be_bytes_slice_and_exponent(&self) -> (&'b [u8], i32) {
        (self.unscaled.as_signed_bytes_be_slice(), self.scale)
    }
}

/// Allocates.
impl From<CqlDecimalBorrowed<'_>> for CqlDecimal {
    fn from(number: CqlDecimalBorrowed<'_>) -> Self {
        Self { unscaled: number.unscaled.into(), scale: number.scale }
    }
}

/// Without the leading bytes that only repeat the sign.
fn minimal(mut digits: &[u8]) -> &[u8] {
    if digits.is_empty() {
        return &[0];
    }
    while let [0x00, 0x00..=0x7F, ..] | [0xFF, 0x80..=0xFF, ..] = digits
        && let [_, tail @ ..] = digits
    {
        digits = tail;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_minimal() {
        let vectors: [(i64, &[u8]); 7] = [
            (0, &[0]),
            (-1, &[0xFF]),
            (127, &[0x7F]),
            (128, &[0, 0x80]),
            (-128, &[0x80]),
            (-129, &[0xFF, 0x7F]),
            (255, &[0, 0xFF]),
        ];
        for (value, bytes) in vectors {
            assert_eq!(CqlVarint::from(value).as_signed_bytes_be_slice(), bytes);
            let long = value.to_be_bytes().to_vec();
            assert_eq!(CqlVarint::from_signed_bytes_be(long).as_signed_bytes_be_slice(), bytes);
        }
        assert_eq!(
            CqlVarint::from(1_i128 << 63).as_signed_bytes_be_slice(),
            [0, 0x80, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(CqlVarint::from_signed_bytes_be(vec![]), CqlVarint::from(0_i64));
        assert_eq!(CqlVarintBorrowed::from_signed_bytes_be_slice(&[]).0, [0]);
    }
}
