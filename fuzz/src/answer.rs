//! Answers of the authorization server, and what holds for each parser of one: the strict switch takes no more than the
//! tolerant reading and reads it the same way, what the server says is wrong comes through either way, and nothing that is
//! printed depends on a secret of the body.

use std::fmt::Debug;

use jeton_models::{Answer, AnswerError, ParseOptions, Warning};

use super::disguise::{self, STAND_INS};
use super::property::{in_proportion, is_fit_to_be_shown, printed};

/// By the lowest three bits of the first byte; an ASCII digit is the index.
const STATUSES: [u16; 8] = [200, 400, 401, 403, 429, 500, 503, 201];
/// By the three bits above; ASCII digits stand for JSON, and `8` and `9` for none.
const CONTENT_TYPES: [Option<&str>; 8] = [
    Some("text/html; charset=utf-8"),
    Some("application/x-www-form-urlencoded"),
    Some("APPLICATION/JSON ; charset=utf-8"),
    Some("application/problem+json"),
    Some("text/\u{1b}[2J\u{202e}"),
    Some(""),
    Some("application/json"),
    None,
];

/// Reads an input: a byte that chooses status and content type, then the body.
pub(crate) fn of(data: &[u8]) -> Option<Answer<'_>> {
    let (choice, body) = data.split_first()?;
    let (status, content_type) =
        (STATUSES[usize::from(choice & 7)], CONTENT_TYPES[usize::from(choice >> 3 & 7)]);
    Some(Answer::new(status, content_type, body))
}

/// Both readings of an answer, checked.
pub(crate) struct Readings<T> {
    pub(crate) tolerant: Result<T, AnswerError>,
    pub(crate) strict: Result<T, AnswerError>,
}

/// Reads an answer with a parser and checks all that holds for every parser.
pub(crate) fn readings<T: Debug + PartialEq>(
    answer: &Answer<'_>,
    parse: impl Fn(&Answer<'_>, &ParseOptions) -> Result<T, AnswerError>,
    warnings: impl Fn(&T) -> &[Warning],
) -> Readings<T> {
    let tolerant = in_proportion(answer.body, || parse(answer, &ParseOptions::default()));
    let strict = in_proportion(answer.body, || parse(answer, &ParseOptions::strict()));
    match (&tolerant, &strict) {
        (Ok(tolerant), Ok(strict)) => {
            assert_eq!(tolerant, strict);
            assert!(warnings(tolerant).is_empty(), "strict takes what needs a leniency: {tolerant:?}");
        }
        (Ok(tolerant), Err(AnswerError::Unusable(_))) => {
            assert!(!warnings(tolerant).is_empty(), "strict refuses what needs no leniency: {tolerant:?}");
        }
        // What the server says is wrong comes through, strict or not (RFC 6749 §5.2).
        (Err(AnswerError::OAuth(tolerant)), Err(AnswerError::OAuth(strict))) => assert_eq!(tolerant, strict),
        (Err(AnswerError::Unusable(_)), Err(AnswerError::Unusable(_))) => {}
        odd => panic!("the readings differ: {odd:?}"),
    }
    for error in [&tolerant, &strict].into_iter().filter_map(|result| result.as_ref().err()) {
        is_fit_to_be_shown(error);
    }
    for options in [ParseOptions::default(), ParseOptions::strict()] {
        let [one, other] = STAND_INS.map(|stand_in| {
            let body = disguise::body(answer.body, stand_in);
            printed(&parse(&Answer::new(answer.status, answer.content_type, &body), &options))
        });
        assert_eq!(one, other, "a secret can be read from what is printed");
    }
    Readings { tolerant, strict }
}
