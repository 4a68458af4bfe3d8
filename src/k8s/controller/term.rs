//! One term of leadership: starts the watches, tells each part what it needs to know, and ends with all of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, info_span, warn};

use super::ControllerError;
use super::calendar::Calendar;
use super::context::{AllNotes, Context, Resource, Revoked, SecretMeta};
use super::definition::Definitions;
use super::desk::VaultSecretDesk;
use super::events::events;
use super::imports;
use super::index::Index;
use super::memory::Memory;
use super::namespaces::{self, Namespaces};
use super::publish;
use super::queue::{Causes, Class, Queue};
use super::reaper::Reaper;
use super::restart::Restarts;
use super::vault_policy::Policies;
use super::vault_secret::feed::{self, ROTATE_NOW, SYNC_NOW};
use super::vault_secret::ownership::{MANAGED_BY, MANAGER};
use super::vault_secret::reconcile;
use super::wake::{self, Wish};
use super::watch::{Cache, Notice, follow, scopes};
use crate::k8s::crd::{VaultPolicy, VaultSecret};
use crate::k8s::metrics::ControllerMetrics;
use crate::k8s::settings::ControllerSettings;
use crate::service::context::Clock;
use crate::service::door::{SyncState, VaultDoor};

/// Pause after the vault did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Leads until `term` ends. Dropping the future stops everything at once.
pub(super) async fn run(
    client: Client,
    door: Arc<dyn VaultDoor>,
    settings: ControllerSettings,
    metrics: ControllerMetrics,
    clock: Arc<dyn Clock>,
    term: CancellationToken,
) -> Result<(), ControllerError> {
    let Some(state) = term.run_until_cancelled(remembered(&*door)).await else {
        return Ok(());
    };
    let mut policy_scopes = settings.clone();
    if !policy_scopes.watches(&settings.operator_namespace) {
        policy_scopes.watch_namespaces.push(settings.operator_namespace.clone());
    }
    metrics.caught_up.set(0);
    let (event_desk, publisher) = events(client.clone(), &settings.identity);
    let context = Arc::new(Context {
        vault_secrets: Cache::new(scopes::<VaultSecret>(&client, &settings).len()),
        vault_policies: Cache::new(scopes::<VaultPolicy>(&client, &policy_scopes).len()),
        secrets: Cache::new(scopes::<Secret>(&client, &settings).len()),
        namespaces: Namespaces::new(&client),
        watched_namespaces: Cache::new(usize::from(settings.watch_namespaces.is_empty())),
        definitions: Definitions::new(client.clone()),
        index: Index::default(),
        memory: Memory::new(state.rows),
        queue: Queue::new(),
        notes: AllNotes::default(),
        calendar: Calendar::default(),
        let_go: Mutex::default(),
        definition: Mutex::default(),
        gone: Notify::new(),
        restarts: Restarts::new(state.workloads),
        revoked: Revoked::default(),
        outage: Mutex::default(),
        events: event_desk,
        client,
        door,
        settings,
        metrics,
        clock,
    });
    let reaper = Arc::new(Reaper::new(state.deletions_confirmed_at));
    let policies = Arc::new(Policies::new());
    let (wishes, wished) = mpsc::unbounded_channel();

    let mut parts = JoinSet::new();
    parts.spawn(publisher.run());
    watch_vault_secrets(&mut parts, &context, &wishes);
    watch_secrets(&mut parts, &context);
    watch_namespaces(&mut parts, &context, &wishes);
    watch_policies(&mut parts, &context, &policy_scopes, &policies);
    parts.spawn({
        let (context, reaper) = (Arc::clone(&context), Arc::clone(&reaper));
        async move {
            context.vault_secrets.listed().await;
            context.secrets.listed().await;
            context.watched_namespaces.listed().await;
            wake::compare_widely(&context, &reaper, wished).await;
        }
    });
    parts.spawn({
        let (context, reaper) = (Arc::clone(&context), Arc::clone(&reaper));
        async move { wake::follow_changes(&context, &reaper, wishes).await }
    });
    parts.spawn({
        let context = Arc::clone(&context);
        async move { reaper.run(&context).await }
    });
    parts.spawn({
        let (context, policies) = (Arc::clone(&context), Arc::clone(&policies));
        async move { policies.apply(&context).await }
    });
    parts.spawn({
        let (context, policies) = (Arc::clone(&context), Arc::clone(&policies));
        async move { policies.retain(&context).await }
    });
    parts.spawn({
        let context = Arc::clone(&context);
        async move { context.restarts.run(&context).await }
    });
    parts.spawn(measure(Arc::clone(&context), policies));
    parts.spawn(keep_time(Arc::clone(&context)));
    parts.spawn(imports::follow_imports(Arc::clone(&context)));
    parts.spawn(publish::publish_sealing_key(Arc::clone(&context)));

    // Nothing is written before it is known which definition its resource came through: what is remembered would never fit it.
    let definition = async {
        while !wake::learn_definition(&context).await {
            sleep(PAUSE).await;
        }
    };
    let _ = term.run_until_cancelled(definition).await;
    let mut workers = JoinSet::new();
    for _ in 0..context.settings.concurrency {
        workers.spawn(work(Arc::clone(&context), term.clone()));
    }
    tokio::select! {
        () = term.cancelled() => {
            // What was begun is finished; the elector bounds how long that may take.
            while workers.join_next().await.is_some() {}
            Ok(())
        }
        _ = parts.join_next() => Err(ControllerError::PartEnded),
    }
}

