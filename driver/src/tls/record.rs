//! TLS records: one direction's key, which seals and opens them in place.
//!
//! Knows the bytes of a record and its nonce, and nothing of what the records are for: that is
//! `stream.rs`. Never allocates, but for `out` to grow. Invariant: a sequence number is taken
//! before it is used and never given back, so that no nonce is used twice whatever fails.

use std::fmt;

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce};
use ring::aead::{NONCE_LEN, UnboundKey};
use rustls::{ConnectionTrafficSecrets, ProtocolVersion};
use zeroize::Zeroizing;

/// Why a TLS connection cannot go on. Names what the peer did; holds nothing that it sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fault(pub(crate) &'static str);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Types of content (RFC 8446 §5.1).
pub(crate) mod content {
    pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(crate) const ALERT: u8 = 21;
    pub(crate) const HANDSHAKE: u8 = 22;
    pub(crate) const APPLICATION_DATA: u8 = 23;
}

/// Type, version and length (RFC 8446 §5.1).
pub(crate) const HEADER_LEN: usize = 5;
/// The most plaintext of a record (RFC 8446 §5.1, RFC 5246 §6.2.1).
pub(crate) const PLAIN_LEN_MAX: usize = 1 << 14;
/// Of each of the three algorithms.
const TAG_LEN: usize = 16;
/// The part of the nonce that TLS 1.2 sends with AES-GCM (RFC 5288 §3).
const EXPLICIT_LEN: usize = 8;
/// What sealing adds to a record at most: all three, and TLS 1.3's type of content does not come
/// with an explicit nonce.
pub(crate) const OVERHEAD_MAX: usize = HEADER_LEN + EXPLICIT_LEN + TAG_LEN;
/// TLS 1.2, which TLS 1.3 says as well (RFC 8446 §5.2).
const VERSION: [u8; 2] = [3, 3];

/// How records look, and how nonces and additional data are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// RFC 5288: the second half of the nonce is sent along.
    Tls12Gcm,
    /// RFC 7905: the nonce is made from the sequence number, the rest is as with AES-GCM.
    Tls12ChaCha,
    /// RFC 8446 §5.2: the type of content is sealed too, and may be padded.
    Tls13,
}

impl Form {
    const fn explicit_len(self) -> usize {
        match self {
            Form::Tls12Gcm => EXPLICIT_LEN,
            Form::Tls12ChaCha | Form::Tls13 => 0,
        }
    }

    /// The most that a header may announce.
    const fn sealed_len_max(self) -> usize {
        match self {
            Form::Tls12Gcm | Form::Tls12ChaCha => PLAIN_LEN_MAX + 2048, // RFC 5246 §6.2.3
            Form::Tls13 => PLAIN_LEN_MAX + 256,                         // RFC 8446 §5.2
        }
    }

    const fn sealed_len_min(self) -> usize {
        match self {
            Form::Tls12Gcm | Form::Tls12ChaCha => self.explicit_len() + TAG_LEN,
            Form::Tls13 => 1 + TAG_LEN, // the type of content
        }
    }

    /// Whether a record may be of this type on the outside. The handshake is over.
    fn check_type(self, typ: u8) -> Result<(), Fault> {
        match (self, typ) {
            (_, content::APPLICATION_DATA) => Ok(()),
            (Form::Tls12Gcm | Form::Tls12ChaCha, content::ALERT | content::HANDSHAKE) => Ok(()),
            // RFC 8446 §5: to be dropped before the peer's Finished only.
            (_, content::CHANGE_CIPHER_SPEC) => {
                Err(Fault("the node sent a change_cipher_spec after the TLS handshake"))
            }
            (Form::Tls13, content::ALERT) => Err(Fault("the node sent an alert in plain text")),
            _ => Err(Fault("the node sent something that is no encrypted TLS record")),
        }
    }
}

/// Where a record's content stands once it is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Opened {
    pub(crate) typ: u8,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The key of one direction, and how many records it was used for.
///
/// `ring` does not wipe a key when it is dropped; what it was made from and the start of the nonces
/// are wiped.
pub(crate) struct Key {
    aead: LessSafeKey,
    /// The salt alone in the nonces of what is received by TLS 1.2 with AES-GCM.
    iv: Zeroizing<[u8; NONCE_LEN]>,
    seq: u64,
    form: Form,
}

/// Without the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("form", &self.form).finish_non_exhaustive()
    }
}

