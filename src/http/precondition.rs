//! `If-Match` and `If-None-Match`: what a write expects to find.

use axum::http::header::{self, HeaderMap, HeaderValue};

use super::problem::{Problem, Result};
use super::version::from_etag;
use crate::domain::record::Expect;
use crate::service::error::Reason;

/// What the headers expect (RFC 9110, section 13.1), or `None` if they expect nothing.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Option<Expect>> {
    let one = |name: header::HeaderName| -> Result<Option<&HeaderValue>> {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(invalid("send If-Match or If-None-Match once")),
        }
    };
    match (one(header::IF_MATCH)?, one(header::IF_NONE_MATCH)?) {
        (None, None) => Ok(None),
        (Some(value), None) => match from_etag(value) {
            Some(version) => Ok(Some(Expect::Current(version))),
            None => Err(invalid(
                "If-Match takes one version in quotes, as the ETag of a read gives it: \"7\"",
            )),
        },
        (None, Some(value)) if value == "*" => Ok(Some(Expect::Absent)),
        (None, Some(_)) => Err(invalid("If-None-Match takes * only: the record must not exist")),
        (Some(_), Some(_)) => Err(invalid("send If-Match or If-None-Match, not both")),
    }
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Reason::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::Version;

    fn expected(headers: &[(header::HeaderName, &'static str)]) -> Result<Option<Expect>, &'static str> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        precondition(&headers).map_err(|problem| problem.reason())
    }

    #[test]
    fn preconditions_are_versions() {
        let seven = Expect::Current(Version::new(7).unwrap());
        assert_eq!(expected(&[]), Ok(None));
        assert_eq!(expected(&[(header::IF_MATCH, "\"7\"")]), Ok(Some(seven)));
        assert_eq!(expected(&[(header::IF_NONE_MATCH, "*")]), Ok(Some(Expect::Absent)));
        for bad in ["7", "*", "W/\"7\"", "\"0\"", "\"-1\"", "\"x\"", "\"7\", \"8\"", ""] {
            assert_eq!(expected(&[(header::IF_MATCH, bad)]), Err("InvalidRequest"), "{bad}");
        }
        assert_eq!(expected(&[(header::IF_NONE_MATCH, "\"7\"")]), Err("InvalidRequest"));
        assert_eq!(
            expected(&[(header::IF_MATCH, "\"7\""), (header::IF_NONE_MATCH, "*")]),
            Err("InvalidRequest")
        );
    }
}
