//! Custom payloads: what extensions of a server want to be sent along with a statement.
//!
//! A payload is encoded once, when it is set, and copied in front of each request's message.

use std::sync::Arc;

use shardwire_protocol::error::SerializeError;
use shardwire_protocol::header::{Opcode, Version, flags};
use shardwire_protocol::request::{Request, Statement, WithPayload as Plain};
use shardwire_protocol::wire::Writer;

use crate::error::Error;

/// Longest custom payload of a statement, in bytes as it is sent.
const CUSTOM_PAYLOAD_LEN_MAX: usize = 1024 * 1024;

/// A `[bytes map]`, encoded.
#[derive(Clone, Debug)]
pub(crate) struct Payload(Arc<[u8]>);

impl Payload {
    /// Encodes the entries; `None` if there are none.
    // Allocates: once per statement.
    pub(crate) fn new<K: AsRef<str>, C: AsRef<[u8]>>(
        entries: impl IntoIterator<Item = (K, C)>,
    ) -> Result<Option<Payload>, Error> {
        let mut kept = Vec::new();
        let mut len = 0_usize;
        for (key, content) in entries {
            len = len.saturating_add(ENTRY_LEN_MIN).saturating_add(key.as_ref().len());
            len = len.saturating_add(content.as_ref().len());
            if len > CUSTOM_PAYLOAD_LEN_MAX {
                return Err(Error::config(format!(
                    "the custom payload is longer than {CUSTOM_PAYLOAD_LEN_MAX} bytes"
                )));
            }
            kept.push((key, content));
        }
        if kept.is_empty() {
            return Ok(None);
        }
        let entries: Vec<(&str, &[u8])> =
            kept.iter().map(|(key, content)| (key.as_ref(), content.as_ref())).collect();
        let alone = Plain { payload: &entries, request: Nothing };
        let refused = |error: SerializeError| Error::config(error.to_string());
        let mut bytes = vec![0; alone.body_len(Version::V4).map_err(refused)?];
        let mut out = Writer::new(&mut bytes);
        alone.write_body(Version::V4, &mut out);
        out.finish().map_err(|error| refused(error.into()))?;
        Ok(Some(Payload(bytes.into())))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The same request with this payload.
    pub(crate) fn with<'a, R>(&'a self, request: &'a R) -> WithPayload<'a, R> {
        WithPayload { payload: &self.0, request }
    }
}

/// Bytes of an entry whose key and content are empty.
const ENTRY_LEN_MIN: usize = 2 + 4;

/// A message without content, so that a payload can be encoded by itself.
struct Nothing;

impl Request for Nothing {
    const OPCODE: Opcode = Opcode::Query;

    fn body_len(&self, _: Version) -> Result<usize, SerializeError> {
        Ok(0)
    }

    fn write_body(&self, _: Version, _: &mut Writer<'_>) {}
}

impl Statement for Nothing {}

/// A request and the payload that precedes it.
pub(crate) struct WithPayload<'a, R> {
    payload: &'a [u8],
    request: &'a R,
}

impl<R: Request> Request for WithPayload<'_, R> {
    const OPCODE: Opcode = R::OPCODE;

    fn header_flags(&self) -> u8 {
        flags::CUSTOM_PAYLOAD | self.request.header_flags()
    }

    fn body_len(&self, version: Version) -> Result<usize, SerializeError> {
        Ok(self.payload.len().saturating_add(self.request.body_len(version)?))
    }

    fn write_body(&self, version: Version, out: &mut Writer<'_>) {
        out.put_slice(self.payload);
        self.request.write_body(version, out);
    }
}

#[cfg(test)]
mod tests {
    use shardwire_protocol::request::{Prepare, encode_request, frame_len};

    use super::*;
    use crate::error::ErrorKind;

    fn frame(request: &impl Request) -> Vec<u8> {
        let mut frame = vec![0xAA; frame_len(request, Version::V4).unwrap()];
        encode_request(request, Version::V4, flags::TRACING, 7, &mut frame).unwrap();
        frame
    }

    #[test]
    fn is_encoded_as_the_protocol_does() {
        let entries: [(&str, &[u8]); 3] = [("key", b"value"), ("", b""), ("k", &[0; 300])];
        for count in 1..=entries.len() {
            let entries = &entries[..count];
            let request = Prepare { statement: "SELECT", keyspace: None };
            let payload = Payload::new(entries.iter().copied()).unwrap().unwrap();
            let plain = Plain { payload: entries, request };
            assert_eq!(frame(&payload.with(&request)), frame(&plain));
        }
    }

    #[test]
    fn is_bounded() {
        assert!(Payload::new::<&str, &[u8]>([]).unwrap().is_none());
        let error = |result: Result<Option<Payload>, Error>| result.unwrap_err().kind();
        let long = "k".repeat(65_536);
        assert_eq!(error(Payload::new([(&long, "")])), ErrorKind::Config);
        let rest = CUSTOM_PAYLOAD_LEN_MAX - ENTRY_LEN_MIN - 1;
        assert!(Payload::new([("k", vec![0; rest])]).is_ok());
        assert_eq!(error(Payload::new([("k", vec![0; rest + 1])])), ErrorKind::Config);
        assert_eq!(error(Payload::new(vec![("", ""); 65_536])), ErrorKind::Config);
        assert!(Payload::new(vec![("", ""); 65_535]).is_ok());
    }
}
