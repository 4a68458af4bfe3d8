//! From `spec.source` to what feeds the record. Pure.

use std::collections::BTreeMap;

use super::plan::{invalid, key_name, parse_path};
use super::problem::Problem;
use crate::domain::generate::GenerateSpec;
use crate::domain::path::{PathPrefix, RecordPath};
use crate::domain::record::KeyName;
use crate::domain::source::{Cadence, GenerateSource, Rotation, SourceError};
use crate::domain::span::Span;
use crate::k8s::controller::key::Key;
use crate::k8s::crd::source::{Generate, Generator, ImportMode, Rotation as WrittenRotation, Source};

/// What feeds the own record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::k8s::controller) enum SourcePlan {
    /// Generated values.
    Generate(GenerateSource),
    /// Sealed values, by key.
    Sealed(BTreeMap<KeyName, String>),
    /// A Secret of the same namespace.
    Import {
        /// Which.
        secret: Key,
        /// Whether the record follows it.
        follow: bool,
    },
}

impl SourcePlan {
    /// Whether the resource alone writes the record.
    pub(in crate::k8s::controller) fn manages(&self) -> bool {
        match self {
            Self::Generate(source) => source.manages(),
            Self::Sealed(_) => true,
            Self::Import { follow, .. } => *follow,
        }
    }

    /// The records of the authorities that issue its certificates.
    pub(in crate::k8s::controller) fn issuers(&self) -> Vec<RecordPath> {
        let Self::Generate(source) = self else {
            return Vec::new();
        };
        let issuer = |spec: &GenerateSpec| match spec {
            GenerateSpec::Certificate(spec) => RecordPath::parse(&spec.issuer.as_ref()?.path).ok(),
            _ => None,
        };
        source.keys.values().filter_map(issuer).collect()
    }

    /// The Secret that the record follows.
    pub(in crate::k8s::controller) fn follows(&self) -> Option<&Key> {
        match self {
            Self::Import { secret, follow: true } => Some(secret),
            _ => None,
        }
    }
}

/// Works out what feeds the record.
///
/// # Errors
/// What the schema could not see.
pub(super) fn plan(written: &Source, namespace: &str, home: &PathPrefix) -> Result<SourcePlan, Problem> {
    match (&written.generate, &written.sealed, &written.import_from) {
        (Some(generate), None, None) => generated(generate, home).map(SourcePlan::Generate),
        (None, Some(sealed), None) => {
            let keys = sealed
                .keys
                .iter()
                .map(|(key, value)| Ok((key_name(key)?, value.clone())));
            keys.collect::<Result<_, Problem>>().map(SourcePlan::Sealed)
        }
        (None, None, Some(import)) => Ok(SourcePlan::Import {
            secret: Key::new(namespace, &import.secret_name),
            follow: import.mode.unwrap_or_default() == ImportMode::Follow,
        }),
        _ => Err(invalid(
            "source needs exactly one of: generate, sealed, importFrom".to_owned(),
        )),
    }
}

fn generated(written: &Generate, home: &PathPrefix) -> Result<GenerateSource, Problem> {
    let keys = written
        .keys
        .iter()
        .map(|(key, generator)| generator_of(key, generator, home))
        .collect::<Result<_, _>>()?;
    let rotation = written.rotation.as_ref().map(rotation).transpose()?;
    let source = GenerateSource { keys, rotation };
    source.validate().map_err(|error| invalid(error.to_string()))?;
    Ok(source)
}

fn generator_of(key: &str, generator: &Generator, home: &PathPrefix) -> Result<(KeyName, GenerateSpec), Problem> {
    let name = key_name(key)?;
    // The schema has the form that the domain reads.
    let read = serde_json::to_value(generator).and_then(serde_json::from_value::<GenerateSpec>);
    let mut spec = read.map_err(|_| {
        invalid(format!(
            "generated key '{key}' needs exactly one of: password, bytes, uuid, sshKey, keyPair, certificate, and addresses that are ones"
        ))
    })?;
    if let GenerateSpec::Certificate(certificate) = &mut spec
        && let Some(issuer) = &mut certificate.issuer
    {
        issuer.path = parse_path("issuer.path", &issuer.path, home)?.to_string();
    }
    Ok((name, spec))
}

