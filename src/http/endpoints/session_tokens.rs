//! What a login answers: the tokens of a session, or a challenge for its second factor.

use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::service::auth::{IssuedSession, LoggedIn, LoginChallenge};

/// The tokens of a session. Shown once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SessionTokens")]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionTokensView<'a> {
    /// The access token.
    token: &'a str,
    token_type: &'static str,
    /// When the access token ends.
    expires_at: Timestamp,
    /// Good once, for the next access token.
    refresh_token: &'a str,
    /// When the session ends unless it is refreshed.
    refresh_expires_at: Timestamp,
    /// When the session ends in any case.
    session_ends_at: Timestamp,
}

impl<'a> From<&'a IssuedSession> for SessionTokensView<'a> {
    fn from(session: &'a IssuedSession) -> Self {
        Self {
            token: session.token.expose_secret(),
            token_type: "Bearer",
            expires_at: session.expires_at,
            refresh_token: session.refresh_token.expose_secret(),
            refresh_expires_at: session.idle_ends_at,
            session_ends_at: session.ends_at,
        }
    }
}

/// A login that waits for its second factor.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SecondFactorWanted")]
#[serde(rename_all = "camelCase")]
pub(super) struct ChallengeView<'a> {
    /// What to send with the second factor. Shown once.
    challenge: &'a str,
    /// When the challenge ends.
    expires_at: Timestamp,
    /// What the account can show: `totp`, `passkey`, `recoveryCode`.
    methods: &'a [&'static str],
    /// Whether the account has no second factor yet and must enrol one to log in.
    enrolment_required: bool,
}

impl<'a> From<&'a LoginChallenge> for ChallengeView<'a> {
    fn from(challenge: &'a LoginChallenge) -> Self {
        Self {
            challenge: challenge.token.expose_secret(),
            expires_at: challenge.expires_at,
            methods: &challenge.methods,
            enrolment_required: challenge.enrols,
        }
    }
}

/// 200 with tokens, or 202 with a challenge.
pub(super) fn logged_in(outcome: &LoggedIn) -> Response {
    match outcome {
        LoggedIn::Session(session) => secret_json(StatusCode::OK, &SessionTokensView::from(session)),
        LoggedIn::SecondFactor(challenge) => secret_json(StatusCode::ACCEPTED, &ChallengeView::from(challenge)),
    }
}

/// An answer that holds secrets: its bytes are wiped once they are sent.
pub(super) fn secret_json(status: StatusCode, view: &impl Serialize) -> Response {
    // Texts and times always serialise.
    let body = Zeroizing::new(serde_json::to_vec(view).unwrap_or_default());
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, headers, Bytes::from_owner(body)).into_response()
}
