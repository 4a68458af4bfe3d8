//! What operators do from the command line. Never reachable over HTTP (R22).

use std::path::Path;
use std::time::Duration;

use super::{AppError, vault};
use crate::crypto::provider::{FileKeyProvider, KeyProvider as _, generate_file};
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

/// Hands a namespace's root to the namespace with this uid (R40).
///
/// # Errors
/// [`AppError`] if there is no such root.
pub async fn adopt_root(settings: &Settings, path: &str, uid: &str) -> Result<(), AppError> {
    Ok(vault::open_once(settings).await?.adopt_root(path, uid).await?)
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
