//! What operators do from the command line. Never reachable over HTTP (R22).

use std::path::Path;
use std::time::Duration;

use super::{AppError, vault};
use crate::crypto::provider::{FileKeyProvider, KeyProvider as _, generate_file};
use crate::crypto::sealing;
use crate::domain::sealed::{SealedFor, SealingPublicKey};
use crate::k8s;
use crate::service::door::ClusterIssuer;
use crate::settings::Settings;
use crate::store::Pool;
use crate::store::migrate::{SchemaState, grant_runtime, run, state};

/// How soon to ask a database again that does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// What a migration did.
#[derive(Debug)]
pub struct Migrated {
    /// The migrations that were missing.
    pub applied: Vec<String>,
    /// The version that the schema has now.
    pub version: i64,
    /// The version that this program knows.
    pub known: i64,
    /// The runtime role, if it is another than the owner.
    pub granted_to: Option<String>,
}

/// Applies missing migrations as the owner, and grants the runtime role what serving needs. Waits up to `wait` for a database that does not
/// answer. A schema that is newer than this program stays as it is.
///
/// # Errors
/// [`AppError`]; what was applied before the failing migration stays.
pub async fn migrate(settings: &Settings, wait: Duration) -> Result<Migrated, AppError> {
    let owner_dsn = settings.database.owner()?;
    let owner = vault::pool(settings, owner_dsn, "aether-vault migrate")?;
    let found = answered(&owner, wait).await?;
    if found.applied > found.known {
        return Ok(Migrated {
            applied: Vec::new(),
            version: found.applied,
            known: found.known,
            granted_to: None,
        });
    }
    let applied = run(&owner).await?;
    let runtime = settings.database.url.as_ref().and_then(crate::settings::Dsn::user);
    let granted_to = runtime.filter(|role| Some(role) != owner_dsn.user().as_ref());
    if let Some(role) = &granted_to {
        grant_runtime(&owner, role).await?;
    }
    let now = state(&owner).await?;
    owner.close().await;
    Ok(Migrated {
        applied,
        version: now.applied,
        known: now.known,
        granted_to,
    })
}

/// Where the schema stands, once the database says so.
async fn answered(owner: &Pool, wait: Duration) -> Result<SchemaState, AppError> {
    let retry = async {
        loop {
            match state(owner).await {
                Err(error) if error.is_unavailable() => tokio::time::sleep(RETRY).await,
                answer => return answer,
            }
        }
    };
    match tokio::time::timeout(wait, retry).await {
        Ok(answer) => Ok(answer?),
        // Once more, for its error.
        Err(_) => Ok(state(owner).await?),
    }
}

/// Makes a root key in a new file, mode 0600; answers its id.
///
/// # Errors
/// [`AppError`] if the file exists or cannot be written.
pub fn make_root_key(file: &Path) -> Result<String, AppError> {
    generate_file(file)
        .map(|id| id.to_string())
        .map_err(|error| AppError::Failed(error.to_string()))
}

/// The ids of the root keys in a file, the active one first.
///
/// # Errors
/// [`AppError`] if the file cannot be used.
pub fn root_key_ids(file: &Path) -> Result<Vec<String>, AppError> {
    let provider = FileKeyProvider::open(file).map_err(|error| AppError::Failed(error.to_string()))?;
    Ok(provider.ids().iter().map(ToString::to_string).collect())
}

/// Makes another key sign access tokens; those of the keys before stay good for their time, or end at once.
///
/// # Errors
/// [`AppError`] if the vault cannot be opened.
pub async fn rotate_signing_key(settings: &Settings, end_tokens: bool) -> Result<(), AppError> {
    let vault = vault::open_once(settings).await?;
    Ok(vault.auth().rotate_signing_key(end_tokens).await?)
}

/// Hands a namespace's root to the namespace with this uid (R40).
///
/// # Errors
/// [`AppError`] if there is no such root.
pub async fn adopt_root(settings: &Settings, path: &str, uid: &str) -> Result<(), AppError> {
    Ok(vault::open_once(settings).await?.adopt_root(path, uid).await?)
}

/// A root of a namespace that is not there any more, and what became of it.
#[derive(Debug)]
pub struct SettledRoot {
    /// Its path.
    pub path: String,
    /// What was done, for people.
    pub done: String,
}

