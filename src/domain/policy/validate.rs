//! Whether a policy document may be stored, and what to change if not.

use std::fmt;

use super::condition::{Condition, Conditions};
use super::document::{Effect, PolicyDocument, Rule, Subject};
use super::name::canonical_name;
use super::pattern::Pattern;
use crate::domain::actor::Role;
use crate::domain::path::PathPrefix;

/// Subjects of a policy.
const MAX_SUBJECTS: usize = 100;
/// Rules of a policy.
const MAX_RULES: usize = 100;
/// Patterns of a rule.
const MAX_PATHS: usize = 100;
/// Patterns of a policy, all rules together.
const MAX_PATHS_IN_ALL: usize = 1000;
/// Capabilities listed by a rule; more than there are.
const MAX_CAPABILITIES: usize = 32;
/// Labels that a subject asks for.
const MAX_LABELS: usize = 16;
/// Bytes of a name, of whatever kind.
const MAX_NAME_BYTES: usize = 253;

/// One thing to change in a document. The text may be shown: it holds places and rules, nothing that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, such as `rules[0].paths[2]`.
    pub at: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

/// Checks a document before it is stored.
///
/// # Errors
/// Every problem, in the order of the document.
pub fn validate(document: &PolicyDocument) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    count(&mut problems, "subjects", document.subjects.len(), MAX_SUBJECTS);
    for (index, subject) in document.subjects.iter().enumerate().take(MAX_SUBJECTS) {
        if let Err(message) = check_subject(subject) {
            problems.push(Problem {
                at: format!("subjects[{index}]"),
                message: message.to_owned(),
            });
        }
    }
    count(&mut problems, "rules", document.rules.len(), MAX_RULES);
    for (index, rule) in document.rules.iter().enumerate().take(MAX_RULES) {
        check_rule(&mut problems, index, rule);
    }
    let patterns: usize = document.rules.iter().map(|rule| rule.paths.len()).sum();
    if patterns > MAX_PATHS_IN_ALL {
        let message =
            format!("{patterns} patterns in all, and a policy has at most {MAX_PATHS_IN_ALL}; split the policy");
        problems.push(Problem {
            at: "rules".to_owned(),
            message,
        });
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The patterns that reach further than `scope`. They count only within it; the author should be told.
#[must_use]
pub fn beyond_scope(document: &PolicyDocument, scope: &PathPrefix) -> Vec<Problem> {
    let mut beyond = Vec::new();
    for (rule, paths) in document.rules.iter().map(|rule| &rule.paths).enumerate() {
        for (index, path) in paths.iter().enumerate() {
            if Pattern::parse(path).is_ok_and(|pattern| !pattern.stays_below(scope)) {
                let message = format!(
                    "reaches beyond '{scope}', where alone this policy counts; begin the pattern with '{scope}'"
                );
                beyond.push(Problem {
                    at: format!("rules[{rule}].paths[{index}]"),
                    message,
                });
            }
        }
    }
    beyond
}

fn check_rule(problems: &mut Vec<Problem>, index: usize, rule: &Rule) {
    count(problems, &format!("rules[{index}].paths"), rule.paths.len(), MAX_PATHS);
    for (path, text) in rule.paths.iter().enumerate().take(MAX_PATHS) {
        if let Err(error) = Pattern::parse(text) {
            problems.push(Problem {
                at: format!("rules[{index}].paths[{path}]"),
                message: error.to_string(),
            });
        }
    }
    count(
        problems,
        &format!("rules[{index}].capabilities"),
        rule.capabilities.len(),
        MAX_CAPABILITIES,
    );
    let written = [("conditions", &rule.conditions), ("unless", &rule.unless)];
    for (field, conditions) in written.iter().filter_map(|(field, c)| Some((field, c.as_ref()?))) {
        check_conditions(problems, &format!("rules[{index}].{field}"), conditions);
    }
    // Access is to be opened by a fresh second factor, never closed by it.
    let (misplaced, message) = match rule.effect {
        Effect::Allow => (
            &rule.unless,
            "an allow asks for a second factor under 'conditions'; under 'unless' it would end with one",
        ),
        Effect::Deny => (
            &rule.conditions,
            "a deny is lifted by a second factor under 'unless'; under 'conditions' it would begin with one",
        ),
    };
    if misplaced.as_ref().is_some_and(|c| c.second_factor_within.is_some()) {
        let field = if rule.effect == Effect::Allow {
            "unless"
        } else {
            "conditions"
        };
        problems.push(Problem {
            at: format!("rules[{index}].{field}.secondFactorWithin"),
            message: message.to_owned(),
        });
    }
}

fn check_conditions(problems: &mut Vec<Problem>, at: &str, conditions: &Conditions) {
    for (field, message) in Condition::compile(conditions).err().unwrap_or_default() {
        problems.push(Problem {
            at: format!("{at}{field}"),
            message: message.to_owned(),
        });
    }
}

fn count(problems: &mut Vec<Problem>, at: &str, number: usize, most: usize) {
    let message = match number {
        0 => "is empty; give at least one".to_owned(),
        _ if number > most => format!("has {number} entries, and at most {most} are allowed"),
        _ => return,
    };
    problems.push(Problem {
        at: at.to_owned(),
        message,
    });
}

/// Checks one subject.
pub(super) fn check_subject(subject: &Subject) -> Result<(), &'static str> {
    const NAMESPACE: &str = "the namespace's name is 1 to 63 lower-case letters, digits and '-'";
    match subject {
        Subject::User { name } | Subject::Group { name } => {
            let name = canonical_name(name);
            let fits = !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control);
            fits.then_some(())
                .ok_or("the name is empty, longer than 253 bytes, or holds a control character")
        }
        Subject::Role { name } => Role::parse(&canonical_name(name))
            .map(drop)
            .ok_or("there is no such role; use admin, auditor or user"),
        Subject::ServiceAccount { namespace, name } => {
            if !is_dns_label(namespace) {
                return Err(NAMESPACE);
            }
            let fits = name == "*" || (name.len() <= MAX_NAME_BYTES && name.split('.').all(is_dns_label));
            fits.then_some(())
                .ok_or("the service account's name is not one that Kubernetes allows; use '*' for all")
        }
        Subject::Namespace {
            name: None,
            match_labels,
        } if match_labels.is_empty() => Err("give a name, matchLabels, or name '*' for every namespace"),
        Subject::Namespace { name: Some(name), .. } if name != "*" && !is_dns_label(name) => Err(NAMESPACE),
        Subject::Namespace { match_labels, .. } => {
            let clean = |(key, value): (&String, &String)| (1..=317).contains(&key.len()) && value.len() <= 63;
            let fits = match_labels.len() <= MAX_LABELS && match_labels.iter().all(clean);
            fits.then_some(())
                .ok_or("matchLabels holds more than 16 labels, or one longer than Kubernetes allows")
        }
        Subject::ApiKey { .. } | Subject::Everyone {} => Ok(()),
    }
}

