//! What the vault holds after a kill, compared with what the ledger allows.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use sqlx::{PgPool, Row as _};

use super::ledger::{Intent, Outcome};
use super::support::client::Client;

/// Numbers of a round.
pub struct Tally {
    pub acknowledged: usize,
    pub unknown: usize,
    pub refused: usize,
}

/// Panics unless every acknowledged change is there, everything that is there was asked for, and each change has its audit entry.
pub async fn check(client: &Client, superuser: &PgPool, round: usize, ledger: &[(Intent, Outcome)]) -> Tally {
    check_records(client, round, ledger).await;
    check_versions(superuser).await;
    check_audit(superuser, ledger).await;
    let count = |wanted: fn(&Outcome) -> bool| ledger.iter().filter(|(_, outcome)| wanted(outcome)).count();
    Tally {
        acknowledged: count(|outcome| matches!(outcome, Outcome::Acknowledged { .. })),
        unknown: count(|outcome| matches!(outcome, Outcome::Unknown)),
        refused: count(|outcome| matches!(outcome, Outcome::Refused)),
    }
}

/// What the ledger allows for one record.
#[derive(Default)]
struct Allowed {
    /// Must exist, by version.
    acknowledged: BTreeMap<i64, String>,
    /// May exist.
    unknown: BTreeSet<String>,
    deleted: BTreeSet<i64>,
    deleted_perhaps: BTreeSet<i64>,
}

async fn check_records(client: &Client, round: usize, ledger: &[(Intent, Outcome)]) {
    let prefix = format!("kills/{round}");
    let mut records: BTreeMap<&str, Allowed> = BTreeMap::new();
    for (intent, outcome) in ledger {
        match (intent, outcome) {
            (Intent::Write { path, value }, Outcome::Acknowledged { version, .. }) => {
                let before = records
                    .entry(path)
                    .or_default()
                    .acknowledged
                    .insert(*version, value.clone());
                assert_eq!(before, None, "{path}: version {version} was acknowledged twice");
            }
            (Intent::Write { path, value }, Outcome::Unknown) => {
                records.entry(path).or_default().unknown.insert(value.clone());
            }
            (Intent::Delete { path, version }, Outcome::Acknowledged { .. }) => {
                records.entry(path).or_default().deleted.insert(*version);
            }
            (Intent::Delete { path, version }, Outcome::Unknown) => {
                records.entry(path).or_default().deleted_perhaps.insert(*version);
            }
            (Intent::Read { .. }, _) | (_, Outcome::Refused) => {}
        }
    }
    let listed = list(client, &prefix).await;
    for path in &listed {
        assert!(records.contains_key(path.as_str()), "{path} exists and nobody wrote it");
    }
    for (path, allowed) in &records {
        // Of the records that VaultSecrets follow only the last versions are kept; they are compared with their Secrets.
        if !path.starts_with(&prefix) {
            continue;
        }
        if allowed.acknowledged.is_empty() && !listed.contains(*path) {
            continue;
        }
        check_record(client, path, allowed).await;
    }
}

async fn check_record(client: &Client, path: &str, allowed: &Allowed) {
    let answer = client
        .request(Method::GET, &format!("/api/v1/versions/{path}"), None)
        .await
        .unwrap()
        .ok();
    let mut found = BTreeSet::new();
    for version in answer.body["versions"].as_array().unwrap() {
        let (number, state) = (version["version"].as_i64().unwrap(), version["state"].as_str().unwrap());
        found.insert(number);
        if state == "deleted" {
            let wanted = allowed.deleted.contains(&number) || allowed.deleted_perhaps.contains(&number);
            assert!(wanted, "{path}: version {number} is deleted and nobody deleted it");
            continue;
        }
        assert!(
            !allowed.deleted.contains(&number),
            "{path}: version {number} is live though its deletion was acknowledged"
        );
        let read = client.read(&format!("{path}?version={number}")).await.ok();
        let value = read.body["data"]["value"].as_str().unwrap();
        match allowed.acknowledged.get(&number) {
            Some(acknowledged) => assert_eq!(value, acknowledged, "{path}: version {number}"),
            None => assert!(
                allowed.unknown.contains(value),
                "{path}: version {number} holds '{value}', which nobody wrote"
            ),
        }
    }
    for number in allowed.acknowledged.keys() {
        assert!(
            found.contains(number),
            "{path}: version {number} was acknowledged and is lost; there are {found:?}"
        );
    }
}

