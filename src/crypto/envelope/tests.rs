use proptest::prelude::*;
use serde::Deserialize;

use super::*;

const ROOT: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001);
const RECORD: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0002);
const KEK: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0003);

/// What does not implement `Debug`, on purpose, cannot be unwrapped.
fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn cause<T>(result: Result<T, OpenError>) -> OpenCause {
    match result {
        Ok(_) => panic!("opened"),
        Err(error) => error.0,
    }
}

fn key(byte: u8) -> KeyBytes {
    KeyBytes::new(&[byte; 32])
}

fn root_key(id: &str, byte: u8) -> RootKey {
    RootKey::new(id.parse().unwrap(), key(byte))
}

fn kek_context() -> KekContext {
    KekContext {
        kek_id: KEK,
        root_id: ROOT,
        purpose: Purpose::Data,
        generation: 1,
    }
}

fn kek(byte: u8) -> Kek {
    Kek::new(kek_context(), key(byte))
}

fn path() -> RecordPath {
    RecordPath::parse("k8s/shop/orders-db").unwrap()
}

fn context(path: &RecordPath) -> RecordContext<'_> {
    RecordContext {
        root_id: ROOT,
        table: "secret_versions",
        record_id: RECORD,
        version: Version::FIRST,
        path,
    }
}

#[test]
fn a_record_comes_back_as_it_was_sealed() {
    let (kek, path) = (kek(2), path());
    for plaintext in [&b""[..], b"x", &[0xAB; 1 << 20]] {
        let sealed = ok(seal_record(&kek, &context(&path), plaintext));
        assert_eq!(sealed.ciphertext.len(), 1 + 12 + plaintext.len() + 16);
        assert_eq!(sealed.wrapped_dek.len(), 1 + 16 + 12 + 32 + 16);
        assert_eq!(kek_id(&sealed.wrapped_dek), Some(KEK));
        let opened = ok(open_record(
            &kek,
            &context(&path),
            &sealed.wrapped_dek,
            &sealed.ciphertext,
        ));
        assert!(*opened == plaintext);
    }
}

#[test]
fn sealing_twice_shares_neither_key_nor_nonce() {
    let (kek, path) = (kek(2), path());
    let (a, b) = (
        ok(seal_record(&kek, &context(&path), b"same")),
        ok(seal_record(&kek, &context(&path), b"same")),
    );
    assert_ne!(a.ciphertext, b.ciphertext);
    assert_ne!(a.wrapped_dek, b.wrapped_dek);
    assert_ne!(a.ciphertext[1..13], b.ciphertext[1..13]);
    assert_ne!(a.wrapped_dek[17..29], b.wrapped_dek[17..29]);
}

#[test]
fn r38_a_value_opens_only_in_its_table_record_and_version() {
    let (dek, path) = (Dek::new(key(1)), path());
    let right = context(&path);
    let sealed = ok(seal_value(&dek, &right, b"plaintext"));
    for wrong in [
        RecordContext {
            table: "signing_keys",
            ..right
        },
        RecordContext {
            record_id: Uuid::from_u128(9),
            ..right
        },
        RecordContext {
            version: right.version.next(),
            ..right
        },
    ] {
        assert_eq!(cause(open_value(&dek, &wrong, &sealed)), OpenCause::Authentication);
    }
    assert_eq!(
        cause(open_value(&Dek::new(key(9)), &right, &sealed)),
        OpenCause::Authentication
    );
    assert_eq!(*ok(open_value(&dek, &right, &sealed)), b"plaintext");
}

#[test]
fn r38_a_data_key_opens_only_under_its_kek_root_table_record_version_and_path() {
    let (kek, path) = (kek(2), path());
    let right = context(&path);
    let wrapped = ok(wrap_dek(&kek, &right, &Dek::new(key(1))));
    let other_path = RecordPath::parse("k8s/shop/orders-db2").unwrap();
    for wrong in [
        RecordContext {
            table: "signing_keys",
            ..right
        },
        RecordContext {
            record_id: Uuid::from_u128(9),
            ..right
        },
        RecordContext {
            version: right.version.next(),
            ..right
        },
        RecordContext {
            path: &other_path,
            ..right
        },
    ] {
        assert_eq!(cause(unwrap_dek(&kek, &wrong, &wrapped)), OpenCause::Authentication);
    }
    let wrong_root = RecordContext {
        root_id: Uuid::from_u128(9),
        ..right
    };
    assert_eq!(cause(unwrap_dek(&kek, &wrong_root, &wrapped)), OpenCause::OtherRoot);
    assert_eq!(ok(unwrap_dek(&kek, &right, &wrapped)).bytes().expose(), &[1; 32]);
}

