//! `POST /api/v1/wrap/{*path}`: values behind a token that is good once. `POST /api/v1/unwrap` uses one, `/unwrap/lookup` tells of one without
//! using it, `/unwrap/revoke` makes one worth nothing.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::post;
use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::domain::limits::MAX_KEYS;
use crate::domain::record::{KeyName, Version};
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::record_path::Record;
use crate::http::record_view::{RecordView, Shown, response};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;
use crate::service::records::WrapInfo;

/// Seconds that a wrapped value waits for its reader unless the client says otherwise.
const DEFAULT_SECONDS: i64 = 300;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of = |path, handler, operation| Endpoint::new("POST", path, Access::Session, handler, operation);
    vec![
        of(
            "/api/v1/wrap/{*path}",
            post(wrap),
            Operation::new("Put the values of a record behind a token that is good once")
                .takes::<WrapForm>()
                .answers::<WrappedView<'_>>(StatusCode::CREATED),
        ),
        of(
            "/api/v1/unwrap",
            post(unwrap),
            Operation::new("Use a token up: the values behind it come out once")
                .takes::<TokenForm>()
                .answers::<RecordView>(StatusCode::OK),
        ),
        of(
            "/api/v1/unwrap/lookup",
            post(look_up),
            Operation::new("Tell of a token without using it")
                .takes::<TokenForm>()
                .answers::<WrapView>(StatusCode::OK),
        ),
        of(
            "/api/v1/unwrap/revoke",
            post(revoke),
            Operation::new("Make a token worth nothing")
                .takes::<TokenForm>()
                .answers_nothing(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema, Default)]
#[schemars(rename = "Wrap")]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct WrapForm {
    /// The version; the current one if absent.
    version: Option<Version>,
    /// These keys alone; all if absent.
    keys: Option<Vec<String>>,
    /// Seconds that the token is good for: 1 to 604800, 300 unless said.
    ttl_seconds: Option<i64>,
}

impl Form for WrapForm {
    const EXAMPLE: &'static str = r#"{"version": 3, "keys": ["password"], "ttlSeconds": 300}, each optional"#;
    const LIMIT: usize = 256 << 10;
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "WrapToken")]
#[serde(deny_unknown_fields)]
struct TokenForm {
    token: String,
}

impl Form for TokenForm {
    const EXAMPLE: &'static str = r#"{"token": "avw_…"}"#;
    const LIMIT: usize = 4 << 10;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WrappedValue")]
#[serde(rename_all = "camelCase")]
struct WrappedView<'a> {
    /// Shown this once.
    token: &'a str,
    path: &'a str,
    version: Version,
    expires_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WrapInfo")]
#[serde(rename_all = "camelCase")]
struct WrapView {
    path: String,
    version: i64,
    created_at: Timestamp,
    expires_at: Timestamp,
    /// When it was used or revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    used_at: Option<Timestamp>,
    /// Whether it can still be used.
    usable: bool,
}

impl From<WrapInfo> for WrapView {
    fn from(info: WrapInfo) -> Self {
        Self {
            path: info.path,
            version: info.version,
            created_at: info.created_at,
            expires_at: info.expires_at,
            used_at: info.used_at,
            usable: info.usable,
        }
    }
}

async fn wrap(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<WrapForm>,
) -> Result<Response<Body>> {
    let bad_keys = |detail: &str| Problem::new(Reason::InvalidRequest, detail);
    let keys = match form.keys {
        None => None,
        Some(keys) if keys.is_empty() || keys.len() > MAX_KEYS => {
            return Err(bad_keys(
                "'keys' names 1 to 512 keys of the record; leave it out for all",
            ));
        }
        Some(keys) => {
            let keys: Result<Vec<_>, _> = keys.into_iter().map(KeyName::parse).collect();
            Some(keys.map_err(|error| bad_keys(&error.to_string()))?)
        }
    };
    let wrapped = api
        .vault()
        .records()
        .wrap(
            &ctx,
            &path,
            form.version,
            keys.as_deref(),
            form.ttl_seconds.unwrap_or(DEFAULT_SECONDS),
        )
        .await?;
    let view = WrappedView {
        token: wrapped.token.expose_secret(),
        path: path.as_str(),
        version: wrapped.version,
        expires_at: wrapped.expires_at,
    };
    let mut json = Zeroizing::new(Vec::with_capacity(1024));
    // Texts, numbers and times always serialise.
    let _ = serde_json::to_writer(&mut *json, &view);
    let headers = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Ok((StatusCode::CREATED, headers, Body::from(Bytes::from_owner(json))).into_response())
}

async fn unwrap(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<TokenForm>,
) -> Result<Response<Body>> {
    let unwrapped = api
        .vault()
        .records()
        .unwrap(&ctx, SecretString::from(form.token).expose_secret())
        .await?;
    let shown = Shown {
        path: &unwrapped.path,
        version: unwrapped.version,
        created_at: unwrapped.created_at,
        expires: None,
        data: &unwrapped.data,
    };
    let mut out = Zeroizing::new(Vec::with_capacity(shown.size()));
    shown.write(&mut out);
    Ok(response(out))
}

async fn look_up(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<TokenForm>,
) -> Result<axum::Json<WrapView>> {
    let info = api
        .vault()
        .records()
        .look_up_wrap(&ctx, SecretString::from(form.token).expose_secret())
        .await?;
    Ok(axum::Json(info.into()))
}

async fn revoke(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<TokenForm>,
) -> Result<StatusCode> {
    api.vault()
        .records()
        .revoke_wrap(&ctx, SecretString::from(form.token).expose_secret())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
