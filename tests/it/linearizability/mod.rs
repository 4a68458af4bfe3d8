//! One record is one register, whoever asks and whichever process answers: histories of concurrent check-and-set writers and cached
//! readers, on two API processes that are killed meanwhile, are held against the model of a versioned register.

mod checker;
mod history;
mod live;
