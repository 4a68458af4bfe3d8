//! `POST /api/v1/users`: makes a user. A person's invitation is in the answer, once.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::user_view::{LinkView, UserView};
use crate::domain::actor::Role;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::users::NewUser;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "POST",
        "/api/v1/users",
        Access::Session,
        post(create),
        Operation::new("Make a user; a person's invitation is shown once")
            .takes::<NewUserForm>()
            .answers::<CreatedView<'_>>(StatusCode::CREATED),
    )
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewUser")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewUserForm {
    name: String,
    #[serde(default)]
    machine: bool,
    role: Option<Role>,
    email: Option<String>,
    display_name: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

impl Form for NewUserForm {
    const EXAMPLE: &'static str = r#"{"name": "ann", "role": "user", "email": "ann@example.org", "displayName": "Ann", "groups": ["ops"], "machine": false}; all but the name are optional"#;
    const LIMIT: usize = 64 << 10;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CreatedUser")]
struct CreatedView<'a> {
    user: UserView,
    /// By which a person sets a password; a machine has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation: Option<LinkView<'a>>,
}

async fn create(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<NewUserForm>,
) -> Result<Response> {
    let new = NewUser {
        name: form.name,
        machine: form.machine,
        role: form.role.unwrap_or(Role::User),
        email: form.email,
        display_name: form.display_name,
        groups: form.groups,
    };
    let (user, link) = api.vault().users().create(&ctx, new).await?;
    let location = HeaderValue::from_str(&format!("/api/v1/users/{}", user.id)).unwrap_or(HeaderValue::from_static(""));
    let view = CreatedView {
        user: user.into(),
        invitation: link.as_ref().map(LinkView::from),
    };
    // Texts and times always serialise.
    let body = Zeroizing::new(serde_json::to_vec(&view).unwrap_or_default());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::LOCATION, location),
    ];
    Ok((StatusCode::CREATED, headers, Bytes::from_owner(body)).into_response())
}
