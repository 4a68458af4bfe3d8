//! Bounds of settings (R23), and what must not stand together.

use super::Settings;
use crate::domain::limits::MAX_BODY_BYTES;
use crate::settings::{ByteSize, HumanDuration};

impl Settings {
    /// Checks every bound.
    ///
    /// # Errors
    /// Each setting at fault, with what to do.
    pub(super) fn check(&self) -> Result<(), Vec<(&'static str, String)>> {
        let mut problems = Problems(Vec::new());
        let seconds = HumanDuration::from_secs;
        let (database, http, auth) = (&self.database, &self.http, &self.auth);

        problems.range("database.pool_max", &database.pool_max, &2, &100);
        problems.range(
            "database.acquire_timeout",
            &database.acquire_timeout,
            &HumanDuration::from_millis(100),
            &seconds(60),
        );
        problems.range(
            "database.statement_timeout",
            &database.statement_timeout,
            &seconds(1),
            &seconds(300),
        );

        // A record of the largest size must fit, base64 and escapes included; beyond that a body only costs memory.
        problems.range(
            "http.body_limit",
            &http.body_limit,
            &ByteSize::bytes(64 << 10),
            &ByteSize::bytes(4 * MAX_BODY_BYTES as u64),
        );
        problems.range(
            "http.request_timeout",
            &http.request_timeout,
            &seconds(1),
            &seconds(300),
        );
        problems.range("http.header_timeout", &http.header_timeout, &seconds(1), &seconds(60));
        problems.range("http.idle_timeout", &http.idle_timeout, &seconds(1), &seconds(600));
        problems.range("http.max_connections", &http.max_connections, &1, &100_000);
        problems.range("http.drain_timeout", &http.drain_timeout, &seconds(0), &seconds(600));
        for (key, rate) in [
            ("http.rate_limits.login", &http.rate_limits.login),
            ("http.rate_limits.address", &http.rate_limits.address),
            ("http.rate_limits.token", &http.rate_limits.token),
            ("http.rate_limits.account", &http.rate_limits.account),
        ] {
            problems.range(key, &rate.per_second, &0, &1_000_000);
            problems.range(key, &rate.burst, &0, &1_000_000);
            if rate.per_second > 0 && rate.burst == 0 {
                problems.add(
                    key,
                    "has a rate and no burst, so nothing would be admitted; give burst at least 1",
                );
            }
        }
        match (&http.tls.cert_file, &http.tls.key_file) {
            (Some(_), None) => problems.add("http.tls.key_file", "is missing; a certificate needs its key"),
            (None, Some(_)) => problems.add("http.tls.cert_file", "is missing; a key needs its certificate"),
            (None, None) if !http.listen.ip().is_loopback() && !http.plaintext => problems.add(
                "http.listen",
                "others can reach this address, and tokens and secrets would travel in clear: set http.tls.cert_file and http.tls.key_file, or http.plaintext: true if a proxy or a mesh encrypts",
            ),
            _ => {}
        }
        if http.cors_origins.iter().any(|origin| !is_origin(origin)) {
            problems.add(
                "http.cors_origins",
                "must hold origins as browsers send them, such as https://console.example.org: a scheme and a host, a port if it is not the usual one, no path and no '*'; http only for this machine",
            );
        }
        if http.listen == self.metrics.listen {
            problems.add(
                "metrics.listen",
                "is the API's own address; give the metrics another port",
            );
        }

        problems.range(
            "auth.access_token_ttl",
            &auth.access_token_ttl,
            &seconds(60),
            &seconds(86_400),
        );
        problems.range(
            "auth.session_idle_ttl",
            &auth.session_idle_ttl,
            &seconds(60),
            &seconds(30 * 86_400),
        );
        problems.range(
            "auth.session_ttl",
            &auth.session_ttl,
            &seconds(300),
            &seconds(365 * 86_400),
        );
        if auth.access_token_ttl > auth.session_idle_ttl {
            problems.add(
                "auth.access_token_ttl",
                "is longer than auth.session_idle_ttl: sessions would end before their first token; raise that one, or lower this",
            );
        }
        if auth.session_idle_ttl > auth.session_ttl {
            problems.add(
                "auth.session_idle_ttl",
                "is longer than auth.session_ttl, past which no session goes on; lower it",
            );
        }
        problems.range(
            "auth.signing_key_age",
            &auth.signing_key_age,
            &seconds(86_400),
            &seconds(365 * 86_400),
        );
        let issuer = &auth.second_factor.issuer;
        if issuer.trim().is_empty()
            || issuer.chars().count() > 64
            || issuer.contains(':')
            || issuer.chars().any(char::is_control)
        {
            problems.add(
                "auth.second_factor.issuer",
                "must be 1 to 64 characters on one line, without ':'",
            );
        }
        problems.range(
            "auth.api_key_max_ttl",
            &auth.api_key_max_ttl,
            &seconds(3600),
            &seconds(3650 * 86_400),
        );
        problems.range(
            "records.deleted_retention",
            &self.records.deleted_retention,
            &seconds(3600),
            &seconds(3650 * 86_400),
        );
        problems.range(
            "auth.kubernetes.session_ttl",
            &auth.kubernetes.session_ttl,
            &seconds(60),
            &seconds(3600),
        );
        for (key, text) in [
            ("auth.issuer", &auth.issuer),
            ("auth.audience", &auth.audience),
            ("auth.kubernetes.audience", &auth.kubernetes.audience),
        ] {
            if text.is_empty() || text.len() > 256 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
                problems.add(key, "must be 1 to 256 characters without spaces");
            }
        }
        let passkeys = &auth.passkeys;
        match (&passkeys.rp_id, passkeys.origins.is_empty()) {
            (Some(domain), false) => {
                let below = |origin: &String| {
                    let host = origin
                        .split("://")
                        .nth(1)
                        .and_then(|rest| rest.split(':').next())
                        .unwrap_or_default();
                    host == domain || host.ends_with(&format!(".{domain}"))
                };
                if !domain.split('.').all(is_dns_label) {
                    problems.add("auth.passkeys.rp_id", "must be a domain, such as vault.example.org");
                } else if !passkeys.origins.iter().all(|origin| is_origin(origin) && below(origin)) {
                    problems.add(
                        "auth.passkeys.origins",
                        "must hold origins at the domain 'rp_id' or below it, as browsers send them, such as https://vault.example.org",
                    );
                }
            }
            (Some(_), true) => problems.add(
                "auth.passkeys.origins",
                "is empty; name the origins of the pages that may use passkeys, such as https://vault.example.org",
            ),
            (None, false) => problems.add(
                "auth.passkeys.rp_id",
                "is missing; it is the domain that passkeys are for",
            ),
            (None, true) => {}
        }
        if passkeys.name.is_empty() || passkeys.name.len() > 64 || passkeys.name.chars().any(char::is_control) {
            problems.add("auth.passkeys.name", "must be 1 to 64 characters on one line");
        }
        problems.range("auth.password.min_length", &auth.password.min_length, &8, &64);
        problems.0.extend(super::sso::problems(self));
        let argon2 = &auth.argon2;
        problems.range("auth.argon2.memory_kib", &argon2.memory_kib, &8192, &1_048_576);
        problems.range("auth.argon2.iterations", &argon2.iterations, &1, &20);
        problems.range("auth.argon2.parallelism", &argon2.parallelism, &1, &16);
        problems.range("auth.argon2.concurrency", &argon2.concurrency, &0, &64);
        problems.range("auth.argon2.queue", &argon2.queue, &1, &10_000);
        // OWASP's least: 7 MiB with five passes, 19 MiB with two; between them their product is about the same.
        if u64::from(argon2.memory_kib) * u64::from(argon2.iterations) < 35_000 {
            problems.add(
                "auth.argon2",
                "is too cheap to guess against: memory_kib times iterations must be at least 35000",
            );
        }

