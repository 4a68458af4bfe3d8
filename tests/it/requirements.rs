//! What docs/security.md says of the requirements on identity and policy (R1–R23, R28, R40), held against the sources: each has a test here
//! that bears its number, a sabotage that such a test notices, and a row; and no row names a test that is not there.

use std::fs;
use std::path::Path;

fn numbers() -> impl Iterator<Item = u32> {
    (1..=23).chain([28, 40])
}

/// The texts of all files below a folder whose names end so.
fn texts(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().is_some_and(|path| path.ends_with(ending)) {
                found.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

/// The names of tests that bear a requirement's number, among others perhaps.
fn bearing(text: &str, before: &str) -> Vec<String> {
    let names = text.split(before).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    });
    let numbered = |name: &&str| {
        let mut letters = name.chars();
        letters.next() == Some('r') && letters.take(2).all(|c| c.is_ascii_digit())
    };
    names.filter(numbered).map(str::to_owned).collect()
}

fn is_of(name: &str, number: u32) -> bool {
    name.split('_').any(|part| part == format!("r{number:02}"))
}

#[test]
fn each_requirement_on_identity_and_policy_has_a_test_and_a_sabotage_that_it_notices() {
    let tests: Vec<_> = texts("tests/it", ".rs")
        .iter()
        .flat_map(|text| bearing(text, "fn "))
        .collect();
    let sabotages: Vec<_> = texts("tests/mutants", ".patch")
        .iter()
        .filter_map(|patch| {
            let test = patch.lines().find_map(|line| line.strip_prefix("test: "))?;
            test.rsplit("::").next().map(str::to_owned)
        })
        .collect();
    for number in numbers() {
        assert!(
            tests.iter().any(|name| is_of(name, number)),
            "R{number}: no test in tests/it"
        );
        assert!(
            sabotages.iter().any(|name| is_of(name, number)),
            "R{number}: no sabotage in tests/mutants names a test of it"
        );
    }
}

#[test]
fn the_table_of_requirements_names_tests_that_are_there() {
    let all: Vec<_> = ["src", "tests"]
        .iter()
        .flat_map(|folder| texts(folder, ".rs"))
        .flat_map(|text| bearing(&text, "fn "))
        .collect();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md")).unwrap();
    for number in numbers() {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| R{number} |")))
            .unwrap_or_else(|| panic!("R{number} has no row"));
        let named: Vec<_> = bearing(row, "`")
            .into_iter()
            .filter(|name| is_of(name, number))
            .collect();
        assert!(
            !named.is_empty(),
            "R{number}: its row names no test that bears its number"
        );
        for name in named {
            assert!(all.contains(&name), "R{number}: there is no test '{name}'");
        }
    }
}
