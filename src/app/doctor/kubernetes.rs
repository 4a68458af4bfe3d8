//! The cluster: reachable, with our definitions, and with the rights that the controller needs.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use super::{Finding, in_time};
use crate::k8s::crd::{GROUP, VERSION};
use crate::settings::{Controller, Settings};

/// One right: what may be done to what, in which namespace, to which object.
struct Right {
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    /// The whole cluster if absent.
    namespace: Option<String>,
    /// Every object if absent.
    name: Option<String>,
}

pub(super) async fn examine(settings: &Settings) -> Vec<Finding> {
    const NAME: &str = "kubernetes";
    let remedy = "set KUBECONFIG, or run in a pod with a service account; --no-kubernetes leaves these checks out";
    let client = match in_time(Client::try_default()).await {
        Ok(client) => client,
        Err(problem) => return vec![Finding::failed(NAME, problem, remedy)],
    };
    let version = match in_time(client.apiserver_version()).await {
        Ok(version) => version,
        Err(problem) => return vec![Finding::failed(NAME, problem, remedy)],
    };
    let mut findings = vec![Finding::fine(NAME, version.git_version)];
    findings.push(definitions(&client).await);
    findings.push(rights(&client, &settings.controller).await);
    findings
}

async fn definitions(client: &Client) -> Finding {
    const NAME: &str = "definitions";
    let remedy = "run 'aether-vault generate crds | kubectl apply --server-side -f -'";
    // Discovery is open to every account; reading definitions is not.
    let served = match in_time(client.list_api_group_resources(&format!("{GROUP}/{VERSION}"))).await {
        Ok(served) => served.resources,
        Err(problem) => return Finding::failed(NAME, format!("{GROUP}/{VERSION} is not served: {problem}"), remedy),
    };
    for name in ["vaultsecrets", "vaultpolicies"] {
        if !served.iter().any(|resource| resource.name == name) {
            return Finding::failed(NAME, format!("{name}.{GROUP} is not served"), remedy);
        }
    }
    Finding::fine(NAME, format!("{GROUP}/{VERSION} is served"))
}

async fn rights(client: &Client, controller: &Controller) -> Finding {
    const NAME: &str = "rights";
    let mut missing = Vec::new();
    for right in needed(controller) {
        for verb in right.verbs {
            match in_time(may(client, &right, verb)).await {
                Ok(true) => {}
                Ok(false) => missing.push(right.describe(verb)),
                Err(problem) => {
                    let remedy = "every account may ask for its own rights; is the cluster healthy?";
                    return Finding::failed(NAME, problem, remedy);
                }
            }
        }
    }
    if missing.is_empty() {
        Finding::fine(NAME, "this account may do what the controller does")
    } else {
        let remedy = "run this as the controller's service account, and bind it the roles under config/rbac (restarts-*.yaml too with controller.restart_workloads)";
        Finding::failed(NAME, format!("this account may not {}", missing.join(", ")), remedy)
    }
}

/// The ConfigMap that the controller publishes.
const SEALING_KEY: &str = "aether-vault-sealing-key";

/// What the controller does at the API server, as under `config/rbac`.
fn needed(controller: &Controller) -> Vec<Right> {
    const READ: &[&str] = &["get", "list", "watch"];
    let right = |group, resource, verbs, namespace: Option<&str>, name: Option<&str>| Right {
        group,
        resource,
        verbs,
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
    };
    let operator = Some(controller.operator_namespace.as_str());
    let mut rights = vec![
        right("coordination.k8s.io", "leases", &["create"], operator, None),
        right(
            "coordination.k8s.io",
            "leases",
            &["get", "update"],
            operator,
            Some(&controller.lease_name),
        ),
        right("", "namespaces", &["get"], Some("kube-system"), Some("kube-system")),
        right("", "configmaps", &["create"], operator, None),
        right("", "configmaps", &["get", "update"], operator, Some(SEALING_KEY)),
    ];
    let looked_after: Vec<Option<&str>> = if controller.watch_namespaces.is_empty() {
        rights.push(right("", "namespaces", READ, None, None));
        let definition = Some("vaultsecrets.aethervault.io");
        rights.push(right(
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            &["get"],
            None,
            definition,
        ));
        vec![None]
    } else {
        rights.push(right(GROUP, "vaultpolicies", READ, operator, None));
        rights.push(right(GROUP, "vaultpolicies/status", &["update"], operator, None));
        rights.push(right("events.k8s.io", "events", &["create", "patch"], operator, None));
        controller
            .watch_namespaces
            .iter()
            .map(|name| Some(name.as_str()))
            .collect()
    };
    for namespace in looked_after {
        rights.push(right(GROUP, "vaultsecrets", READ, namespace, None));
        rights.push(right(GROUP, "vaultsecrets/status", &["update"], namespace, None));
        rights.push(right(GROUP, "vaultpolicies", READ, namespace, None));
        rights.push(right(GROUP, "vaultpolicies/status", &["update"], namespace, None));
        let secrets = &["get", "list", "watch", "create", "update", "delete"];
        rights.push(right("", "secrets", secrets, namespace, None));
        rights.push(right("events.k8s.io", "events", &["create", "patch"], namespace, None));
        if controller.restart_workloads {
            for workloads in ["deployments", "statefulsets", "daemonsets"] {
                rights.push(right("apps", workloads, &["list", "patch"], namespace, None));
            }
        }
        if namespace.is_some() {
            rights.push(right("", "namespaces", &["get"], namespace, namespace));
        }
    }
    rights
}

impl Right {
    fn describe(&self, verb: &str) -> String {
        let place = self
            .namespace
            .as_ref()
            .map(|namespace| format!(" in {namespace}"))
            .unwrap_or_default();
        format!("{verb} {}{place}", self.resource)
    }
}

async fn may(client: &Client, right: &Right, verb: &str) -> kube::Result<bool> {
    let (resource, subresource) = right.resource.split_once('/').unzip();
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(right.group.to_owned()),
                resource: Some(resource.unwrap_or(right.resource).to_owned()),
                subresource: subresource.map(str::to_owned),
                verb: Some(verb.to_owned()),
                namespace: right.namespace.clone(),
                name: right.name.clone(),
                ..Default::default()
            }),
            ..Default::default()
        },
        ..Default::default()
    };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(controller: &Controller) -> Vec<String> {
        needed(controller)
            .iter()
            .flat_map(|right| right.verbs.iter().map(|verb| right.describe(verb)))
            .collect()
    }

    #[test]
    fn r32_scoped_to_namespaces_no_right_is_for_the_whole_cluster() {
        let scoped = Controller {
            watch_namespaces: vec!["shop".into()],
            ..Default::default()
        };
        let whole: Vec<_> = described(&scoped)
            .into_iter()
            .filter(|right| !right.contains(" in "))
            .collect();
        assert_eq!(whole, Vec::<String>::new());
        assert!(described(&Controller::default()).contains(&"list secrets".to_owned()));
    }

    #[test]
    fn rights_to_restart_workloads_are_asked_for_only_where_that_is_on() {
        let patches = |controller: &Controller| described(controller).contains(&"patch deployments".to_owned());
        assert!(!patches(&Controller::default()));
        let restarting = Controller {
            restart_workloads: true,
            ..Default::default()
        };
        assert!(patches(&restarting));
    }
}
