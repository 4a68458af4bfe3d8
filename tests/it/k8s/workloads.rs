//! Workloads log in with tokens of a real API server: by its review, and with the keys that it publishes.

use std::sync::Arc;
use std::time::Duration;

use aether_vault::domain::path::PathPrefix;
use aether_vault::domain::record::Expect;
use aether_vault::k8s::controller::kube_system_uid;
use aether_vault::k8s::identity::{KubeTokenReviewer, cluster_issuer, namespaces};
use aether_vault::service::auth::{RequestInfo, WorkloadLogin};
use aether_vault::service::context::{Clock as _, OpContext};
use aether_vault::service::door::{ClusterIssuer, PolicyResource, VaultDoor as _};
use aether_vault::service::error::Reason;
use aether_vault::service::{LocalDoor, Wanted};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kube::core::ObjectMeta;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::support::cluster::{TestCluster, eventually};
use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record};

const AUDIENCE: &str = "aether-vault";

struct Stage {
    cluster: TestCluster,
    database: TestDatabase,
    /// Verifies with published keys.
    keys: TestVault,
    /// Asks the API server.
    review: TestVault,
    admin: OpContext,
    door: LocalDoor,
}

impl Stage {
    async fn set() -> Self {
        let cluster = TestCluster::connect().await;
        let database = TestDatabase::new().await;
        let keys = TestVault::open(&database).await;
        let admin = keys.admin().await;
        let uid = kube_system_uid(&cluster.client).await.unwrap();
        let door = LocalDoor::register(Arc::clone(&keys.vault), "k8s", &uid, "")
            .await
            .unwrap();
        let issuer = cluster_issuer(&cluster.client).await.unwrap();
        assert!(door.publish_issuer(&issuer).await.unwrap());
        assert!(
            !door.publish_issuer(&issuer).await.unwrap(),
            "the same again changes nothing"
        );
        let reviewer = Arc::new(KubeTokenReviewer::new(cluster.client.clone()));
        let review = keys.reviewing(&database, reviewer).await;
        Self {
            cluster,
            database,
            keys,
            review,
            admin,
            door,
        }
    }

    fn accounts(&self, namespace: &str) -> Api<ServiceAccount> {
        Api::namespaced(self.cluster.client.clone(), namespace)
    }

    async fn make_account(&self, namespace: &str, name: &str) {
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        let api = self.accounts(namespace);
        api.create(&PostParams::default(), &account).await.unwrap();
    }

    async fn token(&self, namespace: &str, name: &str, audience: &str) -> SecretString {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![audience.to_owned()],
                expiration_seconds: Some(600),
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let api = self.accounts(namespace);
        let made = api
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .unwrap();
        made.status.unwrap().token.into()
    }

    async fn log_in(&self, vault: &TestVault, token: &SecretString) -> Result<OpContext, (Reason, String)> {
        let request = WorkloadLogin {
            cluster: None,
            token: token.clone(),
        };
        let auth = vault.vault.auth();
        let made = auth.login_workload(request, RequestInfo::default()).await;
        let made = made.map_err(|error| (error.reason(), error.message().to_owned()))?;
        let token = made.token.expose_secret();
        Ok(auth.authenticate(token, RequestInfo::default()).await.unwrap())
    }

    /// Looks at a namespace as the controller does.
    async fn look(&self, namespace: &str) {
        let asked_at = self.keys.clock.now();
        let seen = namespaces(&self.cluster.client, &[namespace.to_owned()]).await.unwrap();
        self.door.note_namespaces(&seen, asked_at).await.unwrap();
    }

    /// Logs in with published keys, as soon as the controller has looked.
    async fn log_in_by_keys(&self, namespace: &str, token: &SecretString) -> Result<OpContext, (Reason, String)> {
        eventually("the controller has looked at the namespace", || async {
            self.look(namespace).await;
            match self.log_in(&self.keys, token).await {
                Err((Reason::Busy, message)) => Err(message),
                done => Ok(done),
            }
        })
        .await
    }

    async fn allow(&self, namespace: &str, account: &str) {
        let document = json!({
            "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": account}],
            "rules": [{"effect": "allow", "paths": [format!("k8s/{namespace}/**")], "capabilities": ["read"]}]
        });
        let policy = PolicyResource {
            uid: format!("policy of {namespace}"),
            generation: 1,
            namespace: namespace.to_owned(),
            name: "web".to_owned(),
            crd_uid: String::new(),
            scope: PathPrefix::parse(&format!("k8s/{namespace}")).unwrap(),
            document: serde_json::from_value(document).unwrap(),
        };
        self.door.apply_policy(&policy).await.unwrap();
    }

    async fn write(&self, place: &str) {
        let records = self.keys.vault.records();
        records
            .write(&self.admin, &path(place), &record(&[("k", "v")]), Expect::Any)
            .await
            .unwrap();
    }

    async fn read(&self, ctx: &OpContext, place: &str) -> Result<(), Reason> {
        let records = self.review.vault.records();
        let read = records.read(ctx, &path(place), None).await;
        read.map(drop).map_err(|error| error.reason())
    }
}

