//! What an installation on Kubernetes needs before its servers can start, made where it is absent: root key, database passwords, certificates,
//! the first administrator. Nothing of it passes through the templates of a chart, so rendering them again can replace nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{AppError, failed, vault};
use crate::crypto::provider::generate_text;
use crate::crypto::server_certificate::{PemPair, is_due, issue, make_authority};
use crate::crypto::{random, token};
use crate::k8s::kept_secret::{self, Content, SecretName};
use crate::service::auth::Bootstrapped;
use crate::service::context::{Clock as _, SystemClock};
use crate::settings::Settings;

/// The key of a Secret that holds the one-time password of the first administrator.
const PASSWORD: &str = "password";
/// When a certificate ends, as RFC 3339.
const UNTIL: &str = "aethervault.io/certificate-until";
/// The names that it is for, parted by commas.
const NAMES: &str = "aethervault.io/certificate-names";

/// What was found, and what was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was there, and is as it was.
    There,
    /// It was absent, and was made.
    Made,
    /// It was there and due, and was made anew.
    Renewed,
}

/// Makes a root key in a Secret unless the Secret exists; answers the key's id if it was made.
///
/// # Errors
/// [`AppError`] if there is no cluster, or it refuses.
pub async fn keep_root_key(at: &SecretName, key: &str) -> Result<Option<String>, AppError> {
    let client = client().await?;
    if kept_secret::read(&client, at).await.map_err(refused(at))?.is_some() {
        return Ok(None);
    }
    let (id, text) = generate_text();
    let content = Content {
        kind: "Opaque",
        data: BTreeMap::from([(key.to_owned(), text.as_bytes().to_vec())]),
        annotations: BTreeMap::from([("aethervault.io/root-key-id".to_owned(), id.to_string())]),
    };
    let made = kept_secret::create_if_absent(&client, at, content)
        .await
        .map_err(refused(at))?;
    Ok(made.then(|| id.to_string()))
}

/// A database role and where its database is.
#[derive(Debug, Clone)]
pub struct DatabaseRole {
    /// The role.
    pub user: String,
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// Where the servers find the authority of the server's certificate; the system's authorities if absent.
    pub root_certificate: Option<String>,
}

impl DatabaseRole {
    /// The password is of letters and digits alone; the rest is percent-encoded where it has to be.
    fn url(&self, password: &str) -> Result<String, AppError> {
        let unusable = || AppError::Failed("user, host and database do not make a Postgres URL; check them".to_owned());
        let mut url = reqwest::Url::parse("postgres://host/").map_err(|_| unusable())?;
        url.set_host(Some(&self.host)).map_err(|_| unusable())?;
        url.set_username(&self.user).map_err(|()| unusable())?;
        url.set_password(Some(password)).map_err(|()| unusable())?;
        url.set_port(Some(self.port)).map_err(|()| unusable())?;
        url.set_path(&self.database);
        url.query_pairs_mut().append_pair("sslmode", "verify-full");
        if let Some(file) = &self.root_certificate {
            url.query_pairs_mut().append_pair("sslrootcert", file);
        }
        Ok(url.into())
    }
}

/// Makes a password for a database role, and the URL it logs in with, unless the Secret exists: keys `username`, `password`, `url`.
///
/// # Errors
/// [`AppError`] if there is no cluster, or it refuses.
pub async fn keep_database_role(at: &SecretName, role: &DatabaseRole) -> Result<Kept, AppError> {
    let client = client().await?;
    if kept_secret::read(&client, at).await.map_err(refused(at))?.is_some() {
        return Ok(Kept::There);
    }
    let password = Zeroizing::new(hex::encode(*Zeroizing::new(random::bytes::<24>())));
    let url = Zeroizing::new(role.url(&password)?);
    let value = |key: &str, text: &str| (key.to_owned(), text.as_bytes().to_vec());
    let content = Content {
        kind: "kubernetes.io/basic-auth",
        data: BTreeMap::from([
            value("username", &role.user),
            value("password", &password),
            value("url", &url),
        ]),
        annotations: BTreeMap::new(),
    };
    let made = kept_secret::create_if_absent(&client, at, content)
        .await
        .map_err(refused(at))?;
    Ok(if made { Kept::Made } else { Kept::There })
}

