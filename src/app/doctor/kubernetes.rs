//! The cluster: reachable, with our definitions, and with the rights that the controller needs.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::{Api, Client};

use super::{Finding, in_time};
use crate::settings::{Controller, Settings};

/// Where a right is needed.
#[derive(Clone, Copy)]
enum Scope {
    /// In the whole cluster.
    Cluster,
    /// Wherever VaultSecrets are looked after: everywhere, or in the namespaces of `controller.watch_namespaces`.
    Watched,
    /// In the operator's namespace.
    Operator,
}

/// What the controller does at the API server: group, resource, verbs, scope.
const RIGHTS: [(&str, &str, &[&str], Scope); 9] = [
    (
        "aethervault.io",
        "vaultsecrets",
        &["get", "list", "watch"],
        Scope::Watched,
    ),
    ("aethervault.io", "vaultsecrets/status", &["patch"], Scope::Watched),
    (
        "aethervault.io",
        "vaultpolicies",
        &["get", "list", "watch"],
        Scope::Watched,
    ),
    ("aethervault.io", "vaultpolicies/status", &["patch"], Scope::Watched),
    (
        "",
        "secrets",
        &["get", "list", "watch", "create", "update", "delete"],
        Scope::Watched,
    ),
    ("", "namespaces", &["get"], Scope::Cluster),
    ("events.k8s.io", "events", &["create", "patch"], Scope::Watched),
    (
        "coordination.k8s.io",
        "leases",
        &["get", "create", "patch"],
        Scope::Operator,
    ),
    (
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        &["get"],
        Scope::Cluster,
    ),
];

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
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in ["vaultsecrets.aethervault.io", "vaultpolicies.aethervault.io"] {
        let definition = match in_time(api.get_opt(name)).await {
            Ok(Some(definition)) => definition,
            Ok(None) => return Finding::failed(NAME, format!("{name} is not there"), remedy),
            Err(problem) => return Finding::failed(NAME, format!("{name}: {problem}"), remedy),
        };
        let conditions = definition
            .status
            .and_then(|status| status.conditions)
            .unwrap_or_default();
        if !conditions
            .iter()
            .any(|condition| condition.type_ == "Established" && condition.status == "True")
        {
            return Finding::failed(
                NAME,
                format!("{name} is not established"),
                "look at 'kubectl describe crd', which says why",
            );
        }
    }
    Finding::fine(NAME, "VaultSecret and VaultPolicy are served")
}

async fn rights(client: &Client, controller: &Controller) -> Finding {
    const NAME: &str = "rights";
    let mut missing = Vec::new();
    for (group, resource, verbs, scope) in RIGHTS {
        for namespace in namespaces(scope, controller) {
            for verb in verbs {
                match in_time(may(client, group, resource, verb, namespace)).await {
                    Ok(true) => {}
                    Ok(false) => missing.push(match namespace {
                        Some(namespace) => format!("{verb} {resource} in {namespace}"),
                        None => format!("{verb} {resource}"),
                    }),
                    Err(problem) => {
                        let remedy = "every account may ask for its own rights; is the cluster healthy?";
                        return Finding::failed(NAME, problem, remedy);
                    }
                }
            }
        }
    }
    if missing.is_empty() {
        Finding::fine(NAME, "this account may do what the controller does")
    } else {
        let remedy = "run this as the controller's service account, and bind it the roles of the installation";
        Finding::failed(NAME, format!("this account may not: {}", missing.join(", ")), remedy)
    }
}

fn namespaces(scope: Scope, controller: &Controller) -> Vec<Option<&str>> {
    match scope {
        Scope::Cluster => vec![None],
        Scope::Operator => vec![Some(&controller.operator_namespace)],
        Scope::Watched if controller.watch_namespaces.is_empty() => vec![None],
        Scope::Watched => controller
            .watch_namespaces
            .iter()
            .map(|name| Some(name.as_str()))
            .collect(),
    }
}

async fn may(client: &Client, group: &str, resource: &str, verb: &str, namespace: Option<&str>) -> kube::Result<bool> {
    let (resource, subresource) = resource
        .split_once('/')
        .map_or((resource, None), |(r, s)| (r, Some(s.to_owned())));
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(verb.to_owned()),
                namespace: namespace.map(str::to_owned),
                ..Default::default()
            }),
            ..Default::default()
        },
        ..Default::default()
    };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
