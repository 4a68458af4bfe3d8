//! The real binary as processes of its own: an installation in a folder, with an API and a controller that a test may stop and kill.
//!
//! Each installation listens on loopback addresses of its own (127.x.y.z), so that fixed ports never meet those of another test and a
//! restarted process finds its port free.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use aether_vault::crypto::provider::generate_file;
use tempfile::TempDir;

use super::client::Client;

/// The program under test.
const BINARY: &str = env!("CARGO_BIN_EXE_aether-vault");
/// Long enough for a loaded machine; a process that needs it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

const API_PORT: u16 = 8200;
const API_METRICS_PORT: u16 = 9200;
const CONTROLLER_METRICS_PORT: u16 = 9300;

/// The password that the first administrator has once somebody logged in.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// Settings, root key and addresses of one vault, as an operator would lay them out.
pub struct Installation {
    folder: TempDir,
    address: Ipv4Addr,
    settings: Vec<(String, String)>,
    kubeconfig: Option<PathBuf>,
}

impl Installation {
    /// Lays out an installation on a database that has a schema already, or gets one by [`Installation::migrate`].
    pub fn new(runtime_dsn: &str, owner_dsn: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        generate_file(&folder.path().join("root.key")).unwrap();
        let address = own_loopback_address();
        let settings = [
            ("database.url", runtime_dsn.to_owned()),
            ("database.owner_url", owner_dsn.to_owned()),
            ("keys.file", path("root.key")),
            ("http.listen", format!("{address}:{API_PORT}")),
            ("metrics.listen", format!("{address}:{API_METRICS_PORT}")),
            ("auth.access_token_ttl", "1h".to_owned()),
            ("bootstrap.credential_file", path("admin-credential")),
        ];
        let settings = settings
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let installation = Self {
            folder,
            address,
            settings,
            kubeconfig: None,
        };
        installation.write_settings();
        installation
    }

    /// An installation of the same vault on addresses of its own: same database, same root key, its own settings and log.
    pub fn beside(&self) -> Self {
        let mut other = Self {
            folder: tempfile::tempdir().unwrap(),
            address: own_loopback_address(),
            settings: self.settings.clone(),
            kubeconfig: self.kubeconfig.clone(),
        };
        other.set("http.listen", &format!("{}:{API_PORT}", other.address));
        other.set("metrics.listen", &format!("{}:{API_METRICS_PORT}", other.address));
        other
    }

