//! Secrets that an installation on Kubernetes rests on: its root key, its database passwords, its certificates. Made once if they are
//! absent, and never overwritten but by a certificate that is due. Used by `app`, for `keys init` and `setup`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

/// Where a Secret is: `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A text that is not of the form `NAMESPACE/NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write NAMESPACE/NAME, both of lower-case letters, digits, '-' and '.'")]
pub struct BadSecretName;

impl FromStr for SecretName {
    type Err = BadSecretName;

    fn from_str(text: &str) -> Result<Self, BadSecretName> {
        let (namespace, name) = text.split_once('/').ok_or(BadSecretName)?;
        let is_name = |part: &str| {
            (1..=253).contains(&part.len())
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
        };
        if !is_name(namespace) || !is_name(name) {
            return Err(BadSecretName);
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a Secret is to hold.
pub struct Content {
    /// Its type, such as `Opaque`.
    pub kind: &'static str,
    /// Its keys and values.
    pub data: BTreeMap<String, Vec<u8>>,
    /// Notes beside them that are no secret.
    pub annotations: BTreeMap<String, String>,
}

/// Reads a Secret, if there is one.
///
/// # Errors
/// The API server refuses or does not answer.
pub async fn read(client: &Client, at: &SecretName) -> Result<Option<Secret>, kube::Error> {
    api(client, at).get_opt(&at.name).await
}

/// Makes a Secret unless there is one of this name, which stays as it is; answers whether it was made.
///
/// # Errors
/// The API server refuses or does not answer.
pub async fn create_if_absent(client: &Client, at: &SecretName, content: Content) -> Result<bool, kube::Error> {
    match api(client, at)
        .create(&PostParams::default(), &object(at, content))
        .await
    {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Replaces a Secret by another content, if it is still the one that was read; answers whether it was.
///
/// # Errors
/// The API server refuses or does not answer.
pub async fn replace(client: &Client, at: &SecretName, read: &Secret, content: Content) -> Result<bool, kube::Error> {
    let mut object = object(at, content);
    object
        .metadata
        .resource_version
        .clone_from(&read.metadata.resource_version);
    match api(client, at).replace(&at.name, &PostParams::default(), &object).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}

fn api(client: &Client, at: &SecretName) -> Api<Secret> {
    Api::namespaced(client.clone(), &at.namespace)
}

/// Neither Helm nor Argo CD is to remove it with the rest of a release.
fn object(at: &SecretName, content: Content) -> Secret {
    let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let mut annotations = content.annotations;
    annotations.extend(
        [
            ("helm.sh/resource-policy", "keep"),
            ("argocd.argoproj.io/sync-options", "Prune=false,Delete=false"),
        ]
        .map(text),
    );
    let labels = [
        ("app.kubernetes.io/part-of", "aether-vault"),
        ("app.kubernetes.io/component", "setup"),
    ];
    Secret {
        metadata: ObjectMeta {
            name: Some(at.name.clone()),
            namespace: Some(at.namespace.clone()),
            labels: Some(labels.map(text).into()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        type_: Some(content.kind.to_owned()),
        data: Some(
            content
                .data
                .into_iter()
                .map(|(key, value)| (key, ByteString(value)))
                .collect(),
        ),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_namespace() {
        let name: SecretName = "vault/root-key".parse().unwrap();
        assert_eq!((name.namespace.as_str(), name.name.as_str()), ("vault", "root-key"));
        assert_eq!(name.to_string(), "vault/root-key");
        for bad in [
            "root-key",
            "/root-key",
            "vault/",
            "vault/a/b",
            "Vault/key",
            "vault/..%2f",
        ] {
            assert_eq!(bad.parse::<SecretName>(), Err(BadSecretName), "{bad}");
        }
    }
}
