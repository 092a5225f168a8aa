//! Which characters of a stranger's text are not shown to a person as they are.

/// Whether a character can deceive the one who reads: control characters (a terminal obeys them), line separators, marks
/// that turn the direction of the text around, and characters that show nothing.
pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
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
}
