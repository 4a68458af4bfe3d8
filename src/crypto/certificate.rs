//! Certificates (RFC 5280): issued by themselves or by an authority that a record holds; and whether a certificate and a key belong
//! together. Called by `generate` and by the door.

use std::sync::Arc;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::key_pair::{MadePair, pem};
use super::random;
use crate::domain::generate::{CertificateSpec, Usage, renewal};

/// How much before it is made a certificate begins: clocks differ.
const BACKDATED_SECONDS: i64 = 300;
/// Bytes of a serial number (RFC 5280, section 4.1.2.2, allows 20).
const SERIAL_BYTES: usize = 16;
/// Characters of a line of PEM.
const PEM_LINE: usize = 64;

/// A certificate authority: its certificate and its private key, both in PEM.
pub struct Authority {
    /// The certificate, with those above it if it is an intermediate one.
    pub certificate: Zeroizing<Vec<u8>>,
    /// The private key.
    pub private_key: Zeroizing<Vec<u8>>,
}

/// A certificate that was issued.
pub struct Issued {
    /// Its private key in PEM.
    pub private_key: Zeroizing<String>,
    /// It, and the intermediate authorities above it, in PEM.
    pub certificate: String,
    /// Whom to trust, in PEM: the authority, or itself.
    pub authority: String,
    /// When it is to be renewed.
    pub renew_at: Timestamp,
}

/// Why no certificate was issued. Holds no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The library refuses.
    #[error("no certificate can be made of this; look at the names that it is to hold")]
    Refused,
    /// The authority's certificate cannot be read.
    #[error("the issuer's certificate is not a certificate in PEM")]
    IssuerCertificate,
    /// It may not issue certificates.
    #[error("the issuer's certificate is not that of an authority: it has no basic constraint CA")]
    NotAnAuthority,
    /// It is not valid now.
    #[error("the issuer's certificate is past its end, or not good yet")]
    IssuerEnded,
    /// The private key cannot be read, or belongs to another certificate.
    #[error("the issuer's private key is not a private key in PEM that belongs to its certificate")]
    IssuerKey,
}

/// Issues a certificate with a new key.
///
/// # Errors
/// [`IssueError`].
pub fn issue(spec: &CertificateSpec, authority: Option<&Authority>, now: Timestamp) -> Result<Issued, IssueError> {
    let pair = MadePair::generate(&spec.key).map_err(|_| IssueError::Refused)?;
    let key = rcgen_key(&PrivateKeyDer::Pkcs8(pair.pkcs8.as_slice().into())).ok_or(IssueError::Refused)?;
    let lifetime = spec.lifetime().map_err(|_| IssueError::Refused)?;
    let issuer = authority.map(|authority| Opened::new(authority, now)).transpose()?;
    // Nothing that an authority signs outlives it.
    let ends = match &issuer {
        Some(issuer) => lifetime.after(now).min(issuer.ends),
        None => lifetime.after(now),
    };
    let params = params(spec, now, ends)?;
    let certificate = match &issuer {
        Some(issuer) => {
            let by =
                Issuer::from_ca_cert_der(&issuer.chain[0], &issuer.key).map_err(|_| IssueError::IssuerCertificate)?;
            params.signed_by(&key, &by)
        }
        None => params.self_signed(&key),
    }
    .map_err(|_| IssueError::Refused)?;
    let own = certificate_pem(certificate.der());
    let (chain, trusted) = match &issuer {
        None => (own.clone(), own),
        Some(issuer) => {
            let above: String = issuer.intermediates().map(certificate_pem).collect();
            (
                own + &above,
                issuer.chain.iter().last().map(certificate_pem).unwrap_or_default(),
            )
        }
    };
    let before = spec.renew_before().map_err(|_| IssueError::Refused)?;
    Ok(Issued {
        private_key: pair.private_pem(),
        certificate: chain,
        authority: trusted,
        renew_at: renewal(now, ends, before),
    })
}

/// Why a certificate and a key cannot serve TLS together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// Not a certificate.
    #[error("tls.crt is not a certificate in PEM")]
    Certificate,
    /// Not a private key.
    #[error("tls.key is not a private key in PEM that TLS can use")]
    Key,
    /// Of two pairs.
    #[error("tls.key is not the key of the certificate in tls.crt")]
    Mismatch,
}

/// Checks that a certificate and a private key, both in PEM, belong together.
///
/// # Errors
/// [`PairError`].
pub fn check_pair(certificate: &[u8], private_key: &[u8]) -> Result<(), PairError> {
    let chain = chain(certificate).ok_or(PairError::Certificate)?;
    X509Certificate::from_der(&chain[0]).map_err(|_| PairError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(private_key).map_err(|_| PairError::Key)?;
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|_| PairError::Key)?;
    CertifiedKey::new(chain, Arc::clone(&key))
        .keys_match()
        .map_err(|_| PairError::Mismatch)
}

/// An authority whose certificate and key were read and belong together.
struct Opened {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    ends: Timestamp,
}

