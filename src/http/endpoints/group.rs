//! `/api/v1/groups`: groups of users, for administrators; auditors may look.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, patch, post};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::http::body::{Form, Json};
use crate::http::id::Ids;
use crate::http::openapi::Operation;
use crate::http::page::{PageParameters, cursor};
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::users::Group;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of = |method, path, handler, operation| Endpoint::new(method, path, Access::Session, handler, operation);
    vec![
        of(
            "GET",
            "/api/v1/groups",
            get(list),
            Operation::new("List groups, a page at a time")
                .query::<PageParameters>()
                .answers::<PageView>(StatusCode::OK),
        ),
        of(
            "POST",
            "/api/v1/groups",
            post(create),
            Operation::new("Make a group without members")
                .takes::<GroupForm>()
                .answers::<GroupView>(StatusCode::CREATED),
        ),
        of(
            "GET",
            "/api/v1/groups/{id}",
            get(read),
            Operation::new("Show a group").answers::<GroupView>(StatusCode::OK),
        ),
        of(
            "PATCH",
            "/api/v1/groups/{id}",
            patch(rename),
            Operation::new("Give a group another name; policies go by names, and its members' sessions end")
                .takes::<GroupForm>()
                .answers::<GroupView>(StatusCode::OK),
        ),
        of(
            "DELETE",
            "/api/v1/groups/{id}",
            delete(remove),
            Operation::new("Remove a group; what policies granted it ends").answers_nothing(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "GroupName")]
#[serde(deny_unknown_fields)]
struct GroupForm {
    name: String,
}

impl Form for GroupForm {
    const EXAMPLE: &'static str = r#"{"name": "ops"}"#;
    const LIMIT: usize = 4 << 10;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Group")]
#[serde(rename_all = "camelCase")]
struct GroupView {
    id: Uuid,
    name: String,
    /// How many users belong to it.
    members: i64,
    created_at: Timestamp,
}

impl From<Group> for GroupView {
    fn from(group: Group) -> Self {
        Self {
            id: group.id,
            name: group.name,
            members: group.members,
            created_at: group.created_at,
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GroupPage")]
struct PageView {
    items: Vec<GroupView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(page): Query<PageParameters>,
) -> Result<axum::Json<PageView>> {
    let (after, limit) = page.parse()?;
    let page = api.vault().users().groups(&ctx, after.as_deref(), limit).await?;
    Ok(axum::Json(PageView {
        items: page.items.into_iter().map(GroupView::from).collect(),
        next: page.next.as_deref().map(cursor),
    }))
}

async fn create(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<GroupForm>,
) -> Result<Response> {
    let group = api.vault().users().create_group(&ctx, &form.name).await?;
    let location =
        HeaderValue::from_str(&format!("/api/v1/groups/{}", group.id)).unwrap_or(HeaderValue::from_static(""));
    let view = axum::Json(GroupView::from(group));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], view).into_response())
}

async fn read(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<GroupView>> {
    let group = api.vault().users().group(&ctx, ids.get("id")).await?;
    Ok(axum::Json(group.into()))
}

async fn rename(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<GroupForm>,
) -> Result<axum::Json<GroupView>> {
    let group = api
        .vault()
        .users()
        .rename_group(&ctx, ids.get("id"), &form.name)
        .await?;
    Ok(axum::Json(group.into()))
}

async fn remove(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    api.vault().users().remove_group(&ctx, ids.get("id")).await?;
    Ok(StatusCode::NO_CONTENT)
}
