//! From a provider's claims to a profile: who it is, and which groups and role follow from it by the settings.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::account::{parse_display_name, parse_email, parse_name};
use crate::domain::actor::Role;

/// Bytes of a subject at most (OpenID Connect Core 1.0, section 2).
const MAX_SUBJECT_BYTES: usize = 255;
/// Values of a claim that are looked at.
const MAX_VALUES: usize = 1000;
/// Groups that somebody may get.
const MAX_GROUPS: usize = 100;

/// Which claim says what. A name is a claim's own, or leads through objects by dots: `realm_access.roles`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// The user name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// What somebody is called.
    pub display_name: String,
    /// The groups at the provider.
    pub groups: String,
    /// The roles at the provider.
    pub roles: String,
}

/// Values of the roles' claim that make somebody more than a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleValues {
    /// That make an administrator.
    pub admin: BTreeSet<String>,
    /// That make an auditor.
    pub auditor: BTreeSet<String>,
}

/// What a provider's claims mean here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRules {
    /// Which claim says what.
    pub names: ClaimNames,
    /// The groups here, by the value of the groups' claim.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Whether a value that `groups` does not name is a group of that name.
    pub every_group: bool,
    /// The role; without any value in it the provider has no say in roles.
    pub roles: RoleValues,
    /// Domains of verified e-mail addresses that are let in; all, if empty.
    pub email_domains: BTreeSet<String>,
    /// Values of `amr` (RFC 8176) that stand for a second factor.
    pub second_factor_amr: BTreeSet<String>,
    /// Values of `acr` that stand for a second factor.
    pub second_factor_acr: BTreeSet<String>,
}

/// Somebody, as a provider tells of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// What tells them from anybody else at the provider, for ever.
    pub subject: String,
    /// A user name in canonical form, if the provider gives one that can be one.
    pub name: Option<String>,
    /// An e-mail address in canonical form.
    pub email: Option<String>,
    /// Whether the provider has seen that the address is theirs.
    pub email_verified: bool,
    /// What they are called.
    pub display_name: Option<String>,
    /// The groups here that follow from the claims: canonical, each once.
    pub groups: Vec<String>,
    /// The role that follows from the claims, if the provider has a say in it.
    pub role: Option<Role>,
    /// Whether the provider says that it saw a second factor.
    pub second_factor: bool,
}

/// Claims that nobody can be let in with. The texts never repeat a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// No `sub`, or one that is too long.
    #[error("the provider names no subject")]
    NoSubject,
    /// The address is not verified, or of a domain that is not let in.
    #[error("this takes a verified e-mail address of a domain that is let in ('email_domains' of the provider)")]
    EmailDomain,
    /// More groups than a user may have.
    #[error(
        "the provider gives more groups than a user may have ({MAX_GROUPS}); name those that matter in 'groups' of the provider"
    )]
    TooManyGroups,
}

