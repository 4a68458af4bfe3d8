//! Users as the API shows them.

use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use uuid::Uuid;

use crate::service::users::{OneTimeLink, User};

/// A user without credentials.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "User")]
#[serde(rename_all = "camelCase")]
pub(super) struct UserView {
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
    /// `active`, `pending` (has no password yet), `locked`, `disabled` or `deleted`.
    state: String,
    /// Whether it has a second factor.
    second_factor: bool,
    /// Whether an administrator demands one of it.
    second_factor_required: bool,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_login_at: Option<Timestamp>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        let state = match &user {
            User {
                deleted_at: Some(_), ..
            } => "deleted",
            User {
                disabled_at: Some(_), ..
            } => "disabled",
            User { locked: true, .. } => "locked",
            User {
                has_password: false,
                kind,
                ..
            } if kind == "person" => "pending",
            _ => "active",
        };
        Self {
            id: user.id,
            name: user.name,
            kind: user.kind,
            role: user.role,
            email: user.email,
            display_name: user.display_name,
            groups: user.groups,
            state: state.to_owned(),
            second_factor: user.second_factor,
            second_factor_required: user.second_factor_required,
            created_at: user.created_at,
            last_login_at: user.last_login_at,
        }
    }
}

/// A link for one use, by which a person sets a password. Shown once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OneTimeLink")]
#[serde(rename_all = "camelCase")]
pub(super) struct LinkView<'a> {
    token: &'a str,
    expires_at: Timestamp,
}

impl<'a> From<&'a OneTimeLink> for LinkView<'a> {
    fn from(link: &'a OneTimeLink) -> Self {
        Self {
            token: link.token.expose_secret(),
            expires_at: link.expires_at,
        }
    }
}
