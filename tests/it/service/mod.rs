//! Use cases on a real database.

mod audit;
mod auth;
mod door;
mod feed;
mod keys;
mod quotas;
mod reads;
mod records;
mod remembering;
mod roots;
mod round_trips;
mod second_factor;
mod sessions;
mod sources;
mod tampering;
mod transfers;
mod users;
mod wraps;
mod writes;
