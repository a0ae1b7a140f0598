//! Certificates, as PEM: those of embedded nodes, and what clients have for any cluster.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use shardwire::{TlsContext, TlsContextBuilder};
use shardwire_testing_cassandra::TlsFiles;

/// What a client has, as PEM.
#[derive(Clone)]
pub(crate) struct ClientPem {
    authority: String,
    certificate: String,
    key: String,
}

impl std::fmt::Debug for ClientPem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientPem").finish_non_exhaustive()
    }
}

impl ClientPem {
    /// From the files of a cluster of Cassandra.
    pub(crate) fn read(files: &TlsFiles) -> Result<Self> {
        let read = |path: &std::path::Path| {
            std::fs::read_to_string(path).with_context(|| path.display().to_string())
        };
        Ok(Self {
            authority: read(&files.authority)?,
            certificate: read(&files.client_certificate)?,
            key: read(&files.client_key)?,
        })
    }

    /// A context that trusts the authority and shows nothing.
    pub(crate) fn trust(&self) -> TlsContextBuilder {
        TlsContext::builder().ca_pem(&self.authority)
    }

    /// As [`trust`](Self::trust), and shows the certificate to nodes that ask for it.
    pub(crate) fn show(&self) -> TlsContextBuilder {
        self.trust().client_pem(&self.certificate, &self.key)
    }
}

/// Who signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of a node at this address, or of a client.
    pub(crate) fn issue(&self, address: Option<IpAddr>) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.subject_alt_names = address.map(SanType::IpAddress).into_iter().collect();
        let certificate = params.signed_by(&key, &self.0)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }

    /// What a client of its cluster has.
    pub(crate) fn client(&self) -> Result<ClientPem> {
        let Identity { certificate, key } = self.issue(None)?;
        Ok(ClientPem { authority: self.pem(), certificate, key })
    }
}
