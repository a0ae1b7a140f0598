//! What happens after the handshake: data, keys, tickets, ends, and what must not come.

use super::*;

/// Bytes that are not all alike.
fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|index| u8::try_from(index * 31 % 251).unwrap()).collect()
}

#[test]
fn data_of_all_sizes_goes_both_ways() {
    for suite in SUITES {
        let (Secured { mut sealer, opener, received }, mut node) = secured(suite);
        let mut receiver = Receiver::new(opener, received);
        for len in [0, 1, 16_384, 16_385, 100_000, 1] {
            let data = bytes(len);
            let mut out = b"before".to_vec();
            let room = sealer.sealed_len(len);
            out.reserve_exact(room);
            let capacity = out.capacity();
            sealer.seal(&data, &mut out).unwrap();
            assert!(out.len() - 6 <= room && out.capacity() == capacity);
            assert_eq!(out.len() == 6, len == 0, "nothing is not sent");
            node.take(&out[6..]).unwrap();
            assert!(std::mem::take(&mut node.data) == data, "{suite:?} {len}");
            receiver.take(&node.send(&data)).unwrap();
            assert!(std::mem::take(&mut receiver.data) == data, "{suite:?} {len}");
        }
    }
}

#[test]
fn room_is_enough_when_all_is_due() {
    let (Secured { mut sealer, opener, received }, mut node) = secured(TLS_13);
    let mut receiver = Receiver::new(opener, received);
    for records in [1, 2, 3, 10] {
        for len in [0, 1, 20_000, 100_000, 1_000_000] {
            sealer.set_records_max(records);
            node.connection.refresh_traffic_keys().unwrap();
            receiver.take(&node.sent()).unwrap();
            let (room, mut out) = (sealer.sealed_len(len), Vec::new());
            sealer.seal(&bytes(len), &mut out).unwrap();
            assert!(out.len() <= room, "{records} {len}");
            node.take(&out).unwrap();
            assert!(std::mem::take(&mut node.data) == bytes(len), "{records} {len}");
        }
    }
}

