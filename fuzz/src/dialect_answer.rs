//! Token answers in the dialects of providers: a profile translates, and never makes something good of what is not.

use std::sync::{Arc, OnceLock};

use jeton_models::{AnswerError, Dialect, ParseOptions, TokenResponse};
use jeton_profiles::Catalog;

use super::answer;

/// Every built-in dialect.
fn dialects() -> &'static [Arc<Dialect>] {
    static DIALECTS: OnceLock<Vec<Arc<Dialect>>> = OnceLock::new();
    DIALECTS.get_or_init(|| {
        Catalog::built_in().iter().map(|profile| Arc::new(profile.answers().clone())).collect()
    })
}

/// Checks one input: a byte for the dialect, one for status and content type, then the body.
pub fn check(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let Some(answer) = answer::of(data) else { return };
    let dialects = dialects();
    assert!(!dialects.is_empty(), "the built-in table is broken");
    let dialect = &dialects[usize::from(*choice) % dialects.len()];
    let with = |options: &ParseOptions| {
        let mut options = options.clone();
        options.dialect = Some(Arc::clone(dialect));
        options
    };
    let read = answer::readings(
        &answer,
        |answer, options| TokenResponse::parse(answer, &with(options)),
        |response| &response.warnings,
    );
    let plain = TokenResponse::parse(&answer, &ParseOptions::default());
    match (&plain, &read.tolerant) {
        (Ok(plain), Ok(read)) => {
            assert_eq!(plain.access_token, read.access_token);
            assert_eq!(plain.token_type, read.token_type);
            assert!(plain.refresh_token.is_none() || plain.refresh_token == read.refresh_token);
            assert!(read.warnings.iter().all(|warning| !dialect.tolerates(warning)));
            assert!(
                read.expires_in.is_none()
                    || plain.expires_in.is_none()
                    || plain.expires_in == read.expires_in
            );
        }
        // What is a token stays one, and what the server refused stays refused.
        (Ok(_), Err(error)) => panic!("{} makes an error of a token: {error}", dialect.name),
        (Err(AnswerError::OAuth(refused)), Ok(_)) => panic!("{} makes a token of {refused}", dialect.name),
        (Err(AnswerError::OAuth(refused)), Err(read)) => {
            assert!(matches!(read, AnswerError::OAuth(_)), "{} loses {refused}: {read}", dialect.name);
        }
        (Err(_), Err(_)) => {}
        // The dialect has words for it: it is a whole token, then.
        (Err(_), Ok(read)) => assert!(!read.access_token.is_empty()),
    }
    // A rotated refresh token of an answer that is of no use is found with the dialect, too.
    if let (Err(AnswerError::Unusable(plain)), Err(AnswerError::Unusable(read))) = (&plain, &read.tolerant) {
        assert!(plain.refresh_token.is_none() || plain.refresh_token == read.refresh_token);
    }
}
