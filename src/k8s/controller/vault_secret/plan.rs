//! From a spec to what it takes: paths written out, the records to read, the keys to make. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt as _;

use super::problem::{Problem, Reason, Stage};
use super::secret::Data;
use super::source::{self, SourcePlan};
use crate::domain::path::{PathPrefix, RecordPath};
use crate::domain::projection::{
    Decode, Fault, FaultKind, Fetched, FileFormat, FileRule, FromRule, KeyRule, Part, Projection, Property, RenameRule,
    SecretData, Source, ValueRule, target,
};
use crate::domain::record::{KeyName, Version};
use crate::domain::root::namespace_prefix;
use crate::domain::template::{FetchedRecord, Meta, Template};
use crate::k8s::controller::key::Key;
use crate::k8s::crd::condition::bounded;
use crate::k8s::crd::vault_secret::{
    self as crd, Case, DataFrom, DataItem, Decoding, FileFrom, KeyAtFault, Rename, ValueFrom,
};
use crate::k8s::crd::{VaultSecret, VaultSecretStatus};
use crate::service::door::{RecordRef, SyncRecord, check_pair};

/// What a spec takes.
pub(in crate::k8s::controller) struct Plan {
    /// The own record.
    pub(in crate::k8s::controller) own: RecordPath,
    /// The records to read, each once.
    pub(in crate::k8s::controller) refs: Vec<RecordRef>,
    /// What feeds the own record.
    pub(in crate::k8s::controller) source: Option<SourcePlan>,
    /// The Secret.
    pub(in crate::k8s::controller) target: Key,
    projection: Projection,
    meta: Meta,
    secret_type: Option<String>,
}

/// Works out what a spec takes. `prefix` is the cluster's.
///
/// # Errors
/// What in the spec cannot be carried out; the schema lets little of that through.
pub(in crate::k8s::controller) fn plan(prefix: &str, object: &VaultSecret) -> Result<Plan, Problem> {
    let spec = &object.spec;
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let home = namespace_prefix(prefix, &namespace)
        .ok_or_else(|| invalid(format!("namespace '{namespace}' cannot be part of a path")))?;
    let own = match &spec.path {
        Some(path) => parse_path("spec.path", path, &home)?,
        None => parse_path("the resource's name", &format!("~/{name}"), &home)?,
    };
    let data = spec
        .data
        .iter()
        .flatten()
        .map(|item| key_rule(item, &own, &home))
        .collect::<Result<_, _>>()?;
    let data_from = spec
        .data_from
        .iter()
        .flatten()
        .map(|from| from_rule(from, &own, &home))
        .collect::<Result<_, _>>()?;
    let projection = Projection {
        own: own.clone(),
        data,
        data_from,
    };
    let source = spec
        .source
        .as_ref()
        .map(|written| source::plan(written, &namespace, &home))
        .transpose()?;
    let mut refs: Vec<RecordRef> = projection.references().into_iter().map(reference).collect();
    // What is fed is fed even if nothing of it goes into the Secret.
    if source.is_some() && !refs.iter().any(|known| known.path == own && known.version.is_none()) {
        refs.insert(
            0,
            RecordRef {
                path: own.clone(),
                version: None,
            },
        );
    }
    let target = spec
        .target
        .as_ref()
        .and_then(|target| target.name.as_deref())
        .unwrap_or(&name);
    let target = Key::new(&namespace, target);
    let meta = Meta {
        namespace,
        name,
        path: own.clone(),
    };
    Ok(Plan {
        own,
        refs,
        source,
        target,
        projection,
        meta,
        secret_type: spec.target.as_ref().and_then(|target| target.secret_type.clone()),
    })
}

impl Plan {
    /// The records that it reads.
    pub(in crate::k8s::controller) fn paths(&self) -> Vec<RecordPath> {
        let paths: BTreeSet<_> = self.refs.iter().map(|reference| reference.path.clone()).collect();
        paths.into_iter().collect()
    }

    /// The records of the authorities that issue its certificates.
    pub(in crate::k8s::controller) fn issuers(&self) -> Vec<RecordPath> {
        self.source.as_ref().map(SourcePlan::issuers).unwrap_or_default()
    }

    /// The Secret that the own record is to follow.
    pub(in crate::k8s::controller) fn follows(&self) -> Option<Key> {
        self.source.as_ref().and_then(SourcePlan::follows).cloned()
    }

    /// Where the current version of the own record stands among `refs`.
    pub(in crate::k8s::controller) fn own_at(&self) -> Option<usize> {
        self.refs
            .iter()
            .position(|reference| reference.path == self.own && reference.version.is_none())
    }

