//! `/api/v1/me/second-factor`: one's own second factor: what there is, an authenticator, recovery codes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, post};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::second_factor::{EnrolmentView, FactorForm};
use super::session_tokens::secret_json;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of = |method, path, handler, operation| Endpoint::new(method, path, Access::Session, handler, operation);
    vec![
        of(
            "GET",
            "/api/v1/me/second-factor",
            get(state),
            Operation::new("Say which second factors the caller has").answers::<StateView>(StatusCode::OK),
        ),
        of(
            "POST",
            "/api/v1/me/second-factor/totp",
            post(enrol),
            Operation::new("Offer an authenticator; it counts once a code of it was shown")
                .takes::<PasswordForm>()
                .answers::<EnrolmentView<'_>>(StatusCode::OK),
        ),
        of(
            "POST",
            "/api/v1/me/second-factor/totp/confirm",
            post(confirm),
            Operation::new(
                "Make the authenticator count; recovery codes are shown once, and every session of one's own ends",
            )
            .takes::<FactorForm>()
            .answers::<RecoveryCodesView<'_>>(StatusCode::OK),
        ),
        of(
            "DELETE",
            "/api/v1/me/second-factor/totp",
            delete(remove),
            Operation::new("Remove the authenticator; every session of one's own ends").answers_nothing(),
        ),
        of(
            "POST",
            "/api/v1/me/second-factor/recovery-codes",
            post(recovery_codes),
            Operation::new("Get new recovery codes in place of those before; every session of one's own ends")
                .answers::<RecoveryCodesView<'_>>(StatusCode::OK),
        ),
    ]
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SecondFactors")]
#[serde(rename_all = "camelCase")]
struct StateView {
    /// Whether an authenticator counts.
    totp: bool,
    /// Whether there are passkeys.
    passkey: bool,
    /// Recovery codes that are left.
    recovery_codes: i64,
    /// Whether a login needs a second factor.
    required: bool,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Reauthentication")]
#[serde(deny_unknown_fields)]
struct PasswordForm {
    password: Option<String>,
}

impl Form for PasswordForm {
    const EXAMPLE: &'static str = r#"{"password": "PASSWORD"}, or {} after a step-up"#;
    const LIMIT: usize = 8 << 10;
}

/// Each good once. Shown once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RecoveryCodes")]
#[serde(rename_all = "camelCase")]
struct RecoveryCodesView<'a> {
    recovery_codes: Vec<&'a str>,
}

async fn state(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<StateView>> {
    let state = api.vault().auth().second_factor_state(&ctx).await?;
    Ok(axum::Json(StateView {
        totp: state.totp,
        passkey: state.passkey,
        recovery_codes: state.recovery_codes,
        required: state.required,
    }))
}

async fn enrol(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<PasswordForm>,
) -> Result<Response> {
    let password = form.password.map(SecretString::from);
    let enrolment = api.vault().auth().enrol_totp(&ctx, password).await?;
    Ok(secret_json(StatusCode::OK, &EnrolmentView::from(&enrolment)))
}

async fn confirm(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<FactorForm>,
) -> Result<Response> {
    let codes = api.vault().auth().confirm_totp(&ctx, &form.shown()?).await?;
    Ok(shown_once(&codes))
}

async fn remove(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    api.vault().auth().remove_totp(&ctx).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn recovery_codes(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response> {
    let codes = api.vault().auth().new_recovery_codes(&ctx).await?;
    Ok(shown_once(&codes))
}

fn shown_once(codes: &[SecretString]) -> Response {
    let recovery_codes = codes.iter().map(SecretString::expose_secret).collect();
    secret_json(StatusCode::OK, &RecoveryCodesView { recovery_codes })
}
