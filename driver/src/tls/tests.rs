//! TLS against rustls' own server, in memory.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection, SupportedCipherSuite};

use super::context::{Tls, TlsContext, TlsContextBuilder};
use super::handshake::{Handshake, Wants};
use super::record::{Fault, Key, OVERHEAD_MAX, PLAIN_LEN_MAX, content};
use super::stream::{Opener, Secured, Step};

mod handshakes;
mod nodes;
mod streams;

const NAME: &str = "node.example.com";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

/// Each algorithm with each version. Suites with RSA differ in the handshake only.
const SUITES: [SupportedCipherSuite; 6] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];
const TLS_13: SupportedCipherSuite = cipher_suite::TLS13_AES_128_GCM_SHA256;
const TLS_12: SupportedCipherSuite = cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;

/// A certificate and its key.
struct Identity {
    certificate: String,
    key: String,
}

struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
    node: Identity,
    client: Identity,
}

impl Pki {
    fn new(authority: &str) -> Pki {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, authority);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();
        let identity = |names: Vec<SanType>| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.subject_alt_names = names;
            let certificate = params.signed_by(&key, &authority).unwrap().pem();
            Identity { certificate, key: key.serialize_pem() }
        };
        let name = SanType::DnsName(NAME.try_into().unwrap());
        let node = identity(vec![name, SanType::IpAddress(ADDRESS)]);
        let client = identity(Vec::new());
        Pki { authority, node, client }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// Trusts the authority.
    fn builder(&self) -> TlsContextBuilder {
        TlsContext::builder().ca_pem(self.authority.pem())
    }
}

static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::new("known"));
/// An authority that nobody knows.
static OTHER: LazyLock<Pki> = LazyLock::new(|| Pki::new("other"));

/// Whether the node asks for a certificate.
#[derive(Clone, Copy, PartialEq)]
enum Clients {
    Any,
    Certified,
}

fn server_config(suite: SupportedCipherSuite, clients: Clients) -> Arc<ServerConfig> {
    let provider = CryptoProvider { cipher_suites: vec![suite], ..default_provider() };
    let provider = Arc::new(provider);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[suite.version()])
        .unwrap();
    let builder = match clients {
        Clients::Any => builder.with_no_client_auth(),
        Clients::Certified => {
            let verifier = WebPkiClientVerifier::builder_with_provider(PKI.roots(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(PKI.node.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(PKI.node.key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.enable_secret_extraction = true;
    Arc::new(config)
}

/// The node's side.
struct Node {
    connection: ServerConnection,
    /// What the client has sent.
    data: Vec<u8>,
    is_closed: bool,
}

impl Node {
    fn new(config: &Arc<ServerConfig>) -> Node {
        let mut connection = ServerConnection::new(Arc::clone(config)).unwrap();
        connection.set_buffer_limit(None);
        Node { connection, data: Vec::new(), is_closed: false }
    }

    /// Takes ciphertext.
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), rustls::Error> {
        while !bytes.is_empty() {
            self.connection.read_tls(&mut bytes).unwrap();
            let state = self.connection.process_new_packets()?;
            let mut data = vec![0; state.plaintext_bytes_to_read()];
            self.connection.reader().read_exact(&mut data).unwrap();
            self.data.extend(data);
            self.is_closed |= state.peer_has_closed();
        }
        Ok(())
    }

    /// The ciphertext that it wants to send.
    fn sent(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut sent).unwrap();
        }
        sent
    }

    /// Sends data.
    fn send(&mut self, data: &[u8]) -> Vec<u8> {
        self.connection.writer().write_all(data).unwrap();
        self.sent()
    }
}

/// Both sides shake hands; the client gets at most `cut` bytes at a time.
fn shake_hands(
    config: &Arc<ServerConfig>,
    context: &TlsContext,
    name: ServerName<'static>,
    cut: usize,
) -> Result<(Secured, Node), String> {
    let mut node = Node::new(config);
    let mut client = Handshake::new(context.config(), name)?;
    loop {
        let wants = client.advance();
        let taken = node.take(&client.outgoing).map_err(|error| format!("the node says: {error}"));
        client.outgoing.clear();
        let wants = wants?;
        match wants {
            Wants::Nothing => {
                let mut secured = client.finish()?;
                secured.received.extend(node.sent());
                return taken.map(|()| (secured, node));
            }
            Wants::Bytes => {
                let sent = node.sent();
                if sent.is_empty() {
                    return Err(taken.err().unwrap_or_else(|| "both wait".to_owned()));
                }
                let mut pieces = sent.chunks(cut);
                for piece in &mut pieces {
                    client.receive(piece)?;
                    if client.advance()? == Wants::Nothing || !client.outgoing.is_empty() {
                        break;
                    }
                }
                // Without asking again: as if it had been there already.
                pieces.try_for_each(|piece| client.receive(piece))?;
            }
        }
    }
}

fn node_name() -> ServerName<'static> {
    ServerName::try_from(NAME).unwrap()
}

/// A connection with what the node sends first, which is tickets, not yet looked at.
fn secured(suite: SupportedCipherSuite) -> (Secured, Node) {
    let context = PKI.builder().build().unwrap();
    let config = server_config(suite, Clients::Any);
    shake_hands(&config, &context, node_name(), usize::MAX).unwrap()
}

/// What a client does with what it receives.
struct Receiver {
    opener: Opener,
    buffer: Vec<u8>,
    data: Vec<u8>,
    is_closed: bool,
}

impl Receiver {
    fn new(opener: Opener, received: Vec<u8>) -> Receiver {
        let mut receiver =
            Receiver { opener, buffer: Vec::new(), data: Vec::new(), is_closed: false };
        receiver.take(&received).unwrap();
        receiver
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.buffer.extend_from_slice(bytes);
        let mut done = 0;
        loop {
            let step = self.opener.next(&mut self.buffer[done..])?;
            let len = match step {
                Step::NeedMore { at_least } => {
                    assert!(at_least > self.buffer.len() - done);
                    break;
                }
                Step::Data { start, end, total_len } => {
                    self.data.extend_from_slice(&self.buffer[done..][start..end]);
                    total_len
                }
                Step::Nothing { total_len } => total_len,
                Step::Closed => {
                    self.is_closed = true;
                    break;
                }
            };
            done += len;
        }
        self.buffer.drain(..done);
        Ok(())
    }
}
