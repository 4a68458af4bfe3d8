//! Ten thousand VaultSecrets over 200 namespaces: how long until all are Ready, against what the API server alone takes for the writes that
//! this needs, before and after in the same run; how soon single changes arrive, and what a restart costs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::installation::Installation;
use crate::objects::{controller_kubeconfig, vault_secrets};
use crate::report::{Figure, Samples};
use crate::requests::{Requests, count_from_now};
use crate::scale::{Crowd, READY_TIMEOUT, SETTLE, generated};
use crate::{Outcome, cpu, say};

pub(crate) const FIGURES: &[&str] = &[
    "sync_10k_seconds",
    "sync_10k_over_floor",
    "controller_10k_peak_mib",
    "sync_latency_10k_p50_ms",
    "sync_latency_10k_p99_ms",
    "idle_10k_requests",
    "restart_10k_seconds",
    "restart_10k_requests_per_object",
];

const NAMESPACES: usize = 200;
/// What the controller works on at a time, and the floor too.
const CONCURRENCY: usize = 16;
const CHANGES: usize = 1000;
const IDLE: Duration = Duration::from_secs(30);
/// A change that takes longer is lost.
const LOST: Duration = Duration::from_secs(30);

/// Measures everything on one crowd.
pub(crate) async fn measure(installation: &Installation, objects: usize) -> Outcome<Vec<Figure>> {
    let client = Client::try_default().await?;
    let kubeconfig = controller_kubeconfig(&client, installation).await?;
    count_from_now(&client).await?;
    let labelled = |label| Crowd {
        label,
        namespaces: NAMESPACES,
        objects,
    };
    let floor_before = floor(&client, &labelled("bench-floor")).await?;

    let crowd = labelled("bench-crowd");
    say(format!(
        "10k: creating {objects} VaultSecrets over {NAMESPACES} namespaces"
    ));
    crowd.create(&client, &generated()).await?;
    let ready = crowd.watch_ready(client.clone());
    say("10k: starting the controller");
    let started = Instant::now();
    let mut controller = installation.start_controller(&kubeconfig)?;
    installation.leading(&mut controller).await?;
    let all_ready = timeout(READY_TIMEOUT, ready)
        .await
        .map_err(|_| format!("not all Ready after {} s", READY_TIMEOUT.as_secs()))?;
    let seconds = all_ready?.duration_since(started).as_secs_f64();
    controller.check()?;
    let secrets = crowd.secrets(&client).await?;
    if secrets != objects {
        return Err(format!("{objects} VaultSecrets are Ready, but there are {secrets} Secrets").into());
    }

    let api = installation.start_api().await?;
    say(format!("10k: {CHANGES} changes"));
    let latency = changes(installation, &client, &crowd).await?;
    let peak = cpu::peak_mib(controller.pid())?;
    api.stop().await?;

    say(format!("10k: counting requests at rest for {} s", IDLE.as_secs()));
    sleep(SETTLE).await;
    let before = Requests::read(&client).await?;
    sleep(IDLE).await;
    let idle = Requests::read(&client).await?.since(&before);

    say("10k: starting the controller again");
    let versions = versions(&client).await?;
    let before = Requests::read(&client).await?;
    controller.stop().await?;
    let started = Instant::now();
    let mut controller = installation.start_controller(&kubeconfig)?;
    installation.leading(&mut controller).await?;
    let caught_up = installation
        .compared(&mut controller)
        .await?
        .duration_since(started)
        .as_secs_f64();
    sleep(SETTLE).await;
    let restart = Requests::read(&client).await?.since(&before);
    controller.stop().await?;
    if self::versions(&client).await? != versions {
        return Err("the restart of the controller wrote Secrets".into());
    }

    // Machines are not as fast at the end of some minutes as they were at their beginning.
    let floor_after = floor(&client, &labelled("bench-floor-again")).await?;

    let count = objects as u64;
    #[expect(clippy::cast_precision_loss, reason = "a number of objects is far below 2^52")]
    let per_object = objects as f64;
    Ok(vec![
        Figure::new("sync_10k_seconds", seconds, "s", count)
            .with_number("floor_before_seconds", floor_before)
            .with_number("floor_after_seconds", floor_after),
        Figure::new(
            "sync_10k_over_floor",
            2.0 * seconds / (floor_before + floor_after),
            "1",
            count,
        )
        .with("aim", 1.5),
        Figure::new("controller_10k_peak_mib", peak, "MiB", count).with("aim", 128),
        latency.at(50, "sync_latency_10k_p50_ms", "ms").with("aim", 300),
        latency.at(99, "sync_latency_10k_p99_ms", "ms").with("aim", 1000),
        Figure::new("idle_10k_requests", idle.work(), "1", count).with("aim", 0),
        Figure::new("restart_10k_seconds", caught_up, "s", count).with("aim", 10),
        Figure::new(
            "restart_10k_requests_per_object",
            restart.work() / per_object,
            "1",
            count,
        )
        .with("aim", 0)
        .with("requests", restart.to_json()),
    ])
}

