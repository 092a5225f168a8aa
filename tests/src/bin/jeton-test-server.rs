//! A devserver as a process, for tests and examples in any language; `--help` says what it takes.

fn main() -> std::process::ExitCode {
    jeton_tests::test_server::main()
}
