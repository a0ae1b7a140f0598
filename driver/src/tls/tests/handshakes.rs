//! Who is let in and who is trusted.

use super::super::record::{HEADER_LEN, announced_len, content};
use super::*;

/// A handshake and one message each way.
fn meet(
    config: &Arc<ServerConfig>,
    context: &TlsContext,
    name: ServerName<'static>,
) -> Result<Node, String> {
    let (Secured { mut sealer, opener, received }, mut node) =
        shake_hands(config, context, name, usize::MAX)?;
    let mut receiver = Receiver::new(opener, received);
    let mut out = Vec::new();
    sealer.seal(b"request", &mut out).unwrap();
    node.take(&out).map_err(|error| error.to_string())?;
    assert_eq!(node.data, b"request");
    receiver.take(&node.send(b"reply")).map_err(|fault| fault.to_string())?;
    assert_eq!(receiver.data, b"reply");
    Ok(node)
}

#[track_caller]
fn refused(result: Result<Node, String>, why: &str) {
    let reason = result.err().expect("it is refused");
    assert!(reason.contains(why), "{reason}");
}

#[test]
fn bytes_may_come_one_by_one() {
    let context = PKI.builder().build().unwrap();
    for suite in [TLS_13, TLS_12] {
        let config = server_config(suite, Clients::Any);
        for cut in [1, 2, 3, 5, 7, 64, 100, 500] {
            let (Secured { opener, received, .. }, mut node) =
                shake_hands(&config, &context, node_name(), cut).unwrap();
            let mut receiver = Receiver::new(opener, received);
            receiver.take(&node.send(b"reply")).unwrap();
            assert_eq!(receiver.data, b"reply");
        }
    }
}

#[test]
fn names_are_verified() {
    let context = PKI.builder().build().unwrap();
    let config = server_config(TLS_13, Clients::Any);
    meet(&config, &context, node_name()).unwrap();
    meet(&config, &context, ADDRESS.into()).unwrap();
    let other = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 8));
    refused(meet(&config, &context, other.into()), "not valid for name");
    let other = ServerName::try_from("other.example.com").unwrap();
    refused(meet(&config, &context, other.clone()), "not valid for name");
    // Which may be left out, and nothing else with it.
    let context = PKI.builder().verify_hostname(false).build().unwrap();
    meet(&config, &context, other.clone()).unwrap();
    let context = OTHER.builder().verify_hostname(false).build().unwrap();
    refused(meet(&config, &context, other), "UnknownIssuer");
}

#[test]
fn only_known_authorities_are_trusted() {
    for suite in [TLS_13, TLS_12] {
        let context = OTHER.builder().build().unwrap();
        let config = server_config(suite, Clients::Any);
        refused(meet(&config, &context, node_name()), "UnknownIssuer");
        let context = OTHER.builder().ca_pem(PKI.authority.pem()).build().unwrap();
        meet(&config, &context, node_name()).unwrap();
    }
}

#[test]
fn clients_show_a_certificate() {
    // With TLS 1.2 the client learns why by an alert within the handshake.
    let unknown = [(TLS_13, "the node says"), (TLS_12, "received fatal alert: UnknownCA")];
    let missing = [(TLS_13, "peer sent no certificates"), (TLS_12, "received fatal alert")];
    for ((suite, unknown), (_, missing)) in unknown.into_iter().zip(missing) {
        let config = server_config(suite, Clients::Certified);
        let client = |pki: &Pki| {
            let Identity { certificate, key } = &pki.client;
            PKI.builder().client_pem(certificate, key).build().unwrap()
        };
        meet(&config, &client(&PKI), node_name()).unwrap();
        refused(meet(&config, &client(&OTHER), node_name()), unknown);
        let none = PKI.builder().build().unwrap();
        refused(meet(&config, &none, node_name()), missing);
    }
}

