//! What the chart's jobs run: Secrets that an installation rests on are made once, by the real program against a real API server.

use std::path::Path;
use std::process::Output;

use aether_vault::store::migrate;
use aether_vault::store::pool::{connect_lazy, user_of};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde_json::json;

use crate::support::cluster::{TestCluster, kubeconfig, value};
use crate::support::database::{TestDatabase, options};
use crate::support::process::Installation;

/// A namespace of a real cluster, and the program with settings of its own.
struct Stage {
    cluster: TestCluster,
    namespace: String,
    installation: Installation,
    _database: TestDatabase,
}

impl Stage {
    async fn new() -> Self {
        let cluster = TestCluster::connect().await;
        let namespace = cluster.namespace("setup").await;
        let database = TestDatabase::new().await;
        let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
        installation.use_cluster(Path::new(&kubeconfig()));
        Self {
            cluster,
            namespace,
            installation,
            _database: database,
        }
    }

    fn run(&self, arguments: &str) -> Output {
        let arguments = arguments.replace("NS/", &format!("{}/", self.namespace));
        let arguments: Vec<_> = arguments.split(' ').collect();
        self.installation.run(&arguments)
    }

    /// Runs a command that has to succeed; answers what it said, standard output first.
    fn done(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{arguments}: {said}");
        said
    }

    async fn secret(&self, name: &str) -> Secret {
        self.cluster.secrets(&self.namespace).get(name).await.unwrap()
    }
}

#[tokio::test]
async fn a_root_key_is_made_once_and_never_overwritten() {
    let stage = Stage::new().await;
    const INIT: &str = "keys init --kubernetes-secret NS/root-key";
    let said = stage.done(INIT);
    assert!(said.contains("BACK UP THE ROOT KEY"), "{said}");
    let made = stage.secret("root-key").await;
    let key = value(&made, "root.key");
    assert!(
        !said.contains(key.lines().last().unwrap()),
        "the key itself is not said"
    );
    let annotations = made.metadata.annotations.clone().unwrap();
    assert_eq!(annotations["helm.sh/resource-policy"], "keep");

    // What the Secret holds is a root key file with the id that was said.
    let file = stage.installation.folder().join("copy.key");
    std::fs::write(&file, &key).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let listed = stage.done(&format!("keys list --file {}", file.display()));
    assert_eq!(listed.trim(), said.lines().next().unwrap());

    let said = stage.done(INIT);
    assert!(said.contains("stays as it is"), "{said}");
    let again = stage.secret("root-key").await;
    assert_eq!(made.metadata.resource_version, again.metadata.resource_version);
}

