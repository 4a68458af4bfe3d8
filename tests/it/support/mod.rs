//! What integration tests share: a database of their own, and a vault opened on it as the runtime role.

pub mod database;
pub mod vault;
