//! `PUT /api/v1/policies/{*name}`: writes a policy. What it expects to follow is said by `cas` in the body (0: nothing), or by
//! `If-Match: "N"` or `If-None-Match: *`; never by both.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::domain::policy::{PolicyDocument, Rule, Subject};
use crate::domain::record::Expect;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::policy_view::{POLICY_BYTES, PolicyName, PolicyView, policy_etag};
use crate::http::precondition::precondition;
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "PUT",
        "/api/v1/policies/{*name}",
        Access::Session,
        put(write),
        Operation::new("Write a policy")
            .takes::<PolicyForm>()
            .answers::<PolicyView>(StatusCode::CREATED)
            .answers::<PolicyView>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PolicyToWrite")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PolicyForm {
    subjects: Vec<Subject>,
    rules: Vec<Rule>,
    expires_at: Option<Timestamp>,
    cas: Option<i64>,
}

impl Form for PolicyForm {
    const EXAMPLE: &'static str = r#"{"subjects": [{"kind": "Group", "name": "ops"}], "rules": [{"effect": "allow", "paths": ["shared/**"], "capabilities": ["read"]}]}"#;
    const LIMIT: usize = POLICY_BYTES;
}

async fn write(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    PolicyName(name): PolicyName,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    Json(form): Json<PolicyForm>,
) -> Result<Response> {
    let precondition = precondition(&headers)?;
    let expect = match (form.cas, precondition) {
        (Some(_), Some(_)) => return Err(invalid("send 'cas' or a precondition header, not both")),
        (cas, None) => Expect::from_cas(cas)
            .map_err(|_| invalid("'cas' is 0 for a new policy, or the generation that the write follows"))?,
        (None, Some(expect)) => expect,
    };
    let document = PolicyDocument {
        subjects: form.subjects,
        rules: form.rules,
        expires_at: form.expires_at,
    };
    let policy = api
        .vault()
        .policies()
        .put(&ctx, &name, &document, expect)
        .await
        .map_err(|error| match precondition {
            Some(_) => Problem::of_precondition(error),
            None => Problem::from(error),
        })?;
    let status = if policy.generation == 1 {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let tag = (header::ETAG, policy_etag(policy.generation));
    Ok((status, [tag], axum::Json(PolicyView::from(policy))).into_response())
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Reason::InvalidRequest, detail)
}
