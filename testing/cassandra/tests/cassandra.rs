//! Starts real clusters, so it needs Java and Maven: `--features cassandra`. Fails without them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests may")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use shardwire_testing_cassandra::{Cassandra, TlsFiles, Version};

const OPTIONS: &[u8] = &[4, 0, 0, 0, 5, 0, 0, 0, 0];
const STARTUP: &[u8] = b"\x04\0\0\0\x01\0\0\0\x16\0\x01\0\x0bCQL_VERSION\0\x053.0.0";
const READY: u8 = 2;
const SUPPORTED: u8 = 6;

/// The opcode of the answer to a request of CQL v4.
fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> std::io::Result<u8> {
    stream.write_all(request)?;
    let mut header = [0; 9];
    stream.read_exact(&mut header)?;
    let len = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
    let mut body = vec![0; usize::try_from(len).unwrap()];
    stream.read_exact(&mut body)?;
    Ok(header[4])
}

#[test]
fn one_node_of_each_version() {
    for version in Version::ALL {
        let cluster = Cassandra::builder().version(version).start().unwrap();
        eprintln!("{} is ready after {:?}", version.release(), cluster.start_time());
        let [address] = cluster.contact_points()[..] else { panic!("one contact point") };
        let mut stream = TcpStream::connect(address).unwrap();
        assert_eq!(ask(&mut stream, OPTIONS).unwrap(), SUPPORTED);
        assert_eq!(ask(&mut stream, STARTUP).unwrap(), READY);
        let folder = cluster.folder().to_owned();
        cluster.shutdown().unwrap();
        assert!(!folder.exists());
        assert!(TcpStream::connect(address).is_err());
    }
}

#[test]
fn three_nodes_die_and_come_back() {
    let mut cluster = Cassandra::builder().nodes(3).start().unwrap();
    eprintln!("three nodes are ready after {:?}", cluster.start_time());
    let addresses = cluster.contact_points();
    assert_eq!(addresses.len(), 3);

    cluster.kill(1).unwrap();
    assert!(TcpStream::connect(addresses[1]).is_err());
    let start = Instant::now();
    cluster.restart(1).unwrap();
    eprintln!("all are ready {:?} after a restart", start.elapsed());
    TcpStream::connect(addresses[1]).unwrap();

    cluster.stop(2).unwrap();
    assert!(TcpStream::connect(addresses[2]).is_err());
    cluster.wait_until_ready().unwrap();
    cluster.restart(2).unwrap();

    // The kernel accepts for it, but nobody answers.
    cluster.pause(0).unwrap();
    let mut stream = TcpStream::connect(addresses[0]).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(ask(&mut stream, OPTIONS).is_err());
    cluster.resume(0).unwrap();
    stream.set_read_timeout(None).unwrap();
    let mut header = [0; 9];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[4], SUPPORTED);
    cluster.wait_until_ready().unwrap();

    assert!(cluster.kill(3).is_err());
    assert!(cluster.log(0).unwrap().is_file());
}

#[test]
fn clients_log_in() {
    let cluster = Cassandra::builder().nodes(2).auth().start().unwrap();
    eprintln!("two nodes with passwords are ready after {:?}", cluster.start_time());
    for address in cluster.contact_points() {
        let log_in = |token: &[u8]| {
            let mut stream = TcpStream::connect(address).unwrap();
            assert_eq!(ask(&mut stream, STARTUP).unwrap(), 3, "AUTHENTICATE");
            let token_len = u8::try_from(token.len()).unwrap();
            let head = [4, 0, 0, 0, 0x0F, 0, 0, 0, token_len + 4, 0, 0, 0, token_len];
            ask(&mut stream, &[&head, token].concat()).unwrap()
        };
        assert_eq!(log_in(b"\0cassandra\0cassandra"), 0x10, "AUTH_SUCCESS");
        assert_eq!(log_in(b"\0cassandra\0wrong"), 0, "ERROR");
    }
}

