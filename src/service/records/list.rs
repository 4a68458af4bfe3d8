//! Listing what lies below a prefix.

use super::{ATTEMPTS, Records, busy};
use crate::domain::audit::Action;
use crate::domain::limits::MAX_PAGE;
use crate::domain::path::PathPrefix;
use crate::domain::policy::{Capability, Decision};
use crate::domain::record::{Version, VersionState};
use crate::service::audit::Verdict;
use crate::service::authority::Ruling;
use crate::service::context::OpContext;
use crate::service::error::Result;
use crate::service::failure::store_failed;
use crate::store::audit::Confirm;
use crate::store::records::{ListedRecord, list};

/// Rows looked at for one page: a page of invisible rows ends early, with a cursor to go on from.
const SCAN: usize = 10_000;
/// Rows fetched at a time.
const CHUNK: i64 = 1_000;

/// How to list.
#[derive(Debug, Clone)]
pub struct ListOptions {
    /// Every record below, rather than records and folders directly below.
    pub recursive: bool,
    /// Items of a page, 1 to [`MAX_PAGE`].
    pub limit: u32,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// Something that may be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListItem {
    /// A folder, ending in `/`: something visible lies below.
    Folder(String),
    /// A record.
    Record {
        /// Its path.
        path: String,
        /// Its newest version.
        version: Version,
        /// What that version holds.
        state: VersionState,
    },
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What may be seen, in the order of paths.
    pub items: Vec<ListItem>,
    /// Where the next page begins; absent at the end. A page can be short, even empty, and still have a next one.
    pub next: Option<String>,
}

impl Records<'_> {
    /// Lists below a prefix what the actor may `list`: a record if it may be listed, a folder if something visible lies below (R16).
    ///
    /// # Errors
    /// [`crate::service::error::Reason::SessionEnded`], and those of the store. A prefix that holds nothing visible is an empty page.
    pub async fn list(&self, ctx: &OpContext, prefix: &PathPrefix, options: &ListOptions) -> Result<Page> {
        for _ in 0..ATTEMPTS {
            let ruling = self.vault.authority.ruling();
            let page = self.scan(ctx, prefix, options, &ruling).await?;
            let confirm = Confirm {
                bearer: ctx.decided_bearer(),
                policy_epoch: Some(ruling.epoch),
                ..Confirm::default()
            };
            match self
                .vault
                .audit
                .commit(ctx.entry(Action::RecordList, prefix.as_str()), confirm)
                .await?
            {
                Verdict::Confirmed => return Ok(page),
                Verdict::Stale => self.catch_up(ctx, None).await?,
            }
        }
        Err(busy())
    }

    async fn scan(&self, ctx: &OpContext, prefix: &PathPrefix, options: &ListOptions, ruling: &Ruling) -> Result<Page> {
        let (low, high) = prefix.range();
        let limit = usize::try_from(options.limit.clamp(1, MAX_PAGE)).unwrap_or(1);
        let mut after = options.after.clone().unwrap_or_default();
        let mut items = Vec::new();
        let mut scanned = 0;
        'pages: loop {
            let rows = list(&self.vault.pool, low, high.as_deref(), &after, CHUNK)
                .await
                .map_err(store_failed)?;
            let last_chunk = rows.len() < usize::try_from(CHUNK).unwrap_or(usize::MAX);
            for row in rows {
                scanned += 1;
                let visible = self.may_list(ctx, &row, ruling).is_allowed();
                let folder = if options.recursive {
                    None
                } else {
                    folder_of(prefix, &row)
                };
                match (visible, folder) {
                    (false, _) => row.path.as_str().clone_into(&mut after),
                    (true, Some(folder)) => {
                        // The folder tells of everything below: go on behind it. DEL follows every character of a segment.
                        after = format!("{folder}\u{7f}");
                        items.push(ListItem::Folder(folder));
                        if items.len() < limit && scanned < SCAN {
                            continue 'pages;
                        }
                    }
                    (true, None) => {
                        row.path.as_str().clone_into(&mut after);
                        let path = row.path.as_str().to_owned();
                        items.push(ListItem::Record {
                            path,
                            version: row.current_version,
                            state: row.state,
                        });
                    }
                }
                if items.len() >= limit || scanned >= SCAN {
                    return Ok(Page {
                        items,
                        next: Some(after),
                    });
                }
            }
            if last_chunk {
                return Ok(Page { items, next: None });
            }
        }
    }

    fn may_list(&self, ctx: &OpContext, row: &ListedRecord, ruling: &Ruling) -> Decision {
        ruling.decide(ctx, Capability::List, &row.path, &self.vault.metrics)
    }
}

/// The folder directly below `prefix` that a record lies in, with its trailing `/`.
fn folder_of(prefix: &PathPrefix, row: &ListedRecord) -> Option<String> {
    let rest = row.path.as_str().get(prefix.as_str().len()..)?;
    let at = rest.find('/')?;
    Some(row.path.as_str()[..prefix.as_str().len() + at + 1].to_owned())
}
