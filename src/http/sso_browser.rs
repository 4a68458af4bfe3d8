//! What ties a login by single sign-on to one browser: a cookie that no other site can set or read (R12).

use axum::extract::{FromRequestParts, Path};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::Api;
use super::problem::{Problem, Result};
use crate::service::error::{Error, Reason};

/// The prefix keeps hosts below and beside ours from setting it (RFC 6265bis, section 4.1.3.2).
const COOKIE: &str = "__Host-aether-vault-sso";
/// Bytes of a provider's name in an address.
const MAX_NAME_BYTES: usize = 63;

/// The provider that an address names.
pub(super) struct ProviderName(pub(super) String);

impl FromRequestParts<Api> for ProviderName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, api).await {
            Ok(Path(name)) if name.len() <= MAX_NAME_BYTES => Ok(Self(name)),
            _ => Err(Problem::new(
                Reason::ProviderNotFound,
                "there is no such provider; GET /api/v1/auth/sso/providers lists those that there are",
            )),
        }
    }
}

/// The browser's cookie. A browser sends it once; whoever sends several is no browser of ours.
pub(super) fn cookie(headers: &HeaderMap) -> Option<SecretString> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value);
    let only = found.next()?;
    found.next().is_none().then(|| SecretString::from(only))
}

/// Sends the browser on with the cookie. It comes back from another site, so the cookie is `Lax`; scripts do not see it.
pub(super) fn send_with_cookie(
    location: &str,
    cookie: &SecretString,
    seconds: u32,
) -> Result<Response<axum::body::Body>> {
    let text = format!(
        "{COOKIE}={}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax",
        cookie.expose_secret()
    );
    let mut value = HeaderValue::from_str(&text).map_err(|error| Problem::from(Error::internal(error)))?;
    value.set_sensitive(true);
    let mut response = send(location)?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(response)
}

/// Sends the browser on, with GET whatever it came with.
pub(super) fn send(location: &str) -> Result<Response<axum::body::Body>> {
    let location = HeaderValue::from_str(location).map_err(|error| Problem::from(Error::internal(error)))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, line.parse().unwrap());
        }
        cookie(&headers).map(|cookie| cookie.expose_secret().to_owned())
    }

    #[test]
    fn r12_the_cookie_is_read_by_its_whole_name_and_only_once() {
        assert_eq!(read(&["a=b; __Host-aether-vault-sso=x; c=d"]), Some("x".to_owned()));
        assert_eq!(read(&["a=b", "__Host-aether-vault-sso=x=y"]), Some("x=y".to_owned()));
        for none in [
            &[][..],
            &["aether-vault-sso=x"],
            &["x__Host-aether-vault-sso=x"],
            &["__host-aether-vault-sso=x"],
            &["__Host-aether-vault-sso=x; __Host-aether-vault-sso=y"],
            &["__Host-aether-vault-sso=x", "__Host-aether-vault-sso=y"],
        ] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }

    #[test]
    fn r12_the_cookie_is_for_this_host_encrypted_connections_and_no_scripts() {
        let response = send_with_cookie("https://id.example.org/", &SecretString::from("x"), 600).unwrap();
        assert_eq!(
            response.headers()[header::SET_COOKIE],
            "__Host-aether-vault-sso=x; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
    }
}
