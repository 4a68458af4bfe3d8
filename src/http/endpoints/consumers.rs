//! `GET /api/v1/consumers/{*path}`: which Secrets, namespaces and workloads carry a record, and which version of it. No values.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::list::{close_cursor, open_cursor};
use crate::domain::limits::MAX_PAGE;
use crate::domain::record::Version;
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::{Parameters, Query};
use crate::http::record_path::Record;
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;
use crate::service::records::Consumer;

/// Items of a page unless the client says otherwise.
const DEFAULT_PAGE: u32 = 100;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/consumers/{*path}",
        Access::Session,
        get(consumers),
        Operation::new("List the Secrets and workloads that carry a record, a page at a time")
            .query::<ConsumersParameters>()
            .answers::<ConsumersView>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConsumersParameters {
    limit: Option<u32>,
    after: Option<String>,
}

impl Parameters for ConsumersParameters {
    const EXAMPLE: &'static str = "?limit=N and ?after=CURSOR, each once";
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Consumers")]
#[serde(rename_all = "camelCase")]
struct ConsumersView {
    path: String,
    current_version: Version,
    items: Vec<ConsumerView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Consumer")]
#[serde(rename_all = "camelCase")]
struct ConsumerView {
    cluster: String,
    namespace: String,
    vault_secret: String,
    secret: String,
    versions: Vec<CarriedView>,
    updated_at: Timestamp,
    workloads: Vec<WorkloadView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CarriedVersion")]
struct CarriedView {
    version: Version,
    pinned: bool,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ConsumerWorkload")]
struct WorkloadView {
    kind: String,
    name: String,
    current: bool,
}

impl From<Consumer> for ConsumerView {
    fn from(consumer: Consumer) -> Self {
        let versions = consumer.versions.into_iter().map(|carried| CarriedView {
            version: carried.version,
            pinned: carried.pinned,
        });
        let workloads = consumer.workloads.into_iter().map(|workload| WorkloadView {
            kind: workload.kind,
            name: workload.name,
            current: workload.current,
        });
        Self {
            cluster: consumer.cluster,
            namespace: consumer.namespace,
            vault_secret: consumer.vault_secret,
            secret: consumer.secret,
            versions: versions.collect(),
            updated_at: consumer.updated_at,
            workloads: workloads.collect(),
        }
    }
}

async fn consumers(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(parameters): Query<ConsumersParameters>,
) -> Result<axum::Json<ConsumersView>> {
    let limit = parameters.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::new(
            Reason::InvalidRequest,
            format!("'limit' must be 1 to {MAX_PAGE}"),
        ));
    }
    let after = parameters.after.as_deref().map(open_cursor).transpose()?;
    let records = api.vault().records();
    let found = records.consumers(&ctx, &path, limit, after.as_deref()).await?;
    Ok(axum::Json(ConsumersView {
        path: path.into(),
        current_version: found.current_version,
        items: found.items.into_iter().map(ConsumerView::from).collect(),
        next: found.next.as_deref().map(close_cursor),
    }))
}