/// Makes an authority unless its Secret exists, and a server certificate that it signed unless there is one for these names with a third
/// of its time left. Keys `tls.crt`, `tls.key` and, beside the server's, `ca.crt`.
///
/// # Errors
/// [`AppError`] if there is no cluster, or it refuses, or the authority's Secret is not one that we made.
pub async fn keep_certificate(
    at: &SecretName,
    authority_at: &SecretName,
    names: &[String],
    valid: Duration,
) -> Result<Kept, AppError> {
    let client = client().await?;
    let now = SystemClock.now();
    let authority = authority(&client, authority_at, now).await?;
    let found = kept_secret::read(&client, at).await.map_err(refused(at))?;
    if let Some(secret) = &found
        && !certificate_is_due(secret, &authority.certificate, names, now, valid)
    {
        return Ok(Kept::There);
    }
    let (server, until) = issue(&authority.key, names, now, valid)
        .map_err(|error| AppError::Failed(format!("no certificate for {}: {error}", names.join(", "))))?;
    let mut content = tls(&server);
    content
        .data
        .insert("ca.crt".to_owned(), authority.certificate.into_bytes());
    content.annotations = BTreeMap::from([
        (UNTIL.to_owned(), until.to_string()),
        (NAMES.to_owned(), names.join(",")),
    ]);
    // Whoever was faster made one that is as good.
    let (done, what) = match found {
        None => (kept_secret::create_if_absent(&client, at, content).await, Kept::Made),
        Some(read) => (kept_secret::replace(&client, at, &read, content).await, Kept::Renewed),
    };
    Ok(if done.map_err(refused(at))? { what } else { Kept::There })
}

async fn authority(client: &Client, at: &SecretName, now: Timestamp) -> Result<PemPair, AppError> {
    if kept_secret::read(client, at).await.map_err(refused(at))?.is_none() {
        let made = make_authority(now).map_err(|error| AppError::Failed(error.to_string()))?;
        kept_secret::create_if_absent(client, at, tls(&made))
            .await
            .map_err(refused(at))?;
    }
    // Read back: another process may have been faster.
    let secret = kept_secret::read(client, at)
        .await
        .map_err(refused(at))?
        .unwrap_or_default();
    match (text(&secret, "tls.crt"), text(&secret, "tls.key")) {
        (Some(certificate), Some(key)) => Ok(PemPair {
            certificate,
            key: Zeroizing::new(key),
        }),
        _ => Err(AppError::Failed(format!(
            "Secret {at} holds no authority: it needs the keys tls.crt and tls.key; delete it to get a new authority"
        ))),
    }
}

/// Decided from what the Secret itself says; whoever may change that may change the certificate too.
fn certificate_is_due(secret: &Secret, authority: &str, names: &[String], now: Timestamp, valid: Duration) -> bool {
    let annotation = |key: &str| secret.metadata.annotations.as_ref().and_then(|all| all.get(key));
    let until = annotation(UNTIL).and_then(|text| text.parse().ok());
    let complete = ["tls.crt", "tls.key"].iter().all(|key| text(secret, key).is_some());
    !complete
        || text(secret, "ca.crt").as_deref() != Some(authority)
        || annotation(NAMES) != Some(&names.join(","))
        || until.is_none_or(|until| is_due(until, now, valid))
}

fn tls(pair: &PemPair) -> Content {
    Content {
        kind: "kubernetes.io/tls",
        data: BTreeMap::from([
            ("tls.crt".to_owned(), pair.certificate.clone().into_bytes()),
            ("tls.key".to_owned(), pair.key.as_bytes().to_vec()),
        ]),
        annotations: BTreeMap::new(),
    }
}

