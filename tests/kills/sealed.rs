//! The log that was written through all the kills: every entry is sealed in the end, and the chain verifies.

use std::time::{Duration, Instant};

use sqlx::PgPool;

use super::support::process::Installation;

/// Panics unless everything that was written by now gets sealed, and `audit verify` finds nothing.
pub async fn check(installation: &Installation, superuser: &PgPool) {
    let last: i64 = sqlx::query_scalar("SELECT max(id) FROM audit_entries")
        .fetch_one(superuser)
        .await
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let left: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM audit_entries a WHERE a.id <= $1
             AND a.id NOT IN (SELECT unnest(entry_ids) FROM audit_leaves)",
        )
        .bind(last)
        .fetch_one(superuser)
        .await
        .unwrap();
        if left == 0 {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{left} entries are not sealed after a minute"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let output = tokio::task::block_in_place(|| installation.run(&["audit", "verify"]));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "the chain does not verify: {told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("kills: {}", told.trim());
}
