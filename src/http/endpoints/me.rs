//! `GET` and `PATCH /api/v1/me`: the caller's own account.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, patch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::user::set;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::auth::{Me, ProfileChange};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "GET",
            "/api/v1/me",
            Access::Session,
            get(me),
            Operation::new("Show one's own account").answers::<MeView>(StatusCode::OK),
        ),
        Endpoint::new(
            "PATCH",
            "/api/v1/me",
            Access::Session,
            patch(change),
            Operation::new("Change what one is called, or one's e-mail address")
                .takes::<ProfileForm>()
                .answers::<MeView>(StatusCode::OK),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ProfileChange")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ProfileForm {
    #[serde(default, deserialize_with = "set")]
    email: Option<Option<String>>,
    #[serde(default, deserialize_with = "set")]
    display_name: Option<Option<String>>,
}

impl Form for ProfileForm {
    const EXAMPLE: &'static str =
        r#"{"displayName": "Ann", "email": "ann@example.org"}, each optional; null takes it away"#;
    const LIMIT: usize = 4 << 10;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Me")]
#[serde(rename_all = "camelCase")]
struct MeView {
    id: Uuid,
    name: String,
    /// `person` or `machine`.
    kind: String,
    /// `admin`, `auditor` or `user`.
    role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    groups: Vec<String>,
    second_factor: SecondFactorView,
}

/// What of a second factor there is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OwnSecondFactor")]
#[serde(rename_all = "camelCase")]
struct SecondFactorView {
    /// Whether an administrator demands one of this user.
    required: bool,
    /// Whether a TOTP generator is enrolled.
    totp: bool,
    /// Passkeys that are registered.
    passkeys: i64,
    /// Recovery codes that are left.
    recovery_codes: i64,
}

impl From<Me> for MeView {
    fn from(me: Me) -> Self {
        Self {
            id: me.id,
            name: me.name,
            kind: me.kind,
            role: me.role,
            email: me.email,
            display_name: me.display_name,
            groups: me.groups,
            second_factor: SecondFactorView {
                required: me.second_factor_required,
                totp: me.totp,
                passkeys: me.passkeys,
                recovery_codes: me.recovery_codes,
            },
        }
    }
}

async fn me(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<MeView>> {
    let me = api.vault().auth().me(&ctx).await?;
    Ok(axum::Json(me.into()))
}

async fn change(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<ProfileForm>,
) -> Result<axum::Json<MeView>> {
    let change = ProfileChange {
        email: form.email,
        display_name: form.display_name,
    };
    let me = api.vault().auth().change_me(&ctx, change).await?;
    Ok(axum::Json(me.into()))
}
