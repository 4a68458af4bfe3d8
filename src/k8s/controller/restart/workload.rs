//! From a workload as the API server has it to what its restart is decided from. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, PodSpec, Volume};
use kube::core::{ApiResource, DynamicObject};
use serde_json::Value;

use crate::domain::sync::restart::{Health, Use, Workload, WorkloadId};

/// The annotation on a pod template that names the data which its pods were restarted for.
pub(in crate::k8s::controller) const MARK: &str = "aethervault.io/secrets-hash";
/// The annotation by which a workload opts out, with the value `Off`.
const OPT_OUT: &str = "aethervault.io/restart";

/// A kind of workload that has a pod template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::k8s::controller) enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    /// Of Argo Rollouts, where its API is there.
    Rollout,
}

impl Kind {
    pub(in crate::k8s::controller) const ALL: [Self; 4] =
        [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::Rollout];

    pub(in crate::k8s::controller) fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Rollout => "Rollout",
        }
    }

    /// Where the API server serves it.
    pub(in crate::k8s::controller) fn resource(self) -> ApiResource {
        let (group, version, plural) = match self {
            Self::Deployment => ("apps", "v1", "deployments"),
            Self::StatefulSet => ("apps", "v1", "statefulsets"),
            Self::DaemonSet => ("apps", "v1", "daemonsets"),
            Self::Rollout => ("argoproj.io", "v1alpha1", "rollouts"),
        };
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: format!("{group}/{version}"),
            kind: self.as_str().to_owned(),
            plural: plural.to_owned(),
        }
    }
}

/// A workload that was found, with what a patch of it needs.
#[derive(Debug, Clone)]
pub(in crate::k8s::controller) struct Found {
    pub(in crate::k8s::controller) kind: Kind,
    pub(in crate::k8s::controller) id: WorkloadId,
    pub(in crate::k8s::controller) uid: String,
    pub(in crate::k8s::controller) resource_version: String,
    pub(in crate::k8s::controller) workload: Workload,
}

/// Reads a workload; `None` if it uses none of the Secrets. `mark_of` names the data of the Secrets that it uses.
pub(in crate::k8s::controller) fn read(
    kind: Kind,
    object: &DynamicObject,
    secrets: &BTreeMap<String, Use>,
    mark_of: impl Fn(&BTreeMap<String, Use>) -> String,
) -> Option<Found> {
    let template = object.data.get("spec")?.get("template")?;
    let pod: PodSpec = serde_json::from_value(template.get("spec")?.clone()).ok()?;
    let named = references(&pod);
    let uses: BTreeMap<String, Use> = secrets
        .iter()
        .filter(|(name, _)| named.contains(name.as_str()))
        .map(|(name, used)| (name.clone(), used.clone()))
        .collect();
    if uses.is_empty() {
        return None;
    }
    let mark = template.pointer("/metadata/annotations").and_then(|all| all.get(MARK));
    Some(Found {
        kind,
        id: WorkloadId {
            kind: kind.as_str().to_owned(),
            name: object.metadata.name.clone()?,
        },
        uid: object.metadata.uid.clone()?,
        resource_version: object.metadata.resource_version.clone()?,
        workload: Workload {
            created_at: object.metadata.creation_timestamp.as_ref()?.0,
            opted_out: opted_out(object),
            mark: mark.and_then(Value::as_str).map(str::to_owned),
            wanted_mark: mark_of(&uses),
            health: health(kind, object),
            uses,
        },
    })
}

/// Where each kind of workload is served, whether it may be absent, and what tells that one of it uses a Secret and takes a restart.
pub fn workloads_that_use(secret: &str) -> impl Iterator<Item = (ApiResource, bool, impl Fn(&DynamicObject) -> bool)> {
    Kind::ALL.into_iter().map(move |kind| {
        let uses = move |object: &DynamicObject| {
            let pod = object.data.pointer("/spec/template/spec").cloned().unwrap_or_default();
            let pod = serde_json::from_value::<PodSpec>(pod);
            pod.is_ok_and(|pod| references(&pod).contains(secret)) && !opted_out(object)
        };
        (kind.resource(), kind == Kind::Rollout, uses)
    })
}

fn opted_out(object: &DynamicObject) -> bool {
    let said = object.metadata.annotations.as_ref();
    let said = said.and_then(|annotations| annotations.get(OPT_OUT));
    said.is_some_and(|value| value.eq_ignore_ascii_case("off")) || takes_no_restart(&object.data)
}

/// Pods that are replaced only when somebody deletes them are not restarted by a new template.
fn takes_no_restart(data: &Value) -> bool {
    data.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete")
}

