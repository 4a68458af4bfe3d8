//! `GET /api/v1/list` and `/api/v1/list/{*prefix}`: what may be seen below a prefix, a page at a time, or all of it as NDJSON. No values.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::list_stream;
use crate::domain::limits::{MAX_PAGE, MAX_PATH_BYTES};
use crate::domain::record::{Version, VersionState};
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::{Parameters, Query};
use crate::http::record_path::Folder;
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;
use crate::service::records::{ListItem, ListOptions, Page};

/// Items of a page unless the client says otherwise.
const DEFAULT_PAGE: u32 = 100;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("GET", "/api/v1/list", Access::Session, get(list), operation()),
        Endpoint::new("GET", "/api/v1/list/{*prefix}", Access::Session, get(list), operation()),
    ]
}

fn operation() -> Operation {
    Operation::new(
        "List records and folders below a prefix, a page at a time, or all of it with Accept: application/x-ndjson",
    )
    .query::<ListParameters>()
    .answers::<PageView>(StatusCode::OK)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    #[serde(default)]
    recursive: bool,
    limit: Option<u32>,
    after: Option<String>,
}

impl Parameters for ListParameters {
    const EXAMPLE: &'static str = "?recursive=true, ?limit=N and ?after=CURSOR, each once";
}

impl ListParameters {
    fn into_options(self) -> Result<ListOptions> {
        let limit = self.limit.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(Problem::new(
                Reason::InvalidRequest,
                format!("'limit' must be 1 to {MAX_PAGE}"),
            ));
        }
        let after = self.after.as_deref().map(open_cursor).transpose()?;
        Ok(ListOptions {
            recursive: self.recursive,
            limit,
            after,
        })
    }
}

/// A cursor says where to go on; clients are to hand it back, not to read it.
pub(super) fn close_cursor(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

pub(super) fn open_cursor(cursor: &str) -> Result<String> {
    let place = URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    // A path, or a folder and DEL, which sorts after all that the folder holds.
    place
        .filter(|place| place.len() <= MAX_PATH_BYTES + 2 && place.bytes().all(|b| (0x20..=0x7f).contains(&b)))
        .ok_or_else(|| {
            Problem::new(
                Reason::InvalidRequest,
                "'after' takes the 'next' of the page before, as it was given",
            )
        })
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ListPage")]
struct PageView {
    items: Vec<ItemView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ListItem")]
#[serde(untagged)]
pub(super) enum ItemView {
    Folder {
        path: String,
        folder: bool,
    },
    Record {
        path: String,
        version: Version,
        state: VersionState,
    },
}

impl From<ListItem> for ItemView {
    fn from(item: ListItem) -> Self {
        match item {
            ListItem::Folder(path) => Self::Folder { path, folder: true },
            ListItem::Record { path, version, state } => Self::Record { path, version, state },
        }
    }
}

impl From<Page> for PageView {
    fn from(page: Page) -> Self {
        Self {
            items: page.items.into_iter().map(ItemView::from).collect(),
            next: page.next.as_deref().map(close_cursor),
        }
    }
}

async fn list(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Folder(prefix): Folder,
    Query(parameters): Query<ListParameters>,
    headers: HeaderMap,
) -> Result<Response> {
    if list_stream::wanted(&headers) {
        if parameters.limit.is_some() {
            let detail = "a stream has no pages; leave 'limit' away";
            return Err(Problem::new(Reason::InvalidRequest, detail));
        }
        let mut options = parameters.into_options()?;
        options.limit = MAX_PAGE;
        return list_stream::stream_list(api, ctx, prefix, options).await;
    }
    let options = parameters.into_options()?;
    let page = api.vault().records().list(&ctx, &prefix, &options).await?;
    Ok(axum::Json(PageView::from(page)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(limit: Option<u32>, after: Option<&str>) -> Result<ListOptions, &'static str> {
        let parameters = ListParameters {
            recursive: false,
            limit,
            after: after.map(str::to_owned),
        };
        parameters.into_options().map_err(|problem| problem.reason())
    }

    #[test]
    fn r23_page_and_cursor_are_bounded() {
        assert_eq!(options(None, None).unwrap().limit, 100);
        let cursor = close_cursor("shared/smtp/\u{7f}");
        assert_eq!(
            options(Some(1000), Some(&cursor)).unwrap().after.as_deref(),
            Some("shared/smtp/\u{7f}")
        );
        assert_eq!(options(Some(0), None).err(), Some("InvalidRequest"));
        assert_eq!(options(Some(1001), None).err(), Some("InvalidRequest"));
        assert_eq!(options(None, Some(&close_cursor("a\0b"))).err(), Some("InvalidRequest"));
        assert_eq!(
            options(None, Some(&close_cursor(&"a".repeat(515)))).err(),
            Some("InvalidRequest")
        );
    }
}