#[test]
fn r38_the_ids_of_root_and_kek_are_part_of_a_data_keys_associated_data() {
    // The same key bytes under another id or another root: only the associated data can tell them apart.
    let path = path();
    let right = context(&path);
    let mut wrapped = ok(wrap_dek(&kek(2), &right, &Dek::new(key(1))));
    let elsewhere = Kek::new(
        KekContext {
            root_id: Uuid::from_u128(9),
            ..kek_context()
        },
        key(2),
    );
    let moved = RecordContext {
        root_id: Uuid::from_u128(9),
        ..right
    };
    assert_eq!(
        cause(unwrap_dek(&elsewhere, &moved, &wrapped)),
        OpenCause::Authentication
    );
    let renamed = Kek::new(
        KekContext {
            kek_id: Uuid::from_u128(9),
            ..kek_context()
        },
        key(2),
    );
    assert_eq!(cause(unwrap_dek(&renamed, &right, &wrapped)), OpenCause::OtherKey);
    wrapped[1..17].copy_from_slice(Uuid::from_u128(9).as_bytes());
    assert_eq!(cause(unwrap_dek(&renamed, &right, &wrapped)), OpenCause::Authentication);
}

#[test]
fn r38_a_kek_opens_only_under_its_root_key_id_root_purpose_and_generation() {
    let root_key = root_key("00000000000000aa", 3);
    let right = kek_context();
    let mut wrapped = ok(wrap_kek(&root_key, &kek(2)));
    for wrong in [
        KekContext {
            kek_id: Uuid::from_u128(9),
            ..right
        },
        KekContext {
            root_id: Uuid::from_u128(9),
            ..right
        },
        KekContext {
            purpose: Purpose::System,
            ..right
        },
        KekContext { generation: 2, ..right },
    ] {
        assert_eq!(
            cause(unwrap_kek(&root_key, &wrong, &wrapped)),
            OpenCause::Authentication
        );
    }
    assert_eq!(ok(unwrap_kek(&root_key, &right, &wrapped)).bytes().expose(), &[2; 32]);
    let renamed = self::root_key("00000000000000bb", 3);
    assert_eq!(cause(unwrap_kek(&renamed, &right, &wrapped)), OpenCause::OtherKey);
    wrapped[1..9].copy_from_slice(renamed.id().as_bytes());
    assert_eq!(cause(unwrap_kek(&renamed, &right, &wrapped)), OpenCause::Authentication);
}

#[test]
fn r38_a_kek_never_wraps_for_another_root_nor_out_of_its_purpose() {
    let path = path();
    let elsewhere = RecordContext {
        root_id: Uuid::from_u128(9),
        ..context(&path)
    };
    assert!(matches!(
        seal_record(&kek(2), &elsewhere, b"x"),
        Err(SealError::OtherRoot)
    ));
    let mac = Kek::new(
        KekContext {
            purpose: Purpose::Mac,
            ..kek_context()
        },
        key(2),
    );
    assert!(matches!(
        seal_record(&mac, &context(&path), b"x"),
        Err(SealError::Purpose)
    ));
    let wrapped = ok(wrap_dek(&kek(2), &context(&path), &Dek::new(key(1))));
    assert_eq!(cause(unwrap_dek(&mac, &context(&path), &wrapped)), OpenCause::Purpose);
}

#[test]
fn a_sentinel_is_no_key_and_a_key_is_no_sentinel() {
    let root_key = root_key("00000000000000aa", 3);
    let sentinel = ok(seal_sentinel(&root_key, &[2; 32]));
    assert_eq!(
        cause(unwrap_kek(&root_key, &kek_context(), &sentinel)),
        OpenCause::Authentication
    );
    let wrapped = ok(wrap_kek(&root_key, &kek(2)));
    assert_eq!(cause(open_sentinel(&root_key, &wrapped)), OpenCause::Authentication);
}

#[test]
fn the_error_says_no_more_than_that_it_does_not_open() {
    let error = open_value(&Dek::new(key(1)), &context(&path()), b"\x02not a blob")
        .err()
        .unwrap();
    assert_eq!(error.to_string(), "does not open");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "the blob is too short, or its first byte is no known format");
}

/// The committed vectors: keys and nonces in, blobs out, all in hex.
#[derive(Deserialize)]
struct Golden {
    root_key_id: String,
    root_key: String,
    kek_id: Uuid,
    kek: String,
    dek: String,
    root_id: Uuid,
    purpose: String,
    generation: u32,
    table: String,
    record_id: Uuid,
    version: i64,
    path: String,
    plaintext: String,
    value_nonce: String,
    dek_nonce: String,
    kek_nonce: String,
    value_associated_data: String,
    dek_associated_data: String,
    kek_associated_data: String,
    value: String,
    wrapped_dek: String,
    wrapped_kek: String,
}

