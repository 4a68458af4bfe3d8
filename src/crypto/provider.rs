//! Where root keys come from. The vault never stores them: it asks a [`KeyProvider`], and names them by id.
//! Built by `app`, called by the keyring and by the `keys` command.

mod file;

use std::sync::Arc;

pub use file::{FileKeyProvider, KeyFileError, generate_file, generate_text};

use super::keys::{RootKey, RootKeyId};

/// A source of root keys.
pub trait KeyProvider: Send + Sync {
    /// The root key that new keys are wrapped with.
    fn active(&self) -> Arc<RootKey>;

    /// A root key by id, to open what it wrapped.
    fn find(&self, id: RootKeyId) -> Option<Arc<RootKey>>;

    /// The ids of all root keys at hand, the active one first.
    fn ids(&self) -> Vec<RootKeyId>;
}