/// The Secrets that the pods of a template use: in volumes, projected ones too, and in the environment of any container. Secrets for pulling
/// images are used before there is a pod, so a change of theirs needs no restart.
fn references(pod: &PodSpec) -> BTreeSet<&str> {
    let volumes = pod.volumes.iter().flatten().flat_map(of_volume);
    let containers = pod.containers.iter().chain(pod.init_containers.iter().flatten());
    volumes.chain(containers.flat_map(of_container)).collect()
}

fn of_volume(volume: &Volume) -> impl Iterator<Item = &str> {
    let secret = volume.secret.as_ref().and_then(|secret| secret.secret_name.as_deref());
    let projected = volume
        .projected
        .iter()
        .flat_map(|projected| projected.sources.iter().flatten());
    let projected = projected.filter_map(|source| source.secret.as_ref().map(|secret| secret.name.as_str()));
    secret.into_iter().chain(projected)
}

fn of_container(container: &Container) -> impl Iterator<Item = &str> {
    let whole = container.env_from.iter().flatten();
    let whole = whole.filter_map(|from| from.secret_ref.as_ref().map(|secret| secret.name.as_str()));
    let single = container.env.iter().flatten();
    let single = single.filter_map(|env| Some(env.value_from.as_ref()?.secret_key_ref.as_ref()?.name.as_str()));
    whole.chain(single)
}