impl Key {
    /// From what the handshake or a key update came to: the next sequence number, and the secrets.
    pub(crate) fn new(
        version: ProtocolVersion,
        (seq, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Result<Key, Fault> {
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(Fault("the TLS cipher suite is not supported")),
        };
        let form = match version {
            ProtocolVersion::TLSv1_3 => Form::Tls13,
            ProtocolVersion::TLSv1_2 if algorithm == &CHACHA20_POLY1305 => Form::Tls12ChaCha,
            ProtocolVersion::TLSv1_2 => Form::Tls12Gcm,
            _ => return Err(Fault("the TLS version is not supported")),
        };
        let unusable = Fault("the TLS handshake came to a key that is not usable");
        let aead = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| unusable)?;
        let iv = iv.as_ref().first_chunk().ok_or(unusable)?;
        Ok(Key { aead: LessSafeKey::new(aead), iv: Zeroizing::new(*iv), seq, form })
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// The sequence number of the next record: how many the key was used for.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Takes a sequence number. It is gone, whatever becomes of the record.
    fn take_seq(&mut self) -> Result<u64, Fault> {
        let seq = self.seq;
        // RFC 8446 §5.3: sequence numbers do not wrap.
        self.seq = seq.checked_add(1).ok_or(Fault("the TLS sequence numbers are used up"))?;
        Ok(seq)
    }

    /// The nonce of a record: the sequence number, to the right, over the start (RFC 8446 §5.3,
    /// RFC 7905 §2). AES-GCM of TLS 1.2 may make it as it likes, and this is unique (RFC 5288 §3).
    fn nonce(&self, seq: u64) -> [u8; NONCE_LEN] {
        let mut nonce = *self.iv;
        let seq = seq.to_be_bytes();
        for (byte, seq) in nonce.iter_mut().skip(NONCE_LEN - seq.len()).zip(seq) {
            *byte ^= seq;
        }
        nonce
    }

    /// The nonce of a record that brings the second half of it (RFC 5288 §3).
    fn nonce_with(&self, explicit: &[u8]) -> [u8; NONCE_LEN] {
        let mut nonce = *self.iv;
        for (byte, explicit) in nonce.iter_mut().skip(NONCE_LEN - EXPLICIT_LEN).zip(explicit) {
            *byte = *explicit;
        }
        nonce
    }

    /// Appends one record with `plain`, [`PLAIN_LEN_MAX`] at most. `out` is as before on an error.
    pub(crate) fn seal(&mut self, typ: u8, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let seq = self.take_seq()?;
        let nonce = self.nonce(seq);
        let typ_len = usize::from(self.form == Form::Tls13);
        let body_len = self.form.explicit_len() + plain.len() + typ_len + TAG_LEN;
        let outer_typ = if self.form == Form::Tls13 { content::APPLICATION_DATA } else { typ };
        let too_long = Fault("a TLS record would be too long");
        let body_len = u16::try_from(body_len).map_err(|_| too_long)?;
        let plain_len = u16::try_from(plain.len()).map_err(|_| too_long)?;
        let header = header(outer_typ, body_len);

        let record_start = out.len();
        out.extend_from_slice(&header);
        if self.form == Form::Tls12Gcm {
            out.extend_from_slice(nonce.last_chunk::<EXPLICIT_LEN>().map_or(&[], |half| half));
        }
        let text_start = out.len();
        out.extend_from_slice(plain);
        if self.form == Form::Tls13 {
            out.push(typ);
        }
        let text = out.get_mut(text_start..).unwrap_or_default();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = match self.form {
            Form::Tls13 => self.aead.seal_in_place_separate_tag(nonce, Aad::from(header), text),
            Form::Tls12Gcm | Form::Tls12ChaCha => {
                let extra = Aad::from(extra(seq, typ, plain_len));
                self.aead.seal_in_place_separate_tag(nonce, extra, text)
            }
        };
        match sealed {
            Ok(tag) => {
                out.extend_from_slice(tag.as_ref());
                Ok(())
            }
            Err(_) => {
                out.truncate(record_start);
                Err(Fault("a TLS record could not be sealed"))
            }
        }
    }

    /// The length of the record that `filled` begins with; while its header has not arrived, of
    /// that. What has arrived of the header is checked before anything waits for the rest.
    pub(crate) fn record_len(&self, filled: &[u8]) -> Result<usize, Fault> {
        if let Some(&typ) = filled.first() {
            self.form.check_type(typ)?;
        }
        if filled.get(1..3).is_some_and(|version| version != VERSION) {
            return Err(Fault("the node sent a TLS record of another version"));
        }
        let Some(len) = announced_len(filled) else { return Ok(HEADER_LEN) };
        if len > self.form.sealed_len_max() {
            return Err(Fault("the node announced a TLS record that is too long"));
        }
        if len < self.form.sealed_len_min() {
            return Err(Fault("the node announced a TLS record that is too short"));
        }
        Ok(HEADER_LEN + len)
    }

    /// Opens `record`, a whole one whose length is that of [`record_len`](Self::record_len).
    pub(crate) fn open(&mut self, record: &mut [u8]) -> Result<Opened, Fault> {
        let seq = self.take_seq()?;
        let too_short = Fault("the node sent a TLS record that is too short");
        let (header, body) = record.split_first_chunk_mut::<HEADER_LEN>().ok_or(too_short)?;
        let [typ, ..] = *header;
        let explicit_len = self.form.explicit_len();
        let (explicit, sealed) = body.split_at_mut_checked(explicit_len).ok_or(too_short)?;
        let plain_len = sealed.len().checked_sub(TAG_LEN).ok_or(too_short)?;
        let plain = match self.form {
            Form::Tls13 => {
                let nonce = Nonce::assume_unique_for_key(self.nonce(seq));
                self.aead.open_in_place(nonce, Aad::from(*header), sealed)
            }
            Form::Tls12Gcm | Form::Tls12ChaCha => {
                let nonce = match self.form {
                    Form::Tls12Gcm => self.nonce_with(explicit),
                    Form::Tls12ChaCha | Form::Tls13 => self.nonce(seq),
                };
                let nonce = Nonce::assume_unique_for_key(nonce);
                let plain_len = u16::try_from(plain_len).map_err(|_| TOO_LONG)?;
                self.aead.open_in_place(nonce, Aad::from(extra(seq, typ, plain_len)), sealed)
            }
        };
        let plain =
            plain.map_err(|_| Fault("the node sent a TLS record that was tampered with"))?;
        let (typ, len) = match self.form {
            Form::Tls13 => inner(plain)?,
            Form::Tls12Gcm | Form::Tls12ChaCha => (typ, plain.len()),
        };
        if len > PLAIN_LEN_MAX {
            return Err(TOO_LONG);
        }
        let start = HEADER_LEN + explicit_len;
        Ok(Opened { typ, start, end: start + len })
    }
}

const TOO_LONG: Fault = Fault("the node sent a TLS record with too much in it");

/// The type that a record's plaintext ends with, before zeros as padding, and the length of what
/// stands before it (RFC 8446 §5.4).
fn inner(plain: &[u8]) -> Result<(u8, usize), Fault> {
    if plain.len() > PLAIN_LEN_MAX + 1 {
        return Err(TOO_LONG);
    }
    let len = plain.iter().rposition(|&byte| byte != 0);
    let found = len.and_then(|len| Some((*plain.get(len)?, len)));
    found.ok_or(Fault("the node sent a TLS record of nothing but padding"))
}

/// A record's header. That of TLS 1.3 is its additional data as well (RFC 8446 §5.2).
fn header(typ: u8, len: u16) -> [u8; HEADER_LEN] {
    let [major, minor] = VERSION;
    let [high, low] = len.to_be_bytes();
    [typ, major, minor, high, low]
}

/// How many bytes follow the header that `filled` begins with.
pub(crate) fn announced_len(filled: &[u8]) -> Option<usize> {
    let &[_, _, _, high, low] = filled.first_chunk::<HEADER_LEN>()?;
    Some(usize::from(u16::from_be_bytes([high, low])))
}

/// The additional data of TLS 1.2: sequence number, type, version, and the length of the plaintext
/// (RFC 5246 §6.2.3.3).
fn extra(seq: u64, typ: u8, plain_len: u16) -> [u8; 13] {
    let mut extra = [0; 13];
    for (byte, value) in
        extra.iter_mut().zip(seq.to_be_bytes().into_iter().chain(header(typ, plain_len)))
    {
        *byte = value;
    }
    extra
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(form: Form) -> Key {
        let algorithm = match form {
            Form::Tls12ChaCha => &CHACHA20_POLY1305,
            Form::Tls12Gcm | Form::Tls13 => &AES_256_GCM,
        };
        let aead = LessSafeKey::new(UnboundKey::new(algorithm, &[7; 32]).unwrap());
        Key { aead, iv: Zeroizing::new([9; NONCE_LEN]), seq: 1, form }
    }

    const FORMS: [Form; 3] = [Form::Tls12Gcm, Form::Tls12ChaCha, Form::Tls13];

    fn hex(text: &str) -> Vec<u8> {
        text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    /// RFC 8448 §3: the client's application data and its alert, "simple 1-RTT handshake".
    #[test]
    fn golden_records_of_tls_13() {
        let bytes = hex("17 42 2d da 59 6e d5 d9 ac d8 90 e3 c6 3f 50 51");
        let iv = hex("5b 78 92 3d ee 08 57 90 33 e5 23 d9");
        let key = || {
            let aead = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &bytes).unwrap());
            Key { aead, iv: Zeroizing::new(*iv.first_chunk().unwrap()), seq: 0, form: Form::Tls13 }
        };
        let data = hex(
            "17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa \
             66 bc ab 3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 \
             97 70 14 bd 1e 3d ea e6 3a ee bb 21 69 49 15 e4",
        );
        let alert = hex("17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3");
        let plain: Vec<u8> = (0..50).collect();

        let (mut sealer, mut out) = (key(), Vec::new());
        sealer.seal(content::APPLICATION_DATA, &plain, &mut out).unwrap();
        assert_eq!(out, data);
        out.clear();
        sealer.seal(content::ALERT, &[1, 0], &mut out).unwrap();
        assert_eq!(out, alert);

        let (mut opener, mut record) = (key(), data);
        assert_eq!(opener.record_len(&record), Ok(record.len()));
        let opened = opener.open(&mut record).unwrap();
        assert_eq!(opened, Opened { typ: content::APPLICATION_DATA, start: 5, end: 55 });
        assert_eq!(record[5..55], plain);
        assert_eq!(opener.open(&mut alert.clone()).map(|opened| opened.typ), Ok(content::ALERT));
    }

