//! One login, four languages: `cargo xtask test --only four-languages` builds the other three programs and calls this.

fn main() -> std::process::ExitCode {
    #[cfg(unix)]
    return jeton_tests::four_languages::main();
    #[cfg(not(unix))]
    std::process::ExitCode::FAILURE
}
