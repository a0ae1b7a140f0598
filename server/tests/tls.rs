//! TLS on the ports: who is let in, what plaintext gets, and that CQL is the same within it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::{Client, EXECUTE, OPTIONS, READY, REGISTER, RESULT, rows, string, value};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use shardwire_server::{Cluster, Persona, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore};

/// Who signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

impl Identity {
    fn tls(&self) -> Tls {
        Tls::from_pem(self.certificate.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

fn connector(trusted: &Authority, identity: Option<&Identity>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    TlsConnector::from(Arc::new(config))
}

async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    connector.connect(ServerName::try_from("node.test").unwrap(), stream).await
}

/// Whether the node answers OPTIONS on this connection.
async fn is_served(mut stream: TlsStream<TcpStream>) -> bool {
    let options = common::frame(4, 1, OPTIONS, &[]);
    let mut header = [0; 9];
    stream.write_all(&options).await.is_ok() && stream.read_exact(&mut header).await.is_ok()
}

#[tokio::test]
async fn cql_is_the_same_within_tls() {
    let authority = Authority::new();
    let tls = authority.issue("node.test").tls();
    let cluster = Cluster::builder().persona(Persona::Cassandra).tls(tls).start().await.unwrap();
    let connector = connector(&authority, None);
    for (version, options) in [(4, &[][..]), (5, &[]), (5, &[("COMPRESSION", "lz4")])] {
        let stream = connect(&connector, cluster.contact_points()[0]).await.unwrap();
        let mut client = Client::over(Box::new(stream), version);
        assert_eq!(client.startup(options).await.opcode, READY);
        client.run("DROP KEYSPACE IF EXISTS ks").await;
        client
            .run(
                "CREATE KEYSPACE ks WITH replication = \
                 {'class': 'SimpleStrategy', 'replication_factor': 1}",
            )
            .await;
        client.run("CREATE TABLE ks.t (k int PRIMARY KEY, v text)").await;
        let insert = client.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)").await;
        let select = client.prepare("SELECT v FROM ks.t WHERE k = ?").await;
        for (k, len) in [0_usize, 16_384, 1_000_000].into_iter().enumerate() {
            let key = value(&i32::try_from(k).unwrap().to_be_bytes());
            let text: String = ('a'..'x').cycle().take(len).collect();
            let values = [&[0, 2], &key[..], &value(text.as_bytes())].concat();
            let body = client.execute(&insert, 1, &values);
            assert_eq!(client.call(EXECUTE, &body).await.opcode, RESULT);
            let body = client.execute(&select, 1, &[&[0, 1], &key[..]].concat());
            assert_eq!(rows(&client.call(EXECUTE, &body).await).cells, [Some(text.into_bytes())]);
        }
        // Events find their way while nothing is asked.
        client.call(REGISTER, &[vec![0, 1], string("SCHEMA_CHANGE")].concat()).await;
        let stream = connect(&connector, cluster.contact_points()[0]).await.unwrap();
        let mut other = Client::over(Box::new(stream), 4);
        other.startup(&[]).await;
        other.run("CREATE TABLE ks.u (k int PRIMARY KEY)").await;
        assert_eq!(client.receive().await.unwrap().opcode, common::EVENT);
    }
}

#[tokio::test]
async fn sessions_are_resumed() {
    let authority = Authority::new();
    let tls = authority.issue("node.test").tls();
    let cluster = Cluster::builder().nodes(2).tls(tls).start().await.unwrap();
    let connector = connector(&authority, None);
    let mut kinds = Vec::new();
    for address in cluster.contact_points().into_iter().cycle().take(3) {
        let mut stream = connect(&connector, address).await.unwrap();
        // What a session is resumed with comes with the first reply.
        stream.write_all(&common::frame(4, 1, OPTIONS, &[])).await.unwrap();
        stream.read_exact(&mut [0; 9]).await.unwrap();
        kinds.push(stream.get_ref().1.handshake_kind().unwrap());
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed]);
}

