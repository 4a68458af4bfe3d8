//! Which namespace a namespace's root belongs to (R40).

use std::sync::Arc;

use super::Vault;
use super::context::OpContext;
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use crate::crypto::random;
use crate::domain::audit::Action;
use crate::store::{self, audit, roots};

impl Vault {
    /// Binds the namespace's root to the first namespace that asks; answers the uid that it is bound to.
    pub(super) async fn bind_root(&self, ctx: &OpContext, path: &str, uid: &str) -> Result<Arc<str>> {
        if let Some(root) = roots::find(&self.pool, path).await.map_err(store_failed)?
            && let Some(bound) = root.namespace_uid
        {
            return Ok(bound.into());
        }
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        let (root, _) = roots::ensure(&mut tx, random::uuid_v7(ctx.now()), "namespace", path)
            .await
            .map_err(store_failed)?;
        let (bound, new) = roots::bind(&mut tx, root.id, uid).await.map_err(store_failed)?;
        if new {
            audit::insert(&mut tx, &ctx.entry(Action::RootBind, path))
                .await
                .map_err(store_failed)?;
        }
        store::commit(tx).await.map_err(store_failed)?;
        if !bound.is_empty() {
            return Ok(bound.into());
        }
        // Somebody bound it at the same moment: the statement that waited for that does not see it, the next one does.
        let root = roots::find(&self.pool, path).await.map_err(store_failed)?;
        Ok(root.and_then(|root| root.namespace_uid).unwrap_or_default().into())
    }
}

/// The error of a namespace that bears the name of an earlier one.
pub(super) fn orphaned(path: &str, bound: &str, uid: &str) -> Error {
    let message = format!(
        "the records under {path} belong to an earlier namespace of this name (uid {bound}; this one has {uid}); \
         'aether-vault roots adopt {path} --uid {uid}' hands them over"
    );
    Error::new(Reason::RootOrphaned, message)
}
