//! Choices made of bytes: what a fuzzer mutates.

/// Bytes to decide with; zeros when they are used up, so that every generator ends.
pub(crate) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    /// Decides by `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte.
    pub(crate) fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `end`, which is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.u8()) % end
    }

    /// One of two.
    pub(crate) fn coin(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// As many bytes as there are places.
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.u8())
    }

    /// Up to `len_max` bytes.
    pub(crate) fn bytes(&mut self, len_max: usize) -> Vec<u8> {
        (0..self.below(len_max + 1)).map(|_| self.u8()).collect()
    }

    /// Up to `len_max` characters, most of them ASCII.
    pub(crate) fn text(&mut self, len_max: usize) -> String {
        const CHARACTERS: [char; 16] =
            ['a', 'b', 'c', 'z', 'A', 'Z', '0', '9', '_', ' ', '"', '\'', 'é', 'ß', '中', '🦀'];
        (0..self.below(len_max + 1)).map(|_| CHARACTERS[self.below(16)]).collect()
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }
}
