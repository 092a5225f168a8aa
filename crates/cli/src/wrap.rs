//! Long texts in the columns of a terminal: broken between words, the lines after the first one indented.

/// Breaks the text into lines of at most `columns` characters, of which the first begins behind what is `indent` wide already and
/// the others begin with so many spaces. A word that is longer than a line stays whole, so that it can be copied.
pub(crate) fn wrapped(text: &str, indent: usize, columns: usize) -> String {
    let mut lines = String::new();
    let mut column = indent;
    for (index, paragraph) in text.split('\n').enumerate() {
        if index > 0 {
            new_line(&mut lines, indent);
            column = indent;
        }
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            let width = word.chars().count();
            if column > indent && column + 1 + width > columns {
                new_line(&mut lines, indent);
                column = indent;
            }
            if column > indent {
                lines.push(' ');
                column += 1;
            }
            lines.push_str(word);
            column += width;
        }
    }
    lines
}

/// The same for a paragraph that begins with a label in that style.
pub(crate) fn labelled(label: &str, style: anstyle::Style, text: &str, columns: usize) -> String {
    let whole = wrapped(&format!("{label} {text}"), 0, columns);
    // A label is shorter than any line.
    let rest = whole.get(label.len()..).unwrap_or_default();
    format!("{style}{label}{style:#}{rest}")
}

fn new_line(lines: &mut String, indent: usize) {
    lines.push('\n');
    lines.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_long_words_stay_whole() {
        assert_eq!(wrapped("one two three", 4, 12), "one two\n    three");
        assert_eq!(
            wrapped("a https://as.example/very/long b", 2, 12),
            "a\n  https://as.example/very/long\n  b"
        );
        assert_eq!(wrapped("one\ntwo", 2, 80), "one\n  two");
        assert_eq!(wrapped("", 2, 80), "");
    }
}
