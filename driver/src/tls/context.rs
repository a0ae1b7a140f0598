//! What TLS needs to know, set once for all connections: whom to trust, who we are, which name.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use zeroize::Zeroizing;

use crate::error::Error;

/// How connections are encrypted: whose certificates are trusted, and which one is shown.
///
/// Made from PEM by [`builder`](Self::builder), or from rustls' own configuration. Clones are cheap
/// and share the tickets by which a later connection resumes an earlier one's session; so do all
/// connections of a session. TLS 1.3 and 1.2 are spoken, with AES-GCM and ChaCha20-Poly1305.
///
/// The name in a node's certificate is verified: the contact point's as it was given to
/// [`known_node`](crate::SessionBuilder::known_node) on connections to addresses that it resolved
/// to, and the node's address on others. The certificates of nodes that are found by asking the
/// contact points have to hold their addresses, therefore, or all the same name, to be told by
/// [`server_name`](TlsContextBuilder::server_name).
///
/// ```
/// use std::sync::Arc;
///
/// use rustls::{ClientConfig, RootCertStore};
/// use shardwire::{SessionBuilder, TlsContext};
///
/// let config = ClientConfig::builder()
///     .with_root_certificates(RootCertStore::empty()) // trusts nobody
///     .with_no_client_auth();
/// let context = TlsContext::from(Arc::new(config));
/// let builder = SessionBuilder::new().known_node("10.0.0.1").tls_context(Some(context));
/// ```
#[derive(Clone)]
pub struct TlsContext {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

/// Without certificates and keys.
impl fmt::Debug for TlsContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsContext").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// As the official driver takes it. Its `enable_secret_extraction` is set, because the driver seals
/// records itself; early data is off, because the driver never sends any.
impl From<Arc<ClientConfig>> for TlsContext {
    fn from(config: Arc<ClientConfig>) -> Self {
        let mut config = ClientConfig::clone(&config); // the tickets are shared
        config.enable_secret_extraction = true;
        config.enable_early_data = false;
        TlsContext { config: Arc::new(config), server_name: None }
    }
}

impl TlsContext {
    /// Begins with nobody to trust and no certificate to show.
    ///
    /// ```
    /// use shardwire::{ErrorKind, TlsContext};
    ///
    /// let error = TlsContext::builder().build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// ```
    pub fn builder() -> TlsContextBuilder {
        TlsContextBuilder::default()
    }

    /// The configuration, for a handshake.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

/// The context of a session, with the names of its contact points.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) context: TlsContext,
    /// Which contact point, given by name, an address belongs to. More come when names are resolved
    /// again; sessions of clones of a builder share them.
    names: Arc<Mutex<VecDeque<(IpAddr, ServerName<'static>)>>>,
}

/// Addresses of contact points whose names are kept.
const NAMES_MAX: usize = 1_024;

impl Tls {
    pub(crate) fn new(context: TlsContext) -> Tls {
        Tls { context, names: Arc::default() }
    }

    /// Notes that the contact point `node`, with or without a port, is at `address`. An address
    /// that two names lead to keeps the first.
    pub(crate) fn add_contact_point(&self, node: &str, address: IpAddr) {
        let host = match node.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => host,
            _ => node,
        };
        // What is no name of the domain name system is an address, and stands for itself.
        let Ok(name @ ServerName::DnsName(_)) = ServerName::try_from(host) else { return };
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.iter().any(|(known, _)| *known == address) {
            if names.len() == NAMES_MAX {
                names.pop_front();
            }
            names.push_back((address, name.to_owned()));
        }
    }

    /// The name that the certificate of the node at `address` is to have.
    pub(crate) fn server_name(&self, address: IpAddr) -> ServerName<'static> {
        if let Some(name) = &self.context.server_name {
            return name.clone();
        }
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.iter().find(|(known, _)| *known == address);
        known.map_or_else(|| ServerName::from(address), |(_, name)| name.clone())
    }
}

/// Collects what a [`TlsContext`] is made of.
///
/// ```
/// use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
/// use shardwire::TlsContext;
///
/// # let key = KeyPair::generate()?;
/// # let mut params = CertificateParams::new(Vec::new())?;
/// # params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
/// # let authority = CertifiedIssuer::self_signed(params, key)?;
/// # let key = KeyPair::generate()?;
/// # let certificate = CertificateParams::new(Vec::new())?.signed_by(&key, &authority)?;
/// # let folder = std::env::temp_dir().join(format!("shardwire-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # std::fs::write(folder.join("ca.pem"), authority.pem())?;
/// # std::fs::write(folder.join("client.pem"), certificate.pem())?;
/// # std::fs::write(folder.join("client.key"), key.serialize_pem())?;
/// let context = TlsContext::builder()
///     .ca_pem_file(folder.join("ca.pem"))
///     .client_pem_files(folder.join("client.pem"), folder.join("client.key"))
///     .build()?;
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct TlsContextBuilder {
    authorities: Vec<Pem>,
    client: Option<(Pem, Pem)>,
    names: Names,
    server_name: Option<String>,
}

/// Whether the name in a certificate counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Names {
    #[default]
    Verified,
    Ignored,
}

/// Without what the PEM holds.
impl fmt::Debug for TlsContextBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsContextBuilder")
            .field("authorities", &self.authorities)
            .field("client", &self.client)
            .field("names", &self.names)
            .field("server_name", &self.server_name)
            .finish()
    }
}

/// PEM, or where it is.
#[derive(Clone)]
enum Pem {
    Bytes(Arc<Zeroizing<Vec<u8>>>),
    File(PathBuf),
}

/// Without what it holds.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Pem::File(path) => write!(f, "{path:?}"),
        }
    }
}

