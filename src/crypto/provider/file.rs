//! Root keys from a file: one key a line, `avrk1.<id>.<32 bytes in base64url>`; `#` begins a comment. The first key is the active one,
//! the others open what they wrapped earlier.
//!
//! The file must be closed to other users: mode 0600 or 0400. A Kubernetes Secret mounted as a volume belongs to root and is given to
//! the pod's `fsGroup`, so there (and only there: the file is a link into `..data`) group-readable modes such as 0440 and 0640 are
//! accepted as well. `subPath` mounts are refused, as they would never see a rotated key.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::{fmt, io};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::KeyProvider;
use crate::crypto::keys::{KEY_BYTES, KeyBytes, RootKey, RootKeyId};

/// The first field of a line, with the version of the format.
const TAG: &str = "avrk1";
/// No list of root keys is near this size.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// Why a key file cannot be used. Names the file and what to do; never its content.
#[derive(Debug, thiserror::Error)]
#[error("root key file {}: {fault}", path.display())]
pub struct KeyFileError {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(
        "there is no such file; mount the one that belongs to this database, \
         or for a new vault run 'aether-vault keys init'"
    )]
    Missing,
    #[error("cannot be read: {0}")]
    Read(io::Error),
    #[error("is not a file")]
    NotAFile,
    #[error("is larger than {MAX_FILE_BYTES} bytes, so it is not a key file")]
    TooLarge,
    #[error(
        "is open to other users (mode {0:04o}); run 'chmod 600' on it, \
         or in Kubernetes mount the Secret with 'defaultMode: 0400' and 'fsGroup'"
    )]
    Open(u32),
    #[error("line {line}: {what}")]
    Line { line: usize, what: LineFault },
    #[error("holds no key; a key is a line such as 'avrk1.<id>.<base64url>', made by 'aether-vault keys init'")]
    Empty,
    #[error(
        "exists already; keys are never overwritten: \
         remove it yourself if no vault uses it, or choose another name"
    )]
    Exists,
    #[error("cannot be written: {0}")]
    Write(io::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineFault {
    Form,
    Id,
    Key,
    Twice(RootKeyId),
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("not of the form 'avrk1.<id>.<base64url>'"),
            Self::Id => f.write_str("the id must be 16 lower-case hex digits"),
            Self::Key => f.write_str("the key must be 32 bytes in base64url without padding (43 characters)"),
            Self::Twice(id) => write!(f, "key {id} stands in the file twice"),
        }
    }
}

/// The keys of one file, re-read when it changes.
pub struct FileKeyProvider {
    path: PathBuf,
    loaded: RwLock<Loaded>,
}

struct Loaded {
    keys: Keys,
    stamp: Stamp,
}

/// The first is the active one.
struct Keys {
    active: Arc<RootKey>,
    others: Vec<Arc<RootKey>>,
}

/// Which file was read. A rotated Kubernetes Secret is another file behind the same link.
#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl FileKeyProvider {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyFileError`] with what to do.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        let loaded = load(path).map_err(|fault| KeyFileError {
            path: path.to_owned(),
            fault,
        })?;
        Ok(Self {
            path: path.to_owned(),
            loaded: RwLock::new(loaded),
        })
    }

    /// Reads the file again if it is another one than was read; answers whether it was. After an error the keys stay as they were.
    ///
    /// # Errors
    /// [`KeyFileError`] with what to do.
    pub fn reload(&self) -> Result<bool, KeyFileError> {
        let failed = |fault| KeyFileError {
            path: self.path.clone(),
            fault,
        };
        let stamp = Stamp::of(&std::fs::metadata(&self.path).map_err(read_fault).map_err(failed)?);
        if self.loaded.read().unwrap_or_else(PoisonError::into_inner).stamp == stamp {
            return Ok(false);
        }
        let loaded = load(&self.path).map_err(failed)?;
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(true)
    }

    fn with_keys<T>(&self, look: impl FnOnce(&Keys) -> T) -> T {
        // The lock is held for a look-up only, and the keys behind it are replaced in whole.
        look(&self.loaded.read().unwrap_or_else(PoisonError::into_inner).keys)
    }
}

impl KeyProvider for FileKeyProvider {
    fn active(&self) -> Arc<RootKey> {
        self.with_keys(|keys| Arc::clone(&keys.active))
    }

    fn find(&self, id: RootKeyId) -> Option<Arc<RootKey>> {
        self.with_keys(|keys| keys.iter().find(|key| key.id() == id).cloned())
    }

