//! READY: the connection takes requests.
//!
//! Next: `response/authenticate.rs`.

/// The answer to STARTUP without authentication, and to REGISTER. It says nothing more.
///
/// ```
/// # use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
/// use shardwire_protocol::response::{Agreed, Body, ReadyBody, Response};
///
/// # let (version, opcode) = (Version::V4, Opcode::Ready);
/// # let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len: 0 };
/// let response = Body::parse(&header, &[])?.response(&Agreed::default(), None)?;
/// assert!(matches!(response, Response::Ready(ReadyBody)));
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadyBody;
