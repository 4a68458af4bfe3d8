//! `/api/v1/me/sessions`, `/api/v1/users/{id}/sessions`, `/api/v1/workload-sessions`: sessions, looked at and ended.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, delete, get};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::limits::MAX_PAGE;
use crate::http::id::{Ids, Whose};
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Parameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::auth::Session;
use crate::service::error::Reason;

/// Items of a page unless the client says otherwise.
const DEFAULT_PAGE: u32 = 100;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of = |method, path, handler: MethodRouter<Api>, operation| {
        Endpoint::new(method, path, Access::Session, handler, operation)
    };
    let listing = || Operation::new("List sessions, newest first").answers::<SessionsView>(StatusCode::OK);
    let ending = || Operation::new("End a session; its tokens are refused at the very next call").answers_nothing();
    vec![
        of("GET", "/api/v1/me/sessions", get(list), listing()),
        of(
            "DELETE",
            "/api/v1/me/sessions",
            delete(end_all),
            Operation::new("End all of one's own sessions but the one that asks").answers::<EndedView>(StatusCode::OK),
        ),
        of("DELETE", "/api/v1/me/sessions/{session}", delete(end), ending()),
        of("GET", "/api/v1/users/{id}/sessions", get(list), listing()),
        of(
            "DELETE",
            "/api/v1/users/{id}/sessions",
            delete(end_all),
            Operation::new("End all sessions of a user").answers::<EndedView>(StatusCode::OK),
        ),
        of("DELETE", "/api/v1/users/{id}/sessions/{session}", delete(end), ending()),
        of(
            "GET",
            "/api/v1/workload-sessions",
            get(of_workloads),
            Operation::new("List sessions of workloads, newest first, a page at a time")
                .query::<WorkloadSessionParameters>()
                .answers::<SessionsView>(StatusCode::OK),
        ),
        of(
            "DELETE",
            "/api/v1/workload-sessions/{session}",
            delete(end_of_workload),
            ending(),
        ),
    ]
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Session")]
#[serde(rename_all = "camelCase")]
struct SessionView {
    id: Uuid,
    /// Whether it is the one that asks.
    current: bool,
    /// `password`, `passkey`, `sso`, `device` or `workload`.
    method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<WorkloadView>,
    created_at: Timestamp,
    /// When it was last refreshed, or saw a second factor.
    last_used_at: Timestamp,
    /// When it ends unless it is refreshed.
    expires_at: Timestamp,
    /// When it ends in any case.
    ends_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    second_factor_at: Option<Timestamp>,
    /// The address that it began at.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Workload")]
#[serde(rename_all = "camelCase")]
struct WorkloadView {
    cluster: String,
    namespace: String,
    service_account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
}

impl SessionView {
    fn new(session: Session, current: Option<Uuid>) -> Self {
        let workload = session.cluster.map(|cluster| WorkloadView {
            cluster,
            namespace: session.namespace.unwrap_or_default(),
            service_account: session.service_account.unwrap_or_default(),
            pod: session.pod,
        });
        Self {
            id: session.id,
            current: current == Some(session.id),
            method: session.method,
            workload,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            ends_at: session.ends_at,
            second_factor_at: session.second_factor_at,
            client: session.client,
            user_agent: session.user_agent,
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Sessions")]
struct SessionsView {
    items: Vec<SessionView>,
    /// What `after` takes for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndedSessions")]
struct EndedView {
    /// How many have ended.
    ended: usize,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WorkloadSessionParameters {
    limit: Option<u32>,
    after: Option<Uuid>,
}

impl Parameters for WorkloadSessionParameters {
    const EXAMPLE: &'static str = "?limit=N and ?after=ID, each once";
}

async fn list(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Whose(owner): Whose,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<SessionsView>> {
    let sessions = api.vault().auth().list_sessions(&ctx, owner).await?;
    Ok(view(sessions, ctx.session(), None))
}

async fn of_workloads(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(parameters): Query<WorkloadSessionParameters>,
) -> Result<axum::Json<SessionsView>> {
    let limit = parameters.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        let detail = format!("'limit' must be 1 to {MAX_PAGE}");
        return Err(Problem::new(Reason::InvalidRequest, detail));
    }
    let auth = api.vault().auth();
    let page = auth.list_workload_sessions(&ctx, parameters.after, limit).await?;
    Ok(view(page.items, ctx.session(), page.next))
}

async fn end(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Whose(owner): Whose,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    api.vault()
        .auth()
        .revoke_session(&ctx, owner, ids.get("session"))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end_of_workload(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    let auth = api.vault().auth();
    auth.revoke_workload_session(&ctx, ids.get("session")).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One's own but the one that asks; all of another's.
async fn end_all(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Whose(owner): Whose,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<EndedView>> {
    let ended = api.vault().auth().revoke_sessions(&ctx, owner).await?;
    Ok(axum::Json(EndedView { ended }))
}

fn view(sessions: Vec<Session>, current: Option<Uuid>, next: Option<Uuid>) -> axum::Json<SessionsView> {
    let items = sessions
        .into_iter()
        .map(|session| SessionView::new(session, current))
        .collect();
    axum::Json(SessionsView { items, next })
}
