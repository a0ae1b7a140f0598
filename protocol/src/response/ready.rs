//! READY: the connection takes requests.
//!
//! Next: `response/authenticate.rs`.

/// The answer to STARTUP without authentication, and to REGISTER. It says nothing more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadyBody;
