//! Secrets in files: read without a trailing line break, written for the owner alone.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use secrecy::SecretString;
use zeroize::{Zeroize as _, Zeroizing};

use super::failure::Failure;

/// Bytes of a secret on one line at most.
const MAX_LINE: u64 = 64 << 10;

/// Reads a password or token: the text of the file, or of standard input for `-`, without the line break at its end.
pub(super) fn read_secret(path: &Path) -> Result<SecretString, Failure> {
    let mut text = String::with_capacity(1024);
    let read = if path == Path::new("-") {
        io::stdin().take(MAX_LINE).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_LINE).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    let secret = SecretString::from(
        text.strip_suffix('\n')
            .map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)),
    );
    text.zeroize();
    if secrecy::ExposeSecret::expose_secret(&secret).is_empty() {
        return Err(Failure::usage(format!("{} is empty", path.display())));
    }
    Ok(secret)
}

/// Reads a whole file, or standard input for `-`, up to `limit` bytes.
pub(super) fn read_bytes(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = if path == Path::new("-") {
        io::stdin().take(limit + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::usage(format!(
            "{} has more than {limit} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Writes a secret so that only its owner can read it, and readers see the old or the new text, never a part.
pub(super) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(format!("cannot write {}: {error}", path.display()));
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .map_err(failed)?;
    let written = writeln!(file, "{text}")
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|error| {
        // What was left over holds the secret.
        let _ = std::fs::remove_file(&partial);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_secret_is_written_for_its_owner_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        write_secret(&file, "first").unwrap();
        write_secret(&file, "second").unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_secret(&file).unwrap().expose_secret(), "second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_one_line_break_is_taken_off() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        for (text, secret) in [("a b \r\n", "a b "), ("a\n\n", "a\n"), ("a", "a")] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read_secret(&file).unwrap().expose_secret(), secret);
        }
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(read_secret(&file).unwrap_err().code, 2);
    }
}
