//! `GET /api/v1/auth/sso/providers`: where people can log in, for a page or a command to offer.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::Api;
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/auth/sso/providers",
        Access::Anyone,
        get(list),
        Operation::new("List the providers of single sign-on").answers::<ProvidersView>(StatusCode::OK),
    )
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SsoProviders")]
struct ProvidersView {
    items: Vec<ProviderView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SsoProvider")]
#[serde(rename_all = "camelCase")]
struct ProviderView {
    name: String,
    display_name: String,
    /// Where to send a browser, with `redirect` and `codeChallenge`.
    start: String,
}

async fn list(
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<ProvidersView>> {
    let items = api
        .vault()
        .auth()
        .sso_providers()
        .into_iter()
        .map(|provider| ProviderView {
            start: format!("/api/v1/auth/sso/{}/start", provider.name),
            name: provider.name,
            display_name: provider.display_name,
        });
    Ok(axum::Json(ProvidersView { items: items.collect() }))
}
