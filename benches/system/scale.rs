//! Many VaultSecrets: how long until all are Ready, and how much of the API server the controller then takes.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, DynamicObject, ListParams, PartialObjectMeta, PostParams};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::installation::Installation;
use crate::objects::{controller_kubeconfig, namespace, vault_secrets};
use crate::report::Figure;
use crate::requests::{Requests, count_from_now};
use crate::{Outcome, cpu, say};

pub(crate) const FIGURES: &[&str] = &[
    "scale_ready_seconds",
    "scale_controller_peak_mib",
    "idle_requests",
    "restart_requests_per_object",
];

/// Objects over namespaces, all with one label.
pub(crate) struct Crowd {
    /// The label, and what the names of its namespaces begin with.
    pub(crate) label: &'static str,
    /// How many namespaces.
    pub(crate) namespaces: usize,
    /// How many objects.
    pub(crate) objects: usize,
}

/// What is not Ready by then never will be.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_mins(10);
/// At rest for this long, before and while requests are counted.
pub(crate) const SETTLE: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(30);

/// Creates the objects while no controller runs, then starts it, lets it rest, and starts it again.
pub(crate) async fn measure(installation: &Installation, objects: usize) -> Outcome<Vec<Figure>> {
    let client = Client::try_default().await?;
    let kubeconfig = controller_kubeconfig(&client, installation).await?;
    count_from_now(&client).await?;
    say(format!("scale: creating {objects} VaultSecrets"));
    let crowd = Crowd {
        label: "bench-scale",
        namespaces: 10,
        objects,
    };
    crowd.create(&client, &generated()).await?;
    let ready = crowd.watch_ready(client.clone());

    say("scale: starting the controller");
    let before = Requests::read(&client).await?;
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
    let peak = cpu::peak_mib(controller.pid())?;
    sleep(SETTLE).await;
    let first = Requests::read(&client).await?.since(&before);

    say(format!("scale: counting requests at rest for {} s", IDLE.as_secs()));
    let before = Requests::read(&client).await?;
    sleep(IDLE).await;
    let idle = Requests::read(&client).await?.since(&before);
    if idle.total() == 0.0 {
        return Err("the API server counted no request of the controller, not even of its lease".into());
    }

    say("scale: starting the controller again");
    let before = Requests::read(&client).await?;
    controller.stop().await?;
    let mut controller = installation.start_controller(&kubeconfig)?;
    installation.leading(&mut controller).await?;
    sleep(SETTLE).await;
    let restart = Requests::read(&client).await?.since(&before);
    controller.stop().await?;

    let count = objects as u64;
    #[expect(clippy::cast_precision_loss, reason = "a number of objects is far below 2^52")]
    let per_object = objects as f64;
    Ok(vec![
        Figure::new("scale_ready_seconds", seconds, "s", count)
            .with("aim", 30)
            .with_number("requests_per_object", first.work() / per_object)
            .with("requests", first.to_json()),
        Figure::new("scale_controller_peak_mib", peak, "MiB", count),
        Figure::new("idle_requests", idle.work(), "1", count)
            .with("aim", 0)
            .with("seconds", IDLE.as_secs())
            .with("requests", idle.to_json()),
        Figure::new("restart_requests_per_object", restart.work() / per_object, "1", count)
            .with("aim", 0)
            .with("requests", restart.to_json()),
    ])
}

/// A spec whose values are made in the vault.
pub(crate) fn generated() -> Value {
    json!({"source": {"generate": {"keys": {
        "password": {"password": {"length": 32}},
        "token": {"bytes": {"length": 32, "encoding": "hex"}},
    }}}})
}

impl Crowd {
    pub(crate) fn namespace(&self, number: usize) -> String {
        format!("{}-{}", self.label, number % self.namespaces)
    }

    pub(crate) fn name(number: usize) -> String {
        format!("secret-{number}")
    }

    /// Creates the namespaces and the `VaultSecret`s.
    pub(crate) async fn create(&self, client: &Client, spec: &Value) -> Outcome<()> {
        for number in 0..self.namespaces.min(self.objects) {
            namespace(client, &self.namespace(number)).await?;
        }
        stream::iter(0..self.objects)
            .map(|number| async move {
                let mut object = DynamicObject::new(&Self::name(number), &vault_secrets());
                object.metadata.labels = Some([(self.label.to_owned(), "true".to_owned())].into());
                object.data = json!({"spec": spec});
                let api: Api<DynamicObject> =
                    Api::namespaced_with(client.clone(), &self.namespace(number), &vault_secrets());
                api.create(&PostParams::default(), &object).await
            })
            .buffer_unordered(16)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        Ok(())
    }

    /// Deletes the namespaces' `VaultSecret`s.
    pub(crate) async fn remove(&self, client: &Client) -> Outcome<()> {
        for number in 0..self.namespaces.min(self.objects) {
            let api: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), &self.namespace(number), &vault_secrets());
            api.delete_collection(&DeleteParams::default(), &ListParams::default())
                .await?;
        }
        Ok(())
    }

    /// Answers when the last object became Ready, by a watch.
    pub(crate) fn watch_ready(&self, client: Client) -> oneshot::Receiver<Instant> {
        let (sender, receiver) = oneshot::channel();
        let (label, objects) = (self.label, self.objects);
        tokio::spawn(async move {
            let api: Api<DynamicObject> = Api::all_with(client, &vault_secrets());
            let config = watcher::Config::default().labels(label);
            let mut events = std::pin::pin!(watcher(api, config));
            let mut ready = HashSet::new();
            while let Some(event) = events.next().await {
                let object = match event {
                    Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => object,
                    Ok(_) => continue,
                    Err(error) => {
                        say(format!("watch of VaultSecrets: {error}"));
                        continue;
                    }
                };
                if is_ready(&object) && ready.insert(object.metadata.uid) && ready.len() == objects {
                    // Nobody waits any more only if the time is over.
                    let _ = sender.send(Instant::now());
                    return;
                }
            }
        });
        receiver
    }

    /// How many Secrets there are.
    pub(crate) async fn secrets(&self, client: &Client) -> Outcome<usize> {
        let mut count = 0;
        for number in 0..self.namespaces {
            let api: Api<PartialObjectMeta<Secret>> = Api::namespaced(client.clone(), &self.namespace(number));
            count += api.list(&ListParams::default()).await?.items.len();
        }
        Ok(count)
    }
}

fn is_ready(object: &DynamicObject) -> bool {
    let conditions = object.data["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["type"] == "Ready"
            && condition["status"] == "True"
            && condition["observedGeneration"].as_i64() == object.metadata.generation
    })
}
