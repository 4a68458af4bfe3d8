//! Settings that are kept in the database, for they may change while everything runs: a closed list, each with a form of its own.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Characters of a notice.
const MAX_NOTICE_CHARS: usize = 300;
/// Failed logins of unknown senders that one network has written down one by one in a minute, unless set otherwise.
const NOISE_PER_MINUTE: u32 = 60;

/// One of these settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigKey {
    /// Whether the vault is read-only.
    Maintenance,
    /// From how many refusals of unknown senders of one network a minute on one counted entry stands for all.
    AuditNoisePerMinute,
}

impl ConfigKey {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::AuditNoisePerMinute, Self::Maintenance];

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Maintenance => "maintenance",
            Self::AuditNoisePerMinute => "audit.noise_per_minute",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str() == text)
    }
}

/// Whether the vault is read-only, and what clients are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Maintenance {
    /// Whether it is.
    pub read_only: bool,
    /// Why, for those whose requests are refused.
    pub notice: String,
    /// When to try again, in seconds.
    pub retry_after_seconds: u32,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            read_only: false,
            notice: String::new(),
            retry_after_seconds: 60,
        }
    }
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// See [`ConfigKey::Maintenance`].
    pub maintenance: Maintenance,
    /// See [`ConfigKey::AuditNoisePerMinute`].
    pub noise_per_minute: u32,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            maintenance: Maintenance::default(),
            noise_per_minute: NOISE_PER_MINUTE,
        }
    }
}

impl RuntimeConfig {
    /// Puts a value in force.
    ///
    /// # Errors
    /// What the value has to be; nothing changes then.
    pub fn set(&mut self, key: ConfigKey, value: &Value) -> Result<(), &'static str> {
        match key {
            ConfigKey::Maintenance => {
                let wanted = serde_json::from_value::<Maintenance>(value.clone())
                    .ok()
                    .filter(|wanted| {
                        (1..=86_400).contains(&wanted.retry_after_seconds)
                            && wanted.notice.chars().count() <= MAX_NOTICE_CHARS
                            && !wanted.notice.chars().any(char::is_control)
                    });
                self.maintenance = wanted.ok_or(
                    r#"'maintenance' is {"readOnly": true, "notice": "up to 300 characters", "retryAfterSeconds": 1 to 86400}"#,
                )?;
            }
            ConfigKey::AuditNoisePerMinute => {
                let wanted = value.as_u64().filter(|wanted| (1..=100_000).contains(wanted));
                let wanted = wanted.and_then(|wanted| u32::try_from(wanted).ok());
                self.noise_per_minute = wanted.ok_or("'audit.noise_per_minute' is a number from 1 to 100000")?;
            }
        }
        Ok(())
    }

    /// The value of a setting.
    #[must_use]
    pub fn get(&self, key: ConfigKey) -> Value {
        match key {
            ConfigKey::Maintenance => serde_json::json!({
                "readOnly": self.maintenance.read_only,
                "notice": self.maintenance.notice,
                "retryAfterSeconds": self.maintenance.retry_after_seconds,
            }),
            ConfigKey::AuditNoisePerMinute => self.noise_per_minute.into(),
        }
    }

    /// What stored rows put in force. A row that this release cannot read changes nothing; the keys of those are answered, too.
    #[must_use]
    pub fn of_rows(rows: &[(String, Value)]) -> (Self, Vec<String>) {
        let mut config = Self::default();
        let unread = rows.iter().filter(|(key, value)| {
            let set = ConfigKey::parse(key).map(|key| config.set(key, value));
            set != Some(Ok(()))
        });
        let unread = unread.map(|(key, _)| key.clone()).collect();
        (config, unread)
    }
}

/// Whether a request may change something while the vault is read-only: what lets people in and out, and what ends the maintenance. Others
/// that change nothing, though they are sent as if they did, may pass as well.
#[must_use]
pub fn passes_maintenance(method: &str, route: &str) -> bool {
    const PASSING: [&str; 7] = [
        "/api/v1/auth/",
        "/api/v1/system/",
        "/api/v1/policies/explain",
        "/api/v1/policies/preview",
        "/api/v1/batch/read",
        "/api/v1/unwrap/lookup",
        "/.well-known/",
    ];
    matches!(method, "GET" | "HEAD" | "OPTIONS") || PASSING.iter().any(|prefix| route.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn r23_values_are_bounded_and_what_is_refused_changes_nothing() {
        let mut config = RuntimeConfig::default();
        for (key, value) in [
            (ConfigKey::Maintenance, json!({"readOnly": "yes"})),
            (
                ConfigKey::Maintenance,
                json!({"readOnly": true, "notice": "x".repeat(301)}),
            ),
            (ConfigKey::Maintenance, json!({"readOnly": true, "notice": "a\nb"})),
            (
                ConfigKey::Maintenance,
                json!({"readOnly": true, "retryAfterSeconds": 0}),
            ),
            (ConfigKey::Maintenance, json!({"else": 1})),
            (ConfigKey::Maintenance, json!(true)),
            (ConfigKey::AuditNoisePerMinute, json!(0)),
            (ConfigKey::AuditNoisePerMinute, json!(-1)),
            (ConfigKey::AuditNoisePerMinute, json!(1.5)),
            (ConfigKey::AuditNoisePerMinute, json!(100_001)),
        ] {
            assert!(config.set(key, &value).is_err(), "{value}");
        }
        assert_eq!(config, RuntimeConfig::default());
    }

    #[test]
    fn values_come_back_as_they_were_set() {
        let mut config = RuntimeConfig::default();
        for (key, value) in [
            (
                ConfigKey::Maintenance,
                json!({"readOnly": true, "notice": "moving house", "retryAfterSeconds": 300}),
            ),
            (ConfigKey::AuditNoisePerMinute, json!(5)),
        ] {
            config.set(key, &value).unwrap();
            assert_eq!(config.get(key), value);
            assert_eq!(ConfigKey::parse(key.as_str()), Some(key));
        }
    }

    #[test]
    fn rows_of_another_release_change_nothing() {
        let rows = [
            ("audit.noise_per_minute".to_owned(), json!(7)),
            ("maintenance".to_owned(), json!("later")),
            ("of.tomorrow".to_owned(), json!(1)),
        ];
        let (config, unread) = RuntimeConfig::of_rows(&rows);
        assert_eq!((config.noise_per_minute, config.maintenance.read_only), (7, false));
        assert_eq!(unread, ["maintenance", "of.tomorrow"]);
    }

    #[test]
    fn maintenance_refuses_what_changes_anything_but_the_way_out() {
        for (method, route, passes) in [
            ("GET", "/api/v1/records/{*path}", true),
            ("PUT", "/api/v1/records/{*path}", false),
            ("DELETE", "/api/v1/users/{id}", false),
            ("POST", "/api/v1/policies/explain", true),
            ("PUT", "/api/v1/policies/{*name}", false),
            ("POST", "/api/v1/auth/login", true),
            ("PUT", "/api/v1/system/config/{key}", true),
            ("POST", "/api/v1/anything-new", false),
        ] {
            assert_eq!(passes_maintenance(method, route), passes, "{method} {route}");
        }
    }
}
