//! What the envelope costs: sealing and opening a record of 1 KiB, and wrapping its key anew. `cargo bench --bench envelope`.

#![expect(
    clippy::expect_used,
    reason = "a benchmark whose own input is wrong has nothing to measure"
)]

use std::hint::black_box;
use std::sync::Arc;

use aether_vault::crypto::envelope::{RecordContext, open_record, seal_record, unwrap_dek, wrap_dek};
use aether_vault::crypto::keyring::Keyring;
use aether_vault::crypto::keys::Purpose;
use aether_vault::crypto::provider::{FileKeyProvider, generate_file};
use aether_vault::domain::path::RecordPath;
use aether_vault::domain::record::Version;
use criterion::{Criterion, criterion_group, criterion_main};
use uuid::Uuid;

fn envelope(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("root.key");
    generate_file(&file).expect("a key file");
    let keyring = Keyring::new(Arc::new(FileKeyProvider::open(&file).expect("the key file")));
    let root_id = Uuid::from_u128(1);
    let made = keyring.make(root_id, Purpose::Data, 1).expect("a key");
    let kek = keyring
        .unwrap(made.id, root_id, Purpose::Data, 1, &made.wrapped)
        .expect("the key that was made");
    let path = RecordPath::parse("shared/orders/database").expect("a path");
    let context = RecordContext {
        root_id,
        table: "secret_versions",
        record_id: Uuid::from_u128(2),
        version: Version::FIRST,
        path: &path,
    };
    let plaintext = vec![b'v'; 1024];
    let sealed = seal_record(&kek, &context, &plaintext).expect("it seals");

    let mut group = criterion.benchmark_group("envelope");
    group.bench_function("seal 1 KiB", |bencher| {
        bencher.iter(|| seal_record(&kek, &context, black_box(&plaintext)));
    });
    group.bench_function("open 1 KiB", |bencher| {
        bencher.iter(|| open_record(&kek, &context, &sealed.wrapped_dek, black_box(&sealed.ciphertext)));
    });
    group.bench_function("wrap a data key anew", |bencher| {
        bencher.iter(|| {
            let dek = unwrap_dek(&kek, &context, black_box(&sealed.wrapped_dek)).expect("it opens");
            wrap_dek(&kek, &context, &dek)
        });
    });
    group.finish();
}

criterion_group!(benches, envelope);
criterion_main!(benches);