fn rotation(written: &WrittenRotation) -> Result<Rotation, Problem> {
    let bad = |error: SourceError| invalid(error.to_string());
    let cadence = match (&written.schedule, &written.every) {
        (Some(schedule), None) => Cadence::cron(schedule, written.time_zone.as_deref()),
        (None, Some(every)) => Cadence::every(every),
        _ => return Err(invalid("rotation needs exactly one of: schedule, every".to_owned())),
    };
    let overlap = written.overlap.as_deref().map(Span::parse).transpose();
    let keys = written
        .keys
        .as_ref()
        .map(|keys| keys.iter().map(|key| key_name(key)).collect::<Result<_, _>>());
    Ok(Rotation {
        cadence: cadence.map_err(|error| bad(error.into()))?,
        keys: keys.transpose()?,
        keep_previous: written.keep_previous == Some(1),
        overlap: overlap.map_err(|_| bad(SourceError::Overlap))?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::problem::Reason;
    use super::*;
    use crate::domain::root::namespace_prefix;

    fn planned(written: Value) -> Result<SourcePlan, String> {
        let written: Source = serde_json::from_value(written).unwrap();
        let home = namespace_prefix("k8s", "shop").unwrap();
        plan(&written, "shop", &home).map_err(|problem| {
            assert_eq!(problem.reason, Reason::InvalidSpec);
            problem.message
        })
    }

    #[expect(clippy::needless_pass_by_value, reason = "written as json! at each call")]
    fn rotated(rotation: Value) -> Result<SourcePlan, String> {
        planned(json!({ "generate": { "keys": { "a": { "uuid": {} } }, "rotation": rotation } }))
    }

    #[test]
    fn a_rotation_is_read_whole() {
        let plan = rotated(
            json!({ "schedule": "0 3 1 * *", "timeZone": "Europe/Zurich", "keepPrevious": 1, "overlap": "1d", "keys": ["a"] }),
        );
        let Ok(SourcePlan::Generate(source)) = plan else {
            panic!()
        };
        let rotation = source.rotation.as_ref().unwrap();
        assert!(rotation.keep_previous && rotation.overlap == Some(Span::from_days(1)) && source.manages());
        assert_eq!(
            rotation.cadence,
            Cadence::cron("0 3 1 * *", Some("Europe/Zurich")).unwrap()
        );
    }

    #[test]
    fn what_the_schema_cannot_see_is_refused_with_what_to_write() {
        for (rotation, message) in [
            (
                json!({ "schedule": "0 0 30 2 *" }),
                "rotation.schedule names a time that never comes",
            ),
            (
                json!({ "schedule": "0 3 * * *", "timeZone": "Mars/Olympus" }),
                "rotation.timeZone is not in the time zone database",
            ),
            (json!({ "every": "30s" }), "rotation.every is a length of time from 1m"),
            (
                json!({ "every": "1h", "keys": ["b"] }),
                "rotation.keys names 'b', which is not generated",
            ),
        ] {
            let refusal = rotated(rotation.clone()).unwrap_err();
            assert!(refusal.starts_with(message), "{rotation}: {refusal}");
        }
        let address = json!({ "generate": { "keys": { "a": { "certificate": { "ipAddresses": ["no"] } } } } });
        assert!(planned(address).unwrap_err().contains("addresses that are ones"));
    }

    #[test]
    fn who_alone_writes_the_record() {
        for (written, manages) in [
            (json!({ "generate": { "keys": { "a": { "uuid": {} } } } }), false),
            (
                json!({ "generate": { "keys": { "a": { "certificate": { "commonName": "a" } } } } }),
                true,
            ),
            (json!({ "sealed": { "keys": { "a": "avs1.x" } } }), true),
            (json!({ "importFrom": { "secretName": "legacy" } }), false),
            (
                json!({ "importFrom": { "secretName": "legacy", "mode": "Follow" } }),
                true,
            ),
        ] {
            assert_eq!(planned(written.clone()).unwrap().manages(), manages, "{written}");
        }
    }
}
