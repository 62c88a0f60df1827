//! Certificate authorities and what they issue. Names, key usages and life times are kubeadm's: an
//! authority lives 10 years, a leaf 1 year, both from 5 minutes before now.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use labkit_sim::{Rng, World};
use rand::RngCore;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use crate::key::Key;
use crate::request::SigningRequest;

const AUTHORITY_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 365;
const BACKDATED_MINUTES: i64 = 5;
/// What the certificate writer has room for.
const ORGANIZATIONS_MAX: usize = 2;

/// A certificate authority. Clones share its random stream.
#[derive(Debug, Clone)]
pub struct Authority {
    world: World,
    params: CertificateParams,
    key: Key,
    cert_pem: String,
    cert_der: Vec<u8>,
    rng: Arc<Mutex<Rng>>,
}

/// What a leaf certificate is to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeafSpec {
    /// The user's name, for clients.
    pub common_name: String,
    /// The user's groups, for clients.
    pub organizations: Vec<String>,
    /// DNS names and IP addresses, for servers.
    pub names: Vec<String>,
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Leaf {
    pub cert_pem: String,
    pub key_pem: String,
    pub(crate) cert_der: Vec<u8>,
    pub(crate) key_der: Vec<u8>,
}

impl Authority {
    /// A new self-signed authority. The same world's seed and `common_name` give the same key.
    pub fn new(world: &World, common_name: &str) -> Authority {
        let mut rng = world.seed().stream(&format!("pki/{common_name}"));
        let key = Key::generate(&mut rng);
        let mut params = params(world, &mut rng, AUTHORITY_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let certificate = params.self_signed(&key).expect("the parameters are complete");
        let (cert_pem, cert_der) = (certificate.pem(), certificate.der().to_vec());
        Authority { world: world.clone(), params, key, cert_pem, cert_der, rng: Arc::new(Mutex::new(rng)) }
    }

    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    pub(crate) fn cert_der(&self) -> &[u8] {
        &self.cert_der
    }

    /// Issues a client's certificate for somebody else's key, as PEM. Subject alternative names are left out.
    pub fn sign(&self, request: &SigningRequest, lifetime_seconds: i64) -> Result<String, String> {
        if request.organizations.len() > ORGANIZATIONS_MAX {
            return Err(format!("a certificate here carries at most {ORGANIZATIONS_MAX} organizations"));
        }
        let mut rng = self.rng.lock().expect("no panic happens under this lock");
        let mut params = params(&self.world, &mut rng, LEAF_DAYS);
        params.not_after =
            params.not_before + Duration::minutes(BACKDATED_MINUTES) + Duration::seconds(lifetime_seconds);
        params.distinguished_name = subject(&request.common_name, &request.organizations);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&request.key, &issuer).map_err(|error| error.to_string())?;
        Ok(certificate.pem())
    }

    /// Issues a certificate for servers and clients alike, as etcd's and kubelets' are.
    ///
    /// Panics if a name is neither an address nor ASCII, or if there are more than two organizations: the
    /// certificate writer has room for two.
    pub fn issue(&self, spec: &LeafSpec) -> Leaf {
        let mut rng = self.rng.lock().expect("no panic happens under this lock");
        let key = Key::generate(&mut rng);
        let mut params = params(&self.world, &mut rng, LEAF_DAYS);
        assert!(
            spec.organizations.len() <= ORGANIZATIONS_MAX,
            "a certificate here carries at most two organizations"
        );
        params.distinguished_name = subject(&spec.common_name, &spec.organizations);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = spec.names.iter().map(|name| subject_name(name)).collect();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).expect("the parameters are complete");
        Leaf {
            cert_pem: certificate.pem(),
            key_pem: key.pem(),
            cert_der: certificate.der().to_vec(),
            key_der: key.pkcs8_der(),
        }
    }
}

fn subject(common_name: &str, organizations: &[String]) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    for (index, organization) in organizations.iter().enumerate() {
        // rcgen keeps one value per type; the second goes in under the same OID spelled out.
        let kind =
            if index == 0 { DnType::OrganizationName } else { DnType::CustomDnType(vec![2, 5, 4, 10]) };
        subject.push(kind, organization.as_str());
    }
    subject.push(DnType::CommonName, common_name);
    subject
}

fn subject_name(name: &str) -> SanType {
    match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into().expect("names of components are ASCII")),
    }
}

fn params(world: &World, rng: &mut Rng, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = OffsetDateTime::from_unix_timestamp(world.clock().now().as_second())
        .expect("the world's date is one");
    params.not_before = now - Duration::minutes(BACKDATED_MINUTES);
    params.not_after = params.not_before + Duration::days(days);
    params.serial_number = Some(SerialNumber::from(rng.next_u64() >> 1));
    params
}

#[cfg(test)]
mod tests {
    use labkit_sim::{Pace, run};

    use super::*;

    fn issue(seed: u64) -> (String, String) {
        run(Pace::Virtual, seed, |world| async move {
            let authority = Authority::new(&world, "kubernetes");
            let spec = LeafSpec {
                common_name: "jane".to_owned(),
                organizations: vec!["dev".to_owned(), "ops".to_owned()],
                names: vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
            };
            let leaf = authority.issue(&spec);
            (authority.cert_pem().to_owned(), leaf.cert_pem)
        })
    }

    #[test]
    fn one_seed_gives_one_certificate() {
        assert_eq!(issue(1), issue(1));
        assert_ne!(issue(1), issue(2));
    }

    #[test]
    fn a_leaf_carries_its_user_and_groups() {
        let (_, pem) = issue(1);
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        assert_eq!(certificate.subject().to_string(), "O=dev, O=ops, CN=jane");
        assert_eq!(certificate.issuer().to_string(), "CN=kubernetes");
        assert_eq!(certificate.validity().not_before.timestamp(), 1_767_225_600 - 300);
    }
}
