//! Records that a resource feeds: rotation, certificates, sealed values, imports, and who may write them.

mod imports;
mod rotation;
mod sealing;

use std::collections::BTreeMap;
use std::time::Duration;

use aether_vault::domain::actor::NamespaceName;
use aether_vault::domain::record::{Expect, KeyName, RecordData};
use aether_vault::domain::source::{Cadence, GenerateSource, Rotation};
use aether_vault::domain::span::Span;
use aether_vault::service::LocalDoor;
use aether_vault::service::context::{OpContext, ResourceOrigin};
use aether_vault::service::door::{Asker, Feed, FeedContent};
use aether_vault::service::error::Reason;

use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record};

const HOUR: Duration = Duration::from_secs(3600);

/// A vault, its door, and the namespace that asks.
struct Scene {
    database: TestDatabase,
    process: TestVault,
    admin: OpContext,
    door: LocalDoor,
    shop: Asker,
}

impl Scene {
    async fn set() -> Self {
        let database = TestDatabase::new().await;
        let process = TestVault::open(&database).await;
        let admin = process.admin().await;
        let door = LocalDoor::register(process.vault.clone(), "k8s", "cluster-1", "")
            .await
            .unwrap();
        Self {
            database,
            process,
            admin,
            door,
            shop: asker("shop"),
        }
    }

    async fn data(&self, name: &str) -> RecordData {
        let at = path(&format!("k8s/shop/{name}"));
        self.process
            .vault
            .records()
            .read(&self.admin, &at, None)
            .await
            .unwrap()
            .data
    }

    async fn write(&self, name: &str, entries: &[(&str, &str)]) -> Result<(), Reason> {
        let written = self
            .process
            .vault
            .records()
            .write(&self.admin, &path(name), &record(entries), Expect::Any)
            .await;
        written.map(drop).map_err(|error| error.reason())
    }

    async fn versions(&self) -> i64 {
        self.database.count("SELECT count(*) FROM secret_versions").await
    }
}

fn asker(namespace: &str) -> Asker {
    Asker {
        namespace: NamespaceName {
            name: namespace.to_owned(),
            uid: format!("uid-{namespace}"),
            labels: BTreeMap::new(),
        },
        resource: ResourceOrigin {
            uid: "vs-1".to_owned(),
            generation: 1,
        },
    }
}

fn feed(name: &str, content: FeedContent) -> Feed {
    Feed {
        path: path(&format!("k8s/shop/{name}")),
        name: name.to_owned(),
        content,
        rotate_now: None,
        absent: false,
    }
}

fn generators(keys: &str, rotation: Option<Rotation>) -> FeedContent {
    let keys: BTreeMap<KeyName, _> = serde_json::from_str(keys).unwrap();
    let source = GenerateSource { keys, rotation };
    source.validate().unwrap();
    FeedContent::Generate(source)
}

fn every(every: &str, overlap: Option<&str>) -> Rotation {
    Rotation {
        cadence: Cadence::every(every).unwrap(),
        keys: None,
        keep_previous: true,
        overlap: overlap.map(|overlap| Span::parse(overlap).unwrap()),
    }
}

const PASSWORD: &str = r#"{"password": {"password": {}}}"#;
