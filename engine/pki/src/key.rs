//! P-256 keys from a random stream of the world.

use labkit_sim::Rng;
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{DerSignature, Signature, SigningKey};
use p256::pkcs8::{EncodePrivateKey, LineEnding};

/// A private key. Its signatures are deterministic.
#[derive(Clone)]
pub struct Key {
    signing: SigningKey,
    public: Vec<u8>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    pub fn generate(rng: &mut Rng) -> Key {
        let signing = SigningKey::random(rng);
        let public = signing.verifying_key().to_encoded_point(false).as_bytes().to_vec();
        Key { signing, public }
    }

    /// PKCS #8, as kubeadm's tools read it.
    pub fn pem(&self) -> String {
        let pem = self.signing.to_pkcs8_pem(LineEnding::LF).expect("a P-256 key has a PKCS #8 form");
        pem.to_string()
    }

    /// The public point, uncompressed: 4, x, y.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// A signature as JSON web tokens have it (ES256): r and s, 32 bytes each.
    pub fn sign_es256(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.signing.sign(message);
        signature.to_bytes().to_vec()
    }

    /// Whether [`Key::sign_es256`] made this signature.
    pub fn verifies_es256(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.signing.verifying_key().verify(message, &signature).is_ok())
    }

    pub(crate) fn pkcs8_der(&self) -> Vec<u8> {
        self.signing.to_pkcs8_der().expect("a P-256 key has a PKCS #8 form").as_bytes().to_vec()
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature = self.signing.sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}
