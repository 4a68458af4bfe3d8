//! `/api/v1/me/passkeys`: one's own passkeys.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, patch, post};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::passkey_view::{AnswerForm, ChallengeView};
use crate::http::body::{Form, Json};
use crate::http::id::Ids;
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::auth::{PasskeyAnswer, PasskeyInfo};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of = |method, path, handler, operation| Endpoint::new(method, path, Access::Session, handler, operation);
    vec![
        of(
            "GET",
            "/api/v1/me/passkeys",
            get(list),
            Operation::new("List one's own passkeys").answers::<PasskeysView>(StatusCode::OK),
        ),
        of(
            "POST",
            "/api/v1/me/passkeys/start",
            post(start),
            Operation::new("Begin to register a passkey: options for navigator.credentials.create")
                .answers::<ChallengeView>(StatusCode::OK),
        ),
        of(
            "POST",
            "/api/v1/me/passkeys",
            post(finish),
            Operation::new("Register the passkey that a browser made; every session of one's own ends")
                .takes::<RegistrationForm>()
                .answers::<PasskeyView>(StatusCode::CREATED),
        ),
        of(
            "PATCH",
            "/api/v1/me/passkeys/{passkey}",
            patch(rename),
            Operation::new("Give a passkey another name")
                .takes::<NameForm>()
                .answers_nothing(),
        ),
        of(
            "DELETE",
            "/api/v1/me/passkeys/{passkey}",
            delete(remove),
            Operation::new("Remove a passkey; every session of one's own ends").answers_nothing(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PasskeyRegistration")]
#[serde(deny_unknown_fields)]
struct RegistrationForm {
    ceremony: Uuid,
    /// What `navigator.credentials.create` gave, as JSON.
    credential: Value,
    /// A name to know it by.
    name: String,
}

impl Form for RegistrationForm {
    const EXAMPLE: &'static str =
        r#"{"ceremony": "ID", "name": "laptop", "credential": …} with what navigator.credentials.create gave, as JSON"#;
    const LIMIT: usize = AnswerForm::LIMIT;
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PasskeyName")]
#[serde(deny_unknown_fields)]
struct NameForm {
    name: String,
}

impl Form for NameForm {
    const EXAMPLE: &'static str = r#"{"name": "laptop"}"#;
    const LIMIT: usize = 4 << 10;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Passkeys")]
struct PasskeysView {
    items: Vec<PasskeyView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Passkey")]
#[serde(rename_all = "camelCase")]
struct PasskeyView {
    id: Uuid,
    name: String,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
    /// Since when it is not taken any more, because there may be a copy of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspect_at: Option<Timestamp>,
}

impl From<PasskeyInfo> for PasskeyView {
    fn from(passkey: PasskeyInfo) -> Self {
        Self {
            id: passkey.id,
            name: passkey.name,
            created_at: passkey.created_at,
            last_used_at: passkey.last_used_at,
            suspect_at: passkey.suspect_at,
        }
    }
}

async fn list(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<PasskeysView>> {
    let passkeys = api.vault().auth().own_passkeys(&ctx).await?;
    let items = passkeys.into_iter().map(PasskeyView::from).collect();
    Ok(axum::Json(PasskeysView { items }))
}

async fn start(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<ChallengeView>> {
    let challenge = api.vault().auth().start_passkey(&ctx).await?;
    Ok(axum::Json(challenge.into()))
}

async fn finish(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<RegistrationForm>,
) -> Result<Response> {
    let answer = PasskeyAnswer {
        ceremony: form.ceremony,
        credential: form.credential,
    };
    let passkey = api.vault().auth().finish_passkey(&ctx, &form.name, answer).await?;
    let location = format!("/api/v1/me/passkeys/{}", passkey.id);
    let location = HeaderValue::from_str(&location).unwrap_or(HeaderValue::from_static(""));
    let view = axum::Json(PasskeyView::from(passkey));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], view).into_response())
}

async fn rename(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<NameForm>,
) -> Result<StatusCode> {
    let auth = api.vault().auth();
    auth.rename_passkey(&ctx, ids.get("passkey"), &form.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    api.vault().auth().remove_passkey(&ctx, ids.get("passkey")).await?;
    Ok(StatusCode::NO_CONTENT)
}
