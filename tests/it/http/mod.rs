//! The REST door over a real vault: statuses, reasons, messages, and what is stored.

mod access;
mod api_keys;
mod bad_input;
mod client;
mod docs;
mod leaks;
mod listener;
mod login;
mod policies;
mod rates;
mod records;
mod users;
mod workloads;
