//! Over sockets: to the embedded node, to a port in plain text, to one that closes.

use shardwire_protocol::header::{HEADER_LEN, Opcode, ResponseHeader, Version};
use shardwire_protocol::request::{Options, Request, encode_request};
use shardwire_server::{Cluster, Tls as ServerTls};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::super::{TlsStream, connect};
use super::*;

async fn cluster(clients: Clients) -> Cluster {
    let Identity { certificate, key } = &PKI.node;
    let mut tls = ServerTls::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    if clients == Clients::Certified {
        tls = tls.client_ca(PKI.authority.pem().as_bytes()).unwrap();
    }
    Cluster::builder().tls(tls).start().await.unwrap()
}

async fn open(cluster: &Cluster, context: &TlsContext) -> Result<TlsStream, String> {
    let mut stream = TcpStream::connect(cluster.contact_points()[0]).await.unwrap();
    let secured = connect(&mut stream, context, node_name()).await?;
    Ok(TlsStream::new(stream, secured))
}

/// Asks for OPTIONS; the opcode of the reply.
async fn ask(stream: &mut TlsStream) -> std::io::Result<Opcode> {
    let mut frame = vec![0; HEADER_LEN + Options.body_len(Version::V4).unwrap()];
    encode_request(&Options, Version::V4, 0, 0, &mut frame).unwrap();
    stream.write_all(&frame).await?;
    let mut head = [0; HEADER_LEN];
    stream.read_exact(&mut head).await?;
    let header = ResponseHeader::decode(&head).unwrap();
    stream.read_exact(&mut vec![0; header.body_len as usize]).await?;
    Ok(header.opcode)
}

#[tokio::test]
async fn the_embedded_node_answers() {
    let cluster = cluster(Clients::Any).await;
    let context = PKI.builder().build().unwrap();
    for _ in 0..2 {
        let mut stream = open(&cluster, &context).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), Opcode::Supported);
        assert_eq!(ask(&mut stream).await.unwrap(), Opcode::Supported);
        stream.into_parts().unwrap();
    }
}

#[tokio::test]
async fn the_embedded_node_asks_for_a_certificate() {
    let cluster = cluster(Clients::Certified).await;
    let Identity { certificate, key } = &PKI.client;
    let context = PKI.builder().client_pem(certificate, key).build().unwrap();
    let mut stream = open(&cluster, &context).await.unwrap();
    assert_eq!(ask(&mut stream).await.unwrap(), Opcode::Supported);
    let context = PKI.builder().build().unwrap();
    let mut stream = open(&cluster, &context).await.unwrap();
    // Written after the node has closed, a request may be answered by a reset before the alert.
    let mut head = [0];
    let error = stream.read_exact(&mut head).await.unwrap_err();
    assert_eq!(error.to_string(), "the node sent the TLS alert certificate_required");
}

#[tokio::test]
async fn a_node_that_closes_is_told() {
    let cluster = cluster(Clients::Any).await;
    let context = PKI.builder().build().unwrap();
    let mut stream = open(&cluster, &context).await.unwrap();
    ask(&mut stream).await.unwrap();
    cluster.stop_node(0).await.unwrap();
    let error = stream.read_exact(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn other_ports_are_told_apart() {
    let context = PKI.builder().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&[0x84]).await.unwrap();
        stream
    };
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (_plain, result) = tokio::join!(plain, connect(&mut stream, &context, node_name()));
    let reason = result.unwrap_err();
    assert_eq!(reason, "the node does not speak TLS here: it sent byte 0x84 first");

    let closing = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.shutdown().await.unwrap();
        stream
    };
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (_closed, result) = tokio::join!(closing, connect(&mut stream, &context, node_name()));
    assert_eq!(result.unwrap_err(), "the node closed the connection during the TLS handshake");
}
