//! Certificates for an installation that has no authority of its own: a private authority, and server certificates that it signs
//! (X.509, RFC 5280; ECDSA P-256). Called by `app`, for `setup certificate`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// The subject of the authority, and so the issuer of what it signs.
const AUTHORITY: &str = "Aether Vault installation";
/// Ten years: whoever trusts the authority does so for long.
const AUTHORITY_VALID: SignedDuration = SignedDuration::from_hours(24 * 3650);
/// Certificates begin a little earlier, for clocks that lag.
const BACKDATED: SignedDuration = SignedDuration::from_mins(10);

/// A certificate and its private key, as PEM.
pub struct PemPair {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: Zeroizing<String>,
}

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The authority's key is not a private key that we made.
    #[error("the authority's key cannot be used: {0}")]
    AuthorityKey(#[source] rcgen::Error),
    /// A name is no DNS name, or signing failed.
    #[error("the certificate cannot be made: {0}")]
    Certificate(#[source] rcgen::Error),
    /// A time that no certificate can hold.
    #[error("the certificate would be valid until a time that cannot be written")]
    Time,
}

/// Makes an authority that may sign server certificates and nothing else.
///
/// # Errors
/// [`CertificateError`].
pub fn make_authority(now: Timestamp) -> Result<PemPair, CertificateError> {
    let key = KeyPair::generate().map_err(CertificateError::Certificate)?;
    let mut params = authority_params()?;
    (params.not_before, params.not_after) = validity(now, AUTHORITY_VALID)?;
    let certificate = params.self_signed(&key).map_err(CertificateError::Certificate)?;
    Ok(pair(&certificate, &key))
}

/// Makes a server certificate for these DNS names, signed by the authority whose key this is.
///
/// # Errors
/// [`CertificateError`].
pub fn issue(
    authority_key: &str,
    names: &[String],
    now: Timestamp,
    valid: Duration,
) -> Result<(PemPair, Timestamp), CertificateError> {
    let authority = KeyPair::from_pem(authority_key).map_err(CertificateError::AuthorityKey)?;
    let issuer_params = authority_params()?;
    let issuer = Issuer::from_params(&issuer_params, authority);
    let key = KeyPair::generate().map_err(CertificateError::Certificate)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(CertificateError::Certificate)?;
    params.distinguished_name.remove(DnType::CommonName);
    params
        .distinguished_name
        .push(DnType::CommonName, names.first().map_or("aether-vault", String::as_str));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let valid = SignedDuration::try_from(valid).map_err(|_| CertificateError::Time)?;
    (params.not_before, params.not_after) = validity(now, valid)?;
    let until = now.checked_add(valid).map_err(|_| CertificateError::Time)?;
    let certificate = params.signed_by(&key, &issuer).map_err(CertificateError::Certificate)?;
    Ok((pair(&certificate, &key), until))
}

/// Whether a certificate that ends then has to be made anew: less than a third of its time is left.
#[must_use]
pub fn is_due(until: Timestamp, now: Timestamp, valid: Duration) -> bool {
    let Ok(third) = SignedDuration::try_from(valid / 3) else {
        return true;
    };
    until.duration_since(now) < third
}

fn authority_params() -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::new(Vec::new()).map_err(CertificateError::Certificate)?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, AUTHORITY);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn validity(now: Timestamp, valid: SignedDuration) -> Result<(OffsetDateTime, OffsetDateTime), CertificateError> {
    let at = |moment: Result<Timestamp, jiff::Error>| {
        let seconds = moment.map_err(|_| CertificateError::Time)?.as_second();
        OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| CertificateError::Time)
    };
    Ok((at(now.checked_sub(BACKDATED))?, at(now.checked_add(valid))?))
}

fn pair(certificate: &Certificate, key: &KeyPair) -> PemPair {
    PemPair {
        certificate: certificate.pem(),
        key: Zeroizing::new(key.serialize_pem()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_certificate_is_due_when_a_third_of_its_time_is_left() {
        let until = Timestamp::from_second(90 * 86_400).unwrap();
        let day = |number: i64| Timestamp::from_second(number * 86_400).unwrap();
        assert!(!is_due(until, day(0), 90 * DAY));
        assert!(!is_due(until, day(60), 90 * DAY));
        assert!(is_due(until, day(61), 90 * DAY));
        assert!(is_due(until, day(91), 90 * DAY), "it has ended");
    }

    #[test]
    fn an_authority_signs_for_names_and_for_nothing_that_is_no_name() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let authority = make_authority(now).unwrap();
        let names = ["vault.example".to_owned(), "vault".to_owned()];
        let (server, until) = issue(&authority.key, &names, now, 90 * DAY).unwrap();
        assert_eq!(until.as_second() - now.as_second(), 90 * 86_400);
        assert_ne!(server.certificate, authority.certificate);
        assert!(matches!(
            issue(&authority.certificate, &names, now, DAY),
            Err(CertificateError::AuthorityKey(_))
        ));
        assert!(matches!(
            issue(&authority.key, &["käse".to_owned()], now, DAY),
            Err(CertificateError::Certificate(_))
        ));
    }
}
