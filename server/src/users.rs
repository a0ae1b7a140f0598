//! Users and their passwords, and the PLAIN mechanism by which clients log in.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{CqlError, code};
use crate::persona::Persona;

/// The class that AUTHENTICATE names: clients choose the mechanism by it.
pub(crate) const AUTHENTICATOR: &str = "org.apache.cassandra.auth.PasswordAuthenticator";

/// Who may log in. Nobody has to if there is no user.
#[derive(Clone, Debug, Default)]
pub(crate) struct Users {
    passwords: BTreeMap<String, Password>,
}

#[derive(Clone, Eq, PartialEq)]
struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Users {
    /// Adds a user, or gives one another password.
    pub(crate) fn add(&mut self, name: String, password: String) {
        self.passwords.insert(name, Password(password));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.passwords.is_empty()
    }

    /// Whether all names and passwords can be sent with PLAIN.
    pub(crate) fn can_log_in(&self) -> bool {
        let is_good = |text: &str| !text.is_empty() && !text.contains('\0');
        self.passwords.iter().all(|(name, password)| is_good(name) && is_good(&password.0))
    }

    /// Checks what a client has sent: `authorization NUL name NUL password`.
    pub(crate) fn check(&self, token: Option<&[u8]>, persona: Persona) -> Result<(), CqlError> {
        let bad = |message: String| CqlError::new(code::BAD_CREDENTIALS, message);
        // Whom to act as is not looked at, as in Cassandra.
        let mut parts = token.unwrap_or_default().rsplitn(3, |byte| *byte == 0);
        let password = parts.next().filter(|password| !password.is_empty());
        let password = password.ok_or_else(|| bad("Password must not be null".to_owned()))?;
        let name = parts.next().filter(|name| !name.is_empty());
        let (Some(name), Some(_)) = (name, parts.next()) else {
            return Err(bad("Authentication ID must not be null".to_owned()));
        };
        let known = std::str::from_utf8(name).ok().and_then(|name| self.passwords.get(name));
        if known.is_some_and(|known| known.0.as_bytes() == password) {
            return Ok(());
        }
        Err(bad(match persona {
            Persona::Scylla => "Username and/or password are incorrect".to_owned(),
            Persona::Cassandra => {
                let name = String::from_utf8_lossy(name);
                format!("Provided username {name} and/or password are incorrect")
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let mut users = Users::default();
        users.add("me".to_owned(), "secret".to_owned());
        users
    }

    #[test]
    fn only_the_right_password_is_right() {
        let users = users();
        let check = |token: &[u8]| users.check(Some(token), Persona::Cassandra);
        assert_eq!(check(b"\0me\0secret"), Ok(()));
        assert_eq!(check(b"other\0me\0secret"), Ok(()));
        for token in [
            &b""[..],
            b"\0me\0",
            b"\0me\0secret\0",
            b"\0me\0Secret",
            b"\0me\0secre",
            b"\0me\0secrets",
            b"me\0secret",
            b"\0\0secret",
            b"\0you\0secret",
            b"secret",
            b"\0\xFF\0secret",
        ] {
            assert_eq!(check(token).unwrap_err().code, code::BAD_CREDENTIALS, "{token:?}");
        }
        assert!(users.check(None, Persona::Scylla).is_err());
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = format!("{:?}", users());
        assert!(shown.contains("me") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn what_plain_cannot_carry_is_noticed() {
        assert!(users().can_log_in());
        for (name, password) in [("", "x"), ("x", ""), ("a\0b", "x"), ("x", "a\0b")] {
            let mut users = users();
            users.add(name.to_owned(), password.to_owned());
            assert!(!users.can_log_in(), "{name:?} {password:?}");
        }
    }
}