    #[test]
    fn headers_are_checked_as_they_arrive() {
        for form in FORMS {
            let key = key(form);
            let max = u16::try_from(form.sealed_len_max()).unwrap();
            let min = u16::try_from(form.sealed_len_min()).unwrap();
            let is_refused = |bytes: &[u8]| key.record_len(bytes).is_err();
            for len in [min, max] {
                let header = header(23, len);
                for arrived in 0..HEADER_LEN {
                    assert_eq!(key.record_len(&header[..arrived]), Ok(HEADER_LEN));
                }
                assert_eq!(key.record_len(&header), Ok(HEADER_LEN + usize::from(len)));
            }
            for len in [0, min - 1, max + 1, u16::MAX] {
                assert!(is_refused(&header(23, len)), "{form:?} {len}");
            }
            for typ in (0..=u8::MAX).filter(|typ| ![21, 22, 23].contains(typ)) {
                assert!(is_refused(&[typ]), "{form:?} {typ}");
            }
            assert_eq!(is_refused(&[21]), form == Form::Tls13);
            assert_eq!(is_refused(&[22]), form == Form::Tls13);
            for version in [[3, 1], [3, 4], [2, 3]] {
                assert!(is_refused(&[23, version[0], version[1]]), "{version:?}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed_wherever_it_is() {
        for form in FORMS {
            let mut whole = Vec::new();
            key(form).seal(content::APPLICATION_DATA, b"some data", &mut whole).unwrap();
            for (index, bit) in (0..whole.len()).flat_map(|index| [(index, 0), (index, 7)]) {
                let mut record = whole.clone();
                record[index] ^= 1 << bit;
                let mut key = key(form);
                // A longer record is waited for, a shorter one is another one.
                let Ok(len) = key.record_len(&record) else { continue };
                let Some(record) = record.get_mut(..len) else { continue };
                assert!(key.open(record).is_err(), "{form:?} {index}");
            }
        }
    }

    #[test]
    fn truncated_records_are_refused() {
        for form in FORMS {
            let mut whole = Vec::new();
            key(form).seal(content::APPLICATION_DATA, b"some data", &mut whole).unwrap();
            for len in 0..whole.len() {
                assert!(key(form).open(&mut whole[..len].to_vec()).is_err(), "{form:?} {len}");
            }
        }
    }

    /// Another number, another direction, another type: what the additional data is for.
    #[test]
    fn records_out_of_order_are_refused() {
        for form in FORMS {
            let (mut sealer, mut first, mut second) = (key(form), Vec::new(), Vec::new());
            sealer.seal(content::APPLICATION_DATA, b"one", &mut first).unwrap();
            sealer.seal(content::APPLICATION_DATA, b"two", &mut second).unwrap();
            assert!(key(form).open(&mut second.clone()).is_err(), "{form:?}: the first is missing");
            let mut opener = key(form);
            opener.open(&mut first.clone()).unwrap();
            assert!(opener.open(&mut first).is_err(), "{form:?}: it is repeated");
        }
    }

    #[test]
    fn no_number_is_used_twice() {
        for form in FORMS {
            let mut key = key(form);
            let mut out = vec![1, 2, 3];
            assert!(key.seal(23, &vec![0; 70_000], &mut out).is_err());
            assert_eq!((key.seq(), out.as_slice()), (2, [1, 2, 3].as_slice()));
            assert!(key.open(&mut [0; 64]).is_err());
            assert_eq!(key.seq(), 3);
            key.seq = u64::MAX;
            assert!(key.seal(23, b"", &mut out).is_err());
            assert!(key.open(&mut [0; 64]).is_err());
            assert_eq!((key.seq(), out.as_slice()), (u64::MAX, [1, 2, 3].as_slice()));
        }
    }

    /// Seals what TLS 1.3 seals, with whatever stands where its type of content should.
    fn sealed_inner(inner: &[u8]) -> Vec<u8> {
        let (last, plain) = inner.split_last().unwrap();
        let mut record = Vec::new();
        key(Form::Tls13).seal(*last, plain, &mut record).unwrap();
        record
    }

    #[test]
    fn padding_is_taken_off() {
        let check = |inner: &[u8], expect: Result<Opened, &str>| {
            let opened = key(Form::Tls13).open(&mut sealed_inner(inner));
            assert_eq!(opened.map_err(|fault| fault.0), expect);
        };
        let at = |typ, end| Ok(Opened { typ, start: 5, end });
        check(b"ab\x17", at(23, 7));
        check(b"ab\x17\0\0\0", at(23, 7));
        check(b"a\0\x17\0", at(23, 7));
        check(b"\x17", at(23, 5));
        check(b"\x16\0\0", at(22, 5));
        let nothing = Err("the node sent a TLS record of nothing but padding");
        check(&[0], nothing);
        check(&[0; 100], nothing);
        let mut inner = vec![1; PLAIN_LEN_MAX];
        inner.push(23);
        check(&inner, at(23, 5 + PLAIN_LEN_MAX));
        inner.push(0);
        check(&inner, Err(TOO_LONG.0)); // padding counts (RFC 8446 §5.4)
        check(&vec![1; PLAIN_LEN_MAX + 2], Err(TOO_LONG.0));
    }

    #[test]
    fn tls_12_holds_no_more_than_it_may() {
        for form in [Form::Tls12Gcm, Form::Tls12ChaCha] {
            for (len, is_good) in [(PLAIN_LEN_MAX, true), (PLAIN_LEN_MAX + 1, false)] {
                let mut record = Vec::new();
                key(form).seal(content::APPLICATION_DATA, &vec![1; len], &mut record).unwrap();
                assert_eq!(key(form).record_len(&record), Ok(record.len()));
                assert_eq!(key(form).open(&mut record).is_ok(), is_good, "{form:?} {len}");
            }
        }
    }

    #[test]
    fn shows_no_key() {
        assert_eq!(format!("{:?}", key(Form::Tls13)), "Key { form: Tls13, .. }");
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(
            form in 0..FORMS.len(),
            typ in 21_u8..=23,
            plain in proptest::collection::vec(any::<u8>(), 0..2_000),
        ) {
            let mut record = vec![1];
            key(FORMS[form]).seal(typ, &plain, &mut record).unwrap();
            let record = &mut record[1..];
            prop_assert!(record.len() <= plain.len() + OVERHEAD_MAX);
            let opened = key(FORMS[form]).open(record).unwrap();
            prop_assert_eq!(opened.typ, typ);
            prop_assert_eq!(&record[opened.start..opened.end], &plain);
        }

        #[test]
        fn nothing_else_is_opened(
            form in 0..FORMS.len(),
            mut record in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut key = key(FORMS[form]);
            let _ = key.record_len(&record);
            prop_assert!(key.open(&mut record).is_err());
        }
    }
}
