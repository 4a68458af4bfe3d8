//! API keys as the API shows and takes them.

use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ipnet::IpNet;
use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::policy::ScopeDocument;
use crate::http::body::Form;
use crate::service::auth::{ApiKey, IssuedApiKey, NewApiKey};

/// Seconds that an old key goes on for unless the client says otherwise: a day.
const DEFAULT_OVERLAP_SECONDS: u32 = 86_400;

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewApiKey")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NewKeyForm {
    name: String,
    scopes: Vec<ScopeDocument>,
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    networks: Vec<IpNet>,
    #[serde(default)]
    administers: bool,
    expires_at: Option<Timestamp>,
}

impl Form for NewKeyForm {
    const EXAMPLE: &'static str = r#"{"name": "NAME", "scopes": [{"paths": ["shared/**"], "capabilities": ["read"]}], "networks": ["10.0.0.0/8"], "administers": false, "expiresAt": "2027-01-01T00:00:00Z"}; the last three are optional"#;
    const LIMIT: usize = 64 << 10;
}

impl From<NewKeyForm> for NewApiKey {
    fn from(form: NewKeyForm) -> Self {
        Self {
            name: form.name,
            scopes: form.scopes,
            networks: form.networks,
            administers: form.administers,
            expires_at: form.expires_at,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ApiKeyRotation")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RotateForm {
    overlap_seconds: Option<u32>,
    expires_at: Option<Timestamp>,
}

impl Form for RotateForm {
    const EXAMPLE: &'static str = r#"{"overlapSeconds": 86400, "expiresAt": "2027-01-01T00:00:00Z"}, both optional"#;
    const LIMIT: usize = 8 << 10;
}

impl RotateForm {
    /// For how many seconds the old key goes on, and when the new one ends.
    pub(super) fn into_parts(self) -> (u32, Option<Timestamp>) {
        (self.overlap_seconds.unwrap_or(DEFAULT_OVERLAP_SECONDS), self.expires_at)
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyView {
    id: Uuid,
    name: String,
    hint: String,
    scopes: serde_json::Value,
    networks: Vec<String>,
    administers: bool,
    created_at: Timestamp,
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_on: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<Uuid>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            hint: key.hint,
            scopes: key.scopes,
            networks: key.networks,
            administers: key.administers,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_on: key.last_used_on,
            replaces: key.replaces,
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKeys")]
pub(super) struct KeysView {
    items: Vec<KeyView>,
}

impl From<Vec<ApiKey>> for KeysView {
    fn from(keys: Vec<ApiKey>) -> Self {
        Self {
            items: keys.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IssuedApiKey")]
pub(super) struct IssuedView<'a> {
    #[serde(flatten)]
    key: KeyView,
    /// The only time that it is shown.
    token: &'a str,
}

/// The answer that holds the text of a new key.
pub(super) fn issued(issued: IssuedApiKey) -> Response {
    let view = IssuedView {
        key: issued.key.into(),
        token: issued.text.expose_secret(),
    };
    // Texts, numbers and times always serialise.
    let body = Zeroizing::new(serde_json::to_vec(&view).unwrap_or_default());
    (
        StatusCode::CREATED,
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        Bytes::from_owner(body),
    )
        .into_response()
}
