//! Settings of the listeners: `http` and `metrics`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ByteSize, HumanDuration};
use crate::domain::limits::MAX_BODY_BYTES;

/// The API's listener.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port of the API.
    #[schemars(extend("format" = "address"))]
    pub listen: SocketAddr,
    /// The address under which browsers reach the API, `https://…` without a slash at its end; for single sign-on and letting devices in.
    pub public_url: Option<String>,
    /// Certificate and key; with them the API speaks TLS only. Both files are read again when they change.
    pub tls: Tls,
    /// Serve without TLS on an address that others can reach: behind a proxy, or in a mesh that encrypts. Without it and without a
    /// certificate, an address other than loopback is refused.
    pub plaintext: bool,
    /// Largest request body: 64KiB to 12MiB. A record is never larger than 1 MiB.
    pub body_limit: ByteSize,
    /// Longest time for a request: 1s to 5m.
    pub request_timeout: HumanDuration,
    /// Longest time for a client to send the headers of its first request: 1s to 1m.
    pub header_timeout: HumanDuration,
    /// Longest time that a connection waits for its next request, headers included: 1s to 10m. Longer than load balancers and clients keep
    /// theirs, so that none sends into a connection that is being closed.
    pub idle_timeout: HumanDuration,
    /// Most open connections, 1 to 100000; more are closed at once.
    pub max_connections: u32,
    /// How long running requests may take after a signal to stop: 0s to 10m.
    pub drain_timeout: HumanDuration,
    /// Networks (CIDR) of proxies whose `X-Forwarded-For` is believed, for the client's address in the audit log and in rate limits.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// Origins of web pages that may call the API from browsers, such as `https://console.example.org`; `http` for this machine only, and
    /// never `*`. Cookies are never allowed.
    pub cors_origins: Vec<String>,
    /// How often clients may ask, in each process. Beyond it: 429 `RateLimited` with `Retry-After`, before the body is read. 0 to 1000000
    /// each; no bound while `per_second` is 0.
    pub rate_limits: RateLimits,
}

/// How often clients may ask, in each process.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Of one client address (of IPv6, its /64): logins, and whatever else changes something without a token.
    pub login: Rate,
    /// Requests of one client address.
    pub address: Rate,
    /// Requests with one token, counted before it is verified.
    pub token: Rate,
    /// Requests of one account, whichever of its tokens and keys it uses.
    pub account: Rate,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            login: Rate {
                per_second: 20,
                burst: 200,
            },
            address: Rate::default(),
            token: Rate::default(),
            account: Rate::default(),
        }
    }
}

/// A rate and a burst; no bound while `per_second` is 0.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// Requests earned back in a second.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8200)),
            public_url: None,
            tls: Tls::default(),
            plaintext: false,
            body_limit: ByteSize::bytes(MAX_BODY_BYTES as u64),
            request_timeout: HumanDuration::from_secs(30),
            header_timeout: HumanDuration::from_secs(10),
            idle_timeout: HumanDuration::from_secs(120),
            max_connections: 4096,
            drain_timeout: HumanDuration::from_secs(20),
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            rate_limits: RateLimits::default(),
        }
    }
}

/// A certificate and its key. Both files are read again when they change.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM: the certificate, then its chain.
    pub cert_file: Option<PathBuf>,
    /// PEM: the private key.
    pub key_file: Option<PathBuf>,
}

/// The listener of the API's metrics, which also answers `/livez` and `/readyz`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Address and port. It must differ from `http.listen`.
    #[schemars(extend("format" = "address"))]
    pub listen: SocketAddr,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9200)),
        }
    }
}
