//! A program that shares a login with others of its kind; the tests of processes order it about.

fn main() {
    jeton_tests::worker::run();
}