impl Opened {
    fn new(authority: &Authority, now: Timestamp) -> Result<Self, IssueError> {
        let chain = chain(&authority.certificate).ok_or(IssueError::IssuerCertificate)?;
        let (_, certificate) = X509Certificate::from_der(&chain[0]).map_err(|_| IssueError::IssuerCertificate)?;
        if !certificate.is_ca() {
            return Err(IssueError::NotAnAuthority);
        }
        let validity = certificate.validity();
        let ends = Timestamp::from_second(validity.not_after.timestamp()).map_err(|_| IssueError::IssuerCertificate)?;
        if ends <= now || validity.not_before.timestamp() > now.as_second() {
            return Err(IssueError::IssuerEnded);
        }
        let der = PrivateKeyDer::from_pem_slice(&authority.private_key).map_err(|_| IssueError::IssuerKey)?;
        check_pair(&authority.certificate, &authority.private_key).map_err(|_| IssueError::IssuerKey)?;
        let key = rcgen_key(&der).ok_or(IssueError::IssuerKey)?;
        Ok(Self { chain, key, ends })
    }

    /// The authorities that clients do not have themselves: all that were not issued by themselves.
    fn intermediates(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.chain.iter().filter(|der| {
            X509Certificate::from_der(der).is_ok_and(|(_, certificate)| certificate.issuer() != certificate.subject())
        })
    }
}

fn rcgen_key(der: &PrivateKeyDer<'_>) -> Option<KeyPair> {
    KeyPair::try_from(der).ok()
}

fn chain(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    chain.ok().filter(|chain| !chain.is_empty())
}

fn certificate_pem(der: &CertificateDer<'_>) -> String {
    pem("CERTIFICATE", der, PEM_LINE).to_string()
}

