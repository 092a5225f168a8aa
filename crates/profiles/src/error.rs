//! Why a profile cannot be used: what is wrong, where, and what would be right.

use std::fmt;

/// What is wrong with a profile. No value of a placeholder is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The text is not TOML.
    #[error("line {line} of the profiles is not TOML: {what}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        what: String,
    },
    /// The text is too long for a table of profiles.
    #[error("the profiles are longer than {most} bytes")]
    TooLong {
        /// The longest text that is read.
        most: usize,
    },
    /// A key that means nothing.
    #[error("line {line}: the profile `{profile}` has the unknown key `{key}`{}", meant(.nearest))]
    UnknownKey {
        /// Counted from 1.
        line: usize,
        /// The profile's name.
        profile: String,
        /// The key, with those of the tables around it.
        key: String,
        /// The known key that is most like it, if any is.
        nearest: Option<String>,
    },
    /// A value that cannot be.
    #[error("the profile `{profile}`: `{key}` {what}{}", meant(.nearest))]
    Value {
        /// The profile's name.
        profile: String,
        /// The key.
        key: String,
        /// What is wrong with its value.
        what: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// There is no profile of that name.
    #[error("there is no profile `{name}`{}", meant(.nearest))]
    UnknownProfile {
        /// The name asked for.
        name: String,
        /// The name that is most like it, if any is.
        nearest: Option<String>,
    },
    /// A text that should hold one profile holds another number.
    #[error(
        "the text holds {found} profiles instead of one; read it as a `Catalog` and take one by its name"
    )]
    NotOne {
        /// How many it holds.
        found: usize,
    },
    /// A placeholder has no value yet.
    #[error(
        "the profile `{profile}` needs a value for `{placeholder}` ({about}), such as `{example}`: set it with `Profile::with`"
    )]
    PlaceholderUnset {
        /// The profile's name.
        profile: String,
        /// The placeholder's name.
        placeholder: String,
        /// What it stands for.
        about: String,
        /// A value that fits.
        example: String,
    },
    /// A placeholder's value does not fit.
    #[error("the value for `{placeholder}` of the profile `{profile}` {what}; one that fits is `{example}`")]
    PlaceholderValue {
        /// The profile's name.
        profile: String,
        /// The placeholder's name.
        placeholder: String,
        /// What is wrong with the value.
        what: &'static str,
        /// A value that fits.
        example: String,
    },
    /// The client cannot authenticate as the provider wants it.
    #[error("the profile `{profile}`: {what}")]
    Authentication {
        /// The profile's name.
        profile: String,
        /// What is missing.
        what: &'static str,
    },
}

/// The question that goes with a near miss.
fn meant(nearest: &Option<String>) -> impl fmt::Display {
    nearest.as_ref().map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
}

/// The one of `known` that is most like `word`, if any is like it at all.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // Nobody mistypes a word of that length, and comparing long words takes its time.
    if word.len() > 64 {
        return None;
    }
    let scored = known.into_iter().map(|candidate| (distance(word, candidate), candidate));
    let (distance, candidate) = scored.min()?;
    (distance <= 1 + candidate.len() / 4).then(|| candidate.to_owned())
}

/// How many letters have to be put in, taken out or replaced to get from one word to the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (place, candidate) in other.iter().enumerate() {
            let above = row.get(place + 1).copied().unwrap_or_default();
            let here = (diagonal + usize::from(letter != *candidate)).min(above + 1).min(left + 1);
            if let Some(cell) = row.get_mut(place) {
                *cell = left;
            }
            diagonal = above;
            left = here;
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (one, other, want) in [
            ("kitten", "sitting", 3),
            ("", "abc", 3),
            ("abc", "", 3),
            ("flaw", "lawn", 2),
            ("same", "same", 0),
        ] {
            assert_eq!(distance(one, other), want, "{one} {other}");
        }
    }

    #[test]
    fn what_is_not_like_anything_has_no_nearest() {
        let known = ["token_endpoint", "scope_separator"];
        assert_eq!(nearest("token_endpiont", known).as_deref(), Some("token_endpoint"));
        assert_eq!(nearest("scope_seperator", known).as_deref(), Some("scope_separator"));
        assert_eq!(nearest("verify_state", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }
}