impl Pem {
    fn bytes(pem: impl AsRef<[u8]>) -> Pem {
        Pem::Bytes(Arc::new(Zeroizing::new(pem.as_ref().to_vec())))
    }

    /// Reads it; an error names `field` and the file.
    fn read<T>(
        &self,
        field: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, Error> {
        let (bytes, place) = match self {
            Pem::Bytes(bytes) => (Arc::clone(bytes), String::new()),
            Pem::File(path) => {
                let place = format!(" in {}", path.display());
                match std::fs::read(path) {
                    Ok(bytes) => (Arc::new(Zeroizing::new(bytes)), place),
                    Err(error) => {
                        return Err(Error::config(format!("TLS: {field}{place}: {error}")));
                    }
                }
            }
        };
        parse(&bytes).map_err(|reason| Error::config(format!("TLS: {field}{place}: {reason}")))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("there is no certificate in the PEM".to_owned()),
        Ok(found) => Ok(found),
        // Its `Debug` and the like may quote the line that it did not understand.
        Err(_) => Err("the PEM is malformed".to_owned()),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    use rustls::pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        Error::NoItemsFound => "there is no private key in the PEM".to_owned(),
        _ => "the PEM is malformed".to_owned(),
    })
}

impl TlsContextBuilder {
    /// Trusts nodes whose certificate one of the authorities in this file, in PEM, has signed. May
    /// be called more than once.
    ///
    /// ```
    /// use shardwire::TlsContext;
    ///
    /// let error = TlsContext::builder().ca_pem_file("no-such.pem").build().unwrap_err();
    /// assert!(error.to_string().starts_with("TLS: authority in no-such.pem: "));
    /// ```
    pub fn ca_pem_file(mut self, path: impl AsRef<Path>) -> Self {
        self.authorities.push(Pem::File(path.as_ref().to_owned()));
        self
    }

    /// The same, with the PEM itself.
    ///
    /// ```
    /// use shardwire::TlsContext;
    ///
    /// let error = TlsContext::builder().ca_pem("nothing").build().unwrap_err();
    /// assert_eq!(error.to_string(), "TLS: authority: there is no certificate in the PEM");
    /// ```
    pub fn ca_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.authorities.push(Pem::bytes(pem));
        self
    }

    /// Shows nodes that ask for one the certificate in the first file, with those that have signed
    /// it behind it; its private key is in the second. Both are PEM. The key is not encrypted.
    pub fn client_pem_files(
        mut self,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Self {
        let path = |path: &Path| Pem::File(path.to_owned());
        self.client = Some((path(certificate.as_ref()), path(key.as_ref())));
        self
    }

    /// The same, with the PEM itself. The builder's copy is wiped when it is dropped.
    ///
    /// ```
    /// use shardwire::TlsContext;
    ///
    /// let builder = TlsContext::builder().client_pem("certificate", "key");
    /// assert!(format!("{builder:?}").contains("3 bytes")); // and no more is shown
    /// ```
    pub fn client_pem(mut self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.client = Some((Pem::bytes(certificate), Pem::bytes(key)));
        self
    }

    /// Whether the name or address in a node's certificate has to be its own; it has to by default.
    ///
    /// Without that, whoever holds any certificate of a trusted authority can pass for a node. All
    /// else is verified still: who has signed it, until when it is good, and that the node has its
    /// key.
    ///
    /// ```
    /// let builder = shardwire::TlsContext::builder().verify_hostname(false);
    /// ```
    pub fn verify_hostname(mut self, verify: bool) -> Self {
        self.names = if verify { Names::Verified } else { Names::Ignored };
        self
    }

    /// The name or address that all nodes' certificates have, whatever address they are reached
    /// at. A name is also told to the nodes (server name indication).
    ///
    /// ```
    /// use shardwire::TlsContext;
    ///
    /// let error = TlsContext::builder().ca_pem("").server_name("not a name").build().unwrap_err();
    /// assert_eq!(error.to_string(), "TLS: server name \"not a name\": invalid dns name");
    /// ```
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Reads the files and puts it together. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Config`], with what is wrong in which file: it cannot be read, it holds
    /// no certificate or no key, a key does not belong to its certificate, there is no authority.
    pub fn build(self) -> Result<TlsContext, Error> {
        let server_name = match self.server_name {
            None => None,
            Some(name) => match ServerName::try_from(name.as_str()) {
                Ok(name) => Some(name.to_owned()),
                Err(error) => {
                    return Err(Error::config(format!("TLS: server name {name:?}: {error}")));
                }
            },
        };
        let mut roots = RootCertStore::empty();
        for pem in &self.authorities {
            pem.read("authority", |pem| {
                let mut found = certificates(pem)?.into_iter();
                found.try_for_each(|one| roots.add(one)).map_err(|error| error.to_string())
            })?;
        }
        if roots.is_empty() {
            return Err(Error::config("TLS: no authority was given whose certificates to trust"));
        }
        let failed = |error: &dyn fmt::Display| Error::config(format!("TLS: {error}"));
        let provider = Arc::new(default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = verifier.build().map_err(|error| failed(&error))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?;
        let builder = match self.names {
            Names::Verified => builder.with_webpki_verifier(verifier),
            Names::Ignored => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
            }
        };
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificate.read("client certificate", certificates)?;
                let key = key.read("client key", private_key)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| failed(&format_args!("client certificate and key: {error}")))?
            }
        };
        Ok(TlsContext { server_name, ..TlsContext::from(Arc::new(config)) })
    }
}

/// Verifies all but the name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use rustls::Error::InvalidCertificate as Invalid;
        let verified =
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The name comes last: with this error, everything else was found to be right.
            Err(Invalid(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
