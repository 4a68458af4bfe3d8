//! Publishes the key that values are sealed to as a ConfigMap in the operator's namespace: whoever may read that can seal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use tokio::time::sleep;
use tracing::{info, warn};

use super::context::Context;
use super::write::FIELD_MANAGER;

/// The ConfigMap's name.
pub(super) const NAME: &str = "aether-vault-sealing-key";
/// How often it is compared.
const EVERY: Duration = Duration::from_secs(30);
/// How soon again after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps the ConfigMap as it should be, for as long as it is polled.
pub(super) async fn publish_sealing_key(context: Arc<Context>) {
    let mut told = false;
    let mut known = None;
    loop {
        let wait = match publish(&context, &mut known).await {
            Ok(()) => {
                told = false;
                EVERY
            }
            Err(problem) => {
                if !std::mem::replace(&mut told, true) {
                    warn!(
                        problem,
                        "the sealing key is not published as a ConfigMap; GET /api/v1/sealing-keys has it all the same"
                    );
                }
                RETRY
            }
        };
        sleep(wait).await;
    }
}

/// `known` is what was seen or written last: as long as the key stays, nobody is asked again.
async fn publish(context: &Context, known: &mut Option<String>) -> Result<(), String> {
    let keys = context.door.sealing_keys().await.map_err(|error| error.to_string())?;
    let Some(newest) = keys.into_iter().next() else {
        return Ok(());
    };
    if known.as_ref() == Some(&newest.public_key) {
        return Ok(());
    }
    let data = BTreeMap::from([
        ("cluster".to_owned(), context.door.prefix().to_owned()),
        ("sealing-key".to_owned(), newest.public_key.clone()),
    ]);
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &context.settings.operator_namespace);
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let written = match api.get_opt(NAME).await.map_err(|error| error.to_string())? {
        Some(there) if there.data.as_ref() == Some(&data) => Ok(false),
        Some(mut there) => {
            there.data = Some(data);
            api.replace(NAME, &params, &there).await.map(|_| true)
        }
        None => {
            let fresh = ConfigMap {
                metadata: ObjectMeta {
                    name: Some(NAME.to_owned()),
                    ..ObjectMeta::default()
                },
                data: Some(data),
                ..ConfigMap::default()
            };
            api.create(&params, &fresh).await.map(|_| true)
        }
    };
    if written.map_err(|error| error.to_string())? {
        info!(id = newest.id, "published the sealing key");
    }
    *known = Some(newest.public_key);
    Ok(())
}