impl ClaimRules {
    /// The claims that are needed beyond `sub`: where one is missing in the ID token, the userinfo endpoint is asked.
    #[must_use]
    pub fn wanted(&self) -> Vec<&str> {
        let names = &self.names;
        let mut wanted = vec![&names.name, &names.email];
        if self.every_group || !self.groups.is_empty() {
            wanted.push(&names.groups);
        }
        if self.sets_roles() {
            wanted.push(&names.roles);
        }
        wanted
            .into_iter()
            .map(String::as_str)
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// Whether the provider has a say in roles.
    #[must_use]
    pub fn sets_roles(&self) -> bool {
        !self.roles.admin.is_empty() || !self.roles.auditor.is_empty()
    }

    /// Whether a claim is there.
    #[must_use]
    pub fn has(claims: &Map<String, Value>, name: &str) -> bool {
        find(claims, name).is_some()
    }

    /// What the claims say, by these rules.
    ///
    /// # Errors
    /// [`ClaimsError`].
    pub fn profile(&self, claims: &Map<String, Value>) -> Result<Profile, ClaimsError> {
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES || subject.chars().any(char::is_control) {
            return Err(ClaimsError::NoSubject);
        }
        let text = |name: &str| find(claims, name).and_then(Value::as_str);
        let email = text(&self.names.email).and_then(|email| parse_email(email).ok());
        // Some providers send the word instead of the truth value.
        let verified = match claims.get("email_verified") {
            Some(Value::Bool(verified)) => *verified,
            Some(Value::String(word)) => word == "true",
            _ => false,
        };
        let email_verified = email.is_some() && verified;
        let profile = Profile {
            subject: subject.to_owned(),
            name: text(&self.names.name).and_then(|name| parse_name(name).ok()),
            email_verified,
            display_name: text(&self.names.display_name).and_then(|name| parse_display_name(name).ok()),
            groups: self.groups_of(&values(claims, &self.names.groups))?,
            role: self
                .sets_roles()
                .then(|| self.role_of(&values(claims, &self.names.roles))),
            second_factor: self.saw_second_factor(claims),
            email,
        };
        if !self.lets_in(&profile) {
            return Err(ClaimsError::EmailDomain);
        }
        Ok(profile)
    }

    fn lets_in(&self, profile: &Profile) -> bool {
        let domain = profile.email.as_deref().and_then(|email| email.rsplit_once('@'));
        self.email_domains.is_empty()
            || (profile.email_verified && domain.is_some_and(|(_, domain)| self.email_domains.contains(domain)))
    }

    fn groups_of(&self, values: &[&str]) -> Result<Vec<String>, ClaimsError> {
        let mut groups = BTreeSet::new();
        for value in values {
            match self.groups.get(*value) {
                Some(named) => groups.extend(named.iter().filter_map(|name| parse_name(name).ok())),
                // What cannot be a group's name here is none.
                None if self.every_group => groups.extend(parse_name(value).ok()),
                None => {}
            }
        }
        if groups.len() > MAX_GROUPS {
            return Err(ClaimsError::TooManyGroups);
        }
        Ok(groups.into_iter().collect())
    }

    fn role_of(&self, values: &[&str]) -> Role {
        let any = |of: &BTreeSet<String>| values.iter().any(|value| of.contains(*value));
        if any(&self.roles.admin) {
            Role::Admin
        } else if any(&self.roles.auditor) {
            Role::Auditor
        } else {
            Role::User
        }
    }

    fn saw_second_factor(&self, claims: &Map<String, Value>) -> bool {
        let acr = claims.get("acr").and_then(Value::as_str).unwrap_or_default();
        values(claims, "amr")
            .iter()
            .any(|value| self.second_factor_amr.contains(*value))
            || self.second_factor_acr.contains(acr)
    }
}

/// A claim by its own name, which may hold dots, or else by a path of names.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if name.is_empty() {
        return None;
    }
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// The texts of a claim: a list's, or a single one.
fn values<'a>(claims: &'a Map<String, Value>, name: &str) -> Vec<&'a str> {
    match find(claims, name) {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().take(MAX_VALUES).filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set(values: &[&str]) -> BTreeSet<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn rules() -> ClaimRules {
        ClaimRules {
            names: ClaimNames {
                name: "preferred_username".to_owned(),
                email: "email".to_owned(),
                display_name: "name".to_owned(),
                groups: "groups".to_owned(),
                roles: "realm_access.roles".to_owned(),
            },
            groups: BTreeMap::from([("vault-ops".to_owned(), vec!["Ops".to_owned(), "oncall".to_owned()])]),
            every_group: false,
            roles: RoleValues {
                admin: set(&["vault-admin"]),
                auditor: set(&["vault-audit"]),
            },
            email_domains: BTreeSet::new(),
            second_factor_amr: set(&["mfa"]),
            second_factor_acr: set(&["gold"]),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "the claims are written where it is called")]
    fn profile(rules: &ClaimRules, claims: Value) -> Result<Profile, ClaimsError> {
        rules.profile(claims.as_object().unwrap())
    }

    #[test]
    fn claims_become_canonical_names_groups_and_a_role() {
        let claims = json!({
            "sub": "0-1", "preferred_username": " ＡNN ", "email": "Ann@Example.org", "email_verified": true, "name": " Ann A. ",
            "groups": ["vault-ops", "all", "vault-ops", 7], "realm_access": {"roles": ["vault-audit", "offline"]}
        });
        let profile = profile(&rules(), claims).unwrap();
        assert_eq!(profile.name.as_deref(), Some("ann"));
        assert_eq!(
            (profile.email.as_deref(), profile.email_verified),
            (Some("ann@example.org"), true)
        );
        assert_eq!(profile.display_name.as_deref(), Some("Ann A."));
        assert_eq!(profile.groups, ["oncall", "ops"]);
        assert_eq!(profile.role, Some(Role::Auditor));
        assert!(!profile.second_factor);
    }

    #[test]
    fn without_values_for_roles_the_provider_has_no_say_in_them() {
        let mut rules = rules();
        assert_eq!(profile(&rules, json!({"sub": "a"})).unwrap().role, Some(Role::User));
        rules.roles = RoleValues::default();
        assert_eq!(profile(&rules, json!({"sub": "a"})).unwrap().role, None);
    }

    #[test]
    fn every_group_is_taken_only_where_the_settings_say_so() {
        let mut rules = rules();
        let claims = json!({"sub": "a", "groups": ["Staff", "a b", "vault-ops"]});
        assert_eq!(profile(&rules, claims.clone()).unwrap().groups, ["oncall", "ops"]);
        rules.every_group = true;
        assert_eq!(profile(&rules, claims).unwrap().groups, ["oncall", "ops", "staff"]);
        let many: Vec<_> = (0..101).map(|n| format!("g{n}")).collect();
        let refused = profile(&rules, json!({"sub": "a", "groups": many}));
        assert_eq!(refused, Err(ClaimsError::TooManyGroups));
    }

    #[test]
    fn a_second_factor_is_what_the_settings_take_for_one() {
        for (claims, seen) in [
            (json!({"sub": "a"}), false),
            (json!({"sub": "a", "amr": ["pwd"]}), false),
            (json!({"sub": "a", "amr": ["pwd", "mfa"]}), true),
            (json!({"sub": "a", "amr": "mfa"}), true),
            (json!({"sub": "a", "acr": "gold"}), true),
            (json!({"sub": "a", "acr": ["gold"]}), false),
        ] {
            assert_eq!(
                profile(&rules(), claims.clone()).unwrap().second_factor,
                seen,
                "{claims}"
            );
        }
    }

    #[test]
    fn only_verified_addresses_of_the_domains_are_let_in() {
        let mut rules = rules();
        rules.email_domains = set(&["example.org"]);
        for (claims, let_in) in [
            (
                json!({"sub": "a", "email": "a@example.org", "email_verified": true}),
                true,
            ),
            (
                json!({"sub": "a", "email": "A@EXAMPLE.ORG", "email_verified": "true"}),
                true,
            ),
            (
                json!({"sub": "a", "email": "a@example.org", "email_verified": false}),
                false,
            ),
            (json!({"sub": "a", "email": "a@example.org"}), false),
            (
                json!({"sub": "a", "email": "a@sub.example.org", "email_verified": true}),
                false,
            ),
            (
                json!({"sub": "a", "email": "a@example.org.evil.net", "email_verified": true}),
                false,
            ),
            (json!({"sub": "a", "email_verified": true}), false),
        ] {
            assert_eq!(profile(&rules, claims.clone()).is_ok(), let_in, "{claims}");
        }
    }

    #[test]
    fn nobody_is_let_in_without_a_subject() {
        let long = "x".repeat(256);
        for sub in [json!(null), json!(""), json!(7), json!("a\nb"), json!(long)] {
            assert_eq!(profile(&rules(), json!({"sub": sub})), Err(ClaimsError::NoSubject));
        }
    }

    proptest! {
        #[test]
        fn r01_names_and_groups_from_outside_are_canonical_or_absent(name in any::<String>(), group in any::<String>()) {
            let mut rules = rules();
            rules.every_group = true;
            let claims = json!({"sub": "a", "preferred_username": name, "groups": [group]});
            let profile = profile(&rules, claims).unwrap();
            for name in profile.name.iter().chain(&profile.groups) {
                let canonical = parse_name(name);
                prop_assert_eq!(canonical.as_ref(), Ok(name));
            }
        }
    }
}
