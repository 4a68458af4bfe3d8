//! `GET /api/v1/system/info`, `/jobs` and `/config`: how the installation stands, for administrators and auditors. `PUT` and `DELETE
//! /api/v1/system/config/{key}`: settings that change while everything runs, for administrators.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, put};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::http::body::{Form, Json};
use crate::http::id::Named;
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::Job;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const KEY: &str = "/api/v1/system/config/{setting}";
    vec![
        Endpoint::new(
            "GET",
            "/api/v1/system/info",
            Access::Session,
            get(info),
            Operation::new("What the installation is and how it stands").answers::<InfoView>(StatusCode::OK),
        ),
        Endpoint::new(
            "GET",
            "/api/v1/system/jobs",
            Access::Session,
            get(jobs),
            Operation::new("What is done beside requests, by which process, and how it went")
                .answers::<JobsView>(StatusCode::OK),
        ),
        Endpoint::new(
            "GET",
            "/api/v1/system/config",
            Access::Session,
            get(config),
            Operation::new("The settings that may change while everything runs").answers::<ConfigView>(StatusCode::OK),
        ),
        Endpoint::new(
            "PUT",
            KEY,
            Access::Session,
            put(set),
            Operation::new("Change one of these settings, in every process")
                .takes::<SettingForm>()
                .answers::<SettingView>(StatusCode::OK),
        ),
        Endpoint::new(
            "DELETE",
            KEY,
            Access::Session,
            delete(reset),
            Operation::new("Put the default of one of these settings back in force")
                .answers::<SettingView>(StatusCode::OK),
        ),
    ]
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemInfo")]
#[serde(rename_all = "camelCase")]
struct InfoView {
    version: &'static str,
    /// The process that answers.
    process_id: Uuid,
    started_at: Timestamp,
    uptime_seconds: i64,
    /// Postgres's version number, such as 150018.
    postgres: i32,
    /// By how much the database's clock is ahead of this process's.
    clock_ahead_seconds: f64,
    /// The newest migration that was applied.
    schema: i64,
    policy_epoch: i64,
    /// Seconds since the change feed was read.
    feed_age_seconds: i64,
    audit: AuditView,
    maintenance: MaintenanceView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemAudit")]
#[serde(rename_all = "camelCase")]
struct AuditView {
    /// Height of the last block.
    height: i64,
    /// Entries that are sealed.
    entries: i64,
    /// Days, today included, that have a partition.
    partition_days: i64,
    /// The key that signs blocks.
    kid: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Maintenance")]
#[serde(rename_all = "camelCase")]
struct MaintenanceView {
    read_only: bool,
    notice: String,
    retry_after_seconds: u32,
}

async fn info(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<InfoView>> {
    let info = api.vault().system().info(&ctx).await?;
    Ok(axum::Json(InfoView {
        version: env!("CARGO_PKG_VERSION"),
        process_id: info.process_id,
        started_at: info.started_at,
        uptime_seconds: info.now.as_second().saturating_sub(info.started_at.as_second()),
        postgres: info.postgres,
        clock_ahead_seconds: info.clock_ahead_seconds,
        schema: info.schema,
        policy_epoch: info.policy_epoch,
        feed_age_seconds: info.feed_age_seconds,
        audit: AuditView {
            height: info.audit_height,
            entries: info.audit_entries,
            partition_days: info.audit_partition_days,
            kid: info.audit_kid,
        },
        maintenance: MaintenanceView {
            read_only: info.maintenance.read_only,
            notice: info.maintenance.notice,
            retry_after_seconds: info.maintenance.retry_after_seconds,
        },
    }))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Jobs")]
struct JobsView {
    items: Vec<JobView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Job")]
#[serde(rename_all = "camelCase")]
struct JobView {
    name: String,
    /// The process that does it.
    process_id: Uuid,
    /// Until when no other process takes it.
    lease_until: Timestamp,
    /// When the last run ended that was noted; runs of every second are noted now and then.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// Whether it did what it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<bool>,
    /// What it did, or why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Runs that were noted.
    runs: i64,
    failures: i64,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            name: job.name,
            process_id: job.holder,
            lease_until: job.lease_until,
            finished_at: job.finished_at,
            seconds: job.seconds,
            ok: job.ok,
            detail: job.detail,
            runs: job.runs,
            failures: job.failures,
        }
    }
}

async fn jobs(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<JobsView>> {
    let items = api.vault().system().jobs(&ctx).await?;
    Ok(axum::Json(JobsView {
        items: items.into_iter().map(JobView::from).collect(),
    }))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemConfig")]
struct ConfigView {
    items: Vec<SettingView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemSetting")]
struct SettingView {
    key: String,
    value: Value,
}

async fn config(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<ConfigView>> {
    let settings = api.vault().system().config(&ctx).await?;
    let items = settings.into_iter().map(|(key, value)| SettingView {
        key: key.as_str().to_owned(),
        value,
    });
    Ok(axum::Json(ConfigView { items: items.collect() }))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewSystemSetting")]
#[serde(deny_unknown_fields)]
struct SettingForm {
    value: Value,
}

impl Form for SettingForm {
    const EXAMPLE: &'static str =
        r#"{"value": {"readOnly": true, "notice": "moving the database", "retryAfterSeconds": 300}}"#;
    const LIMIT: usize = 4 << 10;
}

async fn set(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Named(key): Named,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<SettingForm>,
) -> Result<axum::Json<SettingView>> {
    let value = api.vault().system().set(&ctx, &key, Some(&form.value)).await?;
    Ok(axum::Json(SettingView { key, value }))
}

async fn reset(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Named(key): Named,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<SettingView>> {
    let value = api.vault().system().set(&ctx, &key, None).await?;
    Ok(axum::Json(SettingView { key, value }))
}
