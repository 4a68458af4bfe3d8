//! The installation that `hack/bench` made: settings, root key, migrated database, an administrator's token. Starts its processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::Outcome;
use crate::process::Server;

/// How long a process may take until it serves.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The database of the installation.
const DATABASE: &str = "aether_vault";

/// Where everything is.
pub(crate) struct Installation {
    /// Its folder: `config.yaml`, `ports`, `token`, `postgres/`, `logs/`, `run/`, `image.tar`.
    pub(crate) dir: PathBuf,
    binary: PathBuf,
    http: reqwest::Client,
}

impl Installation {
    /// Takes the folder; reads nothing yet, since not every figure needs every part.
    pub(crate) fn new(dir: PathBuf, binary: PathBuf) -> Outcome<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { dir, binary, http })
    }

    /// Starts the API and waits until it is ready.
    pub(crate) async fn start_api(&self) -> Outcome<Server> {
        self.start_api_with(&[]).await
    }

    /// The same with variables of its environment.
    pub(crate) async fn start_api_with(&self, variables: &[(&str, &str)]) -> Outcome<Server> {
        let mut api = self.start("api", None, variables)?;
        let url = format!("{}/readyz", self.address("api")?);
        self.serving(&mut api, async || {
            Ok(self.http.get(&url).send().await?.status().is_success())
        })
        .await?;
        Ok(api)
    }

    /// Starts the controller, as the user of this kubeconfig. It is not waited for.
    pub(crate) fn start_controller(&self, kubeconfig: &Path) -> Outcome<Server> {
        self.start("controller", Some(kubeconfig), &[])
    }

    /// Waits until the controller leads.
    pub(crate) async fn leading(&self, controller: &mut Server) -> Outcome<()> {
        self.serving(controller, async || {
            Ok(self
                .metric("controller-metrics", "aether_vault_controller_leader")
                .await?
                > 0.0)
        })
        .await
    }

    /// Waits until the controller has compared everything with the vault since it leads; answers when that was.
    pub(crate) async fn compared(&self, controller: &mut Server) -> Outcome<Instant> {
        self.serving(controller, async || {
            Ok(self
                .metric("controller-metrics", "aether_vault_controller_caught_up")
                .await?
                > 0.0)
        })
        .await?;
        Ok(Instant::now())
    }

    /// Writes a record with one key, `value`, and answers when the answer's status was known: a success.
    pub(crate) async fn put(&self, path: &str, value: &str) -> Outcome<Instant> {
        let body = serde_json::json!({ "data": { "value": value } });
        let request = self
            .http
            .put(self.record_url(path)?)
            .bearer_auth(self.token()?)
            .json(&body);
        let response = request.send().await?;
        let answered = Instant::now();
        if !response.status().is_success() {
            return Err(format!(
                "PUT was answered with {}: {}",
                response.status(),
                response.text().await?
            )
            .into());
        }
        Ok(answered)
    }

    /// Reads the key `value` of a record.
    pub(crate) async fn get(&self, path: &str) -> Outcome<String> {
        let request = self.http.get(self.record_url(path)?).bearer_auth(self.token()?);
        let record: serde_json::Value = request.send().await?.error_for_status()?.json().await?;
        Ok(record["data"]["value"]
            .as_str()
            .ok_or("the record has no text under 'value'")?
            .to_owned())
    }

    /// The sum over all labels of a metric that a process of ours exposes; 0 while it has none.
    pub(crate) async fn metric(&self, port: &str, name: &str) -> Outcome<f64> {
        let text = self
            .http
            .get(format!("{}/metrics", self.address(port)?))
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?;
        Ok(sum_of(&text, name, |_| true))
    }

    /// `http://127.0.0.1:PORT` of a named port.
    pub(crate) fn address(&self, port: &str) -> Outcome<String> {
        let ports = fs::read_to_string(self.dir.join("ports"))?;
        let number = ports
            .lines()
            .find_map(|line| line.strip_prefix(port)?.strip_prefix('='));
        Ok(format!(
            "http://127.0.0.1:{}",
            number.ok_or_else(|| format!("no port '{port}' in {}/ports", self.dir.display()))?
        ))
    }

    /// Connects as superuser (`PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`) to a database of the server.
    pub(crate) async fn connect(&self, database: &str) -> Outcome<PgConnection> {
        Ok(PgConnection::connect_with(&PgConnectOptions::new().database(database)).await?)
    }

    /// How many audit entries there are.
    pub(crate) async fn audit_entries(&self) -> Outcome<u64> {
        let mut database = self.connect(DATABASE).await?;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_entries")
            .fetch_one(&mut database)
            .await?;
        database.close().await?;
        Ok(u64::try_from(count)?)
    }

    /// The process id of the Postgres server.
    pub(crate) fn postgres_pid(&self) -> Outcome<u32> {
        let text = fs::read_to_string(self.dir.join("postgres/postgres.pid"))?;
        Ok(text.split_whitespace().next().unwrap_or_default().parse()?)
    }

    fn start(&self, name: &str, kubeconfig: Option<&Path>, variables: &[(&str, &str)]) -> Outcome<Server> {
        let mut command = Command::new(&self.binary);
        command.arg("--config").arg(self.dir.join("config.yaml")).arg(name);
        // What the benchmark uses to look at the server from outside is not for the process.
        for variable in ["PGHOST", "PGPORT", "PGUSER", "PGPASSWORD"] {
            command.env_remove(variable);
        }
        if let Some(kubeconfig) = kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        command.envs(variables.iter().copied());
        Server::start(name, &self.dir, &mut command)
    }

    async fn serving(&self, server: &mut Server, serves: impl AsyncFn() -> Outcome<bool>) -> Outcome<()> {
        let started = Instant::now();
        loop {
            server.check()?;
            if serves().await.unwrap_or(false) {
                return Ok(());
            }
            if started.elapsed() > START_TIMEOUT {
                return Err(format!(
                    "not ready after {} s: see {}/logs",
                    START_TIMEOUT.as_secs(),
                    self.dir.display()
                )
                .into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn record_url(&self, path: &str) -> Outcome<String> {
        Ok(format!("{}/api/v1/records/{path}", self.address("api")?))
    }

    pub(crate) fn token(&self) -> Outcome<String> {
        Ok(fs::read_to_string(self.dir.join("token"))?.trim().to_owned())
    }
}

/// The sum of a metric's samples, in the Prometheus text format, whose labels are wanted.
pub(crate) fn sum_of(text: &str, name: &str, wanted: impl Fn(&str) -> bool) -> f64 {
    let samples = text.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        let whole_name = labels.is_empty() || labels.starts_with('{');
        (whole_name && wanted(labels)).then(|| value.parse::<f64>().ok())?
    });
    samples.sum()
}
