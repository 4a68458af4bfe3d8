//! A provider's metadata (OpenID Connect Discovery 1.0).

use serde::{Deserialize, Deserializer, de};
use url::Url;

use super::fetch::{Fetcher, is_this_machine};
use crate::service::identity_provider::ProviderError;

/// What of the metadata is used.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    #[serde(deserialize_with = "address")]
    pub(super) authorization_endpoint: Url,
    #[serde(deserialize_with = "address")]
    pub(super) token_endpoint: Url,
    #[serde(deserialize_with = "address")]
    pub(super) jwks_uri: Url,
    #[serde(default, deserialize_with = "optional_address")]
    pub(super) userinfo_endpoint: Option<Url>,
    #[serde(default, deserialize_with = "optional_address")]
    pub(super) end_session_endpoint: Option<Url>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// RFC 9207: then an answer without the issuer is refused.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Fetches and checks the metadata of an issuer.
    pub(super) async fn fetch(fetcher: &Fetcher, issuer: &str) -> Result<Self, ProviderError> {
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let unusable = |cause: &str| ProviderError::Unavailable(format!("its metadata: {cause}"));
        let url = Url::parse(&address).map_err(|_| unusable("the issuer is no address"))?;
        let (status, body) = fetcher.send("its metadata", fetcher.get(&url)).await?;
        if !status.is_success() {
            return Err(unusable(&format!("answered {status}")));
        }
        let metadata: Self = serde_json::from_value(body).map_err(|_| unusable("not those of an OpenID provider"))?;
        metadata.check(issuer).map_err(unusable)?;
        Ok(metadata)
    }

    /// Another issuer in its own metadata, or an endpoint that secrets would reach in clear, is refused.
    fn check(&self, issuer: &str) -> Result<(), &'static str> {
        if self.issuer != issuer {
            return Err("they are of another issuer than the settings name; both must be the same to the letter");
        }
        let local = Url::parse(issuer).is_ok_and(|issuer| issuer.scheme() == "http" && is_this_machine(&issuer));
        let endpoints = [
            Some(&self.authorization_endpoint),
            Some(&self.token_endpoint),
            Some(&self.jwks_uri),
            self.userinfo_endpoint.as_ref(),
            self.end_session_endpoint.as_ref(),
        ];
        let safe = |url: &&Url| url.scheme() == "https" || (local && url.scheme() == "http" && is_this_machine(url));
        if endpoints.iter().flatten().all(safe) {
            Ok(())
        } else {
            Err("an endpoint is not https://")
        }
    }

    /// Whether the client's secret goes into the body; into the Authorization header where the provider takes that (RFC 6749, section
    /// 2.3.1, prefers it).
    pub(super) fn secret_in_body(&self) -> bool {
        let Some(methods) = &self.token_endpoint_auth_methods_supported else {
            return false;
        };
        let takes = |name: &str| methods.iter().any(|method| method == name);
        !takes("client_secret_basic") && takes("client_secret_post")
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    Url::parse(&text).map_err(|_| de::Error::custom("not an address"))
}

fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let parsed = text.map(|text| Url::parse(&text)).transpose();
    parsed.map_err(|_| de::Error::custom("not an address"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://id.example.org";

    fn check(issuer: &str, change: impl FnOnce(&mut Value)) -> Result<(), &'static str> {
        let mut metadata = json!({"issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"), "jwks_uri": format!("{issuer}/jwks"),
            "token_endpoint": format!("{issuer}/token")});
        change(&mut metadata);
        serde_json::from_value::<Metadata>(metadata).unwrap().check(issuer)
    }

    #[test]
    fn r12_metadata_of_another_issuer_are_refused() {
        assert!(check(ISSUER, |_| {}).is_ok());
        for other in [
            "https://evil.example",
            "https://id.example.org/",
            "https://ID.example.org",
        ] {
            assert!(
                check(ISSUER, |metadata| metadata["issuer"] = json!(other)).is_err(),
                "{other}"
            );
        }
    }

    #[test]
    fn r13_nothing_travels_in_clear_but_on_this_machine() {
        for name in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
            "end_session_endpoint",
        ] {
            assert!(
                check(ISSUER, |metadata| metadata[name] = json!("http://id.example.org/x")).is_err(),
                "{name}"
            );
            assert!(
                check(ISSUER, |metadata| metadata[name] = json!("http://127.0.0.1/x")).is_err(),
                "{name}"
            );
            let local = "http://127.0.0.1:4711";
            assert!(
                check(local, |metadata| metadata[name] = json!("http://id.example.org/x")).is_err(),
                "{name}"
            );
        }
        assert!(check("http://127.0.0.1:4711", |_| {}).is_ok());
    }

    #[test]
    fn the_secret_goes_where_the_provider_takes_it() {
        let metadata = |methods: Value| {
            let mut metadata = json!({"issuer": ISSUER, "authorization_endpoint": ISSUER, "jwks_uri": ISSUER, "token_endpoint": ISSUER});
            metadata["token_endpoint_auth_methods_supported"] = methods;
            serde_json::from_value::<Metadata>(metadata).unwrap()
        };
        assert!(!metadata(json!(null)).secret_in_body());
        assert!(!metadata(json!(["client_secret_post", "client_secret_basic"])).secret_in_body());
        assert!(metadata(json!(["client_secret_post"])).secret_in_body());
    }
}
