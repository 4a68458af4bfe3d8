//! What sealing the audit log costs: the leaf of an entry, and the tree over a block of 10,000 of them. `cargo bench --bench audit`.

#![expect(
    clippy::expect_used,
    reason = "a benchmark whose own input is wrong has nothing to measure"
)]

use std::hint::black_box;

use aether_vault::domain::audit::leaf::StoredEntry;
use aether_vault::domain::audit::merkle;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;

/// Entries of a block: about what a second of full load writes.
const ENTRIES: i64 = 10_000;

fn audit(criterion: &mut Criterion) {
    let entry: StoredEntry = serde_json::from_value(json!({
        "id": 1, "at": "2026-01-01T00:00:00Z", "requestId": "00000000-0000-7000-8000-000000000001",
        "actorKind": "User", "actorId": "00000000-0000-7000-8000-000000000002", "actorName": "admin", "door": "http",
        "action": "record.read", "resource": "shared/orders/database", "version": 3, "decision": "allow", "reason": "Allowed",
        "policy": "orders", "rule": 0, "client": "192.0.2.1", "userAgent": "curl/8", "count": 1,
    }))
    .expect("an entry");
    let leaves: Vec<_> = (0..ENTRIES).map(|id| entry.leaf_as(id, None)).collect();
    let index = leaves.len() / 3;
    let root = merkle::root(&leaves);
    let path = merkle::path(&leaves, index).expect("a path");
    let (at, size) = (index as u64, leaves.len() as u64);
    assert_eq!(merkle::root_from_path(&leaves[index], at, size, &path), Some(root));

    let mut group = criterion.benchmark_group("audit");
    group.bench_function("leaf of an entry", |bencher| bencher.iter(|| black_box(&entry).leaf()));
    group.bench_function("root of 10,000 leaves", |bencher| {
        bencher.iter(|| merkle::root(black_box(&leaves)));
    });
    group.bench_function("path among 10,000 leaves", |bencher| {
        bencher.iter(|| merkle::path(black_box(&leaves), index));
    });
    group.bench_function("check a path", |bencher| {
        bencher.iter(|| merkle::root_from_path(&leaves[index], at, size, black_box(&path)));
    });
    group.finish();
}

criterion_group!(benches, audit);
criterion_main!(benches);