/// What the vault remembers; asked until it answers.
async fn remembered(door: &dyn VaultDoor) -> SyncState {
    loop {
        match door.syncs().await {
            Ok(state) => return state,
            Err(error) => {
                warn!(
                    reason = error.reason().as_str(),
                    "cannot read what was applied before; trying again"
                );
                sleep(PAUSE).await;
            }
        }
    }
}

/// Works on one resource after another.
async fn work(context: Arc<Context>, term: CancellationToken) {
    while let Some(work) = term.run_until_cancelled(context.queue.next()).await {
        let key = work.key.clone();
        let timer = context
            .metrics
            .reconcile_seconds
            .with_label_values(&["VaultSecret"])
            .start_timer();
        let span = reconcile_span("VaultSecret");
        let word = reconcile::reconcile(&context, work).instrument(span.clone()).await;
        span.record("reason", word);
        timer.observe_duration();
        context
            .metrics
            .reconciles
            .with_label_values(&["VaultSecret", word])
            .inc();
        context.queue.done(&key);
    }
}

/// The span of one look at a resource.
pub(super) fn reconcile_span(kind: &'static str) -> Span {
    info_span!(target: "aether_vault::trace", "reconcile", otel.kind = "consumer", kind, reason = tracing::field::Empty)
}

/// Wakes the resources for which something is due.
async fn keep_time(context: Arc<Context>) {
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let now = context.clock.now();
        for key in context.calendar.due(now) {
            context.queue.add(key, Causes::AGAIN, Class::Routine, None);
        }
        feed::give_back(&context).await;
        let (count, seconds) = context.calendar.overdue(now);
        context.metrics.overdue.set(i64::try_from(count).unwrap_or(i64::MAX));
        context.metrics.overdue_seconds.set(seconds);
    }
}

async fn measure(context: Arc<Context>, policies: Arc<Policies>) {
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let (depth, oldest) = context.queue.backlog();
        context
            .metrics
            .queue_depth
            .with_label_values(&["VaultSecret"])
            .set(i64::try_from(depth).unwrap_or(i64::MAX));
        let waiting = i64::try_from(policies.waiting()).unwrap_or(i64::MAX);
        context
            .metrics
            .queue_depth
            .with_label_values(&["VaultPolicy"])
            .set(waiting);
        context.metrics.oldest_unreconciled_seconds.set(oldest.as_secs_f64());
    }
}

/// `VaultSecret`s: kept with their spec and status; the rest of the metadata is not needed and takes memory.
fn watch_vault_secrets(parts: &mut JoinSet<()>, context: &Arc<Context>, wishes: &mpsc::UnboundedSender<Wish>) {
    for api in scopes::<DeserializeGuard<VaultSecret>>(&context.client, &context.settings) {
        let (context, wishes) = (Arc::clone(context), wishes.clone());
        parts.spawn(async move {
            let mut desk = VaultSecretDesk::new(&context, &wishes);
            let notice = |notice: Notice<'_, Resource<VaultSecret>>| desk.notice(notice);
            let own = |object: &VaultSecret| context.settings.handles(object.spec.controller_class.as_deref());
            let reduce = |object| reduce(object, own);
            follow(api, Config::default(), &context.vault_secrets, reduce, notice).await;
        });
    }
}

