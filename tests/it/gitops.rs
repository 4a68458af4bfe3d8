//! What other tools read of our resources: Argo CD's health script, and the configuration of kube-state-metrics.

use std::io::Write as _;
use std::process::{Command, Stdio};

use aether_vault::k8s::crd;
use serde_json::{Value, json};

use crate::support::servers::project;

/// A Lua interpreter of this machine.
fn lua() -> Option<&'static str> {
    ["lua5.4", "lua5.3", "lua5.1", "lua", "luajit"]
        .into_iter()
        .find(|program| {
            Command::new(program)
                .arg("-v")
                .output()
                .is_ok_and(|output| output.status.success())
        })
}

/// A value as a Lua table.
fn table(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => format!("{{{}}}", items.iter().map(table).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("[{name:?}]={}", table(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
    }
}

fn health(lua: &str, object: &Value) -> String {
    let script = std::fs::read_to_string(project("config/argocd/health.lua")).unwrap();
    let program = format!(
        "obj = {}\nlocal hs = (function() {script} end)()\nprint(hs.status)",
        table(object)
    );
    let mut child = Command::new(lua)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

fn object(observed: i64, ready: (&str, &str), reconciling: &str) -> Value {
    json!({
        "metadata": { "generation": 2 },
        "spec": {},
        "status": { "observedGeneration": observed, "conditions": [
            { "type": "Ready", "status": ready.0, "reason": ready.1, "message": "what to do" },
            { "type": "Reconciling", "status": reconciling, "reason": ready.1, "message": "" },
        ] },
    })
}

#[test]
fn argo_cd_sees_the_health_of_resources() {
    let Some(lua) = lua() else {
        eprintln!("skipped: no Lua interpreter; install lua5.4");
        return;
    };
    for (wanted, object) in [
        ("Progressing", json!({ "metadata": { "generation": 1 }, "spec": {} })),
        ("Progressing", object(1, ("True", "Synced"), "False")),
        ("Healthy", object(2, ("True", "Synced"), "False")),
        ("Healthy", object(2, ("True", "InForce"), "False")),
        ("Degraded", object(2, ("False", "PolicyDenied"), "False")),
        ("Degraded", object(2, ("False", "TargetConflict"), "True")),
        ("Progressing", object(2, ("False", "StoreUnavailable"), "True")),
        ("Suspended", object(2, ("False", "Preview"), "False")),
        (
            "Suspended",
            json!({ "metadata": { "generation": 1 }, "spec": { "suspend": true } }),
        ),
    ] {
        assert_eq!(health(lua, &object), wanted, "{object}");
    }
}

/// The schema of a field below another.
fn below<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let schema = schema.get("items").unwrap_or(schema);
    schema.get("properties")?.get(name)
}

#[test]
fn kube_state_metrics_is_told_of_fields_that_exist() {
    let text = std::fs::read_to_string(project("config/kube-state-metrics/aether-vault.yaml")).unwrap();
    let config: Value = serde_yaml::from_str(&text).unwrap();
    let schemas: Vec<Value> = crd::crds()
        .iter()
        .map(|(_, yaml)| serde_yaml::from_str(yaml).unwrap())
        .collect();
    let mut paths = 0;
    for resource in config["spec"]["resources"].as_array().unwrap() {
        let kind = &resource["groupVersionKind"]["kind"];
        let definition = schemas
            .iter()
            .find(|definition| definition["spec"]["names"]["kind"] == *kind)
            .unwrap();
        let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let leads_to = |from: &'_ Value, path: &Value| -> Value {
            let mut schema = from.clone();
            for step in path.as_array().unwrap() {
                let step = step.as_str().unwrap();
                schema = below(&schema, step)
                    .unwrap_or_else(|| panic!("{kind} has no {path}"))
                    .clone();
            }
            schema
        };
        for metric in resource["metrics"].as_array().unwrap() {
            let each = &metric["each"];
            let body = if each["type"] == "Info" {
                &each["info"]
            } else {
                &each["gauge"]
            };
            let metadata = body["path"][0] == "metadata";
            let base = match &body["path"] {
                Value::Null => root.clone(),
                _ if metadata => continue,
                path => leads_to(root, path),
            };
            let labels = body["labelsFromPath"]
                .as_object()
                .into_iter()
                .flat_map(|labels| labels.values());
            let value = Some(&body["valueFrom"]).filter(|value| !value.is_null());
            for path in labels.chain(value) {
                leads_to(&base, path);
                paths += 1;
            }
        }
    }
    assert!(paths >= 10, "{paths} paths were looked at");
}
