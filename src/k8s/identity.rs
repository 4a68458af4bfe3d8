//! Who workloads are: reviews of their tokens, and what a cluster says of its issuer and its namespaces. Used by `app`, for the service.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{GetParams, ListParams, PostParams};
use kube::core::{PartialObjectMeta, Request};
use kube::{Api, Client};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::controller::kube_system_uid;
use crate::service::door::{ClusterIssuer, ReviewError, Reviewed, SeenNamespace, TokenReviewer};

/// Namespaces of one page.
const PAGE: u32 = 500;
/// Namespaces read at a time where they cannot be listed.
const READS: usize = 8;

/// Asks the API server for reviews of tokens.
pub struct KubeTokenReviewer {
    client: Client,
    kube_system_uid: OnceCell<String>,
}

impl KubeTokenReviewer {
    /// A reviewer that may create token reviews and read namespaces.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            kube_system_uid: OnceCell::new(),
        }
    }

    async fn ask(&self, token: &SecretString, audience: &str, namespace: &str) -> Result<Reviewed, ReviewError> {
        let cluster = self.kube_system_uid.get_or_try_init(|| async {
            kube_system_uid(&self.client)
                .await
                .map_err(|error| ReviewError::Unavailable(error.to_string()))
        });
        let cluster = cluster.await?.clone();
        let before = self.namespace_uid(namespace).await?;
        let spec = TokenReviewSpec {
            audiences: Some(vec![audience.to_owned()]),
            token: Some(token.expose_secret().to_owned()),
        };
        let review = TokenReview {
            spec,
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = api
            .create(&PostParams::default(), &review)
            .await
            .map_err(|error| unavailable(&error))?;
        let account = accepted(answer, audience).ok_or(ReviewError::Refused)?;
        let after = self.namespace_uid(namespace).await?;
        // A uid is borne once: seen on both sides of the review, the namespace was there all the time, and so the account is its own.
        if account.namespace != namespace || before != after {
            return Err(ReviewError::Refused);
        }
        Ok(Reviewed {
            kube_system_uid: cluster,
            namespace: account.namespace,
            namespace_uid: after,
            service_account: account.name,
            service_account_uid: account.uid,
        })
    }

    async fn namespace_uid(&self, name: &str) -> Result<String, ReviewError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = api.get_metadata_opt(name).await.map_err(|error| unavailable(&error))?;
        found.and_then(|object| object.metadata.uid).ok_or(ReviewError::Refused)
    }
}

impl TokenReviewer for KubeTokenReviewer {
    fn review<'a>(
        &'a self,
        token: &'a SecretString,
        audience: &'a str,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<Reviewed, ReviewError>> {
        Box::pin(self.ask(token, audience, namespace))
    }
}

fn unavailable(error: &kube::Error) -> ReviewError {
    ReviewError::Unavailable(error.to_string())
}

#[derive(Debug, PartialEq, Eq)]
struct Account {
    namespace: String,
    name: String,
    uid: String,
}

/// The service account that a review names, if it accepts the token for our audience. An API server that does not know of audiences answers
/// without any, and then it has not checked ours.
fn accepted(review: TokenReview, audience: &str) -> Option<Account> {
    let status = review.status?;
    if status.authenticated != Some(true) || !status.audiences?.iter().any(|found| found == audience) {
        return None;
    }
    let user = status.user?;
    let username = user.username?;
    let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(Account {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: user.uid.filter(|uid| !uid.is_empty())?,
    })
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
}

/// The issuer of a cluster's service account tokens, and its keys. Every service account may read them unless an administrator took that
/// right away.
///
/// # Errors
/// They cannot be read.
pub async fn cluster_issuer(client: &Client) -> Result<ClusterIssuer, kube::Error> {
    let document = |folder: &str, name: &str| {
        Request::new(folder)
            .get(name, &GetParams::default())
            .map_err(kube::Error::BuildRequest)
    };
    let discovery: Discovery = client
        .request(document("/.well-known", "openid-configuration")?)
        .await?;
    let jwks = client.request(document("/openid/v1", "jwks")?).await?;
    Ok(ClusterIssuer {
        issuer: discovery.issuer,
        jwks,
    })
}

/// The namespaces of the cluster as they are now: all, or those that are named, of which some may not be there.
///
/// # Errors
/// They cannot be read.
pub async fn namespaces(client: &Client, named: &[String]) -> Result<Vec<SeenNamespace>, kube::Error> {
    let api: Api<Namespace> = Api::all(client.clone());
    let mut found = BTreeMap::new();
    let mut take = |object: PartialObjectMeta<Namespace>| {
        let metadata = object.metadata;
        if let (Some(name), Some(uid), Some(created)) = (metadata.name, metadata.uid, metadata.creation_timestamp) {
            let created_at = created.0;
            found.insert(name.clone(), SeenNamespace { name, uid, created_at });
        }
    };
    if named.is_empty() {
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = api.list_metadata(&page).await?;
            list.items.into_iter().for_each(&mut take);
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
    } else {
        for part in named.chunks(READS) {
            let mut reads = Vec::with_capacity(part.len());
            for name in part {
                reads.push(api.get_metadata_opt(name));
            }
            for object in futures::future::try_join_all(reads).await? {
                object.into_iter().for_each(&mut take);
            }
        }
    }
    Ok(found.into_values().collect())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};

    use super::*;

    fn review(authenticated: bool, audiences: Option<&[&str]>, username: &str, uid: &str) -> Option<Account> {
        let review = TokenReview {
            status: Some(TokenReviewStatus {
                authenticated: Some(authenticated),
                audiences: audiences.map(|all| all.iter().map(|one| (*one).to_owned()).collect()),
                user: Some(UserInfo {
                    username: Some(username.to_owned()),
                    uid: Some(uid.to_owned()),
                    ..UserInfo::default()
                }),
                error: None,
            }),
            ..TokenReview::default()
        };
        accepted(review, "aether-vault")
    }

    #[test]
    fn r10_a_review_counts_for_our_audience_and_for_service_accounts_only() {
        const WEB: &str = "system:serviceaccount:shop:web";
        let ours = Some(&["aether-vault"][..]);
        assert_eq!(
            review(true, ours, WEB, "u"),
            Some(Account {
                namespace: "shop".into(),
                name: "web".into(),
                uid: "u".into()
            })
        );
        assert_eq!(review(false, ours, WEB, "u"), None);
        assert_eq!(review(true, None, WEB, "u"), None, "audiences that were not checked");
        assert_eq!(review(true, Some(&["https://kubernetes.default.svc"]), WEB, "u"), None);
        assert_eq!(review(true, ours, "system:node:n1", "u"), None);
        assert_eq!(review(true, ours, WEB, ""), None);
        assert_eq!(accepted(TokenReview::default(), "aether-vault"), None);
    }
}
