//! Reads the notations of the specification's section 3 from a request body.

use crate::error::CqlError;

/// A cursor over one request body. Every error is a protocol error that closes the connection.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// A bound value of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Unset,
    Bytes(&'a [u8]),
}

type Result<T> = std::result::Result<T, CqlError>;

#[cold]
fn truncated(what: &str) -> CqlError {
    CqlError::protocol(format!("request body ends inside {what}"))
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// Bytes not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize, what: &str) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.rest.split_at_checked(len) else {
            return Err(truncated(what));
        };
        self.rest = tail;
        Ok(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(truncated(what));
        };
        self.rest = tail;
        Ok(*head)
    }

    #[inline]
    pub(crate) fn byte(&mut self, what: &str) -> Result<u8> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    #[inline]
    pub(crate) fn short(&mut self, what: &str) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    /// Bits of `[int]`.
    #[inline]
    pub(crate) fn bits(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    #[inline(always)]
    pub(crate) fn int(&mut self, what: &str) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array(what)?))
    }

    #[inline]
    pub(crate) fn long(&mut self, what: &str) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn string(&mut self, what: &str) -> Result<&'a str> {
        let len = self.short(what)?;
        self.utf8(usize::from(len), what)
    }

    pub(crate) fn long_string(&mut self, what: &str) -> Result<&'a str> {
        let len = usize::try_from(self.int(what)?)
            .map_err(|_| CqlError::protocol(format!("negative length of {what}")))?;
        self.utf8(len, what)
    }

    fn utf8(&mut self, len: usize, what: &str) -> Result<&'a str> {
        std::str::from_utf8(self.take(len, what)?)
            .map_err(|_| CqlError::protocol(format!("{what} is not UTF-8")))
    }

    #[inline]
    pub(crate) fn short_bytes(&mut self, what: &str) -> Result<&'a [u8]> {
        let len = self.short(what)?;
        self.take(usize::from(len), what)
    }

    /// `[bytes]`: any negative length is null.
    pub(crate) fn bytes(&mut self, what: &str) -> Result<Option<&'a [u8]>> {
        match usize::try_from(self.int(what)?) {
            Ok(len) => Ok(Some(self.take(len, what)?)),
            Err(_) => Ok(None),
        }
    }

    /// `[value]`: -1 is null, -2 is not set, less is an error.
    #[inline(always)]
    pub(crate) fn value(&mut self) -> Result<Value<'a>> {
        match self.int("a value")? {
            -1 => Ok(Value::Null),
            -2 => Ok(Value::Unset),
            len => match usize::try_from(len) {
                Ok(len) => Ok(Value::Bytes(self.take(len, "a value")?)),
                Err(_) => Err(CqlError::protocol(format!("value length {len}"))),
            },
        }
    }

    pub(crate) fn string_list(&mut self, what: &str) -> Result<Vec<&'a str>> {
        let count = self.short(what)?;
        (0..count).map(|_| self.string(what)).collect()
    }

    pub(crate) fn string_map(&mut self, what: &str) -> Result<Vec<(&'a str, &'a str)>> {
        let count = self.short(what)?;
        (0..count).map(|_| Ok((self.string(what)?, self.string(what)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_of_a_body_is_an_error_and_not_a_panic() {
        let body = [0, 2, b'a', b'b', 0, 0, 0, 1, 7, 0xFF, 0xFF, 0xFF, 0xFE];
        let read = |body: &[u8]| -> Result<()> {
            let mut reader = Reader::new(body);
            assert_eq!(reader.string("s")?, "ab");
            assert_eq!(reader.value()?, Value::Bytes(&[7]));
            assert_eq!(reader.value()?, Value::Unset);
            Ok(())
        };
        assert!(read(&body).is_ok());
        for cut in 0..body.len() {
            assert_eq!(read(&body[..cut]).unwrap_err().code, crate::error::code::PROTOCOL);
        }
    }

    #[test]
    fn value_lengths_below_minus_two_are_refused() {
        assert!(Reader::new(&[0xFF, 0xFF, 0xFF, 0xFD]).value().is_err());
    }
}
