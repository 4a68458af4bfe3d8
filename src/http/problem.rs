//! Errors as `application/problem+json` (RFC 9457): a stable `type` and `reason`, a `detail` that says what to do, the request id.
//!
//! A handler fails with a [`Problem`]; the entrance gives it the request id, writes the body and logs it, once.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::header::{self, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::rate_limits::Allowance;
use crate::domain::record::Expect;
use crate::service::error::{Error, Reason};

/// Media type of a problem.
const MEDIA_TYPE: &str = "application/problem+json";
/// What a problem's `type` begins with.
const TYPE_BASE: &str = "https://aethervault.io/problems/";
/// Seconds after which to try again what failed for lack of capacity or of the database.
const RETRY_AFTER: &str = "1";

/// A failed request.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    reason: &'static str,
    title: &'static str,
    detail: String,
    /// For the log alone.
    cause: Option<String>,
    /// Of a bound that was reached.
    allowance: Option<Allowance>,
    /// Seconds after which to try again, if they are known.
    retry_after: Option<u32>,
}

/// The result of a handler.
pub(super) type Result<T, E = Problem> = std::result::Result<T, E>;

/// Status and title of each reason: the only place that decides them.
fn status_of(reason: Reason) -> (StatusCode, &'static str) {
    match reason {
        Reason::InvalidRequest => (StatusCode::BAD_REQUEST, "The request is malformed"),
        Reason::InvalidPath => (StatusCode::BAD_REQUEST, "The record path is malformed"),
        Reason::InvalidRecord => (StatusCode::BAD_REQUEST, "The record is malformed"),
        Reason::InvalidPolicy => (StatusCode::BAD_REQUEST, "The policy is malformed"),
        Reason::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Too large"),
        Reason::TokenMissing => (StatusCode::UNAUTHORIZED, "An access token is needed"),
        Reason::TokenInvalid => (StatusCode::UNAUTHORIZED, "The access token is not valid"),
        Reason::TokenExpired => (StatusCode::UNAUTHORIZED, "The access token has expired"),
        Reason::SessionEnded => (StatusCode::UNAUTHORIZED, "The session has ended"),
        Reason::RefreshTokenInvalid => (StatusCode::UNAUTHORIZED, "The refresh token is worth nothing"),
        Reason::ApiKeyEnded => (StatusCode::UNAUTHORIZED, "The API key has ended"),
        Reason::AddressNotAllowed => (StatusCode::FORBIDDEN, "The API key may not be used from here"),
        Reason::SessionRequired => (StatusCode::FORBIDDEN, "A person's session is needed"),
        Reason::AdministratorRequired => (StatusCode::FORBIDDEN, "This is for administrators"),
        Reason::PasskeysOff => (StatusCode::CONFLICT, "Passkeys are not set up"),
        Reason::PasskeyRefused => (StatusCode::UNPROCESSABLE_ENTITY, "The passkey was not registered"),
        Reason::PasskeyNotFound => (StatusCode::NOT_FOUND, "There is no such passkey"),
        Reason::GroupNotFound => (StatusCode::NOT_FOUND, "There is no such group"),
        Reason::GroupExists => (StatusCode::CONFLICT, "There is such a group"),
        Reason::MemberNotFound => (StatusCode::NOT_FOUND, "There is no such member"),
        Reason::UserExists => (StatusCode::CONFLICT, "There is such a user"),
        Reason::LastAdministrator => (StatusCode::CONFLICT, "An administrator has to stay"),
        Reason::OneTimeTokenInvalid => (StatusCode::UNAUTHORIZED, "The link is worth nothing"),
        Reason::SessionNotFound => (StatusCode::NOT_FOUND, "There is no such session"),
        Reason::UserNotFound => (StatusCode::NOT_FOUND, "There is no such user"),
        Reason::ApiKeyNotFound => (StatusCode::NOT_FOUND, "There is no such API key"),
        Reason::LimitReached => (StatusCode::CONFLICT, "The limit is reached"),
        Reason::ReviewUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "The cluster cannot be asked"),
        Reason::ProviderNotFound => (StatusCode::NOT_FOUND, "There is no such provider"),
        Reason::ProviderUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "The provider is unavailable"),
        Reason::ProviderRefused => (StatusCode::FORBIDDEN, "The provider did not confirm the login"),
        Reason::RedirectNotAllowed => (StatusCode::BAD_REQUEST, "Browsers are not sent there"),
        Reason::SsoFlowInvalid => (StatusCode::BAD_REQUEST, "The login is worth nothing"),
        Reason::IdentityUnknown => (StatusCode::FORBIDDEN, "The identity is nobody's"),
        Reason::IdentityTaken => (StatusCode::CONFLICT, "The identity is another user's"),
        Reason::IdentityNotFound => (StatusCode::NOT_FOUND, "There is no such identity"),
        Reason::AccountExists => (StatusCode::CONFLICT, "There is an account of this name"),
        Reason::LastCredential => (StatusCode::CONFLICT, "A way to log in has to stay"),
        Reason::UserCodeUnknown => (StatusCode::NOT_FOUND, "No device waits with this code"),
        Reason::AuthorizationPending => (StatusCode::BAD_REQUEST, "Nobody has decided yet"),
        Reason::SlowDown => (StatusCode::BAD_REQUEST, "The device asks too often"),
        Reason::DeviceDenied => (StatusCode::BAD_REQUEST, "The device was refused"),
        Reason::DeviceCodeExpired => (StatusCode::BAD_REQUEST, "The device's code is worth nothing"),
        Reason::LoginFailed => (StatusCode::UNAUTHORIZED, "The login failed"),
        Reason::ChallengeInvalid => (StatusCode::UNAUTHORIZED, "The login has ended"),
        Reason::SecondFactorFailed => (StatusCode::UNAUTHORIZED, "The second factor is wrong"),
        Reason::SecondFactorLocked => (StatusCode::FORBIDDEN, "Too many second factors were wrong"),
        Reason::SecondFactorNotEnrolled => (StatusCode::CONFLICT, "There is no second factor"),
        Reason::SecondFactorExists => (StatusCode::CONFLICT, "There is a second factor"),
        Reason::ReauthenticationRequired => (StatusCode::FORBIDDEN, "Show again who you are"),
        Reason::PasswordChangeRequired => (StatusCode::FORBIDDEN, "The password must be changed"),
        Reason::PasswordTooWeak => (StatusCode::UNPROCESSABLE_ENTITY, "The new password is too weak"),
        Reason::PolicyDenied => (StatusCode::FORBIDDEN, "Policy does not allow this"),
        Reason::StepUpRequired => (StatusCode::FORBIDDEN, "A fresh second factor is needed"),
        Reason::RoleRequired => (StatusCode::FORBIDDEN, "Another role is needed"),
        Reason::GrantBeyondOwn => (StatusCode::FORBIDDEN, "The policy grants more than you hold"),
        Reason::PolicyNotFound => (StatusCode::NOT_FOUND, "There is no such policy"),
        Reason::PathNotFound => (StatusCode::NOT_FOUND, "There is no such record"),
        // Gone rather than not found: the version was there, and its number stays taken.
        Reason::VersionGone => (StatusCode::GONE, "The version is gone"),
        Reason::CheckAndSetFailed => (StatusCode::CONFLICT, "The record is at another version"),
        Reason::CasRequired => (
            StatusCode::PRECONDITION_REQUIRED,
            "The write has to say what it follows",
        ),
        Reason::RecordDeleted => (StatusCode::CONFLICT, "The record is deleted"),
        Reason::QuotaExceeded => (StatusCode::CONFLICT, "The quota is used up"),
        Reason::WriteRateExceeded => (StatusCode::TOO_MANY_REQUESTS, "Too many writes"),
        Reason::RootShredded => (StatusCode::GONE, "The root is shredded"),
        Reason::WrapGone => (StatusCode::GONE, "The token is worth nothing"),
        Reason::ManagedByResource => (StatusCode::CONFLICT, "A resource feeds this record"),
        Reason::SealedValue => (StatusCode::UNPROCESSABLE_ENTITY, "A sealed value does not open"),
        Reason::RootOrphaned => (StatusCode::CONFLICT, "The root belongs to an earlier namespace"),
        Reason::ClusterMismatch => (StatusCode::CONFLICT, "The prefix belongs to another cluster"),
        Reason::AuditEntryNotFound => (StatusCode::NOT_FOUND, "There is no such audit entry"),
        Reason::NotSealed => (StatusCode::CONFLICT, "The audit entry is not sealed yet"),
        Reason::Maintenance => (StatusCode::SERVICE_UNAVAILABLE, "The vault is in maintenance"),
        Reason::Busy => (StatusCode::SERVICE_UNAVAILABLE, "Too busy"),
        Reason::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "The database is unavailable"),
        Reason::KeyUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "The key is unavailable"),
        Reason::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side"),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}