fn health(kind: Kind, object: &DynamicObject) -> Health {
    let generation = object.metadata.generation.unwrap_or_default();
    let spec = |field: &str| object.data.pointer(&format!("/spec/{field}"));
    let status = |field: &str| object.data.pointer(&format!("/status/{field}"));
    let number = |field: &str| status(field).and_then(Value::as_i64).unwrap_or_default();
    let replicas = spec("replicas").and_then(Value::as_i64).unwrap_or(1);
    let settled = |rolling: bool, available: bool| match (rolling, available) {
        (true, _) => Health::Rolling,
        (false, true) => Health::Available,
        (false, false) => Health::Degraded,
    };
    let unseen = number("observedGeneration") < generation;
    match kind {
        Kind::Deployment => {
            let paused = spec("paused").and_then(Value::as_bool) == Some(true);
            // A roll-out that ran out of time does not go on by itself: new data may be what it lacks.
            let stuck = status("conditions")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .any(|condition| condition.get("reason").and_then(Value::as_str) == Some("ProgressDeadlineExceeded"));
            let updated = number("updatedReplicas");
            let replacing = updated < replicas || number("replicas") > updated;
            settled(
                paused || unseen || (replacing && !stuck),
                !replacing && number("availableReplicas") >= replicas,
            )
        }
        Kind::StatefulSet => {
            let revision = |field: &str| status(field).and_then(Value::as_str).unwrap_or_default();
            settled(
                unseen || revision("currentRevision") != revision("updateRevision"),
                number("availableReplicas") >= replicas,
            )
        }
        Kind::DaemonSet => {
            let desired = number("desiredNumberScheduled");
            settled(
                unseen || number("updatedNumberScheduled") < desired,
                number("numberAvailable") >= desired,
            )
        }
        Kind::Rollout => {
            // Argo writes the generation as text.
            let observed = status("observedGeneration").and_then(Value::as_str);
            let seen = observed.and_then(|text| text.parse::<i64>().ok()).unwrap_or_default() >= generation;
            match status("phase").and_then(Value::as_str) {
                Some("Healthy") if seen => Health::Available,
                Some("Degraded") if seen => Health::Degraded,
                _ => Health::Rolling,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "written as json! at each call")]
    fn object(kind: Kind, spec: Value, status: Value, annotations: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": kind.resource().api_version,
            "kind": kind.as_str(),
            "metadata": {
                "name": "orders", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2,
                "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": annotations,
            },
            "spec": spec,
            "status": status,
        }))
        .unwrap()
    }

    fn secrets(names: &[&str]) -> BTreeMap<String, Use> {
        let used = Use {
            hash: "h".into(),
            changed_at: None,
            cooldown: SignedDuration::ZERO,
            window: None,
        };
        names.iter().map(|name| ((*name).to_owned(), used.clone())).collect()
    }

    fn names(uses: &BTreeMap<String, Use>) -> String {
        uses.keys().cloned().collect::<Vec<_>>().join(",")
    }

    #[expect(clippy::needless_pass_by_value, reason = "written as json! at each call")]
    fn pods(pod: Value) -> Value {
        json!({ "template": { "spec": pod } })
    }

    #[test]
    fn every_way_of_using_a_secret_counts_and_pulling_images_does_not() {
        let pod = json!({
            "imagePullSecrets": [{ "name": "pull" }],
            "volumes": [
                { "name": "a", "secret": { "secretName": "volume" } },
                { "name": "b", "projected": { "sources": [{ "secret": { "name": "projected" } }, { "configMap": { "name": "map" } }] } },
                { "name": "c", "emptyDir": {} },
            ],
            "initContainers": [{ "name": "i", "envFrom": [{ "secretRef": { "name": "init" } }] }],
            "containers": [{
                "name": "c",
                "envFrom": [{ "secretRef": { "name": "whole" } }, { "configMapRef": { "name": "map" } }],
                "env": [{ "name": "E", "valueFrom": { "secretKeyRef": { "name": "single", "key": "k" } } }, { "name": "F", "value": "x" }],
            }],
        });
        let all = secrets(&["volume", "projected", "init", "whole", "single", "pull", "map", "other"]);
        let object = object(Kind::Deployment, pods(pod), json!({}), json!({}));
        let found = read(Kind::Deployment, &object, &all, names).unwrap();
        assert_eq!(found.workload.wanted_mark, "init,projected,single,volume,whole");
        assert!(read(Kind::Deployment, &object, &secrets(&["other", "pull"]), names).is_none());
    }

    #[expect(clippy::needless_pass_by_value, reason = "written as json! at each call")]
    fn using(kind: Kind, more: Value, status: Value, annotations: Value) -> Workload {
        let mut spec = json!({
            "replicas": 2,
            "template": {
                "metadata": { "annotations": { MARK: "m" } },
                "spec": { "containers": [{ "name": "c", "envFrom": [{ "secretRef": { "name": "db" } }] }] },
            },
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let object = object(kind, spec, status, annotations);
        read(kind, &object, &secrets(&["db"]), names).unwrap().workload
    }

    #[test]
    fn an_annotation_or_updates_on_deletion_opt_out() {
        let plain = using(Kind::Deployment, json!({}), json!({}), json!({}));
        assert_eq!((plain.opted_out, plain.mark.as_deref()), (false, Some("m")));
        for value in ["Off", "off"] {
            assert!(using(Kind::Deployment, json!({}), json!({}), json!({ OPT_OUT: value })).opted_out);
        }
        let on_delete = json!({ "updateStrategy": { "type": "OnDelete" } });
        assert!(using(Kind::StatefulSet, on_delete, json!({}), json!({})).opted_out);
    }

    #[test]
    fn health_is_read_as_each_kind_tells_it() {
        use Health::{Available, Degraded, Rolling};
        let of = |kind, more: Value, status: Value| using(kind, more, status, json!({})).health;
        let deployment = |seen, replicas, updated, available| json!({ "observedGeneration": seen, "replicas": replicas, "updatedReplicas": updated, "availableReplicas": available });
        assert_eq!(of(Kind::Deployment, json!({}), deployment(2, 2, 2, 2)), Available);
        assert_eq!(of(Kind::Deployment, json!({}), deployment(1, 2, 2, 2)), Rolling);
        assert_eq!(
            of(Kind::Deployment, json!({}), deployment(2, 3, 2, 2)),
            Rolling,
            "an old pod is left"
        );
        assert_eq!(of(Kind::Deployment, json!({}), deployment(2, 2, 1, 2)), Rolling);
        assert_eq!(of(Kind::Deployment, json!({}), deployment(2, 2, 2, 1)), Degraded);
        assert_eq!(
            of(Kind::Deployment, json!({ "replicas": 0 }), deployment(2, 0, 0, 0)),
            Available
        );
        assert_eq!(
            of(Kind::Deployment, json!({ "paused": true }), deployment(2, 2, 2, 2)),
            Rolling
        );
        let mut stuck = deployment(2, 3, 1, 2);
        stuck["conditions"] =
            json!([{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }]);
        assert_eq!(of(Kind::Deployment, json!({}), stuck), Degraded);

        let set = |current: &str, available| json!({ "observedGeneration": 2, "currentRevision": current, "updateRevision": "b", "availableReplicas": available });
        assert_eq!(of(Kind::StatefulSet, json!({}), set("b", 2)), Available);
        assert_eq!(of(Kind::StatefulSet, json!({}), set("a", 2)), Rolling);
        assert_eq!(of(Kind::StatefulSet, json!({}), set("b", 1)), Degraded);

        let daemon = |updated, available| json!({ "observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": updated, "numberAvailable": available });
        assert_eq!(of(Kind::DaemonSet, json!({}), daemon(3, 3)), Available);
        assert_eq!(of(Kind::DaemonSet, json!({}), daemon(2, 3)), Rolling);
        assert_eq!(of(Kind::DaemonSet, json!({}), daemon(3, 2)), Degraded);

        let rollout = |seen: &str, phase: &str| json!({ "observedGeneration": seen, "phase": phase });
        assert_eq!(of(Kind::Rollout, json!({}), rollout("2", "Healthy")), Available);
        assert_eq!(of(Kind::Rollout, json!({}), rollout("1", "Healthy")), Rolling);
        assert_eq!(of(Kind::Rollout, json!({}), rollout("2", "Degraded")), Degraded);
        assert_eq!(of(Kind::Rollout, json!({}), rollout("2", "Paused")), Rolling);
    }
}