/// One record after the other on the same connection, each cut at the next place.
#[test]
fn splits_at_every_byte() {
    for suite in SUITES {
        let (Secured { opener, received, .. }, mut node) = secured(suite);
        let mut receiver = Receiver::new(opener, received);
        let first = node.send(b"0123456789");
        receiver.take(&first).unwrap();
        receiver.data.clear();
        let len = 2 * first.len();
        for cut in 0..=len {
            let mut sent = node.send(b"0123456789");
            sent.extend(node.send(b"abcdefghij"));
            assert_eq!(sent.len(), len);
            receiver.take(&sent[..cut]).unwrap();
            receiver.take(&sent[cut..]).unwrap();
            assert_eq!(std::mem::take(&mut receiver.data), b"0123456789abcdefghij", "{cut}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn data_arrives_however_it_is_cut(
        suite in 0..SUITES.len(),
        sent in proptest::collection::vec((0..40_000_usize, any::<bool>()), 1..8),
        cuts in proptest::collection::vec(1..20_000_usize, 1..16),
    ) {
        let (Secured { mut sealer, opener, received }, mut node) = secured(SUITES[suite]);
        let mut receiver = Receiver::new(opener, Vec::new());
        let (mut down, mut up, mut expect) = (received, Vec::new(), Vec::new());
        for &(len, renews) in &sent {
            if renews && SUITES[suite].tls13().is_some() {
                node.connection.refresh_traffic_keys().unwrap();
                sealer.set_records_max(1);
            }
            down.extend(node.send(&bytes(len)));
            sealer.seal(&bytes(len), &mut up).unwrap();
            expect.extend(bytes(len));
        }
        let mut cuts = cuts.iter().cycle();
        let mut rest = down.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            receiver.take(piece).unwrap();
            rest = after;
        }
        prop_assert!(receiver.data == expect);
        node.take(&up).unwrap();
        prop_assert!(node.data == expect);
    }
}

#[test]
fn the_node_renews_its_keys() {
    for suite in &SUITES[..3] {
        let (Secured { mut sealer, opener, received }, mut node) = secured(*suite);
        let mut receiver = Receiver::new(opener, received);
        for round in 0..5 {
            let mut sent = node.send(b"old key ");
            node.connection.refresh_traffic_keys().unwrap();
            sent.extend(node.send(b"new key"));
            receiver.take(&sent).unwrap();
            assert_eq!(std::mem::take(&mut receiver.data), b"old key new key");
            // rustls asks for ours as well; it is answered before the next data, and once.
            assert!(sealer.is_due(), "{round}");
            let (mut out, mut next) = (Vec::new(), Vec::new());
            sealer.seal(&[], &mut out).unwrap();
            assert!(!out.is_empty() && !sealer.is_due());
            sealer.seal(&[], &mut next).unwrap();
            assert!(next.is_empty());
            sealer.seal(b"hello", &mut out).unwrap();
            node.take(&out).unwrap();
            assert_eq!(std::mem::take(&mut node.data), b"hello");
        }
    }
}

/// The node's key of what it sends; nothing else of it is left.
fn node_key(node: Node) -> Key {
    let version = node.connection.protocol_version().unwrap();
    let secrets = node.connection.dangerous_extract_secrets().unwrap();
    Key::new(version, secrets.tx).unwrap()
}

/// What a client makes of records that only a broken node sends.
#[track_caller]
fn check(suite: SupportedCipherSuite, records: &[(u8, &[u8])], expect: Result<(), &'static str>) {
    let (Secured { opener, received, .. }, node) = secured(suite);
    let mut receiver = Receiver::new(opener, received);
    let (mut key, mut sent) = (node_key(node), Vec::new());
    for (typ, plain) in records {
        key.seal(*typ, plain, &mut sent).unwrap();
    }
    let taken = receiver.take(&sent);
    assert_eq!(taken.map_err(|fault| fault.0), expect);
    if let Err(expect) = expect {
        key.seal(23, b"more", &mut sent).unwrap();
        assert_eq!(receiver.take(&sent), Err(Fault(expect)), "it stays so");
    }
}

#[test]
fn an_update_that_asks_for_none_is_not_answered() {
    let (Secured { sealer, opener, received }, node) = secured(TLS_13);
    let mut receiver = Receiver::new(opener, received);
    let mut sent = Vec::new();
    node_key(node).seal(content::HANDSHAKE, &[24, 0, 0, 1, 0], &mut sent).unwrap();
    receiver.take(&sent).unwrap();
    assert!(!sealer.is_due());
}

#[test]
fn keys_are_renewed_before_their_limit() {
    for suite in &SUITES[..3] {
        let (Secured { mut sealer, .. }, mut node) = secured(*suite);
        sealer.set_records_max(4);
        let (mut out, data) = (Vec::new(), bytes(25 * PLAIN_LEN_MAX));
        sealer.seal(&data, &mut out).unwrap();
        let records = out.len().div_ceil(PLAIN_LEN_MAX + OVERHEAD_MAX);
        assert!(records >= 25);
        node.take(&out).unwrap();
        assert!(node.data == data);
    }
}

#[test]
fn tls_12_ends_at_the_limit() {
    for suite in &SUITES[3..] {
        let (Secured { mut sealer, .. }, mut node) = secured(*suite);
        sealer.set_records_max(3); // one of them is the handshake's last
        let mut out = Vec::new();
        sealer.seal(b"a", &mut out).unwrap();
        sealer.seal(b"b", &mut out).unwrap();
        let fault = sealer.seal(b"c", &mut out).unwrap_err();
        assert!(fault.0.contains("TLS 1.2 key"), "{fault}");
        sealer.close(&mut out).unwrap();
        node.take(&out).unwrap();
        assert!(node.data == b"ab" && node.is_closed);
    }
}

#[test]
fn both_sides_close() {
    for suite in SUITES {
        let (Secured { mut sealer, opener, received }, mut node) = secured(suite);
        let mut receiver = Receiver::new(opener, received);
        let mut out = Vec::new();
        sealer.seal(b"bye", &mut out).unwrap();
        sealer.close(&mut out).unwrap();
        node.take(&out).unwrap();
        assert!(node.data == b"bye" && node.is_closed);

        let mut sent = node.send(b"bye");
        node.connection.send_close_notify();
        sent.extend(node.sent());
        receiver.take(&sent).unwrap();
        assert!(receiver.data == b"bye" && receiver.is_closed);
        receiver.is_closed = false;
        receiver.take(b"whatever follows").unwrap();
        assert!(receiver.is_closed);
    }
}

#[test]
fn alerts_are_named() {
    for suite in [TLS_13, TLS_12] {
        let fatal = Err("the node sent the TLS alert certificate_required");
        check(suite, &[(content::ALERT, &[2, 116])], fatal);
        check(
            suite,
            &[(content::ALERT, &[2, 99])],
            Err("the node sent a TLS alert that is unknown"),
        );
        check(suite, &[(content::ALERT, &[1, 90])], Ok(())); // user_canceled
        let malformed = Err("the node sent a TLS alert that is malformed");
        for alert in [&[][..], &[1], &[1, 0, 1, 0]] {
            check(suite, &[(content::ALERT, alert)], malformed);
        }
    }
    check(TLS_12, &[(content::ALERT, &[1, 100])], Ok(()));
    check(
        TLS_13,
        &[(content::ALERT, &[1, 100])],
        Err("the node sent the TLS alert no_renegotiation"),
    );
}

#[test]
fn what_must_not_come_is_refused() {
    let unexpected = Err("the node sent an unexpected TLS message after the handshake");
    let empty = Err("the node sent an empty piece of a TLS message");
    let unknown = Err("the node sent a TLS record of an unknown type");
    // A client's hello, a server's, a certificate request, a finished, an unknown one.
    for message in [[1, 0, 0, 0], [2, 0, 0, 0], [13, 0, 0, 0], [20, 0, 0, 0], [99, 0, 0, 0]] {
        check(TLS_13, &[(content::HANDSHAKE, &message)], unexpected);
        check(TLS_12, &[(content::HANDSHAKE, &message)], unexpected);
    }
    check(TLS_13, &[(content::HANDSHAKE, &[0, 0, 0, 0])], unexpected);
    check(TLS_12, &[(content::HANDSHAKE, &[0, 0, 0, 0])], Ok(())); // hello_request
    check(TLS_12, &[(content::HANDSHAKE, &[0, 0, 0, 1, 0])], unexpected);
    check(TLS_12, &[(content::HANDSHAKE, &[24, 0, 0, 1, 0])], unexpected);
    check(TLS_12, &[(content::HANDSHAKE, &[4, 0, 0, 0])], unexpected);
    check(TLS_13, &[(content::HANDSHAKE, &[])], empty);
    check(TLS_12, &[(content::HANDSHAKE, &[])], empty);
    check(TLS_13, &[(24, b"x")], unknown); // a heartbeat
    check(TLS_13, &[(content::CHANGE_CIPHER_SPEC, &[1])], unknown);
    let change = "the node sent a change_cipher_spec after the TLS handshake";
    check(TLS_12, &[(content::CHANGE_CIPHER_SPEC, &[1])], Err(change));
}

#[test]
fn messages_are_checked() {
    let update: &[u8] = &[24, 0, 0, 1, 0];
    let malformed = Err("the node sent a TLS key update that is malformed");
    check(TLS_13, &[(content::HANDSHAKE, &[24, 0, 0, 1, 2])], malformed);
    check(TLS_13, &[(content::HANDSHAKE, &[24, 0, 0, 0])], malformed);
    check(TLS_13, &[(content::HANDSHAKE, &[24, 0, 0, 2, 0, 0])], malformed);
    let followed = Err("the node's TLS key update is followed by something in its record");
    check(TLS_13, &[(content::HANDSHAKE, &[update, update].concat())], followed);
    check(TLS_13, &[(content::HANDSHAKE, &[update, &[4]].concat())], followed);
    let ticket = Err("the node sent a TLS ticket that is malformed");
    check(TLS_13, &[(content::HANDSHAKE, &[4, 0, 0, 1, 0])], ticket);
    let long = Err("the node announced a TLS message that is too long");
    check(TLS_13, &[(content::HANDSHAKE, &[4, 1, 0, 1])], long);
    check(TLS_13, &[(content::HANDSHAKE, &[4, 255, 255, 255])], long);
    let within = Err("the node sent something else within a TLS message");
    for (typ, plain) in [(23, &b"x"[..]), (23, b""), (content::ALERT, &[1, 0])] {
        check(TLS_13, &[(content::HANDSHAKE, &update[..3]), (typ, plain)], within);
    }
    // In pieces.
    check(TLS_13, &[(content::HANDSHAKE, &[24]), (content::HANDSHAKE, &[0, 0, 1, 0])], Ok(()));
}

#[test]
fn records_without_data_are_counted() {
    let many = Err("the node sent too many TLS records without data");
    let nothing = (content::APPLICATION_DATA, &[][..]);
    let request = (content::HANDSHAKE, &[0, 0, 0, 0][..]);
    let mut records = vec![nothing; 28]; // besides the tickets
    check(TLS_13, &records, Ok(()));
    records.push((content::APPLICATION_DATA, b"x"));
    records.extend([nothing; 32]);
    check(TLS_13, &records, Ok(()));
    records.push(nothing);
    check(TLS_13, &records, many);
    check(TLS_12, &[request; 32], Ok(()));
    check(TLS_12, &[request; 33], many);
}

/// A long ticket, in as many pieces as that takes.
#[test]
fn a_ticket_may_be_long() {
    let (Secured { opener, received, .. }, node) = secured(TLS_13);
    let mut receiver = Receiver::new(opener, received);
    let mut key = node_key(node);
    // Lifetime, age, nonce, ticket, extensions (RFC 8446 §4.6.1).
    let mut ticket = vec![0, 0, 0, 60, 1, 2, 3, 4, 1, 0, 0xea, 0x60];
    ticket.extend([7; 60_000]);
    ticket.extend([0, 0]);
    let mut message = vec![4, 0, 0xea, 0x6e];
    message.extend(ticket);
    let mut sent = Vec::new();
    for piece in message.chunks(5_000) {
        key.seal(content::HANDSHAKE, piece, &mut sent).unwrap();
    }
    key.seal(content::APPLICATION_DATA, b"data", &mut sent).unwrap();
    receiver.take(&sent).unwrap();
    assert_eq!(receiver.data, b"data");
}

#[test]
fn plain_text_is_refused() {
    for suite in SUITES {
        let (Secured { mut opener, .. }, _) = secured(suite);
        let reply = &mut [0x84, 0, 0, 0, 0, 0, 0, 0, 0];
        let fault = opener.next(reply).unwrap_err();
        assert_eq!(fault.0, "the node sent something that is no encrypted TLS record");
    }
}

#[test]
fn shows_no_secret() {
    let (secured, _) = secured(TLS_13);
    let expect = "Secured { sealer: Sealer { key: Key { form: Tls13, .. }, .. }, .. }";
    assert_eq!(format!("{secured:?}"), expect);
}
