//! Who and what there is: the actors and paths that a preview of a policy looks at.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::error::StoreResult;
use super::pool::Pool;

/// A user who may act.
#[derive(Debug, Clone)]
pub struct Person {
    /// The id.
    pub id: Uuid,
    /// The canonical name.
    pub name: String,
    /// `admin`, `auditor` or `user`.
    pub role: String,
    /// When the name was last retired, if somebody else bore it before.
    pub name_since: Option<Timestamp>,
    /// The groups, each with the time until which the name meant another.
    pub groups: Vec<(String, Option<Timestamp>)>,
}

/// An API key that may act.
#[derive(Debug, Clone)]
pub struct Key {
    /// The id.
    pub id: Uuid,
    /// Its owner.
    pub user_id: Uuid,
    /// Its name.
    pub name: String,
    /// Its scopes, as stored.
    pub scopes: Value,
}

/// A workload that is logged in.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Prefix of its cluster.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
    /// The namespace's uid.
    pub namespace_uid: String,
    /// Its service account.
    pub name: String,
    /// The service account's uid.
    pub uid: String,
}

/// Users who may act, in the order of names; by name or id if one is given.
///
/// # Errors
/// [`super::StoreError`].
pub async fn people(pool: &Pool, name: Option<&str>, id: Option<Uuid>, limit: i64) -> StoreResult<Vec<Person>> {
    let users = sqlx::query!(
        r#"SELECT u.id, u.name, u.role,
                  (SELECT r.retired_at FROM retired_names r WHERE r.kind = 'user' AND r.name = u.name)
                      AS "name_since: jiff_sqlx::Timestamp"
           FROM users u
           WHERE u.disabled_at IS NULL AND u.deleted_at IS NULL
             AND ($1::text IS NULL OR u.name = $1) AND ($2::uuid IS NULL OR u.id = $2)
           ORDER BY u.name LIMIT $3"#,
        name,
        id,
        limit,
    )
    .fetch_all(pool)
    .await?;
    let ids: Vec<Uuid> = users.iter().map(|user| user.id).collect();
    let memberships = sqlx::query!(
        r#"SELECT DISTINCT m.user_id, g.name,
                  (SELECT r.retired_at FROM retired_names r WHERE r.kind = 'group' AND r.name = g.name)
                      AS "since: jiff_sqlx::Timestamp"
           FROM group_members m JOIN groups g ON g.id = m.group_id WHERE m.user_id = ANY ($1) ORDER BY g.name"#,
        &ids
    )
    .fetch_all(pool)
    .await?;
    let mut people: Vec<Person> = users
        .into_iter()
        .map(|user| Person {
            id: user.id,
            name: user.name,
            role: user.role,
            name_since: user.name_since.map(jiff_sqlx::Timestamp::to_jiff),
            groups: Vec::new(),
        })
        .collect();
    for membership in memberships {
        if let Some(person) = people.iter_mut().find(|person| person.id == membership.user_id) {
            person
                .groups
                .push((membership.name, membership.since.map(jiff_sqlx::Timestamp::to_jiff)));
        }
    }
    Ok(people)
}

/// API keys that may act; one if its id is given.
///
/// # Errors
/// [`super::StoreError`].
pub async fn keys(pool: &Pool, id: Option<Uuid>, limit: i64) -> StoreResult<Vec<Key>> {
    Ok(sqlx::query_as!(
        Key,
        "SELECT id, user_id, name, scopes FROM api_keys
         WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AND ($1::uuid IS NULL OR id = $1)
         ORDER BY id LIMIT $2",
        id,
        limit,
    )
    .fetch_all(pool)
    .await?)
}

/// Workloads that are logged in.
///
/// # Errors
/// [`super::StoreError`].
pub async fn workloads(pool: &Pool, limit: i64) -> StoreResult<Vec<Workload>> {
    Ok(sqlx::query_as!(
        Workload,
        r#"SELECT DISTINCT c.prefix AS cluster, s.namespace AS "namespace!", s.namespace_uid AS "namespace_uid!",
                  s.service_account AS "name!", s.service_account_uid AS "uid!"
           FROM sessions s JOIN clusters c ON c.id = s.cluster_id
           WHERE s.revoked_at IS NULL AND s.expires_at > now() ORDER BY 1, 2, 4 LIMIT $1"#,
        limit,
    )
    .fetch_all(pool)
    .await?)
}

/// Namespaces that have records or resources, as their roots' path and uid.
///
/// # Errors
/// [`super::StoreError`].
pub async fn namespaces(pool: &Pool, limit: i64) -> StoreResult<Vec<(String, String)>> {
    let rows = sqlx::query!(
        "SELECT path, COALESCE(namespace_uid, '') AS \"uid!\" FROM roots
         WHERE kind = 'namespace' AND state = 'active' ORDER BY path LIMIT $1",
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.path, row.uid)).collect())
}

/// Paths of records in any of the ranges, each from the first text up to but without the second.
///
/// # Errors
/// [`super::StoreError`].
pub async fn paths(pool: &Pool, ranges: &[(String, Option<String>)], limit: i64) -> StoreResult<Vec<String>> {
    let (low, high): (Vec<String>, Vec<Option<String>>) = ranges.iter().cloned().unzip();
    Ok(sqlx::query_scalar!(
        r#"SELECT DISTINCT s.path FROM unnest($1::text[], $2::text[]) AS r(low, high)
           JOIN secrets s ON s.path >= r.low COLLATE "C" AND (r.high IS NULL OR s.path < r.high COLLATE "C")
           ORDER BY s.path LIMIT $3"#,
        &low,
        &high as &[Option<String>],
        limit,
    )
    .fetch_all(pool)
    .await?)
}
