//! `POST /api/v1/batch/read`: up to 100 records in one call, each authorised and audited on its own.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::post;
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::domain::limits::MAX_BATCH;
use crate::domain::record::Version;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::record_path::named;
use crate::http::record_view::{RecordView, Shown, response, string};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "POST",
        "/api/v1/batch/read",
        Access::Session,
        post(read),
        Operation::new("Read up to 100 records; what cannot be read says why, and the others are read all the same")
            .takes::<BatchForm>()
            .answers::<BatchView>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "BatchRead")]
#[serde(deny_unknown_fields)]
struct BatchForm {
    /// 1 to 100 records.
    records: Vec<Asked>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "RecordToRead")]
#[serde(deny_unknown_fields)]
struct Asked {
    path: String,
    /// The version; the current one if absent.
    version: Option<Version>,
}

impl Form for BatchForm {
    const EXAMPLE: &'static str =
        r#"{"records": [{"path": "shared/smtp"}, {"path": "shared/db", "version": 3}]} with 1 to 100 records"#;
    const LIMIT: usize = 128 << 10;
}

/// As the OpenAPI description tells of it; the answer itself is written by hand, since it holds values.
#[derive(JsonSchema)]
#[schemars(rename = "BatchReadResult")]
#[expect(dead_code, reason = "a form to describe, not to fill")]
struct BatchView {
    /// In the order in which they were asked for.
    results: Vec<ResultView>,
}

#[derive(JsonSchema)]
#[schemars(rename = "BatchReadItem")]
#[serde(untagged)]
#[expect(dead_code, reason = "a form to describe, not to fill")]
enum ResultView {
    Record(Box<RecordView>),
    Failed {
        path: String,
        /// The status that a read of its own would have had.
        status: u16,
        reason: String,
        detail: String,
    },
}

async fn read(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<BatchForm>,
) -> Result<Response<Body>> {
    if !(1..=MAX_BATCH).contains(&form.records.len()) {
        let detail = format!("'records' takes 1 to {MAX_BATCH} records");
        return Err(Problem::new(Reason::InvalidRequest, detail));
    }
    let asked = form
        .records
        .iter()
        .map(|asked| Ok((named(&asked.path)?, asked.version)))
        .collect::<Result<Vec<_>>>()?;
    let answers = api.vault().records().read_many(&ctx, &asked).await?;
    let mut size = 64;
    let results: Vec<_> = asked
        .iter()
        .zip(&answers)
        .map(|((path, _), answer)| {
            let result = answer
                .as_ref()
                .map(|record| Shown::of(path, record, ctx.now()))
                .map_err(Problem::of);
            size += result.as_ref().map_or(1024 + path.as_str().len(), Shown::size);
            (path, result)
        })
        .collect();
    let mut out = Zeroizing::new(Vec::with_capacity(size));
    out.extend_from_slice(br#"{"results":["#);
    for (n, (path, result)) in results.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        match result {
            Ok(shown) => shown.write(&mut out),
            Err(problem) => {
                problem.log();
                out.extend_from_slice(br#"{"path":"#);
                string(&mut out, path.as_str());
                let told = format!(
                    r#","status":{},"reason":"{}","detail":"#,
                    problem.status().as_u16(),
                    problem.reason()
                );
                out.extend_from_slice(told.as_bytes());
                string(&mut out, problem.detail());
                out.push(b'}');
            }
        }
    }
    out.extend_from_slice(b"]}");
    Ok(response(out))
}
