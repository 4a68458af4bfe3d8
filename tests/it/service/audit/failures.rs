//! No entry, no answer: Postgres that is gone, a disk that is full, a partition that is missing; and the service recovers by itself.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aether_vault::domain::record::Expect;
use aether_vault::service::error::Reason;

use crate::support::database::TestDatabase;
use crate::support::servers::OwnPostgres;
use crate::support::vault::{TestVault, path, record, text};

/// Reads until the service has recovered.
async fn recovered(process: &TestVault, admin: &aether_vault::service::context::OpContext) {
    for _ in 0..600 {
        if let Ok(read) = process.vault.records().read(admin, &path("shared/a"), None).await {
            assert_eq!(text(&read.data, "n"), "1");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the service did not recover");
}

#[tokio::test]
async fn r26_without_a_partition_for_today_nothing_is_answered_until_one_is_made() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    records
        .write(&admin, &path("shared/a"), &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    records.read(&admin, &path("shared/a"), None).await.unwrap();
    let before = database.count("SELECT count(*) FROM audit_entries").await;
    let today = "'audit_entries_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')";
    database
        .execute(&format!(
            "DO $$ BEGIN EXECUTE 'ALTER TABLE audit_entries DETACH PARTITION ' || {today};
             EXECUTE 'ALTER TABLE ' || {today} || ' RENAME TO audit_entries_away'; END $$"
        ))
        .await;
    let error = records.read(&admin, &path("shared/a"), None).await.err().unwrap();
    assert_eq!(error.reason(), Reason::StoreUnavailable);
    recovered(&process, &admin).await;
    let kept = "SELECT (SELECT count(*) FROM audit_entries) + (SELECT count(*) FROM audit_entries_away)";
    assert!(database.count(kept).await > before);
}

#[tokio::test]
async fn r26_with_postgres_gone_nothing_is_answered_until_it_is_back() {
    let postgres = OwnPostgres::up();
    let database = TestDatabase::on(&postgres).await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    records
        .write(&admin, &path("shared/a"), &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    // In the cache from here on: the value is at hand, and stays there.
    records.read(&admin, &path("shared/a"), None).await.unwrap();
    postgres.kill();
    let error = records.read(&admin, &path("shared/a"), None).await.err().unwrap();
    assert_eq!(error.reason(), Reason::StoreUnavailable);
    postgres.start();
    // One connection that was lost is enough to doubt the others.
    recovered(&process, &admin).await;
    process.vault.audit_log().seal().await.unwrap();
    assert_eq!(process.vault.audit_log().verify(None).await.unwrap().found, 0);
}

#[tokio::test]
async fn r26_with_a_full_disk_nothing_is_answered_until_there_is_room() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    records
        .write(&admin, &path("shared/a"), &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        eprintln!("skipped: a small file system cannot be mounted here; it takes root");
        return;
    };
    let tablespace = format!("small_{}", database.name);
    database
        .execute(&format!("CREATE TABLESPACE {tablespace} LOCATION '{}'", disk.place()))
        .await;
    let today = "'audit_entries_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')";
    database
        .execute(&format!(
            "DO $$ BEGIN EXECUTE 'ALTER TABLE ' || {today} || ' SET TABLESPACE {tablespace}'; END $$"
        ))
        .await;
    disk.fill();
    let mut refused = None;
    // What is left of the last page takes some entries still.
    for _ in 0..500 {
        match records.read(&admin, &path("shared/a"), None).await {
            Ok(_) => {}
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert_eq!(refused.expect("a full disk refuses").reason(), Reason::StoreUnavailable);
    let before = database
        .count("SELECT count(*) FROM audit_entries WHERE action = 'record.read'")
        .await;
    assert!(records.read(&admin, &path("shared/a"), None).await.is_err());
    assert_eq!(
        database
            .count("SELECT count(*) FROM audit_entries WHERE action = 'record.read'")
            .await,
        before,
        "what was refused was not written"
    );
    disk.empty();
    recovered(&process, &admin).await;
    // The disk goes with the test.
    let vault = Arc::clone(&process.vault);
    vault.audit_log().seal().await.unwrap();
    drop(process);
    let back = format!("DO $$ BEGIN EXECUTE 'ALTER TABLE ' || {today} || ' SET TABLESPACE pg_default'; END $$");
    database.execute(&back).await;
    database.execute(&format!("DROP TABLESPACE {tablespace}")).await;
}

/// A file system of a few megabytes that belongs to the server.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        // The server's user has to pass.
        std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o711)).ok()?;
        let place = at.join("disk");
        std::fs::create_dir(&place).ok()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m,mode=0777", "tmpfs"])
            .arg(&place)
            .output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let disk = Self(at);
        let folder = place.join("tablespace");
        std::fs::create_dir(&folder).ok()?;
        let owned = Command::new("chown").arg("postgres").arg(&folder).output();
        owned.is_ok_and(|output| output.status.success()).then_some(disk)
    }

    fn place(&self) -> String {
        self.0.join("disk/tablespace").display().to_string()
    }

    fn fill(&self) {
        // Fails when the disk is full, which is what it is for.
        let _ = std::fs::write(self.0.join("disk/ballast"), vec![0; 8 << 20]);
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("disk/ballast")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.join("disk")).output();
    }
}
