//! `GET /api/v1/policies`: every policy, a page at a time, in the order of names.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::openapi::Operation;
use crate::http::page::{PageParameters, cursor};
use crate::http::policy_view::PolicyView;
use crate::http::problem::Result;
use crate::http::query::Query;
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/policies",
        Access::Session,
        get(list),
        Operation::new("List policies, a page at a time")
            .query::<PageParameters>()
            .answers::<PageView>(StatusCode::OK),
    )
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyPage")]
struct PageView {
    items: Vec<PolicyView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(page): Query<PageParameters>,
) -> Result<axum::Json<PageView>> {
    let (after, limit) = page.parse()?;
    let page = api.vault().policies().list(&ctx, after.as_deref(), limit).await?;
    Ok(axum::Json(PageView {
        items: page.items.into_iter().map(PolicyView::from).collect(),
        next: page.next.as_deref().map(cursor),
    }))
}