/// Makes the first administrator of a new vault, with the one-time password in a Secret. An earlier attempt's Secret is used again: its
/// password is the one that the administrator then has.
///
/// # Errors
/// [`AppError`] if vault or cluster cannot be reached, or refuse.
pub async fn keep_administrator(settings: &Settings, at: &SecretName) -> Result<Kept, AppError> {
    let vault = vault::open_once(settings).await?;
    if !vault.auth().is_new().await? {
        return Ok(Kept::There);
    }
    let client = client().await?;
    let content = Content {
        kind: "kubernetes.io/basic-auth",
        data: BTreeMap::from([
            ("username".to_owned(), b"admin".to_vec()),
            (
                PASSWORD.to_owned(),
                token::one_time_password().expose_secret().as_bytes().to_vec(),
            ),
        ]),
        annotations: BTreeMap::new(),
    };
    kept_secret::create_if_absent(&client, at, content)
        .await
        .map_err(refused(at))?;
    let secret = kept_secret::read(&client, at)
        .await
        .map_err(refused(at))?
        .unwrap_or_default();
    let password = text(&secret, PASSWORD)
        .filter(|password| !password.is_empty())
        .ok_or_else(|| AppError::Failed(format!("Secret {at} has no key 'password'; delete it, and try again")))?;
    Ok(match vault.auth().bootstrap_with(SecretString::from(password)).await? {
        Bootstrapped::Yes => Kept::Made,
        Bootstrapped::No => Kept::There,
    })
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    let value = secret.data.as_ref()?.get(key)?;
    String::from_utf8(value.0.clone()).ok()
}

async fn client() -> Result<Client, AppError> {
    Client::try_default().await.map_err(|error| {
        AppError::Failed(format!(
            "there is no Kubernetes to keep Secrets in: {error}; run in a pod with a service account, or set KUBECONFIG"
        ))
    })
}

fn refused(at: &SecretName) -> impl Fn(kube::Error) -> AppError + '_ {
    move |error| failed(&format!("Secret {at}"))(&error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Dsn;

    #[test]
    fn a_role_gets_a_url_that_the_servers_accept() {
        let role = DatabaseRole {
            user: "aether_runtime".to_owned(),
            host: "db.vault.svc".to_owned(),
            port: 5432,
            database: "aether_vault".to_owned(),
            root_certificate: Some("/run/ca.crt".to_owned()),
        };
        let url = role.url("0123abc").unwrap();
        assert_eq!(
            url,
            "postgres://aether_runtime:0123abc@db.vault.svc:5432/aether_vault?sslmode=verify-full&sslrootcert=%2Frun%2Fca.crt"
        );
        assert_eq!(Dsn::parse(&url).unwrap().user().as_deref(), Some("aether_runtime"));
    }

    #[test]
    fn a_certificate_is_made_anew_when_it_ends_soon_or_is_for_other_names_or_of_another_authority() {
        const DAYS_90: Duration = Duration::from_secs(90 * 86_400);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let names = ["vault".to_owned(), "vault.svc".to_owned()];
        let secret = |until: &str, names: &str, authority: &str| Secret {
            metadata: kube::api::ObjectMeta {
                annotations: Some(BTreeMap::from([
                    (UNTIL.to_owned(), until.to_owned()),
                    (NAMES.to_owned(), names.to_owned()),
                ])),
                ..Default::default()
            },
            data: Some(
                [("tls.crt", "c"), ("tls.key", "k"), ("ca.crt", authority)]
                    .map(|(key, value)| (key.to_owned(), k8s_openapi::ByteString(value.into())))
                    .into(),
            ),
            ..Secret::default()
        };
        let due = |secret: &Secret| certificate_is_due(secret, "ours", &names, now, DAYS_90);
        let far = "2027-04-10T00:00:00Z";
        assert!(!due(&secret(far, "vault,vault.svc", "ours")));
        assert!(due(&secret("2027-02-01T00:00:00Z", "vault,vault.svc", "ours")));
        assert!(due(&secret("soon", "vault,vault.svc", "ours")));
        assert!(due(&secret(far, "vault", "ours")));
        assert!(due(&secret(far, "vault,vault.svc", "theirs")));
        assert!(due(&Secret::default()));
    }
}
