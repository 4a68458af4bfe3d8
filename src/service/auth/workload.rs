//! Logging in as a workload: from a service account token to a session that holds what policies grant, and nothing else.
//!
//! The token is verified by the cluster's API server, where it can be asked, or with the keys that the cluster published. Neither token nor
//! review says which namespace of that name it is; how that is known is told in `docs/adr/0004`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::login::{AccessToken, origin_of};
use super::{Auth, RequestInfo};
use crate::crypto::cluster_token::{self, ClusterKeys, ClusterTokenError, ServiceAccountClaims};
use crate::crypto::random;
use crate::domain::actor::{Actor, NamespaceName};
use crate::domain::audit::{Action, Outcome};
use crate::domain::change::ChangeKind;
use crate::service::binding::orphaned;
use crate::service::context::{Credential, Door, OpContext};
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::service::reviewer::{ReviewError, Reviewed, TokenReviewer};
use crate::store::audit::Confirm;
use crate::store::clusters::LoginCluster;
use crate::store::sessions::WorkloadRow;
use crate::store::{self, audit, changes, cluster_namespaces, clusters, roots, sessions};

/// Questions to an API server at a time; more are refused, so that strangers cannot load it.
const REVIEWS: usize = 16;
/// How long an API server may take.
const REVIEW_TIME: Duration = Duration::from_secs(5);
/// Seconds by which a namespace must have been seen after a token was issued: times of tokens are whole seconds, and clocks differ.
const SEEN_MARGIN_SECONDS: i64 = 2;

/// How workloads log in.
#[derive(Clone)]
pub struct WorkloadSettings {
    /// The audience that tokens must be for.
    pub audience: String,
    /// How long a session lasts; never longer than its token.
    pub session_ttl: Duration,
    /// The cluster that is meant when a login names none.
    pub default_cluster: String,
    /// The API server of the default cluster, if it is to be asked.
    pub reviewer: Option<Arc<dyn TokenReviewer>>,
}

/// What logins of workloads share.
pub(in crate::service) struct Workloads {
    settings: WorkloadSettings,
    reviews: Semaphore,
}

impl Workloads {
    pub(in crate::service) fn new(settings: WorkloadSettings) -> Self {
        Self {
            settings,
            reviews: Semaphore::new(REVIEWS),
        }
    }

    /// How long a session lasts at most.
    pub(super) fn session_ttl(&self) -> Duration {
        self.settings.session_ttl
    }
}

/// What a workload sends to log in.
pub struct WorkloadLogin {
    /// The prefix of its cluster; the vault's own if absent.
    pub cluster: Option<String>,
    /// The service account token.
    pub token: SecretString,
}

/// A workload that is who it says.
struct Workload {
    cluster: LoginCluster,
    namespace_uid: String,
    claims: ServiceAccountClaims,
}

