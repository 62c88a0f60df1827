//! rustls configurations. Certificates are judged by rustls' own clock, the host's: live worlds start there.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::authority::{Authority, Leaf};

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    Required,
    /// Without one the client is anonymous, or brings a token.
    Optional,
}

/// A server's side of TLS: its certificate, the authority of its clients, its protocols (ALPN).
pub fn server_config(
    clients: &Authority,
    leaf: &Leaf,
    auth: ClientAuth,
    protocols: &[&str],
) -> Arc<ServerConfig> {
    server_config_for(clients, "", leaf, auth, protocols).expect("an authority's certificate is a root")
}

/// The same, which knows the clients of further authorities: their certificates as PEM.
pub fn server_config_for(
    clients: &Authority,
    more_clients_pem: &str,
    leaf: &Leaf,
    auth: ClientAuth,
    protocols: &[&str],
) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(clients.cert_der().to_vec()))
        .expect("an authority's certificate is a root");
    for certificate in CertificateDer::pem_slice_iter(more_clients_pem.as_bytes()) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        added?;
    }
    if !more_clients_pem.is_empty() && roots.len() < 2 {
        return Err("there is no certificate in PEM".to_owned());
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = match auth {
        ClientAuth::Required => verifier,
        ClientAuth::Optional => verifier.allow_unauthenticated(),
    };
    let chain = vec![CertificateDer::from(leaf.cert_der.clone())];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf.key_der.clone()));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks the default versions")
        .with_client_cert_verifier(verifier.build().expect("there is a root"))
        .with_single_cert(chain, key)
        .expect("the key belongs to the certificate");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}