/// Seconds for one create of a Secret and one patch of a status for each object, with no vault and no controller.
async fn floor(client: &Client, crowd: &Crowd) -> Outcome<f64> {
    say(format!(
        "10k: the floor, {} creates of a Secret and patches of a status",
        crowd.objects
    ));
    crowd.create(client, &generated()).await?;
    let started = Instant::now();
    stream::iter(0..crowd.objects)
        .map(|number| write_as_a_sync_does(client, crowd, number))
        .buffer_unordered(CONCURRENCY)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    let seconds = started.elapsed().as_secs_f64();
    // What it left is not the controller's work.
    crowd.remove(client).await?;
    Ok(seconds)
}

/// Of the size of what the controller writes.
async fn write_as_a_sync_does(client: &Client, crowd: &Crowd, number: usize) -> Outcome<()> {
    let (namespace, name) = (crowd.namespace(number), Crowd::name(number));
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "labels": {"bench": "floor"},
            "annotations": {"bench/owner": "00000000-0000-0000-0000-000000000000"},
        },
        "stringData": {"password": "a".repeat(32), "token": "b".repeat(64)},
    }))?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    secrets.create(&PostParams::default(), &secret).await?;
    let conditions: Vec<_> = ["Authorized", "Stored", "Synced", "Ready", "Reconciling", "Stalled"]
        .map(|kind| {
            json!({
                "type": kind, "status": "True", "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
                "reason": "Floor", "message": "the Secret holds what the records hold",
            })
        })
        .into();
    let status = json!({"status": {
        "observedGeneration": 1, "conditions": conditions, "path": format!("k8s/{namespace}/{name}"), "recordVersion": 1, "secretName": name,
        "records": [{"path": format!("k8s/{namespace}/{name}"), "version": 1}],
    }});
    let resources: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &vault_secrets());
    resources
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

/// Milliseconds from the 2xx of a PUT to the watch event of the Secret that carries the new value, one change after another.
async fn changes(installation: &Installation, client: &Client, crowd: &Crowd) -> Outcome<Samples> {
    let (sender, mut seen) = mpsc::unbounded_channel::<(String, Instant)>();
    let all: Api<Secret> = Api::all(client.clone());
    tokio::spawn(async move {
        let config = watcher::Config::default().labels("aethervault.io/managed-by=aether-vault");
        let mut events = std::pin::pin!(watcher(all, config));
        while let Some(event) = events.next().await {
            let Ok(watcher::Event::Apply(secret)) = event else {
                continue;
            };
            let value = secret.data.unwrap_or_default().remove("value").unwrap_or_default().0;
            if sender
                .send((String::from_utf8_lossy(&value).into_owned(), Instant::now()))
                .is_err()
            {
                return;
            }
        }
    });
    // The watch has listed everything by then.
    sleep(SETTLE).await;
    let mut samples = Samples::default();
    for change in 0..CHANGES {
        // Far apart in the order of creation, so that no two follow each other in a namespace.
        let number = change * 7919 % crowd.objects;
        let value = format!("change-{change}");
        let path = format!("k8s/{}/{}", crowd.namespace(number), Crowd::name(number));
        let answered = installation.put(&path, &value).await?;
        let arrives = async {
            loop {
                match seen.recv().await {
                    Some((found, at)) if found == value => return Ok(at),
                    Some(_) => {}
                    None => return Err("the watch of Secrets ended"),
                }
            }
        };
        let at = timeout(LOST, arrives)
            .await
            .map_err(|_| format!("'{value}' is not in its Secret after {} s", LOST.as_secs()))??;
        samples.push(at.saturating_duration_since(answered).as_secs_f64() * 1e3);
    }
    Ok(samples)
}

/// The resourceVersions of every Secret that the controller wrote.
async fn versions(client: &Client) -> Outcome<HashMap<String, String>> {
    let params = ListParams::default().labels("aethervault.io/managed-by=aether-vault");
    let list = Api::<Secret>::all(client.clone()).list_metadata(&params).await?;
    let of = |meta: kube::core::ObjectMeta| (meta.uid.unwrap_or_default(), meta.resource_version.unwrap_or_default());
    Ok(list.items.into_iter().map(|secret| of(secret.metadata)).collect())
}
