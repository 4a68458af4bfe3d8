//! Settings of single sign-on: `auth.sso`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::domain::account::parse_name;
use crate::domain::sso::{ClaimNames, ClaimRules, RedirectRules, RoleValues};

/// Providers at most.
const MAX_PROVIDERS: usize = 20;

/// Single sign-on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sso {
    /// Providers of OpenID Connect, at most 20, in the order in which they are offered.
    pub providers: Vec<SsoProvider>,
}

/// A provider of OpenID Connect.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SsoProvider {
    /// Its name in addresses, and the origin of memberships that it makes: a DNS label. Another name is another provider.
    pub name: String,
    /// What people call it; the name if absent.
    pub display_name: Option<String>,
    /// Its issuer, to the letter as its metadata have it.
    pub issuer: String,
    /// Our own name at it.
    pub client_id: String,
    /// A file with our secret at it, read at each use; none for a public client.
    pub client_secret_file: Option<PathBuf>,
    /// A PEM file with authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// What to ask for.
    pub scopes: Vec<String>,
    /// Which claim says what.
    pub claims: SsoClaims,
    /// Groups here, by the value of the groups' claim.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Whether a value that `groups` does not name is a group of that name.
    pub every_group: bool,
    /// Values of the roles' claim that make administrators and auditors. Without any, the provider has no say in roles.
    pub roles: SsoRoles,
    /// Whether somebody whom nobody has linked becomes a user.
    pub just_in_time: bool,
    /// Whether somebody with the verified address of a user is that user.
    pub link_verified_email: bool,
    /// Domains of verified addresses that are let in; all, if empty.
    pub email_domains: Vec<String>,
    /// Whether a second factor that the provider saw counts.
    pub second_factor: SsoSecondFactor,
    /// Addresses that browsers may be sent to after a login.
    pub redirects: Vec<String>,
    /// Whether browsers may be sent to a program on their own machine: `aether-vault login --sso`.
    pub loopback: bool,
    /// Where the provider sends browsers after they logged out there.
    pub logout_redirect: Option<String>,
}

impl Default for SsoProvider {
    fn default() -> Self {
        Self {
            name: String::new(),
            display_name: None,
            issuer: String::new(),
            client_id: String::new(),
            client_secret_file: None,
            ca_file: None,
            scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
            claims: SsoClaims::default(),
            groups: BTreeMap::new(),
            every_group: false,
            roles: SsoRoles::default(),
            just_in_time: false,
            link_verified_email: false,
            email_domains: Vec::new(),
            second_factor: SsoSecondFactor::default(),
            redirects: Vec::new(),
            loopback: true,
            logout_redirect: None,
        }
    }
}

/// Which claim says what; dots lead through objects.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SsoClaims {
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

impl Default for SsoClaims {
    fn default() -> Self {
        Self {
            name: "preferred_username".to_owned(),
            email: "email".to_owned(),
            display_name: "name".to_owned(),
            groups: "groups".to_owned(),
            roles: "groups".to_owned(),
        }
    }
}

/// Values of the roles' claim.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SsoRoles {
    /// That make an administrator.
    pub admin: BTreeSet<String>,
    /// That make an auditor.
    pub auditor: BTreeSet<String>,
}

/// When the provider's word on a second factor counts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SsoSecondFactor {
    /// Whether it counts at all.
    pub trust: bool,
    /// Values of `amr` that say so (RFC 8176).
    pub amr: BTreeSet<String>,
    /// Values of `acr` that say so.
    pub acr: BTreeSet<String>,
}

impl Default for SsoSecondFactor {
    fn default() -> Self {
        Self {
            trust: false,
            amr: BTreeSet::from(["mfa".to_owned()]),
            acr: BTreeSet::new(),
        }
    }
}

