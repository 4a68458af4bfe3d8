//! The key that signs the log: opened from the vault's own envelope, made with the first start.

use jiff::Timestamp;
use uuid::Uuid;

use crate::crypto::audit_key::{AuditKey, AuditPublicKeys};
use crate::crypto::envelope::RecordContext;
use crate::crypto::random;
use crate::domain::path::RecordPath;
use crate::domain::record::Version;
use crate::service::error::{Error, Result};
use crate::service::failure::store_failed;
use crate::service::keys::{Lineages, SYSTEM_ROOT};
use crate::store::{Pool, audit_keys};

/// The table that envelopes of these keys are bound to.
const TABLE: &str = "audit_keys";

/// The key that signs, and all that ever did.
pub(in crate::service) struct AuditKeys {
    pub(super) signing: AuditKey,
    pub(super) public: AuditPublicKeys,
}

impl AuditKeys {
    /// The id of the key that signs.
    pub(in crate::service) fn kid(&self) -> &str {
        self.signing.kid()
    }

    /// Loads the keys, or makes the first one.
    pub(in crate::service) async fn open(pool: &Pool, lineages: &Lineages, now: Timestamp) -> Result<Self> {
        let mut rows = audit_keys::load(pool).await.map_err(store_failed)?;
        if rows.is_empty() {
            let fresh = sealed_key(lineages, now).await?;
            audit_keys::insert_first(pool, &fresh).await.map_err(store_failed)?;
            rows = audit_keys::load(pool).await.map_err(store_failed)?;
        }
        let path = key_path()?;
        let (mut signing, mut public) = (None, AuditPublicKeys::default());
        for row in rows {
            let seed = lineages
                .unseal(&key_context(row.id, &path), &row.wrapped_dek, &row.ciphertext)
                .await?;
            let key = AuditKey::from_seed(&seed).map_err(Error::internal)?;
            // Public halves come out of the envelope, too: a row that somebody added to the table must not verify anything.
            public.trust(&key.public()).map_err(Error::internal)?;
            signing.get_or_insert(key);
        }
        let signing = signing.ok_or_else(|| Error::internal("the audit key that was just made is gone"))?;
        Ok(Self { signing, public })
    }
}

async fn sealed_key(lineages: &Lineages, now: Timestamp) -> Result<audit_keys::AuditKeyRow> {
    let key = AuditKey::generate().map_err(Error::internal)?;
    let id = random::uuid_v7(now);
    let path = key_path()?;
    let sealed = lineages.seal_own(&key_context(id, &path), key.seed()).await?;
    Ok(audit_keys::AuditKeyRow {
        kid: key.kid().to_owned(),
        id,
        wrapped_dek: sealed.wrapped_dek,
        ciphertext: sealed.ciphertext,
    })
}

fn key_context(id: Uuid, path: &RecordPath) -> RecordContext<'_> {
    RecordContext {
        root_id: SYSTEM_ROOT,
        table: TABLE,
        record_id: id,
        version: Version::FIRST,
        path,
    }
}

/// These keys have no path; the envelope wants one all the same, and this one is theirs alone.
fn key_path() -> Result<RecordPath> {
    RecordPath::parse("system/audit-key").map_err(Error::internal)
}
