//! `GET /api/v1/users`: every user, a page at a time, in the order of names.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::user_view::UserView;
use crate::http::openapi::Operation;
use crate::http::page::{PageParameters, cursor};
use crate::http::problem::Result;
use crate::http::query::Query;
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/users",
        Access::Session,
        get(list),
        Operation::new("List users, a page at a time")
            .query::<PageParameters>()
            .answers::<PageView>(StatusCode::OK),
    )
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UserPage")]
struct PageView {
    items: Vec<UserView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(page): Query<PageParameters>,
) -> Result<axum::Json<PageView>> {
    let (after, limit) = page.parse()?;
    let page = api.vault().users().list(&ctx, after.as_deref(), limit).await?;
    Ok(axum::Json(PageView {
        items: page.items.into_iter().map(UserView::from).collect(),
        next: page.next.as_deref().map(cursor),
    }))
}