#[tokio::test]
async fn the_shard_aware_port_is_announced_as_one_of_tls() {
    let authority = Authority::new();
    let tls = authority.issue("node.test").tls();
    let cluster = Cluster::builder().shards(2).tls(tls).start().await.unwrap();
    let port = cluster.shard_aware_port().unwrap();
    let mut address = cluster.contact_points()[0];
    address.set_port(port);
    let stream = connect(&connector(&authority, None), address).await.unwrap();
    let supported = Client::over(Box::new(stream), 4).call(OPTIONS, &[]).await.supported();
    let value = |name| supported.iter().find(|(key, _)| key == name).map(|(_, value)| &value[..]);
    assert_eq!(value("SCYLLA_SHARD_AWARE_PORT_SSL"), Some(&[port.to_string()][..]));
    assert_eq!(value("SCYLLA_SHARD_AWARE_PORT"), None);
}

#[tokio::test]
async fn clients_need_a_certificate_if_there_is_an_authority_for_them() {
    let (authority, other) = (Authority::new(), Authority::new());
    let tls = authority.issue("node.test").tls().client_ca(authority.pem().as_bytes()).unwrap();
    let cluster = Cluster::builder().tls(tls).start().await.unwrap();
    let (good, bad) = (authority.issue("client"), other.issue("client"));
    for (identity, expect) in [(Some(&good), true), (Some(&bad), false), (None, false)] {
        let stream = connect(&connector(&authority, identity), cluster.contact_points()[0]).await;
        // With TLS 1.3 a client learns that it was refused when it reads.
        let served = match stream {
            Ok(stream) => is_served(stream).await,
            Err(_) => false,
        };
        assert_eq!(served, expect);
    }
    // A client that trusts somebody else goes away by itself.
    let result = connect(&connector(&other, Some(&good)), cluster.contact_points()[0]).await;
    assert!(result.unwrap_err().to_string().contains("certificate"));
}

#[tokio::test]
async fn plaintext_is_closed_and_nobody_else_notices() {
    let authority = Authority::new();
    let tls = authority.issue("node.test").tls();
    let cluster = Cluster::builder().tls(tls).start().await.unwrap();
    let address = cluster.contact_points()[0];
    let connector = connector(&authority, None);
    let half_open = TcpStream::connect(address).await.unwrap();
    for bytes in [&common::frame(4, 1, OPTIONS, &[])[..], b"GET / HTTP/1.1\r\n\r\n", &[0x16; 100]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        // TLS may say goodbye in its own way; CQL says nothing.
        assert!(reply.first().is_none_or(|byte| *byte == 0x15), "{reply:?}");
        assert!(is_served(connect(&connector, address).await.unwrap()).await);
    }
    drop(half_open);
}

#[test]
fn what_is_no_identity_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (one, two) = (authority.issue("a"), other.issue("b"));
    let tls = |certificate: &str, key: &str| {
        Tls::from_pem(certificate.as_bytes(), key.as_bytes()).map_err(|error| error.to_string())
    };
    assert!(tls(&one.certificate, &one.key).is_ok());
    assert!(tls("", &one.key).unwrap_err().starts_with("certificate: there is none"));
    assert!(tls(&one.certificate, "").unwrap_err().starts_with("key: "));
    assert!(tls(&one.certificate, &two.key).unwrap_err().starts_with("certificate and key: "));
    let error = one.tls().client_ca(b"nothing").unwrap_err().to_string();
    assert!(error.starts_with("client CA: there is none"), "{error}");
    let shown = format!("{:?}", one.tls());
    assert_eq!(shown, "Tls { chain: 1, client_ca: None, .. }");
}

#[test]
fn the_program_says_why_it_closed() {
    let authority = Authority::new();
    let identity = authority.issue("node.test");
    let folder = std::env::temp_dir().join(format!("shardwire-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_shardwire-server"))
        .args(["--address", "auto", "--port", "0", "--nodes", "1", "--tls-cert"])
        .arg(file("cert.pem", &identity.certificate))
        .arg("--tls-key")
        .arg(file("key.pem", &identity.key))
        .arg("--tls-client-ca")
        .arg(file("ca.pem", &authority.pem()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready["tls"], true);
    let mut stream =
        std::net::TcpStream::connect(ready["contact_points"][0].as_str().unwrap()).unwrap();
    std::io::Write::write_all(&mut stream, &common::frame(4, 1, OPTIONS, &[])).unwrap();
    let mut log = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut log).unwrap();
    assert!(log.contains("closed: plaintext on a TLS port, first byte 0x04"), "{log}");
    assert!(log.contains(&stream.local_addr().unwrap().to_string()), "{log}");
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
