//! Child processes: servers that end with the value that holds them, and tools whose output is wanted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

/// How long a server may take to drain.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A server that we started. Killed when dropped; its pid file lets `hack/bench` end it if we are killed ourselves.
pub(crate) struct Server {
    name: String,
    child: Child,
    pid_file: PathBuf,
}

impl Server {
    /// Starts a server that appends what it says to `logs/NAME.log` in `dir`.
    pub(crate) fn start(name: &str, dir: &Path, command: &mut Command) -> Outcome<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join(format!("logs/{name}.log")))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{name} does not start: {error}"))?;
        let server = Self {
            name: name.to_owned(),
            child,
            pid_file: dir.join(format!("run/{name}.pid")),
        };
        server.record()?;
        Ok(server)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails if the process has ended.
    pub(crate) fn check(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!(
                "{} ended by itself with {status}: see logs/{}.log",
                self.name, self.name
            )
            .into()),
        }
    }

    /// SIGKILL, as a crash.
    pub(crate) fn kill(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(mut self) -> Outcome<()> {
        let pid = i32::try_from(self.pid())?;
        let pid = rustix::process::Pid::from_raw(pid).ok_or("a child has process id 0")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > STOP_TIMEOUT {
                return Err(format!(
                    "{} did not end within {} s of SIGTERM",
                    self.name,
                    STOP_TIMEOUT.as_secs()
                )
                .into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// In the form of hack/lib/processes.sh: id, start time, boot.
    fn record(&self) -> Outcome<()> {
        let pid = self.pid();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let started = stat
            .rsplit_once(") ")
            .and_then(|(_, fields)| fields.split(' ').nth(19))
            .unwrap_or("0");
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(fs::write(&self.pid_file, format!("{pid} {started} {boot}"))?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Neither can be helped here: a process that is gone, a file that hack/bench deletes with its folder.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.pid_file);
    }
}

/// Runs a tool to its end and answers its standard output.
pub(crate) async fn output(command: &mut Command) -> Outcome<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.map_err(|error| format!("{name} does not start: {error}"))?;
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await??;
    if !output.status.success() {
        return Err(format!(
            "{name} failed with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
