//! `seal`: encrypts a value for one key of one VaultSecret, so that the manifest may stand in a repository; `seal --rewrap` brings a
//! manifest's sealed values to the newest key.

use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::client::{Client, SessionArgs, parse};
use super::failure::Failure;
use super::files::read_bytes;
use crate::app;
use crate::domain::record::KeyName;
use crate::domain::sealed::{SEALED_PREFIX, SealedFor};

/// Bytes of a value: what is sealed stands in a manifest, which has to fit into etcd.
const MAX_VALUE: u64 = 48 << 10;
/// Bytes of a key file.
const MAX_KEY_FILE: u64 = 1 << 20;
/// Bytes of a manifest.
const MAX_MANIFEST: u64 = 8 << 20;

/// Encrypts a value for one key of one VaultSecret. It is read from standard input, up to a line break at its end.
#[derive(Args)]
pub(super) struct SealArgs {
    /// Cluster prefix that the VaultSecret's controller works under
    #[arg(long, value_name = "PREFIX", default_value = "k8s")]
    cluster: String,
    /// Namespace of the VaultSecret
    #[arg(long, short, required_unless_present = "rewrap")]
    namespace: Option<String>,
    /// Name of the VaultSecret
    #[arg(long, required_unless_present = "rewrap")]
    name: Option<String>,
    /// Key of the value
    #[arg(long, required_unless_present = "rewrap")]
    key: Option<String>,
    /// File with the value, every byte of it, instead of standard input
    #[arg(long, value_name = "FILE", conflicts_with = "rewrap")]
    from_file: Option<PathBuf>,
    /// File with the public key (an answer of GET /api/v1/sealing-keys, or the ConfigMap aether-vault-sealing-key), to work offline
    #[arg(long, value_name = "FILE", conflicts_with = "rewrap")]
    key_file: Option<PathBuf>,
    /// Seal the values of the VaultSecrets in this manifest anew to the newest key, through the API; prints the manifest
    #[arg(long, value_name = "MANIFEST")]
    rewrap: Option<PathBuf>,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Serialize)]
struct Rewrap<'a> {
    cluster: &'a str,
    namespace: &'a str,
    name: &'a str,
    key: &'a str,
    sealed: &'a str,
}

#[derive(Deserialize)]
struct Rewrapped {
    sealed: String,
}

/// A sealed value in a manifest.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    namespace: String,
    name: String,
    key: String,
    sealed: String,
}

pub(super) async fn run(args: SealArgs) -> Result<(), Failure> {
    match &args.rewrap {
        Some(manifest) => {
            let text = rewrapped(&args, manifest).await?;
            print!("{text}");
        }
        None => println!("{}", sealed(&args).await?),
    }
    Ok(())
}

async fn sealed(args: &SealArgs) -> Result<String, Failure> {
    // clap has seen to it that they are there.
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (namespace, name, key) = (text(&args.namespace), text(&args.name), text(&args.key));
    KeyName::parse(key.clone()).map_err(|error| Failure::usage(format!("--key: {error}")))?;
    let public = match &args.key_file {
        Some(file) => read_bytes(file, MAX_KEY_FILE)?,
        None => {
            let client = args.session.connect_as_nobody()?;
            client.send(Method::GET, "sealing-keys", &[], None).await?
        }
    };
    let value = match &args.from_file {
        Some(file) => read_bytes(file, MAX_VALUE)?,
        None => one_line_break_less(read_bytes(Path::new("-"), MAX_VALUE)?),
    };
    let target = SealedFor {
        cluster: &args.cluster,
        namespace: &namespace,
        name: &name,
        key: &key,
    };
    Ok(app::seal(&String::from_utf8_lossy(&public), &target, &value)?)
}

fn one_line_break_less(mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

async fn rewrapped(args: &SealArgs, manifest: &Path) -> Result<String, Failure> {
    let bytes = read_bytes(manifest, MAX_MANIFEST)?;
    let mut text =
        String::from_utf8(bytes.to_vec()).map_err(|_| Failure::usage(format!("{} is not text", manifest.display())))?;
    let found = sealed_values(&text, args.namespace.as_deref())
        .map_err(|problem| Failure::usage(format!("{}: {problem}", manifest.display())))?;
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "{} has no VaultSecret with spec.source.sealed",
            manifest.display()
        )));
    }
    let client = args.session.connect()?;
    for value in &found {
        let again = rewrap(&client, &args.cluster, value).await?;
        text = text.replace(&value.sealed, &again);
    }
    Ok(text)
}

async fn rewrap(client: &Client, cluster: &str, value: &Found) -> Result<String, Failure> {
    let request = Rewrap {
        cluster,
        namespace: &value.namespace,
        name: &value.name,
        key: &value.key,
        sealed: &value.sealed,
    };
    // Texts always serialise.
    let body = Zeroizing::new(serde_json::to_vec(&request).unwrap_or_default());
    let answer = client.send(Method::POST, "sealing-keys/rewrap", &[], Some(body)).await;
    let answer = answer.map_err(|failure| Failure {
        message: format!(
            "{}/{} key '{}': {}",
            value.namespace, value.name, value.key, failure.message
        ),
        ..failure
    })?;
    let rewrapped: Rewrapped = parse(&answer)?;
    Ok(rewrapped.sealed)
}

/// The sealed values of every VaultSecret in a manifest.
fn sealed_values(manifest: &str, namespace: Option<&str>) -> Result<Vec<Found>, String> {
    let documents: Vec<serde_json::Value> =
        serde_yaml::from_multiple(manifest).map_err(|error| format!("it is not YAML: {error}"))?;
    let mut found = Vec::new();
    for document in documents.iter().filter(|document| document["kind"] == "VaultSecret") {
        let Some(keys) = document["spec"]["source"]["sealed"]["keys"].as_object() else {
            continue;
        };
        let name = document["metadata"]["name"].as_str().unwrap_or_default();
        let Some(namespace) = document["metadata"]["namespace"].as_str().or(namespace) else {
            return Err(format!("VaultSecret '{name}' names no namespace; give --namespace"));
        };
        for (key, sealed) in keys {
            let sealed = sealed.as_str().filter(|sealed| sealed.starts_with(SEALED_PREFIX));
            let sealed = sealed.ok_or_else(|| format!("VaultSecret '{name}' key '{key}' is no sealed value"))?;
            found.push(Found {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                key: key.clone(),
                sealed: sealed.to_owned(),
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "\
kind: Namespace
metadata: { name: shop }
---
kind: VaultSecret
metadata: { name: orders, namespace: shop }
spec:
  source:
    sealed:
      keys:
        # the token
        API_TOKEN: avs1.AAAA
---
kind: VaultSecret
metadata: { name: other }
spec: { source: { sealed: { keys: { A: avs1.BBBB } } } }
";

    #[test]
    fn sealed_values_are_found_with_their_target() {
        let found = sealed_values(MANIFEST, Some("default")).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|value| format!("{}/{} {} {}", value.namespace, value.name, value.key, value.sealed))
            .collect();
        assert_eq!(shown, ["shop/orders API_TOKEN avs1.AAAA", "default/other A avs1.BBBB"]);
        assert_eq!(
            sealed_values(MANIFEST, None).unwrap_err(),
            "VaultSecret 'other' names no namespace; give --namespace"
        );
    }

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_the_value() {
        for (given, value) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("", "")] {
            let bytes = one_line_break_less(Zeroizing::new(given.as_bytes().to_vec()));
            assert_eq!(bytes.as_slice(), value.as_bytes());
        }
    }
}
