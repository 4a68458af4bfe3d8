//! From file, environment and flags to checked settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::layers::{Layers, Origin, Overrides};
use super::{Dsn, Settings, SettingsError};

/// Read if it exists and no other file is named.
pub const DEFAULT_FILE: &str = "/etc/aether-vault/config.yaml";

/// Settings, and where each was set.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    pub(super) origins: BTreeMap<String, Origin>,
}

impl Settings {
    /// Loads settings: defaults, then `file` (or [`DEFAULT_FILE`] if there is one), then the environment, then flags.
    ///
    /// # Errors
    /// [`SettingsError`] with every problem found.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Loaded, SettingsError> {
        Self::load_from(file, std::env::vars_os(), overrides)
    }

    pub(super) fn load_from(
        file: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
        overrides: Overrides,
    ) -> Result<Loaded, SettingsError> {
        let defaults = serde_json::to_value(Self::default()).map_err(|error| SettingsError::new(error.to_string()))?;
        let mut layers = Layers::new(defaults);
        if let Some((path, document)) = read_file(file)? {
            layers.document(document, &Origin::File(path));
        }
        layers.environment(environment)?;
        layers.flags(overrides);
        let (values, origins) = layers.finish();
        let settings: Self = serde_path_to_error::deserialize(values).map_err(|error| misfit(&error, &origins))?;
        let mut loaded = Loaded { settings, origins };
        loaded.read_url_files()?;
        loaded
            .settings
            .check()
            .map_err(|problems| loaded.with_origins(problems))?;
        Ok(loaded)
    }
}

impl Loaded {
    /// Where a setting was set.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    fn read_url_files(&mut self) -> Result<(), SettingsError> {
        let database = &mut self.settings.database;
        for (key, url, file) in [
            ("database.url", &mut database.url, &database.url_file),
            ("database.owner_url", &mut database.owner_url, &database.owner_url_file),
            (
                "database.listen_url",
                &mut database.listen_url,
                &database.listen_url_file,
            ),
        ] {
            let Some(file) = file else { continue };
            if url.is_some() {
                return Err(SettingsError::new(format!(
                    "{key} and {key}_file are both set; remove one of them"
                )));
            }
            let text = std::fs::read_to_string(file)
                .map_err(|error| SettingsError::new(format!("{key}_file: cannot read {}: {error}", file.display())))?;
            let dsn = Dsn::parse(&text)
                .map_err(|error| SettingsError::new(format!("{key}_file: {}: {error}", file.display())))?;
            *url = Some(dsn);
            self.origins.insert(key.to_owned(), Origin::Referenced(file.clone()));
        }
        Ok(())
    }

    fn with_origins(&self, problems: Vec<(&'static str, String)>) -> SettingsError {
        SettingsError(
            problems
                .into_iter()
                .map(|(key, problem)| format!("{key} ({}): {problem}", self.origin(key)))
                .collect(),
        )
    }
}

fn read_file(file: Option<&Path>) -> Result<Option<(PathBuf, serde_json::Value)>, SettingsError> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && file.is_none() => return Ok(None),
        Err(error) => {
            return Err(SettingsError::new(format!(
                "cannot read the settings file {}: {error}; name another one with --config",
                path.display()
            )));
        }
    };
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(None);
    }
    // The parser's own message may quote the file, and the file may hold a password.
    let document: serde_json::Value = serde_yaml::from_str(&text).map_err(|error| {
        let place = error
            .location()
            .map(|at| format!(" at line {}, column {}", at.line(), at.column()))
            .unwrap_or_default();
        SettingsError::new(format!(
            "{} is not valid YAML{place}; keys must be unique and indentation even",
            path.display()
        ))
    })?;
    if !document.is_object() {
        return Err(SettingsError::new(format!(
            "{} must hold sections, such as 'http:'",
            path.display()
        )));
    }
    Ok(Some((path.to_owned(), document)))
}

