//! The fuzz targets on any toolchain: each goes through all that libFuzzer ever found worth keeping, and through inputs that
//! proptest makes from that. Fuzzing in earnest is `cargo xtask fuzz`; fuzz/README.md tells about both.
//!
//! The cases are the same in every run. `PROPTEST_RNG_SEED` chooses others, `PROPTEST_CASES` how many (an eighth of them).
// A check says what it expects; a failed expectation is its result.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// The checks are a library of a package outside of the workspace, which nobody has to build for this.
#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, dead_code)]
mod fuzzing;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

/// A test of each target for its corpus, and one for inputs near to it.
macro_rules! targets {
    ($($target:ident)*) => {
        $(
            mod $target {
                #[test]
                fn holds_for_the_corpus() {
                    super::replay(stringify!($target));
                }

                #[test]
                fn holds_near_the_corpus() {
                    super::vary(stringify!($target));
                }
            }
        )*

        const TESTED: &[&str] = &[$(stringify!($target)),*];
    };
}

targets! {
    authorization_details
    authorization_response
    backchannel_answer
    client_registration
    device_answer
    dialect_answer
    dpop
    endpoint_answer
    error_answer
    id_token
    introspection_answer
    issuer
    jwk_set
    jwt
    login_record
    metadata
    profiles
    pushed_answer
    resource_metadata
    retry_after
    scope
    sealed_record
    signed_response
    token_answer
    user_info
    www_authenticate
}

#[test]
fn every_target_is_tested_and_complete() {
    let names: Vec<&str> = fuzzing::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, TESTED);
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml has no binary {name}");
        assert!(!corpus(name).is_empty(), "{name} has no corpus");
        assert!(!dictionary(name).is_empty(), "{name} has no dictionary");
    }
}

/// Checks each input of the corpus.
fn replay(target: &str) {
    let check = check_of(target);
    for input in corpus(target) {
        // On failure the input stands above the message of the check.
        let shown = input.clone();
        std::panic::catch_unwind(|| check(&input.0))
            .unwrap_or_else(|_| panic!("{target} fails for {shown:?}"));
    }
}

/// Checks inputs that are made from the corpus and the dictionary.
fn vary(target: &str) {
    let check = check_of(target);
    let mut config = Config { failure_persistence: None, ..Config::default() };
    config.cases *= 8;
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    let outcome = TestRunner::new(config).run(&inputs(target), |input| {
        check(&input.0);
        Ok(())
    });
    if let Err(TestError::Fail(reason, input)) = &outcome {
        panic!(
            "{target} fails for {input:?}: {reason}\nmend it, and keep the input as a file in fuzz/corpus/{target}"
        );
    }
    outcome.unwrap();
}

fn check_of(target: &str) -> fn(&[u8]) {
    fuzzing::TARGETS.iter().find(|(name, _)| *name == target).unwrap().1
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// An input, shown the way it is written in Rust.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// The committed inputs, in the order of their names.
fn corpus(target: &str) -> Vec<Input> {
    let folder = folder().join("corpus").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| Input(std::fs::read(file).unwrap())).collect()
}

/// The words of libFuzzer's dictionary: a quoted text on each line, with `\xAB` for what cannot be printed.
fn dictionary(target: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(folder().join("dictionaries").join(format!("{target}.dict"))).unwrap();
    text.lines().filter(|line| line.starts_with('"')).map(word).collect()
}

fn word(line: &str) -> Vec<u8> {
    let mut rest = line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).expect("a quoted word");
    let mut word = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (byte, length) = match first {
            '\\' if rest.starts_with("\\x") => (u8::from_str_radix(&rest[2..4], 16).expect("two digits"), 4),
            '\\' => (rest.as_bytes()[1], 2),
            _ => (u8::try_from(first).expect("ASCII"), 1),
        };
        word.push(byte);
        rest = &rest[length..];
    }
    word
}

/// One change of an input. The places are fractions of its length, so that they mean something after it has changed.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    /// Puts a part of another input there.
    Splice(Index, Input, Range<Index>),
}

fn inputs(target: &str) -> impl Strategy<Value = Input> + use<> {
    let (corpus, words) = (corpus(target), dictionary(target));
    let word = select(words);
    let edit = prop_oneof![
        3 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        3 => (any::<Index>(), word.clone()).prop_map(|(at, word)| Edit::Insert(at, word)),
        1 => (any::<Index>(), vec(any::<u8>(), 1..5)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (any::<Index>(), 1..20_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        1 => (any::<Index>(), 1..20_usize, 1..40_usize).prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
        2 => (any::<Index>(), select(corpus.clone()), any::<Index>(), any::<Index>())
            .prop_map(|(at, other, from, to)| Edit::Splice(at, other, from..to)),
    ];
    let near_the_corpus = (select(corpus), vec(edit, 1..8)).prop_map(|(mut input, edits)| {
        edits.into_iter().for_each(|edit| apply(&mut input.0, edit));
        input
    });
    let of_words = (prop::sample::select(b"018(2".to_vec()), vec(word, 0..30)).prop_map(|(choice, words)| {
        // The first byte chooses the circumstances, for those targets that have some.
        Input([vec![choice], words.concat()].concat())
    });
    prop_oneof![4 => near_the_corpus, 1 => of_words]
}

fn apply(input: &mut Vec<u8>, edit: Edit) {
    let end = input.len();
    let place = |at: Index| at.index(end + 1);
    match edit {
        Edit::Set(at, byte) => {
            if let Some(own) = input.get_mut(place(at)) {
                *own = byte;
            }
        }
        Edit::Insert(at, bytes) => drop(input.splice(place(at)..place(at), bytes)),
        Edit::Remove(at, length) => drop(input.drain(place(at)..end.min(place(at) + length))),
        Edit::Repeat(at, length, times) => {
            let repeated = input[place(at)..end.min(place(at) + length)].repeat(times);
            drop(input.splice(place(at)..place(at), repeated));
        }
        Edit::Splice(at, Input(other), part) => {
            let (from, to) = (part.start.index(other.len() + 1), part.end.index(other.len() + 1));
            drop(input.splice(place(at)..place(at), other[from.min(to)..from.max(to)].to_vec()));
        }
    }
}
