//! Restarts the workloads that use Secrets whose data changed, where that is asked for and allowed.
//!
//! Workloads are not watched: a namespace is looked at when data changed in it, once at the start, and while something waits. What is decided
//! is in `domain::sync::restart`; here it is asked for, carried out, remembered and told.

mod told;
pub(super) mod workload;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::context::{Context, Resource};
use super::vault_policy::window_of;
use super::write::FIELD_MANAGER;
use crate::domain::policy::Window;
use crate::domain::sync::restart::{self, DEFAULT_COOLDOWN, Hold, Plan, Remembered, Use, WorkloadId, parse_cooldown};
use crate::k8s::crd::VaultSecret;
use crate::k8s::crd::vault_secret::{Restart, RestartMode};
use crate::service::door::WorkloadRow;
use workload::{Found, Kind, MARK};

pub(super) use told::{Consumers, Told};

/// How long changes are gathered, so that several Secrets that change together restart a workload once.
const GATHER: Duration = Duration::from_secs(2);
/// The longest that a stream of changes may put a restart off.
const GATHER_AT_MOST: Duration = Duration::from_secs(10);
/// How soon a namespace is looked at again while a workload is not healthy yet.
const POLL: Duration = Duration::from_secs(3);
/// How soon, while the clock or the owner is waited for.
const RECHECK: Duration = Duration::from_secs(30);
/// Pause after the API server or the vault did not answer.
const PAUSE: Duration = Duration::from_secs(5);

/// The namespaces to look at, and what is remembered of their workloads.
pub(super) struct Restarts {
    due: Mutex<HashMap<Arc<str>, Due>>,
    rang: Notify,
    memory: Mutex<HashMap<String, BTreeMap<WorkloadId, WorkloadRow>>>,
}

#[derive(Clone, Copy)]
struct Due {
    at: Instant,
    latest: Instant,
}

/// What a look at a namespace found.
enum Look {
    /// All is current, or waits; when to look again.
    Done(Option<Duration>),
    /// The rights are missing.
    Forbidden,
}

impl Restarts {
    pub(super) fn new(rows: Vec<WorkloadRow>) -> Self {
        let mut memory: HashMap<String, BTreeMap<WorkloadId, WorkloadRow>> = HashMap::new();
        for row in rows {
            let of_namespace = memory.entry(row.namespace.clone()).or_default();
            of_namespace.insert(row.id.clone(), row);
        }
        Self {
            due: Mutex::default(),
            rang: Notify::new(),
            memory: Mutex::new(memory),
        }
    }

    /// Data of a Secret changed, or who is asked to be restarted.
    pub(super) fn changed(&self, namespace: &str) {
        let now = Instant::now();
        let mut due = self.due();
        let entry = due.entry(namespace.into()).or_insert(Due {
            at: now + GATHER,
            latest: now + GATHER_AT_MOST,
        });
        entry.at = (now + GATHER).min(entry.latest);
        drop(due);
        self.rang.notify_one();
    }

    fn again(&self, namespace: &Arc<str>, after: Duration) {
        let at = Instant::now() + after;
        self.due()
            .entry(Arc::clone(namespace))
            .or_insert(Due { at, latest: at });
    }

    /// Looks at one namespace after another until it is dropped.
    pub(super) async fn run(&self, context: &Context) {
        if !context.settings.restart_workloads {
            return std::future::pending().await;
        }
        context.vault_secrets.listed().await;
        let mut all = Instant::now();
        loop {
            if Instant::now() >= all {
                all = Instant::now() + context.settings.full_check_interval;
                self.all_due(context);
            }
            let next = self
                .due()
                .iter()
                .min_by_key(|(_, due)| due.at)
                .map(|(name, due)| (Arc::clone(name), due.at));
            match next {
                Some((namespace, at)) if at <= Instant::now() => {
                    self.due().remove(&namespace);
                    self.visit(context, &namespace).await;
                }
                next => {
                    let until = next.map_or(all, |(_, at)| at.min(all));
                    tokio::select! {
                        () = sleep_until(until) => {}
                        () = self.rang.notified() => {}
                    }
                }
            }
        }
    }

