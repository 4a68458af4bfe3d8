//! `GET /api/v1/search`: records by what they say of themselves, as far as they may be listed; no values.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::metadata_view::MetadataView;
use crate::domain::limits::{MAX_DELETE_AFTER_SECONDS, MAX_PAGE, MAX_PATH_BYTES, MAX_TAGS, MAX_TEXT_CHARS};
use crate::domain::path::PathPrefix;
use crate::domain::record::is_word;
use crate::http::openapi::Operation;
use crate::http::page::{self, cursor};
use crate::http::problem::{Problem, Result};
use crate::http::query::{Parameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;
use crate::service::records::SearchOptions;

/// Items of a page unless the client says otherwise.
const DEFAULT_PAGE: u32 = 100;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/search",
        Access::Session,
        get(search),
        Operation::new("Find records by prefix, name, tags, owner and custom metadata, a page at a time")
            .query::<SearchParameters>()
            .answers::<FoundView>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct SearchParameters {
    /// Below this prefix, such as `k8s/shop`.
    prefix: String,
    /// A part of the path, in any case.
    name: Option<String>,
    /// Tags that it has, all of them: `?tags=a,b`.
    tags: Option<String>,
    owner: Option<String>,
    /// A key of custom metadata with its value: `?custom=team=shop`.
    custom: Option<String>,
    /// Its values end within so many seconds, or have ended.
    expires_within: Option<i64>,
    /// Whole records that are deleted and can be restored, rather than those in use.
    deleted: bool,
    limit: Option<u32>,
    after: Option<String>,
}

impl Parameters for SearchParameters {
    const EXAMPLE: &'static str = "?prefix=P, ?name=TEXT, ?tags=A,B, ?owner=TEXT, ?custom=KEY=VALUE, ?expiresWithin=SECONDS, ?deleted=true, \
                                   ?limit=N and ?after=CURSOR, each once";
}

impl SearchParameters {
    fn into_options(self) -> Result<SearchOptions> {
        let limit = self.limit.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(invalid(&format!("'limit' must be 1 to {MAX_PAGE}")));
        }
        let text = |text: Option<String>, most: usize, problem: &str| match text {
            Some(text) if text.is_empty() || text.chars().count() > most || text.chars().any(char::is_control) => {
                Err(invalid(problem))
            }
            text => Ok(text),
        };
        let name = text(
            self.name,
            MAX_PATH_BYTES,
            "'name' is a part of a path, 1 to 512 characters",
        )?;
        let owner = text(self.owner, MAX_TEXT_CHARS, "'owner' is 1 to 512 characters")?;
        let tags: Vec<String> = match &self.tags {
            None => Vec::new(),
            Some(tags) => tags.split(',').map(str::to_owned).collect(),
        };
        if tags.len() > MAX_TAGS || !tags.iter().all(|tag| is_word(tag)) {
            return Err(invalid("'tags' is a list of tags with commas between them"));
        }
        let custom = match &self.custom {
            None => Vec::new(),
            Some(pair) => match pair.split_once('=') {
                Some((key, value))
                    if is_word(key)
                        && value.chars().count() <= MAX_TEXT_CHARS
                        && !value.chars().any(char::is_control) =>
                {
                    vec![(key.to_owned(), value.to_owned())]
                }
                _ => {
                    return Err(invalid(
                        "'custom' is a key of custom metadata and its value, such as team=shop",
                    ));
                }
            },
        };
        if self
            .expires_within
            .is_some_and(|seconds| !(0..=MAX_DELETE_AFTER_SECONDS).contains(&seconds))
        {
            return Err(invalid(&format!(
                "'expiresWithin' is 0 to {MAX_DELETE_AFTER_SECONDS} seconds"
            )));
        }
        let prefix =
            PathPrefix::parse(&self.prefix).map_err(|error| Problem::new(Reason::InvalidPath, error.to_string()))?;
        Ok(SearchOptions {
            prefix,
            name,
            owner,
            tags,
            custom,
            expires_within: self.expires_within,
            deleted: self.deleted,
            limit,
            after: self.after.as_deref().map(page::open).transpose()?,
        })
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SearchPage")]
struct FoundView {
    items: Vec<MetadataView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn search(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(parameters): Query<SearchParameters>,
) -> Result<axum::Json<FoundView>> {
    let options = parameters.into_options()?;
    let found = api.vault().records().search(&ctx, &options).await?;
    Ok(axum::Json(FoundView {
        items: found
            .items
            .into_iter()
            .map(|row| MetadataView::found(row, ctx.now()))
            .collect(),
        next: found.next.as_deref().map(cursor),
    }))
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Reason::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut SearchParameters)) -> Option<&'static str> {
        let mut parameters = SearchParameters::default();
        change(&mut parameters);
        parameters.into_options().err().map(|problem| problem.reason())
    }

    #[test]
    fn r23_r27_what_is_looked_for_is_bounded() {
        assert_eq!(refused(|_| ()), None);
        assert_eq!(refused(|p| p.tags = Some("a,b".into())), None);
        assert_eq!(refused(|p| p.custom = Some("team=a=b".into())), None);
        assert_eq!(refused(|p| p.prefix = "a/../b".into()), Some("InvalidPath"));
        let bad: [fn(&mut SearchParameters); 11] = [
            |p| p.limit = Some(0),
            |p| p.limit = Some(1001),
            |p| p.tags = Some(String::new()),
            |p| p.tags = Some("a,,b".into()),
            |p| p.tags = Some(vec!["t"; 33].join(",")),
            |p| p.name = Some("\0".into()),
            |p| p.name = Some("n".repeat(513)),
            |p| p.owner = Some(String::new()),
            |p| p.custom = Some("team".into()),
            |p| p.custom = Some("team=\0".into()),
            |p| p.expires_within = Some(-1),
        ];
        for (n, change) in bad.into_iter().enumerate() {
            assert_eq!(refused(change), Some("InvalidRequest"), "{n}");
        }
    }
}