/// With TLS 1.3 the client learns of it only when it reads.
#[test]
fn the_refusal_of_a_certificate_is_read_later() {
    let context = PKI.builder().build().unwrap();
    let config = server_config(TLS_13, Clients::Certified);
    let mut node = Node::new(&config);
    let mut client = Handshake::new(context.config(), node_name()).unwrap();
    assert_eq!(client.advance(), Ok(Wants::Bytes));
    node.take(&std::mem::take(&mut client.outgoing)).unwrap();
    client.receive(&node.sent()).unwrap();
    assert_eq!(client.advance(), Ok(Wants::Nothing));
    node.take(&client.outgoing).unwrap_err();
    let mut opener = client.finish().unwrap().opener;
    let fault = opener.next(&mut node.sent()).unwrap_err();
    assert_eq!(fault.0, "the node sent the TLS alert certificate_required");
}

#[test]
fn sessions_are_resumed() {
    for suite in [TLS_13, TLS_12] {
        let context = PKI.builder().build().unwrap();
        let config = server_config(suite, Clients::Any);
        let kind = |context: &TlsContext, name| {
            meet(&config, context, name).unwrap().connection.handshake_kind()
        };
        assert_eq!(kind(&context, node_name()), Some(HandshakeKind::Full));
        for _ in 0..3 {
            // A clone has the same tickets.
            assert_eq!(kind(&context.clone(), node_name()), Some(HandshakeKind::Resumed));
        }
        // Another name is another node; another context shares nothing.
        assert_eq!(kind(&context, ADDRESS.into()), Some(HandshakeKind::Full));
        let other = PKI.builder().build().unwrap();
        assert_eq!(kind(&other, node_name()), Some(HandshakeKind::Full));
    }
}

