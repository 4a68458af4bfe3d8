//! Sealing: under concurrent commits, by several processes, around midnight, after a restore; and what retention drops.

use std::sync::Arc;

use aether_vault::domain::record::Expect;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{Sealed, findings};
use crate::support::cluster::eventually;
use crate::support::database::TestDatabase;
use crate::support::process::Installation;
use crate::support::vault::{TestVault, path, record};

/// An entry as a process would write it.
const ENTRY: &str =
    "INSERT INTO audit_entries (request_id, actor_kind, actor_id, actor_name, door, action, resource, decision, reason)
                     VALUES (gen_random_uuid(), 'system', 's', 's', 'process', 'test.entry', 'x', 'allow', '')";

/// Entries without a block, and blocks that an entry has beyond its one.
const UNSEALED: &str =
    "SELECT count(*) FROM audit_entries e WHERE NOT EXISTS (SELECT FROM audit_leaves l WHERE e.id = ANY (l.entry_ids))";
const SEALED: &str = "SELECT COALESCE(sum(cardinality(entry_ids)), 0)::bigint FROM audit_leaves";

/// Gives the job to a process that is not there, so that the test alone seals.
const NOBODY_SEALS: &str = "INSERT INTO jobs (name, holder, lease_until) VALUES ('audit sealing', gen_random_uuid(), now() + interval '1 hour')";

#[tokio::test]
async fn r26_an_entry_that_commits_late_is_sealed_all_the_same() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    let log = process.vault.audit_log();
    log.seal().await.unwrap();
    for _ in 0..3 {
        // The lower id and the lower transaction number commit last.
        let mut late = database.superuser.begin().await.unwrap();
        sqlx::query(ENTRY).execute(&mut *late).await.unwrap();
        sqlx::query(ENTRY).execute(&database.runtime).await.unwrap();
        log.seal().await.unwrap();
        log.seal().await.unwrap();
        late.commit().await.unwrap();
        sqlx::query(ENTRY).execute(&database.runtime).await.unwrap();
        log.seal().await.unwrap();
        assert_eq!(database.count(UNSEALED).await, 0);
    }
    let entries = database.count("SELECT count(*) FROM audit_entries").await;
    assert_eq!(database.count(SEALED).await, entries, "each once");
    let report = log.verify(None).await.unwrap();
    assert_eq!((report.found, report.problems.as_slice()), (0, &[][..]), "{report:?}");
}

#[tokio::test]
async fn r26_what_takes_many_pages_to_read_is_in_one_block_and_nothing_is_left_out() {
    let database = TestDatabase::new().await;
    database.execute(NOBODY_SEALS).await;
    let process = TestVault::open(&database).await;
    let log = process.vault.audit_log();
    log.seal().await.unwrap();
    let blocks = "SELECT count(*) FROM audit_blocks";
    let before = database.count(blocks).await;
    let many = format!(
        "{} FROM generate_series(1, 400)",
        ENTRY.replace("VALUES (", "SELECT ").trim_end_matches(')')
    );
    let mut late = database.superuser.begin().await.unwrap();
    sqlx::query(ENTRY).execute(&mut *late).await.unwrap();
    for _ in 0..4 {
        database.execute(&many).await;
    }
    assert_eq!(log.seal().await.unwrap().entries, 1600);
    assert_eq!(database.count(blocks).await, before + 1);
    late.commit().await.unwrap();
    assert_eq!(log.seal().await.unwrap().entries, 1);
    assert_eq!(database.count(UNSEALED).await, 0);
    assert_eq!(log.verify(None).await.unwrap().found, 0);
}

#[tokio::test]
async fn r26_sealers_fence_each_other_and_seal_every_entry_once() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let admin = one.admin().await;
    let writes = (0..24).map(|n| {
        let (vault, admin) = (Arc::clone(&one.vault), admin.clone());
        async move {
            let at = path(&format!("shared/{n}"));
            vault
                .records()
                .write(&admin, &at, &record(&[("k", "v")]), Expect::Any)
                .await
                .unwrap();
            vault.records().read(&admin, &at, None).await.unwrap();
        }
    });
    let seals = (0..8).map(|n| {
        let vault = Arc::clone(if n % 2 == 0 { &one.vault } else { &two.vault });
        async move {
            vault.audit_log().seal().await.unwrap();
        }
    });
    futures::join!(join_all(writes), join_all(seals));
    one.vault.audit_log().seal().await.unwrap();
    assert_eq!(database.count(UNSEALED).await, 0);
    assert_eq!(
        database.count(SEALED).await,
        database.count("SELECT count(*) FROM audit_entries").await
    );
    let blocks = "SELECT (count(*) = max(height) AND min(height) = 1)::int::bigint FROM audit_blocks";
    assert_eq!(database.count(blocks).await, 1, "heights have no gaps");
    assert_eq!(two.vault.audit_log().verify(None).await.unwrap().found, 0);
}

