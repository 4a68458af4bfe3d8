//! `GET /api/v1/path-settings`; `PUT` and `DELETE` of it, and of `/api/v1/path-settings/{*prefix}`: what prefixes ask of the records below. For
//! administrators; an auditor may look.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, put};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::record::Retention;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::record_path::Folder;
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of = |method, path, handler, operation| Endpoint::new(method, path, Access::Session, handler, operation);
    let mut endpoints = vec![of(
        "GET",
        "/api/v1/path-settings",
        get(list),
        Operation::new("List what prefixes ask of the records below").answers::<SettingsView>(StatusCode::OK),
    )];
    // Without a prefix: of all records.
    for path in ["/api/v1/path-settings", "/api/v1/path-settings/{*prefix}"] {
        endpoints.push(of(
            "PUT",
            path,
            put(set),
            Operation::new("Say what a prefix asks of the records below; without one, of all records")
                .takes::<SettingsForm>()
                .answers_nothing(),
        ));
        endpoints.push(of(
            "DELETE",
            path,
            delete(unset),
            Operation::new("End what a prefix asks of the records below").answers_nothing(),
        ));
    }
    endpoints
}

#[derive(Deserialize, JsonSchema, Default)]
#[schemars(rename = "PathSettings")]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct SettingsForm {
    /// Writes below have to say which version they follow.
    cas_required: bool,
    /// Versions kept of a record that does not say so itself.
    max_versions: Option<i64>,
    /// Seconds after which a version counts as deleted, of a record that does not say so itself.
    delete_version_after_seconds: Option<i64>,
}

impl Form for SettingsForm {
    const EXAMPLE: &'static str =
        r#"{"casRequired": true, "maxVersions": 20, "deleteVersionAfterSeconds": 86400}, each optional"#;
    const LIMIT: usize = 4 << 10;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PathSettingsList")]
struct SettingsView {
    items: Vec<PrefixView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PrefixSettings")]
#[serde(rename_all = "camelCase")]
struct PrefixView {
    /// The prefix, with its `/`.
    prefix: String,
    cas_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_versions: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_version_after_seconds: Option<i64>,
    updated_at: Timestamp,
}

async fn list(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<SettingsView>> {
    let items = api.vault().roots().path_settings(&ctx).await?;
    let items = items.into_iter().map(|row| PrefixView {
        prefix: row.prefix.into(),
        cas_required: row.retention.cas_required,
        max_versions: row.retention.max_versions,
        delete_version_after_seconds: row.retention.delete_version_after,
        updated_at: row.updated_at,
    });
    Ok(axum::Json(SettingsView { items: items.collect() }))
}

async fn set(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Folder(prefix): Folder,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<SettingsForm>,
) -> Result<StatusCode> {
    let retention = Retention {
        cas_required: form.cas_required,
        max_versions: form.max_versions,
        delete_version_after: form.delete_version_after_seconds,
    };
    api.vault().roots().set_path_settings(&ctx, &prefix, retention).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unset(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Folder(prefix): Folder,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    api.vault().roots().remove_path_settings(&ctx, &prefix).await?;
    Ok(StatusCode::NO_CONTENT)
}
