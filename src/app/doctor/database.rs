//! The database: reachable, durable, current, with roles of the right rights, and belonging to the root keys.

use std::sync::Arc;

use super::{Finding, in_time};
use crate::app::vault;
use crate::crypto::keyring::Keyring;
use crate::crypto::provider::FileKeyProvider;
use crate::service::context::{Clock as _, SystemClock};
use crate::settings::Settings;
use crate::store::pool::{ServerFacts, server_facts};
use crate::store::{Pool, keks, migrate};

/// The oldest Postgres that will do.
const OLDEST: i32 = 150_000;
/// How far the clocks may be apart, in seconds: tokens are checked by one and sessions by the other.
const SKEW_SECONDS: i64 = 5;

pub(super) async fn examine(settings: &Settings, provider: Option<&FileKeyProvider>) -> Vec<Finding> {
    const NAME: &str = "database";
    let connected = settings
        .database
        .runtime()
        .map_err(|error| error.to_string())
        .and_then(|dsn| vault::pool(settings, dsn, "aether-vault doctor").map_err(|error| error.to_string()));
    let pool = match connected {
        Ok(pool) => pool,
        Err(problem) => {
            return vec![Finding::failed(
                NAME,
                problem,
                "set database.url to the runtime role's URL",
            )];
        }
    };
    let facts = match in_time(async { server_facts(&pool).await.map_err(crate::app::AppError::from) }).await {
        Ok(facts) => facts,
        Err(problem) => {
            let remedy = "is Postgres running, and are host, port, role, password and certificate authority in database.url right?";
            return vec![Finding::failed(NAME, problem, remedy)];
        }
    };
    let mut findings = vec![Finding::fine(NAME, "answers")];
    findings.extend(server(&facts));
    let schema = schema(&pool).await;
    let current = schema.is_fine();
    findings.push(schema);
    findings.push(match provider {
        Some(_) if !current => Finding::skipped("sentinel", "the schema is not current"),
        None => Finding::skipped("sentinel", "there are no root keys"),
        Some(_) => sentinel(settings, &pool).await,
    });
    findings
}

fn server(facts: &ServerFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (major, minor) = (facts.version_number / 10_000, facts.version_number % 10_000);
    findings.push(if facts.version_number >= OLDEST {
        Finding::fine("postgres version", format!("{major}.{minor}"))
    } else {
        Finding::failed(
            "postgres version",
            format!("{major}.{minor}"),
            "use Postgres 15 or newer",
        )
    });
    findings.push(if facts.fsync && facts.synchronous_commit {
        Finding::fine("durability", "fsync and synchronous_commit are on")
    } else {
        let problem = "fsync or synchronous_commit is off: an acknowledged write could be lost";
        Finding::failed(
            "durability",
            problem,
            "turn both on in postgresql.conf, and for the runtime role",
        )
    });
    findings.push(if facts.may_rewrite_audit {
        let remedy = "give database.url a role of its own beside the owner, then run 'aether-vault migrate'";
        Finding::warning(
            "audit rights",
            "the runtime role may change or remove audit entries",
            remedy,
        )
    } else {
        Finding::fine(
            "audit rights",
            "the runtime role can add audit entries and not change them",
        )
    });
    let skew = SystemClock.now().as_microsecond() - facts.clock_micros;
    findings.push(if skew.abs() <= SKEW_SECONDS * 1_000_000 {
        Finding::fine("clock", format!("within {SKEW_SECONDS} s of the database's"))
    } else {
        let problem = format!("{} s apart from the database's", skew / 1_000_000);
        Finding::failed("clock", problem, "synchronise both machines by NTP")
    });
    findings
}

async fn schema(pool: &Pool) -> Finding {
    const NAME: &str = "schema";
    let remedy = "run 'aether-vault migrate' with the owner's URL in database.owner_url";
    match in_time(async { migrate::state(pool).await.map_err(crate::app::AppError::from) }).await {
        Ok(state) if state.is_usable() => Finding::fine(NAME, format!("version {}", state.applied)),
        Ok(state) => Finding::failed(
            NAME,
            format!("version {}, and {} is needed", state.applied, state.known),
            remedy,
        ),
        Err(problem) => Finding::failed(NAME, problem, remedy),
    }
}

async fn sentinel(settings: &Settings, pool: &Pool) -> Finding {
    const NAME: &str = "sentinel";
    let remedy = "point keys.file at the root keys that this database was made with; the vault never makes new ones for old data";
    let stored = match in_time(async { keks::sentinel(pool).await.map_err(crate::app::AppError::from) }).await {
        Ok(Some(stored)) => stored,
        Ok(None) => return Finding::fine(NAME, "none yet: the first start makes it"),
        Err(problem) => {
            return Finding::failed(
                NAME,
                problem,
                "run 'aether-vault migrate', which grants what is missing",
            );
        }
    };
    match vault::root_keys(settings) {
        Ok(provider) => match Keyring::new(Arc::clone(&provider) as Arc<_>).check_sentinel(&stored.0, &stored.1) {
            Ok(()) => Finding::fine(NAME, "the root keys open this database"),
            Err(error) => Finding::failed(NAME, error.to_string(), remedy),
        },
        Err(error) => Finding::failed(NAME, error.to_string(), remedy),
    }
}
