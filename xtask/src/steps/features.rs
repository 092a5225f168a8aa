//! Each library crate is worth having alone: with its default features, with none, and with each alone.
//!
//! Every set is a build of its own, and there are more than sixty: what would tell nothing new about a set is not built for it.

use crate::command::is_installed;
use crate::disk;
use crate::outcome::Stop;
use crate::project::Project;

use super::code::NEEDS_MORE_THAN_RUST;

const FRONT_DOOR: &str = "jeton";

/// The library with each set; its tests and examples with none and with the default ones (the step `clippy` has them with all).
/// A feature of the front door that only switches on one of jeton-client has been built there.
pub(crate) fn clippy(project: &Project) -> Result<(), Stop> {
    for package in project.metadata.libraries() {
        let forwards = |set: &[String]| {
            package.name == FRONT_DOOR
                && set.last().is_some_and(|feature| package.forwarding.contains(feature))
        };
        for set in package.feature_sets(NEEDS_MORE_THAN_RUST) {
            if forwards(&set) {
                continue;
            }
            let targets = if names_a_feature(&set) { "--lib" } else { "--all-targets" };
            let cmd = project.cargo().args(["clippy", "--quiet", targets, "-p", &package.name]);
            cmd.args(set).args(["--", "-D", "warnings"]).run()?;
        }
    }
    // A program comes with its default features, or is built without them by somebody who wants it small.
    for package in project.metadata.programs() {
        let cmd = project.cargo().args(["clippy", "--quiet", "--bins", "-p", &package.name]);
        cmd.args(["--no-default-features", "--", "-D", "warnings"]).run()?;
    }
    Ok(())
}

fn names_a_feature(set: &[String]) -> bool {
    set.iter().any(|argument| argument == "--features")
}

/// All tests without any feature, unit tests and doctests with the default ones. The step `test` runs all tests with every feature, and
/// the step `features` has compiled each alone: to run them all again with each would take most of an hour, and tell little.
pub(crate) fn test(project: &Project) -> Result<(), Stop> {
    let before = disk::libraries(project);
    let ended = test_each(project);
    // Most of these sets nobody builds again, and together they are as large as all that the other steps share.
    disk::remove_other_libraries(project, &before);
    ended
}

fn test_each(project: &Project) -> Result<(), Stop> {
    for package in project.metadata.libraries() {
        for set in package.feature_sets(NEEDS_MORE_THAN_RUST) {
            if names_a_feature(&set) {
                continue;
            }
            let bare = set == ["--no-default-features"];
            let kinds: &[&[&str]] = if bare { &[&[]] } else { &[&["--lib"], &["--doc"]] };
            for kind in kinds {
                let cmd = project.cargo().args(["test", "--quiet", "-p", &package.name]);
                cmd.args(&set).args(kind.iter().copied()).run()?;
            }
            disk::end_part(project);
        }
    }
    Ok(())
}

/// `native-tls` alone and beside the default features.
pub(crate) fn native_tls(project: &Project) -> Result<(), Stop> {
    let needs_openssl = cfg!(all(unix, not(target_vendor = "apple")));
    let has_openssl = || std::env::var_os("OPENSSL_DIR").is_some() || openssl_is_known(project).is_ok();
    if needs_openssl && !(is_installed("pkg-config", "--version") && has_openssl()) {
        return Err(Stop::without(
            "OpenSSL headers",
            "pkg-config and OpenSSL's headers (Debian: libssl-dev)",
        ));
    }
    for package in project.metadata.libraries() {
        if !package.features.iter().any(|feature| feature == "native-tls") {
            continue;
        }
        for set in
            [vec!["--no-default-features", "--features", "native-tls"], vec!["--features", "native-tls"]]
        {
            let cmd = project.cargo().args(["clippy", "--quiet", "--all-targets", "-p", &package.name]);
            cmd.args(set).args(["--", "-D", "warnings"]).run()?;
        }
    }
    Ok(())
}

fn openssl_is_known(project: &Project) -> Result<String, Stop> {
    project.cmd("pkg-config").args(["--modversion", "openssl"]).output()
}