    /// Makes the Secret's data of the records, which come in the order of `refs`.
    ///
    /// # Errors
    /// The first fault's reason, with every fault in the message.
    pub(in crate::k8s::controller) fn project(&self, records: Vec<SyncRecord>) -> Result<Data, Problem> {
        let made = self.make(records)?;
        self.check_type(&made)?;
        Ok(Data(made.into_map()))
    }

    /// The same without a look at what the Secret's type asks of its values: some of them stand for what is not there yet.
    ///
    /// # Errors
    /// As [`Plan::project`].
    pub(in crate::k8s::controller) fn project_unchecked(&self, records: Vec<SyncRecord>) -> Result<Data, Problem> {
        Ok(Data(self.make(records)?.into_map()))
    }

    fn make(&self, records: Vec<SyncRecord>) -> Result<SecretData, Problem> {
        let fetched: Fetched = self
            .refs
            .iter()
            .zip(records)
            .map(|(reference, record)| {
                let source = Source {
                    path: reference.path.clone(),
                    version: reference.version,
                };
                (
                    source,
                    FetchedRecord {
                        version: record.head.version,
                        data: Arc::new(record.data),
                    },
                )
            })
            .collect();
        self.projection
            .project(&fetched, &self.meta)
            .map_err(|faults| at_fault(&faults))
    }

    /// Checks that the Secret is what those who use Secrets of its type expect.
    fn check_type(&self, made: &SecretData) -> Result<(), Problem> {
        let Some(secret_type) = self.secret_type.as_deref() else {
            return Ok(());
        };
        let faults = target::faults(secret_type, made);
        if !faults.is_empty() {
            return Err(at_fault(&faults));
        }
        if secret_type == target::TLS
            && let (Some(certificate), Some(key)) = (made.get("tls.crt"), made.get("tls.key"))
        {
            return check_pair(certificate, key).map_err(|error| Problem {
                stage: Stage::Write,
                ..Problem::new(Reason::InvalidValue, error.to_string())
            });
        }
        Ok(())
    }
}

fn at_fault(faults: &[Fault]) -> Problem {
    let reason = faults
        .first()
        .map_or(Reason::Internal, |fault| match fault.kind.reason() {
            "KeyMissing" => Reason::KeyMissing,
            "InvalidValue" => Reason::InvalidValue,
            "PathNotFound" => Reason::PathNotFound,
            "KeyConflict" => Reason::KeyConflict,
            "TemplateError" => Reason::TemplateError,
            "TargetTooLarge" => Reason::TargetTooLarge,
            _ => Reason::InvalidSpec,
        });
    let messages: Vec<_> = faults.iter().map(ToString::to_string).collect();
    let keys = faults.iter().filter_map(|fault| {
        Some(KeyAtFault {
            key: fault.key.clone()?,
            reason: fault.kind.reason().to_owned(),
            message: bounded(fault.kind.to_string()),
        })
    });
    Problem {
        stage: Stage::Write,
        keys: keys.take(VaultSecretStatus::LISTED).collect(),
        ..Problem::new(reason, messages.join("; "))
    }
}

fn key_rule(item: &DataItem, own: &RecordPath, home: &PathPrefix) -> Result<KeyRule, Problem> {
    let key = key_name(&item.key)?;
    let value = match (&item.from, &item.template, &item.file) {
        (Some(from), None, None) => value_rule(from, own, home)?,
        (None, None, Some(file)) => ValueRule::File(file_rule(file, own, home)?),
        (None, Some(template), None) => {
            ValueRule::Template(Template::parse(template, Some(home)).map_err(|error| {
                let fault = Fault {
                    key: Some(item.key.clone()),
                    kind: FaultKind::Template(error),
                };
                Problem {
                    stage: Stage::Begin,
                    ..at_fault(&[fault])
                }
            })?)
        }
        _ => {
            return Err(invalid(format!(
                "key '{key}': give exactly one of: from, template, file"
            )));
        }
    };
    Ok(KeyRule { key, value })
}

fn value_rule(from: &ValueFrom, own: &RecordPath, home: &PathPrefix) -> Result<ValueRule, Problem> {
    let source = source(from.path.as_deref(), from.version, own, home)?;
    let key = key_name(&from.key)?;
    let property = from.property.as_deref().map(Property::parse).transpose();
    let part = Part {
        property: property.map_err(|error| invalid(format!("key '{key}': {error}")))?,
        decode: from.decode.map(|Decoding::Base64| Decode::Base64),
    };
    Ok(if part == Part::default() {
        ValueRule::Copy { source, key }
    } else {
        ValueRule::Extract { source, key, part }
    })
}