        let controller = &self.controller;
        problems.range(
            "controller.lease_duration",
            &controller.lease_duration,
            &seconds(3),
            &seconds(300),
        );
        problems.range("controller.concurrency", &controller.concurrency, &1, &256);
        problems.range(
            "controller.full_check_interval",
            &controller.full_check_interval,
            &seconds(60),
            &seconds(7 * 86_400),
        );
        for (key, name) in [
            ("controller.cluster_prefix", &controller.cluster_prefix),
            ("controller.operator_namespace", &controller.operator_namespace),
            ("controller.lease_name", &controller.lease_name),
        ] {
            if !is_dns_label(name) {
                problems.add(
                    key,
                    "must be a DNS label: up to 63 lower-case letters, digits and '-', such as 'k8s-eu'",
                );
            }
        }
        if !controller.class.is_empty() && !is_dns_label(&controller.class) {
            problems.add("controller.class", "must be empty or a DNS label, such as 'blue'");
        }
        if controller.watch_namespaces.iter().any(|name| !is_dns_label(name)) {
            problems.add("controller.watch_namespaces", "must hold names of namespaces");
        }

        problems.range(
            "cache.max_bytes",
            &self.cache.max_bytes,
            &ByteSize::bytes(0),
            &ByteSize::mebibytes(64 << 10),
        );
        if self.audit.retention_days != 0 {
            problems.range("audit.retention_days", &self.audit.retention_days, &7, &36_500);
        }
        let audit = &self.audit;
        if !audit.verify_every.get().is_zero() {
            problems.range(
                "audit.verify_every",
                &audit.verify_every,
                &seconds(60),
                &seconds(365 * 86_400),
            );
        }
        if audit.syslog.as_deref().is_some_and(|target| !is_syslog(target)) {
            problems.add(
                "audit.syslog",
                "must be udp://HOST:PORT, tcp://HOST:PORT or unix:///PATH",
            );
        }
        match (&audit.webhook.url, &audit.webhook.secret_file) {
            (None, None) => {}
            (Some(url), Some(_)) if is_private_url(url) => {}
            (Some(_), Some(_)) => problems.add(
                "audit.webhook.url",
                "must be https://, or http:// on a loopback address: entries name people and paths",
            ),
            (Some(_), None) => problems.add("audit.webhook.secret_file", "is missing; requests have to be signed"),
            (None, Some(_)) => problems.add("audit.webhook.url", "is missing; the secret is for a webhook"),
        }
        problems.range("traces.sample_one_in", &self.traces.sample_one_in, &1, &1_000_000);
        let endpoint = self.traces.endpoint.as_deref();
        if endpoint.is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            problems.add(
                "traces.endpoint",
                "must be the http:// or https:// URL of an OTLP collector with its path, such as http://otel-collector:4318/v1/traces",
            );
        }
        if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&self.log.filter) {
            problems.add(
                "log.filter",
                &format!("{error}; write a level such as 'info', or 'info,aether_vault::http=debug'"),
            );
        }
        if problems.0.is_empty() { Ok(()) } else { Err(problems.0) }
    }
}

