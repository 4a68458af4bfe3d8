//! `plan`: what manifests would do, before they are applied. It asks the cluster and the vault with the rights of whoever runs it, names keys,
//! and never shows a value.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::{Client, SessionArgs, parse};
use super::failure::{Failure, code};
use super::files::read_bytes;
use crate::app::plan::{Cluster, Fate, Fates, Forecast, Kind, Outcome, Reading};
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{RecordData, Version};

/// Bytes of a manifest.
const MAX_MANIFEST: u64 = 8 << 20;

/// Tells what manifests would do: whether the vault allows it, which keys of which Secrets would appear, change or go, which workloads would
/// be restarted. Nothing is changed, and no value is shown. Reads the cluster as kubectl would, and the vault with your token.
#[derive(Args)]
#[command(after_help = "\
A line for each key:  + appears   ~ changes   - goes   = stays   ? made when the manifest is applied

Exit codes: 0 everything can be carried out, as far as you may know; 1 something would be refused; others as for every command.
Whether a namespace is allowed something is told to administrators and auditors.")]
pub(super) struct PlanArgs {
    /// File with VaultSecrets and VaultPolicies, any number of documents; '-' is standard input
    #[arg(long = "filename", short, value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Namespace of resources that name none [default: that of the kubeconfig's context]
    #[arg(long, short)]
    namespace: Option<String>,
    /// Cluster prefix that the controller works under
    #[arg(long, value_name = "PREFIX", default_value = "k8s")]
    cluster: String,
    #[command(flatten)]
    session: SessionArgs,
}

/// Whom to ask.
struct Sources {
    vault: Client,
    cluster: Cluster,
    prefix: String,
}

/// What is told of one resource.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    refused: bool,
}

impl Told {
    fn say(&mut self, line: impl Into<String>) {
        self.lines.push(format!("  {}", line.into()));
    }

    fn refuse(&mut self, line: &str) {
        self.refused = true;
        self.say(format!("REFUSED  {line}"));
    }
}

pub(super) async fn run(args: PlanArgs) -> Result<(), Failure> {
    let mut resources = Vec::new();
    for file in &args.files {
        let text = read_bytes(file, MAX_MANIFEST)?;
        let documents = documents(&String::from_utf8_lossy(&text));
        resources.extend(documents.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?);
    }
    let sources = Sources {
        vault: args.session.connect()?,
        cluster: Cluster::connect().await.map_err(|error| {
            Failure::unreachable(format!(
                "there is no cluster to ask: {error}; set KUBECONFIG as for kubectl"
            ))
        })?,
        prefix: args.cluster,
    };
    let mut refused = false;
    for manifest in resources {
        let text = |field: &str| manifest["metadata"][field].as_str().map(str::to_owned);
        let name = text("name").unwrap_or_default();
        let namespace = text("namespace").or_else(|| args.namespace.clone());
        let namespace = namespace.unwrap_or_else(|| sources.cluster.namespace().to_owned());
        let kind = match manifest["kind"].as_str() {
            Some("VaultSecret") => Kind::VaultSecret,
            Some("VaultPolicy") => Kind::VaultPolicy,
            other => {
                println!(
                    "{} {name}  not ours; left out",
                    other.unwrap_or("a document without a kind")
                );
                continue;
            }
        };
        println!("{} {namespace}/{name}", manifest["kind"].as_str().unwrap_or_default());
        let told = told(&sources, kind, &namespace, &name, manifest).await?;
        for line in &told.lines {
            println!("{line}");
        }
        refused |= told.refused;
    }
    if refused { Err(Failure::told()) } else { Ok(()) }
}

/// The resources of a manifest, those of lists too.
fn documents(text: &str) -> Result<Vec<Value>, String> {
    let read: Vec<Value> = serde_yaml::from_multiple(text).map_err(|error| format!("it is not YAML: {error}"))?;
    let mut found = Vec::new();
    for document in read.into_iter().filter(|document| !document.is_null()) {
        match document["items"].as_array() {
            Some(items) if document["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => {
                found.extend(items.iter().cloned());
            }
            _ => found.push(document),
        }
    }
    Ok(found)
}

