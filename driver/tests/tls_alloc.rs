//! TLS records touch the heap zero times: not one allocation, reallocation or free while data is
//! sealed and opened, with each algorithm of TLS 1.3 and 1.2.
//!
//! The record layer is compiled into this program, which has no other threads: what a session adds
//! is counted by `alloc.rs`. The node is rustls' own server; what it sends is made before counting,
//! and what it receives is looked at afterwards. A last case puts one allocation into the path and
//! must be seen.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, SupportedCipherSuite};
use shardwire_meter::{CountingAllocator, counts};

use handshake::{Handshake, Wants};
use stream::{Secured, Step};

#[allow(dead_code, unused_imports, reason = "its tests are run elsewhere")]
#[path = "../src/tls/handshake.rs"]
mod handshake;
#[allow(dead_code, unused_imports, reason = "its tests are run elsewhere")]
#[path = "../src/tls/record.rs"]
mod record;
#[allow(dead_code, reason = "a part is enough")]
#[path = "../src/tls/stream.rs"]
mod stream;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const SUITES: [SupportedCipherSuite; 6] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];
/// Of data, in turn; the last takes several records.
const LENS: [usize; 4] = [1, 100, 16_384, 40_000];
const ROUNDS: usize = if cfg!(debug_assertions) { 100 } else { 500 };

fn main() {
    for suite in SUITES {
        let (calls, records) = count(suite, 0);
        println!("{:?}: {records} records, {calls} calls of the allocator", suite.suite());
        assert_eq!(calls, 0);
    }
    let (calls, _) = count(SUITES[0], 1);
    assert_eq!(calls, 2, "an allocation and its free are seen");
}

/// How often the allocator is called while data goes both ways, and by how many records.
fn count(suite: SupportedCipherSuite, leaks: usize) -> (u64, usize) {
    let (Secured { mut sealer, mut opener, mut received }, mut node) = shake_hands(suite);
    let mut tickets = received.as_mut_slice();
    while let Step::Nothing { total_len } = opener.next(tickets).unwrap() {
        tickets = &mut tickets[total_len..];
    }
    assert!(tickets.is_empty());

    let data = vec![7; 40_000];
    let len = ROUNDS * LENS.iter().sum::<usize>();
    let mut incoming = Vec::new();
    for len in LENS.repeat(ROUNDS) {
        node.writer().write_all(&data[..len]).unwrap();
        while node.wants_write() {
            node.write_tls(&mut incoming).unwrap();
        }
    }
    let room = LENS.map(|len| sealer.sealed_len(len)).iter().sum::<usize>();
    let mut outgoing = Vec::with_capacity(room * ROUNDS);

    let before = counts();
    for _ in 0..leaks {
        drop(black_box(Box::new(1_u8)));
    }
    let (mut done, mut opened, mut records) = (0, 0, 0);
    while let Step::Data { start, end, total_len } = opener.next(&mut incoming[done..]).unwrap() {
        done += total_len;
        opened += end - start;
        records += 1;
    }
    for _ in 0..ROUNDS {
        for len in LENS {
            sealer.seal(&data[..len], &mut outgoing).unwrap();
        }
    }
    let spent = counts().since(before);

    assert_eq!((opened, done), (len, incoming.len()));
    assert_eq!(take(&mut node, &outgoing), len);
    (spent.allocations + spent.reallocations + spent.frees, 2 * records)
}

/// Has the node take ciphertext; how much data that is.
fn take(node: &mut ServerConnection, mut bytes: &[u8]) -> usize {
    let mut len = 0;
    while !bytes.is_empty() {
        node.read_tls(&mut bytes).unwrap();
        let mut data = vec![0; node.process_new_packets().unwrap().plaintext_bytes_to_read()];
        node.reader().read_exact(&mut data).unwrap();
        len += data.len();
    }
    len
}

fn shake_hands(suite: SupportedCipherSuite) -> (Secured, ServerConnection) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["node".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();

    let provider = Arc::new(CryptoProvider { cipher_suites: vec![suite], ..default_provider() });
    let node = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;

    let mut node = ServerConnection::new(Arc::new(node)).unwrap();
    let name = ServerName::try_from("node").unwrap();
    let mut client = Handshake::new(Arc::new(client), name).unwrap();
    loop {
        let wants = client.advance().unwrap();
        take(&mut node, &client.outgoing);
        client.outgoing.clear();
        let mut sent = Vec::new();
        while node.wants_write() {
            node.write_tls(&mut sent).unwrap();
        }
        client.receive(&sent).unwrap();
        if wants == Wants::Nothing {
            return (client.finish().unwrap(), node);
        }
    }
}
