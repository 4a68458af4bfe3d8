//! A day ends in the middle of the load, by the clock of the database, which every process has to go by.

use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::PgPool;

use super::support::servers::OwnPostgres;

const DAY: u64 = 24 * 3600;
/// From the start of the database until midnight: the vault is up by then, and parts of it are killed.
const UNTIL_MIDNIGHT: u64 = 30;

/// A Postgres whose day is about to end, where that can be made.
pub fn postgres() -> OwnPostgres {
    if !OwnPostgres::can_run_ahead() {
        println!("kills: the day does not end meanwhile: no libfaketime (apt-get install faketime)");
        return OwnPostgres::up();
    }
    OwnPostgres::up_ahead((2 * DAY - since_midnight() - UNTIL_MIDNIGHT) % DAY)
}

#[expect(clippy::disallowed_methods, reason = "a test that sets a clock has to read one")]
fn since_midnight() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % DAY
}

/// Panics unless entries of both days are there, each in the partition of its day.
pub async fn check(superuser: &PgPool) {
    let days: Vec<(String, String)> = sqlx::query_as(
        "SELECT DISTINCT tableoid::regclass::text, 'audit_entries_' || to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD')
         FROM audit_entries ORDER BY 1",
    )
    .fetch_all(superuser)
    .await
    .unwrap();
    for (partition, day) in &days {
        assert_eq!(partition, day, "an entry is in another day's partition");
    }
    if OwnPostgres::can_run_ahead() {
        assert!(days.len() > 1, "no entry after midnight: {days:?}");
    }
    println!("kills: audit entries of {} days, each in its partition", days.len());
}