/// What is kept of an object; nothing of one of another class. One that cannot be read is kept whosever it is: it may be our own, and must
/// not be taken for gone.
fn reduce<K: kube::Resource>(
    DeserializeGuard(object): DeserializeGuard<K>,
    own: impl Fn(&K) -> bool,
) -> Option<Resource<K>> {
    let slim = |meta: &mut kube::core::ObjectMeta| {
        meta.managed_fields = None;
        meta.labels = None;
        // What asks for something to be done; the rest may be large.
        if let Some(annotations) = &mut meta.annotations {
            annotations.retain(|name, _| name == ROTATE_NOW || name == SYNC_NOW);
        }
    };
    match object {
        Ok(mut object) => own(&object).then(|| {
            slim(object.meta_mut());
            Resource::Sound(object)
        }),
        Err(mut invalid) => {
            slim(&mut invalid.metadata);
            Some(Resource::Malformed(Box::new(invalid.metadata)))
        }
    }
}

/// Secrets that we wrote: metadata only. Values are never kept, and foreign Secrets never seen.
fn watch_secrets(parts: &mut JoinSet<()>, context: &Arc<Context>) {
    for api in scopes::<PartialObjectMeta<Secret>>(&context.client, &context.settings) {
        let context = Arc::clone(context);
        let config = Config::default().labels(&format!("{MANAGED_BY}={MANAGER}"));
        parts.spawn(async move {
            let mut listed = false;
            let notice = |notice: Notice<'_, SecretMeta>| {
                let (key, gone) = match notice {
                    Notice::Applied { key, .. } => (key, false),
                    Notice::Gone { key, .. } => (key, true),
                    Notice::Listed => {
                        listed = true;
                        return;
                    }
                };
                if !listed {
                    return;
                }
                for owner in context.index.targeting(key) {
                    let row = context
                        .vault_secrets
                        .get(&owner)
                        .and_then(|object| context.memory.get(object.uid()));
                    if gone || row.is_none_or(|row| !context.untouched(&row)) {
                        context.queue.add(owner, Causes::CLUSTER, Class::Change, None);
                    }
                }
            };
            follow(
                api,
                config,
                &context.secrets,
                |secret| Some(SecretMeta::of(&secret.metadata)),
                notice,
            )
            .await;
        });
    }
}

/// Namespaces: watched (metadata only), or read by name where only some may be.
fn watch_namespaces(parts: &mut JoinSet<()>, context: &Arc<Context>, wishes: &mpsc::UnboundedSender<Wish>) {
    let (context, wishes) = (Arc::clone(context), wishes.clone());
    let changed = move |namespace: &str| {
        let _ = wishes.send(Wish::Namespace(namespace.to_owned()));
    };
    if !context.settings.watch_namespaces.is_empty() {
        parts.spawn(async move {
            context
                .namespaces
                .refresh(&context.settings.watch_namespaces, changed)
                .await;
        });
        return;
    }
    let api = Api::<PartialObjectMeta<Namespace>>::all(context.client.clone());
    parts.spawn(async move {
        let notice = |notice: Notice<'_, namespaces::Seen>| match notice {
            Notice::Applied { object, .. } => {
                if context.namespaces.put(object.as_ref().clone()) {
                    changed(&object.name.name);
                }
            }
            Notice::Gone { object, .. } => context.namespaces.remove(object),
            Notice::Listed => {}
        };
        follow(
            api,
            Config::default(),
            &context.watched_namespaces,
            |namespace| Some(namespaces::reduce(&namespace.metadata)),
            notice,
        )
        .await;
    });
}

fn watch_policies(
    parts: &mut JoinSet<()>,
    context: &Arc<Context>,
    policy_scopes: &ControllerSettings,
    policies: &Arc<Policies>,
) {
    for api in scopes::<DeserializeGuard<VaultPolicy>>(&context.client, policy_scopes) {
        let (context, policies) = (Arc::clone(context), Arc::clone(policies));
        parts.spawn(async move {
            let notice = |notice: Notice<'_, Resource<VaultPolicy>>| policies.notice(notice);
            let own = |object: &VaultPolicy| context.settings.handles(object.spec.controller_class.as_deref());
            let reduce = |object| reduce(object, own);
            follow(api, Config::default(), &context.vault_policies, reduce, notice).await;
        });
    }
}
