//! `GET /api/v1/users`: every user, a page at a time, in the order of names.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::list::{close_cursor, open_cursor};
use super::user_view::UserView;
use crate::domain::limits::MAX_PAGE;
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::{Parameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;

/// Items of a page unless the client says otherwise.
const DEFAULT_PAGE: u32 = 100;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/users",
        Access::Session,
        get(list),
        Operation::new("List users, a page at a time")
            .query::<UserListParameters>()
            .answers::<PageView>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UserListParameters {
    limit: Option<u32>,
    after: Option<String>,
}

impl Parameters for UserListParameters {
    const EXAMPLE: &'static str = "?limit=N and ?after=CURSOR, each once";
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
    Query(parameters): Query<UserListParameters>,
) -> Result<axum::Json<PageView>> {
    let limit = parameters.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        let detail = format!("'limit' must be 1 to {MAX_PAGE}");
        return Err(Problem::new(Reason::InvalidRequest, detail));
    }
    let after = parameters.after.as_deref().map(open_cursor).transpose()?;
    let page = api.vault().users().list(&ctx, after.as_deref(), limit).await?;
    Ok(axum::Json(PageView {
        items: page.items.into_iter().map(UserView::from).collect(),
        next: page.next.as_deref().map(close_cursor),
    }))
}
