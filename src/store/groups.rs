//! Groups of users, and who belongs to them.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// Its id.
    pub id: Uuid,
    /// Its canonical name.
    pub name: String,
    /// How many users belong to it.
    pub members: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// The user's id.
    pub id: Uuid,
    /// The user's canonical name.
    pub name: String,
    /// Who made it a member: `local` is an administrator, anything else a provider of single sign-on.
    pub origins: Vec<String>,
}

struct Row {
    id: Uuid,
    name: String,
    members: i64,
    created_at: jiff_sqlx::Timestamp,
}

impl From<Row> for GroupRow {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            members: row.members,
            created_at: row.created_at.to_jiff(),
        }
    }
}

/// Groups in the order of names, after `after`, at most `limit`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn list(pool: &Pool, after: &str, limit: i64) -> StoreResult<Vec<GroupRow>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT g.id, g.name, g.created_at AS "created_at: jiff_sqlx::Timestamp",
                  (SELECT count(DISTINCT m.user_id) FROM group_members m WHERE m.group_id = g.id) AS "members!"
           FROM groups g WHERE g.name > $1 ORDER BY g.name LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// A group by id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<Option<GroupRow>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT g.id, g.name, g.created_at AS "created_at: jiff_sqlx::Timestamp",
                  (SELECT count(DISTINCT m.user_id) FROM group_members m WHERE m.group_id = g.id) AS "members!"
           FROM groups g WHERE g.id = $1"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Into::into))
}

/// Adds a group without members.
///
/// # Errors
/// [`super::StoreError`]; constraint `groups_name_key` if the name is taken.
pub async fn insert(tx: &mut Tx<'_>, id: Uuid, name: &str) -> StoreResult<()> {
    sqlx::query!("INSERT INTO groups (id, name) VALUES ($1, $2)", id, name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Gives a group another name, and retires the one before: policies written until now do not mean a group that bears it later (R40).
/// `false` if there is no such group.
///
/// # Errors
/// [`super::StoreError`]; constraint `groups_name_key` if the name is taken.
pub async fn rename(tx: &mut Tx<'_>, id: Uuid, name: &str) -> StoreResult<bool> {
    let before = sqlx::query_scalar!("SELECT name FROM groups WHERE id = $1 FOR UPDATE", id)
        .fetch_optional(&mut **tx)
        .await?;
    let Some(before) = before else { return Ok(false) };
    if before == name {
        return Ok(true);
    }
    sqlx::query!("UPDATE groups SET name = $2 WHERE id = $1", id, name)
        .execute(&mut **tx)
        .await?;
    retire(tx, &before).await?;
    Ok(true)
}

/// Removes a group with its memberships, and retires its name (R40). Answers the name; `None` if there is no such group.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<Option<String>> {
    let name = sqlx::query_scalar!("DELETE FROM groups WHERE id = $1 RETURNING name", id)
        .fetch_optional(&mut **tx)
        .await?;
    if let Some(name) = &name {
        retire(tx, name).await?;
    }
    Ok(name)
}

async fn retire(tx: &mut Tx<'_>, name: &str) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO retired_names (kind, name) VALUES ('group', $1)
         ON CONFLICT (kind, name) DO UPDATE SET retired_at = now()",
        name
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Members in the order of names, after `after`, at most `limit`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn members(tx: &mut Tx<'_>, id: Uuid, after: &str, limit: i64) -> StoreResult<Vec<MemberRow>> {
    Ok(sqlx::query_as!(
        MemberRow,
        r#"SELECT u.id, u.name, array_agg(m.origin ORDER BY m.origin) AS "origins!"
           FROM group_members m JOIN users u ON u.id = m.user_id
           WHERE m.group_id = $1 AND u.name > $2 GROUP BY u.id, u.name ORDER BY u.name LIMIT $3"#,
        id,
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// Makes a user a member by an administrator's hand; `false` if it is one already.
///
/// # Errors
/// [`super::StoreError`]; constraint `group_members_user_id_fkey` or `group_members_group_id_fkey` if one of them is not there.
pub async fn add_member(tx: &mut Tx<'_>, id: Uuid, user_id: Uuid) -> StoreResult<bool> {
    let done = sqlx::query!(
        "INSERT INTO group_members (group_id, user_id) VALUES ($1, $2) ON CONFLICT (user_id, group_id, origin) DO NOTHING",
        id,
        user_id
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a membership that an administrator made; `false` if there is none.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove_member(tx: &mut Tx<'_>, id: Uuid, user_id: Uuid) -> StoreResult<bool> {
    let done = sqlx::query!(
        "DELETE FROM group_members WHERE group_id = $1 AND user_id = $2 AND origin = 'local'",
        id,
        user_id
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
