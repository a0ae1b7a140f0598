//! Certificates of a cluster: an authority made for it, one certificate per node, one for clients.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore};

/// Files in PEM with what a client needs for TLS; from [`Cassandra::tls`](crate::Cassandra::tls).
///
/// ```no_run
/// use shardwire_testing_cassandra::Cassandra;
///
/// let cluster = Cassandra::builder().client_certificates().start()?;
/// let files = cluster.tls().expect("it was asked for");
/// println!("{}", files.authority.display());
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificate that a client has to trust. The nodes' name their IP address and no host.
    pub authority: PathBuf,
    /// A client's certificate, signed by the authority.
    pub client_certificate: PathBuf,
    /// Its private key, PKCS#8.
    pub client_key: PathBuf,
}

/// What a cluster has for TLS.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) files: TlsFiles,
    pub(crate) client: Arc<ClientConfig>,
}

/// The private key and certificate of the node that has its files in `folder`.
pub(crate) fn node_pem(folder: &Path) -> PathBuf {
    folder.join("node.pem")
}

/// The authority's certificate in the folder of the cluster.
pub(crate) fn authority_pem(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

/// An authority. It lives as long as the cluster is being created: no key of it is written.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "shardwire testing authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?);
        Ok(Self { issuer: issuer.context("no certificate of the authority")? })
    }

    /// Writes the key and certificate of the node at `address`, as Cassandra wants both: in a file.
    pub(crate) fn write_node(&self, address: Ipv4Addr, folder: &Path) -> Result<()> {
        let params = CertificateParams::new(vec![address.to_string()])?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let (pem, path) = (key.serialize_pem() + &certificate.pem(), node_pem(folder));
        fs::write(&path, pem).with_context(|| format!("no {}", path.display()))
    }

    /// Writes what clients need.
    pub(crate) fn write_client(&self, folder: &Path) -> Result<Certificates> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "shardwire testing client");
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let files = TlsFiles {
            authority: authority_pem(folder),
            client_certificate: folder.join("client.pem"),
            client_key: folder.join("client.key"),
        };
        for (path, pem) in [
            (&files.authority, self.issuer.pem()),
            (&files.client_certificate, certificate.pem()),
            (&files.client_key, key.serialize_pem()),
        ] {
            fs::write(path, pem).with_context(|| format!("no {}", path.display()))?;
        }
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )?;
        Ok(Certificates { files, client: Arc::new(client) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder;

    #[test]
    fn keys_are_pkcs_8_and_stand_first() {
        let folder = folder::create_for_cluster().unwrap();
        let authority = Authority::new().unwrap();
        authority.write_node(Ipv4Addr::LOCALHOST, &folder).unwrap();
        let certificates = authority.write_client(&folder).unwrap();
        // Cassandra reads no other form.
        let node = fs::read_to_string(node_pem(&folder)).unwrap();
        assert!(node.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(node.contains("-----BEGIN CERTIFICATE-----"));
        let key = fs::read_to_string(&certificates.files.client_key).unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(!format!("{certificates:?}").contains("PRIVATE"));
        fs::remove_dir_all(folder).unwrap();
    }
}
