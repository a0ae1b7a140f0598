//! Who the client says it is: a name with its password, or a SASL mechanism of the program's own.
//!
//! Not the exchange of messages, which is `connection/login.rs`. Secrets that the driver owns are
//! wiped when it is done with them; none is part of a `Debug`, of an error or of a trace.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Why a mechanism does not go on, for people. It becomes part of an [`Error`](crate::Error), so
/// it must not contain a secret.
///
/// ```
/// let error = shardwire::AuthError::from("the node could not prove who it is");
/// ```
pub type AuthError = String;

/// What the methods of a mechanism return.
///
/// ```
/// use shardwire::AuthFuture;
///
/// fn nothing_to_say() -> AuthFuture<'static, Option<Vec<u8>>> {
///     Box::pin(async { Ok(None) })
/// }
/// ```
pub type AuthFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, AuthError>> + Send + 'a>>;

/// The first token, which may be null, and the session that goes on from there.
///
/// ```
/// use shardwire::{AuthStart, AuthenticatorProvider, PlainTextAuthenticator};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let plain = PlainTextAuthenticator::new("app", "secret");
/// let class = "org.apache.cassandra.auth.PasswordAuthenticator";
/// let (token, _session): AuthStart = plain.start_authentication_session(class).await?;
/// assert_eq!(token.as_deref(), Some(&b"\0app\0secret"[..]));
/// # Ok::<(), shardwire::AuthError>(()) }).unwrap();
/// ```
pub type AuthStart = (Option<Vec<u8>>, Box<dyn AuthenticatorSession>);

/// Begins a log-in for each connection to a node that asks for one; see
/// [`SessionBuilder::authenticator_provider`](crate::SessionBuilder::authenticator_provider).
///
/// It runs within the connection's time-out, on the tasks that open connections: it must neither
/// block nor panic.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::guarded(|address| async move {
/// use std::sync::Arc;
///
/// use shardwire::{
///     AuthFuture, AuthStart, AuthenticatorProvider, AuthenticatorSession, SessionBuilder,
/// };
///
/// /// Reads the password anew for each connection, so that it can change.
/// struct PasswordFile;
///
/// impl PasswordFile {
///     async fn read(&self) -> Result<String, std::io::Error> {
///         Ok("secret".to_owned()) // from wherever it is
///     }
/// }
///
/// impl AuthenticatorProvider for PasswordFile {
///     fn start_authentication_session<'a>(
///         &'a self,
///         authenticator_name: &'a str,
///     ) -> AuthFuture<'a, AuthStart> {
///         Box::pin(async move {
///             if !authenticator_name.ends_with(".PasswordAuthenticator") {
///                 return Err("it does not take a password".to_owned());
///             }
///             let password = self.read().await.map_err(|e| e.to_string())?;
///             let token = format!("\0app\0{password}").into_bytes();
///             Ok((Some(token), Box::new(Plain) as Box<dyn AuthenticatorSession>))
///         })
///     }
/// }
///
/// struct Plain;
///
/// impl AuthenticatorSession for Plain {
///     fn evaluate_challenge<'a>(
///         &'a mut self,
///         _token: Option<&'a [u8]>,
///     ) -> AuthFuture<'a, Option<Vec<u8>>> {
///         Box::pin(async { Err("PLAIN has no challenges".to_owned()) })
///     }
///
///     fn success<'a>(&'a mut self, _token: Option<&'a [u8]>) -> AuthFuture<'a, ()> {
///         Box::pin(async { Ok(()) })
///     }
/// }
///
/// let builder = SessionBuilder::new().known_node(address);
/// let session = builder.authenticator_provider(Arc::new(PasswordFile)).build().await?;
/// # assert_eq!(session.nodes().len(), 1);
/// # Ok(()) });
/// ```
pub trait AuthenticatorProvider: Send + Sync {
    /// The first token, and the session that answers what the node makes of it.
    ///
    /// `authenticator_name` is the class that the node names in AUTHENTICATE. The driver wipes the
    /// token when the log-in is over.
    ///
    /// # Errors
    ///
    /// If there is nothing to say to such an authenticator; the connection is not opened.
    fn start_authentication_session<'a>(
        &'a self,
        authenticator_name: &'a str,
    ) -> AuthFuture<'a, AuthStart>;
}

