//! `cargo xtask faults`: runs the fault lab and prints its table. Started with `--worker` it is one of the lab's processes.

fn main() -> std::process::ExitCode {
    #[cfg(unix)]
    return jeton_tests::faults::command::main();
    #[cfg(not(unix))]
    {
        use std::io::Write as _;
        let _ =
            writeln!(std::io::stderr(), "the fault lab stops and kills processes by signals: it needs Unix");
        std::process::ExitCode::FAILURE
    }
}
