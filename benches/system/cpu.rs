//! What the kernel accounts to processes: CPU time and memory, and the load of the machine. Linux only, like the node of `hack/cluster`.

use std::fs;

use crate::Outcome;

/// Kernel ticks a second in `/proc/PID/stat`: 100 on every Linux that runs Rust (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// The machine's load over the last minute.
pub(crate) fn load1() -> Outcome<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// CPU seconds, in user and kernel mode, that a process itself has used.
pub(crate) fn process_seconds(pid: u32) -> Outcome<f64> {
    let [user, system, ..] = times(pid)?;
    Ok((user + system) / TICKS_PER_SECOND)
}

/// CPU seconds of a process and its direct children, those that ended included: a Postgres server.
pub(crate) fn family_seconds(pid: u32) -> Outcome<f64> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    // A child that ends between the two readings is in its parent's account of children by the next reading.
    let living: f64 = children
        .split_whitespace()
        .filter_map(|child| process_seconds(child.parse().ok()?).ok())
        .sum();
    Ok(living + times(pid)?.iter().sum::<f64>() / TICKS_PER_SECOND)
}

/// The most memory that a process ever had resident, in MiB.
pub(crate) fn peak_mib(pid: u32) -> Outcome<f64> {
    status_mib(pid, "VmHWM:")
}

/// The memory that a process has resident, pages of its program's file included, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Outcome<f64> {
    status_mib(pid, "VmRSS:")
}

/// The resident memory that is no file's, in MiB.
pub(crate) fn anonymous_mib(pid: u32) -> Outcome<f64> {
    status_mib(pid, "RssAnon:")
}

fn status_mib(pid: u32, field: &str) -> Outcome<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let line = line.ok_or_else(|| format!("no {field} in /proc/PID/status"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// `utime`, `stime`, `cutime` and `cstime` in ticks: fields 14 to 17 of proc(5), counted after the name, which may hold spaces.
fn times(pid: u32) -> Outcome<[f64; 4]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("/proc/PID/stat has no name")?;
    let mut ticks = fields.split(' ').skip(11).map(str::parse::<f64>);
    let mut next = || {
        ticks
            .next()
            .ok_or("/proc/PID/stat is short")?
            .map_err(|_| "/proc/PID/stat holds no number")
    };
    Ok([next()?, next()?, next()?, next()?])
}
