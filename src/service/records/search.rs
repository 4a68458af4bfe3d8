//! Finding records by what they say of themselves. Every hit is authorised: what may not be listed is not found.

use super::{ATTEMPTS, Records, busy};
use crate::domain::audit::Action;
use crate::domain::limits::MAX_PAGE;
use crate::domain::path::PathPrefix;
use crate::domain::policy::Capability;
use crate::service::audit::Verdict;
use crate::service::authority::Ruling;
use crate::service::context::OpContext;
use crate::service::error::Result;
use crate::service::failure::store_failed;
use crate::store::audit::Confirm;
use crate::store::record_metadata::{MetadataRow, Search, find};

/// Rows looked at for one page: a page of hits that may not be seen ends early, with a cursor to go on from.
const SCAN: usize = 10_000;
/// Rows fetched at a time.
const CHUNK: i64 = 1_000;

/// What to look for; what is absent is not asked.
#[derive(Debug, Clone)]
pub struct SearchOptions {
    /// Below this prefix.
    pub prefix: PathPrefix,
    /// A part of the path, in any case.
    pub name: Option<String>,
    /// Its owner.
    pub owner: Option<String>,
    /// All of these tags.
    pub tags: Vec<String>,
    /// All of these keys of custom metadata, with these values.
    pub custom: Vec<(String, String)>,
    /// Its values end within so many seconds, or have ended.
    pub expires_within: Option<i64>,
    /// Whole records that are deleted and can be restored, rather than those in use.
    pub deleted: bool,
    /// Items of a page, 1 to [`MAX_PAGE`].
    pub limit: u32,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// Some of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPage {
    /// What may be seen, in the order of paths.
    pub items: Vec<MetadataRow>,
    /// Where the next page begins; absent at the end. A page can be short, even empty, and still have a next one.
    pub next: Option<String>,
}

impl Records<'_> {
    /// Finds records below a prefix of what the actor may `list` (R16).
    ///
    /// # Errors
    /// [`crate::service::error::Reason::SessionEnded`], and those of the store. Nothing found is an empty page.
    pub async fn search(&self, ctx: &OpContext, options: &SearchOptions) -> Result<SearchPage> {
        for _ in 0..ATTEMPTS {
            let ruling = self.vault.authority.ruling();
            let page = self.hits(ctx, options, &ruling).await?;
            let confirm = Confirm {
                bearer: ctx.decided_bearer(),
                policy_epoch: Some(ruling.epoch),
                ..Confirm::default()
            };
            let entry = ctx.entry(Action::RecordSearch, options.prefix.as_str());
            match self.vault.audit.commit(entry, confirm).await? {
                Verdict::Confirmed => return Ok(page),
                Verdict::Stale => self.catch_up(ctx, None).await?,
            }
        }
        Err(busy())
    }

    async fn hits(&self, ctx: &OpContext, options: &SearchOptions, ruling: &Ruling) -> Result<SearchPage> {
        let (low, high) = options.prefix.range();
        let limit = usize::try_from(options.limit.clamp(1, MAX_PAGE)).unwrap_or(1);
        let custom: serde_json::Map<_, _> = options
            .custom
            .iter()
            .map(|(key, value)| (key.clone(), value.clone().into()))
            .collect();
        let custom = (!custom.is_empty()).then_some(serde_json::Value::Object(custom));
        let mut after = options.after.clone().unwrap_or_default();
        let mut items = Vec::new();
        let mut scanned = 0;
        loop {
            let search = Search {
                only: None,
                low,
                high: high.as_deref(),
                after: &after,
                name: options.name.as_deref(),
                owner: options.owner.as_deref(),
                tags: &options.tags,
                custom: custom.as_ref(),
                expires_within: options.expires_within,
                deleted: Some(options.deleted),
            };
            let rows = find(&self.vault.pool, &search, CHUNK).await.map_err(store_failed)?;
            let last_chunk = rows.len() < usize::try_from(CHUNK).unwrap_or(usize::MAX);
            for row in rows {
                scanned += 1;
                row.path.as_str().clone_into(&mut after);
                let decision = ruling.decide(ctx, Capability::List, &row.path, &self.vault.metrics);
                if decision.is_allowed() {
                    items.push(row);
                }
                if items.len() >= limit || scanned >= SCAN {
                    return Ok(SearchPage {
                        items,
                        next: Some(after),
                    });
                }
            }
            if last_chunk {
                return Ok(SearchPage { items, next: None });
            }
        }
    }
}
