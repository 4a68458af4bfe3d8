//! `…/me/identities` and `…/users/{id}/identities`: which people at providers of single sign-on a user is.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::http::body::{Form, Json};
use crate::http::id::Ids;
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::auth::{Identity, SsoExchange};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of = |method, path, handler, operation| Endpoint::new(method, path, Access::Session, handler, operation);
    vec![
        of(
            "GET",
            "/api/v1/me/identities",
            get(list_own),
            Operation::new("List one's own identities at providers").answers::<IdentitiesView>(StatusCode::OK),
        ),
        of(
            "POST",
            "/api/v1/me/identities",
            post(link),
            Operation::new("Link an identity at a provider, by the code of a login there")
                .takes::<LinkForm>()
                .answers::<IdentityView>(StatusCode::CREATED),
        ),
        of(
            "POST",
            "/api/v1/me/identities/{id}/unlink",
            post(unlink_own),
            Operation::new("Unlink an identity; sessions that came by it end")
                .takes::<UnlinkForm>()
                .answers_nothing(),
        ),
        of(
            "GET",
            "/api/v1/users/{id}/identities",
            get(list_of_user),
            Operation::new("List a user's identities at providers").answers::<IdentitiesView>(StatusCode::OK),
        ),
        of(
            "DELETE",
            "/api/v1/users/{id}/identities/{identity}",
            delete(unlink_of_user),
            Operation::new("Unlink a user's identity; sessions that came by it end").answers_nothing(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "IdentityLink")]
#[serde(deny_unknown_fields)]
struct LinkForm {
    code: String,
    verifier: String,
    password: Option<String>,
}

impl Form for LinkForm {
    const EXAMPLE: &'static str = r#"{"code": "THE ONE-TIME CODE", "verifier": "THE VERIFIER OF codeChallenge", "password": "YOUR PASSWORD"}; the password may be left out within five minutes of a second factor"#;
    const LIMIT: usize = 8 << 10;
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "IdentityUnlink")]
#[serde(deny_unknown_fields)]
struct UnlinkForm {
    password: Option<String>,
}

impl Form for UnlinkForm {
    const EXAMPLE: &'static str =
        r#"{"password": "YOUR PASSWORD"}; it may be left out within five minutes of a second factor"#;
    const LIMIT: usize = 8 << 10;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Identities")]
struct IdentitiesView {
    items: Vec<IdentityView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Identity")]
#[serde(rename_all = "camelCase")]
struct IdentityView {
    id: Uuid,
    provider: String,
    /// What the provider calls the person.
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    linked_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_login_at: Option<Timestamp>,
}

impl From<Identity> for IdentityView {
    fn from(identity: Identity) -> Self {
        Self {
            id: identity.id,
            provider: identity.provider,
            subject: identity.subject,
            email: identity.email,
            linked_at: identity.created_at,
            last_login_at: identity.last_login_at,
        }
    }
}

fn page(identities: Vec<Identity>) -> axum::Json<IdentitiesView> {
    let items = identities.into_iter().map(Into::into).collect();
    axum::Json(IdentitiesView { items })
}

async fn list_own(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<IdentitiesView>> {
    Ok(page(api.vault().auth().own_identities(&ctx).await?))
}

async fn link(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<LinkForm>,
) -> Result<(StatusCode, axum::Json<IdentityView>)> {
    let exchange = SsoExchange {
        code: SecretString::from(form.code),
        verifier: SecretString::from(form.verifier),
    };
    let password = form.password.map(SecretString::from);
    let identity = api.vault().auth().link_identity(&ctx, exchange, password).await?;
    Ok((StatusCode::CREATED, axum::Json(identity.into())))
}

async fn unlink_own(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<UnlinkForm>,
) -> Result<StatusCode> {
    let password = form.password.map(SecretString::from);
    let auth = api.vault().auth();
    auth.unlink_own_identity(&ctx, ids.get("id"), password).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_of_user(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<IdentitiesView>> {
    Ok(page(api.vault().auth().user_identities(&ctx, ids.get("id")).await?))
}

async fn unlink_of_user(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    let auth = api.vault().auth();
    auth.unlink_identity(&ctx, ids.get("id"), ids.get("identity")).await?;
    Ok(StatusCode::NO_CONTENT)
}