#[test]
fn golden_vectors_hold() {
    let golden: Golden = serde_json::from_str(include_str!("../../../tests/golden/envelope.json")).unwrap();
    let key = |text: &str| KeyBytes::from_slice(&hex::decode(text).unwrap()).unwrap();
    let nonce = |text: &str| <[u8; NONCE_BYTES]>::try_from(hex::decode(text).unwrap()).unwrap();
    let root_key = RootKey::new(golden.root_key_id.parse().unwrap(), key(&golden.root_key));
    let kek_context = KekContext {
        kek_id: golden.kek_id,
        root_id: golden.root_id,
        purpose: Purpose::parse(&golden.purpose).unwrap(),
        generation: golden.generation,
    };
    let kek = Kek::new(kek_context, key(&golden.kek));
    let dek = Dek::new(key(&golden.dek));
    assert_eq!(golden.table, "secret_versions");
    let path = RecordPath::parse(&golden.path).unwrap();
    let context = RecordContext {
        root_id: golden.root_id,
        table: "secret_versions",
        record_id: golden.record_id,
        version: Version::new(golden.version).unwrap(),
        path: &path,
    };

    assert_eq!(hex::encode(aad::value(&context)), golden.value_associated_data);
    assert_eq!(hex::encode(aad::dek(kek.id(), &context)), golden.dek_associated_data);
    assert_eq!(
        hex::encode(aad::kek(root_key.id(), &kek_context)),
        golden.kek_associated_data
    );

    let plaintext = golden.plaintext.as_bytes();
    let value = ok(seal(
        dek.bytes(),
        &[],
        &aad::value(&context),
        plaintext,
        nonce(&golden.value_nonce),
    ));
    assert_eq!(hex::encode(&value), golden.value);
    let wrapped_dek = ok(wrap_dek_with(&kek, &context, &dek, nonce(&golden.dek_nonce)));
    assert_eq!(hex::encode(&wrapped_dek), golden.wrapped_dek);
    let wrapped_kek = ok(wrap_kek_with(&root_key, &kek, nonce(&golden.kek_nonce)));
    assert_eq!(hex::encode(&wrapped_kek), golden.wrapped_kek);

    // And back, from the blobs alone.
    assert_eq!(root_key_id(&wrapped_kek), Some(root_key.id()));
    let kek = ok(unwrap_kek(&root_key, &kek_context, &wrapped_kek));
    assert_eq!(*ok(open_record(&kek, &context, &wrapped_dek, &value)), plaintext);
}

proptest! {
    #[test]
    fn r31_a_blob_that_is_cut_extended_or_changed_fails_without_panic(
        plaintext in proptest::collection::vec(any::<u8>(), 0..40),
        cut in any::<prop::sample::Index>(),
        tail in proptest::collection::vec(any::<u8>(), 1..20),
        flip in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let (kek, path) = (kek(2), path());
        let context = context(&path);
        let Sealed { wrapped_dek, ciphertext } = ok(seal_record(&kek, &context, &plaintext));
        let spoil = |blob: &[u8]| {
            let cut = blob[..cut.index(blob.len())].to_vec();
            let extended = [blob, &tail].concat();
            let mut changed = blob.to_vec();
            let at = flip.index(blob.len());
            changed[at] ^= 1 << bit;
            [cut, extended, changed]
        };
        for bad in spoil(&ciphertext) {
            prop_assert!(open_record(&kek, &context, &wrapped_dek, &bad).is_err());
        }
        for bad in spoil(&wrapped_dek) {
            prop_assert!(open_record(&kek, &context, &bad, &ciphertext).is_err());
        }
        let root_key = root_key("00000000000000aa", 3);
        for bad in spoil(&ok(wrap_kek(&root_key, &kek))) {
            prop_assert!(unwrap_kek(&root_key, &kek_context(), &bad).is_err());
        }
    }

    #[test]
    fn r31_arbitrary_bytes_never_panic(blob in proptest::collection::vec(any::<u8>(), 0..100)) {
        let (kek, path) = (kek(2), path());
        prop_assert!(open_record(&kek, &context(&path), &blob, &blob).is_err());
        prop_assert!(unwrap_kek(&root_key("00000000000000aa", 3), &kek_context(), &blob).is_err());
        let _ = (kek_id(&blob), root_key_id(&blob));
    }
}
