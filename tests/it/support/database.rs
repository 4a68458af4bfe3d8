//! A database for each test, migrated as the owner and used as the runtime role, dropped when the test ends.

use std::str::FromStr as _;
use std::time::Duration;

use aether_vault::store::migrate;
use aether_vault::store::pool::{PoolOptions, connect_lazy, user_of};
use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use tokio::sync::OnceCell;

use super::servers::OwnPostgres;

/// A database that lives as long as the test.
pub struct TestDatabase {
    pub name: String,
    /// The serving role's DSN, as the product gets it.
    pub runtime_dsn: String,
    /// The owner's DSN.
    pub owner_dsn: String,
    /// The serving role's pool, as the product has it.
    pub runtime: PgPool,
    /// A superuser's pool, to look behind the product's back, and for transactions that a test holds: those of `runtime` Postgres ends when
    /// they are idle for ten seconds, which a machine that stalls takes.
    pub superuser: PgPool,
    admin_dsn: String,
}

impl TestDatabase {
    /// Makes a database with the current schema: a copy of one that is migrated, which takes a fraction of migrating another.
    pub async fn new() -> Self {
        static MIGRATED: OnceCell<String> = OnceCell::const_new();
        Self::copy_of(MIGRATED.get_or_init(migrated).await).await
    }

    /// Makes a database with the current schema on a server of the test's own.
    pub async fn on(server: &OwnPostgres) -> Self {
        let dsn = |role: &str| server.dsn(role);
        Self::made(dsn("superuser"), &dsn("owner"), &dsn("runtime"), "template1")
            .await
            .with_schema()
            .await
    }

    async fn with_schema(self) -> Self {
        let database = self;
        let owner = connect_lazy(&database.owner_dsn, &options(2)).unwrap();
        migrate::run(&owner).await.unwrap();
        migrate::grant_runtime(&owner, &user_of(&database.runtime_dsn).unwrap())
            .await
            .unwrap();
        owner.close().await;
        database
    }

    /// Makes a database without a schema.
    pub async fn empty() -> Self {
        Self::copy_of("template1").await
    }

    async fn copy_of(template: &str) -> Self {
        Self::made(
            variable("TEST_DATABASE_URL"),
            &variable("TEST_DATABASE_OWNER_URL"),
            &variable("TEST_DATABASE_RUNTIME_URL"),
            template,
        )
        .await
    }

    async fn made(admin_dsn: String, owner_dsn: &str, runtime_dsn: &str, template: &str) -> Self {
        let name = format!("it_{}", hex::encode(rand_bytes()));
        let owner_role = user_of(owner_dsn).unwrap();
        execute(
            &admin_dsn,
            &format!("CREATE DATABASE {name} OWNER {owner_role} TEMPLATE {template}"),
        )
        .await;
        let runtime_dsn = with_database(runtime_dsn, &name);
        let superuser = PgPoolOptions::new()
            .max_connections(2)
            .connect_lazy_with(PgConnectOptions::from_str(&with_database(&admin_dsn, &name)).unwrap());
        Self {
            owner_dsn: with_database(owner_dsn, &name),
            runtime: connect_lazy(&runtime_dsn, &options(10)).unwrap(),
            runtime_dsn,
            superuser,
            admin_dsn,
            name,
        }
    }

    /// Runs a statement as the superuser.
    pub async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&self.superuser)
            .await
            .unwrap();
    }

    /// Ends every connection and lets nobody in, as an outage would.
    pub async fn close(&self) {
        let name = &self.name;
        execute(
            &self.admin_dsn,
            &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
        )
        .await;
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        execute(&self.admin_dsn, &end).await;
    }

    /// Lets everybody in again.
    pub async fn open(&self) {
        let name = &self.name;
        execute(
            &self.admin_dsn,
            &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"),
        )
        .await;
    }

    /// Asks for one number as the superuser.
    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.superuser)
            .await
            .unwrap()
    }

    /// The audit entries as `action decision reason resource`, in their order.
    pub async fn audit(&self) -> Vec<String> {
        let sql =
            "SELECT concat_ws(' ', action, decision, nullif(reason, ''), resource) FROM audit_entries ORDER BY id";
        sqlx::query_scalar(sql).fetch_all(&self.superuser).await.unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (dsn, sql) = (
            self.admin_dsn.clone(),
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
        // Beside the test and not waited for: a connection of this test may be in the middle of logging in, its runtime does not go on
        // until this returns, and the server does not drop the database before that log-in ended.
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(execute(&dsn, &sql));
        });
    }
}

pub fn options(max_connections: u32) -> PoolOptions {
    PoolOptions {
        max_connections,
        acquire_timeout: Duration::from_secs(20),
        statement_timeout: Duration::from_secs(20),
        application_name: "it",
    }
}

/// Makes the database that the others are copies of, and answers its name. It stays for later runs of the same schema; of the same day, since
/// the schema has a partition for each of the next days.
async fn migrated() -> String {
    let admin_dsn = variable("TEST_DATABASE_URL");
    let mut admin = PgConnectOptions::from_str(&admin_dsn).unwrap().connect().await.unwrap();
    let mut checksums = Sha256::new();
    for migration in sqlx::migrate!("./migrations").iter() {
        checksums.update(&migration.checksum);
    }
    let day: String = sqlx::query_scalar("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    let name = format!("it_schema_{day}_{}", hex::encode(&checksums.finalize()[..4]));
    // Until this connection ends: another process may run tests on the same server.
    let lock = "SELECT pg_advisory_lock(hashtext('it_schema'))";
    sqlx::raw_sql(lock).execute(&mut admin).await.unwrap();
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(&name)
        .fetch_one(&mut admin)
        .await
        .unwrap();
    if !there {
        let made = TestDatabase::empty().await.with_schema().await;
        // Nobody may be connected to what is renamed or copied.
        made.close().await;
        execute(&admin_dsn, &format!("ALTER DATABASE {} RENAME TO {name}", made.name)).await;
    }
    name
}

async fn execute(dsn: &str, sql: &str) {
    let mut connection = PgConnectOptions::from_str(dsn).unwrap().connect().await.unwrap();
    // Copied databases have nobody connected; one that ends its last connections just now is tried again.
    for attempt in 0..50 {
        match sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
        {
            Ok(_) => return,
            Err(error) if attempt < 49 && error.to_string().contains("is being accessed") => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => panic!("{sql}: {error}"),
        }
    }
}

fn with_database(dsn: &str, name: &str) -> String {
    let (base, query) = dsn
        .split_once('?')
        .map_or((dsn, None), |(base, query)| (base, Some(query)));
    let (server, _) = base.rsplit_once('/').expect("a DSN ends in /database");
    query.map_or_else(
        || format!("{server}/{name}"),
        |query| format!("{server}/{name}?{query}"),
    )
}

fn rand_bytes() -> [u8; 6] {
    aether_vault::crypto::random::bytes()
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told where their servers are by the environment"
)]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run the integration tests with 'make test'"))
}
