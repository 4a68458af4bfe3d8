//! A Postgres and a Kubernetes control plane that belong to one test alone, for tests that kill them or read their files.
//!
//! Both are brought up by the scripts under `hack` and taken down when the test ends.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A Postgres of the test's own, durable as in production.
pub struct OwnPostgres {
    folder: TempDir,
    clock_ahead: Option<u64>,
}

impl OwnPostgres {
    /// Starts it, with an empty database of the owner role.
    pub fn up() -> Self {
        Self::start_with(None)
    }

    /// The same with a clock that runs so many seconds ahead of everybody else's.
    pub fn up_ahead(seconds: u64) -> Self {
        Self::start_with(Some(seconds))
    }

    /// Whether a server's clock can be made to run ahead here.
    pub fn can_run_ahead() -> bool {
        let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        folders
            .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
            .any(|library| library.exists())
    }

    fn start_with(clock_ahead: Option<u64>) -> Self {
        let server = Self {
            folder: passable_folder(),
            clock_ahead,
        };
        server.hack(&["up"]);
        server
    }

    /// The DSN of a role: `runtime`, `owner` or `superuser`; the superuser's is for the same database.
    pub fn dsn(&self, role: &str) -> String {
        let dsn = self.hack(&["url", role]).trim().to_owned();
        match dsn.strip_suffix("/postgres") {
            Some(server) => format!("{server}/aether_vault"),
            None => dsn,
        }
    }

    /// SIGKILL to the server and its children.
    pub fn kill(&self) {
        self.hack(&["kill"]);
    }

    /// Starts it after a kill, and waits for its recovery.
    pub fn start(&self) {
        self.hack(&["start"]);
    }

    /// A standby that follows it, as a copy of its own.
    pub fn standby(&self) -> Self {
        let standby = Self {
            folder: passable_folder(),
            clock_ahead: None,
        };
        let primary = self.folder.path().join("postgres");
        standby.hack(&["standby", primary.to_str().unwrap()]);
        standby
    }

    /// Makes a standby the server that takes writes.
    pub fn promote(&self) {
        self.hack(&["promote"]);
    }

    /// The data folder: tables, WAL.
    pub fn data_folder(&self) -> PathBuf {
        let state = std::fs::read_to_string(self.folder.path().join("postgres/state")).unwrap();
        state
            .lines()
            .find_map(|line| line.strip_prefix("DATA="))
            .unwrap()
            .into()
    }

    /// The server's log.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("postgres/log")
    }

    fn hack(&self, arguments: &[&str]) -> String {
        let ahead = self
            .clock_ahead
            .map(|seconds| ("POSTGRES_CLOCK_AHEAD", seconds.to_string()));
        hack("postgres", arguments, &self.folder.path().join("postgres"), ahead)
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        self.hack(&["down"]);
    }
}

/// A control plane of the test's own.
pub struct OwnCluster {
    folder: TempDir,
}

impl OwnCluster {
    /// Whether the binaries of the control plane are there or can be built.
    pub fn can_be_made() -> bool {
        // Builds nothing where everything is built, and fails at once without Go.
        let build = Command::new(project("hack/cluster"))
            .arg("build")
            .stdin(Stdio::null())
            .output();
        build.is_ok_and(|output| output.status.success())
    }

    /// Starts it.
    pub fn up() -> Self {
        let cluster = Self {
            folder: passable_folder(),
        };
        cluster.hack(&["up"]);
        cluster
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("cluster/admin.conf")
    }

    /// SIGKILL to one part, such as `apiserver`.
    pub fn kill(&self, part: &str) {
        self.hack(&["kill", part]);
    }

    /// Starts a part after a kill, and waits until it serves.
    pub fn start(&self, part: &str) {
        self.hack(&["start", part]);
    }

    /// Runs kubectl as the administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let program = self.folder.path().join("cluster/bin/kubectl");
        run(Command::new(program)
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(arguments))
    }

    fn hack(&self, arguments: &[&str]) -> String {
        hack("cluster", arguments, &self.folder.path().join("cluster"), None)
    }
}

impl Drop for OwnCluster {
    fn drop(&mut self) {
        self.hack(&["down"]);
    }
}

/// A file of the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A folder that the server's own user may pass through.
fn passable_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

fn hack(script: &str, arguments: &[&str], folder: &Path, variable: Option<(&str, String)>) -> String {
    // A cluster or a database of the developer is none to kill.
    let mut command = Command::new(project("hack").join(script));
    run(command
        .args(arguments)
        .arg("--dir")
        .arg(folder)
        .env_remove("CLUSTER")
        .env_remove("DATABASE_URL")
        .envs(variable))
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // A panic while another one unwinds would hide it.
    if !output.status.success() && !std::thread::panicking() {
        panic!("{command:?} failed: {}{}", text(&output.stdout), text(&output.stderr));
    }
    text(&output.stdout)
}