#[tokio::test]
async fn entries_around_midnight_are_in_the_partition_and_in_a_block_of_their_own_day() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let midnight = "date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '1 day'";
    for offset in ["- interval '1 microsecond'", "", "+ interval '1 microsecond'"] {
        let sql = ENTRY
            .replace("(request_id", "(at, request_id")
            .replace("VALUES (", &format!("VALUES ({midnight} {offset}, "));
        database.execute(&sql).await;
    }
    process.vault.audit_log().seal().await.unwrap();
    let places = "SELECT count(*) FROM audit_entries WHERE action = 'test.entry'
                  AND tableoid = to_regclass('audit_entries_' || to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD'))";
    assert_eq!(database.count(places).await, 3);
    let days = "SELECT count(DISTINCT l.day) FROM audit_entries e JOIN audit_leaves l ON e.id = ANY (l.entry_ids)
                WHERE action = 'test.entry' AND l.day = (e.at AT TIME ZONE 'UTC')::date";
    assert_eq!(database.count(days).await, 2);
    assert_eq!(database.count(UNSEALED).await, 0);
    assert_eq!(process.vault.audit_log().verify(None).await.unwrap().found, 0);
}

#[tokio::test]
async fn after_a_restore_into_another_server_everything_is_compared_and_sealing_goes_on() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    process.vault.audit_log().seal().await.unwrap();
    let folder = Arc::clone(&process.folder);
    drop(process);
    // As a dump brings them: numbers of another server, far ahead of this one's.
    let block = database.count("SELECT max(height) FROM audit_blocks").await;
    database
        .execute(
            "UPDATE audit_entries SET xid = xid + 1000000000;
             UPDATE audit_blocks SET snapshot = '5000000000:5000000000:' WHERE height = (SELECT max(height) FROM audit_blocks)",
        )
        .await;
    database.execute(ENTRY).await;
    let process = TestVault::open_in(&database, folder).await.unwrap();
    let log = process.vault.audit_log();
    // However many notice it at once, the log says it once: all of them wait where it is decided who does.
    let mut gate = database.superuser.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('aether_vault_audit_restore'))")
        .execute(&mut *gate)
        .await
        .unwrap();
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let opened = async {
        eventually("sealers wait", || async {
            let count = database.count(waiting).await;
            if count >= 4 { Ok(()) } else { Err(format!("{count}")) }
        })
        .await;
        gate.commit().await.unwrap();
    };
    let (sealed, ()) = futures::join!(join_all((0..4).map(|_| log.seal())), opened);
    assert!(sealed.iter().all(Result::is_ok), "{sealed:?}");
    for _ in 0..2 {
        log.seal().await.unwrap();
        // The entries that came along look as if they were still to come, and are not sealed again.
        assert_eq!(
            database.count(SEALED).await,
            database.count("SELECT count(*) FROM audit_entries").await
        );
        assert_eq!(database.count(UNSEALED).await, 0);
        database.execute(ENTRY).await;
    }
    process.vault.audit_log().seal().await.unwrap();
    assert_eq!(
        database
            .count("SELECT count(*) FROM audit_entries WHERE action = 'audit.restore'")
            .await,
        1
    );
    // All that is wrong is the snapshot that the test wrote into a signed block.
    let report = process.vault.audit_log().verify(None).await.unwrap();
    assert!(
        report.findings.iter().all(|finding| finding.block == Some(block)),
        "{report:?}"
    );
}

#[tokio::test]
async fn what_another_server_wrote_is_sealed_though_no_block_came_with_it() {
    let database = TestDatabase::new().await;
    database.execute(NOBODY_SEALS).await;
    database.execute(ENTRY).await;
    database
        .execute("UPDATE audit_entries SET xid = xid + 1000000000")
        .await;
    database.execute(ENTRY).await;
    let process = TestVault::open(&database).await;
    process.vault.audit_log().seal().await.unwrap();
    assert_eq!(database.count(UNSEALED).await, 0);
    let restores = "SELECT count(*) FROM audit_entries WHERE action = 'audit.restore' OR xid >= 1000000000";
    assert_eq!(
        database.count(restores).await,
        1,
        "said once, and numbers that mean nothing here are gone"
    );
    assert_eq!(process.vault.audit_log().verify(None).await.unwrap().found, 0);
}