/// An origin as browsers send it (RFC 6454): nothing that matches several, and nothing in clear from another machine.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let (host, port) = match authority.rsplit_once(':').filter(|_| !authority.ends_with(']')) {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let usual = if scheme == "https" { 443 } else { 80 };
    let port_fits = port.is_none_or(|port| {
        !port.starts_with('0')
            && port.bytes().all(|b| b.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port != usual)
    });
    let label = |label: &str| is_dns_label(label);
    let named = host.len() <= 253 && host.split('.').all(label);
    let this_machine = host == "localhost" || host == "127.0.0.1" || host == "[::1]";
    port_fits && (this_machine || named) && (scheme == "https" || scheme == "http" && this_machine)
}

fn is_syslog(target: &str) -> bool {
    let has_port = |address: &str| {
        let port = address
            .rsplit_once(':')
            .map(|(host, port)| (!host.is_empty(), port.parse::<u16>()));
        matches!(port, Some((true, Ok(1..))))
    };
    match target.split_once("://") {
        Some(("udp" | "tcp", address)) => has_port(address),
        Some(("unix", path)) => path.starts_with('/'),
        _ => false,
    }
}

/// Whether nobody on the way can read what is sent there.
fn is_private_url(url: &str) -> bool {
    let host = |rest: &str| rest.split(['/', '?']).next().unwrap_or_default().to_owned();
    match url.split_once("://") {
        Some(("https", rest)) => !host(rest).is_empty(),
        Some(("http", rest)) => {
            let host = host(rest);
            host.parse::<std::net::SocketAddr>()
                .is_ok_and(|address| address.ip().is_loopback())
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
                || host.split(':').next() == Some("localhost")
        }
        _ => false,
    }
}

