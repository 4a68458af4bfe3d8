//! What the vault asks of a cluster's API server: whether a service account token is good, and whose it is. Implemented in `k8s`, which
//! sees it through [`super::door`].

use futures::future::BoxFuture;
use jiff::Timestamp;
use secrecy::SecretString;

/// Asks the API server of one cluster.
pub trait TokenReviewer: Send + Sync {
    /// Reviews a token for one audience. The token says that it is of a service account in `namespace`, which the answer confirms.
    fn review<'a>(
        &'a self,
        token: &'a SecretString,
        audience: &'a str,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<Reviewed, ReviewError>>;
}

/// A token that the API server vouches for at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// The uid of the cluster's kube-system namespace.
    pub kube_system_uid: String,
    /// The namespace's name.
    pub namespace: String,
    /// The uid of that namespace, the same before and after the review: so the service account is that namespace's.
    pub namespace_uid: String,
    /// The service account's name.
    pub service_account: String,
    /// Its uid.
    pub service_account_uid: String,
}

/// Why there is no answer, or none that helps.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The API server does not know the token, or not for this audience.
    #[error("the API server does not accept the token for this audience")]
    Refused,
    /// The API server cannot be asked.
    #[error("the API server cannot be asked: {0}")]
    Unavailable(String),
}

/// A namespace as the controller found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenNamespace {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// When it was made, by the cluster's clock.
    pub created_at: Timestamp,
}

/// What a cluster signs service account tokens with.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterIssuer {
    /// `iss` of its tokens.
    pub issuer: String,
    /// Its JSON Web Key Set.
    pub jwks: serde_json::Value,
}
