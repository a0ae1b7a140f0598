//! Users and their passwords, and the PLAIN mechanism by which clients log in.

use std::collections::BTreeMap;
use std::fmt;

use crate::cql::ast::Statement;
use crate::cql::parser::parse;
use crate::error::{CqlError, code};
use crate::persona::Persona;

/// The class that AUTHENTICATE names: clients choose the mechanism by it.
pub(crate) const AUTHENTICATOR: &str = "org.apache.cassandra.auth.PasswordAuthenticator";

/// What stands for a password, and all that follows it, where statements are shown.
const HIDDEN: &str = "*******";

/// The users that a cluster starts with. Nobody has to log in if there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Users {
    passwords: BTreeMap<String, Password>,
}

/// A password, which nothing shows.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Password(String);

impl Password {
    pub(crate) fn new(password: String) -> Self {
        Self(password)
    }
}

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

    pub(crate) fn into_passwords(self) -> impl Iterator<Item = (String, Password)> {
        self.passwords.into_iter()
    }

    /// Whether all names and passwords can be sent with PLAIN.
    pub(crate) fn can_log_in(&self) -> bool {
        let is_good = |text: &str| !text.is_empty() && !text.contains('\0');
        self.passwords.iter().all(|(name, password)| is_good(name) && is_good(&password.0))
    }
}

/// What a client has sent to log in. No `Debug`: the password is in it.
pub(crate) struct Credentials<'a> {
    name: &'a [u8],
    password: &'a [u8],
}

impl<'a> Credentials<'a> {
    /// Reads `authorization NUL name NUL password`.
    pub(crate) fn read(token: Option<&'a [u8]>) -> Result<Self, CqlError> {
        let bad = |message: &str| CqlError::new(code::BAD_CREDENTIALS, message);
        // Whom to act as is not looked at, as in Cassandra.
        let mut parts = token.unwrap_or_default().rsplitn(3, |byte| *byte == 0);
        let password = parts.next().filter(|password| !password.is_empty());
        let password = password.ok_or_else(|| bad("Password must not be null"))?;
        let name = parts.next().filter(|name| !name.is_empty());
        let (Some(name), Some(_)) = (name, parts.next()) else {
            return Err(bad("Authentication ID must not be null"));
        };
        Ok(Self { name, password })
    }

    /// The name, if it can be one.
    pub(crate) fn name(&self) -> Option<&'a str> {
        std::str::from_utf8(self.name).ok()
    }

    pub(crate) fn fit(&self, password: &Password) -> bool {
        password.0.as_bytes() == self.password
    }

    /// What is said to a client whose name or password is wrong.
    pub(crate) fn refused(&self, persona: Persona) -> CqlError {
        let message = match persona {
            Persona::Scylla => "Username and/or password are incorrect".to_owned(),
            Persona::Cassandra => {
                let name = String::from_utf8_lossy(self.name);
                format!("Provided username {name} and/or password are incorrect")
            }
        };
        CqlError::new(code::BAD_CREDENTIALS, message)
    }
}

/// The text of a statement about roles, as far as it can be shown.
pub(crate) fn without_password(text: &str) -> String {
    const WORD: &str = "password";
    let at = text.to_ascii_lowercase().find(WORD);
    match at.and_then(|at| text.get(..at + WORD.len())) {
        Some(head) => format!("{head} {HIDDEN}"),
        None => text.to_owned(),
    }
}

/// A statement's text as far as it can be shown. One that does not parse may be about roles.
pub(crate) fn showable(text: &str) -> String {
    match parse(text, Persona::default()) {
        Ok(parsed) if !matches!(parsed.statement, Statement::Role(_)) => text.to_owned(),
        _ => without_password(text),
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
    fn plain_has_a_name_and_a_password() {
        let secret = Password::new("secret".to_owned());
        for token in [&b"\0me\0secret"[..], b"other\0me\0secret"] {
            let credentials = Credentials::read(Some(token)).ok().unwrap();
            assert_eq!(credentials.name(), Some("me"));
            assert!(credentials.fit(&secret));
        }
        for token in [&b"\0me\0Secret"[..], b"\0me\0secre", b"\0me\0secrets"] {
            assert!(!Credentials::read(Some(token)).ok().unwrap().fit(&secret), "{token:?}");
        }
        for token in
            [&b""[..], b"\0me\0", b"\0me\0secret\0", b"me\0secret", b"\0\0secret", b"secret"]
        {
            let error = Credentials::read(Some(token)).err().unwrap();
            assert_eq!(error.code, code::BAD_CREDENTIALS, "{token:?}");
        }
        assert!(Credentials::read(None).is_err());
        let strange = Credentials::read(Some(b"\0\xFF\0secret")).ok().unwrap();
        assert_eq!(strange.name(), None);
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = format!("{:?}", users());
        assert!(shown.contains("me") && !shown.contains("secret"), "{shown}");
        for text in [
            "CREATE ROLE r WITH LOGIN = true AND Password = 'secret' AND SUPERUSER = true",
            "ALTER USER r WITH PASSWORD 'secret'",
        ] {
            let shown = without_password(text);
            assert!(shown.ends_with("assword *******") || shown.ends_with("PASSWORD *******"));
            assert!(!shown.contains("secret"), "{shown}");
        }
        assert_eq!(without_password("DROP ROLE r"), "DROP ROLE r");
        let select = "SELECT password, name FROM t";
        assert_eq!(showable(select), select);
        assert!(!showable("CREATE ROLE r WITH PASSWORD 'secret'").contains("secret"));
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
