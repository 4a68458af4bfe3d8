//! A request whose audit entry the database refuses, in the midst of everybody else's: it is never answered with a value, and it stops
//! nobody whose entries are committed in the same batch.

use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::support::client::Client;

/// The record that cannot be read.
const PATH: &str = "shared/poison";

/// Writes the record, then has the database refuse every entry of a read of it.
pub async fn prepare(client: &Client, superuser: &PgPool) {
    client.write(PATH, &serde_json::json!({"value": "poison"})).await.ok();
    let refuse = "CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$
                  BEGIN
                      RAISE EXCEPTION 'poison';
                  END
                  $$;
                  CREATE TRIGGER audit_entries_poison BEFORE INSERT ON audit_entries FOR EACH ROW
                  WHEN (NEW.resource = 'shared/poison') EXECUTE FUNCTION refuse_poison();";
    sqlx::raw_sql(refuse).execute(superuser).await.unwrap();
}

/// Reads it again and again; ends with how often it was refused.
pub fn read_it(client: &Client, stop: CancellationToken) -> JoinHandle<usize> {
    let client = client.clone();
    tokio::spawn(async move {
        let mut refused = 0;
        while !stop.is_cancelled() {
            let path = format!("/api/v1/records/{PATH}");
            if let Ok(answer) = client.request(reqwest::Method::GET, &path, None).await {
                assert!(
                    answer.status >= 500,
                    "a read was answered though its audit entry was refused: {}",
                    answer.status
                );
                refused += 1;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        refused
    })
}
