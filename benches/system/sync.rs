//! From a change in the vault to the Secret: a client that watches Secrets takes the time from the 2xx of a PUT to the watch event that
//! carries the new value.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, PostParams};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use serde_json::json;
use sqlx::{Connection as _, Executor as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::installation::Installation;
use crate::objects::{controller_kubeconfig, namespace, vault_secrets};
use crate::process::Server;
use crate::report::Figure;
use crate::report::Samples;
use crate::{Choice, Outcome, say};

pub(crate) const FIGURES: &[&str] = &[
    "sync_latency_p50_ms",
    "sync_latency_p99_ms",
    "sync_latency_killed_p99_ms",
    "sync_latency_open_tx_p99_ms",
];

const CHANGES: u32 = 200;
const CHANGES_KILLED: u32 = 50;
const NAMESPACE: &str = "bench-sync";
const NAME: &str = "latency";
const PATH: &str = "k8s/bench-sync/latency";
/// A change that takes longer is lost.
const LOST: Duration = Duration::from_secs(30);

/// Measures each kind that was chosen.
pub(crate) async fn measure(installation: &Installation, choice: &Choice) -> Outcome<Vec<Figure>> {
    let client = Client::try_default().await?;
    let kubeconfig = controller_kubeconfig(&client, installation).await?;
    namespace(&client, NAMESPACE).await?;
    let secret = json!({"apiVersion": "aethervault.io/v1alpha1", "kind": "VaultSecret", "metadata": {"name": NAME}});
    let mut secret: DynamicObject = serde_json::from_value(secret)?;
    secret.data = json!({"spec": {}});
    let resources: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &vault_secrets());
    resources.create(&PostParams::default(), &secret).await?;

    let mut seen = watch(client);
    let mut api = installation.start_api().await?;
    let mut controller = installation.start_controller(&kubeconfig)?;
    // The cluster has its prefix before anybody writes under it.
    installation.leading(&mut controller).await?;
    installation.put(PATH, "first").await?;
    seen.wait_for("first").await?;

    let mut figures = Vec::new();
    if choice.has_any(&FIGURES[..2]) {
        say(format!("sync: {CHANGES} changes"));
        let samples = change(installation, &mut seen, "plain", CHANGES).await?;
        figures.push(samples.at(50, "sync_latency_p50_ms", "ms"));
        figures.push(samples.at(99, "sync_latency_p99_ms", "ms").with("aim", 1000));
    }
    if choice.has("sync_latency_killed_p99_ms") {
        say(format!("sync: {CHANGES_KILLED} changes, the API killed after each"));
        let samples;
        (api, samples) = change_and_kill(installation, &mut seen, api).await?;
        figures.push(
            samples
                .at(99, "sync_latency_killed_p99_ms", "ms")
                .with_number("p50", samples.percentile(50))
                .with("aim", 1000),
        );
    }
    if choice.has("sync_latency_open_tx_p99_ms") {
        say(format!(
            "sync: {CHANGES} changes beside an open transaction of another database"
        ));
        let mut other = installation.connect("postgres").await?;
        let mut open = other.begin().await?;
        open.execute("SELECT pg_current_xact_id()").await?;
        let samples = change(installation, &mut seen, "beside", CHANGES).await?;
        // Fails unless the transaction was open all the time.
        open.rollback().await?;
        figures.push(
            samples
                .at(99, "sync_latency_open_tx_p99_ms", "ms")
                .with_number("p50", samples.percentile(50))
                .with("aim", 1000),
        );
    }
    controller.stop().await?;
    api.stop().await?;
    Ok(figures)
}

async fn change(installation: &Installation, seen: &mut Seen, kind: &str, changes: u32) -> Outcome<Samples> {
    let mut samples = Samples::default();
    for number in 0..changes {
        let value = format!("{kind}-{number}");
        let answered = installation.put(PATH, &value).await?;
        samples.push(millis(answered, seen.wait_for(&value).await?));
        spread(number).await;
    }
    Ok(samples)
}

/// Kills the API once the answer is there, and starts it again when the change has arrived without it.
async fn change_and_kill(installation: &Installation, seen: &mut Seen, mut api: Server) -> Outcome<(Server, Samples)> {
    let mut samples = Samples::default();
    for number in 0..CHANGES_KILLED {
        let value = format!("killed-{number}");
        let answered = installation.put(PATH, &value).await?;
        api.kill()?;
        samples.push(millis(answered, seen.wait_for(&value).await?));
        api = installation.start_api().await?;
        spread(number).await;
    }
    Ok((api, samples))
}

/// Pauses of different length, so that changes do not fall into step with anything periodic.
async fn spread(number: u32) {
    sleep(Duration::from_millis(u64::from(number * 37 % 101))).await;
}

/// An event may overtake the answer to its own change: that took no time.
fn millis(answered: Instant, seen: Instant) -> f64 {
    seen.saturating_duration_since(answered).as_secs_f64() * 1e3
}

/// Values of the Secret in the order of its watch events, with the time of each.
struct Seen(mpsc::UnboundedReceiver<(String, Instant)>);

fn watch(client: Client) -> Seen {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let secrets: Api<Secret> = Api::namespaced(client, NAMESPACE);
        let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        let mut events = std::pin::pin!(watcher(secrets, config));
        while let Some(event) = events.next().await {
            let at = Instant::now();
            let secret = match event {
                Ok(watcher::Event::Apply(secret) | watcher::Event::InitApply(secret)) => secret,
                Ok(_) => continue,
                Err(error) => {
                    say(format!("watch of Secrets: {error}"));
                    continue;
                }
            };
            let value = secret.data.unwrap_or_default().remove("value").unwrap_or_default().0;
            if sender.send((String::from_utf8_lossy(&value).into_owned(), at)).is_err() {
                return;
            }
        }
    });
    Seen(receiver)
}

impl Seen {
    async fn wait_for(&mut self, value: &str) -> Outcome<Instant> {
        let arrives = async {
            loop {
                match self.0.recv().await {
                    Some((seen, at)) if seen == value => return Ok(at),
                    Some(_) => {}
                    None => return Err("the watch of Secrets ended"),
                }
            }
        };
        let arrived = timeout(LOST, arrives).await;
        Ok(arrived.map_err(|_| format!("the change '{value}' is not in the Secret after {} s", LOST.as_secs()))??)
    }
}
