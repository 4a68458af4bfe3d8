//! `POST /api/v1/auth/second-factor`: from a challenge and a second factor to a session. `POST /api/v1/auth/second-factor/enrol`: the second
//! factor that a login has to enrol. `POST /api/v1/auth/step-up`: a second factor shown again within a session.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::passkey_view::AnswerForm;
use super::session_tokens::{SessionTokensView, secret_json};
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::auth::{Enrolment, RequestInfo, ShownFactor};
use crate::service::error::Reason;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "POST",
            "/api/v1/auth/second-factor",
            Access::Anyone,
            post(complete),
            Operation::new("Complete a login with its second factor")
                .takes::<CompletionForm>()
                .answers::<CompletedView<'_>>(StatusCode::OK),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/auth/second-factor/enrol",
            Access::Anyone,
            post(enrol),
            Operation::new("Offer an authenticator to a login that has to enrol a second factor; shown once")
                .takes::<ChallengeForm>()
                .answers::<EnrolmentView<'_>>(StatusCode::OK),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/auth/step-up",
            Access::Session,
            post(step_up),
            Operation::new("Show a second factor again, for policies that want one shown lately")
                .takes::<FactorForm>()
                .answers_nothing(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SecondFactorLogin")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CompletionForm {
    challenge: String,
    /// Six digits of an authenticator.
    code: Option<String>,
    recovery_code: Option<String>,
    /// What a browser made of a challenge for a passkey.
    passkey: Option<AnswerForm>,
}

impl Form for CompletionForm {
    const EXAMPLE: &'static str =
        r#"{"challenge": "avc_…", "code": "012345"}, or "recoveryCode" or "passkey" instead of "code""#;
    const LIMIT: usize = AnswerForm::LIMIT;
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "LoginChallenge")]
#[serde(deny_unknown_fields)]
struct ChallengeForm {
    challenge: String,
}

impl Form for ChallengeForm {
    const EXAMPLE: &'static str = r#"{"challenge": "avc_…"}"#;
    const LIMIT: usize = 1 << 10;
}

/// A second factor.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SecondFactor")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct FactorForm {
    /// Six digits of an authenticator.
    code: Option<String>,
    recovery_code: Option<String>,
    /// What a browser made of a challenge for a passkey.
    passkey: Option<AnswerForm>,
}

impl Form for FactorForm {
    const EXAMPLE: &'static str = r#"{"code": "012345"}, or "recoveryCode" or "passkey" instead of "code""#;
    const LIMIT: usize = AnswerForm::LIMIT;
}

impl FactorForm {
    /// What is shown, if it is well-formed (R4).
    pub(super) fn shown(self) -> Result<ShownFactor> {
        shown(self.code, self.recovery_code, self.passkey)
    }
}

fn shown(code: Option<String>, recovery_code: Option<String>, passkey: Option<AnswerForm>) -> Result<ShownFactor> {
    if let Some(answer) = passkey {
        return match (code, recovery_code) {
            (None, None) => Ok(ShownFactor::Passkey(answer.into())),
            _ => Err(Problem::new(
                Reason::InvalidRequest,
                "send one second factor: 'code', 'recoveryCode' or 'passkey'",
            )),
        };
    }
    let (code, recovery_code) = (code.map(SecretString::from), recovery_code.map(SecretString::from));
    Ok(ShownFactor::parse(code.as_ref(), recovery_code.as_ref())?)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CompletedLogin")]
#[serde(rename_all = "camelCase")]
struct CompletedView<'a> {
    #[serde(flatten)]
    tokens: SessionTokensView<'a>,
    /// Of a second factor that was enrolled by this login. Shown once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recovery_codes: Vec<&'a str>,
}

/// What an authenticator is set up with. Shown once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TotpEnrolment")]
#[serde(rename_all = "camelCase")]
pub(super) struct EnrolmentView<'a> {
    /// In base 32, to be typed.
    secret: &'a str,
    /// `otpauth://totp/…`
    uri: &'a str,
    /// The URI as a QR code, in SVG.
    qr_svg: &'a str,
}

impl<'a> From<&'a Enrolment> for EnrolmentView<'a> {
    fn from(enrolment: &'a Enrolment) -> Self {
        Self {
            secret: enrolment.secret.expose_secret(),
            uri: enrolment.uri.expose_secret(),
            qr_svg: enrolment.qr_svg.expose_secret(),
        }
    }
}

async fn complete(
    State(api): State<Api>,
    Extension(info): Extension<RequestInfo>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<CompletionForm>,
) -> Result<Response> {
    let challenge = SecretString::from(form.challenge);
    let shown = shown(form.code, form.recovery_code, form.passkey)?;
    let completed = api.vault().auth().complete_login(&challenge, &shown, info).await?;
    let view = CompletedView {
        tokens: SessionTokensView::from(&completed.session),
        recovery_codes: completed
            .recovery_codes
            .iter()
            .map(SecretString::expose_secret)
            .collect(),
    };
    Ok(secret_json(StatusCode::OK, &view))
}

async fn enrol(
    State(api): State<Api>,
    Extension(info): Extension<RequestInfo>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<ChallengeForm>,
) -> Result<Response> {
    let challenge = SecretString::from(form.challenge);
    let enrolment = api.vault().auth().enrol_by_challenge(&challenge, info).await?;
    Ok(secret_json(StatusCode::OK, &EnrolmentView::from(&enrolment)))
}

async fn step_up(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<FactorForm>,
) -> Result<StatusCode> {
    api.vault().auth().step_up(&ctx, &form.shown()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
