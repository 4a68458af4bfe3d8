//! Long answers: a list of ten thousand records as a stream, and pages of an audit log of a million entries.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::sleep;

use crate::installation::Installation;
use crate::report::{Figure, Samples};
use crate::{Outcome, say};

pub(crate) const FIGURES: &[&str] = &[
    "list_10k_first_byte_ms",
    "list_10k_ms",
    "audit_query_1m_p50_ms",
    "audit_query_1m_p95_ms",
];

const RECORDS: usize = 10_000;
const ENTRIES: u64 = 1_000_000;
const RUNS: usize = 20;
/// How long the sealer may take to catch up with entries that no request made.
const SEALING: Duration = Duration::from_mins(5);

/// Fills the database where it has too little, then lists and queries.
pub(crate) async fn measure(installation: &Installation) -> Outcome<Vec<Figure>> {
    let api = installation.start_api().await?;
    installation.put("bench/list/0", "v").await?;
    installation.get("bench/list/0").await?;
    let mut database = installation.connect("aether_vault").await?;
    copy_record(&mut database).await?;
    copy_entries(installation, &mut database).await?;
    database.close().await?;
    sealed(installation).await?;

    say(format!("lists: {RUNS} times {RECORDS} records"));
    let (mut first, mut whole) = (Samples::default(), Samples::default());
    for _ in 0..RUNS {
        let (began, ended) = list(installation).await?;
        first.push(began);
        whole.push(ended);
    }
    say("lists: pages of the audit log");
    let mut queries = Samples::default();
    for query in [
        "",
        "&action=record.read",
        "&action=auth.login",
        "&path=bench/audit/",
        "&path=bench/list/0",
        "&actor=nobody",
        "&decision=deny",
        "&actor=admin",
    ] {
        let mut each = Samples::default();
        for _ in 0..RUNS {
            let took = page(installation, query).await?;
            each.push(took);
            queries.push(took);
        }
        say(format!("lists: limit=100{query}: {:.1} ms", each.percentile(50)));
    }
    api.stop().await?;
    Ok(vec![
        first.at(95, "list_10k_first_byte_ms", "ms").with("aim", 50),
        whole.median("list_10k_ms", "ms"),
        queries.at(50, "audit_query_1m_p50_ms", "ms"),
        queries.at(95, "audit_query_1m_p95_ms", "ms").with("aim", 100),
    ])
}

/// Copies one record in the database: a list opens no envelope.
async fn copy_record(database: &mut PgConnection) -> Outcome<()> {
    say(format!("lists: copying a record {RECORDS} times"));
    database
        .execute(
            "INSERT INTO secrets SELECT (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'path', 'bench/list/' || n))).*
             FROM secrets s, generate_series(1, 9999) n WHERE s.path = 'bench/list/0' ON CONFLICT DO NOTHING;
             INSERT INTO secret_versions
             SELECT (jsonb_populate_record(v, jsonb_build_object('secret_id', t.id))).*
             FROM secret_versions v JOIN secrets s ON s.id = v.secret_id AND s.path = 'bench/list/0'
             JOIN secrets t ON t.path >= 'bench/list/' AND t.path < 'bench/list0' AND t.id <> s.id ON CONFLICT DO NOTHING;
             ANALYZE secrets, secret_versions",
        )
        .await?;
    Ok(())
}

/// Copies an entry of today until there are enough, a hundred thousand a transaction.
async fn copy_entries(installation: &Installation, database: &mut PgConnection) -> Outcome<()> {
    loop {
        say("lists: copying audit entries");
        database
            .execute(
                "INSERT INTO audit_entries (request_id, actor_kind, actor_id, actor_name, door, action, resource, version, decision, reason)
                 SELECT gen_random_uuid(), actor_kind, actor_id, actor_name, door, action, 'bench/audit/' || n % 1000, version, decision, reason
                 FROM generate_series(1, 100000) n,
                      (SELECT * FROM audit_entries WHERE action = 'record.read' LIMIT 1) entry",
            )
            .await?;
        if installation.audit_entries().await? >= ENTRIES {
            break;
        }
    }
    // As autovacuum does in time.
    database.execute("VACUUM (ANALYZE) audit_entries").await?;
    Ok(())
}

/// Waits until the sealer has nothing left: what it does now is not what a query costs.
async fn sealed(installation: &Installation) -> Outcome<()> {
    let started = Instant::now();
    let mut before = -1.0;
    loop {
        let now = installation
            .metric("api-metrics", "aether_vault_audit_sealed_entries_total")
            .await?;
        // The copies are sealed in one piece, and until then nothing is.
        if now > 0.0 && (now - before).abs() < 100.0 {
            say(format!(
                "lists: the sealer was done after {:.0} s",
                started.elapsed().as_secs_f64()
            ));
            return Ok(());
        }
        if started.elapsed() > SEALING {
            return Err(format!("the sealer is still at work after {} s", SEALING.as_secs()).into());
        }
        before = now;
        sleep(Duration::from_secs(3)).await;
    }
}

/// One list as a stream: milliseconds to its first byte and to its end.
async fn list(installation: &Installation) -> Outcome<(f64, f64)> {
    let url = format!("{}/api/v1/list/bench/list", installation.address("api")?);
    let request = reqwest::Client::new()
        .get(url)
        .bearer_auth(installation.token()?)
        .header("Accept", "application/x-ndjson");
    let started = Instant::now();
    let mut answer = request.send().await?.error_for_status()?;
    let (mut first, mut lines) = (None, 0);
    while let Some(chunk) = answer.chunk().await? {
        first.get_or_insert(started.elapsed());
        lines += chunk.iter().filter(|byte| **byte == b'\n').count();
    }
    let ended = started.elapsed();
    if lines != RECORDS {
        return Err(format!("the list has {lines} lines, not {RECORDS}").into());
    }
    Ok((first.unwrap_or(ended).as_secs_f64() * 1e3, ended.as_secs_f64() * 1e3))
}

async fn page(installation: &Installation, query: &str) -> Outcome<f64> {
    let url = format!("{}/api/v1/audit/entries?limit=100{query}", installation.address("api")?);
    let request = reqwest::Client::new().get(url).bearer_auth(installation.token()?);
    let started = Instant::now();
    let answer = request.send().await?.error_for_status()?;
    answer.bytes().await?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}
