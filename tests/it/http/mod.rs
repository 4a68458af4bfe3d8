//! The REST door over a real vault: statuses, reasons, messages, and what is stored.

mod access;
mod api_keys;
mod audit;
mod bad_input;
mod browsers;
mod client;
mod credentials;
mod devices;
mod docs;
mod groups;
mod kv2;
mod leaks;
mod listener;
mod login;
mod passkeys;
mod passwords;
mod policies;
mod rates;
mod records;
mod route_table;
mod sealing;
mod sessions;
mod sso;
mod system;
mod users;
mod workloads;
