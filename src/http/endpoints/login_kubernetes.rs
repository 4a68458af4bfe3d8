//! `POST /api/v1/auth/kubernetes`: from a service account token to an access token.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::http::Api;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::service::auth::{RequestInfo, WorkloadLogin};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "POST",
        "/api/v1/auth/kubernetes",
        Access::Anyone,
        post(login),
        Operation::new("Log in as a workload, with a service account token")
            .takes::<ServiceAccountForm>()
            .answers::<WorkloadTokenView<'_>>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServiceAccountForm {
    cluster: Option<String>,
    token: String,
}

impl Form for ServiceAccountForm {
    const EXAMPLE: &'static str =
        r#"{"token": "SERVICE ACCOUNT TOKEN"}, and "cluster": "PREFIX" for another cluster than the vault's own"#;
    // Read before anyone is known, so no more than it takes.
    const LIMIT: usize = 24 << 10;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WorkloadToken")]
#[serde(rename_all = "camelCase")]
struct WorkloadTokenView<'a> {
    token: &'a str,
    token_type: &'static str,
    expires_at: Timestamp,
}

async fn login(
    State(api): State<Api>,
    Extension(info): Extension<RequestInfo>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<ServiceAccountForm>,
) -> Result<impl IntoResponse> {
    let request = WorkloadLogin {
        cluster: form.cluster,
        token: SecretString::from(form.token),
    };
    let token = api.vault().auth().login_workload(request, info).await?;
    let view = WorkloadTokenView {
        token: token.token.expose_secret(),
        token_type: "Bearer",
        expires_at: token.expires_at,
    };
    // Texts and a time always serialise.
    let body = Zeroizing::new(serde_json::to_vec(&view).unwrap_or_default());
    Ok((
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        Bytes::from_owner(body),
    ))
}