fn from_rule(from: &DataFrom, own: &RecordPath, home: &PathPrefix) -> Result<FromRule, Problem> {
    let source = source(from.path.as_deref(), from.version, own, home)?;
    Ok(FromRule {
        source,
        rename: from
            .rename
            .iter()
            .flatten()
            .map(rename_rule)
            .collect::<Result<_, _>>()?,
        prefix: from.prefix.clone().unwrap_or_default(),
    })
}

fn source(path: Option<&str>, version: Option<i64>, own: &RecordPath, home: &PathPrefix) -> Result<Source, Problem> {
    let path = path.map_or_else(|| Ok(own.clone()), |path| parse_path("a path", path, home))?;
    let version = version
        .map(Version::new)
        .transpose()
        .map_err(|error| invalid(error.to_string()))?;
    Ok(Source { path, version })
}

fn file_rule(file: &FileFrom, own: &RecordPath, home: &PathPrefix) -> Result<FileRule, Problem> {
    let keys = file
        .keys
        .as_ref()
        .map(|keys| keys.iter().map(|key| key_name(key)).collect());
    Ok(FileRule {
        source: source(file.path.as_deref(), file.version, own, home)?,
        format: match file.format {
            crd::FileFormat::Dotenv => FileFormat::Dotenv,
            crd::FileFormat::Json => FileFormat::Json,
            crd::FileFormat::Yaml => FileFormat::Yaml,
            crd::FileFormat::Properties => FileFormat::Properties,
            crd::FileFormat::DockerConfigJson => FileFormat::DockerConfigJson,
        },
        keys: keys.transpose()?,
    })
}

fn rename_rule(rule: &Rename) -> Result<RenameRule, Problem> {
    match (&rule.strip_prefix, &rule.replace, rule.case) {
        (Some(prefix), None, None) => Ok(RenameRule::StripPrefix(prefix.clone())),
        (None, Some(from), None) => Ok(RenameRule::Replace {
            from: from.clone(),
            with: rule.with.clone().unwrap_or_default(),
        }),
        (None, None, Some(Case::Upper)) => Ok(RenameRule::Upper),
        (None, None, Some(Case::Lower)) => Ok(RenameRule::Lower),
        _ => Err(invalid(
            "a rule of rename has exactly one of: stripPrefix, replace, case".to_owned(),
        )),
    }
}

fn reference(source: Source) -> RecordRef {
    RecordRef {
        path: source.path,
        version: source.version,
    }
}

pub(super) fn parse_path(what: &str, text: &str, home: &PathPrefix) -> Result<RecordPath, Problem> {
    let written_out = match text.strip_prefix("~/") {
        Some(rest) => RecordPath::parse(&format!("{home}{rest}")),
        None => RecordPath::parse(text),
    };
    written_out.map_err(|error| invalid(format!("{what}: {error}")))
}

pub(super) fn key_name(text: &str) -> Result<KeyName, Problem> {
    KeyName::parse(text).map_err(|error| invalid(error.to_string()))
}

