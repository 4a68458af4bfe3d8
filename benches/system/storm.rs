//! A storm of wrong logins beside steady reads: passwords are checked on a bounded pool, so reads hardly notice.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::installation::Installation;
use crate::report::Figure;
use crate::{Outcome, say};

pub(crate) const FIGURES: &[&str] = &["storm_read_calm_p99_ms", "storm_read_p99_ms", "storm_read_ratio"];

/// Reads a second, far below what the API can do: what a storm adds to them is seen as latency.
const READS_PER_SECOND: u32 = 500;
/// Time of each part.
const TIME: Duration = Duration::from_secs(20);
/// Clients that log in with a wrong password again and again, and heed `Retry-After`.
const STORMERS: usize = 200;

/// Reads without a storm, then beside one.
pub(crate) async fn measure(installation: &Installation) -> Outcome<Vec<Figure>> {
    // The bound on logins of an address would end the storm before it reached the pool that is to be shown.
    let api = installation
        .start_api_with(&[("AETHER_VAULT__HTTP__RATE_LIMITS__LOGIN__PER_SECOND", "0")])
        .await?;
    installation.put("bench/storm", &"v".repeat(1024)).await?;
    reads(installation, TIME / 10).await?;
    say("storm: reads alone");
    let calm = reads(installation, TIME).await?;
    say(format!("storm: reads beside {STORMERS} clients with wrong passwords"));
    let (client, mut storm) = (reqwest::Client::new(), JoinSet::new());
    for number in 0..STORMERS {
        storm.spawn(stormer(client.clone(), installation.address("api")?, number));
    }
    let stormy = reads(installation, TIME).await?;
    storm.abort_all();
    let logins = installation
        .metric("api-metrics", "aether_vault_password_verifications_total")
        .await?;
    if logins < 100.0 {
        return Err(format!("the storm was none: {logins} passwords were checked").into());
    }
    api.stop().await?;
    let (before, beside) = (p99(calm), p99(stormy));
    let n = u64::from(READS_PER_SECOND) * TIME.as_secs();
    Ok(vec![
        Figure::new("storm_read_calm_p99_ms", before, "ms", n),
        Figure::new("storm_read_p99_ms", beside, "ms", n).with_number("passwords_checked", logins),
        Figure::new("storm_read_ratio", beside / before, "1", n).with("aim", 2),
    ])
}

/// Latencies of reads at a steady rate, in milliseconds, counted from when each was due: a server that stalls is not excused.
async fn reads(installation: &Installation, time: Duration) -> Outcome<Vec<f64>> {
    let url = format!("{}/api/v1/records/bench/storm", installation.address("api")?);
    let (client, token) = (reqwest::Client::new(), installation.token()?);
    let mut due = interval(Duration::from_secs(1) / READS_PER_SECOND);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (end, mut running) = (Instant::now() + time, JoinSet::new());
    while Instant::now() < end {
        let due_at = due.tick().await;
        let request = client.get(&url).bearer_auth(&token);
        running.spawn(async move {
            let answer = request.send().await?.error_for_status()?;
            answer.bytes().await?;
            Ok::<_, reqwest::Error>(due_at.elapsed().as_secs_f64() * 1e3)
        });
    }
    let mut latencies = Vec::new();
    while let Some(read) = running.join_next().await {
        latencies.push(read??);
    }
    Ok(latencies)
}

/// One client makes a connection for each: making a client takes a core for milliseconds, which reads would wait for here and not there.
async fn stormer(client: reqwest::Client, address: String, number: usize) {
    let body = serde_json::json!({"username": format!("stormer-{number}"), "password": "a wrong password"});
    loop {
        let answer = client
            .post(format!("{address}/api/v1/auth/login"))
            .json(&body)
            .send()
            .await;
        let busy = answer.is_ok_and(|answer| answer.headers().contains_key("retry-after"));
        if busy {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

fn p99(mut latencies: Vec<f64>) -> f64 {
    latencies.sort_by(f64::total_cmp);
    let at = latencies.len() * 99 / 100;
    latencies.get(at).or(latencies.last()).copied().unwrap_or(f64::NAN)
}
