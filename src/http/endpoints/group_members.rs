//! `/api/v1/groups/{id}/members`: who belongs to a group.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, put};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::http::id::Ids;
use crate::http::openapi::Operation;
use crate::http::page::{PageParameters, cursor};
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::users::Member;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of = |method, path, handler, operation| Endpoint::new(method, path, Access::Session, handler, operation);
    vec![
        of(
            "GET",
            "/api/v1/groups/{id}/members",
            get(list),
            Operation::new("List the members of a group, a page at a time")
                .query::<PageParameters>()
                .answers::<PageView>(StatusCode::OK),
        ),
        of(
            "PUT",
            "/api/v1/groups/{id}/members/{user}",
            put(add),
            Operation::new("Make a user a member; the user's sessions end").answers_nothing(),
        ),
        of(
            "DELETE",
            "/api/v1/groups/{id}/members/{user}",
            delete(remove),
            Operation::new("End a membership that an administrator made; the user's sessions end").answers_nothing(),
        ),
    ]
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Member")]
struct MemberView {
    /// The user's id.
    id: Uuid,
    /// The user's name.
    name: String,
    /// Who made it a member: `local` is an administrator, anything else a provider of single sign-on.
    origins: Vec<String>,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        Self {
            id: member.id,
            name: member.name,
            origins: member.origins,
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MemberPage")]
struct PageView {
    items: Vec<MemberView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(page): Query<PageParameters>,
) -> Result<axum::Json<PageView>> {
    let (after, limit) = page.parse()?;
    let users = api.vault().users();
    let page = users.members(&ctx, ids.get("id"), after.as_deref(), limit).await?;
    Ok(axum::Json(PageView {
        items: page.items.into_iter().map(MemberView::from).collect(),
        next: page.next.as_deref().map(cursor),
    }))
}

async fn add(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    let users = api.vault().users();
    users.add_member(&ctx, ids.get("id"), ids.get("user")).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    let users = api.vault().users();
    users.remove_member(&ctx, ids.get("id"), ids.get("user")).await?;
    Ok(StatusCode::NO_CONTENT)
}
