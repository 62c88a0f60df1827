//! Certificate signing requests: what somebody else's key wants to be called. Counterpart: `crypto/x509`'s
//! `ParseCertificateRequest`. The request's own signature is not looked at, as upstream's signers do not either.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::SignatureAlgorithm;
use x509_parser::prelude::{FromDer, X509CertificationRequest};

/// A request that can be read.
#[derive(Debug, Clone)]
pub struct SigningRequest {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub(crate) key: PublicKey,
}

/// A public key that we do not have the other half of.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey {
    bits: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl rcgen::PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningRequest {
    /// Reads the first PEM block, which has to be a `CERTIFICATE REQUEST`.
    pub fn parse(pem: &str) -> Result<SigningRequest, String> {
        const LABEL: &str = "PEM block type must be CERTIFICATE REQUEST";
        let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE REQUEST-----").ok_or(LABEL)?;
        let (body, _) = rest.split_once("-----END CERTIFICATE REQUEST-----").ok_or(LABEL)?;
        let body: String = body.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| LABEL)?;
        let (_, request) = X509CertificationRequest::from_der(&der)
            .map_err(|error| format!("the certificate request cannot be read: {error}"))?;
        let info = &request.certification_request_info;
        let subject = &info.subject;
        let common_name = subject.iter_common_name().next().and_then(|name| name.as_str().ok());
        let organizations = subject.iter_organization().filter_map(|name| name.as_str().ok());
        let key = &info.subject_pki;
        let curve = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
        let curve = curve.map(|oid| oid.to_id_string()).unwrap_or_default();
        let algorithm = match (key.algorithm.algorithm.to_id_string().as_str(), curve.as_str()) {
            ("1.2.840.113549.1.1.1", _) => &rcgen::PKCS_RSA_SHA256,
            ("1.2.840.10045.2.1", "1.2.840.10045.3.1.7") => &rcgen::PKCS_ECDSA_P256_SHA256,
            ("1.2.840.10045.2.1", "1.3.132.0.34") => &rcgen::PKCS_ECDSA_P384_SHA384,
            ("1.3.101.112", _) => &rcgen::PKCS_ED25519,
            (other, _) => return Err(format!("a public key of the kind {other} cannot be certified")),
        };
        Ok(SigningRequest {
            common_name: common_name.unwrap_or_default().to_owned(),
            organizations: organizations.map(str::to_owned).collect(),
            key: PublicKey { bits: key.subject_public_key.data.to_vec(), algorithm },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_request_is_refused() {
        let wrong_block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let no_request = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
        for (text, part) in
            [("", "PEM block type"), (wrong_block, "PEM block type"), (no_request, "cannot be read")]
        {
            let error = SigningRequest::parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