/// One log-in on one connection.
///
/// ```
/// use shardwire::{AuthFuture, AuthenticatorSession};
///
/// /// Adds one to every byte: nobody's mechanism.
/// struct PlusOne;
///
/// impl AuthenticatorSession for PlusOne {
///     fn evaluate_challenge<'a>(
///         &'a mut self,
///         token: Option<&'a [u8]>,
///     ) -> AuthFuture<'a, Option<Vec<u8>>> {
///         Box::pin(async move {
///             let token = token.ok_or("a challenge without content")?;
///             Ok(Some(token.iter().map(|byte| byte.wrapping_add(1)).collect()))
///         })
///     }
///
///     fn success<'a>(&'a mut self, token: Option<&'a [u8]>) -> AuthFuture<'a, ()> {
///         Box::pin(async move {
///             if token == Some(b"welcome") { Ok(()) } else { Err("not our node".to_owned()) }
///         })
///     }
/// }
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # let answer = runtime.block_on(PlusOne.evaluate_challenge(Some(&[1, 2, 255])));
/// # assert_eq!(answer, Ok(Some(vec![2, 3, 0])));
/// # assert_eq!(runtime.block_on(PlusOne.success(Some(b"welcome"))), Ok(()));
/// # assert!(runtime.block_on(PlusOne.success(None)).is_err());
/// ```
pub trait AuthenticatorSession: Send {
    /// Answers AUTH_CHALLENGE. Tokens may be null. The driver wipes the answer, and the challenge,
    /// when the log-in is over.
    ///
    /// # Errors
    ///
    /// If the challenge makes no sense; the connection is not opened.
    fn evaluate_challenge<'a>(
        &'a mut self,
        token: Option<&'a [u8]>,
    ) -> AuthFuture<'a, Option<Vec<u8>>>;

    /// Looks at what came with AUTH_SUCCESS: null, mostly, or the node's proof of who it is.
    ///
    /// # Errors
    ///
    /// If the node is not to be trusted; the connection is not opened.
    fn success<'a>(&'a mut self, token: Option<&'a [u8]>) -> AuthFuture<'a, ()>;
}

/// SASL's PLAIN: a name and a password, sent as they are.
///
/// It answers only authenticators that are known to take them, so that a password is not sent for
/// another mechanism's token: those of Apache Cassandra and ScyllaDB, and of the services and
/// plug-ins that say the same under a class name of their own.
///
/// The password is wiped from memory when the last session that uses it is gone. What the caller
/// has made it from, and what the operating system holds of sent bytes, cannot be.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::guarded(|address| async move {
/// use std::sync::Arc;
///
/// use shardwire::{PlainTextAuthenticator, SessionBuilder};
///
/// let plain = PlainTextAuthenticator::new("app", "secret")
///     .allow_authenticator("com.example.LdapAuthenticator");
/// assert!(!format!("{plain:?}").contains("secret"));
/// let builder = SessionBuilder::new().known_node(address);
/// let session = builder.authenticator_provider(Arc::new(plain)).build().await?;
/// # assert_eq!(session.nodes().len(), 1);
/// # Ok(()) });
/// ```
pub struct PlainTextAuthenticator {
    username: String,
    password: Zeroizing<String>,
    allowed: Vec<String>,
}

/// Authenticators that take PLAIN.
const PLAIN_AUTHENTICATORS: &[&str] = &[
    "com.amazon.helenus.auth.HelenusAuthenticator",
    "com.ericsson.bss.cassandra.ecaudit.auth.AuditAuthenticator",
    "com.ericsson.bss.cassandra.ecaudit.auth.AuditPasswordAuthenticator",
    "com.instaclustr.cassandra.auth.InstaclustrPasswordAuthenticator",
    "com.instaclustr.cassandra.auth.SharedSecretAuthenticator",
    "com.scylladb.auth.SaslauthdAuthenticator",
    "com.scylladb.auth.TransitionalAuthenticator",
    "io.aiven.cassandra.auth.AivenAuthenticator",
    "org.apache.cassandra.auth.MutualTlsWithPasswordFallbackAuthenticator",
    "org.apache.cassandra.auth.PasswordAuthenticator",
];