impl SsoProvider {
    /// What its claims mean.
    #[must_use]
    pub fn claim_rules(&self) -> ClaimRules {
        let names = &self.claims;
        ClaimRules {
            names: ClaimNames {
                name: names.name.clone(),
                email: names.email.clone(),
                display_name: names.display_name.clone(),
                groups: names.groups.clone(),
                roles: names.roles.clone(),
            },
            groups: self.groups.clone(),
            every_group: self.every_group,
            roles: RoleValues {
                admin: self.roles.admin.clone(),
                auditor: self.roles.auditor.clone(),
            },
            email_domains: self.email_domains.iter().map(|domain| domain.to_lowercase()).collect(),
            second_factor_amr: self.second_factor.amr.clone(),
            second_factor_acr: self.second_factor.acr.clone(),
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let named = super::check::is_dns_label(&self.name) && self.name != "local";
        let formed =
            |text: &str| (1..=512).contains(&text.len()) && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if !named {
            return Err("'name' must be a DNS label, such as 'corp', and not 'local'");
        }
        if !formed(&self.issuer) || !formed(&self.client_id) {
            return Err("'issuer' and 'client_id' are needed, 512 characters at most and without spaces");
        }
        if !self.scopes.iter().any(|scope| scope == "openid") || !self.scopes.iter().all(|scope| formed(scope)) {
            return Err("'scopes' must hold 'openid', and no scope a space");
        }
        if self.groups.values().flatten().any(|group| parse_name(group).is_err()) {
            return Err(
                "'groups' must lead to names that a group can have: letters, digits, '.', '_', '@', '+' and '-'",
            );
        }
        if RedirectRules::new(&self.redirects, self.loopback).is_err() {
            return Err("'redirects' must hold absolute https:// addresses without user, password and fragment");
        }
        let logout = self.logout_redirect.clone().into_iter().collect::<Vec<_>>();
        if RedirectRules::new(&logout, false).is_err() {
            return Err("'logout_redirect' must be an absolute https:// address without user, password and fragment");
        }
        if self.redirects.is_empty() && !self.loopback {
            return Err("'redirects' is empty and 'loopback' off, so nobody could log in; allow one of them");
        }
        Ok(())
    }
}

/// What is wrong with the settings of single sign-on, each with its key.
pub(super) fn problems(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let providers = &settings.auth.sso.providers;
    let url = settings.http.public_url.as_deref();
    if let Some(url) = url {
        let sound = RedirectRules::new(&[url.to_owned()], false).is_ok() && !url.ends_with('/') && !url.contains('?');
        if !sound {
            let problem = "must be an https:// address without a slash at its end, such as https://vault.example.org";
            problems.push(("http.public_url", problem.to_owned()));
        }
    } else if !providers.is_empty() {
        let problem = "is needed for single sign-on: providers send browsers back to it";
        problems.push(("http.public_url", problem.to_owned()));
    }
    if providers.len() > MAX_PROVIDERS {
        problems.push(("auth.sso.providers", format!("holds more than {MAX_PROVIDERS}")));
    }
    let mut names = BTreeSet::new();
    for provider in providers {
        let again = (!names.insert(&provider.name)).then_some("there are two of this name");
        if let Some(problem) = provider.check().err().or(again) {
            problems.push(("auth.sso.providers", format!("provider '{}': {problem}", provider.name)));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> SsoProvider {
        SsoProvider {
            name: "corp".to_owned(),
            issuer: "https://id.example.org".to_owned(),
            client_id: "vault".to_owned(),
            ..SsoProvider::default()
        }
    }

    fn of(public_url: Option<&str>, providers: Vec<SsoProvider>) -> Vec<(&'static str, String)> {
        let mut settings = Settings::default();
        settings.http.public_url = public_url.map(str::to_owned);
        settings.auth.sso.providers = providers;
        problems(&settings)
    }

    #[test]
    fn a_provider_needs_little() {
        assert_eq!(of(Some("https://vault.example.org"), vec![provider()]), []);
        assert_eq!(of(None, Vec::new()), []);
        assert_eq!(of(None, vec![provider()])[0].0, "http.public_url");
        for url in [
            "https://vault.example.org/",
            "http://vault.example.org",
            "vault.example.org",
            "https://v.example.org/?x",
        ] {
            assert_eq!(of(Some(url), Vec::new())[0].0, "http.public_url", "{url}");
        }
    }

    #[test]
    fn what_cannot_work_is_told_with_the_providers_name() {
        let changes: [fn(&mut SsoProvider); 8] = [
            |provider| provider.name = "local".to_owned(),
            |provider| provider.name = "a/b".to_owned(),
            |provider| provider.client_id = String::new(),
            |provider| provider.scopes = vec!["profile".to_owned()],
            |provider| provider.redirects = vec!["http://ui.example.org/".to_owned()],
            |provider| provider.logout_redirect = Some("javascript:x".to_owned()),
            |provider| provider.loopback = false,
            |provider| provider.groups = BTreeMap::from([("x".to_owned(), vec!["a/b".to_owned()])]),
        ];
        for change in changes {
            let mut provider = provider();
            change(&mut provider);
            let found = of(Some("https://vault.example.org"), vec![provider.clone()]);
            assert_eq!(found.len(), 1, "{provider:?}");
            assert!(
                found[0].1.starts_with(&format!("provider '{}'", provider.name)),
                "{found:?}"
            );
        }
        let twice = of(Some("https://vault.example.org"), vec![provider(), provider()]);
        assert_eq!(
            twice,
            [(
                "auth.sso.providers",
                "provider 'corp': there are two of this name".to_owned()
            )]
        );
    }
}