    /// Every namespace that asks for restarts, or did.
    fn all_due(&self, context: &Context) {
        let now = Instant::now();
        let mut due = self.due();
        let asking = context.vault_secrets.all().into_iter();
        let asking =
            asking.filter(|(_, object)| matches!(&**object, Resource::Sound(object) if asks(object).is_some()));
        let namespaces = asking.map(|(key, _)| Arc::clone(&key.namespace));
        let remembered: Vec<Arc<str>> = self.memory().keys().map(|name| name.as_str().into()).collect();
        for namespace in namespaces.chain(remembered) {
            due.entry(namespace).or_insert(Due { at: now, latest: now });
        }
    }

    async fn visit(&self, context: &Context, namespace: &Arc<str>) {
        match self.look(context, namespace).await {
            Ok(Look::Done(None)) => {}
            Ok(Look::Done(Some(after))) => self.again(namespace, after),
            Ok(Look::Forbidden) => {
                told::tell_all(context, namespace, &Told::forbidden());
                self.again(namespace, RECHECK);
            }
            Err(error) => {
                warn!(%namespace, %error, "workloads could not be looked at; trying again");
                self.again(namespace, PAUSE);
            }
        }
    }

    async fn look(&self, context: &Context, namespace: &Arc<str>) -> Result<Look, String> {
        let secrets = secrets(context, namespace);
        let before = self.memory().get(&**namespace).cloned().unwrap_or_default();
        if secrets.is_empty() {
            if !before.is_empty() {
                self.remember(context, namespace, BTreeMap::new()).await?;
            }
            return Ok(Look::Done(None));
        }
        let Some(found) = find(context, namespace, &secrets).await? else {
            return Ok(Look::Forbidden);
        };
        let now = context.clock.now();
        let memory: BTreeMap<WorkloadId, Remembered> = before
            .iter()
            .filter(|(id, row)| found.get(*id).is_some_and(|found| found.uid == row.uid))
            .map(|(id, row)| (id.clone(), row.remembered.clone()))
            .collect();
        let workloads = found
            .iter()
            .map(|(id, found)| (id.clone(), found.workload.clone()))
            .collect();
        let plan = restart::plan(&workloads, &memory, now);
        let restarted = match plan.restart.as_ref().and_then(|id| found.get(id)) {
            Some(chosen) => match restart(context, namespace, chosen).await {
                Ok(true) => Some(&chosen.id),
                // Somebody wrote it at the same time.
                Ok(false) => return Ok(Look::Done(Some(Duration::from_millis(200)))),
                Err(error) if forbidden(&error) => return Ok(Look::Forbidden),
                Err(error) => return Err(error.to_string()),
            },
            None => None,
        };
        let after = found.iter().map(|(id, found)| {
            let row = WorkloadRow {
                namespace: namespace.to_string(),
                id: id.clone(),
                uid: found.uid.clone(),
                remembered: restart::remember(&found.workload, memory.get(id), restarted == Some(id), now),
            };
            (id.clone(), row)
        });
        self.remember(context, namespace, after.collect()).await?;
        told::tell(context, namespace, &found, &plan, &memory, now);
        Ok(Look::Done(next_look(&plan, restarted.is_some())))
    }

    async fn remember(
        &self,
        context: &Context,
        namespace: &str,
        rows: BTreeMap<WorkloadId, WorkloadRow>,
    ) -> Result<(), String> {
        let list: Vec<WorkloadRow> = rows.values().cloned().collect();
        context
            .door
            .remember_workloads(namespace, &list)
            .await
            .map_err(|error| error.to_string())?;
        let mut memory = self.memory();
        if rows.is_empty() {
            memory.remove(namespace);
        } else {
            memory.insert(namespace.to_owned(), rows);
        }
        Ok(())
    }

