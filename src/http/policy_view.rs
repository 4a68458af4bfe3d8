//! Policies and decisions as the API shows them, and the name of a policy in a URL.

use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderValue;
use axum::http::request::Parts;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::problem::Problem;
use super::version::etag;
use crate::domain::policy::{Because, Capability, Circumstances, Decision, PolicyDocument, Rule, Subject};
use crate::domain::record::Version;
use crate::service::error::Reason;
use crate::service::policies::Policy;

/// Bytes of a body that holds a policy.
pub(super) const POLICY_BYTES: usize = 512 << 10;

/// The name at the end of the URL, decoded; `k8s/shop/name` for a resource.
pub(super) struct PolicyName(pub(super) String);

impl FromRequestParts<Api> for PolicyName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, api).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(_) => Err(Problem::new(
                Reason::InvalidRequest,
                "the policy's name in the URL is not percent-encoded UTF-8",
            )),
        }
    }
}

/// A policy document in a body.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PolicyDocumentToPreview")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DocumentForm {
    subjects: Vec<Subject>,
    rules: Vec<Rule>,
    expires_at: Option<Timestamp>,
}

impl From<DocumentForm> for PolicyDocument {
    fn from(form: DocumentForm) -> Self {
        Self {
            subjects: form.subjects,
            rules: form.rules,
            expires_at: form.expires_at,
        }
    }
}

/// A policy.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Policy")]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyView {
    name: String,
    /// `rest` or `kubernetes`.
    origin: &'static str,
    generation: i64,
    /// What it may reach at most; absent for everything.
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// Since when 'aether-vault recover' keeps it from counting for anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<Timestamp>,
    /// False if this release cannot read it: then everything in its scope is closed.
    readable: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    document: Option<PolicyDocument>,
}

impl From<Policy> for PolicyView {
    fn from(policy: Policy) -> Self {
        Self {
            name: policy.name,
            origin: if policy.cluster.is_some() { "kubernetes" } else { "rest" },
            generation: policy.generation,
            scope: policy.scope,
            created_at: policy.created_at,
            updated_at: policy.updated_at,
            disabled_at: policy.disabled_at,
            readable: policy.document.is_some(),
            document: policy.document,
        }
    }
}

/// The entity tag of a policy: its generation.
pub(super) fn policy_etag(generation: i64) -> HeaderValue {
    Version::new(generation).map_or(HeaderValue::from_static("\"\""), etag)
}

/// A decision and what made it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Decision")]
#[serde(rename_all = "camelCase")]
pub(super) struct DecisionView {
    decision: &'static str,
    /// `Rule`, `BuiltIn`, `NoRule` or `OutOfScope`.
    because: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    /// The rule's index in the policy, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<usize>,
    /// The built-in right.
    #[serde(skip_serializing_if = "Option::is_none")]
    right: Option<&'static str>,
    /// Whether a second factor given now would lift the refusal.
    step_up: bool,
}

impl From<Decision> for DecisionView {
    fn from(decision: Decision) -> Self {
        let (because, policy, rule, right) = match &decision.because {
            Because::NoRule => ("NoRule", None, None, None),
            Because::OutOfScope => ("OutOfScope", None, None, None),
            Because::BuiltIn(right) => ("BuiltIn", None, None, Some(*right)),
            Because::Rule { policy, rule, .. } => ("Rule", Some(policy.to_string()), Some(*rule), None),
        };
        Self {
            decision: if decision.is_allowed() { "allow" } else { "deny" },
            because,
            policy,
            rule,
            right,
            step_up: decision.step_up,
        }
    }
}

/// Circumstances in a body and in an answer.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Circumstances")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CircumstancesView {
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<std::net::IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    second_factor_at: Option<Timestamp>,
}

impl From<Circumstances> for CircumstancesView {
    fn from(circumstances: Circumstances) -> Self {
        Self {
            at: circumstances.now,
            client: circumstances.client,
            second_factor_at: circumstances.second_factor_at,
        }
    }
}

impl From<CircumstancesView> for Circumstances {
    fn from(view: CircumstancesView) -> Self {
        Self {
            now: view.at,
            client: view.client,
            second_factor_at: view.second_factor_at,
        }
    }
}

/// The names of capabilities.
pub(super) fn names(capabilities: &[Capability]) -> Vec<&'static str> {
    capabilities.iter().map(|capability| capability.as_str()).collect()
}
