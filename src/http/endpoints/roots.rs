//! `GET /api/v1/roots`; `PUT` and `DELETE /api/v1/quotas/{*root}`; `POST /api/v1/shred/{*root}`. For administrators; an auditor may look.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::page::{PageParameters, cursor};
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::record_path::Folder;
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;
use crate::service::roots::{Quota, RootUse};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of = |method, path, handler, operation| Endpoint::new(method, path, Access::Session, handler, operation);
    vec![
        of(
            "GET",
            "/api/v1/roots",
            get(list),
            Operation::new("List roots with their quotas, and what is used of them")
                .query::<PageParameters>()
                .answers::<RootsView>(StatusCode::OK),
        ),
        of(
            "PUT",
            "/api/v1/quotas/{*root}",
            put(set),
            Operation::new("Say how much a root may hold, and how often it is written")
                .takes::<QuotaForm>()
                .answers_nothing(),
        ),
        of(
            "DELETE",
            "/api/v1/quotas/{*root}",
            delete(unset),
            Operation::new("Take the quota of a root away").answers_nothing(),
        ),
        of(
            "POST",
            "/api/v1/shred/{*root}",
            post(shred),
            Operation::new("Shred a root: remove its keys and records for good")
                .takes::<ShredForm>()
                .answers_nothing(),
        ),
    ]
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "Quota")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct QuotaForm {
    /// Records, deleted ones that can be restored among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<i64>,
    /// Bytes of the encrypted values of all versions kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<i64>,
    /// Versions written a second, by all processes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    writes_per_second: Option<i64>,
}

impl Form for QuotaForm {
    const EXAMPLE: &'static str =
        r#"{"records": 1000, "bytes": 10485760, "writesPerSecond": 50}; what is left out has no bound"#;
    const LIMIT: usize = 4 << 10;
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Shred")]
#[serde(deny_unknown_fields)]
struct ShredForm {
    /// The path of the root once more.
    confirm: String,
}

impl Form for ShredForm {
    const EXAMPLE: &'static str = r#"{"confirm": "k8s/shop"} with the path of the root once more"#;
    const LIMIT: usize = 4 << 10;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RootPage")]
struct RootsView {
    items: Vec<RootView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Root")]
struct RootView {
    path: String,
    /// `namespace`, `user` or `shared`.
    kind: String,
    /// `active`, `orphaned` or `shredded`.
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<QuotaForm>,
    /// What is used of the quota; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<UsedView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "QuotaUsed")]
struct UsedView {
    records: i64,
    bytes: i64,
}

impl From<RootUse> for RootView {
    fn from(root: RootUse) -> Self {
        Self {
            path: root.path,
            kind: root.kind,
            state: root.state,
            quota: root.quota.map(|quota| QuotaForm {
                records: quota.records,
                bytes: quota.bytes,
                writes_per_second: quota.writes_per_second,
            }),
            used: root.used.map(|(records, bytes)| UsedView { records, bytes }),
        }
    }
}

async fn list(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(parameters): Query<PageParameters>,
) -> Result<axum::Json<RootsView>> {
    let (after, limit) = parameters.parse()?;
    let page = api.vault().roots().list(&ctx, after.as_deref(), limit).await?;
    Ok(axum::Json(RootsView {
        items: page.items.into_iter().map(RootView::from).collect(),
        next: page.next.as_deref().map(cursor),
    }))
}

async fn set(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Folder(root): Folder,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<QuotaForm>,
) -> Result<StatusCode> {
    let quota = Quota {
        records: form.records,
        bytes: form.bytes,
        writes_per_second: form.writes_per_second,
    };
    api.vault()
        .roots()
        .set_quota(&ctx, root_of(&root), Some(&quota))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unset(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Folder(root): Folder,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    api.vault().roots().set_quota(&ctx, root_of(&root), None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn shred(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Folder(root): Folder,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<ShredForm>,
) -> Result<StatusCode> {
    let root = root_of(&root);
    if form.confirm != root {
        let detail = "'confirm' is the path of the root once more: this cannot be taken back";
        return Err(Problem::new(Reason::InvalidRequest, detail));
    }
    api.vault().roots().shred(&ctx, root).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Roots are stored without the `/` at their end.
fn root_of(folder: &crate::domain::path::PathPrefix) -> &str {
    folder.as_str().trim_end_matches('/')
}
