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
