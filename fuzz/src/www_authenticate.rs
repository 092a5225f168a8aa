//! The header `WWW-Authenticate` (RFC 9110 §11.6.1).

use jeton_models::{Challenge, ResourceChallenge, parse_www_authenticate};

use super::property::in_proportion;

/// Checks one input: the value of the header.
pub fn check(data: &[u8]) {
    let value = String::from_utf8_lossy(data);
    let challenges = in_proportion(value.as_bytes(), || parse_www_authenticate(&value));

    let mut size = 0;
    for challenge in &challenges {
        assert!(is_token(&challenge.scheme), "{:?} is no scheme", challenge.scheme);
        assert!(challenge.is(&challenge.scheme.to_ascii_uppercase()));
        size += challenge.scheme.len();
        for (name, value) in &challenge.parameters {
            assert!(is_token(name) && *name == name.to_ascii_lowercase(), "{name:?} is no name");
            assert!(challenge.get(name).is_some());
            size += name.len() + value.len();
        }
    }
    assert!(size <= value.len(), "more was read than there is");

    // Written and read it is the same, but for control characters, which no header can carry.
    let written = write(&challenges);
    assert!(!written.contains(char::is_control), "{written:?} ends the header");
    let again = parse_www_authenticate(&written);
    assert_eq!(write(&again), written);
    let printable: Vec<Challenge> = challenges.iter().map(without_controls).collect();
    assert_eq!(again, printable);

    // What they ask for can go where it is to go: into URLs, and bounded.
    let asked = ResourceChallenge::of(&challenges);
    if let Some(url) = &asked.resource_metadata {
        assert!(url.fragment().is_none() && url.username().is_empty() && url.password().is_none());
        assert!(matches!(url.scheme(), "https" | "http"), "{url}");
    }
    if let Some(scope) = &asked.scope {
        let text = scope.to_string();
        assert!(!text.is_empty() && text.len() <= value.len() && text.parse().as_ref() == Ok(scope));
    }
    assert!(asked.acr_values.iter().all(|name| !name.is_empty() && !name.contains(char::is_control)));

    // Another challenge behind it changes nothing about those before it, and is found unless something before it could not
    // be understood, which ends the reading.
    let longer = parse_www_authenticate(&format!("{value}, Last-One realm=x"));
    let (known, new) = longer.split_at(challenges.len().min(longer.len()));
    assert_eq!(known, challenges, "what was understood is lost");
    assert!(matches!(new, []) || matches!(new, [last] if last.scheme == "Last-One"), "{new:?} came up");
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn write(challenges: &[Challenge]) -> String {
    challenges.iter().map(Challenge::to_string).collect::<Vec<_>>().join(", ")
}

fn without_controls(challenge: &Challenge) -> Challenge {
    let parameters = challenge.parameters.iter();
    parameters.fold(Challenge::new(&challenge.scheme), |written, (name, value)| {
        written.with(name, value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>())
    })
}
