//! A list as a stream of NDJSON, for lists of many pages: each page is authorised, audited and confirmed as one of its own, and sent when it
//! is there, so that memory holds one page whatever the list's length.

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;

use super::list::ItemView;
use crate::domain::path::PathPrefix;
use crate::http::Api;
use crate::http::problem::Result;
use crate::service::context::OpContext;
use crate::service::error::Error;
use crate::service::records::{ListOptions, Page};

/// The media type that asks for a stream.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// Whether a client asks for one.
pub(super) fn wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter();
    let mut types = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    types.any(|media| {
        media
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case(NDJSON)
    })
}

/// How far a stream has come.
struct Progress {
    api: Api,
    ctx: OpContext,
    prefix: PathPrefix,
    options: ListOptions,
    /// The next page to send, if it was fetched already.
    page: Option<Page>,
}

/// Streams the list from where `options` say. The first page is fetched before the answer begins, so that a refusal is a problem.
pub(super) async fn stream_list(
    api: Api,
    ctx: OpContext,
    prefix: PathPrefix,
    options: ListOptions,
) -> Result<Response> {
    let first = api.vault().records().list(&ctx, &prefix, &options).await?;
    let progress = Progress {
        api,
        ctx,
        prefix,
        options,
        page: Some(first),
    };
    let mut response = Response::new(Body::from_stream(stream::try_unfold(Some(progress), next)));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    Ok(response)
}

/// The next page as lines. An error ends the stream early, which a client sees as a broken answer, not as the end of the list.
async fn next(progress: Option<Progress>) -> Result<Option<(Bytes, Option<Progress>)>, Error> {
    let Some(mut progress) = progress else {
        return Ok(None);
    };
    let page = match progress.page.take() {
        Some(page) => page,
        None => {
            let records = progress.api.vault().records();
            records.list(&progress.ctx, &progress.prefix, &progress.options).await?
        }
    };
    let mut lines = Vec::with_capacity(page.items.len() * 96);
    for item in page.items.into_iter().map(ItemView::from) {
        serde_json::to_writer(&mut lines, &item).map_err(Error::internal)?;
        lines.push(b'\n');
    }
    progress.options.after = page.next;
    let rest = progress.options.after.is_some().then_some(progress);
    Ok(Some((Bytes::from(lines), rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_asked_for_by_its_media_type() {
        let asks = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            wanted(&headers)
        };
        assert!(asks("application/x-ndjson"));
        assert!(asks("application/json;q=0.5, Application/X-NDJSON;q=1"));
        assert!(!asks("application/json"));
        assert!(!asks("*/*"));
        assert!(!wanted(&HeaderMap::new()));
    }
}