/// RFC 1123, as Kubernetes checks names of namespaces.
fn is_dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> PolicyDocument {
        serde_json::from_str(text).unwrap()
    }

    fn problems(text: &str) -> Vec<String> {
        validate(&document(text))
            .err()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_sound_document_has_no_problems() {
        let text = r#"{"subjects": [
            {"kind": "User", "name": "Ann"}, {"kind": "Group", "name": "ops"}, {"kind": "Role", "name": " ADMIN "},
            {"kind": "ServiceAccount", "namespace": "shop", "name": "web.v1"}, {"kind": "ServiceAccount", "namespace": "shop", "name": "*"},
            {"kind": "Namespace", "name": "shop"}, {"kind": "Namespace", "matchLabels": {"team": "a"}}, {"kind": "Everyone"}
        ], "rules": [{"effect": "allow", "paths": ["shared/**"], "capabilities": ["read", "sync"]}], "expiresAt": "2030-01-01T00:00:00Z"}"#;
        assert_eq!(problems(text), Vec::<String>::new());
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let text = r#"{"subjects": [
            {"kind": "User", "name": " "}, {"kind": "Role", "name": "root"}, {"kind": "ServiceAccount", "namespace": "Shop", "name": "x"},
            {"kind": "ServiceAccount", "namespace": "shop", "name": "a/b"}, {"kind": "Namespace"}, {"kind": "Namespace", "name": "a.b"}
        ], "rules": [
            {"effect": "allow", "paths": [], "capabilities": []},
            {"effect": "deny", "paths": ["a/b", "a/../b", "shared"], "capabilities": ["read"]}
        ]}"#;
        insta::assert_snapshot!(problems(text).join("\n"), @r"
        subjects[0]: the name is empty, longer than 253 bytes, or holds a control character
        subjects[1]: there is no such role; use admin, auditor or user
        subjects[2]: the namespace's name is 1 to 63 lower-case letters, digits and '-'
        subjects[3]: the service account's name is not one that Kubernetes allows; use '*' for all
        subjects[4]: give a name, matchLabels, or name '*' for every namespace
        subjects[5]: the namespace's name is 1 to 63 lower-case letters, digits and '-'
        rules[0].paths: is empty; give at least one
        rules[0].capabilities: is empty; give at least one
        rules[1].paths[1]: each segment must start with a letter, a digit, '*' or a variable, so '.' and '..' are refused
        rules[1].paths[2]: the pattern names a root and can match no record; to mean everything below, add '/**'
        ");
        assert_eq!(problems(r#"{"subjects": [], "rules": []}"#).len(), 2);
    }

    #[test]
    fn a_second_factor_opens_and_never_closes() {
        let text = |effect: &str, field: &str| {
            format!(
                r#"{{"subjects": [{{"kind": "Everyone"}}], "rules": [{{"effect": "{effect}", "paths": ["a/b"], "capabilities": ["read"],
                    "{field}": {{"secondFactorWithin": "5m"}}}}]}}"#
            )
        };
        assert_eq!(problems(&text("allow", "conditions")), Vec::<String>::new());
        assert_eq!(problems(&text("deny", "unless")), Vec::<String>::new());
        assert!(problems(&text("deny", "conditions"))[0].starts_with("rules[0].conditions.secondFactorWithin: "));
        assert!(problems(&text("allow", "unless"))[0].starts_with("rules[0].unless.secondFactorWithin: "));
    }

    #[test]
    fn r27_counts_are_bounded() {
        let mut large = document(r#"{"subjects": [], "rules": []}"#);
        large.subjects = vec![Subject::Everyone {}; 101];
        let mut rule: Rule =
            serde_json::from_str(r#"{"effect": "deny", "paths": ["**"], "capabilities": ["read"]}"#).unwrap();
        rule.paths = vec!["**".to_owned(); 101];
        large.rules = vec![rule; 101];
        let found = validate(&large).err().unwrap_or_default();
        assert!(
            found.iter().any(|p| p.at == "subjects") && found.iter().any(|p| p.message.contains("in all")),
            "{found:?}"
        );
        assert!(
            found.iter().any(|p| p.at == "rules[0].paths") && found.len() < 110,
            "{}",
            found.len()
        );
    }

    #[test]
    fn what_reaches_beyond_the_scope_is_told() {
        let scope = PathPrefix::parse("k8s/shop").unwrap();
        let text = r#"{"subjects": [{"kind": "Everyone"}], "rules": [
            {"effect": "allow", "paths": ["k8s/shop/**", "k8s/**", "shared/x"], "capabilities": ["read"]}]}"#;
        let beyond: Vec<_> = beyond_scope(&document(text), &scope)
            .into_iter()
            .map(|p| p.at)
            .collect();
        assert_eq!(beyond, ["rules[0].paths[1]", "rules[0].paths[2]"]);
    }
}
