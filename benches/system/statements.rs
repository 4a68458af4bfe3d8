//! What the program's own statements take in the database, as the server itself counts them (`pg_stat_statements`).

use sqlx::{Connection as _, PgConnection};

use crate::Outcome;
use crate::installation::Installation;
use crate::report::Figure;

/// The role whose statements count.
const ROLE: &str = "aether_runtime";

/// Begins to count anew.
pub(crate) async fn forget(installation: &Installation) -> Outcome<()> {
    let mut database = connect(installation).await?;
    sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SELECT pg_stat_statements_reset()")
        .execute(&mut database)
        .await?;
    Ok(database.close().await?)
}

/// The mean execution time of all statements since then; beside it that of the statement that took most of the time.
pub(crate) async fn mean(installation: &Installation) -> Outcome<Figure> {
    let mut database = connect(installation).await?;
    let (total, calls, dearest): (f64, i64, f64) = sqlx::query_as(
        "SELECT sum(total_exec_time), sum(calls)::bigint, (array_agg(mean_exec_time ORDER BY total_exec_time DESC))[1]
         FROM pg_stat_statements WHERE userid = to_regrole($1)",
    )
    .bind(ROLE)
    .fetch_one(&mut database)
    .await?;
    database.close().await?;
    let figure = Figure::new("db_query_mean_ms", total / calls as f64, "ms", u64::try_from(calls)?);
    Ok(figure.with("aim", 10).with_number("dearest_mean_ms", dearest))
}

async fn connect(installation: &Installation) -> Outcome<PgConnection> {
    installation.connect("aether_vault").await
}
