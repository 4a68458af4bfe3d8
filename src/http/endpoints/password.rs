//! `POST /api/v1/auth/redeem`: a password by a link for one use. `POST /api/v1/me/password`: another password of one's own.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::auth::RequestInfo;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "POST",
            "/api/v1/auth/redeem",
            Access::Anyone,
            post(redeem),
            Operation::new("Set a password by the token of an invitation or a reset")
                .takes::<RedeemForm>()
                .answers_nothing(),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/me/password",
            Access::Session,
            post(change),
            Operation::new("Change one's own password; every session of one's own ends")
                .takes::<PasswordForm>()
                .answers_nothing(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Redemption")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RedeemForm {
    token: String,
    new_password: String,
}

impl Form for RedeemForm {
    const EXAMPLE: &'static str = r#"{"token": "TOKEN", "newPassword": "PASSWORD"}"#;
    const LIMIT: usize = 8 << 10;
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PasswordChange")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PasswordForm {
    password: String,
    new_password: String,
}

impl Form for PasswordForm {
    const EXAMPLE: &'static str = r#"{"password": "THE ONE OF NOW", "newPassword": "THE NEXT"}"#;
    const LIMIT: usize = 8 << 10;
}

async fn redeem(
    State(api): State<Api>,
    Extension(info): Extension<RequestInfo>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<RedeemForm>,
) -> Result<StatusCode> {
    let token = SecretString::from(form.token);
    let password = SecretString::from(form.new_password);
    api.vault().users().redeem(&token, password, info).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<PasswordForm>,
) -> Result<StatusCode> {
    let (current, new) = (SecretString::from(form.password), SecretString::from(form.new_password));
    api.vault().users().change_own_password(&ctx, current, new).await?;
    Ok(StatusCode::NO_CONTENT)
}
