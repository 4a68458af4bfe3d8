//! The rules of the vault: pure, without I/O, async, clock or randomness. Imports itself and a short list of pure crates.

pub mod account;
pub mod actor;
pub mod audit;
pub mod change;
pub mod device;
pub mod generate;
pub mod limits;
pub mod path;
pub mod policy;
pub mod projection;
pub mod record;
pub mod root;
pub mod sealed;
pub mod second_factor;
pub mod source;
pub mod span;
pub mod sso;
pub mod sync;
pub mod system_config;
pub mod template;
