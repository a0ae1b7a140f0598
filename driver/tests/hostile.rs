//! Contact points that do not behave: building a session ends in bounded time, with an error that
//! says who did what.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shardwire::{
    AuthFuture, AuthStart, AuthenticatorProvider, AuthenticatorSession, Compression, ErrorKind,
    SessionBuilder,
};
use shardwire_protocol::header::{HEADER_LEN, Opcode, RequestHeader, ResponseHeader, Version};
use shardwire_server::Cluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);
/// Generous: the machine may be busy.
const TOOK_MAX: Duration = Duration::from_secs(10);

/// What a peer does with one request.
#[derive(Clone, Debug)]
enum Act {
    /// Answers with this message on the request's stream.
    Answer(Opcode, Vec<u8>),
    /// The same if the request's body is the first of these, and closes otherwise.
    AnswerTo(Vec<u8>, Opcode, Vec<u8>),
    /// Sends these bytes.
    Bytes(&'static [u8]),
    /// Closes without a word.
    Close,
    /// Says nothing and keeps the connection.
    Silence,
}

/// A peer that reads requests and goes through its acts, on every connection anew.
struct Peer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Peer {
    async fn start(acts: &[Act]) -> Peer {
        Peer::start_at((Ipv4Addr::LOCALHOST, 0).into(), acts).await
    }

    async fn start_at(address: SocketAddr, acts: &[Act]) -> Peer {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let acts = acts.to_vec();
        let task = tokio::spawn(async move {
            let mut streams = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                if play(&mut stream, &acts).await.is_some() {
                    streams.push(stream); // stays open
                }
            }
        });
        Peer { address, task }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `None` when the connection is to be closed.
async fn play(stream: &mut TcpStream, acts: &[Act]) -> Option<()> {
    for act in acts {
        let mut head = [0; HEADER_LEN];
        stream.read_exact(&mut head).await.ok()?;
        let request = RequestHeader::decode(&head).unwrap();
        let mut body = vec![0; request.body_len as usize];
        stream.read_exact(&mut body).await.ok()?;
        match act {
            Act::AnswerTo(expect, ..) if body != *expect => return None,
            Act::Answer(opcode, body) | Act::AnswerTo(_, opcode, body) => {
                let header = ResponseHeader {
                    version: Version::V4,
                    flags: 0,
                    stream: request.stream,
                    opcode: *opcode,
                    body_len: body.len() as u32,
                };
                let mut frame = vec![0; HEADER_LEN];
                header.encode(frame.first_chunk_mut().unwrap());
                frame.extend_from_slice(body);
                stream.write_all(&frame).await.ok()?;
            }
            Act::Bytes(bytes) => stream.write_all(bytes).await.ok()?,
            Act::Close => return None,
            Act::Silence => return Some(()),
        }
    }
    Some(())
}

fn error(message: &str) -> Act {
    coded_error(0x1001, message)
}

fn coded_error(code: i32, message: &str) -> Act {
    let mut body = code.to_be_bytes().to_vec();
    body.extend_from_slice(&(message.len() as u16).to_be_bytes());
    body.extend_from_slice(message.as_bytes());
    Act::Answer(Opcode::Error, body)
}

const PASSWORD_AUTHENTICATOR: &str = "org.apache.cassandra.auth.PasswordAuthenticator";

fn authenticate() -> Act {
    authenticate_by(PASSWORD_AUTHENTICATOR)
}

fn authenticate_by(class: &str) -> Act {
    let mut body = (class.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(class.as_bytes());
    Act::Answer(Opcode::Authenticate, body)
}

/// SUPPORTED without a single option.
fn supported() -> Act {
    Act::Answer(Opcode::Supported, vec![0, 0])
}

fn ready() -> Act {
    Act::Answer(Opcode::Ready, Vec::new())
}

/// Building a session on such a peer must end with an error that contains `expect`.
async fn check(acts: &[Act], expect: &str) {
    check_with(SessionBuilder::new(), acts, ErrorKind::Connect, expect).await;
}

async fn check_with(builder: SessionBuilder, acts: &[Act], kind: ErrorKind, expect: &str) {
    let peer = Peer::start(acts).await;
    let begin = Instant::now();
    let build =
        builder.known_node(peer.address.to_string()).connection_timeout(CONNECT_TIMEOUT).build();
    let Ok(built) = tokio::time::timeout(TOOK_MAX, build).await else {
        panic!("{acts:?}: no end of it");
    };
    let error = built.map(drop).unwrap_err();
    assert!(begin.elapsed() < TOOK_MAX);
    assert_eq!(error.kind(), kind, "{acts:?}: {error}");
    assert!(!error.was_sent(), "{acts:?}: {error}");
    let text = error.to_string();
    assert!(text.contains(&peer.address.to_string()), "{acts:?}: {text}");
    assert!(text.contains(expect), "{acts:?}: {text:?} does not say {expect:?}");
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = SessionBuilder::new().known_node(address.to_string()).build().await;
    let error = error.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    let text = error.to_string().to_lowercase();
    assert!(text.contains(&address.to_string()) && text.contains("refused"), "{text}");
}

#[tokio::test]
async fn never_answers() {
    check(&[Act::Silence], "no answer within 300ms").await;
    check(&[supported(), Act::Silence], "no answer within 300ms").await;
    // Half a header, half a body.
    check(&[Act::Bytes(b"\x84\x00\x00"), Act::Silence], "no answer within 300ms").await;
    check(&[Act::Bytes(b"\x84\x00\x00\x00\x06\x00\x00\x00\x09\x00")], "no answer within").await;
}

#[tokio::test]
async fn closes() {
    check(&[Act::Close], "the node closed the connection").await;
    check(&[supported(), Act::Close], "the node closed the connection").await;
    check(&[supported(), ready(), Act::Close], "the node closed the connection").await;
}

#[tokio::test]
async fn closes_right_after_its_ready() {
    // Before the REGISTER, so that the connection may be gone before it is seen to be open.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = play(&mut stream, &[supported(), ready()]).await;
        }
    });
    let build = SessionBuilder::new().known_node(address.to_string()).build();
    let built = tokio::time::timeout(TOOK_MAX, build).await.expect("it ends");
    let error = built.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    task.abort();
}