/// A configuration of rustls' own, as the official driver takes it.
#[test]
fn a_configuration_is_taken_as_it_is() {
    let provider = Arc::new(default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(PKI.roots())
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    let context = TlsContext::from(Arc::new(config));
    let server = server_config(TLS_13, Clients::Any);
    for _ in 0..2 {
        let node = meet(&server, &context, node_name()).unwrap();
        assert_eq!(node.connection.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn plain_text_is_told_apart() {
    let context = PKI.builder().build().unwrap();
    let mut client = Handshake::new(context.config(), node_name()).unwrap();
    assert_eq!(client.advance(), Ok(Wants::Bytes));
    client.receive(&[0x84, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    let reason = client.advance().unwrap_err();
    assert_eq!(reason, "the node does not speak TLS here: it sent byte 0x84 first");
}

#[test]
fn a_handshake_that_never_ends_does() {
    let context = PKI.builder().build().unwrap();
    let mut client = Handshake::new(context.config(), node_name()).unwrap();
    client.advance().unwrap();
    client.receive(&[22, 3, 3, 0xff, 0xff]).unwrap();
    let reason = client.advance().unwrap_err();
    assert_eq!(reason, "the node announced a TLS record that is too long");
    let mut client = Handshake::new(context.config(), node_name()).unwrap();
    client.receive(&vec![22; super::super::handshake::HANDSHAKE_LEN_MAX]).unwrap();
    assert_eq!(client.receive(&[22]).unwrap_err(), "the node's TLS handshake is too long");
}

/// Each byte of what the node says, changed: an error, an alert for the node, and no panic.
#[test]
fn a_changed_handshake_fails() {
    let context = PKI.builder().build().unwrap();
    let config = server_config(TLS_13, Clients::Any);
    for index in 0.. {
        let mut node = Node::new(&config);
        let mut client = Handshake::new(context.config(), node_name()).unwrap();
        client.advance().unwrap();
        node.take(&std::mem::take(&mut client.outgoing)).unwrap();
        let mut sent = node.sent();
        let (mut start, mut meaningless) = (0, Vec::new());
        while let Some(len) = announced_len(&sent[start..]) {
            // The version means nothing to TLS 1.3 (RFC 8446 §5.1); nor does the type to rustls,
            // where a record is sealed and holds its own: it takes 23 for granted.
            meaningless.extend([start + 1, start + 2]);
            meaningless.extend((sent[start] == content::APPLICATION_DATA).then_some(start));
            start += HEADER_LEN + len;
        }
        let Some(byte) = sent.get_mut(index) else {
            assert!(index > 500, "a handshake is longer than {index} bytes");
            break;
        };
        *byte ^= 1 << (index % 8);
        client.receive(&sent).unwrap();
        let wants = client.advance();
        assert!(wants != Ok(Wants::Nothing) || meaningless.contains(&index), "{index}");
    }
}

#[test]
fn errors_name_the_field_and_the_file() {
    let build = |builder: TlsContextBuilder| builder.build().unwrap_err().to_string();
    let folder = std::env::temp_dir().join(format!("shardwire-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let certificate = file("client.pem", &PKI.client.certificate);
    let (key, other) = (file("client.key", &PKI.client.key), file("other.key", &OTHER.client.key));
    let bad =
        file("bad.pem", "-----BEGIN PRIVATE KEY-----\nnot base 64!\n-----END PRIVATE KEY-----\n");
    PKI.builder().client_pem_files(&certificate, &key).build().unwrap();

    let none = build(TlsContext::builder());
    assert_eq!(none, "TLS: no authority was given whose certificates to trust");
    let empty = build(TlsContext::builder().ca_pem_file(&key));
    let place = format!("TLS: authority in {}: ", key.display());
    assert_eq!(empty, format!("{place}there is no certificate in the PEM"));
    let missing = build(PKI.builder().client_pem_files(&certificate, folder.join("none")));
    assert!(missing.starts_with("TLS: client key in ") && missing.contains("none: "), "{missing}");
    let swapped = build(PKI.builder().client_pem_files(&certificate, &certificate));
    assert!(swapped.ends_with("client.pem: there is no private key in the PEM"), "{swapped}");
    let malformed = build(PKI.builder().client_pem_files(&certificate, &bad));
    assert!(malformed.ends_with("bad.pem: the PEM is malformed"), "{malformed}");
    let mixed = build(PKI.builder().client_pem_files(&certificate, &other));
    assert!(mixed.starts_with("TLS: client certificate and key: "), "{mixed}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_name_is_the_contact_points_or_the_address() {
    let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
    let mut tls = Tls::new(PKI.builder().build().unwrap());
    tls.add_contact_point("db.example.com", address(1));
    tls.add_contact_point("db2.example.com:19042", address(2));
    tls.add_contact_point("other.example.com", address(1));
    tls.add_contact_point("10.0.0.3", address(3));
    tls.add_contact_point("10.0.0.4:9042", address(4));
    let name = |tls: &Tls, last| tls.server_name(address(last)).to_str().into_owned();
    let names: Vec<String> = (1..=5).map(|last| name(&tls, last)).collect();
    let expect = ["db.example.com", "db2.example.com", "10.0.0.3", "10.0.0.4", "10.0.0.5"];
    assert_eq!(names, expect);
    let v6 = "::1".parse().unwrap();
    tls.add_contact_point("::1", v6);
    tls.add_contact_point("[::1]:9042", v6);
    assert_eq!(tls.server_name(v6), ServerName::from(v6));
    tls.context = PKI.builder().server_name("all.example.com").build().unwrap();
    assert_eq!(name(&tls, 1), "all.example.com");
    assert_eq!(name(&tls, 5), "all.example.com");
}

#[test]
fn shows_nothing_that_is_secret() {
    let Identity { certificate, key } = &PKI.client;
    let builder = PKI.builder().client_pem(certificate, key).server_name(NAME);
    let shown = format!("{builder:?} {:?}", Tls::new(builder.clone().build().unwrap()));
    assert!(shown.contains(NAME) && shown.len() < 500, "{shown}");
    let line = key.lines().nth(1).unwrap();
    assert!(!shown.contains(line) && !shown.contains("BEGIN"), "{shown}");
}
