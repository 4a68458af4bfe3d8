//! The resource as a policy document. Pure.

use crate::domain::path::PathPrefix;
use crate::domain::policy::{Capability, Conditions, Day, Effect, PolicyDocument, Rule, Subject, TimeWindow};
use crate::k8s::crd::VaultPolicy;
use crate::k8s::crd::vault_policy::{
    PolicyRule, PolicySubject, RuleCapability, RuleConditions, RuleDay, RuleEffect, RuleWindow, SubjectKind,
};

/// The resource as a policy document. `~/` stands for the namespace's own root.
pub(super) fn document(policy: &VaultPolicy, own: &PathPrefix) -> PolicyDocument {
    PolicyDocument {
        subjects: policy.spec.subjects.iter().map(subject).collect(),
        rules: policy.spec.rules.iter().map(|written| rule(written, own)).collect(),
        expires_at: policy.spec.expires_at,
    }
}

fn subject(subject: &PolicySubject) -> Subject {
    let name = subject.name.clone().unwrap_or_default();
    match subject.kind {
        SubjectKind::User => Subject::User { name },
        SubjectKind::Group => Subject::Group { name },
        SubjectKind::Role => Subject::Role { name },
        // The schema lets nothing else through; what is no id is nobody's.
        SubjectKind::ApiKey => Subject::ApiKey {
            id: subject.id.as_deref().and_then(|id| id.parse().ok()).unwrap_or_default(),
        },
        SubjectKind::ServiceAccount => Subject::ServiceAccount {
            namespace: subject.namespace.clone().unwrap_or_default(),
            name,
        },
        SubjectKind::Namespace => Subject::Namespace {
            name: subject.name.clone(),
            match_labels: subject.match_labels.clone().unwrap_or_default(),
        },
        SubjectKind::Everyone => Subject::Everyone {},
    }
}

fn rule(rule: &PolicyRule, own: &PathPrefix) -> Rule {
    let written_out = |path: &String| match path.strip_prefix("~/") {
        Some(rest) => format!("{own}{rest}"),
        None => path.clone(),
    };
    Rule {
        effect: match rule.effect {
            RuleEffect::Allow => Effect::Allow,
            RuleEffect::Deny => Effect::Deny,
        },
        paths: rule.paths.iter().map(written_out).collect(),
        capabilities: rule
            .capabilities
            .iter()
            .map(|capability| self::capability(*capability))
            .collect(),
        conditions: rule.conditions.as_ref().map(self::conditions_of),
        unless: rule.unless.as_ref().map(self::conditions_of),
    }
}

fn conditions_of(conditions: &RuleConditions) -> Conditions {
    Conditions {
        second_factor_within: conditions.second_factor_within.clone(),
        networks: conditions.networks.clone(),
        time_window: conditions.time_window.as_ref().map(window_of),
        not_before: conditions.not_before,
        expires_at: conditions.expires_at,
    }
}

/// A window as the rules read it.
pub(in crate::k8s::controller) fn window_of(window: &RuleWindow) -> TimeWindow {
    TimeWindow {
        days: window
            .days
            .as_ref()
            .map(|days| days.iter().map(|day| self::day(*day)).collect()),
        from: window.from.clone(),
        to: window.to.clone(),
        time_zone: window.time_zone.clone(),
    }
}

fn day(day: RuleDay) -> Day {
    match day {
        RuleDay::Mon => Day::Mon,
        RuleDay::Tue => Day::Tue,
        RuleDay::Wed => Day::Wed,
        RuleDay::Thu => Day::Thu,
        RuleDay::Fri => Day::Fri,
        RuleDay::Sat => Day::Sat,
        RuleDay::Sun => Day::Sun,
    }
}

fn capability(capability: RuleCapability) -> Capability {
    match capability {
        RuleCapability::List => Capability::List,
        RuleCapability::Read => Capability::Read,
        RuleCapability::Create => Capability::Create,
        RuleCapability::Update => Capability::Update,
        RuleCapability::Delete => Capability::Delete,
        RuleCapability::Undelete => Capability::Undelete,
        RuleCapability::Destroy => Capability::Destroy,
        RuleCapability::Sync => Capability::Sync,
        RuleCapability::Generate => Capability::Generate,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_resource_becomes_a_document_and_the_tilde_its_own_root() {
        let policy: VaultPolicy = serde_json::from_value(json!({
            "apiVersion": "aethervault.io/v1alpha1",
            "kind": "VaultPolicy",
            "metadata": { "name": "p", "namespace": "shop" },
            "spec": {
                "subjects": [{ "kind": "Namespace", "matchLabels": { "team": "shop" } }, { "kind": "Everyone" }],
                "rules": [{ "effect": "deny", "paths": ["~/orders-*", "shared/ca"], "capabilities": ["sync"],
                    "conditions": { "networks": ["10.0.0.0/8"], "timeWindow": { "days": ["Sat"], "from": "08:00", "to": "18:00" } },
                    "unless": { "secondFactorWithin": "15m" } }],
            },
        }))
        .unwrap();
        let document = document(&policy, &PathPrefix::parse("k8s/shop").unwrap());
        assert_eq!(
            serde_json::to_value(document).unwrap(),
            json!({
                "subjects": [{ "kind": "Namespace", "matchLabels": { "team": "shop" } }, { "kind": "Everyone" }],
                "rules": [{ "effect": "deny", "paths": ["k8s/shop/orders-*", "shared/ca"], "capabilities": ["sync"],
                    "conditions": { "networks": ["10.0.0.0/8"], "timeWindow": { "days": ["Sat"], "from": "08:00", "to": "18:00" } },
                    "unless": { "secondFactorWithin": "15m" } }],
            })
        );
    }

    #[test]
    fn the_form_of_a_resource_is_that_of_a_document() {
        for capability in Capability::ALL {
            let written: RuleCapability = serde_json::from_value(json!(capability.as_str())).unwrap();
            assert_eq!(self::capability(written), capability);
        }
    }
}
