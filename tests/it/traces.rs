//! Traces as a collector gets them: from a request to the store, and from a reconcile to the Secret.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;

use crate::support::cluster::{TestCluster, kubeconfig};
use crate::support::collector::Collector;
use crate::support::database::TestDatabase;
use crate::support::process::Installation;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    format!("{:?}", found.and_then(|attribute| attribute.value.clone()))
}

/// Whether `span` is somewhere below the span of an id.
fn is_below(spans: &[Span], span: &Span, id: &[u8]) -> bool {
    let mut at = Some(span);
    while let Some(span) = at {
        if span.parent_span_id == id {
            return true;
        }
        at = spans.iter().find(|other| other.span_id == span.parent_span_id);
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_traced_to_the_store_and_belongs_to_its_callers_trace() {
    let database = TestDatabase::new().await;
    let collector = Collector::start().await;
    let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    installation.set("traces.endpoint", &collector.endpoint());
    installation.set("traces.sample_one_in", "1000000");
    let mut api = installation.api().await;
    let admin = installation.administrator().await;
    admin.write("shared/a", &json!({"k": "v"})).await.ok();
    let url = format!("http://{}/api/v1/records/shared/a", installation.api_address());
    let answer = reqwest::Client::new()
        .get(url)
        .bearer_auth(admin.token())
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let request_id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    api.stop().await;

    // What is left is sent at the end, so that everything is there now.
    let spans = collector.spans();
    let route = "/api/v1/records/{*path}";
    let requests: Vec<_> = named(&spans, route)
        .into_iter()
        .filter(|span| hex::encode(&span.trace_id) == TRACE)
        .collect();
    let [request] = requests.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!(hex::encode(&request.parent_span_id), CALLER);
    assert!(attribute(request, "http.response.status_code").contains("200"));
    assert!(attribute(request, "request_id").contains(&request_id));
    let commit = named(&spans, "audit.commit")
        .into_iter()
        .find(|span| span.trace_id == request.trace_id)
        .unwrap();
    assert!(is_below(&spans, commit, &request.span_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconcile_is_traced_to_the_secret() {
    let database = TestDatabase::new().await;
    let cluster = TestCluster::connect().await;
    let collector = Collector::start().await;
    let (shop, operator) = (cluster.namespace("shop").await, cluster.namespace("operator").await);
    let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    for (key, value) in [
        ("traces.endpoint", collector.endpoint()),
        ("traces.sample_one_in", "1".to_owned()),
        ("controller.operator_namespace", operator),
        ("controller.watch_namespaces", format!("[\"{shop}\"]")),
    ] {
        installation.set(key, &value);
    }
    installation.use_cluster(&kubeconfig());
    let mut controller = installation.controller().await;
    let spec = json!({ "source": { "generate": { "keys": { "password": { "password": {} } } } } });
    cluster.create_vault_secret(&shop, "db", spec).await.unwrap();
    cluster.ready(&shop, "db").await;
    controller.stop().await;

    let spans = collector.spans();
    let applied = named(&spans, "secret.apply");
    let applied = applied.first().unwrap_or_else(|| panic!("{spans:?}"));
    let reconciles = named(&spans, "reconcile");
    let reconcile = reconciles
        .iter()
        .find(|reconcile| is_below(&spans, applied, &reconcile.span_id))
        .unwrap();
    assert!(attribute(reconcile, "kind").contains("VaultSecret"));
    assert!(attribute(reconcile, "reason").contains("Synced"));
    let below = |name: &str| {
        named(&spans, name)
            .iter()
            .any(|span| is_below(&spans, span, &reconcile.span_id))
    };
    assert!(
        below("vault.read") && below("vault.remember") && below("status.write"),
        "{spans:?}"
    );
}
