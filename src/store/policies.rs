//! Policies and their epoch.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A policy as stored.
#[derive(Debug, Clone)]
pub struct PolicyRow {
    /// Its id.
    pub id: Uuid,
    /// Prefix of the cluster whose resource it is.
    pub cluster: Option<String>,
    /// The resource's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it may reach at most.
    pub scope: String,
    /// When it was last written.
    pub written_at: Timestamp,
    /// Subjects and rules.
    pub document: Value,
}

impl PolicyRow {
    /// The name under which explanations, the audit log and the API know it: `k8s/shop/allow-ca` for a resource.
    #[must_use]
    pub fn full_name(&self) -> String {
        full_name(self.cluster.as_deref(), &self.namespace, &self.name)
    }
}

/// The name under which explanations, the audit log and the API know a policy.
#[must_use]
pub fn full_name(cluster: Option<&str>, namespace: &str, name: &str) -> String {
    match cluster {
        Some(cluster) => format!("{cluster}/{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// All policies that are not disabled, with the epoch that they make up, as one consistent picture. One round trip.
///
/// # Errors
/// [`super::StoreError`].
pub async fn load(pool: &Pool) -> StoreResult<(i64, Vec<PolicyRow>)> {
    let rows = sqlx::query!(
        r#"SELECT e.epoch, p.id AS "id?", c.prefix AS "cluster?", p.namespace AS "namespace?", p.name AS "name?",
                  p.scope AS "scope?", p.document AS "document?", p.updated_at AS "written_at?: jiff_sqlx::Timestamp"
           FROM policy_epoch e LEFT JOIN policies p ON p.disabled_at IS NULL LEFT JOIN clusters c ON c.id = p.cluster_id
           ORDER BY p.id"#
    )
    .fetch_all(pool)
    .await?;
    let mut epoch = 0;
    let mut policies = Vec::with_capacity(rows.len());
    for row in rows {
        epoch = row.epoch;
        if let (Some(id), Some(namespace), Some(name), Some(scope), Some(written_at), Some(document)) =
            (row.id, row.namespace, row.name, row.scope, row.written_at, row.document)
        {
            policies.push(PolicyRow {
                id,
                cluster: row.cluster,
                namespace,
                name,
                scope,
                written_at: written_at.to_jiff(),
                document,
            });
        }
    }
    Ok((epoch, policies))
}

/// The epoch in force. One round trip.
///
/// # Errors
/// [`super::StoreError`].
pub async fn epoch(pool: &Pool) -> StoreResult<i64> {
    Ok(sqlx::query_scalar!("SELECT epoch FROM policy_epoch")
        .fetch_one(pool)
        .await?)
}

/// Begins a new epoch: every decision made before has to be made again.
///
/// # Errors
/// [`super::StoreError`].
pub async fn raise_epoch(tx: &mut Tx<'_>) -> StoreResult<i64> {
    Ok(
        sqlx::query_scalar!("UPDATE policy_epoch SET epoch = epoch + 1 RETURNING epoch")
            .fetch_one(&mut **tx)
            .await?,
    )
}

/// A resource's policy to be stored.
pub struct ResourcePolicy<'a> {
    /// An id, should it be new.
    pub id: Uuid,
    /// Its cluster.
    pub cluster_id: Uuid,
    /// The resource's namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub resource_uid: &'a str,
    /// The uid of the CRD that it came through.
    pub crd_uid: &'a str,
    /// Its generation.
    pub generation: i64,
    /// What it may reach at most.
    pub scope: &'a str,
    /// Subjects and rules.
    pub document: &'a Value,
}

/// Stores a resource's policy, in place of an earlier resource of the same name; `false` if it stands there just so, or a newer
/// generation of the same resource does.
///
/// # Errors
/// [`super::StoreError`].
pub async fn upsert(tx: &mut Tx<'_>, policy: &ResourcePolicy<'_>) -> StoreResult<bool> {
    let done = sqlx::query!(
        "INSERT INTO policies AS p (id, cluster_id, namespace, name, resource_uid, crd_uid, generation, scope, document)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT ON CONSTRAINT policies_name_key DO UPDATE
         SET resource_uid = EXCLUDED.resource_uid, crd_uid = EXCLUDED.crd_uid, generation = EXCLUDED.generation,
             scope = EXCLUDED.scope, document = EXCLUDED.document, updated_at = now()
         WHERE (p.resource_uid IS DISTINCT FROM EXCLUDED.resource_uid OR p.generation <= EXCLUDED.generation)
           AND (p.resource_uid, p.crd_uid, p.scope, p.document)
               IS DISTINCT FROM (EXCLUDED.resource_uid, EXCLUDED.crd_uid, EXCLUDED.scope, EXCLUDED.document)",
        policy.id,
        policy.cluster_id,
        policy.namespace,
        policy.name,
        policy.resource_uid,
        policy.crd_uid,
        policy.generation,
        policy.scope,
        policy.document,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes the policies of a cluster that came through this CRD and whose resources are not among `live`; answers their names.
///
/// # Errors
/// [`super::StoreError`].
pub async fn retain(tx: &mut Tx<'_>, cluster_id: Uuid, crd_uid: &str, live: &[String]) -> StoreResult<Vec<String>> {
    Ok(sqlx::query_scalar!(
        r#"DELETE FROM policies WHERE cluster_id = $1 AND crd_uid = $2 AND NOT (resource_uid = ANY ($3))
           RETURNING namespace || '/' || name AS "name!""#,
        cluster_id,
        crd_uid,
        live,
    )
    .fetch_all(&mut **tx)
    .await?)
}
