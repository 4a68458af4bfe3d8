//! `POST /api/v1/policies/preview`: what a changed or removed policy would open and close, over the records and actors that exist.
//! Nothing changes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::policy::PolicyDocument;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::policy_view::{CircumstancesView, DocumentForm, POLICY_BYTES, names};
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::policies::{Preview, PreviewedActor, PreviewedChange, PreviewedConflict};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "POST",
        "/api/v1/policies/preview",
        Access::Session,
        post(preview),
        Operation::new("Tell what a changed or removed policy would open and close")
            .takes::<PreviewForm>()
            .answers::<PreviewView>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PreviewQuestion")]
#[serde(deny_unknown_fields)]
struct PreviewForm {
    name: String,
    policy: Option<DocumentForm>,
    circumstances: Option<CircumstancesView>,
}

impl Form for PreviewForm {
    const EXAMPLE: &'static str = r#"{"name": "team-a", "policy": {"subjects": […], "rules": […]}}; without 'policy', what removing it would change"#;
    const LIMIT: usize = POLICY_BYTES;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Preview")]
#[serde(rename_all = "camelCase")]
struct PreviewView {
    changes: Vec<ChangeView>,
    /// The policies whose denies overrule what it allows.
    conflicts: Vec<ConflictView>,
    /// How many actors and records the policy concerns, before or after.
    matched_actors: usize,
    matched_records: usize,
    /// How many were looked at.
    actors: usize,
    records: usize,
    /// Whether a bound was reached, so that there may be more changes.
    cut_off: bool,
    circumstances: CircumstancesView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PreviewChange")]
struct ChangeView {
    actor: ActorView,
    path: String,
    opens: Vec<&'static str>,
    closes: Vec<&'static str>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PreviewConflict")]
struct ConflictView {
    policy: String,
    /// How many rights it overrules: a capability of an actor at a path is one. The first of them is the following.
    rights: usize,
    actor: ActorView,
    path: String,
    capability: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PreviewActor")]
struct ActorView {
    kind: &'static str,
    name: String,
}

impl From<PreviewedChange> for ChangeView {
    fn from(change: PreviewedChange) -> Self {
        Self {
            actor: change.actor.into(),
            path: change.path,
            opens: names(&change.opens),
            closes: names(&change.closes),
        }
    }
}

impl From<PreviewedConflict> for ConflictView {
    fn from(conflict: PreviewedConflict) -> Self {
        Self {
            policy: conflict.policy,
            rights: conflict.rights,
            actor: conflict.actor.into(),
            path: conflict.path,
            capability: conflict.capability.as_str(),
        }
    }
}

impl From<PreviewedActor> for ActorView {
    fn from(actor: PreviewedActor) -> Self {
        Self {
            kind: actor.kind,
            name: actor.name,
        }
    }
}

impl From<Preview> for PreviewView {
    fn from(preview: Preview) -> Self {
        Self {
            changes: preview.changes.into_iter().map(ChangeView::from).collect(),
            conflicts: preview.conflicts.into_iter().map(ConflictView::from).collect(),
            matched_actors: preview.matched_actors,
            matched_records: preview.matched_records,
            actors: preview.actors,
            records: preview.records,
            cut_off: preview.cut_off,
            circumstances: preview.circumstances.into(),
        }
    }
}

async fn preview(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<PreviewForm>,
) -> Result<axum::Json<PreviewView>> {
    let document = form.policy.map(PolicyDocument::from);
    let circumstances = form.circumstances.map(Into::into);
    let preview = api
        .vault()
        .policies()
        .preview(&ctx, &form.name, document.as_ref(), circumstances)
        .await?;
    Ok(axum::Json(preview.into()))
}
