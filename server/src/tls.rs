//! TLS of the nodes' ports: certificates from PEM, and the handshake.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::connection::guests::Complaints;
use crate::connection::{CLOSE_WAIT, drain};

/// The first byte of a handshake.
const HANDSHAKE_RECORD: u8 = 0x16;

/// Certificate and key that the nodes of a cluster show, and whose clients they let in.
///
/// ```
/// use shardwire_server::Tls;
///
/// let error = Tls::from_pem(b"no certificate", b"no key").unwrap_err();
/// assert!(error.to_string().contains("certificate"));
/// ```
#[derive(Clone)]
pub struct Tls {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    /// Who has to have signed the certificate of a client.
    client_ca: Option<Arc<RootCertStore>>,
}

/// Without the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("chain", &self.chain.len())
            .field("client_ca", &self.client_ca.as_ref().map(|roots| roots.len()))
            .finish_non_exhaustive()
    }
}

fn bad(what: &str, error: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what}: {error}"))
}

fn certificates(pem: &[u8], what: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(bad(what, "there is none in the PEM")),
        Ok(found) => Ok(found),
        Err(error) => Err(bad(what, error)),
    }
}

impl Tls {
    /// The nodes' certificate, with those that have signed it behind it, and its key, as PEM.
    ///
    /// # Errors
    ///
    /// If there is no certificate or no key, or they do not belong together.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> io::Result<Self> {
        let chain = certificates(certificate, "certificate")?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| bad("key", error))?;
        let tls = Self { chain, key: Arc::new(key), client_ca: None };
        tls.acceptor()?;
        Ok(tls)
    }

    /// Lets in only clients with a certificate that one of these, as PEM, has signed.
    ///
    /// # Errors
    ///
    /// If there is no certificate in it, or one that cannot sign.
    pub fn client_ca(mut self, certificates_pem: &[u8]) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(certificates_pem, "client CA")? {
            roots.add(certificate).map_err(|error| bad("client CA", error))?;
        }
        self.client_ca = Some(Arc::new(roots));
        self.acceptor()?;
        Ok(self)
    }

    pub(crate) fn acceptor(&self) -> io::Result<TlsAcceptor> {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad("TLS", error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider);
                let verifier = verifier.build().map_err(|error| bad("client CA", error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| bad("certificate and key", error))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Shakes hands with a client. One who fails is logged, and its connection closed. The time for it
/// is that for the log-in, which the caller watches.
pub(crate) async fn accept(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    complaints: &Complaints,
) -> Option<TlsStream<TcpStream>> {
    let peer = stream.peer_addr().ok()?;
    match shake_hands(acceptor, stream).await {
        Ok(stream) => Some(stream),
        Err(Refusal::Plaintext(mut stream, byte)) => {
            let what = "plaintext on a TLS port, first byte";
            complaints.tell(peer, format_args!("closed: {what} {byte:#04x}"));
            stream.shutdown().await.ok()?;
            let _ = tokio::time::timeout(CLOSE_WAIT, drain(&mut stream)).await;
            None
        }
        Err(Refusal::Io(error)) => {
            complaints.tell(peer, format_args!("closed: TLS handshake failed: {error}"));
            None
        }
    }
}

enum Refusal {
    Plaintext(TcpStream, u8),
    Io(io::Error),
}

async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Refusal> {
    // The first byte tells; what TLS makes of a CQL header is a riddle to who reads the log.
    let mut first = [0];
    match stream.peek(&mut first).await.map_err(Refusal::Io)? {
        0 => return Err(Refusal::Io(io::ErrorKind::UnexpectedEof.into())),
        _ if first != [HANDSHAKE_RECORD] => return Err(Refusal::Plaintext(stream, first[0])),
        _ => {}
    }
    acceptor.accept(stream).await.map_err(Refusal::Io)
}
