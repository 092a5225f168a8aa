//! Texts of strangers (servers, claims, scopes, files), made harmless before they reach a terminal.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_marked_and_the_rest_stays() {
        assert_eq!(printable("a\u{1b}[2Jb\r\n\u{202e}Größe"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}Größe");
        assert_eq!(printable_start("abcd", 4), "abcd");
        assert_eq!(printable_start("abcde", 4), "abcd…");
    }
}
