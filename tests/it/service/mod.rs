//! Use cases on a real database.

mod audit;
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
