//! Database failures as errors of use cases.

use super::error::{Error, Reason};
use crate::store::StoreError;

/// The error that a caller sees when the database failed.
pub(super) fn store_failed(error: StoreError) -> Error {
    if error.is_unavailable() {
        Error::new(
            Reason::StoreUnavailable,
            "the database does not answer; nothing is lost, try again shortly",
        )
        .because(error)
    } else {
        Error::internal(error)
    }
}
