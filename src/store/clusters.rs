//! Registered clusters: the only source of cluster prefixes.

use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A registered cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its id.
    pub id: Uuid,
    /// Its prefix, such as `k8s`.
    pub prefix: String,
    /// The uid of its kube-system namespace.
    pub kube_system_uid: String,
    /// Whether policies of its operator namespace reach everything.
    pub platform: bool,
    /// The class of the controller that it belongs to; empty is the one without a class.
    pub controller_class: String,
}

/// Registers a prefix if nobody holds it. Answers the holder, and whether it is new.
///
/// # Errors
/// [`super::StoreError`]; constraint `clusters_prefix_check` for a bad prefix.
pub async fn register(
    tx: &mut Tx<'_>,
    id: Uuid,
    prefix: &str,
    kube_system_uid: &str,
    controller_class: &str,
) -> StoreResult<(Cluster, bool)> {
    // The first cluster of a vault is its platform: somebody has to be able to write policies for shared roots.
    let new = sqlx::query!(
        "INSERT INTO clusters (id, prefix, kube_system_uid, controller_class, platform)
         VALUES ($1, $2, $3, $4, NOT EXISTS (SELECT FROM clusters))
         ON CONFLICT ON CONSTRAINT clusters_prefix_key DO NOTHING",
        id,
        prefix,
        kube_system_uid,
        controller_class,
    )
    .execute(&mut **tx)
    .await?
    .rows_affected()
        == 1;
    let cluster = sqlx::query_as!(
        Cluster,
        "SELECT id, prefix, kube_system_uid, platform, controller_class FROM clusters WHERE prefix = $1",
        prefix
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok((cluster, new))
}

/// The prefixes of all registered clusters.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prefixes(pool: &Pool) -> StoreResult<Vec<String>> {
    Ok(sqlx::query_scalar!("SELECT prefix FROM clusters")
        .fetch_all(pool)
        .await?)
}

/// Notes that an operator confirmed the deletions that were held; `false` if there is no such cluster.
///
/// # Errors
/// [`super::StoreError`].
pub async fn confirm_deletions(tx: &mut Tx<'_>, prefix: &str) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE clusters SET deletions_confirmed_at = now() WHERE prefix = $1",
        prefix
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What a login of a workload needs of its cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct LoginCluster {
    /// Its id.
    pub id: Uuid,
    /// Its prefix.
    pub prefix: String,
    /// The uid of its kube-system namespace.
    pub kube_system_uid: String,
    /// The issuer of its service account tokens, if it was published.
    pub issuer: Option<String>,
    /// The keys that it signs them with.
    pub jwks: Option<serde_json::Value>,
}

/// The cluster of a prefix.
///
/// # Errors
/// [`super::StoreError`].
pub async fn for_login(pool: &Pool, prefix: &str) -> StoreResult<Option<LoginCluster>> {
    Ok(sqlx::query_as!(
        LoginCluster,
        "SELECT id, prefix, kube_system_uid, issuer, jwks FROM clusters WHERE prefix = $1",
        prefix
    )
    .fetch_optional(pool)
    .await?)
}

/// Keeps what a cluster signs service account tokens with; `false` if that is what was kept already.
///
/// # Errors
/// [`super::StoreError`].
pub async fn publish_issuer(tx: &mut Tx<'_>, id: Uuid, issuer: &str, jwks: &serde_json::Value) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE clusters SET issuer = $2, jwks = $3 WHERE id = $1 AND (issuer, jwks) IS DISTINCT FROM ($2, $3)",
        id,
        issuer,
        jwks
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
