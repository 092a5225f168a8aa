//! Texts of strangers (servers, claims, scopes, files), made harmless before they reach a terminal.

use std::fmt::Write as _;

use jeton::models::is_deceptive;

/// The same text, with a mark in the place of every character that a terminal obeys or that deceives the reader.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|character| if is_deceptive(character) { '\u{fffd}' } else { character }).collect()
}

/// The same, of at most so many characters.
pub(crate) fn printable_start(text: &str, most: usize) -> String {
    let mut start: String = printable(text).chars().take(most).collect();
    if text.chars().nth(most).is_some() {
        start.push('…');
    }
    start
}

/// The same JSON, spelled without a character that a terminal obeys or that deceives the reader.
pub(crate) fn json_text(json: &serde_json::Value) -> String {
    let mut text = String::new();
    for character in json.to_string().chars() {
        match is_deceptive(character) {
            true => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
            false => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_marked_and_the_rest_stays() {
        assert_eq!(printable("a\u{1b}[2Jb\r\n\u{202e}Größe"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}Größe");
        assert_eq!(printable_start("abcd", 4), "abcd");
        assert_eq!(printable_start("abcde", 4), "abcd…");
    }

    #[test]
    fn json_stays_the_same_and_obeys_nobody() {
        let json = serde_json::json!({"a\u{9b}31m": ["\u{202e}\u{1b}\u{e0041}", "Größe", 7]});
        let text = json_text(&json);
        assert!(!text.chars().any(is_deceptive), "{text:?}");
        assert!(text.contains("Größe") && text.contains("\\u009b31m"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), json);
    }
}
