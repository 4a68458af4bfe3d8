//! Challenges for browsers, and their answers, as the API shows and takes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::http::body::Form;
use crate::service::auth::{PasskeyAnswer, PasskeyChallenge};

/// A challenge: good once, for five minutes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PasskeyChallenge")]
pub(super) struct ChallengeView {
    /// To be sent with the answer.
    ceremony: Uuid,
    /// Options for `navigator.credentials.create` or `get`, as JSON with base64url.
    options: Value,
}

impl From<PasskeyChallenge> for ChallengeView {
    fn from(challenge: PasskeyChallenge) -> Self {
        Self {
            ceremony: challenge.ceremony,
            options: challenge.options,
        }
    }
}

/// What a browser answered.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PasskeyAnswer")]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerForm {
    ceremony: Uuid,
    /// What `navigator.credentials.get` gave, as JSON.
    credential: Value,
}

impl Form for AnswerForm {
    const EXAMPLE: &'static str =
        r#"{"ceremony": "ID", "credential": …} with what navigator.credentials.get gave, as JSON"#;
    // With an attestation, of which nothing is looked at, it has some kilobytes.
    const LIMIT: usize = 32 << 10;
}

impl From<AnswerForm> for PasskeyAnswer {
    fn from(form: AnswerForm) -> Self {
        Self {
            ceremony: form.ceremony,
            credential: form.credential,
        }
    }
}
