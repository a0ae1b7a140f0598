//! TLS: who is trusted, and who is let in.

use anyhow::{Context as _, Result, bail, ensure};
use shardwire::{ErrorKind, SessionBuilder, TlsContext};

use crate::case::{Case, case};
use crate::certificates::Authority;
use crate::configuration::Access;
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    case!(tls::requests).access(Access::Tls),
    case!(tls::other_names).access(Access::Tls),
    case!(tls::other_authorities).access(Access::Tls),
    case!(tls::plain_text).access(Access::Tls),
    case!(tls::client_certificates).access(Access::ClientCertificates),
];

/// What fits a record with others, fills one, and takes many.
async fn requests(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.alter(&session, "CREATE TABLE {ks}.t (id int PRIMARY KEY, b blob)").await?;
    let insert = session.prepare(context.text("INSERT INTO {ks}.t (id, b) VALUES (?, ?)")).await?;
    let select = session.prepare(context.text("SELECT b FROM {ks}.t WHERE id = ?")).await?;
    for (id, len) in [(0, 0), (1, 1), (2, 16_384), (3, 100_000), (4, 1_000_000)] {
        let bytes: Vec<u8> =
            (0..len).map(|n: u32| n.wrapping_mul(0x9E37_79B1).to_be_bytes()[0]).collect();
        session.execute_unpaged(&insert, (id, &bytes)).await?;
        let result = session.execute_unpaged(&select, (id,)).await?.into_rows_result()?;
        ensure!(result.single_row::<(&[u8],)>()?.0 == bytes, "{len} bytes");
    }
    // Many at once, which share records.
    let selects = (0..200).map(|n| session.execute_unpaged(&select, (n % 3,)));
    futures::future::try_join_all(selects).await?;
    Ok(())
}

/// A node whose certificate names something else is refused, unless names are not looked at.
async fn other_names(context: &Context) -> Result<()> {
    let pem = context.target().client_pem().context("no TLS")?;
    let other = || pem.trust().server_name("db.example.com");
    refused(context.builder().tls_context(Some(other().build()?)), "not valid for name").await?;
    let careless = other().verify_hostname(false).build()?;
    context.builder().tls_context(Some(careless)).build().await?;
    Ok(())
}

async fn other_authorities(context: &Context) -> Result<()> {
    let tls = TlsContext::builder().ca_pem(Authority::new()?.pem()).build()?;
    // Nor without looking at names.
    refused(context.builder().tls_context(Some(tls)), "certificate").await?;
    let tls = TlsContext::builder().ca_pem(Authority::new()?.pem()).verify_hostname(false);
    refused(context.builder().tls_context(Some(tls.build()?)), "certificate").await
}

async fn plain_text(context: &Context) -> Result<()> {
    refused(context.builder().tls_context(None::<TlsContext>), "").await
}

/// Who shows none, or one of another authority, is not let in.
async fn client_certificates(context: &Context) -> Result<()> {
    let session = context.session().await?;
    context.query(&session, "SELECT key FROM system.local").await?;
    let pem = context.target().client_pem().context("no TLS")?;
    refused(context.builder().tls_context(Some(pem.trust().build()?)), "").await?;
    let stranger = Authority::new()?.issue(None)?;
    let stranger = pem.trust().client_pem(stranger.certificate, stranger.key).build()?;
    refused(context.builder().tls_context(Some(stranger)), "").await
}

/// No session comes about, and the error says why.
async fn refused(builder: SessionBuilder, says: &str) -> Result<()> {
    let Err(error) = builder.build().await else { bail!("it connects") };
    ensure!(error.kind() == ErrorKind::Connect, "{error:?}");
    ensure!(error.to_string().contains(says), "{error:?}");
    Ok(())
}
