//! What the crates depend on: who may know whom, how old a Rust they build with, what is built twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::metadata::rust_version;
use crate::outcome::Stop;
use crate::project::Project;

/// A crate, the edges that count, and what must not be in its tree, whatever its features and on any platform.
struct Border {
    crate_name: &'static str,
    edges: &'static str,
    without: &'static [&'static str],
}

/// Dependencies run one way: models <- jose <- grants <- profiles <- client <- jeton, models <- storage <- client.
const BORDERS: &[Border] = &[
    Border {
        crate_name: "jeton-models",
        // Its development dependencies count too: `cargo tree -p jeton-models` shows none of these.
        edges: "normal,build,dev",
        without: &[
            "tokio",
            "reqwest",
            "hyper",
            "jeton-grants",
            "jeton-storage",
            "jeton-client",
            "jeton",
            "jeton-devserver",
        ],
    },
    Border {
        crate_name: "jeton-jose",
        edges: "normal,build",
        without: &[
            "tokio",
            "reqwest",
            "hyper",
            "jeton-grants",
            "jeton-storage",
            "jeton-client",
            "jeton",
            "jeton-devserver",
        ],
    },
    Border {
        crate_name: "jeton-grants",
        edges: "normal,build",
        without: &["tokio", "reqwest", "hyper", "jeton-storage", "jeton-client", "jeton", "jeton-devserver"],
    },
    Border {
        crate_name: "jeton-profiles",
        edges: "normal,build",
        without: &["tokio", "reqwest", "hyper", "jeton-storage", "jeton-client", "jeton", "jeton-devserver"],
    },
    Border {
        crate_name: "jeton-storage",
        edges: "normal,build",
        without: &["reqwest", "hyper", "jeton-grants", "jeton-client", "jeton", "jeton-devserver"],
    },
    Border { crate_name: "jeton-client", edges: "normal,build", without: &["jeton", "jeton-devserver"] },
    Border { crate_name: "jeton", edges: "normal,build", without: &["jeton-devserver"] },
    // The devserver tests the client, so it shares no code with it that could hide the same mistake twice.
    Border {
        crate_name: "jeton-devserver",
        edges: "normal,build",
        without: &[
            "jeton-models",
            "jeton-jose",
            "jeton-grants",
            "jeton-profiles",
            "jeton-storage",
            "jeton-client",
            "jeton",
            "reqwest",
        ],
    },
];

/// Dependencies that may be there in two versions, because of crates that we do not choose for.
const KNOWN_DUPLICATES: &[&str] = &["getrandom"];

pub(crate) fn borders(project: &Project) -> Result<(), Stop> {
    for border in BORDERS {
        let cmd = project.cargo().args(["tree", "--all-features", "--target", "all", "--prefix", "none"]);
        let cmd = cmd.args(["--format", "{p}", "-p", border.crate_name, "-e", border.edges]);
        println!("$ {}", cmd.line());
        let tree = cmd.output()?;
        let found: Vec<_> = border.without.iter().filter(|name| has_package(&tree, name)).copied().collect();
        if !found.is_empty() {
            let why = format!("{} must not depend on {}", border.crate_name, found.join(", "));
            return Err(cmd.failed(&why));
        }
    }
    Ok(())
}

pub(crate) fn duplicates(project: &Project) -> Result<(), Stop> {
    let cmd = project.cargo().args(["tree", "-p", "jeton", "-d", "-e", "normal", "--depth", "0"]);
    let cmd = cmd.args(["--prefix", "none", "--format", "{p}"]);
    println!("$ {}", cmd.line());
    let found = unknown_duplicates(&cmd.output()?);
    if found.is_empty() {
        return Ok(());
    }
    Err(cmd.failed(&format!("built in more than one version: {}", found.join("; "))))
}

pub(crate) fn msrv(project: &Project) -> Result<(), Stop> {
    if !project.read("Cargo.toml")?.contains("incompatible_msrv = \"deny\"") {
        return Err(Stop::failed("Cargo.toml: the lint clippy::incompatible_msrv must be on (deny)"));
    }
    let ours = project.metadata.member("xtask").and_then(|package| package.rust_version.clone());
    let ours = ours.ok_or_else(|| Stop::failed("Cargo.toml: the workspace states no rust-version"))?;
    let mut newer = Vec::new();
    for package in &project.metadata.packages {
        match &package.rust_version {
            Some(theirs) if package.is_member && *theirs != ours => {
                newer.push(format!("{} says {theirs}, the workspace {ours}", package.name));
            }
            None if package.is_member => newer.push(format!("{} states no rust-version", package.name)),
            Some(theirs) if rust_version(theirs) > rust_version(&ours) => {
                newer.push(format!(
                    "{} {} wants Rust {theirs}, ours is {ours}",
                    package.name, package.version
                ));
            }
            _ => {}
        }
    }
    if newer.is_empty() {
        println!("{} packages build with Rust {ours}, or do not say", project.metadata.packages.len());
        return Ok(());
    }
    Err(Stop::failed(newer.join("\n")))
}

/// Whether a package is in the output of `cargo tree --prefix none --format {p}`.
fn has_package(tree: &str, name: &str) -> bool {
    tree.lines().any(|line| line.split(' ').next() == Some(name))
}

fn unknown_duplicates(tree: &str) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines() {
        let mut words = line.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    // On Windows the bindings to the system come in many small crates, whose versions nobody can align.
    let unknown = |name: &str| !KNOWN_DUPLICATES.contains(&name) && !name.starts_with("windows");
    let twice = versions.into_iter().filter(|(name, versions)| versions.len() > 1 && unknown(name));
    twice
        .map(|(name, versions)| format!("{name} {}", versions.into_iter().collect::<Vec<_>>().join(", ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_found_by_its_whole_name() {
        let tree = "jeton-models v0.1.0 (/x/crates/models)\nserde v1.0.0\ntokio-util v0.7.0\n";
        assert!(has_package(tree, "serde"));
        assert!(!has_package(tree, "tokio"));
        assert!(!has_package(tree, "jeton"));
    }

    #[test]
    fn only_unknown_packages_of_two_versions_count() {
        let tree =
            "\ngetrandom v0.2.17\ngetrandom v0.4.3\nrand v0.9.0\n\nrand v0.10.0\nsyn v2.0.0\nsyn v2.0.0\n";
        assert_eq!(unknown_duplicates(tree), ["rand v0.10.0, v0.9.0"]);
        assert!(unknown_duplicates("").is_empty());
    }
}
