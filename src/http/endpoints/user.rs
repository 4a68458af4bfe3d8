//! `GET`, `PATCH` and `DELETE /api/v1/users/{id}`, and what an administrator does to one user: restore, reset, unlock.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, patch, post};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::user_view::{LinkView, UserView};
use crate::domain::actor::Role;
use crate::http::body::{Form, Json};
use crate::http::id::Ids;
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Parameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::users::UserChange;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of = |method, path, handler, operation| Endpoint::new(method, path, Access::Session, handler, operation);
    vec![
        of(
            "GET",
            "/api/v1/users/{id}",
            get(read),
            Operation::new("Show a user").answers::<UserView>(StatusCode::OK),
        ),
        of(
            "PATCH",
            "/api/v1/users/{id}",
            patch(change),
            Operation::new("Change a user; another role, other groups or disabling ends the user's sessions")
                .takes::<ChangeForm>()
                .answers::<UserView>(StatusCode::OK),
        ),
        of(
            "DELETE",
            "/api/v1/users/{id}",
            delete(remove),
            Operation::new("Delete a user, to be restored or for good")
                .query::<RemoveParameters>()
                .answers_nothing(),
        ),
        of(
            "POST",
            "/api/v1/users/{id}/restore",
            post(restore),
            Operation::new("Restore a deleted user").answers_nothing(),
        ),
        of(
            "POST",
            "/api/v1/users/{id}/reset",
            post(reset),
            Operation::new("Take a person's password away; the link to set another is shown once")
                .answers::<LinkView<'_>>(StatusCode::OK),
        ),
        of(
            "POST",
            "/api/v1/users/{id}/unlock",
            post(unlock),
            Operation::new("Unlock an account after too many attempts").answers_nothing(),
        ),
        of(
            "DELETE",
            "/api/v1/users/{id}/second-factor",
            delete(remove_second_factors),
            Operation::new("Take every second factor of a user away; the user's sessions end").answers_nothing(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "UserChange")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ChangeForm {
    role: Option<Role>,
    #[serde(default, deserialize_with = "set")]
    email: Option<Option<String>>,
    #[serde(default, deserialize_with = "set")]
    display_name: Option<Option<String>>,
    disabled: Option<bool>,
    second_factor_required: Option<bool>,
    groups: Option<Vec<String>>,
}

impl Form for ChangeForm {
    const EXAMPLE: &'static str = r#"{"role": "auditor", "email": null, "displayName": "Ann", "disabled": false, "secondFactorRequired": true, "groups": ["ops"]}, each optional; null takes an e-mail address or a display name away"#;
    const LIMIT: usize = 64 << 10;
}

/// A field that was sent, be it null.
pub(super) fn set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RemoveParameters {
    /// For good: the name becomes free, and nothing brings the user back.
    #[serde(default)]
    permanently: bool,
}

impl Parameters for RemoveParameters {
    const EXAMPLE: &'static str = "?permanently=true, or nothing";
}

async fn read(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<UserView>> {
    let user = api.vault().users().get(&ctx, ids.get("id")).await?;
    Ok(axum::Json(user.into()))
}

async fn change(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<ChangeForm>,
) -> Result<axum::Json<UserView>> {
    let change = UserChange {
        role: form.role,
        email: form.email,
        display_name: form.display_name,
        disabled: form.disabled,
        second_factor_required: form.second_factor_required,
        groups: form.groups,
    };
    let user = api.vault().users().change(&ctx, ids.get("id"), change).await?;
    Ok(axum::Json(user.into()))
}

async fn remove(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(parameters): Query<RemoveParameters>,
) -> Result<StatusCode> {
    api.vault()
        .users()
        .remove(&ctx, ids.get("id"), parameters.permanently)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn restore(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    api.vault().users().restore(&ctx, ids.get("id")).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reset(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response> {
    let link = api.vault().users().reset(&ctx, ids.get("id")).await?;
    // Texts and times always serialise.
    let body = Zeroizing::new(serde_json::to_vec(&LinkView::from(&link)).unwrap_or_default());
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((headers, Bytes::from_owner(body)).into_response())
}

async fn remove_second_factors(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    api.vault().users().remove_second_factors(&ctx, ids.get("id")).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unlock(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    api.vault().users().unlock(&ctx, ids.get("id")).await?;
    Ok(StatusCode::NO_CONTENT)
}
