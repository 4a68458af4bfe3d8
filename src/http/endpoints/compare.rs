//! `GET /api/v1/diff/{*path}?from=1&to=2`: which keys two versions differ in; their values only with `values=true`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::domain::record::Version;
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{Parameters, Query};
use crate::http::record_path::Record;
use crate::http::record_view::{Shown, response, string};
use crate::http::routes::{Access, Endpoint};
use crate::http::version::WantedVersion;
use crate::http::{Api, Authenticated};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/diff/{*path}",
        Access::Session,
        get(compare),
        Operation::new("Compare two versions of a record by key")
            .query::<DiffParameters>()
            .answers::<DiffView>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DiffParameters {
    /// The version to compare from.
    from: WantedVersion,
    /// The version to compare to; the current one if absent.
    to: Option<WantedVersion>,
    /// Whether to show both versions with their values.
    #[serde(default)]
    values: bool,
}

impl Parameters for DiffParameters {
    const EXAMPLE: &'static str = "?from=1&to=2 with versions from 1, and perhaps &values=true";
}

/// As the OpenAPI description tells of it; the answer itself is written by hand, since it may hold values.
#[derive(JsonSchema)]
#[schemars(rename = "RecordDiff")]
#[expect(dead_code, reason = "a form to describe, not to fill")]
struct DiffView {
    path: String,
    /// The one version.
    from: Version,
    /// The other.
    to: Version,
    /// The keys that differ, in their order.
    changes: Vec<KeyChangeView>,
    /// The one version with its values, if they were asked for.
    before: Option<crate::http::record_view::RecordView>,
    /// The other.
    after: Option<crate::http::record_view::RecordView>,
}

#[derive(JsonSchema)]
#[schemars(rename = "KeyChange")]
#[expect(dead_code, reason = "a form to describe, not to fill")]
struct KeyChangeView {
    key: String,
    /// `added`, `removed` or `changed`.
    change: String,
}

async fn compare(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(parameters): Query<DiffParameters>,
) -> Result<Response<Body>> {
    let compared = api
        .vault()
        .records()
        .compare(
            &ctx,
            &path,
            parameters.from.0,
            parameters.to.map(|wanted| wanted.0),
            parameters.values,
        )
        .await?;
    let shown = [&compared.from, &compared.to].map(|read| Shown::of(&path, read, ctx.now()));
    let names: usize = compared.changes.iter().map(|(key, _)| key.as_str().len() + 40).sum();
    let size = 1024 + names + shown.iter().map(Shown::size).sum::<usize>();
    let mut out = Zeroizing::new(Vec::with_capacity(size));
    out.extend_from_slice(br#"{"path":"#);
    string(&mut out, path.as_str());
    let versions = format!(
        r#","from":{},"to":{},"changes":["#,
        compared.from.version, compared.to.version
    );
    out.extend_from_slice(versions.as_bytes());
    for (n, (key, change)) in compared.changes.iter().enumerate() {
        out.extend_from_slice(if n == 0 {
            &br#"{"key":"#[..]
        } else {
            &br#",{"key":"#[..]
        });
        string(&mut out, key.as_str());
        out.extend_from_slice(format!(r#","change":"{}"}}"#, change.as_str()).as_bytes());
    }
    out.push(b']');
    if parameters.values {
        for (name, shown) in [(&br#","before":"#[..], &shown[0]), (&br#","after":"#[..], &shown[1])] {
            out.extend_from_slice(name);
            shown.write(&mut out);
        }
    }
    out.push(b'}');
    Ok(response(out))
}
