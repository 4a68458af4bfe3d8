//! Cryptography: envelope encryption, the keyring and its key providers, password hashing, tokens and their signatures.
//!
//! Called by `service` (and by `app` to build the keyring). Imports `domain` only; knows neither the database nor a transport.
//! Algorithms come from audited libraries; what is decided here is layouts, associated data, and who may hold which key.
//! Key types have no `Debug`, `Display`, `Serialize` or `Clone`, and are wiped when dropped.

mod aad;
pub mod audit_key;
pub mod breached;
pub mod certificate;
pub mod cluster_token;
pub mod envelope;
pub mod generate;
pub mod id_token;
pub mod jwt;
pub mod key_pair;
pub mod keyring;
pub mod keys;
pub mod mac;
pub mod passkey;
pub mod password;
pub mod pkce;
pub mod provider;
pub mod random;
pub mod sealing;
pub mod server_certificate;
pub mod ssh;
pub mod token;
pub mod totp;
