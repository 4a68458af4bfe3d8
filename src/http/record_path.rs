//! The record path of a request, taken from the URL as it was sent. The router's own parameters are decoded, and that is too late: an
//! encoded separator could not be told from a real one any more (R18, CVE-2026-3605).

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;

use super::Api;
use super::problem::Problem;
use crate::domain::path::{PathError, PathPrefix, RecordPath};
use crate::service::error::Reason;

/// The record that the URL names.
pub(super) struct Record(pub(super) RecordPath);

/// The folder that the URL names; everything, for a route without a path.
pub(super) struct Folder(pub(super) PathPrefix);

impl FromRequestParts<Api> for Record {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        RecordPath::from_url(raw_tail(parts))
            .map(Self)
            .map_err(|error| invalid(&error))
    }
}

impl FromRequestParts<Api> for Folder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        PathPrefix::from_url(raw_tail(parts))
            .map(Self)
            .map_err(|error| invalid(&error))
    }
}

/// A record's path as a body names it.
pub(super) fn named(text: &str) -> Result<RecordPath, Problem> {
    RecordPath::parse(text).map_err(|error| invalid(&error))
}

/// What stands in the URL where the matched route has its wildcard.
fn raw_tail(parts: &Parts) -> &str {
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let fixed = route.find('{').unwrap_or(parts.uri.path().len());
    parts.uri.path().get(fixed..).unwrap_or("")
}

fn invalid(error: &PathError) -> Problem {
    Problem::new(Reason::InvalidPath, error.to_string())
}
