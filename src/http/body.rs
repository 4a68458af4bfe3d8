//! JSON bodies: content type, size, form, each refused with a problem that never repeats what was sent (R24).

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header;
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use zeroize::Zeroizing;

use super::Api;
use super::problem::Problem;
use crate::service::error::Reason;

/// A body that an endpoint takes.
pub(super) trait Form: DeserializeOwned {
    /// What it looks like, for whoever sent something else.
    const EXAMPLE: &'static str;
    /// Bytes at most, if fewer than other bodies may have.
    const LIMIT: usize = usize::MAX;
    /// What it is declared as.
    const MEDIA_TYPE: &'static str = "application/json";
}

/// The JSON body of a request. The last argument of a handler.
pub(super) struct Json<T>(pub(super) T);

impl<T: Form> FromRequest<Api> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        if !is_declared(request.headers(), T::MEDIA_TYPE) {
            return Err(Problem::unsupported_media_type(T::MEDIA_TYPE));
        }
        let bytes = read(request, T::LIMIT.min(api.0.limits.body)).await?;
        parse(&bytes).map(Self)
    }
}

/// One field of a form (`application/x-www-form-urlencoded`), as protocols of others have it.
pub(super) async fn read_form(request: Request, field: &str, limit: usize) -> Result<Option<String>, Problem> {
    let bytes = read(request, limit).await?;
    let mut values = url::form_urlencoded::parse(&bytes).filter(|(name, _)| name == field);
    let only = values.next().map(|(_, value)| value.into_owned());
    Ok(only.filter(|_| values.next().is_none()))
}

/// Reads a body whose length is bounded, and wipes it after use.
async fn read(request: Request, limit: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let too_large = || {
        Problem::new(
            Reason::TooLarge,
            format!("the body of this request may have at most {limit} bytes"),
        )
    };
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.unwrap_or(0)));
    let mut chunks = request.into_body().into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Reason::InvalidRequest, "the body ended early; send it again"))?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parse<T: Form>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        let detail = match error.classify() {
            Category::Data => format!(
                "the body does not have the form of this endpoint, at {place}; send {}",
                T::EXAMPLE
            ),
            Category::Eof if bytes.is_empty() => format!("the body is empty; send {}", T::EXAMPLE),
            _ => format!("the body is not valid JSON, at {place}; send {}", T::EXAMPLE),
        };
        Problem::new(Reason::InvalidRequest, detail)
    })
}

fn is_declared(headers: &HeaderMap, media_type: &str) -> bool {
    let Some(text) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(media_type)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[expect(dead_code, reason = "only parsed")]
        count: u8,
    }

    impl Form for Example {
        const EXAMPLE: &'static str = r#"{"count": 1}"#;
    }

    #[test]
    fn r24_a_malformed_body_is_located_and_never_repeated() {
        for (body, begins) in [
            (
                r#"{"count": "hunter2"}"#,
                "the body does not have the form of this endpoint, at line 1, column 19",
            ),
            (
                r#"{"hunter2": 1}"#,
                "the body does not have the form of this endpoint, at line 1, column 10",
            ),
            (
                r#"{"count": 1} hunter2"#,
                "the body is not valid JSON, at line 1, column 14",
            ),
            ("{\n\"hunter2", "the body is not valid JSON, at line 2, column 8"),
            ("", "the body is empty"),
        ] {
            let problem = parse::<Example>(body.as_bytes()).unwrap_err();
            let shown = format!("{problem:?}");
            assert!(shown.contains(begins), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn r31_deep_nesting_does_not_overflow_the_stack() {
        let body = "[".repeat(200_000);
        assert!(parse::<Example>(body.as_bytes()).is_err());
    }

    #[test]
    fn the_content_type_has_to_be_the_one_of_the_endpoint() {
        for (value, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(is_declared(&headers, "application/json"), json, "{value}");
            assert!(!is_declared(&headers, "application/merge-patch+json"), "{value}");
        }
        assert!(!is_declared(&HeaderMap::new(), "application/json"));
    }
}