/// The roots of a cluster that belong to namespaces which are not there any more: path, what is known.
///
/// # Errors
/// [`AppError`] if the store does not answer.
pub async fn orphaned_roots(settings: &Settings, cluster: &str) -> Result<Vec<SettledRoot>, AppError> {
    let vault = vault::open_once(settings).await?;
    let found = vault.orphaned_roots(cluster).await?;
    let told = found.into_iter().map(|root| SettledRoot {
        done: match &root.successor {
            Some(uid) => format!(
                "{} records of an earlier namespace; the one of today has uid {uid}",
                root.records
            ),
            None => format!(
                "{} records; the controller sees no namespace of this name",
                root.records
            ),
        },
        path: root.path,
    });
    Ok(told.collect())
}

/// Hands every orphaned root of a cluster to the namespace that bears its name now, as after a cluster was rebuilt.
///
/// # Errors
/// [`AppError`] for the first that fails; those before it are done.
pub async fn adopt_roots(settings: &Settings, cluster: &str) -> Result<Vec<SettledRoot>, AppError> {
    let vault = vault::open_once(settings).await?;
    let mut settled = Vec::new();
    for root in vault.orphaned_roots(cluster).await? {
        let Some(uid) = root.successor else { continue };
        vault.adopt_root(&root.path, &uid).await?;
        settled.push(SettledRoot {
            done: format!("belongs to the namespace with uid {uid}"),
            path: root.path,
        });
    }
    Ok(settled)
}

/// Removes the records under orphaned roots of a cluster, for good: those that are named, or all whose namespace was made again. (A
/// controller of some namespaces does not see the others, so what it does not see has to be named.)
///
/// # Errors
/// [`AppError`] for a path that is no orphaned root, before anything is removed.
pub async fn purge_roots(settings: &Settings, cluster: &str, paths: &[String]) -> Result<Vec<SettledRoot>, AppError> {
    let vault = vault::open_once(settings).await?;
    let orphaned = vault.orphaned_roots(cluster).await?;
    if let Some(path) = paths
        .iter()
        .find(|path| !orphaned.iter().any(|root| root.path == **path))
    {
        return Err(AppError::Failed(format!(
            "{path} is no orphaned root of cluster {cluster}: its namespace is there, or it was never used; 'roots list' shows those that are"
        )));
    }
    let mut settled = Vec::new();
    for root in orphaned {
        if (paths.is_empty() && root.successor.is_some()) || paths.contains(&root.path) {
            let records = vault.purge_root(&root).await?;
            settled.push(SettledRoot {
                done: format!("{records} records removed"),
                path: root.path,
            });
        }
    }
    Ok(settled)
}

/// Keeps the issuer and the keys of a cluster's service account tokens, where its controller may not read them. Answers whether they differ
/// from before.
///
/// # Errors
/// [`AppError`] if the file holds no keys that can be used, or no such cluster is registered.
pub async fn publish_issuer(settings: &Settings, cluster: &str, issuer: &str, jwks: &Path) -> Result<bool, AppError> {
    let unusable = |error: String| AppError::Failed(format!("{}: {error}", jwks.display()));
    let text = std::fs::read(jwks).map_err(|error| unusable(error.to_string()))?;
    let issuer = ClusterIssuer {
        issuer: issuer.to_owned(),
        jwks: serde_json::from_slice(&text).map_err(|error| unusable(error.to_string()))?,
    };
    Ok(vault::open_once(settings)
        .await?
        .publish_issuer(cluster, &issuer)
        .await?)
}

/// Lets the controller of a cluster carry out the deletions that its brake holds.
///
/// # Errors
/// [`AppError`] if no such cluster is registered.
pub async fn confirm_deletions(settings: &Settings, cluster: &str) -> Result<(), AppError> {
    Ok(vault::open_once(settings).await?.confirm_deletions(cluster).await?)
}

/// Makes a new key that values are sealed to; answers its public half.
///
/// # Errors
/// [`AppError`] if the vault cannot be opened.
pub async fn rotate_sealing_key(settings: &Settings) -> Result<String, AppError> {
    Ok(vault::open_once(settings).await?.rotate_sealing_key().await?)
}

/// Seals a value to the first public key that stands in `keys`. Needs neither a server nor a database.
///
/// # Errors
/// [`AppError`] if there is no public key.
pub fn seal(keys: &str, target: &SealedFor<'_>, value: &[u8]) -> Result<String, AppError> {
    let public = SealingPublicKey::find_in(keys).map_err(|error| AppError::Failed(error.to_string()))?;
    let sealed = sealing::seal(&public, target, value).map_err(|error| AppError::Failed(error.to_string()))?;
    Ok(sealed.to_string())
}

/// The definitions of the custom resources: file name and YAML.
#[must_use]
pub fn crds() -> Vec<(&'static str, String)> {
    k8s::crd::crds()
}

/// The description of the REST API.
#[must_use]
pub fn openapi() -> String {
    crate::http::openapi_json()
}
