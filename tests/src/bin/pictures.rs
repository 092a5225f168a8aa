//! `cargo xtask pictures`: draws what people see of the command. Started with `--visit URL` it is a browser.

fn main() -> std::process::ExitCode {
    #[cfg(unix)]
    return jeton_tests::pictures::main();
    #[cfg(not(unix))]
    {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "the terminals of the pictures are those of Unix");
        std::process::ExitCode::FAILURE
    }
}
