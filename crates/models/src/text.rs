//! A server's words, made fit to be shown: bounded, harmless to a terminal, without the secrets that were sent to it.

/// Whether a character can deceive the one who reads: control characters (a terminal obeys them), line separators, marks
/// that turn the direction of the text around, and characters that show nothing.
///
/// For showing a stranger's text to a person; jeton's own texts are made with it.
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// At most `most` characters, with a mark where something was cut, and a replacement for each deceptive character.
pub(crate) fn printable(text: &str, most: usize) -> String {
    let mut safe: String =
        text.chars().map(|c| if is_deceptive(c) { '\u{fffd}' } else { c }).take(most).collect();
    if text.chars().nth(most).is_some() {
        safe.push('…');
    }
    safe
}

/// Replaces each occurrence of a secret by `[redacted]`, in plain and in form-encoded spelling: servers repeat what they
/// were sent in both. An empty secret is nowhere.
pub(crate) fn redact(text: &mut String, secret: &str) {
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    for spelling in [secret, encoded.as_str()] {
        if !spelling.is_empty() && text.contains(spelling) {
            *text = text.replace(spelling, "[redacted]");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_any_script_stay_and_tricks_do_not() {
        assert!("Größe 名前 שלום 👍🏽 a\u{301}".chars().all(|character| !is_deceptive(character)));
        for character in
            ['\u{1b}', '\u{9b}', '\r', '\n', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{e0041}']
        {
            assert!(is_deceptive(character), "{character:?}");
        }
    }

    #[test]
    fn shown_text_is_bounded_and_harmless() {
        assert_eq!(printable("a\u{1b}[2J\u{202e}b\r\n", 20), "a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd}");
        assert_eq!(printable("ééé", 3), "ééé");
        assert_eq!(printable("éééé", 3), "ééé…");
    }

    #[test]
    fn a_secret_is_cut_in_both_spellings() {
        let mut text = "got p/4 +s and p%2F4+%2Bs".to_owned();
        redact(&mut text, "p/4 +s");
        assert_eq!(text, "got [redacted] and [redacted]");
        redact(&mut text, "");
        assert_eq!(text, "got [redacted] and [redacted]");
    }
}
