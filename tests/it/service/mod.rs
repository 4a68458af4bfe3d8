//! Use cases on a real database.

mod auth;
mod door;
mod feed;
mod keys;
mod reads;
mod roots;
mod sessions;
mod tampering;
mod users;
mod writes;
