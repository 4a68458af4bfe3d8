//! The floor: what the same machine does with nothing of ours in the way. Figures of the API are worth comparing with it only.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header;
use axum::routing::get;
use sqlx::{Connection as _, Executor as _};

use crate::installation::Installation;
use crate::process::{self, Server};
use crate::report::{Figure, Samples};
use crate::wrk::{self, Load, Mode};
use crate::{Outcome, cpu, say};

pub(crate) const AXUM_FIGURES: &[&str] = &["floor_axum_rps", "floor_axum_cpu_us"];
pub(crate) const POSTGRES_FIGURES: &[&str] = &[
    "floor_pg_select_tps",
    "floor_pg_select_cpu_us",
    "floor_pg_insert_tps",
    "floor_pg_insert_cpu_us",
    "floor_pg_both_tps",
    "floor_pg_both_cpu_us",
];

const RUNS: u32 = 3;
const RUN_TIME: Duration = Duration::from_secs(5);
const DATABASE: &str = "bench_floor";

/// A bare axum handler that answers 1 KiB of JSON, in a process of its own.
pub(crate) async fn axum(installation: &Installation) -> Outcome<Vec<Figure>> {
    let dir = &installation.dir;
    let address_file = dir.join("run/bare.address");
    let mut command = Command::new(std::env::current_exe()?);
    let mut server = Server::start("bare", dir, command.arg("--bare-server").arg(&address_file))?;
    let started = Instant::now();
    let address = loop {
        server.check()?;
        match std::fs::read_to_string(&address_file) {
            Ok(address) if address.ends_with('/') => break address,
            _ if started.elapsed() > Duration::from_secs(10) => return Err("the bare server does not start".into()),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let (mut rates, mut micros) = (Samples::default(), Samples::default());
    for run in 1..=RUNS {
        say(format!("bare axum handler, run {run} of {RUNS}"));
        let before = cpu::process_seconds(server.pid())?;
        let load = Load {
            mode: Mode::Bare,
            records: 0,
            connections: 64,
        };
        let seen = wrk::put(load, &address, RUN_TIME, dir).await?;
        rates.push(seen.rate());
        micros.push(per_request_us(
            cpu::process_seconds(server.pid())? - before,
            seen.requests,
        ));
    }
    server.kill()?;
    Ok(vec![
        rates.median("floor_axum_rps", "1/s"),
        micros.median("floor_axum_cpu_us", "us"),
    ])
}

/// Serves the bare handler until the process is killed.
pub(crate) async fn serve_bare(address_file: &Path) -> Outcome<()> {
    let body: &'static str = Box::leak(format!("{{\"value\":\"{}\"}}", "a".repeat(1024)).into_boxed_str());
    let router = Router::new().route(
        "/",
        get(move || async move { ([(header::CONTENT_TYPE, "application/json")], body) }),
    );
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    std::fs::write(address_file, format!("http://{}/", listener.local_addr()?))?;
    Ok(axum::serve(listener, router).await?)
}

/// `pgbench`: a select by primary key of a row of 1 KiB, a committed insert of such a row, and one after the other.
pub(crate) async fn postgres(installation: &Installation) -> Outcome<Vec<Figure>> {
    let mut server = installation.connect("postgres").await?;
    server.execute("DROP DATABASE IF EXISTS bench_floor").await?;
    server.execute("CREATE DATABASE bench_floor").await?;
    server.close().await?;
    let mut database = installation.connect(DATABASE).await?;
    database
        .execute("CREATE TABLE floor (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload text NOT NULL)")
        .await?;
    database
        .execute("INSERT INTO floor (payload) SELECT repeat('a', 1024) FROM generate_series(1, 10000)")
        .await?;
    database.execute("VACUUM ANALYZE floor").await?;
    database.close().await?;
    let select = "\\set id random(1, 10000)\nSELECT payload FROM floor WHERE id = :id;\n";
    let insert = "INSERT INTO floor (payload) VALUES (repeat('b', 1024));\n";
    let both = format!("{select}{insert}");
    let mut figures = Vec::new();
    for (script, rate, micros) in [
        (select, "floor_pg_select_tps", "floor_pg_select_cpu_us"),
        (insert, "floor_pg_insert_tps", "floor_pg_insert_cpu_us"),
        (&both, "floor_pg_both_tps", "floor_pg_both_cpu_us"),
    ] {
        figures.extend(pgbench(installation, script, rate, micros).await?);
    }
    let mut server = installation.connect("postgres").await?;
    server.execute("DROP DATABASE bench_floor").await?;
    server.close().await?;
    Ok(figures)
}

async fn pgbench(
    installation: &Installation,
    script: &str,
    rate: &'static str,
    micros: &'static str,
) -> Outcome<[Figure; 2]> {
    let file = installation.dir.join("floor.sql");
    std::fs::write(&file, script)?;
    let postgres = installation.postgres_pid()?;
    let (mut rates, mut costs) = (Samples::default(), Samples::default());
    for run in 1..=RUNS {
        say(format!("pgbench {rate}, run {run} of {RUNS}"));
        let before = cpu::family_seconds(postgres)?;
        let output = process::output(
            Command::new("pgbench")
                .args([
                    "--no-vacuum",
                    "--protocol",
                    "prepared",
                    "--client",
                    "64",
                    "--jobs",
                    "2",
                    "--time",
                ])
                .arg(RUN_TIME.as_secs().to_string())
                .arg("--file")
                .arg(&file)
                .arg(DATABASE),
        )
        .await?;
        let value = |prefix: &str| -> Outcome<f64> {
            let line = output
                .lines()
                .find_map(|line| line.strip_prefix(prefix))
                .ok_or("pgbench printed no result")?;
            Ok(line.split([' ', '/']).next().unwrap_or_default().parse()?)
        };
        rates.push(value("tps = ")?);
        costs.push(
            (cpu::family_seconds(postgres)? - before) * 1e6 / value("number of transactions actually processed: ")?,
        );
    }
    Ok([rates.median(rate, "1/s"), costs.median(micros, "us")])
}

/// Microseconds of CPU a request.
#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds are far below 2^52")]
pub(crate) fn per_request_us(seconds: f64, requests: u64) -> f64 {
    seconds * 1e6 / requests as f64
}
