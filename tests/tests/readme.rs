//! What the README says of the standards is true as far as that can be told: each line names a test that is there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

use std::path::Path;

/// How the table's first line begins.
const HEAD: &str = "| standard | feature |";

#[test]
fn each_standard_of_the_table_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let rows: Vec<&str> = readme
        .lines()
        .skip_while(|line| !line.starts_with(HEAD))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() >= 25, "the table has {} lines", rows.len());
    for row in rows {
        let shown = row.trim_end_matches('|').rsplit('|').next().unwrap().trim().trim_matches('`');
        let (file, test) = shown.split_once("::").unwrap_or_else(|| panic!("{row}: `file::test` is wanted"));
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(&format!("fn {test}(")), "there is no test {test} in {file}");
    }
}
