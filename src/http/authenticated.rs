//! Authentication as an extractor: use cases take an [`OpContext`], and only this makes one, so no handler can forget it.

use axum::extract::FromRequestParts;
use axum::http::header::{self, HeaderMap};
use axum::http::request::Parts;

use super::Api;
use super::problem::Problem;
use super::rate_limits::Noted;
use crate::service::auth::RequestInfo;
use crate::service::context::OpContext;
use crate::service::error::Reason;

/// The caller, from a verified bearer token. The first argument of a protected handler, so that a stranger learns nothing from how
/// the rest is answered.
pub(super) struct Authenticated(pub(super) OpContext);

impl FromRequestParts<Api> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let token = bearer(&parts.headers)?;
        let noted = parts.extensions.get::<Noted>().cloned().unwrap_or_default();
        noted.note(api.0.rate_limits.token(token)?);
        let info = parts.extensions.get::<RequestInfo>().cloned().unwrap_or_default();
        let ctx = api.vault().auth().authenticate(token, info).await?;
        noted.note(api.0.rate_limits.account(ctx.actor())?);
        Ok(Self(ctx))
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || {
        Problem::new(
            Reason::TokenMissing,
            "send 'Authorization: Bearer TOKEN'; POST /api/v1/auth/login gives a token",
        )
    };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(Problem::new(
            Reason::TokenInvalid,
            "the request has more than one Authorization header; send one",
        ));
    }
    // Schemes are compared without case (RFC 9110, section 11.1).
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(missing());
    }
    Ok(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(values: &[&'static str]) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        bearer(&headers).map(str::to_owned).map_err(|problem| problem.reason())
    }

    #[test]
    fn one_bearer_token_is_taken() {
        assert_eq!(token(&["Bearer abc"]), Ok("abc".into()));
        assert_eq!(token(&["bearer  abc"]), Ok("abc".into()));
        for missing in [&[][..], &["abc"], &["Bearer"], &["Bearer "], &["Basic YTpi"]] {
            assert_eq!(token(missing), Err("TokenMissing"), "{missing:?}");
        }
        assert_eq!(token(&["Bearer abc", "Bearer def"]), Err("TokenInvalid"));
    }
}
