//! `GET /api/v1/audit/entries`: what was done, by whom, newest first, a page at a time. For auditors and administrators.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::list::{close_cursor, open_cursor};
use crate::domain::audit::query::AuditCursor;
use crate::domain::limits::MAX_PAGE;
use crate::http::audit_view::{AuditParameters, EntryView};
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::Query;
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;

/// Items of a page unless the client says otherwise.
const DEFAULT_PAGE: u32 = 100;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/audit/entries",
        Access::Session,
        get(list),
        Operation::new("Query the audit log, newest first, a page at a time")
            .query::<AuditParameters>()
            .answers::<PageView>(StatusCode::OK),
    )
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditPage")]
struct PageView {
    items: Vec<EntryView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(parameters): Query<AuditParameters>,
) -> Result<axum::Json<PageView>> {
    let limit = parameters.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        let detail = format!("'limit' must be 1 to {MAX_PAGE}");
        return Err(Problem::new(Reason::InvalidRequest, detail));
    }
    let after = parameters.after.as_deref().map(cursor).transpose()?;
    let filter = parameters.into_filter();
    let page = api.vault().audit_log().entries(&ctx, &filter, after, limit).await?;
    Ok(axum::Json(PageView {
        items: page.items.into_iter().map(EntryView::from).collect(),
        next: page.next.map(|next| close_cursor(&next.to_text())),
    }))
}

fn cursor(text: &str) -> Result<AuditCursor> {
    AuditCursor::parse(&open_cursor(text)?).ok_or_else(|| {
        Problem::new(
            Reason::InvalidRequest,
            "'after' takes the 'next' of the page before, as it was given",
        )
    })
}