    fn ids(&self) -> Vec<RootKeyId> {
        self.with_keys(|keys| keys.iter().map(|key| key.id()).collect())
    }
}

impl Keys {
    fn iter(&self) -> impl Iterator<Item = &Arc<RootKey>> {
        std::iter::once(&self.active).chain(&self.others)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Writes a new file with one fresh key, mode 0600, and makes sure that it is on disk: a key that is lost with the power takes
/// everything with it that was encrypted under it. Answers the key's id.
///
/// # Errors
/// [`KeyFileError`] if the file exists or cannot be written.
pub fn generate_file(path: &Path) -> Result<RootKeyId, KeyFileError> {
    let failed = |fault| KeyFileError {
        path: path.to_owned(),
        fault,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(write_fault)
        .map_err(failed)?;
    let (id, text) = generate_text();
    let written = write_key(&mut file, &text).and_then(|()| sync_folder(path));
    match written {
        Ok(()) => Ok(id),
        Err(error) => {
            // It was made a moment ago, and half a key is of no use to anyone; what counts is the first error.
            let _ = std::fs::remove_file(path);
            Err(failed(write_fault(error)))
        }
    }
}

/// The content of a new key file with one fresh key, for a Kubernetes Secret that is mounted as one; and the key's id.
#[must_use]
pub fn generate_text() -> (RootKeyId, Zeroizing<String>) {
    let id = RootKeyId::generate();
    let key = KeyBytes::generate();
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str("# Root key of an Aether Vault. Without it nothing that the vault holds can be read: keep a copy in a safe place.\n");
    text.push_str(&format!("{TAG}.{id}."));
    URL_SAFE_NO_PAD.encode_string(key.expose(), &mut text);
    text.push('\n');
    (id, text)
}

fn write_key(file: &mut File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn load(path: &Path) -> Result<Loaded, Fault> {
    // Looked at before it is opened, since opening a pipe would wait for a writer.
    check(path, &std::fs::metadata(path).map_err(read_fault)?)?;
    let file = File::open(path).map_err(read_fault)?;
    let metadata = file.metadata().map_err(read_fault)?;
    check(path, &metadata)?;
    // The exact capacity: growing would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
    file.take(metadata.len()).read_to_end(&mut text).map_err(read_fault)?;
    Ok(Loaded {
        keys: parse(&text)?,
        stamp: Stamp::of(&metadata),
    })
}

fn check(path: &Path, metadata: &Metadata) -> Result<(), Fault> {
    if !metadata.is_file() {
        return Err(Fault::NotAFile);
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(Fault::TooLarge);
    }
    let mode = metadata.mode() & 0o7777;
    let refused = if in_kubernetes_volume(path) { 0o037 } else { 0o077 };
    if mode & refused != 0 {
        Err(Fault::Open(mode))
    } else {
        Ok(())
    }
}

/// The kubelet lays a volume out as `<file> -> ..data/<file>` and `..data -> ..<time>`, so that a new content appears at once.
fn in_kubernetes_volume(path: &Path) -> bool {
    std::fs::read_link(path).is_ok_and(|target| target.starts_with("..data"))
}

fn parse(text: &[u8]) -> Result<Keys, Fault> {
    let mut keys: Vec<Arc<RootKey>> = Vec::new();
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let fault = |what| Fault::Line { line: at + 1, what };
        let key = parse_line(line).map_err(fault)?;
        if keys.iter().any(|known| known.id() == key.id()) {
            return Err(fault(LineFault::Twice(key.id())));
        }
        keys.push(Arc::new(key));
    }
    let mut keys = keys.into_iter();
    let active = keys.next().ok_or(Fault::Empty)?;
    Ok(Keys {
        active,
        others: keys.collect(),
    })
}

fn parse_line(line: &[u8]) -> Result<RootKey, LineFault> {
    let line = std::str::from_utf8(line).map_err(|_| LineFault::Form)?;
    let mut fields = line.split('.');
    let (Some(TAG), Some(id), Some(key), None) = (fields.next(), fields.next(), fields.next(), fields.next()) else {
        return Err(LineFault::Form);
    };
    let id = id.parse().map_err(|_| LineFault::Id)?;
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    match URL_SAFE_NO_PAD.decode_slice(key, &mut *bytes) {
        Ok(KEY_BYTES) => Ok(RootKey::new(id, KeyBytes::new(&bytes))),
        _ => Err(LineFault::Key),
    }
}

fn read_fault(error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing,
        _ => Fault::Read(error),
    }
}

fn write_fault(error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Fault::Exists,
        _ => Fault::Write(error),
    }
}

#[cfg(test)]
mod tests;
