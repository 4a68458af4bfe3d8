//! What Kubernetes and its users expect of a Secret of a certain type.

use super::SecretData;
use super::project::{Fault, FaultKind};

/// A certificate and its key.
pub const TLS: &str = "kubernetes.io/tls";
/// Credentials of container registries.
pub const DOCKER_CONFIG: &str = "kubernetes.io/dockerconfigjson";
/// A private key for SSH.
pub const SSH_AUTH: &str = "kubernetes.io/ssh-auth";

/// Finds what a Secret of this type lacks. Whether a certificate and a key belong together is for others to check.
#[must_use]
pub fn faults(secret_type: &str, data: &SecretData) -> Vec<Fault> {
    let needed: &[&str] = match secret_type {
        TLS => &["tls.crt", "tls.key"],
        DOCKER_CONFIG => &[".dockerconfigjson"],
        SSH_AUTH => &["ssh-privatekey"],
        _ => &[],
    };
    let mut faults: Vec<Fault> = needed
        .iter()
        .filter(|key| data.get(key).is_none())
        .map(|key| Fault {
            key: Some((*key).to_owned()),
            kind: FaultKind::TypeNeedsKey(secret_type.to_owned()),
        })
        .collect();
    if secret_type == DOCKER_CONFIG
        && let Some(config) = data.get(".dockerconfigjson")
        && !is_docker_config(config)
    {
        faults.push(Fault {
            key: Some(".dockerconfigjson".to_owned()),
            kind: FaultKind::NotDockerConfig,
        });
    }
    faults
}

fn is_docker_config(bytes: &[u8]) -> bool {
    let json: Result<serde_json::Value, _> = serde_json::from_slice(bytes);
    json.is_ok_and(|json| json.get("auths").is_some_and(serde_json::Value::is_object))
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::domain::record::KeyName;

    fn found(secret_type: &str, entries: &[(&str, &str)]) -> Vec<String> {
        let map = entries
            .iter()
            .map(|(key, value)| (KeyName::parse(*key).unwrap(), Zeroizing::new(value.as_bytes().to_vec())));
        faults(secret_type, &SecretData::new(map.collect()))
            .iter()
            .map(|fault| format!("{} {}", fault.kind.reason(), fault.key.clone().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn a_type_needs_its_keys() {
        assert_eq!(found(TLS, &[("tls.crt", "x")]), ["KeyMissing tls.key"]);
        assert_eq!(found(SSH_AUTH, &[]), ["KeyMissing ssh-privatekey"]);
        assert!(found("Opaque", &[]).is_empty());
        assert!(found("example.com/own", &[]).is_empty());
    }

    #[test]
    fn registry_credentials_are_json_with_auths() {
        for bad in ["x", "[]", "{}", r#"{"auths": []}"#] {
            assert_eq!(
                found(DOCKER_CONFIG, &[(".dockerconfigjson", bad)]),
                ["InvalidValue .dockerconfigjson"],
                "{bad}"
            );
        }
        assert!(found(DOCKER_CONFIG, &[(".dockerconfigjson", r#"{"auths": {"ghcr.io": {}}}"#)]).is_empty());
    }
}
