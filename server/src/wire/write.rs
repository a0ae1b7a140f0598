//! Writes the notations of the specification's section 3 into a reply.

/// Appends to a reply buffer.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn byte(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn short(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn int(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// A count or length as `[int]`. Nothing the node builds comes near the limit.
    pub(crate) fn len(&mut self, len: usize) {
        self.int(i32::try_from(len).unwrap_or(i32::MAX));
    }

    /// A count or length as `[short]`.
    pub(crate) fn short_len(&mut self, len: usize) {
        self.short(u16::try_from(len).unwrap_or(u16::MAX));
    }

    /// `[string]`, cut at 65,535 bytes on a character boundary (error texts may quote a client).
    pub(crate) fn string(&mut self, text: &str) {
        let mut len = text.len().min(usize::from(u16::MAX));
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        self.short_len(len);
        self.raw(text.get(..len).unwrap_or_default().as_bytes());
    }

    pub(crate) fn short_bytes(&mut self, bytes: &[u8]) {
        self.short_len(bytes.len());
        self.raw(bytes);
    }

    /// `[bytes]`; `None` is null.
    pub(crate) fn bytes(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                self.len(bytes.len());
                self.raw(bytes);
            }
            None => self.int(-1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_cut_at_a_character() {
        let mut out = Vec::new();
        Writer::new(&mut out).string(&"é".repeat(40_000));
        assert_eq!(out[..2], [0xFF, 0xFE]);
        assert_eq!(out.len(), 2 + 65_534);
    }
}