async fn list(client: &Client, prefix: &str) -> BTreeSet<String> {
    let (mut paths, mut after) = (BTreeSet::new(), String::new());
    loop {
        let page = format!("/api/v1/list/{prefix}?recursive=true&limit=1000{after}");
        let page = client.request(Method::GET, &page, None).await.unwrap().ok().body;
        paths.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["path"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return paths,
        }
    }
}

/// Whatever happened, the versions that a record keeps follow one another up to its current one.
async fn check_versions(superuser: &PgPool) {
    let gaps = sqlx::query(
        "SELECT s.path, s.current_version, 'record' FROM secrets s LEFT JOIN secret_versions v ON v.secret_id = s.id
         GROUP BY s.id HAVING max(v.version) IS DISTINCT FROM s.current_version
                           OR count(*) <> max(v.version) - min(v.version) + 1",
    )
    .fetch_all(superuser)
    .await
    .unwrap();
    assert_none("in records whose versions have gaps", &gaps);
}

async fn check_audit(superuser: &PgPool, ledger: &[(Intent, Outcome)]) {
    let (mut requests, mut resources, mut versions, mut actions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (intent, outcome) in ledger {
        let Outcome::Acknowledged { version, request } = outcome else {
            continue;
        };
        let (path, action) = match intent {
            Intent::Write { path, .. } => (path, "record.write"),
            Intent::Read { path } => (path, "record.read"),
            Intent::Delete { path, .. } => (path, "record.delete"),
        };
        requests.push(request.clone());
        resources.push(path.clone());
        versions.push(*version);
        actions.push(action);
    }
    // What was acknowledged, under the id of its request.
    let missing = sqlx::query(
        "SELECT resource, version, action FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS w (request, resource, version, action)
         WHERE NOT EXISTS (SELECT FROM audit_entries a WHERE a.request_id = w.request::uuid AND a.resource = w.resource
                           AND a.version = w.version AND a.action = w.action AND a.decision = 'allow')",
    )
    .bind(&requests)
    .bind(&resources)
    .bind(&versions)
    .bind(&actions)
    .fetch_all(superuser)
    .await
    .unwrap();
    assert_none("acknowledged without an audit entry", &missing);
    // What exists, acknowledged or not.
    let missing = sqlx::query(
        "SELECT s.path, v.version, v.state FROM secret_versions v JOIN secrets s ON s.id = v.secret_id
         WHERE NOT EXISTS (SELECT FROM audit_entries a WHERE a.resource = s.path AND a.version = v.version
                           AND a.action IN ('record.write', 'record.generate') AND a.decision = 'allow')
            OR (v.state = 'deleted' AND NOT EXISTS (
                SELECT FROM audit_entries a WHERE a.resource = s.path AND a.version = v.version
                AND a.action = 'record.delete' AND a.decision = 'allow'))",
    )
    .fetch_all(superuser)
    .await
    .unwrap();
    assert_none("in the store without an audit entry", &missing);
    // What the audit says was done.
    let missing = sqlx::query(
        "SELECT resource, version, action FROM audit_entries a
         WHERE a.action IN ('record.write', 'record.generate') AND a.decision = 'allow' AND a.resource LIKE 'kills/%'
           AND NOT EXISTS (SELECT FROM secret_versions v JOIN secrets s ON s.id = v.secret_id
                           WHERE s.path = a.resource AND v.version = a.version)",
    )
    .fetch_all(superuser)
    .await
    .unwrap();
    assert_none("in the audit and not in the store", &missing);
    let twice = sqlx::query(
        "SELECT resource, version, action FROM audit_entries WHERE action IN ('record.write', 'record.generate') AND decision = 'allow'
         GROUP BY resource, version, action HAVING count(*) > 1",
    )
    .fetch_all(superuser)
    .await
    .unwrap();
    assert_none("in the audit twice", &twice);
}

fn assert_none(what: &str, rows: &[sqlx::postgres::PgRow]) {
    let shown: Vec<_> = rows
        .iter()
        .take(10)
        .map(|row| {
            format!(
                "{} version {} ({})",
                row.get::<String, _>(0),
                row.get::<i64, _>(1),
                row.get::<String, _>(2)
            )
        })
        .collect();
    assert!(
        rows.is_empty(),
        "{} changes are {what}, such as {}",
        rows.len(),
        shown.join(", ")
    );
}