impl Auth<'_> {
    /// Logs a workload in.
    ///
    /// # Errors
    /// [`Reason::TokenInvalid`] with what is wrong with the token, [`Reason::TokenExpired`], [`Reason::RootOrphaned`] for a namespace that was
    /// made again, [`Reason::ClusterMismatch`], [`Reason::InvalidRequest`] for a cluster whose tokens this vault cannot verify,
    /// [`Reason::Busy`], [`Reason::ReviewUnavailable`], and those of the store.
    pub async fn login_workload(&self, request: WorkloadLogin, info: RequestInfo) -> Result<AccessToken> {
        match self.verify_workload(&request).await {
            Ok(workload) => self.begin_workload(&workload, &info).await,
            Err(error) if matches!(error.reason(), Reason::TokenInvalid | Reason::TokenExpired) => {
                self.refused_workload(&info, error).await
            }
            Err(error) => Err(error),
        }
    }

    async fn verify_workload(&self, request: &WorkloadLogin) -> Result<Workload> {
        let workloads = &self.vault.workloads;
        let settings = &workloads.settings;
        let claims = cluster_token::read(request.token.expose_secret()).map_err(refused)?;
        let prefix = request.cluster.as_deref().unwrap_or(&settings.default_cluster);
        // Postgres takes no NUL in a text, so no cluster has such a prefix.
        let found = match prefix.contains('\0') {
            true => None,
            false => clusters::for_login(&self.vault.pool, prefix)
                .await
                .map_err(store_failed)?,
        };
        let cluster = found.ok_or_else(unknown_cluster)?;
        if let Some(reviewer) = settings
            .reviewer
            .as_ref()
            .filter(|_| prefix == settings.default_cluster)
        {
            // Before the API server is troubled with it.
            cluster_token::check(&claims, &settings.audience, self.vault.clock.now()).map_err(refused)?;
            let reviewed = workloads
                .review(reviewer.as_ref(), &request.token, &claims.namespace)
                .await?;
            return confirmed(cluster, claims, reviewed);
        }
        let (Some(issuer), Some(jwks)) = (&cluster.issuer, &cluster.jwks) else {
            return Err(Error::new(
                Reason::InvalidRequest,
                "this vault has no keys of that cluster yet: its controller publishes them when it starts",
            ));
        };
        let keys = ClusterKeys::parse(jwks).map_err(Error::internal)?;
        let (token, now) = (request.token.expose_secret(), self.vault.clock.now());
        let claims = cluster_token::verify(token, &keys, issuer, &settings.audience, now).map_err(refused)?;
        let namespace_uid = match self.namespace_at_issue(cluster.id, &claims).await? {
            Some(uid) => uid,
            None => return Err(self.want_namespace(&cluster.prefix, &claims.namespace).await?),
        };
        Ok(Workload {
            cluster,
            namespace_uid,
            claims,
        })
    }

    /// The namespace that bore the name when a token was issued: the one that the controller saw, if the token was issued after that was
    /// made and before it was last seen. `None` if nobody looked since.
    async fn namespace_at_issue(&self, cluster: Uuid, claims: &ServiceAccountClaims) -> Result<Option<String>> {
        let seen = cluster_namespaces::find(&self.vault.pool, cluster, &claims.namespace)
            .await
            .map_err(store_failed)?;
        let Some(seen) = seen else { return Ok(None) };
        if claims.issued_at <= seen.created_at {
            return Err(Error::new(
                Reason::TokenInvalid,
                "the token is as old as its namespace, or older: it may be of an earlier namespace of this name; use a new token",
            ));
        }
        if claims.issued_at.saturating_add(SEEN_MARGIN_SECONDS) > seen.seen_at {
            return Ok(None);
        }
        Ok(Some(seen.uid))
    }

    /// Lets the cluster's controller look at a namespace; the error that tells the caller to come again.
    async fn want_namespace(&self, prefix: &str, namespace: &str) -> Result<Error> {
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        changes::insert(&mut tx, ChangeKind::Namespace, &format!("{prefix}/{namespace}"))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.feed.announce();
        Ok(Error::new(
            Reason::Busy,
            "the cluster's controller has not looked at the namespace since this token was issued, and looks now; try again in two seconds",
        ))
    }

    async fn begin_workload(&self, workload: &Workload, info: &RequestInfo) -> Result<AccessToken> {
        let now = self.vault.clock.now();
        let (prefix, claims) = (&workload.cluster.prefix, &workload.claims);
        let session = random::uuid_v7(now);
        let ctx = OpContext {
            actor: actor(
                prefix,
                &claims.namespace,
                &workload.namespace_uid,
                &claims.service_account.name,
                &claims.service_account.uid,
            ),
            door: Door::Rest,
            now,
            request_id: info.request_id,
            origin: origin_of(info),
            credential: Credential::Own,
        };
        let path = format!("{prefix}/{}", claims.namespace);
        let uid = workload.namespace_uid.as_str();
        let bound = self.vault.bind_root(&ctx, &path, uid).await?;
        if *bound != *uid {
            return self.refused_orphan(&ctx, &path, &bound, uid).await;
        }
        let rest = claims.expires_at.saturating_sub(now.as_second()).max(1);
        let ttl = self.vault.workloads.settings.session_ttl;
        let ttl = ttl.min(Duration::from_secs(u64::try_from(rest).unwrap_or(1)));
        let token = self.vault.tokens.issue_for(session, session, now, ttl)?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        // Held, so that the root is not handed to another namespace in between: that ends the sessions that there are.
        if !roots::hold(&mut tx, &path, uid).await.map_err(store_failed)? {
            return Err(Error::new(
                Reason::Busy,
                "the namespace's root has just changed hands; try again shortly",
            ));
        }
        let row = WorkloadRow {
            cluster_id: workload.cluster.id,
            cluster: prefix.clone(),
            namespace: claims.namespace.clone(),
            namespace_uid: uid.to_owned(),
            service_account: claims.service_account.name.clone(),
            service_account_uid: claims.service_account.uid.clone(),
            pod: claims.pod.as_ref().map(|pod| pod.name.clone()),
            pod_uid: claims.pod.as_ref().map(|pod| pod.uid.clone()),
        };
        let client = info.client.map(|address| address.to_string());
        let expires_at = sessions::insert_workload(&mut tx, session, &row, client.as_deref(), ttl.as_secs_f64())
            .await
            .map_err(store_failed)?;
        let mut entry = ctx.entry(Action::WorkloadLogin, &path);
        entry.origin_uid = row.pod_uid;
        audit::insert(&mut tx, &entry).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.metrics.logins.with_label_values(&["ok"]).inc();
        Ok(AccessToken { token, expires_at })
    }

    /// The actor of a workload's session.
    pub(super) async fn load_workload(&self, session: Uuid) -> Result<Option<Actor>> {
        let row = sessions::find_workload(&self.vault.pool, session)
            .await
            .map_err(store_failed)?;
        Ok(row.map(|row| {
            actor(
                &row.cluster,
                &row.namespace,
                &row.namespace_uid,
                &row.service_account,
                &row.service_account_uid,
            )
        }))
    }

    async fn refused_orphan(&self, ctx: &OpContext, path: &str, bound: &str, uid: &str) -> Result<AccessToken> {
        self.vault.metrics.logins.with_label_values(&["failed"]).inc();
        let entry = ctx
            .entry(Action::WorkloadLogin, path)
            .ended(Outcome::Deny, Reason::RootOrphaned.as_str());
        self.vault.audit.commit(entry, Confirm::default()).await?;
        Err(orphaned(path, bound, uid))
    }

    async fn refused_workload(&self, info: &RequestInfo, error: Error) -> Result<AccessToken> {
        self.vault.metrics.logins.with_label_values(&["failed"]).inc();
        if !self.vault.has_own_entry(info.client, "unknown") {
            return Err(error);
        }
        let ctx = OpContext {
            actor: Actor::System,
            door: Door::Rest,
            now: self.vault.clock.now(),
            request_id: info.request_id,
            origin: origin_of(info),
            credential: Credential::Own,
        };
        // Nothing of the token is true, so nothing of it is written down.
        let mut entry = ctx
            .entry(Action::WorkloadLogin, "unknown")
            .ended(Outcome::Deny, error.reason().as_str());
        entry.actor_kind = "anonymous";
        entry.actor_id = String::new();
        "unknown".clone_into(&mut entry.actor_name);
        self.vault.audit.commit(entry, Confirm::default()).await?;
        Err(error)
    }
}

