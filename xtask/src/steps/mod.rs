//! The steps of `cargo xtask test`, quick ones first. Each is a function that passes, fails or is skipped.

mod browser;
mod c_abi;
mod c_programs;
mod c_sweep;
mod code;
mod cost;
mod cpp;
mod dependencies;
mod dist;
mod examples;
mod features;
mod four_languages;
mod go;
mod install;
mod keychain;
mod loom;
mod sources;
mod test_server;

pub(crate) use browser::install as install_browser_driver;
pub(crate) use code::{every_program, every_test};
pub(crate) use cost::run as cost_of_c_abi;

use crate::outcome::Stop;
use crate::project::Project;
use crate::{bench, fuzz, header, interop, pictures};

/// One thing that the README promises, and how it is tried.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: fn(&Project) -> Result<(), Stop>,
    /// Whether it runs programs again that the step before it has built.
    pub(crate) runs_again: bool,
}

const fn step(name: &'static str, what: &'static str, run: fn(&Project) -> Result<(), Stop>) -> Step {
    Step { name, what, run, runs_again: false }
}

impl Step {
    const fn runs_again(self) -> Self {
        Self { runs_again: true, ..self }
    }
}

/// All steps in the order in which they run. Those that use the same builds stand together.
pub(crate) const STEPS: &[Step] = &[
    step("source-scan", "house rules that no compiler checks (needs git)", sources::scan),
    step("fmt", "the code is formatted", code::fmt),
    step("msrv", "no dependency wants a newer Rust than ours", dependencies::msrv),
    step("crate-borders", "which crates may depend on which", dependencies::borders),
    step(
        "duplicates",
        "no dependency is built in two versions, but for known ones",
        dependencies::duplicates,
    ),
    step("header", "include/jeton.h is what the sources say", header::check),
    step("clippy", "no warnings, with every feature but native-tls", code::clippy),
    step("doc", "the documentation builds without warnings", code::doc),
    step("test", "every test and doctest of the workspace", code::test),
    step(
        "keychain",
        "logins in a real keychain, which is also restarted, locked and killed (on Linux needs gnome-keyring)",
        keychain::test,
    )
    .runs_again(),
    step("interop", "jeton at a real authorization server (needs Node 20 or newer)", interop::step).runs_again(),
    step(
        "browser",
        "jeton login, and the pages of the devserver and of a real server, in a real browser (needs Chromium, Node 20)",
        browser::test,
    )
    .runs_again(),
    step(
        "pictures",
        "the pictures of terminals are what the command shows (needs gnome-keyring)",
        pictures::check,
    )
    .runs_again(),
    step("quickstart", "the README's first command", code::quickstart),
    step("features", "each library alone: clippy with each feature alone and with none", features::clippy),
    step(
        "features-test",
        "each library alone: all tests with no feature, unit tests and doctests with the default ones",
        features::test,
    ),
    step("native-tls", "the feature native-tls (on Linux needs OpenSSL's headers)", features::native_tls),
    step(
        "header-compiles",
        "the header alone and twice as C and C++ (needs gcc or clang)",
        c_abi::header_compiles,
    ),
    step("symbols", "the library exports what the header declares, nothing else (needs nm)", c_abi::symbols),
    step("smoke-c", "a C program uses the library (needs gcc or clang)", c_abi::smoke_c),
    step("smoke-cpp", "a C++ program uses the library (needs g++ or clang++)", c_abi::smoke_cpp),
    step("c", "C programs at a server, every function with every wrong argument (needs gcc or clang)", c_programs::test),
    step("c-valgrind", "the same programs lose nothing and read nothing that is not theirs (needs valgrind)", c_programs::valgrind),
    step("c-sanitizers", "the same programs with address and undefined-behaviour sanitizers", c_programs::sanitizers),
    step("c-panics", "a panic inside of every function ends at the border", c_programs::panics),
    step("cpp", "jeton.hpp against a server, also with sanitizers and without exceptions (needs doctest)", cpp::test),
    step("go", "the Go package at a server, with its race detector and its checks of cgo (needs Go)", go::test),
    step("examples", "the examples in C, C++ and Go at a server, when all goes well and when not", examples::test)
        .runs_again(),
    step(
        "four-languages",
        "Rust, C, C++ and Go share a login, on files and in a keychain (needs Go, on Linux gnome-keyring)",
        four_languages::test,
    ),
    step("cost", "what `bench ffi` measures gives the right results; nothing is timed", cost::step),
    step(
        "dist",
        "libjeton as it is installed: moved, found by pkg-config, CMake and Go, and small (needs cmake, Go)",
        dist::test,
    ),
    step(
        "install",
        "the command by cargo install, and as a static program with musl (on Linux needs musl-gcc)",
        install::test,
    ),
    step("loom", "the concurrent core of a session, in every order of its threads", loom::models),
    step("bench", "every benchmark runs and gives the right results; nothing is timed", bench::step),
    step("fuzz", "every fuzz target for a few seconds (needs a C++ compiler)", fuzz::step),
];