/// Times in tokens and of namespaces are whole seconds: a token of the second in which its namespace was made could be of an earlier one.
async fn next_second() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

#[tokio::test]
async fn a_workload_reads_what_a_policy_grants_it_and_nothing_else() {
    let stage = Stage::set().await;
    let (shop, bank) = (
        stage.cluster.namespace("shop").await,
        stage.cluster.namespace("bank").await,
    );
    stage.make_account(&shop, "web").await;
    stage.make_account(&shop, "other").await;
    next_second().await;
    let (own, foreign) = (format!("k8s/{shop}/db"), format!("k8s/{bank}/db"));
    stage.write(&own).await;
    stage.write(&foreign).await;
    let token = stage.token(&shop, "web", AUDIENCE).await;
    let reviewed = stage.log_in(&stage.review, &token).await.unwrap();
    let verified = stage.log_in_by_keys(&shop, &token).await.unwrap();
    assert_eq!(reviewed.actor(), verified.actor(), "either way it is the same workload");
    for ctx in [&reviewed, &verified] {
        assert_eq!(
            stage.read(ctx, &own).await,
            Err(Reason::PolicyDenied),
            "no policy, no right"
        );
    }
    stage.allow(&shop, "web").await;
    for ctx in [&reviewed, &verified] {
        assert_eq!(stage.read(ctx, &own).await, Ok(()));
        assert_eq!(stage.read(ctx, &foreign).await, Err(Reason::PolicyDenied));
        let list = stage
            .keys
            .vault
            .auth()
            .api_keys(ctx, aether_vault::service::auth::Owner::Caller)
            .await;
        assert_eq!(
            list.unwrap_err().reason(),
            Reason::SessionRequired,
            "a workload is no person"
        );
    }
    let other = stage.token(&shop, "other", AUDIENCE).await;
    let other = stage.log_in(&stage.review, &other).await.unwrap();
    assert_eq!(
        stage.read(&other, &own).await,
        Err(Reason::PolicyDenied),
        "the policy names another account"
    );
    // The session is of fifteen minutes, the token of ten: its end is the session's.
    let beyond =
        "SELECT count(*) FROM sessions WHERE method = 'workload' AND expires_at > now() + interval '601 seconds'";
    assert_eq!(stage.database.count(beyond).await, 0);
    stage
        .database
        .execute("UPDATE sessions SET revoked_at = now() WHERE method = 'workload'")
        .await;
    for ctx in [&reviewed, &verified] {
        assert_eq!(stage.read(ctx, &own).await, Err(Reason::SessionEnded));
    }
}

#[tokio::test]
async fn a_login_that_has_to_wait_lets_the_controller_look_and_a_bad_token_does_not() {
    const ASKED: &str = "SELECT count(*) FROM changes WHERE kind = 'namespace'";
    let stage = Stage::set().await;
    let shop = stage.cluster.namespace("shop").await;
    stage.make_account(&shop, "web").await;
    let mut wanted = stage.door.wanted_namespaces();
    let foreign = stage.token(&shop, "web", "https://kubernetes.default.svc").await;
    assert_eq!(
        stage.log_in(&stage.keys, &foreign).await.unwrap_err().0,
        Reason::TokenInvalid
    );
    assert_eq!(stage.database.count(ASKED).await, 0, "strangers trouble no API server");
    let token = stage.token(&shop, "web", AUDIENCE).await;
    assert_eq!(stage.log_in(&stage.keys, &token).await.unwrap_err().0, Reason::Busy);
    assert_eq!(stage.database.count(ASKED).await, 1);
    let next = tokio::time::timeout(Duration::from_secs(60), wanted.next())
        .await
        .unwrap();
    assert_eq!(next.unwrap(), Wanted::Named([shop].into()));
}

