//! TLS from PEM files, as etcd's flags name them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The files of one side, clients' or peers'.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub trusted_ca: Option<PathBuf>,
    /// Who connects must present a certificate of that authority.
    pub client_cert_auth: bool,
}

/// Why files do not make a TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("https needs {0}")]
    Missing(&'static str),
    #[error("cannot use {}: {error}", path.display())]
    File { path: PathBuf, error: rustls::pki_types::pem::Error },
    #[error("cannot use {}: it has no certificate", .0.display())]
    Empty(PathBuf),
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    #[error(transparent)]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

impl TlsFiles {
    /// The side that listens.
    pub fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let (chain, key) = self.identity()?.ok_or(TlsError::Missing("a certificate and its key"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let config = match &self.trusted_ca {
            Some(path) if self.client_cert_auth => {
                let roots = Arc::new(roots(path)?);
                config.with_client_cert_verifier(
                    WebPkiClientVerifier::builder_with_provider(roots, provider).build()?,
                )
            }
            None if self.client_cert_auth => {
                return Err(TlsError::Missing("a trusted CA to judge clients by"));
            }
            _ => config.with_no_client_auth(),
        };
        Ok(Arc::new(config.with_single_cert(chain, key)?))
    }

    /// The side that dials, with its own certificate where it has one.
    pub fn client(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let path = self.trusted_ca.as_ref().ok_or(TlsError::Missing("a trusted CA to judge peers by"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots(path)?);
        Ok(Arc::new(match self.identity()? {
            Some((chain, key)) => config.with_client_auth_cert(chain, key)?,
            None => config.with_no_client_auth(),
        }))
    }

    fn identity(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, TlsError> {
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else { return Ok(None) };
        let file = |path: &Path| {
            let path = path.to_owned();
            move |error| TlsError::File { path, error }
        };
        let key = PrivateKeyDer::from_pem_file(key).map_err(file(key))?;
        Ok(Some((certificates(cert)?, key)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |error| TlsError::File { path: path.to_owned(), error };
    let read = CertificateDer::pem_file_iter(path).map_err(file)?;
    let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(file)?;
    if certificates.is_empty() { Err(TlsError::Empty(path.to_owned())) } else { Ok(certificates) }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}