impl Problem {
    /// A request that a use case never saw, for one of its reasons.
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Error::new(reason, detail).into()
    }

    /// A failed precondition is 412 where it was a header that set it (RFC 9110, section 13.1.1).
    pub(super) fn of_precondition(error: Error) -> Self {
        let mut problem = Self::from(error);
        if problem.reason == Reason::CheckAndSetFailed.as_str() {
            problem.status = StatusCode::PRECONDITION_FAILED;
        }
        problem
    }

    /// The problem of a write that expected something by a header, or by its body.
    pub(super) fn of_write(error: Error, precondition: Option<Expect>) -> Self {
        match precondition {
            Some(_) => Self::of_precondition(error),
            None => error.into(),
        }
    }

    pub(super) fn route_not_found() -> Self {
        Self::of_http(
            StatusCode::NOT_FOUND,
            "RouteNotFound",
            "There is no such endpoint",
            "look at the method and the address; endpoints lie under /api/v1",
        )
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::of_http(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "The endpoint does not take this method",
            "the Allow header lists the methods that it takes",
        )
    }

    pub(super) fn unsupported_media_type(expected: &str) -> Self {
        Self::of_http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            "The body is of another kind",
            &format!("send JSON with the header 'Content-Type: {expected}'"),
        )
    }

    pub(super) fn timeout() -> Self {
        Self::of_http(
            StatusCode::SERVICE_UNAVAILABLE,
            "RequestTimeout",
            "The request took too long",
            "whether it took effect is unknown: read before trying again",
        )
    }

    /// A bound on `what` was reached.
    pub(super) fn rate_limited(what: &str, allowance: Allowance) -> Self {
        let wait = allowance.reset();
        let detail = format!("too many {what}; try again in {wait} s, and slower");
        let mut problem = Self::of_http(
            StatusCode::TOO_MANY_REQUESTS,
            "RateLimited",
            "Too many requests",
            &detail,
        );
        problem.allowance = Some(allowance);
        problem
    }

    /// The vault is read-only.
    pub(super) fn maintenance(notice: &str, retry_after: u32) -> Self {
        let notice = if notice.is_empty() { "maintenance" } else { notice };
        let detail =
            format!("the vault is read-only for the time being: {notice}; reads go on, try again in {retry_after} s");
        let mut problem = Self::new(Reason::Maintenance, detail);
        problem.retry_after = Some(retry_after);
        problem
    }

    pub(super) fn panicked() -> Self {
        Error::internal("the handler panicked").into()
    }

    fn of_http(status: StatusCode, reason: &'static str, title: &'static str, detail: &str) -> Self {
        Self {
            status,
            reason,
            title,
            detail: detail.to_owned(),
            cause: None,
            allowance: None,
            retry_after: None,
        }
    }

    /// The problem of one of several things that were asked for.
    pub(super) fn of(error: &Error) -> Self {
        let (status, title) = status_of(error.reason());
        Self {
            status,
            reason: error.reason().as_str(),
            title,
            detail: error.message().to_owned(),
            cause: error.source_for_log(),
            allowance: None,
            retry_after: None,
        }
    }

    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong, and what to do.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The stable reason, which is also the metric's label.
    pub(super) fn reason(&self) -> &'static str {
        self.reason
    }

    /// Logs it: what we have to look at as an error, what a client did as debug. Never the detail of a client's fault, which may name
    /// a path.
    pub(super) fn log(&self) {
        let (reason, status) = (self.reason, self.status.as_u16());
        // A vault that was made read-only is no failure of it.
        if self.status.is_server_error() && self.retry_after.is_none() {
            let cause = self.cause.as_deref().unwrap_or(&self.detail);
            tracing::error!(reason, status, cause, "request failed");
        } else {
            tracing::debug!(reason, status, cause = self.cause, "request refused");
        }
    }

    /// Writes the body under the request's id; headers that are there already (`Allow`) stay.
    pub(super) fn write(&self, response: &mut Response<Body>, request_id: Uuid) {
        let body = ProblemBody {
            r#type: format!("{TYPE_BASE}{}", kebab(self.reason)),
            title: self.title,
            status: self.status.as_u16(),
            reason: self.reason,
            detail: &self.detail,
            request_id,
        };
        // A struct of texts and numbers always serialises.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let challenge = match self.reason {
                    "TokenMissing"
                    | "LoginFailed"
                    | "ChallengeInvalid"
                    | "SecondFactorFailed"
                    | "RefreshTokenInvalid" => r#"Bearer realm="aether-vault""#,
                    _ => r#"Bearer realm="aether-vault", error="invalid_token""#,
                };
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allowance) = self.allowance {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(allowance.reset()));
            allowance.write(headers);
        }
        *response.body_mut() = Body::from(body);
    }
}

