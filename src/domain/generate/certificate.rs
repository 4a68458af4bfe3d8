//! Certificates: what stands in one, who issues it, when it is renewed.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::GenerateError;
use super::key_pair::KeyPairSpec;
use crate::domain::record::KeyName;
use crate::domain::span::Span;

/// The lifetime of a certificate that names none.
const DEFAULT_DURATION: Span = Span::from_days(90);
/// The shortest lifetime.
const SHORTEST: Span = Span::from_seconds(300);
/// Names of one kind.
const MAX_NAMES: usize = 64;
/// Characters of a common name or an organisation (RFC 5280, appendix A.1: ub-common-name, ub-organization-name).
const MAX_SUBJECT: usize = 64;

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CertificateSpec {
    /// The subject's common name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// The subject's organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// DNS names; a first label `*` is allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// IP addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<IpAddr>,
    /// URIs, such as SPIFFE ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uris: Vec<String>,
    /// What it may be used for; servers and clients if not given, nothing of it for an authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usages: Option<Vec<Usage>>,
    /// Whether it may issue certificates itself.
    #[serde(rename = "isCA")]
    pub is_ca: bool,
    /// How long it is good for; 90 days if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// How long before its end it is renewed; a third of its lifetime if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<String>,
    /// Its key.
    pub key: KeyPairSpec,
    /// Who issues it; itself if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerSpec>,
}

/// What a certificate may be used for (RFC 5280, section 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Usage {
    /// Proving a server to its clients.
    ServerAuth,
    /// Proving a client to a server.
    ClientAuth,
    /// Signing programs.
    CodeSigning,
    /// Signing and encrypting mail.
    EmailProtection,
}

/// A certificate authority that a record holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssuerSpec {
    /// The record's path.
    pub path: String,
    /// The key with the certificate; `ca.crt` if not given, as a generator named `ca` makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<KeyName>,
    /// The key with the private key; `ca.key` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<KeyName>,
}

impl IssuerSpec {
    /// The key with the certificate.
    #[must_use]
    pub fn certificate(&self) -> &str {
        self.certificate.as_ref().map_or("ca.crt", KeyName::as_str)
    }

    /// The key with the private key.
    #[must_use]
    pub fn private_key(&self) -> &str {
        self.private_key.as_ref().map_or("ca.key", KeyName::as_str)
    }
}

impl CertificateSpec {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`GenerateError`] with what to change.
    pub fn validate(&self) -> Result<(), GenerateError> {
        self.key.validate()?;
        let subject = |text: &Option<String>| {
            text.as_deref().is_none_or(|text| {
                (1..=MAX_SUBJECT).contains(&text.chars().count()) && !text.chars().any(char::is_control)
            })
        };
        if !subject(&self.common_name) || !subject(&self.organization) {
            return Err(GenerateError::Subject);
        }
        let names = [self.dns_names.len(), self.ip_addresses.len(), self.uris.len()];
        if names.iter().any(|count| *count > MAX_NAMES) {
            return Err(GenerateError::ManyNames);
        }
        if self.common_name.is_none() && names.iter().all(|count| *count == 0) {
            return Err(GenerateError::NoSubject);
        }
        if !self.dns_names.iter().all(|name| is_dns_name(name)) {
            return Err(GenerateError::DnsName);
        }
        if !self.uris.iter().all(|uri| is_uri(uri)) {
            return Err(GenerateError::Uri);
        }
        let duration = self.lifetime()?;
        if let Some(before) = self.renew_before()?
            && before >= duration
        {
            return Err(GenerateError::RenewBefore);
        }
        Ok(())
    }

    /// How long it is good for.
    ///
    /// # Errors
    /// [`GenerateError::Duration`].
    pub fn lifetime(&self) -> Result<Span, GenerateError> {
        let duration = match self.duration.as_deref() {
            None => DEFAULT_DURATION,
            Some(text) => Span::parse(text).map_err(|_| GenerateError::Duration)?,
        };
        if duration < SHORTEST {
            return Err(GenerateError::Duration);
        }
        Ok(duration)
    }

    /// How long before its end it is renewed, if that was given.
    ///
    /// # Errors
    /// [`GenerateError::RenewBefore`].
    pub fn renew_before(&self) -> Result<Option<Span>, GenerateError> {
        let parse = |text| Span::parse(text).map_err(|_| GenerateError::RenewBefore);
        self.renew_before.as_deref().map(parse).transpose()
    }
}

