//! What `aether-vault audit` does, with the database at hand or away from it.

use std::io::{BufRead as _, Write};
use std::path::Path;

use super::{AppError, vault};
use crate::crypto::audit_key::AuditPublicKeys;
use crate::domain::audit::chain::Checkpoint;
use crate::domain::audit::proof::Proof;
use crate::domain::audit::report::{Item, Report};
use crate::service::audit_log::verify_export;
use crate::service::error::Error;
use crate::settings::Settings;

/// Bytes of one line of an export; a block of tens of thousands of entries is one line.
const MAX_LINE: u64 = 64 << 20;

/// Verifies the log in the database.
///
/// # Errors
/// [`AppError`] if nothing can be told.
pub async fn audit_verify(settings: &Settings, checkpoint: Option<&Path>) -> Result<Report, AppError> {
    let checkpoint = checkpoint.map(read_checkpoint).transpose()?;
    let vault = vault::open_once(settings).await?;
    Ok(vault.audit_log().verify(checkpoint).await?)
}

/// Verifies an export, by a public key that the caller trusts: a file of its own, or the checkpoint's.
///
/// # Errors
/// [`AppError`] if nothing can be told.
pub fn verify_audit_export(
    export: &Path,
    checkpoint: Option<&Path>,
    public_keys: Option<&Path>,
) -> Result<Report, AppError> {
    let checkpoint = checkpoint.map(read_checkpoint).transpose()?;
    let keys = trusted(checkpoint.as_ref(), public_keys)?;
    let unreadable = |error: &dyn std::fmt::Display| AppError::Failed(format!("{}: {error}", export.display()));
    let file = std::fs::File::open(export).map_err(|error| unreadable(&error))?;
    let mut lines = std::io::BufReader::new(file);
    let mut number = 0_u64;
    let items = std::iter::from_fn(|| {
        let mut line = Vec::new();
        number += 1;
        match std::io::Read::take(&mut lines, MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(
                serde_json::from_slice::<Item>(&line)
                    .map_err(|error| unreadable(&format!("line {number} is none of an export: {error}"))),
            ),
            Err(error) => Some(Err(unreadable(&error))),
        }
    });
    verify_export(&keys, checkpoint, items)
}

/// Writes the whole log, to be verified elsewhere: one JSON object a line.
///
/// # Errors
/// [`AppError`].
pub async fn export_audit(settings: &Settings, out: &mut (dyn Write + Send)) -> Result<u64, AppError> {
    let vault = vault::open_once(settings).await?;
    let mut lines = 0;
    vault
        .audit_log()
        .each_item(&mut |item| {
            lines += 1;
            serde_json::to_writer(&mut *out, &item).map_err(Error::internal)?;
            out.write_all(b"\n").map_err(Error::internal)
        })
        .await?;
    out.flush().map_err(|error| AppError::Failed(error.to_string()))?;
    Ok(lines)
}

/// The proof of an entry.
///
/// # Errors
/// [`AppError`] if there is no such entry, or it is not sealed yet.
pub async fn prove_audit_entry(settings: &Settings, id: i64) -> Result<Proof, AppError> {
    Ok(vault::open_once(settings).await?.audit_log().proof(id).await?)
}

/// Checks a proof, away from any database.
///
/// # Errors
/// [`AppError`] if it cannot be told. The inner error is what does not hold.
pub fn verify_audit_proof(
    proof: &Path,
    checkpoint: Option<&Path>,
    public_keys: Option<&Path>,
) -> Result<Result<Proof, String>, AppError> {
    let checkpoint = checkpoint.map(read_checkpoint).transpose()?;
    let keys = trusted(checkpoint.as_ref(), public_keys)?;
    let proof: Proof = read_json(proof, "a proof, as 'aether-vault audit prove' writes it")?;
    let held = proof.verify(&|kid, message, signature| keys.check(kid, message, signature));
    Ok(held.map(|()| proof).map_err(|error| error.to_string()))
}

/// The newest checkpoint.
///
/// # Errors
/// [`AppError`] if nothing is sealed yet.
pub async fn audit_checkpoint(settings: &Settings) -> Result<Checkpoint, AppError> {
    Ok(vault::open_once(settings).await?.audit_log().checkpoint().await?)
}

/// The ids and public halves of the keys that sign the log; hex.
///
/// # Errors
/// [`AppError`].
pub async fn audit_public_keys(settings: &Settings) -> Result<Vec<(String, String)>, AppError> {
    let vault = vault::open_once(settings).await?;
    let keys = vault.audit_log().public_keys().clone();
    Ok(keys
        .iter()
        .map(|(kid, public)| (kid.to_owned(), hex::encode(public)))
        .collect())
}

/// Drops the entries of a day; answers how many there were.
///
/// # Errors
/// [`AppError`] if the day may not be dropped.
pub async fn drop_audit_day(settings: &Settings, day: &str) -> Result<i64, AppError> {
    let day = day
        .parse()
        .map_err(|_| AppError::Failed(format!("{day} is no day; write it as 2026-11-26")))?;
    Ok(vault::open_once(settings).await?.audit_log().drop_day(day).await?)
}

fn read_checkpoint(file: &Path) -> Result<Checkpoint, AppError> {
    read_json(file, "a checkpoint, as 'aether-vault audit checkpoint' writes it")
}

fn read_json<T: serde::de::DeserializeOwned>(file: &Path, what: &str) -> Result<T, AppError> {
    let unreadable =
        |error: &dyn std::fmt::Display| AppError::Failed(format!("{}: {error}; it has to be {what}", file.display()));
    let text = std::fs::read(file).map_err(|error| unreadable(&error))?;
    serde_json::from_slice(&text).map_err(|error| unreadable(&error))
}

/// The keys that signatures are checked with. Those that come with an export prove nothing: whoever forges one writes them as well.
fn trusted(checkpoint: Option<&Checkpoint>, public_keys: Option<&Path>) -> Result<AuditPublicKeys, AppError> {
    let mut keys = AuditPublicKeys::default();
    let bad = |what: &str| {
        AppError::Failed(format!(
            "{what} holds no public key of an audit log: 64 hex digits each"
        ))
    };
    if let Some(file) = public_keys {
        let text =
            std::fs::read_to_string(file).map_err(|error| AppError::Failed(format!("{}: {error}", file.display())))?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            // A key alone, or behind its id, as 'aether-vault audit keys' prints them.
            let key = line.split_whitespace().last().and_then(|key| hex::decode(key).ok());
            let key = key.ok_or_else(|| bad(&file.display().to_string()))?;
            keys.trust(&key).map_err(|_| bad(&file.display().to_string()))?;
        }
    } else if let Some(checkpoint) = checkpoint {
        keys.trust(&checkpoint.public_key).map_err(|_| bad("the checkpoint"))?;
    } else {
        return Err(AppError::Failed(
            "give --public-keys FILE, as 'aether-vault audit keys' prints them, or --checkpoint FILE from a safe place: the export itself cannot say which key to trust"
                .to_owned(),
        ));
    }
    Ok(keys)
}