pub(super) fn invalid(message: String) -> Problem {
    Problem::new(Reason::InvalidSpec, message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::record::{RecordData, VersionState};
    use crate::service::door::RecordHead;

    #[expect(clippy::needless_pass_by_value, reason = "written as json! at each call")]
    fn object(spec: Value) -> VaultSecret {
        serde_json::from_value(json!({
            "apiVersion": "aethervault.io/v1alpha1",
            "kind": "VaultSecret",
            "metadata": { "name": "orders-db", "namespace": "shop" },
            "spec": spec,
        }))
        .unwrap()
    }

    fn refs(spec: Value) -> Vec<(String, Option<i64>)> {
        let plan = plan("k8s", &object(spec)).ok().unwrap();
        plan.refs
            .iter()
            .map(|reference| (reference.path.to_string(), reference.version.map(Version::number)))
            .collect()
    }

    fn problem(spec: Value) -> (Reason, String) {
        let problem = plan("k8s", &object(spec)).err().unwrap();
        assert_eq!(problem.stage, Stage::Begin);
        (problem.reason, problem.message)
    }

    #[test]
    fn the_path_is_the_name_below_the_namespace_unless_it_says_otherwise() {
        for (spec, own) in [
            (json!({}), "k8s/shop/orders-db"),
            (json!({ "path": "~/db" }), "k8s/shop/db"),
            (json!({ "path": "shared/pki/ca" }), "shared/pki/ca"),
        ] {
            assert_eq!(plan("k8s", &object(spec)).ok().unwrap().own.as_str(), own);
        }
    }

    #[test]
    fn every_record_that_is_named_is_read_once() {
        let spec = json!({
            "data": [
                { "key": "URL", "template": "{{ data.user }}@{{ records['~/host'].data.name }}" },
                { "key": "ca", "from": { "path": "shared/ca", "key": "crt", "version": 3 } },
                { "key": "user", "from": { "key": "user" } },
            ],
            "dataFrom": [{ "path": "shared/ca", "prefix": "CA_" }],
        });
        assert_eq!(
            refs(spec),
            [
                ("k8s/shop/orders-db".to_owned(), None),
                ("k8s/shop/host".to_owned(), None),
                ("shared/ca".to_owned(), None),
                ("shared/ca".to_owned(), Some(3)),
            ]
        );
    }

    #[test]
    fn what_is_made_is_read_even_if_the_secret_takes_nothing_of_it() {
        let spec = json!({
            "source": { "generate": { "keys": { "token": { "uuid": {} } } } },
            "data": [{ "key": "ca", "from": { "path": "shared/ca", "key": "crt" } }],
        });
        assert_eq!(
            refs(spec),
            [("k8s/shop/orders-db".to_owned(), None), ("shared/ca".to_owned(), None)]
        );
    }

    #[test]
    fn every_generator_of_the_schema_is_one_of_the_domain() {
        let spec = json!({ "source": { "generate": { "keys": {
            "a": { "password": { "length": 20, "symbols": true, "symbolSet": "-_", "excludeAmbiguous": true, "upper": false } },
            "b": { "bytes": { "length": 16, "encoding": "base64url" } },
            "c": { "uuid": {} },
            "d": { "sshKey": { "type": "rsa", "bits": 4096, "comment": "deploy" } },
            "e": { "keyPair": { "type": "ecdsaP256" } },
            "f": { "certificate": {
                "commonName": "a", "organization": "b", "dnsNames": ["c"], "ipAddresses": ["::1"], "uris": ["spiffe://d"],
                "usages": ["serverAuth", "clientAuth", "codeSigning", "emailProtection"], "isCA": true, "duration": "1d", "renewBefore": "1h",
                "key": { "type": "ed25519" }, "issuer": { "path": "~/ca", "certificate": "crt", "privateKey": "key" },
            } },
        } } } });
        let plan = plan("k8s", &object(spec)).ok().unwrap();
        let Some(SourcePlan::Generate(source)) = &plan.source else {
            panic!()
        };
        assert_eq!(source.keys.len(), 6);
        let shown = |paths: Vec<RecordPath>| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(plan.paths()), ["k8s/shop/orders-db"]);
        assert_eq!(shown(plan.issuers()), ["k8s/shop/ca"]);
    }

    #[test]
    fn a_secret_of_a_type_is_checked() {
        let made = |pairs: &[(&str, &str)]| {
            let data: serde_json::Map<_, _> = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), json!(value)))
                .collect();
            let record = SyncRecord {
                head: RecordHead {
                    id: uuid::Uuid::nil(),
                    version: Version::FIRST,
                    state: VersionState::Live,
                    revision: 1,
                    managed_by: None,
                    source: None,
                },
                data: RecordData::from_json(data, BTreeMap::new()).unwrap(),
            };
            let object = object(json!({ "target": { "type": "kubernetes.io/tls" } }));
            let plan = plan("k8s", &object).ok().unwrap();
            plan.project(vec![record])
                .err()
                .map(|problem| (problem.reason, problem.message))
        };
        let (reason, message) = made(&[("tls.crt", "x")]).unwrap();
        assert_eq!(reason, Reason::KeyMissing);
        assert!(message.starts_with("key 'tls.key'"), "{message}");
        let (reason, message) = made(&[("tls.crt", "x"), ("tls.key", "x")]).unwrap();
        assert_eq!(
            (reason, message.as_str()),
            (Reason::InvalidValue, "tls.crt is not a certificate in PEM")
        );
    }

    #[test]
    fn what_the_schema_cannot_see_is_refused_here() {
        let generated = json!({ "source": { "generate": { "keys": { "a": { "password": { "symbols": true, "symbolSet": "--" } } } } } });
        assert_eq!(problem(generated).0, Reason::InvalidSpec);
        let (reason, message) = problem(json!({ "data": [{ "key": "URL", "template": "{{ data.x" }] }));
        assert_eq!(reason, Reason::TemplateError);
        assert!(message.starts_with("key 'URL': line 1: syntax error"), "{message}");
        let (reason, _) = problem(json!({ "data": [{ "key": "URL", "template": "{{ records['../x'].data.y }}" }] }));
        assert_eq!(reason, Reason::TemplateError);
    }
}
