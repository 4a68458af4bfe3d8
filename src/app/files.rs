//! Files that are replaced under a running process: root keys and database passwords. (`http` follows its certificate itself.)

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::AppError;
use crate::crypto::provider::FileKeyProvider;
use crate::settings::Dsn;
use crate::store::Pool;
use crate::store::pool::{PoolOptions, replace_dsn};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(10);

/// What to follow.
pub(super) struct Files {
    pub(super) keys: Arc<FileKeyProvider>,
    /// `database.url_file`, if that is where the URL comes from, and the URL as it was read.
    pub(super) url: Option<(PathBuf, Dsn)>,
    pub(super) pool: Pool,
    pub(super) pool_options: PoolOptions,
}

impl Files {
    /// Follows the files until told to stop. What cannot be used leaves things as they are, and is logged once.
    pub(super) async fn follow(mut self, stop: CancellationToken) -> Result<(), AppError> {
        let mut complained = [false, false];
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(EVERY) => {}
            }
            let keys = self.keys.reload().map_err(|error| error.to_string());
            report(keys, &mut complained[0], "the root key file");
            report(self.reload_url(), &mut complained[1], "database.url_file");
        }
    }

    fn reload_url(&mut self) -> Result<bool, String> {
        let Some((file, known)) = &mut self.url else {
            return Ok(false);
        };
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let dsn = Dsn::parse(&text).map_err(|error| error.to_string())?;
        if dsn == *known {
            return Ok(false);
        }
        replace_dsn(&self.pool, dsn.expose(), &self.pool_options).map_err(|error| error.to_string())?;
        *known = dsn;
        Ok(true)
    }
}

fn report(outcome: Result<bool, String>, complained: &mut bool, what: &str) {
    match outcome {
        Ok(changed) => {
            *complained = false;
            if changed {
                tracing::info!(file = what, "read again: it has changed");
            }
        }
        Err(error) if !std::mem::replace(complained, true) => {
            tracing::error!(
                file = what,
                error,
                "the changed file cannot be used; what was read before stays in force"
            );
        }
        Err(_) => {}
    }
}