fn misfit(error: &serde_path_to_error::Error<serde_json::Error>, origins: &BTreeMap<String, Origin>) -> SettingsError {
    let path = error.path().to_string();
    let origin = origins
        .iter()
        .find(|(key, _)| {
            **key == path
                || key
                    .strip_prefix(path.as_str())
                    .is_some_and(|rest| rest.starts_with('.'))
        })
        .map(|(_, origin)| format!(" ({origin})"))
        .unwrap_or_default();
    SettingsError::new(format!("{path}{origin}: {}", error.inner()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(yaml: &str, environment: &[(&str, &str)], sets: &[&str]) -> Result<Loaded, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, yaml).unwrap();
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let mut overrides = Overrides::default();
        for set in sets {
            overrides.set(set).map_err(|error| error.to_string())?;
        }
        Settings::load_from(Some(&file), environment, overrides)
            .map_err(|error| error.to_string().replace(file.to_str().unwrap(), "FILE"))
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let yaml = "http:\n  listen: 127.0.0.1:1\n  max_connections: 10\n  body_limit: 1MiB\ncache:\n";
        let environment = [
            ("AETHER_VAULT__HTTP__LISTEN", "127.0.0.1:2"),
            ("AETHER_VAULT__HTTP__MAX_CONNECTIONS", "20"),
            ("HOME", "/"),
        ];
        let loaded = load(yaml, &environment, &["http.listen=127.0.0.1:3"]).unwrap();
        assert_eq!(loaded.settings.http.listen.port(), 3);
        assert_eq!(loaded.settings.http.max_connections, 20);
        assert_eq!(loaded.settings.http.body_limit, crate::settings::ByteSize::mebibytes(1));
        assert_eq!(loaded.origin("http.listen"), Origin::Flag("--set http.listen".into()));
        assert_eq!(
            loaded.origin("http.max_connections"),
            Origin::Environment("AETHER_VAULT__HTTP__MAX_CONNECTIONS".into())
        );
        assert!(matches!(loaded.origin("http.body_limit"), Origin::File(_)));
        assert_eq!(loaded.origin("http.request_timeout"), Origin::Default);
    }

    #[test]
    fn lists_and_flags_are_read_from_text() {
        let environment = [
            ("AETHER_VAULT__HTTP__TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8"),
            ("AETHER_VAULT__HTTP__PLAINTEXT", "true"),
        ];
        let loaded = load("", &environment, &[]).unwrap();
        assert_eq!(loaded.settings.http.trusted_proxies.len(), 2);
        assert!(loaded.settings.http.plaintext);
    }

    #[test]
    fn a_problem_names_the_setting_and_where_it_was_set() {
        for (yaml, set, message) in [
            ("http: {lisen: 1}", None, "http.lisen (FILE): unknown field `lisen`"),
            (
                "htp: {}\nhttp: {max_connections: many}",
                None,
                "http.max_connections (FILE): invalid type: string \"many\", expected u32",
            ),
            (
                "",
                Some("http.listen=localhost"),
                "http.listen (--set http.listen): invalid socket address",
            ),
            (
                "",
                Some("http.body_limit=12MB"),
                "http.body_limit (--set http.body_limit): write a size",
            ),
            (
                "",
                Some("auth.access_token_ttl=10"),
                "auth.access_token_ttl (--set auth.access_token_ttl): write a duration",
            ),
            (
                "",
                Some("database.pool_max=1"),
                "database.pool_max (--set database.pool_max): must be 2 to 100",
            ),
            (
                "",
                Some("log.format=xml"),
                "log.format (--set log.format): unknown variant `xml`, expected `text` or `json`",
            ),
            ("", Some("nosection"), "--set takes section.key=value"),
            ("a: [", None, "FILE is not valid YAML at line 1"),
            (
                "http: {listen: 127.0.0.1:1, listen: 127.0.0.1:2}",
                None,
                "FILE is not valid YAML at line 1",
            ),
            ("just text", None, "FILE must hold sections"),
        ] {
            let error = load(yaml, &[], set.as_slice()).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn a_url_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "postgres://av:hunter2@localhost/av\n").unwrap();
        let set = format!("database.url_file={}", file.display());
        let loaded = load("", &[], &[&set]).unwrap();
        assert_eq!(
            loaded.settings.database.runtime().unwrap().expose(),
            "postgres://av:hunter2@localhost/av"
        );
        assert_eq!(
            loaded.settings.database.owner().unwrap(),
            loaded.settings.database.runtime().unwrap()
        );
        let error = load("", &[], &[&set, "database.url=postgres://av@localhost/av"]).unwrap_err();
        assert_eq!(
            error,
            "database.url and database.url_file are both set; remove one of them"
        );
    }

    #[test]
    fn r24_no_message_repeats_a_secret() {
        for (yaml, set) in [
            ("database: {url: 'postgres://av:hunter2@db.example/av'}", None),
            ("database: {url: hunter2}", None),
            ("database: {url: [hunter2]}", None),
            ("database: {url: 'hunter2", None),
            ("", Some("database.url=postgres://hunter2")),
        ] {
            let error = load(yaml, &[], set.as_slice()).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn missing_settings_say_how_to_set_them() {
        let loaded = load("", &[], &[]).unwrap();
        assert!(
            loaded
                .settings
                .database
                .runtime()
                .unwrap_err()
                .to_string()
                .contains("AETHER_VAULT__DATABASE__URL")
        );
        assert!(
            loaded
                .settings
                .keys
                .file()
                .unwrap_err()
                .to_string()
                .contains("keys init")
        );
    }
}
