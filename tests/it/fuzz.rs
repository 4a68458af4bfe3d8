//! The fuzz targets over their corpus and over random input (R31). `fuzz/` runs the same functions for as long as one likes.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Every seed as it is, cut, doubled, with a byte changed; then random texts, and random texts of the seeds' characters.
fn run(target: fn(&[u8]), folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(folder);
    let mut seeds: Vec<Vec<u8>> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    seeds.sort();
    assert!(seeds.len() > 8, "{}", folder.display());
    for seed in &seeds {
        target(seed);
        target(&seed.repeat(2));
        for at in 0..seed.len() {
            target(&seed[..at]);
            for byte in *b"\0*/.%{}\"9\xff" {
                let mut changed = seed.clone();
                changed[at] = byte;
                target(&changed);
            }
        }
    }
    let mut letters: Vec<char> = seeds
        .iter()
        .flat_map(|seed| String::from_utf8_lossy(seed).chars().collect::<Vec<_>>())
        .collect();
    letters.sort_unstable();
    letters.dedup();
    let alike = proptest::collection::vec(proptest::sample::select(letters), 0..40)
        .prop_map(|letters| letters.into_iter().collect::<String>().into_bytes());
    let input = prop_oneof![any::<Vec<u8>>(), any::<String>().prop_map(String::into_bytes), alike];
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2000)
    });
    runner
        .run(&input, |data| {
            target(&data);
            Ok(())
        })
        .unwrap();
}

#[test]
fn r31_r18_paths_hold_against_anything() {
    run(targets::path, "path");
}

#[test]
fn r31_r17_policies_hold_against_anything() {
    run(targets::policy, "policy");
}

#[test]
fn r31_tokens_hold_against_anything() {
    run(targets::token, "token");
}
