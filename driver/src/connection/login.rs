//! Logs in on a connection whose node asks for it.
//!
//! ```text
//! AUTHENTICATE    -> AUTH_RESPONSE, or no credentials: the end
//! AUTH_CHALLENGE  -> AUTH_RESPONSE, `CHALLENGES_MAX` times at most
//! AUTH_SUCCESS    -> ready
//! ERROR, others   -> the end
//! ```
//!
//! What the tokens mean is the mechanism's business (`auth.rs`). Those that were sent and received
//! are wiped when the log-in ends, however it ends.

use std::sync::{Mutex, PoisonError};

use shardwire_protocol::request::AuthResponse;
use shardwire_protocol::response::Response;
use zeroize::Zeroizing;

use super::channel::Channel;
use super::handshake::{Failure, Received, exchange};
use crate::settings::Settings;

/// Challenges of one log-in; the mechanisms in use have one or two.
const CHALLENGES_MAX: usize = 16;

/// The authenticator of a log-in that is under way, for errors to name.
#[derive(Default)]
pub(super) struct UnderWay(Mutex<Option<Box<str>>>);

impl UnderWay {
    fn set(&self, authenticator: Option<Box<str>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = authenticator;
    }

    pub(super) fn into_authenticator(self) -> Option<Box<str>> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers AUTHENTICATE, which is what was `received`, and all that follows.
// Allocates: a few times per connection.
pub(super) async fn log_in(
    channel: &mut Channel,
    received: &Received,
    settings: &Settings,
    under_way: &UnderWay,
) -> Result<(), Failure> {
    let Response::Authenticate(body) = received.response()? else {
        return Err(Failure::Reason("not an AUTHENTICATE".into()));
    };
    under_way.set(Some(body.authenticator.into()));
    let Some(authenticator) = &settings.authenticator else {
        let reason = "neither a user nor an authenticator provider is set";
        return Err(Failure::Refused(reason.into()));
    };
    let start = authenticator.0.start_authentication_session(body.authenticator);
    let (token, mut session) = start.await.map_err(Failure::Refused)?;
    let mut token = token.map(Zeroizing::new);
    let mut sent = Vec::new();
    for challenges in 0.. {
        let response = token.as_deref().map_or(AuthResponse::Null, |t| AuthResponse::Token(t));
        let answer = exchange(channel, &response).await;
        sent.extend(token.take());
        let received = answer.map_err(|failure| without_secrets(failure, &sent))?;
        match received.response()? {
            Response::AuthSuccess(body) => {
                session.success(body.token).await.map_err(Failure::Refused)?;
                break;
            }
            Response::AuthChallenge(_) if challenges == CHALLENGES_MAX => {
                let reason = format!("more than {CHALLENGES_MAX} challenges");
                return Err(Failure::Reason(reason));
            }
            Response::AuthChallenge(body) => {
                let answer = session.evaluate_challenge(body.token).await;
                token = answer.map_err(Failure::Refused)?.map(Zeroizing::new);
            }
            _ => {
                let opcode = received.header.opcode;
                return Err(Failure::Reason(format!("the answer to AUTH_RESPONSE is {opcode:?}")));
            }
        }
    }
    under_way.set(None);
    Ok(())
}

/// Leaves out a message by which a node repeats what it was told. Of PLAIN that is the password,
/// the part after the last NUL: nodes do name the user.
fn without_secrets(failure: Failure, sent: &[Zeroizing<Vec<u8>>]) -> Failure {
    let Failure::Error { code, message } = failure else { return failure };
    let secrets = sent.iter().filter_map(|token| token.rsplit(|byte| *byte == 0).next());
    let mut secrets = secrets.filter(|secret| !secret.is_empty());
    let bytes = message.as_bytes();
    let repeats = secrets.any(|secret| bytes.windows(secret.len()).any(|part| part == secret));
    if !repeats {
        return Failure::Error { code, message };
    }
    drop(Zeroizing::new(message));
    Failure::Error { code, message: "(not shown, for it repeats what was sent)".to_owned() }
}

#[cfg(test)]
mod tests {
    use shardwire_protocol::response::ErrorCode;

    use super::*;

    #[test]
    fn a_message_that_repeats_a_secret_is_left_out() {
        let check = |message: &str, sent: &[&[u8]], shows: bool| {
            let sent: Vec<_> = sent.iter().map(|token| Zeroizing::new(token.to_vec())).collect();
            let failure = Failure::Error { code: ErrorCode(0x0100), message: message.to_owned() };
            let Failure::Error { code, message: shown } = without_secrets(failure, &sent) else {
                panic!("it is an ERROR");
            };
            assert_eq!(code, ErrorCode::BAD_CREDENTIALS);
            assert_eq!(shown == message, shows, "{shown}");
        };
        check("me and hunter2 do not go together", &[b"\0me\0hunter2"], false);
        check("me is not known", &[b"\0me\0hunter2"], true);
        check("hunter2?", &[b"hunter2", b"another"], false);
        check("nothing", &[b"", b"\0me\0", b"no such text as long as this one"], true);
        check("", &[b"x"], true);
    }
}
