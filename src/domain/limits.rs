//! Every bound on what comes from outside, in one place (R23, R27).

/// Bytes of a record path.
pub const MAX_PATH_BYTES: usize = 512;
/// Segments of a record path.
pub const MAX_SEGMENTS: usize = 16;
/// Bytes of one path segment.
pub const MAX_SEGMENT_BYTES: usize = 128;
/// Bytes of a record: its key names and values together, before encryption.
pub const MAX_RECORD_BYTES: usize = 1 << 20;
/// Keys of a record.
pub const MAX_KEYS: usize = 512;
/// Bytes of a key name (Kubernetes' own bound for the keys of a Secret).
pub const MAX_KEY_NAME_BYTES: usize = 253;
/// Nesting of a JSON value.
pub const MAX_JSON_DEPTH: usize = 32;
/// Versions kept of a record unless its metadata says otherwise.
pub const DEFAULT_MAX_VERSIONS: i64 = 10;
/// Bytes of a Kubernetes Secret's data, as the API server counts them: key names and raw values.
pub const MAX_SECRET_BYTES: usize = 1 << 20;
/// Bytes of a request body: a record of the largest size, base64 and JSON escapes included.
pub const MAX_BODY_BYTES: usize = 3 << 20;
/// Items of one page of a list.
pub const MAX_PAGE: u32 = 1000;
/// Bytes of a template's source.
pub const MAX_TEMPLATE_BYTES: usize = 64 << 10;
/// Versions that a record may be told to keep.
pub const MAX_VERSIONS: i64 = 1000;
/// Seconds after which a version may be told to go: a hundred years.
pub const MAX_DELETE_AFTER_SECONDS: i64 = 3_153_600_000;
/// Characters of a record's description.
pub const MAX_DESCRIPTION_CHARS: usize = 1024;
/// Characters of a record's owner, and of a value of its custom metadata.
pub const MAX_TEXT_CHARS: usize = 512;
/// Tags of a record.
pub const MAX_TAGS: usize = 32;
/// Bytes of a tag, and of a key of custom metadata.
pub const MAX_TAG_BYTES: usize = 128;
/// Keys of custom metadata.
pub const MAX_CUSTOM_KEYS: usize = 64;
/// Prefixes that may have settings of their own.
pub const MAX_PATH_SETTINGS: usize = 1000;
/// Records read in one call.
pub const MAX_BATCH: usize = 100;
/// Bytes of stored values read in one call.
pub const MAX_BATCH_BYTES: usize = 16 << 20;
/// Seconds that a wrapped value may wait for its reader: a week.
pub const MAX_WRAP_SECONDS: i64 = 604_800;
/// Values that wait for their reader, of one user or key.
pub const MAX_WRAPS: i64 = 1000;