impl Workloads {
    async fn review(&self, reviewer: &dyn TokenReviewer, token: &SecretString, namespace: &str) -> Result<Reviewed> {
        let busy = || Error::new(Reason::Busy, "too many workloads log in at once; try again shortly");
        let _place = self.reviews.try_acquire().map_err(|_| busy())?;
        let unavailable = |cause: String| {
            Error::new(
                Reason::ReviewUnavailable,
                "the cluster's API server cannot be asked about the token; try again shortly",
            )
            .because(cause)
        };
        match tokio::time::timeout(REVIEW_TIME, reviewer.review(token, &self.settings.audience, namespace)).await {
            Ok(Ok(reviewed)) => Ok(reviewed),
            Ok(Err(ReviewError::Refused)) => Err(Error::new(
                Reason::TokenInvalid,
                "the cluster's API server does not accept the token: its pod or service account may be gone, or it is of another cluster",
            )),
            Ok(Err(ReviewError::Unavailable(cause))) => Err(unavailable(cause)),
            Err(_) => Err(unavailable(format!("no answer within {REVIEW_TIME:?}"))),
        }
    }
}

/// What the API server said must be what the token says, of the cluster that is registered.
fn confirmed(cluster: LoginCluster, claims: ServiceAccountClaims, reviewed: Reviewed) -> Result<Workload> {
    if reviewed.kube_system_uid != cluster.kube_system_uid {
        let message = "the API server that this vault asks is not of the cluster that is registered under this prefix";
        return Err(Error::new(Reason::ClusterMismatch, message));
    }
    let same = reviewed.namespace == claims.namespace
        && reviewed.service_account == claims.service_account.name
        && reviewed.service_account_uid == claims.service_account.uid;
    if !same {
        return Err(refused(ClusterTokenError::Malformed));
    }
    Ok(Workload {
        cluster,
        namespace_uid: reviewed.namespace_uid,
        claims,
    })
}

fn actor(cluster: &str, namespace: &str, namespace_uid: &str, name: &str, uid: &str) -> Actor {
    Actor::ServiceAccount {
        cluster: cluster.to_owned(),
        namespace: NamespaceName {
            name: namespace.to_owned(),
            uid: namespace_uid.to_owned(),
            // Subjects of service accounts name them; labels are for namespaces.
            labels: BTreeMap::new(),
        },
        name: name.to_owned(),
        uid: uid.to_owned(),
    }
}

fn refused(error: ClusterTokenError) -> Error {
    let reason = match error {
        ClusterTokenError::Expired => Reason::TokenExpired,
        _ => Reason::TokenInvalid,
    };
    Error::new(reason, error.to_string())
}

fn unknown_cluster() -> Error {
    Error::new(
        Reason::InvalidRequest,
        "no cluster is registered under this prefix; 'controller.cluster_prefix' of its controller has it",
    )
}