    /// Sets `section.key` for processes that start from now on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_owned()));
        self.write_settings();
    }

    /// Gives controllers that start from now on this kubeconfig.
    pub fn use_cluster(&mut self, kubeconfig: &Path) {
        self.kubeconfig = Some(kubeconfig.to_owned());
        self.set(
            "controller.metrics_listen",
            &format!("{}:{CONTROLLER_METRICS_PORT}", self.address),
        );
    }

    /// The folder with settings, root key, credential and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the API listens.
    pub fn api_address(&self) -> SocketAddr {
        SocketAddr::from((self.address, API_PORT))
    }

    /// What `/metrics` of a process says.
    pub async fn metrics(&self, process: &Process) -> String {
        reqwest::get(format!("http://{}/metrics", process.operations))
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    /// Makes the schema, as an operator would.
    pub fn migrate(&self) {
        let output = self.run(&["migrate"]);
        assert!(
            output.status.success(),
            "migrate failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Runs a command of the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Starts a command of the program that a test talks to while it runs.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        self.command()
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Starts the API and waits until it is ready.
    pub async fn api(&self) -> Process {
        let mut process = self.spawn("api", API_METRICS_PORT);
        process.wait_until_ready().await;
        process
    }

    /// Starts the controller and waits until it is ready.
    pub async fn controller(&self) -> Process {
        let mut process = self.spawn("controller", CONTROLLER_METRICS_PORT);
        process.wait_until_ready().await;
        process
    }

    /// Starts a killed or stopped process again, at the same addresses; does not wait.
    pub fn start_again(&self, process: &mut Process) {
        assert!(process.child.is_none(), "{} runs already", process.name);
        process.child = Some(self.start(process.name, &process.log));
    }

    /// A client without a token.
    pub fn client(&self) -> Client {
        Client::new(self.api_address())
    }

    /// A client with an administrator's token. The first log-in replaces the one-time password.
    pub async fn administrator(&self) -> Client {
        let credential = self.folder.path().join("admin-credential");
        let client = self.client();
        let Ok(one_time) = std::fs::read_to_string(&credential) else {
            return client.log_in("admin", ADMIN_PASSWORD, None).await;
        };
        let client = client.log_in("admin", one_time.trim(), Some(ADMIN_PASSWORD)).await;
        std::fs::remove_file(credential).unwrap();
        client
    }

    fn spawn(&self, name: &'static str, operations_port: u16) -> Process {
        let log = self.folder.path().join(format!("{name}.log"));
        let child = Some(self.start(name, &log));
        Process {
            name,
            child,
            log,
            operations: SocketAddr::from((self.address, operations_port)),
        }
    }

    fn start(&self, name: &str, log: &Path) -> Child {
        let log = append(log);
        self.command()
            .arg(name)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        // Nothing of the developer's environment may decide what a test sees.
        command.env_clear().env("HOME", self.folder.path());
        command.arg("--config").arg(self.folder.path().join("config.yaml"));
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        command
    }

    fn write_settings(&self) {
        let mut document = serde_json::json!({});
        for (key, value) in &self.settings {
            let place = key.split('.').fold(&mut document, |at, part| &mut at[part]);
            *place = serde_json::from_str(value).unwrap_or_else(|_| value.as_str().into());
        }
        // JSON is YAML.
        std::fs::write(self.folder.path().join("config.yaml"), document.to_string()).unwrap();
    }
}

/// A running, killed or stopped process. Dropping it kills it.
pub struct Process {
    name: &'static str,
    child: Option<Child>,
    log: PathBuf,
    operations: SocketAddr,
}

impl Process {
    /// SIGKILL, at once.
    pub fn kill(&mut self) {
        let mut child = self
            .child
            .take()
            .unwrap_or_else(|| panic!("{} does not run", self.name));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGSTOP: it stands still, and keeps its connections.
    pub fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// SIGCONT: it goes on as if nothing had been.
    pub fn resume(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let child = self
            .child
            .as_ref()
            .unwrap_or_else(|| panic!("{} does not run", self.name));
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
    }

    /// SIGTERM, and the drain. Panics unless the process ends well.
    pub async fn stop(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        let mut child = self.child.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(
                    status.success(),
                    "{} ended badly: {status}\n{}",
                    self.name,
                    self.log_tail()
                );
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{} does not stop:\n{}",
                self.name,
                self.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Panics if the process ended by itself.
    pub fn assert_running(&mut self) {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
        assert!(
            ended.is_none(),
            "{} ended by itself: {}\n{}",
            self.name,
            ended.unwrap(),
            self.log_tail()
        );
    }

    /// Waits for `/readyz`.
    pub async fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_ready().await {
            self.assert_running();
            assert!(
                Instant::now() < deadline,
                "{} is not ready:\n{}",
                self.name,
                self.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether `/readyz` says so.
    pub async fn is_ready(&self) -> bool {
        let answer = reqwest::get(format!("http://{}/readyz", self.operations)).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Everything that it wrote since its first start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The last lines of it.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// An address of 127.0.0.0/8 that no other installation on this machine is likely to have.
fn own_loopback_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id();
    let octet = |number: u32| u8::try_from(number).unwrap();
    Ipv4Addr::new(
        127,
        octet(64 + process / 256 % 128),
        octet(process % 256),
        COUNT.fetch_add(1, Ordering::SeqCst),
    )
}