async fn told(
    sources: &Sources,
    kind: Kind,
    namespace: &str,
    name: &str,
    mut manifest: Value,
) -> Result<Told, Failure> {
    let mut told = Told::default();
    manifest["metadata"]["namespace"] = namespace.into();
    let judged = sources.cluster.judge(kind, namespace, name, &manifest).await;
    if let Some(refusal) = judged.map_err(Failure::unreachable)? {
        told.refuse(&refusal);
        return Ok(told);
    }
    if kind == Kind::VaultPolicy {
        told.say("the API server takes it; with spec.preview set, its status tells what it would open and close");
        return Ok(told);
    }
    if let Some(class) = manifest["spec"]["controllerClass"].as_str() {
        told.say(format!(
            "class  '{class}': the controller of that class looks after it, and no other"
        ));
    }
    let object = serde_json::from_value(manifest).map_err(|error| error.to_string());
    match object.and_then(|object| Forecast::of(&sources.prefix, object)) {
        Ok(forecast) => foretell(sources, namespace, name, &forecast, &mut told).await?,
        Err(problem) => told.refuse(&problem),
    }
    Ok(told)
}

async fn foretell(
    sources: &Sources,
    namespace: &str,
    name: &str,
    forecast: &Forecast,
    told: &mut Told,
) -> Result<(), Failure> {
    let mut records = BTreeMap::new();
    let mut hidden = Vec::new();
    for reading in forecast.readings() {
        match read(&sources.vault, &reading).await {
            Ok(Some(record)) => drop(records.insert(reading, record)),
            Ok(None) => {}
            Err(failure) if failure.code == code::NOT_ALLOWED => hidden.push(reading.path),
            Err(failure) => return Err(failure),
        }
    }
    let own = Reading {
        path: forecast.own().clone(),
        version: None,
    };
    let own_is_there = records.contains_key(&own);
    allowed(sources, namespace, forecast, own_is_there, told).await?;
    if told.refused {
        // The Secret is left as it is.
        return Ok(());
    }
    for path in &hidden {
        told.say(format!(
            "unknown  you may not read '{path}', so the keys cannot be told"
        ));
    }
    if !hidden.is_empty() {
        return Ok(());
    }
    let imported = match forecast.imports(own_is_there) {
        None => None,
        Some(secret) => match sources.cluster.secret(namespace, secret).await {
            Ok(Some(found)) => Some(Forecast::imported(found).map_err(Failure::new)?),
            Ok(None) => {
                told.refuse(&format!("ImportFailed: there is no Secret '{secret}' to import"));
                return Ok(());
            }
            Err(problem) => {
                told.say(format!("unknown  {problem}"));
                return Ok(());
            }
        },
    };
    let target = forecast.target();
    let uid = sources.cluster.uid(namespace, name).await;
    let live = sources.cluster.secret(namespace, target).await;
    let (uid, live) = match (uid, live) {
        (Ok(uid), Ok(live)) => (uid, live),
        (Err(problem), _) | (_, Err(problem)) => {
            told.say(format!("unknown  {problem}"));
            return Ok(());
        }
    };
    match forecast.fates(&records, imported, uid.as_deref(), live) {
        Ok(fates) => {
            tell_keys(namespace, target, &fates, told);
            if forecast.restarts() && changes(&fates) {
                match sources.cluster.workloads(namespace, target).await {
                    Ok(workloads) if workloads.is_empty() => told.say("restarts  nothing: no workload uses the Secret"),
                    Ok(workloads) => told.say(format!(
                        "restarts  {}, if the controller is set to restart workloads",
                        workloads.join(", ")
                    )),
                    Err(problem) => told.say(format!("restarts  unknown: {problem}")),
                }
            }
        }
        Err(problem) => told.refuse(&problem),
    }
    Ok(())
}

