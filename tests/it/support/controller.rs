//! A controller on a vault and namespaces of its own.

use std::sync::Arc;
use std::time::Duration;

use aether_vault::domain::record::Expect;
use aether_vault::k8s::controller::{ControllerError, kube_system_uid, run};
use aether_vault::k8s::metrics::ControllerMetrics;
use aether_vault::k8s::settings::ControllerSettings;
use aether_vault::service::LocalDoor;
use aether_vault::service::context::OpContext;
use kube::Client;
use prometheus::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cluster::TestCluster;
use super::database::TestDatabase;
use super::vault::{TestVault, path, record};

/// Everything that a test of the controller needs.
pub struct Stage {
    pub cluster: TestCluster,
    pub database: TestDatabase,
    pub process: TestVault,
    pub admin: OpContext,
    /// The application's namespace.
    pub shop: String,
    /// The operator's namespace.
    pub operator: String,
    controller: Option<Controller>,
}

/// A controller that runs.
pub struct Controller {
    pub registry: Registry,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ControllerError>>,
}

impl Stage {
    /// A cluster, a vault, two namespaces, and a controller that looks after them.
    pub async fn set() -> Self {
        let mut stage = Self::without_controller().await;
        stage.start().await;
        stage
    }

    /// The same with no controller yet.
    pub async fn without_controller() -> Self {
        Self::on(TestCluster::connect().await).await
    }

    /// The same on a given cluster.
    pub async fn on(cluster: TestCluster) -> Self {
        let database = TestDatabase::new().await;
        let process = TestVault::open(&database).await;
        let admin = process.admin().await;
        let shop = cluster.labelled_namespace("shop", &[("team", "shop")]).await;
        let operator = cluster.namespace("operator").await;
        Self {
            cluster,
            database,
            process,
            admin,
            shop,
            operator,
            controller: None,
        }
    }

    /// The settings of the controller.
    pub fn settings(&self) -> ControllerSettings {
        ControllerSettings {
            operator_namespace: self.operator.clone(),
            platform: true,
            watch_namespaces: vec![self.shop.clone()],
            lease_duration: Duration::from_secs(3),
            identity: "it".to_owned(),
            ..Default::default()
        }
    }

    /// Starts the controller; returns at once.
    pub async fn start(&mut self) {
        let controller = self.controller_with(self.cluster.client.clone(), self.settings()).await;
        self.controller = Some(controller);
    }

    /// Starts the controller with other rights and settings.
    pub async fn start_with(&mut self, client: Client, settings: ControllerSettings) {
        self.controller = Some(self.controller_with(client, settings).await);
    }

    /// Ends the controller as kill -9 would.
    pub fn kill(&mut self) {
        if let Some(controller) = self.controller.take() {
            controller.task.abort();
        }
    }

    /// Starts another controller.
    pub async fn controller_with(&self, client: Client, settings: ControllerSettings) -> Controller {
        self.controller_of(&self.cluster, client, settings).await
    }

    /// Starts a controller of another cluster on the same vault.
    pub async fn controller_of(
        &self,
        cluster: &TestCluster,
        client: Client,
        settings: ControllerSettings,
    ) -> Controller {
        // Policies of the operator's namespace reach everything.
        let uid = kube_system_uid(&cluster.client).await.unwrap();
        let vault = Arc::clone(&self.process.vault);
        LocalDoor::register(Arc::clone(&vault), &settings.cluster_prefix, &uid, &settings.class)
            .await
            .unwrap();
        if settings.platform {
            self.database.execute("UPDATE clusters SET platform = true").await;
        }
        let door = LocalDoor::register(vault, &settings.cluster_prefix, &uid, &settings.class)
            .await
            .unwrap();
        let registry = Registry::new();
        let metrics = ControllerMetrics::register(&registry).unwrap();
        let stop = CancellationToken::new();
        let clock = Arc::clone(&self.process.clock);
        let task = tokio::spawn(run(client, Arc::new(door), settings, metrics, clock, stop.clone()));
        Controller { registry, stop, task }
    }

    /// Stops the controller as a signal would.
    pub async fn stop(&mut self) {
        if let Some(controller) = self.controller.take() {
            controller.stop().await;
        }
    }

    /// The controller that runs.
    pub fn controller(&self) -> &Controller {
        self.controller.as_ref().expect("the controller runs")
    }

    /// Writes a record as the administrator.
    pub async fn write(&self, at: &str, entries: &[(&str, &str)]) {
        let records = self.process.vault.records();
        records
            .write(&self.admin, &path(at), &record(entries), Expect::Any)
            .await
            .unwrap();
    }

    /// The path of a record below the application's namespace.
    pub fn own(&self, name: &str) -> String {
        format!("k8s/{}/{name}", self.shop)
    }
}

impl Controller {
    /// Stops it as a signal would.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// The sum of a metric over the labels that match.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map_or(&[][..], |family| family.get_metric());
        let matching = metrics.iter().filter(|metric| {
            labels.iter().all(|(key, value)| {
                metric
                    .get_label()
                    .iter()
                    .any(|label| label.name() == *key && label.value() == *value)
            })
        });
        matching
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}