fn params(spec: &CertificateSpec, now: Timestamp, ends: Timestamp) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    let time = |second: i64| OffsetDateTime::from_unix_timestamp(second).map_err(|_| IssueError::Refused);
    params.not_before = time(now.as_second().saturating_sub(BACKDATED_SECONDS))?;
    params.not_after = time(ends.as_second())?;
    let mut serial: [u8; SERIAL_BYTES] = random::bytes();
    // A positive number without leading zeros, whatever was drawn.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    for (kind, text) in [
        (DnType::OrganizationName, &spec.organization),
        (DnType::CommonName, &spec.common_name),
    ] {
        if let Some(text) = text {
            params.distinguished_name.push(kind, text.clone());
        }
    }
    for name in &spec.dns_names {
        let name = name.as_str().try_into().map_err(|_| IssueError::Refused)?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params
        .subject_alt_names
        .extend(spec.ip_addresses.iter().map(|address| SanType::IpAddress(*address)));
    for uri in &spec.uris {
        let uri = uri.as_str().try_into().map_err(|_| IssueError::Refused)?;
        params.subject_alt_names.push(SanType::URI(uri));
    }
    params.use_authority_key_identifier_extension = true;
    if spec.is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
    } else {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    }
    let usages = match &spec.usages {
        Some(usages) => usages.clone(),
        None if spec.is_ca => Vec::new(),
        None => vec![Usage::ServerAuth, Usage::ClientAuth],
    };
    params.extended_key_usages = usages
        .into_iter()
        .map(|usage| match usage {
            Usage::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
            Usage::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
            Usage::CodeSigning => ExtendedKeyUsagePurpose::CodeSigning,
            Usage::EmailProtection => ExtendedKeyUsagePurpose::EmailProtection,
        })
        .collect();
    Ok(params)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn now() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn spec(text: &str) -> CertificateSpec {
        serde_json::from_str(text).unwrap()
    }

    fn issued(text: &str, authority: Option<&Authority>) -> Issued {
        issue(&spec(text), authority, now()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn authority(issued: &Issued) -> Authority {
        Authority {
            certificate: Zeroizing::new(issued.certificate.clone().into_bytes()),
            private_key: Zeroizing::new(issued.private_key.as_bytes().to_vec()),
        }
    }

    #[test]
    fn a_certificate_and_its_key_belong_together_and_others_do_not() {
        let one = issued(r#"{"commonName": "a"}"#, None);
        let other = issued(r#"{"commonName": "a"}"#, None);
        let check = |certificate: &str, key: &str| check_pair(certificate.as_bytes(), key.as_bytes());
        assert_eq!(check(&one.certificate, &one.private_key), Ok(()));
        assert_eq!(check(&one.certificate, &other.private_key), Err(PairError::Mismatch));
        assert_eq!(check("", &one.private_key), Err(PairError::Certificate));
        assert_eq!(check(&one.private_key, &one.private_key), Err(PairError::Certificate));
        assert_eq!(check(&one.certificate, &one.certificate), Err(PairError::Key));
    }

    #[test]
    fn names_usages_and_times_are_those_of_the_specification() {
        let issued = issued(
            r#"{"commonName": "orders", "organization": "Shop", "dnsNames": ["orders.shop.svc", "*.shop.svc"], "ipAddresses": ["10.0.0.1"],
                "uris": ["spiffe://example.com/orders"], "usages": ["serverAuth"], "duration": "30d", "key": {"type": "ecdsaP256"}}"#,
            None,
        );
        let chain = chain(issued.certificate.as_bytes()).unwrap();
        let (_, certificate) = X509Certificate::from_der(&chain[0]).unwrap();
        assert_eq!(certificate.subject().to_string(), "O=Shop, CN=orders");
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 4);
        let usage = certificate.extended_key_usage().unwrap().unwrap();
        assert!(usage.value.server_auth && !usage.value.client_auth);
        assert!(!certificate.is_ca());
        assert_eq!(
            certificate.validity().not_after.timestamp(),
            now().as_second() + 30 * 86_400
        );
        assert_eq!(issued.renew_at.as_second(), now().as_second() + 20 * 86_400);
        assert_eq!(issued.authority, issued.certificate, "its own authority");
    }

    #[test]
    fn an_authority_signs_and_nothing_outlives_it() {
        for key in [
            r#"{"type": "ed25519"}"#,
            r#"{"type": "ecdsaP256"}"#,
            r#"{"type": "rsa", "bits": 2048}"#,
        ] {
            let root = issued(
                &format!(r#"{{"commonName": "Root", "isCA": true, "duration": "10d", "key": {key}}}"#),
                None,
            );
            let leaf = issued(
                r#"{"dnsNames": ["orders"], "duration": "30d"}"#,
                Some(&authority(&root)),
            );
            assert_eq!(leaf.authority, root.certificate);
            let chain = chain(leaf.certificate.as_bytes()).unwrap();
            assert_eq!(chain.len(), 1, "clients have the root themselves");
            let (_, certificate) = X509Certificate::from_der(&chain[0]).unwrap();
            let root_der = super::chain(root.certificate.as_bytes()).unwrap();
            let (_, root_certificate) = X509Certificate::from_der(&root_der[0]).unwrap();
            certificate
                .verify_signature(Some(root_certificate.public_key()))
                .unwrap();
            assert_eq!(certificate.validity().not_after, root_certificate.validity().not_after);
            assert!(leaf.renew_at < "2026-06-11T12:00:00Z".parse().unwrap());
        }
    }

    #[test]
    fn an_intermediate_authority_goes_along_with_what_it_signs() {
        let root = issued(r#"{"commonName": "Root", "isCA": true}"#, None);
        let middle = issued(r#"{"commonName": "Middle", "isCA": true}"#, Some(&authority(&root)));
        let leaf = issued(r#"{"commonName": "leaf"}"#, Some(&authority(&middle)));
        assert_eq!(chain(leaf.certificate.as_bytes()).unwrap().len(), 2);
        assert!(leaf.certificate.ends_with(&middle.certificate));
    }

    #[test]
    fn what_is_no_authority_issues_nothing() {
        let leaf = issued(r#"{"commonName": "leaf"}"#, None);
        let root = issued(r#"{"commonName": "Root", "isCA": true, "duration": "1d"}"#, None);
        let refusal = |authority: &Authority, at: &str| {
            issue(&spec(r#"{"commonName": "x"}"#), Some(authority), at.parse().unwrap()).err()
        };
        let good = "2026-06-01T12:00:00Z";
        assert_eq!(refusal(&authority(&leaf), good), Some(IssueError::NotAnAuthority));
        assert_eq!(
            refusal(&authority(&root), "2026-06-03T00:00:00Z"),
            Some(IssueError::IssuerEnded)
        );
        assert_eq!(
            refusal(&authority(&root), "2026-05-01T00:00:00Z"),
            Some(IssueError::IssuerEnded)
        );
        let mut mixed = authority(&root);
        mixed.private_key = authority(&leaf).private_key;
        assert_eq!(refusal(&mixed, good), Some(IssueError::IssuerKey));
        mixed.certificate = Zeroizing::new(b"nothing".to_vec());
        assert_eq!(refusal(&mixed, good), Some(IssueError::IssuerCertificate));
    }

    /// Another implementation agrees that the chain is good.
    #[test]
    fn openssl_verifies_the_chain() {
        if Command::new("openssl").arg("version").output().is_err() {
            println!("skipped: there is no openssl");
            return;
        }
        let root = issued(
            r#"{"commonName": "Root", "isCA": true, "key": {"type": "ecdsaP256"}}"#,
            None,
        );
        let leaf = issued(
            r#"{"commonName": "orders", "dnsNames": ["orders.shop.svc"]}"#,
            Some(&authority(&root)),
        );
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (ca, crt) = (file("ca.crt", &leaf.authority), file("tls.crt", &leaf.certificate));
        let at = now().as_second().to_string();
        let output = Command::new("openssl")
            .args([
                "verify",
                "-x509_strict",
                "-purpose",
                "sslserver",
                "-verify_hostname",
                "orders.shop.svc",
                "-attime",
                &at,
                "-CAfile",
            ])
            .args([&ca, &crt])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
