//! Use cases on a real database.

mod auth;
mod door;
mod feed;
mod keys;
mod reads;
mod sessions;
mod tampering;
mod users;
mod writes;
