//! What an API key may do at most.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::capability::{Capability, CapabilitySet};
use super::cover::Shape;
use super::pattern::{Pattern, Variables};
use super::validate::Problem;
use crate::domain::path::RecordPath;

/// Scopes of a key.
pub const MAX_SCOPES: usize = 32;
/// Patterns of a scope.
const MAX_PATHS: usize = 32;

/// A scope as it is written and stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Scope")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScopeDocument {
    /// Path patterns; any of them. Variables stand for the key's owner.
    pub paths: Vec<String>,
    /// Capabilities; any of them.
    pub capabilities: Vec<Capability>,
}

/// A scope, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyScope {
    pub(super) paths: Vec<Pattern>,
    pub(super) capabilities: CapabilitySet,
}

impl KeyScope {
    /// Compiles the scopes of a key.
    ///
    /// # Errors
    /// The first problem, with its place.
    pub fn compile(documents: &[ScopeDocument]) -> Result<Vec<Self>, Problem> {
        let problem = |at: String, message: String| Problem { at, message };
        if !(1..=MAX_SCOPES).contains(&documents.len()) {
            return Err(problem(
                "scopes".to_owned(),
                format!(
                    "give 1 to {MAX_SCOPES} scopes, such as {{\"paths\": [\"shared/**\"], \"capabilities\": [\"read\"]}}"
                ),
            ));
        }
        let compile = |(index, document): (usize, &ScopeDocument)| {
            if !(1..=MAX_PATHS).contains(&document.paths.len()) {
                return Err(problem(
                    format!("scopes[{index}].paths"),
                    format!("give 1 to {MAX_PATHS} patterns"),
                ));
            }
            if !(1..=Capability::ALL.len()).contains(&document.capabilities.len()) {
                let message = "give at least one capability, and each once".to_owned();
                return Err(problem(format!("scopes[{index}].capabilities"), message));
            }
            let parse = |(path, text): (usize, &String)| {
                Pattern::parse(text)
                    .map_err(|error| problem(format!("scopes[{index}].paths[{path}]"), error.to_string()))
            };
            Ok(Self {
                paths: document.paths.iter().enumerate().map(parse).collect::<Result<_, _>>()?,
                capabilities: document.capabilities.iter().copied().collect(),
            })
        };
        documents.iter().enumerate().map(compile).collect()
    }

    /// Whether it lets the key do this to everything in `shape`.
    pub(super) fn covers_shape(&self, capability: Capability, shape: &Shape, owner: &Variables<'_>) -> bool {
        let wide = |pattern| Shape::own(pattern, owner).is_some_and(|wide| wide.covers(shape));
        self.capabilities.holds(capability) && self.paths.iter().any(wide)
    }

    /// Whether it lets the key do this, should its owner be allowed to.
    pub(super) fn covers(&self, capability: Capability, path: &RecordPath, owner: &Variables<'_>) -> bool {
        self.capabilities.holds(capability) && self.paths.iter().any(|pattern| pattern.matches(path, owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> Result<Vec<KeyScope>, String> {
        KeyScope::compile(&serde_json::from_str::<Vec<_>>(text).unwrap()).map_err(|problem| problem.to_string())
    }

    #[test]
    fn r23_scopes_are_bounded_and_their_problems_located() {
        assert!(compile(r#"[{"paths": ["shared/**", "users/{user.id}/**"], "capabilities": ["read"]}]"#).is_ok());
        assert!(compile("[]").unwrap_err().starts_with("scopes: "));
        assert!(
            compile(r#"[{"paths": [], "capabilities": ["read"]}]"#)
                .unwrap_err()
                .starts_with("scopes[0].paths: ")
        );
        assert!(
            compile(r#"[{"paths": ["a/b"], "capabilities": []}]"#)
                .unwrap_err()
                .starts_with("scopes[0].capabilities: ")
        );
        assert!(
            compile(r#"[{"paths": ["a/b", "a/../b"], "capabilities": ["read"]}]"#)
                .unwrap_err()
                .starts_with("scopes[0].paths[1]: ")
        );
    }
}