#[tokio::test]
async fn r10_tokens_that_are_not_for_us_or_not_good_any_more_are_refused() {
    let stage = Stage::set().await;
    let shop = stage.cluster.namespace("shop").await;
    stage.make_account(&shop, "web").await;
    next_second().await;
    let good = stage.token(&shop, "web", AUDIENCE).await;
    let foreign = stage.token(&shop, "web", "https://kubernetes.default.svc").await;
    let text = good.expose_secret();
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let forged: SecretString = format!("{signed}.{first}{}", &signature[1..]).into();
    for vault in [&stage.review, &stage.keys] {
        for token in [&foreign, &forged] {
            let (reason, message) = stage.log_in(vault, token).await.unwrap_err();
            assert_eq!(reason, Reason::TokenInvalid, "{message}");
        }
        vault.clock.advance(Duration::from_secs(700));
        assert_eq!(stage.log_in(vault, &good).await.unwrap_err().0, Reason::TokenExpired);
        vault.clock.rewind(Duration::from_secs(700));
    }
    assert!(stage.log_in_by_keys(&shop, &good).await.is_ok());

    // Of another issuer, or signed with other keys than the cluster's.
    let real = cluster_issuer(&stage.cluster.client).await.unwrap();
    let other = ClusterIssuer {
        issuer: "https://elsewhere".to_owned(),
        jwks: real.jwks.clone(),
    };
    stage.door.publish_issuer(&other).await.unwrap();
    assert_eq!(
        stage.log_in(&stage.keys, &good).await.unwrap_err().0,
        Reason::TokenInvalid
    );
    let mut renamed = real.clone();
    renamed.jwks["keys"][0]["kid"] = json!("another");
    stage.door.publish_issuer(&renamed).await.unwrap();
    assert_eq!(
        stage.log_in(&stage.keys, &good).await.unwrap_err().0,
        Reason::TokenInvalid
    );

    // The API server knows that an account is gone; the next one of its name is another.
    let before = stage.log_in(&stage.review, &good).await.unwrap();
    stage
        .accounts(&shop)
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the token of a deleted account is refused", || async {
        match stage.log_in(&stage.review, &good).await {
            Err((Reason::TokenInvalid, _)) => Ok(()),
            other => Err(format!("{:?}", other.map(drop))),
        }
    })
    .await;
    stage.make_account(&shop, "web").await;
    let again = stage.token(&shop, "web", AUDIENCE).await;
    let after = eventually("the new account logs in", || async {
        stage
            .log_in(&stage.review, &again)
            .await
            .map_err(|(_, message)| message)
    })
    .await;
    assert_ne!(before.actor(), after.actor());
    let accounts = "SELECT count(DISTINCT actor_id) FROM audit_entries WHERE action = 'auth.login_workload' AND decision = 'allow'";
    assert_eq!(
        stage.database.count(accounts).await,
        2,
        "the audit log tells the two apart"
    );
}

#[tokio::test]
async fn r40_a_workload_of_a_namespace_made_again_reaches_nothing_until_the_root_is_adopted() {
    let stage = Stage::set().await;
    let shop = stage.cluster.namespace("shop").await;
    stage.make_account(&shop, "web").await;
    next_second().await;
    let place = format!("k8s/{shop}/db");
    stage.write(&place).await;
    stage.allow(&shop, "web").await;
    let token = stage.token(&shop, "web", AUDIENCE).await;
    let earlier = stage.log_in_by_keys(&shop, &token).await.unwrap();
    assert_eq!(stage.read(&earlier, &place).await, Ok(()));

    stage.cluster.remake_namespace(&shop).await;
    // Verified with keys alone, the earlier token is still good: its namespace is not there any more.
    stage.look(&shop).await;
    let (reason, message) = stage.log_in(&stage.keys, &token).await.unwrap_err();
    assert_eq!(reason, Reason::TokenInvalid, "{message}");
    assert_eq!(
        stage.log_in(&stage.review, &token).await.unwrap_err().0,
        Reason::TokenInvalid
    );

    eventually("the account can be made", || async {
        let api = stage.accounts(&shop);
        let account = serde_json::from_value(json!({"metadata": {"name": "web"}})).unwrap();
        api.create(&PostParams::default(), &account)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    })
    .await;
    next_second().await;
    let token = stage.token(&shop, "web", AUDIENCE).await;
    // Whoever has not looked since does not take it for the earlier one's.
    let (reason, message) = stage.log_in(&stage.keys, &token).await.unwrap_err();
    assert_eq!(reason, Reason::Busy, "{message}");
    let (reason, message) = stage.log_in_by_keys(&shop, &token).await.unwrap_err();
    assert_eq!(reason, Reason::RootOrphaned);
    assert_eq!(
        stage.log_in(&stage.review, &token).await.unwrap_err(),
        (reason, message.clone())
    );

    let root = format!("k8s/{shop}");
    let uid = message
        .split("this one has ")
        .nth(1)
        .unwrap()
        .split(')')
        .next()
        .unwrap();
    stage.keys.vault.adopt_root(&root, uid).await.unwrap();
    let later = stage.log_in(&stage.review, &token).await.unwrap();
    assert_eq!(stage.read(&later, &place).await, Ok(()));
    assert_eq!(
        stage.read(&earlier, &place).await,
        Err(Reason::SessionEnded),
        "the root has another namespace now"
    );
}
