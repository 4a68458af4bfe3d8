//! `GET /api/v1/audit/export`: everything that passes a filter, newest first, as NDJSON or CSV. The answer is a stream: a page of it is in
//! memory at a time, and the next is read when the client has taken this one.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{self, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use futures::stream;

use crate::domain::audit::query::{AuditCursor, AuditFilter};
use crate::http::audit_view::{AuditParameters, CSV_HEADER, EntryView, ExportFormat};
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::Query;
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/audit/export",
        Access::Session,
        get(export),
        Operation::new("Export the audit log as a stream of NDJSON or CSV, newest first")
            .query::<AuditParameters>()
            .answers_text(StatusCode::OK, "application/x-ndjson"),
    )
}

/// How far an export has come.
struct Progress {
    api: Api,
    ctx: OpContext,
    filter: AuditFilter,
    format: ExportFormat,
    /// Where the next page goes on; absent before the first.
    after: Option<AuditCursor>,
    ended: bool,
}

async fn export(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(parameters): Query<AuditParameters>,
) -> Result<Response<Body>> {
    if parameters.limit.is_some() || parameters.after.is_some() {
        let detail = "an export has no pages; leave 'limit' and 'after' away, or bound it by 'since' and 'until'";
        return Err(Problem::new(Reason::InvalidRequest, detail));
    }
    let format = parameters.format.unwrap_or(ExportFormat::Ndjson);
    let filter = parameters.into_filter();
    api.vault().audit_log().begin_export(&ctx, &filter).await?;
    let progress = Progress {
        api,
        ctx,
        filter,
        format,
        after: None,
        ended: false,
    };
    let mut response = Response::new(Body::from_stream(stream::try_unfold(progress, next)));
    let media_type = match format {
        ExportFormat::Ndjson => "application/x-ndjson",
        ExportFormat::Csv => "text/csv; charset=utf-8; header=present",
    };
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    Ok(response)
}

/// The next page as bytes. An error ends the stream early, which a client sees as a broken answer, not as the end of the log.
async fn next(mut progress: Progress) -> Result<Option<(Bytes, Progress)>, Error> {
    if progress.ended {
        return Ok(None);
    }
    let log = progress.api.vault().audit_log();
    let page = log.export_page(&progress.ctx, &progress.filter, progress.after).await?;
    let first = progress.after.is_none();
    let mut out = Vec::with_capacity(page.items.len() * 400);
    if first && progress.format == ExportFormat::Csv {
        out.extend_from_slice(CSV_HEADER.as_bytes());
    }
    for entry in page.items.into_iter().map(EntryView::from) {
        match progress.format {
            ExportFormat::Csv => out.extend_from_slice(entry.csv().as_bytes()),
            ExportFormat::Ndjson => {
                serde_json::to_writer(&mut out, &entry).map_err(Error::internal)?;
                out.push(b'\n');
            }
        }
    }
    progress.after = page.next;
    progress.ended = page.next.is_none();
    Ok(Some((Bytes::from(out), progress)))
}
