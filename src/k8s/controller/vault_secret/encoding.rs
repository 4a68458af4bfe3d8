//! Unambiguous encodings of a Secret's content, to be hashed with the vault's key.

use super::secret::{OPAQUE, Wanted};
use crate::k8s::crd::vault_secret::CreationPolicy;

/// An unambiguous encoding of everything that decides the Secret's content, to be hashed with the vault's key.
pub(in crate::k8s::controller) fn canonical(wanted: &Wanted) -> zeroize::Zeroizing<Vec<u8>> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let mut part = |part: &[u8]| {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    };
    part(b"av/secret/1");
    part(match wanted.policy {
        CreationPolicy::Own => b"own",
        CreationPolicy::Merge => b"merge",
    });
    part(wanted.secret_type.as_deref().unwrap_or(OPAQUE).as_bytes());
    part(if wanted.immutable { b"immutable" } else { b"" });
    part(if wanted.owner_reference { b"owned" } else { b"" });
    for map in [&wanted.labels, &wanted.annotations] {
        part(&u64::try_from(map.len()).unwrap_or(u64::MAX).to_be_bytes());
        for (key, value) in map {
            part(key.as_bytes());
            part(value.as_bytes());
        }
    }
    for (key, value) in &wanted.data.0 {
        part(key.as_str().as_bytes());
        part(value);
    }
    bytes
}

/// An unambiguous encoding of the data alone, which is what consumers see; the place makes equal data of two Secrets look different.
pub(in crate::k8s::controller) fn content(wanted: &Wanted) -> zeroize::Zeroizing<Vec<u8>> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let mut part = |part: &[u8]| {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    };
    part(b"av/content/1");
    part(wanted.target.namespace.as_bytes());
    part(wanted.target.name.as_bytes());
    for (key, value) in &wanted.data.0 {
        part(key.as_str().as_bytes());
        part(value);
    }
    bytes
}