/// When a certificate made at `made` that ends at `ends` is renewed: `before` its end, or a third of its lifetime if that was not given.
///
/// An issuer may end earlier than was asked for. However short the rest, half of it passes first, so that a certificate is never
/// renewed over and over.
#[must_use]
pub fn renewal(made: Timestamp, ends: Timestamp, before: Option<Span>) -> Timestamp {
    let lifetime = u64::try_from(ends.as_second().saturating_sub(made.as_second())).unwrap_or(0);
    let before = before.map_or(lifetime / 3, |before| before.seconds().min(lifetime / 2));
    Span::from_seconds(before).before(ends)
}

/// A host name (RFC 1123), with `*` as its first label if one likes.
fn is_dns_name(name: &str) -> bool {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && bare.split('.').all(label)
}

fn is_uri(uri: &str) -> bool {
    let scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    uri.len() <= 2048
        && uri.bytes().all(|b| b.is_ascii_graphic())
        && uri
            .split_once(':')
            .is_some_and(|(first, rest)| scheme(first) && !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(text: &str) -> CertificateSpec {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn r23_bounds_hold_and_contradictions_are_refused() {
        let names = |count: usize| format!(r#"{{"dnsNames": {}}}"#, serde_json::json!(vec!["a.b"; count]));
        for (text, outcome) in [
            (r#"{"commonName": "orders"}"#.to_owned(), Ok(())),
            (
                r#"{"dnsNames": ["*.shop.svc", "localhost"], "ipAddresses": ["::1"]}"#.to_owned(),
                Ok(()),
            ),
            (r#"{"uris": ["spiffe://example.com/orders"]}"#.to_owned(), Ok(())),
            ("{}".to_owned(), Err(GenerateError::NoSubject)),
            (r#"{"commonName": ""}"#.to_owned(), Err(GenerateError::Subject)),
            (r#"{"commonName": "a\nb"}"#.to_owned(), Err(GenerateError::Subject)),
            (r#"{"dnsNames": ["a b"]}"#.to_owned(), Err(GenerateError::DnsName)),
            (r#"{"dnsNames": ["a.*.b"]}"#.to_owned(), Err(GenerateError::DnsName)),
            (r#"{"dnsNames": ["-a"]}"#.to_owned(), Err(GenerateError::DnsName)),
            (r#"{"uris": ["no uri"]}"#.to_owned(), Err(GenerateError::Uri)),
            (names(64), Ok(())),
            (names(65), Err(GenerateError::ManyNames)),
            (
                r#"{"commonName": "a", "duration": "4m"}"#.to_owned(),
                Err(GenerateError::Duration),
            ),
            (
                r#"{"commonName": "a", "duration": "1h", "renewBefore": "1h"}"#.to_owned(),
                Err(GenerateError::RenewBefore),
            ),
            (
                r#"{"commonName": "a", "key": {"type": "ed25519", "bits": 2048}}"#.to_owned(),
                Err(GenerateError::Bits),
            ),
            (
                r#"{"commonName": "a", "key": {"type": "rsa", "bits": 1024}}"#.to_owned(),
                Err(GenerateError::Bits),
            ),
        ] {
            assert_eq!(spec(&text).validate(), outcome, "{text}");
        }
    }

    #[test]
    fn the_issuer_s_keys_are_named_as_a_generator_names_them() {
        let plain: IssuerSpec = serde_json::from_str(r#"{"path": "shared/ca"}"#).unwrap();
        assert_eq!((plain.certificate(), plain.private_key()), ("ca.crt", "ca.key"));
    }

    proptest! {
        #[test]
        fn a_certificate_is_renewed_while_it_is_good_and_never_at_once(
            made in 0_i64..4_000_000_000, lifetime in 3_i64..400_000_000, before in proptest::option::of(0_u64..500_000_000)
        ) {
            let made = Timestamp::from_second(made).unwrap();
            let ends = made + jiff::SignedDuration::from_secs(lifetime);
            let at = renewal(made, ends, before.map(Span::from_seconds));
            prop_assert!(made < at && at <= ends);
        }
    }
}
