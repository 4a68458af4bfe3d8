//! `POST /api/v1/policies/explain`: who, what, where → the decision, the rule and policy that made it, and what else matched. Nothing
//! changes; it is a `POST` because a question has a body.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::path::RecordPath;
use crate::domain::policy::{Capability, Effect, Match, NotCounted};
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::policy_view::{CircumstancesView, DecisionView};
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;
use crate::service::policies::{Asked, Who};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "POST",
        "/api/v1/policies/explain",
        Access::Session,
        post(explain),
        Operation::new("Explain a decision: who, what, where")
            .takes::<ExplainForm>()
            .answers::<ExplanationView>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Question")]
#[serde(deny_unknown_fields)]
struct ExplainForm {
    who: Option<WhoForm>,
    capability: Capability,
    path: String,
    circumstances: Option<CircumstancesView>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Who")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum WhoForm {
    User(String),
    ApiKey(Uuid),
    ServiceAccount(ServiceAccountForm),
    Namespace(NamespaceForm),
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "WhoServiceAccount")]
#[serde(deny_unknown_fields)]
struct ServiceAccountForm {
    cluster: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "WhoNamespace")]
#[serde(deny_unknown_fields)]
struct NamespaceForm {
    cluster: String,
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Form for ExplainForm {
    const EXAMPLE: &'static str = r#"{"who": {"user": "ann"}, "capability": "read", "path": "shared/smtp"}; 'who' may also be {"apiKey": ID}, {"serviceAccount": {"cluster": "k8s", "namespace": "shop", "name": "web"}} or {"namespace": {"cluster": "k8s", "name": "shop"}}, and is you if absent"#;
    const LIMIT: usize = 16 << 10;
}

impl From<WhoForm> for Who {
    fn from(form: WhoForm) -> Self {
        match form {
            WhoForm::User(name) => Self::User(name),
            WhoForm::ApiKey(id) => Self::ApiKey(id),
            WhoForm::ServiceAccount(account) => Self::ServiceAccount {
                cluster: account.cluster,
                namespace: account.namespace,
                name: account.name,
            },
            WhoForm::Namespace(namespace) => Self::Namespace {
                cluster: namespace.cluster,
                name: namespace.name,
                labels: namespace.labels,
            },
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Explanation")]
#[serde(rename_all = "camelCase")]
struct ExplanationView {
    actor: ActorView,
    #[serde(flatten)]
    decision: DecisionView,
    matches: Vec<MatchView>,
    circumstances: CircumstancesView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExplainedActor")]
struct ActorView {
    kind: &'static str,
    name: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MatchedRule")]
#[serde(rename_all = "camelCase")]
struct MatchView {
    policy: String,
    rule: usize,
    effect: Effect,
    /// Why it does not count, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_counted: Option<&'static str>,
}

impl From<Match> for MatchView {
    fn from(matched: Match) -> Self {
        Self {
            policy: matched.policy.to_string(),
            rule: matched.rule,
            effect: matched.effect,
            not_counted: matched.not_counted.map(NotCounted::as_str),
        }
    }
}

async fn explain(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<ExplainForm>,
) -> Result<axum::Json<ExplanationView>> {
    let path = RecordPath::parse(&form.path).map_err(|error| Problem::new(Reason::InvalidPath, error.to_string()))?;
    let asked = Asked {
        who: form.who.map_or(Who::Caller, Who::from),
        capability: form.capability,
        path,
        circumstances: form.circumstances.map(Into::into),
    };
    let explanation = api.vault().policies().explain(&ctx, &asked).await?;
    let (kind, name) = explanation.actor;
    Ok(axum::Json(ExplanationView {
        actor: ActorView { kind, name },
        decision: explanation.decision.into(),
        matches: explanation.matches.into_iter().map(MatchView::from).collect(),
        circumstances: explanation.circumstances.into(),
    }))
}
