//! Records: what a path holds. Values have no `Debug`, `Display` or `Serialize`: only the two doors turn them into output.

mod codec;
mod data;
mod diff;
mod metadata;
mod patch;
mod retention;
mod version;

pub use codec::{CodecError, decode, encode};
pub use data::{DataError, KeyName, RecordData, Value};
pub use diff::{KeyChange, diff};
pub use metadata::{AgeBucket, ExpiryBucket, Metadata, MetadataError, MetadataPatch, is_word};
pub use patch::Patch;
pub use retention::{PathSettings, Retention};
pub use version::{Expect, ExpectError, Version, VersionState};
