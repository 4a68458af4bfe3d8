//! The custom resources, group `aethervault.io`, version `v1alpha1`: types, schemas with CEL rules, and the generated definitions.

#![expect(
    unreachable_pub,
    reason = "the schema derive repeats each public struct inside a function"
)]

mod bounded;
mod cel;
pub mod condition;
pub mod source;
pub mod vault_policy;
pub mod vault_secret;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use condition::{Condition, ConditionStatus};
pub use vault_policy::{VaultPolicy, VaultPolicySpec, VaultPolicyStatus};
pub use vault_secret::{VaultSecret, VaultSecretSpec, VaultSecretStatus};

/// The API group.
pub const GROUP: &str = "aethervault.io";
/// The version.
pub const VERSION: &str = "v1alpha1";

/// The definitions as they are committed under `crds/`: file name and YAML.
///
/// # Panics
/// Never: the definitions are constants of the program, and a test renders them.
#[must_use]
pub fn crds() -> Vec<(&'static str, String)> {
    vec![
        ("vaultpolicies.yaml", render(VaultPolicy::crd())),
        ("vaultsecrets.yaml", render(VaultSecret::crd())),
    ]
}

#[expect(clippy::expect_used, reason = "constants of the program, rendered by a test")]
fn render(crd: CustomResourceDefinition) -> String {
    let mut value = serde_json::to_value(crd).expect("a definition is JSON");
    tidy(&mut value);
    let yaml = serde_yaml::to_string(&value).expect("a definition is YAML");
    format!("# Made by `aether-vault generate crds`; do not edit.\n{yaml}")
}

/// Takes out what the derives add and a definition should not have: `null` for optional fields (it would be kept, and differ from what was
/// meant), defaults, formats that OpenAPI does not know, and fractions in whole numbers.
fn tidy(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.remove("nullable");
            map.remove("default");
            for bound in ["minimum", "maximum"] {
                if let Some(whole) = map
                    .get(bound)
                    .and_then(serde_json::Value::as_f64)
                    .filter(|number| number.fract() == 0.0)
                {
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "bounds written in this module, all small"
                    )]
                    map.insert(bound.to_owned(), serde_json::Value::from(whole as i64));
                }
            }
            if map
                .get("format")
                .and_then(|format| format.as_str())
                .is_some_and(|format| format.starts_with("uint"))
            {
                map.remove("format");
            }
            map.values_mut().for_each(tidy);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_definitions_are_current() {
        for (name, yaml) in crds() {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("crds").join(name);
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(committed, yaml, "crds/{name} is not current; run `make generate`");
        }
    }

    #[test]
    fn nothing_has_a_default() {
        for (name, yaml) in crds() {
            assert!(
                !yaml.contains("default:"),
                "{name} writes defaults into what users applied"
            );
        }
    }
}
