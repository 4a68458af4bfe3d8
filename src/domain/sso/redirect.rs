//! Where a browser may be sent after a login: to an address of an allow-list, or to a program on the same machine (R12).

use url::{Host, Url};

/// Bytes of an address at most.
const MAX_BYTES: usize = 2048;

/// Addresses that browsers may be sent to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedirectRules {
    targets: Vec<Url>,
    loopback: bool,
}

/// An address that a browser may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectTarget(Url);

/// An address that no browser is sent to. The text does not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an absolute https:// address (http:// on this machine only) without user, password and fragment")]
pub struct RedirectError;

impl RedirectRules {
    /// Rules from the settings: exact addresses, and whether programs on the same machine as the browser may be sent to.
    ///
    /// # Errors
    /// [`RedirectError`].
    pub fn new(targets: &[String], loopback: bool) -> Result<Self, RedirectError> {
        let parse = |target: &String| {
            let url = parse(target).ok_or(RedirectError)?;
            (url.scheme() == "https" || is_loopback(&url))
                .then_some(url)
                .ok_or(RedirectError)
        };
        Ok(Self {
            targets: targets.iter().map(parse).collect::<Result<_, _>>()?,
            loopback,
        })
    }

    /// The address, if a browser may be sent there. It is compared whole, port and query included: a prefix would let `example.org.evil`
    /// or `/open?to=evil` in. Programs on the same machine listen on whichever port is free (RFC 8252, section 7.3), on an address and
    /// not on a name, which others might answer for (section 8.3).
    #[must_use]
    pub fn accept(&self, text: &str) -> Option<RedirectTarget> {
        let url = parse(text)?;
        let listed = self.targets.contains(&url);
        let program = self.loopback
            && url.scheme() == "http"
            && is_address(&url)
            && url.port().is_some()
            && url.query().is_none();
        (listed || program).then_some(RedirectTarget(url))
    }
}

impl RedirectTarget {
    /// An address that was accepted before and kept.
    ///
    /// # Errors
    /// [`RedirectError`] if it is none.
    pub fn stored(text: &str) -> Result<Self, RedirectError> {
        parse(text).map(Self).ok_or(RedirectError)
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The address with a parameter, encoded.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.query_pairs_mut().append_pair(name, value);
        self
    }
}

fn parse(text: &str) -> Option<Url> {
    if text.len() > MAX_BYTES || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "https" | "http") && url.has_host() && plain).then_some(url)
}

fn is_address(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    is_address(url) || url.host_str() == Some("localhost")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(loopback: bool) -> RedirectRules {
        RedirectRules::new(&["https://ui.example.org/done".to_owned()], loopback).unwrap()
    }

    #[test]
    fn r12_only_addresses_of_the_list_are_accepted_and_whole() {
        for (address, accepted) in [
            ("https://ui.example.org/done", true),
            ("https://UI.example.org:443/done", true),
            ("https://ui.example.org/done/", false),
            ("https://ui.example.org/done?to=https://evil.example", false),
            ("https://ui.example.org/", false),
            ("http://ui.example.org/done", false),
            ("https://ui.example.org:8443/done", false),
            ("https://ui.example.org.evil.example/done", false),
            ("https://evil.example/https://ui.example.org/done", false),
            ("https://ui.example.org@evil.example/done", false),
            ("https://ui.example.org\\@evil.example/done", false),
            ("https://ui.example.org/done#x", false),
            ("//ui.example.org/done", false),
            ("/done", false),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("https://ui.example.org/done\n", false),
            ("", false),
        ] {
            assert_eq!(rules(false).accept(address).is_some(), accepted, "{address:?}");
        }
    }

    #[test]
    fn r12_programs_on_the_same_machine_are_accepted_by_address_and_only_if_the_settings_say_so() {
        for (address, accepted) in [
            ("http://127.0.0.1:4711/", true),
            ("http://127.0.0.1:4711/done", true),
            ("http://[::1]:4711/done", true),
            ("http://127.0.0.1/", false),
            ("http://localhost:4711/", false),
            ("http://127.0.0.1.evil.example:4711/", false),
            ("http://127.0.0.1:4711/?to=evil", false),
            ("https://127.0.0.1:4711/", false),
            ("http://192.0.2.1:4711/", false),
            ("http://[::ffff:7f00:1]:4711/", false),
        ] {
            assert_eq!(rules(true).accept(address).is_some(), accepted, "{address:?}");
            assert!(rules(false).accept(address).is_none(), "{address:?}");
        }
    }

    #[test]
    fn what_is_added_is_encoded() {
        let target = RedirectTarget::stored("https://ui.example.org/done?a=b").unwrap();
        let full = target.with("error", "<script>&x=y");
        assert_eq!(
            full.as_str(),
            "https://ui.example.org/done?a=b&error=%3Cscript%3E%26x%3Dy"
        );
    }

    #[test]
    fn a_list_without_encryption_is_refused() {
        for target in ["http://ui.example.org/", "ui.example.org", "ftp://ui.example.org/"] {
            assert_eq!(
                RedirectRules::new(&[target.to_owned()], true),
                Err(RedirectError),
                "{target}"
            );
        }
        assert!(RedirectRules::new(&["http://localhost:3000/done".to_owned()], false).is_ok());
    }

    proptest! {
        #[test]
        fn r12_whatever_is_accepted_leads_to_a_listed_host_or_this_machine(text in "(https?:)?[/\\\\]{0,3}[a-z0-9.:@\\[\\]/?#\\\\-]{0,40}") {
            if let Some(target) = rules(true).accept(&text) {
                let host = Url::parse(target.as_str()).unwrap().host_str().unwrap().to_owned();
                prop_assert!(["ui.example.org", "[::1]"].contains(&host.as_str()) || host.starts_with("127."), "{}", host);
            }
        }
    }
}