    fn due(&self) -> MutexGuard<'_, HashMap<Arc<str>, Due>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<WorkloadId, WorkloadRow>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a namespace is looked at again.
fn next_look(plan: &Plan, restarted: bool) -> Option<Duration> {
    let soon = restarted
        || plan.gate.is_some()
        || plan
            .waiting
            .values()
            .any(|hold| matches!(hold, Hold::Rollout | Hold::Turn | Hold::Gate));
    if soon {
        return Some(POLL);
    }
    (!plan.waiting.is_empty()).then_some(RECHECK)
}

/// What a resource asks for, if it asks for restarts.
pub(super) fn asks(object: &VaultSecret) -> Option<&Restart> {
    object
        .spec
        .restart
        .as_ref()
        .filter(|restart| restart.mode == RestartMode::Auto)
}

/// The Secrets of a namespace whose changes restart workloads.
fn secrets(context: &Context, namespace: &str) -> BTreeMap<String, Use> {
    let mut secrets: BTreeMap<String, Use> = BTreeMap::new();
    for (key, object) in context.vault_secrets.all() {
        let Resource::Sound(object) = &*object else { continue };
        if *key.namespace != *namespace {
            continue;
        }
        let Some(restart) = asks(object) else { continue };
        let row = object.metadata.uid.as_deref().and_then(|uid| context.memory.get(uid));
        let Some(row) = row.filter(|row| row.restarts && !row.content_hash.is_empty()) else {
            continue;
        };
        let cooldown = restart.cooldown.as_deref().and_then(parse_cooldown);
        let window = restart.window.as_ref().map(window_of);
        let next = Use {
            hash: hex::encode(&row.content_hash),
            changed_at: row.content_changed_at,
            cooldown: cooldown.unwrap_or(DEFAULT_COOLDOWN),
            // The status of the resource says that a window cannot be read; until then it is as if there were none.
            window: window.and_then(|window| Window::compile(&window).ok()),
        };
        match secrets.get_mut(&row.secret_name) {
            // Several that merge into one Secret.
            Some(other) => {
                other.hash = format!("{}{}", other.hash, next.hash);
                other.changed_at = other.changed_at.max(next.changed_at);
                other.cooldown = other.cooldown.max(next.cooldown);
                other.window = other.window.take().or(next.window);
            }
            None => drop(secrets.insert(row.secret_name.clone(), next)),
        }
    }
    secrets
}

/// The workloads of a namespace that use any of the Secrets; `None` if they may not be listed.
async fn find(
    context: &Context,
    namespace: &str,
    secrets: &BTreeMap<String, Use>,
) -> Result<Option<BTreeMap<WorkloadId, Found>>, String> {
    let mark_of = |uses: &BTreeMap<String, Use>| {
        let mut named = b"av/workload/1".to_vec();
        for part in uses.iter().flat_map(|(name, used)| [name, &used.hash]) {
            named.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            named.extend(part.as_bytes());
        }
        let hash = context.door.hash(&named);
        hex::encode(hash.get(..16).unwrap_or(&hash))
    };
    let mut found = BTreeMap::new();
    for kind in Kind::ALL {
        let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), namespace, &kind.resource());
        match api.list(&ListParams::default()).await {
            Ok(list) => {
                let read = list
                    .items
                    .iter()
                    .filter_map(|object| workload::read(kind, object, secrets, mark_of));
                found.extend(read.map(|found| (found.id.clone(), found)));
            }
            // Argo Rollouts is not installed, or nobody gave rights to it.
            Err(kube::Error::Api(status)) if kind == Kind::Rollout && matches!(status.code, 403 | 404) => {}
            Err(error) if forbidden(&error) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(Some(found))
}

/// Writes the mark into the pod template, if the workload is still as it was read. Answers whether it was.
async fn restart(context: &Context, namespace: &str, found: &Found) -> Result<bool, kube::Error> {
    let resource = found.kind.resource();
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), namespace, &resource);
    let body = json!({
        "metadata": { "uid": found.uid, "resourceVersion": found.resource_version },
        "spec": { "template": { "metadata": { "annotations": { MARK: found.workload.wanted_mark } } } },
    });
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..Default::default()
    };
    match api.patch_metadata(&found.id.name, &params, &Patch::Merge(body)).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return Ok(false),
        Err(error) => return Err(error),
    }
    context.metrics.restarts.with_label_values(&[found.kind.as_str()]).inc();
    info!(%namespace, workload = %found.id, "restarted for a change of its Secrets");
    let names: Vec<&str> = found.workload.uses.keys().map(String::as_str).collect();
    let about = ObjectReference {
        api_version: Some(resource.api_version),
        kind: Some(resource.kind),
        namespace: Some(namespace.to_owned()),
        name: Some(found.id.name.clone()),
        uid: Some(found.uid.clone()),
        ..Default::default()
    };
    context.events.note_of(
        about,
        "RestartedForSecret",
        format!("the pods are replaced, since data changed in: {}", names.join(", ")),
    );
    Ok(true)
}

fn forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}