impl PlainTextAuthenticator {
    /// Logs in with this name and password.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        let password = Zeroizing::new(password.into());
        Self { username: username.into(), password, allowed: Vec::new() }
    }

    /// Also answers the authenticator of this class.
    #[must_use]
    pub fn allow_authenticator(mut self, class: impl Into<String>) -> Self {
        self.allowed.push(class.into());
        self
    }

    fn token(&self, authenticator_name: &str) -> Result<Vec<u8>, AuthError> {
        if !PLAIN_AUTHENTICATORS.contains(&authenticator_name)
            && !self.allowed.iter().any(|class| class == authenticator_name)
        {
            return Err("it is not known to take a name and a password; \
                        `PlainTextAuthenticator::allow_authenticator` says that it does"
                .to_owned());
        }
        if self.username.contains('\0') || self.password.contains('\0') {
            return Err("PLAIN cannot send a name or a password with a NUL in it".to_owned());
        }
        // Of its final size at once, so that growing leaves no copy behind.
        let mut token = Vec::with_capacity(2 + self.username.len() + self.password.len());
        token.push(0); // nobody else to act as
        token.extend_from_slice(self.username.as_bytes());
        token.push(0);
        token.extend_from_slice(self.password.as_bytes());
        Ok(token)
    }
}

/// Without the password.
impl fmt::Debug for PlainTextAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainTextAuthenticator")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl AuthenticatorProvider for PlainTextAuthenticator {
    fn start_authentication_session<'a>(
        &'a self,
        authenticator_name: &'a str,
    ) -> AuthFuture<'a, AuthStart> {
        Box::pin(async move {
            let token = self.token(authenticator_name)?;
            Ok((Some(token), Box::new(Plain) as Box<dyn AuthenticatorSession>))
        })
    }
}

struct Plain;

impl AuthenticatorSession for Plain {
    fn evaluate_challenge<'a>(
        &'a mut self,
        _: Option<&'a [u8]>,
    ) -> AuthFuture<'a, Option<Vec<u8>>> {
        Box::pin(async { Err("a challenge, which PLAIN does not have".to_owned()) })
    }

    fn success<'a>(&'a mut self, _: Option<&'a [u8]>) -> AuthFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A provider as a setting, which shows nothing of it.
#[derive(Clone)]
pub(crate) struct Authenticator(pub(crate) Arc<dyn AuthenticatorProvider>);

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthenticatorProvider")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASS: &str = "org.apache.cassandra.auth.PasswordAuthenticator";

    #[test]
    fn plain_is_nobody_nul_name_nul_password() {
        let plain = PlainTextAuthenticator::new("me", "püssword");
        let token = plain.token(CLASS).unwrap();
        assert_eq!(token, "\0me\0püssword".as_bytes());
        assert_eq!(token.capacity(), token.len());
    }

    #[test]
    fn sends_a_password_only_to_those_who_take_one() {
        let plain = PlainTextAuthenticator::new("me", "secret");
        for class in ["", "PasswordAuthenticator", "com.example.TokenAuthenticator"] {
            let error = plain.token(class).unwrap_err();
            assert!(error.contains("not known to take") && !error.contains("secret"), "{error}");
        }
        let plain = plain.allow_authenticator("com.example.TokenAuthenticator");
        assert!(plain.token("com.example.TokenAuthenticator").is_ok());
        assert!(plain.token(CLASS).is_ok());
    }

    #[test]
    fn refuses_what_plain_cannot_carry() {
        for (name, password) in [("a\0b", "x"), ("x", "a\0b")] {
            let error = PlainTextAuthenticator::new(name, password).token(CLASS).unwrap_err();
            assert!(error.contains("NUL"), "{error}");
        }
    }
}