#[tokio::test]
async fn speaks_something_else() {
    check(&[Act::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")], "version").await;
    check(&[Act::Bytes(b"\x84\x00\x00\x00\xee\x00\x00\x00\x00")], "opcode").await;
    check(&[Act::Bytes(b"\x84\x00\x00\x05\x06\x00\x00\x00\x00")], "stream 5").await;
    check(&[Act::Bytes(b"\x84\x00\x00\x00\x06\x7f\xff\xff\xff")], "2147483647").await;
    // SUPPORTED that promises more than there is.
    check(&[Act::Answer(Opcode::Supported, vec![0, 9, 0, 1])], "body ends within").await;
    check(&[supported(), Act::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n")], "version").await;
}

#[tokio::test]
async fn answers_with_an_error() {
    check(&[error("go away, please")], "go away, please").await;
    check(&[supported(), error("too many clients")], "too many clients").await;
    check(&[supported(), ready(), error("no events today")], "no events today").await;
    check(&[supported(), ready(), ready(), error("no tables")], "no tables").await;
}

#[tokio::test]
async fn asks_for_authentication() {
    check(&[authenticate()], "the answer to OPTIONS is not SUPPORTED").await;
    let acts = [supported(), authenticate()];
    let check = |expect| check_with(SessionBuilder::new(), &acts, AUTHENTICATION, expect);
    check(PASSWORD_AUTHENTICATOR).await;
    check("neither a user nor an authenticator provider is set").await;
}

const AUTHENTICATION: ErrorKind = ErrorKind::Authentication;
const CONNECT: ErrorKind = ErrorKind::Connect;

fn bytes(content: &[u8]) -> Vec<u8> {
    [&(content.len() as i32).to_be_bytes(), content].concat()
}

fn challenge(token: &[u8]) -> Act {
    Act::Answer(Opcode::AuthChallenge, bytes(token))
}

/// The log-in of a user whom the peer answers so.
async fn check_login(last: Act, kind: ErrorKind, expect: &str) {
    let builder = SessionBuilder::new().user("app", "hunter2");
    check_with(builder, &[supported(), authenticate(), last], kind, expect).await;
}

#[tokio::test]
async fn spoils_the_login() {
    let by = format!("authentication by {PASSWORD_AUTHENTICATOR:?}");
    let refused = format!("{by} failed at 127.0.0.1:");
    check_login(Act::Silence, CONNECT, &format!("{by}: no answer within 300ms")).await;
    check_login(Act::Close, CONNECT, &format!("{by}: the node closed the connection")).await;
    check_login(error("busy"), CONNECT, &format!("{by}: overloaded (0x1001): busy")).await;
    check_login(coded_error(0x0100, "who is app?"), AUTHENTICATION, &refused).await;
    check_login(coded_error(0x0100, "who?"), AUTHENTICATION, "bad credentials (0x0100): who?")
        .await;
    check_login(ready(), CONNECT, &format!("{by}: the answer to AUTH_RESPONSE is Ready")).await;
    check_login(authenticate(), CONNECT, "the answer to AUTH_RESPONSE is Authenticate").await;
    check_login(Act::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n"), CONNECT, "version").await;
    check_login(Act::Bytes(b"\x84\0\0\0\x10\x7f\xff\xff\xff"), CONNECT, "2147483647").await;
    check_login(Act::Bytes(b"\x84\0\0\x05\x10\0\0\0\0"), CONNECT, "stream 5").await;
    check_login(Act::Bytes(b"\x84\0\0\0\x10\0"), CONNECT, "no answer within 300ms").await;
    let cut = |opcode| Act::Answer(opcode, vec![0, 0, 0, 9, 1]);
    check_login(cut(Opcode::AuthChallenge), CONNECT, "body ends within challenge").await;
    check_login(cut(Opcode::AuthSuccess), CONNECT, "body ends within").await;
    check_login(Act::Answer(Opcode::Error, vec![0]), CONNECT, "body ends within").await;
    // Compressed, which was not agreed.
    check_login(Act::Bytes(b"\x84\x01\0\0\x10\0\0\0\x01\0"), CONNECT, "compress").await;
    check_login(challenge(b"more"), AUTHENTICATION, "a challenge, which PLAIN does not have").await;
    let cut = Act::Answer(Opcode::Authenticate, vec![0, 9, 0]);
    let builder = SessionBuilder::new().user("app", "hunter2");
    check_with(builder, &[supported(), cut], CONNECT, "body ends within authenticator").await;
}

#[tokio::test]
async fn asks_for_another_mechanism() {
    let acts = [supported(), authenticate_by("com.example.Kerberos\n"), Act::Silence];
    let builder = SessionBuilder::new().user("app", "hunter2");
    let expect = "by \"com.example.Kerberos\\n\" failed"; // and not in lines of its own
    check_with(builder, &acts, AUTHENTICATION, expect).await;
}

#[tokio::test]
async fn repeats_the_password() {
    let login = coded_error(0x0100, "app, 'hunter2' is not your password");
    check_login(login, AUTHENTICATION, "(0x0100): (not shown, for it repeats what was sent)").await;
    check_login(error("hunter2"), CONNECT, "(0x1001): (not shown").await;
}

#[tokio::test]
async fn sends_compressed_bodies_that_are_none() {
    // SUPPORTED with COMPRESSION of lz4, then bodies that claim to be compressed.
    let lz4 = Act::Answer(Opcode::Supported, b"\0\x01\0\x0bCOMPRESSION\0\x01\0\x03lz4".to_vec());
    for (bytes, expect) in [
        (&b"\x84\x01\0\0\x03\0\0\0\x02\0\0"[..], "body ends within"),
        (b"\x84\x01\0\0\x03\0\0\0\x05\x7f\xff\xff\xff\0", "2147483647"),
        (b"\x84\x01\0\0\x03\0\0\0\x06\0\0\0\x09\xff\xff", "compress"),
    ] {
        let builder = SessionBuilder::new().user("a", "b").compression(Some(Compression::Lz4));
        check_with(builder, &[lz4.clone(), Act::Bytes(bytes)], CONNECT, expect).await;
    }
}

/// A mechanism that answers each challenge with its length and its content backwards.
struct Backwards;

impl AuthenticatorProvider for Backwards {
    fn start_authentication_session<'a>(&'a self, class: &'a str) -> AuthFuture<'a, AuthStart> {
        Box::pin(async move {
            match class {
                "Backwards" => Ok((Some(b"hello".to_vec()), Box::new(Backwards) as Box<_>)),
                "Never" => std::future::pending().await,
                _ => Err("it goes forwards".to_owned()),
            }
        })
    }
}

impl AuthenticatorSession for Backwards {
    fn evaluate_challenge<'a>(
        &'a mut self,
        token: Option<&'a [u8]>,
    ) -> AuthFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            tokio::task::yield_now().await; // it may take its time
            match token {
                Some(b"") => Err("an empty challenge".to_owned()),
                token => Ok(token.map(|token| token.iter().rev().copied().collect())),
            }
        })
    }

    fn success<'a>(&'a mut self, token: Option<&'a [u8]>) -> AuthFuture<'a, ()> {
        let is_ours = token == Some(b"bye");
        Box::pin(async move { if is_ours { Ok(()) } else { Err("an impostor".to_owned()) } })
    }
}

#[tokio::test]
async fn speaks_a_mechanism_of_several_rounds() {
    let check = async |login: &[Act], kind, expect: &str| {
        let acts = [&[supported(), authenticate_by("Backwards")], login].concat();
        let builder = SessionBuilder::new().authenticator_provider(Arc::new(Backwards));
        check_with(builder, &acts, kind, expect).await;
    };
    let to = |token: &[u8], opcode, body| Act::AnswerTo(bytes(token), opcode, body);
    let null = || vec![0xFF; 4];
    let rounds = [
        to(b"hello", Opcode::AuthChallenge, bytes(b"abc")),
        to(b"cba", Opcode::AuthChallenge, null()),
        Act::AnswerTo(null(), Opcode::AuthChallenge, bytes(&[0xFF, 0])),
    ];
    let then = |last: Act| [&rounds[..], &[last]].concat();
    let good = to(&[0, 0xFF], Opcode::AuthSuccess, bytes(b"bye"));
    let bad = to(&[0, 0xFF], Opcode::AuthSuccess, null());
    // The log-in is over: what follows is the REGISTER.
    let register = [then(good), vec![error("no events today")]].concat();
    check(&register, CONNECT, "no events today").await;
    check(&then(bad), AUTHENTICATION, "\"Backwards\" failed at").await;
    check(&then(Act::Answer(Opcode::AuthSuccess, null())), AUTHENTICATION, "an impostor").await;
    check(&then(challenge(b"")), AUTHENTICATION, "an empty challenge").await;
    check(&then(coded_error(0x0100, "no")), AUTHENTICATION, "bad credentials (0x0100): no").await;
    let repeats = coded_error(0, "abc was answered with cba");
    check(&then(repeats), CONNECT, "server error (0x0000): (not shown").await;
    check(&then(Act::Silence), CONNECT, "\"Backwards\": no answer within 300ms").await;
    check(&vec![challenge(b"x"); 17], CONNECT, "\"Backwards\": more than 16 challenges").await;
    let enough = [vec![challenge(b"x"); 16], vec![error("busy")]].concat();
    check(&enough, CONNECT, "\"Backwards\": overloaded (0x1001): busy").await;
}

#[tokio::test]
async fn is_told_nothing_by_a_mechanism_that_does_not_begin() {
    for (class, kind, expect) in [
        ("Forwards", AUTHENTICATION, "authentication by \"Forwards\" failed at"),
        ("Forwards", AUTHENTICATION, "it goes forwards"),
        ("Never", CONNECT, "authentication by \"Never\": no answer within 300ms"),
    ] {
        let builder = SessionBuilder::new().authenticator_provider(Arc::new(Backwards));
        let acts = [supported(), authenticate_by(class), Act::Close];
        check_with(builder, &acts, kind, expect).await;
    }
}

#[tokio::test]
async fn a_login_that_fails_otherwise_is_tried_at_the_next_contact_point() {
    let cluster = Cluster::builder().user("app", "hunter2").start().await.unwrap();
    let good = cluster.contact_points()[0].to_string();
    for (last, is_tried) in [
        (error("busy"), true),
        (Act::Close, true),
        (Act::Silence, true),
        (ready(), true),
        (coded_error(0x0100, "no"), false),
        (challenge(b"x"), false),
    ] {
        let peer = Peer::start(&[supported(), authenticate(), last.clone()]).await;
        let build = SessionBuilder::new()
            .known_nodes([&peer.address.to_string(), &good])
            .user("app", "hunter2")
            .connection_timeout(CONNECT_TIMEOUT)
            .build();
        let built = tokio::time::timeout(TOOK_MAX, build).await.expect("it ends");
        assert_eq!(built.is_ok(), is_tried, "{last:?}");
    }
}

#[tokio::test]
async fn answers_one_message_with_another() {
    check(&[ready()], "the answer to OPTIONS is not SUPPORTED").await;
    check(&[supported(), supported()], "the answer to STARTUP is Supported").await;
    // A table that is no table.
    check(&[supported(), ready(), ready(), ready()], "not a RESULT").await;
    let void = Act::Answer(Opcode::Result, vec![0, 0, 0, 1]);
    check(&[supported(), ready(), ready(), void], "no rows").await;
    let cut = Act::Answer(Opcode::Result, vec![0, 0, 0, 2, 0, 0]);
    check(&[supported(), ready(), ready(), cut], "body ends within").await;
}

#[tokio::test]
async fn stops_answering_after_the_handshake() {
    check(&[supported(), ready(), Act::Silence], "not answered").await;
    check(&[supported(), ready(), ready(), Act::Silence], "not answered").await;
    check(&[supported(), ready(), ready(), Act::Bytes(b"\x84\x00\x7f\xff\x08\0\0\0\0")], "stream")
        .await;
}

#[tokio::test]
async fn a_good_contact_point_is_found_among_bad_ones() {
    let cluster = Cluster::builder().nodes(2).shards(2).start().await.unwrap();
    let good = cluster.contact_points()[1];
    let IpAddr::V4(ip) = good.ip() else { panic!("the cluster has IPv4 addresses") };
    let [a, b, c, _] = ip.octets();
    let mut builder = SessionBuilder::new().connection_timeout(CONNECT_TIMEOUT);
    let mut peers = Vec::new();
    for (last, acts) in [
        (101, vec![Act::Silence]),
        (102, vec![Act::Close]),
        (103, vec![error("busy")]),
        (104, vec![Act::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")]),
        (105, vec![supported(), ready(), Act::Silence]),
        (106, vec![supported(), ready(), Act::Close]),
        (107, vec![supported(), ready(), ready(), error("no tables")]),
    ] {
        let address = SocketAddr::from((Ipv4Addr::new(a, b, c, last), good.port()));
        peers.push(Peer::start_at(address, &acts).await);
        builder = builder.known_node(address.to_string());
    }
    let build = builder.known_node(good.to_string()).build();
    let session = tokio::time::timeout(TOOK_MAX, build).await.expect("it ends").unwrap();
    assert_eq!(session.nodes().len(), 2);
    for _ in 0..20 {
        session.query_unpaged("SELECT key FROM system.local", ()).await.unwrap();
    }
}

#[tokio::test]
async fn nodes_are_expected_at_the_port_of_the_contact_point_that_answers() {
    let cluster = Cluster::builder().nodes(3).shards(2).start().await.unwrap();
    let peer = Peer::start(&[Act::Close]).await;
    let builder = SessionBuilder::new().known_node(peer.address.to_string());
    let session = builder.known_node(cluster.contact_points()[1].to_string()).build();
    let session = session.await.unwrap();
    session.query_unpaged("SELECT key FROM system.local", ()).await.unwrap();
    assert_eq!(cluster.counters().total().connections, 7);
}
