//! Records: what a path holds. Values have no `Debug`, `Display` or `Serialize`: only the two doors turn them into output.

mod codec;
mod data;
mod version;

pub use codec::{CodecError, decode, encode};
pub use data::{DataError, KeyName, RecordData, Value};
pub use version::{Expect, ExpectError, Version, VersionState};