#[tokio::test]
async fn retention_drops_whole_old_days_only_and_the_blocks_stay() {
    let log = Sealed::new().await;
    let old = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 400);
    let day = old.to_string()[..10].to_owned();
    let suffix = day.replace('-', "");
    log.database
        .execute(&format!(
            "CREATE TABLE audit_entries_{suffix} PARTITION OF audit_entries FOR VALUES FROM ('{day} 00:00Z') TO ('{day} 24:00Z');
             CREATE TABLE audit_leaves_{suffix} PARTITION OF audit_leaves FOR VALUES FROM ('{day}') TO ('{day}'::date + 1)"
        ))
        .await;
    // As the owner, who makes partitions.
    let owned = format!(
        "DO $$ DECLARE owner text := (SELECT tableowner FROM pg_tables WHERE tablename = 'audit_entries'); BEGIN
           EXECUTE format('ALTER TABLE audit_entries_{suffix} OWNER TO %I', owner);
           EXECUTE format('ALTER TABLE audit_leaves_{suffix} OWNER TO %I', owner);
         END $$"
    );
    log.database.execute(&owned).await;
    let sql = ENTRY
        .replace("(request_id", "(at, request_id")
        .replace("VALUES (", &format!("VALUES ('{day} 12:00Z', "));
    log.database.execute(&sql).await;

    let (code, text) = log.run(&["audit", "drop", &day]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("not wholly sealed"), "{text}");
    let (code, text) = log.run(&["audit", "drop", "2020-01-01"]);
    assert!(code == 1 && text.contains("no entries of this day"), "{text}");
    let today = log
        .database
        .count("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')::bigint")
        .await
        .to_string();
    let (code, text) = log.run(&[
        "audit",
        "drop",
        &format!("{}-{}-{}", &today[..4], &today[4..6], &today[6..]),
    ]);
    assert!(code == 1 && text.contains("younger than a week"), "{text}");

    let process = TestVault::open_in(&log.database, Arc::clone(&log._root_key))
        .await
        .unwrap();
    process.vault.audit_log().seal().await.unwrap();
    let blocks = log.database.count("SELECT count(*) FROM audit_blocks").await;
    let (code, text) = log.run(&["audit", "drop", &day]);
    assert_eq!(code, 0, "{text}");
    process.vault.audit_log().seal().await.unwrap();
    drop(process);
    assert!(
        log.database.count("SELECT count(*) FROM audit_blocks").await > blocks,
        "blocks stay, and the drop is in one"
    );
    let (code, report) = log.verify(&[]);
    assert_eq!((code, &report["dropped"][0]), (0, &day.clone().into()), "{report}");
    // Whoever takes a day away without the log saying so is told from retention.
    log.database
        .execute("DELETE FROM audit_entries WHERE action = 'audit.drop'")
        .await;
    let (code, report) = log.verify(&[]);
    assert_eq!(code, 1, "{report}");
    let text = report.to_string();
    assert!(text.contains(&format!("the entries of {day} are gone")), "{text}");
}

#[tokio::test]
async fn a_running_process_seals_sends_and_leaves_checkpoints_by_itself() {
    let database = TestDatabase::new().await;
    let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    let checkpoint = installation.folder().join("checkpoint.json");
    installation.set("audit.checkpoint_file", &checkpoint.display().to_string());
    installation.set("audit.stdout", "true");
    let mut api = installation.api().await;
    let admin = installation.administrator().await;
    admin.write("shared/a", &serde_json::json!({"k": "v"})).await.ok();
    for _ in 0..600 {
        if checkpoint.exists() && api.log().contains(r#""action":"record.write""#) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    api.stop().await;
    let log = api.log();
    assert!(log.contains("audit checkpoint"), "{log}");
    assert!(
        log.contains(r#""action":"record.write","resource":"shared/a""#),
        "{log}"
    );
    let checkpoint = checkpoint.display().to_string();
    let output = installation.run(&["audit", "verify", "--json", "--checkpoint", &checkpoint]);
    let report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), findings(&report)),
        (Some(0), Vec::new()),
        "{report}"
    );
}
