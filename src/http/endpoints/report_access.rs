//! `GET /api/v1/reports/access`: who may do what, which grants nobody uses, which secrets grow old, which accounts have one factor only. For
//! auditors and administrators.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::path::RecordPath;
use crate::domain::policy::{Capability, Subject};
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::{Parameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;
use crate::service::policies::{AccessReport, ReportScope};

/// Days that a report looks back unless the client says otherwise.
const DEFAULT_DAYS: u32 = 90;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/reports/access",
        Access::Session,
        get(report),
        Operation::new("Report who may do what, unused grants, old secrets, and accounts without a second factor")
            .query::<ReportParameters>()
            .answers::<ReportView>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReportParameters {
    /// A path, to be told who may do what with it.
    path: Option<String>,
    /// What was not used or written for so many days counts as unused or old: 1 to 400, 90 if absent.
    days: Option<u32>,
}

impl Parameters for ReportParameters {
    const EXAMPLE: &'static str = "?path=PATH and ?days=N, each once";
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AccessReport")]
#[serde(rename_all = "camelCase")]
struct ReportView {
    at: Timestamp,
    days: u32,
    /// Rules that allow something; those with no uses are candidates for removal.
    grants: Vec<GrantView>,
    /// Who may do what with the path that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    holders: Option<Vec<HolderView>>,
    /// Records that nobody has read within the days.
    unread: Vec<RecordView>,
    /// Records whose current version is older than the days; version 1 was never rotated.
    unrotated: Vec<RecordView>,
    /// People's accounts that a password alone opens.
    without_second_factor: Vec<AccountView>,
    /// Whether a part has more items than are shown.
    cut: bool,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReportedGrant")]
#[serde(rename_all = "camelCase")]
struct GrantView {
    policy: String,
    /// The rule within the policy, from 1.
    rule: usize,
    subjects: Vec<Subject>,
    paths: Vec<String>,
    capabilities: Vec<Capability>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// Reads and changes that it allowed within the days.
    uses: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReportedHolder")]
#[serde(rename_all = "camelCase")]
struct HolderView {
    kind: &'static str,
    id: String,
    name: String,
    capabilities: Vec<Capability>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReportedRecord")]
#[serde(rename_all = "camelCase")]
struct RecordView {
    path: String,
    version: i64,
    written_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReportedAccount")]
#[serde(rename_all = "camelCase")]
struct AccountView {
    id: Uuid,
    name: String,
    role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_login_at: Option<Timestamp>,
}

async fn report(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(parameters): Query<ReportParameters>,
) -> Result<axum::Json<ReportView>> {
    let path = parameters.path.as_deref().map(RecordPath::parse).transpose();
    let path = path.map_err(|error| Problem::new(Reason::InvalidPath, error.to_string()))?;
    let scope = ReportScope {
        path,
        days: parameters.days.unwrap_or(DEFAULT_DAYS),
    };
    let report = api.vault().policies().access_report(&ctx, &scope).await?;
    Ok(axum::Json(report.into()))
}

impl From<AccessReport> for ReportView {
    fn from(report: AccessReport) -> Self {
        let record = |record: crate::service::policies::OldRecord| RecordView {
            path: record.path,
            version: record.version,
            written_at: record.written_at,
            read_at: record.read_at,
        };
        let grants = report.grants.into_iter().map(|grant| GrantView {
            policy: grant.policy,
            rule: grant.rule + 1,
            subjects: grant.subjects,
            paths: grant.paths,
            capabilities: grant.capabilities,
            expires_at: grant.expires_at,
            uses: grant.uses,
            last_used_at: grant.last_used_at,
        });
        let holders = report.holders.map(|holders| {
            let view = holders.into_iter().map(|holder| HolderView {
                kind: holder.kind,
                id: holder.id,
                name: holder.name,
                capabilities: holder.capabilities,
            });
            view.collect()
        });
        let accounts = report.lone_factor.into_iter().map(|account| AccountView {
            id: account.id,
            name: account.name,
            role: account.role,
            last_login_at: account.last_login_at,
        });
        Self {
            at: report.at,
            days: report.days,
            grants: grants.collect(),
            holders,
            unread: report.unread.into_iter().map(record).collect(),
            unrotated: report.unrotated.into_iter().map(record).collect(),
            without_second_factor: accounts.collect(),
            cut: report.cut,
        }
    }
}
