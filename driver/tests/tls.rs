//! Sessions over TLS, on the embedded node: that all is the same within it, whom it trusts, and
//! that nothing is ever said in plain text.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use common::{builder, keyspace};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use shardwire::{
    Batch, BatchType, Compression, ErrorKind, Session, SessionBuilder, TlsContext,
    TlsContextBuilder,
};
use shardwire_server::{Cluster, ClusterBuilder, Tls};

/// Who signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, names: &[SanType]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names.to_vec();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }

    /// A context that trusts it.
    fn context(&self) -> TlsContextBuilder {
        TlsContext::builder().ca_pem(self.0.pem())
    }

    /// rustls' configuration that trusts it, with one version.
    fn config(&self, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.0.pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

impl Identity {
    fn tls(&self) -> Tls {
        Tls::from_pem(self.certificate.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// The addresses of two nodes: a net for each test and process.
fn addresses(test: u8) -> [Ipv4Addr; 2] {
    let [high, low] = std::process::id().to_le_bytes()[..2].try_into().unwrap();
    [1, 2].map(|node| Ipv4Addr::new(127, 100 + test, high, low & 0xf0 | node))
}

/// Two nodes at addresses that their certificate holds.
fn two_nodes(authority: &Authority, test: u8) -> ClusterBuilder {
    let addresses = addresses(test);
    let names = addresses.map(|address| SanType::IpAddress(IpAddr::V4(address)));
    let tls = authority.issue(&names).tls();
    Cluster::builder().nodes(2).shards(2).address(addresses[0]).tls(tls)
}

fn quick(cluster: &Cluster) -> SessionBuilder {
    builder(cluster).reconnect_backoff(Duration::from_millis(5), Duration::from_millis(20))
}

async fn ask(session: &Session) {
    session.query_unpaged("SELECT key FROM system.local", ()).await.unwrap();
}

/// Values that fit a record with others, fill one, and take many.
const LENS: [usize; 6] = [0, 1, 1_000, 16_384, 100_000, 3_000_000];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_the_same_within_tls() {
    let authority = Authority::new("known");
    let cluster = two_nodes(&authority, 1).start().await.unwrap();
    for (version, compression) in [
        (&version::TLS13, None),
        (&version::TLS13, Some(Compression::Lz4)),
        (&version::TLS12, None),
        (&version::TLS12, Some(Compression::Lz4)),
    ] {
        let builder = quick(&cluster).compression(compression);
        let session = builder.tls_context(Some(authority.config(version))).build().await.unwrap();
        session.query_unpaged("DROP KEYSPACE IF EXISTS k", ()).await.unwrap();
        keyspace(&session, 1).await;
        session
            .query_unpaged("CREATE TABLE k.t (id bigint PRIMARY KEY, v blob)", ())
            .await
            .unwrap();
        let insert = session.prepare("INSERT INTO k.t (id, v) VALUES (?, ?)").await.unwrap();
        let select = session.prepare("SELECT v FROM k.t WHERE id = ?").await.unwrap();
        cluster.reset_counters();
        for (id, len) in (0_i64..).zip(LENS) {
            // No compression gets far with it.
            let bytes: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(len).collect();
            session.execute_unpaged(&insert, (id, bytes.as_slice())).await.unwrap();
            let result = session.execute_unpaged(&select, (id,)).await.unwrap();
            let rows = result.into_rows_result().unwrap();
            assert!(rows.single_row::<(&[u8],)>().unwrap().0 == bytes, "{version:?} {len}");
        }
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.append_statement(insert.clone());
        batch.append_statement(insert.clone());
        let rows = ((100_i64, &b"a"[..]), (101_i64, &b"b"[..]));
        session.batch(&batch, rows).await.unwrap();
        // Many at once, which share records.
        let requests = (0..1_000_i64).map(|id| {
            let (session, insert, select) = (session.clone(), insert.clone(), select.clone());
            tokio::spawn(async move {
                let bytes = id.to_string().into_bytes();
                session.execute_unpaged(&insert, (id, bytes.as_slice())).await.unwrap();
                let result = session.execute_unpaged(&select, (id,)).await.unwrap();
                let rows = result.into_rows_result().unwrap();
                assert_eq!(rows.single_row::<(&[u8],)>().unwrap().0, bytes);
            })
        });
        for request in requests.collect::<Vec<_>>() {
            request.await.unwrap();
        }
        // The shard-aware port is another one with TLS.
        let total = cluster.counters().total();
        assert_eq!((total.wrong_node, total.wrong_shard), (0, 0), "{total:?}");
        assert!(total.right >= 2_012, "{total:?}");
    }
}

#[tokio::test]
async fn passwords_travel_within_tls() {
    let authority = Authority::new("known");
    let cluster = two_nodes(&authority, 2).user("app", "secret").start().await.unwrap();
    let builder = quick(&cluster).tls_context(Some(authority.context().build().unwrap()));
    ask(&builder.clone().user("app", "secret").build().await.unwrap()).await;
    let error = builder.user("app", "guess").build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
}

/// That the session connects again at all, with tickets of before.
#[tokio::test]
async fn a_node_comes_back() {
    let authority = Authority::new("known");
    let cluster = two_nodes(&authority, 3).start().await.unwrap();
    let builder = quick(&cluster).tls_context(Some(authority.context().build().unwrap()));
    let session = builder.build().await.unwrap();
    for node in [0, 1, 0, 1] {
        cluster.stop_node(node).await.unwrap();
        cluster.reset_counters();
        cluster.start_node(node).await.unwrap();
        let connections = || {
            let nodes = cluster.counters().nodes;
            nodes[node].shards.iter().map(|shard| shard.connections).sum::<u64>()
        };
        tokio::time::timeout(Duration::from_secs(20), async {
            while connections() < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        ask(&session).await;
    }
}

#[track_caller]
fn is_refused(result: Result<Session, shardwire::Error>, why: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[tokio::test]
async fn strangers_are_refused() {
    let (authority, other) = (Authority::new("known"), Authority::new("other"));
    let cluster = two_nodes(&authority, 4).start().await.unwrap();
    let connect = async |context: TlsContextBuilder| {
        quick(&cluster).tls_context(Some(context.build().unwrap())).build().await
    };
    ask(&connect(authority.context()).await.unwrap()).await;
    is_refused(connect(other.context()).await, "UnknownIssuer");
    is_refused(connect(other.context().verify_hostname(false)).await, "UnknownIssuer");
    is_refused(connect(authority.context().server_name("db.test")).await, "not valid for name");
}

/// Each node's address counts, not only the contact point's.
#[tokio::test]
async fn addresses_are_verified() {
    let authority = Authority::new("known");
    let [first, second] = addresses(5);
    let tls = authority.issue(&[SanType::IpAddress(IpAddr::V4(second)), dns("db.test")]).tls();
    let cluster = Cluster::builder().nodes(2).address(first).tls(tls).start().await.unwrap();
    let point = |index: usize| cluster.contact_points()[index].to_string();
    let builder = |context: TlsContextBuilder| {
        SessionBuilder::new()
            .tls_context(Some(context.build().unwrap()))
            .reconnect_backoff(Duration::from_millis(5), Duration::from_millis(20))
    };
    let context = || authority.context();
    is_refused(builder(context()).known_node(point(0)).build().await, "not valid for name");
    // The other one is good, so there is a session, which never talks to the first.
    cluster.reset_counters();
    let session = builder(context()).known_node(point(1)).build().await.unwrap();
    ask(&session).await;
    let nodes = cluster.counters().nodes;
    assert!(nodes[0].shards.iter().all(|shard| shard.connections == 0), "{nodes:?}");
    for context in [context().server_name("db.test"), context().verify_hostname(false)] {
        ask(&builder(context).known_node(point(0)).build().await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_contact_points_name_is_verified() {
    let authority = Authority::new("known");
    let tls = authority.issue(&[dns("localhost")]).tls();
    let builder = Cluster::builder().shards(2).address(Ipv4Addr::LOCALHOST).tls(tls);
    let cluster = builder.start().await.unwrap();
    let context = authority.context().build().unwrap();
    let port = cluster.contact_points()[0].port();
    let by_name = SessionBuilder::new().known_node(format!("localhost:{port}"));
    ask(&by_name.tls_context(Some(context.clone())).build().await.unwrap()).await;
    let by_address = SessionBuilder::new().known_node(format!("127.0.0.1:{port}"));
    is_refused(by_address.tls_context(Some(context)).build().await, "not valid for name");
}

#[tokio::test]
async fn nodes_may_ask_for_a_certificate() {
    let (authority, other) = (Authority::new("known"), Authority::new("other"));
    let addresses = addresses(6);
    let names = addresses.map(|address| SanType::IpAddress(IpAddr::V4(address)));
    let tls = authority.issue(&names).tls().client_ca(authority.0.pem().as_bytes()).unwrap();
    let cluster = Cluster::builder().nodes(2).address(addresses[0]).tls(tls).start().await.unwrap();
    let connect = async |client: Option<Identity>| {
        let context = match client {
            None => authority.context(),
            Some(Identity { certificate, key }) => authority.context().client_pem(certificate, key),
        };
        quick(&cluster).tls_context(Some(context.build().unwrap())).build().await
    };
    ask(&connect(Some(authority.issue(&[]))).await.unwrap()).await;
    // Whether the alert or the end of the connection comes first is up to the kernel.
    is_refused(connect(Some(other.issue(&[]))).await, "");
    is_refused(connect(None).await, "");
}

#[tokio::test]
async fn plain_text_and_tls_do_not_meet() {
    let authority = Authority::new("known");
    let plain = Cluster::builder().start().await.unwrap();
    let builder = quick(&plain).tls_context(Some(authority.context().build().unwrap()));
    is_refused(builder.build().await, "TLS");
    let tls = two_nodes(&authority, 7).start().await.unwrap();
    is_refused(quick(&tls).build().await, "");
}
