//! The controller's requests as the API server counts them: a FlowSchema for each kind of request of that one user, and
//! `apiserver_flowcontrol_dispatched_requests_total`, which is by FlowSchema. (`apiserver_request_total` knows no users.)

use std::collections::BTreeMap;

use kube::Client;
use serde_json::{Value, json};

use crate::Outcome;
use crate::installation::sum_of;
use crate::objects::{CONTROLLER_USER, apply};

const METRIC: &str = "apiserver_flowcontrol_dispatched_requests_total";

/// What the schemas tell apart, the first that matches counts: watches, leases, then the rest by verb.
const KINDS: [&str; 8] = ["watch", "lease", "get", "list", "create", "update", "patch", "delete"];

/// Requests by kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requests(BTreeMap<&'static str, f64>);

/// Makes the FlowSchemas. They exempt what they match, so that nothing is slower for being counted.
pub(crate) async fn count_from_now(client: &Client) -> Outcome<()> {
    for (order, kind) in KINDS.iter().enumerate() {
        let (verb, resource) = match *kind {
            "lease" => ("*", "leases"),
            verb => (verb, "*"),
        };
        let schema = json!({
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": {"name": schema_name(kind)},
            "spec": {
                "matchingPrecedence": 50 + order,
                "priorityLevelConfiguration": {"name": "exempt"},
                "rules": [{
                    "subjects": [{"kind": "User", "user": {"name": CONTROLLER_USER}}],
                    "resourceRules": [{
                        "verbs": [verb], "apiGroups": ["*"], "resources": [resource], "namespaces": ["*"], "clusterScope": true,
                    }],
                }],
            },
        });
        apply(client, "flowschemas", schema).await?;
    }
    Ok(())
}

impl Requests {
    /// The counts since the API server started.
    pub(crate) async fn read(client: &Client) -> Outcome<Self> {
        let text = client
            .request_text(axum::http::Request::get("/metrics").body(Vec::new())?)
            .await?;
        let of = |kind: &'static str| {
            let label = format!("flow_schema=\"{}\"", schema_name(kind));
            (kind, sum_of(&text, METRIC, |labels| labels.contains(&label)))
        };
        Ok(Self(KINDS.into_iter().map(of).collect()))
    }

    /// What came since an earlier reading.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self(
            self.0
                .iter()
                .map(|(kind, count)| (*kind, count - earlier.0.get(kind).copied().unwrap_or(0.0)))
                .collect(),
        )
    }

    /// All but watches and the lease.
    pub(crate) fn work(&self) -> f64 {
        self.0
            .iter()
            .filter(|(kind, _)| !matches!(**kind, "watch" | "lease"))
            .map(|(_, count)| count)
            .sum()
    }

    /// All of them.
    pub(crate) fn total(&self) -> f64 {
        self.0.values().sum()
    }

    /// Each kind that occurred.
    pub(crate) fn to_json(&self) -> Value {
        let occurred = self.0.iter().filter(|(_, count)| **count > 0.0);
        occurred
            .map(|(kind, count)| ((*kind).to_owned(), Value::from(*count)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn schema_name(kind: &str) -> String {
    format!("aether-vault-bench-{kind}")
}