pub(super) fn is_dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

struct Problems(Vec<(&'static str, String)>);

impl Problems {
    fn add(&mut self, key: &'static str, problem: &str) {
        self.0.push((key, problem.to_owned()));
    }

    fn range<T: PartialOrd + std::fmt::Display>(&mut self, key: &'static str, value: &T, low: &T, high: &T) {
        if value < low || value > high {
            self.0.push((key, format!("must be {low} to {high}, and is {value}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(settings: &Settings) -> Vec<&'static str> {
        settings
            .check()
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    }

    #[test]
    fn the_defaults_are_fine() {
        assert_eq!(keys(&Settings::default()), Vec::<&str>::new());
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let mut settings = Settings::default();
        settings.database.pool_max = 101;
        settings.auth.access_token_ttl = HumanDuration::from_secs(59);
        settings.auth.argon2.memory_kib = 8192;
        settings.log.filter = "nonsense=loud".into();
        assert_eq!(
            keys(&settings),
            [
                "database.pool_max",
                "auth.access_token_ttl",
                "auth.argon2",
                "log.filter"
            ]
        );
    }

    #[test]
    fn origins_are_exact() {
        for origin in [
            "https://console.example.org",
            "https://console.example.org:8443",
            "http://localhost:5173",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
        ] {
            assert!(is_origin(origin), "{origin}");
        }
        for no_origin in [
            "*",
            "null",
            "",
            "https://*.example.org",
            "https://example.org/",
            "https://example.org:443",
            "https://example.org:0443",
            "https://example.org:99999",
            "https://Example.org",
            "https://user@example.org",
            "http://example.org",
            "http://localhost.example.org",
            "ftp://example.org",
            "example.org",
        ] {
            assert!(!is_origin(no_origin), "{no_origin}");
        }
    }

    #[test]
    fn r25_sinks_of_the_audit_log_are_whole_and_private() {
        let mut settings = Settings::default();
        settings.audit.retention_days = 6;
        settings.audit.syslog = Some("syslog.example".into());
        settings.audit.webhook.url = Some("http://siem.example/in".into());
        assert_eq!(
            keys(&settings),
            ["audit.retention_days", "audit.syslog", "audit.webhook.secret_file"]
        );
        settings.audit.webhook.secret_file = Some("secret".into());
        assert_eq!(
            keys(&settings),
            ["audit.retention_days", "audit.syslog", "audit.webhook.url"]
        );
        settings.audit.retention_days = 7;
        for (syslog, url) in [
            ("udp://10.0.0.1:514", "https://siem.example/in"),
            ("tcp://[::1]:601", "http://127.0.0.1:8080/in"),
            ("unix:///dev/log", "http://localhost/in"),
        ] {
            settings.audit.syslog = Some(syslog.into());
            settings.audit.webhook.url = Some(url.into());
            assert_eq!(keys(&settings), Vec::<&str>::new(), "{syslog} {url}");
        }
        for syslog in ["udp://:514", "tcp://host", "tcp://host:0", "unix://dev/log", "host:514"] {
            settings.audit.syslog = Some(syslog.into());
            assert_eq!(keys(&settings), ["audit.syslog"], "{syslog}");
        }
    }

    #[test]
    fn secrets_do_not_travel_in_clear_by_accident() {
        let mut settings = Settings::default();
        settings.http.listen = "0.0.0.0:8200".parse().unwrap();
        assert_eq!(keys(&settings), ["http.listen"]);
        settings.http.plaintext = true;
        assert_eq!(keys(&settings), Vec::<&str>::new());
        settings.http.plaintext = false;
        settings.http.tls.cert_file = Some("tls.crt".into());
        assert_eq!(keys(&settings), ["http.tls.key_file"]);
        settings.http.tls.key_file = Some("tls.key".into());
        assert_eq!(keys(&settings), Vec::<&str>::new());
    }
}
