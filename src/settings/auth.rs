//! Settings of log-in and tokens: `auth`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HumanDuration, Passkeys, PasswordPolicy, Sso};
use crate::domain::actor::Role;

/// Log-in and tokens.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Life of an access token: 1m to 1d, and not longer than `auth.session_idle_ttl`.
    pub access_token_ttl: HumanDuration,
    /// A session ends unless it is refreshed by then: 1m to 30d, and not longer than `auth.session_ttl`.
    pub session_idle_ttl: HumanDuration,
    /// A session ends in any case: 5m to 365d.
    pub session_ttl: HumanDuration,
    /// Who needs a second factor.
    pub second_factor: SecondFactor,
    /// How old a key grows that signs access tokens, before another one does: 1d to 365d.
    pub signing_key_age: HumanDuration,
    /// `iss` of tokens, 1 to 256 characters without spaces; give each installation its own.
    pub issuer: String,
    /// `aud` of tokens, 1 to 256 characters without spaces.
    pub audience: String,
    /// For how long an API key may be made: 1h to 3650d. Every key ends.
    pub api_key_max_ttl: HumanDuration,
    /// Log-in of workloads with service account tokens.
    pub kubernetes: KubernetesLogin,
    /// Single sign-on.
    pub sso: Sso,
    /// What a password check costs.
    pub argon2: Argon2,
    /// Which passwords people may choose.
    pub password: PasswordPolicy,
    /// Whom passkeys are for.
    pub passkeys: Passkeys,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            access_token_ttl: HumanDuration::from_secs(600),
            session_idle_ttl: HumanDuration::from_secs(3600),
            session_ttl: HumanDuration::from_secs(12 * 3600),
            second_factor: SecondFactor::default(),
            signing_key_age: HumanDuration::from_secs(30 * 86_400),
            issuer: "aether-vault".to_owned(),
            audience: "aether-vault".to_owned(),
            api_key_max_ttl: HumanDuration::from_secs(365 * 86_400),
            kubernetes: KubernetesLogin::default(),
            sso: Sso::default(),
            argon2: Argon2::default(),
            password: PasswordPolicy::default(),
            passkeys: Passkeys::default(),
        }
    }
}

/// Who needs a second factor, beside those who have one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecondFactor {
    /// Roles whose log-ins need one: `admin`, `auditor`, `user`. Who has one is always asked for it.
    #[schemars(with = "Vec<String>")]
    pub required_roles: Vec<Role>,
    /// What authenticators show beside the user's name: 1 to 64 characters, no `:`.
    pub issuer: String,
}

impl Default for SecondFactor {
    fn default() -> Self {
        Self {
            required_roles: Vec::new(),
            issuer: "Aether Vault".to_owned(),
        }
    }
}

/// Log-in of workloads with service account tokens.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesLogin {
    /// The audience that service account tokens must be for: 1 to 256 characters without spaces.
    pub audience: String,
    /// Life of a workload's session, never past the end of its token: 1m to 1h.
    pub session_ttl: HumanDuration,
    /// Ask the API server of `controller.cluster_prefix` whether a token is good. Without it, tokens are verified with the keys that the
    /// cluster's controller published.
    pub token_review: bool,
}

impl Default for KubernetesLogin {
    fn default() -> Self {
        Self {
            audience: "aether-vault".to_owned(),
            session_ttl: HumanDuration::from_secs(900),
            token_review: false,
        }
    }
}

/// Cost of Argon2id, and how many checks may run and wait. Defaults are those of OWASP's first choice with 19 MiB.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Argon2 {
    /// Memory of one password check in KiB, 8192 to 1048576. Times `iterations` at least 35000, the least that OWASP recommends.
    pub memory_kib: u32,
    /// Passes over it: 1 to 20.
    pub iterations: u32,
    /// Lanes: 1 to 16.
    pub parallelism: u32,
    /// Password checks at a time, 0 to 64; 0 is half as many as there are cores, at least one and at most four.
    pub concurrency: u32,
    /// Checks that may wait, 1 to 10000; more are refused with `Busy`.
    pub queue: u32,
}

impl Default for Argon2 {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            concurrency: 0,
            queue: 64,
        }
    }
}