/// A record as its reader sees it; none if it is not there.
async fn read(vault: &Client, reading: &Reading) -> Result<Option<(Version, RecordData)>, Failure> {
    #[derive(Deserialize)]
    struct Record {
        version: i64,
        data: serde_json::Map<String, Value>,
        #[serde(default)]
        binary: BTreeMap<String, String>,
    }
    let version = reading.version.map(|version| version.number().to_string());
    let query: Vec<_> = version.iter().map(|version| ("version", version.as_str())).collect();
    let answer = match vault
        .send(Method::GET, &format!("records/{}", reading.path), &query, None)
        .await
    {
        Ok(answer) => answer,
        Err(failure) if failure.code == code::NOT_THERE => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let record: Record = parse(&answer)?;
    let unreadable =
        |error: &dyn std::fmt::Display| Failure::new(format!("'{}' cannot be read: {error}", reading.path));
    let data = RecordData::from_json(record.data, record.binary).map_err(|error| unreadable(&error))?;
    let version = Version::new(record.version).map_err(|error| unreadable(&error))?;
    Ok(Some((version, data)))
}

/// What the vault would decide for the namespace.
async fn allowed(
    sources: &Sources,
    namespace: &str,
    forecast: &Forecast,
    own_is_there: bool,
    told: &mut Told,
) -> Result<(), Failure> {
    let labels = sources.cluster.labels(namespace).await;
    for (path, capability) in forecast.needs(own_is_there) {
        let question = json!({
            "who": { "namespace": { "cluster": sources.prefix, "name": namespace, "labels": labels } },
            "capability": capability,
            "path": path,
        });
        let body = Zeroizing::new(question.to_string().into_bytes());
        match sources
            .vault
            .send(Method::POST, "policies/explain", &[], Some(body))
            .await
        {
            Ok(answer) => decided(&path, capability, &parse(&answer)?, told),
            Err(failure) if failure.code == code::NOT_ALLOWED => {
                told.say("unknown  whether the namespace is allowed it is told to administrators and auditors");
                return Ok(());
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// What the vault answers to who may do what.
#[derive(Deserialize)]
struct Decision {
    decision: String,
    because: String,
    policy: Option<String>,
    rule: Option<usize>,
}

fn decided(path: &RecordPath, capability: Capability, decision: &Decision, told: &mut Told) {
    let because = match (&decision.policy, decision.rule) {
        (Some(policy), Some(rule)) => format!("rule {rule} of policy '{policy}'"),
        _ if decision.because == "BuiltIn" => "the namespace's own".to_owned(),
        _ => "nothing allows it".to_owned(),
    };
    let capability = capability.as_str();
    if decision.decision == "allow" {
        told.say(format!("allowed  {capability} '{path}' ({because})"));
    } else {
        told.refuse(&format!("PolicyDenied: {capability} '{path}' ({because})"));
    }
}

fn tell_keys(namespace: &str, target: &str, fates: &Fates, told: &mut Told) {
    let secret = format!("Secret {namespace}/{target}");
    match &fates.outcome {
        Outcome::Refused(problem) => return told.refuse(&format!("{secret} is left alone: {problem}")),
        Outcome::Nothing => told.say(format!("{secret} stays as it is")),
        Outcome::Created => told.say(format!("{secret} is made")),
        Outcome::Written => told.say(format!("{secret} is written")),
        Outcome::Recreated => told.say(format!("{secret} is deleted and made anew")),
    }
    for (key, fate) in &fates.keys {
        let sign = match fate {
            Fate::Appears => '+',
            Fate::Changes => '~',
            Fate::Goes => '-',
            Fate::Stays => '=',
            Fate::Unknown => '?',
        };
        told.say(format!("  {sign} {key}"));
    }
}

fn changes(fates: &Fates) -> bool {
    fates.keys.values().any(|fate| *fate != Fate::Stays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_opened_and_empty_documents_left_out() {
        let text = "kind: List\nitems: [{kind: A}, {kind: B}]\n---\n---\nkind: C\n";
        let kinds: Vec<_> = documents(text)
            .unwrap()
            .iter()
            .map(|found| found["kind"].clone())
            .collect();
        assert_eq!(kinds, ["A", "B", "C"]);
        assert!(documents("{").unwrap_err().starts_with("it is not YAML"));
    }

    #[test]
    fn a_line_tells_each_key_and_a_refusal_counts() {
        let mut told = Told::default();
        let keys = [("a", Fate::Appears), ("b", Fate::Unknown), ("c", Fate::Goes)];
        let keys = keys.into_iter().map(|(key, fate)| (key.to_owned(), fate)).collect();
        let fates = Fates {
            outcome: Outcome::Written,
            keys,
        };
        tell_keys("shop", "db", &fates, &mut told);
        assert_eq!(
            told.lines,
            ["  Secret shop/db is written", "    + a", "    ? b", "    - c"]
        );
        assert!(!told.refused && changes(&fates));
        let path = RecordPath::parse("shared/smtp").unwrap();
        let denied = Decision {
            decision: "deny".into(),
            because: "Rule".into(),
            policy: Some("p".into()),
            rule: Some(0),
        };
        decided(&path, Capability::Sync, &denied, &mut told);
        assert!(told.refused);
        assert_eq!(
            told.lines[4],
            "  REFUSED  PolicyDenied: sync 'shared/smtp' (rule 0 of policy 'p')"
        );
    }
}