/// The body of a problem.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
#[serde(rename_all = "camelCase")]
pub(super) struct ProblemBody<'a> {
    /// A URI that names the reason.
    r#type: String,
    /// The reason in a few words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// The stable reason, for programs.
    reason: &'a str,
    /// What went wrong here, and what to do.
    detail: &'a str,
    /// The id under which the log has the cause.
    request_id: Uuid,
}

/// The response carries the problem to the entrance, which writes it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// `PathNotFound` as `path-not-found`.
fn kebab(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (at, c) in name.chars().enumerate() {
        let _ = match c.is_ascii_uppercase() && at > 0 {
            true => write!(out, "-{}", c.to_ascii_lowercase()),
            false => write!(out, "{}", c.to_ascii_lowercase()),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(problem: &Problem) -> (StatusCode, axum::http::HeaderMap, String) {
        let mut response = problem.clone().into_response();
        problem.write(&mut response, Uuid::nil());
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_form_is_stable() {
        let (status, headers, body) = written(&Problem::new(Reason::PathNotFound, "no record")).await;
        assert_eq!(status, 404);
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        let expected = concat!(
            r#"{"type":"https://aethervault.io/problems/path-not-found","title":"There is no such record","status":404,"#,
            r#""reason":"PathNotFound","detail":"no record","requestId":"00000000-0000-0000-0000-000000000000"}"#
        );
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn the_cause_stays_in_the_log() {
        let error = Error::internal("connection to 10.0.0.7 refused");
        let (status, _, body) = written(&error.into()).await;
        assert_eq!(status, 500);
        assert!(!body.contains("10.0.0.7"), "{body}");
    }

    #[tokio::test]
    async fn clients_are_told_how_to_go_on() {
        let (_, headers, _) = written(&Problem::new(Reason::TokenExpired, "")).await;
        assert_eq!(
            headers[header::WWW_AUTHENTICATE],
            r#"Bearer realm="aether-vault", error="invalid_token""#
        );
        let (_, headers, _) = written(&Problem::new(Reason::Busy, "")).await;
        assert_eq!(headers[header::RETRY_AFTER], "1");
    }

    #[test]
    fn a_failed_if_match_is_412_and_a_failed_cas_409() {
        let failed = || Error::new(Reason::CheckAndSetFailed, "moved on");
        assert_eq!(Problem::from(failed()).status, 409);
        assert_eq!(Problem::of_precondition(failed()).status, 412);
        assert_eq!(
            Problem::of_precondition(Error::new(Reason::PolicyDenied, "")).status,
            403
        );
    }
}