#[test]
fn clients_speak_tls() {
    let cluster = Cassandra::builder().nodes(2).tls().start().unwrap();
    eprintln!("two nodes with TLS are ready after {:?}", cluster.start_time());
    let files = cluster.tls().unwrap();
    for (index, address) in cluster.contact_points().into_iter().enumerate() {
        let other = cluster.contact_points()[1 - index];
        assert_eq!(tls(address, address, files, Shown::Nothing), Ok(SUPPORTED));
        let refused = tls(address, other, files, Shown::Nothing).unwrap_err();
        assert!(refused.contains("not valid for name"), "{refused}");
        // Without TLS there is no answer.
        let mut plain = TcpStream::connect(address).unwrap();
        assert!(ask(&mut plain, OPTIONS).is_err());
    }
}

#[test]
fn clients_show_certificates() {
    let builder = Cassandra::builder().version(Version::V4_1).auth().client_certificates();
    let cluster = builder.start().unwrap();
    let files = cluster.tls().unwrap();
    let address = cluster.contact_points()[0];
    assert_eq!(tls(address, address, files, Shown::Certificate), Ok(SUPPORTED));
    // An alert, or a connection that is closed before the request is written: in TLS 1.3 the
    // client is done before the node has seen that there is no certificate.
    assert!(tls(address, address, files, Shown::Nothing).is_err());
}

enum Shown {
    Nothing,
    Certificate,
}

/// The answer to OPTIONS over TLS of the node at `address`, taken for the one at `name`.
fn tls(
    address: SocketAddr,
    name: SocketAddr,
    files: &TlsFiles,
    shown: Shown,
) -> Result<u8, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        Shown::Nothing => builder.with_no_client_auth(),
        Shown::Certificate => {
            let certificate = CertificateDer::from_pem_file(&files.client_certificate).unwrap();
            let key = PrivateKeyDer::from_pem_file(&files.client_key).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    let connection = ClientConnection::new(Arc::new(config), name.ip().into()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    ask(&mut stream, OPTIONS).map_err(|error| error.to_string())
}

#[test]
fn nodetool_manages_a_node() {
    for version in Version::ALL {
        let cluster = Cassandra::builder().version(version).nodetool().start().unwrap();
        let status = cluster.nodetool(0, &["status"]).unwrap();
        assert!(status.contains("UN  127.0.0.1"), "{status}");
        let address = cluster.contact_points()[0];
        cluster.nodetool(0, &["disablebinary"]).unwrap();
        assert!(TcpStream::connect(address).is_err());
        cluster.nodetool(0, &["enablebinary"]).unwrap();
        TcpStream::connect(address).unwrap();
        assert!(cluster.nodetool(0, &["nonsense"]).is_err());
    }
}

#[test]
fn a_folder_that_was_asked_for_is_kept() {
    let folder = std::env::temp_dir().join(format!("shardwire-kept-{}", std::process::id()));
    let cluster = Cassandra::builder().folder(&folder).start().unwrap();
    drop(cluster);
    assert!(folder.join("node0/system.log").is_file());
    // What exists is not overwritten.
    assert!(Cassandra::builder().folder(&folder).start().is_err());
    std::fs::remove_dir_all(folder).unwrap();
}

/// The program, its folder and its contact point.
fn up() -> (Child, PathBuf, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shardwire-testing-cassandra"))
        .args(["up", "--version", "5.0.9"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines: Vec<_> = lines.map(Result::unwrap).take_while(|l| !l.contains("Ctrl-C")).collect();
    let value = |key: &str| lines.iter().find_map(|line| line.strip_prefix(key)).unwrap();
    let address = value("contact points: ").parse().unwrap();
    (child, value("folder: ").into(), address)
}

/// The watcher is the last to leave, and removes the folder last.
fn wait_until_gone(folder: &Path) {
    let start = Instant::now();
    while folder.exists() {
        assert!(start.elapsed() < Duration::from_secs(30), "{} stays", folder.display());
        std::thread::yield_now();
    }
}

#[test]
fn nodes_end_with_the_process_that_started_them() {
    let (mut child, folder, address) = up();
    assert!(folder.exists());
    TcpStream::connect(address).unwrap();
    child.kill().unwrap(); // SIGKILL, so it can't clean up itself
    child.wait().unwrap();
    wait_until_gone(&folder);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_signal_ends_the_program_in_order() {
    let (mut child, folder, address) = up();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!folder.exists());
    assert!(TcpStream::connect(address).is_err());
}
