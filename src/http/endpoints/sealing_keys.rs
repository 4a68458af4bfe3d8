//! `GET /api/v1/sealing-keys`: the public keys that values are sealed to, for everybody. `POST /api/v1/sealing-keys/rewrap`: seals a
//! sealed value anew to the newest key, for the same target; the value itself is not shown.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::sealed::{MAX_SEALED_CHARS, SealedFor};
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;

/// Characters of a name: namespaces and resources have at most 253, clusters and keys no more.
const MAX_NAME: usize = 253;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "GET",
            "/api/v1/sealing-keys",
            Access::Anyone,
            get(list),
            Operation::new("The public keys that values are sealed to, the newest first")
                .answers::<SealingKeysView>(StatusCode::OK),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/sealing-keys/rewrap",
            Access::Session,
            post(rewrap),
            Operation::new("Seal a sealed value anew to the newest key, without showing it")
                .takes::<RewrapForm>()
                .answers::<RewrappedView>(StatusCode::OK),
        ),
    ]
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SealingKeys")]
struct SealingKeysView {
    keys: Vec<SealingKeyView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SealingKey")]
#[serde(rename_all = "camelCase")]
struct SealingKeyView {
    id: String,
    public_key: String,
    created_at: Timestamp,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Rewrap")]
#[serde(deny_unknown_fields)]
struct RewrapForm {
    cluster: String,
    namespace: String,
    name: String,
    key: String,
    sealed: String,
}

impl Form for RewrapForm {
    const EXAMPLE: &'static str =
        r#"{"cluster": "k8s", "namespace": "shop", "name": "orders", "key": "API_TOKEN", "sealed": "avs1.…"}"#;
    const LIMIT: usize = 2 * MAX_SEALED_CHARS;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Rewrapped")]
struct RewrappedView {
    sealed: String,
}

async fn list(
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<SealingKeysView>> {
    let keys = api.vault().sealing_keys().await?;
    let view = |key: crate::service::door::SealingKeyInfo| SealingKeyView {
        id: key.id,
        public_key: key.public_key,
        created_at: key.created_at,
    };
    Ok(axum::Json(SealingKeysView {
        keys: keys.into_iter().map(view).collect(),
    }))
}

async fn rewrap(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<RewrapForm>,
) -> Result<axum::Json<RewrappedView>> {
    for (field, text) in [
        ("cluster", &form.cluster),
        ("namespace", &form.namespace),
        ("name", &form.name),
        ("key", &form.key),
    ] {
        let clean = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !clean || !(1..=MAX_NAME).contains(&text.len()) {
            let message =
                format!("'{field}' has 1 to {MAX_NAME} letters, digits, '-', '_' and '.', as in the resource");
            return Err(Problem::new(Reason::InvalidRequest, message));
        }
    }
    let target = SealedFor {
        cluster: &form.cluster,
        namespace: &form.namespace,
        name: &form.name,
        key: &form.key,
    };
    let sealed = api.vault().rewrap_sealed(&ctx, &target, &form.sealed).await?;
    Ok(axum::Json(RewrappedView { sealed }))
}