#[tokio::test]
async fn a_root_key_file_that_is_there_stays() {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    let file = installation.folder().join("own.key");
    let init = |more: &[&str]| {
        let file = file.display().to_string();
        let output = installation.run(&[&["keys", "init", "--file", &file], more].concat());
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (made, id) = init(&["--if-absent"]);
    assert!(made);
    assert_eq!(init(&["--if-absent"]), (true, id));
    assert!(!init(&[]).0, "without the flag it is an error");
}

#[tokio::test]
async fn somebody_elses_secret_is_left_alone() {
    let stage = Stage::new().await;
    let foreign: Secret = serde_json::from_value(json!({
        "metadata": { "name": "root-key" },
        "stringData": { "root.key": "mine" },
    }))
    .unwrap();
    let api = stage.cluster.secrets(&stage.namespace);
    api.create(&Default::default(), &foreign).await.unwrap();
    stage.done("keys init --kubernetes-secret NS/root-key");
    stage.done("setup database-role --kubernetes-secret NS/root-key --user u --host h --database d");
    assert_eq!(value(&stage.secret("root-key").await, "root.key"), "mine");
}

#[tokio::test]
async fn a_database_role_gets_one_password_and_a_url_with_it() {
    let stage = Stage::new().await;
    const ROLE: &str = "setup database-role --kubernetes-secret NS/db --user aether_runtime --host db.vault.svc --database aether_vault \
                        --ssl-root-cert /run/ca.crt";
    let said = stage.done(ROLE);
    let made = stage.secret("db").await;
    let password = value(&made, "password");
    assert_eq!(password.len(), 48);
    assert!(!said.contains(&password));
    assert_eq!(value(&made, "username"), "aether_runtime");
    assert_eq!(
        value(&made, "url"),
        format!(
            "postgres://aether_runtime:{password}@db.vault.svc:5432/aether_vault?sslmode=verify-full&sslrootcert=%2Frun%2Fca.crt"
        )
    );
    stage.done(ROLE);
    assert_eq!(value(&stage.secret("db").await, "password"), password);
}

/// Whether a client that trusts this authority accepts the certificate for a name.
fn accepts(secret: &Secret, name: &str) -> bool {
    let der = |key: &str| CertificateDer::from_pem_slice(value(secret, key).as_bytes()).unwrap();
    PrivateKeyDer::from_pem_slice(value(secret, "tls.key").as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(der("ca.crt")).unwrap();
    let verifier = WebPkiServerVerifier::builder(roots.into()).build().unwrap();
    verifier
        .verify_server_cert(
            &der("tls.crt"),
            &[],
            &ServerName::try_from(name.to_owned()).unwrap(),
            &[],
            UnixTime::now(),
        )
        .is_ok()
}

#[tokio::test]
async fn a_certificate_is_renewed_when_due_and_its_authority_stays() {
    let stage = Stage::new().await;
    const ISSUE: &str = "setup certificate --kubernetes-secret NS/tls --authority-secret NS/authority --dns-name vault --dns-name vault.svc";
    stage.done(ISSUE);
    let made = stage.secret("tls").await;
    assert!(accepts(&made, "vault") && accepts(&made, "vault.svc"));
    assert!(!accepts(&made, "bank"));
    let said = stage.done(ISSUE);
    assert!(said.contains("is there"), "{said}");
    assert_eq!(
        made.metadata.resource_version,
        stage.secret("tls").await.metadata.resource_version
    );

    let said = stage.done(&format!("{ISSUE} --dns-name vault.example"));
    assert!(said.contains("renewed"), "{said}");
    let wider = stage.secret("tls").await;
    assert!(accepts(&wider, "vault.example"));
    assert_eq!(value(&made, "ca.crt"), value(&wider, "ca.crt"));

    // Its end draws near.
    let soon = json!({ "metadata": { "annotations": { "aethervault.io/certificate-until": "2020-01-01T00:00:00Z" } } });
    let api = stage.cluster.secrets(&stage.namespace);
    api.patch("tls", &PatchParams::default(), &Patch::Merge(soon))
        .await
        .unwrap();
    stage.done(&format!("{ISSUE} --dns-name vault.example"));
    let renewed = stage.secret("tls").await;
    assert_ne!(value(&wider, "tls.crt"), value(&renewed, "tls.crt"));
    assert!(accepts(&renewed, "vault.example"));
    assert_eq!(value(&made, "ca.crt"), value(&renewed, "ca.crt"));
}

#[tokio::test]
async fn the_first_administrator_is_made_once_with_the_password_of_the_secret() {
    let stage = Stage::new().await;
    const ADMINISTRATOR: &str = "setup administrator --kubernetes-secret NS/admin";
    stage.done(ADMINISTRATOR);
    let password = value(&stage.secret("admin").await, "password");
    let file = stage.installation.folder().join("admin-credential");
    std::fs::write(&file, &password).unwrap();
    let api = stage.installation.api().await;
    stage.installation.administrator().await;
    drop(api);

    stage
        .cluster
        .secrets(&stage.namespace)
        .delete("admin", &DeleteParams::default())
        .await
        .unwrap();
    let said = stage.done(ADMINISTRATOR);
    assert!(said.contains("nothing to do"), "{said}");
    let gone = stage.cluster.secrets(&stage.namespace).get_opt("admin").await.unwrap();
    assert!(gone.is_none(), "no password that opens nothing");
}

#[tokio::test]
async fn a_program_waits_for_nobody_when_the_schema_is_newer() {
    let database = TestDatabase::new().await;
    database
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'next', true, '\\x00', 0)",
        )
        .await;
    let installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    let output = installation.run(&["migrate", "--wait", "1s"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("of a newer release"), "{said}");
}

/// A server that starts while the schema is being made must not end: its pod would be started again, later and later.
#[tokio::test]
async fn a_schema_without_rights_is_one_to_wait_for() {
    let database = TestDatabase::empty().await;
    let owner = connect_lazy(&database.owner_dsn, &options(1)).unwrap();
    migrate::run(&owner).await.unwrap();
    let before = migrate::state(&database.runtime).await.unwrap();
    assert_eq!(before.applied, 0);
    assert!(!before.is_usable());
    migrate::grant_runtime(&owner, &user_of(&database.runtime_dsn).unwrap())
        .await
        .unwrap();
    assert!(migrate::state(&database.runtime).await.unwrap().is_usable());
    owner.close().await;
}
